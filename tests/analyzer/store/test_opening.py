"""Opening a database: a plain look where all is well, and the reason where it is not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, inspect, update
from sqlalchemy import insert as insert_into

from analyzer.errors import InputError, SchemaError
from analyzer.store import schema
from analyzer.store.engine import Database
from analyzer.store.opening import open_database
from analyzer.store.schema import (
    REVISION,
    VERSION_TABLE,
    require_current_schema,
    schema_status,
    upgrade_schema,
)
from analyzer.store.writer import Store
from tests.support.databases import Provider, opened, run_at_once

_VERSION = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))


def _has_versions(database: Database, versions: Sequence[str]) -> None:
    with database.write() as connection:
        connection.execute(delete(_VERSION))
        for version in versions:
            connection.execute(insert_into(_VERSION).values(version_num=version))


def test_a_plain_look_recognises_the_schema_of_this_version(empty_database: Database) -> None:
    assert not schema._is_plainly_current(empty_database)
    upgrade_schema(empty_database)
    assert schema._is_plainly_current(empty_database)
    assert schema._is_plainly_current(empty_database)


@pytest.mark.parametrize(
    "versions", [[], ["0000"], ["9999"], [REVISION, "0000"], ["0000", REVISION], [f"{REVISION} "]]
)
def test_a_plain_look_trusts_nothing_but_the_one_right_revision(
    empty_database: Database, versions: list[str]
) -> None:
    upgrade_schema(empty_database)
    # Alembic's table admits two rows.
    _has_versions(empty_database, versions)
    assert not schema._is_plainly_current(empty_database)
    _has_versions(empty_database, [REVISION])
    assert schema._is_plainly_current(empty_database)


@pytest.mark.parametrize(
    "theirs",
    [
        Table("somebody_elses", MetaData(), Column("version_num", String)),
        Table(VERSION_TABLE, MetaData(), Column("other", String)),
        Table(VERSION_TABLE, MetaData(), Column("version_num", Integer)),
        Table("alembic_version", MetaData(), Column("version_num", String)),
    ],
    ids=["other table", "no such column", "another type", "alembic's usual name"],
)
def test_a_plain_look_at_another_programs_database_recognises_nothing(
    empty_database: Database, theirs: Table
) -> None:
    with empty_database.write() as connection:
        theirs.create(connection)
        connection.execute(insert_into(theirs).values([1 if theirs.c[0].type.python_type is int else "1"]))
    assert not schema._is_plainly_current(empty_database)
    with empty_database.read() as connection:
        assert inspect(connection).get_table_names() == [theirs.name]


def test_a_plain_look_at_a_missing_file_makes_none(tmp_path: Path) -> None:
    file = tmp_path / "missing.sqlite"
    with opened(f"sqlite:///{file}") as database:
        assert not schema._is_plainly_current(database)
    assert list(tmp_path.iterdir()) == []


def test_a_plain_look_leaves_no_trace_beside_a_file(sqlite: Provider) -> None:
    url = sqlite.empty_url()
    with opened(url) as database:
        upgrade_schema(database)
        file = database._file
    before = {path.name: path.stat().st_size for path in file.parent.glob(f"{file.name}*")}
    with opened(url) as database:
        assert schema._is_plainly_current(database)
    assert {path.name: path.stat().st_size for path in file.parent.glob(f"{file.name}*")} == before


def test_what_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database at all, however long it may be " * 100)
    with (
        opened(f"sqlite:///{file}") as database,
        pytest.raises(InputError, match="is not an SQLite database"),
    ):
        schema._is_plainly_current(database)


def test_a_recognised_file_is_adopted(sqlite: Provider) -> None:
    url = sqlite.empty_url()
    with opened(url) as database:
        upgrade_schema(database)
    with opened(url) as database:
        assert not database._is_ours
        require_current_schema(database)
        assert database._is_ours


_LOOK = """
from analyzer.store.opening import open_database
ready()
open_database(sys.argv[1])
assert "alembic" not in sys.modules, "imported in vain"
"""


def test_opening_a_current_database_does_not_import_alembic(provider: Provider) -> None:
    url = provider.empty_url()
    with opened(url) as database:
        upgrade_schema(database)
    assert run_at_once(_LOOK, [url]) == [(0, "")]
    # It would be seen: this process has it.
    assert "alembic" in sys.modules


def test_a_missing_database_is_not_made_unless_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "new.sqlite"
    url = f"sqlite:///{file}"
    with pytest.raises(InputError, match=r"there is no database .*new\.sqlite; .* run: demurrage collect"):
        open_database(url)
    assert not file.exists()
    made = open_database(url, create=True)
    made.engine.dispose()
    again = open_database(url)
    assert schema._is_plainly_current(again)
    again.engine.dispose()


def test_creating_twice_changes_nothing(provider: Provider) -> None:
    url = provider.empty_url()
    for _ in range(2):
        database = open_database(url, create=True)
        assert schema._is_plainly_current(database)
        database.engine.dispose()


def test_setting_up_that_was_cut_short_between_two_migrations_is_finished(provider: Provider) -> None:
    url = provider.empty_url()
    with opened(url) as database:
        _upgrade_to(database, "0001")
        assert schema_status(database).current == "0001"
    with pytest.raises(SchemaError, match="db upgrade"):
        open_database(url)
    database = open_database(url, create=True)
    assert schema_status(database).is_current
    database.engine.dispose()


def test_an_older_database_that_was_used_is_upgraded_only_when_told_to(provider: Provider) -> None:
    url = provider.empty_url()
    with opened(url) as database:
        _upgrade_to(database, "0001")
        Store(database, lambda: 0).begin_run(1, "host", "1")
    for create in (False, True):
        with pytest.raises(SchemaError, match="db upgrade"):
            open_database(url, create=create)


def _upgrade_to(database: Database, revision: str) -> None:
    config = schema._config(None)
    config.attributes["database"] = database
    command.upgrade(config, revision)


def test_an_empty_database_says_how_it_is_filled(postgresql: Provider) -> None:
    with pytest.raises(SchemaError, match="is empty; run: demurrage collect"):
        open_database(postgresql.empty_url())


def test_a_newer_database_is_refused_whether_or_not_one_may_be_made(provider: Provider) -> None:
    url = provider.empty_url()
    open_database(url, create=True).engine.dispose()
    with opened(url) as database, database.write() as connection:
        connection.execute(update(_VERSION).values(version_num="9999"))
    for create in (False, True):
        with pytest.raises(SchemaError, match="upgrade demurrage"):
            open_database(url, create=create)
