"""Verdicts and rules in words: exact, short, and never rounded to the wrong side of a limit."""

from __future__ import annotations

from collections.abc import Callable

from analyzer.lifecycle.census import DAY_MS
from analyzer.lifecycle.policy import Action, CountType, Rule, StorageClass, TagStatus
from analyzer.lifecycle.tracing import RuleTrace
from analyzer.model.frames import NO_TIME, LifecycleFacts
from analyzer.model.verdicts import Outcome, Reason, Verdicts

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000

Name = Callable[[int], str]


def rule_text(rule: Rule) -> str:
    """The rule in one line: ``expire images tagged 'a*' and 'b*' beyond the newest 20``."""
    kept = f"{rule.count_number:,}"
    days = "day" if rule.count_number == 1 else "days"
    when = {
        CountType.IMAGE_COUNT_MORE_THAN: f"beyond the newest {kept}",
        CountType.SINCE_IMAGE_PUSHED: f"more than {kept} {days} after their push",
        CountType.SINCE_IMAGE_PULLED: f"more than {kept} {days} after their last pull",
        CountType.SINCE_IMAGE_TRANSITIONED: f"more than {kept} {days} after they were archived",
    }[rule.count_type]
    verb = "archive" if rule.action is Action.TRANSITION else "expire"
    where = "archived " if rule.storage_class is StorageClass.ARCHIVE else ""
    return f"{verb} {_selection_text(rule, f'{where}images')} {when}"


def _selection_text(rule: Rule, what: str) -> str:
    match rule.tag_status:
        case TagStatus.ANY:
            return f"all {what}"
        case TagStatus.UNTAGGED:
            return f"untagged {what}"
        case TagStatus.TAGGED if rule.tag_patterns:
            return f"{what} tagged {_listed(rule.tag_patterns)}"
        case TagStatus.TAGGED:
            return f"{what} with a tag that begins with {_listed(rule.tag_prefixes)}"


def _listed(entries: tuple[str, ...]) -> str:
    return " and ".join(map(repr, entries))


def standing(trace: RuleTrace, facts: LifecycleFacts, position: int, pushed_at_ms: int) -> str:
    """How an artifact that a rule selects stands to the rule's limit."""
    rule = trace.rule
    if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN:
        if not trace.rank:
            return f"it takes none of the {rule.count_number:,} places, being a child of an index"
        place = f"rank {trace.rank:,} of {trace.selected:,} selected, the limit is {rule.count_number:,}"
        unknown = pushed_at_ms == NO_TIME and facts.activated_at_ms[position] == NO_TIME
        return f"its push time is unknown, so it counts as the youngest: {place}" if unknown else place
    if trace.age_ms == NO_TIME:
        return f"the time {_since(rule, facts, position)[0]} is unknown"
    since, remark = _since(rule, facts, position)
    days = "day" if rule.count_number == 1 else "days"
    age = age_text(trace.age_ms, rule.count_number)
    return f"{age} {since}{remark}, the limit is {rule.count_number:,} {days}"


def _since(rule: Rule, facts: LifecycleFacts, position: int) -> tuple[str, str]:
    """What the age counts from, and why where that may surprise."""
    activated = int(facts.activated_at_ms[position])
    match rule.count_type:
        case CountType.SINCE_IMAGE_TRANSITIONED:
            return "since it was archived", ""
        case CountType.SINCE_IMAGE_PULLED:
            pulled = int(facts.pulled_at_ms[position])
            if activated != NO_TIME and pulled < activated:
                return "since its restore from the archive", " (not pulled since)"
            if pulled == NO_TIME:
                return "since its push", " (no pull is recorded)"
            return "since its last pull", ""
        case _:
            if activated != NO_TIME:
                return "since its restore from the archive", " (which counts like a push)"
            return "since its push", ""


def age_text(age_ms: int, limit_days: int) -> str:
    """An age in days, by so much exact that it is seen on which side of the limit it lies."""
    over_ms = age_ms - limit_days * DAY_MS
    tenths = f"{age_ms / DAY_MS:,.1f}"
    if over_ms and tenths == f"{limit_days:,.1f}":
        relation = "and" if over_ms > 0 else "less"
        whole = f"{limit_days:,} {'day' if limit_days == 1 else 'days'}"
        return f"{whole} {relation} {_short(abs(over_ms))}"
    return f"{tenths} days"


def _short(milliseconds: int) -> str:
    if milliseconds >= _HOUR_MS:
        return f"{milliseconds / _HOUR_MS:.1f} h"
    if milliseconds >= _MINUTE_MS:
        return f"{milliseconds / _MINUTE_MS:.1f} min"
    return f"{milliseconds / 1000:.3f} s"


def verdict_sentence(
    verdicts: Verdicts, position: int, steps: dict[int, str], name: Name, *, no_policy: str
) -> str:
    """The verdict on the artifact at ``position``, with its reason.

    ``steps`` says by priority how it stands to the limit of each rule that selects it, ``name`` what
    the artifact at a position is called, ``no_policy`` why no policy was applied if none was.
    """
    rule = int(verdicts.rule[position])
    by = int(verdicts.by[position])
    archived = verdicts.outcome[position] == Outcome.TRANSITIONED
    leaves = "It is archived" if archived else "It leaves"
    match Reason(int(verdicts.reason[position])):
        case Reason.CLAIMED:
            return f"{leaves}: rule {rule} takes it; {steps[rule]}."
        case Reason.FOLLOWS_SUBJECT:
            return f"{leaves} with its subject {name(by)}; no rule acts on it."
        case Reason.NO_POLICY:
            return f"It stays: {no_policy}."
        case Reason.NO_RULE:
            return "It stays: no rule selects it."
        case Reason.WITHIN_LIMIT:
            return f"Rule {rule} keeps it: {steps[rule]}."
        case Reason.BLOCKED_BY_INDEX if rule:
            held = f"It stays, blocked: index {name(by)} names it and stays."
            return f"{held} Rule {rule} claims it: {steps[rule]}."
        case Reason.BLOCKED_BY_INDEX:
            return f"It stays, blocked: index {name(by)} names it and stays, though its subject leaves."
        case Reason.SUBJECT_STAYS if by == position:
            return "It stays: it names itself as its subject, and no rule acts on it."
        case Reason.SUBJECT_STAYS:
            return f"It stays with its subject {name(by)}; no rule acts on it."
        case Reason.ACTIVATING:
            return "It stays: its restore from the archive is under way, and no rule acts on it."
        case Reason.UNKNOWN_TIME:
            return f"It stays as far as is known: rule {rule} decides; {steps[rule]}."


def verdict_notes(verdicts: Verdicts, position: int, traces: tuple[RuleTrace, ...]) -> tuple[str, ...]:
    """What else is to be known of the verdict."""
    notes = []
    rule = int(verdicts.rule[position])
    later = [
        trace.rule.priority
        for trace in traces
        if trace.claims and not trace.decides and trace.rule.priority > rule
    ]
    if later and verdicts.outcome[position] == Outcome.KEPT:
        which = f"Rule {later[0]}" if len(later) == 1 else f"Rules {', '.join(map(str, later))}"
        notes.append(f"{which} would take it, but rule {rule} selects it first.")
    if verdicts.near_limit[position]:
        notes.append("It is within 24 hours of the limit: the moment at which ECR runs decides.")
    if verdicts.deferred[position]:
        notes.append("An index that names it leaves too: ECR may need two runs, the index first.")
    return tuple(notes)
