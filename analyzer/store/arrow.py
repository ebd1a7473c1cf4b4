"""Bulk reads from PostgreSQL through ADBC: whole columns as Arrow arrays, no Python object per value.

ADBC speaks to the server through a connection of its own. So that an answer is of one moment all
the same, the transaction of psycopg's connection exports its snapshot and ADBC's takes it over
(PostgreSQL, "Snapshot Synchronization Functions"). Opening that connection takes longer than reading
a small database through psycopg, which is therefore read that way; so is every one where ADBC is not
installed or gets no connection of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, cast, func, select
from sqlalchemy.dialects.postgresql import REGCLASS

from analyzer.errors import RunError
from analyzer.store import tables

#: Name of the execution option that hands a connection's `ArrowReader` to whoever reads in bulk.
OPTION = "demurrage_arrow"
#: Bytes of the large tables from which on a second connection pays.
WORTH_BYTES = 32 * 2**20

_LARGE = (tables.artifact, tables.tag, tables.manifest, tables.blob)


class ArrowReader:
    """Reads in the transaction of one connection of psycopg's, opening its own when first asked."""

    def __init__(self, label: str, worth_bytes: int) -> None:
        """Name the database ``label`` in errors; leave one with less than ``worth_bytes`` to psycopg."""
        self._label = label
        self._worth_bytes = worth_bytes
        self._connection: Any = None
        self._cursor: Any = None
        self._asked = False

    def batches(self, connection: Connection, query: Select[Any]) -> Iterator[Any] | None:
        """Record batches of ``query``, whose only parameters are integers and texts.

        None where the database is better read through ``connection`` itself, or cannot be read
        otherwise. Raises RunError when the query fails.
        """
        if not self._asked:
            self._asked = True
            self._connection = self._open(connection)
        if self._connection is None:
            return None
        return self._read(_statement(connection, query))

    def close(self) -> None:
        """End the transaction and close the connection, if there is one."""
        if self._connection is not None:
            if self._cursor is not None:
                # Left in the middle, because something failed.
                self._cursor.close()
            self._connection.close()
            self._connection = None

    def _open(self, connection: Connection) -> Any:
        sizes = sum(
            (func.pg_relation_size(cast(table.name, REGCLASS)) for table in _LARGE), start=func.abs(0)
        )
        if connection.execute(select(sizes)).scalar_one() < self._worth_bytes:
            return None
        try:
            from adbc_driver_manager import Error
            from adbc_driver_postgresql.dbapi import connect
        except ImportError:
            return None
        from psycopg.sql import SQL, Literal

        snapshot = connection.execute(select(func.pg_export_snapshot())).scalar_one()
        take = SQL("SET TRANSACTION SNAPSHOT {}").format(Literal(snapshot)).as_string()
        try:
            # Its own transaction control would begin one that has a snapshot already.
            beside = connect(_address(connection), autocommit=True)
        except Error:
            # Its libpq is not psycopg's: it may lack a way to log in, or the server a free connection.
            return None
        try:
            with beside.cursor() as cursor:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute(take)
        except Error:
            # A pooler between us may have led it to another server.
            beside.close()
            return None
        return beside

    def _read(self, statement: str) -> Iterator[Any]:
        from adbc_driver_manager import Error

        self._cursor = cursor = self._connection.cursor()
        try:
            cursor.execute(statement)
            yield from cursor.fetch_record_batch()
            cursor.close()
        except (Error, OSError) as error:
            # What fails while rows are on their way is Arrow's error, an OSError.
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise RunError(f"the database {self._label} failed: {lines[0].strip()}") from error


def _address(connection: Connection) -> str:
    """How psycopg's connection reached the server, for libpq; the password in it."""
    from psycopg.conninfo import make_conninfo

    info: Any = connection.connection.driver_connection.info  # type: ignore[union-attr]
    # Where several hosts were named, the one that answered: a snapshot is known to its server alone.
    parameters = {**info.get_parameters(), "host": info.host, "port": info.port, "password": info.password}
    if "hostaddr" in parameters:
        parameters["hostaddr"] = info.hostaddr
    return make_conninfo(**{name: value for name, value in parameters.items() if value})


def _statement(connection: Connection, query: Select[Any]) -> str:
    """The text of ``query``; the COPY that ADBC wraps around it takes no parameters.

    Texts are quoted for the server's standard_conforming_strings, which SQLAlchemy asks for: both
    connections come by it in the same way.
    """
    dialect = connection.dialect
    values = query.compile(dialect=dialect).params.values()
    if not all(type(value) in (int, str) for value in values):
        raise TypeError("a bulk read takes integers and texts as parameters and nothing else")
    # What the driver would take for the mark of a parameter is not one here.
    return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})).replace("%%", "%")
