"""What a collector reads of a registry before its snapshot is written, and what an interrupted run left.

A checkpoint is one repository as it was read, packed as JSON: it is read back whole or not at all,
soon and once, and nobody asks questions of it. The commit of the registry's next snapshot removes
all of them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from analyzer.model.records import (
    Artifact,
    Checkpoint,
    Gap,
    ImageStatus,
    ReadStatus,
    RegistryKey,
    RepositoryRead,
    ResumableSnapshot,
    ScanSummary,
)
from analyzer.store import tables
from analyzer.store.bulk import insert_rows
from analyzer.store.engine import Database
from analyzer.store.leases import Lease

#: Of runs that did not end by themselves: killed, or failed.
_CUT_SHORT = ("running", "failed")

# Every registry needs these, and as a rule there is nothing to find: putting a statement together takes
# longer than that.
_KEPT = select(tables.checkpoint).where(
    tables.checkpoint.c.registry_id == bindparam("registry"),
    tables.checkpoint.c.read_at_ms.between(bindparam("since"), bindparam("now")),
)
_DROP = delete(tables.checkpoint).where(tables.checkpoint.c.registry_id == bindparam("registry"))


def save_checkpoints(database: Database, lease: Lease, checkpoints: Sequence[Checkpoint]) -> None:
    """Keep ``checkpoints`` until the registry's next snapshot; raises LeaseError if the lease is lost."""
    table = tables.checkpoint
    rows = [
        {
            "registry_id": lease.registry_id,
            "repository": point.read.name,
            "created_at_ms": point.read.created_at_ms,
            "read_at_ms": point.read_at_ms,
            "payload": _packed(point),
        }
        for point in sorted(checkpoints, key=lambda point: point.read.key)
    ]
    with database.write() as connection:
        lease.check(connection)
        for row in rows:
            # What an earlier run left and this one was told not to use.
            key = {name: row[name] for name in ("registry_id", "repository", "created_at_ms")}
            connection.execute(delete(table).filter_by(**key))
        insert_rows(connection, table, rows)


def load_checkpoints(database: Database, lease: Lease, since_ms: int, now_ms: int) -> list[Checkpoint]:
    """The repositories of the registry read from ``since_ms`` to ``now_ms`` for a snapshot never written."""
    asked = {"registry": lease.registry_id, "since": since_ms, "now": now_ms}
    with database.read() as connection:
        return [
            _unpacked(row.repository, row.created_at_ms, row.read_at_ms, row.payload)
            for row in connection.execute(_KEPT, asked)
        ]


def drop_checkpoints(connection: Connection, registry_id: int) -> None:
    """Remove those of a registry: its snapshot is being written."""
    connection.execute(_DROP, {"registry": registry_id})


def resumable_snapshots(
    database: Database, since_ms: int, now_ms: int
) -> dict[RegistryKey, ResumableSnapshot]:
    """The last snapshot of each registry, if a run cut short took it from ``since_ms`` to ``now_ms``.

    Only whole ones: all repositories listed, and each read completely. One that a run which ended
    went on from has served its purpose.
    """
    snapshot, registry, run = tables.snapshot, tables.registry, tables.run
    resumed, later = tables.resumed_snapshot, tables.run.alias("later")
    served = (
        select(resumed.c.run_id)
        .join(later, later.c.id == resumed.c.run_id)
        .where(
            resumed.c.registry_id == snapshot.c.registry_id,
            resumed.c.number == snapshot.c.number,
            later.c.status.not_in(_CUT_SHORT),
        )
        .exists()
    )
    last = select(snapshot.c.registry_id, func.max(snapshot.c.number).label("number"))
    newest = last.group_by(snapshot.c.registry_id).subquery()
    query = (
        select(snapshot, registry.c.partition, registry.c.account, registry.c.region)
        .join(
            newest,
            (newest.c.registry_id == snapshot.c.registry_id) & (newest.c.number == snapshot.c.number),
        )
        .join(registry, registry.c.id == snapshot.c.registry_id)
        .join(run, run.c.id == snapshot.c.run_id)
        .where(
            snapshot.c.taken_at_ms.between(since_ms, now_ms),
            snapshot.c.status == str(ReadStatus.COMPLETE),
            run.c.status.in_(_CUT_SHORT),
            ~served,
        )
    )
    found = {}
    with database.read() as connection:
        for row in connection.execute(query).all():
            entry = _resumable(connection, row)
            if entry is not None:
                found[RegistryKey(row.partition, row.account, row.region)] = entry
    return found


def resume_snapshot(database: Database, run: int, key: RegistryKey, number: int) -> None:
    """Count that snapshot of the registry as ``run``'s own."""
    registry = tables.registry
    mine = select(registry.c.id).filter_by(partition=key.partition, account=key.account, region=key.region)
    with database.write() as connection:
        connection.execute(
            insert(tables.resumed_snapshot).values(
                run_id=run, registry_id=connection.execute(mine).scalar_one(), number=number
            )
        )


def _resumable(connection: Connection, row: Any) -> ResumableSnapshot | None:
    """The snapshot in ``row``, the last of its registry, if every repository of it was read whole."""
    repository, read, artifact, gap = tables.repository, tables.repository_read, tables.artifact, tables.gap
    present = (
        select(read.c.status, func.count())
        .join(repository, repository.c.id == read.c.repository_id)
        .where(repository.c.registry_id == row.registry_id, read.c.gone_snapshot.is_(None))
        .group_by(read.c.status)
    )
    counts: dict[str, int] = dict(connection.execute(present).all())
    repositories = counts.pop(str(ReadStatus.COMPLETE), 0)
    if counts:
        return None
    artifacts = connection.execute(
        select(func.count())
        .select_from(artifact)
        .join(repository, repository.c.id == artifact.c.repository_id)
        .where(repository.c.registry_id == row.registry_id, artifact.c.gone_snapshot.is_(None))
    ).scalar_one()
    refused = select(gap, gap.c["count"].label("times")).where(
        gap.c.run_id == row.run_id, gap.c.registry_id == row.registry_id
    )
    gaps = tuple(
        Gap(row.account, row.region, g.repository, g.call, g.reason, g.detail, g.times)
        for g in connection.execute(refused)
    )
    return ResumableSnapshot(row.number, row.taken_at_ms, repositories, artifacts, gaps)


def _packed(point: Checkpoint) -> bytes:
    read = point.read
    document = {
        "status": str(read.status),
        "artifacts": read.artifacts,
        "settings": dict(read.settings),
        "gaps": [
            [gap.account, gap.region, gap.repository, gap.call, gap.reason, gap.detail, gap.count]
            for gap in point.gaps
        ],
    }
    # Level 1: digests do not compress, and the rest does at any level.
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)


def _unpacked(name: str, created_at_ms: int, read_at_ms: int, payload: bytes) -> Checkpoint:
    document = json.loads(zlib.decompress(payload))
    read = RepositoryRead(
        name,
        created_at_ms,
        ReadStatus(document["status"]),
        [_artifact(*values) for values in document["artifacts"]],
        document["settings"],
    )
    return Checkpoint(read, tuple(Gap(*values) for values in document["gaps"]), read_at_ms)


def _artifact(*values: Any) -> Artifact:
    artifact = Artifact(*values)
    return artifact._replace(
        tags=tuple(artifact.tags),
        image_status=ImageStatus(artifact.image_status),
        scan=None if artifact.scan is None else ScanSummary(*artifact.scan),
    )
