"""A snapshot is written whole or not at all; gaps and refusals are kept beside it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import event, func, select

from analyzer.errors import InputError, RunError
from analyzer.model.records import (
    Gap,
    ImageStatus,
    Kind,
    Manifest,
    ManifestRefusal,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    ScanSummary,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.store import committing, tables
from analyzer.store.engine import Database
from analyzer.store.gaps import record_gaps
from analyzer.store.snapshots import last_run, load_gaps, snapshots_of_run
from analyzer.store.writer import Store
from tests.analyzer.store.examples import HOST, KEY, REPOSITORY, commit, image, latest, read_of, stored
from tests.strategies.registries import sha256

_ROOT = Path(__file__).resolve().parents[3]


def _busy_read() -> RegistryRead:
    """A read that, after `_first_read`, opens and closes rows in every table there is."""
    scanned = image("b")._replace(scan=ScanSummary("COMPLETE", 1), image_status=ImageStatus.ARCHIVED)
    repository = RepositoryRead(
        *REPOSITORY, ReadStatus.PARTIAL, [scanned, image("c", "latest", "v2")], {"tags": "null"}
    )
    new = RepositoryRead("new", 1, ReadStatus.REFUSED)
    gaps = [Gap(KEY.account, KEY.region, "new", "ecr:DescribeImages", "Denied", "", 2)]
    refusals = [ManifestRefusal(REPOSITORY, sha256("c"), "Denied")]
    settings = {"blob_mounting": '"DISABLED"'}
    workloads = [
        WorkloadRead("ecs", ReadStatus.COMPLETE, [WorkloadUse("web", "app:v2", UseKind.RUNNING)]),
        WorkloadRead("lambda", ReadStatus.REFUSED),
    ]
    return RegistryRead(KEY, 2, ReadStatus.COMPLETE, [repository, new], settings, gaps, refusals, workloads)


def _first_read() -> RegistryRead:
    gone = RepositoryRead("gone", 1, ReadStatus.COMPLETE, [image("x", "y")], {"tags": "null"})
    read = read_of(image("a", "latest"), image("b", "v1"))
    workloads = [WorkloadRead("ecs", ReadStatus.PARTIAL, [WorkloadUse("web", "app:v1", UseKind.RUNNING)])]
    return RegistryRead(KEY, 1, read.status, [*read.repositories, gone], read.settings, workloads=workloads)


#: Written by others than the collector.
_OF_OTHERS = {
    "ip_ranges",
    "machine",
    "pull",
    "pull_coverage",
    "pull_events",
    "pull_files",
    "pull_target",
    "puller",
    "service",
    "service_job",
    "service_slot",
}
_OF_OTHERS |= {"pruned_snapshot"}


def _rows(database: Database) -> dict[str, list[Any]]:
    """Every row of what a snapshot's transaction writes: all but runs, leases and interned texts."""
    apart = {"run", "lease", "digest", "tag_name", "media_type", "platform", "setting_value", "registry"}
    apart |= {"workload", "image_reference"}
    with database.read() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table)).all()), key=str)
            for table in tables.metadata.sorted_tables
            if table.name not in apart
        }


@contextmanager
def _failing_at(database: Database, statement: int) -> Iterator[list[str]]:
    """Raise at that statement of any transaction that has written a snapshot's row."""
    seen: list[str] = []

    def before(_c: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if seen or sql.startswith("INSERT INTO snapshot"):
            seen.append(sql)
            if len(seen) == statement:
                raise KeyError("ours")

    event.listen(database.engine, "before_cursor_execute", before)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", before)


def _commit_failing_at(database: Database, statement: int) -> NoReturn:
    store = Store(database, lambda: 0)
    run = store.begin_run(2, HOST, "1")
    with store.lease(KEY, "test", HOST) as lease, _failing_at(database, statement) as seen:
        store.commit_snapshot(lease, run, _busy_read())
    assert len(seen) < statement
    raise _Whole


class _Whole(Exception):  # noqa: N818 - it is no error
    """The snapshot was written before the statement that was to fail."""


def test_snapshot_that_fails_at_any_statement_leaves_the_last_one_and_the_next_works(
    database: Database,
) -> None:
    commit(database, _first_read())
    before = _rows(database)
    failures = 0
    with suppress(_Whole):
        while True:
            with pytest.raises(KeyError, match="ours"):
                _commit_failing_at(database, failures + 1)
            failures += 1
            assert _rows(database) == before
            assert latest(database)[1] == stored(_first_read())
    assert failures > 15
    snapshot, kept = latest(database)
    assert (snapshot.number, snapshot.status) == (2, ReadStatus.COMPLETE)
    assert [repository.name for repository in kept.repositories] == ["app", "new"]
    assert {name for name, rows in _rows(database).items() if rows == before[name]} <= {
        "blob",
        "blob_conflict",
        "manifest",
        "repository_fact",
        "registry_fact",
        "resumed_snapshot",
        "checkpoint",
        *_OF_OTHERS,
    }


_CHILD = """
import os, signal, sys
from sqlalchemy import event
from analyzer.store.engine import Database
from analyzer.store.writer import Store
from tests.analyzer.store.examples import HOST, KEY
from tests.analyzer.store.test_commit import _busy_read
database = Database(sys.argv[1])
seen = []
def after(_c, _cursor, sql, *_):
    if seen or sql.startswith("INSERT INTO snapshot"):
        seen.append(sql)
        if len(seen) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
event.listen(database.engine, "after_cursor_execute", after)
store = Store(database, lambda: 0)
run = store.begin_run(2, HOST, "1")
with store.lease(KEY, f"pid {os.getpid()}", HOST) as lease:
    store.commit_snapshot(lease, run, _busy_read())
"""


@pytest.mark.parametrize("statement", [1, 12])
def test_collector_killed_in_mid_commit_leaves_the_last_snapshot_and_the_next_works_at_once(
    database: Database, statement: int
) -> None:
    commit(database, _first_read())
    before = _rows(database)
    url = database.engine.url.render_as_string(hide_password=False)
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, url, str(statement)],
        cwd=_ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert _rows(database) == before
    assert latest(database)[1] == stored(_first_read())
    # The dead process still has the lease on paper; being dead, it does not keep it.
    assert commit(database, _busy_read()) == 2
    assert [repository.name for repository in latest(database)[1].repositories] == ["app", "new"]


def test_run_that_is_not_there_is_a_run_error_and_writes_nothing(database: Database) -> None:
    store = Store(database, lambda: 0)
    with store.lease(KEY, "test", HOST) as lease, pytest.raises(RunError):
        store.commit_snapshot(lease, 99, read_of(image("a")))
    assert not any(_rows(database).values())


def test_runs_are_numbered_and_finished(database: Database) -> None:
    store = Store(database, lambda: 0)
    caller = "arn:aws:iam::111111111111:user/nightly"
    assert [store.begin_run(5, HOST, "0.1", caller), store.begin_run(6, HOST, "0.1")] == [1, 2]
    store.finish_run(1, 7, "gaps")
    with database.read() as connection:
        runs = connection.execute(select(tables.run).order_by(tables.run.c.id)).all()
    assert [tuple(run) for run in runs] == [
        (1, 5, 7, "gaps", HOST, "0.1", caller),
        (2, 6, None, "running", HOST, "0.1", None),
    ]


def test_unchanged_night_writes_the_snapshot_and_nothing_else(database: Database) -> None:
    read = read_of(*(image(f"{n}", f"tag {n}") for n in range(20)))
    commit(database, read)
    before = _rows(database)
    commit(database, read)
    after = _rows(database)
    assert len(after.pop("snapshot")) == len(before.pop("snapshot")) + 1
    assert after == before


def test_database_without_a_snapshot_says_what_to_run(database: Database) -> None:
    with database.read() as connection:
        with pytest.raises(InputError, match="no snapshot yet; run: demurrage collect"):
            last_run(connection)
        with pytest.raises(InputError, match="--run 3: no run up to that number left a snapshot"):
            snapshots_of_run(connection, 3)


# Refusals.


def _refusal(name: str, status: ImageStatus = ImageStatus.ACTIVE) -> ManifestRefusal:
    return ManifestRefusal(REPOSITORY, sha256(name), "ImageArchived", status)


def _refused(database: Database, key: RegistryKey = KEY) -> dict[tuple[tuple[str, int], str], ImageStatus]:
    return dict(Store(database, lambda: 0).refused_manifests(key))


def test_refusals_are_kept_with_the_images_status_until_they_change(database: Database) -> None:
    archived = ImageStatus.ARCHIVED
    commit(database, read_of(image("a"), image("b"), refusals=[_refusal("a", archived), _refusal("b")]))
    both = {(REPOSITORY, sha256("a")): archived, (REPOSITORY, sha256("b")): ImageStatus.ACTIVE}
    assert _refused(database) == both
    # Not asked for, so not refused again: still kept.
    commit(database, read_of(image("a"), image("b")))
    assert _refused(database) == both
    commit(database, read_of(image("a"), image("b"), refusals=[_refusal("a", ImageStatus.ACTIVATING)]))
    assert _refused(database) == {**both, (REPOSITORY, sha256("a")): ImageStatus.ACTIVATING}


def test_refusal_is_cleared_once_the_manifest_is_stored(database: Database) -> None:
    commit(database, read_of(image("a"), image("b"), refusals=[_refusal("a"), _refusal("b")]))
    Store(database, lambda: 0).add_manifests([Manifest(sha256("a"), Kind.UNKNOWN, "", 1)])
    commit(database, read_of(image("a"), image("b")))
    assert _refused(database) == {(REPOSITORY, sha256("b")): ImageStatus.ACTIVE}


def test_refusal_is_cleared_when_its_image_or_its_repository_is_gone(database: Database) -> None:
    commit(database, read_of(image("a"), image("b"), refusals=[_refusal("a"), _refusal("b")]))
    commit(database, read_of(image("b")))
    assert _refused(database) == {(REPOSITORY, sha256("b")): ImageStatus.ACTIVE}
    commit(database, RegistryRead(KEY, 1, ReadStatus.REFUSED))
    assert _refused(database) == {(REPOSITORY, sha256("b")): ImageStatus.ACTIVE}
    commit(database, RegistryRead(KEY, 1, ReadStatus.COMPLETE))
    assert _refused(database) == {}


def test_refusals_of_one_registry_are_not_anothers(database: Database) -> None:
    other = RegistryKey(KEY.partition, KEY.account, "us-east-1")
    commit(database, read_of(image("a"), refusals=[_refusal("a")]))
    commit(database, read_of(image("a"), key=other))
    assert len(_refused(database)) == 1
    assert _refused(database, other) == {}


# Gaps.


def _gap(region: str, reason: str, **values: Any) -> Gap:
    return Gap(KEY.account, region, values.pop("repository", ""), "ecr:DescribeImages", reason, **values)


def test_gaps_come_back_sorted_with_the_snapshots_they_belong_to(database: Database) -> None:
    other = RegistryKey(KEY.partition, KEY.account, "us-east-1")
    long = "x" * 1000
    first = [
        _gap(KEY.region, "b", repository="'; --", detail=long, count=3),
        _gap(KEY.region, "a"),
        _gap(KEY.region, long),
    ]
    elsewhere = [_gap("us-east-1", "c")]
    commit(database, read_of(gaps=first))
    commit(database, read_of(key=other, gaps=elsewhere))
    commit(database, read_of())
    with database.read() as connection:
        found = {run: load_gaps(connection, snapshots_of_run(connection, run), run) for run in (1, 2, 3)}
    # The second run left the first registry as it was, gaps and all; the third read it without one.
    assert found == {1: sorted(first), 2: sorted([*first, *elsewhere]), 3: elsewhere}


def test_gaps_of_a_run_that_left_no_snapshot_are_shown_with_it(database: Database) -> None:
    commit(database, read_of(gaps=[_gap(KEY.region, "old")]))
    run = Store(database, lambda: 0).begin_run(2, HOST, "1")
    unseen = RegistryKey(KEY.partition, KEY.account, "us-east-1")
    record_gaps(database, run, unseen, [_gap("us-east-1", "LeaseHeld")])
    record_gaps(database, run, KEY, [_gap(KEY.region, "LeaseHeld")])
    record_gaps(database, run, KEY, [])
    with database.read() as connection:
        shown = load_gaps(connection, snapshots_of_run(connection, run), run)
        before = load_gaps(connection, snapshots_of_run(connection, 1), 1)
        assert connection.execute(select(func.count()).select_from(tables.gap)).scalar_one() == 3
    assert [(gap.region, gap.reason) for gap in shown] == [
        (KEY.region, "LeaseHeld"),
        (KEY.region, "old"),
        ("us-east-1", "LeaseHeld"),
    ]
    assert [gap.reason for gap in before] == ["old"]


@pytest.mark.parametrize(("images", "repositories"), [(3, 100), (100, 2), (0, 1)])
def test_repositories_are_compared_with_their_own_past_however_many_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch, images: int, repositories: int
) -> None:
    monkeypatch.setattr(committing, "_IMAGES_AT_ONCE", images)
    monkeypatch.setattr(committing, "_REPOSITORIES_AT_ONCE", repositories)

    def night(taken_at_ms: int, sizes: dict[str, int]) -> RegistryRead:
        # All of them hold the same images under the same tags, and each its own number of them.
        reads = [
            RepositoryRead(
                name,
                1,
                ReadStatus.COMPLETE,
                [image(f"{number}", f"v{number}") for number in range(size)],
                {"tags": f'{{"size":"{size}"}}'},
            )
            for name, size in sizes.items()
        ]
        return RegistryRead(KEY, taken_at_ms, ReadStatus.COMPLETE, reads, {})

    nights = [
        night(1, {"a": 0, "b": 1, "c": 5, "d": 2, "e": 2}),
        night(2, {"a": 2, "b": 1, "d": 1, "e": 2, "f": 4}),
        night(3, {"a": 2, "b": 1, "c": 5, "d": 1, "e": 2, "f": 4}),
    ]
    for read in nights:
        commit(database, read)
        assert latest(database)[1] == stored(read)
    with database.read() as connection:
        opened = select(func.count()).where(tables.artifact.c.first_snapshot == 3)
        # Of the last night only what came back is written.
        assert connection.execute(opened).scalar_one() == 5
