"""What scans found in images that are in use: by hand, and against a recount."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Estate, Found, Unjudged
from analyzer.hygiene.vulnerabilities import CHECKS, critical_in_use, high_in_use, not_scanned_in_use
from analyzer.model.frames import Frames, IndexChildren
from analyzer.model.records import PUBLIC_REGION
from analyzer.model.registry_settings import NEVER_COMPLETED, NO_SCAN, SEVERITIES, Scans
from analyzer.pricing import bundled_prices
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
from tests.support.estates import estate_of
from tests.support.examples import examples
from tests.support.usage import usage_of, use

PRICES = bundled_prices()
TODAY = 20_000


def scans_of(findings: Sequence[tuple[int, int] | None]) -> Scans:
    """Critical and high findings of each artifact, None where no scan was completed."""
    counts = np.zeros((len(findings), len(SEVERITIES)), np.int32)
    for number, found in enumerate(findings):
        # What is shown of a scan that was not completed counts for nothing.
        counts[number, :2] = (7, 7) if found is None else found
    known = [found is not None for found in findings]
    return Scans(
        status=np.where(known, 0, NO_SCAN).astype(np.int32),
        statuses=("COMPLETE", "FAILED"),
        completed_day=np.where(known, TODAY - 4, NEVER_COMPLETED).astype(np.int32),
        findings=counts,
    )


def estate(frames: Frames, findings: Sequence[tuple[int, int] | None], running: Sequence[int]) -> Estate:
    users = [[use("web")] if position in running else [] for position in range(len(findings))]
    return estate_of(
        frames, now_ms=TODAY * DAY_MS, prices=PRICES, scans=scans_of(findings), usage=usage_of(users)
    )


def frames_of(count: int) -> Frames:
    artifacts = tuple(ArtifactSpec(n, tags=1, pushed_at_ms=n) for n in range(1, count + 1))
    return build_frames(
        [RepositorySpec(artifacts, name="a")], {n: image(20 + n) for n in range(1, count + 1)}, {}
    )


def test_critical_and_high_findings_are_told_of_images_in_use_the_worst_first() -> None:
    told = estate(frames_of(5), [(1, 9), (3, 0), (0, 4), (5, 5), None], [0, 1, 2, 4])
    critical, high, unscanned = (one.finding for one in run_checks(told, CHECKS).told)
    assert (critical.check, critical.severity, critical.images) == ("CRITICAL_IN_USE", "high", 2)
    assert critical.message == (
        "scans found 4 critical vulnerabilities in 2 images in use, up to 3 in one; the oldest of these"
        " scans is of 2024-09-30"
    )
    assert [e.digest[-1] for e in critical.evidence if e.kind == "image"] == ["2", "1"]
    assert [e.name.rpartition("/")[2] for e in critical.evidence if e.kind == "workload"] == ["web"]
    assert (high.check, high.images) == ("HIGH_IN_USE", 1)
    assert (unscanned.check, unscanned.images) == ("NOT_SCANNED_IN_USE", 1)
    assert unscanned.saving is None


def test_without_workloads_nobody_knows_what_is_in_use() -> None:
    told = estate_of(frames_of(1), now_ms=TODAY * DAY_MS, prices=PRICES, scans=scans_of([(1, 0)]))
    for find in (critical_in_use, high_in_use, not_scanned_in_use):
        (answer,) = find(told)
        assert isinstance(answer, Unjudged)


def test_indexes_attestations_and_public_images_are_not_expected_to_be_scanned() -> None:
    artifacts = tuple(ArtifactSpec(n, tags=1) for n in (1, 2, 3))
    frames = build_frames(
        [RepositorySpec(artifacts, name="a")], {1: index(2, 3), 2: image(20), 3: image(21)}, {}
    )
    users = [[use("web")]] * 3
    nobody = IndexChildren(np.array([3], np.uint32), np.array([0], np.int32), ("unknown/unknown",))
    told = estate_of(frames, now_ms=0, prices=PRICES, usage=usage_of(users), index_children=nobody)
    (answer,) = not_scanned_in_use(told)
    assert isinstance(answer, Found)
    assert answer.artifacts.tolist() == [1]
    frames.registries["region"] = [PUBLIC_REGION]
    assert list(not_scanned_in_use(estate_of(frames, now_ms=0, prices=PRICES, usage=usage_of(users)))) == []


@given(case=cases(), data=st.data())
@examples(30)
def test_random_scans_agree_with_a_recount(case: Case, data: st.DataObject) -> None:
    frames = case.frames
    count = len(frames.artifacts.digest_id)
    one = st.one_of(st.none(), st.tuples(st.integers(0, 2), st.integers(0, 2)))
    findings = data.draw(st.lists(one, min_size=count, max_size=count))
    running = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    told = estate(frames, findings, [n for n in range(count) if running[n]])
    images = [n for n in range(count) if running[n] and told.known.families.kind[n] == 0]
    for find, expected in (
        (critical_in_use, [n for n in images if (findings[n] or (0, 0))[0]]),
        (high_in_use, [n for n in images if not (findings[n] or (0, 0))[0] and (findings[n] or (0, 0))[1]]),
        (not_scanned_in_use, [n for n in images if findings[n] is None]),
    ):
        answers = [answer for answer in find(told) if isinstance(answer, Found)]
        assert sorted(n for answer in answers for n in answer.artifacts.tolist()) == expected
        assert all((told.repository[answer.artifacts] == answer.row).all() for answer in answers)
