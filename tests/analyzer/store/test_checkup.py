"""What doctor says of a database, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import insert, make_url, update

from analyzer.model.checks import Check, CheckStatus
from analyzer.model.records import RegistryKey
from analyzer.store import checkup, tables
from analyzer.store.checkup import check_database
from analyzer.store.engine import Database
from analyzer.store.ip_ranges import StoredIpRanges, put_ip_ranges
from analyzer.store.leases import hold_lease, registry_id
from tests.support.databases import Provider, opened

NOW = 1_764_000_000_000
KEY = RegistryKey("aws", "123456789012", "eu-west-1")
HOUR = 3_600_000


def _named(checks: Sequence[Check], name: str) -> Check:
    (found,) = (check for check in checks if check.id == name)
    return found


def _look(database: Database) -> list[Check]:
    return check_database(database.engine.url.render_as_string(hide_password=False), NOW)


def _run(database: Database, status: str, started_at_ms: int, number: int | None = None) -> None:
    """A run, and where ``number`` is given a snapshot of the registry taken by it."""
    registry = registry_id(database, KEY)
    with database.write() as connection:
        run = connection.execute(
            insert(tables.run)
            .values(started_at_ms=started_at_ms, status=status, host="vm", version="1")
            .returning(tables.run.c.id)
        ).scalar_one()
        if number is not None:
            connection.execute(
                insert(tables.snapshot).values(
                    registry_id=registry,
                    number=number,
                    run_id=run,
                    taken_at_ms=started_at_ms,
                    status="complete",
                )
            )


def test_a_database_that_was_set_up_is_well(database: Database) -> None:
    checks = _look(database)
    assert {check.status for check in checks} <= {CheckStatus.OK, CheckStatus.SKIPPED}
    assert _named(checks, "database.schema").found.endswith("up to date")
    assert _named(checks, "database.runs").found == "no run yet"


def test_an_empty_database_would_be_set_up(empty_database: Database) -> None:
    with empty_database.engine.begin():
        pass
    checks = _look(empty_database)
    assert not any(check.blocks_run for check in checks)
    names = {check.id: check.found for check in checks}
    assert "would" in names.get("database.schema", names["database.reachable"])


def test_a_run_that_left_nobody_behind_was_cut_short(database: Database) -> None:
    _run(database, "running", NOW - HOUR)
    check = _named(_look(database), "database.runs")
    assert check.status is CheckStatus.WARNING
    assert check.found.endswith("was cut short")


def test_a_run_whose_lease_is_alive_is_going_on(database: Database) -> None:
    _run(database, "running", NOW - HOUR)
    with hold_lease(database, KEY, f"pid {os.getpid()}", "vm", lambda: NOW - 60_000):
        checks = _look(database)
    assert _named(checks, "database.runs").found.endswith("is going on")
    assert _named(checks, "database.leases").status is CheckStatus.OK
    assert f"pid {os.getpid()} on vm" in _named(checks, "database.leases").found


def test_a_lease_without_a_sign_of_life_is_stale(database: Database) -> None:
    with hold_lease(database, KEY, "pid 1", "elsewhere", lambda: NOW - HOUR):
        with database.write() as connection:
            # By whichever clock the heartbeat was told.
            at = tables.lease.c.heartbeat_at_ms
            connection.execute(update(tables.lease).values(heartbeat_at_ms=at - HOUR))
        check = _named(_look(database), "database.leases")
    assert check.status is CheckStatus.WARNING
    assert "pid 1 on elsewhere" in check.found


def test_a_lease_of_a_process_that_is_no_more_is_stale(sqlite: Provider) -> None:
    database = sqlite.clean()
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    holder = f"pid {int(gone.stdout)}"
    with hold_lease(database, KEY, holder, socket.gethostname(), lambda: NOW):
        assert _named(_look(database), "database.leases").status is CheckStatus.WARNING


def test_a_failed_last_run_is_a_warning_and_an_earlier_one_is_not(database: Database) -> None:
    _run(database, "failed", NOW - 2 * HOUR)
    assert _named(_look(database), "database.runs").status is CheckStatus.WARNING
    _run(database, "complete", NOW - HOUR)
    assert _named(_look(database), "database.runs").status is CheckStatus.OK


@pytest.mark.parametrize(
    ("hours", "status", "said"),
    [
        (2, CheckStatus.OK, "1 registry has"),
        (35, CheckStatus.OK, "1 registry has"),
        (37, CheckStatus.WARNING, "1.5 days"),
    ],
)
def test_a_snapshot_that_is_older_than_a_night_is_a_warning(
    database: Database, hours: int, status: CheckStatus, said: str
) -> None:
    _run(database, "complete", NOW - hours * HOUR, number=1)
    check = _named(_look(database), "database.snapshots")
    assert check.status is status
    assert said in check.found


def test_a_registry_without_a_complete_snapshot_is_a_warning(database: Database) -> None:
    _run(database, "gaps", NOW - HOUR, number=1)
    with database.write() as connection:
        connection.execute(update(tables.snapshot).values(status="partial"))
    check = _named(_look(database), "database.snapshots")
    assert (check.status, check.subject) == (CheckStatus.WARNING, "123456789012/eu-west-1")


@pytest.mark.parametrize(
    ("days", "status", "said"),
    [
        (3, CheckStatus.OK, "AWS's of 2025-11-21T16:00:00Z"),
        (100, CheckStatus.WARNING, "AWS's of 2025-08-16T16:00:00Z are 100 days old, and change every week"),
        (None, CheckStatus.SKIPPED, "none: the addresses of pulls tell no region"),
    ],
)
def test_ip_ranges_are_looked_at_where_there_are_pulls(
    database: Database, days: int | None, status: CheckStatus, said: str
) -> None:
    assert not [check for check in _look(database) if check.id == "database.ip_ranges"]
    evidence = {"hours": 1, "has_reads": 1, "is_whole": 0, "problem": ""}
    with database.write() as connection:
        connection.execute(
            insert(tables.pull_coverage).values(
                day=1, account=KEY.account, region=KEY.region, source="s", **evidence
            )
        )
        if days is not None:
            made_at_ms = NOW - days * 24 * HOUR
            given = StoredIpRanges(created_at_ms=made_at_ms, stored_at_ms=NOW, source="f", document=b"{}")
            put_ip_ranges(connection, given)
    check = _named(_look(database), "database.ip_ranges")
    assert (check.status, check.found) == (status, said)
    assert bool(check.mend) == (status is not CheckStatus.OK)


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("free", "status", "blocks"),
    [
        (10 * 2**30, CheckStatus.OK, False),
        (500 * 2**20, CheckStatus.WARNING, False),
        (10 * 2**20, CheckStatus.FAILED, True),
    ],
)
def test_a_disk_is_judged_by_what_a_night_needs(
    sqlite: Provider, monkeypatch: pytest.MonkeyPatch, free: int, status: CheckStatus, *, blocks: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(2**40, 2**40 - free, free))
    check = _named(_look(sqlite.clean()), "database.disk")
    assert (check.status, check.blocks_run) == (status, blocks)


def test_a_nights_growth_is_counted_from_the_nights_of_the_week(sqlite: Provider) -> None:
    database = sqlite.clean()
    for number in (1, 2, 3):
        _run(database, "complete", NOW - (4 - number) * 24 * HOUR, number=number)
    with database.write() as connection:
        repository = connection.execute(
            insert(tables.repository)
            .values(registry_id=registry_id_of(connection), name="app", created_at_ms=0)
            .returning(tables.repository.c.id)
        ).scalar_one()
        rows = []
        # 96 on the first night, 2 on each of the others.
        for entry in range(100):
            digest = connection.execute(
                insert(tables.digest)
                .values(algorithm="sha256", hash=entry.to_bytes(32, "big"))
                .returning(tables.digest.c.id)
            ).scalar_one()
            first = 1 if entry < 96 else 2 if entry < 98 else 3
            rows.append(
                {"repository_id": repository, "digest_id": digest, "first_snapshot": first, "image_status": 0}
            )
        connection.execute(insert(tables.artifact), rows)
    with database.read() as connection:
        assert checkup._nightly_share(connection, NOW) == pytest.approx(4 / 100 / 3)
        assert checkup._nightly_share(connection, NOW + 30 * 24 * HOUR) is None


def registry_id_of(connection: Any) -> int:
    return int(connection.execute(tables.registry.select()).first().id)


def test_a_network_file_system_is_refused(sqlite_folder: Path) -> None:
    mounts = sqlite_folder / "mountinfo"
    mounts.write_text(f"1 1 0:1 / {sqlite_folder} rw - nfs4 server:/x rw\n")
    (check,) = check_database(f"sqlite:///{sqlite_folder}/there.sqlite", NOW, mounts=mounts)
    assert (check.id, check.blocks_run) == ("database.url", True)
    assert "network file system (nfs4)" in check.found


def test_a_file_that_may_not_be_written_stops_the_run(
    sqlite: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = sqlite.clean()
    # Whoever runs the tests as root may write anything.
    monkeypatch.setattr(os, "access", lambda _path, mode: mode in (os.R_OK, os.F_OK))
    check = _named(_look(database), "database.writable")
    assert check.blocks_run
    assert str(database.file) in check.found


def test_a_folder_that_may_not_be_made_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "demurrage"
    checks = check_database(f"sqlite:///{folder}/x.sqlite", NOW, folder=folder)
    assert [check.id for check in checks] == ["database.reachable", "database.disk"]
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    (check,) = check_database(f"sqlite:///{folder}/x.sqlite", NOW, folder=folder)
    assert check.blocks_run
    assert not folder.parent.exists()


def test_a_schema_that_is_newer_or_not_ours_stops_the_run(sqlite: Provider) -> None:
    with opened(sqlite.empty_url()) as other:
        with other.write() as connection:
            connection.exec_driver_sql("CREATE TABLE theirs (a integer)")
        assert _named(_look(other), "database.schema").blocks_run
        assert "holds tables but not those" in _named(_look(other), "database.schema").found


# --- PostgreSQL --------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_stops_the_run(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    url = f"postgresql+psycopg://someone:secret@/nowhere?host={tmp_path}"
    (check,) = check_database(url, NOW)
    assert (check.id, check.blocks_run) == ("database.reachable", True)
    assert "secret" not in check.found


def test_a_user_who_may_only_read_stops_the_run(postgresql: Provider) -> None:
    database = postgresql.clean()
    name = "demurrage_reader"
    with database.write() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {name}")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    try:
        url = database.engine.url.set(username=name)
        check = _named(check_database(str(make_url(url)), NOW), "database.writable")
        assert check.blocks_run
        assert check.found == "this user may not write the tables"
    finally:
        with database.write() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {name}")
            connection.exec_driver_sql(f"DROP ROLE {name}")
