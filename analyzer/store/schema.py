"""The version of the schema: where a database stands, and bringing it forward with Alembic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import ColumnClause, column, inspect, select, table
from sqlalchemy.exc import DBAPIError

from analyzer.errors import RunError, SchemaError
from analyzer.store.engine import ChangedError, Database

if TYPE_CHECKING:
    from alembic.config import Config

#: Where the revision is kept: not Alembic's usual name, which other programs' databases have too.
VERSION_TABLE = "demurrage_schema"

#: The last revision in the folder of migrations: what the program works with.
REVISION = "0007"

#: How often the version is looked for in a file that somebody writes just then.
_LOOKS = 5


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database's schema stands."""

    #: Revision of the database, None while it is empty.
    current: str | None
    #: Revision this program works with.
    expected: str
    #: Whether this program knows ``current``.
    known: bool
    #: Nothing at all is in the database.
    empty: bool

    @property
    def is_current(self) -> bool:
        """Whether the program can work with the database as it is."""
        return self.current == self.expected


def migrations_folder() -> Path:
    """Where the migrations are: inside the installed package, or at the top of the source tree."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def schema_status(database: Database, folder: Path | None = None) -> SchemaStatus:
    """Compare the schema of ``database`` with what this program expects."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config(folder))
    expected = scripts.get_current_head()
    if expected is None:
        raise SchemaError("this installation of demurrage contains no migrations; install it again")
    current, empty = _look(database)
    known = current is None or any(script.revision == current for script in scripts.walk_revisions())
    return SchemaStatus(current, expected, known, empty)


def _look(database: Database) -> tuple[str | None, bool]:
    """The revision, if there is one, and whether the database is empty; leaves no trace in a file."""
    if database.is_missing:
        return None, True
    for _ in range(_LOOKS - 1):
        try:
            return _look_once(database)
        except ChangedError:
            continue
    return _look_once(database)


def _look_once(database: Database) -> tuple[str | None, bool]:
    from alembic.runtime.migration import MigrationContext

    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        current = context.get_current_revision()
        about = inspect(connection)
        return current, current is None and not (about.get_table_names() or about.get_view_names())


def require_current_schema(database: Database) -> None:
    """Raise SchemaError, saying what to do, unless the program can work with ``database``."""
    # Alembic takes half a second to import, and nearly every command finds nothing for it to do.
    if _is_plainly_current(database):
        database.adopt()
        return
    status = schema_status(database)
    if status.is_current:
        database.adopt()
        return
    raise schema_error(database, status)


def schema_error(database: Database, status: SchemaStatus) -> SchemaError:
    """Why the program cannot work with ``database``, whose ``status`` is not the current one."""
    if status.empty:
        return SchemaError(f"the database {database.label} is empty; run: demurrage collect")
    if status.current is None:
        return SchemaError(
            f"{database.label} holds tables but not those of demurrage; point --db to a database of its own"
        )
    if not status.known:
        return SchemaError(
            f"the schema of {database.label} ({status.current}) is newer than this demurrage knows "
            f"({status.expected}); upgrade demurrage"
        )
    return SchemaError(
        f"the schema of {database.label} is {status.current}, this demurrage needs {status.expected}; "
        "run: demurrage db upgrade"
    )


def _is_plainly_current(database: Database) -> bool:
    """Whether a plain look finds the right revision; that it does not can have any reason."""
    version: ColumnClause[str] = column("version_num")
    try:
        if database.is_missing:
            return False
        with database.read() as connection:
            return connection.execute(select(version).select_from(table(VERSION_TABLE, version))).all() == [
                (REVISION,)
            ]
    except (DBAPIError, RunError):
        return False


def upgrade_schema(database: Database, folder: Path | None = None) -> SchemaStatus:
    """Bring ``database`` to the schema this program expects; each migration is all or nothing.

    Raises SchemaError when the database is newer than this program or not its own.
    """
    from alembic import command

    status = schema_status(database, folder)
    if not status.known or (status.current is None and not status.empty):
        require_current_schema(database)
    if not status.is_current:
        config = _config(folder)
        config.attributes["database"] = database
        command.upgrade(config, "head")
    return schema_status(database, folder)


def _config(folder: Path | None) -> Config:
    from alembic.config import Config

    config = Config()
    # ConfigParser takes a % for the start of an interpolation.
    config.set_main_option("script_location", str(folder or migrations_folder()).replace("%", "%%"))
    return config
