"""report.json: everything but the list of images, for programs.

Bytes and counts are integers, null where nothing is known of them. Moments are ISO 8601 in UTC.
Money is ``{"amount": "12.34", "currency": "USD", "period": "month", "scope": "repository"}``, with
``"amount": null`` when unknown and ``"leaves_out": [reasons]`` when something is missing from it;
its scope is repository or registry, or mixed for a total's low end where registries differ. Amounts
have at most six decimals and add up in those: at repository scope the rows make the total, at
registry scope the rows and ``shared``. Keys come in a fixed order and every entry of a list is one
line, so that two reports can be compared with ``diff``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from analyzer.model.frontier import FrontierCurve, FrontierPoint, PricedFrontier
from analyzer.model.records import Gap
from analyzer.model.results import (
    Counts,
    PriceRow,
    RegistryRow,
    Report,
    RepositoryRow,
    ScopedBytes,
    ScopedMoney,
)
from analyzer.model.units import GB, iso
from reports.facts import low_scope
from reports.findings_json import findings_object
from reports.frontier import missing_bytes, missing_count
from reports.groups import group_objects
from reports.json_parts import amount_object, gap_objects, money_object
from reports.missing import (
    Missing,
    bytes_of_all,
    bytes_of_registries,
    bytes_of_repository,
    counts_of_all,
    counts_of_registries,
    counts_of_repository,
    repositories_of_all,
    repositories_of_registry,
)
from reports.outcome import outcomes_object
from reports.pulls_json import pulls_object
from reports.recommend_json import recommend_object
from reports.rounding import EXACT_DECIMALS, Costs, amount_text, rounded_costs, shared_bytes
from reports.settings_json import registry_settings, repository_settings
from reports.text import json_escaped
from reports.trend_json import trend_object

_Object = dict[str, Any]
_EndScope = Literal["repository", "registry", "mixed"]


def render_json(report: Report) -> str:
    """The whole of report.json, with a line feed at its end; equal reports give equal text."""
    costs = rounded_costs(report, EXACT_DECIMALS)
    document: _Object = {
        "at": iso(report.at),
        "scope": report.scope,
        "stale_days": report.stale_days,
        **({} if report.redacted is None else {"redacted": {"left_out": list(report.redacted)}}),
        "snapshot": _snapshot(report),
        "totals": _totals(report),
        "repositories": [_repository(report, costs, n) for n in range(len(report.repositories))],
        "shared": _shared(report, costs),
        **({"groups": group_objects(report, amount_object)} if report.groups else {}),
        "registries": [
            _registry(report, costs, n, missing, uncounted)
            for n, (missing, uncounted) in enumerate(
                zip(bytes_of_registries(report), counts_of_registries(report), strict=True)
            )
        ],
        "ages": _ages(report),
        **({"frontier": _frontier(report.frontier)} if report.frontier else {}),
        **({} if report.findings is None else {"findings": findings_object(report.findings)}),
        **(
            {}
            if report.recommendations is None
            else {"recommendations": recommend_object(report.recommendations, in_full=False)}
        ),
        **({} if report.pulls is None else {"pulls": pulls_object(report.pulls)}),
        **({} if report.trend is None else {"trend": trend_object(report.trend)}),
        **({} if report.outcomes is None else {"outcomes": outcomes_object(report.outcomes)}),
        "prices": {"gb_bytes": GB, "rows": [_price(row) for row in report.prices]},
        **gap_objects(report.gaps, report.accepted_gaps),
    }
    return json_escaped(_laid_out(document, "") + "\n")


def render_frontier_json(
    sweeps: Sequence[PricedFrontier],
    at: datetime,
    *,
    gaps: Sequence[Gap] = (),
    accepted_gaps: Sequence[tuple[Gap, str]] = (),
) -> str:
    """The answer of ``demurrage frontier``: the frontier as in report.json; days count to ``at``."""
    document: _Object = {
        "at": iso(at),
        "frontier": _frontier(sweeps),
        **gap_objects(gaps, accepted_gaps),
    }
    return json_escaped(_laid_out(document, "") + "\n")


def _frontier(sweeps: Sequence[PricedFrontier]) -> _Object:
    """By what is kept, the curve of the fleet and those of the repositories."""
    return {
        sweep.by: [
            {"row": "fleet", "points": _points(sweep.fleet)},
            *(
                {
                    "row": "repository",
                    "account": row.account,
                    "region": row.region,
                    "repository": row.repository,
                    "points": _points(row.curve),
                }
                for row in sweep.repositories
            ),
        ]
        for sweep in sweeps
    }


def _points(curve: FrontierCurve) -> list[_Object]:
    return [_point(point) for point in curve.points]


def _point(point: FrontierPoint) -> _Object:
    missing = missing_bytes(point)
    return {
        "n": point.n,
        "kept": _unless_unknown(point.kept, missing_count(point)),
        "stored_bytes": _bytes(point.stored_bytes, missing),
        "archive_bytes": _bytes(point.archive_bytes, missing),
        "cost": _both(point.cost),
        "saving": _both(point.saving),
    }


def _both(money: ScopedMoney) -> _Object:
    return {
        "repository": money_object(money.repository, "repository"),
        "registry": money_object(money.registry, "registry"),
    }


def _laid_out(value: object, indent: str) -> str:
    """JSON with one line per key of the two outer levels and per entry of a list."""
    inner = indent + "  "
    if isinstance(value, list) and value:
        lines = [inner + _dumps(item) for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    if isinstance(value, Mapping) and value and len(indent) <= 2:
        lines = [f"{inner}{_dumps(key)}: {_laid_out(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return _dumps(value)


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _bytes(both: ScopedBytes, missing: Missing) -> _Object:
    return {
        "repository": _unless_unknown(both.repository, missing),
        "registry": _unless_unknown(both.registry, missing),
    }


def _counts(counts: Counts, missing: Missing) -> _Object:
    return {name: _unless_unknown(number, missing) for name, number in asdict(counts).items()}


def _unless_unknown(number: int, missing: Missing) -> int | None:
    return None if missing.nothing_known else number


def _snapshot(report: Report) -> _Object:
    return {
        "run": report.run,
        "taken_from": iso(report.taken_from),
        "taken_to": iso(report.taken_to),
        "registries": [_snapshot_of(row) for row in report.registries],
    }


def _snapshot_of(row: RegistryRow) -> _Object:
    """The registry, and the snapshot of it that the report is about."""
    return {
        "partition": row.partition,
        "account": row.account,
        "region": row.region,
        "snapshot": row.snapshot,
        "run": row.run,
        "taken_at": iso(row.taken_at),
        "status": row.status,
    }


def _totals(report: Report) -> _Object:
    totals, missing = report.totals, bytes_of_all(report)
    return {
        "repositories": _unless_unknown(totals.repositories, repositories_of_all(report)),
        "registries": totals.registries,
        **_counts(totals.counts, counts_of_all(report)),
        "logical_bytes": _unless_unknown(totals.logical_bytes, missing),
        "physical_bytes": _bytes(totals.physical_bytes, missing),
        "shared_bytes": _unless_unknown(totals.shared_bytes, missing),
        "reported_size_bytes": totals.reported_size_bytes,
        "untagged_freed_bytes": _bytes(totals.untagged_freed_bytes, missing),
        "orphaned_freed_bytes": _bytes(totals.orphaned_freed_bytes, missing),
        "stale_freed_bytes": _bytes(totals.stale_freed_bytes, missing),
        "cost": {
            "repository": money_object(totals.cost.repository, "repository"),
            "registry": money_object(totals.cost.registry, "registry"),
            "low": money_object(totals.cost_low, totals.cost_low_scope),
            "high": money_object(totals.cost_high, totals.cost_high_scope),
        },
        "orphaned_cost": {
            "repository": money_object(totals.orphaned_cost.repository, "repository"),
            "registry": money_object(totals.orphaned_cost.registry, "registry"),
        },
        "stale_cost": {
            "repository": money_object(totals.stale_cost.repository, "repository"),
            "registry": money_object(totals.stale_cost.registry, "registry"),
        },
    }


def _repository(report: Report, costs: Costs, n: int) -> _Object:
    row: RepositoryRow = report.repositories[n]
    missing = bytes_of_repository(row)
    return {
        "account": row.account,
        "region": row.region,
        "repository": row.repository,
        "created_at": iso(row.created_at),
        "status": row.status,
        "complete_at": None if row.complete_at is None else iso(row.complete_at),
        **_counts(row.counts, counts_of_repository(row)),
        "logical_bytes": _unless_unknown(row.logical_bytes, missing),
        "physical_bytes": _bytes(row.physical_bytes, missing),
        "unique_bytes": _unless_unknown(row.unique_bytes, missing),
        "shared_bytes": _unless_unknown(row.shared_bytes, missing),
        "untagged_freed_bytes": _unless_unknown(row.untagged_freed_bytes, missing),
        "orphaned_freed_bytes": _unless_unknown(row.orphaned_freed_bytes, missing),
        "stale_freed_bytes": _unless_unknown(row.stale_freed_bytes, missing),
        "cost": {
            "repository": amount_object(row.cost.repository, costs.repositories_repository[n], "repository"),
            "registry": amount_object(row.cost.registry, costs.repositories_registry[n], "registry"),
        },
        "orphaned_cost": amount_object(row.orphaned_cost, costs.repositories_orphaned[n], "repository"),
        "has_lifecycle_policy": row.has_lifecycle_policy,
        "pull_through_cache": row.pull_through_cache,
        "settings": repository_settings(row.settings, missing),
    }


def _shared(report: Report, costs: Costs) -> _Object:
    return {
        "physical_bytes": {"repository": 0, "registry": shared_bytes(report)},
        "cost": {"registry": amount_object(report.shared_cost, costs.shared, "registry")},
    }


def _registry(report: Report, costs: Costs, n: int, missing: Missing, uncounted: Missing) -> _Object:
    row: RegistryRow = report.registries[n]
    return {
        **_snapshot_of(row),
        "blob_mounting": row.blob_mounting or None,
        "blob_mounting_ever": row.blob_mounting_ever,
        "repositories": _unless_unknown(row.repositories, repositories_of_registry(row)),
        **_counts(row.counts, uncounted),
        "logical_bytes": _unless_unknown(row.logical_bytes, missing),
        "physical_bytes": _bytes(row.physical_bytes, missing),
        "shared_bytes": _unless_unknown(row.shared_bytes, missing),
        "cost": {
            "repository": amount_object(row.cost.repository, costs.registries_repository[n], "repository"),
            "registry": amount_object(row.cost.registry, costs.registries_registry[n], "registry"),
            "low": amount_object(row.cost_low, costs.registries_low[n], low_scope(report, row)),
            "high": amount_object(row.cost_high, costs.registries_high[n], report.totals.cost_high_scope),
        },
        "settings": registry_settings(row.settings),
        "account_name": row.account_name or None,
    }


def _ages(report: Report) -> list[_Object]:
    missing = bytes_of_all(report)
    return [
        {
            "age": age.label,
            "physical_bytes_repository_scope": _unless_unknown(age.physical_bytes, missing),
        }
        for age in report.ages
    ]


def _price(row: PriceRow) -> _Object:
    return {
        "region": row.region,
        "storage_class": row.storage_class,
        "from_gb": row.from_gb,
        "usd_per_gb_month": None if row.usd_per_gb_month is None else amount_text(row.usd_per_gb_month),
        "discount_factor": format(row.discount_factor.normalize(), "f"),
        "source": row.source,
        "as_of": row.as_of,
        "confidence": row.confidence,
    }
