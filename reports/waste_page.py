"""The page's sections on how old the stored bytes are, and on what of them is waste."""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.model.results import Report
from reports.cards import orphaned_sizes
from reports.cells import Table
from reports.charts import Bar, Chart, drawn
from reports.facts import possibly_reached
from reports.figures import listed, size
from reports.missing import bytes_of_all, dagger_note
from reports.tables import age_table, waste_table


@dataclass(frozen=True, slots=True, kw_only=True)
class AgesSection:
    """How old the stored bytes are."""

    #: None where nothing is stored.
    chart: Chart | None
    ages: Table
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WasteSection:
    """Waste, and what only looks like it."""

    waste: Table
    footnote: str
    #: How far image sizes overstate what would leave; "" where they do not.
    images: str
    #: How many images nobody can judge; "" without any.
    possibly_reached: str


def ages_section(report: Report) -> AgesSection:
    """The ages in ``report``."""
    return AgesSection(chart=_age_chart(report), ages=age_table(report), note=_ages_note(report))


def waste_section(report: Report) -> WasteSection:
    """The waste in ``report``."""
    totals = report.totals
    return WasteSection(
        waste=waste_table(report),
        footnote=dagger_note(
            report,
            totals.orphaned_cost.repository,
            totals.orphaned_cost.registry,
            totals.stale_cost.repository,
            totals.stale_cost.registry,
        ),
        images=orphaned_sizes(report),
        possibly_reached=possibly_reached(report),
    )


def _age_chart(report: Report) -> Chart | None:
    if not any(age.physical_bytes for age in report.ages):
        return None
    bars = [
        Bar(label=age.label, figure=size(age.physical_bytes), value=age.physical_bytes) for age in report.ages
    ]
    heading = "Stored bytes by the age of the newest image that holds them"
    return drawn(heading, bars, name="age-chart", rows="ages", method="ages")


def _ages_note(report: Report) -> str:
    reasons = bytes_of_all(report).reasons
    return f"Leaves out: {listed(list(reasons))}." if reasons else ""
