"""The page's sections on where the money is: by repository, by tag and by registry."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from analyzer.model.results import Report, RepositoryRow
from analyzer.model.words import counted
from reports.cards import is_known
from reports.cells import MOST_REPOSITORIES, Table
from reports.charts import Bar, Chart, drawn
from reports.facts import ever_on, main_scope, money_at
from reports.figures import UNKNOWN, count, headline_money, size
from reports.groups import group_table
from reports.missing import bytes_of_repository, dagger_note
from reports.rounding import Costs
from reports.tables import registry_table, repository_table

#: Bars in the chart of repositories.
_MOST_BARS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneySection:
    """Where the money is."""

    #: None where there is nothing to draw.
    chart: Chart | None
    repositories: Table
    note: str
    #: What a dagger below a table leaves out; "" without one.
    footnote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsSection:
    """By tag: one table for each that was asked for."""

    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistriesSection:
    """By registry."""

    registries: Table
    footnote: str
    #: What turning blob mounting on could be worth; "" where it is on, or nothing could be shared.
    sharing_worth: str


def money_section(report: Report, costs: Costs) -> MoneySection:
    """Where the money of ``report`` is; ``costs`` are its amounts rounded together."""
    totals = report.totals
    return MoneySection(
        chart=_cost_chart(report, costs),
        repositories=repository_table(report, costs),
        note=_repositories_note(report),
        footnote=dagger_note(
            report, totals.cost.repository, totals.cost.registry, totals.orphaned_cost.repository
        ),
    )


def groups_section(report: Report) -> GroupsSection | None:
    """The costs by tag; None where no tag was asked for."""
    tables = tuple(group_table(report, groups, n) for n, groups in enumerate(report.groups, 1))
    return GroupsSection(tables=tables) if tables else None


def registries_section(report: Report, costs: Costs) -> RegistriesSection:
    """The costs by registry."""
    totals = report.totals
    return RegistriesSection(
        registries=registry_table(report, costs),
        footnote=dagger_note(report, totals.cost.repository, totals.cost.registry),
        sharing_worth=_sharing_worth(report),
    )


def _cost_chart(report: Report, costs: Costs) -> Chart | None:
    rows = report.repositories
    if not rows:
        return None
    totals = report.totals
    several = len(report.registries) > 1
    at_registry = report.scope == "registry"
    cost = money_at(totals.cost, main_scope(report))
    if cost.amount is None:
        bars = [
            Bar(
                label=row.repository,
                note=row.region if several else "",
                figure=_marked(size(row.physical_bytes.repository), bytes_of_repository(row).reasons),
                value=row.physical_bytes.repository,
                part=row.orphaned_freed_bytes,
                hint=f"{row.repository}: {size(row.physical_bytes.repository)} stored,"
                f" {size(row.orphaned_freed_bytes)} of it orphaned",
            )
            for row in rows
            if not bytes_of_repository(row).nothing_known
        ][:_MOST_BARS]
        if not bars:
            return None
        heading = f"{_largest(len(bars))} by stored bytes, since no price is known"
    elif at_registry:
        shown = zip(rows, costs.repositories_registry, strict=True)
        bars = [
            Bar(
                label=row.repository,
                note=row.region if several else "",
                figure=_marked(
                    headline_money(cents, cost.currency, row.cost.registry.amount),
                    row.cost.registry.leaves_out,
                ),
                value=cents,
            )
            for row, cents in shown
            if cents is not None
        ]
        if costs.shared:
            bars.append(
                Bar(
                    label="Shared between repositories",
                    figure=_marked(
                        headline_money(costs.shared, cost.currency), report.shared_cost.leaves_out
                    ),
                    value=costs.shared,
                )
            )
        bars = sorted(bars, key=lambda bar: -bar.value)[:_MOST_BARS]
        heading = f"{_largest(len(bars))} by monthly cost at registry scope"
    else:
        bars = [
            _cost_bar(row, cents, orphaned, cost.currency, several=several)
            for row, cents, orphaned in zip(
                rows, costs.repositories_repository, costs.repositories_orphaned, strict=True
            )
            if cents is not None
        ][:_MOST_BARS]
        heading = f"{_largest(len(bars))} by monthly cost at repository scope"
    legend = (
        ()
        if at_registry and cost.amount is not None
        else (
            ("accent", "held by tagged images"),
            ("warn", "held only by orphaned images"),
        )
    )
    return drawn(heading, bars, name="cost-chart", legend=legend, rows="repositories", method="cost")


def _cost_bar(
    row: RepositoryRow, cents: Decimal, orphaned: Decimal | None, currency: str, *, several: bool
) -> Bar:
    figure = _marked(
        headline_money(cents, currency, row.cost.repository.amount), row.cost.repository.leaves_out
    )
    said = UNKNOWN
    if orphaned is not None and is_known(row.orphaned_cost):
        said = headline_money(orphaned, currency, row.orphaned_cost.amount)
    where = f" in {row.account}, {row.region}" if several else ""
    return Bar(
        label=row.repository,
        note=row.region if several else "",
        figure=figure,
        value=cents,
        part=min(orphaned or Decimal(0), cents),
        hint=f"{row.repository}{where}: {figure} a month, {said} of it orphaned",
    )


def _marked(figure: str, leaves_out: tuple[str, ...]) -> str:
    return f"{figure}†" if leaves_out else figure


def _largest(bars: int) -> str:
    return f"The {bars} largest" if bars > 1 else "The largest"


def _repositories_note(report: Report) -> str:
    if len(report.repositories) <= MOST_REPOSITORIES:
        return ""
    return (
        f"The {count(MOST_REPOSITORIES)} dearest of"
        f" {counted(len(report.repositories), 'repository', 'repositories')};"
        " all of them are in repositories.csv."
    )


def _sharing_worth(report: Report) -> str:
    off = [row for row in report.registries if not ever_on(row)]
    saved = sum(
        (
            row.cost.repository.amount - row.cost.registry.amount
            for row in off
            if row.cost.repository.amount is not None and row.cost.registry.amount is not None
        ),
        Decimal(0),
    )
    if not saved:
        return ""
    where = "the registry" if len(report.registries) == 1 else counted(len(off), "registry", "registries")
    currency = report.totals.cost.repository.currency
    known = " for what is known of it" if any(row.cost.registry.leaves_out for row in off) else ""
    return (
        f"Blob mounting is off, or could not be read, in {where} of this report. The most that turning it on"
        f" could ever be worth there{known} is {headline_money(saved, currency)} a month; it acts only on"
        " images pushed afterwards."
    )
