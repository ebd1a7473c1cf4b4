r"""One CSV table per kind of fact, for spreadsheets and databases.

RFC 4180 quoting with ``\n`` line ends, UTF-8 without a byte-order mark, headers in snake_case with
the unit in the name. Numbers are raw, moments ISO 8601 in UTC, truth is ``true`` or ``false``. An
empty cell is unknown or does not apply; where money is missing or leaves something out, the
``…_leaves_out`` column beside it says what. A column of money adds up to its total in
report.json, in the digits shown.

Text cells are neutralised: spreadsheets run a cell that begins with ``= + - @`` (or a twin of
these that they normalise) as a formula, so such a cell gets an apostrophe in front; control
characters and their like are written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, fields
from decimal import Decimal
from typing import Final

from analyzer.model.findings import CheckText, FindingsReport
from analyzer.model.frontier import PricedFrontier
from analyzer.model.history import Outcomes
from analyzer.model.pull_costs import PullCost
from analyzer.model.pull_report import PullReport, TransferGroup
from analyzer.model.recommendation import RecommendReport
from analyzer.model.records import Gap
from analyzer.model.results import Counts, RegistryRow, Report, RepositoryRow
from analyzer.model.trends import TrendReport
from analyzer.model.units import iso
from reports import findings_csv, frontier_csv, images_csv, pulls_csv, recommend_csv
from reports.csv_cells import (
    Cell,
    known_cell,
    neutral,
    neutralised,
    reasons,
    require_dollars,
    table_text,
    truth,
)
from reports.facts import low_scope
from reports.groups import COLUMNS, group_rows
from reports.missing import (
    Missing,
    bytes_of_all,
    bytes_of_registries,
    bytes_of_repository,
    counts_of_registries,
    counts_of_repository,
    repositories_of_registry,
)
from reports.outcome_csv import OUTCOME_COLUMNS, outcome_rows
from reports.rounding import EXACT_DECIMALS, amount_text, rounded_costs, shared_bytes
from reports.settings_csv import REGISTRY_COLUMNS, REPOSITORY_COLUMNS, registry_cells, repository_cells
from reports.trend_csv import TREND_COLUMNS, trend_rows

_COUNTS: Final = tuple(field.name for field in fields(Counts))
_MONEY_UNIT: Final = "usd_per_month"


def render_csvs(report: Report) -> dict[str, str]:
    """File name to text of every table: repositories, registries, images, ages, prices and gaps.

    With the frontier, the groups by tag, the findings, trends, changes of policies, and pulls across
    regions with their routes too, where the report has them.
    """
    require_dollars(report.totals.cost.repository)
    frontier = {"frontier.csv": render_frontier_csv(report.frontier)} if report.frontier else {}
    return {
        "repositories.csv": _repositories(report),
        "registries.csv": _registries(report),
        "images.csv": table_text(images_csv.COLUMNS, images_csv.image_rows(report.images)),
        "ages.csv": _ages(report),
        "prices.csv": _prices(report),
        "gaps.csv": _gaps(report),
        **frontier,
        **({"groups.csv": table_text(COLUMNS, group_rows(report))} if report.groups else {}),
        **({} if report.findings is None else {"findings.csv": render_findings_csv(report.findings)}),
        **(
            {}
            if report.recommendations is None
            else {"recommendations.csv": render_recommendations_csv(report.recommendations)}
        ),
        **({} if report.pulls is None else _pulls(report.pulls)),
        **({} if report.outcomes is None else {"outcomes.csv": render_outcomes_csv(report.outcomes)}),
        **({} if report.trend is None else {"trend.csv": render_trend_csv(report.trend)}),
    }


def render_findings_csv(report: FindingsReport) -> str:
    """The findings of ``report``, one a row."""
    return table_text(findings_csv.COLUMNS, findings_csv.finding_rows(report.findings))


def render_checks_csv(checks: Sequence[CheckText]) -> str:
    """The table of checks, one a row."""
    return table_text([field.name for field in fields(CheckText)], (astuple(check) for check in checks))


def render_pulls_csv(report: PullReport) -> str:
    """The findings of ``report``, one a row."""
    return table_text(pulls_csv.FINDING_COLUMNS, pulls_csv.finding_rows(report.found.findings))


def render_grouped_pulls_csv(groups: Sequence[TransferGroup], costs: Sequence[PullCost] = ()) -> str:
    """``groups`` of findings, and below them what was recorded."""
    rows = (*pulls_csv.group_rows(groups), *pulls_csv.cost_rows(costs))
    return table_text(pulls_csv.GROUP_COLUMNS, rows)


def _pulls(report: PullReport) -> dict[str, str]:
    recorded = report.recorded
    routes = () if recorded is None else recorded.costs.routes
    return {
        "pulls.csv": render_pulls_csv(report),
        "pull-routes.csv": render_grouped_pulls_csv(report.summary.routes, routes),
        **(
            {}
            if recorded is None
            else {"recorded-pulls.csv": render_grouped_pulls_csv((), recorded.costs.rows)}
        ),
    }


def render_outcomes_csv(outcomes: Outcomes) -> str:
    """What came of changes of policies, one image a row."""
    return table_text(OUTCOME_COLUMNS, outcome_rows(outcomes))


def render_trend_csv(report: TrendReport) -> str:
    """The days, weeks and months of ``report``, one a row."""
    return table_text(TREND_COLUMNS, trend_rows(report))


def render_frontier_csv(sweeps: Iterable[PricedFrontier]) -> str:
    """The points of ``sweeps``, one a row."""
    return table_text(frontier_csv.COLUMNS, frontier_csv.point_rows(sweeps))


def render_recommendations_csv(report: RecommendReport) -> str:
    """The table of ``demurrage recommend``, and recommendations.csv: a row per repository."""
    return table_text(recommend_csv.COLUMNS, recommend_csv.rows(report))


def _repositories(report: Report) -> str:
    costs = rounded_costs(report, EXACT_DECIMALS)
    header = [
        "row",
        "account",
        "region",
        "repository",
        "created_at",
        "status",
        "complete_at",
        *_COUNTS,
        "logical_bytes",
        "physical_bytes_repository_scope",
        "physical_bytes_registry_scope",
        "unique_bytes",
        "shared_bytes",
        "untagged_freed_bytes",
        "orphaned_freed_bytes",
        "stale_freed_bytes",
        f"cost_repository_scope_{_MONEY_UNIT}",
        f"cost_registry_scope_{_MONEY_UNIT}",
        f"orphaned_cost_{_MONEY_UNIT}",
        "cost_leaves_out",
        "orphaned_cost_leaves_out",
        "has_lifecycle_policy",
        "pull_through_cache",
        *REPOSITORY_COLUMNS,
    ]
    rows = [
        _repository(row, high, low, orphaned)
        for row, high, low, orphaned in zip(
            report.repositories,
            costs.repositories_repository,
            costs.repositories_registry,
            costs.repositories_orphaned,
            strict=True,
        )
    ]
    # Completes the columns of registry scope; it has no images and nothing of its own.
    shared: list[Cell] = [
        "shared",
        *([""] * 6),
        *([0] * len(_COUNTS)),
        0,
        0,
        shared_bytes(report),
        *([0] * 5),
        "0.00",
        amount_text(costs.shared),
        "0.00",
        reasons(report.shared_cost),
        *([""] * (3 + len(REPOSITORY_COLUMNS))),
    ]
    return table_text(header, [*rows, shared])


def _repository(
    row: RepositoryRow, high: Decimal | None, low: Decimal | None, orphaned: Decimal | None
) -> list[Cell]:
    sizes = (
        row.logical_bytes,
        row.physical_bytes.repository,
        row.physical_bytes.registry,
        row.unique_bytes,
        row.shared_bytes,
        row.untagged_freed_bytes,
        row.orphaned_freed_bytes,
        row.stale_freed_bytes,
    )
    unsized, uncounted = bytes_of_repository(row), counts_of_repository(row)
    return [
        "repository",
        neutral(row.account),
        neutral(row.region),
        neutral(row.repository),
        iso(row.created_at),
        neutral(row.status),
        "" if row.complete_at is None else iso(row.complete_at),
        *(known_cell(number, uncounted) for number in asdict(row.counts).values()),
        *(known_cell(size, unsized) for size in sizes),
        amount_text(high),
        amount_text(low),
        amount_text(orphaned),
        reasons(row.cost.repository, row.cost.registry),
        reasons(row.orphaned_cost),
        truth(row.has_lifecycle_policy),
        truth(row.pull_through_cache),
        *neutralised(repository_cells(row.settings, unsized)),
    ]


def _registries(report: Report) -> str:
    costs = rounded_costs(report, EXACT_DECIMALS)
    header = [
        "partition",
        "account",
        "region",
        "snapshot",
        "run",
        "taken_at",
        "status",
        "blob_mounting",
        "blob_mounting_ever",
        "repositories",
        *_COUNTS,
        "logical_bytes",
        "physical_bytes_repository_scope",
        "physical_bytes_registry_scope",
        "shared_bytes",
        f"cost_repository_scope_{_MONEY_UNIT}",
        f"cost_registry_scope_{_MONEY_UNIT}",
        f"cost_low_{_MONEY_UNIT}",
        f"cost_high_{_MONEY_UNIT}",
        "cost_low_scope",
        "cost_high_scope",
        "cost_leaves_out",
        *REGISTRY_COLUMNS,
        "account_name",
    ]
    unsized, uncounted = bytes_of_registries(report), counts_of_registries(report)
    rows = []
    for n, row in enumerate(report.registries):
        amounts = (
            costs.registries_repository[n],
            costs.registries_registry[n],
            costs.registries_low[n],
            costs.registries_high[n],
        )
        rows.append(
            [
                *_registry(row, unsized[n], uncounted[n]),
                *map(amount_text, amounts),
                low_scope(report, row),
                report.totals.cost_high_scope,
                reasons(row.cost.repository, row.cost.registry, row.cost_low, row.cost_high),
                *neutralised(registry_cells(row.settings)),
                neutral(row.account_name),
            ]
        )
    return table_text(header, rows)


def _registry(row: RegistryRow, unsized: Missing, uncounted: Missing) -> list[Cell]:
    sizes = (
        row.logical_bytes,
        row.physical_bytes.repository,
        row.physical_bytes.registry,
        row.shared_bytes,
    )
    return [
        neutral(row.partition),
        neutral(row.account),
        neutral(row.region),
        row.snapshot,
        row.run,
        iso(row.taken_at),
        neutral(row.status),
        neutral(row.blob_mounting),
        truth(row.blob_mounting_ever),
        known_cell(row.repositories, repositories_of_registry(row)),
        *(known_cell(number, uncounted) for number in asdict(row.counts).values()),
        *(known_cell(size, unsized) for size in sizes),
    ]


def _ages(report: Report) -> str:
    missing = bytes_of_all(report)
    header = ["age", "physical_bytes_repository_scope"]
    rows = ([neutral(age.label), known_cell(age.physical_bytes, missing)] for age in report.ages)
    return table_text(header, rows)


def _prices(report: Report) -> str:
    header = [
        "region",
        "storage_class",
        "from_gb",
        "usd_per_gb_month",
        "discount_factor",
        "source",
        "as_of",
        "confidence",
    ]
    rows: list[list[Cell]] = [
        [
            neutral(row.region),
            neutral(row.storage_class),
            row.from_gb,
            amount_text(row.usd_per_gb_month),
            format(row.discount_factor.normalize(), "f"),
            neutral(row.source),
            neutral(row.as_of),
            neutral(row.confidence),
        ]
        for row in report.prices
    ]
    return table_text(header, rows)


def _gaps(report: Report) -> str:
    header = [
        "account",
        "region",
        "repository",
        "call",
        "reason",
        "detail",
        "count",
        "accepted",
        "accepted_because",
    ]
    rows = [[*_gap(gap), "false", ""] for gap in report.gaps]
    rows += [[*_gap(gap), "true", neutral(because)] for gap, because in report.accepted_gaps]
    return table_text(header, rows)


def _gap(gap: Gap) -> list[Cell]:
    return [
        neutral(gap.account),
        neutral(gap.region),
        neutral(gap.repository),
        neutral(gap.call),
        neutral(gap.reason),
        neutral(gap.detail),
        gap.count,
    ]
