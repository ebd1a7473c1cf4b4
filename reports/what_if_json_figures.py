"""The figures of ``what_if_json``: counts, bytes and money of an effect as JSON objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final, Literal

from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.simulation import (
    Archiving,
    Candidate,
    Effect,
    Replica,
    RuleEffect,
    Simulation,
)
from analyzer.model.units import Money, Scope
from reports.facts import bytes_at
from reports.json_parts import amount_object, money_object
from reports.missing import Missing
from reports.rounding import EXACT_DECIMALS, rounded
from reports.what_if_figures import (
    Split,
    known_of,
    less,
    low_scope_of_all,
    main_scope,
)

JsonObject = dict[str, Any]
#: ``logical`` is the naive figure: every image counted whole.
MoneyScope = Scope | Literal["mixed", "logical"]
#: Amounts by the names of ``MONEY_COLUMNS``, rounded.
Amounts = Mapping[str, Decimal | None]

#: Column of money, and where it is in an effect.
MONEY_COLUMNS: Final[dict[str, Callable[[Effect], Money]]] = {
    "cost_repository": lambda effect: effect.cost.repository,
    "cost_registry": lambda effect: effect.cost.registry,
    "saving_repository": lambda effect: effect.saving.repository,
    "saving_registry": lambda effect: effect.saving.registry,
    "low": lambda effect: effect.saving_low,
    "high": lambda effect: effect.saving_high,
    "expiry_repository": lambda effect: effect.expiry_saving.repository,
    "expiry_registry": lambda effect: effect.expiry_saving.registry,
    "naive": lambda effect: effect.naive_saving,
}


#: What is never above another one in a row.
MONEY_BOUNDS: Final = {
    "cost_registry": "cost_repository",
    "saving_registry": "saving_repository",
    "low": "high",
    "expiry_registry": "expiry_repository",
}


def replica_object(replica: Replica) -> JsonObject:
    """A replica of a repository, and what its own policy does."""
    return {
        "registryId": replica.account,
        "region": replica.region,
        "hasLifecyclePolicy": replica.has_policy,
        "expiringImageTotalCount": replica.expired,
        "transitioningImageTotalCount": replica.transitioned,
    }


def summary_object(effect: Effect) -> JsonObject:
    """The ``summary`` of ECR's preview."""
    summary: JsonObject = {"expiringImageTotalCount": effect.expired}
    if effect.transitioned:
        # ECR leaves it out where nothing transitions.
        summary["transitioningImageTotalCounts"] = [
            {"targetStorageClass": "ARCHIVE", "imageTotalCount": effect.transitioned}
        ]
    return summary


def counts_object(simulation: Simulation, effect: Effect) -> JsonObject:
    """How many artifacts, null where not all were listed and none is known, or nobody said which."""
    counted = known_of(effect).counted
    return {
        "artifacts": _unless_unknown(effect.artifacts, counted),
        "leaving": effect.leaving,
        "archived": effect.archiving,
        "kept": _unless_unknown(effect.kept, counted),
        "followers": effect.expired_followers + effect.transitioned_followers,
        "blocked": effect.blocked,
        "deferred": effect.deferred,
        "nearLimit": effect.near_limit,
        "inUse": effect.in_use if simulation.in_use_given else None,
        "inUseRunning": effect.in_use_running if simulation.usage is not None else None,
        "inUseConfigured": effect.in_use_configured if simulation.usage is not None else None,
        "inUsePrevious": effect.in_use_previous if simulation.usage is not None else None,
        "protected": effect.protected if simulation.protected_given else None,
        "leavingOfUnknownSize": effect.unknown_size,
    }


def bytes_object(simulation: Simulation, effect: Effect) -> JsonObject:
    """The bytes at the main scope, and at both."""
    scope, known = main_scope(simulation), known_of(effect)
    parts: dict[str, tuple[ScopedBytes, Missing]] = {
        "physical": (effect.physical_bytes, known.stored),
        "freed": (effect.freed_bytes, known.freed),
        "archived": (effect.archived_bytes, known.archived),
    }

    def at(scope: Scope) -> JsonObject:
        return {
            name: _unless_unknown(bytes_at(both, scope), missing) for name, (both, missing) in parts.items()
        }

    shown = {
        "scope": scope,
        "logical": _unless_unknown(effect.logical_bytes, known.stored),
        **at(scope),
        "expiredLogical": _unless_unknown(effect.expired_logical_bytes, known.freed),
        "repository": at("repository"),
        "registry": at("registry"),
    }
    reasons = sorted({*known.stored.reasons, *known.freed.reasons, *known.archived.reasons})
    return {**shown, **({"leaves_out": reasons} if reasons else {})}


def _unless_unknown(number: int, missing: Missing) -> int | None:
    return None if missing.nothing_known else number


def cost_object(simulation: Simulation, effect: Effect, amounts: Amounts, low: MoneyScope) -> JsonObject:
    """The bill before and what is saved of it; ``amounts`` are rounded, ``low`` is the low end's scope."""

    def both(money: ScopedMoney, name: str) -> JsonObject:
        return {
            "repository": amount_object(money.repository, amounts[f"{name}_repository"], "repository"),
            "registry": amount_object(money.registry, amounts[f"{name}_registry"], "registry"),
        }

    return {
        "before": both(effect.cost, "cost"),
        "saving": {
            **both(effect.saving, "saving"),
            "low": amount_object(effect.saving_low, amounts["low"], low),
            "high": amount_object(effect.saving_high, amounts["high"], main_scope(simulation)),
        },
        "expirySaving": both(effect.expiry_saving, "expiry"),
        "naiveSaving": amount_object(effect.naive_saving, amounts["naive"], "logical"),
    }


def against_object(
    simulation: Simulation,
    live: Effect,
    effect: Effect,
    low: MoneyScope,
    *,
    priced: bool,
) -> JsonObject:
    """What the policies in force would do, and how much more the candidate does."""
    known, known_live = known_of(effect), known_of(live)

    def more(one: ScopedBytes, other: ScopedBytes, unknown: Sequence[Missing]) -> JsonObject | None:
        if any(missing.nothing_known for missing in unknown):
            return None
        return {
            "repository": one.repository - other.repository,
            "registry": one.registry - other.registry,
        }

    saving = {
        "repository": money_object(less(effect.saving.repository, live.saving.repository), "repository"),
        "registry": money_object(less(effect.saving.registry, live.saving.registry), "registry"),
        "low": money_object(less(effect.saving_low, live.saving_low), low),
        "high": money_object(less(effect.saving_high, live.saving_high), main_scope(simulation)),
    }
    amounts = {name: rounded(pick(live), EXACT_DECIMALS) for name, pick in MONEY_COLUMNS.items()}
    return {
        "policy": "live",
        "summary": summary_object(live),
        "counts": counts_object(simulation, live),
        "bytes": bytes_object(simulation, live),
        "cost": cost_object(simulation, live, amounts, low) if priced else None,
        "change": {
            "leaving": effect.leaving - live.leaving,
            "archived": effect.archiving - live.archiving,
            "inUse": effect.in_use - live.in_use if simulation.in_use_given else None,
            "freedBytes": more(effect.freed_bytes, live.freed_bytes, (known.freed, known_live.freed)),
            "archivedBytes": more(
                effect.archived_bytes, live.archived_bytes, (known.archived, known_live.archived)
            ),
            "saving": saving if priced else None,
        },
    }


def totals_object(
    simulation: Simulation,
    candidate: Candidate,
    parts: Mapping[str, Split],
    *,
    priced: bool,
) -> JsonObject:
    """All repositories together."""
    effect, low = candidate.totals, low_scope_of_all(simulation, candidate)
    amounts = {name: part.total for name, part in parts.items()}
    totals: JsonObject = {
        "repositories": len(candidate.repositories),
        "summary": summary_object(effect),
        "counts": counts_object(simulation, effect),
        "bytes": bytes_object(simulation, effect),
        "cost": cost_object(simulation, effect, amounts, low) if priced else None,
    }
    if candidate.live_totals is not None:
        live = candidate.live_totals
        against = against_object(simulation, live, effect, low, priced=priced)
        # What their policies do is in no figure of "against".
        unknown = sum(row.live is None for row in candidate.repositories)
        totals["against"] = {**against, "repositoriesOfUnknownPolicy": unknown}
    return totals


def shared_object(candidate: Candidate, parts: Mapping[str, Split], *, priced: bool) -> JsonObject:
    """What several repositories hold together: completes their figures at registry scope."""
    rows, totals = [row.effect for row in candidate.repositories], candidate.totals

    def rest(pick: Callable[[Effect], ScopedBytes]) -> JsonObject:
        return {"registry": pick(totals).registry - sum(pick(row).registry for row in rows)}

    return {
        "bytes": {
            "physical": rest(lambda effect: effect.physical_bytes),
            "freed": rest(lambda effect: effect.freed_bytes),
            "archived": rest(lambda effect: effect.archived_bytes),
        },
        "cost": {
            name: {"registry": amount_object(parts[of].shared_exact, parts[of].shared, "registry")}
            for name, of in (
                ("before", "cost_registry"),
                ("saving", "saving_registry"),
                ("expirySaving", "expiry_registry"),
            )
        }
        if priced
        else None,
    }


def rule_object(rule: RuleEffect) -> JsonObject:
    """What one rule contributes."""

    def both(money: ScopedMoney) -> JsonObject:
        return {
            "repository": money_object(money.repository, "repository"),
            "registry": money_object(money.registry, "registry"),
        }

    return {
        "rulePriority": rule.priority,
        "description": rule.description,
        "expiringImageTotalCount": rule.expired,
        "transitioningImageTotalCount": rule.transitioned,
        "marginalFreed": asdict(rule.marginal_freed_bytes),
        "aloneFreed": asdict(rule.alone_freed_bytes),
        "marginalSaving": both(rule.marginal_saving),
        "aloneSaving": both(rule.alone_saving),
    }


def archiving_object(one: Archiving) -> JsonObject:
    """Whether archiving pays in a region."""
    return {
        "region": one.region,
        "archivedBytes": one.archived_bytes,
        "saves": one.saves,
        "saving": money_object(one.saving, "repository"),
        "minimumDays": one.minimum_days,
        "minimumCost": money_object(one.minimum_cost, "repository"),
        "retrievalCost": money_object(one.retrieval_cost, "repository"),
    }
