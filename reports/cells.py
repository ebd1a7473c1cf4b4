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
from reports.anchors import repository_anchor
from reports.figures import NOT_APPLICABLE, UNKNOWN, column_number, count, exact_size
from reports.missing import WHOLE, Missing, united
from reports.rounding import CENT_DECIMALS, EXACT_DECIMALS, amount_text, rounded

#: Rows of a table before the rest becomes one row.
MOST_ROWS: Final = 200
#: The same for the table of all repositories, whose rows other tables and other people lead to.
MOST_REPOSITORIES: Final = 1000

Tone = Literal["", "muted", "warn"]


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
    #: An id that the text leads to, such as ``repository_anchor`` gives; no link where the page has
    #: nothing of that id.
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row; ``kind`` is "" for a plain one, else other, shared or total."""

    cells: tuple[Cell, ...]
    kind: Literal["", "other", "shared", "total"] = ""
    #: The row's id on the page; "" without one.
    anchor: str = ""
    #: What the row is chosen by, one for each of the table's ``facets``.
    facets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as the template draws it. ``groups`` are heads over several columns: label and width.

    Where there are many rows a reader filters them by text and by ``facets`` (such as Region, Owner
    or Severity), whose values every row then has.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footer: tuple[Row, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    #: The CSV file beside the page that holds the rows; "" where none does.
    file: str = ""
    #: The entry of ``methods.py`` that says how the figures came about; "" where they speak for themselves.
    method: str = ""
    facets: tuple[str, ...] = ()

    @property
    def chosen_by(self) -> tuple[tuple[int, str], ...]:
        """The facets in which the rows differ, each with its place; there is no choice in the others."""
        return tuple(
            (place, label)
            for place, label in enumerate(self.facets)
            if len({row.facets[place] for row in self.rows}) > 1
        )

    @property
    def terms(self) -> tuple[tuple[str, str], ...]:
        """What the columns mean that say so: label and meaning, in order, the head of a group before them."""
        heads = [label for label, width in self.groups for _ in range(width)] or [""] * len(self.columns)
        return tuple(
            (f"{head}: {column.label}" if head else column.label, column.hint)
            for head, column in zip(heads, self.columns, strict=True)
            if column.hint
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a row is: the account and region to choose it by, and its own id, "" without one."""

    account: str
    region: str
    anchor: str = ""

    @classmethod
    def of(cls, account: str, region: str, repository: str) -> Place:
        """Where a repository is, with the id of its row in the table of all repositories."""
        return cls(account=account, region=region, anchor=repository_anchor(account, region, repository))

    @property
    def facets(self) -> tuple[str, ...]:
        """The row's values of ``PLACE_FACETS``."""
        return (self.region, self.account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """One column with its cells: one per row, and those of the closing rows."""

    column: Column
    cells: tuple[Cell, ...]
    other: Cell
    shared: Cell
    total: Cell


#: What rows that lie in a registry are chosen by.
PLACE_FACETS: Final = ("Region", "Account")

EMPTY: Final = Cell(text="")
DASH: Final = Cell(text=NOT_APPLICABLE, tone="muted")


def filled_table(
    name: str,
    caption: str,
    filled: Sequence[Filled],
    *,
    with_shared: bool = False,
    groups: tuple[tuple[str, int], ...] = (),
    file: str = "",
    method: str = "",
    places: Sequence[Place] = (),
    most: int = MOST_ROWS,
) -> Table:
    """The table of these columns: at most ``most`` rows, then other, shared (if any) and total.

    ``places`` are the rows' own, where the reader can choose by account and region.
    """
    length = len(filled[0].cells)
    rows = [
        Row(
            cells=tuple(column.cells[n] for column in filled),
            anchor=places[n].anchor if places else "",
            facets=places[n].facets if places else (),
        )
        for n in range(min(length, most))
    ]
    footer = []
    if length > most:
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
        file=file,
        method=method,
        facets=PLACE_FACETS if places else (),
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
    column: Column,
    values: Sequence[int],
    total: int,
    missing: Sequence[Missing],
    of_total: Missing,
    *,
    most: int = MOST_ROWS,
) -> Filled:
    """A column of counts.

    ``missing`` is what each row's leaves out, ``of_total`` what the total's does.

    The first ``most`` rows are shown, and the others add up to one.
    """
    rest = sum(values[most:])
    return Filled(
        column=column,
        cells=tuple(count_cell(value, of) for value, of in zip(values, missing, strict=True)),
        other=count_cell(rest, united(missing[most:], known=rest)),
        shared=DASH,
        total=count_cell(total, of_total),
    )


def gb_column(
    column: Column,
    values: Sequence[int],
    shown: Sequence[Decimal],
    shared: tuple[int, Decimal],
    total: int,
    decimals: int,
    missing: Sequence[Missing],
    of_total: Missing,
    *,
    most: int = MOST_ROWS,
) -> Filled:
    """A column of bytes as GB.

    ``shown`` are the ``values`` as GB, rounded together; ``shared`` is that row's figure, exact and
    rounded. ``missing`` is what each row leaves out, ``of_total`` what the total does.
    """
    rest = sum(values[most:])
    return Filled(
        column=column,
        cells=tuple(
            gb_cell(value, gb, decimals, of) for value, gb, of in zip(values, shown, missing, strict=True)
        ),
        other=gb_cell(rest, sum(shown[most:], Decimal(0)), decimals, united(missing[most:], known=rest)),
        shared=gb_cell(*shared, decimals) if shared[0] else DASH,
        total=gb_cell(total, sum(shown, shared[1]), decimals, of_total),
    )


def money_column(
    column: Column,
    amounts: Sequence[Money],
    shown: Sequence[Decimal | None],
    shared: tuple[Money, Decimal | None] | None,
    total: Money,
    *,
    warn: bool = False,
    most: int = MOST_ROWS,
) -> Filled:
    """A column of money.

    ``shown`` are the ``amounts`` rounded together; ``shared`` is that row's amount, exact and rounded.
    """
    tone: Tone = "warn" if warn else ""
    rest = amounts[most:]
    known = [cents for cents in shown[most:] if cents is not None]
    rest_money = Money(
        sum((money.amount for money in rest if money.amount is not None), Decimal(0)) if known else None,
        leaves_out=tuple(sorted({reason for money in rest for reason in money.leaves_out})),
    )
    shared_cell = DASH
    if shared is not None and (shared[0].amount is None or shared[0].amount != 0):
        shared_cell = money_cell(*shared)
    return Filled(
        column=column,
        cells=tuple(
            money_cell(money, cents, tone if money.amount else "")
            for money, cents in zip(amounts, shown, strict=True)
        ),
        other=money_cell(rest_money, sum(known, Decimal(0)) if known else None),
        shared=shared_cell,
        total=money_cell(total, rounded(total, CENT_DECIMALS)),
    )


def count_cell(number: int, missing: Missing = WHOLE) -> Cell:
    """A count, with what it leaves out on hover."""
    if missing.nothing_known:
        return _unknown_cell(missing.words)
    return Cell(
        text=count(number),
        value=str(number),
        hint=f"leaves out: {missing.words}" if missing.reasons else "",
        incomplete=bool(missing.reasons),
    )


def gb_cell(size_bytes: int, shown: Decimal, decimals: int, missing: Missing = WHOLE) -> Cell:
    """Bytes, ``shown`` as GB to so many decimals; the exact number and what is left out on hover."""
    if missing.nothing_known:
        return _unknown_cell(missing.words)
    exact = exact_size(size_bytes)
    return Cell(
        text=column_number(shown, size_bytes, decimals),
        value=str(size_bytes),
        hint=f"{exact}; leaves out: {missing.words}" if missing.reasons else exact,
        incomplete=bool(missing.reasons),
    )


def money_cell(money: Money, shown: Decimal | None, tone: Tone = "") -> Cell:
    """Money ``shown`` to the cent, with what it leaves out on hover; ``unknown`` with its reason."""
    reasons = "; ".join(money.leaves_out)
    if money.amount is None or shown is None:
        return _unknown_cell(reasons)
    return Cell(
        text=column_number(shown, money.amount, CENT_DECIMALS),
        value=amount_text(rounded(money, EXACT_DECIMALS)),
        hint=f"leaves out: {reasons}" if reasons else "",
        tone=tone,
        incomplete=bool(reasons),
    )


def _unknown_cell(reasons: str) -> Cell:
    return Cell(text=UNKNOWN, hint=reasons, tone="muted")
