"""Images that only scanners pull: by hand, and against a search through every recorded pull."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import IMAGE
from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Estate, Found, Unjudged
from analyzer.hygiene.scanner_pulls import CHECKS, LEAST_DAYS, only_scanners
from analyzer.model.frames import NEVER_PULLED, NO_TIME, Frames
from analyzer.model.pull_costs import TransferAdvice
from analyzer.model.pull_report import RecordedPulls
from analyzer.model.pulls import (
    Confidence,
    Coverage,
    LeftOut,
    LeftOutCount,
    PullHistory,
    PullKind,
    Pulls,
    RegionMethod,
)
from analyzer.pricing import bundled_prices
from analyzer.pull_pricing import price_pulls
from tests.strategies.frames import (
    DAY_MS,
    ArtifactSpec,
    ManifestSpec,
    RepositorySpec,
    build_frames,
    image,
    index,
)
from tests.support.estates import estate_of, usage_of
from tests.support.examples import examples

PRICES = bundled_prices()
ACCOUNT, REGION = "111111111111", "eu-west-1"
TODAY = 20_000
FIRST = TODAY - 20


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def pull(
    day: int, digest_id: int = 0, tag: str = "", kind: PullKind = PullKind.IMAGE, repository: str = "a"
) -> Pulls:
    return Pulls(
        day,
        ACCOUNT,
        REGION,
        repository,
        kind,
        digest(digest_id) if digest_id else "",
        tag,
        ACCOUNT,
        "arn:aws:iam::111111111111:role/node",
        REGION,
        RegionMethod.UNKNOWN,
        Confidence.NONE,
        1,
    )


def history(
    pulls: Sequence[Pulls] = (),
    left_out: Sequence[tuple[int, LeftOut]] = (),
    complete: Sequence[int] = range(FIRST, TODAY),
) -> PullHistory:
    return PullHistory(
        FIRST,
        TODAY - 1,
        tuple(pulls),
        tuple(LeftOutCount(day, ACCOUNT, REGION, reason, 3) for day, reason in left_out),
        tuple(Coverage(day, ACCOUNT, REGION, "trail", "complete") for day in complete),
    )


def estate(frames: Frames, told: PullHistory | None, running: Sequence[int] = ()) -> Estate:
    recorded = None
    if told is not None:
        costs = price_pulls(told, {}, PRICES, None)
        recorded = RecordedPulls(costs=costs, advice=TransferAdvice(advice=(), options=()), history=told)
    return estate_of(
        frames,
        now_ms=TODAY * DAY_MS,
        recorded=recorded,
        prices=PRICES,
        usage=usage_of(len(frames.artifacts.digest_id), running),
        digest_ids=lambda digests: np.array([int(text[7:], 16) for text in digests], np.int64),
    )


def artifact(number: int, pulled_day: int = TODAY - 3, tags: int = 0, age: int = 200) -> ArtifactSpec:
    return ArtifactSpec(number, tags=tags, pushed_at_ms=(TODAY - age) * DAY_MS, pulled_day=pulled_day)


def frames_of(*artifacts: ArtifactSpec, manifests: dict[int, ManifestSpec] | None = None) -> Frames:
    made = {spec.digest_id: image(20 + spec.digest_id) for spec in artifacts} | (manifests or {})
    sizes = {20 + number: 1 << number for number in range(10)}
    return build_frames([RepositorySpec(artifacts, name="a")], made, sizes)


def found(told: Estate) -> list[int]:
    return [
        int(told.known.frames.artifacts.digest_id[position])
        for answer in only_scanners(told)
        if isinstance(answer, Found)
        for position in answer.artifacts
    ]


SCANNED = [(TODAY - 3, LeftOut.SCANNER)]


def test_an_image_that_a_scanner_pulled_last_is_told_with_what_leaves() -> None:
    estate_ = estate(frames_of(artifact(1), artifact(2, age=30)), history(left_out=SCANNED))
    (answer,) = run_checks(estate_, CHECKS).told
    finding = answer.finding
    assert finding.images == 2
    assert "nobody else pulled from the repository" in finding.message
    # The second one was pushed lately.
    assert finding.freed_bytes is not None
    assert finding.freed_bytes.repository == 1 << 1
    assert "scanner 3" in finding.evidence[-1].note


def test_a_clients_pull_on_any_day_by_digest_or_tag_clears_the_image_and_its_family() -> None:
    of_index = {1: index(2, 3)}
    frames = frames_of(artifact(1), artifact(2), artifact(3), artifact(4), manifests=of_index)
    assert found(estate(frames, history(left_out=SCANNED))) == [2, 3, 4]
    assert found(estate(frames, history([pull(FIRST, 2)], SCANNED))) == [4]
    tagged = frames_of(artifact(1, tags=1), artifact(2))
    assert found(estate(tagged, history([pull(TODAY - 9, tag="tag-1")], SCANNED))) == [2]


def test_a_tag_that_moved_leaves_open_what_was_pulled() -> None:
    frames = frames_of(artifact(1), artifact(2, tags=1, age=15))
    assert found(estate(frames, history([pull(TODAY - 17, tag="gone")], SCANNED))) == [2]
    # The image that has the tag now was pushed on that day or later.
    assert found(estate(frames, history([pull(TODAY - 15, tag="tag-2")], SCANNED))) == []


def test_layers_that_clients_pulled_without_an_image_leave_everything_open() -> None:
    frames = frames_of(artifact(1), artifact(2, age=15))
    layer = pull(TODAY - 16, 21, kind=PullKind.LAYER)
    assert found(estate(frames, history([layer], SCANNED))) == [2]


def test_a_pull_that_nobody_counted_apart_on_that_day_explains_nothing() -> None:
    frames = frames_of(artifact(1))
    assert found(estate(frames, history())) == []
    assert found(estate(frames, history(left_out=[(TODAY - 3, LeftOut.ERROR)]))) == []
    assert found(estate(frames, history(left_out=[(TODAY - 4, LeftOut.SCANNER)]))) == []
    gap = [day for day in range(FIRST, TODAY) if day != TODAY - 3]
    assert found(estate(frames, history(left_out=SCANNED, complete=gap))) == []


def test_what_is_new_in_use_or_never_pulled_is_no_finding() -> None:
    frames = frames_of(artifact(1), artifact(2, age=5), artifact(3, NEVER_PULLED), artifact(4, TODAY - 100))
    assert found(estate(frames, history(left_out=SCANNED), running=[0])) == []
    assert found(estate(frames, history(left_out=SCANNED))) == [1]


def test_without_recorded_days_nobody_knows() -> None:
    frames = frames_of(artifact(1))
    for told in (None, history(left_out=SCANNED, complete=range(TODAY - LEAST_DAYS + 1, TODAY))):
        (answer,) = only_scanners(estate(frames, told))
        assert isinstance(answer, Unjudged)
    assert found(estate(frames, history(left_out=SCANNED, complete=range(TODAY - LEAST_DAYS, TODAY)))) == [1]


_DAYS = st.integers(FIRST, TODAY - 1)


@given(
    ages=st.lists(st.sampled_from([3, 10, 15, 200]), min_size=1, max_size=5),
    pulled=st.lists(st.sampled_from([TODAY - 3, TODAY - 10, NEVER_PULLED]), min_size=5, max_size=5),
    by_digest=st.lists(st.tuples(_DAYS, st.integers(1, 7)), max_size=2),
    by_tag=st.lists(st.tuples(_DAYS, st.integers(1, 7)), max_size=2),
    apart=st.lists(st.sampled_from([TODAY - 3, TODAY - 10]), max_size=2),
)
@examples(60)
def test_random_pulls_agree_with_a_search_through_them_all(
    ages: list[int],
    pulled: list[int],
    by_digest: list[tuple[int, int]],
    by_tag: list[tuple[int, int]],
    apart: list[int],
) -> None:
    specs = [
        artifact(number, pulled[number - 1], number % 2, age) for number, age in enumerate(ages, start=1)
    ]
    frames = frames_of(*specs)
    told = history(
        [*(pull(day, n) for day, n in by_digest), *(pull(day, tag=f"tag-{n}") for day, n in by_tag)],
        [(day, LeftOut.COLLECTOR) for day in apart],
    )
    expected = []
    for number, spec in enumerate(specs, start=1):
        cleared = any(n == number for _, n in by_digest)
        for day, n in by_tag:
            holder = specs[n - 1] if n <= len(specs) and n % 2 else None
            if holder is not None and holder.pushed_at_ms < day * DAY_MS:
                cleared |= n == number
            else:
                cleared |= spec.pushed_at_ms < (day + 1) * DAY_MS
        there = spec.pushed_at_ms != NO_TIME and spec.pushed_at_ms < (TODAY - LEAST_DAYS) * DAY_MS
        if not cleared and there and spec.pulled_day in apart:
            expected.append(number)
    estate_ = estate(frames, told)
    assert sorted(found(estate_)) == expected
    assert (estate_.known.families.kind == IMAGE).all()
