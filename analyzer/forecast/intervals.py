"""Replays as readers see them: the middle and the interval of each month, and of each repository's end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analyzer.forecast.courses import Course
from analyzer.forecast.draws import MONTH_ENDS
from analyzer.forecast.pricing import RegionPrices, money
from analyzer.forecast.record import FEWEST_OF_REPOSITORY, WEEK_MS
from analyzer.model.frames import Bools, Frames, Int64
from analyzer.model.results import ScopedMoney
from analyzer.model.trends import ForecastPoint, Method, RepositoryForecast, Span
from analyzer.model.units import from_ms
from analyzer.storage import Storage

_Floats = npt.NDArray[np.float64]


def points_of(
    course: Course, prices: RegionPrices, at_ms: int, quantiles: tuple[float, float]
) -> tuple[ForecastPoint, ...]:
    """Now and the end of each month; intervals go from one of ``quantiles`` to the other."""
    costs = {
        scope: prices.cost(getattr(course, f"standard_{scope}"), getattr(course, f"archive_{scope}"))
        for scope in ("repository", "registry")
    }
    points = []
    for step, week in enumerate(MONTH_ENDS):
        usd = {
            scope: (None if values is None else _span(values[step], quantiles), missing)
            for scope, (values, missing) in costs.items()
        }
        low, middle, high = (
            ScopedMoney(
                **{
                    scope: money(None if span is None else span[number], missing)
                    for scope, (span, missing) in usd.items()
                }
            )
            for number in range(3)
        )
        points.append(
            ForecastPoint(
                at=from_ms(at_ms + week * WEEK_MS),
                days=week * 7,
                artifacts=_whole(course.artifacts[step], quantiles),
                bytes_repository=_whole(
                    (course.standard_repository + course.archive_repository)[step].sum(axis=1), quantiles
                ),
                bytes_registry=_whole(
                    (course.standard_registry + course.archive_registry)[step].sum(axis=1), quantiles
                ),
                cost_low=low,
                cost=middle,
                cost_high=high,
            )
        )
    return tuple(points)


def repositories_of(
    frames: Frames,
    storage: Storage,
    rows: Bools,
    known: Int64,
    pushed: Int64,
    courses: Sequence[Course],
    quantiles: tuple[float, float],
) -> tuple[RepositoryForecast, ...]:
    """What becomes of each repository in ``rows``, the greatest at the end of the first of ``courses`` first.

    By repository: ``known`` weeks back everything pushed is known, and ``pushed`` is how many that were.
    """
    repositories, registries = frames.repositories, frames.registries
    accounts, regions = registries["account"].tolist(), registries["region"].tolist()
    names, created = repositories["repository"].tolist(), repositories["created_at_ms"].tolist()
    registry = repositories["registry"].tolist()
    now = storage.repositories["physical_bytes"].tolist()
    unlisted = (repositories["complete_at_ms"] == np.iinfo(np.int64).min).tolist()
    scaled = (
        np.logical_or.reduce([course.scaled for course in courses])
        if courses
        else np.zeros(len(rows), np.bool_)
    )
    found = []
    for row in np.flatnonzero(rows).tolist():
        weeks = int(known[row])
        method: Method = "scaled" if scaled[row] else "replayed"
        reason = ""
        if unlisted[row]:
            method, reason = "unknown", "its images were never listed"
        elif weeks < FEWEST_OF_REPOSITORY:
            method, reason = "constant", f"{weeks_text(weeks)} of its pushes are known: none are expected"
        elif not pushed[row]:
            method, reason = "constant", f"nothing was pushed in the last {weeks} weeks"
        found.append(
            RepositoryForecast(
                account=accounts[registry[row]],
                region=regions[registry[row]],
                repository=names[row],
                created_at=from_ms(created[row]),
                method=method,
                reason=reason,
                pushes_per_week=round(int(pushed[row]) / weeks, 3) if weeks else 0.0,
                weeks=weeks,
                now_bytes=now[row],
                ends=tuple(
                    None if method == "unknown" else _whole(course.ends[row], quantiles) for course in courses
                ),
            )
        )
    return tuple(sorted(found, key=_greatest_end))


def _greatest_end(row: RepositoryForecast) -> tuple[object, ...]:
    first = row.ends[0] if row.ends else None
    end = row.now_bytes if first is None else first.middle
    return -end, row.account, row.region, row.repository, row.created_at


def _span(values: _Floats, quantiles: tuple[float, float]) -> tuple[float, float, float]:
    """Low, middle and high of the replays. The mean never lies outside of the interval."""
    low, high = np.quantile(values, quantiles).tolist()
    return low, min(max(float(values.mean()), low), high), high


def _whole(values: _Floats, quantiles: tuple[float, float]) -> Span:
    low, middle, high = (round(value) for value in _span(values, quantiles))
    return Span(low=low, middle=middle, high=high)


def weeks_text(number: int) -> str:
    """``number`` with its noun."""
    return f"{number} week" if number == 1 else f"{number} weeks"
