"""Recommended policies for spreadsheets, a row per repository; an empty cell is unknown or does not apply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from analyzer.model.recommendation import Recommendation, RecommendReport
from analyzer.model.units import iso
from reports.csv_cells import Cell, neutral, reasons, truth
from reports.rounding import exact_text

COLUMNS: Final = (
    "account",
    "region",
    "repository",
    "advice",
    "reason",
    "has_policy",
    "pull_through_cache",
    "rules",
    "artifacts",
    "needed",
    "needed_in_use",
    "needed_protected",
    "needed_pulled",
    "needed_releases",
    "needed_related",
    "needed_unknown",
    "leaving",
    "freed_bytes_repository_scope",
    "freed_bytes_registry_scope",
    "saving_usd_per_month_low",
    "saving_usd_per_month_high",
    "saving_leaves_out",
    "current_takes_needed",
    "once_pulled",
    "never_pulled",
    "last_pulled",
    "safe_until",
    "back_test_nights",
    "back_test_removed",
    "back_test_needed",
    "policy",
)


def rows(report: RecommendReport) -> Iterator[list[Cell]]:
    """A row per repository, in the report's order."""
    for row in report.repositories:
        yield _row(row)


def _row(row: Recommendation) -> list[Cell]:
    effect = row.effect if row.status.advises else None
    needed, tested = row.needed, row.back_test
    return [
        neutral(row.account),
        neutral(row.region),
        neutral(row.repository),
        row.status.value,
        neutral(row.reason),
        truth(row.has_policy),
        truth(row.is_cache),
        len(row.rules) if effect is not None else "",
        "" if row.effect is None else row.effect.artifacts,
        needed.artifacts,
        needed.in_use,
        needed.protected,
        needed.pulled,
        needed.releases,
        needed.related,
        needed.unknown,
        "" if effect is None else effect.leaving,
        "" if effect is None else effect.freed_bytes.repository,
        "" if effect is None else effect.freed_bytes.registry,
        "" if effect is None else exact_text(row.saving_low),
        "" if effect is None else exact_text(row.saving_high),
        reasons(row.saving_low, row.saving_high),
        row.current_takes,
        "" if effect is None else row.risk.once_pulled,
        "" if effect is None else row.risk.never_pulled,
        "" if row.risk.last_pulled is None or effect is None else row.risk.last_pulled.isoformat(),
        "" if row.safe_until is None else iso(row.safe_until),
        "" if tested is None else tested.nights,
        "" if tested is None else tested.counts.removed + tested.counts.archived,
        "" if tested is None else tested.counts.needed,
        "" if row.policy_text is None else neutral(_on_one_line(row.policy_text)),
    ]


def _on_one_line(text: str) -> str:
    # Line feeds inside strings of JSON are escaped, so these are layout.
    return " ".join(line.strip() for line in text.splitlines())
