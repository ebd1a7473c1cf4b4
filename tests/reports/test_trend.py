"""The section on trends and its CSV on hostile names."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np

from analyzer.model.results import ScopedBytes
from analyzer.model.trends import (
    Comparison,
    Curve,
    Flow,
    NoForecast,
    Reconstruction,
    RepositoryTrend,
    TrendReport,
    UnknownDay,
)
from analyzer.model.units import Money
from reports.csv import render_trend_csv
from reports.html import render_html
from reports.trend_text import trend_text
from tests.support.report_fixture import build_report

_HOSTILE = '=<script>alert("x")</script>'
_AT = datetime(2026, 11, 23, 2, tzinfo=UTC)


def _trend() -> TrendReport:
    known = np.array([True, False, True])
    nothing = np.zeros(3, np.int64)
    curve = Curve(
        first_day=20_778,
        known=known,
        artifacts=np.array([1, 0, 2]),
        repository_bytes=np.array([1_000, 0, 3_000]),
        registry_bytes=np.array([900, 0, 2_500]),
    )
    past = Reconstruction(
        at=(datetime(2026, 11, 16, tzinfo=UTC), _AT),
        bytes_repository=np.array([500, 3_000]),
        bytes_registry=np.array([500, 2_500]),
        artifacts=np.array([1, 2]),
        undated_bytes=ScopedBytes(repository=0, registry=0),
        undated_artifacts=0,
    )
    return TrendReport(
        at=_AT,
        since=date(2026, 11, 21),
        until=date(2026, 11, 23),
        total=curve,
        stale_repositories=nothing,
        flow=Flow(
            known=np.array([False, False, True]),
            new_bytes_repository=np.array([0, 0, 2_500]),
            new_bytes_registry=nothing,
            freed_bytes_repository=np.array([0, 0, 500]),
            freed_bytes_registry=nothing,
            other_bytes_repository=nothing,
            other_bytes_registry=nothing,
        ),
        unknown_days=(UnknownDay(day=date(2026, 11, 22), reason="no snapshot of 1/eu"),),
        breaks=(),
        comparisons=(Comparison(period="7 days", this=None, former=None, unknown="too few days"),),
        repositories=(
            RepositoryTrend(
                account="1",
                region="eu",
                repository=_HOSTILE,
                created_at=_AT,
                curve=curve,
                change=None,
                cost_change=Money.unknown("no price"),
                new_bytes=None,
                freed_bytes=None,
                movement="unknown",
            ),
        ),
        reconstruction=past,
        reconstructed=(),
        forecast=NoForecast(reason="1 week of pushes is known"),
    )


def test_hostile_names_are_harmless_everywhere() -> None:
    report = replace(build_report(3), trend=_trend())
    assert "<script>alert" not in render_html(report)
    rows = list(csv.DictReader(io.StringIO(render_trend_csv(_trend()))))
    assert {row["repository"] for row in rows} == {"", f"'{_HOSTILE}"}


def test_a_day_that_is_not_known_has_no_figures_and_no_forecast_has_its_reason() -> None:
    trend = _trend()
    rows = list(csv.DictReader(io.StringIO(render_trend_csv(trend))))
    measured = [row for row in rows if row["row"] == "measured" and not row["repository"]]
    assert [row["stored_bytes_repository_scope"] for row in measured] == ["1000", "", "3000"]
    assert [row["new_bytes_repository_scope"] for row in measured] == ["", "", "2500"]
    text = trend_text(trend, top=5)
    assert "Unknown, and left out rather than guessed: 1 day (no snapshot of 1/eu)." in text
    assert "No forecast: 1 week of pushes is known." in text
    assert "·" in text
    page = render_html(replace(build_report(3), trend=trend))
    assert "There is no forecast: 1 week of pushes is known." in page
