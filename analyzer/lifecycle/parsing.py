"""Lifecycle policies from their text, judged as ECR judges it.

    policy = parse_policy(text)  # raises InvalidPolicy with every error

What is JSON here is what RFC 8259 calls so: no NaN, no comments, no byte order mark, and no key twice
in one object, because which of the two would count is anybody's guess.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from analyzer.lifecycle.policy import Policy, Rule
from analyzer.lifecycle.refusals import (
    Code,
    InvalidPolicy,
    PolicyError,
    aws_parsing,
    error_document,
    shown,
)
from analyzer.lifecycle.schema import Number, given_priority
from analyzer.lifecycle.validation import check

__all__ = [
    "Code",
    "InvalidPolicy",
    "PolicyError",
    "PolicyWarning",
    "error_document",
    "parse_policy",
    "policy_text_of",
    "warnings",
]

#: Characters of a policy's text: API reference, PutLifecyclePolicy, "lifecyclePolicyText".
SHORTEST: Final = 100
LONGEST: Final = 30_720
#: Longer lists are legal as far as the guide says, and have been seen to fail in CloudFormation.
_MANY_ENTRIES: Final = 10

_NO_UNICODE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class PolicyWarning:
    """Something legal that is likely not what was meant. ``str()`` is one line, as for errors."""

    #: LONG_TAG_LIST, STAR_IN_PREFIX or EMPTY_TAG_ENTRY.
    code: str
    message: str
    priority: int
    key: str

    def __str__(self) -> str:
        return f"rule with priority {self.priority}: {self.message} [{self.code}]"


def parse_policy(text: str) -> Policy:
    """The policy that ``text``, a JSON document, holds; its rules in ascending order of priority.

    Raises InvalidPolicy with every error of the text, those that ECR names first in front: its
    length, then whether it is a policy at all, then each key by itself, then what keys and rules
    demand of each other (ECR user guide, "Lifecycle policy parameters" and "Automate the cleanup of
    images by using lifecycle policies in Amazon ECR").
    """
    errors = _length_errors(text)
    try:
        document = _read(text)
    except _NotPolicyError as error:
        unread = PolicyError(Code.NOT_JSON_OBJECT, str(error), aws_text=aws_parsing())
        raise InvalidPolicy((*errors, unread)) from None
    errors += _repeated_keys(document)
    rules, faults = check(document)
    if errors or faults:
        raise InvalidPolicy((*errors, *faults))
    return Policy(rules)


def policy_text_of(document_text: str) -> str:
    """The policy text inside what ``aws ecr get-lifecycle-policy --output json`` prints.

    That is the string under ``lifecyclePolicyText``. Any other text is taken for a policy and given
    back as it is, for ``parse_policy`` to judge.
    """
    try:
        document = _read(document_text)
    except _NotPolicyError:
        return document_text
    inner = document.get("lifecyclePolicyText")
    if not isinstance(inner, str) or "rules" in document or "lifecyclePolicyText" in document.repeated:
        return document_text
    return inner


def warnings(policy: Policy) -> tuple[PolicyWarning, ...]:
    """What ECR accepts (or is not known to refuse) in ``policy`` and somebody should look at."""
    return tuple(warning for rule in policy.rules for warning in _warnings_of(rule))


def _warnings_of(rule: Rule) -> Iterator[PolicyWarning]:
    for key, entries in (("tagPatternList", rule.tag_patterns), ("tagPrefixList", rule.tag_prefixes)):
        if len(entries) > _MANY_ENTRIES:
            message = (
                f"{key} has {len(entries)} entries; AWS documents no limit, yet so long a list has been "
                "refused, and an image needs a tag for every entry: alternatives belong in rules of their own"
            )
            yield PolicyWarning("LONG_TAG_LIST", message, rule.priority, key)
        if "" in entries:
            effect = "matches no tag" if key == "tagPatternList" else "matches every tag"
            yield PolicyWarning(
                "EMPTY_TAG_ENTRY", f"{key} has an empty entry, which {effect}", rule.priority, key
            )
    starred = [entry for entry in rule.tag_prefixes if "*" in entry]
    if starred:
        message = (
            f"* is an ordinary character in the prefix {shown(starred[0])}, and no tag holds one; "
            "for wildcards use tagPatternList"
        )
        yield PolicyWarning("STAR_IN_PREFIX", message, rule.priority, "tagPrefixList")


class _NotPolicyError(ValueError):
    """The text is no JSON object."""


class _Object(dict[str, Any]):
    """A JSON object; of a key that is there twice the last value counts."""

    #: Keys that are there more than once, in the order of their first appearance.
    repeated: tuple[str, ...] = ()

    @classmethod
    def from_pairs(cls, pairs: list[tuple[str, Any]]) -> _Object:
        made = cls(pairs)
        if len(made) < len(pairs):
            times = Counter(key for key, _ in pairs)
            made.repeated = tuple(key for key, count in times.items() if count > 1)
        return made


def _integer(text: str) -> int | Number:
    # Python refuses to read integers of thousands of digits, and no field takes over ten.
    return int(text) if len(text) <= 18 else Number(text, whole=True)


def _no_constant(name: str) -> NoReturn:
    raise _NotPolicyError(f"{name} is no JSON; write a number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Object.from_pairs,
    parse_float=lambda text: Number(text, whole=False),
    parse_int=_integer,
    parse_constant=_no_constant,
)


def _read(text: str) -> _Object:
    """The object that ``text`` holds; raises _NotPolicyError with the reason where it is none."""
    if not text.strip():
        raise _NotPolicyError("the text is empty; give a JSON object that holds rules")
    if text.startswith("\ufeff"):
        raise _NotPolicyError("the text begins with a byte order mark; save it as UTF-8 without one")
    if _NO_UNICODE.search(text):
        raise _NotPolicyError("the text holds bytes that are no UTF-8; save it as UTF-8")
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _NotPolicyError(
            f"the text is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise _NotPolicyError("the text is nested too deeply; a policy has at most five levels") from None
    if not isinstance(document, _Object):
        raise _NotPolicyError(
            f'the text holds {shown(document)} where a policy is an object; write {{"rules": [...]}}'
        )
    return document


def _length_errors(text: str) -> list[PolicyError]:
    if len(text) < SHORTEST:
        aws_text = (
            "Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: "
            f"'Member must have length greater than or equal to {SHORTEST}'"
        )
        mend = "no policy is that short, so something is missing"
    elif len(text) > LONGEST:
        aws_text = None
        mend = "take out spaces, descriptions or rules"
    else:
        return []
    message = f"the text has {len(text)} characters and ECR takes {SHORTEST} to {LONGEST}; {mend}"
    return [PolicyError(Code.TEXT_LENGTH, message, aws_text=aws_text)]


def _repeated_keys(document: _Object) -> list[PolicyError]:
    """One error per key that one object holds more than once, however deep."""
    rules = document.get("rules")
    listed = rules if isinstance(rules, list) else []
    outside = [value for value in document.values() if value is not listed]
    errors = [_repeated(key, None, None) for key in (*document.repeated, *_repeated_within(outside))]
    for position, rule in enumerate(listed, 1):
        errors += [_repeated(key, position, given_priority(rule)) for key in _repeated_within(rule)]
    return errors


def _repeated(key: str, rule: int | None, priority: int | None) -> PolicyError:
    message = (
        f"the key {shown(key)} is there more than once in one object, and which one counts is uncertain; "
        "keep the one that is meant"
    )
    return PolicyError(Code.DUPLICATE_KEY, message, rule, priority, key)


def _repeated_within(value: object) -> Iterator[str]:
    """The repeated keys of every object in ``value``, in reading order; the depth is anybody's."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, _Object):
            yield from value.repeated
            waiting += reversed(value.values())
        elif isinstance(value, list):
            waiting += reversed(value)
