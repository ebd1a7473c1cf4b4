"""Manifests: stored once by digest, for ever, their references packed."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Table, and_, exists, false, or_, select

from analyzer.model.frames import IndexChildren
from analyzer.model.records import BlobReference, Child, Kind, Manifest
from analyzer.store import tables
from analyzer.store.bulk import chunks, insert_rows, insert_values, rows_where_in
from analyzer.store.columns import read_packed
from analyzer.store.engine import Database
from analyzer.store.interning import Interner, join_digest, split_digest
from analyzer.store.names import load_digest_texts
from analyzer.store.tables import FOREIGN_BIT

# Not a join: SQLite would go through all manifests rather than through the digests asked for.
_STORED = select(tables.digest.c.algorithm, tables.digest.c.hash).where(
    exists().where(tables.manifest.c.digest_id == tables.digest.c.id)
)
_SIZES = select(tables.blob.c.digest_id, tables.blob.c.size_bytes)
#: Reference of the image that an image was built on (OCI image specification, "Pre-Defined Annotation Keys").
BASE_NAME = "org.opencontainers.image.base.name"


def unknown_manifests(database: Database, digests: Collection[str]) -> set[str]:
    """Those of ``digests`` whose manifest was never stored."""
    unknown = set(digests)
    with database.read() as connection:
        hashes = [split_digest(digest)[1] for digest in sorted(unknown)]
        for algorithm, value in rows_where_in(connection, _STORED, tables.digest.c.hash, hashes):
            unknown.discard(join_digest(algorithm, value))
    return unknown


@dataclass(frozen=True, slots=True, order=True)
class SizeConflict:
    """A manifest that gives a blob another size than an earlier one did."""

    manifest: str
    blob: str
    #: As the manifest says.
    size_bytes: int
    #: As counted: what the first manifest that named the blob says.
    counted_bytes: int
    #: The manifest's name in this database.
    manifest_id: int


def add_manifests(database: Database, interner: Interner, manifests: Sequence[Manifest]) -> None:
    """Store ``manifests``, and which of them contradict an earlier one on the size of a blob.

    The first size stays: a registry holds one blob per digest, and only one of the two can be so.
    """
    named = [m.digest for m in manifests]
    for m in manifests:
        named += [blob.digest for blob in m.blobs]
        named += [child.digest for child in m.children]
        if m.subject_digest:
            named.append(m.subject_digest)
    ids = interner.digests(named)
    media_types = interner.names(tables.media_type, _media_types(manifests))
    platforms = interner.names(
        tables.platform, {child.platform for m in manifests for child in m.children if child.platform}
    )
    codes = {name: _code(number) for name, number in media_types.items()}
    rows = sorted(
        (_row(m, ids, media_types, codes, platforms) for m in manifests), key=lambda row: row["digest_id"]
    )
    stated, agreed = _stated_sizes(manifests, ids)
    with database.write() as connection:
        sizes = _known_sizes(connection, sorted(stated))
        first = {blob: size for blob, size in stated.items() if blob not in sizes}
        insert_values(
            connection, tables.blob, ("digest_id", "size_bytes"), sorted(first.items()), only_new=True
        )
        # Another collector may have been quicker, with another size (on SQLite there is one writer).
        sizes |= first if database.is_sqlite else _known_sizes(connection, sorted(first))
        insert_rows(connection, tables.manifest, rows, only_new=True)
        if not agreed or stated != sizes:
            conflicts = _conflicts(manifests, ids, sizes)
            insert_rows(connection, tables.blob_conflict, conflicts, only_new=True)


def _stated_sizes(manifests: Iterable[Manifest], ids: Mapping[str, int]) -> tuple[dict[int, int], bool]:
    """The first size that ``manifests`` give each blob, and whether they all give the same."""
    sizes: dict[str, int] = {}
    agreed = True
    for manifest in manifests:
        for blob in manifest.blobs:
            if sizes.setdefault(blob.digest, blob.size_bytes) != blob.size_bytes:
                agreed = False
    return {ids[digest]: size for digest, size in sizes.items()}, agreed


def _conflicts(
    manifests: Iterable[Manifest], ids: Mapping[str, int], sizes: dict[int, int]
) -> list[dict[str, Any]]:
    contradictions = {
        (ids[manifest.digest], ids[blob.digest], blob.size_bytes)
        for manifest in manifests
        for blob in manifest.blobs
        if sizes[ids[blob.digest]] != blob.size_bytes
    }
    columns = ("manifest_id", "digest_id", "size_bytes")
    return [dict(zip(columns, contradiction, strict=True)) for contradiction in sorted(contradictions)]


def load_size_conflicts(connection: Connection) -> list[SizeConflict]:
    """Every contradiction there ever was, sorted; very few, as a rule none."""
    conflict, size = tables.blob_conflict, tables.blob
    manifest, blob = tables.digest.alias("of_manifest"), tables.digest.alias("of_blob")
    query = (
        select(
            manifest.c.algorithm,
            manifest.c.hash,
            blob.c.algorithm,
            blob.c.hash,
            conflict.c.size_bytes,
            size.c.size_bytes,
            conflict.c.manifest_id,
        )
        .select_from(conflict)
        .join(size, size.c.digest_id == conflict.c.digest_id)
        .join(manifest, manifest.c.id == conflict.c.manifest_id)
        .join(blob, blob.c.id == conflict.c.digest_id)
    )
    return sorted(
        SizeConflict(join_digest(algorithm, value), join_digest(blob_algorithm, blob_value), *rest)
        for algorithm, value, blob_algorithm, blob_value, *rest in connection.execute(query)
    )


def _code(media_type_id: int) -> int:
    """A media type's code in the packed array, 0 for the 32,768th and later ones.

    Anybody who may push can invent media types without end; their names beyond that number are not
    worth a failed night.
    """
    return media_type_id if media_type_id < FOREIGN_BIT else 0


def _platform_code(platform_id: int) -> int:
    """A platform's code in the packed array, 0 (not said) for the 65,536th and later ones."""
    return platform_id if platform_id < 1 << 16 else 0


def _media_types(manifests: Iterable[Manifest]) -> set[str]:
    found = {blob.media_type for manifest in manifests for blob in manifest.blobs}
    for manifest in manifests:
        found.add(manifest.media_type)
        if manifest.artifact_type is not None:
            found.add(manifest.artifact_type)
    return found


def _row(
    manifest: Manifest,
    ids: Mapping[str, int],
    media_types: dict[str, int],
    codes: dict[str, int],
    platforms: dict[str, int],
) -> dict[str, Any]:
    blobs, children = manifest.blobs, manifest.children
    return {
        "digest_id": ids[manifest.digest],
        "kind": int(manifest.kind),
        "media_type_id": media_types[manifest.media_type],
        "artifact_type_id": None if manifest.artifact_type is None else media_types[manifest.artifact_type],
        "subject_id": ids[manifest.subject_digest] if manifest.subject_digest else None,
        "size_bytes": manifest.size_bytes,
        "blob_ids": struct.pack(f"<{len(blobs)}I", *[ids[blob.digest] for blob in blobs]),
        "blob_media_types": struct.pack(
            f"<{len(blobs)}H",
            *[codes[blob.media_type] | (FOREIGN_BIT if blob.foreign else 0) for blob in blobs],
        ),
        "child_ids": struct.pack(f"<{len(children)}I", *[ids[child.digest] for child in children]),
        "child_platforms": struct.pack(
            f"<{len(children)}H",
            *[_platform_code(platforms[child.platform]) if child.platform else 0 for child in children],
        ),
        "annotations": json.dumps(dict(manifest.annotations), sort_keys=True)
        if manifest.annotations
        else None,
    }


def _known_sizes(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    table = tables.blob
    return dict(rows_where_in(connection, _SIZES, table.c.digest_id, ids))


def load_manifests(database: Database, digests: Collection[str]) -> dict[str, Manifest]:
    """The stored manifests of ``digests``, rebuilt; those never stored are left out."""
    wanted = set(digests)
    with database.read() as connection:
        types = _names(connection, tables.media_type)
        names = _names(connection, tables.platform)
        query = select(tables.manifest, tables.digest.c.algorithm, tables.digest.c.hash).join(
            tables.digest, tables.digest.c.id == tables.manifest.c.digest_id
        )
        rows: list[Row[Any]] = []
        for chunk in chunks([split_digest(digest)[1] for digest in sorted(wanted)]):
            rows += connection.execute(query.where(tables.digest.c.hash.in_(chunk))).all()
        referred: set[int] = set()
        for row in rows:
            referred.update(_unpack("I", row.blob_ids), _unpack("I", row.child_ids), [row.subject_id or 0])
        texts = load_digest_texts(connection, sorted(referred))
        sizes = _known_sizes(connection, sorted(referred))
    found = {}
    for row in rows:
        digest = join_digest(row.algorithm, row.hash)
        if digest not in wanted:
            continue
        codes = _unpack("H", row.blob_media_types)
        found[digest] = Manifest(
            digest=digest,
            kind=Kind(row.kind),
            media_type=types[row.media_type_id],
            size_bytes=row.size_bytes,
            blobs=tuple(
                BlobReference(
                    texts[i], sizes[i], types.get(code & ~FOREIGN_BIT, ""), bool(code & FOREIGN_BIT)
                )
                for i, code in zip(_unpack("I", row.blob_ids), codes, strict=True)
            ),
            children=tuple(
                Child(texts[i], names.get(code))
                for i, code in zip(
                    _unpack("I", row.child_ids), _unpack("H", row.child_platforms), strict=True
                )
            ),
            artifact_type=types.get(row.artifact_type_id),
            subject_digest=texts.get(row.subject_id or 0),
            annotations=json.loads(row.annotations) if row.annotations else {},
        )
    return found


def load_attestations(connection: Connection, indexes: Sequence[int]) -> set[tuple[int, int]]:
    """Numbers of these indexes and of their children for the platform ``unknown/unknown``.

    BuildKit puts attestations beside the images of an index under that platform, so that no node asks
    for them (BuildKit, "Image attestation storage").
    """
    of, platform = tables.manifest, tables.platform
    nobody = connection.execute(select(platform.c.id).filter_by(name="unknown/unknown")).scalar()
    if nobody is None:
        return set()
    query = select(of.c.digest_id, of.c.child_ids, of.c.child_platforms)
    return {
        (index, child)
        for index, children, codes in rows_where_in(connection, query, of.c.digest_id, indexes)
        for child, code in zip(_unpack("I", children), _unpack("H", codes), strict=True)
        if code == nobody
    }


def load_index_children(
    connection: Connection, up_to: Sequence[tuple[int, int]] | None = None
) -> IndexChildren:
    """The children of every index that was ever read, those of images that are gone too.

    ``up_to`` are registries by id and snapshots by number: only indexes that these or earlier ones saw.
    """
    of, platform = tables.manifest, tables.platform
    names = connection.execute(select(platform.c.id, platform.c.name).order_by(platform.c.name)).all()
    position = np.full(1 << 16, -1, np.int32)
    for number, (key, _) in enumerate(names):
        if _platform_code(key):
            position[key] = number
    query = select(of.c.digest_id, of.c.child_ids, of.c.child_platforms).where(of.c.kind == int(Kind.INDEX))
    if up_to is not None:
        artifact, repository = tables.artifact, tables.repository
        seen = [
            and_(repository.c.registry_id == registry, artifact.c.first_snapshot <= number)
            for registry, number in up_to
        ]
        query = query.where(
            of.c.digest_id.in_(
                select(artifact.c.digest_id)
                .join(repository, repository.c.id == artifact.c.repository_id)
                .where(or_(false(), *seen))
            )
        )
    children, codes = [np.zeros(0, "<u4")], [np.zeros(0, "<u2")]
    for _, (child_ids, platforms) in read_packed(
        connection, query, 1, lambda head: np.ones(head.shape[1], np.bool_)
    ):
        children.append(np.frombuffer(child_ids.data, "<u4"))
        codes.append(np.frombuffer(platforms.data, "<u2"))
    return IndexChildren(
        child=np.concatenate(children).astype(np.uint32, copy=False),
        platform=position[np.concatenate(codes)],
        names=[name for _, name in names],
    )


def load_base_names(connection: Connection) -> dict[int, str]:
    """What images say they were built on, by digest_id: their annotation of OCI's image specification."""
    table = tables.manifest
    query = select(table.c.digest_id, table.c.annotations).where(table.c.annotations.like(f'%"{BASE_NAME}"%'))
    found = {key: json.loads(text).get(BASE_NAME) for key, text in connection.execute(query)}
    return {key: name for key, name in sorted(found.items()) if isinstance(name, str) and name}


def _names(connection: Connection, table: Table) -> dict[int, str]:
    return dict(connection.execute(select(table.c.id, table.c.name)).all())


def _unpack(code: str, packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // struct.calcsize(code)}{code}", packed)
