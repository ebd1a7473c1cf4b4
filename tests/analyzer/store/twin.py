"""Plays a history into the store and into its naive twin, and holds the one against the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import event
from sqlalchemy import func, select

from analyzer.errors import InputError
from analyzer.model.frames import NEVER_PULLED, NO_MANIFEST, NO_SIZE, NO_TIME, Frames
from analyzer.model.records import RegistryKey
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.frames import load_frames
from analyzer.store.interning import join_digest
from analyzer.store.manifests import load_size_conflicts
from analyzer.store.names import load_digests, load_tags
from analyzer.store.snapshots import SnapshotRef, rebuild, snapshots_of_run
from analyzer.store.state import during
from analyzer.store.writer import Store
from tests.oracle.naive_store import NaiveFrames, NaiveStore, Row, naive_frames
from tests.strategies.registries import Night

#: Takes snapshots out of the store and of its twin.
Prune = Callable[[Store, NaiveStore], None]


def play(database: Database, history: Sequence[Night], prune: Prune | None = None) -> NaiveStore:
    """Every night of ``history`` in both, ``prune`` being called after each; gives the twin."""
    store, naive = Store(database, lambda: 0), NaiveStore()
    runs = []
    for night in history:
        run = store.begin_run(0, "host", "1")
        runs.append(run)
        add_manifests(store, naive, night.manifests_before)
        for read in night.reads:
            event(f"listing {read.status}")
            for repository in read.repositories:
                event(f"repository {repository.status}")
            with store.lease(read.key, "test", "host") as lease:
                number = store.commit_snapshot(lease, run, read)
            assert number == naive.commit(run, read)
        add_manifests(store, naive, night.manifests_after)
        store.finish_run(run, 0, "complete")
        if prune is not None:
            prune(store, naive)
        assert_rebuilt(database, naive)
    assert_no_interval_too_many(database, naive)
    with database.read() as connection:
        conflicts = load_size_conflicts(connection)
    assert {(one.manifest, one.blob, one.size_bytes) for one in conflicts} == naive.size_conflicts
    assert all(one.counted_bytes == naive.blob_sizes[one.blob] for one in conflicts)
    for run in runs:
        assert_frames_of_run(database, naive, run)
    return naive


def add_manifests(store: Store, naive: NaiveStore, manifests: Sequence[Any]) -> None:
    digests = {manifest.digest for manifest in manifests}
    assert store.unknown_manifests(digests) == digests
    store.add_manifests(manifests)
    naive.add_manifests(manifests)
    assert store.unknown_manifests(digests) == set()


def assert_rebuilt(database: Database, naive: NaiveStore) -> None:
    """Every snapshot there ever was is what the naive copy of it says."""
    with database.read() as connection:
        ids = {(key, number): registry for registry, key, number in _snapshots(connection)}
        assert ids.keys() == naive.snapshots.keys()
        for (key, number), snapshot in naive.snapshots.items():
            reference = SnapshotRef(
                ids[key, number],
                key,
                number,
                snapshot.run,
                snapshot.run,
                snapshot.taken_at_ms,
                snapshot.status,
                number == naive.newest(key),
            )
            assert rebuild(connection, reference) == naive.rebuild(key, number)


def assert_no_interval_too_many(database: Database, naive: NaiveStore) -> None:
    """At every snapshot as many rows hold as there are facts: none is left of what is gone."""
    registry, repository = tables.registry, tables.repository
    with database.read() as connection:
        for (key, number), snapshot in naive.snapshots.items():
            states = snapshot.repositories.values()
            artifacts = [artifact for state in states for artifact in state.artifacts.values()]
            expected = {
                tables.repository_read: len(states),
                tables.artifact: len(artifacts),
                tables.artifact_pull: sum(artifact.pulled_day is not None for artifact in artifacts),
                tables.artifact_scan: sum(artifact.scan is not None for artifact in artifacts),
                tables.tag: sum(len(state.tags) for state in states),
                tables.repository_setting: sum(len(state.settings) for state in states),
            }
            for table, count in expected.items():
                query = (
                    select(func.count())
                    .select_from(table)
                    .join(repository, repository.c.id == table.c.repository_id)
                    .join(registry, registry.c.id == repository.c.registry_id)
                    .where(during(table, number))
                )
                mine = query.where(*(registry.c[name] == value for name, value in asdict(key).items()))
                assert connection.execute(mine).scalar_one() == count, table.name


def _snapshots(connection: Any) -> list[tuple[int, RegistryKey, int]]:
    snapshot, registry = tables.snapshot, tables.registry
    query = select(registry, snapshot.c.number).join(snapshot, snapshot.c.registry_id == registry.c.id)
    return [
        (row.id, RegistryKey(row.partition, row.account, row.region), row.number)
        for row in connection.execute(query)
    ]


def assert_frames_of_run(database: Database, naive: NaiveStore, run: int) -> None:
    expected = naive.as_of_run(run)
    with database.read() as connection:
        if not expected:
            with pytest.raises(InputError, match="left a snapshot"):
                snapshots_of_run(connection, run)
            return
        snapshots = snapshots_of_run(connection, run)
        assert [(snapshot.key, snapshot.number) for snapshot in snapshots] == expected
        for snapshot in snapshots:
            copy = naive.snapshots[snapshot.key, snapshot.number]
            assert (snapshot.run, snapshot.taken_at_ms, snapshot.status) == (
                copy.run,
                copy.taken_at_ms,
                copy.status,
            )
            assert snapshot.is_latest == (snapshot.number == naive.newest(snapshot.key))
        # All at once, as a report reads them, and each by itself, as the facts of a night do.
        for chosen in (snapshots, *([snapshot] for snapshot in snapshots)):
            _assert_frames(connection, naive, chosen)


def _assert_frames(connection: Any, naive: NaiveStore, snapshots: Sequence[SnapshotRef]) -> None:
    digests = _digests(connection)
    ids = {text: number for number, text in digests.items()}
    expected = naive_frames(naive, [(snapshot.key, snapshot.number) for snapshot in snapshots], ids)
    frames = load_frames(connection, snapshots)
    artifacts = load_digests(connection, frames)
    assert artifacts == [row["digest"] for row in expected.artifacts]
    got = _as_rows(frames, digests, artifacts, load_tags(connection, frames, snapshots))
    assert got.registries == expected.registries
    assert got.repositories == expected.repositories
    assert got.artifacts == expected.artifacts
    assert got.manifests == expected.manifests
    sizes = {digests[number]: size for number, size in enumerate(frames.blob_size_bytes.tolist()) if size}
    assert sizes == {digest: size for digest, size in naive.blob_sizes.items() if size}
    _assert_well_formed(frames)


def _digests(connection: Any) -> dict[int, str]:
    table = tables.digest
    query = select(table.c.id, table.c.algorithm, table.c.hash)
    return {number: join_digest(algorithm, value) for number, algorithm, value in connection.execute(query)}


def _as_rows(
    frames: Frames, digests: dict[int, str], artifact_digests: Sequence[str], tags: Sequence[str]
) -> NaiveFrames:
    """``frames`` as plain rows: digests as text, unknown as None."""
    repositories = _records(frames.repositories)
    for row in repositories:
        row["complete_at_ms"] = _unless(row["complete_at_ms"], NO_TIME)
    artifacts, manifests = frames.artifacts, frames.manifests
    digest_of = [digests[number] for number in manifests.digest_id.tolist()]
    columns = zip(
        artifacts.repository.tolist(),
        artifact_digests,
        artifacts.manifest.tolist(),
        artifacts.pushed_at_ms.tolist(),
        artifacts.image_status.tolist(),
        artifacts.pulled_day.tolist(),
        artifacts.tags.tolist(),
        tags,
        artifacts.reported_size_bytes.tolist(),
        artifacts.subject.tolist(),
        artifacts.listed.tolist(),
        strict=True,
    )
    rows = [
        {
            "repository": repository,
            "digest": digest,
            "manifest": None if manifest == NO_MANIFEST else digest_of[manifest],
            "pushed_at_ms": _unless(pushed, NO_TIME),
            "image_status": status,
            "pulled_day": _unless(pulled, NEVER_PULLED),
            "tags": count,
            "tag_names": names,
            "reported_size_bytes": _unless(size, NO_SIZE),
            "subject": digests.get(subject),
            "listed": kind,
        }
        for repository, digest, manifest, pushed, status, pulled, count, names, size, subject, kind in columns
    ]
    blob_bounds, child_bounds = manifests.blob_offsets.tolist(), manifests.child_offsets.tolist()
    described = {}
    for position, digest in enumerate(digest_of):
        blobs = slice(blob_bounds[position], blob_bounds[position + 1])
        children = slice(child_bounds[position], child_bounds[position + 1])
        described[digest] = {
            "kind": int(manifests.kind[position]),
            "subject": digests.get(int(manifests.subject[position])),
            "blobs": [
                (digests[number], foreign)
                for number, foreign in zip(
                    manifests.blobs[blobs].tolist(), manifests.foreign[blobs].tolist(), strict=True
                )
            ],
            "children": [digests[number] for number in manifests.children[children].tolist()],
        }
    return NaiveFrames(_records(frames.registries), repositories, rows, described)


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(column): value for column, value in row.items()} for row in frame.to_dict("records")]


def _unless(value: int, unknown: int) -> int | None:
    return None if value == unknown else value


def _assert_well_formed(frames: Frames) -> None:
    """The types and lengths that ``analyzer.model.frames`` promises, for no rows too."""
    artifacts, manifests = frames.artifacts, frames.manifests
    types = {
        "repository": np.int32,
        "digest_id": np.uint32,
        "manifest": np.int32,
        "pushed_at_ms": np.int64,
        "image_status": np.uint8,
        "pulled_day": np.int32,
        "tags": np.int32,
        "reported_size_bytes": np.int64,
        "subject": np.uint32,
        "listed": np.uint8,
    }
    assert {name: getattr(artifacts, name).dtype for name in types} == types
    assert {len(getattr(artifacts, name)) for name in types} == {len(artifacts.digest_id)}
    count = len(manifests.digest_id)
    assert len(np.unique(manifests.digest_id)) == count
    assert len(manifests.blob_offsets) == len(manifests.child_offsets) == count + 1
    assert manifests.blob_offsets[-1] == len(manifests.blobs) == len(manifests.foreign)
    assert manifests.child_offsets[-1] == len(manifests.children)
    assert manifests.blobs.dtype == manifests.children.dtype == np.uint32
    assert manifests.foreign.dtype == np.bool_
    assert frames.blob_size_bytes.dtype == np.int64
    repositories = frames.repositories
    assert (
        repositories["pull_through_cache"].dtype == repositories["lifecycle_policy_known"].dtype == np.bool_
    )
