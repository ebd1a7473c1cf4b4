"""Connections: SQLite with its safety catches on, or PostgreSQL.

An SQLite file is looked at before it is believed to be ours, and may be read by somebody who must
not write it. So reads leave no trace until the schema was recognised (`Database.adopt`) or something
was written: the file is opened read-only, and where no other file beside it shows that it is in use,
as one that does not change (``immutable``), which needs no write access to its folder either.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from analyzer.errors import InputError, RunError
from analyzer.store.arrow import OPTION, WORTH_BYTES, ArrowReader

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
#: Where Linux lists the mounted file systems.
MOUNTS = Path("/proc/self/mountinfo")
#: Connections of one process. Nobody holds one while waiting for another, so that who waits gets
#: one in the end; PostgreSQL admits a hundred from all hosts together unless told otherwise, and
#: each of SQLite's takes two file handles.
_CONNECTIONS = 20
#: Far longer than any transaction: hundreds of threads may queue for those connections.
_POOL_SECONDS = 3600.0


class ChangedError(RunError):
    """A file that was read as one that does not change has changed; the answer is not to be used."""


class Database:
    """One database: hands out read and write transactions, and is safe to use from threads."""

    def __init__(
        self,
        url: str,
        *,
        busy_seconds: float = 30.0,
        mounts: Path = MOUNTS,
        arrow_from_bytes: int = WORTH_BYTES,
        option: str = "--db",
    ) -> None:
        """Prepare ``url`` (an SQLAlchemy URL); raises InputError when it cannot be used.

        ``busy_seconds`` is how long SQLite waits for another process's write to end; ``mounts``
        lists the mounted file systems, in the form of Linux's mountinfo; a PostgreSQL database is read
        through ADBC where its large tables take ``arrow_from_bytes`` or more. ``option`` is where the
        user gave the URL, for messages.
        """
        self._option = option
        self.engine = _create_engine(url, busy_seconds, mounts, option)
        # Whoever drops it leaves no connection open.
        weakref.finalize(self, self.engine.dispose)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._arrow_from_bytes = arrow_from_bytes
        #: Whether reads may go through ``engine``, as on PostgreSQL they always may.
        self._is_ours = not self.is_sqlite
        if self.is_sqlite:
            self._file = Path(self.engine.url.database or "").resolve()
            self._immutable = _reading_engine(self._file, "mode=ro&immutable=1", busy_seconds)
            self._read_only = _reading_engine(self._file, "mode=ro", busy_seconds)
        #: What goes past SQLAlchemy raises the driver's own.
        self._driver_error: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        #: SQLite has one writer: threads of this process queue here and not on a busy timeout.
        self._writer = threading.Lock()

    @property
    def label(self) -> str:
        """The URL without its password and its options (which may hold one), for messages."""
        return _label(self.engine.url)

    @property
    def file(self) -> Path:
        """The file of an SQLite database."""
        return self._file

    @property
    def is_missing(self) -> bool:
        """Whether it is an SQLite file that does not exist yet; connecting would make an empty one."""
        return self.is_sqlite and not self._file.exists()

    @property
    def writing_engine(self) -> Engine:
        """An engine every transaction of which may write: for libraries that make their own."""
        return self.engine.execution_options(**{_WRITE: True})

    def adopt(self) -> None:
        """Take the file for this program's own: reads may leave SQLite's files beside it for a while.

        Where it or its folder cannot be written, reads go on without a trace.
        """
        if not self._is_ours:
            self._is_ours = os.access(self._file, os.W_OK) and os.access(self._file.parent, os.W_OK)

    def use_wal(self) -> None:
        """Let SQLite's readers and writer not wait for each other: kept in the file, for good.

        Only for a file that is known to be this program's own: it changes the file's header.
        """
        if self.is_sqlite:
            with self.translated(), self.engine.connect() as connection:
                _use_wal(connection)
            self._is_ours = True

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one unchanging state of the database until it is closed.

        Raises InputError when the file may not be read, or is no database; ChangedError when it was
        read without locks, for want of the right to take any, and somebody wrote it meanwhile.
        """
        if self._is_ours:
            with self._reading(self.engine) as connection:
                yield connection
        elif self._is_in_use():
            with self._reading(self._read_only) as connection:
                yield connection
        else:
            before = _stamp(self._file)
            with self._reading(self._immutable) as connection:
                yield connection
            if _stamp(self._file) != before:
                raise ChangedError(f"the database {self.label} was written while it was read; try again")

    @contextmanager
    def _reading(self, engine: Engine) -> Iterator[Connection]:
        with self.translated(), engine.connect() as connection:
            if self.is_sqlite:
                with connection.begin():
                    yield connection
                return
            arrow = ArrowReader(self.label, self._arrow_from_bytes)
            connection.execution_options(isolation_level="REPEATABLE READ", **{OPTION: arrow})
            with closing(arrow), connection.begin():
                yield connection

    def _is_in_use(self) -> bool:
        """Whether SQLite's log beside the file holds what the file does not."""
        logs = (self._file.with_name(f"{self._file.name}-{kind}") for kind in ("wal", "journal"))
        stamps = [_stamp(log) for log in logs]
        return any(stamp is not None and stamp[1] > 0 for stamp in stamps)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a write transaction, committed at the end, undone on any exception."""
        turn = self._writer if self.is_sqlite else nullcontext()
        with self.translated(), turn, self.engine.connect() as connection:
            connection.execution_options(**{_WRITE: True})
            with connection.begin():
                self._is_ours = True
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
                    _use_wal(connection)
                    # Does nothing inside a transaction, so it goes past SQLAlchemy, which begins one.
                    connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
                    self._is_ours = True
                else:
                    connection.exec_driver_sql("SELECT pg_advisory_lock(%s)", (_UPGRADE_LOCK,))
                    connection.commit()
                yield connection
            finally:
                # Neither the switch nor the lock may go back to the pool.
                connection.invalidate()

    @contextmanager
    def outside_transactions(self) -> Iterator[Any]:
        """A cursor for statements that no transaction may hold."""
        turn = self._writer if self.is_sqlite else nullcontext()
        with self.translated(), turn, self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="AUTOCOMMIT")
            # Past SQLAlchemy, which begins a transaction.
            with closing(connection.connection.cursor()) as cursor:
                yield cursor

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns what the database library raises into RunError, one line without a password.

        A file that is none of SQLite's, or that this user may not open, is an InputError.
        """
        try:
            yield
        except (DBAPIError, PoolTimeoutError, self._driver_error) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            code = str(getattr(reason, "sqlite_errorname", ""))
            if code == "SQLITE_NOTADB":
                raise InputError(f"{self._option} {self.label} is not an SQLite database; {_USE}") from error
            if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) and self._file.is_file():
                raise InputError(
                    f"{self._option} {self.label}: this user may not open it ({_first_line(reason)}); give "
                    "it write access to the file and its folder. Reading alone needs none once whoever "
                    f"wrote last has closed it, so that no {self._file.name}-wal is left"
                ) from error
            if code.startswith("SQLITE_CORRUPT"):
                raise RunError(
                    f"the database {self.label} is damaged ({_first_line(reason)}); put a copy in its place,"
                    " or save what can still be read: sqlite3 FILE .recover | sqlite3 NEW"
                ) from error
            raise RunError(f"the database {self.label} failed: {_first_line(reason)}") from error


def _stamp(file: Path) -> tuple[int, int] | None:
    """Time of the last change and size; None while there is no such file."""
    try:
        about = file.stat()
    except FileNotFoundError:
        # Asked first, it might be gone by now all the same.
        return None
    return about.st_mtime_ns, about.st_size


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def _label(url: URL) -> str:
    return url.set(query={}).render_as_string(hide_password=True)


def _create_engine(url: str, busy_seconds: float, mounts: Path, option: str) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # The URL is not repeated: what cannot be parsed may hold a password anywhere.
        raise InputError(f"{option} is not a database URL; {_USE}") from error
    if parsed.drivername in _SQLITE:
        return _sqlite(parsed, busy_seconds, mounts, option)
    if parsed.drivername not in _POSTGRESQL:
        raise InputError(
            f"{option} {_label(parsed)}: only SQLite and PostgreSQL (psycopg) are supported; {_USE}"
        )
    try:
        return create_engine(parsed.set(drivername="postgresql+psycopg"), **_pool())
    except ModuleNotFoundError as error:
        raise InputError(
            f"{option} {_label(parsed)}: the module {error.name} is not installed; "
            'run: pip install "demurrage[postgres]"'
        ) from error


def _sqlite(url: URL, busy_seconds: float, mounts: Path, option: str) -> Engine:
    name, label = url.database, _label(url)
    if not name or name == ":memory:" or url.host:
        raise InputError(f"{option} {label} names no file (a database in memory keeps no history); {_USE}")
    if name.startswith("file:"):
        raise InputError(f"{option} {label}: SQLite's own file: URIs are not supported; {_USE}")
    if url.query:
        raise InputError(f"{option} {label}: options after a ? are not supported with SQLite; {_USE}")
    file = Path(name).resolve()
    try:
        folder_exists, is_folder = file.parent.is_dir(), file.is_dir()
    except PermissionError as error:
        raise InputError(f"{option} {label}: this user may not look into {file.parent}") from error
    if not folder_exists:
        raise InputError(f"{option} {label}: the folder {file.parent} does not exist; create it first")
    if is_folder:
        raise InputError(f"{option} {label} is a folder; name a file in it")
    kind = _file_system(file.parent, mounts)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise InputError(
            f"{option} {label}: {file.parent} is on a network file system ({kind}), where SQLite's locks do "
            "not hold; use a local disk, or PostgreSQL"
        )
    return _listening(create_engine(url, connect_args={"timeout": busy_seconds}, **_pool()))


def _pool() -> dict[str, Any]:
    # The connection used last comes first: its cache is warm, and fewer need to be opened at all.
    return {
        "pool_size": _CONNECTIONS,
        "max_overflow": 0,
        "pool_timeout": _POOL_SECONDS,
        "pool_use_lifo": True,
    }


def _reading_engine(file: Path, options: str, busy_seconds: float) -> Engine:
    """Connections that cannot write ``file``, closed as soon as they are done with."""

    def connect() -> sqlite3.Connection:
        # In a URI of SQLite's, which SQLAlchemy's URL does not take from outside (see `_sqlite`).
        return sqlite3.connect(
            f"{file.as_uri()}?{options}", timeout=busy_seconds, check_same_thread=False, uri=True
        )

    return _listening(create_engine("sqlite://", creator=connect, poolclass=NullPool))


def _listening(engine: Engine) -> Engine:
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _use_wal(connection: Connection) -> None:
    # Cannot be changed inside a transaction, so it goes past SQLAlchemy, which begins one.
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # Python's own transaction control begins only before some statements (not DDL, not SELECT); with
    # None it keeps out of the way, and _begin_sqlite says BEGIN (SQLAlchemy's documented way).
    connection.isolation_level = None
    cursor = connection.cursor()
    # None of these writes to the file: it may turn out to be another program's.
    for pragma in (
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        # In pages, 40 MB: new digests land all over their index, and the default of 1,000 pages
        # writes the same pages back after every batch.
        "PRAGMA wal_autocheckpoint=10000",
        # Digests are looked up all over their index, from many connections with small caches.
        "PRAGMA mmap_size=1073741824",
        "PRAGMA cache_size=-16384",
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
