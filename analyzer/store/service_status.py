"""What those who watch the service ask: how old what is known of each registry is, and how runs went."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from analyzer.model.records import ReadStatus, RegistryKey
from analyzer.store import tables


@dataclass(frozen=True, slots=True)
class RegistryAge:
    """What is known of one registry."""

    key: RegistryKey
    #: When its last complete snapshot was taken; None if none ever was.
    complete_at_ms: int | None
    #: Whether the last run that ended was meant to read it: others were left out by choice since.
    is_expected: bool


def registry_ages(connection: Connection) -> list[RegistryAge]:
    """Every registry that a run read, or tried to, by account, region and partition."""
    registry, snapshot, run, gap = tables.registry, tables.snapshot, tables.run, tables.gap
    complete = dict(
        connection.execute(
            select(snapshot.c.registry_id, func.max(snapshot.c.taken_at_ms))
            .where(snapshot.c.status == str(ReadStatus.COMPLETE))
            .group_by(snapshot.c.registry_id)
        ).all()
    )
    last = connection.execute(
        select(func.max(run.c.id)).where(run.c.status.in_(("complete", "gaps")))
    ).scalar()
    expected: set[int] = set()
    for table in (snapshot, tables.resumed_snapshot, gap):
        expected.update(
            connection.execute(select(table.c.registry_id).where(table.c.run_id == last).distinct()).scalars()
        )
    known = expected | set(complete)
    rows = [row for row in connection.execute(select(registry)) if row.id in known]
    found = [
        RegistryAge(
            RegistryKey(row.partition, row.account, row.region), complete.get(row.id), row.id in expected
        )
        for row in rows
    ]
    return sorted(found, key=lambda age: (age.key.account, age.key.region, age.key.partition))
