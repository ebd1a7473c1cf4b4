"""Which artifact of a repository carried which tag when."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection, func, select

from analyzer.model.tag_history import TagHistory
from analyzer.store import tables
from analyzer.store.columns import read_integers
from analyzer.store.snapshots import SnapshotRef, snapshot_times
from analyzer.store.state import end_of


def load_tag_history(
    connection: Connection, snapshot: SnapshotRef, repository: str, created_at_ms: int
) -> TagHistory | None:
    """The tags of a repository of the registry of ``snapshot``, up to that snapshot.

    None where no snapshot up to it had the repository.
    """
    of, read, tag, name = tables.repository, tables.repository_read, tables.tag, tables.tag_name
    key = connection.execute(
        select(of.c.id).where(
            of.c.registry_id == snapshot.registry_id,
            of.c.name == repository,
            of.c.created_at_ms == created_at_ms,
        )
    ).scalar()
    begun = connection.execute(
        select(func.min(read.c.first_snapshot)).where(
            read.c.repository_id == key, read.c.first_snapshot <= snapshot.number
        )
    ).scalar()
    if begun is None:
        return None
    taken = snapshot_times(connection, snapshot.registry_id)
    # What was tagged between snapshots that stayed is not known: records begin where none is missing.
    pruned = tables.pruned_snapshot
    missing = connection.execute(
        select(func.max(pruned.c.number)).where(
            pruned.c.registry_id == snapshot.registry_id, pruned.c.number <= snapshot.number
        )
    ).scalar()
    begun = max(begun, (missing or 0) + 1)
    mine = (tag.c.repository_id == key) & (tag.c.first_snapshot <= snapshot.number)
    spans = read_integers(
        connection,
        select(
            tag.c.digest_id,
            tag.c.tag_name_id,
            tag.c.first_snapshot,
            end_of(tag),
        ).where(mine),
    )
    names = dict(
        connection.execute(
            select(name.c.id, name.c.name).where(name.c.id.in_(select(tag.c.tag_name_id).where(mine)))
        ).all()
    )
    ids = np.array(sorted(names), np.int64)
    numbers = np.fromiter(taken.keys(), np.int64)
    times = np.fromiter(taken.values(), np.int64)
    # A tag is known to be gone from the first snapshot on that could have seen it and did not.
    last = np.minimum(spans[:, 3] - 1, snapshot.number)
    return TagHistory(
        since_ms=int(times[np.searchsorted(numbers, begun)]),
        artifact=spans[:, 0],
        tag=np.searchsorted(ids, spans[:, 1]),
        first_ms=times[np.searchsorted(numbers, spans[:, 2])],
        last_ms=times[np.searchsorted(numbers, last, side="right") - 1],
        tag_names=[names[key] for key in ids.tolist()],
    )
