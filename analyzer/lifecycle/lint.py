"""What is wrong with lifecycle policies, held against the images that are there.

    findings = lint(world, rows)

A check says only what is so: of a repository that was never listed whole nothing is said to be
absent, and of a policy that could not be read nothing is said at all but that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from analyzer.families import REFERRER
from analyzer.lifecycle.lint_fleet import Fleet, Said, Slot, World
from analyzer.lifecycle.lint_needed import followers_taken, needs, taken
from analyzer.lifecycle.lint_payback import regions_without_payback
from analyzer.lifecycle.lint_replicas import differing_replicas
from analyzer.lifecycle.lint_rules import History, judge_rules
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass
from analyzer.model.frames import Bools, Int64, UInt8
from analyzer.model.lint import LintCode, LintFinding, Severity
from analyzer.model.usage import Usage
from analyzer.model.verdicts import Outcome, Reason
from analyzer.model.words import counted, images
from analyzer.pricing import PriceBook

__all__ = ["History", "World", "lint"]

#: From such limits on a rule is there to keep images: ECR holds 100,000 images in a repository unless
#: asked for more (ECR user guide, "Amazon ECR service quotas"), and a hundred years are for ever.
_COUNT_FOR_EVER = 100_000
_DAYS_FOR_EVER = 36_500

#: Codes of what becomes of artifacts by the rule that decides on them.
_OPEN, _CAPPED, _ARCHIVED, _KEPT = range(4)


def lint(
    world: World,
    rows: Int64,
    *,
    candidate: Policy | None = None,
    usage: Usage | None = None,
    protected: Bools | None = None,
    history: History | None = None,
    prices: PriceBook | None = None,
) -> tuple[LintFinding, ...]:
    """What is wrong in the repositories at ``rows`` (of ``world.frames.repositories``, ascending).

    With ``candidate`` that policy is judged in all of them, in place of those in force. ``usage`` says
    who uses what, and ``protected`` has one entry per artifact. ``history`` tells since when a rule matches
    nothing, ``prices`` whether archiving pays; without them these things are left open.

    Findings come in order of severity (high ones about images in use before all others), then of
    affected bytes at repository scope (greatest first, unknown ones last), then of account, region,
    repository, code and rule.
    """
    fleet = Fleet(world, rows, candidate=candidate)
    found: list[LintFinding] = []
    if fleet.is_live:
        found += _without_policy(fleet)
        found += differing_replicas(fleet)
    cap: UInt8 = np.full(len(fleet.repository), _OPEN, np.uint8)
    unpaid = {} if prices is None else regions_without_payback(fleet, prices)
    needed = needs(usage, protected)
    for slot in fleet.slots():
        found += judge_rules(fleet, slot, history)
        for need in needed:
            found += taken(fleet, slot, need)
        found += _without_payback(fleet, slot, unpaid)
        _note_caps(fleet, slot, cap)
    for need in needed:
        found += followers_taken(fleet, need)
    found += _uncapped(fleet, cap)
    return tuple(sorted(found, key=_order))


def _order(finding: LintFinding) -> tuple[object, ...]:
    known = finding.affected_bytes
    return (
        finding.severity.rank,
        finding.severity is not Severity.HIGH or finding.code is not LintCode.TAKES_IN_USE,
        known is None,
        0 if known is None else -known.repository,
        finding.account,
        finding.region,
        finding.repository,
        finding.code,
        finding.rule or 0,
        finding.message,
    )


def _without_policy(fleet: Fleet) -> Iterator[LintFinding]:
    """Repositories under no policy that could be judged."""
    is_known = fleet.world.frames.repositories["lifecycle_policy_known"].to_numpy(np.bool_)
    lacking = np.zeros(len(fleet.names), np.bool_)
    for row in fleet.rows.tolist():
        problem = fleet.world.policy_problems.get(row)
        if problem is not None:
            first, *more = problem.errors
            others = f", and {counted(len(more), 'other error', 'other errors')}" if more else ""
            said = Said(
                f"its policy is not valid, and was not judged: {first.message} [{first.code}]{others}",
                "put a policy that ECR accepts: `demurrage what-if --policy FILE` names every error",
                Severity.HIGH,
                first.priority,
            )
            yield fleet.finding(LintCode.POLICY_INVALID, row, said)
        elif not is_known[row]:
            said = Said(
                "whether it has a policy could not be read",
                "allow ecr:GetLifecyclePolicy there, and collect again",
                Severity.MEDIUM,
            )
            yield fleet.finding(LintCode.POLICY_UNREADABLE, row, said)
        elif fleet.policy_of[row] < 0:
            lacking[row] = True
            if not fleet.artifacts_of[row]:
                yield fleet.finding(LintCode.NO_POLICY, row, _no_policy(0, listed=bool(fleet.listed[row])))
    yield from fleet.found(
        LintCode.NO_POLICY,
        lacking[fleet.repository],
        lambda _, positions: _no_policy(len(positions)),
    )


def _no_policy(held: int, *, listed: bool = True) -> Said:
    nothing = "it holds no image yet" if listed else "which images it holds could not be read"
    what = f"its {images(held)} stay for ever" if held else nothing
    return Said(
        f"it has no lifecycle policy: {what}",
        "put a policy; `demurrage what-if` shows what it would do, `demurrage frontier` what limits save",
        Severity.MEDIUM if held or not listed else Severity.INFO,
    )


def _without_payback(fleet: Fleet, slot: Slot, unpaid: Mapping[str, str]) -> Iterator[LintFinding]:
    """Rules that archive in regions where that saves nothing; ``unpaid`` says why, by region."""
    archived = fleet.decided(slot) & (fleet.verdicts.outcome == Outcome.TRANSITIONED)

    def say(row: int, positions: Int64) -> Said | None:
        why = unpaid.get(fleet.place(row)[1])
        if why is None:
            return None
        rule = slot.rules[row]
        return Said(
            f"rule {rule.priority} archives {images(len(positions))} and saves nothing by it: {why}",
            "expire these images, or leave them in the standard class",
            Severity.MEDIUM,
            rule.priority,
        )

    yield from fleet.found(LintCode.ARCHIVE_WITHOUT_PAYBACK, archived, say)


def _note_caps(fleet: Fleet, slot: Slot, cap: UInt8) -> None:
    """Write into ``cap`` what the rules of ``slot`` make of the artifacts that they decide on."""
    codes = np.full(len(fleet.names), _OPEN, np.uint8)
    for row, rule in slot.rules.items():
        codes[row] = _code(rule)
    decided = fleet.decided(slot)
    cap[decided] = codes[fleet.repository[decided]]


def _code(rule: Rule) -> int:
    by_count = rule.count_type is CountType.IMAGE_COUNT_MORE_THAN
    if rule.count_number >= (_COUNT_FOR_EVER if by_count else _DAYS_FOR_EVER):
        return _KEPT
    return _CAPPED if rule.action is Action.EXPIRE else _ARCHIVED


def _uncapped(fleet: Fleet, cap: UInt8) -> Iterator[LintFinding]:
    """Images that accumulate: no rule takes them, one keeps them, or they stay in the archive."""
    families, verdicts = fleet.world.families, fleet.verdicts
    tagged = fleet.census.tagged
    unselected = (verdicts.reason == Reason.NO_RULE) & (families.kind != REFERRER)
    archived = ~fleet.census.seen[StorageClass.STANDARD] & unselected
    yield from fleet.found(LintCode.UNCAPPED_TAGGED, tagged & unselected & ~archived, _no_rule_takes)
    yield from fleet.found(LintCode.UNCAPPED_TAGGED, tagged & archived, _archived_for_ever)
    yield from _uncapped_by_rule(fleet, tagged & (cap == _KEPT), _kept_by_rule)
    moved = tagged & (cap == _ARCHIVED) & ~_expiring_archive(fleet)
    yield from _uncapped_by_rule(fleet, moved, _archived_by_rule)
    reached = families.reachable(tagged)
    lost = ~reached & ~families.possibly_reached(reached, fleet.repository)
    yield from fleet.found(LintCode.UNCAPPED_ORPHANED, lost & unselected, _no_rule_takes_orphans)


def _uncapped_by_rule(fleet: Fleet, mask: Bools, say: Callable[[int, Int64], Said]) -> Iterator[LintFinding]:
    """A finding per repository and rule that decides on artifacts of ``mask``."""
    for priority in np.unique(fleet.verdicts.rule[mask]).tolist():
        for finding in fleet.found(LintCode.UNCAPPED_TAGGED, mask & (fleet.verdicts.rule == priority), say):
            yield replace(finding, rule=priority)


def _expiring_archive(fleet: Fleet) -> Bools:
    """Artifacts that some rule would expire in time if they were in the archive."""
    expiring = np.zeros(len(fleet.repository), np.bool_)
    for policy, rows in fleet.shares:
        if not any(rule.action is Action.TRANSITION for rule in policy.rules):
            continue
        for rule in policy.rules:
            if rule.storage_class is StorageClass.ARCHIVE and _code(rule) == _CAPPED:
                # The same tags, asked of what is not archived yet.
                expiring |= fleet.selecting(replace(rule, storage_class=StorageClass.STANDARD), rows)
    return expiring


def _no_rule_takes(_: int, positions: Int64) -> Said:
    return Said(
        f"no rule ever takes {counted(len(positions), 'tagged image', 'tagged images')}: they pile up",
        "add a rule for their tags, or a last one for any image that keeps as many as are needed",
        Severity.MEDIUM,
    )


def _no_rule_takes_orphans(_: int, positions: Int64) -> Said:
    return Said(
        f"no rule ever takes {images(len(positions))} that no tag reaches: nobody can pull them by name",
        "add a rule that expires untagged images a few days after their push",
        Severity.MEDIUM,
    )


def _archived_for_ever(_: int, positions: Int64) -> Said:
    return Said(
        f"no rule ever expires {counted(len(positions), 'tagged archived image', 'tagged archived images')}",
        "add a rule of storageClass archive that counts days since their transition",
        Severity.LOW,
    )


def _archived_by_rule(_: int, positions: Int64) -> Said:
    number = counted(len(positions), "tagged image", "tagged images")
    return Said(
        f"it archives {number} in time, and no rule ever expires them there",
        "add a rule of storageClass archive that counts days since their transition",
        Severity.LOW,
    )


def _kept_by_rule(_: int, positions: Int64) -> Said:
    number = counted(len(positions), "tagged image", "tagged images")
    return Said(
        f"its limit is so high that it keeps {number} for ever",
        "nothing, if they are meant to stay; else lower the limit",
        Severity.INFO,
    )
