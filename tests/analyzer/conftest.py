"""Databases for tests of what joins the store to the rest."""

from __future__ import annotations

from tests.support.databases import sqlite, sqlite_clean, sqlite_folder

__all__ = ["sqlite", "sqlite_clean", "sqlite_folder"]
