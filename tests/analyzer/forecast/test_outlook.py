"""Forecasts whose outcome is known beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analyzer.births import blob_births
from analyzer.families import find_families
from analyzer.forecast.courses import Supposition
from analyzer.forecast.outlook import forecast
from analyzer.forecast.record import WEEK_MS, record_of_present
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, TagStatus
from analyzer.model.frames import NO_TIME, Frames, LifecycleFacts
from analyzer.model.trends import Forecast, NoForecast
from analyzer.pricing import bundled_prices
from analyzer.storage import analyze
from tests.strategies.frames import ArtifactSpec, ManifestSpec, RepositorySpec, build_frames, image

DAY_MS = WEEK_MS // 7
AT_MS = 20_000 * DAY_MS
_BASE, _SIZE = 1_000, 7


def _keep(number: int, by: CountType = CountType.IMAGE_COUNT_MORE_THAN) -> Policy:
    rule = Rule(
        priority=1, tag_status=TagStatus.ANY, count_type=by, count_number=number, action=Action.EXPIRE
    )
    return Policy((rule,))


def _pushed_daily(days: int, *, repositories: int = 1, since_days: int = 0) -> Frames:
    """One image a day, each with a layer of its own beside one that all have."""
    manifests: dict[int, ManifestSpec] = {}
    sizes = {1: _BASE}
    specs = []
    for number in range(repositories):
        artifacts = []
        for day in range(days):
            digest = 2 + 2 * (number * days + day)
            manifests[digest], sizes[digest + 1] = image(1, digest + 1), _SIZE
            pushed = AT_MS - (since_days + day) * DAY_MS - DAY_MS // 2
            artifacts.append(ArtifactSpec(digest, pushed_at_ms=pushed))
        specs.append(RepositorySpec(tuple(artifacts), name=f"app-{number:03}"))
    return build_frames(specs, manifests, sizes)


def _facts(frames: Frames) -> LifecycleFacts:
    count = len(frames.artifacts.repository)
    none = np.full(count, NO_TIME)
    return LifecycleFacts(
        pulled_at_ms=none,
        archived_at_ms=none,
        activated_at_ms=none,
        tie=np.zeros(count, np.int64),
        tag_offsets=np.zeros(count + 1, np.int64),
        tags=np.zeros(0, np.int32),
        tag_names=[],
    )


def _made(
    frames: Frames, *policies: Policy | None, lost: bool = False, **options: Any
) -> Forecast | NoForecast:
    facts, families, rows = _facts(frames), find_families(frames), len(frames.repositories)
    return forecast(
        record_of_present(frames, facts, families, at_ms=AT_MS, may_have_lost=np.full(rows, lost)),
        frames,
        facts,
        families,
        analyze(frames, now_ms=AT_MS, stale_days=90),
        blob_births(frames, families),
        bundled_prices(),
        [
            Supposition(
                name="candidate",
                title=str(number),
                policies=() if policy is None else (policy,),
                policy_of=np.full(rows, -1 if policy is None else 0),
            )
            for number, policy in enumerate(policies)
        ],
        at_ms=AT_MS,
        **options,
    )


def _points(made: Forecast | NoForecast, number: int = 0) -> list[tuple[int, int, int, int]]:
    """(days, low, middle, high) of each point."""
    assert isinstance(made, Forecast)
    return [
        (point.days, *(getattr(point.bytes_repository, name) for name in ("low", "middle", "high")))
        for point in made.scenarios[number].points
    ]


@pytest.mark.parametrize("budget", [10**9, 3_000])
def test_an_image_a_day_grows_by_its_layer_a_day_and_a_policy_keeps_its_number(budget: int) -> None:
    frames = _pushed_daily(364)
    made = _made(frames, None, _keep(10), _keep(30, CountType.SINCE_IMAGE_PUSHED), budget=budget)
    now = _BASE + 364 * _SIZE
    assert _points(made) == [(days, *[now + days * _SIZE] * 3) for days, *_ in _points(made)]
    ten, thirty = _BASE + 10 * _SIZE, _BASE + 30 * _SIZE
    for number, kept in ((1, ten), (2, thirty)):
        first, *later = _points(made, number)
        assert first == (0, now, now, now)
        if budget > 10**6:
            assert later == [(days, kept, kept, kept) for days, *_ in later]
    assert isinstance(made, Forecast)
    point = made.scenarios[0].points[-1]
    assert point.cost.repository.amount == point.cost_low.repository.amount
    assert made.pushes == 364


def test_without_pushes_everything_stays_but_for_age() -> None:
    frames = _pushed_daily(5, since_days=370)
    made = _made(frames, None, _keep(3), _keep(500, CountType.SINCE_IMAGE_PUSHED))
    now = _BASE + 5 * _SIZE
    assert {point[1:] for point in _points(made)} == {(now, now, now)}
    assert {point[1:] for point in _points(made, 1)[1:]} == {(_BASE + 3 * _SIZE,) * 3}
    left = [point[2] for point in _points(made, 2)]
    assert left[0] == now
    assert left[-1] == 0
    assert isinstance(made, Forecast)
    assert made.repositories[0].method == "constant"


@pytest.mark.parametrize("days", [0, 3, 27])
def test_of_fewer_than_four_weeks_there_is_no_forecast_and_a_reason(days: int) -> None:
    frames = _pushed_daily(days)
    frames = replace(frames, repositories=frames.repositories.assign(created_at_ms=AT_MS - days * DAY_MS))
    made = _made(frames, None)
    assert isinstance(made, NoForecast)
    assert f"{days // 7} week" in made.reason


def test_where_a_policy_may_have_deleted_no_week_before_the_oldest_image_counts() -> None:
    frames = _pushed_daily(35)
    careless, careful = _made(frames, None), _made(frames, None, lost=True)
    assert isinstance(careless, Forecast)
    assert isinstance(careful, Forecast)
    # Created long ago: without a policy the weeks before were quiet.
    assert careless.scenarios[0].points[-1].artifacts.middle < 35 + 364
    # The oldest was pushed half a day less than five weeks ago, so that four weeks are whole.
    assert careful.scenarios[0].points[-1].artifacts.middle == 35 + 364
    assert (careful.measured_to - careful.measured_from).days == 28


def test_equal_seeds_give_equal_forecasts_and_others_differ() -> None:
    manifests, sizes, artifacts = {}, {}, []
    rng = np.random.default_rng(3)
    for number in range(120):
        manifests[2 * number + 1], sizes[2 * number + 2] = image(2 * number + 2), int(rng.integers(1, 10**9))
        artifacts.append(
            ArtifactSpec(2 * number + 1, pushed_at_ms=AT_MS - int(rng.integers(1, 300 * DAY_MS)))
        )
    frames = build_frames([RepositorySpec(tuple(artifacts), name="app")], manifests, sizes)
    one, again, other = (_points(_made(frames, None, seed=seed)) for seed in (1, 1, 2))
    assert one == again != other
    assert all(low <= middle <= high for _, low, middle, high in one)
    assert one[-1][1] < one[-1][3]


def test_what_does_not_fit_the_budget_is_scaled_from_a_sample_that_is_like_it() -> None:
    frames = _pushed_daily(84, repositories=12)
    whole, part = _made(frames, None, _keep(7)), _made(frames, None, _keep(7), budget=60_000)
    assert isinstance(part, Forecast)
    assert {row.method for row in part.repositories} == {"replayed", "scaled"}
    for one, other in zip(_points(whole, 1), _points(part, 1), strict=True):
        assert other[2] == pytest.approx(one[2], rel=0.02)
    assert _points(whole) == _points(part)
