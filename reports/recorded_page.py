"""The part of the page's section on pulls that is about what CloudTrail recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from analyzer.model.pull_costs import Advice, PullCost
from analyzer.model.pull_report import RecordedPulls
from analyzer.model.transfer import MoneyRange
from analyzer.model.words import counted
from reports.cells import EMPTY, MOST_ROWS, Cell, Column, Row, Table
from reports.charts import Chart
from reports.figures import count, exact_size
from reports.pulls_json import usd_text
from reports.pulls_words import pull_cost_text, pull_dollars
from reports.recorded_words import (
    By,
    advice_details,
    advice_text,
    bytes_text,
    cost_name,
    coverage_lines,
    monthly_bytes_text,
    place_text,
    reasons_of,
    recorded_sentences,
    window_text,
)
from reports.route_chart import Route, route_chart

#: Ribbons in the chart.
_MOST_ROUTES: Final = 10
_HEADS: Final[dict[By, str]] = {
    "route": "Route",
    "repository": "Repository",
    "puller": "Principal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """One thing to do: what it saves, what it is, what that rests on, and what to paste."""

    saving: str
    code: str
    sentence: str
    details: tuple[str, ...]
    replication_json: str
    terraform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSection:
    """What is shown of recorded pulls."""

    window: str
    sentences: tuple[str, ...]
    #: None where nothing left its region.
    chart: Chart | None
    #: Those with rows.
    tables: tuple[Table, ...]
    advice: tuple[Advised, ...]
    coverage: tuple[str, ...]
    method: tuple[str, ...]


def recorded_section(recorded: RecordedPulls | None) -> RecordedSection | None:
    """What is shown of ``recorded``; None without it."""
    if recorded is None:
        return None
    costs = recorded.costs
    tables = [
        _table(costs.routes, "route"),
        _table(costs.repositories, "repository"),
        _table(costs.pullers, "puller"),
    ]
    return RecordedSection(
        window=window_text(costs),
        sentences=tuple(recorded_sentences(costs)),
        chart=_chart(costs.routes),
        tables=tuple(table for table in tables if table.rows),
        advice=tuple(_advised(one) for one in recorded.advice.advice),
        coverage=tuple(coverage_lines(costs)),
        method=tuple(f"{text[:1].upper()}{text[1:]}." for text in (*costs.method, *recorded.advice.method)),
    )


def _advised(advice: Advice) -> Advised:
    return Advised(
        saving=f"{pull_cost_text(advice.saving)} a month",
        code=str(advice.kind),
        sentence=advice_text(advice),
        details=tuple(advice_details(advice)),
        replication_json=advice.replication_json,
        terraform=advice.terraform,
    )


def _chart(routes: Sequence[PullCost]) -> Chart | None:
    leaving = [row for row in routes if row.layer_pulls and row.puller_region != row.region]
    if not leaving:
        return None
    shown = leaving[:_MOST_ROUTES]
    which = (
        f"The {len(shown)} dearest of {count(len(leaving))} routes" if len(leaving) > len(shown) else "Routes"
    )
    heading = f"{which} out of the registries' regions: what was pulled, and what it cost at most"
    drawn = [_ribbon(row) for row in shown]
    description = "; ".join(
        f"{cost_name(row, 'route')} {route.figure}" for row, route in zip(shown, drawn, strict=True)
    )
    svg = route_chart(drawn, name="recorded-chart", title=heading, description=description)
    # Built and escaped in route_chart.py.
    return Chart(heading=heading, svg=Markup(svg), legend=())  # noqa: S704


def _ribbon(row: PullCost) -> Route:
    nothing = row.unsized_pulls == row.layer_pulls
    cost = pull_dollars(row.transfer.high)
    return Route(
        origin=(row.region or "", row.account or ""),
        destination=(place_text(row.puller_region), ""),
        figure="size unknown" if nothing else f"{bytes_text(row)}, {cost}",
        value=None if nothing else row.size_bytes,
        hint=f"{cost_name(row, 'route')}: {counted(row.layer_pulls, 'layer')}, {bytes_text(row)}, {cost}",
    )


def _table(rows: Sequence[PullCost], by: By) -> Table:
    columns = (
        Column(label=_HEADS[by], numeric=False),
        Column(label="Layers", hint="How often a layer was asked for"),
        Column(label="Checks", hint="Looks at a manifest, which move nothing worth counting"),
        Column(label="Moved", hint="Compressed bytes"),
        Column(label="USD", hint="Transfer in the days that were looked at, paid by the registry's owner"),
        Column(label="Moved a month"),
        Column(label="USD per month"),
        *(
            (Column(label="NAT, USD per month", hint="Paid by the puller's account"),)
            if _has_nat(rows)
            else ()
        ),
    )
    left = len(rows) - MOST_ROWS
    other = Cell(text=f"Other ({counted(left, 'row')}, see report.json)")
    footer = (Row(cells=(other, *[EMPTY] * (len(columns) - 1)), kind="other"),) if left > 0 else ()
    return Table(
        name=f"recorded-{by}",
        caption=f"Recorded pulls by {_HEADS[by].lower()}",
        columns=columns,
        rows=tuple(_row(row, by, with_nat=_has_nat(rows)) for row in rows[:MOST_ROWS]),
        footer=footer,
        file="pull-routes.csv" if by == "route" else "recorded-pulls.csv",
        method="recorded",
    )


def _has_nat(rows: Sequence[PullCost]) -> bool:
    return any(row.nat is not None for row in rows)


def _row(row: PullCost, by: By, *, with_nat: bool) -> Row:
    notes = (row.principal_account,) if by == "puller" and row.principal_account else ()
    missing = counted(row.unsized_pulls, "pull") + " of unknown size left out" if row.unsized_pulls else ""
    nothing = bool(row.unsized_pulls) and row.unsized_pulls == row.layer_pulls
    monthly = "" if nothing or row.monthly_bytes is None else str(row.monthly_bytes)
    return Row(
        cells=(
            Cell(text=cost_name(row, by), notes=notes),
            Cell(text=count(row.layer_pulls), value=str(row.layer_pulls)),
            Cell(text=count(row.checks), value=str(row.checks)),
            Cell(
                text=bytes_text(row),
                value="" if nothing else str(row.size_bytes),
                hint=missing or exact_size(row.size_bytes),
                tone="muted" if nothing else "",
            ),
            usd_cell(row.transfer),
            Cell(text=monthly_bytes_text(row), value=monthly, hint=missing, tone="" if monthly else "muted"),
            usd_cell(row.monthly_transfer),
            *((usd_cell(row.monthly_nat),) if with_nat and row.monthly_nat is not None else ()),
        )
    )


def usd_cell(usd: MoneyRange) -> Cell:
    """What pulls cost, with what that leaves out on hover."""
    reasons = "; ".join(reasons_of(usd))
    unknown = usd.high.amount is None
    return Cell(
        text=pull_cost_text(usd),
        value=usd_text(usd.high.amount),
        hint=f"leaves out: {reasons}" if reasons and not unknown else reasons,
        tone="muted" if unknown else "",
    )
