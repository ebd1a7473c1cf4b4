"""What an interrupted run leaves behind: checkpoints inside a registry, and whole snapshots."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from analyzer.errors import LeaseError
from analyzer.model.records import (
    Artifact,
    Checkpoint,
    Gap,
    ImageStatus,
    ReadStatus,
    RegistryRead,
    RepositoryRead,
    ResumableSnapshot,
    ScanSummary,
)
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.snapshots import last_run, load_gaps, snapshots_of_run
from analyzer.store.writer import Store
from tests.analyzer.store.examples import HOST, KEY, image, read_of
from tests.strategies.registries import sha256
from tests.support.examples import examples

_NOW = 1_700_000_000_000
_OTHER = replace(KEY, region="us-east-1")


def _store(database: Database) -> Store:
    return Store(database, lambda: _NOW)


def _checkpoint(name: str, *artifacts: Artifact, read_at_ms: int = _NOW) -> Checkpoint:
    return Checkpoint(RepositoryRead(name, 1, ReadStatus.COMPLETE, list(artifacts)), (), read_at_ms)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_NUMBER = st.none() | st.integers(-(2**53), 2**53)
_SCAN = st.builds(ScanSummary, _TEXT, _NUMBER, *[st.integers(0, 9)] * 6)
_ARTIFACT = st.builds(
    Artifact,
    st.builds(sha256, _TEXT),
    st.lists(_TEXT, max_size=3).map(tuple),
    _NUMBER,
    st.sampled_from(ImageStatus),
    _NUMBER,
    _NUMBER,
    _NUMBER,
    st.none() | _TEXT,
    st.none() | _TEXT,
    st.none() | st.builds(sha256, _TEXT),
    _NUMBER,
    st.none() | _SCAN,
)
_GAP = st.builds(Gap, *[_TEXT] * 6, st.integers(1, 9))
_READ = st.builds(
    RepositoryRead,
    _TEXT,
    st.integers(0, 2**50),
    st.sampled_from(ReadStatus),
    st.lists(_ARTIFACT, max_size=3),
    st.dictionaries(_TEXT, _TEXT, max_size=2),
)
_CHECKPOINT = st.builds(Checkpoint, _READ, st.lists(_GAP, max_size=2).map(tuple), st.integers(1, _NOW))


@examples(30)
@given(st.lists(_CHECKPOINT, max_size=4, unique_by=lambda point: point.read.key))
def test_checkpoints_come_back_as_they_were(sqlite_clean: Database, points: list[Checkpoint]) -> None:
    store = _store(sqlite_clean)
    with store.lease(KEY, "test", HOST) as lease:
        store.save_checkpoints(lease, points)
        found = store.load_checkpoints(lease, 0, _NOW)
        assert sorted(found, key=lambda p: p.read.key) == sorted(points, key=lambda p: p.read.key)
        store.commit_snapshot(lease, store.begin_run(1, HOST, "1"), read_of())
        assert store.load_checkpoints(lease, 0, _NOW) == []


def test_checkpoints_are_of_one_registry_and_of_a_time(database: Database) -> None:
    store = _store(database)
    with store.lease(KEY, "test", HOST) as lease, store.lease(_OTHER, "test", HOST) as other:
        old, new, later = (
            _checkpoint(name, image(name), read_at_ms=_NOW + offset)
            for name, offset in (("old", -10), ("new", -5), ("later", 1))
        )
        store.save_checkpoints(lease, [old, new])
        store.save_checkpoints(lease, [later])
        elsewhere = _checkpoint("new", image("z"))
        store.save_checkpoints(other, [elsewhere])
        assert store.load_checkpoints(lease, _NOW - 5, _NOW) == [new]
        replaced = _checkpoint("old", image("a"), image("b"))
        store.save_checkpoints(lease, [replaced])
        names = {point.read.name: point for point in store.load_checkpoints(lease, 0, _NOW + 1)}
        assert names == {"old": replaced, "new": new, "later": later}
        store.commit_snapshot(lease, store.begin_run(1, HOST, "1"), read_of())
        assert store.load_checkpoints(other, 0, _NOW) == [elsewhere]


def test_who_lost_the_lease_keeps_no_checkpoint(database: Database) -> None:
    store = _store(database)
    with store.lease(KEY, "slow", HOST) as lease:
        with database.write() as connection:
            # As whoever takes over does.
            connection.execute(update(tables.lease).values(fence=lease.fence + 1, holder="quick"))
        with pytest.raises(LeaseError, match="another collector took over"):
            store.save_checkpoints(lease, [_checkpoint("app")])
        assert store.load_checkpoints(lease, 0, _NOW) == []


def _snapshot(store: Store, read: RegistryRead, status: str | None) -> tuple[int, int]:
    run = store.begin_run(read.taken_at_ms, HOST, "1")
    with store.lease(read.key, "test", HOST) as lease:
        number = store.commit_snapshot(lease, run, read)
    if status is not None:
        store.finish_run(run, read.taken_at_ms, status)
    return run, number


_GAP_OF_KEY = Gap(KEY.account, KEY.region, "", "ecr:GetAccountSetting", "AccessDeniedException", "no", 3)


@pytest.mark.parametrize("status", [None, "failed"])
def test_a_whole_snapshot_of_a_run_cut_short_can_be_taken_over(
    database: Database, status: str | None
) -> None:
    store = _store(database)
    read = read_of(image("a"), image("b"), gaps=[_GAP_OF_KEY], taken_at_ms=_NOW - 5)
    run, number = _snapshot(store, read, status)
    _snapshot(store, read_of(image("x"), key=_OTHER, taken_at_ms=_NOW - 4), "complete")
    expected = {KEY: ResumableSnapshot(number, _NOW - 5, 1, 2, (_GAP_OF_KEY,))}
    assert store.resumable_snapshots(_NOW - 5, _NOW) == expected
    assert store.resumable_snapshots(_NOW - 4, _NOW) == {}
    assert store.resumable_snapshots(0, _NOW - 6) == {}, "from a clock that is ahead"
    # Whoever takes it over and is cut short itself leaves it to the next.
    second = store.begin_run(_NOW, HOST, "1")
    store.resume_snapshot(second, KEY, expected[KEY])
    assert store.resumable_snapshots(0, _NOW) == expected
    third = store.begin_run(_NOW, HOST, "1")
    store.resume_snapshot(third, KEY, expected[KEY])
    store.finish_run(third, _NOW, "complete")
    assert store.resumable_snapshots(0, _NOW) == {}
    with database.read() as connection:
        assert last_run(connection) == third
        by_run = {r: snapshots_of_run(connection, r) for r in (run, second, third)}
        mine = {r: next(s for s in found if s.key == KEY) for r, found in by_run.items()}
        assert {r: (s.number, s.run, s.taken_by) for r, s in mine.items()} == {
            run: (number, run, run),
            second: (number, second, run),
            third: (number, third, run),
        }
        assert load_gaps(connection, by_run[third], third) == [_GAP_OF_KEY]


def test_only_what_is_whole_the_last_and_of_a_run_cut_short_is_taken_over(database: Database) -> None:
    store = _store(database)
    partial = replace(read_of(image("a")), taken_at_ms=_NOW - 9, status=ReadStatus.PARTIAL)
    _snapshot(store, partial, "failed")
    assert store.resumable_snapshots(0, _NOW) == {}
    (repository,) = read_of(image("a")).repositories
    broken = replace(repository, status=ReadStatus.PARTIAL)
    _snapshot(store, replace(partial, status=ReadStatus.COMPLETE, repositories=[broken]), "failed")
    assert store.resumable_snapshots(0, _NOW) == {}
    _snapshot(store, read_of(image("a"), taken_at_ms=_NOW - 8), "failed")
    assert set(store.resumable_snapshots(0, _NOW)) == {KEY}
    _snapshot(store, read_of(image("a"), taken_at_ms=_NOW - 7), "gaps")
    assert store.resumable_snapshots(0, _NOW) == {}


def test_repositories_are_counted_by_registry(database: Database) -> None:
    store = _store(database)
    assert store.repository_counts() == {}
    two = replace(read_of(image("a")), repositories=[RepositoryRead(n, 1, ReadStatus.COMPLETE) for n in "ab"])
    _snapshot(store, two, "complete")
    _snapshot(store, read_of(image("a"), key=_OTHER), "complete")
    assert store.repository_counts() == {KEY: 2, _OTHER: 1}
    _snapshot(store, read_of(image("a")), "complete")
    assert store.repository_counts() == {KEY: 1, _OTHER: 1}


def test_a_commit_leaves_no_checkpoint_behind(database: Database) -> None:
    store = _store(database)
    with store.lease(KEY, "test", HOST) as lease:
        store.save_checkpoints(lease, [_checkpoint("app", image("a"))])
        store.commit_snapshot(lease, store.begin_run(1, HOST, "1"), read_of())
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.checkpoint)).scalar_one() == 0
