"""Connections: SQLite with its safety catches on, or PostgreSQL."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from analyzer.errors import InputError, RunError

#: File systems on which SQLite's locks do not hold between hosts.
_NETWORK_FILE_SYSTEMS = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRESQL = ("postgresql", "postgresql+psycopg")
_USE = "use sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
_WRITE = "demurrage_write"
#: Number of the lock that keeps two upgrades of one PostgreSQL database apart.
_UPGRADE_LOCK = 0x64656D75
_MOUNTS = Path("/proc/self/mountinfo")


class Database:
    """One database: hands out read and write transactions, and is safe to use from threads."""

    def __init__(self, url: str, *, busy_seconds: float = 30.0, mounts: Path = _MOUNTS) -> None:
        """Prepare ``url`` (an SQLAlchemy URL); raises InputError when it cannot be used.

        ``busy_seconds`` is how long SQLite waits for another process's write to end; ``mounts``
        lists the mounted file systems, in the form of Linux's mountinfo.
        """
        self.engine = _create_engine(url, busy_seconds, mounts)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        #: SQLite has one writer: threads of this process queue here and not on a busy timeout.
        self._writer = threading.Lock()

    @property
    def label(self) -> str:
        """The URL without its password and its options (which may hold one), for messages."""
        return _label(self.engine.url)

    @property
    def is_missing(self) -> bool:
        """Whether it is an SQLite file that does not exist yet; connecting would make an empty one."""
        return self.is_sqlite and not Path(self.engine.url.database or "").exists()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one unchanging state of the database until it is closed."""
        with self.translated(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a write transaction, committed at the end, undone on any exception."""
        turn = self._writer if self.is_sqlite else nullcontext()
        with self.translated(), turn, self.engine.connect() as connection:
            connection.execution_options(**{_WRITE: True})
            with connection.begin():
                yield connection

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A connection for Alembic, in no transaction yet; of several processes one at a time.

        On SQLite foreign keys are off: rebuilding a table drops it, which they would forbid. Every
        transaction begins as a writer, so that the version is read under the same lock as changed.
        """
        with self.translated(), self.engine.connect() as connection:
            connection.execution_options(**{_WRITE: True})
            try:
                if self.is_sqlite:
                    # Does nothing inside a transaction, so it goes past SQLAlchemy, which begins one.
                    connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
                else:
                    connection.exec_driver_sql("SELECT pg_advisory_lock(%s)", (_UPGRADE_LOCK,))
                    connection.commit()
                yield connection
            finally:
                # Neither the switch nor the lock may go back to the pool.
                connection.invalidate()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns what the database library raises into RunError, one line without a password."""
        try:
            yield
        except (DBAPIError, PoolTimeoutError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise RunError(f"the database {self.label} failed: {_first_line(reason)}") from error


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def _label(url: URL) -> str:
    return url.set(query={}).render_as_string(hide_password=True)


def _create_engine(url: str, busy_seconds: float, mounts: Path) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # The URL is not repeated: what cannot be parsed may hold a password anywhere.
        raise InputError(f"--db is not a database URL; {_USE}") from error
    if parsed.drivername in _SQLITE:
        return _sqlite(parsed, busy_seconds, mounts)
    if parsed.drivername not in _POSTGRESQL:
        raise InputError(f"--db {_label(parsed)}: only SQLite and PostgreSQL (psycopg) are supported; {_USE}")
    try:
        return create_engine(parsed.set(drivername="postgresql+psycopg"))
    except ModuleNotFoundError as error:
        raise InputError(
            f"--db {_label(parsed)}: the module {error.name} is not installed; "
            'run: pip install "demurrage[postgres]"'
        ) from error


def _sqlite(url: URL, busy_seconds: float, mounts: Path) -> Engine:
    name, label = url.database, _label(url)
    if not name or name == ":memory:" or url.host:
        raise InputError(f"--db {label} names no file (a database in memory keeps no history); {_USE}")
    if name.startswith("file:"):
        raise InputError(f"--db {label}: SQLite's own file: URIs are not supported; {_USE}")
    file = Path(name).resolve()
    if not file.parent.is_dir():
        raise InputError(f"--db {label}: the folder {file.parent} does not exist; create it first")
    kind = _file_system(file.parent, mounts)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise InputError(
            f"--db {label}: {file.parent} is on a network file system ({kind}), where SQLite's locks do "
            "not hold; use a local disk, or PostgreSQL"
        )
    engine = create_engine(url, connect_args={"timeout": busy_seconds})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # Python's own transaction control begins only before some statements (not DDL, not SELECT); with
    # None it keeps out of the way, and _begin_sqlite says BEGIN (SQLAlchemy's documented way).
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        # In pages, 40 MB: new digests land all over their index, and the default of 1,000 pages
        # writes the same pages back after every batch.
        "PRAGMA wal_autocheckpoint=10000",
    ):
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _file_system(folder: Path, mounts: Path) -> str:
    """Type of the file system that holds ``folder``, "" where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        # "… 4: mount point … - 0: file system type" (proc(5)); a space is written \040, and so on.
        before, dash, after = line.partition(" - ")
        if not dash:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), before.split()[4]))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind
