"""The table of checks, and what runs them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from analyzer.hygiene import (
    access,
    layers,
    orphans,
    policies,
    quotas,
    replicas,
    repositories,
    scanner_pulls,
    settings,
    upstreams,
    vulnerabilities,
)
from analyzer.hygiene.estate import Check, Estate, Found, Unjudged
from analyzer.hygiene.telling import Teller
from analyzer.model.findings import Finding, NotJudged
from analyzer.model.frames import Int64

#: Every check, in the order in which they are listed. Families of checks are modules of this package,
#: each with a tuple of its own.
CHECKS: Final[tuple[Check, ...]] = (
    *policies.CHECKS,
    *repositories.CHECKS,
    *settings.CHECKS,
    *access.CHECKS,
    *vulnerabilities.CHECKS,
    *orphans.CHECKS,
    *scanner_pulls.CHECKS,
    *replicas.CHECKS,
    *upstreams.CHECKS,
    *layers.CHECKS,
    *quotas.CHECKS,
)


@dataclass(frozen=True, slots=True)
class Told:
    """A finding, and the artifacts that leave if it is mended (None where it frees no storage)."""

    finding: Finding
    leaves: Int64 | None
    #: Row of the repository; None where it is about a registry.
    row: int | None


@dataclass(frozen=True, slots=True)
class Answers:
    """What some checks say."""

    told: tuple[Told, ...]
    not_judged: tuple[NotJudged, ...]


def run_checks(
    estate: Estate, checks: Sequence[Check] = CHECKS, *, about: Collection[int] | None = None
) -> Answers:
    """What ``checks`` find in ``estate``, in the order of the checks.

    What is not judged is told of the rows ``about`` alone (and of whole registries), by default of all.
    """
    found: list[tuple[Check, Found]] = []
    unjudged: list[tuple[Check, Unjudged]] = []
    for check in checks:
        for answer in check.find(estate):
            if isinstance(answer, Found):
                found.append((check, answer))
            elif about is None or answer.row is None or answer.row in about:
                unjudged.append((check, answer))
    findings = Teller(estate).tell(found)
    return Answers(
        told=tuple(
            Told(finding, answer.leaves, answer.row)
            for finding, (_, answer) in zip(findings, found, strict=True)
        ),
        not_judged=_summed_up(estate, unjudged),
    )


def _summed_up(estate: Estate, unjudged: Sequence[tuple[Check, Unjudged]]) -> tuple[NotJudged, ...]:
    """One entry per check, registry and reason."""
    number: dict[tuple[str, int, str], int] = {}
    for check, answer in unjudged:
        key = (check.text.id, answer.registry, answer.reason)
        number[key] = number.get(key, 0) + (answer.row is not None)
    return tuple(
        NotJudged(
            check=check,
            account=estate.accounts[registry],
            region=estate.regions[registry],
            repositories=repositories_of,
            reason=reason,
        )
        for (check, registry, reason), repositories_of in sorted(number.items())
    )
