"""What keeping fewer would come to: the fleet's curves, and the repositories where most would leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from markupsafe import Markup

from analyzer.model.frontier import (
    LADDER,
    By,
    FrontierCurve,
    FrontierPoint,
    PricedFrontier,
    RepositoryFrontier,
)
from analyzer.model.results import UNKNOWN_SIZE, UNLISTED_IMAGES, UNLISTED_REPOSITORIES, Report
from analyzer.model.units import Scope
from analyzer.model.words import counted
from reports.anchors import repository_anchor
from reports.cells import Cell, Column, Row, Table, count_cell, gb_cell, money_cell
from reports.charts import Chart
from reports.facts import bytes_at, main_scope, money_at, promise_scope
from reports.figures import gb_decimals, headline_money, listed, size
from reports.lines import Curve, Dot, step_chart
from reports.missing import Missing
from reports.rounding import CENT_DECIMALS, apportion_gb, rounded

#: The N that tables of repositories show, of those on the ladder; the first decides their order.
REPOSITORY_RUNGS: Final[Mapping[By, tuple[int, ...]]] = {"images": (10, 20, 50), "days": (30, 90, 180)}
_MOST_ROWS: Final = 10
#: Curves of bytes and of cost that lie closer, as a part of today's, are drawn as one.
_SAME: Final = Decimal("0.005")
_HEADINGS: Final[dict[By, str]] = {
    "images": "Stored if every repository kept its youngest N images",
    "days": "Stored if every repository kept the images of the last N days",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FewerPart:
    """One sweep: its chart, None where there is nothing to draw, and its table."""

    chart: Chart | None
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Fewer:
    """The section of the page."""

    parts: tuple[FewerPart, ...]
    repositories: Table
    #: What a dagger leaves out; "" without one.
    footnote: str
    note: str


def fewer_section(report: Report) -> Fewer | None:
    """The section; None where no frontier was worked out, or not one image could ever leave."""
    sweeps = [sweep for sweep in report.frontier if sweep.fleet.today.n > 1]
    if not sweeps:
        return None
    shown = [point for sweep in sweeps for point in rungs(sweep)]
    reasons = {
        reason
        for point in shown
        for money in (point.cost, point.saving)
        for reason in (*money.repository.leaves_out, *money.registry.leaves_out)
    }
    scope = promise_scope(report)
    return Fewer(
        parts=tuple(
            FewerPart(chart=_chart(sweep, main_scope(report)), table=_fleet_table(sweep)) for sweep in sweeps
        ),
        repositories=_repository_table(report.frontier, scope),
        footnote=f"Leaves out: {listed(sorted(reasons))}." if reasons else "",
        note="Every N at which something changes is in frontier.csv for the fleet; for each repository the N"
        f" of these tables. Per repository, what leaves if it alone keeps fewer, at {scope} scope.",
    )


def rungs(sweep: PricedFrontier) -> list[FrontierPoint]:
    """The fleet at the N of the ladder that lie below today's, and today."""
    today = sweep.fleet.today
    return [sweep.fleet.at(n) for n in LADDER[sweep.by] if n < today.n] + [today]


def rung_numbers(sweep: PricedFrontier) -> list[int]:
    """The N that ``rungs`` are asked for; the last is the least that keeps everything."""
    today = sweep.fleet.today.n
    return [n for n in LADDER[sweep.by] if n < today] + [today]


def missing_bytes(point: FrontierPoint) -> Missing:
    """What the bytes of ``point`` leave out: what its money does, but for prices."""
    return _missing(
        point, (UNKNOWN_SIZE, UNLISTED_IMAGES, UNLISTED_REPOSITORIES), point.stored_bytes.repository
    )


def missing_count(point: FrontierPoint) -> Missing:
    """What the number of artifacts at ``point`` leaves out."""
    return _missing(point, (UNLISTED_IMAGES, UNLISTED_REPOSITORIES), point.kept)


def _missing(point: FrontierPoint, possible: Sequence[str], known: int) -> Missing:
    reasons = tuple(reason for reason in point.cost.repository.leaves_out if reason in possible)
    return Missing(reasons, nothing_known=bool(reasons) and not known)


def most_first(
    rows: Sequence[RepositoryFrontier], n: int, scope: Scope, limit: int
) -> list[RepositoryFrontier]:
    """The repositories that save most, or where that is unknown free most, with ``n``; only such."""

    def saved(row: RepositoryFrontier) -> tuple[Decimal, int]:
        point, today = row.curve.at(n), row.curve.today
        freed = bytes_at(today.stored_bytes, scope) - bytes_at(point.stored_bytes, scope)
        return money_at(point.saving, scope).amount or Decimal(0), freed

    ordered = sorted(rows, key=lambda row: tuple(-part for part in saved(row)))
    return [row for row in ordered if any(saved(row))][:limit]


def _chart(sweep: PricedFrontier, scope: Scope) -> Chart | None:
    fleet = sweep.fleet
    stored = _heights(fleet, [bytes_at(point.stored_bytes, scope) for point in fleet.points])
    if stored is None:
        return None
    amounts = [money_at(point.cost, scope).amount for point in fleet.points]
    known = [amount for amount in amounts if amount is not None]
    cost = _heights(fleet, known) if len(known) == len(amounts) else None
    apart = cost is not None and any(
        abs(one - other) > _SAME for (_, one), (_, other) in zip(stored, cost, strict=True)
    )
    curves = [Curve(colour="accent", steps=stored)]
    if cost is not None and apart:
        curves.append(Curve(colour="muted", steps=cost, dashed=True))
    legend = [("accent", "stored bytes, and what they cost" if cost and not apart else "stored bytes")]
    if apart:
        legend.append(("muted", "what they cost"))
    heading = f"{_HEADINGS[sweep.by]}, at {scope} scope"
    heights = dict(zip((point.n for point in fleet.points), (height for _, height in stored), strict=True))
    numbers, points = rung_numbers(sweep), rungs(sweep)
    dots = [
        Dot(n=n, height=heights[point.n], hint=_said(sweep.by, n, point, scope))
        for n, point in zip(numbers, points, strict=True)
    ]
    svg = step_chart(
        curves,
        dots=dots,
        ticks=numbers,
        last=fleet.today.n,
        quarters=[_quarter(fleet.today, scope, part) for part in (4, 3, 2, 1)],
        name=f"fewer-{sweep.by}",
        title=heading,
        description="; ".join(dot.hint for dot in dots),
    )
    return Chart(
        heading=heading,
        svg=Markup(svg),  # noqa: S704 (built and escaped in lines.py)
        legend=tuple(legend),
        rows=f"fewer-{sweep.by}",
        method="fewer",
    )


def _heights(curve: FrontierCurve, values: Sequence[int | Decimal]) -> list[tuple[int, Decimal]] | None:
    """The values as parts of today's; None where today has nothing."""
    today = Decimal(values[-1]) if values else Decimal(0)
    if today <= 0:
        return None
    return [(point.n, Decimal(value) / today) for point, value in zip(curve.points, values, strict=True)]


def _quarter(today: FrontierPoint, scope: Scope, part: int) -> str:
    stored = size(bytes_at(today.stored_bytes, scope) * part // 4)
    cost = money_at(today.cost, scope)
    if cost.amount is None:
        return stored
    return f"{stored} · {headline_money(cost.amount * part / 4, cost.currency)} a month"


def _said(by: By, n: int, point: FrontierPoint, scope: Scope) -> str:
    """One point in words."""
    cost, saving = money_at(point.cost, scope), money_at(point.saving, scope)
    return (
        f"{_kept(by, n)}: {size(bytes_at(point.stored_bytes, scope))},"
        f" {headline_money(cost.amount, cost.currency)} a month,"
        f" saves {headline_money(saving.amount, saving.currency)}"
    )


def _kept(by: By, n: int) -> str:
    return f"the youngest {counted(n, 'image')}" if by == "images" else counted(n, "day")


def _fleet_table(sweep: PricedFrontier) -> Table:
    points, numbers = rungs(sweep), rung_numbers(sweep)
    decimals = gb_decimals(sweep.fleet.today.stored_bytes.repository)
    rows = []
    for n, point in zip(numbers, points, strict=True):
        is_today = point is sweep.fleet.today
        label = Cell(text=f"{n:,}", value=str(n), notes=("or more: all that is there",) if is_today else ())
        missing = missing_bytes(point)
        sizes = [point.stored_bytes.repository, point.stored_bytes.registry]
        money = [point.cost.repository, point.cost.registry, point.saving.repository, point.saving.registry]
        cells = [
            label,
            count_cell(point.kept, missing_count(point)),
            *(gb_cell(s, apportion_gb([s], s, decimals)[0], decimals, missing) for s in sizes),
            *(money_cell(amount, rounded(amount, CENT_DECIMALS)) for amount in money),
        ]
        rows.append(Row(cells=tuple(cells)))
    upper, lower = "Each layer once per repository", "Each layer once per registry"
    currency = sweep.fleet.today.cost.repository.currency
    unit = "images" if sweep.by == "images" else "days"
    return Table(
        name=f"fewer-{sweep.by}",
        caption=f"The whole fleet, keeping the last N {unit}",
        columns=(
            Column(label=f"N {unit}", numeric=False),
            Column(label="Kept", hint="Images, indexes and referrers, archived ones too"),
            Column(label="Repository scope", hint=upper),
            Column(label="Registry scope", hint=lower),
            Column(label="Repository scope", hint=upper),
            Column(label="Registry scope", hint=lower),
            Column(label="Repository scope", hint=upper),
            Column(label="Registry scope", hint=lower),
        ),
        rows=tuple(rows),
        groups=(
            ("", 2),
            ("Stored, GB", 2),
            (f"Cost, {currency} a month", 2),
            (f"Saved, {currency} a month", 2),
        ),
        file="frontier.csv",
        method="fewer",
    )


def _repository_table(sweeps: Sequence[PricedFrontier], scope: Scope) -> Table:
    by_name: dict[By, tuple[RepositoryFrontier, ...]] = {sweep.by: sweep.repositories for sweep in sweeps}
    policies = [(by, numbers) for by, numbers in REPOSITORY_RUNGS.items() if by in by_name]
    # Both sweeps list the repositories in one order.
    places = {id(row): place for rows in by_name.values() for place, row in enumerate(rows)}
    first, numbers = policies[0]
    top = [places[id(row)] for row in most_first(by_name[first], numbers[0], scope, _MOST_ROWS)]
    priced = any(
        money_at(by_name[first][place].curve.points[0].saving, scope).amount is not None for place in top
    )
    several = len({(row.account, row.region) for row in by_name[first]}) > 1
    freed = [
        _freed(by_name[by][place].curve, n, scope) for place in top for by, many in policies for n in many
    ]
    decimals = gb_decimals(max(freed, default=0))
    rows = []
    for place in top:
        name = by_name[first][place]
        cells = [
            Cell(
                text=name.repository,
                notes=(name.account, name.region) if several else (),
                link=repository_anchor(name.account, name.region, name.repository),
            ),
        ]
        for by, many in policies:
            curve = by_name[by][place].curve
            for n in many:
                leaves = _freed(curve, n, scope)
                missing = missing_bytes(curve.at(n))
                if not priced:
                    cells.append(
                        gb_cell(leaves, apportion_gb([leaves], leaves, decimals)[0], decimals, missing)
                    )
                    continue
                saving = money_at(curve.at(n).saving, scope)
                cell = money_cell(saving, rounded(saving, CENT_DECIMALS))
                cells.append(
                    Cell(
                        text=cell.text,
                        value=cell.value,
                        hint="; ".join(part for part in (f"{size(leaves)} leave", cell.hint) if part),
                        tone=cell.tone,
                        incomplete=cell.incomplete,
                    )
                )
        rows.append(Row(cells=tuple(cells)))
    what = "Saved, USD a month" if priced else "Freed, GB"
    return Table(
        name="fewer-repositories",
        caption=f"Where most would leave: {what[0].lower()}{what[1:]}, at {scope} scope",
        columns=(
            Column(label="Repository", numeric=False),
            *(
                Column(label=f"{n} {by}", sorts_rows=(by, n) == (first, numbers[0]))
                for by, many in policies
                for n in many
            ),
        ),
        rows=tuple(rows),
        groups=(("", 1), *((f"Keeping the last N {by}", len(many)) for by, many in policies)),
        file="frontier.csv",
        method="fewer",
    )


def _freed(curve: FrontierCurve, n: int, scope: Scope) -> int:
    return bytes_at(curve.today.stored_bytes, scope) - bytes_at(curve.at(n).stored_bytes, scope)
