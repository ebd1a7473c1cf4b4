"""Writes a large database of the real schema, for the benchmarks of what reads one.

One run over several registries, every repository read whole. ``tests.benchmarks._large`` says how
images share layers; beside that there are multi-platform indexes (15 % of the repositories),
signatures (5 %), images promoted to another repository (5 %), foreign layers, layers listed twice,
archived images (2 %), tags on two thirds, pulls on half, scans on a third, KMS keys, policies, and
blob mounting switched on in every second registry. Equal arguments give equal rows.

Usage: ``python -m tests.benchmarks.generate_database --db sqlite:////tmp/large.db``; without
``--db`` into a temporary file, which is then deleted: that only shows how long it takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Table, func, insert, select

from analyzer.model.frames import Bools, Int64
from analyzer.model.records import ABSENT, ImageStatus, Kind, ReadStatus
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from tests.benchmarks._large import Contents, Fleet, Ids, Shape, make_contents, make_fleet, make_ids
from tests.benchmarks._measure import mb

#: 2026-01-01 UTC, when the snapshots were taken.
TAKEN_AT_MS = 1_767_225_600_000
_DAY_MS = 86_400_000
_TODAY = TAKEN_AT_MS // _DAY_MS
_ROWS_AT_ONCE = 100_000

_MEDIA_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.dev.cosign.artifact.sig.v1+json",
    "application/vnd.oci.empty.v1+json",
)
_MANIFEST, _CONFIG, _LAYER, _FOREIGN_LAYER, _INDEX, _SIGNATURE, _EMPTY = range(1, len(_MEDIA_TYPES) + 1)
_PLATFORMS = ("linux/amd64", "linux/arm64")

#: A column of a table: an array, a value for all rows, or a function of first and last row.
_Column: TypeAlias = npt.NDArray[Any] | int | str | bytes | Callable[[int, int], Iterable[Any]] | None


@dataclass(frozen=True, slots=True)
class Written:
    """What a database holds."""

    images: int
    indexes: int
    referrers: int
    #: Of all images and referrers, configs not counted.
    layer_references: int
    distinct_blobs: int
    distinct_manifests: int
    size_bytes: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a database, and say what it holds and how long that took."""
    parser = argparse.ArgumentParser(description="Write a large database for benchmarks.")
    parser.add_argument("--db", help="SQLAlchemy URL of an empty database (default: a temporary file)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    add_shape_options(parser)
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        written = generate_database(given.db or f"sqlite:///{folder}/large.db", shape_of(given))
    seconds = time.perf_counter() - began
    if given.json:
        print(json.dumps(asdict(written) | {"seconds": seconds}))
        return
    print(describe(written))
    print(f"written in {seconds:.1f} s")


def add_shape_options(parser: argparse.ArgumentParser) -> None:
    """The options that ``shape_of`` reads."""
    shape = Shape()
    parser.add_argument("--images", type=int, default=shape.images)
    parser.add_argument("--repositories", type=int, default=shape.repositories)
    parser.add_argument("--registries", type=int, default=shape.registries)
    parser.add_argument("--layers", type=int, default=shape.layers, help="mean per image")
    parser.add_argument("--seed", type=int, default=shape.seed)


def shape_of(given: argparse.Namespace) -> Shape:
    """The shape that the options ask for."""
    return Shape(
        images=given.images,
        repositories=given.repositories,
        registries=given.registries,
        layers=given.layers,
        seed=given.seed,
    )


def describe(written: Written) -> str:
    """One line on what a database holds."""
    return (
        f"database of {written.images:,} images, {written.indexes:,} indexes, "
        f"{written.referrers:,} referrers, {written.layer_references:,} layer references, "
        f"{written.distinct_blobs:,} distinct blobs, "
        f"{written.distinct_manifests:,} distinct manifests: {mb(written.size_bytes)}"
    )


def generate_database(url: str, shape: Shape) -> Written:
    """Fill the empty database ``url``; raises ValueError when it holds a snapshot already."""
    database = Database(url)
    upgrade_schema(database)
    with database.read() as connection:
        if connection.execute(select(func.count()).select_from(tables.snapshot)).scalar():
            raise ValueError(f"{database.label} holds snapshots already")
    rng = np.random.default_rng(shape.seed)
    fleet = make_fleet(rng, shape)
    contents = make_contents(rng, fleet, shape.layers)
    ids = make_ids(rng, fleet, contents)
    with _bulk_writing(database) as connection:
        _write_names(connection, rng, fleet)
        _write_blobs(connection, rng, contents, ids)
        _write_manifests(connection, fleet, contents, ids)
        _write_artifacts(connection, rng, fleet, contents, ids)
        _set_sequences(connection)
    size = _database_bytes(database)
    database.engine.dispose()
    layers = np.diff(contents.offsets)[fleet.content] - 1
    return Written(
        images=len(fleet.repository),
        indexes=len(ids.indexes),
        referrers=len(ids.signatures),
        layer_references=int(layers.sum()) + len(ids.payloads),
        distinct_blobs=len(ids.blobs) + len(ids.payloads) + len(ids.empty),
        distinct_manifests=len(ids.contents) + len(ids.indexes) + len(ids.signatures),
        size_bytes=size,
    )


# --- rows -----------------------------------------------------------------------------------------


def _write_names(connection: Connection, rng: np.random.Generator, fleet: Fleet) -> None:
    """Run, registries, repositories and settings."""
    registries, repositories = int(fleet.registry[-1]) + 1, len(fleet.registry)
    registry_id, repository_id = np.arange(1, registries + 1), np.arange(1, repositories + 1)
    _insert(connection, tables.media_type, len(_MEDIA_TYPES), id=_count, name=np.array(_MEDIA_TYPES))
    _insert(connection, tables.platform, len(_PLATFORMS), id=_count, name=np.array(_PLATFORMS))
    regions = np.array(["eu-west-1", "us-east-1", "eu-central-1", "ap-southeast-2"])
    _insert(
        connection,
        tables.registry,
        registries,
        id=registry_id,
        partition="aws",
        account=np.array([f"{111_111_111_111 + number // 4}" for number in range(registries)]),
        region=regions[np.arange(registries) % 4],
    )
    run: dict[str, _Column] = {
        "id": 1,
        "started_at_ms": TAKEN_AT_MS,
        "finished_at_ms": TAKEN_AT_MS + 1,
        "status": "complete",
    }
    _insert(connection, tables.run, 1, **run, host="benchmark", version="0")
    _insert(
        connection,
        tables.snapshot,
        registries,
        registry_id=registry_id,
        number=1,
        run_id=1,
        taken_at_ms=TAKEN_AT_MS,
        status=str(ReadStatus.COMPLETE),
    )
    # The order of names is not that of ids.
    names = rng.permutation(repositories)
    _insert(
        connection,
        tables.repository,
        repositories,
        id=repository_id,
        registry_id=fleet.registry + 1,
        name=np.array([f"team-{number % 41:02d}/service-{number:06d}" for number in names]),
        created_at_ms=TAKEN_AT_MS - 900 * _DAY_MS + names,
    )
    state = {"first_snapshot": 1, "gone_snapshot": None}
    _insert(
        connection,
        tables.repository_read,
        repositories,
        repository_id=repository_id,
        **state,
        status=str(ReadStatus.COMPLETE),
    )
    values = [ABSENT, '"DISABLED"', '"ENABLED"', '{"encryptionType":"AES256"}']
    keys = [
        f'{{"encryptionType":"KMS","kmsKey":"arn:aws:kms:eu-west-1:111111111111:key/{n}"}}' for n in range(3)
    ]
    policies = [
        json.dumps(f'{{"rules":[{{"rulePriority":1,"countNumber":{n}}}]}}') for n in (20, 50, 100, 500)
    ]
    values += keys + policies
    _insert(
        connection,
        tables.setting_value,
        len(values),
        id=_count,
        sha256=np.array([sha256(value.encode()).digest() for value in values], object),
        value=np.array(values),
    )
    encryption = np.where(rng.random(repositories) < 0.85, 4, rng.integers(5, 8, repositories))
    policy = np.where(rng.random(repositories) < 0.6, 1, rng.integers(8, 12, repositories))
    _insert(
        connection,
        tables.repository_setting,
        2 * repositories,
        repository_id=np.repeat(repository_id, 2),
        name=np.tile(np.array(["encryption", "lifecycle_policy_text"]), repositories),
        **state,
        value_id=np.column_stack((encryption, policy)).ravel(),
    )
    _insert(
        connection,
        tables.registry_setting,
        registries,
        registry_id=registry_id,
        name="blob_mounting",
        **state,
        value_id=2 + registry_id % 2,
    )


def _write_blobs(connection: Connection, rng: np.random.Generator, contents: Contents, ids: Ids) -> None:
    """Digests and the sizes of blobs."""
    hashes = rng.bytes(32 * ids.total)
    _insert(
        connection,
        tables.digest,
        ids.total,
        id=_count,
        algorithm="sha256",
        hash=lambda start, end: [hashes[32 * i : 32 * i + 32] for i in range(start, end)],
    )
    digest_id = np.concatenate((ids.blobs, ids.payloads, ids.empty))
    sizes = (contents.blob_size, rng.integers(200, 4_000, len(ids.payloads)), np.full(len(ids.empty), 2))
    order = np.argsort(digest_id)
    _insert(
        connection,
        tables.blob,
        len(order),
        digest_id=digest_id[order],
        size_bytes=np.concatenate(sizes)[order],
    )


def _write_manifests(connection: Connection, fleet: Fleet, contents: Contents, ids: Ids) -> None:
    blobs = ids.blobs[contents.blob].astype("<u4").tobytes()
    codes = np.full(len(contents.blob), _LAYER, "<u2")
    codes[contents.offsets[:-1]] = _CONFIG
    codes[contents.foreign] = _FOREIGN_LAYER | tables.FOREIGN_BIT
    packed_codes, bounds = codes.tobytes(), contents.offsets.tolist()
    order = np.argsort(ids.contents)
    common: dict[str, _Column] = {
        "artifact_type_id": None,
        "subject_id": None,
        "child_ids": b"",
        "child_platforms": b"",
    }

    def references(packed: bytes, width: int) -> Callable[[int, int], list[bytes]]:
        return lambda start, end: [
            packed[width * bounds[i] : width * bounds[i + 1]] for i in order[start:end].tolist()
        ]

    def annotations(start: int, end: int) -> list[str | None]:
        # On one of five.
        text = (
            '{{"org.opencontainers.image.revision": "{:040x}", "org.opencontainers.image.version": "1.{}"}}'
        )
        return [None if i % 5 else text.format(i * 2654435761, i) for i in order[start:end].tolist()]

    _insert(
        connection,
        tables.manifest,
        len(order),
        digest_id=ids.contents[order],
        kind=int(Kind.IMAGE),
        media_type_id=_MANIFEST,
        **common,
        size_bytes=(np.diff(contents.offsets) * 190 + 120)[order],
        blob_ids=references(blobs, 4),
        blob_media_types=references(packed_codes, 2),
        annotations=annotations,
    )
    pair = ids.contents[np.column_stack((fleet.content[fleet.index_of], fleet.content[fleet.index_of + 1]))]
    packed_pair = pair.astype("<u4").tobytes()
    _insert(
        connection,
        tables.manifest,
        len(pair),
        **common
        | {
            "child_ids": lambda start, end: [packed_pair[8 * i : 8 * i + 8] for i in range(start, end)],
            "child_platforms": np.array([1, 2], "<u2").tobytes(),
        },
        digest_id=ids.indexes,
        kind=int(Kind.INDEX),
        media_type_id=_INDEX,
        size_bytes=760,
        blob_ids=b"",
        blob_media_types=b"",
        annotations=None,
    )
    held = np.column_stack((np.resize(ids.empty, len(ids.payloads)), ids.payloads)).astype("<u4").tobytes()
    _insert(
        connection,
        tables.manifest,
        len(ids.signatures),
        **common | {"artifact_type_id": _SIGNATURE, "subject_id": ids.contents[fleet.content[fleet.signed]]},
        digest_id=ids.signatures,
        kind=int(Kind.IMAGE),
        media_type_id=_MANIFEST,
        size_bytes=620,
        blob_ids=lambda start, end: [held[8 * i : 8 * i + 8] for i in range(start, end)],
        blob_media_types=np.array([_EMPTY, _LAYER], "<u2").tobytes(),
        annotations='{"org.opencontainers.image.created": "2026-01-01T00:00:00Z"}',
    )


def _write_artifacts(
    connection: Connection, rng: np.random.Generator, fleet: Fleet, contents: Contents, ids: Ids
) -> None:
    """Presence, pulls, scans and tags: images, then indexes, then signatures."""
    images, indexes, signatures = len(fleet.repository), len(ids.indexes), len(ids.signatures)
    signed = fleet.content[fleet.signed]
    rows = images + indexes + signatures
    source = np.concatenate((np.arange(images), fleet.index_of, fleet.signed))
    repository = fleet.repository[source] + 1
    digest = np.concatenate((ids.contents[fleet.content], ids.indexes, ids.signatures))
    # An image a day per repository or so, up to two years back.
    counts = np.bincount(fleet.repository)[fleet.repository]
    age = (counts - fleet.ordinal) / counts * np.minimum(730, counts + 30) * _DAY_MS
    pushed = (TAKEN_AT_MS - age.astype(np.int64))[source] + (np.arange(rows) >= images) * 2_000
    subject = np.full(rows, None, object)
    subject[images + indexes :] = ids.contents[signed]
    archived = (rng.random(rows) < 0.02) & (np.arange(rows) < images)
    order = np.lexsort((digest, repository))
    key = {"repository_id": repository[order], "digest_id": digest[order]}
    state = {"first_snapshot": 1, "gone_snapshot": None}
    archived_at = np.full(rows, None, object)
    archived_at[archived] = TAKEN_AT_MS - 5 * _DAY_MS
    reported = np.concatenate(
        (contents.size[fleet.content[source[: images + indexes]]], np.full(signatures, 900))
    )
    _insert(
        connection,
        tables.artifact,
        rows,
        **key,
        **state,
        pushed_at_ms=pushed[order],
        image_status=np.where(archived, int(ImageStatus.ARCHIVED), int(ImageStatus.ACTIVE))[order],
        archived_at_ms=archived_at[order],
        activated_at_ms=None,
        reported_size_bytes=reported[order],
        media_type_id=np.repeat((_MANIFEST, _INDEX, _MANIFEST), (images, indexes, signatures))[order],
        artifact_media_type_id=np.repeat((_CONFIG, _INDEX, _SIGNATURE), (images, indexes, signatures))[order],
        subject_id=subject[order],
    )
    pulled = np.flatnonzero(rng.random(rows) < 0.5)
    day = rng.integers(np.minimum(_TODAY, pushed[order] // _DAY_MS), _TODAY + 1)
    _insert(
        connection, tables.artifact_pull, len(pulled), **_of(key, pulled), **state, pulled_day=day[pulled]
    )
    scanned = np.flatnonzero(rng.random(rows) < 0.33)
    _insert(
        connection,
        tables.artifact_scan,
        len(scanned),
        **_of(key, scanned),
        **state,
        status="COMPLETE",
        completed_day=(pushed[order] // _DAY_MS)[scanned],
        critical=rng.poisson(0.5, len(scanned)),
        high=rng.poisson(4, len(scanned)),
        medium=rng.poisson(20, len(scanned)),
        low=rng.poisson(30, len(scanned)),
        informational=0,
        undefined=0,
    )
    is_child = np.zeros(images, np.bool_)
    is_child[fleet.index_of] = is_child[fleet.index_of + 1] = True
    chances = np.repeat((0.66, 0.8, 1.0), (images, indexes, signatures))
    tagged = rng.random(rows) < chances
    tagged[:images] &= ~is_child
    newest = np.append(fleet.repository[1:] != fleet.repository[:-1], True)
    _write_tags(connection, rng, fleet, repository, digest, tagged, newest)


def _write_tags(
    connection: Connection,
    rng: np.random.Generator,
    fleet: Fleet,
    repository: Int64,
    digest: Int64,
    tagged: Bools,
    newest: Bools,
) -> None:
    """Half of the images' tags are numbers that every repository uses, the rest hashes; and latest."""
    numbers = int(fleet.ordinal.max(initial=0)) + 1
    numbered = tagged & (rng.random(len(tagged)) < 0.5)
    numbered[len(fleet.ordinal) :] = False
    hashed = np.flatnonzero(tagged & ~numbered)
    numbered_at, newest_at = np.flatnonzero(numbered), np.flatnonzero(newest)
    rows = np.concatenate((numbered_at, hashed, newest_at))
    latest = numbers + 1

    def names(start: int, end: int) -> list[str]:
        return [
            f"v1.{i}" if i < numbers else "latest" if i == numbers else f"{i * 2654435761 % 2**48:012x}-{i}"
            for i in range(start, end)
        ]

    _insert(connection, tables.tag_name, latest + len(hashed), id=_count, name=names)
    name = (
        fleet.ordinal[numbered_at] + 1,
        latest + 1 + np.arange(len(hashed)),
        np.full(len(newest_at), latest),
    )
    tag_name = np.concatenate(name)
    order = np.lexsort((tag_name, repository[rows]))
    _insert(
        connection,
        tables.tag,
        len(rows),
        repository_id=repository[rows][order],
        tag_name_id=tag_name[order],
        first_snapshot=1,
        gone_snapshot=None,
        digest_id=digest[rows][order],
    )


def _of(columns: Mapping[str, Int64], rows: Int64) -> dict[str, Int64]:
    return {name: column[rows] for name, column in columns.items()}


# --- writing fast ---------------------------------------------------------------------------------


def _count(start: int, end: int) -> Iterable[int]:
    """Ids from 1."""
    return range(start + 1, end + 1)


def _insert(connection: Connection, table: Table, rows: int, **columns: _Column) -> None:
    """Insert ``rows`` rows in blocks, through the driver's own cursor."""
    dialect = connection.dialect
    # The order in which SQLAlchemy numbers an INSERT's parameters.
    names = [column.name for column in table.columns if column.name in columns]
    quote = dialect.identifier_preparer.quote
    copied = f"COPY {quote(table.name)} ({', '.join(quote(name) for name in names)}) FROM STDIN"
    inserted = str(insert(table).compile(dialect=dialect, column_keys=names))
    cursor = connection.connection.cursor()
    for start in range(0, rows, _ROWS_AT_ONCE):
        end = min(rows, start + _ROWS_AT_ONCE)
        block = zip(*(_block(columns[name], start, end) for name in names), strict=True)
        if dialect.name == "sqlite":
            cursor.executemany(inserted, list(block))
            continue
        with cursor.copy(copied) as copy:
            for row in block:
                copy.write_row(row)
    cursor.close()


def _block(column: _Column, start: int, end: int) -> Iterable[Any]:
    if isinstance(column, np.ndarray):
        values: list[Any] = column[start:end].tolist()
        return values
    return column(start, end) if callable(column) else repeat(column, end - start)


@contextmanager
def _bulk_writing(database: Database) -> Iterator[Connection]:
    """A connection in one transaction that no power cut may interrupt."""
    database.engine.dispose()
    with database.engine.connect() as connection:
        if database.is_sqlite:
            _pragmas(
                connection, "journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-1000000"
            )
        with connection.begin():
            # SQLAlchemy begins with its first statement; the rows go past it.
            connection.execute(select(1))
            yield connection
        if database.is_sqlite:
            _pragmas(connection, "journal_mode=WAL")
            # Nobody else shall have a connection without its safety catches.
            connection.invalidate()


def _pragmas(connection: Connection, *pragmas: str) -> None:
    cursor = connection.connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _set_sequences(connection: Connection) -> None:
    """PostgreSQL: the next id of each table follows those given here."""
    if connection.dialect.name == "sqlite":
        return
    for table in tables.metadata.sorted_tables:
        if "id" in table.c:
            sequence = func.pg_get_serial_sequence(table.name, "id")
            connection.execute(select(func.setval(sequence, func.max(table.c.id))).select_from(table))


def _database_bytes(database: Database) -> int:
    """Size on disk."""
    if database.is_sqlite:
        return Path(database.engine.url.database or "").stat().st_size
    with database.read() as connection:
        size = connection.execute(select(func.pg_database_size(func.current_database()))).scalar()
    return int(size or 0)


if __name__ == "__main__":
    main()
