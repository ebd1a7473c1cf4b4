"""What a reader of verdicts should know: where AWS does not say, or the moment of the run decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.families import UNKNOWN
from analyzer.lifecycle.census import DAY_MS, Block
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.policy import CountType, Policy, Rule
from analyzer.model.frames import NO_TIME, Bools, Int32, Int64, Listed
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome, Reason, Verdicts

#: Every code that a warning can have, and its text for so many artifacts.
CODES = {
    "ACTIVATING": "no rule acts on {} while the restore from the archive is under way",
    "CHILDREN_TAKE_SLOTS": "{} of indexes that stay would hold slots of a rule that counts images: "
    "if ECR does not count them, fewer would leave",
    "DEFERRED": "{} would leave together with an index that holds them: ECR may need two runs for it",
    "EQUAL_TIMES": "{} of equal time at the limit of a rule that counts images: which of them "
    "would leave is a guess, and the smaller digest is taken for older",
    "FOLLOWS_SUBJECT": "{} would follow the subject within 24 hours, by no rule",
    "NEAR_LIMIT": "{} within 24 hours of the age that decides: it depends on when ECR runs",
    "PUSHED_LATER": "{} pushed or restored after the moment of evaluation: counted as present",
    "RESTORED": "{} restored from the archive: the age counts from then and not from the push, "
    "and that decides",
    "UNKNOWN_TIME": "{} without the time that decides: no rule claims what has none, and where "
    "images are counted it counts as the youngest",
    "UNREAD_HOLDER": "{} of unknown size would stay, and may hold layers of images that leave: less "
    "may be freed than is said",
    "UNREAD_INDEX": "{} without tags would leave, but may belong to an index here whose manifest "
    "was not read, and then stay with it",
    "UNREAD_INDEX_TAGGED": "{} with tags would leave, but may belong to an index here whose manifest "
    "was not read, and then stay with it",
    "USED_LATER": "{} pulled or archived after the moment of evaluation: how it was then is not known",
}


@dataclass(frozen=True, slots=True)
class LifecycleWarning:
    """One thing to know about the verdicts of one repository."""

    #: A key of ``CODES``.
    code: str
    #: Row of ``frames.repositories``.
    repository: int
    text: str
    #: Positions of the artifacts that it is about, ascending.
    positions: Int64


def find_warnings(
    evaluator: Evaluator, policies: Sequence[Policy], policy_of: Int64, verdicts: Verdicts
) -> tuple[LifecycleWarning, ...]:
    """What to know about ``verdicts``, as ``evaluator`` gave them for these policies.

    One warning per repository and code at most, in the order of repositories and codes.
    """
    artifacts, opaque = evaluator.frames.artifacts, evaluator.families.opaque
    # That a tag is on a child is the exception: for that the index has to be known to be one.
    beside_unread = _perhaps_children(evaluator, verdicts, opaque)
    beside_index = _perhaps_children(evaluator, verdicts, opaque & (artifacts.listed == Listed.INDEX))
    touched = {
        "ACTIVATING": np.flatnonzero(verdicts.reason == Reason.ACTIVATING),
        "CHILDREN_TAKE_SLOTS": _children_in_slots(evaluator, policies, policy_of, verdicts),
        "DEFERRED": np.flatnonzero(verdicts.deferred),
        "EQUAL_TIMES": _decided_by_tie(evaluator, policies, policy_of, verdicts),
        "FOLLOWS_SUBJECT": np.flatnonzero(verdicts.reason == Reason.FOLLOWS_SUBJECT),
        "NEAR_LIMIT": np.flatnonzero(verdicts.near_limit),
        "PUSHED_LATER": np.flatnonzero(
            (verdicts.reason != Reason.NO_POLICY) & (evaluator.census.base_ms > evaluator.now_ms)
        ),
        "RESTORED": _decided_by_restore(evaluator, policies, policy_of, verdicts),
        "UNKNOWN_TIME": np.flatnonzero(verdicts.reason == Reason.UNKNOWN_TIME),
        # Of a stored pull only the day is known, and that day may not be over.
        "USED_LATER": np.flatnonzero(
            (verdicts.age_ms != NO_TIME)
            & (verdicts.age_ms < -DAY_MS)
            & (evaluator.census.base_ms <= evaluator.now_ms)
        ),
        "UNREAD_HOLDER": _perhaps_holders(evaluator, verdicts),
        "UNREAD_INDEX": beside_unread[artifacts.tags[beside_unread] == 0],
        "UNREAD_INDEX_TAGGED": beside_index[artifacts.tags[beside_index] > 0],
    }
    repository = artifacts.repository
    found: list[LifecycleWarning] = []
    for code, positions in touched.items():
        rows, starts = np.unique(repository[positions], return_index=True)
        parts = np.split(positions, starts[1:]) if len(rows) else []
        found += [
            LifecycleWarning(code, row, CODES[code].format(_artifacts(len(part))), part)
            for row, part in zip(rows.tolist(), parts, strict=True)
        ]
    return tuple(sorted(found, key=lambda warning: (warning.repository, warning.code)))


def _artifacts(count: int) -> str:
    return "1 artifact" if count == 1 else f"{count} artifacts"


def _children_in_slots(
    evaluator: Evaluator, policies: Sequence[Policy], policy_of: Int64, verdicts: Verdicts
) -> Int64:
    """Children of indexes that stay, selected by a rule that counts images and claims some there.

    Also where an earlier rule shields them: they hold slots of the later one all the same.
    """
    families, repository = evaluator.families, evaluator.frames.artifacts.repository
    stays = (verdicts.outcome[families.parent] == Outcome.KEPT) & (families.parent != families.child)
    child = np.zeros(len(repository), np.bool_)
    child[families.child[stays]] = True
    claimed = np.isin(verdicts.reason, (Reason.CLAIMED, Reason.BLOCKED_BY_INDEX)) & (verdicts.rank > 0)
    holds = np.zeros(len(repository), np.bool_)
    if not evaluator.options.children_take_slots or not child.any() or not claimed.any():
        return np.flatnonzero(holds)
    for policy, rows in evaluator.shares(policies, policy_of):
        for rule in _rules_that_count(policy):
            acts = np.zeros(len(evaluator.frames.repositories), np.bool_)
            acts[repository[claimed & (verdicts.rule == rule.priority)]] = True
            for block in evaluator.census.blocks(rows[acts[rows]]):
                held = block.selected(rule) & child[block.at]
                holds[block.positions(np.flatnonzero(held))] = True
    return np.flatnonzero(holds)


def _perhaps_holders(evaluator: Evaluator, verdicts: Verdicts) -> Int64:
    """What stays without anybody knowing its layers, where something leaves whose layers are known."""
    families, repository = evaluator.families, evaluator.frames.artifacts.repository
    leaves = (verdicts.outcome == Outcome.EXPIRED) & families.holders
    frees = np.zeros(len(evaluator.frames.repositories), np.bool_)
    frees[repository[leaves]] = True
    # An index has no layers of its own.
    holds = (families.kind == UNKNOWN) & (evaluator.frames.artifacts.listed != Listed.INDEX)
    return np.flatnonzero(holds & (verdicts.outcome != Outcome.EXPIRED) & frees[repository])


def _perhaps_children(evaluator: Evaluator, verdicts: Verdicts, holders: Bools) -> Int64:
    """What leaves where one of ``holders``, which could be an index, stays and would hold it."""
    artifacts, opaque = evaluator.frames.artifacts, np.flatnonzero(holders)
    outcome = verdicts.outcome
    doubtful = np.zeros(len(outcome), np.bool_)
    # What holds back expiry, and what archiving: as for indexes that are known.
    from_expiry = outcome[opaque] != Outcome.EXPIRED
    from_archive = (outcome[opaque] == Outcome.KEPT) & (
        artifacts.image_status[opaque] != ImageStatus.ARCHIVED
    )
    for leaves, holds in ((Outcome.EXPIRED, from_expiry), (Outcome.TRANSITIONED, from_archive)):
        held = np.zeros(len(evaluator.frames.repositories), np.bool_)
        held[artifacts.repository[opaque[holds]]] = True
        doubtful |= (outcome == leaves) & held[artifacts.repository]
    return np.flatnonzero(doubtful)


def _decided_by_restore(
    evaluator: Evaluator, policies: Sequence[Policy], policy_of: Int64, verdicts: Verdicts
) -> Int64:
    """Restored artifacts whose deciding rule would say otherwise if it looked at the push itself."""
    census, artifacts = evaluator.census, evaluator.frames.artifacts
    judged = np.isin(verdicts.reason, (Reason.CLAIMED, Reason.BLOCKED_BY_INDEX, Reason.WITHIN_LIMIT))
    restored = (
        (evaluator.facts.activated_at_ms != NO_TIME)
        & (artifacts.pushed_at_ms != NO_TIME)
        & (verdicts.age_ms != NO_TIME)
        & judged
    )
    decided = np.zeros(len(restored), np.bool_)
    if not restored.any():
        return np.flatnonzero(decided)
    pushed_age = census.now_ms - artifacts.pushed_at_ms
    for policy, rows in evaluator.shares(policies, policy_of):
        by_push = [rule for rule in policy.rules if rule.count_type is CountType.SINCE_IMAGE_PUSHED]
        for block in census.blocks(rows) if by_push else ():
            at = block.positions(np.flatnonzero(restored[block.at]))
            for rule in by_push:
                limit = rule.count_number * DAY_MS
                differs = (verdicts.age_ms[at] > limit) != (pushed_age[at] > limit)
                decided[at[differs & (verdicts.rule[at] == rule.priority)]] = True
    return np.flatnonzero(decided)


def _decided_by_tie(
    evaluator: Evaluator, policies: Sequence[Policy], policy_of: Int64, verdicts: Verdicts
) -> Int64:
    """Artifacts whose deciding rule counts images, with others of equal time beyond its limit."""
    census = evaluator.census
    decided = np.zeros(len(verdicts.outcome), np.bool_)
    if any(map(_rules_that_count, policies)) and len(tied := _repositories_with_ties(evaluator)):
        for policy, rows in evaluator.shares(policies, policy_of):
            rules = _rules_that_count(policy)
            for block in census.blocks(np.intersect1d(rows, tied)) if rules else ():
                for rule in rules:
                    at = block.positions(_tied_at_limit(evaluator, block, rule))
                    decided[at[verdicts.rule[at] == rule.priority]] = True
    return np.flatnonzero(decided)


def _rules_that_count(policy: Policy) -> list[Rule]:
    return [rule for rule in policy.rules if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN]


def _repositories_with_ties(evaluator: Evaluator) -> Int64:
    order = evaluator.census.youngest_first
    base = evaluator.census.base_ms[order]
    repository = evaluator.frames.artifacts.repository
    same = ~_changes(repository, base)[1:] & (base[1:] != NO_TIME)
    return np.unique(repository[1:][same]).astype(np.int64)


def _tied_at_limit(evaluator: Evaluator, block: Block, rule: Rule) -> Int64:
    """What ``rule`` ranks that has the time of the last within its limit and of the first beyond it."""
    order = block.youngest_first
    ranks = block.ranks(block.selected(rule))[order]
    local, ranks = order[ranks > 0], ranks[ranks > 0]
    base = evaluator.census.base_ms[block.at][local]
    repository = evaluator.frames.artifacts.repository[block.at][local]
    starts = _changes(repository, base)
    beyond = (ranks == rule.count_number + 1) & ~starts & (base != NO_TIME)
    run = np.cumsum(starts)
    tied: Int64 = local[np.isin(run, run[beyond])]
    return tied


def _changes(repository: Int32, base: Int64) -> Bools:
    changes = np.ones(len(base), np.bool_)
    changes[1:] = (repository[1:] != repository[:-1]) | (base[1:] != base[:-1])
    return changes
