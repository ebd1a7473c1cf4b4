"""Base images spread over builds: by hand, and against the slow twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import find_families
from analyzer.hygiene.bases import Spread, find_spreads
from analyzer.hygiene.platforms import Platforms
from analyzer.model.frames import Frames
from tests.oracle import bases as oracle
from tests.strategies.frames import ArtifactSpec, ManifestSpec, RepositorySpec, build_frames, image
from tests.support.examples import examples

#: Two builds of a base of two layers; the lower one is older.
OLD, NEW, NEWER = (50, 51), (52, 53), (54, 55)
SIZES = {50: 100, 51: 10, 52: 200, 53: 20, 54: 300, 55: 30}


def frames_of(repositories: Mapping[str, Sequence[tuple[int, ...]]], **more: object) -> Frames:
    """Repositories of images of these layers, pushed one after the other; configs of their own."""
    manifests: dict[int, ManifestSpec] = {}
    specs = []
    for name, images in repositories.items():
        artifacts = []
        for layers in images:
            digest = len(manifests) + 1
            manifests[digest] = image(100 + digest, *layers)
            artifacts.append(ArtifactSpec(digest, tags=1, pushed_at_ms=digest))
        specs.append(RepositorySpec(tuple(artifacts), name=name, **more))  # type: ignore[arg-type]
    return build_frames(specs, manifests, SIZES)


def plain(frames: Frames) -> Platforms:
    count = len(frames.artifacts.digest_id)
    nothing = np.zeros(count, np.bool_)
    return Platforms(np.full(count, -1, np.int32), (), nothing, nothing)


def spreads(frames: Frames) -> list[Spread]:
    everything = np.ones(len(frames.artifacts.digest_id), np.bool_)
    return find_spreads(frames, find_families(frames), plain(frames), everything)


def test_repositories_that_stayed_behind_when_two_moved_on_are_on_an_older_build() -> None:
    frames = frames_of(
        {
            "a": [(*OLD, 60), (*NEW, 61)],
            "b": [(*OLD, 62), (*NEW, 63)],
            "late": [(*OLD, 64), (*OLD, 65)],
        }
    )
    (spread,) = spreads(frames)
    assert [(build.layers, build.rows) for build in spread.builds] == [(NEW, (0, 1)), (OLD, (2,))]
    assert [build.size_bytes for build in spread.builds] == [220, 110]
    assert [build.first_ms for build in spread.builds] == [2, 1]
    assert spread.spare_bytes == 110
    assert spread.rows == (0, 1, 2)


def test_one_repository_that_moved_is_no_proof_of_builds_of_one_base() -> None:
    frames = frames_of({"a": [(*OLD, 60), (*NEW, 61)], "b": [(*NEW, 63)], "late": [(*OLD, 64)]})
    assert spreads(frames) == []


def test_all_on_the_newest_build_is_no_spread() -> None:
    assert spreads(frames_of({"a": [(*OLD, 60), (*NEW, 61)], "b": [(*OLD, 62), (*NEW, 63)]})) == []


def test_copies_of_whole_images_are_no_bases() -> None:
    frames = frames_of({"a": [(*OLD, 60), (*NEW, 61)]})
    copied = RepositorySpec(
        tuple(ArtifactSpec(digest, tags=1, pushed_at_ms=10 + digest) for digest in (1, 2)), name="release"
    )
    original = RepositorySpec(
        tuple(ArtifactSpec(digest, tags=1, pushed_at_ms=digest) for digest in (1, 2)), name="a"
    )
    late = RepositorySpec((ArtifactSpec(1, tags=1, pushed_at_ms=30),), name="standby")
    manifests = {1: image(101, *OLD, 60), 2: image(102, *NEW, 61)}
    assert len(frames.repositories) == 1
    assert spreads(build_frames([original, copied, late], manifests, SIZES)) == []


def test_bases_are_compared_only_where_layers_could_be_shared() -> None:
    made = {"a": [(*OLD, 60), (*NEW, 61)], "b": [(*OLD, 62), (*NEW, 63)], "late": [(*OLD, 64)]}
    assert len(spreads(frames_of(made))) == 1
    assert spreads(frames_of(made, pull_through_cache=True)) == []
    frames = frames_of(made)
    keys = frames.repositories.assign(kms_key=["x", "y", "z"])
    assert spreads(replace(frames, repositories=keys)) == []


def test_a_third_build_counts_with_what_it_has_beyond_the_newest() -> None:
    shares_a_layer = (52, 54)
    frames = frames_of(
        {
            "a": [(*OLD, 60), (*NEW, 61), (*shares_a_layer, 66)],
            "b": [(*OLD, 62), (*NEW, 63), (*shares_a_layer, 67)],
            "late": [(*OLD, 64), (*NEW, 65)],
            "later": [(*OLD, 68)],
        }
    )
    (spread,) = spreads(frames)
    assert [build.layers for build in spread.builds] == [shares_a_layer, NEW, OLD]
    assert spread.spare_bytes == 100 + 10 + 20


#: Bases as their builds came out, one after the other.
_LINES = (((50, 51), (52, 53), (52, 54)), ((55,), (56,), (57,), ()), ((50, 51), (50, 58), (52, 58)))


@st.composite
def _fleets(draw: st.DrawFn) -> tuple[Frames, list[int], list[bool], list[bool]]:
    """Repositories that follow one of ``_LINES`` each, some of them late, and odd ones among them."""
    manifests: dict[int, ManifestSpec] = {}
    specs = []
    foreign = draw(st.sampled_from([()] * 5 + [(50,)]))
    line = draw(st.sampled_from(_LINES))
    odd = draw(st.booleans())
    for number in range(draw(st.integers(3, 6))):
        followed = draw(st.sampled_from([line, line, line, *_LINES])) if odd else line
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(followed) - 1)] * 2)))
        builds = sorted([*range(first, last + 1), *([last] if odd and draw(st.booleans()) else ())])
        artifacts: list[ArtifactSpec] = []
        for build in builds:
            digest = draw(st.sampled_from([len(manifests) + 1] * 9 + [1])) if odd else len(manifests) + 1
            if any(artifact.digest_id == digest for artifact in artifacts):
                continue
            own = draw(st.sampled_from([(), (200 + digest,), (60,)])) if odd else (200 + digest,)
            if digest not in manifests:
                layers = (100 + digest, *followed[build], *own)
                manifests[digest] = ManifestSpec(blobs=tuple((layer, layer in foreign) for layer in layers))
            pushed = draw(st.sampled_from([*[10 * build + len(artifacts)] * 5, 3] if odd else [10 * build]))
            artifacts.append(ArtifactSpec(digest, pushed_at_ms=pushed))
        specs.append(
            RepositorySpec(
                tuple(artifacts),
                registry=draw(st.sampled_from([0] * 7 + [1])) if odd else 0,
                name="abcdef"[number],
                kms_key=draw(st.sampled_from([""] * 7 + ["k"])) if odd else "",
                pull_through_cache=odd and draw(st.sampled_from([False] * 9 + [True])),
            )
        )
    sizes = SIZES | {56: 3, 57: 0, 58: 7, 60: 1}
    frames = build_frames(specs, manifests, sizes, registries=2)
    count = len(frames.artifacts.digest_id)

    def of_each(*values: int) -> list[int]:
        """Mostly the first of ``values``."""
        if not odd:
            return [values[0]] * count
        return draw(st.lists(st.sampled_from([values[0]] * 9 + [*values]), min_size=count, max_size=count))

    return frames, of_each(-1, 0), list(map(bool, of_each(0, 1))), list(map(bool, of_each(1, 0)))


@given(fleet=_fleets())
@examples(150)
def test_random_fleets_agree_with_the_slow_twin(
    fleet: tuple[Frames, list[int], list[bool], list[bool]],
) -> None:
    frames, platform, attested, current = fleet
    platforms = Platforms(
        np.array(platform, np.int32),
        ("linux/arm64",),
        np.zeros(len(platform), np.bool_),
        np.array(attested, np.bool_),
    )
    found = find_spreads(frames, find_families(frames), platforms, np.array(current, np.bool_))
    assert [
        (s.registry, tuple((b.layers, b.size_bytes, b.first_ms, b.rows) for b in s.builds), s.spare_bytes)
        for s in found
    ] == [
        (s.registry, tuple(tuple(b) for b in s.builds), s.spare_bytes)
        for s in oracle.spreads(frames, platform, attested, current)
    ]
