"""Cells of CSV tables: text that nothing runs, what is unknown, and what money leaves out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from analyzer.model.units import Money
from reports.missing import Missing
from reports.text import UNSEEN, visible

Cell = str | int

# ASCII, full-width and small forms, and the minus sign: spreadsheets fold them into one another.
_FORMULA = "=+\\-@＝＋－＠﹦﹢﹣﹫−"  # noqa: RUF001 (the look-alikes are the point)
_STARTS_FORMULA = re.compile(rf"[\t\r]|[\s{UNSEEN}]*[{_FORMULA}]")
# The same question asked of a whole column at once, its cells joined by line feeds.
_ANY_FORMULA = re.compile(r"(?:\A|\n) *[=+\-@]")
_ANY_SUSPECT = re.compile(rf"^[^\S\n]*[{_FORMULA}]|(?!\n)[{UNSEEN}]", re.MULTILINE)


def table_text(header: Sequence[str], rows: Iterable[Sequence[Cell | float]]) -> str:
    """The table of ``rows`` as CSV, the header above them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def neutral(text: str) -> str:
    """``text`` as a cell that no spreadsheet runs as a formula and no program trips over."""
    shown = visible(text)
    return f"'{shown}" if _STARTS_FORMULA.match(text) else shown


def neutralised(cells: Iterable[Cell | None]) -> list[Cell]:
    """``cells`` with their texts ``neutral``, empty where there is nothing."""
    return ["" if cell is None else neutral(cell) if isinstance(cell, str) else cell for cell in cells]


def neutral_column(cells: Sequence[str]) -> Sequence[str]:
    """Every cell of a column ``neutral``; a column without a suspect is given back as it is."""
    joined = "\n".join(cells)
    if joined.count("\n") == len(cells) - 1:
        # Digests and most tags are plain ASCII, which is told in a fraction of the time.
        plain = joined.isascii() and joined.replace("\n", "").isprintable()
        if not (_ANY_FORMULA if plain else _ANY_SUSPECT).search(joined):
            return cells
    return [neutral(cell) for cell in cells]


def truth(value: bool | None) -> str:  # noqa: FBT001 (a truth to write, no switch)
    """``value`` as a cell, empty for unknown."""
    return "" if value is None else "true" if value else "false"


def known_cell(number: int, missing: Missing) -> Cell:
    """``number`` as a cell, empty where nothing is known of it."""
    return "" if missing.nothing_known else number


def reasons(*amounts: Money) -> str:
    """What the amounts leave out, each reason once."""
    return neutral("; ".join(sorted({reason for money in amounts for reason in money.leaves_out})))


def require_dollars(money: Money) -> None:
    """Raise ValueError for money of a table that is not USD per month."""
    # The unit stands in the headers, which programs rely on.
    if (money.currency, money.period) != ("USD", "month"):
        raise ValueError(f"the CSV tables hold USD per month, not {money.currency} per {money.period}")
