"""`demurrage lint` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyzer.model.records import Gap
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import ACCOUNT, HOST, POLICY, REGION, URL, make_database

Cli = Callable[..., Outcome]


@pytest.fixture
def lint(demurrage: Cli, tmp_path: Path) -> Cli:
    make_database(tmp_path)
    return lambda *arguments: demurrage("lint", "--db", URL, *arguments)


def _found(outcome: Outcome) -> dict[tuple[str, str], dict[str, Any]]:
    """Findings by repository and code."""
    document = json.loads(outcome.out)
    return {(finding["repository"], finding["code"]): finding for finding in document["findings"]}


def test_the_policies_in_force_are_judged(lint: Cli) -> None:
    outcome = lint("--format", "json")
    assert outcome.status == 0, outcome.err
    document = json.loads(outcome.out)
    assert (document["at"], document["policy"]) == ("2026-11-23T02:00:00Z", None)
    assert (document["repositories"], document["repositories_with_policy"]) == (2, 1)
    found = _found(outcome)
    assert set(found) == {("app", "RULE_MATCHES_NOTHING"), ("copy", "NO_POLICY")}
    unmatched = found["app", "RULE_MATCHES_NOTHING"]
    assert (unmatched["rule"], unmatched["severity"]) == (5, "low")
    assert "it last did on 2026-11-01" in unmatched["message"]
    assert found["copy", "NO_POLICY"]["examples"] == ["copy:dev-1"]


def test_a_terminal_gets_a_table_and_a_spreadsheet_its_rows(lint: Cli) -> None:
    text = lint().out
    assert text.startswith("2 repositories, 1 with a policy; the policies in force at 2026-11-23T02:00:00Z\n")
    assert "NO_POLICY" in text
    rows = list(csv.DictReader(io.StringIO(lint("--format", "csv").out)))
    assert [row["code"] for row in rows] == ["NO_POLICY", "RULE_MATCHES_NOTHING"]


def test_a_candidate_is_judged_everywhere(lint: Cli, tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text(json.dumps(POLICY).replace("prod-*", "dev-*"))
    outcome = lint("--policy", "new.json", "--format", "json")
    document = json.loads(outcome.out)
    assert (document["policy"], document["repositories_with_policy"]) == ("new.json", 2)
    assert {(f["repository"], f["code"], f["rule"]) for f in document["findings"]} == {
        ("app", "NEVER_ACTS", 5),
        ("app", "RULE_SHADOWED", 7),
        ("copy", "NEVER_ACTS", 5),
        ("copy", "RULE_SHADOWED", 7),
    }


def test_an_invalid_candidate_is_bad_usage_with_its_codes(lint: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(json.dumps({"rules": []}).ljust(120))
    outcome = lint("--policy", "bad.json", "--format", "json")
    assert outcome.status == 2
    assert json.loads(outcome.out)["error"]["code"] == "RULE_COUNT"
    assert "RULE_COUNT" in outcome.err


def test_only_the_repositories_that_are_asked_for(lint: Cli) -> None:
    assert set(_found(lint("--repository", "c*", "--format", "json"))) == {("copy", "NO_POLICY")}
    refused = lint("--repository", "nothing/*")
    assert refused.status == 2
    assert "--repository nothing/*: no repository has such a name" in refused.err


@pytest.mark.parametrize(("threshold", "status"), [("high", 0), ("medium", 3), ("low", 3), ("info", 3)])
def test_findings_at_or_above_the_threshold_fail(lint: Cli, threshold: str, status: int) -> None:
    assert lint("--fail-on", threshold).status == status


def test_images_in_use_that_leave_are_named_and_fail(lint: Cli, tmp_path: Path) -> None:
    (tmp_path / "used.txt").write_text(f"{HOST}/app:dev-1\n{HOST}/app:dev-2\n{HOST}/app:prod-1\n")
    outcome = lint("--in-use", "used.txt", "--format", "json")
    assert outcome.status == 0
    taken = _found(outcome)["app", "TAKES_IN_USE"]
    assert (taken["severity"], taken["rule"], taken["examples"]) == ("high", 7, ["app:dev-1"])
    assert json.loads(outcome.out)["missing_in_use"] == [f"{HOST}/app:prod-1"]
    assert lint("--in-use", "used.txt", "--fail-on-in-use").status == 3
    (tmp_path / "fine.txt").write_text(f"{HOST}/app:dev-2\n")
    assert lint("--in-use", "fine.txt", "--fail-on-in-use").status == 0


def test_images_in_use_may_come_through_a_pipe(lint: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps([f"{HOST}/app:dev-1"])))
    assert lint("--in-use", "-", "--fail-on-in-use").status == 3


def test_failing_on_images_in_use_needs_a_list_of_them(lint: Cli) -> None:
    outcome = lint("--fail-on-in-use")
    assert outcome.status == 2
    assert "--in-use FILE" in outcome.err


def test_protected_images_are_named_and_a_glob_in_vain_is_told(lint: Cli) -> None:
    outcome = lint("--protect", "app:dev-*", "--protect", "nothing", "--format", "json")
    assert _found(outcome)["app", "TAKES_PROTECTED"]["examples"] == ["app:dev-1"]
    assert "--protect nothing: there is no such image" in outcome.err
    assert lint("--protect", "nothing", "--quiet").err == ""


def test_another_moment_gives_other_verdicts(lint: Cli) -> None:
    used = ("--protect", "app", "--format", "json")
    later = _found(lint(*used, "--at", "2027-02-01"))
    assert later["app", "TAKES_PROTECTED"]["images"] == 2
    assert ("app", "TAKES_PROTECTED") not in _found(lint(*used, "--at", "2026-10-20"))


def test_what_was_not_read_is_a_gap_and_status_4_unless_there_is_a_finding_to_fail_on(
    demurrage: Cli, tmp_path: Path
) -> None:
    refused = Gap(ACCOUNT, REGION, "copy", "ecr:GetLifecyclePolicy", "AccessDeniedException")
    make_database(tmp_path, refused)
    outcome = demurrage("lint", "--db", URL)
    assert outcome.status == 4
    assert "ecr:GetLifecyclePolicy AccessDeniedException" in outcome.out
    assert demurrage("lint", "--db", URL, "--fail-on", "medium").status == 3
    assert demurrage("lint", "--db", URL, "--repository", "app").status == 0
    (tmp_path / "gaps.toml").write_text('[[gap]]\nrepository = "copy"\nreason = "agreed"\n')
    accepted = demurrage("lint", "--db", URL, "--accept-gaps", "gaps.toml", "--format", "json")
    assert accepted.status == 0
    assert json.loads(accepted.out)["accepted_gaps"][0]["accepted_because"] == "agreed"


def test_there_must_be_a_database(demurrage: Cli) -> None:
    outcome = demurrage("lint", "--db", "sqlite:///none.sqlite")
    assert outcome.status == 2
    assert "demurrage collect" in outcome.err
