"""The arithmetic on sorted arrays, against plain Python."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer import holdings
from analyzer.holdings import (
    changes,
    reduce_runs,
    references_of,
    runs_of_repositories,
    sort_rows,
    sum_by_owner,
)
from tests.strategies.frames import ArtifactSpec, RepositorySpec, build_frames, image

#: Columns that pack into 63 bits together, and such as do not.
_values = st.integers(0, 5) | st.sampled_from([2**20, 2**31 - 1, 2**32 - 1, 2**40])


@given(st.lists(st.tuples(_values, _values, _values), max_size=12))
def test_rows_are_sorted_by_their_columns_in_turn(rows: list[tuple[int, int, int]]) -> None:
    columns = (np.array([row[part] for row in rows], np.int64) for part in range(3))
    found = [column.tolist() for column in sort_rows(*columns)]
    assert list(zip(*found, strict=True)) == sorted(rows)


def test_columns_of_narrow_types_do_not_overflow_where_they_are_packed() -> None:
    narrow = np.array([2**32 - 1, 0, 7], np.uint32)
    first, second = sort_rows(narrow, np.array([1, 2, 3], np.int8))
    assert (first.tolist(), second.tolist()) == ([0, 7, 2**32 - 1], [2, 3, 1])


@given(st.lists(st.integers(0, 9), max_size=12).map(sorted), st.integers(1, 40), st.data())
def test_runs_are_whole_repositories_and_cover_everything_once(
    repository: list[int], references_at_once: int, data: st.DataObject
) -> None:
    lengths = data.draw(st.lists(st.integers(0, 30), min_size=len(repository), max_size=len(repository)))
    with patch.object(holdings, "_REFERENCES_AT_ONCE", references_at_once):
        runs = list(runs_of_repositories(np.array(repository, np.int64), np.array(lengths, np.int64)))
    assert [position for first, end in runs for position in range(first, end)] == list(range(len(repository)))
    for _, end in runs[:-1]:
        assert repository[end - 1] != repository[end]
    for first, end in runs:
        # Only the last repository may take a run beyond its size.
        last = repository[end - 1] if end else 0
        others = [n for r, n in zip(repository[first:end], lengths[first:end], strict=True) if r != last]
        assert sum(others) < references_at_once or not others


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-(2**62), 2**62)), max_size=3).map(sorted))
def test_sums_by_owner_are_exact(rows: list[tuple[int, int]]) -> None:
    owner, values = (np.array([row[part] for row in rows], np.int64) for part in range(2))
    expected = [sum(value for of, value in rows if of == number) for number in range(6)]
    if all(abs(total) < 2**63 for total in [*expected, sum(expected)]):
        assert sum_by_owner(owner, values, 6).tolist() == expected


@pytest.mark.parametrize("values", [[], [1], [1, 1, 2, 2, 1]])
def test_runs_of_equal_values_reduce_to_one_each(values: list[int]) -> None:
    column = np.array(values, np.int64)
    starts = np.flatnonzero(changes(column))
    assert starts.tolist() == [i for i, value in enumerate(values) if i == 0 or value != values[i - 1]]
    lengths = reduce_runs(np.add, np.ones(len(values), np.int64), starts)
    assert lengths.tolist() == np.diff(starts, append=len(values)).tolist()


@pytest.mark.parametrize("artifacts", [[], [1], [1, 0, 1]])
def test_references_come_in_the_order_asked_with_repeats_and_without_foreign_layers(
    artifacts: list[int],
) -> None:
    manifests = {1: image(11, 13, 13, foreign=[14]), 2: image(12, 11)}
    repository = RepositorySpec((ArtifactSpec(1), ArtifactSpec(2)))
    frames = build_frames([repository], manifests, dict.fromkeys(range(11, 15), 1))
    within, blob = references_of(frames, np.array(artifacts, np.int64))
    held = {0: [11, 13, 13], 1: [12, 11]}
    expected = [(place, one) for place, artifact in enumerate(artifacts) for one in held[artifact]]
    assert list(zip(within.tolist(), blob.tolist(), strict=True)) == expected
