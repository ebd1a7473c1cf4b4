"""Trends for a person at a terminal: plain, of one width, and nothing unknown as zero."""

from __future__ import annotations

import io
from collections.abc import Sequence
from textwrap import wrap
from typing import Final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analyzer.model.frames import Bools, Int64
from analyzer.model.trends import Forecast, NoForecast, TrendReport
from analyzer.model.units import from_day, iso
from analyzer.model.words import counted
from reports.figures import UNKNOWN, headline_money, size, span
from reports.text import shortened, visible
from reports.trend_words import (
    change_text,
    cost_text,
    gap_sentences,
    measured_text,
    signed_size,
    span_text,
)

#: Columns of a terminal that is not made wider; what is piped gets the same.
_WIDTH: Final = 100
_NAME: Final = 44
_BARS: Final = " ▁▂▃▄▅▆▇█"
_INDENT: Final = " " * 15
#: Months of the forecast that the table shows.
_MONTHS: Final = (0, 1, 3, 6, 9, 12)


def trend_text(report: TrendReport, *, top: int) -> str:
    """The past, what moved most (``top`` repositories) and the forecast; gaps are left to the caller."""
    lines = [f"Trends at {iso(report.at)}; bytes at repository scope, each layer once in every repository"]
    lines += ["", *_past(report), "", _comparisons(report)]
    movers = [row for row in report.repositories if row.change is not None and row.movement != "same"]
    if movers and top:
        lines += [f"What moved most since {report.since}:", "", _movers(report, top)]
    lines += _future(report)
    return "\n".join(lines).rstrip("\n") + "\n"


def _wrapped(sentences: Sequence[str]) -> list[str]:
    return [line for text in sentences for line in wrap(text, _WIDTH, subsequent_indent="  ")]


def _past(report: TrendReport) -> list[str]:
    curve = report.total
    known = np.flatnonzero(curve.known)
    lines = []
    if len(known):
        first, last = int(known[0]), int(known[-1])
        values, days = _thinned(curve.repository_bytes, curve.known)
        moved = signed_size(int(curve.repository_bytes[last] - curve.repository_bytes[first]))
        lines.append(
            f"Measured       {_sparkline(values, days)}  {size(int(curve.repository_bytes[last]))}",
        )
        lines.append(
            f"{_INDENT}{from_day(curve.first_day)} to {from_day(curve.first_day + curve.days - 1)}, "
            f"{len(known)} of {counted(curve.days, 'day')} known; since "
            f"{from_day(curve.first_day + first)} {moved}"
        )
        flow = report.flow
        if flow.known.any():
            new, freed = int(flow.new_bytes_repository.sum()), int(flow.freed_bytes_repository.sum())
            lines.append(f"{_INDENT}new {size(new)}, freed {size(freed)}")
    past = report.reconstruction
    weeks = _sparkline(past.bytes_repository, np.ones(len(past.at), np.bool_))
    lines.append(f"Reconstructed  {weeks}  {size(int(past.bytes_repository[-1]))}")
    lines.append(
        f"{_INDENT}{past.at[0]:%Y-%m-%d} to {past.at[-1]:%Y-%m-%d} by week, from push times of what is "
        "still there: a lower bound"
    )
    if past.undated_artifacts:
        number = counted(past.undated_artifacts, "artifact")
        lines.append(f"{_INDENT}{number} without a push time in every figure")
    return [*lines, *_wrapped(gap_sentences(report))]


def _thinned(values: Int64, known: Bools) -> tuple[Int64, Bools]:
    """At most so many days as fit a line: every n-th, counted from the last."""
    every = -(-len(values) // 60)
    return values[::-every][::-1], known[::-every][::-1]


def _sparkline(values: Int64, known: Bools) -> str:
    """A letter a figure, its height from zero to the greatest; ``·`` for what is not known."""
    most = int(values[known].max(initial=0)) or 1
    return "".join(
        _BARS[-(-int(value) * (len(_BARS) - 1) // most)] if is_known else "·"
        for value, is_known in zip(values.tolist(), known.tolist(), strict=True)
    )


def _comparisons(report: TrendReport) -> str:
    names = {"7 days": "7 days", "30 days": "30 days", "month": "This month"}
    table = _table("PERIOD", "CHANGE", "FORMER ONE", right=0)
    for one in report.comparisons:
        table.add_row(names[one.period], change_text(one.this), change_text(one.former))
    return _rendered(table)


def _movers(report: TrendReport, top: int) -> str:
    table = _table("REPOSITORY", "CHANGE", "NEW", "FREED", "USD/MONTH", right=4)
    rows = [row for row in report.repositories if row.change is not None and row.movement != "same"]
    for row in rows[:top]:
        moved = row.change.bytes.repository if row.change else 0
        cost = row.cost_change
        money = UNKNOWN
        if cost is not None and cost.amount is not None:
            sign = "+" if cost.amount > 0 else "-" if cost.amount < 0 else ""
            money = f"{sign}{headline_money(abs(cost.amount), cost.currency)}"
        name = shortened(visible(f"{row.account}/{row.region}/{row.repository}"), _NAME)
        table.add_row(
            Text(name + (f" ({row.movement})" if row.movement in {"new", "gone"} else "")),
            signed_size(moved),
            UNKNOWN if row.new_bytes is None else size(row.new_bytes),
            UNKNOWN if row.freed_bytes is None else size(row.freed_bytes),
            money,
        )
    return _rendered(table)


def _future(report: TrendReport) -> list[str]:
    forecast = report.forecast
    if isinstance(forecast, NoForecast):
        return [f"No forecast: {forecast.reason}."]
    lines = ["Forecast: the mean, and an interval of the replays", "", _forecast(forecast)]
    for one in forecast.scenarios:
        end = one.points[-1]
        cost = cost_text(end.cost_low.repository, end.cost.repository, end.cost_high.repository)
        text = f"In {forecast.months} months under {visible(one.title)}: {span_text(end.bytes_repository)}, "
        lines += _wrapped([f"{text}{cost} a month"])
    costs = [one.points[-1].cost.repository for one in forecast.scenarios]
    missing = sorted({reason for cost in costs for reason in cost.leaves_out})
    lines += [f"* leaves out: {reason}" for reason in missing]
    return [*lines, "", *_wrapped([measured_text(forecast), *forecast.method, *forecast.limits])]


def _forecast(forecast: Forecast) -> str:
    titles = [shortened(visible(one.title), 30) for one in forecast.scenarios]
    table = _table("AT", *titles, right=len(titles))
    for month in _MONTHS:
        points = [one.points[month] for one in forecast.scenarios]
        cells = [
            size(point.bytes_repository.middle)
            if point.bytes_repository.low == point.bytes_repository.high
            else f"{size(point.bytes_repository.middle)} "
            f"({span(size(point.bytes_repository.low), size(point.bytes_repository.high))})"
            for point in points
        ]
        table.add_row("now" if not month else f"{points[0].at:%Y-%m-%d}", *cells)
    return _rendered(table)


def _table(*headers: str, right: int) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for position, header in enumerate(headers):
        is_number = position >= len(headers) - right
        table.add_column(Text(header), justify="right" if is_number else "left", overflow="fold")
    return table


def _rendered(table: Table) -> str:
    # Always of one width and without colour: a pipe gets what a terminal shows.
    out = io.StringIO()
    Console(file=out, width=_WIDTH, color_system=None, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
