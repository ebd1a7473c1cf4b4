"""The page's tables of figures, one function each, from a report to cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from analyzer.model.records import ReadStatus
from analyzer.model.results import (
    POSSIBLY_REACHED,
    Counts,
    RegistryRow,
    Report,
    RepositoryRow,
    ScopedBytes,
    ScopedMoney,
)
from analyzer.model.units import Money
from analyzer.model.words import counted
from reports.cells import (
    DASH,
    MOST_REPOSITORIES,
    MOST_ROWS,
    Cell,
    Column,
    Filled,
    Place,
    Row,
    Table,
    count_cell,
    count_column,
    filled_table,
    gb_cell,
    gb_column,
    money_cell,
    money_column,
    text_column,
)
from reports.figures import UNKNOWN, count, gb_decimals, moment, share
from reports.missing import (
    WHOLE,
    Missing,
    bytes_of_all,
    bytes_of_registries,
    bytes_of_repository,
    counts_of_all,
    counts_of_registries,
    counts_of_repository,
    repositories_of_all,
    repositories_of_registry,
)
from reports.rounding import CENT_DECIMALS, Costs, apportion_gb, rounded, shared_bytes


def repository_table(report: Report, costs: Costs) -> Table:
    """Where the money is: repositories in the report's order, then other, shared and total."""
    rows, totals = report.repositories, report.totals
    several = len({(row.account, row.region) for row in report.registries}) > 1
    main_is_registry = report.scope == "registry"
    uncounted, of_all = [counts_of_repository(row) for row in rows], counts_of_all(report)

    def counts(label: str, pick: Callable[[Counts], int], hint: str) -> Filled:
        return count_column(
            Column(label=label, hint=hint),
            [pick(row.counts) for row in rows],
            pick(totals.counts),
            uncounted,
            of_all,
            most=MOST_REPOSITORIES,
        )

    filled = [
        text_column(
            Column(label="Repository", numeric=False),
            [_repository_cell(row, several=several) for row in rows],
            other=Cell(
                text=f"Other ({counted(len(rows) - MOST_REPOSITORIES, 'repository', 'repositories')})"
            ),
            shared=Cell(
                text="Shared",
                notes=("layers that several repositories of a registry hold",),
            ),
            total=Cell(text="Total"),
        ),
        money_column(
            Column(
                label="Repository scope",
                hint="Each layer charged once per repository: the upper bound",
                muted=main_is_registry,
                sorts_rows=totals.cost.repository.amount is not None,
            ),
            [row.cost.repository for row in rows],
            costs.repositories_repository,
            (Money(Decimal(0)), Decimal(0)),
            totals.cost.repository,
            most=MOST_REPOSITORIES,
        ),
        money_column(
            Column(
                label="of it orphaned",
                hint="What its orphaned images cost, at repository scope",
                muted=main_is_registry,
            ),
            [row.orphaned_cost for row in rows],
            costs.repositories_orphaned,
            (Money(Decimal(0)), Decimal(0)),
            totals.orphaned_cost.repository,
            warn=True,
            most=MOST_REPOSITORIES,
        ),
        money_column(
            Column(
                label="Registry scope",
                hint="Unique layers here, shared ones in the shared row: the lower bound",
                muted=not main_is_registry,
            ),
            [row.cost.registry for row in rows],
            costs.repositories_registry,
            (report.shared_cost, costs.shared),
            totals.cost.registry,
            most=MOST_REPOSITORIES,
        ),
        *_byte_columns(
            report,
            rows,
            [bytes_of_repository(row) for row in rows],
            (
                Column(label="Logical", hint="Every image counted whole"),
                Column(
                    label="Stored",
                    hint="Each layer once per repository (repository scope)",
                    muted=main_is_registry,
                ),
                Column(
                    label="Unique",
                    hint="What no other repository of the registry holds; registry scope with the shared row",
                    muted=not main_is_registry,
                ),
            ),
            shared_bytes(report),
            most=MOST_REPOSITORIES,
        ),
        counts("All", lambda c: c.images, "Images; indexes and referrers are not counted"),
        counts("Untagged", lambda c: c.untagged_images, "Images that carry no tag themselves"),
        counts(
            "Orphaned", lambda c: c.orphaned_images, "Images that no tag reaches, through an index either"
        ),
        text_column(
            Column(
                label="Stale", hint=f"Share of the images not pushed or pulled for {report.stale_days} days"
            ),
            [_stale_cell(row.counts, of) for row, of in zip(rows, uncounted, strict=True)],
            total=_stale_cell(totals.counts, of_all),
        ),
        text_column(
            Column(label="Policy", numeric=False, hint="Has a lifecycle policy"),
            [_policy_cell(row) for row in rows],
        ),
        text_column(
            Column(label="Read", numeric=False, hint="How the last read of the repository went"),
            [_status_cell(row) for row in rows],
        ),
    ]
    return filled_table(
        "repositories",
        "Repositories, dearest first",
        filled,
        with_shared=True,
        groups=(("", 1), (f"{_currency(totals.cost)} a month", 3), ("Bytes, GB", 3), ("Images", 3), ("", 3)),
        file="repositories.csv",
        method="scopes",
        places=[_place(row) for row in rows],
        most=MOST_REPOSITORIES,
    )


def registry_table(report: Report, costs: Costs) -> Table:
    """One row per account and region, with both ends of its cost."""
    rows, totals = report.registries, report.totals
    main_is_registry = report.scope == "registry"
    filled = [
        text_column(
            Column(label="Registry", numeric=False),
            [
                Cell(text=row.region, notes=(row.account,), value=f"{row.region} {row.account}")
                for row in rows
            ],
            other=Cell(text=f"Other ({counted(len(rows) - MOST_ROWS, 'registry', 'registries')})"),
            total=Cell(text="Total"),
        ),
        text_column(
            Column(label="Blob mounting", numeric=False, hint="Whether repositories may share layers"),
            [_mounting_cell(row) for row in rows],
        ),
        count_column(
            Column(label="Repositories"),
            [row.repositories for row in rows],
            totals.repositories,
            [repositories_of_registry(row) for row in rows],
            repositories_of_all(report),
        ),
        count_column(
            Column(label="Images"),
            [row.counts.images for row in rows],
            totals.counts.images,
            counts_of_registries(report),
            counts_of_all(report),
        ),
        *_byte_columns(
            report,
            rows,
            bytes_of_registries(report),
            (
                Column(label="Logical", hint="Every image counted whole"),
                Column(
                    label="Repository scope", hint="Each layer once per repository", muted=main_is_registry
                ),
                Column(
                    label="Registry scope", hint="Each layer once per registry", muted=not main_is_registry
                ),
            ),
        ),
        money_column(
            Column(label="Repository scope", hint="The upper bound", muted=main_is_registry),
            [row.cost.repository for row in rows],
            costs.registries_repository,
            None,
            totals.cost.repository,
        ),
        money_column(
            Column(label="Registry scope", hint="The lower bound", muted=not main_is_registry),
            [row.cost.registry for row in rows],
            costs.registries_registry,
            None,
            totals.cost.registry,
        ),
        text_column(
            Column(label="Snapshot", numeric=False),
            [_snapshot_cell(row, report.run) for row in rows],
        ),
        text_column(
            Column(label="List read", numeric=False, hint="How the last read of the repository list went"),
            [_read_cell(row.status) for row in rows],
        ),
    ]
    return filled_table(
        "registries",
        "Registries, by account and region",
        filled,
        groups=(
            ("", 3),
            ("", 1),
            ("Bytes, GB", 3),
            (f"{_currency(totals.cost)} a month", 2),
            ("", 2),
        ),
        file="registries.csv",
        method="scopes",
        places=[Place(account=row.account, region=row.region) for row in rows],
    )


def _byte_columns(
    report: Report,
    rows: Sequence[RepositoryRow] | Sequence[RegistryRow],
    missing: Sequence[Missing],
    columns: tuple[Column, Column, Column],
    shared: int = 0,
    *,
    most: int = MOST_ROWS,
) -> list[Filled]:
    """Logical bytes and those stored at repository and at registry scope.

    ``shared`` completes the last of them. No row shows more stored than logical bytes, or more at
    registry scope than at repository scope.
    """
    totals = report.totals
    decimals = gb_decimals(totals.physical_bytes.repository)
    of_total = bytes_of_all(report)
    filled = []
    ceiling: list[Decimal] | None = None
    for column, values, extra, total in (
        (columns[0], [row.logical_bytes for row in rows], 0, totals.logical_bytes),
        (columns[1], [row.physical_bytes.repository for row in rows], 0, totals.physical_bytes.repository),
        (columns[2], [row.physical_bytes.registry for row in rows], shared, totals.physical_bytes.registry),
    ):
        *shown, extra_shown = apportion_gb([*values, extra], total, decimals, ceiling)
        ceiling = shown
        filled.append(
            gb_column(
                column, values, shown, (extra, extra_shown), total, decimals, missing, of_total, most=most
            )
        )
    return filled


def age_table(report: Report) -> Table:
    """Stored bytes by the age of the newest image that holds them."""
    sizes = [age.physical_bytes for age in report.ages]
    total = sum(sizes)
    decimals = gb_decimals(total)
    missing = bytes_of_all(report)
    # Whatever is missing would be in some row, so that no row can say more than what is known.
    of_rows = missing if missing.nothing_known else WHOLE
    filled = [
        text_column(
            Column(label="Last pushed", numeric=False),
            [Cell(text=age.label, value=f"{n:03d}") for n, age in enumerate(report.ages)],
            total=Cell(text="Total"),
        ),
        gb_column(
            Column(label="Stored, GB", hint="Each layer once per repository"),
            sizes,
            apportion_gb(sizes, total, decimals),
            (0, Decimal(0)),
            total,
            decimals,
            [of_rows] * len(sizes),
            missing,
        ),
        text_column(
            Column(label="Share"),
            [Cell(text=share(size_bytes, total), value=str(size_bytes)) for size_bytes in sizes],
            total=Cell(text=share(total, total)),
        ),
    ]
    return filled_table("ages", "Stored bytes by age", filled, file="ages.csv", method="ages")


def waste_table(report: Report) -> Table:
    """Untagged, orphaned and stale images: what leaves with them at both scopes, all at once."""
    totals = report.totals
    counts = totals.counts
    stale = f"Neither pushed nor pulled for {report.stale_days} days. Some of it is tagged: ask its owner."
    entries: list[tuple[str, int, ScopedBytes, ScopedMoney | None, str]] = [
        (
            "Untagged",
            counts.untagged_images,
            totals.untagged_freed_bytes,
            None,
            "Carries no tag itself. May be one platform of a tagged image, so this is not waste by itself.",
        ),
        (
            "Orphaned",
            counts.orphaned_images,
            totals.orphaned_freed_bytes,
            totals.orphaned_cost,
            "No tag reaches it, not through an index or as an attachment either.",
        ),
        ("Stale", counts.stale_images, totals.stale_freed_bytes, totals.stale_cost, stale),
    ]
    decimals = gb_decimals(totals.physical_bytes.repository)
    unsized, uncounted = bytes_of_all(report), counts_of_all(report)
    rows = []
    for label, images, freed, cost, meaning in entries:
        missing = unsized
        if cost is totals.orphaned_cost and counts.possibly_reached_images:
            missing = replace(missing, reasons=(*missing.reasons, POSSIBLY_REACHED))
        numbers = [count_cell(images, uncounted)]
        for size_bytes in (freed.repository, freed.registry):
            shown = apportion_gb([size_bytes], size_bytes, decimals)[0]
            numbers.append(gb_cell(size_bytes, shown, decimals, missing))
        numbers += [
            DASH if money is None else money_cell(money, rounded(money, CENT_DECIMALS))
            for money in ((cost.repository, cost.registry) if cost else (None, None))
        ]
        rows.append(Row(cells=(Cell(text=label, notes=(meaning,)), *numbers)))
        if cost is totals.orphaned_cost and counts.possibly_reached_images:
            rows.append(_possibly_reached_row(counts.possibly_reached_images))
    return Table(
        name="waste",
        caption="What leaves if all images of a kind leave at once",
        columns=(
            Column(label="Images that are", numeric=False),
            Column(label="Images"),
            Column(label="Repository scope", hint="Each layer once per repository"),
            Column(label="Registry scope", hint="Each layer once per registry"),
            Column(label="Repository scope", hint="Each layer charged once per repository"),
            Column(label="Registry scope", hint="Each layer charged once per registry"),
        ),
        rows=tuple(rows),
        groups=(("", 2), ("Freed, GB", 2), (f"{_currency(totals.cost)} a month", 2)),
        file="images.csv",
        method="waste",
    )


def _possibly_reached_row(images: int) -> Row:
    meaning = (
        "Nothing that could be read reaches it, but it may belong to an index that could not be read."
        " Not counted as orphaned."
    )
    unknown = Cell(text=UNKNOWN, hint=POSSIBLY_REACHED, tone="muted")
    return Row(cells=(Cell(text="Possibly orphaned", notes=(meaning,)), count_cell(images), *[unknown] * 4))


def _place(row: RepositoryRow) -> Place:
    return Place.of(row.account, row.region, row.repository)


def _repository_cell(row: RepositoryRow, *, several: bool) -> Cell:
    notes = [row.account, row.region] if several else []
    if row.pull_through_cache is None:
        notes.append("pull-through cache: unknown")
    elif row.pull_through_cache:
        notes.append("pull-through cache")
    return Cell(text=row.repository, notes=tuple(notes), link=_place(row).anchor)


def _stale_cell(counts: Counts, missing: Missing) -> Cell:
    if missing.nothing_known:
        return count_cell(0, missing)
    never = f"; {count(counts.never_pulled_images)} never pulled" if counts.never_pulled_images else ""
    return Cell(
        text=share(counts.stale_images, counts.images),
        value=f"{counts.stale_images / counts.images:.6f}" if counts.images else "",
        hint=f"{count(counts.stale_images)} of {counted(counts.images, 'image')}{never}",
    )


def _policy_cell(row: RepositoryRow) -> Cell:
    if row.has_lifecycle_policy is None:
        return Cell(text=UNKNOWN, tone="muted", hint="could not be read")
    return Cell(text="yes") if row.has_lifecycle_policy else Cell(text="no")


def _status_cell(row: RepositoryRow) -> Cell:
    if row.status == ReadStatus.COMPLETE:
        return Cell(text=row.status, tone="muted")
    last = f"last read whole {moment(row.complete_at)}" if row.complete_at else "never read whole"
    return Cell(text=row.status, tone="warn", hint=last)


def _read_cell(status: str) -> Cell:
    return Cell(text=status, tone="muted" if status == ReadStatus.COMPLETE else "warn")


def _snapshot_cell(row: RegistryRow, run: int) -> Cell:
    notes = [moment(row.taken_at)]
    if row.run != run:
        notes.append(f"run {row.run}")
    return Cell(
        text=f"#{row.snapshot}",
        notes=tuple(notes),
        value=f"{row.taken_at.timestamp():.0f}",
        hint="" if row.run == run else f"not read in run {run}",
        tone="" if row.run == run else "warn",
    )


def _mounting_cell(row: RegistryRow) -> Cell:
    if row.blob_mounting == "ENABLED":
        return Cell(text="on")
    if row.blob_mounting_ever:
        return Cell(text="was on", hint="off or unreadable now; what was shared stays shared")
    if row.blob_mounting == "DISABLED":
        return Cell(text="off")
    return Cell(text=UNKNOWN, tone="warn", hint="the setting could not be read; it is off by default")


def _currency(cost: ScopedMoney) -> str:
    return cost.repository.currency
