"""Rows of findings for spreadsheets; an empty cell is unknown or does not apply.

Savings are USD per month and overlap: a column of them does not add up to what all findings save.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from analyzer.model.findings import Finding
from reports.csv_cells import Cell, neutral, reasons
from reports.findings_words import evidence_text
from reports.rounding import exact_text

COLUMNS: Final = (
    "key",
    "check",
    "severity",
    "title",
    "account",
    "region",
    "repository",
    "subject",
    "owner",
    "owner_source",
    "message",
    "fix",
    "validate",
    "images",
    "freed_bytes_repository_scope",
    "freed_bytes_registry_scope",
    "images_of_unknown_size",
    "saving_usd_per_month_low",
    "saving_usd_per_month_high",
    "saving_leaves_out",
    "saving_supposes",
    "waived_until",
    "waiver_owner",
    "waiver_reason",
    "evidence",
)


def finding_rows(findings: Sequence[Finding]) -> Iterator[tuple[Cell, ...]]:
    """One row per finding, waived ones too."""
    for finding in findings:
        freed, saving, owner, waiver = finding.freed_bytes, finding.saving, finding.owner, finding.waiver
        yield (
            neutral(finding.key),
            finding.check,
            str(finding.severity),
            finding.title,
            neutral(finding.account),
            neutral(finding.region),
            neutral(finding.repository),
            neutral(finding.subject),
            "" if owner is None else neutral(owner.name),
            "" if owner is None else neutral(owner.source),
            neutral(finding.message),
            neutral(finding.fix),
            neutral(finding.validate),
            finding.images,
            "" if freed is None else freed.repository,
            "" if freed is None else freed.registry,
            finding.unknown_size,
            "" if saving is None else exact_text(saving.low),
            "" if saving is None else exact_text(saving.high),
            "" if saving is None else reasons(saving.low, saving.high),
            neutral(finding.saving_note),
            "" if waiver is None else waiver.expires.isoformat(),
            "" if waiver is None else neutral(waiver.owner),
            "" if waiver is None else neutral(waiver.reason),
            neutral("; ".join(map(evidence_text, finding.evidence))),
        )
