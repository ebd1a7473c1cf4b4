"""Keeping fewer, as the page, the tables and the documents tell it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.frontier import LADDER, FrontierCurve, FrontierPoint
from analyzer.model.results import Report, ScopedBytes, ScopedMoney
from analyzer.model.units import Money
from reports.cells import Table
from reports.csv import render_csvs
from reports.frontier import Fewer, fewer_section, rung_numbers, rungs
from reports.frontier_text import frontier_text
from reports.html import render_html
from reports.json import render_frontier_json, render_json
from reports.lines import Curve, Dot, step_chart
from reports.rounding import rounded
from reports.text import visible
from tests.support.frontier_fixture import LAST, with_frontier
from tests.support.report_fixture import AT, Mounting, build_report


def _section(report: Report) -> Fewer:
    section = fewer_section(report)
    assert section is not None
    return section


def _cells(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


# The page.


def test_the_section_has_a_chart_and_a_table_for_images_and_for_days_and_the_repositories() -> None:
    text = render_html(with_frontier(build_report(7)))
    markers = [
        'id="waste"',
        'id="fewer"',
        'id="fewer-images-title"',
        'id="fewer-images-table"',
        'id="fewer-days-title"',
        'id="fewer-days-table"',
        'id="fewer-repositories-table"',
        'id="method"',
    ]
    places = [text.index(marker) for marker in markers]
    assert places == sorted(places)


def test_without_a_frontier_or_with_one_image_each_there_is_no_section() -> None:
    report = build_report(3)
    assert fewer_section(report) is None
    assert 'id="fewer"' not in render_html(report)
    only = with_frontier(report).frontier[0]
    nothing = replace(only, fleet=FrontierCurve(points=(replace(only.fleet.today, n=1),)))
    assert fewer_section(replace(report, frontier=(nothing,))) is None


def test_the_table_of_the_fleet_has_the_rungs_and_today() -> None:
    report = with_frontier(build_report(7))
    for part, sweep in zip(_section(report).parts, report.frontier, strict=True):
        rows = _cells(part.table)
        assert [row[0] for row in rows] == [str(n) for n in LADDER[sweep.by] if n < LAST[sweep.by]] + [
            str(LAST[sweep.by])
        ]
        assert [row[1] for row in rows] == [f"{point.kept:,}" for point in rungs(sweep)]
        money = [
            [point.cost.repository, point.cost.registry, point.saving.repository, point.saving.registry]
            for point in rungs(sweep)
        ]
        for row, amounts in zip(rows, money, strict=True):
            for cell, amount in zip(row[4:], amounts, strict=True):
                assert cell == "<0.01" or Decimal(cell) == rounded(amount, 2)
        assert rows[-1][6] == rows[-1][7] == "0.00"


def test_the_repositories_come_by_what_the_first_column_saves() -> None:
    report = with_frontier(build_report(60))
    table = _section(report).repositories
    assert [column.label for column in table.columns] == [
        "Repository",
        "10 images",
        "20 images",
        "50 images",
        "30 days",
        "90 days",
        "180 days",
    ]
    values = [Decimal(row.cells[1].value) for row in table.rows]
    assert len(values) == 10
    assert values == sorted(values, reverse=True)
    best = max(
        row.curve.at(10).saving.repository.amount or Decimal(0) for row in report.frontier[0].repositories
    )
    assert values[0] == round(best, 6)


@pytest.mark.parametrize(("mounting", "scope"), [("off", "repository"), ("on", "registry")])
def test_savings_of_repositories_stand_where_they_cannot_be_overstated(
    mounting: Mounting, scope: str
) -> None:
    section = _section(with_frontier(build_report(7, mounting=mounting)))
    assert f"at {scope} scope" in section.repositories.caption
    assert f"at {scope} scope" in section.note


def test_without_a_price_the_repositories_are_told_by_what_is_freed() -> None:
    report = build_report(7)
    unknown = ScopedMoney(repository=Money.unknown("no price"), registry=Money.unknown("no price"))
    report = replace(
        report,
        repositories=tuple(replace(row, cost=unknown) for row in report.repositories),
        totals=replace(report.totals, cost=unknown),
    )
    section = _section(with_frontier(report))
    assert "freed, GB" in section.repositories.caption
    assert section.repositories.rows
    assert section.footnote == "Leaves out: no price."
    chart = section.parts[0].chart
    assert chart is not None
    assert "$" not in chart.svg
    assert chart.legend == (("accent", "stored bytes"),)


def test_unknown_money_and_bytes_are_no_zeros() -> None:
    report = with_frontier(build_report(7, unpriced=True, gaps=True, unknowns=True))
    section = _section(report)
    for table in (*(part.table for part in section.parts), section.repositories):
        assert any(cell.incomplete for row in table.rows for cell in row.cells)
    assert "artifacts of unknown size" in section.footnote
    assert "no storage price for me-central-1" in section.footnote


def test_cost_has_a_curve_of_its_own_where_it_falls_otherwise_than_the_bytes() -> None:
    report = with_frontier(build_report(7))
    images = report.frontier[0]
    points = list(images.fleet.points)
    dear = points[-1].cost.repository.amount
    assert dear is not None
    half = replace(points[9].cost, repository=Money(dear / 2))
    points[9] = replace(points[9], cost=half)
    changed = replace(images, fleet=FrontierCurve(points=tuple(points)))
    chart = _section(replace(report, frontier=(changed,))).parts[0].chart
    same = _section(report).parts[0].chart
    assert chart is not None
    assert same is not None
    assert [label for _, label in chart.legend] == ["stored bytes", "what they cost"]
    assert (chart.svg.count("<path"), same.svg.count("<path")) == (2, 1)


def test_a_fleet_of_which_no_byte_is_known_has_a_table_and_no_chart() -> None:
    report = with_frontier(build_report(3))
    images = report.frontier[0]
    nothing = ScopedBytes(repository=0, registry=0)
    unknown = Money.unknown("artifacts of unknown size")
    both = ScopedMoney(repository=unknown, registry=unknown)
    points = tuple(
        replace(point, stored_bytes=nothing, cost=both, saving=both) for point in images.fleet.points
    )
    part = _section(replace(report, frontier=(replace(images, fleet=FrontierCurve(points=points)),))).parts[0]
    assert part.chart is None
    assert {cell for row in _cells(part.table) for cell in row[2:]} == {"unknown"}


# The chart.


def _drawn(*steps: tuple[int, str], last: int = 100, ticks: tuple[int, ...] = (1, 10, 100)) -> str:
    curve = Curve(colour="accent", steps=[(n, Decimal(height)) for n, height in steps])
    return step_chart(
        [curve],
        dots=[Dot(n=10, height=Decimal("0.5"), hint="ten <b>")],
        ticks=ticks,
        last=last,
        quarters=["4", "3", "2", "1"],
        name="c",
        title="Title",
        description="Words",
    )


def test_a_step_chart_speaks_to_screen_readers_and_is_escaped() -> None:
    svg = ET.fromstring(_drawn((1, "0"), (100, "1")))  # noqa: S314 (our own text)
    assert (svg.get("role"), svg.get("aria-labelledby")) == ("img", "c-title c-desc")
    assert [child.text for child in svg[:2]] == ["Title", "Words"]
    assert "ten &lt;b&gt;" in _drawn((1, "0"))
    assert "style=" not in _drawn((1, "0"))


def test_steps_hold_until_the_next_one_on_a_logarithmic_axis() -> None:
    text = _drawn((1, "0.25"), (10, "0.5"), (100, "1"))
    assert 'd="M0 150.0H500V100.0H1000V0.0H1000"' in text
    assert 'cx="50.00%" cy="120.0"' in text


def test_ticks_that_would_run_into_each_other_are_left_away_but_never_the_last() -> None:
    text = _drawn((1, "0"), last=120, ticks=(1, 2, 3, 5, 10, 20, 50, 100, 120))
    assert re.findall(r">([\d,]+)</text>", text)[4:] == ["1", "2", "5", "10", "20", "50", "120"]


def test_one_number_alone_is_no_chart() -> None:
    assert not _drawn((1, "1"), last=1)


@given(st.lists(st.tuples(st.integers(1, 10**7), st.decimals(-1, 1, places=3)), min_size=1), st.text())
def test_any_curve_is_well_formed_and_short(steps: list[tuple[int, Decimal]], hint: str) -> None:
    steps = sorted([(1, Decimal(0)), *steps])
    text = step_chart(
        [Curve(colour="accent", steps=steps, dashed=True)],
        dots=[Dot(n=steps[-1][0], height=Decimal(1), hint=hint)],
        ticks=LADDER["images"],
        last=max(2, steps[-1][0]),
        quarters=[hint] * 4,
        name="c",
        title=hint,
        description=hint,
    )
    ET.fromstring(text)  # noqa: S314 (our own text)


def test_a_curve_of_many_steps_stays_short() -> None:
    steps = [(n, Decimal(n) / 100_000) for n in range(1, 100_001)]
    text = step_chart(
        [Curve(colour="accent", steps=steps)],
        dots=[],
        ticks=[],
        last=100_000,
        quarters=[""] * 4,
        name="c",
        title="",
        description="",
    )
    assert len(text) < 20_000


# CSV, JSON and text.


def test_the_csv_has_every_point_of_the_fleet_and_those_of_the_repositories() -> None:
    report = with_frontier(build_report(7, hostile=True, unpriced=True))
    tables = render_csvs(report)
    assert list(tables)[-1] == "frontier.csv"
    assert "frontier.csv" not in render_csvs(build_report(7))
    rows = list(csv.DictReader(io.StringIO(tables["frontier.csv"])))
    assert list(rows[0]) == [
        "row",
        "account",
        "region",
        "repository",
        "keep",
        "n",
        "kept_artifacts",
        "stored_bytes_repository_scope",
        "stored_bytes_registry_scope",
        "archive_bytes_repository_scope",
        "archive_bytes_registry_scope",
        "cost_repository_scope_usd_per_month",
        "cost_registry_scope_usd_per_month",
        "saving_repository_scope_usd_per_month",
        "saving_registry_scope_usd_per_month",
        "cost_leaves_out",
        "saving_leaves_out",
    ]
    fleet = [row for row in rows if row["row"] == "fleet" and row["keep"] == "images"]
    points = report.frontier[0].fleet.points
    assert [int(row["n"]) for row in fleet] == [point.n for point in points]
    assert [int(row["stored_bytes_registry_scope"]) for row in fleet] == [
        point.stored_bytes.registry for point in points
    ]
    assert len(rows) == sum(
        len(curve.points)
        for sweep in report.frontier
        for curve in (sweep.fleet, *(row.curve for row in sweep.repositories))
    )
    assert not [row for row in rows if row["repository"].startswith(("=", "@"))]
    unknown = [row for row in rows if row["region"] == "me-central-1"]
    assert {(row["cost_repository_scope_usd_per_month"], row["cost_leaves_out"]) for row in unknown} == {
        ("", "no storage price for me-central-1")
    }


def test_the_document_has_a_line_for_each_curve() -> None:
    report = with_frontier(build_report(7, unpriced=True))
    text = render_json(report)
    assert "frontier" not in json.loads(render_json(build_report(7)))
    frontier = json.loads(text)["frontier"]
    assert list(frontier) == ["images", "days"]
    fleet, *repositories = frontier["images"]
    assert fleet["row"] == "fleet"
    assert len(repositories) == 7
    assert sum('"row": "repository"' in line for line in text.splitlines()) == 14
    point = fleet["points"][0]
    assert list(point) == ["n", "kept", "stored_bytes", "archive_bytes", "cost", "saving"]
    assert point["saving"]["registry"]["scope"] == "registry"
    assert point["saving"]["registry"]["leaves_out"] == ["no storage price for me-central-1"]


def test_the_answer_of_the_command_has_its_moment_and_gaps() -> None:
    report = with_frontier(build_report(7, gaps=True))
    text = render_frontier_json(report.frontier[:1], AT, gaps=report.gaps, accepted_gaps=report.accepted_gaps)
    document = json.loads(text)
    assert list(document) == ["at", "frontier", "gaps", "accepted_gaps"]
    assert document["at"] == "2026-11-23T02:00:00Z"
    assert document["frontier"]["images"] == json.loads(render_json(report))["frontier"]["images"]
    assert len(document["gaps"]) == len(report.gaps)


def test_the_text_has_the_rungs_and_the_repositories_that_save_most() -> None:
    report = with_frontier(build_report(20, mounting="on"))
    images, days = report.frontier
    text = frontier_text(images, AT, top=3)
    assert text.startswith("20 repositories at 2026-11-23T02:00:00Z, keeping the youngest N images of each\n")
    assert re.findall(r"^([\d,]+) images?", text, re.MULTILINE) == [f"{n:,}" for n in rung_numbers(images)]
    assert "400 images, or all" in text
    assert len(re.findall(r"^\d{12}/", text, re.MULTILINE)) == 3
    assert "REPOSITORY" not in frontier_text(images, AT, top=0)
    assert "keeping what was pushed in the last N days" in frontier_text(days, AT, top=3)
    point = images.fleet.at(10)
    assert point.saving.registry.amount is not None
    assert point.saving.repository.amount is not None
    assert f"${point.saving.registry.amount:,.2f} to ${point.saving.repository.amount:,.2f}" in text


def test_the_text_is_narrow_shows_no_unseen_character_and_names_what_is_unknown() -> None:
    report = with_frontier(build_report(60, hostile=True, gaps=True, unknowns=True, unpriced=True))
    for sweep in report.frontier:
        text = frontier_text(sweep, AT, top=60)
        assert max(map(len, text.splitlines())) <= 100
        assert visible(text.replace("\n", "")) == text.replace("\n", "")
        assert "* leaves out: no storage price for me-central-1" in text
        assert "* leaves out: artifacts of unknown size" in text


def test_nothing_beside_something_unknown_is_unknown_in_the_text() -> None:
    sweep = with_frontier(build_report(3)).frontier[0]

    def hidden(point: FrontierPoint) -> FrontierPoint:
        nothing = Money(Decimal(0), leaves_out=("artifacts of unknown size",))
        return replace(point, saving=ScopedMoney(repository=nothing, registry=nothing))

    changed = replace(sweep, fleet=FrontierCurve(points=tuple(map(hidden, sweep.fleet.points))))
    rows = [line for line in frontier_text(changed, AT, top=0).splitlines() if re.match(r"\d+ image", line)]
    assert rows
    assert all(line.endswith("unknown") for line in rows)
