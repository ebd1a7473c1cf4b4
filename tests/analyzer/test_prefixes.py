"""Which prefixes to choose, against trying them all."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.prefixes import choose_prefixes
from tests.oracle.replication_choice import reachable

NAMES = st.text("ab/", min_size=2, max_size=4)
WORTH = st.one_of(st.none(), st.integers(-5, 5).map(Fraction))


@given(st.dictionaries(NAMES, WORTH, max_size=6))
def test_no_other_prefixes_cover_more_worth(worth: dict[str, Fraction | None]) -> None:
    def total(names: frozenset[str]) -> Fraction | None:
        values = [worth[name] for name in names]
        known = [value for value in values if value is not None]
        return sum(known, Fraction(0)) if len(known) == len(values) else None

    chosen = choose_prefixes(worth)
    covered = frozenset(name for name in worth if chosen and name.startswith(chosen))
    possible = {some: total(some) for some in reachable(worth)}
    assert covered in possible
    best = max(value for value in possible.values() if value is not None)
    assert possible[covered] == best
    assert all(not one.startswith(other) for one in chosen for other in chosen if one != other)
    assert all(len(prefix) != 1 for prefix in chosen)


@pytest.mark.parametrize(
    ("worth", "expected"),
    [
        ({}, ()),
        ({"app": 1}, ("app",)),
        ({"app": -1}, ()),
        ({"app": 5, "app-b": -10}, ()),
        ({"app": 5, "app-b": -1}, ("app",)),
        ({"team/a": 1, "team/b": 1, "other": -1}, ("team/",)),
        ({"team/a": 1, "team/b": 0, "team/c": 1}, ("team/a", "team/c")),
        ({"a1": 1, "b1": 1}, ("",)),
        ({"xa": 1, "xb": 1, "yy": -1}, ("xa", "xb")),
        ({"app": 5, "app-b": None}, ()),
        ({"web": 2, "app-b": None}, ("web",)),
    ],
)
def test_prefixes_are_as_few_as_they_can_be_and_cover_nothing_for_nothing(
    worth: dict[str, int | None], expected: tuple[str, ...]
) -> None:
    exact = {name: None if value is None else Fraction(value) for name, value in worth.items()}
    assert choose_prefixes(exact) == expected
