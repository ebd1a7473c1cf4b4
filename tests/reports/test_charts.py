"""Charts: well-formed, escaped, in proportion."""

import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from reports.charts import Bar, bar_chart


def _chart(*bars: Bar) -> str:
    return bar_chart(bars, name="c", title="Title", description="Words")


def test_a_chart_speaks_to_screen_readers() -> None:
    svg = ET.fromstring(_chart(Bar(label="a", figure="1", value=1)))  # noqa: S314 (our own text)
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == "c-title c-desc"
    assert [child.text for child in svg[:2]] == ["Title", "Words"]


def test_bars_are_in_proportion_and_the_part_is_inside() -> None:
    text = _chart(Bar(label="a", figure="", value=200), Bar(label="b", figure="", value=100, part=25))
    assert re.findall(
        r'x="([\d.]+)%" y="\d+" width="([\d.]+)%" height="\d+" fill="var\(--(\w+)\)"', text
    ) == [
        ("0.00", "100.00", "track"),
        ("0.00", "100.00", "accent"),
        ("0.00", "100.00", "track"),
        ("0.00", "37.50", "accent"),
        ("37.50", "12.50", "warn"),
    ]


@given(st.text(), st.integers(0, 10**18), st.integers(0, 10**18))
def test_any_label_gives_well_formed_text_without_style(label: str, value: int, part: int) -> None:
    text = _chart(Bar(label=label, note=label, figure=label, value=value, part=part, hint=label))
    ET.fromstring(text)  # noqa: S314 (our own text)
    assert "style=" not in re.sub(">[^<]*<", "", text)


def test_no_bars_make_no_chart_and_zeros_make_no_bar() -> None:
    assert not _chart()
    assert "accent" not in _chart(Bar(label="a", figure="0", value=0))
