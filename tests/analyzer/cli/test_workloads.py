"""Stored workloads say which images are in use, and what that covers: as a user reads it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analyzer.model.records import ABSENT, Artifact, ReadStatus, RegistryRead, RepositoryRead, UseKind
from analyzer.model.records import WorkloadRead as Read
from analyzer.model.records import WorkloadUse as Use
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import (
    ACCOUNT,
    FIRST_NIGHT,
    HOST,
    KEY,
    LAST_NIGHT,
    POLICY,
    REGION,
    URL,
    image,
)
from tests.analyzer.store.examples import commit

Cli = Callable[..., Outcome]

#: All but the newest leave under POLICY; the tag ``stable`` has moved from the oldest to the next.
OLDEST = image("oldest", age_days=90)
OLDER = image("older", "stable", age_days=60)
OLD = image("old", "v1", age_days=41)
NEW = image("new", "v2", age_days=3)
RUNNING, CONFIGURED, PREVIOUS = UseKind
OTHER = replace(KEY, region="us-east-1")
ECS = [
    Use("prod/web", f"{HOST}/app:stable@{OLDEST.digest}", RUNNING),
    Use("prod/web", f"{HOST}/app:stable", CONFIGURED),
    Use("prod/web", f"{HOST}/app:gone", PREVIOUS),
    Use("prod/\x1b[31mjob", f"{HOST}/app:v1", PREVIOUS),
    Use("prod/proxy", "nginx:1.27", RUNNING),
]


def _night(
    taken_at_ms: int, images: Sequence[Artifact], *reads: Read, key: Any = KEY, policy: bool = True
) -> RegistryRead:
    text = json.dumps(json.dumps(POLICY)) if policy else ABSENT
    app = RepositoryRead("app", 1, ReadStatus.COMPLETE, images, {"lifecycle_policy_text": text})
    return RegistryRead(key, taken_at_ms, ReadStatus.COMPLETE, [app], workloads=reads)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two nights of one region whose workloads were read in part, and one of another's."""
    database = Database(f"sqlite:///{tmp_path / 'judged.sqlite'}")
    upgrade_schema(database)
    moved = OLDEST._replace(tags=("stable",))
    before = [Use("prod/web", f"{HOST}/app:stable", CONFIGURED)]
    commit(database, _night(FIRST_NIGHT, [moved, OLD], Read("ecs", ReadStatus.COMPLETE, before)))
    reads = [Read("ecs", ReadStatus.COMPLETE, ECS), Read("eks", ReadStatus.REFUSED)]
    commit(database, _night(LAST_NIGHT, [OLDEST, OLDER, OLD, NEW], *reads))
    function = [Use("resize:7", f"{HOST}/app:v1", RUNNING)]
    elsewhere = Read("lambda", ReadStatus.COMPLETE, function)
    commit(database, _night(LAST_NIGHT, [], elsewhere, key=OTHER, policy=False))
    (tmp_path / "old.json").write_text(json.dumps(POLICY))
    (tmp_path / "keep.json").write_text(json.dumps(POLICY).replace("30", "3000"))
    return tmp_path


@pytest.fixture
def ask(demurrage: Cli, folder: Path) -> Cli:
    assert folder.exists()
    return lambda *arguments: demurrage(*arguments, "--db", URL)


def _document(outcome: Outcome) -> dict[str, Any]:
    assert outcome.status == 0, outcome.err
    document: dict[str, Any] = json.loads(outcome.out)
    return document


def _words(text: str) -> str:
    """The words of a text that was wrapped to the width of a terminal."""
    return " ".join(text.split())


def test_images_that_workloads_use_come_first_with_who_uses_them(ask: Cli) -> None:
    outcome = ask("what-if", "--policy", "old.json")
    text = _words(outcome.out)
    assert outcome.status == 0
    assert text.startswith("!! IN USE: 3 images that are in use would be taken: 2 running, 1 configured ")
    place = f"({ACCOUNT}/{REGION})"
    # The tag has moved: what runs is the image that it named before.
    for of, how in (
        (f"{OLDEST.digest} (untagged)", f"running in ecs prod/web {place}"),
        (f"{OLDER.digest} (stable)", f"configured in ecs prod/web {place}"),
        (f"{OLD.digest} (v1)", f"running in lambda resize:7 ({ACCOUNT}/us-east-1); previous in ecs"),
    ):
        assert f"@{of} would be deleted by rule 7; {how}" in text
    assert "and not there: 1 image" in text
    assert f"{HOST}/app:gone: previous in ecs prod/web {place}" in text
    assert "workloads name 1 image in registries or repositories that were not read, nginx:1.27" in text
    assert "\x1b" not in outcome.out


def test_nothing_taken_is_said_with_what_it_covers(ask: Cli) -> None:
    text = _words(ask("what-if", "--policy", "keep.json").out)
    assert "!!" not in text
    assert (
        "Nothing that is known to be in use would be taken. Workloads read in 2 accounts and regions: ecs in"
        " 1, lambda in 1. No complete list of images in use for 2 of 2 accounts and regions. Refused: eks in"
        f" {ACCOUNT}/{REGION}; never asked: lambda in {ACCOUNT}/{REGION}, apprunner, batch, sagemaker and"
        f" codebuild everywhere, ecs and eks in {ACCOUNT}/us-east-1. Images can also be pulled from"
    ) in text


def test_json_names_every_workload_and_what_was_covered(ask: Cli) -> None:
    answer = _document(ask("what-if", "--policy", "old.json", "--format", "json"))
    assert [key for key in answer if key.startswith(("missing", "cover"))] == [
        "missingInUse",
        "missingUses",
        "coverage",
    ]
    found = {
        one["imageDigest"]: (one["inUseAs"], [use["workload"] for use in one["workloads"]])
        for row in answer["repositories"]
        for one in row["inUse"]
    }
    assert found == {
        OLDEST.digest: ("running", ["prod/web"]),
        OLDER.digest: ("configured", ["prod/web"]),
        OLD.digest: ("running", ["resize:7", "prod/\x1b[31mjob"]),
    }
    (last,) = [one for row in answer["repositories"] for one in row["inUse"] if one["imageTags"] == ["v1"]]
    assert last["workloads"][0] == {
        "source": "lambda",
        "account": ACCOUNT,
        "region": "us-east-1",
        "workload": "resize:7",
        "kind": "running",
        "reference": f"{HOST}/app:v1",
    }
    counts = answer["totals"]["counts"]
    assert [counts[f"inUse{kind}"] for kind in ("", "Running", "Configured", "Previous")] == [3, 2, 1, 0]
    assert answer["missingInUse"] == [f"{HOST}/app:gone"]
    assert [one["kind"] for one in answer["missingUses"]] == ["previous"]
    coverage = answer["coverage"]
    assert (coverage["complete"], coverage["places"][0]["refused"]) == (False, ["eks"])
    assert coverage["places"][1]["neverAsked"][:2] == ["ecs", "eks"]


def test_cells_name_every_workload(ask: Cli) -> None:
    outcome = ask("what-if", "--policy", "old.json", "--format", "csv", "--rows", "image")
    rows = {row["digest"]: row for row in csv.DictReader(io.StringIO(outcome.out))}
    assert rows[OLD.digest]["in_use_as"] == "running"
    assert rows[OLD.digest]["used_by"] == (
        f"running in lambda resize:7 ({ACCOUNT}/us-east-1);"
        f" previous in ecs prod/\\x1b[31mjob ({ACCOUNT}/{REGION})"
    )
    assert "No complete list of images in use" in outcome.err
    total = list(csv.DictReader(io.StringIO(ask("what-if", "--policy", "old.json", "--format", "csv").out)))[
        -1
    ]
    assert [total[f"in_use{kind}"] for kind in ("", "_running", "_configured", "_previous")] == [*"3210"]


def test_comment_names_workloads_and_coverage(ask: Cli) -> None:
    text = ask("what-if", "--policy", "old.json", "--format", "markdown").out
    assert "> **3 images that are in use would be taken (2 running, 1 configured):**" in text
    assert f"running in lambda resize:7 ({ACCOUNT}/us-east-1); previous in ecs prod/&#92;x1b" in text
    assert "**What is known of images in use**\n\n- Workloads read in 2 accounts and regions" in text


@pytest.mark.parametrize(("workloads", "taken"), [("all", 3), ("configured", 3), ("running", 2)])
def test_kinds_of_use_can_be_left_out(ask: Cli, workloads: str, taken: int) -> None:
    asked = ("what-if", "--policy", "old.json", "--format", "json", "--workloads", workloads)
    answer = _document(ask(*asked))
    assert answer["totals"]["counts"]["inUse"] == taken
    assert answer["missingInUse"] == ([f"{HOST}/app:gone"] if workloads == "all" else [])


def test_workloads_can_be_left_out_altogether(ask: Cli) -> None:
    answer = _document(ask("what-if", "--policy", "old.json", "--format", "json", "--workloads", "none"))
    counts = answer["totals"]["counts"]
    assert (counts["inUse"], counts["inUseRunning"], answer["coverage"]) == (None, None, None)
    refused = ask("what-if", "--policy", "old.json", "--fail-on-in-use", "--workloads", "none")
    assert (refused.status, "--in-use FILE or --protect GLOB" in refused.err) == (2, True)


def test_workloads_and_the_users_list_count_together(ask: Cli, folder: Path) -> None:
    (folder / "used.txt").write_text(f"{HOST}/app:v2\n{HOST}/app:v1\n{HOST}/app:gone\n")
    asked = ("what-if", "--policy", "keep.json", "--at", "2040-01-01T00:00:00Z", "--in-use", "used.txt")
    text = _words(ask(*asked).out)
    kinds = "2 running, 1 configured, 1 on the list given"
    assert text.startswith(f"!! IN USE: 4 images that are in use would be taken: {kinds} ")
    answer = _document(ask(*asked, "--format", "json"))
    uses = {
        one["imageDigest"]: [use["source"] for use in one["workloads"]]
        for row in answer["repositories"]
        for one in row["inUse"]
    }
    assert (uses[OLD.digest], uses[NEW.digest]) == (["lambda", "ecs", "list"], ["list"])
    assert answer["missingInUse"] == [f"{HOST}/app:gone"]


def test_taking_what_a_workload_uses_fails_where_that_is_asked(ask: Cli) -> None:
    assert ask("what-if", "--policy", "old.json", "--fail-on-in-use").status == 3
    assert ask("what-if", "--policy", "keep.json", "--fail-on-in-use").status == 0
    assert ask("lint", "--fail-on-in-use").status == 3


def test_nothing_can_fail_where_no_workloads_were_read(demurrage: Cli, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'judged.sqlite'}")
    upgrade_schema(database)
    commit(database, _night(LAST_NIGHT, [OLD]))
    (tmp_path / "old.json").write_text(json.dumps(POLICY))
    for command in (("what-if", "--policy", "old.json"), ("lint",)):
        outcome = demurrage(*command, "--fail-on-in-use", "--db", URL)
        assert outcome.status == 2
        assert (
            "no workloads of these accounts and regions were read, and so nothing could fail" in outcome.err
        )
        assert "Workloads: none were read in 1 account and region" in _words(
            demurrage(*command, "--db", URL).out
        )
    assert "In use    unknown: no workloads were read" in demurrage("explain", "app:v1", "--db", URL).out


def test_past_is_judged_by_the_workloads_and_tags_of_then(ask: Cli) -> None:
    asked = ("what-if", "--policy", "old.json", "--run", "1", "--at", "2026-12-24T00:00:00Z")
    answer = _document(ask(*asked, "--format", "json"))
    (row,) = answer["repositories"]
    assert [(one["imageDigest"], one["inUseAs"]) for one in row["inUse"]] == [(OLDEST.digest, "configured")]
    assert answer["coverage"]["places"][0]["read"] == ["ecs"]


def test_policy_in_force_that_takes_an_image_in_use_is_the_first_finding(ask: Cli) -> None:
    text = ask("lint").out
    first = text.partition("\n\n")[2]
    assert first.startswith("HIGH  TAKES_IN_USE  1 finding\n")
    said = _words(text)
    assert "rule 7 expires 3 images in use: 2 running, 1 configured" in said
    assert f"used: running in ecs prod/web ({ACCOUNT}/{REGION}); configured in ecs prod/web" in said
    assert "Refused: eks in" in said
    document = _document(ask("lint", "--format", "json"))
    finding = document["findings"][0]
    assert (finding["severity"], finding["users"][0]["kind"]) == ("high", "running")
    assert document["coverage"]["places"][0]["never_asked"][0] == "lambda"


def test_image_that_only_an_earlier_state_uses_matters_less(ask: Cli, folder: Path) -> None:
    database = Database(f"sqlite:///{folder / 'judged.sqlite'}")
    uses = [Use("prod/web", f"{HOST}/app:v1", PREVIOUS), Use("prod/web", f"{HOST}/app:stable", CONFIGURED)]
    later = _night(LAST_NIGHT, [OLDEST, OLDER, OLD, NEW], Read("ecs", ReadStatus.COMPLETE, uses))
    commit(database, later)
    commit(database, _night(LAST_NIGHT, [], Read("lambda", ReadStatus.COMPLETE), key=OTHER, policy=False))
    document = _document(ask("lint", "--format", "json"))
    findings = [one for one in document["findings"] if one["code"] == "TAKES_IN_USE"]
    assert [(one["severity"], one["message"]) for one in findings] == [
        ("high", "rule 7 expires 1 image in use: 1 configured"),
        ("medium", "rule 7 expires 1 image that only earlier states of workloads use"),
    ]


def test_users_of_an_image_are_explained(ask: Cli) -> None:
    text = _words(ask("explain", "app:v1").out)
    assert f"In use running in lambda resize:7 ({ACCOUNT}/us-east-1)" in text
    nobody = _words(ask("explain", "app:v2").out)
    assert (
        "In use no workload is known to use it (read: ecs in 1 of 2, lambda in 1 of 2; not read: eks,"
        " apprunner, batch, sagemaker, codebuild)"
    ) in nobody
    document = _document(ask("explain", "app:stable", "--format", "json"))
    assert [use["kind"] for use in document["users"]] == ["configured"]
    assert document["in_use"] is True
    without = _document(ask("explain", "app:v1", "--format", "json", "--workloads", "none"))
    assert (without["in_use"], without["users"], without["coverage"]) == (None, [], None)


def test_page_says_what_would_break_and_what_is_covered(ask: Cli, folder: Path) -> None:
    assert ask("report", "--policy", "old.json", "--policy", "keep.json", "--output-dir", "out").status == 0
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert "3 images that are in use would be taken: 2 running, 1 configured" in page
    assert f"running in lambda resize:7 ({ACCOUNT}/us-east-1)" in page
    assert "What is known of images in use" in page
    assert "Nothing that is known to be in use would be taken." in page
    rows = csv.DictReader(io.StringIO((folder / "out" / "images.csv").read_text("utf-8")))
    assert {row["digest"]: row["in_use"] for row in rows} == {
        OLDEST.digest: "running",
        OLDER.digest: "configured",
        OLD.digest: "running",
        NEW.digest: "",
    }
