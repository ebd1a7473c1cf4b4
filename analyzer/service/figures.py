"""The figures of a night that are kept with its slot, and shown as metrics by whatever server is asked."""

from __future__ import annotations

from collections import Counter
from typing import Any

from analyzer.model.lint import Severity
from analyzer.model.results import Report, ScopedBytes, ScopedMoney


def figures_of(report: Report) -> dict[str, Any]:
    """What ``report`` comes to, as plain JSON; what is not known is left out."""
    totals = report.totals
    counts = totals.counts
    artifacts = {
        "image": counts.images,
        "index": counts.indexes,
        "referrer": counts.referrers,
        "unknown": counts.unknown,
    }
    if not any(artifacts.values()) and totals.cost.repository.amount is None:
        # Nothing was ever listed.
        artifacts = {}
    found: dict[str, Any] = {
        "run": report.run,
        "taken_at": report.taken_to.timestamp(),
        "registries": totals.registries,
        "repositories": totals.repositories,
        "artifacts": artifacts,
        "stored_bytes": _scopes(totals.physical_bytes, totals.cost),
        "orphaned_bytes": _scopes(totals.orphaned_freed_bytes, totals.orphaned_cost),
        "stale_bytes": _scopes(totals.stale_freed_bytes, totals.stale_cost),
        "cost": _money(totals.cost),
        "orphaned_cost": _money(totals.orphaned_cost),
        "stale_cost": _money(totals.stale_cost),
        "currency": totals.cost.repository.currency,
        "gaps": sum(gap.count for gap in report.gaps),
        "accepted_gaps": sum(gap.count for gap, _ in report.accepted_gaps),
        "by_registry": [
            {
                "account": row.account,
                "region": row.region,
                "stored_bytes": _scopes(row.physical_bytes, row.cost),
                "cost": _money(row.cost),
            }
            for row in report.registries
        ],
    }
    if artifacts:
        found["orphaned_images"] = counts.orphaned_images
    gaps = Counter[str]()
    for gap in report.gaps:
        gaps[gap.call] += gap.count
    found["gaps_by_call"] = dict(sorted(gaps.items()))
    if report.findings is not None:
        by_severity = Counter(str(finding.severity) for finding in report.findings.open)
        found["findings"] = {str(severity): by_severity[str(severity)] for severity in Severity}
    return found


def _scopes(scoped: ScopedBytes, cost: ScopedMoney) -> dict[str, int]:
    """By scope; nothing where no bytes are known, and not even that there are none."""
    if not scoped.repository and cost.repository.amount is None:
        return {}
    return {"repository": scoped.repository, "registry": scoped.registry}


def _money(scoped: ScopedMoney) -> dict[str, str]:
    both = {"repository": scoped.repository, "registry": scoped.registry}
    return {scope: f"{money.amount:f}" for scope, money in both.items() if money.amount is not None}
