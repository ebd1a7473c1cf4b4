"""Rows on trends for spreadsheets: one a day or a month; an empty cell is unknown or does not apply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from analyzer.model.trends import Curve, Forecast, ForecastPoint, Reconstruction, TrendReport
from analyzer.model.units import from_day, iso
from reports.csv_cells import Cell, neutral, reasons, truth
from reports.rounding import exact_text

#: ``row`` is measured (a day by snapshots), reconstructed (from push times: at least so much), or forecast.
#: Without a repository a row is about all. Of a forecast, low and high are the ends of the interval.
TREND_COLUMNS: Final = (
    "row",
    "scenario",
    "account",
    "region",
    "repository",
    "created_at",
    "at",
    "known",
    "artifacts",
    "stored_bytes_repository_scope",
    "stored_bytes_registry_scope",
    "new_bytes_repository_scope",
    "new_bytes_registry_scope",
    "freed_bytes_repository_scope",
    "freed_bytes_registry_scope",
    "other_bytes_repository_scope",
    "other_bytes_registry_scope",
    "low_bytes_repository_scope",
    "high_bytes_repository_scope",
    "low_bytes_registry_scope",
    "high_bytes_registry_scope",
    "cost_repository_scope_usd_per_month",
    "cost_low_repository_scope_usd_per_month",
    "cost_high_repository_scope_usd_per_month",
    "cost_registry_scope_usd_per_month",
    "cost_low_registry_scope_usd_per_month",
    "cost_high_registry_scope_usd_per_month",
    "leaves_out",
)

_NO_FLOW = [""] * 6
_NO_FORECAST = [""] * 11


def trend_rows(report: TrendReport) -> Iterator[list[Cell]]:
    """The rows of ``report``.

    The total's days, reconstructed weeks and forecast, then each repository's days, greatest movement
    first, and its reconstructed weeks.
    """
    everything = ["", "", "", ""]
    yield from _days(report.total, everything, report)
    yield from _weeks(report.reconstruction, everything)
    if isinstance(report.forecast, Forecast):
        for scenario in report.forecast.scenarios:
            for point in scenario.points:
                title = scenario.title if scenario.name == "candidate" else scenario.name
                yield _forecast(point, neutral(title))
    for row in report.repositories:
        place = [neutral(text) for text in (row.account, row.region, row.repository)]
        yield from _days(row.curve, [*place, iso(row.created_at)], None)
    for part in report.reconstructed:
        place = [neutral(text) for text in (part.account, part.region, part.repository)]
        yield from _weeks(part.curve, [*place, iso(part.created_at)])


def _days(curve: Curve, place: list[str], report: TrendReport | None) -> Iterator[list[Cell]]:
    for n in range(curve.days):
        known = bool(curve.known[n])
        figures: list[Cell] = ["", "", ""]
        if known:
            figures = [
                int(curve.artifacts[n]),
                int(curve.repository_bytes[n]),
                int(curve.registry_bytes[n]),
            ]
        flow: list[Cell] = list(_NO_FLOW)
        if report is not None and report.flow.known[n]:
            of = report.flow
            columns = (
                of.new_bytes_repository,
                of.new_bytes_registry,
                of.freed_bytes_repository,
                of.freed_bytes_registry,
                of.other_bytes_repository,
                of.other_bytes_registry,
            )
            flow = [int(column[n]) for column in columns]
        day = from_day(curve.first_day + n).isoformat()
        yield ["measured", "", *place, day, truth(known), *figures, *flow, *_NO_FORECAST]


def _weeks(curve: Reconstruction, place: list[str]) -> Iterator[list[Cell]]:
    for n, at in enumerate(curve.at):
        figures = (curve.artifacts, curve.bytes_repository, curve.bytes_registry)
        cells = [int(column[n]) for column in figures]
        yield ["reconstructed", "", *place, iso(at), "true", *cells, *_NO_FLOW, *_NO_FORECAST]


def _forecast(point: ForecastPoint, scenario: str) -> list[Cell]:
    repository, registry = point.bytes_repository, point.bytes_registry
    costs = (
        point.cost.repository,
        point.cost_low.repository,
        point.cost_high.repository,
        point.cost.registry,
        point.cost_low.registry,
        point.cost_high.registry,
    )
    return [
        "forecast",
        scenario,
        *[""] * 4,
        iso(point.at),
        "",
        point.artifacts.middle,
        repository.middle,
        registry.middle,
        *_NO_FLOW,
        repository.low,
        repository.high,
        registry.low,
        registry.high,
        *map(exact_text, costs),
        reasons(*costs),
    ]
