"""Policy documents as statements, as the IAM user guide has them ("IAM JSON policy element reference")."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from typing import Any

from analyzer.exposure.actions import ACTIONS

#: Kind and name of a grantee.
Who = tuple[str, str]
ANYONE: Who = ("public", "*")

#: An account's number, and an ARN of a principal with the account and what it is there.
ACCOUNT = re.compile(r"\d{12}")
PRINCIPAL_ARN = re.compile(r"arn:[a-z-]+:(?:iam|sts)::(\d{12}):(.+)", re.DOTALL)
#: How the actions begin.
_SERVICE = "ecr:"


class UnreadableError(Exception):
    """A policy is no policy document; never leaves this package."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy."""

    allows: bool
    #: Principals with whether each is a part of what it stands for (a role of an account).
    principals: tuple[tuple[Who, bool], ...]
    #: The principals are those that are not meant.
    is_inverted: bool
    actions: frozenset[str]
    #: Patterns of ARNs; None for none given.
    resources: tuple[str, ...] | None
    resources_inverted: bool
    #: Operator and key, in lower case, to values.
    conditions: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def is_about(self, arn: str) -> bool:
        """Whether the statement is about the repository of that ARN."""
        if self.resources is None:
            return True
        return self.resources_inverted != any(_like(pattern, arn) for pattern in self.resources)


@lru_cache(maxsize=4096)
def read_statements(text: str | None, *, service: str = _SERVICE) -> tuple[Statement, ...]:
    """The statements of a policy; raises UnreadableError.

    Actions of ``service`` are read as ECR's of the same name.
    """
    if text is None:
        return ()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("it is not JSON") from error
    if not isinstance(document, dict) or "Statement" not in document:
        raise UnreadableError("it is no policy document")
    return tuple(_statement(entry, service) for entry in _listed(document["Statement"]))


def _statement(entry: Any, service: str) -> Statement:
    if not isinstance(entry, dict) or entry.get("Effect") not in ("Allow", "Deny"):
        raise UnreadableError("a statement of it has no effect")
    principal, is_inverted = _either(entry, "Principal")
    action, actions_inverted = _either(entry, "Action")
    if principal is None or action is None:
        raise UnreadableError("a statement of it lacks a principal or an action")
    resource, resources_inverted = _either(entry, "Resource")
    return Statement(
        entry["Effect"] == "Allow",
        tuple(_principals(principal)),
        is_inverted,
        _actions(_texts(action), service, is_inverted=actions_inverted),
        None if resource is None else tuple(_texts(resource)),
        resources_inverted,
        _conditions(entry.get("Condition") or {}),
    )


def _either(entry: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """An element or its opposite, and whether it is the opposite; None where there is neither."""
    if f"Not{name}" in entry:
        if name in entry:
            raise UnreadableError(f"a statement of it has both {name} and Not{name}")
        return entry[f"Not{name}"], True
    return entry.get(name), False


def _actions(patterns: Sequence[str], service: str, *, is_inverted: bool) -> frozenset[str]:
    named = {pattern.lower() for pattern in patterns}
    if service != _SERVICE:
        # What it says of private repositories is not about this one.
        named = {
            pattern.replace(service, _SERVICE, 1) for pattern in named if not pattern.startswith(_SERVICE)
        }
    matching = {action for action in ACTIONS if any(_like(pattern, action) for pattern in named)}
    if is_inverted:
        return ACTIONS - matching
    # An action that is new since this was written is one all the same.
    plain = {name for name in named if name.startswith("ecr:") and not set(name) & {"*", "?"}}
    return frozenset(matching | plain)


def _principals(principal: Any) -> Iterable[tuple[Who, bool]]:
    if principal == "*":
        yield ANYONE, False
        return
    if not isinstance(principal, dict):
        raise UnreadableError("a principal of it cannot be read")
    for kind, value in principal.items():
        for name in _texts(value):
            if kind == "AWS":
                yield _principal(name)
            elif kind == "Service":
                yield (ANYONE if name == "*" else ("service", name)), False
            else:
                yield ("unknown", f"{kind} {name}"), False


def _principal(name: str) -> tuple[Who, bool]:
    if name == "*":
        return ANYONE, False
    if ACCOUNT.fullmatch(name):
        return ("account", name), False
    match = PRINCIPAL_ARN.fullmatch(name)
    if match:
        return ("account", match[1]), match[2] != "root"
    # The id that is left of a deleted role or user, or of one of another account.
    return ("unknown", name), False


def _conditions(found: Any) -> dict[tuple[str, str], tuple[str, ...]]:
    if not isinstance(found, dict):
        raise UnreadableError("a condition of it cannot be read")
    conditions: dict[tuple[str, str], tuple[str, ...]] = {}
    for operator, keys in found.items():
        if not isinstance(keys, dict):
            raise UnreadableError("a condition of it cannot be read")
        for key, values in keys.items():
            texts = [
                str(value).lower() if isinstance(value, bool) else str(value) for value in _listed(values)
            ]
            conditions[operator.lower(), key.lower()] = tuple(texts)
    return conditions


def _texts(value: Any) -> list[str]:
    texts = _listed(value)
    if not all(isinstance(text, str) for text in texts):
        raise UnreadableError("it holds something else where a text is due")
    return texts


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _like(pattern: str, text: str) -> bool:
    """IAM's wildcards: ``*`` for any characters or none, ``?`` for one."""
    return _compiled(pattern).match(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.replace("[", "[[]")))
