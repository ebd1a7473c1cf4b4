"""Answers for people at a terminal: plain tables, AWS's text made safe to print."""

from __future__ import annotations

import io
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analyzer.model.units import GB, Money, iso
from reports.text import shortened, visible

if TYPE_CHECKING:
    from analyzer.collect import CollectResult
    from analyzer.model.records import Gap
    from analyzer.model.results import Report

_ROWS = 20
_GAPS = 10


def report_table(report: Report) -> str:
    """The headline of a report and where its money is."""
    totals = report.totals
    counts, physical = totals.counts, totals.physical_bytes.repository
    orphaned = _range(totals.orphaned_cost.registry, totals.orphaned_cost.repository)
    lines = [
        (
            f"{totals.registries:,} registries, {totals.repositories:,} repositories, "
            f"{counts.images:,} images, {counts.indexes:,} indexes, {counts.referrers:,} referrers; "
            f"snapshots of {iso(report.taken_to)} (run {report.run})"
            "\n\n"
            f"Storage    {_range(totals.cost_low, totals.cost_high)} per month for {gigabytes(physical)} "
            f"stored ({gigabytes(totals.logical_bytes)} if every image were counted whole)"
            "\n"
            f"Orphaned   {orphaned} per month would "
            f"leave with the {counts.orphaned_images:,} images that no tag reaches"
            "\n"
        )
    ]
    lines += [f"Not included: {reason}" for reason in totals.cost_high.leaves_out]
    table = _table("REPOSITORY", "IMAGES", "ORPHANED", "STORED", "USD/MONTH", right=4)
    for row in report.repositories[:_ROWS]:
        name = f"{row.account}/{row.region}/{row.repository}"
        table.add_row(
            _text(name),
            f"{row.counts.images:,}",
            f"{row.counts.orphaned_images:,}",
            gigabytes(row.physical_bytes.repository),
            dollars(row.cost.repository),
        )
    text = "\n".join(lines) + _render(table)
    if len(report.repositories) > _ROWS:
        text += f"  and {len(report.repositories) - _ROWS:,} more: see --output-dir or --format csv\n"
    return text + gaps_text(report.gaps, accepted=len(report.accepted_gaps))


def collect_table(result: CollectResult) -> str:
    """How a run went, registry by registry."""
    table = _table(
        "ACCOUNT", "REGION", "SNAPSHOT", "STATUS", "REPOSITORIES", "IMAGES", "NEW MANIFESTS", right=3
    )
    for row in result.registries:
        table.add_row(
            row.key.account,
            row.key.region,
            "-" if row.snapshot is None else str(row.snapshot),
            row.status,
            f"{row.repositories:,}",
            f"{row.artifacts:,}",
            f"{row.manifests_fetched:,}",
        )
    calls = ", ".join(f"{name} {count:,}" for name, count in result.calls.items())
    total = sum(result.calls.values())
    return (
        _render(table)
        + f"Run {result.run} made {total:,} calls ({calls}), {result.retries:,} retries, "
        + f"{result.throttles:,} throttled.\n"
    )


def gaps_text(gaps: Sequence[Gap], *, accepted: int = 0) -> str:
    """What was refused, a line each, the first few of them."""
    lines = [f"\nGaps: {len(gaps):,}. What they hide is in no figure above"] if gaps else []
    for gap in gaps[:_GAPS]:
        place = "/".join(part for part in (gap.account, gap.region, gap.repository) if part)
        times = f" ({gap.count:,} times)" if gap.count > 1 else ""
        lines.append(visible(f"  {place}: {gap.call} {gap.reason}{times}"))
    if len(gaps) > _GAPS:
        lines.append(f"  and {len(gaps) - _GAPS:,} more")
    if accepted:
        lines.append(f"Accepted gaps: {accepted:,}")
    return "\n".join([*lines, ""]) if lines else ""


def gigabytes(size_bytes: int) -> str:
    """``size_bytes`` in the unit that storage is billed by, 2**30 bytes."""
    return f"{Decimal(size_bytes) / GB:,.2f} GB"


def dollars(money: Money) -> str:
    """``money`` in whole cents; what is not known says so."""
    if money.amount is None:
        return "unknown"
    if 0 < money.amount < Decimal("0.005"):
        return "<$0.01"
    return f"${money.amount:,.2f}"


def _range(low: Money, high: Money) -> str:
    return dollars(low) if dollars(low) == dollars(high) else f"{dollars(low)} to {dollars(high)}"


def _table(*headers: str, right: int) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for position, header in enumerate(headers):
        is_number = position >= len(headers) - right
        table.add_column(header, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    return table


def _text(value: str) -> Text:
    return Text(shortened(visible(value), 100))


def _render(renderable: Any) -> str:
    # Rendered wide and without colour: a pipe must get what a terminal shows, unwrapped.
    out = io.StringIO()
    Console(file=out, width=160, color_system=None, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
