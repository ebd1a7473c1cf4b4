"""Bulk reads: the columns an analysis needs, as arrays, all of one answer in one transaction.

Rows come through the driver's own cursor (on SQLite Python's ``sqlite3``, never a second SQLite in
the process) and go to arrays in blocks, so that a million rows are never a million Python objects
at once; from a large PostgreSQL they come as Arrow arrays (``columns``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, literal, or_, select, true

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
from analyzer.model.records import ABSENT, ImageStatus, Kind, ReadStatus
from analyzer.store import tables
from analyzer.store.columns import read_integers, read_packed
from analyzer.store.interning import digest_rows
from analyzer.store.snapshots import SnapshotRef, snapshot_times
from analyzer.store.state import during
from analyzer.store.tables import FOREIGN_BIT

#: Of ``Frames.repositories``. As a text column pandas would turn None, no policy, into NaN.
REPOSITORY_COLUMNS: dict[str, Any] = {
    "registry": np.int64,
    "repository": "str",
    "created_at_ms": np.int64,
    "status": "str",
    "complete_at_ms": np.int64,
    "encryption_type": "str",
    "kms_key": "str",
    "pull_through_cache": np.bool_,
    "pull_through_cache_known": np.bool_,
    "lifecycle_policy_text": object,
    "lifecycle_policy_known": np.bool_,
}
_FAR_AHEAD = 2**31 - 1
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
    repositories, repository_ids = _repositories(connection, snapshots)
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
        self._numbers = np.array([snapshot.number for snapshot in snapshots], np.int64)
        self._position = np.full(int(repository_ids.max(initial=0)) + 1, -1, np.int64)
        self._position[repository_ids] = np.arange(len(repository_ids))
        self._snapshot = self._numbers[registry] if len(registry) else self._numbers[:0]

    def where(self, table: Table) -> ColumnElement[bool]:
        """What SQL can say about it, without knowing each registry's own number."""
        if self.all_latest:
            return table.c.gone_snapshot.is_(None)
        return and_(
            table.c.first_snapshot <= int(self._numbers.max()),
            or_(table.c.gone_snapshot.is_(None), table.c.gone_snapshot > int(self._numbers.min())),
        )

    def read(self, connection: Connection, table: Table, *columns: ColumnElement[Any]) -> Int64:
        """(rows, 1 + columns) of ``table``: the repository's position, then ``columns``."""
        interval: list[ColumnElement[Any]] = []
        if not self.all_latest:
            interval = [table.c.first_snapshot, func.coalesce(table.c.gone_snapshot, _FAR_AHEAD)]
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


def load_registries(connection: Connection, snapshots: Sequence[SnapshotRef]) -> pd.DataFrame:
    """``Frames.registries``."""
    rows = []
    for snapshot in snapshots:
        setting, value = tables.registry_setting, tables.setting_value
        query = (
            select(setting.c.name, value.c.value, setting.c.gone_snapshot)
            .join(value, value.c.id == setting.c.value_id)
            .where(
                setting.c.registry_id == snapshot.registry_id,
                setting.c.name.in_(("account_name", "blob_mounting")),
                setting.c.first_snapshot <= snapshot.number,
            )
        )
        seen = [
            (name, json.loads(text), gone is None or gone > snapshot.number)
            for name, text, gone in connection.execute(query)
        ]
        now = {name: value or "" for name, value, in_force in seen if in_force}
        key = snapshot.key
        rows.append(
            {
                "partition": key.partition,
                "account": key.account,
                "region": key.region,
                "snapshot": snapshot.number,
                "run": snapshot.run,
                "taken_at_ms": snapshot.taken_at_ms,
                "status": str(snapshot.status),
                "blob_mounting": now.get("blob_mounting", ""),
                "blob_mounting_ever": any(
                    (name, value) == ("blob_mounting", "ENABLED") for name, value, _ in seen
                ),
                "account_name": now.get("account_name", ""),
            }
        )
    return pd.DataFrame(rows)


def _repositories(connection: Connection, snapshots: Sequence[SnapshotRef]) -> tuple[pd.DataFrame, Int64]:
    repository, read = tables.repository, tables.repository_read
    rows: list[dict[str, Any]] = []
    for position, snapshot in enumerate(snapshots):
        complete_at = _complete_at(connection, snapshot)
        settings = _settings(connection, snapshot)
        prefixes, may_be_any = pull_through_prefixes(connection, snapshot)
        query = (
            select(repository.c.id, repository.c.name, repository.c.created_at_ms, read.c.status)
            .join(read, read.c.repository_id == repository.c.id)
            .where(repository.c.registry_id == snapshot.registry_id, during(read, snapshot.number))
            .order_by(repository.c.id)
        )
        for key, name, created, status in connection.execute(query):
            own = settings.get(key, {})
            encryption = own.get("encryption") or {}
            policy = own.get("lifecycle_policy_text")
            rows.append(
                {
                    "id": key,
                    "registry": position,
                    "repository": name,
                    "created_at_ms": created,
                    "status": status,
                    "complete_at_ms": complete_at.get(key, NO_TIME),
                    "encryption_type": encryption.get("encryptionType") or "",
                    "kms_key": encryption.get("kmsKey") or "",
                    "pull_through_cache": (cached := name.startswith(prefixes)),
                    "pull_through_cache_known": cached or not may_be_any,
                    "lifecycle_policy_text": policy,
                    "lifecycle_policy_known": "lifecycle_policy_text" in own,
                }
            )
    rows.sort(key=lambda row: (row["registry"], row["repository"], row["created_at_ms"]))
    ids = np.array([row.pop("id") for row in rows], np.int64)
    # Types are given: those of no row, or of nothing but None, would be guessed wrong.
    columns = {
        name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in REPOSITORY_COLUMNS.items()
    }
    return pd.DataFrame(columns), ids


def _complete_at(connection: Connection, snapshot: SnapshotRef) -> dict[int, int]:
    """Time of the last complete read up to ``snapshot``, by repository id."""
    repository, read = tables.repository, tables.repository_read
    query = (
        select(read.c.repository_id, func.coalesce(read.c.gone_snapshot, _FAR_AHEAD))
        .join(repository, repository.c.id == read.c.repository_id)
        .where(
            repository.c.registry_id == snapshot.registry_id,
            read.c.status == str(ReadStatus.COMPLETE),
            read.c.first_snapshot <= snapshot.number,
        )
    )
    last: dict[int, int] = {}
    for key, gone in connection.execute(query):
        last[key] = max(last.get(key, 0), min(gone - 1, snapshot.number))
    times = snapshot_times(connection, snapshot.registry_id)
    return {key: times[number] for key, number in last.items()}


def _settings(connection: Connection, snapshot: SnapshotRef) -> dict[int, dict[str, Any]]:
    setting, value, repository = tables.repository_setting, tables.setting_value, tables.repository
    wanted = ("encryption", "lifecycle_policy_text")
    query = (
        select(setting.c.repository_id, setting.c.name, setting.c.value_id)
        .join(repository, repository.c.id == setting.c.repository_id)
        .where(
            repository.c.registry_id == snapshot.registry_id,
            setting.c.name.in_(wanted),
            during(setting, snapshot.number),
        )
    )
    rows = connection.execute(query).all()
    texts = {ABSENT: None}
    values: dict[int, Any] = {}
    for key, text in connection.execute(
        select(value.c.id, value.c.value).where(
            value.c.id.in_(select(setting.c.value_id).where(setting.c.name.in_(wanted)))
        )
    ):
        values[key] = texts[text] if text in texts else json.loads(text)
    found: dict[int, dict[str, Any]] = {}
    for repository_id, name, value_id in rows:
        found.setdefault(repository_id, {})[name] = values[value_id]
    return found


def pull_through_prefixes(connection: Connection, snapshot: SnapshotRef) -> tuple[tuple[str, ...], bool]:
    """Name prefixes of repositories that pull-through-cache rules fill, and whether any other may be.

    The prefix ROOT stands for every name that no other rule covers; which of those the rule really
    filled cannot be told, so they stay among the ordinary repositories, as they do where the rules
    could not be read.
    """
    setting, value = tables.registry_setting, tables.setting_value
    query = (
        select(value.c.value)
        .join(setting, setting.c.value_id == value.c.id)
        .where(
            setting.c.registry_id == snapshot.registry_id,
            setting.c.name == "pull_through_cache_rules",
            during(setting, snapshot.number),
        )
    )
    text = connection.execute(query).scalar_one_or_none()
    rules = (json.loads(text) or ()) if text is not None else ()
    prefixes = {rule.get("ecrRepositoryPrefix", "") for rule in rules}
    named = tuple(sorted(f"{prefix}/" for prefix in prefixes if prefix and prefix != "ROOT"))
    return named, text is None or "ROOT" in prefixes


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
        tie=_tie(connection, artifacts, archived, activated),
        tag_offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(tags, dtype=np.int64))),
        tags=carried[known, 2][np.argsort(tagged, kind="stable")].astype(np.int32),
        tag_names=load_tag_names(connection),
    )
    return artifacts, facts


def _tie(
    connection: Connection, artifacts: Artifacts, archived_at_ms: Int64, activated_at_ms: Int64
) -> Int64:
    """Where times are equal, and only there, the order of the digests' text (see LifecycleFacts)."""
    base = np.where(activated_at_ms != NO_TIME, activated_at_ms, artifacts.pushed_at_ms)
    tied = repeated(artifacts.repository, base)
    archived = artifacts.image_status == ImageStatus.ARCHIVED
    if archived.any():
        # What rules take of these is listed by the time of their archiving.
        tied |= repeated(artifacts.repository, np.where(archived, archived_at_ms, base))
    tie = np.zeros(len(base), np.int64)
    if tied.any():
        ids, which = np.unique(artifacts.digest_id[tied], return_inverse=True)
        texts = np.array(sortable_digests(connection, ids.tolist()), np.bytes_)
        rank = np.empty(len(ids), np.int64)
        rank[np.argsort(texts, kind="stable")] = np.arange(len(ids))
        tie[tied] = rank[which]
    return tie


def repeated(repository: Int32, since: Int64) -> Bools:
    """True where another one has the same repository and the same time, or none as well."""
    known = since != NO_TIME
    first, last = (int(since[known].min()), int(since[known].max())) if known.any() else (0, 0)
    span = last - first + 2
    if int(repository.max(initial=0)) >= 2**63 // span:
        # Times that far apart are nobody's; they only must not be confused.
        order = np.lexsort((since, repository))
        same = (np.diff(since[order]) == 0) & (np.diff(repository[order]) == 0)
        repeated = np.zeros(len(since), np.bool_)
        repeated[order[1:][same]] = True
        repeated[order[:-1][same]] = True
        return repeated
    key = repository.astype(np.int64) * span + np.where(known, since - first + 1, 0)
    ordered = np.sort(key)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return np.isin(key, twice) if len(twice) else np.zeros(len(key), np.bool_)


def sortable_digests(connection: Connection, ids: Sequence[int]) -> list[bytes]:
    """Bytes that sort as the texts of these digests (ids in ascending order) do."""
    found = {
        key: b"%s:%s" % (algorithm.encode(), value) for key, algorithm, value in digest_rows(connection, ids)
    }
    return [found[key] for key in ids]


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
