"""Stored trends against what each night held, counted anew."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import assume, given

from analyzer import trends
from analyzer.errors import InputError
from analyzer.families import IMAGE, REFERRER, find_families
from analyzer.flows import flows_between
from analyzer.holdings import sharing_groups
from analyzer.model.frames import Frames
from analyzer.model.records import ReadStatus
from analyzer.nightly import facts_writer
from analyzer.storage import DAY_MS, analyze
from analyzer.store.engine import Database
from analyzer.store.facts import load_facts
from analyzer.store.frames import load_frames
from analyzer.store.history_frames import load_history
from analyzer.store.snapshots import SnapshotRef, last_run, snapshots_of_run
from analyzer.store.writer import Store
from tests.strategies.registries import Night, histories
from tests.support.databases import Provider
from tests.support.examples import database_examples

_FIRST_DAY = 20_000


def _play(database: Database, nights: list[Night]) -> list[int]:
    """Every night a day after the other, all manifests being known from the beginning; the runs."""
    store = Store(database, lambda: 0)
    write_facts = facts_writer(database)
    everything = {
        manifest.digest: manifest
        for night in nights
        for manifest in (*night.manifests_before, *night.manifests_after)
    }
    store.add_manifests(list(everything.values()))
    runs = []
    for number, night in enumerate(nights):
        run = store.begin_run(0, "host", "1")
        taken = [replace(read, taken_at_ms=(_FIRST_DAY + number) * DAY_MS) for read in night.reads]
        for read in taken:
            with store.lease(read.key, "test", "host") as lease:
                snapshot = store.commit_snapshot(lease, run, read)
            write_facts(read.key, run, snapshot)
        store.finish_run(run, 0, "complete")
        runs.append(run)
    return runs


@database_examples(12)
@given(nights=histories())
def test_every_day_has_what_its_night_held_and_flows_are_the_difference(
    sqlite: Provider, nights: list[Night]
) -> None:
    _hold(sqlite.clean(), nights)


@database_examples(2)
@given(nights=histories())
def test_the_same_on_postgresql(postgresql: Provider, nights: list[Night]) -> None:
    _hold(postgresql.clean(), nights)


def _hold(database: Database, nights: list[Night]) -> None:
    assume(any(night.reads for night in nights))
    runs = _play(database, nights)
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, last_run(connection))
        stored = load_facts(connection, snapshots)
    history = load_history(database, snapshots)
    assert stored.night_ms.tolist() == history.night_ms.tolist()
    last_day = _FIRST_DAY + len(nights) - 1
    days = trends.days_of(stored, _FIRST_DAY, last_day)
    groups = _groups(history.frames)
    held: list[list[tuple[_Held, _Held]]] = [[] for _ in snapshots]
    of_day: list[list[int]] = [[] for _ in snapshots]
    for number, run in enumerate(runs):
        taken = {snapshot.key: snapshot for snapshot in _of_run(database, run)}
        for row, latest in enumerate(snapshots):
            snapshot = taken.get(latest.key)
            if snapshot is None or snapshot.run != run:
                assert days.night[row, number] == -1
                continue
            with database.read() as connection:
                frames = load_frames(connection, [snapshot])
            held[row].append(_held(frames, groups))
            of_day[row].append(number)
            if snapshot.status is ReadStatus.COMPLETE:
                storage = analyze(frames, now_ms=snapshot.taken_at_ms, stale_days=1).registries.iloc[0]
                assert days.registry_known[row, number]
                assert days.total_repository[row, number] == storage["physical_bytes_repository"]
                assert days.total_registry[row, number] == storage["physical_bytes_registry"]
            else:
                assert not days.registry_known[row, number]
    flows = flows_between(history, [np.arange(len(own)) for own in held])
    for row, own in enumerate(held):
        for step, (before, after) in enumerate(pairwise(own)):
            for scope, new, freed in (
                (0, flows.new_repository, flows.freed_repository),
                (1, flows.new_registry, flows.freed_registry),
            ):
                came = after[scope].keys() - before[scope].keys()
                left = before[scope].keys() - after[scope].keys()
                assert new[row, step] == sum(after[scope][key] for key in came)
                assert freed[row, step] == sum(before[scope][key] for key in left)


#: Sizes by whose blob it is (a repository or a sharing group) and its number.
_Held = dict[tuple[object, int], int]


def _of_run(database: Database, run: int) -> list[SnapshotRef]:
    with database.read() as connection:
        try:
            return snapshots_of_run(connection, run)
        except InputError:
            # Nobody answered yet.
            return []


def _groups(frames: Frames) -> dict[object, int]:
    """The sharing group of each repository, as last known."""
    group, _ = sharing_groups(frames)
    columns = (frames.repositories[name] for name in ("registry", "repository", "created_at_ms"))
    regions = frames.registries["region"].tolist()
    return {
        (regions[registry], name, created): int(number)
        for registry, name, created, number in zip(*columns, group, strict=True)
    }


def _held(frames: Frames, groups: dict[object, int]) -> tuple[_Held, _Held]:
    """What is stored, by repository and by group of repositories that could share it."""
    kind = find_families(frames).kind
    repositories, manifests = frames.repositories, frames.manifests
    region = frames.registries["region"].iloc[0]
    columns = (repositories[name] for name in ("repository", "created_at_ms"))
    names = [(region, *key) for key in zip(*columns, strict=True)]
    of_repository: _Held = {}
    of_group: _Held = {}
    for position, manifest in enumerate(frames.artifacts.manifest.tolist()):
        if kind[position] not in {IMAGE, REFERRER}:
            continue
        row = int(frames.artifacts.repository[position])
        begin, end = manifests.blob_offsets[manifest : manifest + 2].tolist()
        for at in range(begin, end):
            if not manifests.foreign[at]:
                blob = int(manifests.blobs[at])
                of_repository[names[row], blob] = int(frames.blob_size_bytes[blob])
                of_group[groups[names[row]], blob] = int(frames.blob_size_bytes[blob])
    return of_repository, of_group
