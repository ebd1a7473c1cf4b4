"""Merely reading the columns that an analysis needs: what large analyses are held against."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, event

from analyzer.store import columns
from analyzer.store.engine import Database
from analyzer.store.snapshots import SnapshotRef, last_run, snapshots_of_run
from tests.benchmarks._large import Shape
from tests.benchmarks._measure import run_child
from tests.benchmarks.generate_database import Written, describe

#: Loads what an analysis needs from some snapshots.
Loader = Callable[[Connection, Sequence[SnapshotRef]], object]


def generate(url: str, given: argparse.Namespace) -> str:
    """Write a database in another process, so that this one stays small; gives ``url``."""
    options = [part for name in Shape.__slots__ for part in (f"--{name}", str(getattr(given, name)))]
    written = run_child("tests.benchmarks.generate_database", "--json", "--db", url, *options)
    seconds = written.pop("seconds")
    print(f"{describe(Written(**written))}, generated in {seconds:.1f} s", flush=True)
    return url


def statements_of(database: Database, load: Loader) -> list[tuple[str, Any]]:
    """What ``load`` asks of the driver, in its order."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    with database.read() as connection:
        snapshots = snapshots_of_run(connection, last_run(connection))
        event.listen(connection, "before_cursor_execute", note)
        load(connection, snapshots)
    return asked


def fetch_rows(database: Database, statements: Sequence[tuple[str, Any]]) -> None:
    """Fetch every row of ``statements`` through the same driver, as many at a time, and drop it."""
    with database.read() as connection:
        cursor = connection.connection.cursor()
        for statement, parameters in statements:
            cursor.execute(statement, parameters)
            while cursor.fetchmany(columns._BLOCK):
                pass
        cursor.close()
