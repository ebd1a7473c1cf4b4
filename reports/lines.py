"""Step curves as inline SVG text, in the manner of ``charts``: no script, no library.

The curves are paths in a nested drawing that stretches with the page; letters and dots stand outside
of it, so that they do not stretch with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from math import log
from typing import Final

from reports.text import visible

_TOP: Final = 20
_HEIGHT: Final = 200
_AXIS: Final = 24
#: Steps of the horizontal grid; their labels stand on them.
_QUARTERS: Final = (4, 3, 2, 1)
#: Points across; what lies closer together cannot be told apart.
_ACROSS: Final = 1_000
#: Per cent of the width that the label of a tick needs, on a phone.
_TICK_ROOM: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A step function that begins at 1: each height (1 is the top) holds until the next number."""

    colour: str
    steps: Sequence[tuple[int, Decimal]]
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A point to look at on the first curve; ``hint`` is said on hover."""

    n: int
    height: Decimal
    hint: str


def step_chart(
    curves: Sequence[Curve],
    *,
    dots: Sequence[Dot],
    ticks: Sequence[int],
    last: int,
    quarters: Sequence[str],
    name: str,
    title: str,
    description: str,
) -> str:
    """An ``<svg>`` of step curves over the numbers 1 to ``last``, logarithmically, as wide as its container.

    ``quarters`` label the grid from the top (all) down to a quarter. ``ticks`` are the numbers to name
    below it, those left away that there is no room for. ``name`` (letters and hyphens) makes ids
    unique on the page. Empty text where there is no more than one number.
    """
    if last <= 1:
        return ""
    grid = "".join(
        _line(y := _y(Decimal(quarter) / 4)) + _label("0", y - 5, label, "start")
        for quarter, label in zip(_QUARTERS, quarters, strict=True)
    )
    paths = "".join(_path(curve, last) for curve in reversed(curves))
    return (
        f'<svg class="chart" width="100%" height="{_TOP + _HEIGHT + _AXIS}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{_text(title)}</title>'
        f'<desc id="{name}-desc">{_text(description)}</desc>'
        f"{grid}{_line(_TOP + _HEIGHT)}"
        f'<svg x="0" y="{_TOP}" width="100%" height="{_HEIGHT}" viewBox="0 0 {_ACROSS} {_HEIGHT}"'
        f' preserveAspectRatio="none" overflow="visible">{paths}</svg>'
        f"{''.join(_dot(dot, last) for dot in dots if dot.n <= last)}{_ticks(ticks, last)}</svg>"
    )


def _path(curve: Curve, last: int) -> str:
    """The curve, of every point across the last of the steps that fall on it."""
    heights: dict[int, str] = {}
    for n, height in curve.steps:
        heights[round(_x(n, last) * _ACROSS / 100)] = f"{_y(height) - _TOP:.1f}"
    pieces: list[str] = []
    before = None
    for x, y in heights.items():
        if y != before:
            pieces.append(f"H{x}V{y}" if pieces else f"M{x} {y}")
            before = y
    dashed = ' stroke-dasharray="5 4"' if curve.dashed else ""
    return (
        f'<path d="{"".join(pieces)}H{_ACROSS}" fill="none" stroke="var(--{curve.colour})" stroke-width="2"'
        f' stroke-linejoin="round" vector-effect="non-scaling-stroke"{dashed}/>'
    )


def _dot(dot: Dot, last: int) -> str:
    # The larger circle is what a finger or a mouse finds.
    place = f'cx="{_x(dot.n, last):.2f}%" cy="{_y(dot.height):.1f}"'
    return (
        f"<g><title>{_text(dot.hint)}</title>"
        f'<circle {place} r="10" fill="var(--accent)" fill-opacity="0"/>'
        f'<circle {place} r="3.5" fill="var(--accent)"/></g>'
    )


def _ticks(ticks: Sequence[int], last: int) -> str:
    """Labels of those that there is room for, the first and the last before all others."""
    shown: list[str] = []
    free = -float(_TICK_ROOM)
    for n in sorted({n for n in ticks if n <= last}):
        x = _x(n, last)
        # The last label ends where the chart does, so that it reaches further to the left.
        if x - free < _TICK_ROOM or (n < last and last in ticks and 100 - x < _TICK_ROOM * 1.25):
            continue
        free = x
        anchor = "start" if n == 1 else "end" if n == last else "middle"
        shown.append(_label(f"{x:.2f}%", _TOP + _HEIGHT + 17, f"{n:,}", anchor))
    return "".join(shown)


def _label(x: str, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y:.0f}" fill="var(--muted)" text-anchor="{anchor}">{_text(text)}</text>'


def _line(y: float) -> str:
    return f'<rect x="0" y="{y:.0f}" width="100%" height="1" fill="var(--track)"/>'


def _x(n: int, last: int) -> float:
    """Per cent from the left."""
    return log(n) / log(last) * 100


def _y(height: Decimal) -> float:
    return _TOP + _HEIGHT * float(1 - height)


def _text(text: str) -> str:
    return escape(visible(text))
