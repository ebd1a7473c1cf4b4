"""What an estate's findings come to: who owns them, which are waived, what all of them free together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final

from analyzer.hygiene.checks import CHECKS, Told, run_checks
from analyzer.hygiene.estate import Check, Estate
from analyzer.hygiene.owners import Ownership
from analyzer.hygiene.telling import Teller
from analyzer.hygiene.waivers import EXPIRED, expired_waivers, waive
from analyzer.model.findings import CheckText, Finding, FindingsReport, Owner, Waiver
from analyzer.model.units import from_ms

#: Texts of every check, that of waivers last: no look at a registry finds those.
ALL_CHECKS: Final[tuple[CheckText, ...]] = (*(check.text for check in CHECKS), EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreements:
    """What the user's side agreed on: whose what is, who is known, and what is lived with."""

    ownership: Ownership = field(default_factory=Ownership)
    waivers: tuple[Waiver, ...] = ()
    #: Accounts and organizations that are no strangers, beside those that were collected.
    known_accounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which findings an answer is about; all of them by default."""

    #: Ids.
    checks: frozenset[str] = frozenset()
    #: Patterns of names; with any, what is about a whole registry is left out.
    repositories: tuple[str, ...] = ()
    #: Patterns of owners; the owner of what nobody owns is "".
    owners: tuple[str, ...] = ()

    def takes(self, finding: Finding) -> bool:
        """Whether the answer is about ``finding``."""
        owner = "" if finding.owner is None else finding.owner.name
        return (
            (not self.checks or finding.check in self.checks)
            and (
                not self.repositories
                # The place of a waiver is a pattern itself.
                or finding.check == EXPIRED.id
                or any(finding.repository and fnmatchcase(finding.repository, g) for g in self.repositories)
            )
            and (not self.owners or any(fnmatchcase(owner, glob) for glob in self.owners))
        )


def judge(
    estate: Estate,
    agreements: Agreements,
    wanted: Wanted | None = None,
    *,
    checks: Sequence[Check] = CHECKS,
) -> FindingsReport:
    """The findings of ``estate``, without what was not read; that is the caller's to add.

    Waivers are held against all findings, whatever is ``wanted``, so that one is called unmatched only
    where it covers nothing.
    """
    wanted = Wanted() if wanted is None else wanted
    answers = run_checks(estate, checks)
    owner_of = _owners(estate, agreements.ownership)
    owned = [replace(told.finding, owner=owner_of(told.finding)) for told in answers.told]
    today = from_ms(estate.known.at_ms).date()
    expired = [
        replace(finding, owner=Owner(name=waiver.owner, source="waiver"))
        for waiver in agreements.waivers
        for finding in expired_waivers([waiver], owned, today)
    ]
    judged, unmatched = waive([*owned, *expired], agreements.waivers, today)
    told = [
        Told(finding, answer)
        for finding, answer in zip(
            judged, [*(told.leaves for told in answers.told), *(None for _ in expired)], strict=True
        )
        if wanted.takes(finding)
    ]
    told.sort(key=lambda one: _order(one.finding))
    freed, saving = Teller(estate).union(
        one.leaves for one in told if one.leaves is not None and one.finding.waiver is None
    )
    texts = (*(check.text for check in checks), EXPIRED)
    return FindingsReport(
        at=from_ms(estate.known.at_ms),
        stale_days=estate.known.stale_days,
        repositories=sum(
            not wanted.repositories or any(fnmatchcase(name, glob) for glob in wanted.repositories)
            for name in estate.names
        ),
        checks=tuple(text for text in texts if not wanted.checks or text.id in wanted.checks),
        findings=tuple(one.finding for one in told),
        not_judged=tuple(
            one for one in answers.not_judged if not wanted.checks or one.check in wanted.checks
        ),
        unmatched_waivers=tuple(unmatched),
        freed_bytes=freed,
        storage_saving=saving,
        coverage=estate.known.coverage,
    )


def _order(finding: Finding) -> tuple[object, ...]:
    saving = None if finding.saving is None else finding.saving.low.amount
    freed = finding.freed_bytes
    return (
        finding.severity.rank,
        -(saving or Decimal(0)),
        0 if freed is None else -freed.repository,
        finding.account,
        finding.region,
        finding.repository,
        finding.check,
        finding.subject,
    )


def _owners(estate: Estate, ownership: Ownership) -> Callable[[Finding], Owner | None]:
    """The owner of each finding; of a repository that was made again the later one counts."""
    tags = {
        (estate.accounts[estate.registry[row]], estate.regions[estate.registry[row]], estate.names[row]): (
            estate.known.of_repositories[row].tags
        )
        for row in estate.rows
    }

    def owner_of(finding: Finding) -> Owner | None:
        if not finding.repository:
            return ownership.of_registry(finding.account)
        place = finding.account, finding.region, finding.repository
        return ownership.of(finding.account, finding.repository, tags[place])

    return owner_of
