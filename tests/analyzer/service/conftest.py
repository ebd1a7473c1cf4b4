"""Databases for the tests of the service."""

from __future__ import annotations

from tests.support.databases import (
    database,
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
    "postgresql",
    "postgresql_clean",
    "postgresql_server",
    "provider",
    "sqlite",
    "sqlite_clean",
    "sqlite_folder",
]
