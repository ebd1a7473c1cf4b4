"""report.json: everything but the list of images, for programs.

Bytes are integers, moments ISO 8601 in UTC, money is
``{"amount": "12.34", "currency": "USD", "period": "month", "scope": "repository" | "registry"}``
with ``"amount": null`` when unknown and ``"leaves_out": [reasons]`` when something is missing from
it. Amounts have at most six decimals and add up in those: at repository scope the rows make the
total, at registry scope the rows and ``shared``. Keys come in a fixed order and every entry of a
list is one line, so that two reports can be compared with ``diff``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from analyzer.model.records import Gap
from analyzer.model.results import Counts, PriceRow, RegistryRow, Report, RepositoryRow, ScopedBytes
from analyzer.model.units import GB, Money, Scope, iso
from reports.rounding import EXACT_DECIMALS, Costs, amount_text, rounded, rounded_costs, shared_bytes
from reports.text import json_escaped

_Object = dict[str, Any]


def render_json(report: Report) -> str:
    """The whole of report.json, with a line feed at its end; equal reports give equal text."""
    costs = rounded_costs(report, EXACT_DECIMALS)
    document: _Object = {
        "at": iso(report.at),
        "scope": report.scope,
        "stale_days": report.stale_days,
        "snapshot": _snapshot(report),
        "totals": _totals(report),
        "repositories": [_repository(report, costs, n) for n in range(len(report.repositories))],
        "shared": _shared(report, costs),
        "registries": [_registry(report, costs, n) for n in range(len(report.registries))],
        "ages": [{"label": age.label, "physical_bytes": age.physical_bytes} for age in report.ages],
        "prices": {"gb_bytes": GB, "rows": [_price(row) for row in report.prices]},
        "gaps": [_gap(gap) for gap in report.gaps],
        "accepted_gaps": [{**_gap(gap), "accepted_because": reason} for gap, reason in report.accepted_gaps],
    }
    return json_escaped(_laid_out(document, "") + "\n")


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


def _money(money: Money, amount: Decimal | None, scope: Scope) -> _Object:
    shown: _Object = {
        "amount": None if amount is None else amount_text(amount),
        "currency": money.currency,
        "period": money.period,
        "scope": scope,
    }
    if money.leaves_out:
        shown["leaves_out"] = list(money.leaves_out)
    return shown


def _whole(money: Money, scope: Scope) -> _Object:
    return _money(money, rounded(money, EXACT_DECIMALS), scope)


def _low_scope(low: Money, high: Money) -> Scope:
    """The scope that the low end stands at: that of the high end where sharing is known to be off."""
    return "repository" if low.amount == high.amount else "registry"


def _bytes(both: ScopedBytes) -> _Object:
    return {"repository": both.repository, "registry": both.registry}


def _counts(counts: Counts) -> _Object:
    return asdict(counts)


def _snapshot(report: Report) -> _Object:
    return {
        "run": report.run,
        "taken_from": iso(report.taken_from),
        "taken_to": iso(report.taken_to),
        "registries": [
            {
                "partition": row.partition,
                "account": row.account,
                "region": row.region,
                "snapshot": row.snapshot,
                "taken_at": iso(row.taken_at),
                "status": row.status,
            }
            for row in report.registries
        ],
    }


def _totals(report: Report) -> _Object:
    totals = report.totals
    return {
        "repositories": totals.repositories,
        "registries": totals.registries,
        **_counts(totals.counts),
        "logical_bytes": totals.logical_bytes,
        "physical_bytes": _bytes(totals.physical_bytes),
        "shared_bytes": totals.shared_bytes,
        "reported_size_bytes": totals.reported_size_bytes,
        "untagged_freed_bytes": _bytes(totals.untagged_freed_bytes),
        "orphaned_freed_bytes": _bytes(totals.orphaned_freed_bytes),
        "stale_freed_bytes": _bytes(totals.stale_freed_bytes),
        "cost": {
            "repository": _whole(totals.cost.repository, "repository"),
            "registry": _whole(totals.cost.registry, "registry"),
            "low": _whole(totals.cost_low, _low_scope(totals.cost_low, totals.cost_high)),
            "high": _whole(totals.cost_high, "repository"),
        },
        "orphaned_cost": {
            "repository": _whole(totals.orphaned_cost.repository, "repository"),
            "registry": _whole(totals.orphaned_cost.registry, "registry"),
        },
        "stale_cost": {
            "repository": _whole(totals.stale_cost.repository, "repository"),
            "registry": _whole(totals.stale_cost.registry, "registry"),
        },
    }


def _repository(report: Report, costs: Costs, n: int) -> _Object:
    row: RepositoryRow = report.repositories[n]
    return {
        "account": row.account,
        "region": row.region,
        "repository": row.repository,
        "created_at": iso(row.created_at),
        "status": row.status,
        "complete_at": None if row.complete_at is None else iso(row.complete_at),
        **_counts(row.counts),
        "logical_bytes": row.logical_bytes,
        "physical_bytes": _bytes(row.physical_bytes),
        "unique_bytes": row.unique_bytes,
        "shared_bytes": row.shared_bytes,
        "untagged_freed_bytes": row.untagged_freed_bytes,
        "orphaned_freed_bytes": row.orphaned_freed_bytes,
        "stale_freed_bytes": row.stale_freed_bytes,
        "cost": {
            "repository": _money(row.cost.repository, costs.repositories_repository[n], "repository"),
            "registry": _money(row.cost.registry, costs.repositories_registry[n], "registry"),
        },
        "orphaned_cost": _money(row.orphaned_cost, costs.repositories_orphaned[n], "repository"),
        "has_lifecycle_policy": row.has_lifecycle_policy,
        "pull_through_cache": row.pull_through_cache,
    }


def _shared(report: Report, costs: Costs) -> _Object:
    return {
        "physical_bytes": {"repository": 0, "registry": shared_bytes(report)},
        "cost": {"registry": _money(report.shared_cost, costs.shared, "registry")},
    }


def _registry(report: Report, costs: Costs, n: int) -> _Object:
    row: RegistryRow = report.registries[n]
    return {
        "partition": row.partition,
        "account": row.account,
        "region": row.region,
        "snapshot": row.snapshot,
        "taken_at": iso(row.taken_at),
        "status": row.status,
        "blob_mounting": row.blob_mounting or None,
        "blob_mounting_ever": row.blob_mounting_ever,
        "repositories": row.repositories,
        **_counts(row.counts),
        "logical_bytes": row.logical_bytes,
        "physical_bytes": _bytes(row.physical_bytes),
        "shared_bytes": row.shared_bytes,
        "cost": {
            "repository": _money(row.cost.repository, costs.registries_repository[n], "repository"),
            "registry": _money(row.cost.registry, costs.registries_registry[n], "registry"),
            "low": _money(row.cost_low, costs.registries_low[n], _low_scope(row.cost_low, row.cost_high)),
            "high": _money(row.cost_high, costs.registries_high[n], "repository"),
        },
    }


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


def _gap(gap: Gap) -> _Object:
    return {
        "account": gap.account,
        "region": gap.region,
        "repository": gap.repository,
        "call": gap.call,
        "reason": gap.reason,
        "detail": gap.detail,
        "count": gap.count,
    }
