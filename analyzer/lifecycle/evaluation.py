"""ECR's verdict on every artifact: which rule decides, what it says, and what relatives make of it.

The algorithm is that of the ECR user guide, "Automate the cleanup of images by using lifecycle
policies" and "Lifecycle policy properties": every rule marks by itself, over all that it sees; then
the first rule, by priority, that selects an image alone can act on it, whether it claims it or not.
Where the guide says nothing, the choice made is named where it is made, and ``warnings`` says which
artifacts it touches.

All repositories are judged together; there is no loop over artifacts, and none over repositories
that share a policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.families import Families
from analyzer.lifecycle.census import DAY_MS, Block, Census, NameMatches
from analyzer.lifecycle.marks import Relations
from analyzer.lifecycle.policy import Action, CountType, Policy
from analyzer.lifecycle.tracing import RuleTrace, trace
from analyzer.model.frames import NO_TIME, Frames, Int64, LifecycleFacts
from analyzer.model.verdicts import Outcome, Reason, Verdicts

_OUTCOME = {Action.EXPIRE: Outcome.EXPIRED, Action.TRANSITION: Outcome.TRANSITIONED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Choices where AWS does not document what ECR does."""

    #: Images that an index of their repository names count towards imageCountMoreThan. Without it
    #: they take no slot, and no rule that counts images claims them.
    children_take_slots: bool = True


class Evaluator:
    """Judges the artifacts of ``frames`` at the moment ``now_ms``, by any number of policies."""

    def __init__(
        self,
        frames: Frames,
        facts: LifecycleFacts,
        families: Families,
        *,
        now_ms: int,
        options: Options = Options(),
        name_matches: NameMatches | None = None,
    ) -> None:
        """Prepare ``frames``; ``name_matches``, of the same tag names, are shared with other moments."""
        self.frames = frames
        self.facts = facts
        self.families = families
        #: Milliseconds since 1970 UTC.
        self.now_ms = now_ms
        self.options = options
        self.census = Census(
            frames,
            facts,
            families,
            now_ms=now_ms,
            children_take_slots=options.children_take_slots,
            name_matches=name_matches,
        )
        self._relations = Relations(families, frames.artifacts.image_status)

    def judge(self, policies: Sequence[Policy], policy_of: Int64) -> Verdicts:
        """One verdict per artifact, in the order of the artifacts.

        ``policy_of`` has one entry per row of ``frames.repositories``: the position in ``policies``
        of the policy that applies there, -1 for none. Raises ValueError where it does not fit.
        """
        verdicts = self._undecided()
        for policy, rows in self.shares(policies, policy_of):
            for block in self.census.blocks(rows):
                self._claim(policy, block, verdicts)
        self._settle(verdicts)
        return verdicts

    def trace(self, policy: Policy, position: int) -> tuple[RuleTrace, ...]:
        """What every rule of ``policy``, by priority, makes of the artifact at ``position``."""
        return trace(self.census, policy, self.frames.artifacts, position)

    def shares(self, policies: Sequence[Policy], policy_of: Int64) -> list[tuple[Policy, Int64]]:
        """Each different policy with the repositories (ascending) that it applies to."""
        repositories = len(self.frames.repositories)
        if len(policy_of) != repositories:
            raise ValueError(f"policy_of has {len(policy_of)} entries for {repositories} repositories")
        if repositories and not -1 <= int(policy_of.min()) <= int(policy_of.max()) < len(policies):
            raise ValueError(f"policy_of names a policy that is not among the {len(policies)} given")
        # Repositories mostly have equal policies, read from separate texts.
        number: dict[Policy, int] = {}
        same = np.array([number.setdefault(policy, len(number)) for policy in policies] + [-1], np.int64)
        wanted = same[policy_of]
        rows = np.argsort(wanted, kind="stable")
        bounds = np.searchsorted(wanted[rows], np.arange(len(number) + 1))
        return [(policy, rows[bounds[n] : bounds[n + 1]]) for policy, n in number.items()]

    def _undecided(self) -> Verdicts:
        count = len(self.frames.artifacts.repository)
        return Verdicts(
            outcome=np.zeros(count, np.uint8),
            reason=np.full(count, Reason.NO_POLICY, np.uint8),
            rule=np.zeros(count, np.int32),
            rank=np.zeros(count, np.int64),
            age_ms=np.full(count, NO_TIME),
            by=np.full(count, -1),
            deferred=np.zeros(count, np.bool_),
            near_limit=np.zeros(count, np.bool_),
        )

    def _claim(self, policy: Policy, block: Block, verdicts: Verdicts) -> None:
        """Say for each artifact of ``block`` which rule decides on it, and what that rule alone says."""
        verdicts.reason[block.at] = self.census.reason_unselected[block.at]
        open_to = {rule.storage_class: block.seen(rule.storage_class).copy() for rule in policy.rules}
        for rule in policy.rules:
            still_open = open_to[rule.storage_class]
            if not still_open.any():
                continue
            selected = block.selected(rule)
            local = np.flatnonzero(selected & still_open)
            if not len(local):
                continue
            still_open[local] = False
            at = block.positions(local)
            verdicts.rule[at] = rule.priority
            if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN:
                measure = block.ranks(selected)[local]
                verdicts.rank[at] = measure
            else:
                measure = block.ages_ms(rule)[local]
                verdicts.age_ms[at] = measure
                limit = rule.count_number * DAY_MS
                verdicts.near_limit[at] = (measure >= limit - DAY_MS) & (measure <= limit + DAY_MS)
            claims, unknown = block.claimed(rule, measure, local)
            verdicts.outcome[at] = np.where(claims, _OUTCOME[rule.action], Outcome.KEPT)
            verdicts.reason[at] = np.where(
                claims, Reason.CLAIMED, np.where(unknown, Reason.UNKNOWN_TIME, Reason.WITHIN_LIMIT)
            )

    def _settle(self, verdicts: Verdicts) -> None:
        """Let relatives change what rules alone say."""
        subject = self.families.subject
        stays = np.flatnonzero(verdicts.reason == Reason.SUBJECT_STAYS)
        verdicts.by[stays] = subject[stays]
        if not verdicts.outcome.any():
            return
        settlement = self._relations.settle(verdicts.outcome)
        verdicts.outcome[:] = settlement.outcome
        verdicts.deferred[:] = settlement.deferred
        verdicts.reason[settlement.following] = Reason.FOLLOWS_SUBJECT
        blocked = settlement.blocked
        verdicts.reason[blocked] = Reason.BLOCKED_BY_INDEX
        verdicts.by[blocked] = settlement.blocking[blocked]
        # Of those that stay while the subject expires, only a restore is in the way.
        stays = stays[verdicts.reason[stays] == Reason.SUBJECT_STAYS]
        restoring = stays[verdicts.outcome[subject[stays]] == Outcome.EXPIRED]
        verdicts.reason[restoring] = Reason.ACTIVATING
        verdicts.by[restoring] = -1
