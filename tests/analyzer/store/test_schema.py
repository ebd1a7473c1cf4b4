"""The schema and its migrations: what they make, and that each happens whole or not at all."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError

from analyzer.errors import RunError, SchemaError
from analyzer.store import schema, tables
from analyzer.store.engine import Database
from analyzer.store.schema import (
    VERSION_TABLE,
    migrations_folder,
    require_current_schema,
    schema_status,
    upgrade_schema,
)
from tests.analyzer.store.examples import commit, image, latest, read_of, stored
from tests.support.databases import Provider, opened, run_at_once

_ROOT = Path(__file__).resolve().parents[3]
_HEAD = schema.REVISION

_SECOND = '''
"""Second."""
import os, signal
from alembic import op
import sqlalchemy as sa

revision = "9002"
down_revision = "HEAD"
branch_labels = depends_on = None

def upgrade():
    op.create_table("extra", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO extra VALUES (1)")
    op.execute("UPDATE run SET host = 'changed'")
    # On SQLite this makes the table anew, which others refer to, and drops the old one.
    with op.batch_alter_table("run", recreate="auto") as batch:
        batch.alter_column("version", existing_type=sa.String(64), type_=sa.String(128))
    with op.batch_alter_table("snapshot") as batch:
        batch.add_column(sa.Column("note", sa.Text()))
    {end}
'''

_THIRD = '''
"""Third."""
from alembic import op

revision = "9003"
down_revision = "9002"
branch_labels = depends_on = None

def upgrade():
    op.execute("DELETE FROM run")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations to add to."""
    copy = tmp_path / "migrations"
    shutil.copytree(migrations_folder(), copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def _add(folder: Path, name: str, text: str) -> None:
    (folder / "versions" / f"{name}.py").write_text(text.replace('"HEAD"', repr(_HEAD)))


def _shape(database: Database) -> dict[str, Any]:
    """All that the database itself says of its schema, our version table apart."""
    with database.read() as connection:
        about = inspect(connection)
        shape: dict[str, Any] = {
            name: {
                "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in about.get_columns(name)],
                "primary key": about.get_pk_constraint(name),
                "foreign keys": sorted(map(str, about.get_foreign_keys(name))),
                "unique": sorted(map(str, about.get_unique_constraints(name))),
                "indexes": sorted(map(str, about.get_indexes(name))),
                "checks": sorted(map(str, about.get_check_constraints(name))),
            }
            for name in about.get_table_names()
            if name != VERSION_TABLE
        }
        if database.is_sqlite:
            # WITHOUT ROWID and the like, which reflection does not know.
            rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master").all()
            for name, sql in rows:
                if name in shape:
                    shape[name]["without rowid"] = "WITHOUT ROWID" in sql
    return shape


def test_the_revision_that_commands_look_for_is_the_last_migration() -> None:
    scripts = ScriptDirectory(str(migrations_folder()))
    assert scripts.get_current_head() == schema.REVISION


def test_migrations_make_what_the_tables_say(provider: Provider) -> None:
    with opened(provider.empty_url()) as migrated, opened(provider.empty_url()) as made:
        upgrade_schema(migrated)
        with migrated.read() as connection:
            options = {"version_table": VERSION_TABLE, "compare_type": True}
            assert (
                compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata) == []
            )
        with made.write() as connection:
            tables.metadata.create_all(connection)
        assert _shape(migrated) == _shape(made)
        shape = _shape(migrated)
        assert shape.keys() == {table.name for table in tables.metadata.sorted_tables}
        with_interval = {name for name, table in shape.items() if "gone_snapshot" in str(table["columns"])}
        assert {name for name, table in shape.items() if table["checks"]} == with_interval


def test_upgrade_of_an_empty_database_says_where_it_stands(empty_database: Database) -> None:
    before = schema_status(empty_database)
    assert (before.current, before.expected, before.known, before.empty) == (None, _HEAD, True, True)
    assert not before.is_current
    after = upgrade_schema(empty_database)
    assert (after.current, after.expected, after.known, after.empty) == (_HEAD, _HEAD, True, False)
    assert after.is_current
    assert upgrade_schema(empty_database) == after
    require_current_schema(empty_database)


def test_empty_database_is_told_how_to_be_filled(empty_database: Database) -> None:
    with pytest.raises(SchemaError, match="is empty; run: demurrage collect"):
        require_current_schema(empty_database)


@pytest.mark.parametrize("table", ["somebody_elses", "alembic_version"])
def test_database_of_another_program_is_left_alone(empty_database: Database, table: str) -> None:
    theirs = Table(table, MetaData(), Column("version_num", Integer))
    with empty_database.write() as connection:
        theirs.create(connection)
        connection.execute(insert(theirs).values(version_num=1))
    for refuse in (require_current_schema, upgrade_schema):
        with pytest.raises(SchemaError, match="not those of demurrage"):
            refuse(empty_database)
    with empty_database.read() as connection:
        assert inspect(connection).get_table_names() == [table]


def test_newer_schema_refuses_and_says_to_upgrade_the_program(empty_database: Database) -> None:
    upgrade_schema(empty_database)
    version = Table(VERSION_TABLE, MetaData(), Column("version_num", String))
    with empty_database.write() as connection:
        connection.execute(update(version).values(version_num="9999"))
    for refuse in (require_current_schema, upgrade_schema):
        with pytest.raises(SchemaError, match=rf"\(9999\) is newer .* \({_HEAD}\); upgrade demurrage"):
            refuse(empty_database)
    with empty_database.read() as connection:
        assert connection.execute(select(version)).all() == [("9999",)]


def test_older_schema_refuses_and_says_what_to_run(
    empty_database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade_schema(empty_database)
    _add(folder, "9002", _SECOND.format(end=""))
    monkeypatch.setattr(schema, "migrations_folder", lambda: folder)
    monkeypatch.setattr(schema, "REVISION", "9002")
    with pytest.raises(
        SchemaError, match=f"is {_HEAD}, this demurrage needs 9002; run: demurrage db upgrade"
    ):
        require_current_schema(empty_database)
    upgrade_schema(empty_database)
    require_current_schema(empty_database)


def _everything(database: Database) -> tuple[dict[str, Any], list[Any], Any, str | None]:
    with database.read() as connection:
        runs = list(connection.execute(select(tables.run.c.id, tables.run.c.host)).all())
    return _shape(database), runs, latest(database), schema_status(database).current


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), signal.SIGKILL)", "raise KeyError('ours')", 'op.execute("NO SQL")']
)
def test_migration_that_ends_half_way_leaves_nothing_and_runs_through_on_a_retry(
    empty_database: Database, folder: Path, end: str
) -> None:
    upgrade_schema(empty_database)
    read = read_of(image("a", "latest"))
    commit(empty_database, read)
    before = _everything(empty_database)
    _add(folder, "9002", _SECOND.format(end=end))
    url = empty_database.engine.url.render_as_string(hide_password=False)
    child = subprocess.run(
        [sys.executable, "-c", _UPGRADE, url, str(folder)],
        cwd=_ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert child.returncode == (-signal.SIGKILL if "kill" in end else 1), child.stderr
    assert "not reached" not in child.stdout
    assert _everything(empty_database) == before
    _add(folder, "9002", _SECOND.format(end=""))
    assert upgrade_schema(empty_database, folder).current == "9002"
    shape, runs, kept, _ = _everything(empty_database)
    assert runs == [(1, "changed")]
    assert kept[1] == stored(read)
    assert {"extra", *before[0]} == shape.keys()


_UPGRADE = """
import sys
from pathlib import Path
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
upgrade_schema(Database(sys.argv[1]), Path(sys.argv[2]))
print("not reached")
"""


def test_failing_migration_keeps_those_before_it(empty_database: Database, folder: Path) -> None:
    upgrade_schema(empty_database)
    commit(empty_database, read_of(image("a")))
    _add(folder, "9002", _SECOND.format(end=""))
    _add(folder, "9003", _THIRD)
    with pytest.raises(RunError) as caught:
        upgrade_schema(empty_database, folder)
    assert "\n" not in str(caught.value)
    assert schema_status(empty_database, folder).current == "9002"
    with empty_database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.run)).scalar_one() == 1


def test_sqlite_migration_that_breaks_a_foreign_key_is_undone_and_says_so(
    sqlite: Provider, folder: Path
) -> None:
    with opened(sqlite.empty_url()) as database:
        upgrade_schema(database)
        commit(database, read_of(image("a")))
        before = _everything(database)
        _add(folder, "9002", _THIRD.replace("9002", _HEAD).replace("9003", "9002"))
        with pytest.raises(RunError, match=r"migration 9002 was undone: rows of table .* that run lacks"):
            upgrade_schema(database, folder)
        assert _everything(database) == before


def test_foreign_keys_hold_again_after_a_migration(sqlite: Provider) -> None:
    with opened(sqlite.empty_url()) as database:
        upgrade_schema(database)
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        with (
            pytest.raises(RunError, match="FOREIGN KEY constraint failed") as caught,
            database.write() as connection,
        ):
            connection.execute(insert(tables.blob).values(digest_id=1, size_bytes=1))
        assert isinstance(caught.value.__cause__, IntegrityError)


def test_locked_database_is_a_run_error_while_upgrading(sqlite: Provider) -> None:
    url = sqlite.empty_url()
    with opened(url) as holder, holder.write():
        database = Database(url, busy_seconds=0.05)
        with pytest.raises(RunError, match="database is locked"):
            upgrade_schema(database)
        database.engine.dispose()


def test_processes_that_upgrade_at_once_do_not_meet(provider: Provider) -> None:
    url = provider.empty_url()
    script = _UPGRADE.replace("upgrade_schema(Database", "ready()\nupgrade_schema(Database")
    assert run_at_once(script, *[(url, str(migrations_folder()))] * 3) == [(0, "")] * 3
    with opened(url) as database:
        require_current_schema(database)


def test_folder_without_migrations_is_a_broken_installation(empty_database: Database, tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    with pytest.raises(SchemaError, match="contains no migrations; install it again"):
        schema_status(empty_database, tmp_path)


def test_interval_cannot_end_before_it_begins(database: Database) -> None:
    commit(database, read_of(image("a")))
    with pytest.raises(RunError, match=r"(?i)check"), database.write() as connection:
        connection.execute(update(tables.artifact).values(gone_snapshot=1))
