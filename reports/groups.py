"""Cost by the value of a tag, in every format; the rows add up to the total at both scopes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analyzer.model.results import Report, TagGroup, TagGroups
from analyzer.model.units import Money
from analyzer.model.words import counted
from reports.cells import (
    MOST_ROWS,
    Cell,
    Column,
    Table,
    count_column,
    filled_table,
    money_column,
    text_column,
)
from reports.csv_cells import neutral, reasons
from reports.missing import (
    WHOLE,
    Missing,
    bytes_of_repository,
    repositories_of_all,
    united,
)
from reports.rounding import (
    CENT_DECIMALS,
    EXACT_DECIMALS,
    amount_text,
    apportion_money,
    shared_bytes,
)

COLUMNS = (
    "row",
    "tag",
    "value",
    "repositories",
    "physical_bytes_repository_scope",
    "physical_bytes_registry_scope",
    "orphaned_freed_bytes",
    "cost_repository_scope_usd_per_month",
    "cost_registry_scope_usd_per_month",
    "orphaned_cost_usd_per_month",
    "cost_leaves_out",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCosts:
    """The columns of money, rounded together; one entry per group."""

    repository: list[Decimal | None]
    registry: list[Decimal | None]
    orphaned: list[Decimal | None]
    shared: Decimal | None


def label_of(group: TagGroup, key: str) -> str:
    """What a group is called: the value, or why there is none."""
    if group.kind == "value":
        return group.value
    return f"without the tag {key}" if group.kind == "untagged" else "tags unknown"


def missing_of(group: TagGroup) -> Missing:
    """What the bytes of a group leave out."""
    return united([bytes_of_repository(row) for row in group.members], known=group.physical_bytes.repository)


def group_costs(report: Report, groups: TagGroups, decimals: int) -> GroupCosts:
    """The money of ``groups`` to ``decimals`` places."""
    totals, rows = report.totals, groups.rows
    repository = apportion_money([row.cost.repository for row in rows], totals.cost.repository, decimals)
    *registry, shared = apportion_money(
        [*(row.cost.registry for row in rows), report.shared_cost], totals.cost.registry, decimals, repository
    )
    orphaned = apportion_money(
        [row.orphaned_cost for row in rows], totals.orphaned_cost.repository, decimals, repository
    )
    return GroupCosts(repository=repository, registry=registry, orphaned=orphaned, shared=shared)


def group_table(report: Report, groups: TagGroups, number: int) -> Table:
    """The page's table of ``groups``, the ``number``-th of the page."""
    rows, costs, totals = groups.rows, group_costs(report, groups, CENT_DECIMALS), report.totals
    return filled_table(
        f"groups-{number}",
        f"By the tag {groups.key}",
        [
            text_column(
                Column(label="Value", numeric=False),
                [
                    Cell(text=label_of(row, groups.key), tone="" if row.kind == "value" else "muted")
                    for row in rows
                ],
                other=Cell(text=f"Other ({counted(max(len(rows) - MOST_ROWS, 0), 'value')})"),
                shared=Cell(text="Shared", notes=("layers that several repositories of a registry hold",)),
                total=Cell(text="Total"),
            ),
            count_column(
                Column(label="Repositories"),
                [len(row.members) for row in rows],
                totals.repositories,
                [WHOLE] * len(rows),
                repositories_of_all(report),
            ),
            money_column(
                Column(label="Repository scope", hint="USD per month: the upper bound", sorts_rows=True),
                [row.cost.repository for row in rows],
                costs.repository,
                (Money(Decimal(0)), Decimal(0)),
                totals.cost.repository,
            ),
            money_column(
                Column(label="of it orphaned", hint="At repository scope"),
                [row.orphaned_cost for row in rows],
                costs.orphaned,
                (Money(Decimal(0)), Decimal(0)),
                totals.orphaned_cost.repository,
                warn=True,
            ),
            money_column(
                Column(label="Registry scope", hint="USD per month: the lower bound", muted=True),
                [row.cost.registry for row in rows],
                costs.registry,
                (report.shared_cost, costs.shared),
                totals.cost.registry,
            ),
        ],
        with_shared=True,
        file="groups.csv",
        method="scopes",
    )


def group_rows(report: Report) -> list[Sequence[str | int]]:
    """The rows of groups.csv."""
    found: list[Sequence[str | int]] = []
    for groups in report.groups:
        costs = group_costs(report, groups, EXACT_DECIMALS)
        for n, row in enumerate(groups.rows):
            is_unknown = missing_of(row).nothing_known
            sizes = (row.physical_bytes.repository, row.physical_bytes.registry, row.orphaned_freed_bytes)
            found.append(
                [
                    row.kind,
                    neutral(groups.key),
                    neutral(row.value),
                    len(row.members),
                    *("" if is_unknown else size for size in sizes),
                    amount_text(costs.repository[n]),
                    amount_text(costs.registry[n]),
                    amount_text(costs.orphaned[n]),
                    reasons(row.cost.repository, row.cost.registry),
                ]
            )
        shared: list[str | int] = ["shared", neutral(groups.key), "", 0, 0, shared_bytes(report), 0, "0.00"]
        found.append([*shared, amount_text(costs.shared), "0.00", reasons(report.shared_cost)])
    return found


def group_objects(report: Report, money: Any) -> list[dict[str, Any]]:
    """``groups`` of report.json; ``money`` writes an amount with its rounded one and its scope."""
    found = []
    for groups in report.groups:
        costs = group_costs(report, groups, EXACT_DECIMALS)
        for n, row in enumerate(groups.rows):
            is_unknown = missing_of(row).nothing_known
            found.append(
                {
                    "tag": groups.key,
                    "row": row.kind,
                    "value": row.value if row.kind == "value" else None,
                    "repositories": len(row.members),
                    "physical_bytes": {
                        "repository": None if is_unknown else row.physical_bytes.repository,
                        "registry": None if is_unknown else row.physical_bytes.registry,
                    },
                    "orphaned_freed_bytes": None if is_unknown else row.orphaned_freed_bytes,
                    "cost": {
                        "repository": money(row.cost.repository, costs.repository[n], "repository"),
                        "registry": money(row.cost.registry, costs.registry[n], "registry"),
                    },
                    "orphaned_cost": money(row.orphaned_cost, costs.orphaned[n], "repository"),
                }
            )
    return found
