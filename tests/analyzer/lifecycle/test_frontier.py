"""The frontier by pencil and paper: families, classes, days, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import get_args

import numpy as np
import pytest

from analyzer.families import find_families
from analyzer.lifecycle.frontier import least_numbers, merged, sweep
from analyzer.lifecycle.frontier_pricing import price_frontier
from analyzer.model.frames import NO_TIME, Frames, Int64, LifecycleFacts
from analyzer.model.frontier import LADDER, By, Frontier, FrontierCurve, PricedFrontier
from analyzer.model.records import ImageStatus, Kind
from analyzer.model.results import UNKNOWN_SIZE, UNLISTED_IMAGES, UNLISTED_REPOSITORIES
from analyzer.model.units import GB, Money, Scope
from analyzer.pricing import PriceBook, load_prices, storage_cost
from tests.strategies.frames import (
    DAY_MS,
    ArtifactSpec,
    ManifestSpec,
    RepositorySpec,
    build_frames,
    image,
    index,
)

NOW_MS = 20_000 * DAY_MS
_SCOPES: tuple[Scope, ...] = get_args(Scope)
_PRICES = """
format = 1
currency = "USD"
[[storage]]
class = "standard"
regions = ["eu-west-1"]
tiers = [{ from_gb = 0, usd_per_gb_month = "0.10" }]
as_of = "2026-09"
source = "a test"
confidence = "high"
[[storage]]
class = "archive"
regions = ["eu-west-1"]
tiers = [{ from_gb = 0, usd_per_gb_month = "0.07" }, { from_gb = 3, usd_per_gb_month = "0.06" }]
as_of = "2026-09"
source = "a test"
confidence = "high"
"""


def _aged(digest_id: int, days: float, status: ImageStatus = ImageStatus.ACTIVE) -> ArtifactSpec:
    return ArtifactSpec(digest_id, pushed_at_ms=NOW_MS - round(days * DAY_MS), image_status=status)


def _facts(frames: Frames, restored: dict[int, int] | None = None) -> LifecycleFacts:
    """Ties by digest id; ``restored``: moments of artifacts by position."""
    count = len(frames.artifacts.digest_id)
    activated = np.full(count, NO_TIME)
    for position, moment in (restored or {}).items():
        activated[position] = moment
    unknown = np.full(count, NO_TIME)
    return LifecycleFacts(
        pulled_at_ms=unknown,
        archived_at_ms=unknown,
        activated_at_ms=activated,
        tie=frames.artifacts.digest_id.astype(np.int64),
        tag_offsets=np.zeros(count + 1, np.int64),
        tags=np.zeros(0, np.int32),
        tag_names=(),
    )


def _least(
    artifacts: Sequence[ArtifactSpec],
    manifests: dict[int, ManifestSpec] | None = None,
    *,
    by: By = "images",
    restored: dict[int, int] | None = None,
    children_take_slots: bool = True,
) -> list[int]:
    """Least N of each, ordered by digest id."""
    frames = build_frames([RepositorySpec(tuple(artifacts))], manifests or {}, {})
    facts = _facts(frames, restored)
    numbers: Int64 = least_numbers(
        frames,
        facts,
        find_families(frames),
        now_ms=NOW_MS,
        by=by,
        children_take_slots=children_take_slots,
    )
    found: list[int] = numbers.tolist()
    return found


def test_images_rank_from_the_youngest_and_the_smaller_digest_is_older() -> None:
    assert _least([_aged(1, 9), _aged(2, 1), _aged(3, 5), _aged(4, 5)]) == [4, 1, 3, 2]


def test_a_restored_image_counts_from_its_restore() -> None:
    artifacts = [_aged(1, 90), _aged(2, 5), _aged(3, 6)]
    assert _least(artifacts, restored={0: NOW_MS - DAY_MS}) == [1, 2, 3]
    assert _least(artifacts, by="days", restored={0: NOW_MS - DAY_MS}) == [1, 5, 6]


def test_an_image_leaves_when_it_is_strictly_older_than_its_days() -> None:
    hour = 1 / 24
    ages = (0, 1, 1 + hour, 2, 30 - hour, 30, 30 + hour, -3)
    artifacts = [_aged(number, age) for number, age in enumerate(ages, start=1)]
    assert _least(artifacts, by="days") == [1, 1, 2, 2, 30, 30, 31, 1]


def test_what_has_no_known_time_holds_the_first_slots_and_stays() -> None:
    artifacts = [_aged(1, 1), ArtifactSpec(2), ArtifactSpec(3), _aged(4, 2)]
    assert _least(artifacts) == [3, 1, 1, 4]
    assert _least(artifacts, by="days") == [1, 1, 1, 2]


def test_archived_and_restoring_images_stay_and_take_no_slot() -> None:
    artifacts = [
        _aged(1, 1, ImageStatus.ARCHIVED),
        _aged(2, 2, ImageStatus.ACTIVATING),
        _aged(3, 3),
        _aged(4, 4, ImageStatus.OTHER),
    ]
    assert _least(artifacts) == [1, 1, 1, 2]


def test_a_child_stays_as_long_as_any_index_that_names_it() -> None:
    artifacts = [_aged(1, 1), _aged(2, 9), _aged(3, 8), _aged(4, 7), _aged(5, 2)]
    # 1 and 4 name 2, 4 names 3: the former is the younger.
    manifests = {1: index(2), 4: index(2, 3), 2: image(), 3: image(), 5: image()}
    assert _least(artifacts, manifests) == [1, 1, 3, 3, 2]
    # Without slots for children only the indexes and 5 are counted, and children never leave.
    assert _least(artifacts, manifests, children_take_slots=False) == [1, 1, 1, 3, 2]


def test_an_archived_index_keeps_its_children() -> None:
    artifacts = [_aged(1, 1, ImageStatus.ARCHIVED), _aged(2, 9), _aged(3, 2)]
    assert _least(artifacts, {1: index(2), 2: image(), 3: image()}) == [1, 1, 1]


def test_indexes_that_name_each_other_leave_together_when_the_younger_may() -> None:
    artifacts = [_aged(1, 1), _aged(2, 5), _aged(3, 9)]
    assert _least(artifacts, {1: image(), 2: index(3), 3: index(2, 3)}) == [1, 2, 2]


def test_a_referrer_has_the_number_of_its_subject_and_takes_no_slot() -> None:
    artifacts = [
        _aged(1, 1),
        _aged(2, 5),
        _aged(3, 0),
        _aged(4, 0, ImageStatus.ARCHIVED),
        _aged(5, 0, ImageStatus.ACTIVATING),
        _aged(6, 0),
    ]
    manifests = {
        1: image(),
        2: image(),
        3: image(subject=2),
        # Of a referrer, archived: it leaves with it all the same.
        4: image(subject=3),
        5: image(subject=2),
        # What is being restored stays, and so does what refers to it.
        6: image(subject=5),
    }
    assert _least(artifacts, manifests) == [1, 2, 2, 2, 1, 1]


def test_a_subject_that_is_not_there_makes_no_referrer() -> None:
    assert _least([_aged(1, 1), _aged(2, 5)], {1: image(subject=7), 2: image()}) == [1, 2]


def test_what_refers_in_a_circle_never_leaves() -> None:
    artifacts = [_aged(1, 9), _aged(2, 9), _aged(3, 9), _aged(4, 9), _aged(5, 1), _aged(6, 2)]
    manifests = {
        1: image(subject=2),
        2: image(subject=1),
        3: image(subject=1),
        4: image(subject=4),
        5: image(),
        6: image(),
    }
    assert _least(artifacts, manifests) == [1, 1, 1, 1, 1, 2]


def test_a_long_chain_of_referrers_is_followed_to_its_end() -> None:
    length = 3_000
    artifacts = [_aged(1, 5), _aged(length + 1, 1), *(_aged(n, 3) for n in range(2, length + 1))]
    manifests = {1: image(), **{n: image(subject=n - 1) for n in range(2, length + 1)}}
    assert _least(artifacts, manifests) == [2] * length + [1]


def _swept(frames: Frames, by: By = "images", chosen: Sequence[bool] | None = None) -> Frontier:
    return sweep(
        frames,
        _facts(frames),
        find_families(frames),
        now_ms=NOW_MS,
        by=by,
        chosen=None if chosen is None else np.array(chosen),
    )


def _two_repositories() -> Frames:
    """Blob 20 is in both; 21 and 22 in images of "a", 23 of "b". Sizes: 1, 10, 100 and 1000 GB."""
    a = RepositorySpec((_aged(1, 1), _aged(2, 2), _aged(3, 3)), name="a")
    b = RepositorySpec((_aged(4, 1), _aged(5, 2, ImageStatus.ARCHIVED)), name="b")
    manifests = {1: image(21), 2: image(20, 21), 3: image(22, 20), 4: image(23), 5: image(20)}
    return build_frames([a, b], manifests, {20: GB, 21: 10 * GB, 22: 100 * GB, 23: 1_000 * GB})


def _rows(frontier: Frontier, scope: Scope, owner: int | None = None) -> list[tuple[int, ...]]:
    """N, kept, GB of both classes; of a repository or of the registry."""
    steps = frontier.registries if owner is None else frontier.repositories
    begin, end = (0, len(steps.n)) if owner is None else steps.offsets[owner : owner + 2].tolist()
    standard, archive = steps.stored.standard(scope), steps.stored.archive(scope)
    return [
        (int(steps.n[k]), int(steps.kept[k]), int(standard[k]) // GB, int(archive[k]) // GB)
        for k in range(begin, end)
    ]


def test_a_blob_stays_from_the_least_number_of_its_holders_on() -> None:
    frontier = _swept(_two_repositories())
    assert _rows(frontier, "repository", 0) == [(1, 1, 10, 0), (2, 2, 11, 0), (3, 3, 111, 0)]
    assert _rows(frontier, "repository", 1) == [(1, 2, 1_000, 1)]
    assert _rows(frontier, "repository") == [(1, 3, 1_010, 1), (2, 4, 1_011, 1), (3, 5, 1_111, 1)]


def test_a_blob_that_is_left_to_archived_images_goes_over_to_their_class() -> None:
    frontier = _swept(_two_repositories())
    # As long as "a" keeps an image with blob 20 it is no archive, although "b" holds it archived.
    assert _rows(frontier, "registry", 0) == [(1, 1, 10, 0), (2, 2, 11, -1), (3, 3, 111, -1)]
    assert _rows(frontier, "registry", 1) == [(1, 2, 1_000, 0)]
    assert _rows(frontier, "registry") == [(1, 3, 1_010, 1), (2, 4, 1_011, 0), (3, 5, 1_111, 0)]


def test_repositories_that_were_not_chosen_stay_and_keep_what_they_share() -> None:
    frontier = _swept(_two_repositories(), chosen=[True, False])
    assert _rows(frontier, "registry") == [(1, 1, 10, 0), (2, 2, 11, -1), (3, 3, 111, -1)]
    assert _rows(frontier, "repository") == [(1, 1, 10, 0), (2, 2, 11, 0), (3, 3, 111, 0)]
    assert (frontier.rest.standard("registry")[0], frontier.rest.archive("registry")[0]) == (
        1_000 * GB,
        GB,
    )
    assert _rows(frontier, "repository", 1) == [(1, 0, 0, 0)]


def test_by_days_the_numbers_are_ages() -> None:
    frontier = _swept(_two_repositories(), by="days")
    assert [row[0] for row in _rows(frontier, "repository", 0)] == [1, 2, 3]
    assert frontier.at_ms == NOW_MS


def test_foreign_layers_and_repeats_are_not_stored() -> None:
    spec = RepositorySpec((_aged(1, 1), _aged(2, 2)))
    frames = build_frames(
        [spec], {1: image(20, 20, foreign=[21]), 2: image(foreign=[21])}, {20: 5 * GB, 21: 7 * GB}
    )
    assert _rows(_swept(frames), "registry") == [(1, 1, 5, 0), (2, 2, 5, 0)]


def test_repositories_without_images_and_a_registry_without_repositories_have_a_curve() -> None:
    frames = build_frames([RepositorySpec()], {}, {}, registries=2)
    frontier = _swept(frames)
    assert _rows(frontier, "repository", 0) == [(1, 0, 0, 0)]
    assert frontier.registries.n.tolist() == [1, 1]
    assert frontier.registries.offsets.tolist() == [0, 1, 2]


def test_no_policy_keeps_less_than_one() -> None:
    with pytest.raises(ValueError, match="cannot keep 0"):
        _swept(_two_repositories()).repositories.at(0)


def test_merging_adds_the_curves_up() -> None:
    steps = _swept(_two_repositories()).repositories
    both = merged(steps, np.array([1, 1]), 2)
    assert both.offsets.tolist() == [0, 0, 3]
    assert both.n.tolist() == [1, 2, 3]
    assert (both.stored.standard_repository // GB).tolist() == [1_010, 1_011, 1_111]
    assert both.kept.tolist() == [3, 4, 5]


def test_times_and_ids_at_the_ends_of_their_range_do_not_overflow() -> None:
    far = [ArtifactSpec(n, pushed_at_ms=ms) for n, ms in ((1, -(2**61)), (2, 2**61), (3, 0), (4, 0))]
    frames = build_frames([RepositorySpec(), RepositorySpec(tuple(far), name="z")], {}, {})
    frontier = _swept(frames)
    assert frontier.repositories.n.tolist() == [1, 1, 2, 3, 4]
    assert _swept(frames, by="days").repositories.kept[-1] == 4


# Money.


def _priced(frames: Frames, by: By = "images", *, prices: str = _PRICES, **settings: bool) -> PricedFrontier:
    book = load_prices(prices, origin="a test")
    return price_frontier(_swept(frames, by), frames, find_families(frames), book, **settings)


def _amounts(curve: FrontierCurve, scope: Scope) -> list[tuple[int, Decimal | None, Decimal | None]]:
    return [
        (point.n, getattr(point.cost, scope).amount, getattr(point.saving, scope).amount)
        for point in curve.points
    ]


def test_the_fleet_is_priced_by_its_classes_and_what_is_saved_is_the_rest() -> None:
    priced = _priced(_two_repositories())
    assert _amounts(priced.fleet, "repository") == [
        (1, Decimal("101.07"), Decimal("10.1")),
        (2, Decimal("101.17"), Decimal(10)),
        (3, Decimal("111.17"), Decimal(0)),
    ]
    # Blob 20 is dearer by three cents than in the archive, where it goes with keep-last-1.
    assert _amounts(priced.fleet, "registry") == [
        (1, Decimal("101.07"), Decimal("10.03")),
        (2, Decimal("101.1"), Decimal(10)),
        (3, Decimal("111.1"), Decimal(0)),
    ]
    only = priced.repositories[0]
    assert (only.account, only.region, only.repository) == ("111111111111", "eu-west-1", "a")
    assert [row[2] for row in _amounts(only.curve, "registry")] == [Decimal("10.03"), Decimal(10), 0]


def test_a_tier_counts_the_whole_region() -> None:
    archived = ImageStatus.ARCHIVED
    one = RepositorySpec((_aged(1, 1), _aged(2, 2)), name="a")
    other = RepositorySpec((_aged(3, 1, archived), _aged(4, 2, archived)), name="b")
    manifests = {1: image(20), 2: image(21), 3: image(21), 4: image(22)}
    sizes = {20: GB, 21: 2 * GB, 22: 3 * GB}
    frames = build_frames([one, other], manifests, sizes)
    book = load_prices(_PRICES, origin="a test")
    # Keeping one image of "a" leaves blob 21 to the archive: 2 GB beside 3 GB, in its second tier.
    before = storage_cost(book, "eu-west-1", standard_bytes=3 * GB, archive_bytes=3 * GB).amount
    after = storage_cost(book, "eu-west-1", standard_bytes=GB, archive_bytes=5 * GB).amount
    assert before is not None
    assert after is not None
    fleet = _priced(frames).fleet
    assert fleet.points[0].saving.registry.amount == before - after == Decimal("0.08")
    assert fleet.points[0].cost.registry.amount == after


def test_regions_are_priced_by_their_own_totals_and_an_unknown_price_is_no_zero() -> None:
    here = RepositorySpec((_aged(1, 1), _aged(2, 2)), name="a")
    there = RepositorySpec((_aged(1, 1), _aged(3, 2), _aged(2, 3)), name="b", registry=1)
    manifests = {1: image(20), 2: image(21), 3: image()}
    frames = build_frames([here, there], manifests, {20: GB, 21: GB}, registries=2)
    priced = _priced(frames)
    reason = "no price for storage-standard in us-east-1"
    assert [point.n for point in priced.fleet.points] == [1, 2, 3]
    assert [point.saving.repository for point in priced.fleet.points[:2]] == [
        Money(Decimal("0.1"), leaves_out=(reason,)),
        # Something of unknown worth leaves, and nothing else.
        Money(None, leaves_out=(reason,)),
    ]
    assert priced.fleet.today.cost.repository == Money(Decimal("0.2"), leaves_out=(reason,))
    assert priced.fleet.today.saving.repository == Money(Decimal(0))
    unpriced = priced.repositories[1].curve
    assert [point.cost.registry.amount for point in unpriced.points] == [None] * 3
    assert unpriced.points[0].saving.registry == Money(None, leaves_out=(reason,))


def test_unknown_sizes_and_lists_are_named() -> None:
    spec = RepositorySpec((_aged(1, 1), _aged(2, 2), _aged(3, 3)), name="a")
    empty = RepositorySpec((_aged(4, 1), _aged(5, 2)), name="b")
    manifests = {1: image(20), 2: ManifestSpec(Kind.UNREADABLE), 3: image(21)}
    frames = build_frames([spec, empty], manifests, {20: GB, 21: GB})
    priced = _priced(frames)
    assert priced.fleet.points[0].saving.repository == Money(Decimal("0.1"), leaves_out=(UNKNOWN_SIZE,))
    assert priced.fleet.today.saving.repository == Money(Decimal(0))
    assert priced.repositories[1].curve.points[0].saving.registry == Money.unknown(UNKNOWN_SIZE)
    assert priced.repositories[1].curve.today.cost.registry == Money.unknown(UNKNOWN_SIZE)
    never = replace(frames, repositories=frames.repositories.assign(complete_at_ms=NO_TIME))
    partial = replace(never, registries=never.registries.assign(status="partial"))
    reasons = (UNKNOWN_SIZE, UNLISTED_IMAGES, UNLISTED_REPOSITORIES)
    assert _priced(partial).fleet.points[0].cost.registry.leaves_out == tuple(sorted(reasons))
    assert _priced(partial).fleet.today.saving.registry.leaves_out == tuple(sorted(reasons[1:]))


def test_repositories_have_the_rungs_below_today_or_every_point() -> None:
    artifacts = tuple(_aged(n, n) for n in range(1, 9))
    frames = build_frames(
        [RepositorySpec(artifacts)],
        {n: image(n + 20) for n in range(1, 9)},
        {n + 20: GB for n in range(1, 9)},
    )
    (some,) = _priced(frames).repositories
    (every,) = _priced(frames, every_point=True).repositories
    assert [point.n for point in some.curve.points] == [1, 2, 3, 5, 8]
    assert [point.n for point in every.curve.points] == list(range(1, 9))
    for rung in LADDER["images"]:
        assert some.curve.at(rung) == every.curve.at(rung)
    assert every.curve.at(10**9) == every.curve.today
    with pytest.raises(ValueError, match="no point for 0"):
        every.curve.at(0)


def test_the_rungs_carry_their_own_number_where_nothing_changes_between() -> None:
    frames = build_frames(
        [RepositorySpec((_aged(1, 1), _aged(2, 400)))], {1: image(20), 2: image(21)}, {20: GB, 21: GB}
    )
    (row,) = _priced(frames, "days").repositories
    assert [point.n for point in row.curve.points] == [1, 3, 7, 14, 30, 60, 90, 180, 365, 400]
    assert {point.stored_bytes.repository for point in row.curve.points[:-1]} == {GB}
    assert row.curve.today.stored_bytes.repository == 2 * GB


def test_no_price_at_all_leaves_bytes() -> None:
    frames = _two_repositories()
    priced = price_frontier(_swept(frames), frames, find_families(frames), PriceBook())
    assert [point.stored_bytes.repository // GB for point in priced.fleet.points] == [1_011, 1_012, 1_112]
    assert {point.cost.repository.amount for point in priced.fleet.points} == {None}
