"""Charts as inline SVG text: pure functions, no script, no library.

Widths are percentages of whatever holds the chart and heights are pixels, so that letters keep
their size on a phone. Colours are the page's custom properties ``--text``, ``--muted``,
``--track``, ``--accent`` and ``--warn``, which is how one chart serves light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Final

from markupsafe import Markup

from reports.text import shortened, visible

_ROW_HEIGHT: Final = 38
_BAR_TOP: Final = 21
_BAR_HEIGHT: Final = 8
_BASELINE: Final = 14
#: Letters of a label that fit beside its figure on a phone.
_LABEL_LENGTH: Final = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with its heading and the words of its legend."""

    heading: str
    svg: Markup
    legend: tuple[tuple[str, str], ...]
    #: The name of the table with the rows that are drawn, and its entry of ``methods.py``; "" without.
    rows: str = ""
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar. ``part`` of its ``value`` is drawn in the colour of warning, at the bar's end."""

    label: str
    #: A second, quieter word after the label; left away where it does not fit.
    note: str = ""
    #: The value as text, at the right.
    figure: str
    value: Decimal | int
    part: Decimal | int = 0
    #: Said on hover; the label and figure where empty.
    hint: str = ""


def bar_chart(bars: Sequence[Bar], *, name: str, title: str, description: str) -> str:
    """An ``<svg>`` of horizontal bars in the order given, as wide as its container.

    The longest bar takes the whole width. ``name`` (letters and hyphens) makes ids unique on the
    page; ``title`` and ``description`` are what a screen reader says. Labels may hold anything:
    they are escaped here. Empty text where there are no bars.
    """
    if not bars:
        return ""
    longest = max((Decimal(bar.value) for bar in bars), default=Decimal(0))
    height = _ROW_HEIGHT * len(bars)
    rows = "".join(_row(bar, _ROW_HEIGHT * n, longest) for n, bar in enumerate(bars))
    return (
        f'<svg class="chart" width="100%" height="{height}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{_text(title)}</title>'
        f'<desc id="{name}-desc">{_text(description)}</desc>'
        f"{rows}</svg>"
    )


def drawn(
    heading: str,
    bars: Sequence[Bar],
    *,
    name: str,
    legend: tuple[tuple[str, str], ...] = (),
    rows: str = "",
    method: str = "",
) -> Chart:
    """The chart of ``bars`` with its heading; a screen reader hears every label with its figure."""
    description = "; ".join(f"{bar.label} {bar.figure}" for bar in bars)
    svg = bar_chart(bars, name=name, title=heading, description=description)
    # Built and escaped above.
    return Chart(heading=heading, svg=Markup(svg), legend=legend, rows=rows, method=method)  # noqa: S704


def _row(bar: Bar, top: int, longest: Decimal) -> str:
    width = _percent(Decimal(bar.value), longest)
    part = min(_percent(Decimal(bar.part), longest), width)
    baseline, bar_top = top + _BASELINE, top + _BAR_TOP
    label = shortened(visible(bar.label), _LABEL_LENGTH)
    note = visible(bar.note) if len(label) + len(visible(bar.note)) < _LABEL_LENGTH else ""
    quiet = f'<tspan dx="0.6em" fill="var(--muted)">{escape(note)}</tspan>' if note else ""
    pieces = [
        f"<g><title>{_text(bar.hint or f'{bar.label}: {bar.figure}')}</title>",
        f'<text x="0" y="{baseline}" fill="var(--text)">{escape(label)}{quiet}</text>',
        f'<text x="100%" y="{baseline}" fill="var(--text)" text-anchor="end">{_text(bar.figure)}</text>',
        _rectangle(Decimal(0), Decimal(100), bar_top, "track"),
        _rectangle(Decimal(0), width - part, bar_top, "accent"),
        _rectangle(width - part, part, bar_top, "warn"),
        "</g>",
    ]
    return "".join(pieces)


def _rectangle(left: Decimal, width: Decimal, top: int, colour: str) -> str:
    if width <= 0:
        return ""
    return (
        f'<rect x="{left:.2f}%" y="{top}" width="{width:.2f}%" height="{_BAR_HEIGHT}"'
        f' fill="var(--{colour})"/>'
    )


def _percent(value: Decimal, longest: Decimal) -> Decimal:
    return max(value, Decimal(0)) / longest * 100 if longest > 0 else Decimal(0)


def _text(text: str) -> str:
    return escape(visible(text))
