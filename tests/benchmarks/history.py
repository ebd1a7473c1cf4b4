"""What a year of nights costs on disk, as a multiple of the first night.

A registry of 200 repositories and 20,000 images of about ten layers (a third of a base that
repositories share, a third of the repository's builds, the rest an image's own) is written through
the real ``Store``, night after night: manifests that are new, the whole registry as read, and the
facts of the repositories that changed. Each night 200 images are pushed and the 200 oldest of the
same repositories are gone; ``latest`` moves to what was pushed last, and ``--pulled`` of the
newest images are pulled again.

Sizes are those of the SQLite file after a checkpoint, as it is and as ``VACUUM`` would leave it.
The target: the file after 365 nights is at most 6 times that after the first.

Usage: ``python -m tests.benchmarks.history [--nights N] [--images N] [--repositories N] …``
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path

from sqlalchemy import text

from analyzer.model.records import (
    ABSENT,
    Artifact,
    BlobReference,
    Kind,
    Manifest,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    ScanSummary,
)
from analyzer.store.engine import Database
from analyzer.store.facts import write_facts
from analyzer.store.schema import upgrade_schema
from analyzer.store.writer import Store
from tests.benchmarks._measure import mb, measured

#: At most so many times the first night.
RATIO_LIMIT = 6.0
#: 2026-01-01 UTC, the first night.
_FIRST_NIGHT_MS = 1_767_225_600_000
_DAY_MS = 86_400_000
_KEY = RegistryKey("aws", "123456789012", "eu-west-1")

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_THIRD = 3


@dataclass(slots=True)
class _Repository:
    name: str
    #: Oldest first.
    images: dict[str, Artifact] = field(default_factory=dict)
    pushes: int = 0
    #: Digest of the image that carries ``latest``.
    latest: str = ""
    layers: int = 10
    logical_bytes: int = 0


class _World:
    """The registry as AWS would have it; equal arguments give equal nights."""

    def __init__(self, repositories: int, layers: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.day = _FIRST_NIGHT_MS // _DAY_MS
        self.repositories = [
            # From 0.6 to 1.4 times the layers.
            _Repository(
                f"team-{n % 17:02d}/service-{n:05d}", layers=max(4, round(layers * (0.6 + 0.2 * (n % 5))))
            )
            for n in range(repositories)
        ]
        #: Manifests pushed and not yet collected.
        self.new: list[Manifest] = []
        self.changed: set[str] = set()

    def push(self, repository: _Repository) -> None:
        """One more image, which takes over the tag ``latest``."""
        rng, number = self.rng, repository.pushes
        repository.pushes += 1
        own = repository.layers - 2 * _THIRD
        base = int(sha256(repository.name.encode()).hexdigest(), 16) % 12
        blobs = [
            BlobReference(_random_digest(rng), rng.randrange(1_500, 12_000), _CONFIG),
            *(_shared(f"base {base} {depth}") for depth in range(_THIRD)),
            # The lowest of a build's layers changes every 64 pushes, the highest every four.
            *(_shared(f"{repository.name} {d} {number // (64 >> 2 * d)}") for d in range(_THIRD)),
            *(
                BlobReference(_random_digest(rng), rng.randrange(1_000, 40_000_000), _LAYER)
                for _ in range(own)
            ),
        ]
        digest, size = _random_digest(rng), sum(blob.size_bytes for blob in blobs)
        # A third of the images have no tag of their own and are untagged when latest has moved on; of
        # the others, half are numbered as in every repository, half named after a commit.
        tags = rng.choice(([], [f"v1.{number}"], [f"{rng.getrandbits(48):012x}"]))
        self._tag(repository, repository.latest, without="latest")
        repository.latest = digest
        repository.images[digest] = Artifact(
            digest,
            tuple(sorted([*tags, "latest"])),
            self.day * _DAY_MS + rng.randrange(_DAY_MS),
            reported_size_bytes=size,
            media_type=_MANIFEST,
            artifact_media_type=_CONFIG,
            scan=ScanSummary("COMPLETE", self.day, 0, rng.randrange(4), rng.randrange(20)),
        )
        repository.logical_bytes += size
        self.new.append(Manifest(digest, Kind.IMAGE, _MANIFEST, 120 + 190 * len(blobs), blobs))
        self.changed.add(repository.name)

    def delete_oldest(self, repository: _Repository) -> None:
        """The oldest image leaves."""
        gone = repository.images.pop(next(iter(repository.images)))
        repository.logical_bytes -= gone.reported_size_bytes or 0

    def pull_newest(self, repository: _Repository, number: int) -> None:
        """The newest images are pulled today."""
        for digest in list(islice(reversed(repository.images), number)):
            repository.images[digest] = repository.images[digest]._replace(pulled_day=self.day)

    def _tag(self, repository: _Repository, digest: str, *, without: str) -> None:
        if image := repository.images.get(digest):
            tags = tuple(tag for tag in image.tags if tag != without)
            repository.images[digest] = image._replace(tags=tags)


class _History:
    """The nights, each written through the store."""

    def __init__(self, url: str, world: _World) -> None:
        self.database = Database(url)
        upgrade_schema(self.database)
        self._world = world
        self._now_ms = _FIRST_NIGHT_MS
        self._store = Store(self.database, lambda: self._now_ms)

    def collect(self) -> None:
        """One night's run."""
        world, store = self._world, self._store
        self._now_ms = (world.day + 1) * _DAY_MS
        run = store.begin_run(self._now_ms, "benchmark", "0")
        with store.lease(_KEY, "pid 1", "benchmark") as lease:
            for start in range(0, len(world.new), 400):
                store.add_manifests(sorted(world.new[start : start + 400], key=lambda one: one.digest))
            read = RegistryRead(
                _KEY,
                self._now_ms,
                ReadStatus.COMPLETE,
                [_read(repository) for repository in world.repositories],
                {"blob_mounting": '"DISABLED"', "pull_through_cache_rules": "[]"},
            )
            number = store.commit_snapshot(lease, run, read)
        changed = [one for one in world.repositories if one.name in world.changed]
        facts = {(one.name, _CREATED_AT_MS): _facts(one) for one in changed}
        write_facts(self.database, _KEY, number, facts, 10**9 + number)
        store.finish_run(run, self._now_ms + 1, "complete")
        world.new, world.changed = [], set()
        world.day += 1

    def sizes(self) -> tuple[int, int]:
        """Bytes of the file, log included, and of a vacuumed copy."""
        file = Path(self.database.engine.url.database or "")
        copy = file.with_name("vacuumed.db")
        with self.database.engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("VACUUM INTO ?", (str(copy),))
            cursor.close()
        vacuumed = copy.stat().st_size
        copy.unlink()
        log = file.with_name(file.name + "-wal")
        return file.stat().st_size + (log.stat().st_size if log.exists() else 0), vacuumed

    def tables(self) -> dict[str, tuple[int, int, int]]:
        """Per table or index: rows (cells of its leaves), bytes of its pages, bytes unused in them."""
        query = (
            "SELECT name, sum(iif(pagetype = 'leaf', ncell, 0)), sum(pgsize), sum(unused) "
            "FROM dbstat GROUP BY name"
        )
        with self.database.read() as connection:
            rows = connection.execute(text(query)).all()
        return {name: (cells, used, unused) for name, cells, used, unused in rows}


_CREATED_AT_MS = _FIRST_NIGHT_MS - 900 * _DAY_MS


def _read(repository: _Repository) -> RepositoryRead:
    settings = {
        "arn": f'"arn:aws:ecr:eu-west-1:123456789012:repository/{repository.name}"',
        "uri": f'"123456789012.dkr.ecr.eu-west-1.amazonaws.com/{repository.name}"',
        "encryption": '{"encryptionType":"AES256"}',
        "image_tag_mutability": '"MUTABLE"',
        "scan_on_push": "true",
        "lifecycle_policy_text": ABSENT,
        "tags": '{"team":"platform"}',
    }
    artifacts = tuple(repository.images.values())
    return RepositoryRead(repository.name, _CREATED_AT_MS, ReadStatus.COMPLETE, artifacts, settings)


def _facts(repository: _Repository) -> dict[str, int]:
    """Figures of a plausible size that change whenever the repository does."""
    images, logical = repository.images.values(), repository.logical_bytes
    untagged = sum(1 for image in images if not image.tags)
    return {
        "images": len(images),
        "indexes": 0,
        "referrers": 0,
        "unknown": 0,
        "untagged_images": untagged,
        "orphaned_images": untagged,
        "logical_bytes": logical,
        "physical_bytes": logical * 2 // 5,
        "unique_bytes": logical * 2 // 5 - 10**8,
    }


def _shared(name: str) -> BlobReference:
    """A layer that is the same wherever its name is."""
    hashed = sha256(name.encode()).hexdigest()
    return BlobReference(f"sha256:{hashed}", 20_000 + int(hashed[:8], 16) % 60_000_000, _LAYER)


def _random_digest(rng: random.Random) -> str:
    return f"sha256:{rng.getrandbits(256):064x}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print sizes after the first and the last night, and their ratio."""
    parser = argparse.ArgumentParser(description="Measure what a year of history costs on disk.")
    parser.add_argument("--nights", type=int, default=365, help="after the first")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repositories", type=int, default=200)
    parser.add_argument("--pushed", type=int, default=200, help="images pushed, and gone, every night")
    parser.add_argument("--pulled", type=int, default=200, help="images pulled again every night")
    parser.add_argument("--layers", type=int, default=10, help="mean per image")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    world = _World(given.repositories, given.layers, given.seed)
    print(
        f"{given.images:,} images in {given.repositories:,} repositories; then {given.nights:,} nights, "
        f"each with {given.pushed:,} pushed, as many gone, {given.pulled:,} pulled",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        history = _History(f"sqlite:///{folder}/history.db", world)
        for number in range(given.images):
            world.push(world.repositories[number % given.repositories])
        with measured() as first:
            history.collect()
        size, vacuumed = history.sizes()
        first_tables = history.tables()
        with measured() as later:
            for _ in range(given.nights):
                _live_a_day(world, given.pushed, given.pulled)
                history.collect()
        last_size, last_vacuumed = history.sizes()
        last_tables = history.tables()
        history.database.engine.dispose()
    _print_tables(first_tables, last_tables)
    print(_line("vacuumed copy", vacuumed, last_vacuumed))
    print(_line("file", size, last_size))
    each, cpu = later.seconds / max(1, given.nights), later.cpu_seconds / max(1, given.nights)
    print(f"time: first night {first.seconds:.2f} s, each later one {each:.2f} s (CPU {cpu:.2f} s)")
    print(f"ratio: {last_size / size:.2f} times the first night's file (limit {RATIO_LIMIT:g})")


def _print_tables(first: dict[str, tuple[int, int, int]], last: dict[str, tuple[int, int, int]]) -> None:
    """Tables and indexes, the largest first; those under half a percent together."""
    print(f"{'':28}{'first night':>14}{'last night':>14}{'ratio':>8}{'rows':>12}{'unused':>9}")
    least = sum(used for _, used, _ in last.values()) / 200
    small = [name for name, (_, used, _) in last.items() if used < least]
    for name in sorted(last.keys() - small, key=lambda name: (-last[name][1], name)):
        cells, used, unused = last[name]
        before = first.get(name, (0, 0, 0))[1]
        print(f"{_line(name, before, used)}{cells:>12,}{unused / used:>9.0%}")
    others = (sum(tables.get(name, (0, 0, 0))[1] for name in small) for tables in (first, last))
    print(_line(f"{len(small)} others", *others))


def _line(name: str, before: int, after: int) -> str:
    return f"{name:28}{mb(before):>14}{mb(after):>14}{after / before if before else 0:8.2f}"


def _live_a_day(world: _World, pushed: int, pulled: int) -> None:
    """Pushes fall on repositories at random, some on the same one; nothing leaves but by them."""
    for repository in world.rng.choices(world.repositories, k=pushed):
        world.push(repository)
        world.delete_oldest(repository)
    depth = -(-pulled // len(world.repositories))
    for repository in world.rng.sample(world.repositories, pulled // max(1, depth)):
        world.pull_newest(repository, depth)


if __name__ == "__main__":
    main()
