"""The page's tables, one function each, from a report to cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from analyzer.model.records import Gap, ReadStatus
from analyzer.model.results import Counts, RegistryRow, Report, RepositoryRow, ScopedMoney
from analyzer.model.units import Money
from reports.cells import (
    DASH,
    EMPTY,
    MOST_ROWS,
    Cell,
    Column,
    Filled,
    Row,
    Table,
    count_column,
    filled_table,
    gb_cell,
    gb_column,
    money_cell,
    money_column,
    text_column,
)
from reports.figures import UNKNOWN, count, counted, gb_decimals, listed, moment, share
from reports.rounding import CENT_DECIMALS, Costs, amount_text, apportion_gb, rounded, shared_bytes


def repository_table(report: Report, costs: Costs) -> Table:
    """Where the money is: repositories in the report's order, then other, shared and total."""
    rows, totals = report.repositories, report.totals
    unread = frozenset(n for n, row in enumerate(rows) if _is_unread(row))
    several = len({(row.account, row.region) for row in report.registries}) > 1
    main_is_registry = report.scope == "registry"
    decimals = gb_decimals(totals.physical_bytes.repository)
    logical_gb = apportion_gb([row.logical_bytes for row in rows], totals.logical_bytes, decimals)
    stored_gb = apportion_gb(
        [row.physical_bytes.repository for row in rows],
        totals.physical_bytes.repository,
        decimals,
        logical_gb,
    )

    def counts(label: str, pick: Callable[[Counts], int], hint: str) -> Filled:
        return count_column(
            Column(label=label, hint=hint),
            [pick(row.counts) for row in rows],
            pick(totals.counts),
            unread,
        )

    filled = [
        text_column(
            Column(label="Repository", numeric=False),
            [_repository_cell(row, several=several) for row in rows],
            other=Cell(text=f"Other ({counted(len(rows) - MOST_ROWS, 'repository', 'repositories')})"),
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
            unread,
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
            unread,
            warn=True,
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
            unread,
        ),
        gb_column(
            Column(label="Logical", hint="Every image counted whole"),
            [row.logical_bytes for row in rows],
            0,
            totals.logical_bytes,
            decimals,
            unread,
        ),
        gb_column(
            Column(
                label="Stored",
                hint="Each layer once per repository (repository scope)",
                muted=main_is_registry,
            ),
            [row.physical_bytes.repository for row in rows],
            0,
            totals.physical_bytes.repository,
            decimals,
            unread,
            most=logical_gb,
        ),
        gb_column(
            Column(
                label="Unique",
                hint="What no other repository of the registry holds; with the shared row: registry scope",
                muted=not main_is_registry,
            ),
            [row.physical_bytes.registry for row in rows],
            shared_bytes(report),
            totals.physical_bytes.registry,
            decimals,
            unread,
            most=stored_gb,
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
            [DASH if n in unread else _stale_cell(row.counts) for n, row in enumerate(rows)],
            total=_stale_cell(totals.counts),
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
    )


def registry_table(report: Report, costs: Costs) -> Table:
    """One row per account and region, with both ends of its cost."""
    rows, totals = report.registries, report.totals
    main_is_registry = report.scope == "registry"
    decimals = gb_decimals(totals.physical_bytes.repository)
    logical_gb = apportion_gb([row.logical_bytes for row in rows], totals.logical_bytes, decimals)
    stored_gb = apportion_gb(
        [row.physical_bytes.repository for row in rows],
        totals.physical_bytes.repository,
        decimals,
        logical_gb,
    )
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
        count_column(Column(label="Repositories"), [row.repositories for row in rows], totals.repositories),
        count_column(Column(label="Images"), [row.counts.images for row in rows], totals.counts.images),
        gb_column(
            Column(label="Logical", hint="Every image counted whole"),
            [row.logical_bytes for row in rows],
            0,
            totals.logical_bytes,
            decimals,
        ),
        gb_column(
            Column(label="Repository scope", hint="Each layer once per repository", muted=main_is_registry),
            [row.physical_bytes.repository for row in rows],
            0,
            totals.physical_bytes.repository,
            decimals,
            most=logical_gb,
        ),
        gb_column(
            Column(label="Registry scope", hint="Each layer once per registry", muted=not main_is_registry),
            [row.physical_bytes.registry for row in rows],
            0,
            totals.physical_bytes.registry,
            decimals,
            most=stored_gb,
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
            [
                Cell(
                    text=f"#{row.snapshot}",
                    notes=(moment(row.taken_at),),
                    value=f"{row.taken_at.timestamp():.0f}",
                )
                for row in rows
            ],
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
    )


def age_table(report: Report) -> Table:
    """Stored bytes by the age of the newest image that holds them."""
    total = sum(age.physical_bytes for age in report.ages)
    filled = [
        text_column(
            Column(label="Last pushed", numeric=False),
            [Cell(text=age.label, value=f"{n:03d}") for n, age in enumerate(report.ages)],
            total=Cell(text="Total"),
        ),
        gb_column(
            Column(label="Stored, GB", hint="Each layer once per repository"),
            [age.physical_bytes for age in report.ages],
            0,
            total,
            gb_decimals(total),
        ),
        text_column(
            Column(label="Share"),
            [
                Cell(text=share(age.physical_bytes, total), value=str(age.physical_bytes))
                for age in report.ages
            ],
            total=Cell(text=share(total, total)),
        ),
    ]
    return filled_table("ages", "Stored bytes by age", filled)


def waste_table(report: Report) -> Table:
    """Untagged, orphaned and stale images: what leaves with them at both scopes, all at once."""
    totals = report.totals
    stale = f"Neither pushed nor pulled for {report.stale_days} days. Some of it is tagged: ask its owner."
    entries = [
        (
            "Untagged",
            totals.counts.untagged_images,
            totals.untagged_freed_bytes,
            None,
            "Carries no tag itself. May be one platform of a tagged image, so this is not waste by itself.",
        ),
        (
            "Orphaned",
            totals.counts.orphaned_images,
            totals.orphaned_freed_bytes,
            totals.orphaned_cost,
            "No tag reaches it, not through an index or as an attachment either.",
        ),
        ("Stale", totals.counts.stale_images, totals.stale_freed_bytes, totals.stale_cost, stale),
    ]
    decimals = gb_decimals(totals.physical_bytes.repository)
    rows = []
    for label, images, freed, cost, meaning in entries:
        numbers = [Cell(text=count(images), value=str(images))]
        for size_bytes in (freed.repository, freed.registry):
            shown = apportion_gb([size_bytes], size_bytes, decimals)[0]
            numbers.append(gb_cell(size_bytes, shown, decimals))
        numbers += [
            DASH if money is None else money_cell(money, rounded(money, CENT_DECIMALS))
            for money in ((cost.repository, cost.registry) if cost else (None, None))
        ]
        rows.append(Row(cells=(Cell(text=label, notes=(meaning,)), *numbers)))
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
    )


def price_table(report: Report) -> Table:
    """The prices used and the prices missed."""
    rows = []
    for row in report.prices:
        price = row.usd_per_gb_month
        factor = format(row.discount_factor.normalize(), "f")
        rows.append(
            Row(
                cells=(
                    Cell(text=row.region),
                    Cell(text=row.storage_class),
                    Cell(text=count(row.from_gb), value=str(row.from_gb)),
                    Cell(text=UNKNOWN, tone="warn")
                    if price is None
                    else Cell(text=amount_text(price), value=amount_text(price)),
                    Cell(text=factor, value=factor, tone="muted" if factor == "1" else ""),
                    Cell(text=row.source),
                    Cell(text=row.as_of),
                    Cell(text=row.confidence),
                )
            )
        )
    return Table(
        name="prices",
        caption="Prices",
        columns=(
            Column(label="Region", numeric=False),
            Column(label="Class", numeric=False),
            Column(label="From GB", hint="The tier begins at this many GB"),
            Column(label="USD per GB-month", hint="List price"),
            Column(label="Factor", hint="What is paid of the list price; 1 is no discount"),
            Column(label="Source", numeric=False),
            Column(label="As of", numeric=False),
            Column(label="Confidence", numeric=False),
        ),
        rows=tuple(rows),
    )


def gap_table(report: Report) -> Table:
    """What could not be read, one row per call and reason in a registry; accepted gaps come last.

    Each gap by itself is in gaps.csv.
    """
    groups: dict[tuple[str, str, str, str, str | None], list[Gap]] = {}
    for gap in report.gaps:
        groups.setdefault((gap.account, gap.region, gap.call, gap.reason, None), []).append(gap)
    for gap, because in report.accepted_gaps:
        groups.setdefault((gap.account, gap.region, gap.call, gap.reason, because), []).append(gap)
    rows = [_gap_row(gaps, because) for (*_, because), gaps in list(groups.items())[:MOST_ROWS]]
    left = len(groups) - MOST_ROWS
    other = Row(
        cells=(Cell(text=f"Other ({counted(left, 'row')}, see gaps.csv)"), *[EMPTY] * 5), kind="other"
    )
    return Table(
        name="gaps",
        caption="What could not be read",
        columns=(
            Column(label="Registry", numeric=False),
            Column(label="Call", numeric=False),
            Column(label="Reason", numeric=False),
            Column(label="Where", numeric=False),
            Column(label="Things", hint="How many repositories, images or other things it is about"),
            Column(label="State", numeric=False),
        ),
        rows=tuple(rows),
        footer=(other,) if left > 0 else (),
    )


def _gap_row(gaps: Sequence[Gap], because: str | None) -> Row:
    first = gaps[0]
    # Details name their repository, so that of the first stands for the rest.
    alike = len({gap.detail for gap in gaps}) == 1
    detail = first.detail if alike else f"for example, {first.detail}"
    names = sorted({gap.repository or "the whole registry" for gap in gaps})
    things = sum(gap.count for gap in gaps)
    return Row(
        cells=(
            Cell(text=first.region, notes=(first.account,)),
            Cell(text=first.call),
            Cell(text=first.reason, notes=(detail,) if first.detail else ()),
            Cell(text=listed(names, limit=4)),
            Cell(text=count(things), value=str(things)),
            Cell(text="open", tone="warn")
            if because is None
            else Cell(text="accepted", notes=(because,), tone="muted"),
        )
    )


def _is_unread(row: RepositoryRow) -> bool:
    """Whether its zeros mean only that nobody could look."""
    counts = row.counts
    return (
        row.status != ReadStatus.COMPLETE
        and row.complete_at is None
        and counts.images + counts.indexes + counts.referrers + counts.unknown == 0
    )


def _repository_cell(row: RepositoryRow, *, several: bool) -> Cell:
    notes = [row.account, row.region] if several else []
    if row.pull_through_cache:
        notes.append("pull-through cache")
    return Cell(text=row.repository, notes=tuple(notes))


def _stale_cell(counts: Counts) -> Cell:
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
