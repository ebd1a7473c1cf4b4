"""Many rows at a time, past the part of SQLAlchemy that handles them one by one.

The statements are SQLAlchemy's own, compiled once; the values go to the driver as they are. For
integers, text and bytes that is the same thing, at a third of the time. PostgreSQL takes many rows
by COPY, and many keys as arrays in one statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Select,
    Table,
    Update,
    any_,
    bindparam,
    cast,
    func,
    insert,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from analyzer.store.copying import copy_new_rows, copy_rows

#: Values in one IN list; SQLite takes 32,766 parameters, and parsing long lists is no gain.
_CHUNK = 500
#: Values in one array of PostgreSQL's.
_ARRAY = 10_000
#: Rows from which on COPY is quicker than INSERTs: straight away, and past those that are there.
_COPY_FROM = 20
_COPY_NEW_FROM = 200


def chunks(values: Sequence[Any], size: int = _CHUNK) -> Iterator[Sequence[Any]]:
    """``values`` in runs of at most ``size``."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, only_new: bool = False
) -> None:
    """Insert ``rows``, all of the same columns; with ``only_new`` those that are there stay."""
    if rows:
        columns = tuple(rows[0])
        values = [tuple(row.values()) for row in rows]
        insert_values(connection, table, columns, values, only_new=only_new)


def insert_values(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: list[tuple[Any, ...]],
    *,
    only_new: bool = False,
) -> None:
    """The same for rows that hold the values of ``columns`` in that order."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        if not only_new and len(rows) >= _COPY_FROM:
            copy_rows(connection, table, columns, rows)
            return
        if only_new and len(rows) >= _COPY_NEW_FROM:
            copy_new_rows(connection, table, columns, rows)
            return
    sql, order = _insert(connection.dialect, table, columns, only_new=only_new)
    if order is None:
        connection.exec_driver_sql(sql, [dict(zip(columns, row, strict=True)) for row in rows])
    elif order == columns:
        connection.exec_driver_sql(sql, rows)
    else:
        places = [columns.index(name) for name in order]
        connection.exec_driver_sql(sql, [tuple(row[place] for place in places) for row in rows])


def rows_where_in(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], values: Sequence[Any]
) -> Iterator[Any]:
    """The rows of ``query`` (which has no parameters) whose ``column`` is one of ``values``.

    ``query`` is compiled once for as long as it lives: make it once, at the head of a module.
    """
    if connection.dialect.name != "sqlite":
        wanted = query.where(column == any_(bindparam("values", type_=postgresql.ARRAY(column.type))))
        for chunk in chunks(values, _ARRAY):
            yield from connection.execute(wanted, {"values": list(chunk)}).cursor.fetchall()
        return
    head, tail = _around_list(connection.dialect, query, column)
    for chunk in chunks(values):
        sql = f"{head}({', '.join('?' * len(chunk))}){tail}"
        yield from connection.exec_driver_sql(sql, tuple(chunk)).all()


def close_intervals(
    connection: Connection, table: Table, keys: Sequence[dict[str, Any]], snapshot: int
) -> None:
    """End the open intervals of ``table`` that ``keys`` (all of the same columns) name at ``snapshot``."""
    if not keys:
        return
    names = tuple(keys[0])
    if connection.dialect.name == "sqlite":
        rows = [{f"_{name}": value for name, value in key.items()} for key in keys]
        connection.execute(_close_one(table, names), [{**row, "_gone": snapshot} for row in rows])
        return
    for chunk in chunks(keys, _ARRAY):
        columns: dict[str, Any] = {f"_{name}": [key[name] for key in chunk] for name in names}
        connection.execute(_close_all(table, names), {**columns, "_gone": snapshot})


@lru_cache(maxsize=32)
def _close_one(table: Table, names: tuple[str, ...]) -> Update:
    mine = (table.c[name] == bindparam(f"_{name}") for name in names)
    return (
        update(table).where(*mine, table.c.gone_snapshot.is_(None)).values(gone_snapshot=bindparam("_gone"))
    )


@lru_cache(maxsize=32)
def _close_all(table: Table, names: tuple[str, ...]) -> Update:
    """The same for arrays of keys, side by side."""
    arrays = (cast(bindparam(f"_{name}"), postgresql.ARRAY(table.c[name].type)) for name in names)
    keys = func.unnest(*arrays).table_valued(*names, name="keys").render_derived()
    mine = (table.c[name] == keys.c[name] for name in names)
    return (
        update(table).where(*mine, table.c.gone_snapshot.is_(None)).values(gone_snapshot=bindparam("_gone"))
    )


@lru_cache(maxsize=128)
def _insert(
    dialect: Dialect, table: Table, columns: tuple[str, ...], *, only_new: bool
) -> tuple[str, tuple[str, ...] | None]:
    """The statement, and the order of its positional parameters (None where they are named)."""
    statement: Any = insert(table)
    if only_new:
        maker: Any = sqlite if dialect.name == "sqlite" else postgresql
        statement = maker.insert(table).on_conflict_do_nothing()
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    positions = compiled.positiontup
    return str(compiled), None if positions is None else tuple(positions)


@lru_cache(maxsize=32)
def _around_list(dialect: Dialect, query: Select[Any], column: ColumnElement[Any]) -> tuple[str, str]:
    """What stands before and behind the list of values."""
    # Compiled for one value, whose mark is then repeated: compiling hundreds is what takes time.
    compiled = str(query.where(column.in_([bindparam("value")])).compile(dialect=dialect))
    head, mark, tail = compiled.rpartition("(?)")
    if not mark or "?" in head + tail:
        raise ValueError("the query has parameters of its own")
    return head, tail
