"""Trends for programs. Bytes are integers; null is what is not known.

``total.days`` and each repository's has one entry a day, null figures on a day that is not known.
"""

from __future__ import annotations

import json
from typing import Any

from analyzer.model.trends import (
    Change,
    Curve,
    Forecast,
    ForecastPoint,
    NoForecast,
    Reconstruction,
    RepositoryForecast,
    RepositoryTrend,
    Span,
    TrendReport,
    UnknownDay,
)
from analyzer.model.units import from_day, iso
from reports.json_parts import gap_objects, money_object
from reports.text import json_escaped

_Object = dict[str, Any]


def trend_json(report: TrendReport) -> str:
    """The whole answer of ``trend``, with a line feed at the end; equal reports give equal text."""
    document = {
        **trend_object(report, every_day=True),
        **gap_objects(report.gaps, report.accepted_gaps),
    }
    return json_escaped(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def trend_object(report: TrendReport, *, every_day: bool = False) -> _Object:
    """What report.json says of trends; the days of single repositories only with ``every_day``."""
    return {
        "at": iso(report.at),
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "total": {"days": _total_days(report)},
        "unknown_days": [_unknown(day) for day in report.unknown_days],
        "breaks": [_unknown(day) for day in report.breaks],
        "comparisons": [
            {
                "period": one.period,
                "this": _change(one.this),
                "former": _change(one.former),
                **({"unknown": one.unknown} if one.unknown else {}),
            }
            for one in report.comparisons
        ],
        "repositories": [_repository(row, every_day=every_day) for row in report.repositories],
        "reconstruction": {
            "is_lower_bound": True,
            **_reconstruction(report.reconstruction),
            **(
                {
                    "repositories": [
                        {
                            "account": row.account,
                            "region": row.region,
                            "repository": row.repository,
                            "created_at": iso(row.created_at),
                            **_reconstruction(row.curve),
                        }
                        for row in report.reconstructed
                    ]
                }
                if every_day
                else {}
            ),
        },
        "forecast": _forecast(report.forecast),
    }


def _total_days(report: TrendReport) -> list[_Object]:
    curve, flow = report.total, report.flow
    found = []
    for n in range(curve.days):
        entry = _day(curve, n)
        if curve.known[n]:
            entry["stale_repositories"] = int(report.stale_repositories[n])
        moves = bool(flow.known[n])
        for name, repository, registry in (
            ("new_bytes", flow.new_bytes_repository, flow.new_bytes_registry),
            ("freed_bytes", flow.freed_bytes_repository, flow.freed_bytes_registry),
            ("other_bytes", flow.other_bytes_repository, flow.other_bytes_registry),
        ):
            entry[name] = {"repository": int(repository[n]), "registry": int(registry[n])} if moves else None
        found.append(entry)
    return found


def _day(curve: Curve, n: int) -> _Object:
    known = bool(curve.known[n])
    sizes = {"repository": int(curve.repository_bytes[n]), "registry": int(curve.registry_bytes[n])}
    return {
        "day": from_day(curve.first_day + n).isoformat(),
        "artifacts": int(curve.artifacts[n]) if known else None,
        "physical_bytes": sizes if known else None,
    }


def _change(change: Change | None) -> _Object | None:
    if change is None:
        return None
    return {
        "first": change.first.isoformat(),
        "last": change.last.isoformat(),
        "days_known": change.days_known,
        "days": change.days,
        "physical_bytes": {"repository": change.bytes.repository, "registry": change.bytes.registry},
        "artifacts": change.artifacts,
    }


def _repository(row: RepositoryTrend, *, every_day: bool) -> _Object:
    return {
        "account": row.account,
        "region": row.region,
        "repository": row.repository,
        "created_at": iso(row.created_at),
        "movement": row.movement,
        "change": _change(row.change),
        "cost_change": None if row.cost_change is None else money_object(row.cost_change, "repository"),
        "new_bytes": row.new_bytes,
        "freed_bytes": row.freed_bytes,
        **({"days": [_day(row.curve, n) for n in range(row.curve.days)]} if every_day else {}),
    }


def _reconstruction(curve: Reconstruction) -> _Object:
    rows = zip(
        curve.at,
        curve.artifacts.tolist(),
        curve.bytes_repository.tolist(),
        curve.bytes_registry.tolist(),
        strict=True,
    )
    return {
        "points": [
            {
                "at": iso(at),
                "artifacts": artifacts,
                "physical_bytes": {"repository": repository, "registry": registry},
            }
            for at, artifacts, repository, registry in rows
        ],
        "undated_bytes": {
            "repository": curve.undated_bytes.repository,
            "registry": curve.undated_bytes.registry,
        },
        "undated_artifacts": curve.undated_artifacts,
    }


def _forecast(forecast: Forecast | NoForecast) -> _Object:
    if isinstance(forecast, NoForecast):
        return {"unknown": forecast.reason}
    return {
        "at": iso(forecast.at),
        "months": forecast.months,
        "level": forecast.level,
        "replays": forecast.replays,
        "seed": forecast.seed,
        "measured_from": iso(forecast.measured_from),
        "measured_to": iso(forecast.measured_to),
        "pushes": forecast.pushes,
        "basis": forecast.basis,
        "method": list(forecast.method),
        "limits": list(forecast.limits),
        "scenarios": [
            {
                "name": one.name,
                "title": one.title,
                "repositories_with_policy": one.policies,
                "points": [_point(point) for point in one.points],
            }
            for one in forecast.scenarios
        ],
        "repositories": [_repository_forecast(row, forecast) for row in forecast.repositories],
    }


def _point(point: ForecastPoint) -> _Object:
    return {
        "at": iso(point.at),
        "days": point.days,
        "artifacts": _span(point.artifacts),
        "physical_bytes": {
            "repository": _span(point.bytes_repository),
            "registry": _span(point.bytes_registry),
        },
        "cost": {
            "repository": {
                "low": money_object(point.cost_low.repository, "repository"),
                "middle": money_object(point.cost.repository, "repository"),
                "high": money_object(point.cost_high.repository, "repository"),
            },
            "registry": {
                "low": money_object(point.cost_low.registry, "registry"),
                "middle": money_object(point.cost.registry, "registry"),
                "high": money_object(point.cost_high.registry, "registry"),
            },
        },
    }


def _repository_forecast(row: RepositoryForecast, forecast: Forecast) -> _Object:
    return {
        "account": row.account,
        "region": row.region,
        "repository": row.repository,
        "created_at": iso(row.created_at),
        "method": row.method,
        "reason": row.reason,
        "pushes_per_week": row.pushes_per_week,
        "weeks": row.weeks,
        "physical_bytes": row.now_bytes,
        "ends": {
            one.title if one.name == "candidate" else one.name: None if end is None else _span(end)
            for one, end in zip(forecast.scenarios, row.ends, strict=True)
        },
    }


def _span(values: Span) -> _Object:
    return {"low": values.low, "middle": values.middle, "high": values.high}


def _unknown(day: UnknownDay) -> _Object:
    return {"day": day.day.isoformat(), "reason": day.reason}
