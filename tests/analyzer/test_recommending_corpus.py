"""Recommended policies on the real tag history: safe, and better than any fixed number for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from analyzer.families import Families, find_families
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.frontier import least_numbers, sweep
from analyzer.lifecycle.parsing import parse_policy
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.recommend import InForce
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64, LifecycleFacts
from analyzer.model.history import History
from analyzer.model.recommendation import RecommendOptions, Status
from analyzer.model.verdicts import Outcome
from analyzer.pricing import bundled_prices
from analyzer.recommending import Recommended, RecommendQuestion, back_tested, recommend
from tests.support.corpus_history import load_corpus_history

_DAY_MS = 86_400_000
#: One image of so many was pulled of late, of those pushed in the last days, as far as the test says.
_PULLED_EVERY = 97
_PULLED_DAYS = 200


@pytest.fixture(scope="module")
def history() -> History:
    return load_corpus_history()


@pytest.fixture(scope="module")
def frames(history: History) -> Frames:
    frames = history.frames
    repositories = frames.repositories.assign(
        lifecycle_policy_known=np.ones(len(frames.repositories), np.bool_),
        pull_through_cache_known=np.ones(len(frames.repositories), np.bool_),
        complete_at_ms=0,
    )
    repositories["lifecycle_policy_text"] = [None] * len(repositories)
    registries = frames.registries.assign(
        blob_mounting="DISABLED", blob_mounting_ever=False, taken_at_ms=history.night_ms[-1], snapshot=1
    )
    return replace(frames, registries=registries, repositories=repositories)


@pytest.fixture(scope="module")
def families(frames: Frames) -> Families:
    return find_families(frames)


def _facts(history: History, frames: Frames, *, night: int = -1) -> LifecycleFacts:
    """What the night saw; every so many images were pulled that day."""
    night = night % len(history.night_ms)
    count = len(frames.artifacts.repository)
    there = (history.tags.first <= night) & (history.tags.gone > night)
    order = np.argsort(history.tags.of[there], kind="stable")
    of, names = history.tags.of[there][order], history.tags.value[there][order]
    pulled = np.where(_is_pulled(history, frames), history.night_ms[night] - _DAY_MS, NO_TIME)
    return LifecycleFacts(
        pulled_at_ms=pulled,
        archived_at_ms=np.full(count, NO_TIME),
        activated_at_ms=np.full(count, NO_TIME),
        tie=history.presence.tie,
        tag_offsets=np.searchsorted(of, np.arange(count + 1)),
        tags=names.astype(np.int32),
        tag_names=list(history.tag_names),
    )


def _is_pulled(history: History, frames: Frames) -> Bools:
    young = frames.artifacts.pushed_at_ms >= history.night_ms[-1] - _PULLED_DAYS * _DAY_MS
    every = np.arange(len(young)) % _PULLED_EVERY == 0
    chosen: Bools = young & every
    return chosen


def _recommended(
    history: History, frames: Frames, families: Families, options: RecommendOptions
) -> Recommended:
    rows = len(frames.repositories)
    question = RecommendQuestion(
        rows=np.arange(rows), at_ms=int(history.night_ms[-1]), options=options, fleet=True
    )
    return recommend(
        question,
        frames,
        _facts(history, frames),
        families,
        bundled_prices(),
        InForce(policies=(), policy_of=np.full(rows, -1), problems={}),
        digests=history.digests,
        digest_ids=history.digest_ids,
    )


@pytest.fixture(scope="module")
def advised(history: History, frames: Frames, families: Families) -> Recommended:
    return _recommended(history, frames, families, RecommendOptions())


def _evaluator(history: History, frames: Frames, families: Families) -> Evaluator:
    return Evaluator(frames, _facts(history, frames), families, now_ms=int(history.night_ms[-1]))


def test_no_needed_image_is_taken_and_every_policy_reads_back(
    history: History, frames: Frames, families: Families, advised: Recommended
) -> None:
    statuses = {row.status for row in advised.report.repositories}
    assert statuses <= {Status.SET, Status.NOTHING}
    texts = [row.policy_text for row in advised.report.repositories if row.policy_text is not None]
    assert len(texts) == len(advised.policies) > 60
    for text in texts:
        assert parse_policy(text) in advised.policies
    taken = _taken(history, frames, families, advised.policies, advised.policy_of)
    assert taken.any()
    assert not (taken & advised.needs.needed).any()
    # The pulled ones, their children and what refers to them among these, told by nothing of ours.
    pulled = _is_pulled(history, frames)
    assert not (taken & pulled).any()
    held = families.child[pulled[families.parent]]
    assert not taken[held].any()


def _taken(
    history: History, frames: Frames, families: Families, policies: Sequence[Policy], of: Int64
) -> Bools:
    taken: Bools = _evaluator(history, frames, families).judge(policies, of).outcome != Outcome.KEPT
    return taken


def test_it_frees_at_least_what_the_best_fixed_number_frees_that_is_as_safe(
    history: History, frames: Frames, families: Families
) -> None:
    """Without a margin, for what is pushed tomorrow no fixed number has room either."""
    options = RecommendOptions(margin_days=0)
    advised = _recommended(history, frames, families, options)
    facts = _facts(history, frames)
    swept = sweep(frames, facts, families, now_ms=int(history.night_ms[-1]), by="images")
    least = least_numbers(frames, facts, families, now_ms=int(history.night_ms[-1]), by="images")
    rows = len(frames.repositories)
    needed = advised.needs.needed
    safe = np.full(rows, options.keep_releases, np.int64)
    np.maximum.at(safe, frames.artifacts.repository[needed], least[needed])
    today = swept.repositories.stored.standard_repository[swept.repositories.today()]
    freed = {
        row.position: row.effect.freed_bytes.repository
        for row in advised.report.repositories
        if row.effect is not None
    }
    better = 0
    for row in range(rows):
        at = swept.repositories.at(int(safe[row]))[row]
        by_number = int(today[row] - swept.repositories.stored.standard_repository[at])
        assert freed[row] >= by_number, frames.repositories["repository"].iloc[row]
        better += freed[row] > by_number
    assert better > 20
    # And one number for all, which is the greatest that any repository needs.
    everywhere = swept.repositories.at(int(safe.max()))
    for_all = int((today - swept.repositories.stored.standard_repository[everywhere]).sum())
    assert advised.report.fleet is not None
    assert advised.report.fleet.effect is not None
    assert advised.report.fleet.effect.freed_bytes.repository >= for_all
    assert sum(freed.values()) > advised.report.fleet.effect.freed_bytes.repository


def test_the_default_is_safe_in_every_repository(
    history: History, frames: Frames, families: Families, advised: Recommended
) -> None:
    fleet = advised.report.fleet
    assert fleet is not None
    assert fleet.policy_text is not None
    policy = parse_policy(fleet.policy_text)
    of = np.zeros(len(frames.repositories), np.int64)
    taken = _taken(history, frames, families, (policy,), of)
    assert taken.any()
    assert not (taken & advised.needs.needed).any()


def test_the_past_says_how_many_were_needed_afterwards(
    history: History, frames: Frames, advised: Recommended
) -> None:
    report = back_tested(advised, frames, Past(history), bundled_prices())
    assert report.back_test is not None
    totals = report.back_test.totals
    assert totals.removed > 500
    assert totals.removed == sum(
        row.back_test.counts.removed for row in report.repositories if row.back_test is not None
    )
    # What was tagged again after it would have gone: few of many.
    assert totals.needed <= totals.removed // 50
