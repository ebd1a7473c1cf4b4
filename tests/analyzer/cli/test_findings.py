"""`demurrage findings` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyzer.hygiene.judging import ALL_CHECKS
from analyzer.model.records import Gap
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import ACCOUNT, REGION, URL, make_database

Cli = Callable[..., Outcome]

WAIVER = """
[[waiver]]
id = "NO_POLICY"
repository = "copy"
owner = "team"
reason = "it goes in spring"
expires = "{}"
"""


@pytest.fixture
def findings(demurrage: Cli, tmp_path: Path) -> Cli:
    make_database(tmp_path)
    return lambda *arguments: demurrage("findings", "--db", URL, *arguments)


def _document(outcome: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(outcome.out)
    return document


def _keys(outcome: Outcome) -> set[tuple[str, str]]:
    return {(one["repository"], one["check"]) for one in _document(outcome)["findings"]}


def test_the_last_snapshot_is_judged(findings: Cli) -> None:
    outcome = findings("--format", "json")
    assert outcome.status == 0, outcome.err
    document = _document(outcome)
    assert (document["at"], document["repositories_looked_at"]) == ("2026-11-23T02:00:00Z", 2)
    assert _keys(outcome) == {("app", "RULE_MATCHES_NOTHING"), ("copy", "NO_POLICY")}
    (unmatched,) = (one for one in document["findings"] if one["check"] == "RULE_MATCHES_NOTHING")
    # History is asked as lint does.
    assert "it last did on 2026-11-01" in unmatched["message"]
    # Nothing of these was read in that database, and so nothing is said.
    assert {"MUTABLE_TAGS", "NOT_SCANNED", "OPEN_TO_PUBLIC"} <= {
        one["check"] for one in document["not_judged"]
    }


def test_a_terminal_gets_text_and_a_spreadsheet_its_rows(findings: Cli) -> None:
    text = findings().out
    assert text.startswith("Findings at 2026-11-23T02:00:00Z\n2 findings: 1 medium, 1 low")
    outcome = findings("--format", "csv")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["check"] for row in rows] == ["NO_POLICY", "RULE_MATCHES_NOTHING"]
    # What the table has no place for.
    assert "NOT_SCANNED says nothing of 2 repositories" in outcome.err
    assert findings("--format", "csv", "--quiet").err == ""


@pytest.mark.parametrize(("threshold", "status"), [("high", 0), ("medium", 3), ("low", 3), ("info", 3)])
def test_a_finding_of_the_severity_that_is_asked_for_fails(
    findings: Cli, threshold: str, status: int
) -> None:
    assert findings("--fail-on", threshold).status == status


def test_only_what_is_asked_for_can_fail(findings: Cli) -> None:
    assert findings("--fail-on", "medium", "--check", "RULE_MATCHES_NOTHING").status == 0
    assert findings("--fail-on", "medium", "--repository", "a*").status == 0
    assert findings("--fail-on", "medium", "--owner", "nobody").status == 0
    assert findings("--fail-on", "medium", "--owner", "").status == 3


def test_a_waived_finding_is_shown_and_fails_nothing(findings: Cli, tmp_path: Path) -> None:
    (tmp_path / "waivers.toml").write_text(WAIVER.format("2026-11-23"))
    outcome = findings("--fail-on", "medium", "--waivers", "waivers.toml")
    assert outcome.status == 0, outcome.err
    assert "until 2026-11-23 by team: it goes in spring" in outcome.out


def test_an_expired_waiver_fails_again_and_is_told(findings: Cli, tmp_path: Path) -> None:
    (tmp_path / "waivers.toml").write_text(WAIVER.format("2026-11-22"))
    outcome = findings("--fail-on", "medium", "--waivers", "waivers.toml")
    assert outcome.status == 3
    assert "WAIVER_EXPIRED" in outcome.out
    # At an earlier moment it held.
    held = findings("--fail-on", "medium", "--waivers", "waivers.toml", "--at", "2026-11-22T23:59:59Z")
    assert held.status == 0


def test_a_waiver_that_matches_nothing_is_told(findings: Cli, tmp_path: Path) -> None:
    (tmp_path / "waivers.toml").write_text(WAIVER.format("2027-01-01").replace('"copy"', '"other"'))
    assert "matches nothing" in findings("--waivers", "waivers.toml").out
    assert "matches nothing" in findings("--waivers", "waivers.toml", "--format", "csv").err


def test_owners_come_from_a_file(findings: Cli, tmp_path: Path) -> None:
    (tmp_path / "owners.toml").write_text('[[owner]]\nprefix = "co"\nowner = "copyists"\n')
    found = findings("--owners", "owners.toml", "--owner", "copy*", "--format", "json")
    assert _keys(found) == {("copy", "NO_POLICY")}
    assert _document(found)["findings"][0]["owner"] == {"name": "copyists", "source": "prefix co"}


def test_the_environment_says_it_every_night(
    findings: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "waivers.toml").write_text(WAIVER.format("2027-01-01"))
    monkeypatch.setenv("DEMURRAGE_WAIVERS", "waivers.toml")
    monkeypatch.setenv("DEMURRAGE_FAIL_ON", "medium")
    monkeypatch.setenv("DEMURRAGE_OWNER_TAG", "team owner")
    monkeypatch.setenv("DEMURRAGE_KNOWN_ACCOUNT", "222222222222,o-a1b2c3d4e5")
    assert findings().status == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--check", "NO_SUCH"), "--check NO_SUCH: there is no such check"),
        (("--repository", "nothing/*"), "no repository has such a name"),
        (("--waivers", "missing.toml"), "--waivers missing.toml"),
        (("--owners", "missing.toml"), "--owners missing.toml"),
        (("--known-account", "12345"), "is no account or organization"),
        (("--run", "9"), "the last run is"),
        (("--format", "markdown"), "findings prints table, json, csv"),
    ],
)
def test_bad_usage_is_one_line(findings: Cli, arguments: tuple[str, ...], complaint: str) -> None:
    outcome = findings(*arguments)
    assert outcome.status == 2
    assert complaint in outcome.err
    assert outcome.err.count("\n") == 1


def test_gaps_end_with_their_status_after_findings(demurrage: Cli, tmp_path: Path) -> None:
    make_database(tmp_path, Gap(ACCOUNT, REGION, "app", "ecr:DescribeImages", "AccessDeniedException"))
    assert demurrage("findings", "--db", URL).status == 4
    assert demurrage("findings", "--db", URL, "--fail-on", "low").status == 3
    # What is about another repository is not about this one.
    assert demurrage("findings", "--db", URL, "--repository", "copy").status == 0
    (tmp_path / "gaps.toml").write_text('[[gap]]\nreason = "known"\n')
    accepted = demurrage("findings", "--db", URL, "--accept-gaps", "gaps.toml", "--format", "json")
    assert accepted.status == 0
    assert _document(accepted)["accepted_gaps"][0]["accepted_because"] == "known"


def test_the_checks_are_listed_without_a_database(demurrage: Cli) -> None:
    outcome = demurrage("findings", "--db", "sqlite:///missing.sqlite", "--list-checks", "--format", "json")
    assert outcome.status == 0, outcome.err
    assert [check["id"] for check in _document(outcome)["checks"]] == [check.id for check in ALL_CHECKS]
    one = demurrage("findings", "--list-checks", "--check", "NO_POLICY").out
    assert one.startswith("NO_POLICY  (medium)\n")
    assert "MUTABLE_TAGS" not in one


def test_the_report_has_the_same_findings(findings: Cli, demurrage: Cli, tmp_path: Path) -> None:
    (tmp_path / "waivers.toml").write_text(WAIVER.format("2027-01-01"))
    own = _document(findings("--format", "json", "--waivers", "waivers.toml"))
    outcome = demurrage(
        "report", "--db", URL, "--output-dir", "out", "--format", "json", "--waivers", "waivers.toml"
    )
    reported = _document(outcome)["findings"]
    assert reported == {key: own[key] for key in reported}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "findings.csv").read_text("utf-8"))))
    assert [row["key"] for row in rows] == [one["key"] for one in own["findings"]]
    assert [row["waiver_owner"] for row in rows] == ["team", ""]
