"""A chart of what flows from where to where, as inline SVG like those of ``reports.charts``.

Two columns of places and a ribbon for each route, as thick as its bytes are many. Places and figures
are laid out in percentages and keep their size; the ribbons between them are stretched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Final

from reports.text import shortened, visible

#: Where the ribbons begin and end, in per cent of the width.
_LEFT: Final = 30
_RIGHT: Final = 72
#: Pixels. A figure stands above the beginning of its ribbon.
_FIGURE: Final = 19
_THICKEST: Final = 34
_THINNEST: Final = 2
_BETWEEN_ROUTES: Final = 6
_BETWEEN_PLACES: Final = 18
_HEAD: Final = 24
#: Height of a place's two lines.
_PLACE: Final = 34
#: Letters of a place beside the ribbons, on a phone.
_LETTERS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One ribbon. ``part`` of its ``value`` is drawn in the colour of warning, at its upper edge."""

    #: What it is called, and a second, quieter line.
    origin: tuple[str, str]
    destination: tuple[str, str]
    #: The value as text; where nothing is known of it, ``value`` is None and the ribbon a broken line.
    figure: str
    value: int | None
    part: int = 0
    #: Said on hover.
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Ribbon:
    route: Route
    thickness: Decimal
    #: Of its upper edge.
    left: Decimal
    right: Decimal


def route_chart(routes: Sequence[Route], *, name: str, title: str, description: str) -> str:
    """An ``<svg>`` of ``routes``, as wide as its container; empty text where there are none.

    Places come in the order of their first route. ``name``, ``title`` and ``description`` are as in
    ``charts.bar_chart``; text may hold anything and is escaped here.
    """
    if not routes:
        return ""
    thickest = max((route.value or 0 for route in routes), default=0)
    thickness = [
        max(Decimal(_THINNEST), Decimal(route.value or 0) * _THICKEST / thickest)
        if thickest
        else Decimal(_THINNEST)
        for route in routes
    ]
    origins, left, left_height = _stacked(routes, thickness, lambda route: route.origin, _FIGURE)
    destinations, right, right_height = _stacked(routes, thickness, lambda route: route.destination, 0)
    height = max(left_height, right_height)
    # The shorter column stands in the middle of the other.
    left_shift, right_shift = (height - left_height) / 2, (height - right_height) / 2
    ribbons = [
        _Ribbon(route, thick, left[n] + left_shift, right[n] + right_shift)
        for n, (route, thick) in enumerate(zip(routes, thickness, strict=True))
    ]
    total = int(height) + 1
    labelled = f'aria-labelledby="{name}-title {name}-desc"'
    stretched = f'viewBox="0 0 100 {total}" preserveAspectRatio="none"'
    pieces = [
        f'<svg class="chart" width="100%" height="{total}" role="img" {labelled}>',
        f'<title id="{name}-title">{_text(title)}</title><desc id="{name}-desc">{_text(description)}</desc>',
        _heading(0, "start", "Registry in"),
        _heading(100, "end", "Pulled to"),
        f'<svg x="{_LEFT}%" width="{_RIGHT - _LEFT}%" height="{total}" {stretched}>',
        *(_drawn(ribbon) for ribbon in ribbons),
        "</svg>",
        *(_place(0, "start", place, top + left_shift) for place, top in origins.items()),
        *(_place(100, "end", place, top + right_shift) for place, top in destinations.items()),
        *(_figure(ribbon) for ribbon in ribbons),
        "</svg>",
    ]
    return "".join(pieces)


def _stacked(
    routes: Sequence[Route],
    thickness: Sequence[Decimal],
    place_of: Callable[[Route], tuple[str, str]],
    above: int,
) -> tuple[dict[tuple[str, str], Decimal], list[Decimal], Decimal]:
    """Middles of the places of one column, the upper edge of each ribbon there, and the column's height."""
    at_place: dict[tuple[str, str], list[int]] = {}
    for n, route in enumerate(routes):
        at_place.setdefault(place_of(route), []).append(n)
    middles: dict[tuple[str, str], Decimal] = {}
    tops = [Decimal(0)] * len(routes)
    y = Decimal(_HEAD)
    for place, here in at_place.items():
        taken = sum((thickness[n] + above + _BETWEEN_ROUTES for n in here), Decimal(0)) - _BETWEEN_ROUTES
        block = max(Decimal(_PLACE), taken)
        at = y + (block - taken) / 2
        for n in here:
            tops[n] = at + above
            at += thickness[n] + above + _BETWEEN_ROUTES
        middles[place] = y + block / 2
        y += block + _BETWEEN_PLACES
    return middles, tops, y - _BETWEEN_PLACES


def _drawn(ribbon: _Ribbon) -> str:
    route = ribbon.route
    title = f"<title>{_text(route.hint)}</title>" if route.hint else ""
    if route.value is None:
        middle = ribbon.thickness / 2
        left, right = ribbon.left + middle, ribbon.right + middle
        return (
            f'<g>{title}<path d="M0 {left:.1f}C50 {left:.1f} 50 {right:.1f} 100 {right:.1f}" fill="none"'
            ' stroke="var(--muted)" stroke-width="2" stroke-dasharray="4 4"'
            ' vector-effect="non-scaling-stroke"/></g>'
        )
    part = ribbon.thickness * min(route.part, route.value) / route.value if route.value else Decimal(0)
    return (
        f"<g>{title}{_band(ribbon, Decimal(0), part, 'warn')}"
        f"{_band(ribbon, part, ribbon.thickness - part, 'accent')}</g>"
    )


def _band(ribbon: _Ribbon, offset: Decimal, thickness: Decimal, colour: str) -> str:
    if thickness <= 0:
        return ""
    left, right = ribbon.left + offset, ribbon.right + offset
    below_left, below_right = left + thickness, right + thickness
    return (
        f'<path d="M0 {left:.1f}C50 {left:.1f} 50 {right:.1f} 100 {right:.1f}'
        f'V{below_right:.1f}C50 {below_right:.1f} 50 {below_left:.1f} 0 {below_left:.1f}Z"'
        f' fill="var(--{colour})" fill-opacity="0.75"/>'
    )


def _heading(x: int, anchor: str, text: str) -> str:
    return f'<text x="{x}%" y="12" text-anchor="{anchor}" fill="var(--muted)">{text}</text>'


def _place(x: int, anchor: str, place: tuple[str, str], middle: Decimal) -> str:
    label, note = (shortened(visible(text), _LETTERS) for text in place)
    first = middle if note else middle + 4
    second = (
        f'<text x="{x}%" y="{middle + 15:.1f}" text-anchor="{anchor}" fill="var(--muted)"'
        f' font-size="11">{escape(note)}</text>'
        if note
        else ""
    )
    return (
        f'<g><title>{_text(" ".join(filter(None, place)))}</title><text x="{x}%" y="{first:.1f}"'
        f' text-anchor="{anchor}" fill="var(--text)">{escape(label)}</text>{second}</g>'
    )


def _figure(ribbon: _Ribbon) -> str:
    # An outline in the colour of the paper keeps it legible where another ribbon passes.
    return (
        f'<text x="{_LEFT}%" dx="4" y="{ribbon.left - 5:.1f}" fill="var(--text)" stroke="var(--paper)"'
        f' stroke-width="3" paint-order="stroke" font-size="12">{_text(ribbon.route.figure)}</text>'
    )


def _text(text: str) -> str:
    return escape(visible(text))
