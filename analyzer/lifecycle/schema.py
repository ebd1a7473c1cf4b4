"""The parts of lifecycle rules one by one: which keys there are, and what each of them may be.

What is sound becomes a ``Draft``, the rest an error. ``validation`` judges what parts demand of each
other. Where AWS says nothing of a case, the choice is noted beside its code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final, TypeGuard, TypeVar

from analyzer.lifecycle.policy import Action, CountType, StorageClass, TagStatus
from analyzer.lifecycle.refusals import Code, PolicyError, aws_list, aws_parsing, aws_validation, shown

MOST_RULES: Final = 50
#: AWS names no upper bound; numbers that a 32-bit integer holds are taken.
LARGEST: Final = 2**31 - 1

#: The keys of each object: those it must have, then those it may have.
_POLICY_KEYS: Final = (("rules",), ())
_RULE_KEYS: Final = (("rulePriority", "selection", "action"), ("description",))
_SELECTION_KEYS: Final = (
    ("tagStatus", "countType", "countNumber"),
    ("tagPatternList", "tagPrefixList", "storageClass", "countUnit"),
)
_ACTION_KEYS: Final = (("type",), ("targetStorageClass",))

_ABSENT: Final = object()
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number that is no integer of ordinary length, as it was written."""

    text: str
    #: It is an integer, but one of very many digits.
    whole: bool

    def __str__(self) -> str:
        return self.text


class Stage(IntEnum):
    """When ECR finds an error; it answers with the first one only."""

    MAPPING = 0
    SCHEMA = 1
    MEANING = 2


@dataclass(slots=True, kw_only=True)
class Draft:
    """The sound parts of a rule; None for what is missing or wrong, which has been told then."""

    #: In ``rules``, from 1.
    position: int
    #: The rulePriority that the rule names itself by; too small a number is one too.
    given_priority: int | None
    priority: int | None = None
    description: str | None = None
    tag_status: TagStatus | None = None
    #: The lists that are sound, by key; () for one that is empty or absent.
    tag_lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Keys of the lists that are there, be they sound, empty or neither.
    present_lists: tuple[str, ...] = ()
    storage_class: StorageClass | None = None
    count_type: CountType | None = None
    #: Here too, too small a number is one.
    given_number: int | None = None
    count_number: int | None = None
    action: Action | None = None


@dataclass(slots=True)
class Findings:
    """The errors found so far."""

    _found: list[tuple[Stage, PolicyError]] = field(default_factory=list)

    def add(
        self,
        stage: Stage,
        code: Code,
        message: str,
        *,
        key: str | None,
        rule: Draft | None = None,
        aws_text: str | None = None,
    ) -> None:
        """One more error, about ``key`` of ``rule`` or of no rule."""
        position, priority = (None, None) if rule is None else (rule.position, rule.given_priority)
        self._found.append((stage, PolicyError(code, message, position, priority, key, aws_text)))

    def wrong_type(self, key: str, value: object, wanted: str, rule: Draft | None) -> None:
        """``value`` is of a JSON type that ``key`` does not take; AWS documents no conversion."""
        message = f"{key} is {shown(value)} and must be {wanted}"
        self.add(Stage.SCHEMA, Code.WRONG_TYPE, message, key=key, rule=rule)

    def in_order(self) -> tuple[PolicyError, ...]:
        """Those that ECR would name first in front, else as they were found."""
        return tuple(error for _, error in sorted(self._found, key=lambda each: each[0]))


def read_rules(findings: Findings, document: Mapping[str, Any]) -> list[Draft]:
    """The sound parts of every rule in ``document``, in its order.

    ``document`` is JSON as Python has it, except that numbers are integers or ``Number``.
    """
    _check_keys(findings, document, _POLICY_KEYS, "a policy", None)
    if "rules" not in document:
        return []
    rules = document["rules"]
    if not isinstance(rules, list):
        findings.wrong_type("rules", rules, f"a list of 1 to {MOST_RULES} rules", None)
        return []
    _check_count(findings, len(rules))
    return [_read_rule(findings, position, rule) for position, rule in enumerate(rules, 1)]


def given_priority(rule: object) -> int | None:
    """The rulePriority that ``rule``, any JSON, names itself by: an integer of ordinary size."""
    return _given_integer(rule, "rulePriority") if isinstance(rule, Mapping) else None


def _check_keys(
    findings: Findings,
    value: Mapping[str, Any],
    keys: tuple[tuple[str, ...], tuple[str, ...]],
    what: str,
    rule: Draft | None,
) -> None:
    required, optional = keys
    for key in required:
        if key not in value:
            findings.add(
                Stage.SCHEMA,
                Code.MISSING_PROPERTY,
                f"{what} must have {key}; add it",
                key=key,
                rule=rule,
                aws_text=aws_validation(f"object has missing required properties ({aws_list(key)})"),
            )
    for key in value:
        if key not in required and key not in optional:
            findings.add(
                Stage.SCHEMA,
                Code.UNKNOWN_PROPERTY,
                f"{what} has no key {shown(key)}, only {_listed((*required, *optional), 'and')}; "
                "take it out, or mend its spelling",
                key=key,
                rule=rule,
                aws_text=aws_validation(
                    f"object instance has properties which are not allowed by the schema: {aws_list(key)}"
                ),
            )


def _check_count(findings: Findings, count: int) -> None:
    if count > MOST_RULES:
        fault, mend = f"too long: must have at most {MOST_RULES}", "join rules, or leave some out"
    elif count < 1:
        fault, mend = "too short: must have at least 1", "add a rule"
    else:
        return
    findings.add(
        Stage.SCHEMA,
        Code.RULE_COUNT,
        f"rules has {count} entries and must have 1 to {MOST_RULES}; {mend}",
        key="rules",
        aws_text=aws_validation(f"array is {fault} elements but instance has {count} elements"),
    )


def _read_rule(findings: Findings, position: int, value: object) -> Draft:
    rule = Draft(position=position, given_priority=given_priority(value))
    if not isinstance(value, Mapping):
        message = f"a rule is {shown(value)} and must be an object"
        findings.add(Stage.SCHEMA, Code.WRONG_TYPE, message, key="rules", rule=rule)
        return rule
    _check_keys(findings, value, _RULE_KEYS, "a rule", rule)
    rule.priority = _integer(findings, value, "rulePriority", rule)
    if "description" in value:
        description = value["description"]
        if isinstance(description, str):
            rule.description = description
        else:
            findings.wrong_type("description", description, "a string; without one leave the key out", rule)
    for key, read in (("selection", _read_selection), ("action", _read_action)):
        if key in value:
            if isinstance(value[key], Mapping):
                read(findings, value[key], rule)
            else:
                findings.wrong_type(key, value[key], "an object", rule)
    return rule


def _read_selection(findings: Findings, selection: Mapping[str, Any], rule: Draft) -> None:
    _check_keys(findings, selection, _SELECTION_KEYS, "a selection", rule)
    rule.tag_status = _choice(findings, selection, "tagStatus", TagStatus, rule)
    for key in ("tagPatternList", "tagPrefixList"):
        _read_tag_list(findings, selection, key, rule)
    rule.storage_class = StorageClass.STANDARD
    if "storageClass" in selection:
        rule.storage_class = _choice(findings, selection, "storageClass", StorageClass, rule)
    # ECR's schema tells selections apart by countType, hence the other code for one it does not know.
    rule.count_type = _choice(
        findings,
        selection,
        "countType",
        CountType,
        rule,
        code=Code.SELECTION_SCHEMA,
        aws_text=_selection_text(),
    )
    _check_count_unit(findings, selection.get("countUnit", _ABSENT), rule)
    rule.given_number = _given_integer(selection, "countNumber")
    rule.count_number = _integer(findings, selection, "countNumber", rule)


def _read_tag_list(findings: Findings, selection: Mapping[str, Any], key: str, rule: Draft) -> None:
    entries = selection.get(key, [])
    if not isinstance(entries, list):
        findings.wrong_type(key, entries, "a list of strings", rule)
    elif odd := [entry for entry in entries if not isinstance(entry, str)]:
        message = f"{key} holds {shown(odd[0])} and must hold strings only"
        findings.add(Stage.SCHEMA, Code.WRONG_TYPE, message, key=key, rule=rule)
    else:
        rule.tag_lists[key] = tuple(entries)
    if key in selection:
        rule.present_lists += (key,)


def _check_count_unit(findings: Findings, value: object, rule: Draft) -> None:
    if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN:
        # Whatever it is, null included.
        if value is not _ABSENT:
            message = "countUnit does not go with imageCountMoreThan, which counts images; take it out"
            _add_selection_schema(findings, message, rule)
    elif value is _ABSENT:
        if rule.count_type is not None:
            message = f'countUnit is missing and {rule.count_type} counts days; add "countUnit": "days"'
            _add_selection_schema(findings, message, rule)
    elif not isinstance(value, str):
        findings.wrong_type("countUnit", value, "'days'", rule)
    elif value != "days":
        message = f"countUnit is {shown(value)} and must be 'days', the only unit"
        findings.add(Stage.SCHEMA, Code.BAD_ENUM, message, key="countUnit", rule=rule)


def _add_selection_schema(findings: Findings, message: str, rule: Draft) -> None:
    findings.add(
        Stage.SCHEMA, Code.SELECTION_SCHEMA, message, key="countUnit", rule=rule, aws_text=_selection_text()
    )


def _selection_text() -> str:
    return aws_validation("instance failed to match exactly one schema (matched 0 out of 4)")


def _read_action(findings: Findings, action: Mapping[str, Any], rule: Draft) -> None:
    _check_keys(findings, action, _ACTION_KEYS, "an action", rule)
    rule.action = _choice(findings, action, "type", Action, rule)
    key = "targetStorageClass"
    target = action.get(key, _ABSENT)
    if rule.action is Action.EXPIRE:
        # Whatever it is: null, which templates like to write for "none", has been refused too.
        if target is not _ABSENT:
            message = f"{key} does not go with expire, not even as null; take it out"
            aws_text = aws_validation("instance failed to match exactly one schema (matched 0 out of 2)")
            findings.add(Stage.SCHEMA, Code.ACTION_SCHEMA, message, key=key, rule=rule, aws_text=aws_text)
    elif target is _ABSENT:
        if rule.action is Action.TRANSITION:
            message = f'{key} is missing and transition needs it; add "{key}": "archive"'
            findings.add(
                Stage.MAPPING, Code.ACTION_SCHEMA, message, key=key, rule=rule, aws_text=aws_parsing()
            )
    elif not isinstance(target, str):
        findings.wrong_type(key, target, "'archive'", rule)
    elif target != StorageClass.ARCHIVE:
        message = f"{key} is {shown(target)} and must be 'archive', the only target"
        findings.add(Stage.SCHEMA, Code.BAD_ENUM, message, key=key, rule=rule)


def _integer(findings: Findings, holder: Mapping[str, Any], key: str, rule: Draft) -> int | None:
    """The integer from 1 at ``key``; neither ``5.0`` nor ``"5"`` nor ``true`` is one."""
    value = holder.get(key, _ABSENT)
    if value is _ABSENT:
        return None
    if isinstance(value, Number) and not value.whole:
        findings.wrong_type(key, value, "an integer, written without point or exponent", rule)
    elif isinstance(value, Number) or (_is_integer(value) and value > LARGEST):
        findings.wrong_type(key, value, f"an integer of at most {LARGEST}", rule)
    elif not _is_integer(value):
        findings.wrong_type(key, value, "an integer, without quotes", rule)
    elif value < 1:
        findings.add(
            Stage.SCHEMA,
            Code.BELOW_MINIMUM,
            f"{key} is {value} and must be at least 1",
            key=key,
            rule=rule,
            aws_text=aws_validation(
                f"numeric instance is lower than the required minimum (minimum: 1, found: {value})"
            ),
        )
    else:
        return value
    return None


def _given_integer(holder: Mapping[str, Any], key: str) -> int | None:
    value = holder.get(key)
    return value if _is_integer(value) and abs(value) <= LARGEST else None


def _choice(
    findings: Findings,
    holder: Mapping[str, Any],
    key: str,
    kind: type[_Choice],
    rule: Draft,
    *,
    code: Code = Code.BAD_ENUM,
    aws_text: str | None = None,
) -> _Choice | None:
    """The member of ``kind`` that ``key`` names, letter by letter; any other text is a ``code``."""
    value = holder.get(key, _ABSENT)
    if value is _ABSENT:
        return None
    names = [member.value for member in kind]
    wanted = _listed(map(repr, names), "or")
    if not isinstance(value, str):
        findings.wrong_type(key, value, wanted, rule)
    elif value not in names:
        message = f"{key} is {shown(value)} and must be {wanted}"
        findings.add(Stage.SCHEMA, code, message, key=key, rule=rule, aws_text=aws_text)
    else:
        return kind(value)
    return None


def _is_integer(value: object) -> TypeGuard[int]:
    """An integer as JSON has it; to Python booleans are integers too."""
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(names: Iterable[str], word: str) -> str:
    *front, last = names
    return f"{', '.join(front)} {word} {last}" if front else last
