"""`demurrage db prune` and `db copy` as a user meets them, on SQLite and PostgreSQL."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from analyzer.store.engine import Database
from analyzer.store.leases import hold_lease
from analyzer.store.pruning import registry_keys
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.store.conftest import (
    postgresql,
    postgresql_clean,
    postgresql_server,
    provider,
    sqlite,
    sqlite_clean,
    sqlite_folder,
)
from tests.analyzer.store.examples import commit, image, read_of
from tests.support.databases import Provider, opened

__all__ = [
    "postgresql",
    "postgresql_clean",
    "postgresql_server",
    "provider",
    "sqlite",
    "sqlite_clean",
    "sqlite_folder",
]

Cli = Callable[..., Outcome]
_DAY_MS = 86_400_000


@pytest.fixture
def database(provider: Provider) -> Database:
    """One registry with snapshots of four days of 1970."""
    database = provider.clean()
    for day in range(1, 5):
        commit(database, read_of(image(f"{day}"), taken_at_ms=day * _DAY_MS))
    return database


def _url(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


def _snapshots(database: Database, demurrage: Cli) -> list[int]:
    dry = ("--keep", "yearly", "--dry-run", "--format", "json")
    document = json.loads(demurrage("db", "prune", *dry, "--db", _url(database)).out)
    (entry,) = document["registries"]
    return sorted(taken["snapshot"] for taken in (*entry["kept"], *entry["pruned"]))


def test_a_dry_run_lists_what_would_go_and_changes_nothing(demurrage: Cli, database: Database) -> None:
    dry = demurrage("db", "prune", "--keep", "last 2", "--dry-run", "--db", _url(database))
    assert dry.status == 0
    head, *snapshots = dry.out.splitlines()
    assert head.startswith("111111111111/eu-west-1: 2 of 4 snapshots stay; 2 would go, ")
    assert head.endswith(" MB")
    assert snapshots == [
        "  snapshot 1 of 1970-01-02T00:00:00Z, complete",
        "  snapshot 2 of 1970-01-03T00:00:00Z, complete",
    ]
    assert _snapshots(database, demurrage) == [1, 2, 3, 4]


def test_prune_says_what_went_and_with_vacuum_what_the_database_takes(
    demurrage: Cli, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = demurrage("db", "prune", "--keep", "last 3", "--db", _url(database))
    assert (done.status, done.out.count("3 of 4 snapshots stay; 1 gone")) == (0, 1)
    assert "--vacuum" in done.err
    monkeypatch.setenv("DEMURRAGE_KEEP", "last 1")
    done = demurrage("db", "prune", "--vacuum", "--format", "json", "--db", _url(database))
    assert (done.status, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["freed_bytes"] == document["registries"][0]["freed_bytes"] > 0
    assert document["registries"][0]["rows"]["artifact"] == 2
    assert document["database_bytes"]["after"] > 0
    assert _snapshots(database, demurrage) == [4]


def test_prune_as_csv_has_a_row_for_each_snapshot(demurrage: Cli, database: Database) -> None:
    done = demurrage("db", "prune", "--keep", "last 1", "--format", "csv", "--db", _url(database))
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [(row["snapshot"], row["kept"]) for row in rows] == [
        ("1", "False"),
        ("2", "False"),
        ("3", "False"),
        ("4", "True"),
    ]


def test_prune_of_a_database_without_snapshots_has_nothing_to_do(demurrage: Cli, provider: Provider) -> None:
    url = _url(provider.clean())
    for form in ("table", "json", "csv"):
        assert demurrage("db", "prune", "--keep", "1d", "--format", form, "--db", url).status == 0


def test_a_rule_that_is_none_is_refused_before_the_database_is_opened(demurrage: Cli) -> None:
    done = demurrage("db", "prune", "--keep", "often", "--db", "sqlite:///nowhere.sqlite")
    assert done.status == 2
    assert "--keep 'often': 'often' is no term; write terms like" in done.err
    assert demurrage("db", "prune", "--db", "sqlite:///nowhere.sqlite").status == 2


def test_a_registry_that_is_being_collected_is_left_alone(demurrage: Cli, database: Database) -> None:
    (key,) = registry_keys(database)
    # Fresh: of just now, by the clock that the command looks at.
    with hold_lease(database, key, "pid 1", "elsewhere", lambda: round(time.time() * 1000)):
        done = demurrage("db", "prune", "--keep", "last 1", "--db", _url(database))
        assert done.status == 1
        assert "is being collected by pid 1 on elsewhere" in done.err
        other = read_of(image("x"), key=type(key)("aws", "222222222222", "eu-west-1"), taken_at_ms=_DAY_MS)
        commit(database, other)
        done = demurrage("db", "prune", "--keep", "last 1", "--db", _url(database))
        assert done.status == 4
        assert "left alone: 111111111111/eu-west-1 is being collected" in done.err
        assert "222222222222/eu-west-1: 1 of 1 snapshots stay" in done.out


def test_copy_says_what_it_verified(
    demurrage: Cli, database: Database, provider: Provider, tmp_path: Path
) -> None:
    target = provider.empty_url()
    done = demurrage("db", "copy", "--to", target, "--format", "json", "--db", _url(database))
    assert done.status == 0, done.err
    document = json.loads(done.out)
    rows = {entry["table"]: entry["rows"] for entry in document["verified"]}
    assert (rows["snapshot"], rows["artifact"], document["rows"]) == (4, 4, sum(rows.values()))
    assert "artifact: 4 rows" in done.err
    assert demurrage("db", "status", "--db", target).status == 0
    with opened(target) as copied:
        assert _snapshots(copied, demurrage) == [1, 2, 3, 4]
    again = demurrage("db", "copy", "--to", target, "--db", _url(database))
    assert again.status == 2
    assert "holds data already" in again.err
    into_a_file = demurrage("db", "copy", "--to", "sqlite:///other.sqlite", "--quiet", "--db", _url(database))
    assert (into_a_file.status, into_a_file.err) == (0, "")
    assert "are the same on both sides" in into_a_file.out
    assert (tmp_path / "other.sqlite").exists()


def test_copy_names_its_own_option_where_the_target_is_no_database(demurrage: Cli, sqlite: Provider) -> None:
    url = _url(sqlite.clean())
    done = demurrage("db", "copy", "--to", "mysql://user:secret@host/x", "--db", url)
    assert done.status == 2
    assert "--to mysql://user:***@host/x: only SQLite and PostgreSQL" in done.err
    assert demurrage("db", "copy", "--to", "nonsense", "--db", url).err.startswith("demurrage: --to is not")
