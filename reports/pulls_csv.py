"""Rows on pulls across regions and accounts for spreadsheets; an empty cell is unknown or does not apply.

Bytes and money are those of cold pulls, one of each reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from analyzer.model.pull_report import TransferGroup
from analyzer.model.transfer import MoneyRange, TransferFinding
from reports.pulls_json import usd_text

_Cell = str | int

FINDING_COLUMNS: Final = (
    "code",
    "severity",
    "account",
    "region",
    "source",
    "reference",
    "workloads",
    "workload_names",
    "registry_account",
    "registry_region",
    "upstream",
    "repository",
    "cross_account",
    "cold_pull_bytes_low",
    "cold_pull_bytes_high",
    "foreign_bytes",
    "cost_usd_per_pull_low",
    "cost_usd_per_pull_high",
    "leaves_out",
    "payer",
    "better_reference",
    "caveats",
)

GROUP_COLUMNS: Final = (
    "registry_account",
    "registry_region",
    "upstream",
    "repository",
    "account",
    "region",
    "source",
    "workload",
    "codes",
    "accounts",
    "payers",
    "findings",
    "workloads",
    "crossing",
    "of_unknown_size",
    "cold_pull_bytes_low",
    "cold_pull_bytes_high",
    "replica_bytes",
    "cost_usd_per_pull_low",
    "cost_usd_per_pull_high",
    "leaves_out",
)


def finding_rows(findings: Sequence[TransferFinding], neutral: Callable[[str], str]) -> Iterator[list[_Cell]]:
    """The cells of FINDING_COLUMNS, those of text made safe by ``neutral``."""
    for finding in findings:
        cold, usd = finding.cold_pull, finding.usd_per_pull
        cells: list[_Cell] = [
            str(finding.code),
            str(finding.severity),
            finding.account,
            finding.region,
            finding.source,
            finding.reference,
            len(finding.users),
            "; ".join(f"{user.workload} ({user.kind})" for user in finding.users),
            finding.registry_account,
            finding.registry_region,
            finding.upstream,
            finding.repository,
            "true" if finding.is_cross_account else "false",
            "" if cold.low_bytes is None else cold.low_bytes,
            "" if cold.high_bytes is None else cold.high_bytes,
            "" if cold.unknown else cold.foreign_bytes,
            usd_text(usd.low.amount),
            usd_text(usd.high.amount),
            _reasons(usd),
            finding.payer,
            finding.better_reference,
            "; ".join(finding.caveats),
        ]
        yield _neutralised(cells, neutral)


def group_rows(groups: Sequence[TransferGroup], neutral: Callable[[str], str]) -> Iterator[list[_Cell]]:
    """The cells of GROUP_COLUMNS, those of text made safe by ``neutral``."""
    for group in groups:
        nothing = bool(group.crossing) and group.unsized == group.crossing
        cells: list[_Cell] = [
            group.registry_account,
            group.registry_region,
            group.upstream,
            group.repository,
            group.account,
            group.region,
            group.source,
            group.workload,
            " ".join(group.codes),
            " ".join(group.accounts),
            " ".join(group.payers),
            group.findings,
            group.workloads,
            group.crossing,
            group.unsized,
            "" if nothing else group.low_bytes,
            "" if nothing else group.high_bytes,
            "" if nothing else group.replica_bytes,
            usd_text(group.usd.low.amount),
            usd_text(group.usd.high.amount),
            _reasons(group.usd),
        ]
        yield _neutralised(cells, neutral)


def _reasons(usd: MoneyRange) -> str:
    return "; ".join(sorted({*usd.low.leaves_out, *usd.high.leaves_out}))


def _neutralised(cells: Sequence[_Cell], neutral: Callable[[str], str]) -> list[_Cell]:
    return [neutral(cell) if isinstance(cell, str) else cell for cell in cells]
