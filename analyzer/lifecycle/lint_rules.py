"""The checks of ``lint`` that look at one rule at a time, held against what it selects today."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from analyzer.lifecycle.containment import always_covered, entries, impossible_entries, single_rules
from analyzer.lifecycle.lint_fleet import Fleet, Said, Slot
from analyzer.lifecycle.policy import Action, CountType, Rule, StorageClass, TagStatus
from analyzer.lifecycle.tag_history import last_selected_ms
from analyzer.model.frames import Int64
from analyzer.model.lint import LintCode, LintFinding, Severity
from analyzer.model.records import ImageStatus
from analyzer.model.tag_history import TagHistory
from analyzer.model.units import from_ms
from analyzer.model.verdicts import Outcome, Reason
from analyzer.model.words import counted, images

#: Tags of one repository as stored snapshots saw them, by its row; None where nothing is recorded.
History = Callable[[int], TagHistory | None]


def judge_rules(fleet: Fleet, slot: Slot, history: History | None) -> Iterator[LintFinding]:
    """What is wrong with the rules of ``slot``, each in the repositories that it applies to."""
    yield from _without_effect(fleet, slot, history)
    yield from _children(fleet, slot)
    yield from _possible_children(fleet, slot)
    yield from _held_slots(fleet, slot)


def _without_effect(fleet: Fleet, slot: Slot, history: History | None) -> Iterator[LintFinding]:
    selected = fleet.per_repository(slot.selected)
    decided = fleet.decided(slot)
    first = fleet.per_repository(decided)
    claimed = fleet.per_repository(decided & fleet.claimed)
    always: dict[tuple[int, int], tuple[Rule, ...]] = {}
    unmatched: list[int] = []
    shadowed: dict[int, tuple[Rule, ...]] = {}
    for row, rule in slot.rules.items():
        number = int(fleet.policy_of[row])
        key = number, rule.priority
        if key not in always:
            rules = fleet.policies[number].rules
            always[key] = always_covered(rule, rules[: rules.index(rule)])
        if always[key]:
            shadowed[row] = always[key]
        elif not selected[row]:
            # Nothing is known to be absent from what was never listed, and from nothing all is.
            if fleet.listed[row] and fleet.artifacts_of[row]:
                unmatched.append(row)
        elif not first[row]:
            shadowed[row] = ()
    yield from _shadowed(fleet, slot, shadowed)
    yield from _unmatched(fleet, slot, unmatched, history)
    idle = (selected > 0) & (first > 0) & (claimed == 0)
    yield from fleet.found(
        LintCode.NEVER_ACTS,
        slot.selected & idle[fleet.repository],
        lambda row, positions: _idle(slot.rules[row], len(positions), int(first[row])),
    )


def _idle(rule: Rule, selected: int, first: int) -> Said:
    where = "" if first == selected else f", {first:,} of them as the first rule to do so"
    return Said(
        f"rule {rule.priority} selects {images(selected)}{where}, and acts on none: {limit_text(rule)}",
        "nothing, if it is there to keep these images; else lower its limit",
        Severity.INFO,
        rule.priority,
    )


def limit_text(rule: Rule) -> str:
    """What the rule leaves alone, as in: it keeps 20 images."""
    number = rule.count_number
    if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN:
        return f"it keeps {images(number)}"
    since = {
        CountType.SINCE_IMAGE_PUSHED: "push",
        CountType.SINCE_IMAGE_PULLED: "last pull",
        CountType.SINCE_IMAGE_TRANSITIONED: "archiving",
    }[rule.count_type]
    return f"it waits until more than {counted(number, 'day', 'days')} have passed since their {since}"


def _shadowed(fleet: Fleet, slot: Slot, rows: dict[int, tuple[Rule, ...]]) -> Iterator[LintFinding]:
    """``rows`` with the rules that shadow theirs whatever comes, with none where it is so only today."""
    affected = np.zeros(len(fleet.names), np.bool_)
    affected[list(rows)] = True
    mask = slot.selected & affected[fleet.repository]
    some = fleet.per_repository(mask) > 0
    first_rule = fleet.verdicts.rule

    def say(row: int, positions: Int64) -> Said:
        rule, by = slot.rules[row], rows[row]
        if by:
            return _always_shadowed(rule, by)
        others = _rules_text(np.unique(first_rule[positions]).tolist())
        return Said(
            f"rule {rule.priority} never decides: all {images(len(positions))} that it selects today are "
            f"selected by {others} first",
            f"put it before {others}, or take it out",
            Severity.LOW,
            rule.priority,
        )

    yield from fleet.found(LintCode.RULE_SHADOWED, mask, say)
    for row, by in rows.items():
        if by and not some[row]:
            said = _always_shadowed(slot.rules[row], by)
            yield fleet.finding(LintCode.RULE_SHADOWED, row, said)


def _always_shadowed(rule: Rule, by: tuple[Rule, ...]) -> Said:
    others = _rules_text([other.priority for other in by])
    return Said(
        f"rule {rule.priority} can never decide: whatever it selects, {others} "
        f"{'selects' if len(by) == 1 else 'select'} first",
        f"put it before {others}, or take it out",
        Severity.MEDIUM,
        rule.priority,
    )


def _rules_text(priorities: Sequence[int]) -> str:
    if len(priorities) == 1:
        return f"rule {priorities[0]}"
    return f"rules {', '.join(map(str, priorities[:-1]))} and {priorities[-1]}"


def _unmatched(
    fleet: Fleet, slot: Slot, rows: Sequence[int], history: History | None
) -> Iterator[LintFinding]:
    """Rules that select nothing: because of a list nobody can satisfy together, or at all."""
    lists: dict[Rule, list[int]] = {}
    for row in rows:
        lists.setdefault(slot.rules[row], []).append(row)
    met_singly = np.zeros(len(fleet.repository), np.bool_)
    singly: dict[int, tuple[int, ...]] = {}
    for rule, with_rule in lists.items():
        if len(entries(rule)) < 2:
            continue
        counts = []
        for entry in single_rules(rule):
            met = fleet.selecting(entry, np.array(with_rule))
            counts.append(fleet.per_repository(met))
            met_singly |= met
        for row in with_rule:
            singly[row] = tuple(int(count[row]) for count in counts)
    trapped = {row for row, counts in singly.items() if np.count_nonzero(counts) > 1}
    in_trap = np.zeros(len(fleet.names), np.bool_)
    in_trap[list(trapped)] = True
    yield from fleet.found(
        LintCode.AND_TRAP,
        met_singly & in_trap[fleet.repository],
        lambda row, _: _and_trap(slot.rules[row], singly[row]),
    )
    for row in rows:
        if row not in trapped:
            past = None if history is None else history(row)
            said = _matches_nothing(slot.rules[row], singly.get(row, ()), past)
            yield fleet.finding(LintCode.RULE_MATCHES_NOTHING, row, said)


def _and_trap(rule: Rule, singly: Sequence[int]) -> Said:
    return Said(
        f"rule {rule.priority} selects nothing: an image must meet every entry of its list, and none does; "
        f"singly they are met by images as follows: {_counts_text(rule, singly)}",
        "write a rule for each entry; a list means all of it, not any of it",
        Severity.HIGH,
        rule.priority,
    )


def _counts_text(rule: Rule, singly: Sequence[int]) -> str:
    """Each entry of the rule's list with the number of images that meet it."""
    return ", ".join(f"{entry!r} {count:,}" for entry, count in zip(entries(rule), singly, strict=True))


def _matches_nothing(rule: Rule, singly: Sequence[int], history: TagHistory | None) -> Said:
    name = f"rule {rule.priority}"
    if rule.tag_status is not TagStatus.TAGGED:
        what = "untagged images" if rule.tag_status is TagStatus.UNTAGGED else "images"
        if rule.storage_class is StorageClass.ARCHIVE:
            what = f"archived {what}"
        return Said(
            f"{name} selects nothing: there are no {what} that rules look at",
            "nothing; it waits for such images",
            Severity.INFO,
            rule.priority,
        )
    impossible = impossible_entries(rule)
    if impossible:
        entry, why = impossible[0]
        return Said(
            f"{name} can never select anything: {entry!r} is met by no tag, for {why}",
            "a prefix needs no * at its end; in a pattern only * stands for other characters",
            Severity.MEDIUM,
            rule.priority,
        )
    listed = " and ".join(map(repr, entries(rule)))
    parts = f" (singly, {_counts_text(rule, singly)})" if any(singly) else ""
    if history is None:
        when, severity = "when it last did is not recorded", Severity.LOW
    else:
        last = last_selected_ms(rule, history)
        if last is None:
            when = f"it never did since records began on {_date(history.since_ms)}"
            severity = Severity.MEDIUM
        else:
            when, severity = f"it last did on {_date(last)}", Severity.LOW
    return Said(
        f"{name} selects nothing: no image carries tags that meet {listed}{parts}; {when}",
        "correct the list, or take the rule out if such images will not come again",
        severity,
        rule.priority,
    )


def _date(milliseconds: int) -> str:
    return from_ms(milliseconds).date().isoformat()


def _children(fleet: Fleet, slot: Slot) -> Iterator[LintFinding]:
    """Children of indexes that stay: claimed, and refused by ECR night after night."""
    blocked = fleet.decided(slot) & (fleet.verdicts.reason == Reason.BLOCKED_BY_INDEX)

    def say(row: int, positions: Int64) -> Said:
        rule = slot.rules[row]
        verb = "expire" if rule.action is Action.EXPIRE else "archive"
        return Said(
            f"rule {rule.priority} would {verb} {images(len(positions))} that belong to indexes which stay; "
            "ECR refuses that each time",
            "count on none of their bytes: they stay as long as their indexes; write a rule that takes those",
            Severity.LOW,
            rule.priority,
        )

    return fleet.found(LintCode.STRIPS_CHILDREN, blocked, say)


def _possible_children(fleet: Fleet, slot: Slot) -> Iterator[LintFinding]:
    """Untagged images that leave where something stays that may be their index."""
    opaque, outcome = fleet.world.families.opaque, fleet.verdicts.outcome
    archived = fleet.world.frames.artifacts.image_status == ImageStatus.ARCHIVED
    # What holds a child back from expiry, and what from the archive: as for indexes that are known.
    holding = {
        Outcome.EXPIRED: fleet.per_repository(opaque & (outcome != Outcome.EXPIRED)),
        Outcome.TRANSITIONED: fleet.per_repository(opaque & (outcome == Outcome.KEPT) & ~archived),
    }
    at_risk = np.zeros(len(outcome), np.bool_)
    for action, unread in holding.items():
        at_risk |= (outcome == action) & (unread > 0)[fleet.repository]
    at_risk &= fleet.decided(slot) & ~fleet.census.tagged

    def say(row: int, positions: Int64) -> Said:
        rule = slot.rules[row]
        expires = rule.action is Action.EXPIRE
        verb = "expires" if expires else "archives"
        number = int(holding[Outcome.EXPIRED if expires else Outcome.TRANSITIONED][row])
        unread = counted(number, "artifact that stays", "artifacts that stay")
        return Said(
            f"rule {rule.priority} {verb} {counted(len(positions), 'untagged image', 'untagged images')} "
            f"that may belong to an index: {unread} could not be read",
            "let demurrage read those manifests (ecr:BatchGetImage), collect again, and look again",
            Severity.HIGH,
            rule.priority,
        )

    return fleet.found(LintCode.STRIPS_CHILDREN, at_risk, say)


def _held_slots(fleet: Fleet, slot: Slot) -> Iterator[LintFinding]:
    """Children of indexes that stay among the newest images that a rule keeps, once it is full."""
    families, decided = fleet.world.families, fleet.decided(slot)
    limit = np.zeros(len(fleet.names), np.int64)
    for row, rule in slot.rules.items():
        if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN:
            limit[row] = rule.count_number
    is_full = (limit > 0) & (fleet.per_repository(slot.selected) > limit)
    other = families.parent != families.child
    stays = other & (fleet.verdicts.outcome[families.parent] == Outcome.KEPT)
    child = np.zeros(len(fleet.repository), np.bool_)
    child[families.child[stays]] = True
    within = slot.selected & (slot.rank <= limit[fleet.repository]) & is_full[fleet.repository]
    takes = fleet.per_repository(decided & fleet.leaves)

    def say(row: int, positions: Int64) -> Said:
        rule = slot.rules[row]
        held = len(positions)
        return Said(
            f"{held:,} of the {images(rule.count_number)} that rule {rule.priority} keeps are children of "
            f"indexes, which leaves {rule.count_number - held:,} for all else",
            "count an index and each of its children as one, and raise the limit accordingly",
            Severity.MEDIUM if takes[row] else Severity.LOW,
            rule.priority,
        )

    return fleet.found(LintCode.COUNT_RULE_SLOTS_HELD, within & child, say)
