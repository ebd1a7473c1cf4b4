"""Findings at a terminal, as JSON and as CSV: complete, sorted as given, and harmless."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from analyzer.model.lint import LintCode, LintFinding, LintReport, Severity
from analyzer.model.records import Gap
from analyzer.model.results import ScopedBytes
from analyzer.model.units import GB
from reports.lint import lint_csv, lint_json, lint_text
from reports.text import visible

HOSTILE = "=cmd|' /C calc'!A0\x1b[31m\u202e"


def _finding(**changes: object) -> LintFinding:
    finding = LintFinding(
        code=LintCode.UNCAPPED_TAGGED,
        severity=Severity.MEDIUM,
        account="123456789012",
        region="eu-west-1",
        repository="team/app",
        rule=None,
        message="no rule ever takes 1,234 tagged images: they pile up",
        fix="add a rule",
        images=1_234,
        affected_bytes=ScopedBytes(repository=3 * GB // 2, registry=GB),
        examples=("team/app:v1", "team/app:v2"),
    )
    return replace(finding, **changes)  # type: ignore[arg-type]  # fields of a finding


def _report(*findings: LintFinding, **changes: object) -> LintReport:
    report = LintReport(
        at=datetime(2026, 11, 24, tzinfo=UTC),
        policy=None,
        repositories=12,
        with_policy=3,
        findings=findings,
    )
    return replace(report, **changes)  # type: ignore[arg-type]  # fields of a report


def test_the_text_says_what_was_judged_and_what_was_found() -> None:
    high = _finding(
        severity=Severity.HIGH, code=LintCode.AND_TRAP, rule=1, affected_bytes=None, images=0, examples=()
    )
    text = lint_text(_report(high, _finding(), _finding()))
    lines = text.splitlines()
    assert lines[0] == "12 repositories, 3 with a policy; the policies in force at 2026-11-24T00:00:00Z"
    assert lines[1] == "3 findings: 1 high, 2 medium"
    assert text.index("AND_TRAP") < text.index("UNCAPPED_TAGGED")
    assert "e.g. app:v1, app:v2, …" in " ".join(text.split())
    # Said once for both.
    assert text.count("fix: add a rule") == 2
    assert "team/app 1,234 images 1.50 GB" in " ".join(text.split())
    assert "fix: add a rule" in text


def test_a_candidate_is_named_and_nothing_found_says_so() -> None:
    text = lint_text(_report(policy="new.json", repositories=1))
    assert text == "1 repository, 3 with a policy; new.json at 2026-11-24T00:00:00Z\nNo findings\n"


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"affected_bytes": None}, "unknown"),
        ({"affected_bytes": ScopedBytes(repository=0, registry=0)}, "0.00 GB"),
        ({"affected_bytes": ScopedBytes(repository=1, registry=0)}, "<0.01 GB"),
        ({"unknown_size": 2}, "1.50 GB*"),
    ],
)
def test_unknown_bytes_are_not_zero_and_some_bytes_are_not_nothing(
    changes: dict[str, object], shown: str
) -> None:
    text = lint_text(_report(_finding(**changes)))
    (row,) = (line for line in text.splitlines() if "1,234 images  " in line)
    assert row.endswith(f"  {shown}")
    assert ("without images of unknown size" in text) is ("unknown_size" in changes)


def test_the_text_is_harmless_and_fits_in_a_hundred_columns() -> None:
    long = _finding(
        repository="team/" + "x" * 240, message=HOSTILE + "y" * 300, examples=(HOSTILE + "z" * 300,)
    )
    text = lint_text(_report(*[long] * 3, missing_in_use=(HOSTILE, "m" * 500)))
    assert max(map(len, text.splitlines())) <= 100
    assert visible(text.replace("\n", "")) == text.replace("\n", "")


def test_a_long_list_is_cut_at_the_terminal_only() -> None:
    report = _report(*[_finding(repository=f"r{number}") for number in range(73)])
    assert "and 63 more: see --format csv or json" in lint_text(report)
    assert len(json.loads(lint_json(report))["findings"]) == 73
    assert len(lint_csv(report).splitlines()) == 74


def test_images_in_use_that_are_not_there_are_listed() -> None:
    text = lint_text(_report(missing_in_use=tuple(f"app:{number}" for number in range(13))))
    assert "Named as in use, and not there: 13 images" in text
    assert "  app:9\n  and 3 more\n" in text


def test_json_has_every_field_and_null_for_unknown() -> None:
    gap = Gap("123456789012", "eu-west-1", "", "ecr:DescribeImages", "AccessDeniedException", HOSTILE)
    text = lint_json(
        _report(
            _finding(rule=4, unknown_size=1),
            _finding(affected_bytes=None, region=""),
            gaps=(gap,),
            accepted_gaps=((gap, "agreed"),),
            missing_in_use=(),
        )
    )
    document = json.loads(text)
    assert list(document) == [
        "at",
        "policy",
        "repositories",
        "repositories_with_policy",
        "counts",
        "findings",
        "missing_in_use",
        "coverage",
        "gaps",
        "accepted_gaps",
    ]
    assert document["counts"] == {"high": 0, "medium": 2, "low": 0, "info": 0}
    first, second = document["findings"]
    assert first == {
        "code": "UNCAPPED_TAGGED",
        "severity": "medium",
        "account": "123456789012",
        "region": "eu-west-1",
        "repository": "team/app",
        "rule": 4,
        "message": "no rule ever takes 1,234 tagged images: they pile up",
        "fix": "add a rule",
        "images": 1234,
        "affected_bytes": {"repository": 3 * GB // 2, "registry": GB},
        "images_of_unknown_size": 1,
        "examples": ["team/app:v1", "team/app:v2"],
        "users": [],
    }
    assert (second["affected_bytes"], second["region"], second["rule"]) == (None, None, None)
    assert document["missing_in_use"] == []
    assert document["gaps"][0]["detail"] == HOSTILE
    assert document["accepted_gaps"][0]["accepted_because"] == "agreed"
    assert not {"\x1b", "\u202e"} & set(text)


def test_csv_holds_raw_numbers_and_no_formula() -> None:
    text = lint_csv(
        _report(_finding(message=HOSTILE, repository="@x", examples=("+a:b",)), _finding(affected_bytes=None))
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["message"] == "'" + visible(HOSTILE)
    assert (rows[0]["repository"], rows[0]["examples"]) == ("'@x", "'+a:b")
    assert rows[0]["affected_bytes_repository_scope"] == str(3 * GB // 2)
    assert rows[0]["affected_bytes_registry_scope"] == str(GB)
    assert (rows[1]["affected_bytes_repository_scope"], rows[1]["rule"]) == ("", "")
    assert rows[1]["examples"] == "team/app:v1 team/app:v2"


def test_csv_without_findings_has_its_header() -> None:
    assert lint_csv(_report()).startswith("severity,code,account,region,repository,rule,message,fix,images,")
