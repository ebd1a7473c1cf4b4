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
from analyzer.hygiene.telling import Teller, Union
from analyzer.hygiene.waivers import EXPIRED, expired_waivers, waive
from analyzer.model.findings import (
    CheckText,
    Finding,
    FindingsReport,
    Owner,
    RepositoryFindings,
    Waiver,
)
from analyzer.model.results import ScopedBytes
from analyzer.model.transfer import MoneyRange
from analyzer.model.units import Money, from_ms

_NOTHING: Final = MoneyRange(low=Money(Decimal(0)), high=Money(Decimal(0)))
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

    def has(self, repository: str) -> bool:
        """Whether the answer is about repositories of this name."""
        return not self.repositories or any(fnmatchcase(repository, glob) for glob in self.repositories)

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
    rows = {row for row in estate.rows if wanted.has(estate.names[row])}
    answers = run_checks(estate, checks, about=rows)
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
        replace(one, finding=finding)
        for one, finding in zip(
            [*answers.told, *(Told(finding, None, None) for finding in expired)], judged, strict=True
        )
        if wanted.takes(finding)
    ]
    told.sort(key=lambda one: _order(one.finding))
    is_open = [one for one in told if one.finding.waiver is None]
    union = Teller(estate).union(one.leaves for one in is_open if one.leaves is not None)
    texts = (*(check.text for check in checks), EXPIRED)
    return FindingsReport(
        at=from_ms(estate.known.at_ms),
        stale_days=estate.known.stale_days,
        repositories=len(rows),
        checks=tuple(text for text in texts if not wanted.checks or text.id in wanted.checks),
        findings=tuple(one.finding for one in told),
        by_repository=_by_repository(is_open, union),
        not_judged=tuple(
            one for one in answers.not_judged if not wanted.checks or one.check in wanted.checks
        ),
        unmatched_waivers=tuple(unmatched),
        freed_bytes=union.freed_bytes,
        storage_saving=union.saving,
        coverage=estate.known.coverage,
        use_basis=estate.known.use_basis,
    )


def _by_repository(told: Sequence[Told], union: Union) -> tuple[RepositoryFindings, ...]:
    """What the open findings of each repository come to; those of waivers are about none."""
    groups: dict[tuple[str, str, str, int | None], list[Told]] = {}
    for one in told:
        finding = one.finding
        if finding.check != EXPIRED.id:
            key = finding.account, finding.region, finding.repository, one.row
            groups.setdefault(key, []).append(one)
    found = []
    for (account, region, repository, row), members in groups.items():
        findings = [one.finding for one in members]
        saves = row is not None and any(one.leaves is not None for one in members)
        # Where nothing leaves, there is nothing in the union, and that is known.
        nothing = (ScopedBytes(repository=0, registry=0), 0, _NOTHING)
        freed, unknown, saving = union.by_row.get(-1 if row is None else row, nothing)
        found.append(
            RepositoryFindings(
                account=account,
                region=region,
                repository=repository,
                owner=findings[0].owner,
                severity=min((finding.severity for finding in findings), key=lambda level: level.rank),
                findings=len(findings),
                checks=tuple(dict.fromkeys(finding.check for finding in sorted(findings, key=_by_saving))),
                freed_bytes=freed if saves else None,
                unknown_size=unknown,
                saving=saving if saves else None,
            )
        )
    return tuple(sorted(found, key=_dearest_first))


def _dearest_first(row: RepositoryFindings) -> tuple[object, ...]:
    promised = Decimal(0) if row.saving is None else row.saving.low.amount or Decimal(0)
    return -promised, row.severity.rank, -row.findings, row.account, row.region, row.repository


def _by_saving(finding: Finding) -> tuple[object, ...]:
    promised = Decimal(0) if finding.saving is None else finding.saving.low.amount or Decimal(0)
    return -promised, finding.severity.rank, finding.check


def _order(finding: Finding) -> tuple[object, ...]:
    promised = Decimal(0) if finding.saving is None else finding.saving.low.amount or Decimal(0)
    freed = finding.freed_bytes
    return (
        finding.severity.rank,
        -promised,
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
