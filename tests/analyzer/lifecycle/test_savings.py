"""Savings by pencil and paper: registries small enough to add up by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest

from analyzer.families import find_families
from analyzer.lifecycle.savings import Holdings, Savings
from analyzer.model.frames import Frames, Listed
from analyzer.model.records import ImageStatus, Kind
from analyzer.model.verdicts import Outcome
from tests.strategies.frames import (
    ArtifactSpec,
    ManifestSpec,
    RepositorySpec,
    build_frames,
    image,
    index,
)

KEPT, EXPIRED, TRANSITIONED = Outcome.KEPT, Outcome.EXPIRED, Outcome.TRANSITIONED

#: Blobs by the power of ten of their size, so that a sum names its parts.
SIZES = {20 + power: 10**power for power in range(9)}
ONE, TEN, HUNDRED, THOUSAND = range(20, 24)


def measure(frames: Frames, *outcome: Outcome) -> Savings:
    return Holdings(frames, find_families(frames)).measure(np.array(outcome, np.uint8))


def cells(frame: pd.DataFrame, *columns: str) -> list[tuple[int, ...]]:
    """The rows of ``frame`` in these columns."""
    return [tuple(int(value) for value in row) for row in frame[list(columns)].to_numpy()]


def of_repositories(savings: Savings, *columns: str) -> list[tuple[int, ...]]:
    return cells(savings.repositories, *columns)


def of_registry(savings: Savings, name: str) -> list[tuple[int, ...]]:
    """A column of ``registries`` at repository and at registry scope."""
    return cells(savings.registries, f"{name}_repository", f"{name}_registry")


def repository(name: str, digests: Sequence[int]) -> RepositorySpec:
    return RepositorySpec(tuple(ArtifactSpec(digest) for digest in digests), name=name)


def archived(digest: int, status: ImageStatus = ImageStatus.ARCHIVED) -> ArtifactSpec:
    return ArtifactSpec(digest, image_status=status)


# --- what is freed --------------------------------------------------------------------------------


def test_layer_that_a_kept_image_holds_frees_nothing() -> None:
    frames = build_frames(
        [repository("a", [1, 2])], {1: image(THOUSAND, ONE), 2: image(THOUSAND, TEN)}, SIZES
    )
    savings = measure(frames, EXPIRED, KEPT)
    assert of_repositories(savings, "physical_bytes", "expired_logical_bytes", "freed_bytes") == [
        (1011, 1001, 1)
    ]
    assert of_registry(savings, "freed_bytes") == [(1, 1)]


def test_shared_layer_leaves_with_its_last_holder() -> None:
    frames = build_frames(
        [repository("a", [1, 2])], {1: image(THOUSAND, ONE), 2: image(THOUSAND, TEN)}, SIZES
    )
    savings = measure(frames, EXPIRED, EXPIRED)
    assert of_repositories(savings, "expired", "expired_logical_bytes", "freed_bytes") == [(2, 2011, 1011)]


def test_layer_of_two_repositories_counts_for_neither_at_registry_scope() -> None:
    # Repository a loses its image; b keeps the one that holds the shared layer.
    frames = build_frames(
        [repository("a", [1]), repository("b", [2])],
        {1: image(THOUSAND, ONE), 2: image(THOUSAND, TEN)},
        SIZES,
    )
    columns = ("freed_bytes", "unique_bytes", "freed_unique_bytes")
    one = measure(frames, EXPIRED, KEPT)
    assert of_repositories(one, *columns) == [(1001, 1, 1), (0, 10, 0)]
    assert of_registry(one, "freed_bytes") == [(1001, 1)]
    # When both leave, the shared layer does leave the registry, but with no one repository.
    both = measure(frames, EXPIRED, EXPIRED)
    assert of_repositories(both, *columns) == [(1001, 1, 1), (1010, 10, 10)]
    assert of_registry(both, "freed_bytes") == [(2011, 1011)]


@pytest.mark.parametrize(
    "apart",
    [
        RepositorySpec(encryption_type="KMS", kms_key="key/b"),
        RepositorySpec(encryption_type="KMS"),
        RepositorySpec(pull_through_cache=True),
    ],
    ids=["another key", "another encryption", "cache"],
)
def test_layers_are_not_shared_across_encryptions_or_with_caches(apart: RepositorySpec) -> None:
    frames = build_frames(
        [repository("a", [1]), replace(apart, name="b", artifacts=(ArtifactSpec(2),))],
        {1: image(THOUSAND, ONE), 2: image(THOUSAND, TEN)},
        SIZES,
    )
    savings = measure(frames, EXPIRED, KEPT)
    assert of_repositories(savings, "unique_bytes", "freed_unique_bytes") == [(1001, 1001), (1010, 0)]
    assert of_registry(savings, "physical_bytes") == [(2011, 2011)]


def test_one_image_in_several_registries_is_stored_in_each() -> None:
    frames = build_frames(
        [repository("a", [1]), RepositorySpec((ArtifactSpec(1),), registry=1, name="a")],
        {1: image(THOUSAND)},
        SIZES,
        registries=3,
    )
    savings = measure(frames, KEPT, EXPIRED)
    assert of_registry(savings, "physical_bytes") == [(1000, 1000), (1000, 1000), (0, 0)]
    assert of_registry(savings, "freed_bytes") == [(0, 0), (1000, 1000), (0, 0)]


def test_blob_listed_twice_counts_once_and_foreign_layers_not_at_all() -> None:
    frames = build_frames(
        [repository("a", [1, 2])],
        {1: image(ONE, TEN, TEN, foreign=[HUNDRED]), 2: image(TEN, TEN, foreign=[HUNDRED])},
        SIZES,
    )
    savings = measure(frames, EXPIRED, KEPT)
    assert of_repositories(
        savings, "logical_bytes", "physical_bytes", "expired_logical_bytes", "freed_bytes"
    ) == [(21, 11, 11, 1)]


def test_referrers_hold_blobs_and_indexes_do_not() -> None:
    manifests = {
        1: image(ONE),
        2: image(TEN, subject=1),
        3: index(1),
        4: ManifestSpec(Kind.UNKNOWN, blobs=((HUNDRED, False),)),
    }
    frames = build_frames([repository("a", [1, 2, 3, 4])], manifests, SIZES)
    savings = measure(frames, EXPIRED, EXPIRED, EXPIRED, EXPIRED)
    assert of_repositories(
        savings, "artifacts", "images", "expired", "unknown_expired", "expired_logical_bytes", "freed_bytes"
    ) == [(4, 1, 4, 1, 11, 11)]


def test_bytes_of_unread_artifacts_are_called_unknown_unless_they_are_indexes() -> None:
    frames = build_frames(
        [
            RepositorySpec(
                (
                    ArtifactSpec(1, listed=Listed.IMAGE),
                    ArtifactSpec(2, listed=Listed.INDEX),
                    ArtifactSpec(3, listed=Listed.UNKNOWN),
                    ArtifactSpec(4, listed=Listed.IMAGE),
                )
            )
        ],
        {},
        {},
    )
    savings = measure(frames, EXPIRED, EXPIRED, TRANSITIONED, KEPT)
    assert of_repositories(
        savings, "images", "expired", "unknown_expired", "transitioned", "unknown_transitioned"
    ) == [(0, 2, 1, 1, 1)]


# --- storage classes ------------------------------------------------------------------------------

CLASSES = ("archive_bytes", "freed_bytes", "freed_archive_bytes", "archived_bytes")


def test_archived_image_takes_along_only_layers_that_no_active_one_holds() -> None:
    frames = build_frames(
        [repository("a", [1, 2])], {1: image(THOUSAND, ONE), 2: image(THOUSAND, TEN)}, SIZES
    )
    savings = measure(frames, TRANSITIONED, KEPT)
    assert of_repositories(savings, *CLASSES) == [(0, 0, 0, 1)]
    assert of_repositories(savings, "transitioned", "transitioned_logical_bytes") == [(1, 1001)]


def test_layer_goes_over_to_the_archive_when_its_last_active_holder_expires() -> None:
    frames = build_frames(
        [RepositorySpec((ArtifactSpec(1), archived(2)))],
        {1: image(THOUSAND, ONE), 2: image(THOUSAND, TEN)},
        SIZES,
    )
    savings = measure(frames, EXPIRED, KEPT)
    assert of_repositories(savings, *CLASSES) == [(10, 1, 0, 1000)]


@pytest.mark.parametrize("status", [ImageStatus.ARCHIVED, ImageStatus.ACTIVATING])
def test_bytes_freed_from_the_archive_are_told_apart(status: ImageStatus) -> None:
    frames = build_frames(
        [RepositorySpec((ArtifactSpec(1), archived(2, status)))],
        {1: image(THOUSAND, ONE), 2: image(THOUSAND, TEN)},
        SIZES,
    )
    assert of_repositories(measure(frames, KEPT, EXPIRED), *CLASSES) == [(10, 10, 10, 0)]
    assert of_repositories(measure(frames, EXPIRED, EXPIRED), *CLASSES) == [(10, 1011, 10, 0)]


def test_status_that_is_not_known_is_of_the_standard_class() -> None:
    frames = build_frames([RepositorySpec((archived(1, ImageStatus.OTHER),))], {1: image(THOUSAND)}, SIZES)
    assert of_repositories(measure(frames, EXPIRED), *CLASSES) == [(0, 1000, 0, 0)]


def test_archiving_what_is_archived_changes_nothing() -> None:
    frames = build_frames([RepositorySpec((archived(1),))], {1: image(THOUSAND)}, SIZES)
    assert of_repositories(measure(frames, TRANSITIONED), *CLASSES) == [(1000, 0, 0, 0)]


def test_more_may_move_to_the_archive_of_a_registry_than_of_its_repositories() -> None:
    # Repository a frees its standard copy, and b has archived the same layer before.
    frames = build_frames(
        [repository("a", [1]), RepositorySpec((archived(1),), name="b")], {1: image(THOUSAND)}, SIZES
    )
    savings = measure(frames, EXPIRED, KEPT)
    assert of_registry(savings, "archived_bytes") == [(0, 1000)]
    assert of_registry(savings, "archive_bytes") == [(1000, 0)]
    assert of_registry(savings, "freed_bytes") == [(1000, 0)]


# --- edges ----------------------------------------------------------------------------------------


def test_nothing_at_all_is_measured() -> None:
    empty = build_frames([], {}, {}, registries=0)
    savings = measure(empty)
    assert (len(savings.repositories), len(savings.registries)) == (0, 0)
    deserted = build_frames([RepositorySpec(name="a"), RepositorySpec(name="b")], {}, {}, registries=2)
    savings = measure(deserted)
    assert of_repositories(savings, "artifacts", "physical_bytes", "freed_unique_bytes") == [(0, 0, 0)] * 2
    assert of_registry(savings, "physical_bytes") == [(0, 0)] * 2


def test_sizes_that_a_float_cannot_hold_are_exact() -> None:
    big = 2**53 + 1
    frames = build_frames(
        [repository("a", [1, 2]), repository("b", [3])],
        {1: image(11, 12), 2: image(11, 13), 3: image(11)},
        {11: big, 12: 2, 13: big},
    )
    savings = measure(frames, EXPIRED, EXPIRED, EXPIRED)
    assert of_repositories(savings, "freed_bytes", "freed_unique_bytes", "expired_logical_bytes") == [
        (2 * big + 2, big + 2, 3 * big + 2),
        (big, 0, big),
    ]
    assert of_registry(savings, "freed_bytes") == [(3 * big + 2, 2 * big + 2)]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [([0], "1 outcomes for 2 artifacts"), ([0, 0, 0], "3 outcomes for 2"), ([0, 3], "3 is not the code")],
)
def test_outcomes_that_do_not_fit_are_refused(outcome: list[int], said: str) -> None:
    frames = build_frames([repository("a", [1, 2])], {1: image(ONE), 2: image(ONE)}, SIZES)
    with pytest.raises(ValueError, match=said):
        Holdings(frames, find_families(frames)).measure(np.array(outcome, np.uint8))


def test_savings_are_frozen() -> None:
    savings = measure(build_frames([repository("a", [1])], {1: image(ONE)}, SIZES), KEPT)
    with pytest.raises(FrozenInstanceError):
        savings.registries = savings.repositories  # type: ignore[misc] # the point of the test
