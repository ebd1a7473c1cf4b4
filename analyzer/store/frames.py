"""Bulk reads: the columns an analysis needs, as arrays, all of one answer in one transaction.

Rows come through the driver's own cursor (on SQLite Python's ``sqlite3``, never a second SQLite in
the process) and go to arrays in blocks, so that a million rows are never a million Python objects
at once; from a large PostgreSQL they come as Arrow arrays (``columns``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal, select, true

from analyzer.model.frames import (
    NEVER_PULLED,
    NO_MANIFEST,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Bools,
    Frames,
    Int32,
    Int64,
    LifecycleFacts,
    Listed,
    Manifests,
    UInt8,
    UInt32,
)
from analyzer.model.media_types import KINDS
from analyzer.model.records import Kind
from analyzer.store import tables
from analyzer.store.columns import read_integers, read_packed
from analyzer.store.repository_frames import load_registries, load_repositories
from analyzer.store.snapshots import SnapshotRef, may_hold
from analyzer.store.state import end_of
from analyzer.store.tables import FOREIGN_BIT
from analyzer.store.ties import rank_ties, repeated

_DAY_MS = 86_400_000


def load_frames(connection: Connection, snapshots: Sequence[SnapshotRef]) -> Frames:
    """The registries of ``snapshots`` (in that order) as those snapshots saw them.

    Give a connection of ``Database.read``, so that everything is of one moment.
    """
    return _load(connection, snapshots, with_facts=False)[0]


def load_frames_with_facts(
    connection: Connection, snapshots: Sequence[SnapshotRef]
) -> tuple[Frames, LifecycleFacts]:
    """The same, and what lifecycle rules look at beside; cheaper than reading the two apart."""
    frames, facts = _load(connection, snapshots, with_facts=True)
    if facts is None:
        raise TypeError("asked for and not read")
    return frames, facts


def _load(
    connection: Connection, snapshots: Sequence[SnapshotRef], *, with_facts: bool
) -> tuple[Frames, LifecycleFacts | None]:
    registries = load_registries(connection, snapshots)
    repositories, repository_ids = load_repositories(connection, snapshots)
    places = Places(snapshots, repositories["registry"].to_numpy(np.int64), repository_ids)
    artifacts, facts = _artifacts(connection, places, with_facts=with_facts)
    present = select(tables.artifact.c.digest_id).where(places.where(tables.artifact))
    manifests = load_manifests(connection, present, distinct_ids(artifacts.digest_id))
    frames = Frames(
        registries,
        repositories,
        with_manifests(artifacts, manifests),
        manifests,
        load_blob_sizes(connection),
    )
    return frames, facts


def distinct_ids(ids: UInt32) -> Int64:
    """The distinct ``ids``, sorted; they are small and dense, so that marking beats sorting."""
    present = np.zeros(int(ids.max(initial=0)) + 1, np.bool_)
    present[ids] = True
    return np.flatnonzero(present)


class Places:
    """Maps ids of repositories to positions, and says which intervals count."""

    def __init__(self, snapshots: Sequence[SnapshotRef], registry: Int64, repository_ids: Int64) -> None:
        self.all_latest = all(snapshot.is_latest for snapshot in snapshots)
        self._snapshots = snapshots
        numbers = np.array([snapshot.number for snapshot in snapshots], np.int64)
        self._position = np.full(int(repository_ids.max(initial=0)) + 1, -1, np.int64)
        self._position[repository_ids] = np.arange(len(repository_ids))
        self._snapshot = numbers[registry] if len(registry) else numbers[:0]

    def where(self, table: Table) -> ColumnElement[bool]:
        """What SQL can say about it."""
        return may_hold(table, self._snapshots)

    def read(self, connection: Connection, table: Table, *columns: ColumnElement[Any]) -> Int64:
        """(rows, 1 + columns) of ``table``: the repository's position, then ``columns``."""
        interval: list[ColumnElement[Any]] = []
        if not self.all_latest:
            interval = [table.c.first_snapshot, end_of(table)]
        query = select(table.c.repository_id, *columns, *interval).where(self.where(table))
        rows = read_integers(connection, query)
        known = rows[:, 0] < len(self._position)
        position = np.full(len(rows), -1, np.int64)
        position[known] = self._position[rows[known, 0]]
        keep = position >= 0
        if not self.all_latest:
            at = self._snapshot[np.where(keep, position, 0)] if len(self._snapshot) else position
            keep &= (rows[:, -2] <= at) & (at < rows[:, -1])
            rows = rows[:, :-2]
        rows[:, 0] = position
        return rows if keep.all() else rows[keep]


def _artifacts(
    connection: Connection, places: Places, *, with_facts: bool
) -> tuple[Artifacts, LifecycleFacts | None]:
    table, tag, pull = tables.artifact, tables.tag, tables.artifact_pull
    times = [table.c.archived_at_ms, table.c.activated_at_ms] if with_facts else []
    rows = places.read(
        connection,
        table,
        table.c.digest_id,
        func.coalesce(table.c.pushed_at_ms, literal(NO_TIME)),
        table.c.image_status,
        func.coalesce(table.c.reported_size_bytes, literal(NO_SIZE)),
        func.coalesce(table.c.subject_id, literal(0)),
        func.coalesce(table.c.media_type_id, literal(0)),
        *(func.coalesce(time, literal(NO_TIME)) for time in times),
    )
    # As a rule the rows of one repository come together and in order, which this sort makes use of.
    rows = rows[np.argsort((rows[:, 0] << 32) | rows[:, 1], kind="stable")]
    keys = (rows[:, 0] << 32) | rows[:, 1]
    carried = places.read(connection, tag, tag.c.digest_id, *([tag.c.tag_name_id] if with_facts else ()))
    tagged, known = match_artifacts(keys, carried)
    tags = np.bincount(tagged, minlength=len(rows)).astype(np.int32)
    pulled = np.full(len(rows), NEVER_PULLED, np.int32)
    pulls = places.read(connection, pull, pull.c.digest_id, pull.c.pulled_day)
    found, matched = match_artifacts(keys, pulls)
    pulled[found] = pulls[matched, 2]
    artifacts = Artifacts(
        repository=rows[:, 0].astype(np.int32),
        digest_id=rows[:, 1].astype(np.uint32),
        manifest=np.full(len(rows), NO_MANIFEST, np.int32),
        pushed_at_ms=rows[:, 2].copy(),
        image_status=rows[:, 3].astype(np.uint8),
        pulled_day=pulled,
        tags=tags,
        reported_size_bytes=rows[:, 4].copy(),
        subject=rows[:, 5].astype(np.uint32),
        listed=load_listed(connection)[rows[:, 6]],
    )
    if not with_facts:
        return artifacts, None
    archived, activated = rows[:, 7].copy(), rows[:, 8].copy()
    facts = LifecycleFacts(
        pulled_at_ms=np.where(pulled == NEVER_PULLED, NO_TIME, (pulled.astype(np.int64) + 1) * _DAY_MS - 1),
        archived_at_ms=archived,
        activated_at_ms=activated,
        tie=rank_ties(
            connection,
            digest_id=artifacts.digest_id,
            image_status=artifacts.image_status,
            pushed_at_ms=artifacts.pushed_at_ms,
            archived_at_ms=archived,
            activated_at_ms=activated,
            tied=partial(repeated, artifacts.repository),
        ),
        tag_offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(tags, dtype=np.int64))),
        tags=carried[known, 2][np.argsort(tagged, kind="stable")].astype(np.int32),
        tag_names=load_tag_names(connection),
    )
    return artifacts, facts


def load_tag_names(connection: Connection) -> list[str]:
    """Every tag name by its id."""
    table = tables.tag_name
    rows = connection.execute(select(table.c.id, table.c.name))
    names = [""] * (int(connection.execute(select(func.max(table.c.id))).scalar() or 0) + 1)
    for key, name in rows.cursor.fetchall():
        names[key] = name
    return names


def load_listed(connection: Connection) -> UInt8:
    """``Listed`` code by media_type_id."""
    table = tables.media_type
    rows = connection.execute(select(table.c.id, table.c.name)).all()
    codes = np.full(max((key for key, _ in rows), default=0) + 1, Listed.UNKNOWN, np.uint8)
    for key, name in rows:
        if name in KINDS:
            codes[key] = Listed.INDEX if KINDS[name] is Kind.INDEX else Listed.IMAGE
    return codes


def match_artifacts(keys: Int64, rows: Int64) -> tuple[Int64, Bools]:
    """Where in ``keys`` the (repository, digest) of each row is, and which rows are there at all."""
    wanted = (rows[:, 0] << 32) | rows[:, 1]
    if not len(keys):
        return np.zeros(0, np.int64), np.zeros(len(rows), np.bool_)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    matched = keys[at] == wanted
    return at[matched], matched


def load_manifests(connection: Connection, present: Select[Any], digest_ids: Int64) -> Manifests:
    """The manifests of ``digest_ids`` (sorted), without those that were never stored.

    ``present`` selects them, and perhaps others.
    """
    table = tables.manifest
    query = (
        select(
            table.c.digest_id,
            table.c.kind,
            func.coalesce(table.c.subject_id, literal(0)),
            table.c.blob_ids,
            table.c.blob_media_types,
            table.c.child_ids,
        )
        .where(table.c.digest_id.in_(present) if len(digest_ids) else ~true())
        .order_by(table.c.digest_id)
    )
    heads, blobs, foreign, children = [], [], [], []
    lengths: list[Int64] = []

    def wanted(head: Int64) -> Bools:
        at = np.minimum(np.searchsorted(digest_ids, head[0]), len(digest_ids) - 1)
        found: Bools = digest_ids[at] == head[0]
        return found

    for head, (blob_ids, codes, child_ids) in read_packed(connection, query, 3, wanted):
        heads.append(head)
        lengths.append(np.array([blob_ids.lengths, child_ids.lengths]) // 4)
        blobs.append(np.frombuffer(blob_ids.data, "<u4"))
        foreign.append((np.frombuffer(codes.data, "<u2") & FOREIGN_BIT) != 0)
        children.append(np.frombuffer(child_ids.data, "<u4"))
    if not heads:
        heads, lengths = [np.zeros((3, 0), np.int64)], [np.zeros((2, 0), np.int64)]
        blobs, children, foreign = [np.zeros(0, "<u4")], [np.zeros(0, "<u4")], [np.zeros(0, np.bool_)]
    head = np.concatenate(heads, axis=1)
    counts = np.concatenate(lengths, axis=1)
    offsets = np.concatenate((np.zeros((2, 1), np.int64), np.cumsum(counts, axis=1)), axis=1)
    return Manifests(
        digest_id=head[0].astype(np.uint32),
        kind=head[1].astype(np.uint8),
        subject=head[2].astype(np.uint32),
        blob_offsets=offsets[0],
        blobs=np.concatenate(blobs).astype(np.uint32, copy=False),
        foreign=np.concatenate(foreign),
        child_offsets=offsets[1],
        children=np.concatenate(children).astype(np.uint32, copy=False),
    )


def with_manifests(artifacts: Artifacts, manifests: Manifests) -> Artifacts:
    """``artifacts`` with their places in ``manifests``."""
    position: Int32 = np.full(len(artifacts.digest_id), NO_MANIFEST, np.int32)
    if len(manifests.digest_id):
        at = np.searchsorted(manifests.digest_id, artifacts.digest_id)
        at = np.minimum(at, len(manifests.digest_id) - 1)
        known = manifests.digest_id[at] == artifacts.digest_id
        position[known] = at[known]
    return replace(artifacts, manifest=position)


def load_blob_sizes(connection: Connection) -> Int64:
    """Size by digest_id; ids are small and dense, so a plain array is the quickest dictionary."""
    last = connection.execute(select(func.max(tables.digest.c.id))).scalar() or 0
    sizes = np.zeros(int(last) + 1, np.int64)
    rows = read_integers(connection, select(tables.blob.c.digest_id, tables.blob.c.size_bytes))
    sizes[rows[:, 0]] = rows[:, 1]
    return sizes
