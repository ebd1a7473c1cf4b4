"""What the parts of a lifecycle policy demand of each other, and the policy that comes out of it.

Sources: ECR user guide, "Lifecycle policy parameters", for keys, values and which go together, and
"Automate the cleanup of images by using lifecycle policies in Amazon ECR" for what rules of one policy
may share; answers that ECR gave to real policies for its texts and the order it finds errors in.

A check looks at every rule whose own parts, as far as it needs them, are sound. So no error hides
another one, and none is reported only because something beside it is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from analyzer.lifecycle.policy import Action, CountType, Rule, StorageClass, TagStatus
from analyzer.lifecycle.refusals import Code, PolicyError, aws_validation, shown
from analyzer.lifecycle.schema import Draft, Findings, Stage, read_rules

MOST_WILDCARDS: Final = 4
#: Days that an archived image stays at least.
ARCHIVE_DAYS: Final = 90

#: The class that each kind of rule looks at, and what it may do there.
_ALLOWED: Final = {
    CountType.IMAGE_COUNT_MORE_THAN: (StorageClass.STANDARD, (Action.EXPIRE, Action.TRANSITION)),
    CountType.SINCE_IMAGE_PUSHED: (StorageClass.STANDARD, (Action.EXPIRE, Action.TRANSITION)),
    CountType.SINCE_IMAGE_PULLED: (StorageClass.STANDARD, (Action.TRANSITION,)),
    CountType.SINCE_IMAGE_TRANSITIONED: (StorageClass.ARCHIVE, (Action.EXPIRE,)),
}

_Value = TypeVar("_Value")


def check(document: Mapping[str, Any]) -> tuple[tuple[Rule, ...], tuple[PolicyError, ...]]:
    """The rules in ``document``, ascending by priority; or none, and everything that is wrong with it.

    ``document`` is JSON as Python has it, except that numbers are integers or ``schema.Number``.
    """
    findings = Findings()
    drafts = read_rules(findings, document)
    for draft in drafts:
        _check_tag_lists(findings, draft)
        _check_count(findings, draft)
    _check_priorities(findings, drafts)
    by_class: dict[StorageClass, list[Draft]] = defaultdict(list)
    for draft in drafts:
        storage_class = _certain_class(draft)
        if storage_class is not None:
            by_class[storage_class].append(draft)
    for storage_class in sorted(by_class, reverse=True):
        rules = by_class[storage_class]
        _check_only_one(findings, rules, storage_class)
        _check_any_is_last(findings, rules, storage_class)
        _check_tag_sets(findings, rules, storage_class)
    errors = findings.in_order()
    if errors:
        return (), errors
    return tuple(sorted(map(_rule, drafts), key=lambda rule: rule.priority)), ()


def _check_tag_lists(findings: Findings, draft: Draft) -> None:
    status, lists = draft.tag_status, draft.tag_lists
    filled = [key for key, entries in lists.items() if entries]
    if status is TagStatus.TAGGED and not filled and len(lists) == 2:
        message = "a rule for tagged images needs tagPatternList or tagPrefixList with entries; add one"
        aws_text = aws_validation("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.")
        _add(findings, Code.TAG_LIST_REQUIRED, message, "tagStatus", draft, aws_text)
    if len(filled) == 2:
        message = (
            "tagPatternList and tagPrefixList do not go together; keep one at most "
            "(a prefix can be written as a pattern that ends in *)"
        )
        aws_text = aws_validation(
            "If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList"
        )
        _add(findings, Code.TAG_LIST_BOTH, message, "tagPrefixList", draft, aws_text)
    if status is not None and status is not TagStatus.TAGGED:
        for key in draft.present_lists:
            message = f"{key} does not go with tagStatus {status}, not even empty; take it out"
            aws_text = aws_validation(f"Cannot specify {key} with tagStatus {status}")
            _add(findings, Code.TAG_LIST_FORBIDDEN, message, key, draft, aws_text)
    for pattern in lists.get("tagPatternList", ()):
        stars = pattern.count("*")
        if stars > MOST_WILDCARDS:
            message = f"the pattern {shown(pattern)} has {stars} * and may have {MOST_WILDCARDS}; use fewer"
            aws_text = aws_validation(
                f"Invalid tag pattern provided. Total number of * must not exceed {MOST_WILDCARDS}"
            )
            _add(findings, Code.TOO_MANY_WILDCARDS, message, "tagPatternList", draft, aws_text)


def _check_count(findings: Findings, draft: Draft) -> None:
    """Which class and action go with the countType, and how many days with the archive."""
    count_type = draft.count_type
    if count_type is None:
        return
    wanted_class, actions = _ALLOWED[count_type]
    if draft.storage_class is not None and draft.storage_class is not wanted_class:
        aws_text = None
        if wanted_class is StorageClass.STANDARD:
            aws_text = aws_validation(
                "SINCE_IMAGE_PUSHED, SINCE_IMAGE_PULLED and IMAGE_COUNT_MORE_THAN "
                "support the STANDARD storage class only"
            )
        message = (
            f"{count_type} looks at the class {wanted_class}, and the rule's storageClass is "
            f'{draft.storage_class}; write "storageClass": "{wanted_class}", or choose another countType'
        )
        _add(findings, Code.STORAGE_CLASS_MISMATCH, message, "storageClass", draft, aws_text)
    if draft.action is not None and draft.action not in actions:
        message = f"{count_type} does not go with the action {draft.action}, only with {actions[0]}"
        _add(findings, Code.ACTION_COUNTTYPE_MISMATCH, message, "type", draft)
    number = draft.given_number
    if count_type is CountType.SINCE_IMAGE_TRANSITIONED and number is not None and number < ARCHIVE_DAYS:
        message = (
            f"countNumber is {number} and must be at least {ARCHIVE_DAYS} for {count_type}: "
            "archived images stay that long"
        )
        _add(findings, Code.ARCHIVE_MIN_DAYS, message, "countNumber", draft)


def _check_priorities(findings: Findings, drafts: Iterable[Draft]) -> None:
    aws_text = aws_validation("Duplicate priority in multiple rules")
    for first, draft in _repetitions(drafts, lambda draft: draft.given_priority):
        message = (
            f"rulePriority {draft.given_priority} is that of rule {first.position} too; give each its own"
        )
        _add(findings, Code.DUPLICATE_PRIORITY, message, "rulePriority", draft, aws_text)


def _certain_class(draft: Draft) -> StorageClass | None:
    """The storage class of a rule, unless its countType asks for the other one: either may be wrong."""
    if draft.count_type is not None and draft.storage_class is not _ALLOWED[draft.count_type][0]:
        return None
    return draft.storage_class


def _check_only_one(findings: Findings, rules: list[Draft], storage_class: StorageClass) -> None:
    singles = {
        TagStatus.UNTAGGED: (
            Code.MULTIPLE_UNTAGGED,
            aws_validation("Only one rule can select Untagged images per storage class."),
        ),
        TagStatus.ANY: (Code.MULTIPLE_ANY, aws_validation("Only one rule can specify tagStatus=ANY")),
    }
    for first, draft in _repetitions(rules, lambda draft: draft.tag_status):
        if draft.tag_status in singles:
            code, aws_text = singles[draft.tag_status]
            message = (
                f"rule {first.position} has tagStatus {draft.tag_status} for the class {storage_class} too, "
                "and only one may; keep one of them"
            )
            _add(findings, code, message, "tagStatus", draft, aws_text)


def _check_any_is_last(findings: Findings, rules: list[Draft], storage_class: StorageClass) -> None:
    """The guide says "the highest number" without a class; its own archive example needs it per class."""
    last = max((rule.given_priority for rule in rules if rule.given_priority is not None), default=None)
    aws_text = aws_validation("Rule for tagStatus=ANY must have the lowest priority per storage class")
    for draft in rules:
        priority = draft.given_priority
        if draft.tag_status is TagStatus.ANY and priority is not None and priority != last:
            message = (
                f"rulePriority is {priority}, and tagStatus any must come last: give it the greatest "
                f"number of the class {storage_class}, which is {last} now"
            )
            _add(findings, Code.ANY_NOT_LAST, message, "rulePriority", draft, aws_text)


def _check_tag_sets(findings: Findings, rules: list[Draft], storage_class: StorageClass) -> None:
    """No two rules with equal sets; the guide asks it of prefixes, and patterns are taken to be alike.

    Order and repetition do not matter. Sets that merely overlap pass, and patterns are never compared
    with prefixes.
    """
    tagged = [rule for rule in rules if rule.tag_status is TagStatus.TAGGED]
    for key in ("tagPatternList", "tagPrefixList"):

        def entries(draft: Draft, key: str = key) -> frozenset[str] | None:
            return frozenset(draft.tag_lists.get(key, ())) or None

        for first, draft in _repetitions(tagged, entries):
            message = (
                f"{key} has the same entries as that of rule {first.position}, for the class "
                f"{storage_class} too; keep one of them"
            )
            _add(findings, Code.DUPLICATE_TAG_SET, message, key, draft)


def _repetitions(
    drafts: Iterable[Draft], value_of: Callable[[Draft], Hashable]
) -> Iterator[tuple[Draft, Draft]]:
    """(the first of the same value, the draft) for every draft but the first; None is no value."""
    firsts: dict[Hashable, Draft] = {}
    for draft in drafts:
        value = value_of(draft)
        if value is not None and firsts.setdefault(value, draft) is not draft:
            yield firsts[value], draft


def _add(
    findings: Findings, code: Code, message: str, key: str, draft: Draft, aws_text: str | None = None
) -> None:
    findings.add(Stage.MEANING, code, message, key=key, rule=draft, aws_text=aws_text)


def _rule(draft: Draft) -> Rule:
    """The rule that a draft without errors is."""
    return Rule(
        priority=_sound(draft.priority),
        tag_status=_sound(draft.tag_status),
        tag_patterns=draft.tag_lists["tagPatternList"],
        tag_prefixes=draft.tag_lists["tagPrefixList"],
        storage_class=_sound(draft.storage_class),
        count_type=_sound(draft.count_type),
        count_number=_sound(draft.count_number),
        action=_sound(draft.action),
        description=draft.description,
    )


def _sound(value: _Value | None) -> _Value:
    """``value``, which the checks have made sure of."""
    if value is None:
        raise AssertionError("a rule without errors lacks a part")
    return value
