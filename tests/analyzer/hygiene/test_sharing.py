"""Keys that split a registry and what could be mounted: by hand, and against the slow twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given

from analyzer.families import find_families
from analyzer.hygiene.blobs import ClassBytes, find_blobs
from analyzer.hygiene.sharing import KeySplit, Mountable, find_key_splits, find_mountable
from analyzer.model.frames import NO_TIME, Frames
from analyzer.model.records import PUBLIC_REGION, ImageStatus
from tests.oracle import layer_sharing as oracle
from tests.strategies.frames import DAY_MS, ArtifactSpec, Case, RepositorySpec, build_frames, cases, image
from tests.support.examples import examples

KEY = "arn:aws:kms:eu-west-1:111111111111:key/a"
SIZES = {20: 5, 21: 100, 22: 30, 23: 7, 24: 11}


def splits(frames: Frames) -> list[KeySplit]:
    return find_key_splits(frames, find_blobs(frames, find_families(frames)))


def mountable(frames: Frames, since_ms: int = 0) -> list[Mountable]:
    return find_mountable(frames, find_blobs(frames, find_families(frames)), since_ms)


def plain(name: str, *artifacts: ArtifactSpec, key: str = "", cache: bool = False) -> RepositorySpec:
    return RepositorySpec(
        artifacts,
        name=name,
        encryption_type="KMS" if key else "AES256",
        kms_key=key,
        pull_through_cache=cache,
    )


MANIFESTS = {1: image(20, 21, 22), 2: image(23, 21), 3: image(24, 22)}


def test_a_layer_under_two_keys_is_stored_twice_however_many_repositories_hold_it() -> None:
    frames = build_frames(
        [
            plain("a", ArtifactSpec(1)),
            plain("b", ArtifactSpec(1), ArtifactSpec(2), key=KEY),
            plain("c", ArtifactSpec(3), key=KEY),
        ],
        MANIFESTS,
        SIZES,
    )
    (split,) = splits(frames)
    assert split.repeated == ClassBytes(5 + 100 + 30, 0)
    assert [(p.encryption_type, p.kms_key, p.repositories) for p in split.parts] == [
        ("KMS", KEY, 2),
        ("AES256", "", 1),
    ]
    assert [p.elsewhere_bytes for p in split.parts] == [135, 135]
    assert split.parts[0].stored == ClassBytes(5 + 100 + 30 + 7 + 11, 0)


def test_a_layer_that_is_archived_under_one_key_alone_is_repeated_in_the_archive() -> None:
    frames = build_frames(
        [
            plain("a", ArtifactSpec(1, image_status=ImageStatus.ARCHIVED)),
            plain("b", ArtifactSpec(1), key=KEY),
        ],
        MANIFESTS,
        SIZES,
    )
    assert splits(frames)[0].repeated == ClassBytes(0, 135)


def test_caches_unknown_keys_and_public_registries_split_nothing() -> None:
    own, other = plain("a", ArtifactSpec(1)), plain("b", ArtifactSpec(1), key=KEY)
    assert splits(build_frames([own, replace(other, pull_through_cache=True)], MANIFESTS, SIZES)) == []
    unknown = replace(other, encryption_type="", kms_key="")
    assert splits(build_frames([own, unknown], MANIFESTS, SIZES)) == []
    three = build_frames([own, other, replace(unknown, name="c")], MANIFESTS, SIZES)
    assert splits(three)[0].unknown == 1
    public = three.registries.assign(region=PUBLIC_REGION)
    assert splits(replace(three, registries=public)) == []


def test_registries_do_not_share_whatever_their_keys() -> None:
    frames = build_frames(
        [plain("a", ArtifactSpec(1)), replace(plain("a", ArtifactSpec(1), key=KEY), registry=1)],
        MANIFESTS,
        SIZES,
        registries=2,
    )
    assert splits(frames) == []
    assert [m.repeated.total for m in mountable(frames)] == [0, 0]


def test_what_was_pushed_where_another_repository_had_it_could_have_been_mounted() -> None:
    frames = build_frames(
        [
            plain("a", ArtifactSpec(1, pushed_at_ms=10)),
            plain("b", ArtifactSpec(2, pushed_at_ms=20)),
            plain("c", ArtifactSpec(3, pushed_at_ms=5)),
        ],
        MANIFESTS,
        SIZES,
    )
    (found,) = mountable(frames)
    assert found.apart == ClassBytes(135 + 107 + 41, 0)
    assert found.repeated == ClassBytes(100 + 30, 0)
    # Layer 22 came to a after c had it, and layer 21 to b after a had it.
    assert [mountable(frames, since)[0].recent.total for since in (0, 11, 21)] == [130, 100, 0]


def test_what_could_have_been_mounted_and_is_archived_since_is_of_the_archive() -> None:
    frames = build_frames(
        [
            plain("a", ArtifactSpec(1, pushed_at_ms=10)),
            plain("b", ArtifactSpec(1, pushed_at_ms=20, image_status=ImageStatus.ARCHIVED)),
        ],
        MANIFESTS,
        SIZES,
    )
    assert mountable(frames)[0].recent == ClassBytes(0, 135)


def test_an_image_of_unknown_push_leaves_open_since_when_its_layers_are_there() -> None:
    frames = build_frames(
        [
            plain("a", ArtifactSpec(1, pushed_at_ms=10)),
            plain("b", ArtifactSpec(2, pushed_at_ms=20), ArtifactSpec(1, pushed_at_ms=NO_TIME)),
        ],
        MANIFESTS,
        SIZES,
    )
    assert mountable(frames)[0].recent == ClassBytes(0, 0)


@given(case=cases())
@examples(150)
def test_random_registries_agree_with_the_slow_twin(case: Case) -> None:
    frames = case.frames
    expected = oracle.key_splits(frames)
    found = {split.registry: split for split in splits(frames)}
    assert {
        registry: (
            (split.repeated.standard, split.repeated.archive),
            {(p.encryption_type, p.kms_key): p.elsewhere_bytes for p in split.parts if p.elsewhere_bytes},
        )
        for registry, split in found.items()
    } == {
        registry: (repeated, {key: size for key, size in elsewhere.items() if size})
        for registry, (repeated, elsewhere) in expected.items()
    }
    since = case.now_ms - 90 * DAY_MS
    assert [
        tuple((part.standard, part.archive) for part in (m.apart, m.shared, m.recent))
        for m in mountable(frames, since)
    ] == oracle.mountable(frames, since)


@given(case=cases())
@examples(50)
def test_one_key_for_all_splits_nothing_and_never_repeats_more_than_repositories_do(case: Case) -> None:
    frames = case.frames
    for split, whole in ((s, mountable(frames)[s.registry]) for s in splits(frames)):
        assert 0 < split.repeated.total <= whole.apart.total
        assert all(0 <= part.elsewhere_bytes <= part.stored.total for part in split.parts)
    one = frames.repositories.assign(encryption_type="AES256", kms_key="")
    assert splits(replace(frames, repositories=one)) == []
    assert not np.any([m.repeated.total < 0 for m in mountable(frames)])
