"""What a database is, and how it says that it cannot be used: one line, no password."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from analyzer.errors import DemurrageError, InputError, RunError
from analyzer.store import tables
from analyzer.store.engine import Database
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


def test_folder_in_place_of_the_file_is_a_run_error(tmp_path: Path) -> None:
    assert "unable to open database file" in _cannot_open(f"sqlite:///{tmp_path}")


def test_file_that_is_no_database_is_a_run_error(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("<html>" * 1000)
    assert "not a database" in _cannot_open(f"sqlite:///{file}")


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


def test_reader_sees_one_moment_while_others_write(database: Database) -> None:
    count = select(func.count()).select_from(tables.run)
    with database.read() as connection:
        assert connection.execute(count).scalar_one() == 0
        with database.write() as writer:
            writer.execute(insert(tables.run).values(_RUN))
        assert connection.execute(count).scalar_one() == 0
    assert _runs(database) == 1
