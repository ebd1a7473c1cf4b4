"""The check of ``lint`` that matters most: policies that take images which somebody needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analyzer.lifecycle.lint_fleet import EXAMPLES, Fleet, Said, Slot
from analyzer.lifecycle.policy import Action
from analyzer.model.frames import Bools, Int64
from analyzer.model.lint import LintCode, LintFinding, Severity
from analyzer.model.records import UseKind
from analyzer.model.usage import KINDS, LISTED, Usage, Use
from analyzer.model.verdicts import Reason
from analyzer.model.words import counted, images

_LEAVE_IN_USE = (
    "keep them with a rule of a smaller number that selects them, or move the workloads to newer images"
)
_LEAVE_PREVIOUS = (
    "keep them with a rule of a smaller number that selects them, or do without rolling back that far"
)
_LEAVE_PROTECTED = "keep them with a rule of a smaller number that selects them"


@dataclass(frozen=True, slots=True)
class Need:
    """Artifacts that are needed in one way."""

    code: LintCode
    severity: Severity
    mask: Bools
    #: What they are, behind the word for them.
    what: str
    fix: str
    usage: Usage | None = None

    def of_kinds(self, positions: Int64) -> str:
        """How these are used, in numbers: ``: 2 running, 1 configured``; "" where it is not known."""
        if self.usage is None:
            return ""
        counts = np.bincount(self.usage.kind[positions], minlength=LISTED + 1).tolist()
        # What they are says it already where all are on a list, or only used before.
        if not sum(counts[: UseKind.PREVIOUS]):
            return ""
        names = (*KINDS[:LISTED], "on the list given")
        said = [f"{number:,} {name}" for number, name in zip(counts, names, strict=False) if number]
        return f": {', '.join(said)}"

    def users(self, positions: Int64) -> tuple[Use, ...]:
        """Who uses the first of these, which are the examples."""
        if self.usage is None:
            return ()
        found = [use for position in positions[:EXAMPLES].tolist() for use in self.usage.of(position)]
        return tuple(dict.fromkeys(found))


def needs(usage: Usage | None, protected: Bools | None) -> list[Need]:
    """What is needed, and how much it matters."""
    found = []
    if usage is not None:
        previous = usage.kind == UseKind.PREVIOUS
        found = [
            Need(
                LintCode.TAKES_IN_USE,
                Severity.HIGH,
                usage.in_use & ~previous,
                "in use",
                _LEAVE_IN_USE,
                usage,
            ),
            Need(
                LintCode.TAKES_IN_USE,
                Severity.MEDIUM,
                previous,
                "that only earlier states of workloads use",
                _LEAVE_PREVIOUS,
                usage,
            ),
        ]
    if protected is not None:
        found.append(
            Need(
                LintCode.TAKES_PROTECTED,
                Severity.HIGH,
                protected,
                "that must not be touched",
                _LEAVE_PROTECTED,
            )
        )
    return found


def taken(fleet: Fleet, slot: Slot, need: Need) -> Iterator[LintFinding]:
    """The artifacts that are needed and that the rules of ``slot`` make leave or archive."""

    def say(row: int, positions: Int64) -> Said:
        rule = slot.rules[row]
        verb = "expires" if rule.action is Action.EXPIRE else "archives"
        number = images(len(positions))
        return Said(
            f"rule {rule.priority} {verb} {number} {need.what}{need.of_kinds(positions)}",
            need.fix,
            need.severity,
            rule.priority,
            need.users(positions),
        )

    return fleet.found(need.code, need.mask & fleet.leaves & fleet.decided(slot), say)


def followers_taken(fleet: Fleet, need: Need) -> Iterator[LintFinding]:
    """What is needed and leaves without a rule of its own, because its subject does."""

    def say(_: int, positions: Int64) -> Said:
        number = counted(len(positions), "referrer", "referrers")
        return Said(
            f"{number} {need.what} would go with what they refer to{need.of_kinds(positions)}",
            "keep the images that they refer to",
            need.severity,
            users=need.users(positions),
        )

    following = fleet.verdicts.reason == Reason.FOLLOWS_SUBJECT
    return fleet.found(need.code, need.mask & following, say)
