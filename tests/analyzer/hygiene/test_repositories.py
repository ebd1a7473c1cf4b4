"""Checks of repositories: what they find, against a recount that looks at every artifact by itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import REFERRER
from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Check, Estate, Found
from analyzer.hygiene.repositories import CHECKS
from analyzer.model.frames import NO_TIME, Frames
from tests.oracle.findings import lost_idle_pulled
from tests.strategies.frames import Case, RepositorySpec, build_frames, cases
from tests.support.estates import estate_of, usage_of

NOW_MS = 20_000 * 86_400_000


def check(name: str) -> Check:
    (found,) = (one for one in CHECKS if one.text.id == name)
    return found


def positions(estate: Estate, name: str) -> dict[int, list[int]]:
    """By row what the check finds, in order of position."""
    return {
        answer.row: sorted(answer.artifacts.tolist())
        for answer in check(name).find(estate)
        if isinstance(answer, Found) and answer.row is not None
    }


def by_row(frames: Frames, chosen: set[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for position in sorted(chosen):
        found.setdefault(int(frames.artifacts.repository[position]), []).append(position)
    return found


@given(cases(), st.data())
def test_old_and_orphaned_images_agree_with_a_recount(case: Case, data: st.DataObject) -> None:
    frames = case.frames
    count = len(frames.artifacts.digest_id)
    running = data.draw(st.sets(st.integers(0, count - 1)) if count else st.just(set()))
    estate = estate_of(
        frames,
        now_ms=case.now_ms,
        stale_days=case.stale_days,
        usage=usage_of(count, sorted(running)),
    )
    families = estate.known.families
    lost, idle, pulled = lost_idle_pulled(
        frames, families, running, now_ms=case.now_ms, stale_days=case.stale_days
    )
    counted = set(np.flatnonzero(families.kind != REFERRER).tolist())
    assert positions(estate, "ORPHANED_IMAGES") == by_row(frames, lost & counted)
    assert positions(estate, "NEVER_PULLED") == by_row(frames, (idle - pulled) & counted)
    assert positions(estate, "STALE_IMAGES") == by_row(frames, idle & pulled & counted)


def test_an_empty_repository_is_found_and_an_unlisted_one_left_open() -> None:
    frames = build_frames([RepositorySpec(name="a"), RepositorySpec(name="b")], {}, {})
    frames.repositories["complete_at_ms"] = [0, NO_TIME]
    answers = run_checks(estate_of(frames, now_ms=NOW_MS), [check("EMPTY_REPOSITORY")])
    (told,) = answers.told
    assert (told.finding.repository, told.finding.images, told.finding.saving) == ("a", 0, None)
    assert "--repository-name a" in told.finding.validate
    (left,) = answers.not_judged
    assert (left.check, left.repositories, left.reason) == (
        "EMPTY_REPOSITORY",
        1,
        "its images were never listed whole",
    )
