"""Workloads as of some snapshots, as arrays: a bulk read beside those of ``store.frames``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, Table, select

from analyzer.model.frames import Bools, Int32, Int64
from analyzer.model.records import ReadStatus
from analyzer.model.usage import SourceRead, Workloads
from analyzer.store import tables
from analyzer.store.snapshots import SnapshotRef, may_hold
from analyzer.store.state import end_of

#: Rows fetched at a time.
_BLOCK = 2_000


def load_workload_frames(connection: Connection, snapshots: Sequence[SnapshotRef]) -> Workloads:
    """What the workloads of the accounts and regions of ``snapshots`` named when these were taken.

    Places are positions in ``snapshots``, as they are in the registries of frames. Give the
    connection that the frames are read with, so that both are of one moment.
    """
    reads = _reads(connection, snapshots)
    sources = sorted({read.source for read in reads})
    use = tables.workload_use
    query = select(
        use.c.source,
        use.c.registry_id,
        use.c.workload_id,
        use.c.image_reference_id,
        use.c.kind,
        use.c.first_snapshot,
        end_of(use),
    ).where(may_hold(use, snapshots))
    rows = _numbered(connection, query, {source: number for number, source in enumerate(sources)})
    place, keep = _places(rows[:, 1], rows[:, 5], rows[:, 6], snapshots)
    rows = rows[keep]
    workload, names = _texts(connection, tables.workload, rows[:, 2], snapshots)
    reference, references = _texts(connection, tables.image_reference, rows[:, 3], snapshots)
    return Workloads(
        place=place[keep].astype(np.int32),
        source=rows[:, 0].astype(np.int32),
        workload=workload,
        reference=reference,
        kind=rows[:, 4].astype(np.uint8),
        sources=sources,
        names=names,
        references=references,
        reads=reads,
    )


def _numbered(connection: Connection, query: Select[Any], sources: Mapping[str, int]) -> Int64:
    """The rows of ``query``, the source in the first column by its number.

    Intervals of other snapshots are among them, of sources that were not read in these: -1.
    """
    result = connection.execute(query)
    blocks = [np.zeros((0, 7), np.int64)]
    # The driver's cursor, as in ``store.columns``; a text keeps these rows from being read there.
    while rows := result.cursor.fetchmany(_BLOCK):
        numbers = (sources.get(row[0], -1) for row in rows)
        integers = chain.from_iterable(row[1:] for row in rows)
        block = np.empty((len(rows), 7), np.int64)
        block[:, 0] = np.fromiter(numbers, np.int64, len(rows))
        block[:, 1:] = np.fromiter(integers, np.int64, 6 * len(rows)).reshape(-1, 6)
        blocks.append(block)
    return np.concatenate(blocks)


def _reads(connection: Connection, snapshots: Sequence[SnapshotRef]) -> list[SourceRead]:
    read = tables.workload_read
    query = select(
        read.c.registry_id,
        read.c.first_snapshot,
        end_of(read),
        read.c.source,
        read.c.status,
    ).where(may_hold(read, snapshots))
    rows = connection.execute(query).all()
    registry, first, gone = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3).T
    place, keep = _places(registry, first, gone, snapshots)
    return sorted(
        SourceRead(place=int(place[n]), source=rows[n][3], status=ReadStatus(rows[n][4]))
        for n in np.flatnonzero(keep).tolist()
    )


def _places(
    registry: Int64, first: Int64, gone: Int64, snapshots: Sequence[SnapshotRef]
) -> tuple[Int64, Bools]:
    """The position of each row's registry in ``snapshots``, and whether its interval holds there."""
    last = max((snapshot.registry_id for snapshot in snapshots), default=0)
    position = np.full(max(last, int(registry.max(initial=0))) + 1, -1, np.int64)
    position[[snapshot.registry_id for snapshot in snapshots]] = np.arange(len(snapshots))
    place = position[registry]
    at = np.array([snapshot.number for snapshot in snapshots], np.int64)[place]
    return place, (place >= 0) & (first <= at) & (at < gone)


def _texts(
    connection: Connection, table: Table, ids: Int64, snapshots: Sequence[SnapshotRef]
) -> tuple[Int32, list[str]]:
    """For each of ``ids`` the position of its text, and the distinct texts."""
    distinct, position = np.unique(ids, return_inverse=True)
    if not len(distinct):
        return np.zeros(0, np.int32), []
    use = tables.workload_use
    column = use.c.workload_id if table is tables.workload else use.c.image_reference_id
    # Names of pods are without end: those of workloads that are gone stay where they are.
    query = select(table.c.id, table.c.name).where(
        table.c.id.in_(select(column).where(may_hold(use, snapshots)))
    )
    names = dict(connection.execute(query).cursor.fetchall())
    return position.astype(np.int32), [names[key] for key in distinct.tolist()]
