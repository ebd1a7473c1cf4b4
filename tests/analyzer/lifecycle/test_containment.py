"""What is said of lists without looking at images, held against all short tags."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle.containment import always_covered, impossible_entries, single_rules
from analyzer.lifecycle.policy import Rule, TagStatus
from tests.analyzer.lifecycle.worlds import rule

#: All tags of up to four of three letters, one of which no drawn pattern spells out.
_TAGS = ["".join(letters) for length in range(1, 5) for letters in product("abc", repeat=length)]
_PATTERNS = st.text("ab*", max_size=4)


def _meets(rule: Rule, tags: tuple[str, ...]) -> bool:
    entries = [*rule.tag_patterns, *(f"{prefix}*" for prefix in rule.tag_prefixes)]
    return all(any(fnmatchcase(tag, entry) for tag in tags) for entry in entries)


@given(
    st.lists(_PATTERNS, min_size=1, max_size=2), st.lists(_PATTERNS, min_size=1, max_size=2), st.booleans()
)
def test_a_list_is_covered_exactly_where_no_image_tells_them_apart(
    earlier: list[str], later: list[str], as_prefixes: bool
) -> None:
    first = rule(1, *earlier, keep=1)
    if as_prefixes and not any("*" in entry for entry in earlier):
        first = rule(1, prefixes=tuple(earlier), keep=1)
    second = rule(2, *later, keep=1)
    images = [(one, other) for one in _TAGS for other in _TAGS if len(one) + len(other) < 7]
    apart = any(_meets(second, image) and not _meets(first, image) for image in [*images, *zip(_TAGS)])
    covered = bool(always_covered(second, [first]))
    if covered:
        assert not apart
    elif any(_meets(second, image) for image in images):
        # A pattern of four letters may need a tag of five to be told from another.
        assert apart or max(map(len, (*earlier, *later))) > 3


@pytest.mark.parametrize(
    ("wider", "narrower", "covered"),
    [
        ("*", "a", True),
        ("a*", "a", True),
        ("a*", "ab*", True),
        ("ab*", "a*", False),
        ("*a*", "ba*", True),
        ("a", "a*", False),
        ("a*b", "a*b*b", True),
        ("a*b*b", "a*b", False),
        ("a**", "a*", True),
        ("a.c", "abc", False),
    ],
)
def test_patterns_within_patterns(wider: str, narrower: str, covered: bool) -> None:
    found = always_covered(rule(2, narrower, keep=1), [rule(1, wider, keep=1)])
    assert bool(found) is covered


def test_a_prefix_is_a_pattern_that_is_open_at_its_end_and_knows_no_star() -> None:
    prefix = rule(1, prefixes=("prod",), keep=1)
    assert always_covered(rule(2, "prod-*", keep=1), [prefix]) == (prefix,)
    assert not always_covered(rule(2, "*prod", keep=1), [prefix])
    assert not always_covered(rule(2, "prod-1", keep=1), [rule(1, prefixes=("prod*",), keep=1)])


def test_other_rules_cover_what_they_must() -> None:
    untagged, every = rule(1, status=TagStatus.UNTAGGED, keep=1), rule(2, "*", keep=1)
    last = rule(3, keep=1)
    assert always_covered(last, [untagged, every]) == (untagged, every)
    assert always_covered(last, [untagged]) == ()
    # No tag is the empty one, and every tag begins with nothing.
    assert always_covered(last, [untagged, rule(2, "", keep=1)]) == ()
    assert always_covered(last, [untagged, rule(2, prefixes=("",), keep=1)])
    assert always_covered(last, [every]) == ()
    assert always_covered(rule(3, transitioned=90), [untagged, every]) == ()
    assert always_covered(every, [untagged]) == ()


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (rule(1, "v1.*", "a_b-C", keep=1), ()),
        (rule(1, "v?", "x", keep=1), (("v?", "no tag contains '?'"),)),
        (rule(1, "é*", keep=1), (("é*", "no tag contains 'é'"),)),
        (rule(1, "", "**", keep=1), (("", "no tag is empty"),)),
        (rule(1, prefixes=("",), keep=1), ()),
        (
            rule(1, prefixes=("v*",), keep=1),
            (("v*", "in a prefix * is an ordinary character, and no tag contains it"),),
        ),
        (rule(1, keep=1), ()),
    ],
)
def test_entries_that_no_tag_can_meet(one: Rule, found: tuple[tuple[str, str], ...]) -> None:
    assert impossible_entries(one) == found


def test_single_rules_have_one_entry_each() -> None:
    assert single_rules(rule(1, "a", "b", keep=1)) == (rule(1, "a", keep=1), rule(1, "b", keep=1))
    assert single_rules(rule(1, prefixes=("a",), keep=1)) == (rule(1, prefixes=("a",), keep=1),)
    assert single_rules(rule(1, keep=1)) == ()
