"""Jumps in the size of images: by hand, and against the slow twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import find_families
from analyzer.hygiene.platforms import Platforms
from analyzer.hygiene.sizes import Jump, find_jumps, stem_of
from analyzer.model.frames import NO_TIME, Frames, LifecycleFacts
from analyzer.storage import analyze
from tests.oracle import size_jumps as oracle
from tests.strategies.frames import ArtifactSpec, ManifestSpec, RepositorySpec, build_frames, cases, image
from tests.support.examples import examples

MIB = 2**20


def facts_of(frames: Frames, tags: Sequence[Sequence[str]]) -> LifecycleFacts:
    """Facts in which artifacts carry these tags."""
    count = len(frames.artifacts.digest_id)
    names = sorted({tag for own in tags for tag in own})
    nothing = np.full(count, NO_TIME)
    return LifecycleFacts(
        pulled_at_ms=nothing,
        archived_at_ms=nothing,
        activated_at_ms=nothing,
        tie=np.zeros(count, np.int64),
        tag_offsets=np.cumsum([0, *map(len, tags)]),
        tags=np.array([names.index(tag) for own in tags for tag in own], np.int32),
        tag_names=names,
    )


def platforms_of(platform: Sequence[int], attestations: Sequence[bool] | None = None) -> Platforms:
    nothing = np.zeros(len(platform), np.bool_)
    attested = nothing if attestations is None else np.array(attestations, np.bool_)
    return Platforms(np.array(platform, np.int32), ("linux/amd64",), nothing, attested)


def find(
    frames: Frames,
    tags: Sequence[Sequence[str]],
    platform: Sequence[int],
    attestations: Sequence[bool] | None = None,
    since_ms: int = 0,
) -> list[Jump]:
    storage = analyze(frames, now_ms=0, stale_days=90)
    return find_jumps(
        frames,
        facts_of(frames, tags),
        find_families(frames),
        platforms_of(platform, attestations),
        storage.artifacts["logical_bytes"].to_numpy(np.int64),
        since_ms,
    )


def jumps(sizes: Sequence[int], tags: Sequence[str] = (), since_ms: int = 0) -> list[Jump]:
    """Of a repository whose images have one layer each, of so many MiB, pushed one after the other."""
    manifests = {number: image(1_000, 2_000 + number) for number in range(1, len(sizes) + 1)}
    of_blobs = {2_000 + number: size * MIB for number, size in enumerate(sizes, 1)}
    artifacts = tuple(ArtifactSpec(number, pushed_at_ms=number) for number in manifests)
    frames = build_frames([RepositorySpec(artifacts, name="a")], manifests, of_blobs)
    own = [[tag] for tag in tags] or [[] for _ in sizes]
    return find(frames, own, [-1] * len(sizes), since_ms=since_ms)


def test_a_push_much_larger_than_those_before_is_a_jump_with_its_new_layers() -> None:
    (jump,) = jumps([200, 210, 190, 205, 640, 650])
    assert (jump.artifact, jump.newest, jump.before) == (4, 5, 4)
    assert (jump.median_bytes, jump.size_bytes, jump.newest_bytes) == (200 * MIB, 640 * MIB, 650 * MIB)
    assert (jump.new_layers, jump.new_bytes) == ((2_005,), 640 * MIB)


def test_growth_below_the_factor_or_below_the_floor_is_none() -> None:
    assert jumps([1_000, 1_000, 1_000, 1_499]) == []
    assert jumps([1_000, 1_000, 1_000, 1_500]) != []
    assert jumps([100, 100, 100, 199]) == []
    assert jumps([100, 100, 100, 200]) != []


def test_a_jump_that_was_taken_back_is_none() -> None:
    assert jumps([200, 200, 200, 900, 210]) == []
    assert jumps([200, 200, 200, 900, 200, 200, 200, 900]) == []


def test_too_few_pushes_before_say_nothing() -> None:
    assert jumps([200, 200, 900]) == []
    assert jumps([]) == []


def test_the_pushes_after_a_jump_are_none_of_their_own_and_the_last_of_several_is_told() -> None:
    assert [jump.artifact for jump in jumps([100, 100, 100, 300, 310, 305])] == [3]
    assert [jump.artifact for jump in jumps([100, 100, 100, 300, 300, 300, 300, 900, 900])] == [7]


def test_a_jump_long_ago_is_how_it_is() -> None:
    sizes = [100, 100, 100, 400, 400]
    assert jumps(sizes, since_ms=4) != []
    assert jumps(sizes, since_ms=5) == []


def test_a_variant_that_was_always_large_is_no_jump() -> None:
    sizes = [900, *[200] * 10, 900]
    tags = ["1.0-full", *[f"1.{n}-slim" for n in range(10)], "1.1-full"]
    assert jumps(sizes, tags) == []
    assert jumps(sizes, ["1.0-other", *tags[1:]]) != []


@pytest.mark.parametrize(
    ("tag", "stem"),
    [
        ("v1.2.3", ""),
        ("3.12-slim", "slim"),
        ("2026-11-28-abcdefa", ""),
        ("main-0a1b2c3", "main"),
        ("feature-login-1a2b3c4", "feature-login"),
        ("latest", "latest"),
        ("Build_77", "build"),
    ],
)
def test_the_stem_of_a_tag_is_what_versions_and_commits_leave(tag: str, stem: str) -> None:
    assert stem_of(tag) == stem


_TAGS = ("1.0-slim", "1.1-slim", "latest", "main-0a1b2c3", "v1", "1.0-full")


@st.composite
def _pushes(draw: st.DrawFn) -> Frames:
    """Repositories of many images, whose sizes leap."""
    manifests: dict[int, ManifestSpec] = {}
    specs = []
    for number in range(draw(st.integers(1, 2))):
        artifacts = []
        level = draw(st.integers(0, 3))
        for _ in range(draw(st.integers(0, 14))):
            level = draw(st.sampled_from([level, level, level, level, 0, 1, 2, 3]))
            digest = len(manifests) + 1
            layers = {100 + level, draw(st.integers(104, 106))}
            manifests[digest] = image(99, *layers)
            pushed = draw(st.sampled_from([digest, digest, digest, digest, 5, NO_TIME]))
            artifacts.append(ArtifactSpec(digest, pushed_at_ms=pushed))
        specs.append(RepositorySpec(tuple(artifacts), name="ab"[number]))
    sizes = {
        100: 0,
        101: 100 * MIB,
        102: 150 * MIB,
        103: 400 * MIB,
        104: 100 * MIB,
        105: 99 * MIB,
        106: 101 * MIB,
    }
    return build_frames(specs, manifests, sizes)


@given(frames=st.one_of(_pushes(), cases().map(lambda case: case.frames)), data=st.data())
@examples(200)
def test_random_pushes_agree_with_the_slow_twin(frames: Frames, data: st.DataObject) -> None:
    count = len(frames.artifacts.digest_id)
    one_of = st.sampled_from
    tags = data.draw(st.lists(st.lists(one_of(_TAGS), max_size=1), min_size=count, max_size=count))
    platform = data.draw(st.lists(one_of([-1] * 9 + [0]), min_size=count, max_size=count))
    attested = data.draw(st.lists(one_of([False] * 19 + [True]), min_size=count, max_size=count))
    since = data.draw(one_of([0, 4, 8]))
    stems = [{stem_of(tag) for tag in own} for own in tags]
    assert [
        (
            j.artifact,
            j.newest,
            j.before,
            j.median_bytes,
            j.size_bytes,
            j.newest_bytes,
            j.new_layers,
            j.new_bytes,
        )
        for j in find(frames, tags, platform, attested, since)
    ] == oracle.jumps(frames, stems, platform, attested, since)
