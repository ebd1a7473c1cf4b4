"""Opening a database for work: it is there, and its schema is the one that this program knows."""

from __future__ import annotations

from analyzer.errors import InputError
from analyzer.store.engine import Database
from analyzer.store.schema import require_current_schema, schema_status, upgrade_schema


def open_database(url: str, *, create: bool = False) -> Database:
    """The database at ``url``, its schema checked.

    With ``create`` an empty one is set up: nothing can be lost by that, and the first night should
    need no preparation. Raises InputError when it cannot be used, SchemaError when its schema is
    older (saying what to run) or newer.
    """
    database = Database(url)
    if not create and database.is_missing:
        raise InputError(
            f"there is no database {database.label}; name another with --db, or run: demurrage collect"
        )
    try:
        if create and schema_status(database).empty:
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
