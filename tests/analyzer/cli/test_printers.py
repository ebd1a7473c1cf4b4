"""What is printed about a collection: names that others chose are shown and never obeyed."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest

from analyzer.cli.answers import csv_text, rendered
from analyzer.cli.progress import shown_progress
from analyzer.cli.streams import tell
from analyzer.collect import CollectResult, RegistrySummary
from analyzer.model.records import Gap, RegistryKey

HOSTILE = "a\x1b[31m\x9b\u202e\n[red]b[/red]"
SHOWN = "a\\x1b[31m\\x9b\\u202e\\n[red]b[/red]"
KEY = RegistryKey("aws", HOSTILE, HOSTILE)
GAP = Gap(HOSTILE, HOSTILE, HOSTILE, "ecr:DescribeImages", HOSTILE, HOSTILE, 2)
DONE = RegistrySummary(key=KEY, snapshot=1, status="partial", repositories=2, artifacts=1234, gaps=(GAP,))
HELD = RegistrySummary(key=KEY, snapshot=None, status="held", gaps=(GAP,))
RESULT = CollectResult(run=1, status="gaps", registries=(DONE,))


def _unseen(text: str) -> set[str]:
    return {c for c in text if not c.isprintable()} - {"\n"}


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_an_answer_obeys_no_name(form: str) -> None:
    assert not _unseen(rendered(RESULT, (), form))


def test_a_table_takes_no_name_for_markup() -> None:
    # Without the line breaks that keep it narrow.
    said = "".join(rendered(RESULT, (), "table").split())
    assert f"{SHOWN}/{SHOWN}/{SHOWN}:ecr:DescribeImages" in said


def test_a_table_counts_artifacts() -> None:
    heads, _, row, *_ = rendered(RESULT, (), "table").splitlines()
    assert heads.split("   ")[-2].strip() == "ARTIFACTS"
    assert row.split()[-2] == "1,234"
    assert row.startswith(f"{SHOWN}   {SHOWN}   1 ")


def test_json_says_what_the_names_are() -> None:
    (row,) = json.loads(rendered(RESULT, (), "json"))["registries"]
    assert (row["account"], row["artifacts"]) == (HOSTILE, 1234)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\t=1", "＝1", "\u200b=1"])
def test_csv_is_run_by_no_spreadsheet(name: str) -> None:
    (row,) = csv.DictReader(io.StringIO(csv_text([{"name": name, "count": -1}])))
    assert row["name"].startswith("'")
    assert row["count"] == "-1"
    key = RegistryKey("aws", name, "eu-west-1")
    result = CollectResult(
        run=1, status="complete", registries=(RegistrySummary(key=key, snapshot=1, status=name),)
    )
    (row,) = csv.DictReader(io.StringIO(rendered(result, (), "csv")))
    assert row["account"].startswith("'")
    assert row["status"].startswith("'")


def _told(capsys: pytest.CaptureFixture[str]) -> str:
    with shown_progress(quiet=False) as progress:
        progress.registry_started(KEY)
        progress.repositories_known(KEY, 2)
        progress.repository_done(KEY, HOSTILE, 1234)
        progress.manifests_fetched(KEY, 3)
        progress.registry_done(DONE)
        progress.registry_done(HELD)
    return capsys.readouterr().err


def test_a_log_shows_names_and_obeys_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert _told(capsys).splitlines() == [
        f"{SHOWN} {SHOWN}: reading",
        f"{SHOWN} {SHOWN}: snapshot 1 partial, 2 repositories, 1,234 artifacts, 0 new manifests, gaps: 1",
        f"{SHOWN} {SHOWN}: {SHOWN}",
    ]


def test_a_terminal_shows_names_and_obeys_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    told = _told(capsys)
    # The bar moves the cursor; what others wrote does not.
    assert f"{SHOWN} {SHOWN}: snapshot 1 partial, 2 repositories, 1,234 artifacts" in told
    assert f"{SHOWN} {SHOWN}: {SHOWN}" in told
    assert "\x1b[?25l" in told
    assert not {"\x9b", "\u202e"} & set(told)
    assert "\x1b[31m" not in told.replace(SHOWN, "")


def test_a_message_obeys_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tell(HOSTILE)
    assert capsys.readouterr().err == f"{SHOWN}\n"


def test_a_terminal_that_went_away_stops_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    monkeypatch.setenv("TERM", "xterm")
    with shown_progress(quiet=False) as progress:
        progress.registry_started(KEY)
        progress.registry_done(DONE)
