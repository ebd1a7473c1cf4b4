"""A trend on the repositories of a report, the same for the same report; no figure is simulated."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from analyzer.model.results import Report, RepositoryRow, ScopedBytes, ScopedMoney
from analyzer.model.trends import (
    Change,
    Comparison,
    Curve,
    Flow,
    Forecast,
    ForecastPoint,
    NoForecast,
    Reconstruction,
    RepositoryForecast,
    RepositoryReconstruction,
    RepositoryTrend,
    ScenarioForecast,
    Span,
    TrendReport,
    UnknownDay,
)
from analyzer.model.units import GB, Money

_DAYS = 30
_EPOCH = date(1970, 1, 1)
_SCENARIOS = (
    ("none", "no policy"),
    ("current", "the policies in force"),
    ("recommended", "recommended ones"),
)


def with_trend(report: Report, *, forecast: bool = True) -> Report:
    """``report`` with thirty days behind it, one of them unknown, and with ``forecast`` a year ahead."""
    until = report.at.date()
    since = until - timedelta(days=_DAYS - 1)
    rows = report.repositories
    total = _curve(since, sum(row.physical_bytes.repository for row in rows), 0)
    moved = np.diff(total.repository_bytes, prepend=total.repository_bytes[0])
    trend = TrendReport(
        at=report.at,
        since=since,
        until=until,
        total=total,
        stale_repositories=np.zeros(_DAYS, np.int64),
        flow=Flow(
            known=np.arange(_DAYS) > 0,
            new_bytes_repository=moved + GB,
            new_bytes_registry=moved + GB,
            freed_bytes_repository=np.full(_DAYS, GB),
            freed_bytes_registry=np.full(_DAYS, GB),
            other_bytes_repository=np.zeros(_DAYS, np.int64),
            other_bytes_registry=np.zeros(_DAYS, np.int64),
        ),
        unknown_days=(UnknownDay(day=since + timedelta(days=10), reason="no snapshot was taken"),),
        breaks=(UnknownDay(day=since + timedelta(days=20), reason="with 111122223333/eu-west-1 too"),),
        comparisons=(
            Comparison(period="30 days", this=_change(since, until, total), former=None, unknown="not known"),
        ),
        repositories=tuple(_repository(row, since, until, n) for n, row in enumerate(rows)),
        reconstruction=_reconstruction(report, int(total.repository_bytes[-1])),
        reconstructed=tuple(
            RepositoryReconstruction(
                account=row.account,
                region=row.region,
                repository=row.repository,
                created_at=row.created_at,
                curve=_reconstruction(report, row.physical_bytes.repository),
            )
            for row in rows[:5]
        ),
        forecast=_forecast(report) if forecast else NoForecast(reason="too few pushes are known"),
    )
    return replace(report, trend=trend)


def _curve(since: date, now: int, n: int) -> Curve:
    days = np.arange(_DAYS)
    stored = now - (_DAYS - 1 - days) * (now // 400) * (1 if n % 3 else -1)
    return Curve(
        first_day=(since - _EPOCH).days,
        known=days != 10,
        artifacts=days + 100,
        repository_bytes=np.where(days == 10, 0, stored),
        registry_bytes=np.where(days == 10, 0, stored // 2),
    )


def _change(since: date, until: date, curve: Curve) -> Change:
    moved = int(curve.repository_bytes[-1] - curve.repository_bytes[0])
    return Change(
        first=since,
        last=until,
        days_known=_DAYS - 1,
        days=_DAYS,
        bytes=ScopedBytes(repository=moved, registry=moved // 2),
        artifacts=_DAYS - 1,
    )


def _repository(row: RepositoryRow, since: date, until: date, n: int) -> RepositoryTrend:
    curve = _curve(since, row.physical_bytes.repository, n)
    change = _change(since, until, curve)
    return RepositoryTrend(
        account=row.account,
        region=row.region,
        repository=row.repository,
        created_at=row.created_at,
        curve=curve,
        change=None if n % 7 == 6 else change,
        cost_change=None if n % 7 == 6 else Money(Decimal(change.bytes.repository) / GB / 10),
        new_bytes=GB,
        freed_bytes=GB // 2,
        movement="unknown" if n % 7 == 6 else "grown" if n % 3 else "shrunk",
    )


def _reconstruction(report: Report, now: int) -> Reconstruction:
    weeks = np.arange(1, 53)
    return Reconstruction(
        at=tuple(report.at - timedelta(weeks=52 - int(week)) for week in weeks),
        bytes_repository=now * weeks // 52,
        bytes_registry=now * weeks // 104,
        artifacts=weeks,
        undated_bytes=ScopedBytes(repository=0, registry=0),
        undated_artifacts=0,
    )


def _forecast(report: Report) -> Forecast:
    stored = report.totals.physical_bytes.repository
    return Forecast(
        at=report.at,
        months=12,
        level=0.8,
        replays=100,
        seed=1,
        measured_from=report.at - timedelta(days=90),
        measured_to=report.at,
        pushes=1234,
        basis="history",
        method=("Weeks of pushes are drawn from the past.",),
        limits=("What has never happened is not in it.",),
        scenarios=tuple(
            ScenarioForecast(
                name=name,  # type: ignore[arg-type]  # the names of _SCENARIOS are those of the model
                title=title,
                policies=n,
                points=tuple(_point(report, stored, n, month) for month in range(13)),
            )
            for n, (name, title) in enumerate(_SCENARIOS)
        ),
        repositories=tuple(
            RepositoryForecast(
                account=row.account,
                region=row.region,
                repository=row.repository,
                created_at=row.created_at,
                method="unknown" if n % 5 == 4 else "replayed",
                reason="its manifests were not read" if n % 5 == 4 else "",
                pushes_per_week=n / 3,
                weeks=12,
                now_bytes=row.physical_bytes.repository,
                ends=tuple(None if n % 5 == 4 else _span(row.physical_bytes.repository, k) for k in range(3)),
            )
            for n, row in enumerate(report.repositories)
        ),
    )


def _span(size_bytes: int, n: int) -> Span:
    middle = size_bytes * (5 - 2 * n) // 3
    return Span(low=middle * 9 // 10, middle=middle, high=middle * 11 // 10)


def _point(report: Report, stored: int, n: int, month: int) -> ForecastPoint:
    end = _span(stored, n)
    span = Span(
        **{name: stored + (getattr(end, name) - stored) * month // 12 for name in ("low", "middle", "high")}
    )
    costs = [ScopedMoney(repository=_usd(value), registry=_usd(value // 2)) for value in _ends(span)]
    return ForecastPoint(
        at=report.at + timedelta(days=30 * month),
        days=30 * month,
        artifacts=Span(low=90, middle=100, high=110),
        bytes_repository=span,
        bytes_registry=Span(low=span.low // 2, middle=span.middle // 2, high=span.high // 2),
        cost_low=costs[0],
        cost=costs[1],
        cost_high=costs[2],
    )


def _ends(span: Span) -> tuple[int, int, int]:
    return span.low, span.middle, span.high


def _usd(size_bytes: int) -> Money:
    return Money(Decimal(size_bytes) / GB / 10)
