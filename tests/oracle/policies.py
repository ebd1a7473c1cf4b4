"""Who may do what under a policy, asked of one request at a time.

Written after the IAM user guide's evaluation logic for one resource policy and one caller of another
account who may do everything by their own account: allowed where some statement allows and none denies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Caller:
    """Who asks, with what AWS knows of the request."""

    #: "" for a service.
    account: str
    arn: str
    #: "" for none.
    organization: str = ""
    service: str = ""
    source_ip: str = "192.0.2.1"

    def context(self) -> dict[str, str]:
        known = {
            "aws:principalaccount": self.account,
            "aws:principalarn": self.arn,
            "aws:principalorgid": self.organization,
            "aws:principalisawsservice": "true" if self.service else "false",
            "aws:sourceip": self.source_ip,
        }
        return {key: value for key, value in known.items() if value}


def is_allowed(policy: Mapping[str, Any], caller: Caller, action: str) -> bool:
    effects = {
        statement["Effect"] for statement in policy["Statement"] if _applies(statement, caller, action)
    }
    return effects == {"Allow"}


def _applies(statement: Mapping[str, Any], caller: Caller, action: str) -> bool:
    if "Principal" in statement:
        is_meant = _names(statement["Principal"], caller)
    else:
        is_meant = not _names(statement["NotPrincipal"], caller)
    if "Action" in statement:
        is_named = _any(statement["Action"], action)
    else:
        is_named = not _any(statement["NotAction"], action)
    conditions = statement.get("Condition", {})
    return (
        is_meant
        and is_named
        and all(
            _holds(operator, caller.context().get(key.lower()), values)
            for operator, keys in conditions.items()
            for key, values in keys.items()
        )
    )


def _names(principal: Any, caller: Caller) -> bool:
    if principal == "*":
        return True
    for kind, names in principal.items():
        for name in _list(names):
            # The user guide calls the two ways of naming everyone equivalent.
            if name == "*":
                return True
            if kind == "Service":
                if name == caller.service:
                    return True
            elif not caller.service and (
                name in (caller.account, caller.arn, f"arn:aws:iam::{caller.account}:root")
            ):
                return True
    return False


def _any(patterns: Any, action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in _list(patterns))


def _holds(operator: str, value: str | None, wanted: Any) -> bool:
    plain = operator.removesuffix("IfExists").removeprefix("ForAnyValue:").removeprefix("ForAllValues:")
    if value is None:
        # A negative operator holds where there is nothing to compare.
        return (
            operator.endswith("IfExists") or operator.startswith("ForAllValues:") or "Not" in plain
        ) and not operator.startswith("ForAnyValue:")
    if plain == "Bool":
        return any(str(one).lower() == value for one in _list(wanted))
    matches: Sequence[bool] = [
        fnmatchcase(value, one) if "Like" in plain else value == one for one in _list(wanted)
    ]
    return not any(matches) if "Not" in plain else any(matches)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
