"""The page's section on pulls across regions and accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from analyzer.model.pull_report import PullReport, TransferGroup
from analyzer.model.transfer import EXPLANATIONS, ColdPull, TransferFinding
from analyzer.model.words import counted
from reports.cells import (
    DASH,
    EMPTY,
    MOST_ROWS,
    PLACE_FACETS,
    Cell,
    Column,
    Place,
    Row,
    Table,
    Tone,
)
from reports.charts import Chart
from reports.figures import UNKNOWN, count, exact_size, listed, size, span
from reports.pulls_words import (
    COLD_PULL,
    cold_pull_text,
    group_bytes_text,
    origin_text,
    pull_cost_text,
    pull_dollars,
    summary_sentences,
    users_text,
)
from reports.recorded_page import RecordedSection, recorded_section, usd_cell
from reports.recorded_words import NOTHING_READ
from reports.route_chart import Route, route_chart
from reports.text import shortened
from reports.usage import coverage_sentences

#: Ribbons in the chart.
_MOST_ROUTES: Final = 10
#: Workloads that a finding names.
_USERS: Final = 3
_REFERENCE: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class PullsSection:
    """What the section shows; a table without rows is left away."""

    sentences: tuple[str, ...]
    #: None where nothing crosses regions.
    chart: Chart | None
    routes: Table
    findings: Table
    #: What each kind of finding means and how it is mended: title, meaning, fix.
    kinds: tuple[tuple[str, str, str], ...]
    cold_pull: str
    coverage: tuple[str, ...]
    #: None where CloudTrail was not read; ``not_recorded`` says so then.
    recorded: RecordedSection | None
    not_recorded: str


def pulls_section(report: PullReport | None) -> PullsSection | None:
    """The section of ``report``; None without one."""
    if report is None:
        return None
    findings = report.found.findings
    codes = list(dict.fromkeys(finding.code for finding in findings))
    return PullsSection(
        sentences=tuple(summary_sentences(report)),
        chart=_chart(report.summary.routes),
        routes=_route_table(report.summary.routes),
        findings=_finding_table(findings),
        kinds=tuple(
            (EXPLANATIONS[code].title, EXPLANATIONS[code].meaning, EXPLANATIONS[code].fix) for code in codes
        ),
        cold_pull=COLD_PULL,
        coverage=tuple(coverage_sentences(report.coverage)),
        recorded=recorded_section(report.recorded),
        not_recorded=NOTHING_READ,
    )


def _chart(routes: Sequence[TransferGroup]) -> Chart | None:
    crossing = [route for route in routes if route.crossing]
    if not crossing:
        return None
    shown = crossing[:_MOST_ROUTES]
    number = len(shown)
    which = f"The {number} dearest of {count(len(crossing))} routes" if len(crossing) > number else "Routes"
    heading = f"{which} across regions: what one cold pull of each reference moves at most"
    drawn = [_ribbon(route) for route in shown]
    description = "; ".join(
        f"{origin_text(group)} to {group.region} {route.figure}"
        for group, route in zip(shown, drawn, strict=True)
    )
    svg = route_chart(drawn, name="route-chart", title=heading, description=description)
    legend: list[tuple[str, str]] = [("accent", "crosses regions")]
    if any(group.replica_bytes for group in shown):
        legend.append(("warn", "could come from a replica that is there"))
    # Built and escaped in route_chart.py.
    return Chart(heading=heading, svg=Markup(svg), legend=tuple(legend), rows="pull-routes", method="pulls")  # noqa: S704


def _ribbon(group: TransferGroup) -> Route:
    nothing = group.unsized == group.crossing
    unsized = "*" if group.unsized else ""
    figure = f"{size(group.high_bytes)}{unsized}, {pull_dollars(group.usd.high)}"
    whole = f"{group_bytes_text(group)}, {pull_cost_text(group.usd)}"
    return Route(
        origin=(group.registry_region, group.registry_account),
        destination=(group.region, ""),
        figure="size unknown" if nothing else figure,
        value=None if nothing else group.high_bytes,
        part=group.replica_bytes,
        hint=f"{origin_text(group)} to {group.region}: {counted(group.crossing, 'reference')}, {whole}",
    )


def _route_table(routes: Sequence[TransferGroup]) -> Table:
    return Table(
        name="pull-routes",
        caption="Routes, with one cold pull of each reference",
        columns=(
            Column(label="Registry", numeric=False),
            Column(label="Pulled to", numeric=False),
            Column(label="References"),
            Column(label="Workloads"),
            Column(label="Moved", hint="Compressed bytes that cross regions; 0 where they stay in theirs"),
            Column(label="USD per cold pull"),
            Column(label="Paid by", numeric=False),
        ),
        rows=tuple(_route_row(route) for route in routes[:MOST_ROWS]),
        footer=_more(len(routes), 7, "pull-routes.csv"),
        file="pull-routes.csv",
        method="pulls",
    )


def _route_row(group: TransferGroup) -> Row:
    nothing = bool(group.crossing) and group.unsized == group.crossing
    notes = (group.registry_account,) if group.registry_account else ()
    moved = Cell(
        text=group_bytes_text(group),
        value="" if nothing else str(group.high_bytes),
        hint=f"leaves out {counted(group.unsized, 'reference')} of unknown size"
        if group.unsized
        else _exact(group.low_bytes, group.high_bytes),
        tone="muted" if nothing else "",
    )
    return Row(
        cells=(
            Cell(text=group.upstream or group.registry_region, notes=notes),
            Cell(text=group.region, notes=_facts(group.accounts)),
            Cell(text=count(group.findings), value=str(group.findings)),
            Cell(text=count(group.workloads), value=str(group.workloads)),
            moved if group.crossing else DASH,
            usd_cell(group.usd) if group.crossing else DASH,
            Cell(text=listed(list(group.payers), limit=3)) if group.payers else DASH,
        )
    )


def _finding_table(findings: Sequence[TransferFinding]) -> Table:
    return Table(
        name="pull-findings",
        caption="References, the cheapest fixes first",
        columns=(
            Column(label="Finding", numeric=False),
            Column(label="Reference", numeric=False),
            Column(label="Used by", numeric=False),
            Column(label="Cold pull"),
            Column(label="USD"),
            Column(label="Paid by", numeric=False),
            Column(label="Name instead", numeric=False),
        ),
        rows=tuple(_finding_row(finding) for finding in findings[:MOST_ROWS]),
        footer=_more(len(findings), 7, "pulls.csv"),
        file="pulls.csv",
        method="pulls",
        facets=("Finding", *PLACE_FACETS),
    )


def _finding_row(finding: TransferFinding) -> Row:
    told = EXPLANATIONS[finding.code]
    tone: Tone = "warn" if finding.better_reference and finding.crosses_regions else ""
    where = f"{finding.source} in {finding.account}/{finding.region}"
    return Row(
        facets=(told.title, *Place(account=finding.account, region=finding.region).facets),
        cells=(
            Cell(text=told.title, notes=(finding.code,)),
            Cell(text=shortened(finding.reference, _REFERENCE), hint=finding.reference),
            Cell(text=where, notes=(users_text(finding.users, _USERS),)),
            _cold(finding.cold_pull) if finding.crosses_regions else DASH,
            usd_cell(finding.usd_per_pull) if finding.crosses_regions else DASH,
            Cell(text=finding.payer) if finding.payer else DASH,
            Cell(
                text=shortened(finding.better_reference, _REFERENCE),
                hint=finding.better_reference,
                tone=tone,
                notes=finding.caveats,
            ),
        ),
    )


def _cold(cold: ColdPull) -> Cell:
    if cold.low_bytes is None or cold.high_bytes is None:
        return Cell(text=UNKNOWN, hint=cold.unknown, tone="muted")
    return Cell(
        text=cold_pull_text(cold), value=str(cold.high_bytes), hint=_exact(cold.low_bytes, cold.high_bytes)
    )


def _exact(low: int, high: int) -> str:
    return span(exact_size(low), exact_size(high))


def _facts(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(texts[:3]) + ((f"and {len(texts) - 3:,} more",) if len(texts) > 3 else ())


def _more(number: int, width: int, file: str) -> tuple[Row, ...]:
    if number <= MOST_ROWS:
        return ()
    first = Cell(text=f"Other ({counted(number - MOST_ROWS, 'row')}, see {file})")
    return (Row(cells=(first, *[EMPTY] * (width - 1)), kind="other"),)
