"""Pruning takes snapshots and changes none that stays, on random histories and in each case by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, or_, select

from analyzer.errors import LeaseError
from analyzer.model.records import (
    Gap,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.retention import parse_retention
from analyzer.store import pruning, tables
from analyzer.store.engine import Database
from analyzer.store.facts import write_facts
from analyzer.store.frames import load_frames
from analyzer.store.pruning import Pruned, preview_pruning, prune_registry, reclaim_space, registry_keys
from analyzer.store.snapshots import SnapshotRef, last_run, load_gaps, rebuild, snapshots_of_run
from analyzer.store.tag_history import load_tag_history
from analyzer.store.writer import Store
from tests.analyzer.store.examples import HOST, KEY, REPOSITORY, commit, image, read_of
from tests.analyzer.store.twin import play
from tests.oracle.naive_store import NaiveStore
from tests.strategies.registries import Night, histories
from tests.support.databases import Provider
from tests.support.examples import database_examples

_DAY_MS = 86_400_000
_OTHER = RegistryKey("aws", "111111111111", "us-east-1")
_RULES = st.lists(
    st.sampled_from(("last 1", "last 2", "2d", "5d", "daily 3", "weekly", "weekly 2", "monthly")),
    min_size=1,
    max_size=2,
).map(", ".join)
_INTERVALS = [table for table in tables.metadata.sorted_tables if "gone_snapshot" in table.c]


def _spaced(history: Sequence[Night], gaps: Sequence[int]) -> list[Night]:
    """The same nights, so many days apart."""
    nights, day = [], 0
    for night, gap in zip(history, gaps, strict=False):
        day += gap
        reads = tuple(replace(read, taken_at_ms=day * _DAY_MS) for read in night.reads)
        nights.append(replace(night, reads=reads))
    return nights


def _prune(database: Database, rule: str, now_ms: int, store: Store | None = None) -> list[Pruned]:
    done = []
    store = store or Store(database, lambda: 0)
    for key in registry_keys(database):
        with store.lease(key, "prune", HOST) as lease:
            done.append(prune_registry(database, lease, parse_retention(rule), now_ms))
    return done


_HISTORIES = histories(nights=7, registries=2)
_GAPS = st.lists(st.sampled_from((1, 1, 3, 9)), min_size=7, max_size=7)


@database_examples(20)
@given(history=_HISTORIES, gaps=_GAPS, rule=_RULES)
def test_kept_snapshots_and_later_ones_equal_the_naive_copies_on_sqlite(
    sqlite: Provider, history: list[Night], gaps: list[int], rule: str
) -> None:
    _play(sqlite.clean(), _spaced(history, gaps), rule)


@database_examples(5)
@given(history=_HISTORIES, gaps=_GAPS, rule=_RULES)
def test_kept_snapshots_and_later_ones_equal_the_naive_copies_on_postgresql(
    postgresql: Provider, history: list[Night], gaps: list[int], rule: str
) -> None:
    _play(postgresql.clean(), _spaced(history, gaps), rule)


def _play(database: Database, history: Sequence[Night], rule: str) -> None:
    def prune(store: Store, naive: NaiveStore) -> None:
        now_ms = max((copy.taken_at_ms for copy in naive.snapshots.values()), default=0)
        expected = preview_pruning(database, parse_retention(rule), now_ms)
        before = _counts(database)
        done = _prune(database, rule, now_ms, store)
        # What a dry run says is what happens. How many bytes a row takes PostgreSQL says of the row as
        # its plan has it at hand, which is not the same from one moment to the next.
        if not database.is_sqlite:
            assert [entry.freed_bytes > 0 for entry in done] == [entry.freed_bytes > 0 for entry in expected]
            expected = [
                replace(one, freed_bytes=two.freed_bytes) for one, two in zip(expected, done, strict=True)
            ]
        assert done == expected
        after = _counts(database)
        for table, count in before.items():
            gone = sum(entry.rows.get(table, 0) for entry in done)
            if table not in ("snapshot", "pruned_snapshot", "gap", "lease"):
                assert count - after[table] == gone, table
        for entry in done:
            naive.prune(entry.key, [taken.number for taken in entry.pruned])
        _assert_nothing_needless(database)

    play(database, history, prune)


def _counts(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables.metadata.sorted_tables
        }


def _assert_nothing_needless(database: Database) -> None:
    """Every row of an interval holds a snapshot that is there, but for what the module names."""
    snapshot, repository = tables.snapshot, tables.repository
    with database.read() as connection:
        for table in _INTERVALS:
            if table is tables.registry_setting:
                continue
            query = select(table)
            if "registry_id" in table.c:
                registry: Any = table.c.registry_id
            else:
                query = query.join(repository, repository.c.id == table.c.repository_id)
                registry = repository.c.registry_id
            held = (
                select(snapshot.c.number)
                .where(
                    snapshot.c.registry_id == registry,
                    snapshot.c.number >= table.c.first_snapshot,
                    or_(table.c.gone_snapshot.is_(None), snapshot.c.number < table.c.gone_snapshot),
                )
                .exists()
            )
            left = connection.execute(query.where(~held)).all()
            if table is tables.repository_read:
                assert all(row.status == "complete" for row in left)
                assert len({row.repository_id for row in left}) * 7 >= len(left)
            else:
                assert left == [], table.name


def test_every_table_of_intervals_or_repositories_is_pruned_or_stays_for_a_reason() -> None:
    pruned = {*pruning._BY_REPOSITORY, *pruning._BY_REGISTRY, tables.repository_read}
    about_repositories = {
        table
        for table in tables.metadata.sorted_tables
        if any(key.column.table is tables.repository for key in table.foreign_keys)
    }
    # Settings of a registry stay whole; a refusal goes with the commit that sees its image gone.
    reasons = {tables.registry_setting, tables.manifest_refusal}
    assert {*_INTERVALS, *about_repositories} == pruned | reasons


# One thing at a time.


def _night(database: Database, day: int, *names: str, key: RegistryKey = KEY) -> int:
    return commit(database, read_of(*map(image, names), key=key, taken_at_ms=day * _DAY_MS))


def _snapshots(database: Database) -> dict[tuple[str, int], SnapshotRef]:
    """By region and number, every snapshot that some run shows."""
    with database.read() as connection:
        return {
            (found.key.region, found.number): found
            for run in range(1, last_run(connection) + 1)
            for found in _of_run(connection, run)
        }


def _of_run(connection: Any, run: int) -> Iterator[SnapshotRef]:
    if connection.execute(select(tables.snapshot).where(tables.snapshot.c.run_id <= run)).first():
        yield from snapshots_of_run(connection, run)


def test_rows_and_snapshots_go_and_the_next_number_is_new(database: Database) -> None:
    for day in range(1, 5):
        _night(database, day, f"of day {day}")
    (done,) = _prune(database, "last 1", 4 * _DAY_MS)
    assert [taken.number for taken in done.pruned] == [1, 2, 3]
    assert done.rows["artifact"] == 3
    assert done.freed_bytes > 3 * 20
    counts = _counts(database)
    assert (counts["snapshot"], counts["artifact"], counts["pruned_snapshot"]) == (1, 1, 3)
    assert _night(database, 5, "of day 5") == 5
    # Nothing is left to do, and nothing is done twice.
    (again,) = _prune(database, "last 2", 5 * _DAY_MS)
    assert (again.pruned, again.freed_bytes) == ((), 0)


def test_manifests_digests_and_names_stay(database: Database) -> None:
    for day in range(1, 4):
        _night(database, day, f"of day {day}")
    before = _counts(database)
    _prune(database, "last 1", 3 * _DAY_MS)
    after = _counts(database)
    for table in ("digest", "manifest", "blob", "tag_name", "media_type", "setting_value", "run"):
        assert after[table] == before[table], table


def test_a_repository_that_no_kept_snapshot_has_goes_and_may_come_back(database: Database) -> None:
    _night(database, 1, "a")
    empty = RegistryRead(KEY, 2 * _DAY_MS, ReadStatus.COMPLETE)
    commit(database, empty)
    _prune(database, "last 1", 2 * _DAY_MS)
    assert _counts(database)["repository"] == 0
    _night(database, 3, "a")
    assert _counts(database)["repository"] == 1


def test_how_old_a_partial_read_is_stays_known_when_its_complete_one_is_pruned(database: Database) -> None:
    _night(database, 1, "a")
    partial = RepositoryRead(*REPOSITORY, ReadStatus.PARTIAL, (image("a"),))
    for day in (2, 3):
        commit(database, RegistryRead(KEY, day * _DAY_MS, ReadStatus.COMPLETE, [partial]))
    _prune(database, "last 1", 3 * _DAY_MS)
    with database.read() as connection:
        frames = load_frames(connection, snapshots_of_run(connection, 3))
    assert frames.repositories["complete_at_ms"].tolist() == [_DAY_MS]
    assert frames.registries["blob_mounting_ever"].tolist() == [True]


def test_gaps_of_a_run_stay_as_long_as_a_snapshot_of_it(database: Database) -> None:
    store = Store(database, lambda: 0)
    gaps = [Gap(KEY.account, KEY.region, "app", "ecr:X", "Denied", f"of run {run}") for run in range(1, 4)]
    for run, gap in enumerate(gaps, start=1):
        assert store.begin_run(run, HOST, "1") == run
        for key in (KEY, _OTHER)[: 2 if run == 1 else 1]:
            read = replace(read_of(image("a"), key=key, taken_at_ms=run * _DAY_MS), gaps=[gap])
            with store.lease(key, "test", HOST) as lease:
                store.commit_snapshot(lease, run, read)
        store.finish_run(run, run, "gaps")
    shown = {place: _gaps(database, found) for place, found in _snapshots(database).items()}
    _prune(database, "last 1", 3 * _DAY_MS)
    left = {place: _gaps(database, found) for place, found in _snapshots(database).items()}
    # The other registry keeps its only snapshot, of run 1.
    assert set(left) == {(KEY.region, 3), (_OTHER.region, 1)}
    assert left == {place: shown[place] for place in left}
    # Two of run 1, none of run 2, one of run 3.
    assert _counts(database)["gap"] == 3
    _night(database, 9, "a", key=_OTHER)
    _prune(database, "last 1", 9 * _DAY_MS)
    assert _counts(database)["gap"] == 1


def _gaps(database: Database, snapshot: SnapshotRef) -> list[Gap]:
    with database.read() as connection:
        return load_gaps(connection, [snapshot], snapshot.run)


def test_gaps_of_a_run_that_goes_on_stay(database: Database) -> None:
    store = Store(database, lambda: 0)
    run = store.begin_run(0, HOST, "1")
    store.record_gaps(run, KEY, [Gap(KEY.account, KEY.region, "", "ecr:X", "Denied")])
    for day in range(1, 4):
        _night(database, day, "a")
    _prune(database, "last 1", 3 * _DAY_MS)
    assert _counts(database)["gap"] == 1
    store.finish_run(run, 1, "gaps")
    _night(database, 4, "a")
    _prune(database, "last 1", 4 * _DAY_MS)
    assert _counts(database)["gap"] == 0


def test_facts_and_workloads_of_pruned_snapshots_go(database: Database) -> None:
    for day in range(1, 5):
        use = WorkloadUse("web", f"app:{day}", UseKind.RUNNING)
        read = replace(
            read_of(image("a"), taken_at_ms=day * _DAY_MS),
            workloads=[WorkloadRead("ecs", ReadStatus.COMPLETE, [use])],
        )
        number = commit(database, read)
        columns = (column.name for column in tables.repository_fact.c if column.name.endswith("bytes"))
        values = dict.fromkeys(columns, day) | dict.fromkeys(
            ("images", "indexes", "referrers", "unknown", "untagged_images", "orphaned_images"), 1
        )
        write_facts(database, KEY, number, {REPOSITORY: values}, day)
    _prune(database, "last 2", 4 * _DAY_MS)
    counts = _counts(database)
    assert {counts[name] for name in ("repository_fact", "registry_fact", "workload_use")} == {2}
    with database.read() as connection:
        kept = {run: rebuild(connection, snapshots_of_run(connection, run)[0]) for run in (3, 4)}
    assert [kept[run].workloads[0].uses[0].reference for run in (3, 4)] == ["app:3", "app:4"]


def test_tag_history_keeps_its_times_and_begins_behind_what_was_pruned(database: Database) -> None:
    for day in range(1, 6):
        commit(database, read_of(image("a", "v1"), taken_at_ms=day * _DAY_MS))
    _prune(database, "3d", 6 * _DAY_MS)
    with database.read() as connection:
        (snapshot,) = snapshots_of_run(connection, 5)
        history = load_tag_history(connection, snapshot, *REPOSITORY)
    assert history is not None
    assert history.since_ms == 3 * _DAY_MS
    assert (history.first_ms.tolist(), history.last_ms.tolist()) == ([_DAY_MS], [5 * _DAY_MS])


def test_a_lost_lease_prunes_nothing(database: Database) -> None:
    for day in (1, 2):
        _night(database, day, "a")
    store = Store(database, lambda: 0)
    with store.lease(KEY, "prune", HOST) as lease:
        lost = replace(lease, fence=lease.fence - 1)
        with pytest.raises(LeaseError):
            prune_registry(database, lost, parse_retention("last 1"), 0)
    assert _counts(database)["snapshot"] == 2


_KILLED = """
import os, signal, sys
from sqlalchemy import event
from analyzer.retention import parse_retention
from analyzer.store.engine import Database
from analyzer.store.pruning import prune_registry, registry_keys
from analyzer.store.writer import Store
from tests.support.examples import database_examples

database, left = Database(sys.argv[1]), int(sys.argv[2])
store = Store(database, lambda: 0)
(key,) = registry_keys(database)
with store.lease(key, f"pid {os.getpid()}", "host") as lease:

    def count(connection, cursor, statement, parameters, context, many):
        global left
        left -= statement.lstrip().startswith(("DELETE", "INSERT"))
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "after_cursor_execute", count)
    prune_registry(database, lease, parse_retention("last 1"), 0)
"""


@pytest.mark.parametrize("statement", [1, 9])
def test_killed_in_mid_pruning_nothing_is_gone_and_the_next_prunes_it(
    provider: Provider, statement: int
) -> None:
    database = provider.clean()
    for day in range(1, 4):
        _night(database, day, f"of day {day}")
    url = database.engine.url.render_as_string(hide_password=False)
    before = _counts(database)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, url, str(statement)],
        cwd=Path(__file__).resolve().parents[3],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert _counts(database) == before
    store = Store(database, lambda: 10 * 60_000)
    _prune(database, "last 1", 3 * _DAY_MS, store)
    assert _counts(database)["snapshot"] == 1


def test_what_is_said_to_be_freed_is_about_what_sqlite_gives_back(sqlite: Provider) -> None:
    database = sqlite.clean()
    _night(database, 1, *(f"{number}" for number in range(20_000)))
    _night(database, 2, "another")
    reclaim_space(database)
    (done,) = _prune(database, "last 1", 2 * _DAY_MS)
    before, after = reclaim_space(database)
    assert 0.9 < done.freed_bytes / (before - after) < 1.1
    assert after < before
    assert asdict(done)["rows"]["artifact"] == 20_000


def test_reclaimed_space_is_filled_again_on_postgresql(postgresql: Provider) -> None:
    database = postgresql.clean()
    size = select(func.pg_relation_size("artifact"))
    _night(database, 1, *(f"{number}" for number in range(5_000)))
    _night(database, 2, "another")
    (done,) = _prune(database, "last 1", 2 * _DAY_MS)
    assert done.freed_bytes > 5_000 * 50
    assert min(reclaim_space(database)) > 0
    with database.read() as connection:
        before = connection.execute(size).scalar_one()
    _night(database, 3, "another", *(f"{number}" for number in range(4_000)))
    with database.read() as connection:
        assert connection.execute(size).scalar_one() == before
