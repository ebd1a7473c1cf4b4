"""What a pull to an empty node moves, against a search through everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from analyzer.cold_pulls import ColdPulls
from analyzer.families import find_families
from analyzer.model.records import Kind
from analyzer.model.transfer import ColdPull
from tests.oracle import transfer as oracle
from tests.strategies.frames import (
    ArtifactSpec,
    Case,
    ManifestSpec,
    RepositorySpec,
    build_frames,
    cases,
    image,
    index,
)
from tests.support.examples import examples


@given(cases(), st.frozensets(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=4))
@examples(60)
def test_cold_pulls_are_what_a_search_through_everything_finds(
    case: Case, never_pulled: frozenset[tuple[int, int]]
) -> None:
    frames = case.frames
    pulls = ColdPulls(frames, find_families(frames), never_pulled)
    for position in range(len(frames.artifacts.digest_id)):
        found = pulls.of(position)
        expected = oracle.cold_pull(frames, position, never_pulled)
        assert (found.low_bytes, found.high_bytes) == (expected or (None, None))
        assert bool(found.unknown) is (expected is None)


def pulls_of(*digests: int, **manifests: ManifestSpec) -> ColdPulls:
    specs = {int(name[1:]): manifest for name, manifest in manifests.items()}
    held = tuple(ArtifactSpec(number) for number in digests)
    frames = build_frames([RepositorySpec(held)], specs, {11: 100, 12: 20, 13: 3})
    return ColdPulls(frames, find_families(frames))


def test_an_image_counts_each_layer_once_and_foreign_ones_apart() -> None:
    pulls = pulls_of(1, m1=image(11, 12, 11, foreign=(13,)))
    assert pulls.of(0) == ColdPull(120, 120, foreign_bytes=3)
    assert pulls.blobs(0).tolist() == [11, 12]


def test_an_index_is_a_range_over_its_images_that_are_there() -> None:
    pulls = pulls_of(1, 2, 3, m1=index(2, 3, 10), m2=image(11), m3=image(12))
    assert pulls.of(0) == ColdPull(20, 100)
    assert pulls.blobs(0).tolist() == []


def test_what_is_not_known_has_a_reason() -> None:
    pulls = pulls_of(1, 2, 3, m1=index(9), m3=ManifestSpec(Kind.UNREADABLE))
    assert [pulls.of(position).unknown for position in range(3)] == [
        "none of the images that the index names is there",
        "its manifest could not be read",
        "its manifest could not be read",
    ]
