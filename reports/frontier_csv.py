"""Points of frontiers for spreadsheets; an empty cell is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from analyzer.model.frontier import FrontierPoint, PricedFrontier
from reports.csv_cells import Cell, known_cell, neutralised, reasons
from reports.frontier import missing_bytes, missing_count
from reports.rounding import exact_text

COLUMNS: Final = (
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
    "cost_repository_scope_usd_per_month",
    "cost_registry_scope_usd_per_month",
    "saving_repository_scope_usd_per_month",
    "saving_registry_scope_usd_per_month",
    "cost_leaves_out",
    "saving_leaves_out",
)


def point_rows(sweeps: Iterable[PricedFrontier]) -> Iterator[list[Cell]]:
    """The points of each fleet, one for every N where something changes, and those of each repository.

    The last of a curve is today: it holds for every greater N too.
    """
    for sweep in sweeps:
        for point in sweep.fleet.points:
            yield ["fleet", "", "", "", sweep.by, *_point(point)]
        for row in sweep.repositories:
            place = neutralised((row.account, row.region, row.repository))
            for point in row.curve.points:
                yield ["repository", *place, sweep.by, *_point(point)]


def _point(point: FrontierPoint) -> list[Cell]:
    money = (point.cost.repository, point.cost.registry, point.saving.repository, point.saving.registry)
    sizes = (
        point.stored_bytes.repository,
        point.stored_bytes.registry,
        point.archive_bytes.repository,
        point.archive_bytes.registry,
    )
    unsized = missing_bytes(point)
    return [
        point.n,
        known_cell(point.kept, missing_count(point)),
        *(known_cell(size, unsized) for size in sizes),
        *map(exact_text, money),
        reasons(*money[:2]),
        reasons(*money[2:]),
    ]
