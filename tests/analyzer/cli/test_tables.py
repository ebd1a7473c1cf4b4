"""What a person sees at the terminal: narrow, plain, adding up, and nothing unknown as zero."""

import re
from dataclasses import replace
from decimal import Decimal
from typing import Literal

import pytest

from analyzer.cli.tables import report_table
from analyzer.model.results import Report, ScopedBytes, ScopedMoney
from analyzer.model.units import Money
from reports.text import visible
from tests.support.report_fixture import POSSIBLY_REACHED, Mounting, build_report, nothing_known

Scope = Literal["auto", "repository", "registry"]


def _rows(text: str) -> dict[str, list[str]]:
    """Name to images, orphaned, GB and amount of every row below the head of the table."""
    rows = {}
    for line in text.partition("USD/MONTH")[2].splitlines():
        cells = re.split(r" {2,}", line.strip())
        if len(cells) in {3, 5} and cells[-1].startswith(("$", "<", "unknown")):
            rows[cells[0]] = cells[1:]
    return rows


def _sum(cells: list[str], unit: str) -> Decimal:
    numbers = [cell.rstrip("*").strip(unit).replace(",", "") for cell in cells if cell != "unknown"]
    return sum((Decimal(number) for number in numbers if "<" not in number), Decimal(0))


@pytest.mark.parametrize("repositories", [1, 20, 26, 300])
@pytest.mark.parametrize("scope", ["auto", "repository", "registry"])
@pytest.mark.parametrize("mounting", ["off", "mixed"])
def test_rows_add_up_to_the_headline_at_its_scope(
    repositories: int, scope: Scope, mounting: Mounting
) -> None:
    report = build_report(repositories, scope=scope, mounting=mounting, unpriced=True)
    text = report_table(report)
    rows = _rows(text)
    total = rows.pop("Total")
    assert len(rows) == min(repositories, 20) + (repositories > 20) + (scope == "registry")
    assert _sum([row[-1] for row in rows.values()], "$") == _sum([total[-1]], "$")
    assert _sum([row[-2] for row in rows.values()], " GB") == _sum([total[-2]], " GB")
    cost = getattr(report.totals.cost, "registry" if scope == "registry" else "repository").amount
    assert f"${cost:,.2f}" == total[-1].rstrip("*")
    headline = re.search(r"^Storage.*", text, re.MULTILINE)
    assert headline is not None
    assert total[-1].rstrip("*") in headline[0]
    assert total[-2].rstrip("*") in headline[0]


@pytest.mark.parametrize(
    ("scope", "mounting", "ends"),
    [
        ("auto", "off", ("repository",)),
        ("auto", "on", ("registry", "repository")),
        # Off by default, but that is no proof.
        ("auto", "unreadable", ("registry", "repository")),
        ("repository", "on", ("repository",)),
        ("registry", "on", ("registry",)),
    ],
)
def test_orphaned_money_follows_the_scope(scope: Scope, mounting: Mounting, ends: tuple[str, ...]) -> None:
    report = build_report(7, scope=scope, mounting=mounting)
    amounts = " to ".join(f"${getattr(report.totals.orphaned_cost, end).amount:,.2f}" for end in ends)
    assert f"Orphaned   {amounts} per month would leave" in report_table(report)


def test_everything_fits_in_a_hundred_columns() -> None:
    report = build_report(60, hostile=True, gaps=True, unknowns=True, not_read=True, mounting="mixed")
    long = tuple(replace(row, repository=f"team/{'x' * 250}") for row in report.repositories[:2])
    text = report_table(replace(report, repositories=(*long, *report.repositories[2:])))
    assert max(map(len, text.splitlines())) <= 100
    assert visible(text.replace("\n", "")) == text.replace("\n", "")


def test_one_thing_is_not_called_several() -> None:
    report = build_report(1)
    one = replace(report, totals=replace(report.totals, registries=1))
    assert report_table(one).startswith("1 registry, 1 repository, ")
    assert report_table(report).startswith("2 registries, 1 repository, ")


def test_unknown_bytes_are_never_zero() -> None:
    report = build_report(7, gaps=True, unknowns=True)
    text = report_table(report)
    rows = _rows(text)
    never = next(row for row in report.repositories if row.complete_at is None)
    assert rows[f"{never.account}/{never.region}/{never.repository}"] == ["unknown"] * 4
    unreadable = next(row for row in report.repositories if row.counts.unknown and not row.counts.images)
    assert rows[f"{unreadable.account}/{unreadable.region}/{unreadable.repository}"][2:] == ["unknown"] * 2
    assert rows["Total"][-1].endswith("*")
    for reason in report.totals.orphaned_cost.repository.leaves_out:
        assert f"Not included: {reason}\n" in text
    said = " ".join(text.split())
    assert f"{report.totals.counts.unknown} artifacts of unknown size" in said
    images = report.totals.counts.possibly_reached_images
    assert f"Whether a tag reaches {images} more image" in said


def test_a_registry_of_which_nothing_is_known_shows_no_zero() -> None:
    text = report_table(nothing_known())
    assert "an unknown number of repositories, an unknown number of images" in text
    assert "Storage    unknown: no size of anything stored is known" in text
    assert "Orphaned   unknown: no image is known to be orphaned" in text
    assert "Not included: repositories that were never listed" in text
    assert "0.00" not in text


def test_no_waste_is_unknown_while_images_may_be_reached() -> None:
    report = _possibly(build_report(3))
    text = report_table(report)
    assert "Orphaned   unknown" in text
    assert "Whether a tag reaches 4 more images is unknown" in text
    assert f"Not included: {POSSIBLY_REACHED}" in text


def _possibly(report: Report) -> Report:
    nothing = Money(Decimal(0), leaves_out=(POSSIBLY_REACHED,))
    totals = replace(
        report.totals,
        counts=replace(report.totals.counts, orphaned_images=0, possibly_reached_images=4),
        orphaned_freed_bytes=ScopedBytes(repository=0, registry=0),
        orphaned_cost=ScopedMoney(repository=nothing, registry=nothing),
    )
    rows = tuple(replace(row, orphaned_cost=nothing) for row in report.repositories)
    return replace(report, totals=totals, repositories=rows)


def test_a_registry_that_the_run_did_not_read_is_named_with_its_date() -> None:
    text = report_table(build_report(7, not_read=True))
    assert "444455556666/us-east-1 was not read in run 42; shown as of 2026-11-20 02:00 UTC (run 40)." in text
    assert "snapshots of 2026-11-20T02:00:00Z to 2026-11-23T02:02:28Z" in " ".join(text.split())
    assert " to " not in report_table(build_report(7)).splitlines()[0]
