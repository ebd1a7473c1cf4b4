"""Which accounts of an organization are meant: patterns over ids, names and organizational units.

- ``123456789012``, ``prod-*``: a shell-style pattern over the account's id and its name;
- ``name:ou:odd``: one over its name alone, for names that look like something else;
- ``ou:ou-ab12-11111111``, ``ou:/Root/Prod``: an organizational unit with all that is under it, by id or
  by its path of names from the root, which may hold wildcards too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from analyzer.collect.organization import Member, Unit
from analyzer.collect.places import Skipped
from analyzer.errors import InputError

#: What an id of a root or an organizational unit, or a path of them, begins like.
_UNIT_LIKE = re.compile(r"/|(?:ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}|r-[0-9a-z]{4,32})$")


class AccountPattern(NamedTuple):
    """One pattern, parsed."""

    #: As the user wrote it, with its option.
    origin: str
    #: "" (id or name), name or ou.
    kind: str
    glob: str

    def covers(self, member: Member, unit: Unit | None) -> bool:
        """Whether ``member``, which is in ``unit``, is meant."""
        if self.kind == "ou":
            places = () if unit is None else (*unit.ids, *unit.paths)
            return any(fnmatchcase(place, self.glob) for place in places)
        texts = (member.name,) if self.kind == "name" else (member.account, member.name)
        return any(fnmatchcase(text, self.glob) for text in texts)


def parse_patterns(texts: Sequence[str], option: str) -> tuple[AccountPattern, ...]:
    """The patterns of ``option``; raises InputError for one that could never mean an account."""
    return tuple(_parsed(text, option) for text in texts)


def _parsed(text: str, option: str) -> AccountPattern:
    origin = f"{option} {text}"
    kind, colon, glob = text.partition(":")
    if not colon or kind not in ("name", "ou"):
        kind, glob = "", text
    if not glob.strip():
        raise InputError(f"{option} {text!r}: there is no pattern in it; write an account's id or name")
    if not kind and _UNIT_LIKE.match(glob):
        raise InputError(f"{origin}: looks like an organizational unit; write {option} ou:{glob}")
    if kind == "ou" and not re.match(r"/|ou-|r-|[*?\[]", glob):
        raise InputError(
            f"{origin}: an organizational unit is named by its id (ou:ou-ab12-11111111) or by its path"
            " from the root (ou:/Root/Prod)"
        )
    return AccountPattern(origin, kind, glob.rstrip("/") or glob)


def need_units(*patterns: Iterable[AccountPattern]) -> bool:
    """Whether any of the patterns is about organizational units."""
    return any(pattern.kind == "ou" for several in patterns for pattern in several)


def choose(
    members: Sequence[Member],
    units: Mapping[str, Unit],
    include: Sequence[AccountPattern],
    exclude: Sequence[AccountPattern],
) -> tuple[list[Member], list[Skipped]]:
    """(accounts that are meant and active, the others with the reason), each in the order given."""
    chosen, skipped = [], []
    for member in members:
        unit = units.get(member.account)
        covering = next((pattern for pattern in exclude if pattern.covers(member, unit)), None)
        if covering is not None:
            reason = f"left out by {covering.origin}"
        elif include and not any(pattern.covers(member, unit) for pattern in include):
            reason = "not among those of --include"
        elif member.state != "ACTIVE":
            reason = f"its state is {member.state}"
        else:
            chosen.append(member)
            continue
        skipped.append(Skipped(member.account, member.name, reason))
    return chosen, skipped
