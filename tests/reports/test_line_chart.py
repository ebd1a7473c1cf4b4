"""Lines over time: well-formed, escaped, broken where nothing is known."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from reports.line_chart import Line, line_chart

_NOW = datetime(2026, 11, 23, tzinfo=UTC)


def _chart(*lines: Line) -> str:
    return line_chart(lines, now=_NOW, name="c", title="Title", description="Words")


def _line(*values: int | None, label: str = "a") -> Line:
    points = tuple((_NOW + timedelta(days=n), value) for n, value in enumerate(values))
    return Line(label=label, colour="accent", points=points)


def test_what_is_not_known_breaks_the_line() -> None:
    (path,) = re.findall(
        r'<path d="([^"]*)" fill="none" stroke="var\(--accent\)"', _chart(_line(1, 2, None, 3))
    )
    assert path.count("M") == 2
    assert path.endswith("M100.00 0.0L100.00 0.0")


def test_a_chart_of_nothing_is_none_and_zeros_are_drawn() -> None:
    assert not _chart(_line(None, None))
    assert not _chart()
    assert "<path" in _chart(_line(0, 0))


@given(
    label=st.text(),
    values=st.lists(st.one_of(st.none(), st.integers(0, 2**60)), min_size=1, max_size=6),
)
def test_any_text_and_any_sizes_make_well_formed_svg(label: str, values: list[int | None]) -> None:
    text = _chart(_line(*values, label=label))
    if text:
        svg = ET.fromstring(text)  # noqa: S314 (our own text)
        assert svg.get("aria-labelledby") == "c-title c-desc"
        heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.-]+)", text)]
        assert all(0 <= y <= 230 for y in heights)
