"""What a database is, and how it says that it cannot be used: one line, no password."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.pool import QueuePool

from analyzer.errors import DemurrageError, InputError, RunError, SchemaError
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.schema import require_current_schema, schema_status, upgrade_schema
from tests.analyzer.store.examples import commit, image, read_of
from tests.support.databases import Provider, opened

_RUN = {"started_at_ms": 1, "status": "running", "host": "h", "version": "1"}


def _runs(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(tables.run)).scalar_one()


def _is_one_line(error: DemurrageError) -> bool:
    text = str(error)
    return bool(text) and "\n" not in text and "sqlalche.me" not in text and "secret" not in text


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "//secret@host",
        "mysql://user:secret@host/name",
        "oracle+nothing://user:secret@host/name",
        "postgresql://user:secret@host:port/name",
        "postgresql+asyncpg://user:secret@host/name",
        "postgresql+psycopg2://user:secret@host/name?password=secret",
        "sqlite+aiosqlite:///file",
        "sqlite+pysqlcipher://:secret@/file",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:name?mode=memory&uri=true",
        "sqlite://user:secret@host/file",
        "sqlite:///file.db?timeout=5",
        "sqlite:///file.db?mode=ro&password=secret",
    ],
)
def test_unusable_url_is_an_input_error_of_one_line_without_the_password(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Database(url)
    assert _is_one_line(caught.value)
    assert "sqlite:///FILE or postgresql+psycopg://" in str(caught.value)


def test_missing_driver_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r'psycopg is not installed.*"demurrage\[postgres\]"') as caught:
        Database("postgresql+psycopg://user:secret@host/name")
    assert _is_one_line(caught.value)


def test_plain_postgresql_url_means_psycopg() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with opened("postgresql://user:secret@host/name") as database:
        assert database.engine.driver == "psycopg"


def test_label_hides_password_and_options() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with opened("postgresql+psycopg://user:secret@host/name?password=secret") as database:
        assert database.label == "postgresql+psycopg://user:***@host/name"


def test_a_damaged_file_is_a_run_error_that_says_how_to_save_what_is_left(tmp_path: Path) -> None:
    file = tmp_path / "damaged.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE wide (text)")
        connection.executemany("INSERT INTO wide VALUES (?)", [("x" * 900,)] * 100)
        connection.commit()
    file.write_bytes(file.read_bytes()[: 3 * 4096])
    with (
        opened(f"sqlite:///{file}") as database,
        pytest.raises(RunError, match="is damaged") as caught,
        database.read() as connection,
    ):
        connection.exec_driver_sql("SELECT count(text) FROM wide").all()
    assert _is_one_line(caught.value)
    assert ".recover" in str(caught.value)


def test_server_that_does_not_answer_is_a_run_error_without_the_password() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with (
        opened("postgresql+psycopg://user:secret@127.0.0.1:1/name?connect_timeout=5") as database,
        pytest.raises(RunError) as caught,
        database.read(),
    ):
        pass
    assert _is_one_line(caught.value)
    assert "user:***@127.0.0.1:1/name failed" in str(caught.value)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs"])
def test_sqlite_on_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"1 0 8:1 / / rw shared:1 - ext4 /dev/a rw\n2 1 0:9 / {tmp_path} rw - {kind} server:/x rw\n"
    )
    with pytest.raises(InputError, match=rf"network file system \({kind}\)") as caught:
        Database(f"sqlite:///{tmp_path / 'file'}", mounts=mounts)
    assert _is_one_line(caught.value)


def test_network_file_system_is_seen_through_a_link_and_an_escaped_name(tmp_path: Path) -> None:
    folder = tmp_path / "far away\\here"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    mounts = tmp_path / "mountinfo"
    escaped = str(folder).replace("\\", "\\134").replace(" ", "\\040")
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / {escaped} rw - nfs server:/x rw\n")
    with pytest.raises(InputError, match="network file system"):
        Database(f"sqlite:///{tmp_path / 'link' / 'file'}", mounts=mounts)


@pytest.mark.parametrize(
    "lines",
    [
        "1 0 8:1 / / rw - nfs server:/x rw\n2 1 8:1 / {folder} rw - ext4 /dev/a rw\n",
        "1 0 8:1 / {folder} rw - nfs server:/x rw\n2 1 8:1 / {folder} rw - ext4 /dev/a rw\n",
        "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:1 / {folder}-not rw - nfs server:/x rw\n",
        "not a line of mountinfo\n",
    ],
)
def test_sqlite_on_a_local_file_system_beside_a_network_one_is_taken(tmp_path: Path, lines: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(lines.format(folder=tmp_path))
    Database(f"sqlite:///{tmp_path / 'file'}", mounts=mounts)


def test_system_without_mountinfo_is_taken_at_its_word(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'file'}", mounts=tmp_path / "missing")


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder .*/missing does not exist") as caught:
        Database(f"sqlite:///{tmp_path / 'missing' / 'file'}")
    assert _is_one_line(caught.value)


def _cannot_open(url: str) -> str:
    with opened(url) as database, pytest.raises(RunError) as caught, database.read():
        pass
    assert _is_one_line(caught.value)
    assert database.label in str(caught.value)
    return str(caught.value)


def test_folder_that_takes_no_file_is_a_run_error() -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("there is no /proc, where not even root can make a file")
    assert "unable to open database file" in _cannot_open("sqlite:////proc/file")


def test_folder_in_place_of_the_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; name a file in it") as caught:
        Database(f"sqlite:///{tmp_path}")
    assert _is_one_line(caught.value)


@pytest.mark.parametrize("access", ["read", "write", "migrating", "use_wal"])
def test_file_that_is_no_database_is_an_input_error_and_stays_as_it_is(tmp_path: Path, access: str) -> None:
    file = tmp_path / "report.html"
    file.write_text("<html>" * 1000)

    def use() -> None:
        # All but use_wal are to be used in a with block.
        context: Any = getattr(database, access)()
        with context or nullcontext():
            pass

    with (
        opened(f"sqlite:///{file}") as database,
        pytest.raises(InputError, match="is not an SQLite database; use sqlite:///FILE") as caught,
    ):
        use()
    assert _is_one_line(caught.value)
    assert file.read_text() == "<html>" * 1000
    assert list(tmp_path.iterdir()) == [file]


def test_locked_database_is_a_run_error(sqlite: Provider) -> None:
    database = sqlite.clean()
    other = sqlite3.connect(str(database.engine.url.database), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        impatient = Database(str(database.engine.url), busy_seconds=0.05)
        with pytest.raises(RunError, match="database is locked") as caught, impatient.write():
            pass
        impatient.engine.dispose()
    finally:
        other.close()
    assert _is_one_line(caught.value)


def test_sqlite_runs_with_its_safety_catches_on(sqlite: Provider) -> None:
    with sqlite.clean().read() as connection:
        values = [
            connection.exec_driver_sql(pragma).scalar_one()
            for pragma in (
                "PRAGMA journal_mode",
                "PRAGMA foreign_keys",
                "PRAGMA synchronous",
                "PRAGMA busy_timeout",
            )
        ]
    assert values == ["wal", 1, 2, 30_000]


def test_write_that_fails_is_undone_and_its_error_comes_through(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(insert(tables.run).values(_RUN))
            raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        fail()
    assert _runs(database) == 0


def test_broken_constraint_is_a_run_error_and_writes_nothing(database: Database) -> None:
    orphan = {"registry_id": 9, "number": 1, "run_id": 9, "taken_at_ms": 1, "status": ""}

    def fail() -> None:
        with database.write() as connection:
            connection.execute(insert(tables.run).values(_RUN))
            connection.execute(insert(tables.snapshot).values(orphan))

    with pytest.raises(RunError) as caught:
        fail()
    assert _is_one_line(caught.value)
    assert _runs(database) == 0


def test_hundreds_of_threads_get_their_turn_to_read(provider: Provider) -> None:
    with opened(provider.empty_url()) as database:
        upgrade_schema(database)
        pool = database.engine.pool
        assert isinstance(pool, QueuePool)
        # Who waits does not give up, and no server has hundreds of connections to give.
        assert pool.timeout() >= 600
        assert 10 <= pool.size() <= 30
        assert pool._max_overflow == 0
        counts: list[int] = []
        threads = [threading.Thread(target=lambda: counts.append(_runs(database))) for _ in range(256)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert counts == [0] * 256


# Files that this program only looks at, or may only read.

_OTHERS = """
CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);
INSERT INTO notes (text) VALUES ('theirs');
"""


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("refused", [require_current_schema, upgrade_schema])
def test_another_programs_file_stays_as_it_is(tmp_path: Path, mode: str, refused: Any) -> None:
    file = tmp_path / "theirs.db"
    theirs = sqlite3.connect(file, isolation_level=None)
    assert theirs.execute(f"PRAGMA journal_mode={mode}").fetchone() == (mode,)
    theirs.executescript(_OTHERS)
    theirs.close()
    before = _contents(tmp_path)
    with opened(f"sqlite:///{file}") as database, pytest.raises(SchemaError, match="not those of demurrage"):
        refused(database)
    assert _contents(tmp_path) == before


@pytest.mark.parametrize("refused", [require_current_schema, upgrade_schema])
def test_another_programs_file_that_it_has_open_stays_as_it_is(tmp_path: Path, refused: Any) -> None:
    file = tmp_path / "theirs.db"
    theirs = sqlite3.connect(file, isolation_level=None)
    theirs.execute("PRAGMA journal_mode=WAL")
    theirs.executescript(_OTHERS)
    before = file.read_bytes(), (tmp_path / "theirs.db-wal").read_bytes()
    with opened(f"sqlite:///{file}") as database, pytest.raises(SchemaError, match="not those of demurrage"):
        refused(database)
    assert (file.read_bytes(), (tmp_path / "theirs.db-wal").read_bytes()) == before
    assert theirs.execute("SELECT text FROM notes").fetchall() == [("theirs",)]
    theirs.close()


def test_looking_for_a_schema_makes_no_file(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'none.db'}") as database:
        assert schema_status(database).empty
        with pytest.raises(SchemaError, match="is empty"):
            require_current_schema(database)
    assert list(tmp_path.iterdir()) == []


def test_wal_is_kept_from_the_first_migration_on(tmp_path: Path) -> None:
    file = tmp_path / "ours.db"
    with opened(f"sqlite:///{file}") as database:
        upgrade_schema(database)
    plain = sqlite3.connect(file, isolation_level=None)
    assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert plain.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    plain.close()
    with opened(f"sqlite:///{file}") as database:
        database.use_wal()
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


_NOBODY = 65534

_AS_NOBODY = """
import os, sys
from analyzer.errors import DemurrageError
from analyzer.store.engine import Database
from analyzer.store.schema import require_current_schema
from analyzer.store.snapshots import last_run
from analyzer.store import tables
from sqlalchemy import insert
url, writes = sys.argv[1:]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    database = Database(url)
    require_current_schema(database)
    with database.read() as connection:
        print(last_run(connection))
    if writes == "write":
        with database.write() as connection:
            connection.execute(insert(tables.media_type).values(name="x"))
except DemurrageError as error:
    print(type(error).__name__, error)
"""


def _as_nobody(file: Path, writes: str = "") -> str:
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    child = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, f"sqlite:///{file}", writes],
        cwd=Path(__file__).resolve().parents[3],
        check=False,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


@pytest.fixture
def readable(sqlite_folder: Path) -> Iterator[Path]:
    """A database that everybody may read and only its owner write, in such a folder."""
    folder = Path(tempfile.mkdtemp(dir=sqlite_folder))
    sqlite_folder.chmod(0o755)
    folder.chmod(0o755)
    file = folder / "ours.db"
    with opened(f"sqlite:///{file}") as database:
        upgrade_schema(database)
        commit(database, read_of(image("a")))
    file.chmod(0o644)
    yield file
    shutil.rmtree(folder)


def test_reader_without_write_access_reads_and_leaves_no_trace(readable: Path) -> None:
    before = _contents(readable.parent)
    assert _as_nobody(readable) == "1"
    assert _contents(readable.parent) == before


def test_reader_without_write_access_reads_what_is_being_written(readable: Path) -> None:
    with opened(f"sqlite:///{readable}") as writer:
        commit(writer, read_of(image("b"), taken_at_ms=2))
        assert (readable.parent / "ours.db-wal").stat().st_size > 0
        assert _as_nobody(readable) == "2"


def test_reader_who_may_write_the_folder_alone_leaves_nothing_there(readable: Path) -> None:
    readable.parent.chmod(0o777)
    before = _contents(readable.parent)
    assert _as_nobody(readable) == "1"
    assert _contents(readable.parent) == before


def test_reader_who_may_not_read_is_told_so(readable: Path) -> None:
    readable.chmod(0o600)
    answer = _as_nobody(readable)
    assert answer.startswith("InputError")
    assert "this user may not open it" in answer
    readable.parent.chmod(0o700)
    assert "this user may not look into" in _as_nobody(readable)


def test_writer_without_write_access_is_told_what_it_needs(readable: Path) -> None:
    answer = _as_nobody(readable, "write")
    assert "InputError" in answer
    assert "give it write access to the file and its folder" in answer


def test_file_that_is_written_while_it_is_read_without_locks_is_not_believed(readable: Path) -> None:
    def read_slowly() -> None:
        with database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
            # When the last connection is closed, its log is written back into the file.
            with opened(f"sqlite:///{readable}") as writer:
                commit(writer, read_of(image("b"), taken_at_ms=2))

    with opened(f"sqlite:///{readable}") as database:
        with pytest.raises(RunError, match="was written while it was read; try again"):
            read_slowly()
        require_current_schema(database)
        read_slowly()


def test_reader_sees_one_moment_while_others_write(database: Database) -> None:
    count = select(func.count()).select_from(tables.run)
    with database.read() as connection:
        assert connection.execute(count).scalar_one() == 0
        with database.write() as writer:
            writer.execute(insert(tables.run).values(_RUN))
        assert connection.execute(count).scalar_one() == 0
    assert _runs(database) == 1
