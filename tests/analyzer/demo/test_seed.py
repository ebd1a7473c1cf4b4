"""The seeded registries are shaped like the real ones measured, and the same for the same seed."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from analyzer.demo.catalogue import AMD, ARM, MAIN, POLICIES, SPECS, UNTAGGED_DAYS
from analyzer.demo.layers import EMPTY_LAYER, LAYER_SIZES, quantile
from analyzer.demo.plan import Image, Repository, digest_of
from analyzer.demo.seed import Fleet

ACCOUNT = "123456789012"
NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
SEED = 2026


@pytest.fixture(scope="module")
def repositories() -> list[Repository]:
    return Fleet(ACCOUNT, NOW, SEED).repositories


def layers_of(image: Image) -> list[dict[str, object]]:
    parsed: dict[str, list[dict[str, object]]] = json.loads(image.manifest)
    return parsed.get("layers", [])


def is_image(image: Image) -> bool:
    """Whether it is what FIGURES counts as an image: no index, attestation, referrer or chart."""
    layers = layers_of(image)
    kinds = " ".join(str(layer["mediaType"]) for layer in layers)
    return bool(layers) and not image.subject_digest and "in-toto" not in kinds and "helm" not in kinds


def stored(image: Image) -> dict[str, int]:
    """Config and layers that a registry stores, each once."""
    parsed = json.loads(image.manifest)
    entries = [layer for layer in parsed.get("layers", ()) if "foreign" not in layer["mediaType"]]
    if "layers" in parsed:
        entries.append(parsed["config"])
    return {entry["digest"]: entry["size"] for entry in entries}


def at(values: list[int], share: float) -> int:
    return sorted(values)[int(share * len(values))]


@pytest.mark.parametrize("seed", [SEED, 1, 7, 99])
def test_bytes_are_shared_about_as_much_as_in_the_measured_registry(seed: int) -> None:
    # Measured, with every image counted: 3.2 within repositories, 4.4 within the registry.
    logical = by_repository = 0
    everywhere: dict[str, int] = {}
    for repository in Fleet(ACCOUNT, NOW, seed).repositories:
        if repository.region == MAIN:
            held: dict[str, int] = {}
            for image in repository.images:
                logical += sum(stored(image).values())
                held |= stored(image)
            by_repository += sum(held.values())
            everywhere |= held
    overall = sum(everywhere.values())
    assert 2.5 < logical / by_repository < 4.0
    assert 3.2 < logical / overall < 5.2
    assert 1.15 < by_repository / overall < 1.5


def test_counts_are_those_promised(repositories: list[Repository]) -> None:
    assert 40 <= len(repositories) <= 60
    images = [sum(map(is_image, repository.images)) for repository in repositories]
    assert 3_000 <= sum(images) <= 6_000
    # A third of the images measured in a repository.
    assert 25 <= at(images, 0.5) <= 60
    assert 150 <= at(images, 0.9) <= 320
    tags = [sum(len(image.tags) for image in repository.images) for repository in repositories]
    assert 10 <= at(tags, 0.5) <= 22
    assert 40 <= at(tags, 0.9) <= 90


def test_layers_follow_the_measured_quantiles(repositories: list[Repository]) -> None:
    images = [image for repository in repositories for image in repository.images if is_image(image)]
    counts = [len(layers_of(image)) for image in images]
    assert min(counts) <= 5 <= at(counts, 0.25) <= at(counts, 0.5) <= 11
    assert 10 <= at(counts, 0.75) <= 16
    assert 11 <= at(counts, 0.95) <= 20
    sizes = list({layer["digest"]: layer["size"] for image in images for layer in layers_of(image)}.values())
    unique = [size for size in sizes if isinstance(size, int)]
    # Within three times of the measured value; a few bytes more or less where layers are trifles.
    assert 32 <= at(unique, 0.05) <= 400
    assert 150 <= at(unique, 0.25) <= 1_500
    assert 2_500 <= at(unique, 0.5) <= 22_000
    assert 4_000_000 <= at(unique, 0.75) <= 37_000_000
    assert 17_000_000 <= at(unique, 0.9) <= 150_000_000
    assert 30_000_000 <= at(unique, 0.95) <= 270_000_000
    whole = [sum(size for layer in layers_of(i) if isinstance(size := layer["size"], int)) for i in images]
    assert 80_000_000 <= at(whole, 0.5) <= 320_000_000
    assert 150_000_000 <= at(whole, 0.9) <= 640_000_000


def test_most_images_are_reachable_from_no_tag(repositories: list[Repository]) -> None:
    orphans = images = 0
    for repository in repositories:
        by_digest = {image.digest: image for image in repository.images}
        reached = {image.digest for image in repository.images if image.tags}
        for digest in list(reached):
            reached |= {
                entry["digest"] for entry in json.loads(by_digest[digest].manifest).get("manifests", ())
            }
        images += sum(map(is_image, repository.images))
        orphans += sum(is_image(image) and image.digest not in reached for image in repository.images)
    # Measured 0.91; with a third of the images and all of the tags it is 0.73.
    assert 0.6 < orphans / images < 0.85


def test_same_seed_and_time_give_the_same_bytes() -> None:
    first, second = Fleet(ACCOUNT, NOW, 5), Fleet(ACCOUNT, NOW, 5)
    for fleet in (first, second):
        fleet.pass_night()
    assert first.repositories == second.repositories
    assert first.refusals == second.refusals
    assert Fleet(ACCOUNT, NOW, 6).repositories != Fleet(ACCOUNT, NOW, 5).repositories


def test_times_move_with_now_and_never_lie_after_it() -> None:
    for now in (NOW, NOW + timedelta(days=30)):
        images = [
            image for repository in Fleet(ACCOUNT, now, SEED).repositories for image in repository.images
        ]
        assert max(image.pushed_at for image in images) < now
        times = [t for i in images for t in (i.pulled_at, i.archived_at, i.activated_at) if t is not None]
        assert max(times) < now
        assert max(now - image.pushed_at for image in images) > timedelta(days=600)


def test_digests_name_the_manifests_and_tags_are_unique(repositories: list[Repository]) -> None:
    for repository in repositories:
        digests = [image.digest for image in repository.images]
        assert len(set(digests)) == len(digests)
        assert all(digest_of(image.manifest) == image.digest for image in repository.images)
        tags = Counter(tag for image in repository.images for tag in image.tags)
        assert set(tags.values()) <= {1}, repository.name


def test_indexes_name_children_that_are_there(repositories: list[Repository]) -> None:
    platforms = set()
    for repository in repositories:
        by_digest = {image.digest: image for image in repository.images}
        for image in repository.images:
            for entry in json.loads(image.manifest).get("manifests", ()):
                child = by_digest[entry["digest"]]
                assert entry["size"] == len(child.manifest.encode())
                assert not child.tags
                platforms.add("/".join(entry["platform"].values()))
    assert platforms == {"amd64/linux", "arm64/linux/v8", "unknown/unknown"}
    assert any(set(spec.platforms) == {AMD, ARM} for spec in SPECS)


def test_everything_rare_is_there(repositories: list[Repository]) -> None:
    named = {(repository.region, repository.name): repository for repository in repositories}
    images = [image for repository in repositories for image in repository.images]
    assert len({repository.region for repository in repositories}) == 3
    assert any(not repository.images for repository in repositories)
    assert any(repository.kms_key for repository in repositories)
    assert any(repository.immutable for repository in repositories)
    assert any(repository.name.startswith("docker-hub/") for repository in repositories)
    assert {bool(repository.lifecycle_policy) for repository in repositories} == {True, False}
    assert {bool(repository.tags.get("team")) for repository in repositories} == {True, False}
    assert any(image.subject_digest for image in images)
    assert any(image.status == "ARCHIVED" for image in images)
    assert {image.pulled_at is None for image in images} == {True, False}
    assert {image.scan is None for image in images} == {True, False}
    assert any(
        image.media_type.endswith("manifest.v1+json") and "docker" in image.media_type for image in images
    )
    windows = named[MAIN, "legacy/billing-windows"].images
    assert all(any("urls" in layer for layer in layers_of(image)) for image in windows)
    twice = [layer["digest"] for layer in layers_of(named[MAIN, "platform/ci-runner"].images[0])]
    assert twice.count(EMPTY_LAYER) == 2


def test_subjects_are_in_the_repository(repositories: list[Repository]) -> None:
    for repository in repositories:
        digests = {image.digest for image in repository.images}
        subjects = [image for image in repository.images if image.subject_digest]
        assert {image.subject_digest for image in subjects} <= digests
        assert all(json.loads(i.manifest)["subject"]["digest"] == i.subject_digest for i in subjects)


def test_policies_are_of_legal_length() -> None:
    assert all(100 <= len(text) <= 30_720 for text in POLICIES.values())
    assert {spec.policy for spec in SPECS if spec.policy} == set(POLICIES)


def test_a_night_pushes_moves_tags_deletes_and_archives() -> None:
    fleet = Fleet(ACCOUNT, NOW, SEED)

    def state() -> dict[tuple[str, str, str], tuple[tuple[str, ...], str]]:
        return {
            (repository.region, repository.name, image.digest): (tuple(image.tags), image.status)
            for repository in fleet.repositories
            for image in repository.images
        }

    before = state()
    fleet.pass_night()
    after = state()
    assert fleet.now == NOW + timedelta(days=1)
    assert 5 <= len(after.keys() - before.keys()) <= 150
    assert 1 <= len(before.keys() - after.keys()) <= 60
    both = before.keys() & after.keys()
    assert any(before[key][0] and not after[key][0] for key in both), "a moved tag leaves an untagged image"
    assert any(before[key][1] != after[key][1] == "ARCHIVED" for key in both)
    newest = max(image.pushed_at for repository in fleet.repositories for image in repository.images)
    assert NOW < newest < fleet.now


def test_a_policy_put_in_one_night_takes_old_untagged_images_in_the_next() -> None:
    fleet = Fleet(ACCOUNT, NOW, SEED)

    def runner() -> Repository:
        (found,) = (r for r in fleet.repositories if r.name == "platform/ci-runner")
        return found

    def due(at: datetime) -> set[str]:
        old = at - timedelta(days=UNTAGGED_DAYS)
        return {image.digest for image in runner().images if not image.tags and image.pushed_at <= old}

    assert runner().lifecycle_policy is None
    fleet.pass_night()
    assert runner().lifecycle_policy == POLICIES["untagged"]
    assert runner().lifecycle_evaluated_at is None
    before = {image.digest for image in runner().images}
    expected = due(fleet.now + timedelta(days=1))
    fleet.pass_night()
    assert expected
    assert before - {image.digest for image in runner().images} == expected
    assert runner().lifecycle_evaluated_at == fleet.now
    assert not due(fleet.now)


def test_nights_keep_the_registry_consistent() -> None:
    fleet = Fleet(ACCOUNT, NOW, 3)
    for _ in range(10):
        fleet.pass_night()
    repositories = fleet.repositories
    test_digests_name_the_manifests_and_tags_are_unique(repositories)
    test_indexes_name_children_that_are_there(repositories)
    test_subjects_are_in_the_repository(repositories)


def test_quantiles_meet_their_points_and_rise() -> None:
    assert [round(quantile(LAYER_SIZES, share)) for share, _ in LAYER_SIZES] == [v for _, v in LAYER_SIZES]
    values = [quantile(LAYER_SIZES, n / 200) for n in range(201)]
    assert all(low <= high for low, high in pairwise(values))
