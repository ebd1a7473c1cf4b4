"""What the page says: the report's figures in words, cards, charts and tables."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from markupsafe import Markup

from analyzer.model.results import UNKNOWN_SIZE, Report, RepositoryRow
from analyzer.model.simulation import Simulation
from analyzer.model.units import Money
from reports.cards import Card, cost_card, is_known, orphaned_sizes, stored_card, waste_card
from reports.cells import MOST_ROWS, Table, Tone
from reports.charts import Bar, Chart, bar_chart
from reports.facts import (
    completeness,
    covers,
    ever_on,
    is_list_price,
    main_scope,
    moment_of_snapshot,
    money_at,
    possibly_reached,
    scope_of_money,
)
from reports.figures import (
    UNKNOWN,
    count,
    counted,
    headline_money,
    listed,
    moment,
    size,
)
from reports.frontier import Fewer, fewer_section
from reports.groups import group_table
from reports.lists import gap_table, price_table
from reports.missing import bytes_of_all, bytes_of_repository, counts_of_all, repositories_of_all
from reports.pulls_page import PullsSection, pulls_section
from reports.rounding import CENT_DECIMALS, Costs, rounded_costs
from reports.settings_page import SettingsSection, settings_section
from reports.tables import age_table, registry_table, repository_table, waste_table
from reports.what_if_page import WhatIfSection, what_if_section

#: Bars in the chart of repositories.
_MOST_BARS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the template writes, in the page's order."""

    title: str
    covers: str
    snapshot: str
    completeness: str
    #: What that means; "" where it needs no words.
    completeness_detail: str
    completeness_tone: Tone
    scope: str
    cards: tuple[Card, ...]
    cost_chart: Chart | None
    repositories: Table
    repositories_note: str
    #: What a dagger below a table leaves out; "" without one.
    footnote: str
    #: One for each tag that was asked for.
    groups: tuple[Table, ...]
    registries: Table
    registries_footnote: str
    sharing_worth: str
    age_chart: Chart | None
    ages: Table
    ages_note: str
    waste: Table
    waste_footnote: str
    waste_images: str
    possibly_reached: str
    stale_days: int
    #: None where no frontier was worked out, or nothing would ever leave.
    fewer: Fewer | None
    #: None where no policy was simulated.
    what_if: WhatIfSection | None
    #: None where it was not worked out.
    pulls: PullsSection | None
    settings: SettingsSection
    not_included: tuple[str, ...]
    prices: Table
    gaps: Table
    gaps_summary: str
    at: str


def build_page(report: Report, what_if: Simulation | None = None) -> Page:
    """The page of ``report``, and of ``what_if`` if any; equal ones give equal pages."""
    costs, totals = rounded_costs(report, CENT_DECIMALS), report.totals
    verdict, detail, tone = completeness(report)
    return Page(
        title=f"What our registries cost, {report.at:%Y-%m-%d}",
        covers=covers(report),
        snapshot=moment_of_snapshot(report),
        completeness=verdict,
        completeness_detail=detail,
        completeness_tone=tone,
        scope=scope_of_money(report),
        cards=(cost_card(report), waste_card(report), stored_card(report)),
        cost_chart=_cost_chart(report, costs),
        repositories=repository_table(report, costs),
        repositories_note=_repositories_note(report),
        footnote=_footnote(
            report, totals.cost.repository, totals.cost.registry, totals.orphaned_cost.repository
        ),
        groups=tuple(group_table(report, groups, n) for n, groups in enumerate(report.groups, 1)),
        registries=registry_table(report, costs),
        registries_footnote=_footnote(report, totals.cost.repository, totals.cost.registry),
        sharing_worth=_sharing_worth(report),
        age_chart=_age_chart(report),
        ages=age_table(report),
        ages_note=_ages_note(report),
        waste=waste_table(report),
        waste_footnote=_footnote(
            report,
            totals.orphaned_cost.repository,
            totals.orphaned_cost.registry,
            totals.stale_cost.repository,
            totals.stale_cost.registry,
        ),
        waste_images=orphaned_sizes(report),
        possibly_reached=possibly_reached(report),
        stale_days=report.stale_days,
        fewer=fewer_section(report),
        what_if=None if what_if is None else what_if_section(what_if),
        pulls=pulls_section(report.pulls),
        settings=settings_section(report),
        not_included=_not_included(report),
        prices=price_table(report),
        gaps=gap_table(report),
        gaps_summary=_gaps_summary(report),
        at=moment(report.at),
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
    return Chart(
        heading=heading,
        svg=_svg(bars, "cost-chart", heading),
        legend=legend,
    )


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


def _age_chart(report: Report) -> Chart | None:
    if not any(age.physical_bytes for age in report.ages):
        return None
    bars = [
        Bar(label=age.label, figure=size(age.physical_bytes), value=age.physical_bytes) for age in report.ages
    ]
    heading = "Stored bytes by the age of the newest image that holds them"
    return Chart(heading=heading, svg=_svg(bars, "age-chart", heading), legend=())


def _svg(bars: list[Bar], name: str, title: str) -> Markup:
    description = "; ".join(f"{bar.label} {bar.figure}" for bar in bars)
    # Built and escaped in charts.py.
    return Markup(bar_chart(bars, name=name, title=title, description=description))  # noqa: S704


def _repositories_note(report: Report) -> str:
    if len(report.repositories) <= MOST_ROWS:
        return ""
    return (
        f"The {MOST_ROWS} dearest of {counted(len(report.repositories), 'repository', 'repositories')};"
        " all of them are in repositories.csv."
    )


def _footnote(report: Report, *amounts: Money) -> str:
    """What the dagger and ``unknown`` stand for in a table with these totals; "" where neither is."""
    reasons = sorted(
        {
            *(reason for money in amounts for reason in money.leaves_out),
            *bytes_of_all(report).reasons,
            *counts_of_all(report).reasons,
        }
    )
    if not reasons:
        return ""
    return f"Leaves out: {listed(reasons)}. Where nothing else is known, the cell says unknown."


def _ages_note(report: Report) -> str:
    reasons = bytes_of_all(report).reasons
    return f"Leaves out: {listed(list(reasons))}." if reasons else ""


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


def _not_included(report: Report) -> tuple[str, ...]:
    unknown = report.totals.counts.unknown
    archived = report.totals.counts.archived_images
    said = [
        "Data transfer, replication, image scanning, key requests and the retrieval of archived images.",
        "The bytes of manifests, a few KB per image, and foreign layers, which a registry does not store.",
    ]
    if unknown:
        said.append(
            f"{counted(unknown, 'artifact')} whose manifest was not read or not understood:"
            f" {'its' if unknown == 1 else 'their'} bytes are in no figure."
        )
    uncounted = sorted(
        {*counts_of_all(report).reasons, *repositories_of_all(report).reasons} - {UNKNOWN_SIZE}
    )
    if uncounted:
        said.append(f"What nobody could look at: {listed(uncounted)}. How much it is, is unknown.")
    if archived:
        said.append(
            f"The minimum of 90 days charged for each of the {counted(archived, 'archived image')},"
            " whatever is deleted earlier."
        )
    said.append(
        "Discounts, free tier, credits and taxes: all amounts are list prices."
        if is_list_price(report)
        else "Free tier, credits and taxes: amounts are list prices times the factor in the table of prices."
    )
    return tuple(said)


def _gaps_summary(report: Report) -> str:
    if not report.gaps and not report.accepted_gaps:
        return "None: every question that was asked was answered."
    accepted = f", {count(len(report.accepted_gaps))} accepted" if report.accepted_gaps else ""
    return f"{count(len(report.gaps))} open{accepted}."
