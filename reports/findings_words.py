"""Findings in words: where they are, what they save, what could not be judged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from analyzer.model.findings import Evidence, Finding, FindingsReport, NotJudged, Owner, RepositoryFindings
from analyzer.model.lint import Severity
from analyzer.model.transfer import MoneyRange
from analyzer.model.usage import UseBasis
from analyzer.model.words import counted
from reports.figures import UNKNOWN, headline_money, listed, size, span
from reports.rounding import CENT_DECIMALS, rounded
from reports.text import shortened
from reports.usage import coverage_sentences, in_use_words

_DIGEST: Final = re.compile(r"(sha(?:256|512):[0-9a-f]{12})[0-9a-f]+")

#: What money of findings is, wherever it is shown.
OVERLAP: Final = (
    "What a finding saves is what would leave the bill if it alone were mended. Findings overlap, so that"
    " these figures do not add up; the total counts each layer once."
)


def place_text(finding: Finding | RepositoryFindings) -> str:
    """``account/region/repository``, without a repository for a whole registry."""
    return "/".join(filter(None, (finding.account, finding.region, finding.repository)))


def saving_text(saving: MoneyRange | None) -> str:
    """``$1.20``, both ends of a range with a star where something is left out; "" for no saving."""
    if saving is None:
        return ""
    low, high = (
        headline_money(rounded(end, CENT_DECIMALS), end.currency, end.amount)
        for end in (saving.low, saving.high)
    )
    is_part = saving.high.amount is not None and (saving.low.leaves_out or saving.high.leaves_out)
    return f"{span(low, high)}{'*' if is_part else ''}"


def freed_text(row: Finding | RepositoryFindings) -> str:
    """What would leave, counted inside the repository: ``1.23 GB``; "" where nothing would."""
    if row.freed_bytes is None:
        return UNKNOWN if row.unknown_size else ""
    return f"{size(row.freed_bytes.repository)}{'*' if row.unknown_size else ''}"


def owner_text(owner: Owner | None) -> str:
    """The owner's name; "" for nobody."""
    return "" if owner is None else owner.name


def counts_text(findings: Sequence[Finding]) -> str:
    """``12 findings: 3 high, 9 medium``."""
    by_severity = Counter(finding.severity for finding in findings)
    parts = ", ".join(f"{by_severity[level]:,} {level}" for level in Severity if by_severity[level])
    return f"{counted(len(findings), 'finding')}: {parts}" if parts else "No findings"


def evidence_text(evidence: Evidence) -> str:
    """``app:1.2 (345 MB, pushed 2026-01-02, last pulled 2026-02-03)``."""
    facts = []
    if evidence.size_bytes is not None:
        facts.append(size(evidence.size_bytes))
    if evidence.pushed_at is not None:
        facts.append(f"pushed {evidence.pushed_at:%Y-%m-%d}")
    if evidence.last_pull == "never":
        facts.append("never pulled")
    elif evidence.last_pull:
        facts.append(f"last pulled {evidence.last_pull}")
    if evidence.note:
        facts.append(evidence.note)
    return f"{evidence.name} ({', '.join(facts)})" if facts else evidence.name


def example_text(evidence: Evidence, limit: int) -> str:
    """The same for a line that is read: of digests the beginning, at most ``limit`` characters."""
    return shortened(_DIGEST.sub(r"\1…", evidence_text(evidence)), limit)


def summary_sentences(report: FindingsReport) -> Iterator[str]:
    """What the findings come to."""
    is_open = report.open
    waived = len(report.findings) - len(is_open)
    repositories = counted(report.repositories, "repository", "repositories")
    yield (
        f"{counts_text(is_open)}{f'; {waived:,} waived' if waived else ''}"
        f" ({repositories}, {counted(len(report.checks), 'check')})."
    )
    if report.freed_bytes.repository:
        yield (
            f"If all that is open were mended, {size(report.freed_bytes.repository)} would leave the store,"
            f" saving {saving_text(report.storage_saving)} a month."
        )
    if report.use_basis != UseBasis():
        yield f"In use is {in_use_words(report.use_basis)}."
    if report.coverage is not None:
        yield from coverage_sentences(report.coverage)


def not_judged_sentences(rows: Sequence[NotJudged]) -> Iterator[str]:
    """What checks say nothing about, a sentence each check and reason."""
    groups: dict[tuple[str, str], list[NotJudged]] = {}
    for row in rows:
        groups.setdefault((row.check, row.reason), []).append(row)
    for (check, reason), members in groups.items():
        number = sum(row.repositories for row in members)
        what = counted(number, "repository", "repositories") if number else ""
        places = listed([f"{row.account}/{row.region}" for row in members], 3)
        yield f"{check} says nothing of {f'{what} in ' if what else ''}{places}: {reason}."
