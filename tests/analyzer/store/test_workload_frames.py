"""Workloads as arrays are what the store rebuilds one registry at a time."""

from __future__ import annotations

import random

import numpy as np

from analyzer.model.records import (
    ReadStatus,
    RegistryKey,
    RegistryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.model.usage import Workloads
from analyzer.store.engine import Database
from analyzer.store.snapshots import SnapshotRef, last_run, snapshots_of_run
from analyzer.store.workload_frames import load_workload_frames
from analyzer.store.workloads import workload_reads
from tests.analyzer.store.examples import KEY, commit

_KEYS = (
    KEY,
    RegistryKey("aws", "111111111111", "us-east-1"),
    RegistryKey("aws", "222222222222", "eu-west-1"),
)


def _read(key: RegistryKey, taken_at_ms: int, *workloads: WorkloadRead) -> RegistryRead:
    return RegistryRead(key, taken_at_ms, ReadStatus.COMPLETE, workloads=workloads)


def _loaded(database: Database, run: int) -> tuple[list[SnapshotRef], Workloads]:
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, run)
        return snapshots, load_workload_frames(connection, snapshots)


def _told(workloads: Workloads, place: int) -> list[WorkloadRead]:
    """The arrays as reads of one place, in the order of `workload_reads`."""
    found = []
    for read in (read for read in workloads.reads if read.place == place):
        of_source = workloads.source == workloads.sources.index(read.source)
        uses = [
            WorkloadUse(
                workloads.names[workloads.workload[n]],
                workloads.references[workloads.reference[n]],
                UseKind(int(workloads.kind[n])),
            )
            for n in np.flatnonzero(of_source & (workloads.place == place)).tolist()
        ]
        found.append(WorkloadRead(read.source, read.status, tuple(sorted(uses))))
    return found


def test_arrays_of_any_run_are_what_is_rebuilt_one_by_one(database: Database) -> None:
    draw = random.Random(8)
    for night in range(1, 9):
        for key in draw.sample(_KEYS, draw.randint(1, 3)):
            sources = draw.sample(["ecs", "eks", "lambda"], draw.randint(0, 3))
            uses = {
                WorkloadUse(
                    f"w{draw.randint(1, 4)}", f"app:v{draw.randint(1, 3)}", draw.choice(list(UseKind))
                )
                for _ in range(draw.randint(0, 6))
            }
            reads = [WorkloadRead(source, draw.choice(list(ReadStatus)), tuple(uses)) for source in sources]
            commit(database, _read(key, night, *reads))
    with database.read() as connection:
        runs = last_run(connection)
    seen = 0
    for run in range(1, runs + 1):
        snapshots, workloads = _loaded(database, run)
        with database.read() as connection:
            for place, snapshot in enumerate(snapshots):
                expected = workload_reads(connection, snapshot.registry_id, snapshot.number)
                assert _told(workloads, place) == list(expected)
                seen += sum(len(read.uses) for read in expected)
        assert len(set(workloads.names)) == len(workloads.names)
        assert len(set(workloads.references)) == len(workloads.references)
    assert seen > 50


def test_names_of_workloads_that_are_gone_are_not_read(database: Database) -> None:
    gone, stays = (WorkloadUse(name, f"app:{name}", UseKind.RUNNING) for name in ("gone", "stays"))
    commit(database, _read(KEY, 1, WorkloadRead("ecs", ReadStatus.COMPLETE, (gone, stays))))
    commit(database, _read(KEY, 2, WorkloadRead("ecs", ReadStatus.COMPLETE, (stays,))))
    _, now = _loaded(database, 2)
    assert (now.names, now.references) == (["stays"], ["app:stays"])
    _, before = _loaded(database, 1)
    assert sorted(before.names) == ["gone", "stays"]


def test_where_no_source_was_asked_there_is_nothing(database: Database) -> None:
    commit(database, _read(KEY, 1))
    _, workloads = _loaded(database, 1)
    assert (len(workloads.kind), workloads.sources, workloads.names, workloads.reads) == (0, [], [], [])
