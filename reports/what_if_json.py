"""A simulation for programs: ECR's ``GetLifecyclePolicyPreview`` for many repositories, and more.

Each of ``repositories`` is what ECR answers for one of them (API reference,
"GetLifecyclePolicyPreview"), with what it does not say beside it: bytes, money, what is kept by an
index, what follows its subject, what is in use. ``previewResults`` has what a rule acts on, oldest
first, with the keys of ECR's ``LifecyclePolicyPreviewResult`` and no others. ``imageTags`` is ``[]``
for an untagged image, so that a reader need not ask whether it is there; every other key that AWS
leaves out where it knows nothing (``imagePushedAt``, ``targetStorageClass`` of an expiry,
``transitioningImageTotalCounts``) is left out here too. Times are ISO 8601 in UTC.

``bytes`` are integers, those of ``physical``, ``freed`` and ``archived`` at the scope that ``scope``
names, with both scopes beside them; null where nothing is known of them. ``expiredLogical`` is the
naive figure: the sizes of the leaving images added up. Money is as in report.json, null where the
region is not known. Its amounts add up: at repository scope the repositories make the totals, at
registry scope the repositories and ``shared``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final, Literal

import numpy as np

from analyzer.model.frames import Int64
from analyzer.model.records import Gap
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.simulation import (
    Archiving,
    Candidate,
    Effect,
    Replica,
    RepositoryEffect,
    RuleEffect,
    Simulation,
)
from analyzer.model.units import Money, Scope, iso
from analyzer.model.verdicts import Outcome
from reports.facts import bytes_at
from reports.missing import Missing
from reports.rounding import EXACT_DECIMALS, amount_text, rounded
from reports.text import json_escaped
from reports.what_if_figures import (
    Split,
    known_of,
    less,
    low_scope_of_all,
    low_scopes,
    main_scope,
    no_region,
    split,
)
from reports.what_if_images import ACTIONS, Names, moments_of, storage_classes, tags_of

_Object = dict[str, Any]
#: ``logical`` is the naive figure: every image counted whole.
_MoneyScope = Scope | Literal["mixed", "logical"]
#: Artifacts whose digests are fetched, and whose repositories are written, at once.
_AT_ONCE: Final = 100_000

#: Column of money, and where it is in an effect.
_COLUMNS: Final[dict[str, Callable[[Effect], Money]]] = {
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
_PLAIN: Final = re.compile("[0-9A-Za-z:+._-]*")
_Amounts = Mapping[str, Decimal | None]


def render_what_if(simulation: Simulation, *, accepted_gaps: Sequence[tuple[Gap, str]] = ()) -> str:
    """The whole answer, with a line feed at its end; equal simulations give equal text."""
    return "".join(what_if_chunks(simulation, accepted_gaps=accepted_gaps))


def what_if_chunks(simulation: Simulation, *, accepted_gaps: Sequence[tuple[Gap, str]] = ()) -> Iterator[str]:
    """``render_what_if`` piece by piece, a few repositories at a time."""
    yield '{\n  "at": ' + _dumps(iso(simulation.at))
    yield _entry("scope", _dumps(simulation.scope), "  ")
    yield _entry("snapshot", _dumps(_snapshot(simulation)), "  ")
    notes = list(simulation.warnings)
    if len(simulation.candidates) == 1:
        candidate = simulation.candidates[0]
        yield _entry("policy", _dumps(candidate.name), "  ")
        yield from _candidate(simulation, candidate, "  ")
        notes += candidate.warnings
    else:
        yield ',\n  "candidates": ['
        for number, candidate in enumerate(simulation.candidates):
            yield f'{"," if number else ""}\n    {{\n      "policy": {_dumps(candidate.name)}'
            yield from _candidate(simulation, candidate, "      ")
            yield _entry("warnings", _list(map(_dumps, candidate.warnings), "      "), "      ")
            yield "\n    }"
        yield "\n  ]"
    yield _entry("missingInUse", _list(map(_dumps, simulation.missing_in_use), "  "), "  ")
    yield _entry("gaps", _list((_dumps(asdict(gap)) for gap in simulation.gaps), "  "), "  ")
    accepted = ({**asdict(gap), "accepted_because": reason} for gap, reason in accepted_gaps)
    yield _entry("accepted_gaps", _list(map(_dumps, accepted), "  "), "  ")
    yield _entry("warnings", _list(map(_dumps, notes), "  "), "  ")
    yield "\n}\n"


def _candidate(simulation: Simulation, candidate: Candidate, indent: str) -> Iterator[str]:
    parts = {name: split(candidate, pick, EXACT_DECIMALS) for name, pick in _COLUMNS.items()}
    priced = not no_region(candidate)
    low = low_scopes(simulation, candidate)
    yield f',\n{indent}"repositories": ['
    separator = f"\n{indent}  "
    for first, last in _batches(candidate):
        writer = _Images(simulation, candidate, candidate.repositories[first:last])
        for n in range(first, last):
            amounts = {name: part.rows[n] for name, part in parts.items()}
            row = candidate.repositories[n]
            members = _images(writer, row, indent + "    ") | _figures(
                simulation, row, amounts, low[n], indent + "    "
            )
            if candidate.live_totals is not None:
                against = _row_against(simulation, row, low[n])
                members["against"] = _dumps(against)
            yield separator + _object(members, indent + "  ")
            separator = f",\n{indent}  "
    yield f"\n{indent}]" if candidate.repositories else "]"
    yield _entry("shared", _dumps(_shared(candidate, parts, priced=priced)), indent)
    yield _entry("totals", _dumps(_totals(simulation, candidate, parts, priced=priced)), indent)
    yield _entry("rules", _list((_dumps(_rule(rule)) for rule in candidate.rules), indent), indent)
    yield _entry("archiving", _list((_dumps(_archiving(one)) for one in candidate.archiving), indent), indent)


def _batches(candidate: Candidate) -> Iterator[tuple[int, int]]:
    """Runs of repositories that name about so many artifacts together."""
    first = named = 0
    for n, row in enumerate(candidate.repositories):
        named += sum(map(len, _lists(row)))
        if named >= _AT_ONCE:
            yield first, n + 1
            first, named = n + 1, 0
    if first < len(candidate.repositories):
        yield first, len(candidate.repositories)


def _lists(row: RepositoryEffect) -> list[Int64]:
    """Everything that is named of a repository, but for whom it is named beside."""
    lists = (row.claimed, row.followers, row.blocked, row.in_use, row.protected)
    return [*lists, *(warning.positions for warning in row.warnings)]


class _Images:
    """Writes the images of some repositories, each one object on one line."""

    def __init__(
        self, simulation: Simulation, candidate: Candidate, rows: Sequence[RepositoryEffect]
    ) -> None:
        self._simulation = simulation
        self._verdicts = candidate.verdicts
        wanted = [positions for row in rows for positions in _lists(row)]
        by = [candidate.verdicts.by[part] for row in rows for part in (row.followers, row.blocked)]
        self._names = Names(simulation, np.concatenate([*wanted, *by]) if rows else np.zeros(0, np.int64))

    def digests(self, positions: Int64) -> list[str]:
        """The digests, as JSON."""
        names = self._names(positions)
        # As good as always: then nothing needs to be escaped.
        if _PLAIN.fullmatch("".join(names)):
            return [f'"{name}"' for name in names]
        return [_dumps(name) for name in names]

    def _common(self, positions: Int64) -> list[str]:
        """The members that every image has, without the brace that closes them."""
        tags = tags_of(self._simulation.facts, positions)
        texts = {tag: _dumps(tag) for tag in {tag for names in tags for tag in names}}
        pushed = moments_of(self._simulation.frames.artifacts.pushed_at_ms[positions])
        return [
            f'{{"imageTags": [{", ".join([texts[name] for name in names])}], "imageDigest": {digest}'
            + (f', "imagePushedAt": "{moment}"' if moment else "")
            for names, digest, moment in zip(tags, self.digests(positions), pushed, strict=True)
        ]

    def _acting(self, positions: Int64, *, with_rule: bool) -> list[str]:
        outcome = self._verdicts.outcome[positions].tolist()
        rules = self._verdicts.rule[positions].tolist()
        classes = storage_classes(self._simulation, positions)
        return [
            f'{common}, "action": {_ACTIONS[code]}'
            + (f', "appliedRulePriority": {rule or "null"}' if with_rule else "")
            + f', "storageClass": "{of_class}"'
            for common, code, rule, of_class in zip(
                self._common(positions), outcome, rules, classes, strict=True
            )
        ]

    def acted_on(self, positions: Int64) -> list[str]:
        """Images that leave or are archived, as in ``previewResults``; a follower's rule is null."""
        if not len(positions):
            return []
        return [f"{text}}}" for text in self._acting(positions, with_rule=True)]

    def followers(self, positions: Int64) -> list[str]:
        """Images that go with their subject, which is named."""
        if not len(positions):
            return []
        subjects = self.digests(self._verdicts.by[positions])
        acting = self._acting(positions, with_rule=False)
        return [
            f'{text}, "subjectManifestDigest": {subject}}}'
            for text, subject in zip(acting, subjects, strict=True)
        ]

    def blocked(self, positions: Int64) -> list[str]:
        """Images that an index keeps, which is named, and the rule that would act (null: none)."""
        if not len(positions):
            return []
        rules, classes = self._verdicts.rule[positions].tolist(), storage_classes(self._simulation, positions)
        indexes = self.digests(self._verdicts.by[positions])
        return [
            f'{common}, "storageClass": "{of_class}", "rulePriority": {rule or "null"},'
            f' "blockedBy": {index}}}'
            for common, of_class, rule, index in zip(
                self._common(positions), classes, rules, indexes, strict=True
            )
        ]


def _action(outcome: int) -> str:
    target = ', "targetStorageClass": "ARCHIVE"' if outcome == Outcome.TRANSITIONED else ""
    return f'{{"type": "{ACTIONS[outcome]}"{target}}}'


_ACTIONS: Final = {outcome: _action(outcome) for outcome in ACTIONS}


def _images(images: _Images, row: RepositoryEffect, indent: str) -> dict[str, str]:
    """What ECR answers for a repository, and the images that it does not name."""
    return {
        "registryId": _dumps(row.account),
        "region": _dumps(row.region),
        "repositoryName": _dumps(row.repository),
        "status": '"COMPLETE"',
        "lifecyclePolicyText": _dumps(row.policy_text),
        "previewResults": _list(images.acted_on(row.claimed), indent),
        "summary": _dumps(_summary(row.effect)),
        "blocked": _list(images.blocked(row.blocked), indent),
        "followers": _list(images.followers(row.followers), indent),
        "warnings": _list(
            (
                f'{{"code": {_dumps(one.code)}, "text": {_dumps(one.text)},'
                f' "images": [{", ".join(images.digests(one.positions))}]}}'
                for one in row.warnings
            ),
            indent,
        ),
        "inUse": _list(images.acted_on(row.in_use), indent),
        "protected": _list(images.acted_on(row.protected), indent),
    }


def _figures(
    simulation: Simulation,
    row: RepositoryEffect,
    amounts: _Amounts,
    low: _MoneyScope,
    indent: str,
) -> dict[str, str]:
    cost = None if row.region is None else _cost(simulation, row.effect, amounts, low)
    return {
        "counts": _dumps(_counts(row.effect)),
        "bytes": _dumps(_bytes(simulation, row.effect)),
        "cost": _dumps(cost),
        "replicas": _list((_dumps(_replica(one)) for one in row.replicas), indent),
    }


def _row_against(simulation: Simulation, row: RepositoryEffect, low: _MoneyScope) -> _Object | None:
    if row.live is None:
        return None
    return _against(simulation, row.live, row.effect, low, priced=row.region is not None)


def _replica(replica: Replica) -> _Object:
    return {
        "registryId": replica.account,
        "region": replica.region,
        "hasLifecyclePolicy": replica.has_policy,
        "expiringImageTotalCount": replica.expired,
        "transitioningImageTotalCount": replica.transitioned,
    }


def _summary(effect: Effect) -> _Object:
    summary: _Object = {"expiringImageTotalCount": effect.expired}
    if effect.transitioned:
        # ECR leaves it out where nothing transitions.
        summary["transitioningImageTotalCounts"] = [
            {"targetStorageClass": "ARCHIVE", "imageTotalCount": effect.transitioned}
        ]
    return summary


def _counts(effect: Effect) -> _Object:
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
        "inUse": effect.in_use,
        "protected": effect.protected,
        "leavingOfUnknownSize": effect.unknown_size,
    }


def _bytes(simulation: Simulation, effect: Effect) -> _Object:
    scope, known = main_scope(simulation), known_of(effect)
    parts: dict[str, tuple[ScopedBytes, Missing]] = {
        "physical": (effect.physical_bytes, known.stored),
        "freed": (effect.freed_bytes, known.freed),
        "archived": (effect.archived_bytes, known.archived),
    }

    def at(scope: Scope) -> _Object:
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


def _cost(simulation: Simulation, effect: Effect, amounts: _Amounts, low: _MoneyScope) -> _Object:
    def both(money: ScopedMoney, name: str) -> _Object:
        return {
            "repository": _money(money.repository, amounts[f"{name}_repository"], "repository"),
            "registry": _money(money.registry, amounts[f"{name}_registry"], "registry"),
        }

    return {
        "before": both(effect.cost, "cost"),
        "saving": {
            **both(effect.saving, "saving"),
            "low": _money(effect.saving_low, amounts["low"], low),
            "high": _money(effect.saving_high, amounts["high"], main_scope(simulation)),
        },
        "expirySaving": both(effect.expiry_saving, "expiry"),
        "naiveSaving": _money(effect.naive_saving, amounts["naive"], "logical"),
    }


def _against(
    simulation: Simulation,
    live: Effect,
    effect: Effect,
    low: _MoneyScope,
    *,
    priced: bool,
) -> _Object:
    """What the policies in force would do, and how much more the candidate does."""
    known, known_live = known_of(effect), known_of(live)

    def more(one: ScopedBytes, other: ScopedBytes, unknown: Sequence[Missing]) -> _Object | None:
        if any(missing.nothing_known for missing in unknown):
            return None
        return {
            "repository": one.repository - other.repository,
            "registry": one.registry - other.registry,
        }

    saving = {
        "repository": _exact(less(effect.saving.repository, live.saving.repository), "repository"),
        "registry": _exact(less(effect.saving.registry, live.saving.registry), "registry"),
        "low": _exact(less(effect.saving_low, live.saving_low), low),
        "high": _exact(less(effect.saving_high, live.saving_high), main_scope(simulation)),
    }
    amounts = {name: rounded(pick(live), EXACT_DECIMALS) for name, pick in _COLUMNS.items()}
    return {
        "policy": "live",
        "summary": _summary(live),
        "counts": _counts(live),
        "bytes": _bytes(simulation, live),
        "cost": _cost(simulation, live, amounts, low) if priced else None,
        "change": {
            "leaving": effect.leaving - live.leaving,
            "archived": effect.archiving - live.archiving,
            "inUse": effect.in_use - live.in_use,
            "freedBytes": more(effect.freed_bytes, live.freed_bytes, (known.freed, known_live.freed)),
            "archivedBytes": more(
                effect.archived_bytes, live.archived_bytes, (known.archived, known_live.archived)
            ),
            "saving": saving if priced else None,
        },
    }


def _totals(
    simulation: Simulation,
    candidate: Candidate,
    parts: Mapping[str, Split],
    *,
    priced: bool,
) -> _Object:
    effect, low = candidate.totals, low_scope_of_all(simulation, candidate)
    amounts = {name: part.total for name, part in parts.items()}
    totals: _Object = {
        "repositories": len(candidate.repositories),
        "summary": _summary(effect),
        "counts": _counts(effect),
        "bytes": _bytes(simulation, effect),
        "cost": _cost(simulation, effect, amounts, low) if priced else None,
    }
    if candidate.live_totals is not None:
        live = candidate.live_totals
        against = _against(simulation, live, effect, low, priced=priced)
        # What their policies do is in no figure of "against".
        unknown = sum(row.live is None for row in candidate.repositories)
        totals["against"] = {**against, "repositoriesOfUnknownPolicy": unknown}
    return totals


def _shared(candidate: Candidate, parts: Mapping[str, Split], *, priced: bool) -> _Object:
    """What several repositories hold together: completes their figures at registry scope."""
    rows, totals = [row.effect for row in candidate.repositories], candidate.totals

    def rest(pick: Callable[[Effect], ScopedBytes]) -> _Object:
        return {"registry": pick(totals).registry - sum(pick(row).registry for row in rows)}

    return {
        "bytes": {
            "physical": rest(lambda effect: effect.physical_bytes),
            "freed": rest(lambda effect: effect.freed_bytes),
            "archived": rest(lambda effect: effect.archived_bytes),
        },
        "cost": {
            name: {"registry": _money(parts[of].shared_exact, parts[of].shared, "registry")}
            for name, of in (
                ("before", "cost_registry"),
                ("saving", "saving_registry"),
                ("expirySaving", "expiry_registry"),
            )
        }
        if priced
        else None,
    }


def _rule(rule: RuleEffect) -> _Object:
    def both(money: ScopedMoney) -> _Object:
        return {
            "repository": _exact(money.repository, "repository"),
            "registry": _exact(money.registry, "registry"),
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


def _archiving(one: Archiving) -> _Object:
    return {
        "region": one.region,
        "archivedBytes": one.archived_bytes,
        "saves": one.saves,
        "saving": _exact(one.saving, "repository"),
        "minimumDays": one.minimum_days,
        "minimumCost": _exact(one.minimum_cost, "repository"),
        "retrievalCost": _exact(one.retrieval_cost, "repository"),
    }


def _snapshot(simulation: Simulation) -> _Object | None:
    if simulation.taken_from is None or simulation.taken_to is None:
        return None
    return {"taken_from": iso(simulation.taken_from), "taken_to": iso(simulation.taken_to)}


def _exact(money: Money, scope: _MoneyScope) -> _Object:
    return _money(money, rounded(money, EXACT_DECIMALS), scope)


def _money(money: Money, amount: Decimal | None, scope: _MoneyScope) -> _Object:
    shown: _Object = {
        "amount": None if amount is None else amount_text(amount),
        "currency": money.currency,
        "period": money.period,
        "scope": scope,
    }
    return {**shown, **({"leaves_out": list(money.leaves_out)} if money.leaves_out else {})}


def _entry(key: str, text: str, indent: str) -> str:
    return f',\n{indent}"{key}": {text}'


def _object(members: Mapping[str, str], indent: str) -> str:
    """A JSON object of ``members``, which are JSON, each on a line of its own."""
    return "{" + ",".join(f'\n{indent}  "{key}": {text}' for key, text in members.items()) + f"\n{indent}}}"


def _list(texts: Iterator[str] | Sequence[str] | map[str], indent: str) -> str:
    """A JSON array of ``texts``, each on a line of its own."""
    joined = f",\n{indent}  ".join(texts)
    return f"[\n{indent}  {joined}\n{indent}]" if joined else "[]"


def _dumps(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    # Most is plain ASCII, where only this one character is unseen and not yet escaped.
    return text if text.isascii() and "\x7f" not in text else json_escaped(text)
