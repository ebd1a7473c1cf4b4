"""Rows on pulls across regions and accounts for spreadsheets; an empty cell is unknown or does not apply.

Bytes and money of references are those of cold pulls, one of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from analyzer.model.pull_costs import PullCost
from analyzer.model.pull_report import TransferGroup
from analyzer.model.pulls import UNKNOWN_REGION
from analyzer.model.transfer import MoneyRange, TransferFinding
from analyzer.model.units import from_day
from reports.csv_cells import Cell, neutralised, truth
from reports.pulls_json import usd_text
from reports.recorded_words import reasons_of

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

#: ``basis`` is references (of workloads) or recorded (by CloudTrail); a row has the figures of its basis.
GROUP_COLUMNS: Final = (
    "basis",
    "day",
    "registry_account",
    "registry_region",
    "upstream",
    "repository",
    "account",
    "region",
    "source",
    "workload",
    "principal",
    "method",
    "confidence",
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
    "layer_pulls",
    "checks",
    "pulled_bytes",
    "pulls_of_unknown_size",
    "transfer_usd_low",
    "transfer_usd_high",
    "nat_usd_low",
    "nat_usd_high",
    "pulled_bytes_per_month",
    "transfer_usd_per_month_low",
    "transfer_usd_per_month_high",
    "nat_usd_per_month_low",
    "nat_usd_per_month_high",
    "leaves_out",
)


def finding_rows(findings: Sequence[TransferFinding]) -> Iterator[list[Cell]]:
    """The cells of FINDING_COLUMNS."""
    for finding in findings:
        cold, usd = finding.cold_pull, finding.usd_per_pull
        cells: list[Cell] = [
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
            truth(finding.is_cross_account),
            "" if cold.low_bytes is None else cold.low_bytes,
            "" if cold.high_bytes is None else cold.high_bytes,
            "" if cold.unknown else cold.foreign_bytes,
            usd_text(usd.low.amount),
            usd_text(usd.high.amount),
            "; ".join(reasons_of(usd)),
            finding.payer,
            finding.better_reference,
            "; ".join(finding.caveats),
        ]
        yield neutralised(cells)


def group_rows(groups: Sequence[TransferGroup]) -> Iterator[list[Cell]]:
    """The cells of GROUP_COLUMNS."""
    for group in groups:
        nothing = bool(group.crossing) and group.unsized == group.crossing
        cells: list[Cell] = [
            "references",
            "",
            group.registry_account,
            group.registry_region,
            group.upstream,
            group.repository,
            group.account,
            group.region,
            group.source,
            group.workload,
            *[""] * 3,
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
            *[""] * 13,
            "; ".join(reasons_of(group.usd)),
        ]
        yield neutralised(cells)


def cost_rows(rows: Sequence[PullCost]) -> Iterator[list[Cell]]:
    """The cells of GROUP_COLUMNS of what was recorded; "unknown" is a region that is not known."""
    for row in rows:
        nothing = bool(row.unsized_pulls) and row.unsized_pulls == row.layer_pulls
        monthly = "" if nothing or row.monthly_bytes is None else row.monthly_bytes
        cells: list[Cell] = [
            "recorded",
            "" if row.day is None else from_day(row.day).isoformat(),
            row.account or "",
            row.region or "",
            "",
            row.repository or "",
            row.principal_account or "",
            "unknown" if row.puller_region == UNKNOWN_REGION else row.puller_region or "",
            "",
            "",
            row.principal or "",
            row.method or "",
            row.confidence or "",
            *[""] * 12,
            row.layer_pulls,
            row.checks,
            "" if nothing else row.size_bytes,
            row.unsized_pulls,
            *_ends(row.transfer),
            *_ends(row.nat),
            monthly,
            *_ends(row.monthly_transfer),
            *_ends(row.monthly_nat),
            "; ".join(reasons_of(row.transfer, row.monthly_transfer, row.nat)),
        ]
        yield neutralised(cells)


def _ends(usd: MoneyRange | None) -> tuple[str, str]:
    return ("", "") if usd is None else (usd_text(usd.low.amount), usd_text(usd.high.amount))
