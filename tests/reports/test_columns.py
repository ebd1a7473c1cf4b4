"""Every column of every table is explained, and nothing is explained that is not there."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from reports.columns import NAME, meaning, render_columns, told_columns
from reports.files import write_report
from tests.support.simulation_fixture import build_simulation
from tests.support.whole_report import whole_report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every table that there is."""
    folder = tmp_path_factory.mktemp("report")
    write_report(whole_report(6), folder, what_if=build_simulation(3, in_use=True, live=True))
    return folder


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _columns(folder: Path) -> list[tuple[str, str]]:
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += [(path.name, column) for column in next(csv.reader(file))]
    return found


def test_every_column_of_every_table_is_explained_once(folder: Path) -> None:
    rows = _rows(folder / NAME)
    assert sorted((row["file"], row["column"]) for row in rows) == sorted(_columns(folder))
    assert [row for row in rows if not row["meaning"]] == []


def test_nothing_is_explained_that_no_table_has(folder: Path) -> None:
    assert told_columns() - set(_columns(folder)) == set()


def test_a_column_that_nobody_has_told_of_stays_empty_and_breaks_nothing() -> None:
    assert meaning("repositories.csv", "new_words_registry_scope_usd_per_month") == ""
    assert render_columns({"new.csv": "new\n1\n"}).startswith("file,column,meaning\nnew.csv,new,\n")
