"""Intervals of snapshots as intervals of *nights*, the snapshots that are still there of each registry."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Table, select

from analyzer.model.frames import Bools, Int64
from analyzer.store import tables
from analyzer.store.columns import read_integers
from analyzer.store.snapshots import SnapshotRef
from analyzer.store.state import end_of


class Nights:
    """The snapshots that are still there of each registry, up to the chosen ones."""

    def __init__(self, connection: Connection, snapshots: Sequence[SnapshotRef]) -> None:
        table = tables.snapshot
        self.last_number = max((snapshot.number for snapshot in snapshots), default=0)
        self.position = {snapshot.registry_id: place for place, snapshot in enumerate(snapshots)}
        rows = read_integers(connection, select(table.c.registry_id, table.c.number, table.c.taken_at_ms))
        place = np.array([self.position.get(key, -1) for key in rows[:, 0].tolist()], np.int64)
        chosen = np.array([snapshot.number for snapshot in snapshots] + [0], np.int64)
        keep = (place >= 0) & (rows[:, 1] <= chosen[place])
        rows, place = rows[keep], place[keep]
        order = np.lexsort((rows[:, 1], place))
        self.number: Int64 = rows[order, 1]
        self.taken_at_ms: Int64 = rows[order, 2].copy()
        self.offsets: Int64 = np.searchsorted(place[order], np.arange(len(snapshots) + 1))
        for begin, end in pairwise(self.offsets.tolist()):
            # A clock may have been set back; a later snapshot is later all the same.
            np.maximum.accumulate(self.taken_at_ms[begin:end], out=self.taken_at_ms[begin:end])
        self._keys = (place[order] << 32) | self.number

    def of(self, registry: Int64, snapshot: Int64) -> Int64:
        """The first night of each ``registry`` (position) with that number of a snapshot or a later one."""
        return np.searchsorted(self._keys, (registry << 32) | snapshot) - self.offsets[registry]

    def spans(self, registry: Int64, rows: Int64) -> tuple[Int64, Bools]:
        """``rows`` with their last two columns, snapshots, made nights; and which hold any night."""
        rows = rows.copy()
        rows[:, -2] = self.of(registry, rows[:, -2])
        rows[:, -1] = self.of(registry, rows[:, -1])
        return rows, rows[:, -2] < rows[:, -1]


class Intervals:
    """Reads intervals of repositories by their positions and nights."""

    def __init__(self, nights: Nights, ids: Int64, registry: Int64) -> None:
        self.nights = nights
        self.registry = registry
        self._position = np.full(int(ids.max(initial=0)) + 1, -1, np.int64)
        self._position[ids] = np.arange(len(ids))

    def read(
        self, connection: Connection, table: Table, *columns: ColumnElement[Any], where: Any = None
    ) -> Int64:
        """(rows, 3 + columns): the repository's position, ``columns``, first night, night it was gone."""
        query = select(table.c.repository_id, *columns, table.c.first_snapshot, end_of(table)).where(
            table.c.first_snapshot <= self.nights.last_number
        )
        rows = read_integers(connection, query if where is None else query.where(where))
        known = rows[:, 0] < len(self._position)
        rows = rows[known]
        rows[:, 0] = self._position[rows[:, 0]]
        rows = rows[rows[:, 0] >= 0]
        rows, keep = self.nights.spans(self.registry[rows[:, 0]], rows)
        return rows[keep]
