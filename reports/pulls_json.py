"""Pulls across regions and accounts for programs; null is what is not known or does not apply."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any, Final

from analyzer.model.lint import Severity
from analyzer.model.pull_report import PullReport, TransferGroup
from analyzer.model.records import Gap
from analyzer.model.transfer import EXPLANATIONS, MoneyRange, TransferFinding
from analyzer.model.units import Money, iso
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
        "gaps": [_gap(gap) for gap in report.gaps],
        "accepted_gaps": [{**_gap(gap), "accepted_because": reason} for gap, reason in report.accepted_gaps],
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
    return {"low": _money(usd.low), "high": _money(usd.high)}


def _money(money: Money) -> _Object:
    shown: _Object = {
        "amount": None if money.amount is None else usd_text(money.amount),
        "currency": money.currency,
        "period": money.period,
    }
    if money.leaves_out:
        shown["leaves_out"] = list(money.leaves_out)
    return shown


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
