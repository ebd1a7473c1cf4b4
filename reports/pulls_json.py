"""Pulls across regions and accounts for programs; null is what is not known or does not apply."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any, Final

from analyzer.model.lint import Severity
from analyzer.model.pull_costs import Advice, PullCost
from analyzer.model.pull_report import PullReport, RecordedPulls, TransferGroup
from analyzer.model.transfer import EXPLANATIONS, MoneyRange, TransferFinding
from analyzer.model.units import Money, from_day, iso
from reports.json_parts import amount_object, gap_objects
from reports.rounding import amount_text, rounded
from reports.text import json_escaped
from reports.usage import coverage_object

#: Of a single pull: a megabyte is a few hundred-thousandths of a dollar.
PULL_DECIMALS: Final = 9

_Object = dict[str, Any]


def pulls_json(report: PullReport) -> str:
    """The whole answer of ``pulls``, with a line feed at the end; equal reports give equal text."""
    document = {
        "at": iso(report.at),
        **pulls_object(report),
        **gap_objects(report.gaps, report.accepted_gaps),
    }
    return json_escaped(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def pulls_object(report: PullReport) -> _Object:
    """What report.json says of pulls."""
    found, summary = report.found, report.summary
    by_severity = Counter(finding.severity for finding in found.findings)
    return {
        "references": {
            "looked_at": found.references,
            "local": found.local,
            "not_judged": found.not_judged,
        },
        "counts": {str(level): by_severity[level] for level in Severity},
        "total": _group(summary.total, ()),
        "findings": [_finding(finding) for finding in found.findings],
        "routes": [
            _group(group, ("registry_account", "registry_region", "upstream", "region"))
            for group in summary.routes
        ],
        "repositories": [
            _group(group, ("registry_account", "registry_region", "upstream", "repository"))
            for group in summary.repositories
        ],
        "pullers": [_group(group, ("account", "region", "source", "workload")) for group in summary.pullers],
        "codes": [
            {
                "code": str(code),
                "severity": str(told.severity),
                "title": told.title,
                "meaning": told.meaning,
                "validate": told.validate,
                "fix": told.fix,
                "source": told.source,
            }
            for code, told in EXPLANATIONS.items()
        ],
        "coverage": coverage_object(report.coverage),
        "recorded": None if report.recorded is None else recorded_object(report.recorded),
    }


def usd_text(amount: Decimal | None) -> str:
    """An amount of single pulls, "" where it is not known."""
    return amount_text(rounded(Money(amount), PULL_DECIMALS))


def _finding(finding: TransferFinding) -> _Object:
    cold = finding.cold_pull
    return {
        "code": str(finding.code),
        "severity": str(finding.severity),
        "account": finding.account,
        "region": finding.region,
        "source": finding.source,
        "reference": finding.reference,
        "workloads": [{"workload": user.workload, "kind": user.kind} for user in finding.users],
        "registry_account": finding.registry_account or None,
        "registry_region": finding.registry_region or None,
        "upstream": finding.upstream or None,
        "repository": finding.repository,
        "cross_account": finding.is_cross_account,
        "crosses_regions": finding.crosses_regions,
        "cold_pull": {
            "low_bytes": cold.low_bytes,
            "high_bytes": cold.high_bytes,
            "foreign_bytes": None if cold.unknown else cold.foreign_bytes,
            "unknown_because": cold.unknown or None,
        },
        "cost": _range(finding.usd_per_pull),
        "payer": finding.payer or None,
        "better_reference": finding.better_reference or None,
        "caveats": list(finding.caveats),
    }


def recorded_object(recorded: RecordedPulls) -> _Object:
    """What CloudTrail recorded, and what to do about it."""
    costs, advice = recorded.costs, recorded.advice
    registry = ("account", "region")
    return {
        "first_day": from_day(costs.first_day).isoformat(),
        "last_day": from_day(costs.last_day).isoformat(),
        "total": _cost(costs.total, ()),
        "routes": [_cost(row, (*registry, "puller_region")) for row in costs.routes],
        "repositories": [_cost(row, (*registry, "repository")) for row in costs.repositories],
        "pullers": [_cost(row, ("principal_account", "principal")) for row in costs.pullers],
        "days": [{"day": from_day(row.day or 0).isoformat(), **_cost(row, ())} for row in costs.days],
        "coverage": [
            {
                "account": row.account,
                "region": row.region,
                "complete_days": row.complete_days,
                "partial_days": row.partial_days,
                "uncovered_days": row.uncovered_days,
                "basis": str(row.basis),
                "details": list(row.details),
            }
            for row in costs.coverage
        ],
        "left_out": [
            {
                "day": from_day(one.day).isoformat(),
                "account": one.account or None,
                "region": one.region,
                "reason": str(one.reason),
                "times": one.times,
            }
            for one in costs.left_out
        ],
        "advice": [_advice(one) for one in advice.advice],
        "replication": [
            {
                "account": one.account,
                "region": one.region,
                "to_region": one.to_region,
                "repository": one.repository,
                "pulled_bytes": one.pulled_bytes,
                "new_bytes": one.new_bytes,
                "stored_bytes": one.stored_bytes,
                "pulling": _pull_money(one.pulling),
                "replicating": _range(one.replicating),
                "break_even_bytes": one.break_even_bytes,
                "break_even_pulls": one.break_even_pulls,
                "pays": one.pays,
            }
            for one in advice.options
        ],
        "method": [*costs.method, *advice.method],
    }


def _cost(row: PullCost, keys: tuple[str, ...]) -> _Object:
    nothing = bool(row.unsized_pulls) and row.unsized_pulls == row.layer_pulls
    return {
        # "" is what is not known.
        **{key: getattr(row, key) or None for key in keys},
        "layer_pulls": row.layer_pulls,
        "checks": row.checks,
        "bytes": None if nothing else row.size_bytes,
        "pulls_of_unknown_size": row.unsized_pulls,
        "transfer": _range(row.transfer),
        "nat": None if row.nat is None else _range(row.nat),
        "monthly_bytes": None if nothing else row.monthly_bytes,
        "monthly_transfer": _range(row.monthly_transfer),
        "monthly_nat": None if row.monthly_nat is None else _range(row.monthly_nat),
    }


def _advice(one: Advice) -> _Object:
    return {
        "code": str(one.kind),
        "account": one.account or None,
        "region": one.region,
        "to_region": one.to_region,
        "repositories": list(one.repositories),
        "prefixes": list(one.prefixes),
        "saving": _range(one.saving),
        "cost_now": _range(one.cost_now),
        "cost_then": _range(one.cost_then),
        "one_time": _range(one.one_time),
        "pulled_bytes": one.pulled_bytes,
        "new_bytes": one.new_bytes,
        "stored_bytes": one.stored_bytes,
        "break_even_bytes": one.break_even_bytes,
        "break_even_pulls": one.break_even_pulls,
        "instead_of": [str(kind) for kind in one.instead_of],
        "replication_json": one.replication_json or None,
        "terraform": one.terraform or None,
        "caveats": list(one.caveats),
    }


def _group(group: TransferGroup, keys: tuple[str, ...]) -> _Object:
    nothing = bool(group.crossing) and group.unsized == group.crossing
    return {
        **{key: getattr(group, key) or None for key in keys},
        "codes": [str(code) for code in group.codes],
        "accounts": list(group.accounts),
        "payers": list(group.payers),
        "findings": group.findings,
        "workloads": group.workloads,
        "crossing": group.crossing,
        "of_unknown_size": group.unsized,
        "low_bytes": None if nothing else group.low_bytes,
        "high_bytes": None if nothing else group.high_bytes,
        "replica_bytes": None if nothing else group.replica_bytes,
        "cost": _range(group.usd),
    }


def _range(usd: MoneyRange) -> _Object:
    return {"low": _pull_money(usd.low), "high": _pull_money(usd.high)}


def _pull_money(money: Money) -> _Object:
    return amount_object(money, rounded(money, PULL_DECIMALS))
