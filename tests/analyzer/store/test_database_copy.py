"""A copied database is the same one, or there is none."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from sqlalchemy import insert, select, update

from analyzer.errors import InputError, RunError, SchemaError
from analyzer.model.records import Gap
from analyzer.store import database_copy, tables
from analyzer.store.database_copy import COPIED, copy_database
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from analyzer.store.snapshots import last_run, snapshots_of_run
from tests.analyzer.store.examples import KEY, commit, image, read_of
from tests.analyzer.store.twin import assert_rebuilt, play
from tests.strategies.registries import Night, histories
from tests.support.databases import Provider, opened
from tests.support.examples import database_examples

_PAIRS = [
    ("sqlite", "postgresql"),
    ("postgresql", "sqlite"),
    ("sqlite", "sqlite"),
    ("postgresql", "postgresql"),
]


@pytest.fixture(params=_PAIRS, ids="-to-".join)
def pair(request: pytest.FixtureRequest) -> tuple[Provider, Provider]:
    """Where from and where to."""
    source, target = request.param
    return request.getfixturevalue(source), request.getfixturevalue(target)


def _rows(database: Database) -> dict[str, list[Any]]:
    with database.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in COPIED
        }


def _filled(provider: Provider) -> Database:
    """A database with a row in nearly every table."""
    database = provider.clean()
    gap = Gap(KEY.account, KEY.region, "app", "ecr:X", "Denied", "ü '%s\\")
    for day in (1, 2):
        commit(database, replace(read_of(image(f"{day}", "latest", "ü'\"%s"), taken_at_ms=day), gaps=[gap]))
    return database


def test_every_row_arrives_and_the_next_night_goes_on(pair: tuple[Provider, Provider]) -> None:
    source, target = _filled(pair[0]), pair[1].empty_url()
    with opened(target) as copied:
        told: list[tuple[str, int]] = []
        contents = copy_database(source, copied, lambda table, rows: told.append((table, rows)))
        assert _rows(copied) == _rows(source)
        assert dict(told) == {name: content.rows for name, content in contents.items()}
        assert contents["artifact"].rows == 2
        commit(copied, read_of(image("new", "latest"), taken_at_ms=3))
        with copied.read() as connection:
            assert last_run(connection) == 3
            (snapshot,) = snapshots_of_run(connection, 3)
            assert snapshot.number == 3
            assert connection.execute(select(tables.lease.c.fence)).all() == [(1,)]


@database_examples(5)
@given(history=histories(nights=4))
def test_every_snapshot_of_a_copy_from_sqlite_to_postgresql_is_rebuilt(
    sqlite: Provider, postgresql: Provider, history: list[Night]
) -> None:
    source, target = sqlite.clean(), postgresql.clean()
    naive = play(source, history)
    copy_database(source, target)
    assert_rebuilt(target, naive)


@pytest.mark.parametrize("table", [tables.run, tables.digest, tables.lease], ids=lambda table: table.name)
def test_a_target_with_a_row_is_refused_untouched(provider: Provider, sqlite: Provider, table: Any) -> None:
    rows: dict[str, dict[str, Any]] = {
        "run": {"started_at_ms": 1, "status": "s", "host": "h", "version": "v"},
        "digest": {"algorithm": "sha256", "hash": b"1"},
    }
    with opened(sqlite.empty_url()) as source:
        upgrade_schema(source)
        target = provider.clean()
        with target.write() as connection:
            if table is tables.lease:
                connection.execute(
                    insert(tables.registry).values(id=1, partition="p", account="a", region="r")
                )
                connection.execute(insert(table).values(registry_id=1, fence=1))
            else:
                connection.execute(insert(table).values(rows[table.name]))
        with pytest.raises(InputError, match=r"holds data already .*; name an empty database"):
            copy_database(source, target)


def test_a_database_onto_itself_is_refused(database: Database) -> None:
    commit(database, read_of(image("a")))
    with pytest.raises(InputError, match="holds data already"):
        copy_database(database, database) if not database.is_sqlite else _onto_itself(database)


def _onto_itself(database: Database) -> None:
    with opened(database.engine.url.render_as_string(hide_password=False)) as again:
        copy_database(database, again)


def test_a_foreign_target_is_refused(sqlite: Provider) -> None:
    with opened(sqlite.empty_url()) as source, opened(sqlite.empty_url()) as target:
        upgrade_schema(source)
        with target.write() as connection:
            connection.exec_driver_sql("CREATE TABLE theirs (a)")
        with pytest.raises(SchemaError, match="not those of demurrage"):
            copy_database(source, target)


def _lose_a_row(connection: Any, table: Any, columns: Sequence[str], rows: list[Any]) -> None:
    _insert(connection, table, columns, rows[:-1] if table is tables.tag else rows)


def _change_a_value(connection: Any, table: Any, columns: Sequence[str], rows: list[Any]) -> None:
    if table is tables.artifact:
        at = columns.index("pushed_at_ms")
        rows = [(*row[:at], 77, *row[at + 1 :]) for row in rows]
    _insert(connection, table, columns, rows)


def _insert(connection: Any, table: Any, columns: Sequence[str], rows: list[Any]) -> None:
    if rows:
        connection.execute(insert(table), [dict(zip(columns, row, strict=True)) for row in rows])


@pytest.mark.parametrize("faulty", [_lose_a_row, _change_a_value])
def test_what_arrives_otherwise_than_sent_is_undone(
    provider: Provider, sqlite: Provider, faulty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(sqlite.empty_url()) as source:
        upgrade_schema(source)
        commit(source, read_of(image("a", "latest")))
        target = provider.clean()
        monkeypatch.setattr(database_copy, "insert_values", faulty)
        with pytest.raises(RunError, match=r"is not what was sent: table (tag|artifact) .* all was undone"):
            copy_database(source, target)
        assert not any(_rows(target).values())


def test_what_postgresql_cannot_hold_ends_the_copy_with_nothing_there(
    sqlite: Provider, postgresql: Provider
) -> None:
    source, target = _filled(sqlite), postgresql.clean()
    with source.write() as connection:
        connection.execute(update(tables.gap).values(detail="a\0b"))
    with pytest.raises(RunError, match=r"postgresql.* failed"):
        copy_database(source, target)
    assert not any(_rows(target).values())


def test_the_hash_tells_types_and_repeats_apart() -> None:
    def digest(*rows: tuple[Any, ...]) -> str:
        hashed = database_copy._Hash()
        hashed.add(rows)
        return hashed.content().digest

    different = [(1,), ("1",), (b"1",), (None,), ("None",), (1, None), ("a", "b"), ("a', 'b",)]
    assert len({digest(row) for row in different}) == len(different)
    assert digest((1,), (2,)) == digest((2,), (1,))
    assert digest((1,), (1,)) not in (digest((1,)), digest())


_KILLED = """
import os, signal, sys
from analyzer.store import database_copy
from analyzer.store.engine import Database
from tests.support.examples import database_examples

def kill(table, rows):
    if table == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

database_copy.copy_database(Database(sys.argv[1]), Database(sys.argv[2]), kill)
"""


@pytest.mark.parametrize("table", ["digest", "tag"])
def test_a_copy_that_was_killed_leaves_nothing_and_can_be_made_again(
    provider: Provider, sqlite: Provider, table: str
) -> None:
    with opened(sqlite.empty_url()) as source:
        upgrade_schema(source)
        commit(source, read_of(image("a", "latest")))
        target = provider.clean()
        urls = [one.engine.url.render_as_string(hide_password=False) for one in (source, target)]
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, *urls, table],
            cwd=Path(__file__).resolve().parents[3],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not any(_rows(target).values())
        copy_database(source, target)
        assert _rows(target) == _rows(source)
