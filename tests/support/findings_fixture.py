"""Findings of every kind on the repositories of a report, the same for the same report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from analyzer.hygiene.judging import ALL_CHECKS
from analyzer.model.findings import (
    Evidence,
    Finding,
    FindingsReport,
    NotJudged,
    Owner,
    RepositoryFindings,
    Waiver,
)
from analyzer.model.results import UNKNOWN_SIZE, Report, RepositoryRow, ScopedBytes
from analyzer.model.transfer import MoneyRange
from analyzer.model.units import GB, Money
from tests.support.report_fixture import HOSTILE

WAIVER = Waiver(
    check="MUTABLE_TAGS",
    owner=HOSTILE[0],
    reason=HOSTILE[2],
    expires=date(2027, 3, 31),
    place="--waivers waivers.toml: waiver number 1",
)


def findings_of(report: Report, *, hostile: bool = False, each: int = 3) -> FindingsReport:
    """So many findings on each repository, of one check after the other; some waived, some unknown."""
    findings = [
        _finding(row, n * each + k, hostile=hostile)
        for n, row in enumerate(report.repositories)
        for k in range(each)
    ]
    findings.sort(key=lambda finding: finding.severity.rank)
    total = sum(f.freed_bytes.repository for f in findings if f.freed_bytes and not f.waiver)
    whole = _saving(total)
    return FindingsReport(
        at=report.at,
        stale_days=report.stale_days,
        repositories=len(report.repositories),
        checks=ALL_CHECKS,
        findings=tuple(findings),
        by_repository=tuple(_together(row, findings) for row in report.repositories[:40]),
        not_judged=(
            NotJudged(
                check="NOT_SCANNED",
                account="111122223333",
                region="eu-west-1",
                repositories=2,
                reason="how it is scanned was not read",
            ),
        ),
        unmatched_waivers=(replace(WAIVER, check="EMPTY_REPOSITORY"),),
        freed_bytes=ScopedBytes(repository=total, registry=total),
        storage_saving=whole,
    )


def with_findings(report: Report, *, hostile: bool = False) -> Report:
    """``report`` with findings on all of its repositories."""
    return replace(report, findings=findings_of(report, hostile=hostile))


def _finding(row: RepositoryRow, number: int, *, hostile: bool) -> Finding:
    check = ALL_CHECKS[number % len(ALL_CHECKS)]
    said = HOSTILE[number % len(HOSTILE)] if hostile else f"sentence {number}"
    freed = number % 7 * GB // 3
    unknown = number % 5 == 4
    saves = number % 3 != 2
    return Finding(
        check=check.id,
        severity=check.severity,
        title=check.title,
        account=row.account,
        region=row.region,
        repository=row.repository,
        subject=f"rule-{number}",
        message=said,
        fix=check.fix,
        validate=check.validate,
        images=number,
        freed_bytes=ScopedBytes(repository=freed, registry=freed // 2) if saves and not unknown else None,
        unknown_size=int(unknown),
        saving=None if not saves else _unknown() if unknown else _saving(freed),
        saving_note=said if saves else "",
        evidence=tuple(
            Evidence(
                kind="image",
                name=f"{row.repository}@sha256:{number:064x}",
                digest=f"sha256:{number:064x}",
                tags=(said,),
                size_bytes=number * 1000 if number % 2 else None,
                pushed_at=datetime(2026, 1, 1 + number % 28, tzinfo=UTC),
                last_pull="never" if number % 2 else "2026-02-03",
                note=said,
            )
            for _ in range(number % 3)
        ),
        owner=Owner(name=said, source="tag team") if number % 4 else None,
        waiver=WAIVER if check.id == "MUTABLE_TAGS" else None,
    )


def _together(row: RepositoryRow, findings: list[Finding]) -> RepositoryFindings:
    own = [
        f
        for f in findings
        if (f.account, f.region, f.repository) == (row.account, row.region, row.repository)
    ]
    freed = max((f.freed_bytes.repository for f in own if f.freed_bytes), default=0)
    return RepositoryFindings(
        account=row.account,
        region=row.region,
        repository=row.repository,
        owner=own[0].owner,
        severity=own[0].severity,
        findings=len(own),
        checks=tuple(dict.fromkeys(f.check for f in own)),
        freed_bytes=ScopedBytes(repository=freed, registry=freed),
        unknown_size=sum(f.unknown_size for f in own),
        saving=_saving(freed),
    )


def _saving(size_bytes: int) -> MoneyRange:
    high = Decimal(size_bytes) / GB / 10
    return MoneyRange(low=Money(high / 2), high=Money(high))


def _unknown() -> MoneyRange:
    return MoneyRange(low=Money.unknown(UNKNOWN_SIZE), high=Money.unknown(UNKNOWN_SIZE))
