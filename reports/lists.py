"""The page's lists below the figures: prices used, and what could not be read."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.model.records import Gap
from analyzer.model.results import Report
from analyzer.model.words import counted
from reports.cells import EMPTY, MOST_ROWS, PLACE_FACETS, Cell, Column, Place, Row, Table
from reports.figures import UNKNOWN, count, listed
from reports.rounding import amount_text


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
        file="prices.csv",
        method="cost",
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
        file="gaps.csv",
        method="gaps",
        facets=(*PLACE_FACETS, "State"),
    )


def _gap_row(gaps: Sequence[Gap], because: str | None) -> Row:
    first = gaps[0]
    # Details name their repository, so that of the first stands for the rest.
    alike = len({gap.detail for gap in gaps}) == 1
    detail = first.detail if alike else f"for example, {first.detail}"
    names = sorted({gap.repository or "the whole registry" for gap in gaps})
    things = sum(gap.count for gap in gaps)
    return Row(
        facets=(*Place(account=first.account, region=first.region).facets, _state(because)),
        cells=(
            Cell(text=first.region, notes=(first.account,)),
            Cell(text=first.call),
            Cell(text=first.reason, notes=(detail,) if first.detail else ()),
            Cell(text=listed(names, limit=4)),
            Cell(text=count(things), value=str(things)),
            Cell(text=_state(because), tone="warn")
            if because is None
            else Cell(text=_state(because), notes=(because,), tone="muted"),
        ),
    )


def _state(because: str | None) -> str:
    return "open" if because is None else "accepted"
