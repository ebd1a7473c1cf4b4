"""The user's own rules about where roles work: the last way to tell a puller's region.

A file of them is TOML::

    [[role]]
    role = "ci-*"            # name or ARN, shell-style; left out it is every role
    account = "123456789012" # pattern of the principal's account
    region = "eu-west-1"     # or "internet"

The first that fits decides.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase

from analyzer.errors import InputError
from analyzer.model.pulls import INTERNET

_KEYS = ("role", "account", "region")
_REGION = re.compile("[a-z]{2,8}(?:-[a-z0-9]{1,16}){1,4}")


@dataclass(frozen=True, slots=True)
class RoleRule:
    """Whoever pulls as such a role is in ``region``."""

    region: str
    #: Patterns over the principal: its ARN where the pattern begins with ``arn:``, else its name.
    role: str = "*"
    account: str = "*"

    def covers(self, account: str, principal: str) -> bool:
        """Whether ``principal`` (an ARN, "" where it is not known) of ``account`` is one of those."""
        # What is not known is no role of a certain name; a rule about all of an account takes it.
        subject = principal if self.role.startswith("arn:") else principal.rpartition("/")[2]
        return fnmatchcase(account, self.account) and fnmatchcase(subject, self.role)


def parse_role_rules(text: str, *, origin: str) -> tuple[RoleRule, ...]:
    """The rules of a TOML ``text``; raises InputError, naming ``origin``, for a wrong one."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{origin} is not valid TOML: {error}; mend the file") from error
    entries = document.pop("role", [])
    if document or not isinstance(entries, list):
        raise InputError(f"{origin}: only [[role]] tables are known here")
    rules = []
    for number, entry in enumerate(entries, start=1):
        place = f"{origin}: role number {number}"
        if not isinstance(entry, dict):
            raise InputError(f"{place} is not a table; write [[role]] above it")
        for key, value in entry.items():
            if key not in _KEYS:
                raise InputError(f"{place}: {key!r} is not a known key; the keys here are {', '.join(_KEYS)}")
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"{place}, {key}: is {value!r}; write text in quotes")
        rules.append(_rule(entry, place))
    return tuple(rules)


def _rule(entry: dict[str, str], place: str) -> RoleRule:
    if "region" not in entry:
        raise InputError(f"{place}: region is missing; say where the role works")
    if len(entry) == 1:
        raise InputError(f"{place}: names neither role nor account; say whose region it is")
    region = entry["region"]
    if region != INTERNET and not _REGION.fullmatch(region):
        raise InputError(f"{place}, region: {region!r} is no region; write one like eu-west-1, or internet")
    return RoleRule(**entry)
