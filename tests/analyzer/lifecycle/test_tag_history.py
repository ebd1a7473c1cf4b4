"""When a rule last had something to select, counted again moment by moment."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle.tag_history import last_selected_ms
from analyzer.model.tag_history import TagHistory
from tests.analyzer.lifecycle.worlds import rule

_NAMES = ("a", "ab", "b", "c")
_SPANS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(_NAMES), st.integers(0, 6), st.integers(0, 4)).map(
        lambda span: (span[0], span[1], span[2], span[2] + span[3])
    ),
    max_size=8,
)


def _history(spans: list[tuple[int, str, int, int]]) -> TagHistory:
    return TagHistory(
        0,
        np.array([span[0] for span in spans], np.int64),
        np.array([_NAMES.index(span[1]) for span in spans], np.int64),
        np.array([span[2] for span in spans], np.int64),
        np.array([span[3] for span in spans], np.int64),
        _NAMES,
    )


@given(_SPANS, st.lists(st.sampled_from(["a", "a*", "*b", "b", "x*", "*"]), min_size=1, max_size=3))
def test_the_last_moment_at_which_one_artifact_met_every_entry(
    spans: list[tuple[int, str, int, int]], patterns: list[str]
) -> None:
    moments = [
        moment
        for moment in range(12)
        for artifact in range(3)
        if all(
            any(
                owner == artifact and first <= moment <= last and fnmatchcase(name, pattern)
                for owner, name, first, last in spans
            )
            for pattern in patterns
        )
    ]
    found = last_selected_ms(rule(1, *patterns, keep=1), _history(spans))
    assert found == max(moments, default=None)


def test_prefixes_are_met_as_prefixes() -> None:
    history = _history([(0, "ab", 2, 5), (0, "b", 1, 4)])
    assert last_selected_ms(rule(1, prefixes=("a", "b"), keep=1), history) == 4
    assert last_selected_ms(rule(1, prefixes=("ab*",), keep=1), history) is None
