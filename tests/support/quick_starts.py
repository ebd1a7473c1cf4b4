"""What nearly every test would make anew, made once in a process.

A session of boto3 parses botocore's tables of endpoints and looks for its services, and a new database runs
through all migrations: a tenth of a second each, hundreds of times. What comes of it is the same every time.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from botocore.loaders import JSONFileLoader, Loader

from analyzer.store.engine import Database
from analyzer.store.schema import VERSION_TABLE, migrations_folder

#: Tables of regions, the largest files by far that every session reads.
_READ_ONLY = frozenset({"endpoints", "partitions"})
_SCHEMA = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"


def start_quickly() -> None:
    """Let sessions share botocore's tables, and empty databases take the schema at once."""
    share_models()
    command.upgrade = _Upgrades().upgrade  # type: ignore[assignment]


def share_models() -> None:
    """Let all sessions of this process, and of its forks, share botocore's tables of regions and services."""
    load_file, list_services = JSONFileLoader.load_file, Loader.list_available_services

    @cache
    def loaded(path: str) -> Any:
        return load_file(JSONFileLoader(), path)

    @cache
    def listed(paths: tuple[str, ...], type_name: str) -> list[str]:
        loader = Loader(include_default_search_paths=False)
        loader.search_paths.extend(paths)
        return list_services(loader, type_name)

    def load(self: JSONFileLoader, path: str) -> Any:
        # What describes a service is added to by each client that is made of it, and stays its own.
        return loaded(path) if Path(path).name in _READ_ONLY else load_file(self, path)

    def services(self: Loader, type_name: str) -> list[str]:
        return [*listed(tuple(self.search_paths), type_name)]

    JSONFileLoader.load_file = load  # type: ignore[assignment, method-assign]
    Loader.list_available_services = services  # type: ignore[method-assign]


class _Upgrades:
    """Alembic's upgrades, of which the first of an empty SQLite database is remembered."""

    def __init__(self) -> None:
        self._run = command.upgrade
        self._statements: list[str] = []
        self._version = ""

    def upgrade(self, config: Config, revision: str, **options: Any) -> None:
        """Bring the database of ``config`` to ``revision``."""
        database: Database = config.attributes["database"]
        is_usual = config.get_main_option("script_location") == str(migrations_folder())
        if options or revision != "head" or not is_usual or not database.is_sqlite:
            self._run(config, revision, **options)
            return
        with database.migrating() as connection:
            is_empty = not connection.exec_driver_sql(_SCHEMA).all()
            if is_empty and self._statements:
                for statement in self._statements:
                    connection.exec_driver_sql(statement)
                connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} VALUES (?)", (self._version,))  # noqa: S608
                connection.commit()
                return
        self._run(config, revision)
        if is_empty:
            self._remember(database)

    def _remember(self, database: Database) -> None:
        with database.read() as connection:
            found = connection.exec_driver_sql(_SCHEMA).all()
            names = [str(name) for name, sql in found if sql.startswith("CREATE TABLE")]
            full = [n for n in names if connection.exec_driver_sql(f'SELECT 1 FROM "{n}" LIMIT 1').all()]  # noqa: S608
            # Rows that a migration put there would be lost.
            assert full == [VERSION_TABLE], full
            version = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608
            self._version = str(connection.exec_driver_sql(version).scalar_one())
        self._statements = [str(sql) for _, sql in found]
