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
from dataclasses import dataclass
from fnmatch import fnmatchcase

from analyzer.errors import InputError
from analyzer.model.pulls import INTERNET
from analyzer.toml_tables import read_tables

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
    return tuple(_rule(entry, place) for place, entry in read_tables(text, "role", _KEYS, origin=origin))


def _rule(entry: dict[str, str], place: str) -> RoleRule:
    if "region" not in entry:
        raise InputError(f"{place}: region is missing; say where the role works")
    if len(entry) == 1:
        raise InputError(f"{place}: names neither role nor account; say whose region it is")
    region = entry["region"]
    if region != INTERNET and not _REGION.fullmatch(region):
        raise InputError(f"{place}, region: {region!r} is no region; write one like eu-west-1, or internet")
    return RoleRule(**entry)
