"""Findings at a terminal, as JSON, as CSV and on the page: complete, and harmless."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest

from analyzer.hygiene.judging import ALL_CHECKS
from analyzer.model.findings import FindingsReport
from reports.csv import render_checks_csv, render_csvs, render_findings_csv
from reports.findings_csv import COLUMNS
from reports.findings_json import checks_json, findings_json
from reports.findings_page import actions_section, findings_section
from reports.findings_text import checks_text, findings_text
from reports.html import render_html
from reports.json import render_json
from reports.text import visible
from tests.support.findings_fixture import findings_of, with_findings
from tests.support.report_fixture import HOSTILE, build_report


@pytest.fixture(scope="module")
def found() -> FindingsReport:
    return findings_of(build_report(30), each=5)


@pytest.fixture(scope="module")
def hostile() -> FindingsReport:
    return findings_of(build_report(30, hostile=True), hostile=True, each=5)


def test_the_text_begins_with_what_to_do_first(found: FindingsReport) -> None:
    text = findings_text(found)
    assert text.startswith("Findings at 2026-11-23T02:00:00Z\n")
    assert "If all that is open were mended" in text
    assert text.index("WHAT TO DO FIRST") < text.index("HIGH  ")
    assert "WAIVED  " in text
    assert "Waiver of EMPTY_REPOSITORY matches nothing" in text
    assert "NOT_SCANNED says nothing of 2 repositories in 111122223333/eu-west-1" in text
    assert "do not add up" in " ".join(text.split())
    assert all(len(line) <= 100 for line in text.splitlines())


def test_a_check_with_many_findings_says_how_many_more(found: FindingsReport) -> None:
    many = [replace(found.findings[0], repository=f"r{n}", waiver=None) for n in range(14)]
    text = findings_text(replace(found, findings=tuple(many)))
    assert "and 4 more: see --format csv or json" in text


def test_without_findings_the_text_says_so(found: FindingsReport) -> None:
    text = findings_text(replace(found, findings=(), by_repository=(), unmatched_waivers=(), not_judged=()))
    assert "No findings" in text
    assert "WHAT TO DO FIRST" not in text


def test_json_has_every_finding_with_its_key(found: FindingsReport) -> None:
    document = json.loads(findings_json(found))
    assert [one["key"] for one in document["findings"]] == [one.key for one in found.findings]
    assert document["waived"] + sum(document["counts"].values()) == len(found.findings)
    assert [check["id"] for check in document["checks"]] == [check.id for check in ALL_CHECKS]
    saving = next(
        one["saving"] for one in document["findings"] if one["saving"] and one["saving"]["low"]["amount"]
    )
    assert saving["low"].keys() == {"amount", "currency", "period"}
    assert (saving["low"]["currency"], saving["low"]["period"]) == ("USD", "month")
    unknown = next(one for one in document["findings"] if one["images_of_unknown_size"] and one["saving"])
    assert unknown["freed_bytes"] is None
    assert unknown["saving"]["low"] == {
        "amount": None,
        "currency": "USD",
        "period": "month",
        "leaves_out": ["artifacts of unknown size"],
    }
    waived = next(one for one in document["findings"] if one["waiver"])
    assert waived["waiver"]["expires"] == "2027-03-31"


def test_csv_has_a_row_for_each_finding(found: FindingsReport) -> None:
    rows = list(csv.DictReader(io.StringIO(render_findings_csv(found))))
    assert tuple(rows[0]) == COLUMNS
    assert [row["key"] for row in rows] == [one.key for one in found.findings]
    assert sum(row["waived_until"] == "2027-03-31" for row in rows) == len(found.findings) - len(found.open)


def test_the_report_has_findings_in_every_file() -> None:
    report = with_findings(build_report(30))
    assert report.findings is not None
    assert render_csvs(report)["findings.csv"] == render_findings_csv(report.findings)
    assert len(json.loads(render_json(report))["findings"]["findings"]) == len(report.findings.findings)
    page = render_html(report)
    assert page.index('id="actions"') < page.index('id="money"') < page.index('id="findings"')
    assert 'href="#check-no-policy"' in page
    assert 'id="check-no-policy"' in page


def test_a_report_without_findings_has_no_section_on_them() -> None:
    report = build_report(3)
    assert (actions_section(report), findings_section(report)) == (None, None)
    assert "findings.csv" not in render_csvs(report)
    assert "findings" not in json.loads(render_json(report))


def test_hostile_text_is_harmless_everywhere(hostile: FindingsReport) -> None:
    text, document, table = findings_text(hostile), findings_json(hostile), render_findings_csv(hostile)
    for shown in (text, document, table):
        assert visible(shown.replace("\n", "")) == shown.replace("\n", "")
    for row in csv.reader(io.StringIO(table)):
        assert not any(re.match(r"\s*[=+\-@＝]", cell) for cell in row)
    assert {one["message"] for one in json.loads(document)["findings"]} <= set(HOSTILE)
    page = render_html(with_findings(build_report(30, hostile=True), hostile=True))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "{{7*7}}" in page


@pytest.mark.parametrize("check", ALL_CHECKS, ids=lambda check: check.id)
def test_the_table_of_checks_is_printed_whole(check: object) -> None:
    identifier = getattr(check, "id", "")
    assert f"{identifier}  (" in checks_text(ALL_CHECKS)
    assert identifier in {one["id"] for one in json.loads(checks_json(ALL_CHECKS))["checks"]}
    assert identifier in {row["id"] for row in csv.DictReader(io.StringIO(render_checks_csv(ALL_CHECKS)))}
