"""Tag patterns and prefixes, against regular expressions."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle.matching import TagNames

#: Few letters, so that pieces of patterns meet, overlap and repeat; among them characters that are
#: special elsewhere, of several bytes, and half of a surrogate pair, which JSON can hold.
TEXTS = st.text(alphabet="aab.?[é✓\ud800", max_size=7)
PATTERNS = st.lists(st.text(alphabet="aab.?[é✓\ud800", max_size=3), min_size=1, max_size=5).map("*".join)


def as_expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def matched(pattern: str, *names: str) -> list[str]:
    return [name for name, met in zip(names, TagNames.of(names).match(pattern), strict=True) if met]


@given(st.lists(TEXTS, max_size=12), PATTERNS)
def test_patterns_match_as_anchored_expressions_do(names: list[str], pattern: str) -> None:
    expression = as_expression(pattern)
    expected = [expression.fullmatch(name) is not None for name in names]
    assert TagNames.of(names).match(pattern).tolist() == expected


@given(st.lists(TEXTS, max_size=12), st.text(alphabet="aab.é*✓", max_size=3))
def test_prefixes_match_the_beginning_and_know_no_wildcard(names: list[str], prefix: str) -> None:
    expected = [name.startswith(prefix) for name in names]
    assert TagNames.of(names).begin_with(prefix).tolist() == expected


@given(st.lists(TEXTS, min_size=1, max_size=8), PATTERNS, st.data())
def test_taken_names_match_as_all_names_do(names: list[str], pattern: str, data: st.DataObject) -> None:
    positions = np.array(data.draw(st.lists(st.integers(0, len(names) - 1), max_size=12)), np.int64)
    whole = TagNames.of(names)
    part = whole.take(positions)
    assert len(part) == len(positions)
    assert part.match(pattern).tolist() == whole.match(pattern)[positions].tolist()


@pytest.mark.parametrize(
    ("pattern", "names", "expected"),
    [
        # ECR user guide, "Lifecycle policy properties", tag pattern list.
        ("prod*", ["prod", "prod1", "production", "a-prod"], ["prod", "prod1", "production"]),
        ("*prod*", ["prod", "a-prod-b", "pro-d"], ["prod", "a-prod-b"]),
        ("prod", ["prod", "prod1", "aprod"], ["prod"]),
        ("*prod", ["prod", "a-prod", "prod1"], ["prod", "a-prod"]),
        # Pieces keep their order and do not overlap.
        ("ab*ba", ["aba", "abba", "ab-ba"], ["abba", "ab-ba"]),
        ("*a*a*", ["a", "aa", "bab"], ["aa"]),
        ("a*b*c", ["acb", "abc", "a-b-b-c", "abcb"], ["abc", "a-b-b-c"]),
        # The piece in the middle may not reach into the one at the end.
        ("*ab*b", ["ab", "abb"], ["abb"]),
        ("*", ["", "a"], ["", "a"]),
        ("**", ["", "a"], ["", "a"]),
        ("", ["", "a"], [""]),
        ("v1.0", ["v1.0", "v1x0"], ["v1.0"]),
        ("v?", ["v?", "v1"], ["v?"]),
        ("Prod*", ["prod1", "Prod1"], ["Prod1"]),
    ],
)
def test_pattern(pattern: str, names: list[str], expected: list[str]) -> None:
    assert matched(pattern, *names) == expected


def test_a_match_never_runs_from_one_name_into_the_next() -> None:
    assert matched("*bc*", "ab", "cd", "xbc") == ["xbc"]
    assert matched("*bc*", "b", "c") == []
    assert matched("abc", "ab", "c") == []


def test_no_names_at_all() -> None:
    names = TagNames.of([])
    assert len(names) == 0
    assert names.match("*a*b").tolist() == []
    assert names.begin_with("a").tolist() == []
    assert TagNames.of(["", ""]).match("*a*").tolist() == [False, False]
