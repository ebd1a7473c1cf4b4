"""The past of images in one bulk read: who was there when, under which tags and policies, pulled when.

Intervals come from the store in numbers of snapshots, and leave as intervals of *nights*: the
snapshots that are still there, numbered from 0 in each registry. What no such snapshot saw is left
out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal, select

from analyzer.model.frames import (
    NEVER_PULLED,
    NO_MANIFEST,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Bools,
    Frames,
    Int64,
    Listed,
)
from analyzer.model.history import (
    History,
    Presence,
    RecordedPulls,
    Spans,
    ValueSpans,
    WorkloadSpans,
)
from analyzer.model.pulls import PullKind
from analyzer.model.records import ABSENT, ImageStatus, ReadStatus
from analyzer.store import tables
from analyzer.store.columns import read_integers
from analyzer.store.engine import Database
from analyzer.store.frames import (
    REPOSITORY_COLUMNS,
    distinct_ids,
    load_blob_sizes,
    load_listed,
    load_manifests,
    load_registries,
    load_tag_names,
    match_artifacts,
    pull_through_prefixes,
    repeated,
    sortable_digests,
    with_manifests,
)
from analyzer.store.names import load_digest_ids, load_digest_texts
from analyzer.store.pull_counts import KINDS, pullers_of
from analyzer.store.pull_coverage import load_coverage
from analyzer.store.snapshots import SnapshotRef

_FAR_AHEAD = 2**31 - 1
_DAY_MS = 86_400_000
_POLICY = "lifecycle_policy_text"
_EXCLUSIONS = "pull_time_update_exclusions"


def load_history(database: Database, snapshots: Sequence[SnapshotRef]) -> History:
    """The past of the registries of ``snapshots`` (in that order), up to and with these."""
    with database.read() as connection:
        return _load(database, connection, snapshots)


def policies_changed(connection: Connection, snapshots: Sequence[SnapshotRef]) -> bool:
    """Whether any lifecycle policy of these registries was another one in an earlier snapshot."""
    setting, repository = tables.repository_setting, tables.repository
    for snapshot in snapshots:
        query = (
            select(setting.c.repository_id)
            .join(repository, repository.c.id == setting.c.repository_id)
            .where(
                repository.c.registry_id == snapshot.registry_id,
                setting.c.name == _POLICY,
                setting.c.first_snapshot <= snapshot.number,
            )
            .group_by(setting.c.repository_id)
            .having(func.count() > 1)
            .limit(1)
        )
        if connection.execute(query).first() is not None:
            return True
    return False


def _load(database: Database, connection: Connection, snapshots: Sequence[SnapshotRef]) -> History:
    nights = _Nights(connection, snapshots)
    repositories, ids = _repositories(connection, snapshots, nights)
    reads = _Rows(nights, ids, repositories["registry"].to_numpy(np.int64))
    existence, complete = _reads(connection, reads)
    rows = reads.read(
        connection,
        tables.artifact,
        tables.artifact.c.digest_id,
        func.coalesce(tables.artifact.c.pushed_at_ms, literal(NO_TIME)),
        tables.artifact.c.image_status,
        func.coalesce(tables.artifact.c.archived_at_ms, literal(NO_TIME)),
        func.coalesce(tables.artifact.c.activated_at_ms, literal(NO_TIME)),
        func.coalesce(tables.artifact.c.reported_size_bytes, literal(NO_SIZE)),
        func.coalesce(tables.artifact.c.subject_id, literal(0)),
        func.coalesce(tables.artifact.c.media_type_id, literal(0)),
    )
    # By repository, digest and first night.
    rows = rows[np.lexsort((rows[:, -2], rows[:, 1], rows[:, 0]))]
    keys = (rows[:, 0] << 32) | rows[:, 1]
    is_last = np.append(keys[1:] != keys[:-1], np.ones(min(len(keys), 1), np.bool_))
    artifact = np.cumsum(is_last) - is_last
    artifacts = _artifacts(connection, rows[is_last])
    up_to = tables.artifact.c.first_snapshot <= nights.last_number
    manifests = load_manifests(
        connection, select(tables.artifact.c.digest_id).where(up_to), distinct_ids(artifacts.digest_id)
    )
    frames = Frames(
        load_registries(connection, snapshots),
        repositories,
        with_manifests(artifacts, manifests),
        manifests,
        load_blob_sizes(connection),
    )
    of_artifacts = keys[is_last]
    tag_names = load_tag_names(connection)
    policies, texts = _policies(connection, reads)
    return History(
        frames=frames,
        night_offsets=nights.offsets,
        night_ms=nights.taken_at_ms,
        night_number=nights.number,
        existence=existence,
        complete=complete,
        presence=Presence(
            of=artifact,
            first=rows[:, -2].astype(np.int32),
            gone=rows[:, -1].astype(np.int32),
            pushed_at_ms=rows[:, 2].copy(),
            image_status=rows[:, 3].astype(np.uint8),
            archived_at_ms=rows[:, 4].copy(),
            activated_at_ms=rows[:, 5].copy(),
            tie=_tie(connection, rows),
        ),
        tags=_values(connection, reads, of_artifacts, tables.tag, tables.tag.c.tag_name_id),
        pulls=_values(
            connection, reads, of_artifacts, tables.artifact_pull, tables.artifact_pull.c.pulled_day
        ),
        policies=policies,
        policy_texts=texts,
        tag_names=tag_names,
        workloads=_workloads(connection, nights),
        recorded=_recorded(connection, nights, snapshots),
        recorded_days=_recorded_days(connection, nights, snapshots),
        untraced=[_untraced(connection, snapshot) for snapshot in snapshots],
        digests=partial(_digest_texts, database, artifacts.digest_id.astype(np.int64)),
        digest_ids=partial(_digest_ids, database),
    )


class _Nights:
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


class _Rows:
    """Reads intervals of repositories by their positions and nights."""

    def __init__(self, nights: _Nights, ids: Int64, registry: Int64) -> None:
        self.nights = nights
        self.registry = registry
        self._position = np.full(int(ids.max(initial=0)) + 1, -1, np.int64)
        self._position[ids] = np.arange(len(ids))

    def read(
        self, connection: Connection, table: Table, *columns: ColumnElement[Any], where: Any = None
    ) -> Int64:
        """(rows, 3 + columns): the repository's position, ``columns``, first night, night it was gone."""
        query = select(
            table.c.repository_id,
            *columns,
            table.c.first_snapshot,
            func.coalesce(table.c.gone_snapshot, literal(_FAR_AHEAD)),
        ).where(table.c.first_snapshot <= self.nights.last_number)
        rows = read_integers(connection, query if where is None else query.where(where))
        known = rows[:, 0] < len(self._position)
        rows = rows[known]
        rows[:, 0] = self._position[rows[:, 0]]
        rows = rows[rows[:, 0] >= 0]
        rows, keep = self.nights.spans(self.registry[rows[:, 0]], rows)
        return rows[keep]


def _repositories(
    connection: Connection, snapshots: Sequence[SnapshotRef], nights: _Nights
) -> tuple[pd.DataFrame, Int64]:
    """``Frames.repositories`` of every repository that some night had, and their ids."""
    repository, read = tables.repository, tables.repository_read
    found: list[dict[str, Any]] = []
    for place, snapshot in enumerate(snapshots):
        settings = _last_settings(connection, snapshot)
        prefixes, may_be_any = pull_through_prefixes(connection, snapshot)
        query = (
            select(
                repository.c.id,
                repository.c.name,
                repository.c.created_at_ms,
                read.c.status,
                read.c.first_snapshot,
                func.coalesce(read.c.gone_snapshot, literal(_FAR_AHEAD)),
            )
            .join(read, read.c.repository_id == repository.c.id)
            .where(repository.c.registry_id == snapshot.registry_id, read.c.first_snapshot <= snapshot.number)
            .order_by(repository.c.id, read.c.first_snapshot)
        )
        rows = connection.execute(query).all()
        bounds = np.array([row[4:] for row in rows], np.int64).reshape(-1, 2)
        _, holds = nights.spans(np.full(len(rows), place), bounds)
        last = {row[0]: row for row, held in zip(rows, holds.tolist(), strict=True) if held}
        for key, name, created, status, *_ in last.values():
            own = settings.get(key, {})
            encryption = own.get("encryption") or {}
            found.append(
                {
                    "id": key,
                    "registry": place,
                    "repository": name,
                    "created_at_ms": created,
                    "status": status,
                    "complete_at_ms": NO_TIME,
                    "encryption_type": encryption.get("encryptionType") or "",
                    "kms_key": encryption.get("kmsKey") or "",
                    "pull_through_cache": (cached := name.startswith(prefixes)),
                    "pull_through_cache_known": cached or not may_be_any,
                    "lifecycle_policy_text": own.get(_POLICY),
                    "lifecycle_policy_known": _POLICY in own,
                }
            )
    found.sort(key=lambda row: (row["registry"], row["repository"], row["created_at_ms"]))
    ids = np.array([row.pop("id") for row in found], np.int64)
    columns = {
        name: pd.Series([row[name] for row in found], dtype=kind) for name, kind in REPOSITORY_COLUMNS.items()
    }
    return pd.DataFrame(columns), ids


def _last_settings(connection: Connection, snapshot: SnapshotRef) -> dict[int, dict[str, Any]]:
    """What encryption and policy of each repository were when last known, up to ``snapshot``."""
    setting, value, repository = tables.repository_setting, tables.setting_value, tables.repository
    query = (
        select(setting.c.repository_id, setting.c.name, value.c.value)
        .join(value, value.c.id == setting.c.value_id)
        .join(repository, repository.c.id == setting.c.repository_id)
        .where(
            repository.c.registry_id == snapshot.registry_id,
            setting.c.name.in_(("encryption", _POLICY)),
            setting.c.first_snapshot <= snapshot.number,
        )
        .order_by(setting.c.first_snapshot)
    )
    found: dict[int, dict[str, Any]] = {}
    for key, name, text in connection.execute(query):
        found.setdefault(key, {})[name] = None if text == ABSENT else json.loads(text)
    return found


def _reads(connection: Connection, reads: _Rows) -> tuple[Spans, Spans]:
    """When repositories existed, and when they were read whole."""
    table = tables.repository_read

    def spans(where: Any = None) -> Spans:
        rows = reads.read(connection, table, where=where)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        return Spans(rows[:, 0].copy(), rows[:, 1].astype(np.int32), rows[:, 2].astype(np.int32))

    return spans(), spans(table.c.status == str(ReadStatus.COMPLETE))


def _artifacts(connection: Connection, last: Int64) -> Artifacts:
    """The artifacts of the last row of each, which are in their order."""
    count = len(last)
    listed = load_listed(connection)
    return Artifacts(
        repository=last[:, 0].astype(np.int32),
        digest_id=last[:, 1].astype(np.uint32),
        manifest=np.full(count, NO_MANIFEST, np.int32),
        pushed_at_ms=last[:, 2].copy(),
        image_status=last[:, 3].astype(np.uint8),
        pulled_day=np.full(count, NEVER_PULLED, np.int32),
        tags=np.zeros(count, np.int32),
        reported_size_bytes=last[:, 6].copy(),
        subject=last[:, 7].astype(np.uint32),
        listed=listed[last[:, 8]] if count else np.full(0, Listed.UNKNOWN, np.uint8),
    )


def _values(
    connection: Connection, reads: _Rows, artifacts: Int64, table: Table, value: ColumnElement[Any]
) -> ValueSpans:
    """What artifacts (keys, sorted) had; what is not theirs is left out."""
    rows = reads.read(connection, table, table.c.digest_id, value)
    found, matched = match_artifacts(artifacts, rows)
    rows = rows[matched]
    order = np.lexsort((rows[:, 2], rows[:, 3], found))
    rows = rows[order]
    return ValueSpans(
        of=found[order],
        first=rows[:, 3].astype(np.int32),
        gone=rows[:, 4].astype(np.int32),
        value=rows[:, 2].copy(),
    )


def _policies(connection: Connection, reads: _Rows) -> tuple[ValueSpans, list[str]]:
    setting, value = tables.repository_setting, tables.setting_value
    rows = reads.read(connection, setting, setting.c.value_id, where=setting.c.name == _POLICY)
    rows = rows[np.lexsort((rows[:, 2], rows[:, 0]))]
    of_policies = select(setting.c.value_id).where(setting.c.name == _POLICY)
    documents = dict(
        connection.execute(select(value.c.id, value.c.value).where(value.c.id.in_(of_policies))).all()
    )
    texts: list[str] = []
    place = {}
    # Later snapshots, and other registries, have policies of their own.
    for key in sorted(set(rows[:, 1].tolist())):
        if documents[key] == ABSENT:
            place[key] = -1
        else:
            place[key] = len(texts)
            texts.append(json.loads(documents[key]))
    spans = ValueSpans(
        of=rows[:, 0].copy(),
        first=rows[:, 2].astype(np.int32),
        gone=rows[:, 3].astype(np.int32),
        value=np.array([place[key] for key in rows[:, 1].tolist()], np.int64),
    )
    return spans, texts


def _tie(connection: Connection, rows: Int64) -> Int64:
    """``LifecycleFacts.tie`` of each row: the order of digests where times of others are equal."""
    base = np.where(rows[:, 5] != NO_TIME, rows[:, 5], rows[:, 2])
    tied = _tied(rows, base)
    archived = rows[:, 3] == ImageStatus.ARCHIVED
    if archived.any():
        tied |= _tied(rows, np.where(archived, rows[:, 4], base))
    tie = np.zeros(len(rows), np.int64)
    if tied.any():
        ids, which = np.unique(rows[tied, 1], return_inverse=True)
        texts = np.array(sortable_digests(connection, ids.tolist()), np.bytes_)
        rank = np.empty(len(ids), np.int64)
        rank[np.argsort(texts, kind="stable")] = np.arange(len(ids))
        tie[tied] = rank[which]
    return tie


def _tied(rows: Int64, since: Int64) -> Bools:
    """True where another digest of the repository has the same time; rows of one stand together."""
    # Spans of one digest in which the time stays the same count once.
    again = np.zeros(len(rows), np.bool_)
    again[1:] = (np.diff(rows[:, 0]) == 0) & (np.diff(rows[:, 1]) == 0) & (np.diff(since) == 0)
    firsts = np.flatnonzero(~again)
    of_firsts = repeated(rows[firsts, 0].astype(np.int32), since[firsts])
    return of_firsts[np.cumsum(~again) - 1] if len(rows) else again


def _workloads(connection: Connection, nights: _Nights) -> WorkloadSpans:
    use, workload, reference = tables.workload_use, tables.workload, tables.image_reference
    query = select(
        use.c.registry_id,
        use.c.source,
        use.c.workload_id,
        use.c.image_reference_id,
        use.c.first_snapshot,
        func.coalesce(use.c.gone_snapshot, literal(_FAR_AHEAD)),
    ).where(use.c.first_snapshot <= nights.last_number)
    # The same image is often named in several ways at once: running, configured, previous.
    found = {tuple(row) for row in connection.execute(query).cursor.fetchall() if row[0] in nights.position}
    ordered = sorted(found)
    named = sorted({(row[1], row[2]) for row in ordered})
    asked = sorted({row[3] for row in ordered})
    texts: dict[int, str] = dict(
        connection.execute(_used(workload.c.id, workload.c.name, use.c.workload_id, nights)).all()
    )
    references: dict[int, str] = dict(
        connection.execute(_used(reference.c.id, reference.c.name, use.c.image_reference_id, nights)).all()
    )
    name_at = {key: place for place, key in enumerate(named)}
    reference_at = {key: place for place, key in enumerate(asked)}
    rows = np.array(
        [
            (nights.position[registry], name_at[source, name], reference_at[asks], first, gone)
            for registry, source, name, asks, first, gone in ordered
        ],
        np.int64,
    ).reshape(-1, 5)
    rows, keep = nights.spans(rows[:, 0], rows)
    rows = rows[keep]
    rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 3], rows[:, 0]))]
    return WorkloadSpans(
        of=rows[:, 0].copy(),
        first=rows[:, 3].astype(np.int32),
        gone=rows[:, 4].astype(np.int32),
        name=rows[:, 1].copy(),
        reference=rows[:, 2].copy(),
        names=[f"{source} {texts[key]}" for source, key in named],
        references=[references[key] for key in asked],
    )


def _used(key: Any, name: Any, column: Any, nights: _Nights) -> Select[Any]:
    use = tables.workload_use
    used = select(column).where(use.c.first_snapshot <= nights.last_number)
    return select(key, name).where(key.in_(used))


def _recorded(connection: Connection, nights: _Nights, snapshots: Sequence[SnapshotRef]) -> RecordedPulls:
    """What CloudTrail recorded of images of these registries, from the first night's day on."""
    pull, target = tables.pull, tables.pull_target
    first_day = int(nights.taken_at_ms.min(initial=np.iinfo(np.int64).max)) // _DAY_MS
    query = (
        select(
            pull.c.day,
            target.c.id,
            func.coalesce(target.c.digest_id, literal(0)),
            func.coalesce(target.c.tag_name_id, literal(-1)),
            func.min(pull.c.puller_id),
        )
        .join(target, target.c.id == pull.c.target_id)
        .where(
            pull.c.day >= first_day,
            target.c.kind == KINDS[PullKind.IMAGE],
        )
        .group_by(pull.c.day, target.c.id, target.c.digest_id, target.c.tag_name_id)
    )
    rows = read_integers(connection, query)
    mine = {(snapshot.key.account, snapshot.key.region) for snapshot in snapshots}
    of_target = {
        key: (account, region, repository)
        for key, account, region, repository in connection.execute(
            select(target.c.id, target.c.account, target.c.region, target.c.repository).where(
                target.c.kind == KINDS[PullKind.IMAGE]
            )
        )
        if (account, region) in mine
    }
    rows = rows[np.array([key in of_target for key in rows[:, 1].tolist()], np.bool_)]
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    used = set(rows[:, 1].tolist())
    places = sorted({of_target[key] for key in used})
    at = {place: number for number, place in enumerate(places)}
    pullers = pullers_of(connection, set(rows[:, 4].tolist()))
    known = sorted(pullers)
    return RecordedPulls(
        day=rows[:, 0].copy(),
        place=np.array([at[of_target[key]] for key in rows[:, 1].tolist()], np.int64),
        digest_id=rows[:, 2].copy(),
        tag=rows[:, 3].copy(),
        puller=np.searchsorted(np.array(known, np.int64), rows[:, 4]),
        places=places,
        pullers=[pullers[key].principal or pullers[key].account for key in known],
    )


def _recorded_days(connection: Connection, nights: _Nights, snapshots: Sequence[SnapshotRef]) -> list[int]:
    days = []
    for place, snapshot in enumerate(snapshots):
        taken = nights.taken_at_ms[nights.offsets[place] : nights.offsets[place + 1]]
        if not len(taken):
            days.append(0)
            continue
        key = (snapshot.key.account, snapshot.key.region)
        found = load_coverage(connection, int(taken[0]) // _DAY_MS, int(taken[-1]) // _DAY_MS, {key})
        days.append(len({entry.day for entry in found if entry.status == "complete"}))
    return days


def _untraced(connection: Connection, snapshot: SnapshotRef) -> bool | None:
    """Whether some night's settings kept pulls of some principals out of ECR's record of pulls."""
    setting, value = tables.registry_setting, tables.setting_value
    query = (
        select(value.c.value)
        .join(setting, setting.c.value_id == value.c.id)
        .where(
            setting.c.registry_id == snapshot.registry_id,
            setting.c.name == _EXCLUSIONS,
            setting.c.first_snapshot <= snapshot.number,
        )
    )
    texts = list(connection.execute(query).scalars())
    return any(json.loads(text) for text in texts) if texts else None


def _digest_texts(database: Database, digest_id: Int64, positions: Int64) -> list[str]:
    ids = digest_id[positions].tolist()
    # What is stored of digests never changes, so that it need not be the transaction of the rest.
    with database.read() as connection:
        texts = load_digest_texts(connection, sorted(set(ids)))
    return [texts[key] for key in ids]


def _digest_ids(database: Database, digests: Sequence[str]) -> Int64:
    with database.read() as connection:
        return load_digest_ids(connection, digests)
