"""Replicas that nobody pulls: by hand, and against a recount that looks at every artifact by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import REFERRER
from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Estate, Found, Unjudged
from analyzer.hygiene.replicas import CHECKS, REPLICA_DAYS, replicas_never_pulled
from analyzer.model.frames import NEVER_PULLED, NO_TIME, Frames
from analyzer.model.pull_costs import TransferAdvice
from analyzer.model.pull_report import RecordedPulls
from analyzer.model.pulls import Confidence, PullHistory, PullKind, Pulls, RegionMethod
from analyzer.model.registry_settings import Copy
from analyzer.pricing import bundled_prices
from analyzer.pull_pricing import price_pulls
from tests.strategies.frames import (
    DAY_MS,
    ArtifactSpec,
    Case,
    RepositorySpec,
    build_frames,
    cases,
    image,
    index,
)
from tests.support.estates import estate_of, usage_of
from tests.support.examples import examples

NOW_MS = 20_000 * DAY_MS
OLD = NOW_MS - 40 * DAY_MS
PRICES = bundled_prices()
MANIFESTS = {1: index(2, 3), 2: image(20), 3: image(21), 4: image(22)}
SIZES = {20: 100, 21: 10, 22: 1}


def frames_of(*artifacts: ArtifactSpec) -> Frames:
    return build_frames([RepositorySpec(artifacts, name="a")], MANIFESTS, SIZES)


def old(digest_id: int, pulled_day: int = NEVER_PULLED) -> ArtifactSpec:
    return ArtifactSpec(digest_id, tags=1, pushed_at_ms=OLD, pulled_day=pulled_day)


def estate(frames: Frames, copies: Sequence[Copy] | None = None, **given_: Any) -> Estate:
    told = estate_of(frames, now_ms=NOW_MS, prices=PRICES, **given_)
    codes = [Copy.YES] * len(told.repository) if copies is None else copies
    return Estate(
        replace(told.known, replication=replace(told.known.replication, is_replica=np.array(codes, np.uint8)))
    )


def positions(told: Estate) -> list[int]:
    return sorted(
        position
        for answer in replicas_never_pulled(told)
        if isinstance(answer, Found)
        for position in answer.artifacts.tolist()
    )


def test_replicas_without_a_pull_are_priced_by_what_leaves_with_them() -> None:
    (answer,) = run_checks(estate(frames_of(old(1), old(2), old(3), old(4))), CHECKS).told
    finding = answer.finding
    assert finding.images == 4
    assert "all 4 of its images are replicas" in finding.message
    assert finding.freed_bytes is not None
    assert finding.freed_bytes.repository == 111
    assert finding.saving is not None
    assert finding.saving.high.amount


def test_a_pull_of_one_image_is_one_of_its_whole_index() -> None:
    frames = frames_of(old(1), old(2, pulled_day=19_990), old(3), old(4))
    assert positions(estate(frames)) == [3]


def test_new_replicas_those_in_use_and_what_is_none_are_no_finding() -> None:
    new = ArtifactSpec(4, pushed_at_ms=NOW_MS - REPLICA_DAYS * DAY_MS)
    unknown = ArtifactSpec(2, pushed_at_ms=NO_TIME)
    assert positions(estate(frames_of(unknown, new))) == []
    assert positions(estate(frames_of(old(4)), usage=usage_of(1, [0]))) == []
    assert positions(estate(frames_of(old(4)), [Copy.NO])) == []


def test_where_it_is_not_known_what_is_a_replica_nothing_is_judged() -> None:
    (answer,) = replicas_never_pulled(estate(frames_of(old(4)), [Copy.UNKNOWN]))
    assert isinstance(answer, Unjudged)


def test_recorded_pulls_contradict_what_ecr_shows() -> None:
    pull = Pulls(
        19_995,
        "111111111111",
        "eu-west-1",
        "a",
        PullKind.IMAGE,
        "",
        "v1",
        "",
        "",
        "",
        RegionMethod.UNKNOWN,
        Confidence.NONE,
        1,
    )
    told = PullHistory(19_990, 19_999, (pull,))
    costs = price_pulls(told, {}, PRICES, None)
    recorded = RecordedPulls(costs=costs, advice=TransferAdvice(advice=(), options=()), history=told)
    (answer,) = replicas_never_pulled(estate(frames_of(old(4)), recorded=recorded))
    assert isinstance(answer, Unjudged)


@given(case=cases(), data=st.data())
@examples(40)
def test_random_replicas_agree_with_a_recount(case: Case, data: st.DataObject) -> None:
    frames = case.frames
    count = len(frames.artifacts.digest_id)
    copies = data.draw(
        st.lists(st.sampled_from([Copy.YES, Copy.YES, Copy.NO]), min_size=count, max_size=count)
    )
    told = estate(replace(frames), copies)
    told = Estate(replace(told.known, at_ms=case.now_ms))
    families = told.known.families
    # Whatever hangs together with a pulled artifact: up through indexes, then down to all they have.
    pulled = {p for p in range(count) if frames.artifacts.pulled_day[p] != NEVER_PULLED}
    pairs = list(zip(families.parent.tolist(), families.child.tolist(), strict=True))
    subjects = [(s, p) for p, s in enumerate(families.subject.tolist()) if s >= 0]
    while more := {parent for parent, child in pairs if child in pulled} - pulled:
        pulled |= more
    while more := {down for up, down in [*pairs, *subjects] if up in pulled} - pulled:
        pulled |= more
    expected = [
        p
        for p in range(count)
        if copies[p] == Copy.YES
        and p not in pulled
        and families.kind[p] in (0, 1)
        and NO_TIME != frames.artifacts.pushed_at_ms[p] < case.now_ms - REPLICA_DAYS * DAY_MS
    ]
    assert positions(told) == expected
    assert not any(families.kind[p] == REFERRER for p in expected)
