"""Ribbons from where to where."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from reports.route_chart import Route, route_chart

_ROUTES = st.lists(
    st.builds(
        Route,
        origin=st.tuples(st.sampled_from("abc"), st.sampled_from(["1", ""])),
        destination=st.tuples(st.sampled_from("xyz"), st.just("")),
        figure=st.text(max_size=8),
        value=st.none() | st.integers(0, 10**15),
        part=st.integers(0, 10**15),
        hint=st.text(max_size=8),
    ),
    min_size=1,
    max_size=9,
    unique_by=lambda route: (route.origin, route.destination),
)


def _chart(routes: list[Route]) -> str:
    return route_chart(routes, name="n", title="t <", description="d &")


@given(_ROUTES)
def test_any_routes_make_a_well_formed_picture_with_everything_inside(routes: list[Route]) -> None:
    svg = _chart(routes)
    drawing = ET.fromstring(svg)  # noqa: S314 (our own text)
    height = float(drawing.attrib["height"])
    bands: dict[str, list[tuple[float, float]]] = {}
    for path in drawing.iter("path"):
        numbers = [float(number) for number in re.findall(r"\d+\.\d+", path.attrib["d"])]
        assert all(0 <= number <= height for number in numbers)
        colour = path.attrib["fill"]
        if colour != "none":
            bands.setdefault("left", []).append((numbers[0], numbers[-1]))
            bands.setdefault("right", []).append((numbers[3], numbers[4]))
    for side in bands.values():
        side.sort()
        # Ribbons touch where one is drawn in two colours, and never overlap at their ends.
        assert all(before[1] <= after[0] + 0.11 for before, after in itertools.pairwise(side))
    assert len(list(drawing.iter("path"))) >= len(routes)


def test_a_ribbon_is_as_thick_as_its_bytes_and_never_invisible() -> None:
    routes = [
        Route(origin=("a", "1"), destination=("x", ""), figure="big", value=1000, part=250),
        Route(origin=("a", "1"), destination=("y", ""), figure="half", value=500),
        Route(origin=("a", "1"), destination=("z", ""), figure="dust", value=1),
    ]
    found = re.findall(
        r'M0 ([\d.]+)C\S* \S* \S* \S* \S* \S*V[\d.]+C\S* \S* \S* \S* 0 ([\d.]+)Z" fill="var\(--(\w+)',
        _chart(routes),
    )
    thick = [(round(float(below) - float(top), 1), colour) for top, below, colour in found]
    assert thick == [(8.5, "warn"), (25.5, "accent"), (17.0, "accent"), (2.0, "accent")]


def test_no_routes_are_no_picture() -> None:
    assert _chart([]) == ""
