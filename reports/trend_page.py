"""The page's section on trends: what was stored from day to day, and what is to be expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup

from analyzer.model.results import Report
from analyzer.model.trends import Change, Forecast, NoForecast, ScenarioName, Span, TrendReport
from analyzer.model.units import Money, from_day
from analyzer.model.words import counted
from reports.cells import DASH, EMPTY, PLACE_FACETS, Cell, Column, Place, Row, Table, Tone
from reports.charts import Chart
from reports.figures import UNKNOWN, count, exact_size, headline_money, size, span
from reports.line_chart import Line, at_noon, line_chart
from reports.rounding import EXACT_DECIMALS, amount_text, rounded
from reports.trend_words import (
    RECONSTRUCTED,
    cost_text,
    days_text,
    gap_sentences,
    measured_text,
    method_text,
    signed_size,
    span_text,
)

#: Rows of the tables; trend.csv has all.
_MOST_DAYS: Final = 31
_MOST_MOVERS: Final = 50
_MOST_FORECAST: Final = 50
#: How each supposition is drawn: colour, dashes, and what the legend says of them.
_LINES: Final[dict[ScenarioName, tuple[str, str, str]]] = {
    "none": ("warn", "7 4", ", long dashes"),
    "current": ("accent", "", ""),
    "recommended": ("good", "2 4", ", dotted"),
    "candidate": ("good", "2 4", ", dotted"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendSection:
    """What the section shows; a table without rows is left away."""

    sentences: tuple[str, ...]
    #: None where nothing is stored and nothing was.
    chart: Chart | None
    comparisons: Table
    forecast: Table
    #: Why there is no forecast; "" where there is one.
    no_forecast: str
    measured: str
    method: tuple[str, ...]
    limits: tuple[str, ...]
    repositories: Table
    days: Table
    movers: Table
    reconstructed: str


def trend_section(report: Report) -> TrendSection | None:
    """The section of ``report``; None where trends were not worked out."""
    trend = report.trend
    if trend is None:
        return None
    forecast = trend.forecast if isinstance(trend.forecast, Forecast) else None
    return TrendSection(
        sentences=tuple(_sentences(trend)),
        chart=_chart(trend),
        comparisons=_comparison_table(trend),
        forecast=_forecast_table(forecast),
        no_forecast=trend.forecast.reason if isinstance(trend.forecast, NoForecast) else "",
        measured="" if forecast is None else measured_text(forecast),
        method=() if forecast is None else forecast.method,
        limits=() if forecast is None else forecast.limits,
        repositories=_repository_table(forecast),
        days=_day_table(trend),
        movers=_mover_table(trend),
        reconstructed=RECONSTRUCTED,
    )


def _sentences(trend: TrendReport) -> Iterator[str]:
    known = np.flatnonzero(trend.total.known)
    if len(known) > 1:
        first, last = int(known[0]), int(known[-1])
        moved = int(trend.total.repository_bytes[last] - trend.total.repository_bytes[first])
        begin, end = (from_day(trend.total.first_day + n) for n in (first, last))
        yield (
            f"From {begin} to {end} what is stored changed by {signed_size(moved)} at repository scope; "
            f"{counted(len(known), 'day')} of {trend.total.days} are known."
        )
    else:
        yield "Fewer than two days are known, so that nothing can be said yet of what changed."
    yield from gap_sentences(trend)
    forecast = trend.forecast
    if isinstance(forecast, Forecast):
        ends = [(one.title, one.points[-1]) for one in forecast.scenarios]
        texts = [
            f"{span_text(point.bytes_repository)} and "
            f"{cost_text(point.cost_low.repository, point.cost.repository, point.cost_high.repository)} a "
            f"month under {title}"
            for title, point in ends
        ]
        yield f"In {forecast.months} months: {'; '.join(texts)}."


def _chart(trend: TrendReport) -> Chart | None:
    past = trend.reconstruction
    lines = [
        Line(
            label="Reconstructed from push times: at least so much",
            colour="muted",
            dashes="4 4",
            points=tuple(zip(past.at, past.bytes_repository.tolist(), strict=True)),
        ),
        Line(
            label="Measured, night by night",
            colour="text",
            points=tuple(
                (
                    at_noon(from_day(trend.total.first_day + n)),
                    int(trend.total.repository_bytes[n]) if trend.total.known[n] else None,
                )
                for n in range(trend.total.days)
            ),
        ),
    ]
    legend = [("muted", "reconstructed from push times, dashed: at least so much"), ("text", "measured")]
    words = [f"{size(int(past.bytes_repository[-1]))} stored now"]
    if isinstance(trend.forecast, Forecast):
        for one in trend.forecast.scenarios:
            colour, dashes, said = _LINES[one.name]
            lines.append(
                Line(
                    label=f"Expected under {one.title}",
                    colour=colour,
                    dashes=dashes,
                    points=tuple((point.at, point.bytes_repository.middle) for point in one.points),
                    band=tuple(
                        (point.at, point.bytes_repository.low, point.bytes_repository.high)
                        for point in one.points
                    ),
                )
            )
            legend.append((colour, f"expected under {one.title}{said}"))
            words.append(f"{span_text(one.points[-1].bytes_repository)} in a year under {one.title}")
    heading = "Stored bytes at repository scope: the past, and what is to be expected"
    svg = line_chart(lines, now=trend.at, name="trend-chart", title=heading, description="; ".join(words))
    if not svg:
        return None
    return Chart(
        heading=heading,
        # Built and escaped in line_chart.py.
        svg=Markup(svg),  # noqa: S704
        legend=tuple(legend),
        rows="trend-forecast" if isinstance(trend.forecast, Forecast) else "trend-days",
        method="trend",
    )


def _comparison_table(trend: TrendReport) -> Table:
    names = {"7 days": "Last 7 days", "30 days": "Last 30 days", "month": "This month so far"}
    return Table(
        name="trend-comparisons",
        caption="This period beside the former one",
        columns=(
            Column(label="Period", numeric=False),
            Column(label="Change", hint="Stored bytes at repository scope, last day less first"),
            Column(label="Artifacts"),
            Column(
                label="Former change", hint="Of as many days before; of the month before up to the same day"
            ),
            Column(label="Former artifacts"),
        ),
        rows=tuple(
            Row(
                cells=(
                    Cell(text=names[one.period], notes=_period_notes(one.this, one.former)),
                    _change_cell(one.this, one.unknown),
                    DASH if one.this is None else Cell(text=f"{one.this.artifacts:+,}"),
                    _change_cell(one.former, one.unknown),
                    DASH if one.former is None else Cell(text=f"{one.former.artifacts:+,}"),
                )
            )
            for one in trend.comparisons
        ),
        file="report.json",
        method="trend",
    )


def _period_notes(this: Change | None, former: Change | None) -> tuple[str, ...]:
    notes = []
    if this is not None:
        notes.append(days_text(this))
    if former is not None:
        notes.append(f"former: {days_text(former)}")
    return tuple(notes)


def _change_cell(change: Change | None, why: str) -> Cell:
    if change is None:
        return Cell(text=UNKNOWN, hint=why, tone="muted")
    return _bytes(change.bytes.repository, signed=True)


def _bytes(size_bytes: int, *, signed: bool = False) -> Cell:
    text = signed_size(size_bytes) if signed else size(size_bytes)
    hint = exact_size(size_bytes) if size_bytes >= 0 else f"{size_bytes:,} bytes"
    return Cell(text=text, value=str(size_bytes), hint=hint)


def _forecast_table(forecast: Forecast | None) -> Table:
    scenarios = () if forecast is None else forecast.scenarios
    columns = [Column(label="At", numeric=False)]
    for _ in scenarios:
        columns += [
            Column(label="Stored", hint="The mean of the replays, at repository scope"),
            Column(label="Interval", muted=True),
            Column(label="USD/month", hint="The mean of the replays, at repository scope"),
            Column(label="Registry scope", muted=True, hint="USD per month of the mean, at registry scope"),
        ]
    rows = []
    for n in range(len(scenarios[0].points) if scenarios else 0):
        points = [one.points[n] for one in scenarios]
        cells = [Cell(text="now" if not points[0].days else f"{points[0].at:%Y-%m-%d}")]
        for point in points:
            cells += [
                _bytes(point.bytes_repository.middle),
                _interval(point.bytes_repository),
                _money(point.cost.repository),
                _money(point.cost.registry),
            ]
        rows.append(Row(cells=tuple(cells)))
    return Table(
        name="trend-forecast",
        caption="What is to be expected, month by month",
        columns=tuple(columns),
        rows=tuple(rows),
        groups=(("", 1), *((one.title, 4) for one in scenarios)),
        file="trend.csv",
        method="trend",
    )


def _interval(values: Span) -> Cell:
    if values.low == values.high:
        return DASH
    return Cell(text=span(size(values.low), size(values.high)), value=str(values.high - values.low))


def _money(money: Money) -> Cell:
    reasons = "; ".join(money.leaves_out)
    unknown = money.amount is None
    return Cell(
        text=headline_money(money.amount, money.currency),
        value=amount_text(rounded(money, EXACT_DECIMALS)),
        hint=f"leaves out: {reasons}" if reasons and not unknown else reasons,
        tone="muted" if unknown else "",
        incomplete=bool(reasons) and not unknown,
    )


def _repository_table(forecast: Forecast | None) -> Table:
    scenarios = () if forecast is None else forecast.scenarios
    rows = () if forecast is None else forecast.repositories
    return Table(
        name="trend-repositories",
        caption="Repositories in a year, the largest first",
        columns=(
            Column(label="Repository", numeric=False),
            Column(label="Pushes a week", hint="Artifacts, over the weeks that are known"),
            Column(label="Stored now"),
            *(Column(label=f"Under {one.title}") for one in scenarios),
            Column(label="How", numeric=False),
        ),
        rows=tuple(
            Row(
                cells=(
                    _name(row.account, row.region, row.repository),
                    Cell(text=f"{row.pushes_per_week:,.1f}", value=str(row.pushes_per_week)),
                    _bytes(row.now_bytes),
                    *(
                        Cell(text=UNKNOWN, tone="muted")
                        if end is None
                        else Cell(
                            text=size(end.middle),
                            value=str(end.middle),
                            notes=() if end.low == end.high else (_interval(end).text,),
                        )
                        for end in row.ends
                    ),
                    Cell(text=method_text(row)),
                ),
                facets=Place.of(row.account, row.region, row.repository).facets,
            )
            for row in rows[:_MOST_FORECAST]
        ),
        footer=_more(len(rows), _MOST_FORECAST, 4 + len(scenarios), "report.json"),
        file="report.json",
        method="trend",
        facets=PLACE_FACETS,
    )


def _day_table(trend: TrendReport) -> Table:
    curve, flow = trend.total, trend.flow
    shown = range(max(0, curve.days - _MOST_DAYS), curve.days)
    why = {day.day: day.reason for day in trend.unknown_days}
    rows = []
    for n in reversed(shown):
        day = from_day(curve.first_day + n)
        if not curve.known[n]:
            cells = (
                Cell(text=str(day)),
                Cell(text=UNKNOWN, hint=why.get(day, ""), tone="muted"),
                *[DASH] * 5,
            )
            rows.append(Row(cells=cells))
            continue
        moves = bool(flow.known[n])
        rows.append(
            Row(
                cells=(
                    Cell(text=str(day)),
                    _bytes(int(curve.repository_bytes[n])),
                    _bytes(int(curve.registry_bytes[n])),
                    Cell(text=count(int(curve.artifacts[n])), value=str(int(curve.artifacts[n]))),
                    _bytes(int(flow.new_bytes_repository[n])) if moves else DASH,
                    _bytes(int(flow.freed_bytes_repository[n])) if moves else DASH,
                    _bytes(int(flow.other_bytes_repository[n]), signed=True) if moves else DASH,
                )
            )
        )
    return Table(
        name="trend-days",
        caption="Day by day",
        columns=(
            Column(label="Day", numeric=False),
            Column(label="Stored", hint="At repository scope"),
            Column(label="Registry scope", muted=True),
            Column(label="Artifacts"),
            Column(label="New", hint="Bytes of layers that nothing held on the day before, repository scope"),
            Column(label="Freed", hint="Bytes of layers that nothing holds any more, repository scope"),
            Column(
                label="Other",
                hint="Manifests read later than their images were listed; registries that join or leave",
            ),
        ),
        rows=tuple(rows),
        file="trend.csv",
        method="trend",
    )


def _mover_table(trend: TrendReport) -> Table:
    rows = trend.repositories
    return Table(
        name="trend-movers",
        caption=f"What moved most from {trend.since} to {trend.until}",
        columns=(
            Column(label="Repository", numeric=False),
            Column(label="Change", hint="Stored bytes at repository scope, last known day less first"),
            Column(label="New"),
            Column(label="Freed"),
            Column(label="USD/month"),
            Column(label="Movement", numeric=False),
            Column(label="Days known"),
        ),
        rows=tuple(
            Row(
                cells=(
                    _name(row.account, row.region, row.repository),
                    Cell(text=UNKNOWN, hint="fewer than two of its days are known", tone="muted")
                    if row.change is None
                    else _bytes(row.change.bytes.repository, signed=True),
                    DASH if row.new_bytes is None else _bytes(row.new_bytes),
                    DASH if row.freed_bytes is None else _bytes(row.freed_bytes),
                    DASH if row.cost_change is None else _signed_money(row.cost_change),
                    Cell(text=row.movement, tone=_tone(row.movement)),
                    Cell(text=count(int(row.curve.known.sum())), value=str(int(row.curve.known.sum()))),
                ),
                facets=Place.of(row.account, row.region, row.repository).facets,
            )
            for row in rows[:_MOST_MOVERS]
        ),
        footer=_more(len(rows), _MOST_MOVERS, 7, "trend.csv"),
        file="trend.csv",
        method="trend",
        facets=PLACE_FACETS,
    )


def _tone(movement: str) -> Tone:
    return "muted" if movement in {"same", "unknown"} else ""


def _signed_money(money: Money) -> Cell:
    if money.amount is None:
        return _money(money)
    text = headline_money(abs(money.amount), money.currency)
    sign = "+" if money.amount > 0 else "-" if money.amount < 0 else ""
    return Cell(text=f"{sign}{text}", value=amount_text(rounded(money, EXACT_DECIMALS)))


def _name(account: str, region: str, repository: str) -> Cell:
    place = Place.of(account, region, repository)
    return Cell(text=repository, notes=(account, region), link=place.anchor)


def _more(number: int, most: int, width: int, file: str) -> tuple[Row, ...]:
    if number <= most:
        return ()
    first = Cell(text=f"Other ({counted(number - most, 'repository', 'repositories')}, see {file})")
    return (Row(cells=(first, *[EMPTY] * (width - 1)), kind="other"),)
