"""Texts that are stored once: digests, tag names, media types, platforms, setting values.

Rows here are append-only and committed in small transactions of their own, before anything that
refers to them. Each batch is written in sorted order, so that two collectors inserting the same
rows into PostgreSQL wait for each other and never deadlock.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select

from analyzer.store import tables
from analyzer.store.bulk import insert_rows, insert_values, rows_where_in
from analyzer.store.engine import Database

#: Algorithm and bytes of a digest.
_Parts = tuple[str, bytes]

_DIGESTS = select(tables.digest.c.algorithm, tables.digest.c.hash, tables.digest.c.id)

_BY_ID = select(tables.digest.c.id, tables.digest.c.algorithm, tables.digest.c.hash)
#: From so many on the digests of ids are read all together.
_MANY = 50_000

#: Digests remembered between batches: base layers come back in every image.
_REMEMBERED = 200_000


def split_digest(digest: str) -> tuple[str, bytes]:
    """Algorithm and bytes of ``algorithm:hex`` (lower case); raises ValueError for anything else."""
    # fromhex takes capitals and spaces too; two spellings of one digest would be two digests.
    if digest.startswith("sha256:") and digest.islower():
        value = bytes.fromhex(digest[7:])
        if len(value) == 32 and len(digest) == 71:
            return "sha256", value
    algorithm, _, hexadecimal = digest.partition(":")
    value = bytes.fromhex(hexadecimal)
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

    def digests(self, digests: Iterable[str]) -> Mapping[str, int]:
        """Ids of ``digests``, new ones being stored; of others too, which happen to be at hand."""
        wanted = digests if isinstance(digests, set) else set(digests)
        known = self._digests
        # Not a difference of the keys: that goes through all that are known, and not through those wanted.
        missing = wanted.difference(known)
        if not missing:
            return known
        found = self._find_or_add_digests(missing)
        with self._lock:
            known = self._digests
            if len(known) + len(found) > _REMEMBERED:
                # Who holds the old one may go on reading it.
                known = self._digests = {digest: known[digest] for digest in wanted if digest in known}
            known.update(found)
        # Another thread may have begun anew in between.
        return known if all(map(known.__contains__, wanted)) else self.digests(wanted)

    def _find_or_add_digests(self, digests: Collection[str]) -> dict[str, int]:
        # Two collectors that write in the same order wait for each other and never deadlock.
        ordered = sorted(digests)
        parts = dict(zip(map(split_digest, ordered), ordered, strict=True))
        if self._database.is_sqlite:
            # There is one writer: what this transaction does not find, nobody else is adding, so
            # the ids can be given out here and need not be read back.
            with self._database.write() as connection:
                found = _find_digests(connection, parts)
                last = connection.execute(select(func.max(tables.digest.c.id))).scalar() or 0
                new = [(text, part) for part, text in parts.items() if text not in found]
                rows = [(key, *part) for key, (_, part) in enumerate(new, start=last + 1)]
                insert_values(connection, tables.digest, ("id", "algorithm", "hash"), rows)
            found.update(zip((text for text, _ in new), range(last + 1, last + 1 + len(new)), strict=True))
            return found
        with self._database.read() as connection:
            found = _find_digests(connection, parts)
        added = {part: text for part, text in parts.items() if text not in found}
        if added:
            with self._database.write() as connection:
                insert_values(connection, tables.digest, ("algorithm", "hash"), list(added), only_new=True)
                found |= _find_digests(connection, added)
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


def digest_ids(connection: Connection, digests: Iterable[str]) -> dict[str, int]:
    """Ids of those of ``digests`` that are stored; what is no digest is not."""
    parts: dict[_Parts, str] = {}
    for digest in digests:
        with suppress(ValueError):
            parts[split_digest(digest)] = digest
    return _find_digests(connection, parts)


def digest_rows(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[int, str, bytes]]:
    """(id, algorithm, bytes) of the digests ``ids``, in no particular order."""
    table = tables.digest
    if len(ids) <= _MANY:
        for key, algorithm, value in rows_where_in(connection, _BY_ID, table.c.id, ids):
            yield key, algorithm, value
        return
    # One walk through the table costs less than looking so many up.
    wanted = set(ids)
    for key, algorithm, value in connection.execute(_BY_ID).cursor.fetchall():
        if key in wanted:
            yield key, algorithm, value
