"""Databases for the tests of the store."""

from __future__ import annotations

from tests.support.databases import (
    database,
    empty_database,
    postgresql,
    postgresql_clean,
    postgresql_server,
    provider,
    sqlite,
    sqlite_clean,
    sqlite_folder,
)

__all__ = [
    "database",
    "empty_database",
    "postgresql",
    "postgresql_clean",
    "postgresql_server",
    "provider",
    "sqlite",
    "sqlite_clean",
    "sqlite_folder",
]
