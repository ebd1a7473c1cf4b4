"""Figures and lines for a terminal: whole cents, one unit to a column, text that is safe to print."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from textwrap import wrap
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analyzer.model.units import Money
from analyzer.model.words import counted
from reports.figures import UNKNOWN, size
from reports.missing import Missing
from reports.rounding import CENT_DECIMALS
from reports.text import visible

#: Columns of a terminal that is not made wider; what is piped gets the same.
WIDTH: Final = 100


def byte_unit(total: int) -> tuple[int, str]:
    """The greatest unit that ``total`` has a whole one of: 1 GB is 2**30 bytes."""
    for power, name in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "KB")):
        if total >= 1024**power:
            # Tens of terabytes are billed, and better told apart, in GB.
            return (1024**3, "GB") if power == 4 else (1024**power, name)
    return 1, "bytes"


def size_figure(shown: Decimal, exact: int, unit: str) -> str:
    """``shown`` of a unit, never as nothing where there is something; bytes as they are."""
    if unit == " bytes":
        return counted(exact, "byte")
    return f"<0.01{unit}" if not shown and exact > 0 else f"{shown:,.2f}{unit}"


def signed_size(size_bytes: int) -> str:
    """Bytes that may be below zero."""
    return f"-{size(-size_bytes)}" if size_bytes < 0 else size(size_bytes)


def dollars(money: Money) -> str:
    """Whole cents; zero beside something unknown is unknown."""
    return cents_figure(None if money.amount is None else round(money.amount, CENT_DECIMALS), money)


def cents_figure(shown: Decimal | None, money: Money) -> str:
    """``shown`` cents of ``money``, never as nothing where there is something or may be."""
    if shown is None or money.amount is None or (money.leaves_out and not money.amount):
        return f"{UNKNOWN} "
    sign = "-" if shown < 0 else ""
    small = not shown and money.amount > 0
    figure = "<$0.01" if small else f"{sign}${abs(shown):,.2f}"
    return marked(figure, Missing(money.leaves_out))


def marked(figure: str, missing: Missing) -> str:
    """``figure``, ``unknown``, or with a star where it leaves something out."""
    return f"{UNKNOWN} " if missing.nothing_known else f"{figure}{'*' if missing.reasons else ' '}"


def wrapped_lines(lines: Iterator[str] | Sequence[str] | map[str]) -> str:
    """Each line safe to print, and wrapped as ``wrapped`` does."""
    return "".join(f"{wrapped(visible(line))}\n" for line in lines)


def wrapped(line: str) -> str:
    """``line`` on as many lines as it needs; those after the first are indented further.

    A word is never broken, also where it is wider than a line: references stay whole to be copied.
    """
    text = line.lstrip(" ")
    indent = " " * (len(line) - len(text))
    lines = wrap(
        text,
        WIDTH,
        # Given as an indent it also stays before a first word that is too wide.
        initial_indent=indent,
        subsequent_indent=f"{indent}   ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    return "\n".join(lines)


def plain_table(*headers: str, right: int) -> Table:
    """A table of these columns, the last ``right`` of them numbers."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for position, header in enumerate(headers):
        is_number = position >= len(headers) - right
        table.add_column(
            Text(header), justify="right" if is_number else "left", overflow="fold", no_wrap=is_number
        )
    return table


def rendered(table: Table) -> str:
    """``table`` as text, with a line feed at its end."""
    # Always of one width and without colour: a pipe gets what a terminal shows.
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def not_included(reasons: Iterable[str]) -> list[str]:
    """Lines on what figures marked with an asterisk leave out."""
    return [f"* not included: {reason}" for reason in reasons]
