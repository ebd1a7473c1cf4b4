"""`demurrage export` as its users call it, and what the README says of its files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analyzer.cli import export as command
from analyzer.exporting.columns import TABLES
from analyzer.model.records import Gap
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import ACCOUNT, REGION, URL, make_database

_README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


def test_the_files_are_written_and_listed(demurrage: Callable[..., Outcome], tmp_path: Path) -> None:
    make_database(tmp_path)
    done = demurrage("export", "--db", URL, "--output-dir", "out")
    # The manifests of this database were never read.
    assert (done.status, done.err) == (0, "")
    for table in TABLES:
        rows = pq.read_metadata(tmp_path / "out" / table.file).num_rows
        assert re.search(rf"^{re.escape(table.file)} +{rows} +[\d,]+$", done.out, re.MULTILINE)
    assert "Run 2 is in out." in done.out
    answer = json.loads(demurrage("export", "--db", URL, "--output-dir", "out", "--format", "json").out)
    assert [row["file"] for row in answer["files"]] == [table.file for table in TABLES]


def test_an_earlier_run_is_exported_as_it_was(demurrage: Callable[..., Outcome], tmp_path: Path) -> None:
    make_database(tmp_path)
    assert demurrage("export", "--db", URL, "--output-dir", "out", "--run", "1").status == 0
    tags = pq.read_table(tmp_path / "out" / "tags.parquet")
    assert tags["tag"].to_pylist() == ["dev-1", "prod-1", "dev-1"]


def test_gaps_end_with_status_four(demurrage: Callable[..., Outcome], tmp_path: Path) -> None:
    make_database(tmp_path, Gap(ACCOUNT, REGION, "app", "ecr:DescribeImages", "AccessDeniedException"))
    assert demurrage("export", "--db", URL, "--output-dir", "out").status == 4
    assert pq.read_table(tmp_path / "out" / "gaps.parquet")["reason"].to_pylist() == ["AccessDeniedException"]


def test_what_is_missing_is_told_in_one_line(
    demurrage: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = demurrage("export", "--db", URL)
    assert (outcome.status, outcome.err) == (
        2,
        "demurrage: export writes files; say where with --output-dir DIR\n",
    )
    monkeypatch.setattr(command, "find_spec", lambda _name: None)
    outcome = demurrage("export", "--db", URL, "--output-dir", "out")
    assert (outcome.status, outcome.err) == (
        2,
        'demurrage: Parquet files need pyarrow, which is not here; run: pip install "demurrage[parquet]"\n',
    )


def test_the_columns_are_told_without_a_database(demurrage: Callable[..., Outcome]) -> None:
    told = demurrage("export", "--list-columns", "--format", "json")
    assert [(row["file"], row["column"]) for row in json.loads(told.out)["columns"]] == [
        (table.file, column.name) for table in TABLES for column in table.columns
    ]
    assert "layers.parquet: a reference of an image" in demurrage("export", "--list-columns").out


def test_the_readme_tells_every_file_and_column() -> None:
    section = _README.split("### Export for BI")[1].split("\n## ")[0].split("\n### ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines][2:]
    assert [(file.strip("`"), row) for file, row, _ in rows] == [(table.file, table.row) for table in TABLES]
    for table, (*_, columns) in zip(TABLES, rows, strict=True):
        assert re.findall(r"`([a-z0-9_]+)`", columns) == [column.name for column in table.columns]
