"""Whom repositories belong to: by their tags, or by the beginning of their names.

A file of prefixes is TOML::

    [[owner]]
    prefix = "payments/"        # the longest that a name begins with decides
    owner = "team-payments"

    [[owner]]
    account = "4445*"           # pattern of the account; what is left out matches everything
    owner = "data platform"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from analyzer.errors import InputError
from analyzer.model.findings import Owner
from analyzer.toml_tables import read_tables

_KEYS = ("prefix", "account", "owner")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedPrefix:
    """Repositories whose names begin so belong to ``owner``."""

    owner: str
    #: "" for every name.
    prefix: str = ""
    #: Pattern.
    account: str = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """How owners are told: by the first of these tags that a repository has, else by its name."""

    tag_keys: tuple[str, ...] = ()
    prefixes: tuple[OwnedPrefix, ...] = ()

    def of(self, account: str, repository: str, tags: Mapping[str, str] | None) -> Owner | None:
        """The owner of a repository with these tags (None: not known); None where nobody is known.

        A tag without a value names nobody. Of prefixes that fit the longest decides, of equal ones the
        first.
        """
        for key in self.tag_keys:
            if value := (tags or {}).get(key, "").strip():
                return Owner(name=value, source=f"tag {key}")
        fitting = [
            entry
            for entry in self.prefixes
            if repository.startswith(entry.prefix) and fnmatchcase(account, entry.account)
        ]
        if not fitting:
            return None
        best = max(fitting, key=lambda entry: len(entry.prefix))
        return Owner(name=best.owner, source=f"prefix {best.prefix}" if best.prefix else "default")

    def of_registry(self, account: str) -> Owner | None:
        """The owner of a whole registry: an entry without a prefix."""
        return self.of(account, "", None)


def parse_owned_prefixes(text: str, *, origin: str) -> tuple[OwnedPrefix, ...]:
    """The entries of a TOML ``text``; raises InputError, naming ``origin``, for a wrong one."""
    found: list[OwnedPrefix] = []
    for place, entry in read_tables(text, "owner", _KEYS, origin=origin):
        if "owner" not in entry:
            raise InputError(f"{place}: owner is missing; say whose these repositories are")
        found.append(OwnedPrefix(**entry))
        _require_new(found, place)
    return tuple(found)


def _require_new(found: Sequence[OwnedPrefix], place: str) -> None:
    *earlier, last = found
    for entry in earlier:
        if (entry.prefix, entry.account) == (last.prefix, last.account):
            what = f"prefix {last.prefix!r}" if last.prefix else "an entry without a prefix"
            raise InputError(f"{place}: {what} is there twice; write it once")
