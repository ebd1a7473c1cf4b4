"""The names behind the numbers of frames: digests and tags of artifacts, for tables people read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, select

from analyzer.model.frames import Frames, Int64
from analyzer.store import tables
from analyzer.store.frames import Places, match_artifacts
from analyzer.store.interning import digest_ids, digest_rows, join_digest
from analyzer.store.snapshots import SnapshotRef


def load_digests(connection: Connection, frames: Frames) -> list[str]:
    """The digest of every artifact of ``frames``, in their order."""
    table, artifact = tables.digest, tables.artifact
    query = select(table.c.id, table.c.algorithm, table.c.hash).where(
        table.c.id.in_(select(artifact.c.digest_id))
    )
    texts = [""] * len(frames.blob_size_bytes)
    for key, algorithm, value in connection.execute(query):
        texts[key] = join_digest(algorithm, value)
    return [texts[key] for key in frames.artifacts.digest_id.tolist()]


def load_digest_texts(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """The digests whose numbers in this database are ``ids``, by number."""
    rows = digest_rows(connection, ids)
    return {key: join_digest(algorithm, value) for key, algorithm, value in rows}


def load_digest_ids(connection: Connection, digests: Sequence[str]) -> Int64:
    """The numbers in this database of ``digests``, in their order; -1 for what it does not know."""
    found = digest_ids(connection, set(digests))
    return np.array([found.get(digest, -1) for digest in digests], np.int64)


def load_tags(connection: Connection, frames: Frames, snapshots: Sequence[SnapshotRef]) -> list[str]:
    """The tags of every artifact of ``frames``, sorted and separated by spaces, "" for none.

    A tag cannot contain a space (OCI distribution specification, "Pulling manifests").
    """
    tag, name = tables.tag, tables.tag_name
    places = Places(
        snapshots,
        frames.repositories["registry"].to_numpy(np.int64),
        repository_ids(connection, frames, snapshots),
    )
    rows = places.read(connection, tag, tag.c.digest_id, tag.c.tag_name_id)
    artifacts = frames.artifacts
    keys = (artifacts.repository.astype(np.int64) << 32) | artifacts.digest_id
    found, matched = match_artifacts(keys, rows)
    names = dict(connection.execute(select(name.c.id, name.c.name)).all())
    tags: dict[int, list[str]] = {}
    for position, key in zip(found.tolist(), rows[matched, 2].tolist(), strict=True):
        tags.setdefault(position, []).append(names[key])
    return [" ".join(sorted(tags.get(position, ()))) for position in range(len(keys))]


def repository_ids(connection: Connection, frames: Frames, snapshots: Sequence[SnapshotRef]) -> Int64:
    """Database ids of ``frames.repositories``, in their order."""
    table = tables.repository
    query = select(table.c.registry_id, table.c.name, table.c.created_at_ms, table.c.id)
    ids = {(registry, name, created): key for registry, name, created, key in connection.execute(query)}
    rows = frames.repositories
    registries = [snapshots[position].registry_id for position in rows["registry"]]
    keys = zip(registries, rows["repository"], rows["created_at_ms"].tolist(), strict=True)
    return np.array([ids[key] for key in keys], np.int64)
