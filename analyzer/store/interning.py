"""Texts that are stored once: digests, tag names, media types, platforms, setting values.

Rows here are append-only and committed in small transactions of their own, before anything that
refers to them. Each batch is written in sorted order, so that two collectors inserting the same
rows into PostgreSQL wait for each other and never deadlock.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select

from analyzer.store import tables
from analyzer.store.bulk import insert_rows, rows_where_in
from analyzer.store.engine import Database

#: Algorithm and bytes of a digest.
_Parts = tuple[str, bytes]

_DIGESTS = select(tables.digest.c.algorithm, tables.digest.c.hash, tables.digest.c.id)

#: Digests remembered between batches: base layers come back in every image.
_REMEMBERED = 200_000


def split_digest(digest: str) -> tuple[str, bytes]:
    """Algorithm and bytes of ``algorithm:hex`` (lower case); raises ValueError for anything else."""
    algorithm, _, hexadecimal = digest.partition(":")
    value = bytes.fromhex(hexadecimal)
    # fromhex takes capitals and spaces too; two spellings of one digest would be two digests.
    if not algorithm or not value or value.hex() != hexadecimal:
        raise ValueError(f"{digest!r} is not a digest")
    return algorithm, value


def join_digest(algorithm: str, value: bytes) -> str:
    """The text of a digest, the inverse of ``split_digest``."""
    return f"{algorithm}:{value.hex()}"


class Interner:
    """Ids of texts, in one database; safe to use from threads."""

    def __init__(self, database: Database) -> None:
        """Intern into ``database``."""
        self._database = database
        self._digests: dict[str, int] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def digests(self, digests: Iterable[str]) -> dict[str, int]:
        """Ids of ``digests``, new ones being stored."""
        wanted = set(digests)
        known = self._digests
        ids = {digest: known[digest] for digest in wanted if digest in known}
        missing = wanted - ids.keys()
        if missing:
            found = self._find_or_add_digests({split_digest(digest): digest for digest in missing})
            with self._lock:
                if len(self._digests) + len(found) > _REMEMBERED:
                    self._digests = {}
                self._digests.update(found)
            ids |= found
        return ids

    def _find_or_add_digests(self, parts: Mapping[_Parts, str]) -> dict[str, int]:
        if self._database.is_sqlite:
            # There is one writer: what this transaction does not find, nobody else is adding, so
            # the ids can be given out here and need not be read back.
            with self._database.write() as connection:
                found = _find_digests(connection, parts)
                new = _in_order(parts, found)
                last = connection.execute(select(func.max(tables.digest.c.id))).scalar() or 0
                ids = {text: last + number for number, (_, _, text) in enumerate(new, start=1)}
                rows = [{"id": ids[text], "algorithm": a, "hash": value} for value, a, text in new]
                insert_rows(connection, tables.digest, rows)
            return found | ids
        with self._database.read() as connection:
            found = _find_digests(connection, parts)
        new = _in_order(parts, found)
        if new:
            with self._database.write() as connection:
                rows = [{"algorithm": algorithm, "hash": value} for value, algorithm, _ in new]
                insert_rows(connection, tables.digest, rows, only_new=True)
                found |= _find_digests(connection, {(a, value): text for value, a, text in new})
        return found

    def names(self, table: Table, names: Iterable[str]) -> dict[str, int]:
        """Ids of ``names`` in ``table`` (media_type, platform, tag_name), new ones being stored."""
        wanted = set(names)
        ids = {name: self._names[table.name, name] for name in wanted if (table.name, name) in self._names}
        missing = sorted(wanted - ids.keys())
        if missing:
            found = self._find_or_add(table, "name", {name: {"name": name} for name in missing})
            # Tag names are without end (one per build), so only the short lists are remembered.
            if table is not tables.tag_name:
                self._names.update({(table.name, name): key for name, key in found.items()})
            ids |= found
        return ids

    def values(self, values: Iterable[str]) -> dict[str, int]:
        """Ids of setting values (canonical JSON texts), new ones being stored."""
        texts = {hashlib.sha256(value.encode()).digest(): value for value in values}
        rows = {key: {"sha256": key, "value": texts[key]} for key in sorted(texts)}
        ids = self._find_or_add(tables.setting_value, "sha256", rows)
        return {texts[key]: value for key, value in ids.items()}

    def _find_or_add(self, table: Table, column: str, rows: Mapping[Any, dict[str, Any]]) -> dict[Any, int]:
        with self._database.read() as connection:
            found = _find(connection, table, column, list(rows))
        new = [row for key, row in rows.items() if key not in found]
        if new:
            with self._database.write() as connection:
                insert_rows(connection, table, new, only_new=True)
                found |= _find(connection, table, column, [row[column] for row in new])
        return found


def _find(connection: Connection, table: Table, column: str, keys: Sequence[Any]) -> dict[Any, int]:
    return dict(rows_where_in(connection, _ids_by(table, column), table.c[column], keys))


@lru_cache(maxsize=16)
def _ids_by(table: Table, column: str) -> Select[Any]:
    return select(table.c[column], table.c.id)


def _find_digests(connection: Connection, parts: Mapping[_Parts, str]) -> dict[str, int]:
    """Ids of those of ``parts`` (with their texts) that are stored, by text."""
    table = tables.digest
    rows = rows_where_in(connection, _DIGESTS, table.c.hash, [value for _, value in parts])
    # One hash under another algorithm is another digest.
    return {parts[algorithm, value]: key for algorithm, value, key in rows if (algorithm, value) in parts}


def _in_order(parts: Mapping[_Parts, str], found: Mapping[str, int]) -> list[tuple[bytes, str, str]]:
    """(bytes, algorithm, text) of those that were not found, sorted."""
    return sorted((value, algorithm, text) for (algorithm, value), text in parts.items() if text not in found)
