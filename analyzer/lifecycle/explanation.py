"""Why one image goes or stays, and what would leave with it.

explanation = explain(world, position, policy=None)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from analyzer.families import INDEX, KINDS
from analyzer.lifecycle.census import DAY_MS
from analyzer.lifecycle.evaluation import Evaluator, Options
from analyzer.lifecycle.lint_fleet import World
from analyzer.lifecycle.policy import CountType, Policy
from analyzer.lifecycle.savings import Holdings
from analyzer.lifecycle.sentences import rule_text, standing, verdict_notes, verdict_sentence
from analyzer.lifecycle.tracing import RuleTrace
from analyzer.model.explanation import Departure, Explanation, Family, Relative, TraceStep
from analyzer.model.frames import NO_MANIFEST, NO_TIME, Bools, Int64, UInt8
from analyzer.model.records import ImageStatus
from analyzer.model.results import ScopedBytes
from analyzer.model.units import from_ms
from analyzer.model.usage import Coverage, Usage
from analyzer.model.verdicts import Outcome, Reason, Verdicts

#: What ``Explanation.policy`` says of the policy in force.
LIVE = "live"


def explain(
    world: World,
    position: int,
    *,
    policy: Policy | None = None,
    policy_name: str = LIVE,
    options: Options | None = None,
    usage: Usage | None = None,
    coverage: Coverage | None = None,
    protected: Bools | None = None,
) -> Explanation:
    """All there is to say of the artifact at ``position``.

    ``policy``, called ``policy_name``, is judged in place of the one in force where it is given.
    ``usage`` says who uses what and ``coverage`` which workloads that covers; ``protected`` has one
    entry per artifact. Raises IndexError where there is no
    artifact at ``position``.
    """
    frames, facts, artifacts = world.frames, world.facts, world.frames.artifacts
    if not 0 <= position < len(artifacts.repository):
        raise IndexError(f"no artifact at position {position}")
    row = int(artifacts.repository[position])
    policies, policy_of = _in_charge(world, row, policy)
    judged_by = policies[int(policy_of[row])] if policy_of[row] >= 0 else None
    evaluator = Evaluator(frames, facts, world.families, now_ms=world.at_ms, options=options or Options())
    verdicts = evaluator.judge(policies, policy_of)
    traces = evaluator.trace(judged_by, position) if judged_by is not None else ()
    pushed_at_ms = int(artifacts.pushed_at_ms[position])
    steps = {
        trace.rule.priority: standing(trace, facts, position, pushed_at_ms)
        if trace.selects
        else trace.why_not
        for trace in traces
    }
    people = _People(world, verdicts)
    departure, logical_bytes = _departure(world, people, verdicts, Holdings(frames, world.families), position)
    registry = frames.registries.iloc[int(frames.repositories["registry"].iloc[row])]
    taken_at_ms = int(registry["taken_at_ms"])
    rule = int(verdicts.rule[position])
    return Explanation(
        at=from_ms(world.at_ms),
        # Documents have no snapshot, and so no number of one.
        taken_at=from_ms(taken_at_ms) if int(registry["snapshot"]) else None,
        account=str(registry["account"]),
        region=str(registry["region"]),
        repository=str(frames.repositories["repository"].iloc[row]),
        digest=people.digest(position),
        kind=KINDS[int(world.families.kind[position])],
        tags=people.tags(position),
        pushed_at=_moment(pushed_at_ms),
        pulled_at=_moment(int(facts.pulled_at_ms[position])),
        archived_at=_moment(int(facts.archived_at_ms[position])),
        activated_at=_moment(int(facts.activated_at_ms[position])),
        status=ImageStatus(int(artifacts.image_status[position])).name.lower(),
        logical_bytes=logical_bytes,
        in_use=None if usage is None else bool(usage.in_use[position]),
        protected=None if protected is None else bool(protected[position]),
        family=_family(world, people, position),
        policy=policy_name if policy is not None else LIVE,
        outcome=Outcome(int(verdicts.outcome[position])),
        reason=Reason(int(verdicts.reason[position])),
        rule=rule or None,
        sentence=verdict_sentence(verdicts, position, steps, people.digest, no_policy=_no_policy(world, row)),
        notes=verdict_notes(verdicts, position, traces),
        trace=tuple(_step(trace, steps[trace.rule.priority]) for trace in traces),
        departure=departure,
        users=() if usage is None else usage.of(position),
        possibly_in_use=usage is not None and bool(usage.possibly[position]),
        coverage=coverage,
    )


class _People:
    """Names of artifacts, and what becomes of them."""

    def __init__(self, world: World, verdicts: Verdicts) -> None:
        self._world = world
        self._verdicts = verdicts

    def digest(self, position: int) -> str:
        return self._world.digests(np.array([position], np.int64))[0]

    def tags(self, position: int) -> tuple[str, ...]:
        facts = self._world.facts
        begin, end = facts.tag_offsets[position : position + 2].tolist()
        return tuple(sorted(facts.tag_names[tag] for tag in facts.tags[begin:end].tolist()))

    def relatives(self, positions: Int64) -> tuple[Relative, ...]:
        """The artifacts at ``positions``, in the order of their digests."""
        digests = self._world.digests(positions)
        relatives = [
            Relative(
                digest=digest,
                tags=self.tags(position),
                outcome=Outcome(int(self._verdicts.outcome[position])),
            )
            for position, digest in zip(positions.tolist(), digests, strict=True)
        ]
        return tuple(sorted(relatives, key=lambda relative: relative.digest))


def _in_charge(world: World, row: int, policy: Policy | None) -> tuple[Sequence[Policy], Int64]:
    """The policies, and which of them applies to the repository at ``row`` alone."""
    policy_of: Int64 = np.full(len(world.frames.repositories), -1)
    if policy is not None:
        policy_of[row] = 0
        return (policy,), policy_of
    policy_of[row] = world.policy_of[row]
    return world.policies, policy_of


def _no_policy(world: World, row: int) -> str:
    if row in world.policy_problems:
        return "the policy in force is not valid, and was not applied"
    if not world.frames.repositories["lifecycle_policy_known"].iloc[row]:
        return "whether its repository has a lifecycle policy is not known"
    return "its repository has no lifecycle policy"


def _moment(milliseconds: int) -> datetime | None:
    return None if milliseconds == NO_TIME else from_ms(milliseconds)


def _step(trace: RuleTrace, why: str) -> TraceStep:
    by_count = trace.rule.count_type is CountType.IMAGE_COUNT_MORE_THAN
    return TraceStep(
        priority=trace.rule.priority,
        rule=rule_text(trace.rule),
        description=trace.rule.description,
        selects=trace.selects,
        decides=trace.decides,
        claims=trace.claims,
        why=why,
        rank=trace.rank if trace.selects and by_count else None,
        selected=trace.selected,
        age_days=trace.age_ms / DAY_MS if trace.age_ms != NO_TIME else None,
    )


def _family(world: World, people: _People, position: int) -> Family:
    families, frames = world.families, world.frames
    artifacts, manifests = frames.artifacts, frames.manifests
    parents = np.unique(families.parent[families.child == position])
    children = np.unique(families.child[families.parent == position])
    manifest = int(artifacts.manifest[position])
    named, stated = 0, int(artifacts.subject[position])
    if manifest != NO_MANIFEST:
        if families.kind[position] == INDEX:
            begin, end = manifests.child_offsets[manifest : manifest + 2].tolist()
            named = len(np.unique(manifests.children[begin:end]))
        stated = int(manifests.subject[manifest]) or stated
    subject = int(families.subject[position])
    return Family(
        parents=people.relatives(parents),
        children=people.relatives(children),
        absent_children=named - len(children),
        subject=people.relatives(np.array([subject]))[0] if subject >= 0 else None,
        subject_is_absent=bool(stated) and subject < 0,
        referrers=people.relatives(np.flatnonzero(families.subject == position)),
        may_have_children=bool(families.opaque[position]),
    )


def _expired(mask: Bools) -> UInt8:
    return np.where(mask, np.uint8(Outcome.EXPIRED), np.uint8(Outcome.KEPT))


def _departure(
    world: World, people: _People, verdicts: Verdicts, holdings: Holdings, position: int
) -> tuple[Departure, int | None]:
    """What would leave with it, and the bytes of the artifact itself where they are known."""
    families = world.families
    row = int(world.frames.artifacts.repository[position])
    alone = np.zeros(len(families.kind), np.bool_)
    alone[position] = True
    leaving = _closure(world, verdicts, alone)
    followers = leaving & (families.subject >= 0) & ~alone
    everything = _with_referrers(world, leaving | _orphans(world, leaving))
    by_itself, with_these, with_all = (
        holdings.measure(_expired(mask)).repositories.iloc[row] for mask in (alone, leaving, everything)
    )
    has_bytes = families.kind[position] != INDEX and not by_itself["unknown_expired"]
    departure = Departure(
        unique_bytes=_freed(by_itself),
        followers=people.relatives(np.flatnonzero(followers)),
        released=people.relatives(np.flatnonzero(leaving & ~followers & ~alone)),
        freed_bytes=_freed(with_these),
        orphans=people.relatives(np.flatnonzero(everything & ~leaving)),
        freed_with_orphans_bytes=_freed(with_all),
        unknown_size=int(with_all["unknown_expired"]),
    )
    return departure, int(by_itself["expired_logical_bytes"]) if has_bytes else None


def _closure(world: World, verdicts: Verdicts, start: Bools) -> Bools:
    """``start``, the referrers that go with it, and the blocked children that it alone holds back."""
    families = world.families
    other = families.parent != families.child
    parent, child = families.parent[other], families.child[other]
    blocked = verdicts.reason == Reason.BLOCKED_BY_INDEX
    leaving = start.copy()
    while True:
        before = np.count_nonzero(leaving)
        leaving |= _with_referrers(world, leaving)
        held = np.zeros(len(leaving), np.bool_)
        held[child[~leaving[parent]]] = True
        named = np.zeros(len(leaving), np.bool_)
        named[child[leaving[parent]]] = True
        leaving |= blocked & named & ~held
        if np.count_nonzero(leaving) == before:
            return leaving


def _with_referrers(world: World, leaving: Bools) -> Bools:
    """``leaving`` and all that refers to it, unless an index that stays names it."""
    families = world.families
    referrer = np.flatnonzero(families.subject >= 0)
    subject = families.subject[referrer]
    activating = world.frames.artifacts.image_status == ImageStatus.ACTIVATING
    reached = leaving.copy()
    other = families.parent != families.child
    parent, child = families.parent[other], families.child[other]
    while True:
        before = np.count_nonzero(reached)
        held = np.zeros(len(reached), np.bool_)
        held[child[~reached[parent]]] = True
        follows = referrer[reached[subject]]
        reached[follows[~held[follows] & ~activating[follows]]] = True
        if np.count_nonzero(reached) == before:
            return reached


def _orphans(world: World, leaving: Bools) -> Bools:
    """Descendants of what leaves that nothing else would reach."""
    families = world.families
    tagged = np.diff(world.facts.tag_offsets) > 0
    below = leaving.copy()
    while True:
        before = np.count_nonzero(below)
        below[families.child[below[families.parent]]] = True
        if np.count_nonzero(below) == before:
            break
    # What stays and is no descendant keeps what it names, tagged or not: it is there for a reason
    # that has nothing to do with this artifact.
    reached = families.reachable((tagged | ~below) & ~leaving)
    return below & ~leaving & ~reached


def _freed(savings: pd.Series[Any]) -> ScopedBytes:
    """The freed bytes of one repository, at both scopes."""
    return ScopedBytes(repository=int(savings["freed_bytes"]), registry=int(savings["freed_unique_bytes"]))
