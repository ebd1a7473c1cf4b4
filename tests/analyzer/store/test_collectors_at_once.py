"""Several collectors write different registries into one PostgreSQL: nobody waits for ever, nothing is lost.

What they store overlaps: digests, tag names, media types, settings, manifests and sizes of blobs are
new to all of them in the same moment, and each comes with them in an order of its own.
"""

from __future__ import annotations

import random

import pytest
from sqlalchemy import func, select

from analyzer.model.records import (
    Artifact,
    BlobReference,
    Child,
    Kind,
    Manifest,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.manifests import load_manifests
from analyzer.store.snapshots import SnapshotRef, rebuild, snapshots_of_run
from analyzer.store.writer import Store
from tests.analyzer.store.examples import HOST
from tests.strategies.registries import sha256
from tests.support.databases import Provider, run_at_once

_REGIONS = ("eu-west-1", "us-east-1", "ap-south-1")
_NIGHTS = 3
_IMAGES = 90
#: From single INSERTs to what goes by COPY.
_BATCHES = (3, 20, 60, 90)

_CHILD = """
from tests.analyzer.store.test_collectors_at_once import collect
from analyzer.store.engine import Database

database = Database(sys.argv[1])
ready()
collect(database, sys.argv[2], int(sys.argv[3]))
"""


def _manifests(night: int) -> list[Manifest]:
    """New to everybody this night, but for layers of the nights before."""
    found = []
    for number in range(_IMAGES):
        blobs = [BlobReference(sha256(f"config {night} {number}"), 5, "config")]
        blobs += [
            BlobReference(sha256(f"layer {max(0, night - depth)} {number // 3} {depth}"), 7 + depth, "layer")
            for depth in range(4)
        ]
        digest = sha256(f"image {night} {number}")
        found.append(Manifest(digest, Kind.IMAGE, f"image {night}", 9, blobs, annotations={"n": str(number)}))
    children = [Child(one.digest, f"linux/{night}") for one in found[:3]]
    return [*found, Manifest(sha256(f"index {night}"), Kind.INDEX, "index", 9, children=children)]


def _read(region: str, night: int) -> RegistryRead:
    artifacts = [
        Artifact(one.digest, (f"v{night}.{place}",), pushed_at_ms=night, media_type=one.media_type)
        for place, one in enumerate(_manifests(night))
    ]
    repositories = [
        RepositoryRead(name, 1, ReadStatus.COMPLETE, artifacts[start:], {"tags": f'{{"night":"{night}"}}'})
        for start, name in enumerate(("app", "web"))
    ]
    uses = [WorkloadUse(f"w{number}", f"app:v{night}.{number}", UseKind.RUNNING) for number in range(9)]
    return RegistryRead(
        RegistryKey("aws", "111111111111", region),
        night,
        ReadStatus.COMPLETE,
        repositories,
        {"blob_mounting": f'"{night}"'},
        workloads=[WorkloadRead("ecs", ReadStatus.COMPLETE, uses)],
    )


def collect(database: Database, region: str, seed: int) -> None:
    """All nights of one registry, in an order that ``seed`` makes up."""
    rng = random.Random(seed)
    store = Store(database, lambda: 0)
    for night in range(1, _NIGHTS + 1):
        read = _read(region, night)
        run = store.begin_run(night, HOST, "1")
        manifests = _manifests(night)
        rng.shuffle(manifests)
        with store.lease(read.key, region, HOST) as lease:
            while manifests:
                batch, manifests = _split(manifests, rng.choice(_BATCHES))
                unknown = store.unknown_manifests([one.digest for one in batch])
                store.add_manifests([one for one in batch if one.digest in unknown])
            store.commit_snapshot(lease, run, read)
        store.finish_run(run, night, "complete")


def _split(manifests: list[Manifest], size: int) -> tuple[list[Manifest], list[Manifest]]:
    return manifests[:size], manifests[size:]


def _snapshots(database: Database) -> dict[tuple[str, int], RegistryRead]:
    """Every snapshot rebuilt, by region and number."""
    with database.read() as connection:
        runs = connection.execute(select(tables.run.c.id)).scalars().all()
        found: dict[tuple[str, int], SnapshotRef] = {
            (snapshot.key.region, snapshot.number): snapshot
            for run in runs
            for snapshot in snapshots_of_run(connection, run)
        }
        return {place: rebuild(connection, snapshot) for place, snapshot in found.items()}


def _counts(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables.metadata.sorted_tables
        }


@pytest.mark.parametrize("seed", range(2))
def test_collectors_at_once_leave_what_collectors_one_after_the_other_do(
    postgresql: Provider, sqlite: Provider, seed: int
) -> None:
    database = postgresql.clean()
    url = database.engine.url.render_as_string(hide_password=False)
    children = [(url, region, str(10 * seed + place)) for place, region in enumerate(_REGIONS)]
    assert run_at_once(_CHILD, *children) == [(0, "")] * len(children)

    alone = sqlite.clean()
    for region in _REGIONS:
        collect(alone, region, seed)
    assert _counts(database) == _counts(alone)
    assert _snapshots(database) == _snapshots(alone)
    assert len(_snapshots(database)) == len(_REGIONS) * _NIGHTS
    for night in range(1, _NIGHTS + 1):
        expected = {one.digest: one for one in _manifests(night)}
        loaded = load_manifests(database, expected.keys())
        assert loaded == load_manifests(alone, expected.keys())
        assert loaded.keys() == expected.keys()
