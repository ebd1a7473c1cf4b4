"""Aggregates per repository and registry, kept as facts so that trends never rescan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import BigInteger, Column, Connection, Select, Table, cast, func, select

from analyzer.model.frames import Int64
from analyzer.model.records import ReadStatus, RegistryKey
from analyzer.model.trends import StoredFacts
from analyzer.store import tables
from analyzer.store.bulk import close_intervals, insert_rows
from analyzer.store.columns import read_integers
from analyzer.store.engine import Database
from analyzer.store.snapshots import SnapshotRef
from analyzer.store.state import end_of


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


def load_facts(connection: Connection, snapshots: Sequence[SnapshotRef]) -> StoredFacts:
    """The facts of the registries of ``snapshots`` (in that order), up to these.

    Give a connection of ``Database.read``, so that everything is of one moment.
    """
    numbers, times, complete = [], [], []
    for snapshot in snapshots:
        of = tables.snapshot
        query = (
            select(of.c.number, of.c.taken_at_ms, of.c.status)
            .where(of.c.registry_id == snapshot.registry_id, of.c.number <= snapshot.number)
            .order_by(of.c.number)
        )
        rows = connection.execute(query).all()
        numbers.append(np.array([row.number for row in rows], np.int64))
        times.append(np.array([row.taken_at_ms for row in rows], np.int64))
        complete.append(np.array([row.status == str(ReadStatus.COMPLETE) for row in rows], np.bool_))
    places = _Nights(connection, snapshots, numbers)
    fact, read, shared = tables.repository_fact, tables.repository_read, tables.registry_fact
    artifacts = sum((fact.c[name] for name in ("indexes", "referrers", "unknown")), start=fact.c.images)
    existence = places.read(connection, read, read.c.repository_id)
    reads = select(read.c.repository_id, read.c.first_snapshot, end_of(read)).where(
        read.c.status == str(ReadStatus.COMPLETE)
    )
    return StoredFacts(
        registries=pd.DataFrame(
            [(s.key.partition, s.key.account, s.key.region) for s in snapshots],
            columns=["partition", "account", "region"],
        ),
        night_offsets=np.concatenate(([0], np.cumsum([len(own) for own in numbers]))).astype(np.int64),
        night_ms=np.concatenate(times),
        night_complete=np.concatenate(complete),
        repositories=places.repositories,
        existence=existence.astype(np.int32),
        complete=places.nights(read_integers(connection, reads)).astype(np.int32),
        facts=places.read(
            connection,
            fact,
            fact.c.repository_id,
            cast(artifacts, BigInteger),
            fact.c.physical_bytes,
            fact.c.unique_bytes,
        ),
        shared=places.read_of_registries(connection, shared, shared.c.shared_bytes),
    )


class _Nights:
    """Turns ids of repositories into rows, and numbers of snapshots into nights."""

    def __init__(
        self, connection: Connection, snapshots: Sequence[SnapshotRef], numbers: Sequence[Int64]
    ) -> None:
        self._numbers = numbers
        self._registry = {snapshot.registry_id: row for row, snapshot in enumerate(snapshots)}
        of, read = tables.repository, tables.repository_read
        first = func.min(read.c.first_snapshot)
        query = (
            select(of.c.id, of.c.registry_id, of.c.name, of.c.created_at_ms, first.label("first"))
            .join(read, read.c.repository_id == of.c.id)
            .where(of.c.registry_id.in_(list(self._registry)))
            .group_by(of.c.id, of.c.registry_id, of.c.name, of.c.created_at_ms)
        )
        rows = [
            (self._registry[row.registry_id], row.name, row.created_at_ms, row.id)
            for row in connection.execute(query)
            if row.first <= snapshots[self._registry[row.registry_id]].number
        ]
        rows.sort()
        columns = ["registry", "repository", "created_at_ms"]
        self.repositories = pd.DataFrame([row[:3] for row in rows], columns=columns).astype(
            {"registry": np.int64, "repository": "str", "created_at_ms": np.int64}
        )
        ids = [row[3] for row in rows]
        self._row = np.full(max(ids, default=0) + 1, -1, np.int64)
        self._row[ids] = np.arange(len(ids))

    def read(self, connection: Connection, table: Table, *columns: Any) -> Int64:
        """(rows, repository first gone and the columns behind the first, which is the repository's id)."""
        query = select(columns[0], table.c.first_snapshot, end_of(table), *columns[1:])
        return self.nights(read_integers(connection, query))

    def read_of_registries(self, connection: Connection, table: Table, column: Any) -> Int64:
        """The same of a table about registries."""
        query = select(table.c.registry_id, table.c.first_snapshot, end_of(table), column)
        rows = read_integers(connection, query)
        registry = np.array([self._registry.get(key, -1) for key in rows[:, 0].tolist()], np.int64)
        rows[:, 0] = registry
        return self._with_nights(rows, registry)

    def nights(self, rows: Int64) -> Int64:
        """``rows`` of (repository's id, first, gone snapshot, …) with rows and nights in their place."""
        known = rows[:, 0] < len(self._row)
        rows = rows[known]
        rows[:, 0] = self._row[rows[:, 0]]
        rows = rows[rows[:, 0] >= 0]
        return self._with_nights(rows, self.repositories["registry"].to_numpy(np.int64)[rows[:, 0]])

    def _with_nights(self, rows: Int64, registry: Int64) -> Int64:
        rows = rows[registry >= 0]
        registry = registry[registry >= 0]
        for number in np.unique(registry).tolist():
            mine = registry == number
            for column in (1, 2):
                rows[mine, column] = np.searchsorted(self._numbers[number], rows[mine, column])
        # What holds in no night that is left says nothing.
        rows = rows[rows[:, 1] < rows[:, 2]]
        return rows[np.lexsort((rows[:, 1], rows[:, 0]))]
