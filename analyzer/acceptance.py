"""Gaps that are known and accepted: still shown, but no reason to call a run incomplete.

A file of them is TOML::

    [[gap]]
    account = "1234*"        # shell-style patterns; what is left out matches everything
    region = "eu-*"
    repository = "legacy/*"
    call = "ecr:GetLifecyclePolicy"
    reason = "The legacy team denies us its policies; agreed until 2027."
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from analyzer.errors import InputError
from analyzer.model.records import Gap
from analyzer.toml_tables import read_tables

_PATTERNS = ("account", "region", "repository", "call")


@dataclass(frozen=True, slots=True)
class AcceptedGap:
    """Patterns of gaps that somebody accepted, and why."""

    reason: str
    account: str = "*"
    region: str = "*"
    repository: str = "*"
    call: str = "*"

    def covers(self, gap: Gap) -> bool:
        """Whether ``gap`` is one of those accepted."""
        return all(fnmatchcase(getattr(gap, name), getattr(self, name)) for name in _PATTERNS)


def parse_accepted_gaps(text: str, *, origin: str) -> tuple[AcceptedGap, ...]:
    """The accepted gaps of a TOML ``text``; raises InputError, naming ``origin``, for a wrong one."""
    accepted = []
    for place, entry in read_tables(text, "gap", (*_PATTERNS, "reason"), origin=origin):
        if "reason" not in entry:
            raise InputError(f"{place}: reason is missing; say why the gap is accepted")
        accepted.append(AcceptedGap(**entry))
    return tuple(accepted)


def split_gaps(
    gaps: Iterable[Gap], accepted: Iterable[AcceptedGap]
) -> tuple[list[Gap], list[tuple[Gap, str]]]:
    """(gaps that nobody accepted, accepted ones with the reason of the first entry that covers them)."""
    patterns = tuple(accepted)
    open_gaps, covered = [], []
    for gap in gaps:
        entry = next((entry for entry in patterns if entry.covers(gap)), None)
        if entry is None:
            open_gaps.append(gap)
        else:
            covered.append((gap, entry.reason))
    return open_gaps, covered
