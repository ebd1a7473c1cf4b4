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

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, fields
from decimal import Decimal
from typing import Final

import numpy as np
import pandas as pd

from analyzer.model.findings import CheckText, FindingsReport
from analyzer.model.frontier import FrontierPoint, PricedFrontier
from analyzer.model.history import Outcomes
from analyzer.model.pull_costs import PullCost
from analyzer.model.pull_report import PullReport, TransferGroup
from analyzer.model.recommendation import RecommendReport
from analyzer.model.records import Gap
from analyzer.model.registry_settings import SEVERITIES
from analyzer.model.results import Counts, RegistryRow, Report, RepositoryRow
from analyzer.model.trends import TrendReport
from analyzer.model.units import Money, iso
from reports import findings_csv, pulls_csv, recommend_csv
from reports.facts import low_scope
from reports.frontier import missing_bytes, missing_count
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
from reports.rounding import EXACT_DECIMALS, amount_text, rounded, rounded_costs, shared_bytes
from reports.settings_csv import REGISTRY_COLUMNS, REPOSITORY_COLUMNS, registry_cells, repository_cells
from reports.text import UNSEEN, visible
from reports.trend_csv import TREND_COLUMNS, trend_rows

_COUNTS: Final = tuple(field.name for field in fields(Counts))
_MONEY_UNIT: Final = "usd_per_month"

#: Columns of images.csv, as the report's frame names them.
_IMAGE_COLUMNS: Final = (
    "account",
    "region",
    "repository",
    "digest",
    "kind",
    "tags",
    "tagged",
    "orphaned",
    "stale",
    "pushed_at",
    "last_pull",
    "image_status",
    "logical_bytes",
    "unique_bytes_repository",
    "unique_bytes_registry",
    "in_use",
    "scan_status",
    "scan_completed",
    *(f"findings_{severity}" for severity in SEVERITIES),
    "replica",
    "replicated",
    "not_replicated",
    "replication_unknown",
)

_IMAGE_BYTES: Final = frozenset({"logical_bytes", "unique_bytes_repository", "unique_bytes_registry"})

# ASCII, full-width and small forms, and the minus sign: spreadsheets fold them into one another.
_FORMULA = "=+\\-@＝＋－＠﹦﹢﹣﹫−"  # noqa: RUF001 (the look-alikes are the point)
_STARTS_FORMULA = re.compile(rf"[\t\r]|[\s{UNSEEN}]*[{_FORMULA}]")
# The same question asked of a whole column at once, its cells joined by line feeds.
_ANY_FORMULA = re.compile(r"(?:\A|\n) *[=+\-@]")
_ANY_SUSPECT = re.compile(rf"^[^\S\n]*[{_FORMULA}]|(?!\n)[{UNSEEN}]", re.MULTILINE)

_Cell = str | int


def render_csvs(report: Report) -> dict[str, str]:
    """File name to text of every table: repositories, registries, images, ages, prices and gaps.

    With the frontier, the groups by tag, the findings, trends, changes of policies, and pulls across
    regions with their routes too, where the report has them.
    """
    _require_dollars(report)
    frontier = {"frontier.csv": render_frontier_csv(report.frontier)} if report.frontier else {}
    return {
        "repositories.csv": _repositories(report),
        "registries.csv": _registries(report),
        "images.csv": _images(report.images),
        "ages.csv": _ages(report),
        "prices.csv": _prices(report),
        "gaps.csv": _gaps(report),
        **frontier,
        **({"groups.csv": _table(COLUMNS, group_rows(report, neutral))} if report.groups else {}),
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
    return _table(findings_csv.COLUMNS, findings_csv.finding_rows(report.findings, neutral))


def render_checks_csv(checks: Sequence[CheckText]) -> str:
    """The table of checks, one a row."""
    return _table([field.name for field in fields(CheckText)], (astuple(check) for check in checks))


def render_pulls_csv(report: PullReport) -> str:
    """The findings of ``report``, one a row."""
    return _table(pulls_csv.FINDING_COLUMNS, pulls_csv.finding_rows(report.found.findings, neutral))


def render_grouped_pulls_csv(groups: Sequence[TransferGroup], costs: Sequence[PullCost] = ()) -> str:
    """``groups`` of findings, and below them what was recorded."""
    rows = (*pulls_csv.group_rows(groups, neutral), *pulls_csv.cost_rows(costs, neutral))
    return _table(pulls_csv.GROUP_COLUMNS, rows)


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
    return _table(OUTCOME_COLUMNS, outcome_rows(outcomes, neutral))


def render_trend_csv(report: TrendReport) -> str:
    """The days, weeks and months of ``report``, one a row."""
    return _table(TREND_COLUMNS, trend_rows(report, neutral))


def render_frontier_csv(sweeps: Iterable[PricedFrontier]) -> str:
    """The points of the fleet, one for every N where something changes, and those of each repository.

    The last of a curve is today: it holds for every greater N too.
    """
    header = [
        "row",
        "account",
        "region",
        "repository",
        "keep",
        "n",
        "kept_artifacts",
        "stored_bytes_repository_scope",
        "stored_bytes_registry_scope",
        "archive_bytes_repository_scope",
        "archive_bytes_registry_scope",
        f"cost_repository_scope_{_MONEY_UNIT}",
        f"cost_registry_scope_{_MONEY_UNIT}",
        f"saving_repository_scope_{_MONEY_UNIT}",
        f"saving_registry_scope_{_MONEY_UNIT}",
        "cost_leaves_out",
        "saving_leaves_out",
    ]
    rows: list[list[_Cell]] = []
    for sweep in sweeps:
        rows += [["fleet", "", "", "", sweep.by, *_point(point)] for point in sweep.fleet.points]
        for row in sweep.repositories:
            names = [neutral(name) for name in (row.account, row.region, row.repository)]
            rows += [["repository", *names, sweep.by, *_point(point)] for point in row.curve.points]
    return _table(header, rows)


def _point(point: FrontierPoint) -> list[_Cell]:
    money = (point.cost.repository, point.cost.registry, point.saving.repository, point.saving.registry)
    sizes = (
        point.stored_bytes.repository,
        point.stored_bytes.registry,
        point.archive_bytes.repository,
        point.archive_bytes.registry,
    )
    return [
        point.n,
        *_numbers([point.kept], missing_count(point)),
        *_numbers(sizes, missing_bytes(point)),
        *(amount_text(rounded(amount, EXACT_DECIMALS)) for amount in money),
        _reasons(*money[:2]),
        _reasons(*money[2:]),
    ]


def render_recommendations_csv(report: RecommendReport) -> str:
    """The table of ``demurrage recommend``, and recommendations.csv: a row per repository."""
    return _table(recommend_csv.COLUMNS, recommend_csv.rows(report, neutral))


def neutral(text: str) -> str:
    """``text`` as a cell that no spreadsheet runs as a formula and no program trips over."""
    shown = visible(text)
    return f"'{shown}" if _STARTS_FORMULA.match(text) else shown


def neutral_column(cells: Sequence[str]) -> Sequence[str]:
    """Every cell of a column ``neutral``; a column without a suspect is given back as it is."""
    joined = "\n".join(cells)
    if joined.count("\n") == len(cells) - 1:
        # Digests and most tags are plain ASCII, which is told in a fraction of the time.
        plain = joined.isascii() and joined.replace("\n", "").isprintable()
        if not (_ANY_FORMULA if plain else _ANY_SUSPECT).search(joined):
            return cells
    return [neutral(cell) for cell in cells]


def _require_dollars(report: Report) -> None:
    # The unit stands in the headers, which programs rely on.
    money = report.totals.cost.repository
    if (money.currency, money.period) != ("USD", "month"):
        raise ValueError(f"the CSV tables hold USD per month, not {money.currency} per {money.period}")


def _table(header: Sequence[str], rows: Iterable[Sequence[_Cell]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _truth(value: bool | None) -> str:  # noqa: FBT001 (a truth to write, no switch)
    return "" if value is None else "true" if value else "false"


def _reasons(*amounts: Money) -> str:
    """What the amounts leave out, each reason once."""
    return neutral("; ".join(sorted({reason for money in amounts for reason in money.leaves_out})))


def _numbers(numbers: Iterable[int], missing: Missing) -> list[_Cell]:
    """The numbers as cells, empty where nothing is known of them."""
    return ["" if missing.nothing_known else number for number in numbers]


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
    shared: list[_Cell] = [
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
        _reasons(report.shared_cost),
        *([""] * (3 + len(REPOSITORY_COLUMNS))),
    ]
    return _table(header, [*rows, shared])


def _repository(
    row: RepositoryRow, high: Decimal | None, low: Decimal | None, orphaned: Decimal | None
) -> list[_Cell]:
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
    return [
        "repository",
        neutral(row.account),
        neutral(row.region),
        neutral(row.repository),
        iso(row.created_at),
        neutral(row.status),
        "" if row.complete_at is None else iso(row.complete_at),
        *_numbers(asdict(row.counts).values(), counts_of_repository(row)),
        *_numbers(sizes, bytes_of_repository(row)),
        amount_text(high),
        amount_text(low),
        amount_text(orphaned),
        _reasons(row.cost.repository, row.cost.registry),
        _reasons(row.orphaned_cost),
        _truth(row.has_lifecycle_policy),
        _truth(row.pull_through_cache),
        *_neutralised(repository_cells(row.settings, bytes_of_repository(row))),
    ]


def _neutralised(cells: Iterable[_Cell]) -> list[_Cell]:
    return [neutral(cell) if isinstance(cell, str) else cell for cell in cells]


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
                _reasons(row.cost.repository, row.cost.registry, row.cost_low, row.cost_high),
                *_neutralised(registry_cells(row.settings)),
                neutral(row.account_name),
            ]
        )
    return _table(header, rows)


def _registry(row: RegistryRow, unsized: Missing, uncounted: Missing) -> list[_Cell]:
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
        _truth(row.blob_mounting_ever),
        *_numbers([row.repositories], repositories_of_registry(row)),
        *_numbers(asdict(row.counts).values(), uncounted),
        *_numbers(sizes, unsized),
    ]


def _images(images: pd.DataFrame) -> str:
    # Column by column: there can be a million rows, and csv.writer then zips them in C.
    sized = images["kind"] != "unknown"
    columns = [
        # No size is known of an artifact whose manifest is not: its zero would be a guess.
        _image_column(
            images[name].astype("Int64").where(sized)
            if name in _IMAGE_BYTES and not sized.all()
            else images[name]
        )
        for name in _IMAGE_COLUMNS
    ]
    return _table(_IMAGE_COLUMNS, zip(*columns, strict=True))


def _image_column(column: pd.Series) -> Sequence[_Cell]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return _with_blanks(column, np.where(column.fillna(False).to_numpy(dtype=bool), "true", "false"))
    if pd.api.types.is_integer_dtype(column.dtype):
        return _with_blanks(column, column.fillna(0).to_numpy(dtype=np.int64))
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _moments(column)
    texts = column.astype(object).where(column.notna(), "").tolist()
    return neutral_column([str(text) if not isinstance(text, str) else text for text in texts])


def _with_blanks(column: pd.Series, values: np.ndarray[tuple[int], np.dtype[np.generic]]) -> Sequence[_Cell]:
    """``values`` as cells, empty where ``column`` has none."""
    cells: list[_Cell] = values.tolist()
    for position in np.flatnonzero(column.isna().to_numpy()).tolist():
        cells[position] = ""
    return cells


def _moments(column: pd.Series) -> Sequence[_Cell]:
    """As ``units.iso`` writes them: to the second, to the millisecond where there is more."""
    utc = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
    moments = utc.to_numpy(dtype="datetime64[ms]")
    seconds = np.datetime_as_string(moments, unit="s", timezone="UTC")
    whole = moments == moments.astype("datetime64[s]")
    if not whole[~np.isnat(moments)].all():
        seconds = np.where(whole, seconds, np.datetime_as_string(moments, unit="ms", timezone="UTC"))
    return _with_blanks(column, seconds)


def _ages(report: Report) -> str:
    missing = bytes_of_all(report)
    header = ["age", "physical_bytes_repository_scope"]
    rows: list[list[_Cell]] = [
        [neutral(age.label), *_numbers([age.physical_bytes], missing)] for age in report.ages
    ]
    return _table(header, rows)


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
    rows: list[list[_Cell]] = [
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
    return _table(header, rows)


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
    return _table(header, rows)


def _gap(gap: Gap) -> list[_Cell]:
    return [
        neutral(gap.account),
        neutral(gap.region),
        neutral(gap.repository),
        neutral(gap.call),
        neutral(gap.reason),
        neutral(gap.detail),
        gap.count,
    ]
