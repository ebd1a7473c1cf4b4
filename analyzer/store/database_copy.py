"""A whole database into another, SQLite or PostgreSQL, and the proof that it arrived.

Everything is written in one transaction of the target, whose tables are locked meanwhile, and from
one read transaction of the source, which may go on being written. Before that transaction commits,
every row is read back from the target: rows are counted, by the database and as they come, and hashed
on either side from what that side's own driver gives, and one difference undoes it all. So a copy
that failed, or was killed, is an empty database, which no command takes for a good one.

Ids are copied as they are, since packed arrays hold them too. Leases are not: whoever writes the
source now does not write the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Integer, Table, func, select

from analyzer.errors import InputError, RunError
from analyzer.store import tables
from analyzer.store.bulk import insert_values
from analyzer.store.copying import lock_tables
from analyzer.store.engine import Database
from analyzer.store.schema import require_current_schema, schema_status, upgrade_schema

_BLOCK = 5_000
_HASH_BYTES = 16
#: In an order in which every row finds what it refers to.
COPIED = tuple(table for table in tables.metadata.sorted_tables if table is not tables.lease)


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds: its rows, and a hash that no order of theirs changes."""

    rows: int
    digest: str


class _Hash:
    """Adds up hashes of rows, so that their order does not matter and their number does."""

    def __init__(self) -> None:
        self._rows = 0
        self._sum = 0

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Count and add ``rows``, tuples of integers, texts, bytes and None."""
        self._rows += len(rows)
        for row in rows:
            # The text of such a tuple is of that tuple alone.
            digest = blake2b(repr(row).encode(), digest_size=_HASH_BYTES).digest()
            self._sum += int.from_bytes(digest, "big")

    def content(self) -> Content:
        """What was added."""
        total = self._sum % (1 << 8 * _HASH_BYTES)
        return Content(self._rows, f"{total:0{2 * _HASH_BYTES}x}")


def copy_database(
    source: Database, target: Database, told: Callable[[str, int], None] = lambda _table, _rows: None
) -> Mapping[str, Content]:
    """Copy all that ``source`` holds into ``target``; what was verified there, by table.

    The target is empty, or has this program's schema and no row; ``told`` hears of each table that was
    written. Raises InputError where it is neither, RunError where what arrived is not what was sent; the
    target holds no row then.
    """
    if schema_status(target).empty:
        upgrade_schema(target)
    require_current_schema(target)
    with source.read() as reading, target.write() as writing:
        _lock(writing)
        _require_no_row(target, writing)
        sent = {}
        for table in COPIED:
            hashed = _Hash()
            columns = tuple(table.c.keys())
            for rows in _blocks(source, reading, table):
                hashed.add(rows)
                insert_values(writing, table, columns, rows)
            sent[table.name] = hashed.content()
            told(table.name, sent[table.name].rows)
        _set_sequences(writing)
        _verify(target, writing, sent)
    if not target.is_sqlite:
        # So that the first questions are planned on what is there.
        with target.outside_transactions() as cursor:
            cursor.execute("ANALYZE")
    return sent


def _verify(target: Database, connection: Connection, sent: Mapping[str, Content]) -> None:
    """Raise RunError unless ``target`` holds what was sent."""
    for table in COPIED:
        hashed = _Hash()
        for rows in _blocks(target, connection, table):
            hashed.add(rows)
        if hashed.content() != sent[table.name]:
            raise RunError(
                f"what arrived in {target.label} is not what was sent: table {table.name} holds "
                f"{hashed.content().rows:,} rows of {sent[table.name].rows:,}, or other ones; all was undone"
            )


def _blocks(database: Database, connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of ``table``, in blocks; on PostgreSQL by a cursor that stays with the server."""
    with database.translated():
        count = connection.execute(select(func.count()).select_from(table)).scalar_one()
        result = connection.execute(select(table).execution_options(stream_results=True))
        # As plain tuples: the text of a row is hashed.
        while rows := [tuple(row) for row in result.fetchmany(_BLOCK)]:
            count -= len(rows)
            yield rows
        result.close()
    if count:
        raise RunError(f"{database.label} gave more or fewer rows of table {table.name} than it holds")


def _lock(connection: Connection) -> None:
    """Nobody else writes until the end; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        lock_tables(connection, tables.metadata.sorted_tables)


def _require_no_row(target: Database, connection: Connection) -> None:
    for table in tables.metadata.sorted_tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise InputError(
                f"--to {target.label} holds data already (table {table.name}); name an empty database"
            )


def _set_sequences(connection: Connection) -> None:
    """Ids that PostgreSQL gives out next come behind those copied."""
    if connection.dialect.name != "postgresql":
        return
    for table in COPIED:
        column = table.c.get("id")
        if column is None or not isinstance(column.type, Integer):
            continue
        last = connection.execute(select(func.max(column))).scalar()
        if last is not None:
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, last)))
