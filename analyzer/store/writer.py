"""The store as the collector sees it: manifests as they come, a snapshot whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict

from sqlalchemy import Connection, bindparam, func, insert, select, update

from analyzer.model.records import (
    Checkpoint,
    Gap,
    ImageStatus,
    KnownUse,
    Manifest,
    RegistryKey,
    RegistryRead,
    ResumableSnapshot,
)
from analyzer.store import tables
from analyzer.store.checkpoints import (
    load_checkpoints,
    resumable_snapshots,
    resume_snapshot,
    save_checkpoints,
)
from analyzer.store.committing import commit_snapshot
from analyzer.store.engine import Database
from analyzer.store.gaps import record_gaps
from analyzer.store.interning import Interner, join_digest
from analyzer.store.leases import Lease, hold_lease
from analyzer.store.manifests import add_manifests, unknown_manifests
from analyzer.store.workloads import known_uses

# Put together once: that takes longer than a small answer to it does.
_REFUSED = (
    select(
        tables.repository.c.name,
        tables.repository.c.created_at_ms,
        tables.digest.c.algorithm,
        tables.digest.c.hash,
        tables.manifest_refusal.c.image_status,
    )
    .select_from(tables.manifest_refusal)
    .join(tables.repository, tables.repository.c.id == tables.manifest_refusal.c.repository_id)
    .join(tables.registry, tables.registry.c.id == tables.repository.c.registry_id)
    .join(tables.digest, tables.digest.c.id == tables.manifest_refusal.c.digest_id)
    .where(*(tables.registry.c[name] == bindparam(name) for name in ("partition", "account", "region")))
)


class Store:
    """One database of snapshots; safe to use from threads."""

    def __init__(
        self,
        database: Database,
        now_ms: Callable[[], int],
        on_run: Callable[[Connection, int], None] = lambda _connection, _run: None,
    ) -> None:
        """Write to ``database``; ``now_ms`` is this host's clock for leases (milliseconds, UTC).

        ``on_run`` is called in the transaction that begins a run, with the run's number.
        """
        self._on_run = on_run
        self._database = database
        self._interner = Interner(database)
        self._now_ms = now_ms
        self._looking_up = threading.Lock()

    def begin_run(self, started_at_ms: int, host: str, version: str, caller: str | None = None) -> int:
        """Number of a new run; ``caller`` is the ARN of whoever collects, where it is known."""
        values = {"started_at_ms": started_at_ms, "host": host, "version": version, "caller": caller}
        values["status"] = "running"
        with self._database.write() as connection:
            new = insert(tables.run).values(**values).returning(tables.run.c.id)
            run = int(connection.execute(new).scalar_one())
            self._on_run(connection, run)
            return run

    def finish_run(self, run: int, finished_at_ms: int, status: str) -> None:
        """Record how ``run`` ended: complete, gaps or failed."""
        table = tables.run
        with self._database.write() as connection:
            connection.execute(
                update(table).where(table.c.id == run).values(finished_at_ms=finished_at_ms, status=status)
            )

    def lease(self, key: RegistryKey, holder: str, host: str) -> AbstractContextManager[Lease]:
        """The right to write one registry, for a with block; raises LeaseError when it is taken."""
        return hold_lease(self._database, key, holder, host, self._now_ms)

    def unknown_manifests(self, digests: Collection[str]) -> set[str]:
        """Those of ``digests`` whose manifest was never stored."""
        # One thread at a time, and so always the same connection: digests are looked up all over
        # their index, which every further connection would have to read into a cache of its own.
        with self._looking_up:
            return unknown_manifests(self._database, digests)

    def add_manifests(self, manifests: Sequence[Manifest]) -> None:
        """Store ``manifests`` for ever, and where they contradict what is known of a blob's size."""
        add_manifests(self._database, self._interner, manifests)

    def record_gaps(self, run: int, key: RegistryKey, gaps: Iterable[Gap]) -> None:
        """Record why ``run`` left no snapshot of the registry."""
        record_gaps(self._database, run, key, gaps)

    def repository_counts(self) -> dict[RegistryKey, int]:
        """How many repositories each registry had when it was last read."""
        registry, repository, read = tables.registry, tables.repository, tables.repository_read
        query = (
            select(registry.c.partition, registry.c.account, registry.c.region, func.count())
            .join(repository, repository.c.registry_id == registry.c.id)
            .join(read, read.c.repository_id == repository.c.id)
            .where(read.c.gone_snapshot.is_(None))
            .group_by(registry.c.partition, registry.c.account, registry.c.region)
        )
        with self._database.read() as connection:
            return {RegistryKey(*key): count for *key, count in connection.execute(query)}

    def resumable_snapshots(self, since_ms: int, now_ms: int) -> dict[RegistryKey, ResumableSnapshot]:
        """Whole snapshots taken in that time by runs that were cut short, where no later one is."""
        return resumable_snapshots(self._database, since_ms, now_ms)

    def resume_snapshot(self, run: int, key: RegistryKey, snapshot: ResumableSnapshot) -> None:
        """Count a snapshot of an earlier run as that of ``run``."""
        resume_snapshot(self._database, run, key, snapshot.number)

    def load_checkpoints(self, lease: Lease, since_ms: int, now_ms: int) -> list[Checkpoint]:
        """The repositories read in that time for a snapshot of the registry that was never written."""
        return load_checkpoints(self._database, lease, since_ms, now_ms)

    def save_checkpoints(self, lease: Lease, checkpoints: Sequence[Checkpoint]) -> None:
        """Keep them until the registry's next snapshot; raises LeaseError if the lease is lost."""
        save_checkpoints(self._database, lease, checkpoints)

    def refused_manifests(self, key: RegistryKey) -> Mapping[tuple[tuple[str, int], str], ImageStatus]:
        """(repository, digest) of manifests that were refused, with the image's status then."""
        with self._database.read() as connection:
            return {
                ((name, created), join_digest(algorithm, value)): ImageStatus(status)
                for name, created, algorithm, value, status in connection.execute(_REFUSED, asdict(key))
            }

    def known_uses(self, key: RegistryKey) -> Mapping[str, Sequence[KnownUse]]:
        """By source, the uses of images that the registry's last snapshot has."""
        with self._database.read() as connection:
            return known_uses(connection, key)

    def commit_snapshot(self, lease: Lease, run: int, read: RegistryRead) -> int:
        """Write what ``read`` saw as the registry's next snapshot; gives its number.

        Only differences to the last snapshot are written, in one short transaction that checks the
        lease; everything that takes time (comparing, storing new digests and names) comes before.
        Raises LeaseError, having written nothing, when the lease was lost.
        """
        return commit_snapshot(self._database, self._interner, lease, run, read)
