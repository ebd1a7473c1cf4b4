"""What must hold of an SQLite file of snapshots at any moment, read with nothing but sqlite3.

``broken`` names everything that does not. ``history`` is the past as the file tells it, which no later
night, and no kill, may change: a row's end counts only once it has come.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

_INTERVALS_OF_REPOSITORIES = (
    "repository_read",
    "artifact",
    "artifact_pull",
    "artifact_scan",
    "tag",
    "repository_setting",
    "repository_fact",
)
_INTERVALS_OF_REGISTRIES = ("registry_setting", "registry_fact", "workload_use", "workload_read")

#: (account, region)
Registry = tuple[str, str]


def connect(file: Path) -> closing[sqlite3.Connection]:
    """A connection to ``file``, which must be there."""
    return closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True))


def broken(connection: sqlite3.Connection) -> list[str]:
    """Every invariant that the file breaks, in words; none of them needs to know what happened before."""
    complaints = [f"integrity_check: {row[0]}" for row in connection.execute("PRAGMA integrity_check")]
    if complaints == ["integrity_check: ok"]:
        complaints = []
    complaints += [f"foreign_key_check: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
    newest = _newest_snapshots(connection, complaints)
    _check_runs(connection, complaints)
    intervals = {
        table: list(_intervals(connection, table, newest, complaints))
        for table in (*_INTERVALS_OF_REPOSITORIES, *_INTERVALS_OF_REGISTRIES)
    }
    _check_containment(connection, intervals, complaints)
    _check_packed_ids(connection, complaints)
    return complaints


def snapshots(connection: sqlite3.Connection) -> dict[Registry, int]:
    """Number of the newest snapshot of each registry that has one."""
    query = (
        "SELECT account, region, max(number) FROM snapshot JOIN registry ON registry.id = registry_id "
        "GROUP BY registry_id"
    )
    return {(account, region): number for account, region, number in connection.execute(query)}


def history(connection: sqlite3.Connection, *, facts: bool) -> dict[tuple[str, str, int], str]:
    """A hash of all that every snapshot (account, region, number) and those before it say.

    With ``facts``, of the aggregates too, which follow their snapshot in a transaction of their own.
    """
    past = {}
    for (account, region), newest in snapshots(connection).items():
        rows = list(_rows_of_registry(connection, account, region, facts=facts))
        for number in range(1, newest + 1):
            past[account, region, number] = _hash_until(number, rows)
    return past


def contents(connection: sqlite3.Connection) -> str:
    """A hash of every row of every table."""
    hashed = hashlib.sha256()
    for (table,) in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    ).fetchall():
        hashed.update(table.encode())
        for row in sorted(map(repr, connection.execute(f'SELECT * FROM "{table}"'))):  # noqa: S608
            hashed.update(row.encode())
    return hashed.hexdigest()


def artifacts(connection: sqlite3.Connection) -> set[str]:
    """Digests of what is there now."""
    query = (
        "SELECT DISTINCT algorithm, hash FROM artifact JOIN digest ON digest.id = digest_id "
        "WHERE gone_snapshot IS NULL"
    )
    return {f"{algorithm}:{value.hex()}" for algorithm, value in connection.execute(query)}


def manifests(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """What is stored of each manifest, by digest, unpacked."""
    digests = {
        number: f"{algorithm}:{value.hex()}"
        for number, algorithm, value in connection.execute("SELECT id, algorithm, hash FROM digest")
    }
    types = dict(connection.execute("SELECT id, name FROM media_type").fetchall())
    platforms: dict[int, str | None] = dict(connection.execute("SELECT id, name FROM platform").fetchall())
    sizes = dict(connection.execute("SELECT digest_id, size_bytes FROM blob").fetchall())
    return {
        digests[key]: {
            "media_type": types[media_type],
            "size_bytes": size,
            "subject": digests.get(subject),
            "blobs": [
                (digests[blob], sizes[blob], types[code])
                for blob, code in zip(_numbers(blob_ids, "I"), _numbers(codes, "H"), strict=True)
            ],
            "children": [
                (digests[child], platforms.get(platform))
                for child, platform in zip(_numbers(child_ids, "I"), _numbers(codes_2, "H"), strict=True)
            ],
        }
        for key, media_type, size, subject, blob_ids, codes, child_ids, codes_2 in connection.execute(
            "SELECT digest_id, media_type_id, size_bytes, subject_id, blob_ids, blob_media_types, child_ids, "
            "child_platforms FROM manifest"
        )
    }


def false_manifests(stored: Mapping[str, Mapping[str, Any]], texts: Mapping[str, str]) -> list[str]:
    """Those of ``stored`` that are not what the texts that were ever pushed say, in words.

    Only manifests without a foreign layer, which is what the tests' worlds are made of.
    """
    return [
        f"the manifest {digest} is not what was pushed"
        for digest, found in sorted(stored.items())
        if found != _said(texts.get(digest, ""), digest)
    ]


def _said(text: str, digest: str) -> dict[str, Any] | None:
    if f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" != digest:
        return None
    content = json.loads(text)
    blobs = [content["config"], *content["layers"]] if "layers" in content else []
    return {
        "media_type": content["mediaType"],
        "size_bytes": len(text.encode()),
        "subject": content.get("subject", {}).get("digest"),
        "blobs": [(blob["digest"], blob["size"], blob["mediaType"]) for blob in blobs],
        "children": [
            (child["digest"], f"{child['platform']['os']}/{child['platform']['architecture']}")
            for child in content.get("manifests", [])
        ],
    }


def _numbers(packed: bytes, code: str) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // struct.calcsize(code)}{code}", packed)


def _newest_snapshots(connection: sqlite3.Connection, complaints: list[str]) -> dict[int, int]:
    """Registry id to its newest snapshot's number; the numbers must go from 1 without a hole."""
    numbers: dict[int, list[int]] = defaultdict(list)
    for registry, number in connection.execute(
        "SELECT registry_id, number FROM snapshot ORDER BY registry_id, number"
    ):
        numbers[registry].append(number)
    for registry, found in numbers.items():
        if found != list(range(1, len(found) + 1)):
            complaints.append(f"the snapshots of registry {registry} are numbered {found}")
    return {registry: found[-1] for registry, found in numbers.items()}


def _check_runs(connection: sqlite3.Connection, complaints: list[str]) -> None:
    """A run is complete only if it ended, and left (or took over) a snapshot of each of its registries."""
    for run, status, finished in connection.execute("SELECT id, status, finished_at_ms FROM run"):
        if status in ("complete", "gaps") and finished is None:
            complaints.append(f"run {run} is {status} and has no end")
        if status == "complete":
            gaps = connection.execute(
                "SELECT repository, call, reason FROM gap WHERE run_id = ?", [run]
            ).fetchall()
            complaints += [f"run {run} is complete in spite of {gap}" for gap in gaps]


def _intervals(
    connection: sqlite3.Connection, table: str, newest: Mapping[int, int], complaints: list[str]
) -> Iterator[tuple[tuple[Any, ...], int, int | None]]:
    """Key, first and gone of each interval; those of one key must follow each other."""
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    keys = [column[1] for column in columns if column[5] and column[1] != "first_snapshot"]
    owner = "registry_id" if table in _INTERVALS_OF_REGISTRIES else "repository_id"
    registry_of = (
        {registry: registry for registry in newest}
        if owner == "registry_id"
        else dict(connection.execute("SELECT id, registry_id FROM repository").fetchall())
    )
    query = (
        f"SELECT first_snapshot, gone_snapshot, {', '.join(keys)} FROM {table} ORDER BY {', '.join(keys)}, 1"  # noqa: S608
    )
    before: tuple[tuple[Any, ...], int | None] | None = None
    for first, gone, *key in connection.execute(query).fetchall():
        known = tuple(key)
        last = newest.get(registry_of.get(known[keys.index(owner)], 0), 0)
        if not 1 <= first <= last or (gone is not None and not first < gone <= last):
            complaints.append(f"{table} {known} holds from {first} to {gone}; the last snapshot is {last}")
        if before is not None and before[0] == known and (before[1] is None or before[1] > first):
            complaints.append(f"{table} {known} has overlapping intervals, one of them from {first}")
        before = known, gone
        yield known, first, gone


def _check_containment(
    connection: sqlite3.Connection,
    intervals: Mapping[str, list[tuple[tuple[Any, ...], int, int | None]]],
    complaints: list[str],
) -> None:
    """What a repository holds it holds while it is there; tags, pulls and scans are of what is there."""
    repositories, artifacts = defaultdict(list), defaultdict(list)
    for (repository,), first, gone in intervals["repository_read"]:
        repositories[repository].append((first, gone))
    for key, first, gone in intervals["artifact"]:
        artifacts[key].append((first, gone))
    for table in _INTERVALS_OF_REPOSITORIES[1:]:
        for key, first, gone in intervals[table]:
            if not _is_within(first, gone, repositories[key[0]]):
                complaints.append(f"{table} {key} from {first} to {gone} outlasts its repository")
    for table in ("artifact_pull", "artifact_scan"):
        for key, first, gone in intervals[table]:
            if not _is_within(first, gone, artifacts[key]):
                complaints.append(f"{table} {key} from {first} to {gone} is of nothing that is there")
    query = "SELECT repository_id, digest_id, tag_name_id, first_snapshot, gone_snapshot FROM tag"
    for repository, digest, tag, first, gone in connection.execute(query):
        if not _is_within(first, gone, artifacts[repository, digest]):
            complaints.append(f"tag {tag} of {repository} from {first} to {gone} is on nothing that is there")


def _is_within(first: int, gone: int | None, spans: list[tuple[int, int | None]]) -> bool:
    """Whether the ``spans``, in order, cover all from ``first`` to ``gone``."""
    reached = first
    for start, end in spans:
        if start <= reached and (end is None or end > reached):
            if end is None:
                return True
            reached = end
    return gone is not None and reached >= gone


def _check_packed_ids(connection: sqlite3.Connection, complaints: list[str]) -> None:
    """What foreign keys cannot see: the ids that are packed into arrays."""
    digests = {row[0] for row in connection.execute("SELECT id FROM digest")}
    blobs = {row[0] for row in connection.execute("SELECT digest_id FROM blob")}
    for key, packed, children in connection.execute("SELECT digest_id, blob_ids, child_ids FROM manifest"):
        if not set(_numbers(packed, "I")) <= blobs:
            complaints.append(f"manifest {key} names a blob that is not there")
        if not set(_numbers(children, "I")) <= digests:
            complaints.append(f"manifest {key} names a child that is not there")


def _rows_of_registry(
    connection: sqlite3.Connection, account: str, region: str, *, facts: bool
) -> Iterator[tuple[int, int | None, str]]:
    """First and gone of every row that is about the registry, with all else that it says."""
    (registry,) = connection.execute(
        "SELECT id FROM registry WHERE account = ? AND region = ?", (account, region)
    ).fetchone()
    tables = [(table, "registry_id = ?") for table in _INTERVALS_OF_REGISTRIES]
    mine = "repository_id IN (SELECT id FROM repository WHERE registry_id = ?)"
    tables += [(table, mine) for table in _INTERVALS_OF_REPOSITORIES]
    for table, condition in tables:
        if table.endswith("_fact") and not facts:
            continue
        names = [column[1] for column in connection.execute(f"PRAGMA table_info({table})")]
        rest = [name for name in names if name not in ("first_snapshot", "gone_snapshot")]
        query = f"SELECT first_snapshot, gone_snapshot, {', '.join(rest)} FROM {table} WHERE {condition}"  # noqa: S608
        for first, gone, *values in connection.execute(query, [registry]):
            yield first, gone, f"{table} {values}"
    for number, *values in connection.execute(
        "SELECT number, run_id, taken_at_ms, status FROM snapshot WHERE registry_id = ?", [registry]
    ):
        yield number, None, f"snapshot {values}"
    query = (
        "SELECT number, repository, call, reason, detail, count FROM gap "
        "JOIN snapshot USING (run_id, registry_id) WHERE registry_id = ?"
    )
    for number, *values in connection.execute(query, [registry]):
        yield number, None, f"gap {values}"


def false_facts(connection: sqlite3.Connection) -> list[str]:
    """Each repository whose aggregates in force do not count what is there, in words."""
    query = """
        SELECT r.repository_id, f.images + f.indexes + f.referrers + f.unknown, (
            SELECT count(*) FROM artifact a
            WHERE a.repository_id = r.repository_id AND a.gone_snapshot IS NULL
        )
        FROM repository_read r
        LEFT JOIN repository_fact f ON f.repository_id = r.repository_id AND f.gone_snapshot IS NULL
        WHERE r.gone_snapshot IS NULL
    """
    return [
        f"repository {key} holds {real} artifacts, and its facts count {counted}"
        for key, counted, real in connection.execute(query)
        if counted != real
    ]


def _hash_until(number: int, rows: list[tuple[int, int | None, str]]) -> str:
    told = sorted(
        f"{first} {None if gone is None or gone > number else gone} {text}"
        for first, gone, text in rows
        if first <= number
    )
    return hashlib.sha256("\n".join(told).encode()).hexdigest()
