"""What was pushed in a time, with what is gone again since: the churn that replication would carry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, select

from analyzer.model.frames import Frames
from analyzer.model.pull_costs import Pushes
from analyzer.store import tables
from analyzer.store.columns import read_integers
from analyzer.store.names import repository_ids
from analyzer.store.snapshots import SnapshotRef
from analyzer.store.tables import FOREIGN_BIT


def load_pushes(
    connection: Connection, frames: Frames, snapshots: Sequence[SnapshotRef], since_ms: int, until_ms: int
) -> Pushes:
    """Every artifact of the repositories of ``frames`` that any snapshot saw pushed from then till then.

    What came and went between two snapshots nobody saw.
    """
    artifact, manifest = tables.artifact, tables.manifest
    in_time = (artifact.c.pushed_at_ms >= since_ms, artifact.c.pushed_at_ms < until_ms)
    rows = read_integers(
        connection, select(artifact.c.repository_id, artifact.c.digest_id).where(*in_time).distinct()
    )
    position = {key: row for row, key in enumerate(repository_ids(connection, frames, snapshots).tolist())}
    mine = [(position[key], digest) for key, digest in rows.tolist() if key in position]
    query = select(manifest.c.digest_id, manifest.c.blob_ids, manifest.c.blob_media_types).where(
        manifest.c.digest_id.in_(select(artifact.c.digest_id).where(*in_time))
    )
    blobs = {
        digest: np.frombuffer(ids, "<u4")[(np.frombuffer(codes, "<u2") & FOREIGN_BIT) == 0].astype(np.int64)
        for digest, ids, codes in connection.execute(query)
    }
    pushed: dict[int, list[int]] = {}
    for row, digest in sorted(mine):
        pushed.setdefault(row, []).append(digest)
    return Pushes(
        blobs={
            row: np.unique(np.concatenate([np.zeros(0, np.int64), *(blobs[d] for d in some if d in blobs)]))
            for row, some in pushed.items()
        },
        unread={row: sum(digest not in blobs for digest in some) for row, some in pushed.items()},
    )
