"""Cells and columns: how a figure becomes text with its exact value beside it.

A table is built column by column, because a column is rounded as a whole so that the rows shown,
the ``other`` row that stands for those left away, and the ``shared`` row add up to the total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from analyzer.model.units import Money
from reports.figures import NOT_APPLICABLE, UNKNOWN, column_number, count, exact_size
from reports.rounding import CENT_DECIMALS, EXACT_DECIMALS, amount_text, apportion_gb, rounded

#: Rows of a table before the rest becomes one row.
MOST_ROWS: Final = 200

Tone = Literal["", "muted", "warn"]

#: Said wherever a cell stands for something that a run could not read at all.
_UNREAD: Final = "nothing of it has been read yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The head of a column."""

    label: str
    numeric: bool = True
    hint: str = ""
    #: A second figure for the same thing, shown quieter.
    muted: bool = False
    #: The rows come in falling order of this column.
    sorts_rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell. ``value`` is the exact figure, for sorting; "" sorts last (numbers) or by text."""

    text: str
    value: str = ""
    hint: str = ""
    tone: Tone = ""
    #: A second, smaller line: one sentence, or several facts that are each kept in one piece.
    notes: tuple[str, ...] = ()
    #: The amount leaves something out; a dagger says so.
    incomplete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row; ``kind`` is "" for a plain one, else other, shared or total."""

    cells: tuple[Cell, ...]
    kind: Literal["", "other", "shared", "total"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as the template draws it. ``groups`` are heads over several columns: label and width."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footer: tuple[Row, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """One column with its cells: one per row, and those of the closing rows."""

    column: Column
    cells: tuple[Cell, ...]
    other: Cell
    shared: Cell
    total: Cell


EMPTY: Final = Cell(text="")
DASH: Final = Cell(text=NOT_APPLICABLE, tone="muted")


def filled_table(
    name: str,
    caption: str,
    filled: Sequence[Filled],
    *,
    with_shared: bool = False,
    groups: tuple[tuple[str, int], ...] = (),
) -> Table:
    """The table of these columns: at most MOST_ROWS rows, then other, shared (if any) and total."""
    length = len(filled[0].cells)
    rows = [Row(cells=tuple(column.cells[n] for column in filled)) for n in range(min(length, MOST_ROWS))]
    footer = []
    if length > MOST_ROWS:
        footer.append(Row(cells=tuple(column.other for column in filled), kind="other"))
    if with_shared:
        footer.append(Row(cells=tuple(column.shared for column in filled), kind="shared"))
    footer.append(Row(cells=tuple(column.total for column in filled), kind="total"))
    return Table(
        name=name,
        caption=caption,
        columns=tuple(column.column for column in filled),
        rows=tuple(rows),
        footer=tuple(footer),
        groups=groups,
    )


def text_column(
    column: Column,
    cells: Sequence[Cell],
    *,
    other: Cell = EMPTY,
    shared: Cell = EMPTY,
    total: Cell = EMPTY,
) -> Filled:
    """A column of cells that need no adding up."""
    return Filled(column=column, cells=tuple(cells), other=other, shared=shared, total=total)


def count_column(
    column: Column, values: Sequence[int], total: int, unread: frozenset[int] = frozenset()
) -> Filled:
    """A column of counts; the rows at the positions ``unread`` show that nothing is known of them."""
    cells = [
        _unread_cell() if n in unread else Cell(text=count(value), value=str(value))
        for n, value in enumerate(values)
    ]
    return Filled(
        column=column,
        cells=tuple(cells),
        other=Cell(text=count(sum(values[MOST_ROWS:]))),
        shared=DASH,
        total=Cell(text=count(total)),
    )


def gb_column(
    column: Column,
    values: Sequence[int],
    shared: int,
    total: int,
    decimals: int,
    unread: frozenset[int] = frozenset(),
    most: Sequence[Decimal] | None = None,
) -> Filled:
    """A column of bytes as GB; ``most`` bounds what the rows show, as in ``rounding.apportion``."""
    *shown, shared_shown = apportion_gb([*values, shared], total, decimals, most)
    cells = [
        _unread_cell() if n in unread else gb_cell(value, gb, decimals)
        for n, (value, gb) in enumerate(zip(values, shown, strict=True))
    ]
    rest, whole = sum(shown[MOST_ROWS:], Decimal(0)), sum(shown, shared_shown)
    return Filled(
        column=column,
        cells=tuple(cells),
        other=gb_cell(sum(values[MOST_ROWS:]), rest, decimals),
        shared=gb_cell(shared, shared_shown, decimals) if shared else DASH,
        total=gb_cell(total, whole, decimals),
    )


def money_column(
    column: Column,
    amounts: Sequence[Money],
    shown: Sequence[Decimal | None],
    shared: tuple[Money, Decimal | None] | None,
    total: Money,
    unread: frozenset[int] = frozenset(),
    *,
    warn: bool = False,
) -> Filled:
    """A column of money.

    ``shown`` are the ``amounts`` rounded together; ``shared`` is that row's amount, exact and rounded.
    """
    tone: Tone = "warn" if warn else ""
    cells = [
        Cell(text=UNKNOWN, hint=_UNREAD, tone="muted")
        if n in unread
        else money_cell(money, cents, tone if money.amount else "")
        for n, (money, cents) in enumerate(zip(amounts, shown, strict=True))
    ]
    rest = amounts[MOST_ROWS:]
    known = [cents for cents in shown[MOST_ROWS:] if cents is not None]
    rest_money = Money(
        sum((money.amount for money in rest if money.amount is not None), Decimal(0)) if known else None,
        leaves_out=tuple(sorted({reason for money in rest for reason in money.leaves_out})),
    )
    shared_cell = DASH
    if shared is not None and (shared[0].amount is None or shared[0].amount != 0):
        shared_cell = money_cell(*shared)
    return Filled(
        column=column,
        cells=tuple(cells),
        other=money_cell(rest_money, sum(known, Decimal(0)) if known else None),
        shared=shared_cell,
        total=money_cell(total, rounded(total, CENT_DECIMALS)),
    )


def gb_cell(size_bytes: int, shown: Decimal, decimals: int) -> Cell:
    """Bytes, ``shown`` as GB to so many decimals, the exact number on hover."""
    return Cell(
        text=column_number(shown, size_bytes, decimals),
        value=str(size_bytes),
        hint=exact_size(size_bytes),
    )


def money_cell(money: Money, shown: Decimal | None, tone: Tone = "") -> Cell:
    """Money ``shown`` to the cent, with what it leaves out on hover; ``unknown`` with its reason."""
    reasons = "; ".join(money.leaves_out)
    if money.amount is None or shown is None:
        return Cell(text=UNKNOWN, hint=reasons, tone="muted")
    return Cell(
        text=column_number(shown, money.amount, CENT_DECIMALS),
        value=amount_text(rounded(money, EXACT_DECIMALS)),
        hint=f"leaves out: {reasons}" if reasons else "",
        tone=tone,
        incomplete=bool(reasons),
    )


def _unread_cell() -> Cell:
    return Cell(text=NOT_APPLICABLE, hint=_UNREAD, tone="muted")
