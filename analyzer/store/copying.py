"""PostgreSQL's COPY: rows in bulk, in binary, past everything that handles them one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Connection, Integer, LargeBinary, SmallInteger, String, Table

if TYPE_CHECKING:
    from psycopg.sql import Composed

#: PostgreSQL's names of the types that our tables are made of; the first that fits holds.
_TYPES = (
    (BigInteger, "int8"),
    (SmallInteger, "int2"),
    (Integer, "int4"),
    (LargeBinary, "bytea"),
    (String, "text"),
)
_ORDINAL = "demurrage_ordinal"


def copy_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Iterable[Sequence[Any]]
) -> None:
    """Add ``rows``, the values of ``columns``, to ``table``; every one of them must be new."""
    cursor = connection.connection.cursor()
    try:
        _copy(cursor, _into(table.name, columns), _types(table, columns), rows)
    finally:
        cursor.close()


def copy_new_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> None:
    """The same, but rows whose key is there already are left out.

    Rows are added in the order given, as single INSERTs would: two writers of the same rows in the
    same order wait for each other, in different orders they would deadlock.
    """
    create, fill, move, drop = _through_temporary(table.name, columns)
    cursor: Any = connection.connection.cursor()
    try:
        cursor.execute(create)
        numbered = ((number, *row) for number, row in enumerate(rows))
        _copy(cursor, fill, ("int4", *_types(table, columns)), numbered)
        cursor.execute(move)
        cursor.execute(drop)
    finally:
        cursor.close()


def lock_tables(connection: Connection, tables: Sequence[Table]) -> None:
    """Let nobody else write ``tables`` until the transaction ends; reading goes on."""
    from psycopg.sql import SQL, Identifier

    names = SQL(", ").join(Identifier(table.name) for table in tables)
    lock = SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(names)
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.execute(lock)


def _copy(cursor: Any, statement: Composed, types: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with cursor.copy(statement) as copy:
        copy.set_types(types)
        write = copy.write_row
        for row in rows:
            write(row)


@lru_cache(maxsize=128)
def _types(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        next(name for kind, name in _TYPES if isinstance(table.c[column].type, kind)) for column in columns
    )


@lru_cache(maxsize=128)
def _into(table: str, columns: tuple[str, ...]) -> Composed:
    from psycopg.sql import SQL

    return SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(*_names(table, columns))


@lru_cache(maxsize=128)
def _through_temporary(table: str, columns: tuple[str, ...]) -> tuple[Composed, Composed, Composed, Composed]:
    """Statements that make a temporary table like ``table``, fill it, move its rows on, and drop it."""
    from psycopg.sql import SQL, Identifier

    temporary, ordinal = f"demurrage_new_{table}", Identifier(_ORDINAL)
    names = {"table": Identifier(table), "temporary": Identifier(temporary), "ordinal": ordinal}
    names["columns"] = _names(table, columns)[1]
    return (
        # Of the same types, and without a constraint to check twice. The transaction's end would drop
        # it too, but the same transaction may come with more.
        SQL(
            "CREATE TEMPORARY TABLE {temporary} ON COMMIT DROP AS"
            " SELECT 0 AS {ordinal}, {columns} FROM {table} WITH NO DATA"
        ).format(**names),
        _into(temporary, (_ORDINAL, *columns)),
        SQL(
            "INSERT INTO {table} ({columns}) SELECT {columns} FROM {temporary} ORDER BY {ordinal}"
            " ON CONFLICT DO NOTHING"
        ).format(**names),
        SQL("DROP TABLE {temporary}").format(**names),
    )


def _names(table: str, columns: tuple[str, ...]) -> tuple[Any, Any]:
    from psycopg.sql import SQL, Identifier

    return Identifier(table), SQL(", ").join(map(Identifier, columns))
