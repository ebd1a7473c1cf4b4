"""`demurrage diff` on a database of two nights."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import URL, make_database
from tests.strategies.registries import sha256

Cli = Callable[..., Outcome]


@pytest.fixture
def diff(demurrage: Cli, tmp_path: Path) -> Cli:
    make_database(tmp_path)
    return lambda *arguments: demurrage("diff", "--db", URL, *arguments)


def test_the_last_night_is_compared_with_the_one_before(diff: Cli) -> None:
    outcome = diff()
    assert (outcome.status, outcome.err) == (0, "")
    assert "From run 1 (2026-11-01T02:00:00Z) to run 2 (2026-11-23T02:00:00Z)" in outcome.out
    assert "1 pushed, 1 deleted" in outcome.out
    assert "deleted: 111111111111/eu-west-1/app prod-1" in outcome.out
    assert outcome.out == diff("2026-11-01", "2").out


def test_programs_and_spreadsheets_get_all_of_it(diff: Cli) -> None:
    document = json.loads(diff("--format", "json").out)
    assert document["before"]["run"] == 1
    assert {(one["repository"], one["event"]) for one in document["images"]} == {
        ("app", "pushed"),
        ("app", "deleted"),
    }
    rows = list(csv.DictReader(io.StringIO(diff("--format", "csv").out)))
    assert [(row["repository"], row["status"], row["pushed"]) for row in rows] == [
        ("app", "changed", "1"),
        ("copy", "same", "0"),
    ]
    images = list(csv.DictReader(io.StringIO(diff("--format", "csv", "--rows", "image").out)))
    assert {row["digest"] for row in images} == {sha256("new"), sha256("gone")}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("7",), "run 7 left no snapshot"),
        (("last", "previous"), "write the earlier one first"),
        (("--rows", "image"), "--rows image is for --format csv"),
        (("--repository", "nobody"), "no repository of either side"),
        (("--format", "markdown"), "prints table, json, csv"),
    ],
)
def test_what_cannot_be_asked(diff: Cli, arguments: tuple[str, ...], said: str) -> None:
    outcome = diff(*arguments)
    assert outcome.status == 2
    assert said in outcome.err
