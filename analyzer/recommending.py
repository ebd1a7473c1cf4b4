"""Puts the advice on lifecycle policies together: the search, its proof, and what it is worth.

Pure, like ``simulation``, whose figures these are: the policies advised are simulated beside those in
force, so that what a repository saves is what ``what-if`` says of the same policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np

from analyzer.backtest import back_test, policies_of
from analyzer.families import Families
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.needed import Needs, find_needs
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.recommend import Advice, Adviser, InForce, basis, policy_of
from analyzer.lifecycle.recommend_fleet import FleetFound, search_default
from analyzer.lifecycle.writing import policy_json
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64, LifecycleFacts
from analyzer.model.recommendation import (
    FleetDefault,
    Needed,
    Recommendation,
    RecommendOptions,
    RecommendReport,
    Risk,
    Status,
)
from analyzer.model.records import Gap
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.simulation import Candidate, Effect, RepositoryEffect
from analyzer.model.units import Money, ScopeChoice, from_ms
from analyzer.model.usage import Coverage, Usage, UseBasis
from analyzer.model.verdicts import Outcome
from analyzer.pricing import PriceBook
from analyzer.simulation import Proposal, WhatIf, simulate

#: Images that a risk names.
_EXAMPLES: Final = 3
_NOTHING: Final = Money(Decimal(0))
_NO_USE: Final = (
    "which images are in use is not known: no workloads were read, and no list was given with --in-use; "
    "pulls and releases alone say what is needed"
)
_SOME_USE: Final = "workloads were not read everywhere: an image that only those use counts as unused"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendQuestion:
    """What the advice is to be on."""

    #: Rows of ``frames.repositories``, ascending; private ones.
    rows: Int64
    at_ms: int
    options: RecommendOptions = field(default_factory=RecommendOptions)
    scope: ScopeChoice = "auto"
    usage: Usage | None = None
    coverage: Coverage | None = None
    protected: Bools | None = None
    #: What ``usage`` and ``protected`` go by, for the report.
    use_basis: UseBasis = field(default_factory=UseBasis)
    protect_patterns: int = 0
    #: Look for one policy for all of them too.
    fleet: bool = True
    gaps: Sequence[Gap] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """The advice, and the policies as they are simulated and replayed."""

    report: RecommendReport
    #: The policies to put, and which of them each row of repositories gets; -1 for none.
    policies: tuple[Policy, ...]
    policy_of: Int64
    needs: Needs

    def followed(self, in_force: Sequence[Policy], policy_of: Int64) -> Iterator[tuple[int, Policy]]:
        """Every row's policy once the advice is followed; ``policy_of``: those of ``in_force`` till then."""
        for row, (mine, theirs) in enumerate(zip(self.policy_of.tolist(), policy_of.tolist(), strict=True)):
            if mine >= 0:
                yield row, self.policies[mine]
            elif theirs >= 0:
                yield row, in_force[theirs]


def recommend(
    question: RecommendQuestion,
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    prices: PriceBook,
    in_force: InForce,
    *,
    digests: Callable[[Int64], Sequence[str]],
    digest_ids: Callable[[Sequence[str]], Int64],
) -> Recommended:
    """The advice on the repositories in question.

    ``digests`` gives the digests of artifacts, ``digest_ids`` what ``Artifacts.digest_id`` has for some.
    """
    return _Recommender(
        question, frames, facts, families, prices, in_force, digests, digest_ids
    ).recommended()


def back_tested(recommended: Recommended, frames: Frames, past: Past, prices: PriceBook) -> RecommendReport:
    """The report with what the policies advised would have done in the ``past`` of ``frames``."""
    of_past = policies_of(past.history, frames, recommended.policy_of)
    tested = back_test(past, recommended.policies, of_past, prices=prices)
    by_position = {one.position: one for one in tested.repositories}
    rows = past.history.rows_of(frames).tolist()
    return replace(
        recommended.report,
        back_test=tested,
        repositories=tuple(
            replace(row, back_test=by_position.get(rows[row.position]) if row.status.advises else None)
            for row in recommended.report.repositories
        ),
    )


class _Recommender:
    def __init__(
        self,
        question: RecommendQuestion,
        frames: Frames,
        facts: LifecycleFacts,
        families: Families,
        prices: PriceBook,
        in_force: InForce,
        digests: Callable[[Int64], Sequence[str]],
        digest_ids: Callable[[Sequence[str]], Int64],
    ) -> None:
        self._question = question
        self._frames = frames
        self._facts = facts
        self._families = families
        self._prices = prices
        self._in_force = in_force
        self._digests = digests
        self._evaluator = Evaluator(frames, facts, families, now_ms=question.at_ms)
        self._needs = find_needs(
            frames,
            facts,
            families,
            self._evaluator.census,
            question.options,
            usage=question.usage,
            protected=question.protected,
            digest_ids=digest_ids,
        )
        self._adviser = Adviser(self._evaluator, self._needs, in_force, question.options)
        self._texts = frames.repositories["lifecycle_policy_text"].tolist()
        self._cached = frames.repositories[["pull_through_cache", "pull_through_cache_known"]].to_dict("list")

    def recommended(self) -> Recommended:
        rows = self._question.rows
        advised = self._adviser.advise(rows)
        putting = [row for row in rows.tolist() if advised[row].policy is not None]
        policies = tuple(policy for row in putting if (policy := advised[row].policy) is not None)
        policy_of = np.full(len(self._frames.repositories), -1)
        policy_of[putting] = np.arange(len(putting))
        found = self._find_default() if self._question.fleet else None
        proposals = [self._proposal("recommended", putting, policies)]
        if found is not None:
            everywhere = sorted(found.settings)
            proposals.append(
                self._proposal("default", everywhere, [self._default_policy(found)] * len(everywhere))
            )
        candidates = self._simulated(proposals)
        repositories = self._repositories(advised, candidates[0])
        totals, current = candidates[0].totals, candidates[0].live_totals
        low, high = _gain(totals, current)
        fleet = None
        if self._question.fleet:
            fleet = self._no_default() if found is None else self._default(found, candidates)
        return Recommended(
            report=RecommendReport(
                at=from_ms(self._question.at_ms),
                scope=self._question.scope,
                options=self._question.options,
                repositories=tuple(sorted(repositories, key=_most_first)),
                totals=totals if len(rows) else None,
                current_totals=current if len(rows) else None,
                saving_low=low,
                saving_high=high,
                fleet=fleet,
                coverage=self._question.coverage,
                in_use_known=self._question.usage is not None,
                use_basis=self._question.use_basis,
                protect_patterns=self._question.protect_patterns,
                gaps=tuple(self._question.gaps),
                warnings=(*self._question.warnings, *self._warnings()),
            ),
            policies=policies,
            policy_of=policy_of,
            needs=self._needs,
        )

    # What is simulated.

    def _proposal(self, name: str, rows: Sequence[int], policies: Sequence[Policy]) -> Proposal:
        """These policies in ``rows``, everything else as it is."""
        in_force = self._in_force
        policy_of = in_force.policy_of.copy()
        policy_of[list(rows)] = len(in_force.policies) + np.arange(len(rows))
        return Proposal(
            name=name,
            policies=(*in_force.policies, *policies),
            texts=(*self._texts_in_force(), *map(policy_json, policies)),
            policy_of=policy_of,
        )

    def _texts_in_force(self) -> list[str]:
        rows = [
            int(np.flatnonzero(self._in_force.policy_of == number)[0])
            for number in range(len(self._in_force.policies))
        ]
        return [self._texts[row] for row in rows]

    def _simulated(self, proposals: Sequence[Proposal]) -> tuple[Candidate, ...]:
        question, needs = self._question, self._needs
        in_force = self._proposal("live", (), ())
        asked = WhatIf(
            proposals=proposals,
            rows=question.rows,
            at_ms=question.at_ms,
            scope=question.scope,
            against=in_force,
            not_in_force=self._not_in_force(),
            in_use=needs.in_use,
            protected=needs.protected,
        )
        simulation = simulate(
            asked,
            self._frames,
            self._facts,
            self._families,
            self._prices,
            digests=self._digests,
            in_force=in_force,
        )
        return simulation.candidates

    def _not_in_force(self) -> Mapping[int, str]:
        known = self._frames.repositories["lifecycle_policy_known"].to_numpy(np.bool_)
        return dict.fromkeys(
            [*np.flatnonzero(~known).tolist(), *self._in_force.problems], "the policy in force is not known"
        )

    # What is said of each repository.

    def _repositories(self, advised: Mapping[int, Advice], candidate: Candidate) -> list[Recommendation]:
        verdicts = candidate.verdicts
        taken = verdicts.outcome != Outcome.KEPT
        offsets = self._evaluator.census.offsets
        known = self._frames.repositories["lifecycle_policy_known"].tolist()
        found = []
        for effect in candidate.repositories:
            row = effect.position
            advice = advised[row]
            span = slice(*offsets[row : row + 2].tolist())
            cached = self._cached["pull_through_cache"][row]
            low, high = (_NOTHING, _NOTHING) if advice.policy is None else _gain(effect.effect, effect.live)
            is_cache = bool(cached) if self._cached["pull_through_cache_known"][row] else None
            found.append(
                Recommendation(
                    position=row,
                    account=effect.account or "",
                    region=effect.region or "",
                    repository=effect.repository or "",
                    status=advice.status,
                    reason=advice.reason,
                    policy_text=None if advice.policy is None else policy_json(advice.policy, indent=2),
                    rules=advice.rules,
                    families=advice.families,
                    has_policy=self._texts[row] is not None if known[row] else None,
                    effect=effect.effect,
                    current=effect.live,
                    saving_low=low,
                    saving_high=high,
                    current_takes=advice.current_takes,
                    needed=self._needed(span),
                    risk=self._risk(span, taken, effect),
                    safe_until=None
                    if advice.safe_days is None
                    else from_ms(self._question.at_ms) + timedelta(days=advice.safe_days),
                    is_cache=is_cache,
                    notes=tuple(self._notes(advice, effect, is_cache=is_cache)),
                )
            )
        return found

    def _needed(self, span: slice) -> Needed:
        needs = self._needs

        def count(mask: Bools) -> int:
            return int(np.count_nonzero(mask[span]))

        return Needed(
            artifacts=count(needs.needed),
            in_use=count(needs.in_use),
            protected=count(needs.protected),
            pulled=count(needs.pulled),
            releases=count(needs.releases),
            related=count(needs.related),
            unknown=count(needs.unknown),
        )

    def _risk(self, span: slice, taken: Bools, effect: RepositoryEffect) -> Risk:
        """What the policy takes that somebody pulled once."""
        positions = span.start + np.flatnonzero(taken[span])
        pulled = self._facts.pulled_at_ms[positions]
        known = positions[pulled != NO_TIME]
        latest = known[np.argsort(-self._facts.pulled_at_ms[known], kind="stable")]
        last = None
        if len(latest):
            moment = int(self._facts.pulled_at_ms[latest[0]])
            last = datetime.fromtimestamp(moment / 1000, UTC).date()
        return Risk(
            once_pulled=len(known),
            last_pulled=last,
            examples=tuple(self._named(latest[:_EXAMPLES], effect.repository or "")),
            never_pulled=len(positions) - len(known),
        )

    def _named(self, positions: Int64, repository: str) -> list[str]:
        facts = self._facts
        names = []
        for position, digest in zip(positions.tolist(), self._digests(positions), strict=True):
            tags = facts.tags[facts.tag_offsets[position] : facts.tag_offsets[position + 1]].tolist()
            first = min((facts.tag_names[tag] for tag in tags), default=None)
            names.append(f"{repository}@{digest}" if first is None else f"{repository}:{first}")
        return names

    def _notes(self, advice: Advice, effect: RepositoryEffect, *, is_cache: bool | None) -> list[str]:
        notes = []
        if is_cache and advice.status.advises:
            notes.append(
                "a pull-through cache: set the policy in its repository creation template too, for new "
                "repositories of the cache get theirs from there"
            )
        if effect.replicas and advice.status.advises:
            places = ", ".join(sorted({f"{each.account}/{each.region}" for each in effect.replicas}))
            notes.append(f"the same images are in {places}: a policy acts in its own registry alone")
        if any(rule.by == "days" and rule.selects != "untagged" for rule in advice.rules):
            notes.append(
                "a rule for tagged images counts days: once nothing is pushed any more it takes the last "
                "releases too"
            )
        return notes

    def _warnings(self) -> list[str]:
        if self._question.usage is None:
            return [_NO_USE]
        coverage = self._question.coverage
        return [_SOME_USE] if coverage is not None and not coverage.is_complete else []

    # One policy for all.

    def _find_default(self) -> FleetFound | None:
        """The best policy for all, where it stands the proof in every repository."""
        views = self._adviser.views
        if not views:
            return None
        found = search_default(views, self._question.options)
        return found if found.freed and self._adviser.stands(found.settings) else None

    def _default_policy(self, found: FleetFound) -> Policy:
        return policy_of(next(iter(found.settings.values())))

    def _no_default(self) -> FleetDefault:
        return FleetDefault(
            policy_text=None,
            reason="no single policy is safe in every repository and takes anything",
            rules=(),
            effect=None,
            lost_bytes=None,
            lost=None,
            repositories=len(self._adviser.views),
            decided_by=(),
        )

    def _default(self, found: FleetFound, candidates: Sequence[Candidate]) -> FleetDefault:
        policy = self._default_policy(found)
        best, default = candidates[0].totals, candidates[1].totals
        deciding = []
        for priority, row in enumerate(found.decided_by, start=1):
            if row is not None:
                deciding.append((priority, self._place(row)))
        rules = []
        for place, rule in enumerate(policy.rules):
            of_rows = [basis(settings[place], rule) for settings in found.settings.values()]
            neediest = max(of_rows, key=lambda each: each.required + each.margin)
            rules.append(
                replace(
                    neediest,
                    decides=sum(each.decides for each in of_rows),
                    takes=sum(each.takes for each in of_rows),
                )
            )
        return FleetDefault(
            policy_text=policy_json(policy, indent=2),
            reason="",
            rules=tuple(rules),
            effect=default,
            lost_bytes=ScopedBytes(
                repository=best.freed_bytes.repository - default.freed_bytes.repository,
                registry=best.freed_bytes.registry - default.freed_bytes.registry,
            ),
            lost=ScopedMoney(
                repository=best.saving.repository - default.saving.repository,
                registry=best.saving.registry - default.saving.registry,
            ),
            repositories=len(found.settings),
            decided_by=tuple(deciding),
        )

    def _place(self, row: int) -> str:
        repository = self._frames.repositories.iloc[row]
        registry = self._frames.registries.iloc[int(repository["registry"])]
        place = (str(registry["account"]), str(registry["region"]), str(repository["repository"]))
        return "/".join(part for part in place if part)


def _gain(effect: Effect, current: Effect | None) -> tuple[Money, Money]:
    if current is None:
        return effect.saving_low, effect.saving_high
    ends = effect.saving_low - current.saving_low, effect.saving_high - current.saving_high
    amounts = [end.amount for end in ends]
    # Where the policy in force frees something of its own, the ends need not be in order.
    if amounts[0] is not None and amounts[1] is not None and amounts[1] < amounts[0]:
        return ends[1], ends[0]
    return ends


def _most_first(recommendation: Recommendation) -> tuple[Any, ...]:
    amount = recommendation.saving_low.amount
    effect = recommendation.effect
    return (
        not recommendation.status.advises,
        amount is None,
        (amount or Decimal(0)).copy_negate(),
        0 if effect is None else -effect.freed_bytes.repository,
        list(Status).index(recommendation.status),
        recommendation.account,
        recommendation.region,
        recommendation.repository,
        recommendation.position,
    )
