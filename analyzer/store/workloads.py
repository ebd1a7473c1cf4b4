"""What the store knows of workloads: which source named which images, now or at a past snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, bindparam, select

from analyzer.model.records import KnownUse, ReadStatus, RegistryKey, UseKind, WorkloadRead, WorkloadUse
from analyzer.store import tables
from analyzer.store.state import during, moment, parameters


class KnownWorkloads(NamedTuple):
    """One source of workloads in one registry's account and region."""

    #: Of its last read; "" where it was never asked.
    status: str
    #: (workload id, image reference id, kind) to the use itself.
    uses: Mapping[tuple[int, int, int], WorkloadUse]


def load_workloads(
    connection: Connection, registry_id: int, snapshot: int | None = None
) -> dict[str, KnownWorkloads]:
    """By source, the workloads of a registry's account and region at ``snapshot``, or now."""
    is_now, asked = snapshot is None, parameters(snapshot, registry=registry_id)
    sources: dict[str, str] = dict(connection.execute(_statuses(is_now=is_now), asked).all())
    uses: dict[str, dict[tuple[int, int, int], WorkloadUse]] = {source: {} for source in sources}
    for source, workload_id, reference_id, kind, name, text in connection.execute(
        _uses(is_now=is_now), asked
    ):
        uses[source][workload_id, reference_id, kind] = WorkloadUse(name, text, UseKind(kind))
    return {source: KnownWorkloads(status, uses[source]) for source, status in sources.items()}


@lru_cache(maxsize=2)
def _statuses(*, is_now: bool) -> Select[Any]:
    read = tables.workload_read
    return select(read.c.source, read.c.status).where(
        read.c.registry_id == bindparam("registry"), during(read, moment(is_now=is_now))
    )


@lru_cache(maxsize=2)
def _uses(*, is_now: bool) -> Select[Any]:
    use, workload, reference = tables.workload_use, tables.workload, tables.image_reference
    return (
        select(
            use.c.source,
            use.c.workload_id,
            use.c.image_reference_id,
            use.c.kind,
            workload.c.name,
            reference.c.name,
        )
        .join(workload, workload.c.id == use.c.workload_id)
        .join(reference, reference.c.id == use.c.image_reference_id)
        .where(use.c.registry_id == bindparam("registry"), during(use, moment(is_now=is_now)))
    )


def known_uses(connection: Connection, key: RegistryKey) -> dict[str, list[KnownUse]]:
    """By source, the uses that are there now, with the time of the snapshot that first saw each."""
    use, registry, snapshot = tables.workload_use, tables.registry, tables.snapshot
    query = (
        select(
            use.c.source,
            tables.workload.c.name,
            tables.image_reference.c.name,
            use.c.kind,
            snapshot.c.taken_at_ms,
        )
        .join(registry, registry.c.id == use.c.registry_id)
        .join(
            snapshot,
            and_(snapshot.c.registry_id == use.c.registry_id, snapshot.c.number == use.c.first_snapshot),
        )
        .join(tables.workload, tables.workload.c.id == use.c.workload_id)
        .join(tables.image_reference, tables.image_reference.c.id == use.c.image_reference_id)
        .where(
            registry.c.partition == key.partition,
            registry.c.account == key.account,
            registry.c.region == key.region,
            during(use, None),
        )
    )
    found: dict[str, list[KnownUse]] = {}
    for source, workload, reference, kind, taken_at_ms in connection.execute(query):
        known = KnownUse(WorkloadUse(workload, reference, UseKind(kind)), taken_at_ms)
        found.setdefault(source, []).append(known)
    return found


def workload_reads(
    connection: Connection, registry_id: int, snapshot: int | None = None
) -> tuple[WorkloadRead, ...]:
    """The same as reads, ordered by source and their uses by name."""
    known = load_workloads(connection, registry_id, snapshot)
    return tuple(
        WorkloadRead(source, ReadStatus(entry.status), tuple(sorted(entry.uses.values())))
        for source, entry in sorted(known.items())
    )
