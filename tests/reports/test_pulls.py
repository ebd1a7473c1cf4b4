"""What is said of pulls across regions and accounts, in every format."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from analyzer.model.pull_report import PullReport
from analyzer.model.records import Gap
from analyzer.model.transfer import ColdPull, TransferCode
from analyzer.model.units import GB
from analyzer.model.usage import Coverage, PlaceCoverage
from reports.csv import render_csvs, render_grouped_pulls_csv, render_pulls_csv
from reports.html import render_html
from reports.json import render_json
from reports.pulls_json import pulls_json
from reports.pulls_text import groups_by, pulls_text
from reports.recorded_words import By, costs_by
from tests.support.pulls_fixture import (
    ACROSS,
    FINDINGS,
    OWN,
    REPLICA,
    UNKNOWN,
    UNREAD,
    UPSTREAM,
    no_usd,
    pull_report,
    recorded_pulls,
    usd,
)
from tests.support.report_fixture import HOSTILE, build_report


def _section(report: PullReport) -> str:
    page = render_html(replace(build_report(3), pulls=report))
    _, _, rest = page.partition('<section aria-labelledby="pulls">')
    return rest.partition("</section>")[0]


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_terminal_gets_totals_routes_and_findings_the_cheapest_fix_first() -> None:
    text = pulls_text(pull_report(*FINDINGS))
    assert "One cold pull of each moves 4.00–5.00 GB* and costs $0.0800–$0.1000*" in text
    assert f"* Leaves out: bytes not known: {UNREAD}." in text
    assert "111122223333/eu-west-1 → us-east-1" in text
    codes = [line.split()[1] for line in text.splitlines() if line.startswith(("MEDIUM", "LOW", "INFO"))]
    assert codes == [str(finding.code) for finding in (*FINDINGS[:2], *FINDINGS[3:])]
    assert f"        name instead: {REPLICA.better_reference}\n" in text
    assert "a cold pull: 3.00 GB, $0.0600, paid by 111122223333" in text
    assert "Refused: ecs in\n  444455556666/eu-west-1." in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_a_table_by_puller_stands_alone() -> None:
    text = pulls_text(pull_report(*FINDINGS), "puller")
    assert "111122223333/us-east-1 ecs prod/api   " in text
    assert "name instead" not in text
    assert "checkout/api " in pulls_text(pull_report(*FINDINGS), "repository")


def test_more_than_fit_are_counted() -> None:
    many = [replace(ACROSS, region=f"r-{n}", reference=f"{n}") for n in range(25)]
    text = pulls_text(pull_report(*many))
    assert "and 5 more: see --format csv or json" in text
    assert "  and 15 more: see --format csv or json" in text


@pytest.mark.parametrize(
    ("coverage", "references", "said"),
    [
        (Coverage((PlaceCoverage(OWN, "eu-west-1"),)), 0, "No workloads were read, so nothing is known"),
        (Coverage((PlaceCoverage(OWN, "eu-west-1", read=("ecs",)),)), 40, "Of 40 references that workloads"),
    ],
)
def test_no_finding_is_no_claim_beyond_what_was_read(coverage: Coverage, references: int, said: str) -> None:
    report = replace(pull_report(references=references), coverage=coverage)
    for text in (pulls_text(report), _section(report)):
        assert said in text
        assert "Images can also be pulled from accounts" in " ".join(text.split())
    assert "<svg" not in _section(report)
    assert "<table" not in _section(report)


def test_nothing_known_of_any_size_is_unknown_and_never_zero() -> None:
    text = pulls_text(pull_report(UNKNOWN))
    assert "moves unknown and costs unknown" in text
    (route,) = json.loads(pulls_json(pull_report(UNKNOWN)))["routes"]
    assert (route["low_bytes"], route["high_bytes"], route["cost"]["high"]["amount"]) == (None, None, None)
    assert "size unknown" in _section(pull_report(UNKNOWN))
    assert "stroke-dasharray" in _section(pull_report(UNKNOWN))
    (row,) = _rows(render_grouped_pulls_csv(pull_report(UNKNOWN).summary.routes))
    assert (row["cold_pull_bytes_high"], row["cost_usd_per_pull_high"]) == ("", "")


def test_small_amounts_are_never_shown_as_nothing() -> None:
    tiny = replace(ACROSS, cold_pull=ColdPull(9, 9), usd_per_pull=usd("0.00000000017"))
    assert "<$0.0001" in pulls_text(pull_report(tiny))
    known = replace(ACROSS, usd_per_pull=usd("0.000031", "12.5"))
    assert "$0.0000" not in pulls_text(pull_report(known))
    assert "$12.50" in pulls_text(pull_report(known))


def test_programs_get_every_finding_and_all_groups() -> None:
    gap = Gap(account=OWN, region="eu-west-1", repository="", call="ecs:ListTasks", reason="denied")
    document = json.loads(pulls_json(pull_report(*FINDINGS, gaps=(gap,))))
    assert list(document) == [
        "at",
        "references",
        "counts",
        "total",
        "findings",
        "routes",
        "repositories",
        "pullers",
        "codes",
        "coverage",
        "recorded",
        "gaps",
        "accepted_gaps",
    ]
    assert document["references"] == {"looked_at": 40, "local": 30, "not_judged": 1}
    assert document["counts"] == {"high": 0, "medium": 1, "low": 3, "info": 2}
    first = document["findings"][0]
    assert first["code"] == "TRANSFER_REPLICA_UNUSED"
    assert first["cost"]["high"] == {"amount": "0.06", "currency": "USD", "period": "pull"}
    assert first["cold_pull"]["high_bytes"] == 3 * GB
    assert {one["code"] for one in document["codes"]} == set(TransferCode)
    assert document["gaps"][0]["call"] == "ecs:ListTasks"
    assert document["total"]["payers"] == [OWN, "444455556666"]


def test_spreadsheets_get_stable_columns_and_no_formula() -> None:
    rows = _rows(render_pulls_csv(pull_report(*FINDINGS)))
    assert list(rows[0])[:6] == ["code", "severity", "account", "region", "source", "reference"]
    assert [row["code"] for row in rows] == [str(finding.code) for finding in FINDINGS]
    assert rows[2]["leaves_out"] == f"bytes not known: {UNREAD}"
    assert rows[4]["workload_names"].startswith("'=cmd|")
    pullers = _rows(render_grouped_pulls_csv(pull_report(UPSTREAM).summary.pullers))
    assert pullers[0]["workload"].startswith("'=cmd|")


def test_the_report_has_them_in_every_format_where_they_were_worked_out() -> None:
    report = replace(build_report(3), pulls=pull_report(*FINDINGS))
    tables = render_csvs(report)
    assert len(_rows(tables["pulls.csv"])) == len(FINDINGS)
    assert next(row["region"] for row in _rows(tables["pull-routes.csv"])) == "us-east-1"
    assert json.loads(render_json(report))["pulls"]["total"]["crossing"] == 3
    assert "pulls" not in json.loads(render_json(build_report(3)))
    assert "Pulls across regions" not in render_html(build_report(3))


def test_the_page_shows_the_routes_as_a_chart_that_can_be_heard() -> None:
    section = _section(pull_report(*FINDINGS))
    assert 'aria-labelledby="route-chart-title route-chart-desc"' in section
    assert "111122223333/eu-west-1 to us-east-1 5.00 GB, $0.1000" in section
    assert "could come from a replica that is there" in section
    assert REPLICA.better_reference in section
    assert "could come from" not in _section(pull_report(ACROSS))
    many = [replace(ACROSS, region=f"r-{n}") for n in range(12)]
    assert "The 10 dearest of 12 routes" in _section(pull_report(*many))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_others_stay_text(name: str) -> None:
    hostile = replace(
        UNKNOWN,
        reference=name,
        region=name,
        registry_region=name,
        repository=name,
        better_reference=name,
        usd_per_pull=no_usd(name),
        caveats=(name,),
    )
    section = _section(pull_report(hostile, replace(REPLICA, region=name, reference=name)))
    assert "<script" not in section
    assert "<img" not in section
    for text in (section, pulls_text(pull_report(hostile)), pulls_json(pull_report(hostile))):
        assert not {"\x1b", "\u202e", "\u200b", "\ud800"} & set(text)


def _recorded() -> PullReport:
    return replace(pull_report(*FINDINGS), recorded=recorded_pulls())


def test_without_cloudtrail_nothing_is_said_of_how_often() -> None:
    for text in (pulls_text(pull_report(*FINDINGS)), _section(pull_report(*FINDINGS))):
        assert "How often images are pulled is not known" in text
    assert json.loads(pulls_json(pull_report()))["recorded"] is None
    assert "recorded-pulls.csv" not in render_csvs(replace(build_report(3), pulls=pull_report()))


def test_recorded_pulls_are_told_with_what_is_not_known_of_them() -> None:
    text = pulls_text(_recorded())
    assert "Recorded by CloudTrail, 2026-11-13 to 2026-11-22" in text
    assert "137 layers were pulled, 141 GB* in all." in text
    assert "444455556666/ap-south-1 → unknown region           4     1.00 GB" in text
    assert "444455556666/ap-south-1 → the internet             3     unknown           unknown" in text
    assert "whether anything\n  was pulled there is not known: the trail keeps writes only." in text
    assert "Every one of 10 days is covered completely for 1 registry." in text
    assert "Not counted: 7 failed calls." in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_advice_says_what_it_saves_and_has_the_text_to_paste() -> None:
    text, section = pulls_text(_recorded()), _section(_recorded())
    assert "TRANSFER_REPLICATE  saves $0.5000–$0.7000 a month" in text
    assert '    {\n      "rules": []\n    }\n' in text
    assert "It pays from 20.0 GB pulled a month on (7 cold pulls of a whole image)." in text
    assert "<pre>{\n  &#34;rules&#34;: []\n}\n</pre>" in section
    assert "aws_ecr_replication_configuration" in section
    (advice,) = json.loads(pulls_json(_recorded()))["recorded"]["advice"]
    assert json.loads(advice["replication_json"]) == {"rules": []}
    assert advice["instead_of"] == ["TRANSFER_MOVE_REPOSITORIES"]


@pytest.mark.parametrize(("by", "name"), [("day", "2026-11-22"), ("puller", "=role/<node>")])
def test_recorded_pulls_by_what_was_asked(by: By, name: str) -> None:
    report = _recorded()
    assert f"\n{name} " in pulls_text(report, by)
    assert report.recorded is not None
    rows = _rows(render_grouped_pulls_csv(groups_by(report, by), costs_by(report.recorded.costs, by)))
    recorded = [row for row in rows if row["basis"] == "recorded"]
    assert recorded[0]["layer_pulls"] == "137"
    assert all(None not in row and None not in row.values() for row in rows)
    if by == "puller":
        assert recorded[0]["principal"] == "'=role/<node>"
        assert rows[0]["basis"] == "references"


def test_the_report_has_a_row_for_each_recorded_pull_and_a_second_chart() -> None:
    tables = render_csvs(replace(build_report(3), pulls=_recorded()))
    rows = _rows(tables["recorded-pulls.csv"])
    assert [(row["region"], row["method"], row["pulled_bytes"]) for row in rows[1:3]] == [
        ("unknown", "instance", str(GB)),
        ("internet", "instance", ""),
    ]
    assert [row["basis"] for row in _rows(tables["pull-routes.csv"])][-4:] == ["recorded"] * 4
    section = _section(_recorded())
    assert "444455556666/ap-south-1 → unknown region 1.00 GB, $0.0900" in section
    assert "=role/&lt;node&gt;" in section


def test_no_recorded_pull_is_no_claim_about_days_that_are_not_covered() -> None:
    recorded = recorded_pulls()
    nothing = replace(recorded.costs.total, layer_pulls=0, checks=0)
    costs = replace(recorded.costs, total=nothing, routes=(), repositories=(), pullers=(), days=(), rows=())
    report = replace(pull_report(), recorded=replace(recorded, costs=costs))
    assert "No pull was recorded on the days that are covered." in pulls_text(report)
    whole = replace(costs, coverage=costs.coverage[:1])
    report = replace(pull_report(), recorded=replace(recorded, costs=whole))
    assert "No pull was recorded.\n" in pulls_text(report)
