"""The page's section, and files, on changes of lifecycle policies."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from analyzer.model.history import Fate, ImageOutcome, Outcomes, PolicyOutcome
from analyzer.model.results import Report
from reports import render_csvs, render_html, render_json
from reports.outcome_page import outcome_section
from tests.support.report_fixture import HOSTILE, build_report

_AT = datetime(2026, 11, 20, 2, tzinfo=UTC)


def _image(fate: Fate, tag: str) -> ImageOutcome:
    return ImageOutcome(
        digest=f"sha256:{len(tag):064x}",
        tags=(tag,),
        pushed_at=_AT,
        fate=fate,
        predicted_at=None if fate is Fate.NOT_PREDICTED else _AT,
        rule=3,
        last_seen_at=_AT,
        gone_at=None,
        size_bytes=7,
    )


def _report(*images: ImageOutcome) -> Report:
    report = build_report(3)
    row = report.repositories[0]
    change = PolicyOutcome(
        account=row.account,
        region=row.region,
        repository=row.repository,
        known_before_at=_AT,
        changed_at=_AT,
        text_before=None,
        text_after="{}",
        until=_AT,
        images=images,
        freed_bytes=1_000,
        predicted_bytes=2_000,
    )
    return replace(report, outcomes=Outcomes(changes=(change,), unknown=("something",)))


def test_the_section_counts_images_and_names_those_that_went_otherwise() -> None:
    section = outcome_section(_report(_image(Fate.LEFT, "v1"), _image(Fate.NOT_PREDICTED, "v2")))
    assert section is not None
    assert "1 left, 1 not predicted" in section.summary
    (row,) = section.changes.rows
    assert [cell.value for cell in row.cells[2:]] == ["1", "0", "0", "0", "1", "0", "0", "2000", "1000"]
    assert section.odd is not None
    assert [odd.cells[1].text for odd in section.odd.rows] == ["v2"]
    fine = outcome_section(_report(_image(Fate.LEFT, "v1")))
    assert fine is not None
    assert fine.odd is None


def test_without_a_change_there_is_no_section_and_no_file() -> None:
    report = build_report(2)
    assert outcome_section(report) is None
    assert outcome_section(replace(report, outcomes=Outcomes(changes=(), unknown=()))) is None
    assert "outcomes.csv" not in render_csvs(report)
    assert "outcomes" not in json.loads(render_json(report))


def test_page_and_files_have_it_with_the_names_of_others_written_out() -> None:
    report = _report(*(_image(Fate.STILL_THERE, tag) for tag in HOSTILE))
    page = render_html(report)
    assert 'id="outcomes"' in page
    assert "<script>alert(1)" not in page
    assert 'href="#method-outcomes"' in page
    assert json.loads(render_json(report))["outcomes"]["changes"][0]["counts"]["still_there"] == len(HOSTILE)
    rows = render_csvs(report)["outcomes.csv"].splitlines()
    assert len(rows) == 1 + len(HOSTILE)
    assert all(",=cmd" not in row for row in rows)
