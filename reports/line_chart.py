"""A chart of lines over time, as inline SVG like those of ``reports.charts``.

Lines and bands are drawn in a stretched inner SVG; dates, figures and names keep their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import Final

from analyzer.model.units import GB
from reports.text import visible

#: Pixels.
_HEIGHT: Final = 230
_TOP: Final = 12
_BOTTOM: Final = 24
#: In per cent of the width: where the lines begin, beside the figures.
_LEFT: Final = 11
#: Levels that the figures are drawn at, beside zero.
_LEVELS: Final = 4
_STEPS: Final = (1, 2, 5, 10)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: (moment, bytes) in order; a None breaks it."""

    #: What it is, for the hint.
    label: str
    colour: str
    points: tuple[tuple[datetime, int | None], ...]
    #: (moment, low, high), drawn faintly beneath.
    band: tuple[tuple[datetime, int, int], ...] = ()
    #: Lengths of stroke and gap; "" for an unbroken line.
    dashes: str = ""


def line_chart(lines: Sequence[Line], *, now: datetime, name: str, title: str, description: str) -> str:
    """An ``<svg>`` of ``lines`` over bytes, as wide as its container; "" where there are no points.

    ``now`` is marked. ``name``, ``title`` and ``description`` are as in ``charts.bar_chart``.
    """
    moments = [at for line in lines for at, _ in line.points]
    values = [value for line in lines for _, value in line.points if value is not None]
    values += [high for line in lines for _, _, high in line.band]
    if not values:
        return ""
    first, last = min(moments), max(moments)
    step, unit, divisor = _step(max(values))
    top = step * divisor * max(1, -(-max(values) // (step * divisor)))
    frame = _Frame(first, max(last, first + timedelta(days=1)), top)
    total = _HEIGHT + _TOP + _BOTTOM
    levels = range(int(top // (step * divisor)) + 1)
    labelled = f'aria-labelledby="{name}-title {name}-desc"'
    stretched = f'viewBox="0 0 100 {_HEIGHT}" preserveAspectRatio="none"'
    mark = 'stroke="var(--muted)" stroke-dasharray="2 3" vector-effect="non-scaling-stroke" fill="none"'
    pieces = [
        f'<svg class="chart" width="100%" height="{total}" role="img" {labelled}>',
        f'<title id="{name}-title">{_text(title)}</title><desc id="{name}-desc">{_text(description)}</desc>',
        *(_level(frame, Decimal(step) * level, divisor, unit) for level in levels),
        f'<svg x="{_LEFT}%" y="{_TOP}" width="{100 - _LEFT}%" height="{_HEIGHT}" {stretched}>',
        f'<path d="M{frame.x(now)} 0V{_HEIGHT}" {mark}/>',
        *(_band(frame, line) for line in lines if line.band),
        *(_line(frame, line) for line in lines),
        "</svg>",
        *_dates(frame, now, total - 6),
        "</svg>",
    ]
    return "".join(pieces)


@dataclass(frozen=True, slots=True)
class _Frame:
    first: datetime
    last: datetime
    top: int

    def x(self, at: datetime) -> str:
        """In hundredths of the inner width."""
        return f"{(at - self.first) / (self.last - self.first) * 100:.2f}"

    def y(self, value: int) -> str:
        """Pixels from the upper edge of the lines."""
        return f"{_HEIGHT - value * _HEIGHT / self.top:.1f}"


def _step(most: int) -> tuple[int, str, int]:
    """The distance of levels in a unit, that unit, and its bytes."""
    divisor, unit = GB, "GB"
    if most < GB:
        divisor, unit = 1024**2, "MB"
    if most < 1024**2:
        divisor, unit = 1, "bytes"
    if most >= 1024 * GB:
        divisor, unit = 1024 * GB, "TB"
    wanted = max(most / divisor / _LEVELS, 1e-9)
    power = 1
    while power * 10 <= wanted:
        power *= 10
    return (
        next(power * factor for factor in _STEPS if power * factor >= wanted or factor == 10),
        unit,
        divisor,
    )


def _level(frame: _Frame, level: Decimal, divisor: int, unit: str) -> str:
    y = _TOP + float(frame.y(int(level * divisor)))
    figure = f"{level:,} {unit}" if level else "0"
    return (
        f'<line x1="{_LEFT}%" x2="100%" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
        f'<text x="{_LEFT - 1}%" y="{y + 4:.1f}" text-anchor="end" fill="var(--muted)"'
        f' font-size="11">{escape(figure)}</text>'
    )


def _dates(frame: _Frame, now: datetime, y: int) -> list[str]:
    places = [(frame.first, "start"), (frame.last, "end")]
    share = (now - frame.first) / (frame.last - frame.first)
    if 0.2 < share < 0.8:
        places.insert(1, (now, "middle"))
    return [
        f'<text x="{_LEFT + (100 - _LEFT) * ((at - frame.first) / (frame.last - frame.first)):.2f}%" y="{y}"'
        f' text-anchor="{anchor}" fill="var(--muted)" font-size="11">{at:%Y-%m-%d}</text>'
        for at, anchor in places
    ]


def _band(frame: _Frame, line: Line) -> str:
    upper = " ".join(f"{frame.x(at)} {frame.y(high)}" for at, _, high in line.band)
    lower = " ".join(f"{frame.x(at)} {frame.y(low)}" for at, low, _ in reversed(line.band))
    return f'<path d="M{upper} L{lower}Z" fill="var(--{line.colour})" fill-opacity="0.16"/>'


def _line(frame: _Frame, line: Line) -> str:
    path, is_open = [], False
    for at, value in line.points:
        if value is None:
            is_open = False
            continue
        # A day between two gaps still shows: as a dot, by a line of no length.
        path.append(f"{'L' if is_open else 'M'}{frame.x(at)} {frame.y(value)}")
        if not is_open:
            path.append(f"L{frame.x(at)} {frame.y(value)}")
        is_open = True
    dashes = f' stroke-dasharray="{line.dashes}"' if line.dashes else ""
    return (
        f"<g><title>{_text(line.label)}</title>"
        f'<path d="{"".join(path)}" fill="none" stroke="var(--{line.colour})" stroke-width="2"{dashes}'
        ' stroke-linecap="round" stroke-linejoin="round" vector-effect="non-scaling-stroke"/></g>'
    )


def at_noon(day: date) -> datetime:
    """The middle of ``day``, where a chart of moments shows it."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _text(text: str) -> str:
    return escape(visible(text))
