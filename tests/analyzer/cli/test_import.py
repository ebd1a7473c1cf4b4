"""`demurrage import` at the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from analyzer.cli import folders
from analyzer.model.records import RegistryKey
from analyzer.store.opening import open_database
from analyzer.store.writer import Store
from tests.analyzer.cli.conftest import Outcome
from tests.support.cli_files import write_recipe

Demurrage = Callable[..., Outcome]
URL = "sqlite:///imported.sqlite"


@pytest.fixture
def answers(tmp_path: Path, aws: object) -> Path:
    """What the recipe makes of the world."""
    assert aws
    client: Any = boto3.Session().client("ecr", region_name="eu-west-1")
    write_recipe(client, tmp_path / "answers")
    return tmp_path / "answers"


@pytest.fixture
def run(demurrage: Demurrage) -> Demurrage:
    """Calls `demurrage import` on a database of its own."""

    def call(*arguments: str) -> Outcome:
        return demurrage("--db", URL, "import", *arguments)

    return call


def listing(folder: Path, name: str = "aa") -> None:
    """A folder with one repository that has no images."""
    folder.mkdir(exist_ok=True)
    arn = f"arn:aws:ecr:eu-west-1:123456789012:repository/{name}"
    entry = {"repositoryArn": arn, "repositoryName": name, "createdAt": 1_700_000_000}
    images = {"repositoryName": name, "filter": {"imageStatus": "ANY"}, "imageDetails": []}
    (folder / "all.json").write_text(json.dumps({"repositories": [entry]}) + json.dumps(images))


def test_a_whole_import_is_clean_and_can_be_reported_on(
    answers: Path, run: Demurrage, demurrage: Demurrage
) -> None:
    outcome = run(str(answers))
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1] == "Run 1 made no calls."
    assert outcome.err.splitlines()[-1] == (
        "123456789012 eu-west-1: snapshot 1 complete, 4 repositories, 24 artifacts, 24 new manifests"
    )
    assert demurrage("--db", URL, "report", "--output-dir", "report").status == 0
    assert Path("report/report.html").exists()


def test_gaps_are_status_4_unless_they_are_accepted(answers: Path, run: Demurrage, tmp_path: Path) -> None:
    (answers / "tags.json").unlink()
    outcome = run(str(answers))
    assert outcome.status == 4
    assert "ecr:ListTagsForResource NoneGiven" in outcome.out
    accepted = tmp_path / "gaps.toml"
    accepted.write_text('[[gap]]\ncall = "ecr:ListTagsForResource"\nreason = "no show-back there"\n')
    outcome = run(str(answers), "--accept-gaps", str(accepted), "--format", "json")
    assert outcome.status == 0
    assert [gap["accepted_because"] for gap in json.loads(outcome.out)["accepted_gaps"]] == [
        "no show-back there"
    ]


def test_the_answer_is_that_of_collect_in_every_format(answers: Path, run: Demurrage) -> None:
    document = json.loads(run(str(answers), "--format", "json").out)
    assert (document["run"], document["calls"], document["gaps"]) == (1, {}, [])
    (row,) = csv.DictReader(io.StringIO(run(str(answers), "--format", "csv").out))
    assert (row["region"], row["snapshot"], row["status"]) == ("eu-west-1", "2", "complete")


def test_what_nightly_runs_are_told_by_the_environment_does_not_count(
    answers: Path, run: Demurrage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMURRAGE_REGION", "us-east-1")
    monkeypatch.setenv("DEMURRAGE_ACCOUNT", "999999999999")
    assert run(str(answers)).status == 0


def test_what_is_passed_over_is_named_on_stderr_unless_quiet(run: Demurrage, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    listing(folder)
    for number in range(25):
        (folder / f"note-{number:02}.txt").write_text("x")
    outcome = run(str(folder))
    assert "note-00.txt is neither JSON nor what the AWS CLI says of refused calls; not read" in outcome.err
    assert outcome.err.splitlines()[-1] == "5 more were not read"
    assert run(str(folder), "--quiet").err == ""


def test_links_and_what_is_no_file_are_not_read(run: Demurrage, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "answers", tmp_path / "elsewhere"
    listing(folder)
    listing(elsewhere, "bb")
    (folder / "link.json").symlink_to(elsewhere / "all.json")
    (folder / "more").symlink_to(elsewhere)
    os.mkfifo(folder / "pipe.json")
    outcome = run(str(folder))
    assert json.loads(run(str(folder), "--format", "json").out)["registries"][0]["repositories"] == 1
    for line in (
        "link.json is a link; not read",
        "more is a link; not read",
        "pipe.json is no ordinary file; not read",
    ):
        assert line in outcome.err.splitlines()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nowhere", "nowhere is not there; name the folder"),
        ("file", "file is a file, not a folder; name the folder"),
        ("empty", "nothing to import"),
    ],
)
def test_a_folder_that_cannot_be_is_refused(
    run: Demurrage, tmp_path: Path, name: str, complaint: str
) -> None:
    (tmp_path / "file").write_text("{}")
    (tmp_path / "empty").mkdir()
    outcome = run(name)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith(f"demurrage: {complaint}")
    assert len(outcome.err.splitlines()) == 1


def test_bytes_that_are_no_text_are_refused_with_their_place(run: Demurrage, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    listing(folder)
    (folder / "bad.json").write_bytes(b'{"imageDetails": ["\xff"]}')
    outcome = run(str(folder))
    assert (outcome.status, outcome.err) == (
        2,
        (
            "demurrage: bad.json is no UTF-8 text: byte 19 is 0xff; "
            "write it again with the AWS CLI, or take it away\n"
        ),
    )


def test_a_file_that_is_too_large_is_refused(
    run: Demurrage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "answers"
    listing(folder)
    monkeypatch.setattr(folders, "_LARGEST", 100)
    outcome = run(str(folder))
    assert outcome.status == 2
    assert outcome.err.startswith("demurrage: all.json has ")
    assert "split it" in outcome.err


def test_names_that_a_terminal_would_obey_are_shown_harmlessly(run: Demurrage, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    listing(folder)
    (folder / "\x1b[31mred.txt").write_text("x")
    assert "\x1b" not in run(str(folder)).err


def test_a_registry_that_somebody_writes_is_left_alone(run: Demurrage, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    listing(folder)
    store = Store(open_database(URL, create=True), lambda: round(time.time() * 1000))
    with store.lease(RegistryKey("aws", "123456789012", "eu-west-1"), "pid 1", "another"):
        outcome = run(str(folder))
    assert outcome.status == 1
    assert "is being collected by pid 1 on another" in outcome.err


def test_a_moment_that_is_none_is_refused(run: Demurrage, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    listing(folder)
    assert run(str(folder), "--taken-at", "yesterday").status == 2
    assert run(str(folder), "--taken-at", "2026-01-01T12:00").status == 4
    outcome = run(str(folder), "--taken-at", "2025-12-31T12:00Z")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "before its last snapshot (2026-01-01T12:00:00Z)" in outcome.err
