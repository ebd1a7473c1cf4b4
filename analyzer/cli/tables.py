"""Answers for people at a terminal: plain tables, AWS's text made safe to print."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from analyzer.model.units import GB, Money, add_up, iso
from analyzer.model.words import counted
from reports.text import shortened, visible

if TYPE_CHECKING:
    from analyzer.model.records import Gap
    from analyzer.model.results import Report, TagGroups
    from reports.missing import Missing

_UNKNOWN = "unknown"
#: Columns of a terminal that is not made wider; what is piped gets the same.
_WIDTH = 100
_ROWS = 20
_GAPS = 10


def report_table(report: Report) -> str:
    """The headline of a report and where its money is, at the scope that was asked for."""
    from reports.facts import contents, not_read, possibly_reached, redacted_words

    totals = report.totals
    amounts = (
        totals.cost_low,
        totals.cost_high,
        totals.orphaned_cost.repository,
        totals.orphaned_cost.registry,
    )
    earlier, reached, redacted = not_read(report), possibly_reached(report), redacted_words(report)
    registries = counted(totals.registries, "registry", "registries")
    lines = [
        f"{registries}, {contents(report)}; {_snapshots(report)} (run {report.run})",
        *([f"{earlier}."] if earlier else []),
        *([redacted] if redacted else []),
        "",
        *_storage(report),
        *_orphaned(report),
        *([reached] if reached else []),
        *(
            f"Not included: {reason}"
            for reason in sorted({reason for money in amounts for reason in money.leaves_out})
        ),
    ]
    text = "\n".join(map(_wrapped, lines)) + "\n\n" + _repositories(report)
    text += "".join(f"\n{_groups(report, groups)}" for groups in report.groups)
    return text + gaps_text(report.gaps, accepted=len(report.accepted_gaps))


def _snapshots(report: Report) -> str:
    if report.taken_to - report.taken_from > timedelta(hours=1):
        return f"snapshots of {iso(report.taken_from)} to {iso(report.taken_to)}"
    return f"snapshots of {iso(report.taken_to)}"


def _storage(report: Report) -> list[str]:
    from reports.facts import bytes_at, is_range, low_bytes, main_scope
    from reports.missing import bytes_of_all

    totals, scope = report.totals, main_scope(report)
    cost = _range(totals.cost_low, totals.cost_high)
    if bytes_of_all(report).nothing_known:
        return [f"Storage    {cost}: no size of anything stored is known"]
    stored = gigabytes(bytes_at(totals.physical_bytes, scope))
    where = f"at {scope} scope"
    if is_range(report):
        stored = f"{gigabytes(low_bytes(report))} to {stored}"
        where = "(blob mounting decides; the rows below are at repository scope, the high end)"
    whole = gigabytes(totals.logical_bytes)
    return [
        f"Storage    {cost} per month for {stored} stored {where}; {whole} if every image were counted whole"
    ]


def _orphaned(report: Report) -> list[str]:
    from reports.facts import main_scope, money_at, promise_scope

    totals = report.totals
    counts, both = totals.counts, totals.orphaned_cost
    cost = _amount(money_at(both, main_scope(report)))
    if report.scope == "auto" and promise_scope(report) == "registry":
        # Nobody can promise the high end where repositories may share layers.
        cost = _range(both.registry, both.repository)
    images = counted(counts.orphaned_images, "image", "images")
    if not counts.orphaned_images and cost == _UNKNOWN:
        return ["Orphaned   unknown: no image is known to be orphaned, but not all could be looked at"]
    return [f"Orphaned   {cost} per month would leave with the {images} that no tag reaches"]


def _groups(report: Report, groups: TagGroups) -> str:
    """The cost by the value of one tag, at the scope that was asked for."""
    from reports.facts import main_scope, money_at
    from reports.groups import group_costs, label_of
    from reports.missing import Missing
    from reports.rounding import CENT_DECIMALS, rounded

    scope, costs = main_scope(report), group_costs(report, groups, CENT_DECIMALS)
    at_registry = scope == "registry"
    cents = costs.registry if at_registry else costs.repository
    table = _table(f"TAG {escape(visible(groups.key))}", "REPOSITORIES", "USD/MONTH", right=2)

    def amount(shown: Decimal | None, money: Money) -> str:
        return _marked(_cents(shown, money), Missing(money.leaves_out, nothing_known=shown is None))

    for row, shown in zip(groups.rows, cents, strict=True):
        name = _text(label_of(row, groups.key))
        table.add_row(name, f"{len(row.members):,}", amount(shown, money_at(row.cost, scope)))
    if at_registry:
        table.add_row(Text("Shared between repositories"), "", amount(costs.shared, report.shared_cost))
    table.add_section()
    total = money_at(report.totals.cost, scope)
    whole = amount(rounded(total, CENT_DECIMALS), total)
    table.add_row(Text("Total"), f"{report.totals.repositories:,}", whole)
    return _render(table)


def _repositories(report: Report) -> str:
    """The dearest repositories, and the rows that make them add up to the headline."""
    from reports.facts import main_scope, money_at
    from reports.missing import (
        Missing,
        bytes_of_all,
        bytes_of_repository,
        counts_of_all,
        counts_of_repository,
        united,
    )
    from reports.rounding import CENT_DECIMALS, apportion_gb, rounded, rounded_costs, shared_bytes

    scope, totals, rows = main_scope(report), report.totals, report.repositories
    at_registry = scope == "registry"
    costs = rounded_costs(report, CENT_DECIMALS)
    cents = costs.repositories_registry if at_registry else costs.repositories_repository
    sizes = [row.physical_bytes.registry if at_registry else row.physical_bytes.repository for row in rows]
    shared = shared_bytes(report) if at_registry else 0
    stored = totals.physical_bytes.registry if at_registry else totals.physical_bytes.repository
    *shown, shared_shown = apportion_gb([*sizes, shared], stored, 2)
    unsized = [bytes_of_repository(row) for row in rows]
    uncounted = [counts_of_repository(row) for row in rows]

    table = _table("REPOSITORY", "IMAGES", "ORPHANED", "STORED", "USD/MONTH", right=4)

    def add(
        name: Text,
        images: int,
        orphaned: int,
        of_counts: Missing,
        gb: Decimal,
        of_bytes: Missing,
        amount: Decimal | None,
        money: Money,
    ) -> None:
        table.add_row(
            name,
            _marked(f"{images:,}", of_counts),
            _marked(f"{orphaned:,}", of_counts),
            _marked(f"{gb:,.2f} GB", of_bytes),
            _marked(_cents(amount, money), Missing(money.leaves_out, nothing_known=amount is None)),
        )

    for n, row in enumerate(rows[:_ROWS]):
        add(
            _text(f"{row.account}/{row.region}/{row.repository}"),
            row.counts.images,
            row.counts.orphaned_images,
            uncounted[n],
            shown[n],
            unsized[n],
            cents[n],
            money_at(row.cost, scope),
        )
    rest = rows[_ROWS:]
    if rest:
        known = [amount for amount in cents[_ROWS:] if amount is not None]
        images = sum(row.counts.images for row in rest)
        add(
            Text(f"Other ({counted(len(rest), 'repository', 'repositories')})"),
            images,
            sum(row.counts.orphaned_images for row in rest),
            united(uncounted[_ROWS:], known=images),
            sum(shown[_ROWS:], Decimal(0)),
            united(unsized[_ROWS:], known=sum(sizes[_ROWS:])),
            sum(known, Decimal(0)) if known else None,
            add_up(money_at(row.cost, scope) for row in rest),
        )
    if at_registry and (shared or report.shared_cost.amount is None):
        table.add_row(
            Text("Shared between repositories"),
            "",
            "",
            _marked(f"{shared_shown:,.2f} GB", Missing()),
            _marked(
                _cents(costs.shared, report.shared_cost),
                Missing(report.shared_cost.leaves_out, nothing_known=costs.shared is None),
            ),
        )
    total = money_at(totals.cost, scope)
    table.add_section()
    add(
        Text("Total"),
        totals.counts.images,
        totals.counts.orphaned_images,
        counts_of_all(report),
        sum(shown, shared_shown),
        bytes_of_all(report),
        rounded(total, CENT_DECIMALS),
        total,
    )
    text = _render(table)
    if "*" in "".join(str(cell) for column in table.columns[1:] for cell in column.cells):
        text += "* without what is not included, see above\n"
    if rest:
        text += "All repositories: see --output-dir or --format csv\n"
    return text


def _marked(figure: str, missing: Missing) -> str:
    """``figure``, ``unknown``, or with a star where it leaves something out."""
    if missing.nothing_known:
        return f"{_UNKNOWN} "
    return f"{figure}{'*' if missing.reasons else ' '}"


def _cents(shown: Decimal | None, money: Money) -> str:
    """``shown`` cents of ``money``, never as nothing where there is something."""
    if shown is None or money.amount is None:
        return _UNKNOWN
    return "<$0.01" if not shown and money.amount else f"${shown:,.2f}"


#: The call of gaps that are no call's: somebody else collects the registry.
_LEASE = "lease"


def gaps_text(gaps: Sequence[Gap], *, accepted: int = 0) -> str:
    """What was refused, a line each, the first few of them."""
    lines = [f"\nGaps: {len(gaps):,}. What they hide is in no figure above"] if gaps else []
    for gap in gaps[:_GAPS]:
        place = "/".join(part for part in (gap.account, gap.region, gap.repository) if part)
        times = f" ({gap.count:,} times)" if gap.count > 1 else ""
        # What is about a whole profile has no place of its own.
        start = f"  {place}: " if place else "  "
        # Nor does anything else in the answer tell of an account that lets nobody in.
        why = f": {gap.detail}" if gap.detail and not gap.region else ""
        line = f"{start}{gap.call} {gap.reason}{times}{why}"
        if gap.call == _LEASE and gap.detail:
            # Who holds the registry, since when and on which host: that is all there is to know.
            line = f"  {gap.detail}"
        lines.append(_wrapped(visible(line)))
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
        return _UNKNOWN
    if 0 < money.amount < Decimal("0.005"):
        return "<$0.01"
    return f"${money.amount:,.2f}"


def _amount(money: Money) -> str:
    """As ``dollars``; zero beside something unknown is unknown."""
    return _UNKNOWN if money.leaves_out and not money.amount else dollars(money)


def _range(low: Money, high: Money) -> str:
    return _amount(low) if _amount(low) == _amount(high) else f"{_amount(low)} to {_amount(high)}"


def _wrapped(line: str) -> str:
    """``line`` on as many lines as it needs; those after the first are indented."""
    is_headline = line.startswith(("Storage ", "Orphaned "))
    return "\n".join(wrap(line, _WIDTH, subsequent_indent=" " * 11 if is_headline else "    "))


def _table(*headers: str, right: int) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for position, header in enumerate(headers):
        is_number = position >= len(headers) - right
        table.add_column(header, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    return table


def _text(value: str) -> Text:
    return Text(shortened(visible(value), 100))


def _render(renderable: Any) -> str:
    # Always of one width and without colour: a pipe gets what a terminal shows.
    out = io.StringIO()
    Console(file=out, width=_WIDTH, color_system=None, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
