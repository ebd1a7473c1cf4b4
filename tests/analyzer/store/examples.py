"""Small reads to write, and the shortest way to write them."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.model.records import (
    Artifact,
    Gap,
    ManifestRefusal,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    WorkloadRead,
)
from analyzer.store.engine import Database
from analyzer.store.snapshots import SnapshotRef, last_run, rebuild, snapshots_of_run
from analyzer.store.writer import Store
from tests.strategies.registries import sha256

KEY = RegistryKey("aws", "111111111111", "eu-west-1")
#: Name and creation time of the repository that `read_of` reads.
REPOSITORY = ("app", 5)
HOST = "host"


def read_of(
    *artifacts: Artifact,
    key: RegistryKey = KEY,
    taken_at_ms: int = 1,
    refusals: Sequence[ManifestRefusal] = (),
    gaps: Sequence[Gap] = (),
) -> RegistryRead:
    """A whole read of a registry with one repository that holds ``artifacts``."""
    repository = RepositoryRead(*REPOSITORY, ReadStatus.COMPLETE, artifacts, {"tags": '{"team":"a"}'})
    return RegistryRead(
        key,
        taken_at_ms,
        ReadStatus.COMPLETE,
        [repository],
        {"blob_mounting": '"ENABLED"'},
        gaps,
        refusals,
    )


def image(name: str, *tags: str) -> Artifact:
    """An artifact whose digest is that of ``name``."""
    return Artifact(sha256(name), tags, pushed_at_ms=1, pulled_day=2, media_type="m")


def commit(database: Database, read: RegistryRead) -> int:
    """Write ``read`` as a run of its own; gives the snapshot's number."""
    store = Store(database, lambda: 0)
    run = store.begin_run(read.taken_at_ms, HOST, "1")
    with store.lease(read.key, "test", HOST) as lease:
        return store.commit_snapshot(lease, run, read)


def latest(database: Database) -> tuple[SnapshotRef, RegistryRead]:
    """The last snapshot of the one registry there is, and what it held."""
    with database.read() as connection:
        (snapshot,) = snapshots_of_run(connection, last_run(connection))
        return snapshot, rebuild(connection, snapshot)


def stored(read: RegistryRead) -> RegistryRead:
    """``read`` as the store gives it back: no gaps, no refusals, tuples in its order."""
    return RegistryRead(
        read.key,
        read.taken_at_ms,
        read.status,
        tuple(
            RepositoryRead(
                entry.name,
                entry.created_at_ms,
                entry.status,
                tuple(sorted(entry.artifacts, key=lambda artifact: artifact.digest)),
                entry.settings,
            )
            for entry in sorted(read.repositories, key=lambda entry: entry.key)
        ),
        read.settings,
        workloads=tuple(
            WorkloadRead(source.source, source.status, tuple(sorted(source.uses)))
            for source in sorted(read.workloads, key=lambda source: source.source)
        ),
    )
