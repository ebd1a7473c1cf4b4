"""What indexes say of their children."""

from __future__ import annotations

import numpy as np

from analyzer.hygiene.platforms import find_platforms
from analyzer.model.frames import NO_CHILDREN, IndexChildren
from tests.strategies.frames import ArtifactSpec, RepositorySpec, build_frames

FRAMES = build_frames([RepositorySpec(tuple(ArtifactSpec(n) for n in (1, 2, 3, 4, 5)))], {}, {})


def test_children_have_the_platform_that_an_index_gives_and_the_first_of_several() -> None:
    children = IndexChildren(
        child=np.array([2, 2, 3, 4, 9, 2], np.uint32),
        platform=np.array([1, 0, -1, 2, 0, -1], np.int32),
        names=("linux/arm64", "linux/amd64", "unknown/unknown"),
    )
    found = find_platforms(FRAMES, children)
    assert [found.names[n] if n >= 0 else "" for n in found.platform.tolist()] == [
        "",
        "linux/amd64",
        "",
        "unknown/unknown",
        "",
    ]
    assert found.is_child.tolist() == [False, True, True, True, False]
    assert found.is_attestation.tolist() == [False, False, False, True, False]


def test_without_an_index_nothing_is_said() -> None:
    found = find_platforms(FRAMES, NO_CHILDREN)
    assert found.platform.tolist() == [-1] * 5
    assert not found.is_child.any()
    assert not found.is_attestation.any()
