"""Puts a simulated policy together: verdicts times holdings times prices, as what-if shows them.

Pure, like ``assembly``, which does the same for the report on what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from analyzer.families import UNKNOWN, Families
from analyzer.lifecycle.caveats import find_warnings
from analyzer.lifecycle.evaluation import Evaluator, Options
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.replicas import find_replicas
from analyzer.lifecycle.savings import Holdings
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64, LifecycleFacts
from analyzer.model.records import Gap, ImageStatus, UseKind
from analyzer.model.results import UNKNOWN_SIZE, UNLISTED_IMAGES, ScopedBytes, ScopedMoney
from analyzer.model.simulation import (
    Candidate,
    Effect,
    Replica,
    RepositoryEffect,
    RuleEffect,
    Simulation,
    SimulationWarning,
)
from analyzer.model.units import ScopeChoice, from_ms
from analyzer.model.usage import Coverage, Usage
from analyzer.model.verdicts import Outcome, Reason, Verdicts
from analyzer.pricing import PriceBook
from analyzer.simulation_money import SCOPES, OutcomeValue, Unknown

_UNLISTED = (
    "its images were never listed whole: others that nobody saw may leave too, and count in the rules "
    "that count images"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One candidate: which policy each repository would have."""

    name: str
    policies: Sequence[Policy]
    #: Their documents, as they were given.
    texts: Sequence[str]
    #: For each row of ``frames.repositories`` which of them, -1 for none.
    policy_of: Int64
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The question: what if these repositories had these policies at that moment?"""

    proposals: Sequence[Proposal]
    #: Rows of ``frames.repositories`` that the question is about, ascending.
    rows: Int64
    at_ms: int
    scope: ScopeChoice = "auto"
    options: Options = field(default_factory=Options)
    #: The policies in force, to compare with; None where that was not asked for.
    against: Proposal | None = None
    #: Why the policy in force in a row is not known.
    not_in_force: Mapping[int, str] | None = None
    in_use: Bools | None = None
    protected: Bools | None = None
    missing_in_use: tuple[str, ...] = ()
    #: What uses the images that are in use, and which workloads that covers.
    usage: Usage | None = None
    coverage: Coverage | None = None
    #: What is to be known about the five above.
    warnings: tuple[str, ...] = ()
    #: Work out what each rule contributes.
    by_rule: bool = False


def simulate(
    question: WhatIf,
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    prices: PriceBook,
    *,
    digests: Callable[[Int64], Sequence[str]],
    in_force: Proposal | None = None,
    gaps: Sequence[Gap] = (),
    warnings: Sequence[str] = (),
) -> Simulation:
    """The answer, in exact bytes and unrounded money.

    ``in_force`` (the policies of all repositories) decides what becomes of replicas.
    """
    simulator = _Simulator(question, frames, facts, families, prices, in_force)
    taken = frames.registries["taken_at_ms"]
    is_stored = bool((frames.registries["snapshot"] > 0).any())
    nobody = np.zeros(len(families.kind), np.bool_)
    return Simulation(
        scope=question.scope,
        at=from_ms(question.at_ms),
        taken_from=from_ms(int(taken.min())) if is_stored else None,
        taken_to=from_ms(int(taken.max())) if is_stored else None,
        candidates=tuple(simulator.candidate(proposal) for proposal in question.proposals),
        frames=frames,
        facts=facts,
        digests=digests,
        in_use=nobody if question.in_use is None else question.in_use,
        protected=nobody if question.protected is None else question.protected,
        in_use_given=question.in_use is not None,
        protected_given=question.protected is not None,
        missing_in_use=question.missing_in_use,
        usage=question.usage,
        coverage=question.coverage,
        gaps=tuple(gaps),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """One set of policies and all that follows from it."""

    verdicts: Verdicts
    #: By the name of a count in Effect, for each row of repositories.
    counts: Mapping[str, Int64]
    #: For each row of repositories.
    archived_of_unknown_size: Int64
    money: OutcomeValue


class _Simulator:
    def __init__(
        self,
        question: WhatIf,
        frames: Frames,
        facts: LifecycleFacts,
        families: Families,
        prices: PriceBook,
        in_force: Proposal | None,
    ) -> None:
        self._question = question
        self._frames = frames
        self._prices = prices
        self._in_force = in_force
        self._repository = frames.artifacts.repository
        # Account, region and name of each row; a DataFrame's own rows take a hundred times as long.
        registries = list(zip(frames.registries["account"], frames.registries["region"], strict=True))
        names = zip(frames.repositories["registry"], frames.repositories["repository"], strict=True)
        self._places = [(*registries[registry], str(name)) for registry, name in names]
        self._bounds = np.searchsorted(self._repository, np.arange(len(frames.repositories) + 1))
        unread = np.bincount(self._repository[families.kind == UNKNOWN], minlength=len(frames.repositories))
        never_listed = frames.repositories["complete_at_ms"] == NO_TIME
        self._unknown_of = [
            frozenset((UNKNOWN_SIZE,) * (count > 0) + (UNLISTED_IMAGES,) * unlisted)
            for count, unlisted in zip(unread.tolist(), never_listed.tolist(), strict=True)
        ]
        self._evaluator = Evaluator(frames, facts, families, now_ms=question.at_ms, options=question.options)
        self._holdings = Holdings(frames, families)
        self._asked = np.zeros(len(frames.repositories), np.bool_)
        self._asked[question.rows] = True
        self._outside = self._outside_bytes()
        self._live = None if question.against is None else self._judged(question.against)
        self._in_force_verdicts: Verdicts | None = None

    def candidate(self, proposal: Proposal) -> Candidate:
        """All that ``proposal`` would do."""
        judged = self._judged(proposal)
        verdicts = judged.verdicts
        caveats = self._caveats(proposal, verdicts)
        acting = verdicts.outcome != Outcome.KEPT
        lists = {
            "claimed": acting & (verdicts.reason == Reason.CLAIMED),
            "followers": verdicts.reason == Reason.FOLLOWS_SUBJECT,
            "blocked": verdicts.reason == Reason.BLOCKED_BY_INDEX,
            "in_use": acting & _or_none(self._question.in_use, acting),
            "protected": acting & _or_none(self._question.protected, acting),
        }
        parts = {name: self._by_repository(chosen) for name, chosen in lists.items()}
        replicas = self._replicas()
        repositories = [
            self._repository_effect(
                row,
                proposal,
                judged,
                {name: part[row] for name, part in parts.items()},
                tuple(caveats.get(row, ())),
                replicas.get(row, ()),
            )
            for row in self._question.rows.tolist()
        ]
        return Candidate(
            name=proposal.name,
            repositories=tuple(sorted(repositories, key=_most_first)),
            totals=self._totals(judged),
            live_totals=None if self._live is None else self._totals(self._live),
            rules=tuple(self._rules(proposal, judged)),
            archiving=tuple(judged.money.archiving()),
            verdicts=verdicts,
            warnings=proposal.warnings,
        )

    def _judged(self, proposal: Proposal) -> _Judged:
        policy_of = np.where(self._asked, proposal.policy_of, -1)
        verdicts = self._evaluator.judge(proposal.policies, policy_of)
        savings = self._holdings.measure(verdicts.outcome)
        money = OutcomeValue(self._frames, savings, self._prices, self._question.scope)
        counts = self._counts(verdicts)
        counts["unknown_size"] = savings.repositories["unknown_expired"].to_numpy()
        return _Judged(verdicts, counts, savings.repositories["unknown_transitioned"].to_numpy(), money)

    def _counts(self, verdicts: Verdicts) -> dict[str, Int64]:
        """The counts of an Effect, per row of repositories."""
        expired = verdicts.outcome == Outcome.EXPIRED
        transitioned = verdicts.outcome == Outcome.TRANSITIONED
        follows = verdicts.reason == Reason.FOLLOWS_SUBJECT
        acting = expired | transitioned
        masks = {
            "artifacts": np.ones(len(acting), np.bool_),
            "expired": expired & ~follows,
            "expired_followers": expired & follows,
            "transitioned": transitioned & ~follows,
            "transitioned_followers": transitioned & follows,
            "blocked": verdicts.reason == Reason.BLOCKED_BY_INDEX,
            "deferred": verdicts.deferred,
            "near_limit": verdicts.near_limit,
            "in_use": acting & _or_none(self._question.in_use, acting),
            "protected": acting & _or_none(self._question.protected, acting),
        }
        if self._question.usage is not None:
            used = self._question.usage.kind
            for kind in UseKind:
                masks[f"in_use_{kind.name.lower()}"] = masks["in_use"] & (used == kind)
        rows = len(self._bounds) - 1
        return {name: np.bincount(self._repository[mask], minlength=rows) for name, mask in masks.items()}

    def _repository_effect(
        self,
        row: int,
        proposal: Proposal,
        judged: _Judged,
        positions: Mapping[str, Int64],
        caveats: tuple[SimulationWarning, ...],
        replicas: tuple[Replica, ...],
    ) -> RepositoryEffect:
        account, region, repository = self._places[row]
        policy = int(proposal.policy_of[row])
        problem = (self._question.not_in_force or {}).get(row) if self._live is not None else None
        if problem is not None:
            none = np.zeros(0, np.int64)
            caveats = (*caveats, SimulationWarning(code="POLICY_UNKNOWN", text=problem, positions=none))
        return RepositoryEffect(
            position=row,
            account=account or None,
            region=region or None,
            repository=repository or None,
            policy_text=proposal.texts[policy] if policy >= 0 else None,
            effect=self._effect(row, judged),
            live=None if self._live is None or problem is not None else self._effect(row, self._live),
            claimed=positions["claimed"],
            followers=positions["followers"],
            blocked=positions["blocked"],
            in_use=positions["in_use"],
            protected=positions["protected"],
            replicas=replicas,
            warnings=caveats,
        )

    def _effect(self, row: int, judged: _Judged) -> Effect:
        saved = judged.money.bytes_of_row(row)
        counts: dict[str, Any] = {name: int(of_rows[row]) for name, of_rows in judged.counts.items()}
        return Effect(
            **counts,
            logical_bytes=saved["logical_bytes"],
            expired_logical_bytes=saved["expired_logical_bytes"],
            physical_bytes=ScopedBytes(repository=saved["physical_bytes"], registry=saved["unique_bytes"]),
            freed_bytes=ScopedBytes(repository=saved["freed_bytes"], registry=saved["freed_unique_bytes"]),
            archived_bytes=ScopedBytes(
                repository=saved["archived_bytes"], registry=saved["archived_unique_bytes"]
            ),
            **judged.money.of_row(row, unknown=self._unknown([row], judged)),
        )

    def _totals(self, judged: _Judged) -> Effect:
        rows = self._question.rows
        money, counts = judged.money, judged.counts
        unknown = self._unknown(rows.tolist(), judged)
        sums: dict[str, Any] = {name: int(count[rows].sum()) for name, count in counts.items()}
        return Effect(
            **sums,
            logical_bytes=money.sum_of_rows("logical_bytes", rows),
            expired_logical_bytes=money.sum_of_rows("expired_logical_bytes", rows),
            physical_bytes=ScopedBytes(
                repository=money.sum_of_rows("physical_bytes", rows),
                registry=money.sum_of_registries("physical_bytes_registry") - self._outside["physical"],
            ),
            freed_bytes=money.moved(rows, "freed_bytes"),
            archived_bytes=money.moved(rows, "archived_bytes"),
            **money.totals(rows, self._outside_of_region, unknown=unknown),
        )

    # What is not known.

    def _unknown(self, rows: Sequence[int], judged: _Judged) -> Unknown:
        """Of ``rows`` together."""
        held = frozenset[str]().union(*(self._unknown_of[row] for row in rows))
        expired, archived = judged.counts["unknown_size"], judged.archived_of_unknown_size
        return Unknown(
            held, expired=any(expired[row] for row in rows), archived=any(archived[row] for row in rows)
        )

    # What the repositories hold that were not asked about.

    def _outside_bytes(self) -> dict[str, int]:
        """Bytes at registry scope that no repository in question holds, in all and by registry."""
        self._outside_of_region: list[tuple[int, int]] = [(0, 0)] * len(self._frames.registries)
        if self._asked.all():
            return {"physical": 0}
        # What would leave if all of the others left is what they alone hold.
        outcome = np.where(self._asked[self._repository], Outcome.KEPT, Outcome.EXPIRED).astype(np.uint8)
        freed = self._holdings.measure(outcome).registries
        physical = freed["freed_bytes_registry"].tolist()
        self._outside_of_region = list(
            zip(physical, freed["freed_archive_bytes_registry"].tolist(), strict=True)
        )
        return {"physical": sum(physical)}

    # Lists of positions. Those of artifacts go by ids of the database, which say nothing to a reader.

    def _caveats(self, proposal: Proposal, verdicts: Verdicts) -> dict[int, list[SimulationWarning]]:
        """What to know about ``verdicts``, by row of repositories."""
        found = find_warnings(self._evaluator, proposal.policies, proposal.policy_of, verdicts)
        lengths = np.array([len(caveat.positions) for caveat in found], np.int64)
        positions = np.concatenate([np.zeros(0, np.int64), *(caveat.positions for caveat in found)])
        ordered = self._oldest_first(positions, np.repeat(np.arange(len(found)), lengths))
        caveats: dict[int, list[SimulationWarning]] = {}
        for caveat, part in zip(found, np.split(ordered, np.cumsum(lengths)), strict=False):
            warning = SimulationWarning(code=caveat.code, text=caveat.text, positions=part)
            caveats.setdefault(caveat.repository, []).append(warning)
        nothing = np.zeros(0, np.int64)
        listed = self._frames.repositories["complete_at_ms"].to_numpy(np.int64) != NO_TIME
        for row in np.flatnonzero(self._asked & ~listed).tolist():
            unlisted = SimulationWarning(code="UNLISTED", text=_UNLISTED, positions=nothing)
            caveats.setdefault(row, []).append(unlisted)
        return caveats

    def _by_repository(self, chosen: Bools) -> list[Int64]:
        """Positions of the ``chosen``, for each row of repositories its own, oldest first."""
        positions = np.flatnonzero(chosen)
        ordered = self._oldest_first(positions, self._repository[positions])
        cuts = np.searchsorted(self._repository[ordered], np.arange(1, len(self._bounds) - 1))
        return np.split(ordered, cuts) if len(self._bounds) > 1 else []

    def _oldest_first(self, positions: Int64, group: npt.NDArray[np.integer]) -> Int64:
        """``positions`` by ``group`` and the time that lets an image grow old; digests break ties."""
        facts, artifacts = self._evaluator.facts, self._frames.artifacts
        since = self._evaluator.census.base_ms[positions]
        archived = artifacts.image_status[positions] == ImageStatus.ARCHIVED
        since = np.where(archived, facts.archived_at_ms[positions], since)
        since = np.where(since == NO_TIME, np.iinfo(np.int64).max, since)
        order = np.lexsort((facts.tie[positions], since, group))
        return positions[order]

    # Rules and replicas.

    def _rules(self, proposal: Proposal, judged: _Judged) -> Iterator[RuleEffect]:
        used = np.unique(proposal.policy_of[self._question.rows])
        used = used[used >= 0]
        if not self._question.by_rule or len(used) != 1:
            return
        policy = proposal.policies[int(used[0])]
        totals = self._totals(judged)
        verdicts = judged.verdicts
        claimed = verdicts.reason == Reason.CLAIMED
        for rule in policy.rules:
            of_rule = claimed & (verdicts.rule == rule.priority)
            alone = self._totals(self._judged(_only(proposal, used, Policy((rule,)))))
            others = tuple(other for other in policy.rules if other is not rule)
            without = self._totals(self._judged(_only(proposal, used, Policy(others))))
            yield RuleEffect(
                priority=rule.priority,
                description=rule.description,
                expired=int(np.count_nonzero(of_rule & (verdicts.outcome == Outcome.EXPIRED))),
                transitioned=int(np.count_nonzero(of_rule & (verdicts.outcome == Outcome.TRANSITIONED))),
                marginal_freed_bytes=ScopedBytes(
                    **{
                        scope: getattr(totals.freed_bytes, scope) - getattr(without.freed_bytes, scope)
                        for scope in SCOPES
                    }
                ),
                alone_freed_bytes=alone.freed_bytes,
                marginal_saving=ScopedMoney(
                    **{
                        scope: getattr(totals.saving, scope) - getattr(without.saving, scope)
                        for scope in SCOPES
                    }
                ),
                alone_saving=alone.saving,
            )

    def _replicas(self) -> dict[int, tuple[Replica, ...]]:
        """The replicas of the repositories in question, and what their own policies do."""
        found = find_replicas(self._frames, self._question.rows)
        if not found:
            return {}
        if self._in_force_verdicts is None and self._in_force is not None:
            self._in_force_verdicts = self._evaluator.judge(self._in_force.policies, self._in_force.policy_of)
        return {row: tuple(map(self._replica, others)) for row, others in found.items()}

    def _replica(self, row: int) -> Replica:
        account, region, _ = self._places[row]
        repository = self._frames.repositories.iloc[row]
        span = slice(int(self._bounds[row]), int(self._bounds[row + 1]))
        verdicts, in_force = self._in_force_verdicts, self._in_force
        outcome = np.zeros(0, np.uint8) if verdicts is None else verdicts.outcome[span]
        has_policy = repository["lifecycle_policy_text"] is not None
        # One that nobody could judge is not one that does nothing.
        judged = in_force is not None and int(in_force.policy_of[row]) >= 0
        known = bool(repository["lifecycle_policy_known"]) and has_policy == judged
        return Replica(
            account=account,
            region=region,
            has_policy=has_policy if known else None,
            expired=int(np.count_nonzero(outcome == Outcome.EXPIRED)),
            transitioned=int(np.count_nonzero(outcome == Outcome.TRANSITIONED)),
        )


def _or_none(chosen: Bools | None, acting: Bools) -> Bools:
    return np.zeros_like(acting) if chosen is None else chosen


def _only(proposal: Proposal, used: Int64, policy: Policy) -> Proposal:
    """``proposal`` with ``policy`` in place of the one that it uses; without rules nothing happens."""
    policy_of = np.where(proposal.policy_of == used[0], 0 if policy.rules else -1, -1)
    return replace(proposal, policies=(policy,), texts=("",), policy_of=policy_of)


def _most_first(row: RepositoryEffect) -> tuple[Any, ...]:
    amount = row.effect.saving_low.amount
    return (
        amount is None,
        # A minus sign would round.
        (amount or Decimal(0)).copy_negate(),
        -row.effect.freed_bytes.repository,
        -row.effect.archived_bytes.repository,
        -row.effect.leaving,
        row.account or "",
        row.region or "",
        row.repository or "",
        row.position,
    )
