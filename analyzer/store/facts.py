"""Aggregates per repository and registry, kept as facts so that trends never rescan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Select, func, select

from analyzer.model.records import RegistryKey
from analyzer.store import tables
from analyzer.store.bulk import close_intervals, insert_rows
from analyzer.store.engine import Database


def write_facts(
    database: Database,
    key: RegistryKey,
    snapshot: int,
    repositories: Mapping[tuple[str, int], Mapping[str, int]],
    shared_bytes: int,
) -> None:
    """Record the aggregates that ``snapshot`` of the registry came to.

    ``repositories`` gives, by (name, created_at_ms), the columns of ``repository_fact``. Only what
    differs from the facts in force is written. Where the registry has a later snapshot already
    (another collector was quicker), nothing is: what is in force now is for that one to say.
    """
    registry, repository, newest = tables.registry, tables.repository, func.max(tables.snapshot.c.number)
    with database.write() as connection:
        registry_id = connection.execute(
            select(registry.c.id).filter_by(partition=key.partition, account=key.account, region=key.region)
        ).scalar_one()
        # The lease row is what a commit locks, so that no later snapshot can come in between.
        lease = tables.lease
        connection.execute(select(lease.c.fence).filter_by(registry_id=registry_id).with_for_update())
        if connection.execute(select(newest).filter_by(registry_id=registry_id)).scalar() != snapshot:
            return
        mine = repository.c.registry_id == registry_id
        query = select(repository.c.name, repository.c.created_at_ms, repository.c.id).where(mine)
        ids = {(name, created): number for name, created, number in connection.execute(query)}
        rows = [{"repository_id": ids[entry], **values} for entry, values in sorted(repositories.items())]
        _replace(
            connection,
            tables.repository_fact.c.repository_id,
            select(repository.c.id).where(mine),
            snapshot,
            rows,
        )
        shared = {"registry_id": registry_id, "shared_bytes": shared_bytes}
        _replace(connection, tables.registry_fact.c.registry_id, [registry_id], snapshot, [shared])


def _replace(
    connection: Connection,
    owner: Column[int],
    owners: Select[int] | Sequence[int],
    snapshot: int,
    rows: Sequence[dict[str, Any]],
) -> None:
    """Bring the facts in force of ``owners`` to ``rows``; ``owner`` is the column that names them."""
    table = owner.table
    in_force = table.c.gone_snapshot.is_(None)
    query = select(table).where(owner.in_(owners), in_force)
    current = {row[owner]: row for row in connection.execute(query).mappings()}
    opened, closed = [], []
    for row in rows:
        old = current.get(row[owner.name])
        if old is not None:
            # Facts never change once written: a snapshot's second say is not heard.
            if old["first_snapshot"] == snapshot or all(old[name] == value for name, value in row.items()):
                continue
            closed.append({owner.name: row[owner.name]})
        opened.append({**row, "first_snapshot": snapshot})
    close_intervals(connection, table, closed, snapshot)
    insert_rows(connection, table, opened)
