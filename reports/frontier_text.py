"""The frontier for a person at a terminal: narrow, plain, and nothing unknown as zero."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analyzer.model.frontier import By, FrontierPoint, PricedFrontier
from analyzer.model.units import GB, Money, Scope, iso
from analyzer.model.words import counted
from reports.figures import UNKNOWN
from reports.frontier import (
    REPOSITORY_RUNGS,
    missing_bytes,
    missing_count,
    most_first,
    rung_numbers,
    rungs,
)
from reports.missing import Missing
from reports.text import shortened, visible

#: Columns of a terminal that is not made wider; what is piped gets the same.
_WIDTH: Final = 100
_WHAT: Final[dict[By, str]] = {
    "images": "the youngest N images of each",
    "days": "what was pushed in the last N days",
}
#: Where nobody can say that too much is promised.
_SAFE: Final[Scope] = "registry"


def frontier_text(sweep: PricedFrontier, at: datetime, *, top: int) -> str:
    """The fleet at some N, then the ``top`` repositories that save most; gaps are left to the caller."""
    repositories = counted(len(sweep.repositories), "repository", "repositories")
    points = rungs(sweep)
    lines = [
        f"{repositories} at {iso(at)}, keeping {_WHAT[sweep.by]}",
        "Stored and cost are at repository scope, each layer once in every repository; saved is what",
        "cannot be overstated (each layer once in a registry) up to that.",
        "",
        _fleet(sweep, points),
    ]
    rows = most_first(sweep.repositories, REPOSITORY_RUNGS[sweep.by][0], _SAFE, top)
    if rows:
        lines += ["Saved per month if one repository alone keeps fewer, each layer once in a registry:", ""]
        numbers = REPOSITORY_RUNGS[sweep.by]
        table = _table("REPOSITORY", "STORED", *(f"{n} {sweep.by}".upper() for n in numbers), right=4)
        for row in rows:
            today = row.curve.today
            table.add_row(
                Text(shortened(visible(f"{row.account}/{row.region}/{row.repository}"), _WIDTH)),
                _marked(_gb(today.stored_bytes.repository), missing_bytes(today)),
                *(_money(row.curve.at(n).saving.registry) for n in numbers),
            )
        lines.append(_rendered(table))
    reasons = sorted({reason for point in points for reason in _reasons(point)})
    lines += [f"* leaves out: {reason}" for reason in reasons]
    return "\n".join(lines).rstrip("\n") + "\n"


def _fleet(sweep: PricedFrontier, points: Sequence[FrontierPoint]) -> str:
    table = _table("KEEP", "ARTIFACTS", "STORED", "USD/MONTH", "SAVED", right=4)
    for n, point in zip(rung_numbers(sweep), points, strict=True):
        table.add_row(
            f"{n:,} {sweep.by if n > 1 else sweep.by[:-1]}" + (", or all" if point is points[-1] else ""),
            _marked(f"{point.kept:,}", missing_count(point)),
            _marked(_gb(point.stored_bytes.repository), missing_bytes(point)),
            _money(point.cost.repository),
            _range(point.saving.registry, point.saving.repository),
        )
    return _rendered(table)


def _range(low: Money, high: Money) -> str:
    one, other = _money(low), _money(high)
    return one if one == other else f"{one.rstrip('* ')} to {other}"


def _money(money: Money) -> str:
    """Whole cents; zero beside something unknown is unknown."""
    if money.amount is None or (money.leaves_out and not money.amount):
        return f"{UNKNOWN} "
    small = 0 < money.amount < Decimal("0.005")
    figure = "<$0.01" if small else f"${money.amount:,.2f}"
    return _marked(figure, Missing(money.leaves_out))


def _gb(size_bytes: int) -> str:
    return f"{Decimal(size_bytes) / GB:,.2f} GB"


def _marked(figure: str, missing: Missing) -> str:
    """``figure``, ``unknown``, or with a star where it leaves something out."""
    return f"{UNKNOWN} " if missing.nothing_known else f"{figure}{'*' if missing.reasons else ' '}"


def _reasons(point: FrontierPoint) -> set[str]:
    both = (point.cost.repository, point.saving.repository, point.saving.registry)
    return {reason for money in both for reason in money.leaves_out}


def _table(*headers: str, right: int) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for position, header in enumerate(headers):
        is_number = position >= len(headers) - right
        table.add_column(header, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    return table


def _rendered(table: Table) -> str:
    # Always of one width and without colour: a pipe gets what a terminal shows.
    out = io.StringIO()
    Console(file=out, width=_WIDTH, color_system=None, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
