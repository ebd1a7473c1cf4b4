"""What is wrong with a lifecycle policy: one record per error, and the exception that carries them.

The codes are ours. ECR names one error at a time, as an InvalidParameterException; where its text is
known it stands beside ours, the way ECR answers a policy that has no other error.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from analyzer.errors import InputError

#: Lines of an exception's text; ``InvalidPolicy.errors`` always has them all.
_LINES_SHOWN: Final = 40
#: Characters of somebody's text that are quoted in a message.
_QUOTED: Final = 60


class Code(StrEnum):
    """What is wrong, in the order that the checks are documented in."""

    TEXT_LENGTH = "TEXT_LENGTH"
    NOT_JSON_OBJECT = "NOT_JSON_OBJECT"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    MISSING_PROPERTY = "MISSING_PROPERTY"
    UNKNOWN_PROPERTY = "UNKNOWN_PROPERTY"
    WRONG_TYPE = "WRONG_TYPE"
    RULE_COUNT = "RULE_COUNT"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    BAD_ENUM = "BAD_ENUM"
    SELECTION_SCHEMA = "SELECTION_SCHEMA"
    ACTION_SCHEMA = "ACTION_SCHEMA"
    DUPLICATE_PRIORITY = "DUPLICATE_PRIORITY"
    TAG_LIST_REQUIRED = "TAG_LIST_REQUIRED"
    TAG_LIST_BOTH = "TAG_LIST_BOTH"
    TAG_LIST_FORBIDDEN = "TAG_LIST_FORBIDDEN"
    TOO_MANY_WILDCARDS = "TOO_MANY_WILDCARDS"
    STORAGE_CLASS_MISMATCH = "STORAGE_CLASS_MISMATCH"
    ACTION_COUNTTYPE_MISMATCH = "ACTION_COUNTTYPE_MISMATCH"
    ARCHIVE_MIN_DAYS = "ARCHIVE_MIN_DAYS"
    MULTIPLE_UNTAGGED = "MULTIPLE_UNTAGGED"
    MULTIPLE_ANY = "MULTIPLE_ANY"
    ANY_NOT_LAST = "ANY_NOT_LAST"
    DUPLICATE_TAG_SET = "DUPLICATE_TAG_SET"


@dataclass(frozen=True, slots=True)
class PolicyError:
    """One error of a policy.

    ``str()`` is one line. What the message quotes of the policy is short and escaped by repr; AWS's
    text has it as it is, so whoever prints either makes unseen characters visible.
    """

    code: Code
    #: What is wrong, why, and how to mend it.
    message: str
    #: Position in ``rules``, from 1; None where the error is in no rule.
    rule: int | None = None
    #: That rule's rulePriority, where it is an integer.
    priority: int | None = None
    #: The JSON key it is about, as the policy spells it: text of other people, of any length.
    key: str | None = None
    #: What ECR answers, where that is known.
    aws_text: str | None = None

    def __str__(self) -> str:
        priority = "" if self.priority is None else f" (priority {self.priority})"
        where = "" if self.rule is None else f"rule {self.rule}{priority}: "
        said = "" if self.aws_text is None else f" ECR says: {self.aws_text}"
        return f"{where}{self.message} [{self.code}]{said}"


class InvalidPolicy(InputError):  # noqa: N818 - a policy is what it says is invalid
    """A policy that ECR would refuse; ``errors`` are all of its errors, those ECR names first in front.

    Its text has one line per error, unlike that of other errors: print ``lines`` one by one.
    """

    def __init__(self, errors: tuple[PolicyError, ...]) -> None:
        super().__init__(errors)
        self.errors = errors

    @property
    def lines(self) -> tuple[str, ...]:
        """The text line by line: a heading where there are several errors, then one line each."""
        if len(self.errors) == 1:
            return (f"invalid lifecycle policy: {self.errors[0]}",)
        left = len(self.errors) - _LINES_SHOWN
        return (
            f"invalid lifecycle policy, {len(self.errors)} errors:",
            *(f"  {error}" for error in self.errors[:_LINES_SHOWN]),
            *([f"  and {left} more"] if left > 0 else []),
        )

    def __str__(self) -> str:
        return "\n".join(self.lines)


def error_document(error: InvalidPolicy) -> dict[str, Any]:
    """``error`` for JSON: ``{"error": {the first}, "errors": [all of them]}``.

    Each has code, message, rule, priority, key and aws_text, null where there is none.
    """
    errors = [{**asdict(each), "code": each.code.value} for each in error.errors]
    return {"error": errors[0], "errors": errors}


def shown(value: object) -> str:
    """A JSON value as a message quotes it: short, on one line, with nothing that a terminal obeys."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return repr(value if len(value) <= _QUOTED else f"{value[: _QUOTED - 1]}…")
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    # Numbers, which the reader keeps as text where they are not small integers.
    text = str(value)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"


def aws_parsing() -> str:
    """ECR's answer to a text that it cannot make a policy of."""
    return _aws("parsing", "Could not map policyString into LifecyclePolicy.")


def aws_validation(detail: str) -> str:
    """ECR's answer to a policy that breaks a rule, with its ``detail``."""
    return _aws("validation", detail)


def aws_list(key: str) -> str:
    """``key`` as ECR's schema validator lists keys: ``["key"]``."""
    return json.dumps([key if len(key) <= _QUOTED else f"{key[: _QUOTED - 1]}…"], ensure_ascii=False)


def _aws(kind: str, detail: str) -> str:
    return (
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
        f"'Lifecycle policy {kind} failure: {detail}'"
    )
