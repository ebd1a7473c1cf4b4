"""Which repositories are replicas of each other: told by name, registry and images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle.replicas import are_alike, find_replicas
from analyzer.model.frames import Frames
from tests.strategies.frames import ArtifactSpec, RepositorySpec, build_frames

#: Registry, name and digests.
Held = tuple[int, str, Sequence[int]]


def _frames(*repositories: Held) -> Frames:
    specs = [
        RepositorySpec(tuple(ArtifactSpec(digest) for digest in digests), registry=registry, name=name)
        for registry, name, digests in repositories
    ]
    return build_frames(specs, {}, {}, registries=3)


def _found(*repositories: Held) -> dict[int, tuple[int, ...]]:
    frames = _frames(*repositories)
    return find_replicas(frames, np.arange(len(repositories)))


def test_a_copy_in_another_registry_is_a_replica_and_so_is_what_was_copied() -> None:
    assert _found((0, "app", [1, 2]), (0, "web", [1, 2]), (1, "app", [1, 2]), (2, "app", [1, 2])) == {
        0: (2, 3),
        2: (0, 3),
        3: (0, 2),
    }


def test_only_the_rows_asked_for_are_answered() -> None:
    frames = _frames((0, "app", [1]), (1, "app", [1]), (2, "app", [1]))
    assert find_replicas(frames, np.array([1])) == {1: (0, 2)}
    assert find_replicas(frames, np.zeros(0, np.int64)) == {}


def test_half_of_the_smaller_one_is_enough_and_less_is_not() -> None:
    assert _found((0, "app", [1, 2]), (1, "app", [2, 3])) == {0: (1,), 1: (0,)}
    assert _found((0, "app", [1, 2, 3]), (1, "app", [3, 4, 5])) == {}
    # The copy has been cleaned up, or has only begun.
    assert _found((0, "app", range(1, 100)), (1, "app", [7])) == {0: (1,), 1: (0,)}
    assert _found((0, "app", range(1, 100)), (1, "app", [7, 200, 201])) == {}


def test_equal_images_under_another_name_are_no_replica() -> None:
    assert _found((0, "app", [1, 2]), (1, "app2", [1, 2])) == {}


def test_a_repository_made_again_is_no_replica_of_the_one_before() -> None:
    assert _found((0, "app", [1, 2]), (0, "app", [1, 2])) == {}


def test_empty_repositories_are_replicas_of_none() -> None:
    assert _found((0, "app", []), (1, "app", [])) == {}
    assert _found((0, "app", [1]), (1, "app", [])) == {}


def test_names_that_are_not_known_are_not_equal() -> None:
    assert _found((0, "", [1, 2]), (1, "", [1, 2])) == {}


_HELD = st.tuples(
    st.integers(0, 2), st.sampled_from(["app", "web", ""]), st.sets(st.integers(1, 6)).map(sorted)
)


@given(st.lists(_HELD, max_size=7))
def test_replicas_equal_what_sets_say_and_each_other(repositories: list[Held]) -> None:
    ordered = sorted(repositories, key=lambda one: (one[0], one[1]))
    expected: dict[int, tuple[int, ...]] = {}
    for row, (registry, name, digests) in enumerate(ordered):
        alike = []
        for other, (elsewhere, namesake, theirs) in enumerate(ordered):
            smaller = min(len(digests), len(theirs))
            common = set(digests) & set(theirs)
            if name and name == namesake and registry != elsewhere and smaller and 2 * len(common) >= smaller:
                alike.append(other)
        if alike:
            expected[row] = tuple(alike)
    found = _found(*ordered)
    assert found == expected
    for row, others in found.items():
        assert all(row in found[other] for other in others)


def test_likeness_is_mutual() -> None:
    frames = _frames((0, "app", [1, 2, 3, 4]), (1, "app", [3, 4]), (1, "web", [9]))
    bounds = np.array([0, 4, 6, 7])
    assert are_alike(frames, bounds, 0, 1)
    assert are_alike(frames, bounds, 1, 0)
    assert not are_alike(frames, bounds, 0, 2)
    assert not are_alike(frames, bounds, 1, 2)
