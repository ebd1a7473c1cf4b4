"""The index of published reports, and the page that leads to the latest: static, self-contained pages."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from analyzer.model.publication import INDEX_HTML, Catalog, PublishedReport
from reports.figures import UNKNOWN, count, headline_money, moments, size, span
from reports.html import render_template


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One report in the index: text, and the exact figures that the columns are sorted by."""

    href: str
    sort: str
    snapshot: str
    run: int
    cost: str
    cost_value: str
    #: What the figures leave out; "" for nothing.
    hint: str
    size: str
    size_value: int
    registries: str
    registries_value: int
    repositories: str
    repositories_value: int
    images: str
    images_value: int
    gaps: str
    gaps_value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """The index."""

    title: str
    currency: str
    latest: HistoryRow | None
    rows: tuple[HistoryRow, ...]


def render_index(catalog: Catalog) -> str:
    """index.html: every report of ``catalog`` with its headline figures, newest first."""
    rows = tuple(map(_row, catalog.reports))
    currencies = sorted({report.headline.currency for report in catalog.reports})
    page = HistoryPage(
        title="Reports on Amazon ECR",
        currency=" or ".join(currencies) or "USD",
        latest=rows[0] if rows else None,
        rows=rows,
    )
    return render_template("history.html.j2", page=page)


def render_latest(catalog: Catalog) -> str:
    """latest.html: leads to the newest report of ``catalog``, or to the index where there is none."""
    href = catalog.reports[0].page if catalog.reports else INDEX_HTML
    return render_template("latest.html.j2", href=href)


def _row(report: PublishedReport) -> HistoryRow:
    headline = report.headline
    costs = (headline.low_cost, headline.high_cost)
    low, high = (headline_money(cost, headline.currency) for cost in costs)
    known = [cost for cost in costs if cost is not None]
    # Nothing is known of what was stored, not even that it was nothing.
    is_unknown = not known and not headline.high_bytes
    return HistoryRow(
        href=report.page,
        sort=report.taken_to.isoformat(),
        snapshot=moments(report.taken_from, report.taken_to),
        run=report.run,
        cost=span(low, high),
        cost_value=f"{max(known, default=Decimal(0)):f}" if known else "",
        hint=f"leaves out: {'; '.join(headline.leaves_out)}" if headline.leaves_out else "",
        size=UNKNOWN if is_unknown else span(size(headline.low_bytes), size(headline.high_bytes)),
        size_value=headline.high_bytes,
        registries=count(headline.registries),
        registries_value=headline.registries,
        repositories=count(headline.repositories),
        repositories_value=headline.repositories,
        images=UNKNOWN if is_unknown and not headline.images else count(headline.images),
        images_value=headline.images,
        gaps=count(headline.gaps),
        gaps_value=headline.gaps,
    )
