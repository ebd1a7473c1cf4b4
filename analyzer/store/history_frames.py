"""The past of images in one bulk read: who was there when, under which tags and policies, pulled when.

Intervals come from the store in numbers of snapshots, and leave as intervals of *nights*: the
snapshots that are still there, numbered from 0 in each registry. What no such snapshot saw is left
out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, Connection, Table, func, literal, select

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
from analyzer.model.history import History, Presence, Spans, ValueSpans
from analyzer.model.records import ABSENT, ReadStatus
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.frames import (
    distinct_ids,
    load_blob_sizes,
    load_listed,
    load_manifests,
    load_tag_names,
    match_artifacts,
    with_manifests,
)
from analyzer.store.history_uses import (
    load_recorded_days,
    load_recorded_pulls,
    load_untraced,
    load_workload_spans,
)
from analyzer.store.names import load_digest_ids, load_digest_texts
from analyzer.store.nights import Intervals, Nights
from analyzer.store.repository_frames import (
    POLICY,
    REPOSITORY_SETTINGS,
    load_pull_through,
    load_registries,
    repositories_frame,
    repository_row,
)
from analyzer.store.snapshots import SnapshotRef
from analyzer.store.state import end_of
from analyzer.store.ties import rank_ties, repeated


def load_history(database: Database, snapshots: Sequence[SnapshotRef]) -> History:
    """The past of the registries of ``snapshots`` (in that order), up to and with these."""
    with database.read() as connection:
        return _load(database, connection, snapshots)


def _load(database: Database, connection: Connection, snapshots: Sequence[SnapshotRef]) -> History:
    nights = Nights(connection, snapshots)
    repositories, ids = _repositories(connection, snapshots, nights)
    reads = Intervals(nights, ids, repositories["registry"].to_numpy(np.int64))
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
            tie=rank_ties(
                connection,
                digest_id=rows[:, 1],
                image_status=rows[:, 3],
                pushed_at_ms=rows[:, 2],
                archived_at_ms=rows[:, 4],
                activated_at_ms=rows[:, 5],
                tied=partial(_tied, rows),
            ),
        ),
        tags=_values(connection, reads, of_artifacts, tables.tag, tables.tag.c.tag_name_id),
        pulls=_values(
            connection, reads, of_artifacts, tables.artifact_pull, tables.artifact_pull.c.pulled_day
        ),
        policies=policies,
        policy_texts=texts,
        tag_names=tag_names,
        workloads=load_workload_spans(connection, nights),
        recorded=load_recorded_pulls(connection, nights, snapshots),
        recorded_days=load_recorded_days(connection, nights, snapshots),
        untraced=[load_untraced(connection, snapshot) for snapshot in snapshots],
        digests=partial(_digest_texts, database, artifacts.digest_id.astype(np.int64)),
        digest_ids=partial(_digest_ids, database),
    )


def _repositories(
    connection: Connection, snapshots: Sequence[SnapshotRef], nights: Nights
) -> tuple[pd.DataFrame, Int64]:
    """``Frames.repositories`` of every repository that some night had, and their ids."""
    repository, read = tables.repository, tables.repository_read
    found: list[dict[str, Any]] = []
    for place, snapshot in enumerate(snapshots):
        settings = _last_settings(connection, snapshot)
        pull_through = load_pull_through(connection, snapshot)
        query = (
            select(
                repository.c.id,
                repository.c.name,
                repository.c.created_at_ms,
                read.c.status,
                read.c.first_snapshot,
                end_of(read),
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
            found.append(
                repository_row(
                    key,
                    place,
                    name,
                    created,
                    status=status,
                    complete_at_ms=NO_TIME,
                    settings=settings.get(key, {}),
                    pull_through=pull_through,
                )
            )
    return repositories_frame(found)


def _last_settings(connection: Connection, snapshot: SnapshotRef) -> dict[int, dict[str, Any]]:
    """What encryption and policy of each repository were when last known, up to ``snapshot``."""
    setting, value, repository = tables.repository_setting, tables.setting_value, tables.repository
    query = (
        select(setting.c.repository_id, setting.c.name, value.c.value)
        .join(value, value.c.id == setting.c.value_id)
        .join(repository, repository.c.id == setting.c.repository_id)
        .where(
            repository.c.registry_id == snapshot.registry_id,
            setting.c.name.in_(REPOSITORY_SETTINGS),
            setting.c.first_snapshot <= snapshot.number,
        )
        .order_by(setting.c.first_snapshot)
    )
    found: dict[int, dict[str, Any]] = {}
    for key, name, text in connection.execute(query):
        found.setdefault(key, {})[name] = None if text == ABSENT else json.loads(text)
    return found


def _reads(connection: Connection, reads: Intervals) -> tuple[Spans, Spans]:
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
    connection: Connection, reads: Intervals, artifacts: Int64, table: Table, value: ColumnElement[Any]
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


def _policies(connection: Connection, reads: Intervals) -> tuple[ValueSpans, list[str]]:
    setting, value = tables.repository_setting, tables.setting_value
    rows = reads.read(connection, setting, setting.c.value_id, where=setting.c.name == POLICY)
    rows = rows[np.lexsort((rows[:, 2], rows[:, 0]))]
    of_policies = select(setting.c.value_id).where(setting.c.name == POLICY)
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


def _tied(rows: Int64, since: Int64) -> Bools:
    """True where another digest of the repository has the same time; rows of one stand together."""
    # Spans of one digest in which the time stays the same count once.
    again = np.zeros(len(rows), np.bool_)
    again[1:] = (np.diff(rows[:, 0]) == 0) & (np.diff(rows[:, 1]) == 0) & (np.diff(since) == 0)
    firsts = np.flatnonzero(~again)
    of_firsts = repeated(rows[firsts, 0].astype(np.int32), since[firsts])
    return of_firsts[np.cumsum(~again) - 1] if len(rows) else again


def _digest_texts(database: Database, digest_id: Int64, positions: Int64) -> list[str]:
    ids = digest_id[positions].tolist()
    # What is stored of digests never changes, so that it need not be the transaction of the rest.
    with database.read() as connection:
        texts = load_digest_texts(connection, sorted(set(ids)))
    return [texts[key] for key in ids]


def _digest_ids(database: Database, digests: Sequence[str]) -> Int64:
    with database.read() as connection:
        return load_digest_ids(connection, digests)
