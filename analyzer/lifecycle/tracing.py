"""What every rule of a policy makes of one artifact, for people who ask why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.lifecycle.census import Block, Census
from analyzer.lifecycle.policy import CountType, Policy, Rule, StorageClass, TagStatus
from analyzer.model.frames import NO_TIME, Artifacts
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Reason


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule and one artifact."""

    rule: Rule
    #: The rule selects it, whatever earlier rules do: it is in S(r).
    selects: bool
    #: Why the rule does not select it; empty where it does.
    why_not: str
    #: Where the rule selects it and counts images: 1 for the youngest of its repository, and so on;
    #: else 0.
    rank: int
    #: Where the rule selects it and counts days: milliseconds since the moment that it looks at;
    #: NO_TIME otherwise, or where that moment is unknown.
    age_ms: int
    #: How many artifacts of the repository the rule selects.
    selected: int
    #: The rule would act on it if no earlier rule selected it: it is in C(r).
    claims: bool
    #: It is the first rule to select it, and so the only one that can act on it.
    decides: bool


def trace(census: Census, policy: Policy, artifacts: Artifacts, position: int) -> tuple[RuleTrace, ...]:
    """One entry per rule, by priority, for the artifact at ``position``; IndexError if there is none."""
    if not 0 <= position < len(artifacts.repository):
        raise IndexError(f"no artifact at position {position}")
    repository = int(artifacts.repository[position])
    (block,) = census.blocks(np.array([repository]))
    local = np.array([position - census.offsets[repository]])
    traces: list[RuleTrace] = []
    decided = False
    for rule in policy.rules:
        selected = block.selected(rule)
        selects = bool(selected[local[0]])
        rank, age_ms, claims = 0, NO_TIME, False
        if selects:
            counts_images = rule.count_type is CountType.IMAGE_COUNT_MORE_THAN
            measure = (block.ranks(selected) if counts_images else block.ages_ms(rule))[local]
            claims = bool(block.claimed(rule, measure, local)[0][0])
            if counts_images:
                rank = int(measure[0])
            else:
                age_ms = int(measure[0])
        traces.append(
            RuleTrace(
                rule=rule,
                selects=selects,
                why_not="" if selects else _why_not(census, block, rule, artifacts, position),
                rank=rank,
                age_ms=age_ms,
                selected=int(np.count_nonzero(selected)),
                claims=claims,
                decides=selects and not decided,
            )
        )
        decided |= selects
    return tuple(traces)


def _why_not(census: Census, block: Block, rule: Rule, artifacts: Artifacts, position: int) -> str:
    """The first thing that keeps ``rule`` from selecting the artifact."""
    if census.reason_unselected[position] == Reason.SUBJECT_STAYS:
        return "it refers to another image of the repository, and leaves with that one only"
    status = artifacts.image_status[position]
    if status == ImageStatus.ACTIVATING:
        return "its restore from the archive is under way"
    if (status == ImageStatus.ARCHIVED) != (rule.storage_class is StorageClass.ARCHIVE):
        state = "archived" if status == ImageStatus.ARCHIVED else "not archived"
        return f"it is {state}, and the rule looks at {rule.storage_class} images"
    if rule.tag_status is TagStatus.UNTAGGED:
        return "it is tagged"
    if not census.tagged[position]:
        return "it is untagged"
    local = position - int(census.offsets[artifacts.repository[position]])
    unmet = [
        f"{'begins with' if is_prefix else 'matches'} {entry}"
        for entries, is_prefix in ((rule.tag_prefixes, True), (rule.tag_patterns, False))
        for entry in entries
        if not block.meeting(entry, is_prefix=is_prefix)[local]
    ]
    return f"none of its tags {', and none '.join(unmet)}"
