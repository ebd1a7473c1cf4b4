"""Opening a database for work: it is there, and its schema is the one that this program knows."""

from __future__ import annotations

from sqlalchemy import select

from analyzer.errors import InputError
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.schema import SchemaStatus, require_current_schema, schema_status, upgrade_schema


def open_database(url: str, *, create: bool = False) -> Database:
    """The database at ``url``, its schema checked.

    With ``create`` an empty one is set up, and one whose setting up was cut short: nothing can be lost
    by that, and the first night should need no preparation. Raises InputError when it cannot be used,
    SchemaError when its schema is older (saying what to run) or newer.
    """
    database = Database(url)
    if not create and database.is_missing:
        raise InputError(
            f"there is no database {database.label}; name another with --db, or run: demurrage collect"
        )
    try:
        if create and _is_to_be_set_up(database, schema_status(database)):
            upgrade_schema(database)
        require_current_schema(database)
        if create:
            # A copy made by SQL need not have kept it.
            database.use_wal()
    except BaseException:
        # Nobody else has it to close its connections.
        database.engine.dispose()
        raise
    return database


def _is_to_be_set_up(database: Database, status: SchemaStatus) -> bool:
    """Whether nobody ever worked with the database."""
    if status.empty or status.current is None or status.is_current or not status.known:
        return status.empty
    # Each migration is a transaction of its own, and whoever made them may have been killed in between.
    with database.read() as connection:
        return connection.execute(select(tables.run.c.id).limit(1)).first() is None
