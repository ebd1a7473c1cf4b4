"""Recommended policies as JSON: by themselves, and as the key ``recommendations`` of report.json.

Money has both ends of ``saving``: the lower one cannot overstate what following the advice saves beyond
the policies in force. null is unknown, or where there is no policy to put.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from analyzer.model.recommendation import (
    FleetDefault,
    Recommendation,
    RecommendReport,
    RuleBasis,
    TagFamily,
)
from analyzer.model.results import ScopedMoney
from analyzer.model.simulation import Effect
from analyzer.model.units import iso
from reports.json_parts import gap_objects, money_object
from reports.recommend_words import check_commands
from reports.text import json_escaped
from reports.usage import coverage_object, use_basis_object

_Object = dict[str, Any]


def recommend_json(report: RecommendReport) -> str:
    """The whole answer, with a line feed at its end."""
    document = {
        "at": iso(report.at),
        "scope": report.scope,
        **recommend_object(report),
        "coverage": coverage_object(report.coverage),
        **gap_objects(report.gaps, report.accepted_gaps),
    }
    return json_escaped(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def recommend_object(report: RecommendReport, *, in_full: bool = True) -> _Object:
    """What is advised; without ``in_full`` the texts of policies are left away, which are long."""
    return {
        "options": asdict(report.options),
        "in_use_known": report.in_use_known,
        "in_use_by": use_basis_object(report.use_basis),
        "protect_patterns": report.protect_patterns,
        "totals": {
            "effect": _effect(report.totals),
            "current": _effect(report.current_totals),
            "saving": {"low": money_object(report.saving_low), "high": money_object(report.saving_high)},
        },
        "repositories": [_repository(row, in_full=in_full) for row in report.repositories],
        "fleet": None if report.fleet is None else _fleet(report.fleet),
        "warnings": list(report.warnings),
    }


def _repository(row: Recommendation, *, in_full: bool) -> _Object:
    shown: _Object = {
        "account": row.account,
        "region": row.region,
        "repository": row.repository,
        "status": row.status.value,
        "reason": row.reason or None,
        "policy": json.loads(row.policy_text) if row.policy_text is not None and in_full else None,
        "rules": [_rule(rule) for rule in row.rules],
        "families": [_family(family) for family in row.families],
        "has_policy": row.has_policy,
        "pull_through_cache": row.is_cache,
        "effect": _effect(row.effect),
        "current": _effect(row.current),
        "current_takes_needed": row.current_takes,
        "saving": {"low": money_object(row.saving_low), "high": money_object(row.saving_high)},
        "needed": asdict(row.needed),
        "risk": {
            "once_pulled": row.risk.once_pulled,
            "never_pulled": row.risk.never_pulled,
            "last_pulled": None if row.risk.last_pulled is None else row.risk.last_pulled.isoformat(),
            "examples": list(row.risk.examples),
        },
        "safe_until": None if row.safe_until is None else iso(row.safe_until),
        "back_test": None
        if row.back_test is None
        else {
            **asdict(row.back_test.counts),
            "nights": row.back_test.nights,
            "nights_unread": row.back_test.nights_unread,
        },
        "notes": list(row.notes),
        "check": list(check_commands(row)) if row.status.advises else [],
    }
    if not in_full:
        del shown["policy"], shown["check"]
    return shown


def _rule(rule: RuleBasis) -> _Object:
    return asdict(rule) | {"pushes_per_day": round(rule.pushes_per_day, 3)}


def _family(family: TagFamily) -> _Object:
    return asdict(family) | {"kind": family.kind.value, "examples": list(family.examples)}


def _effect(effect: Effect | None) -> _Object | None:
    if effect is None:
        return None
    return {
        "artifacts": effect.artifacts,
        "leaving": effect.leaving,
        "archived": effect.archiving,
        "leaving_of_unknown_size": effect.unknown_size,
        "physical_bytes": asdict(effect.physical_bytes),
        "freed_bytes": asdict(effect.freed_bytes),
        "cost": _both(effect.cost),
        "saving": _both(effect.saving),
    }


def _both(money: ScopedMoney) -> _Object:
    return {
        "repository": money_object(money.repository, "repository"),
        "registry": money_object(money.registry, "registry"),
    }


def _fleet(default: FleetDefault) -> _Object:
    return {
        "policy": None if default.policy_text is None else json.loads(default.policy_text),
        "reason": default.reason or None,
        "rules": [_rule(rule) for rule in default.rules],
        "effect": _effect(default.effect),
        "repositories": default.repositories,
        "lost_bytes": None if default.lost_bytes is None else asdict(default.lost_bytes),
        "lost": None if default.lost is None else _both(default.lost),
        "decided_by": [{"rule": priority, "repository": place} for priority, place in default.decided_by],
    }
