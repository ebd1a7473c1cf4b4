"""Warnings about verdicts: which artifacts they name, and when there are none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from analyzer.lifecycle.caveats import CODES, LifecycleWarning, find_warnings
from analyzer.lifecycle.evaluation import Evaluator, Options
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, TagStatus
from analyzer.model.frames import Listed
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Reason
from tests.oracle.lifecycle import DAY_MS, Image
from tests.strategies.lifecycle import LifecycleCase, Presentation, Shown, arrays_of, lifecycle_cases

NOW_MS = 20_000 * DAY_MS
COUNT = CountType.IMAGE_COUNT_MORE_THAN
PUSHED = CountType.SINCE_IMAGE_PUSHED


def image(digest: str, days: float | None, *tags: str, **others: Any) -> Image:
    pushed_at_ms = None if days is None else NOW_MS - round(days * DAY_MS)
    return Image(digest, frozenset(tags), pushed_at_ms, **others)


def rule(count_type: CountType, number: int, priority: int = 1, **others: Any) -> Rule:
    given = {"tag_status": TagStatus.ANY, "action": Action.EXPIRE} | others
    return Rule(priority=priority, count_type=count_type, count_number=number, **given)


def tagged(*patterns: str) -> dict[str, Any]:
    return {"tag_status": TagStatus.TAGGED, "tag_patterns": patterns}


def warned(
    repositories: list[list[Image]],
    *rules: Rule,
    presentation: Presentation | None = None,
    options: Options | None = None,
) -> dict[tuple[int, str], str]:
    """Digests that each warning names, by repository and code, as one text."""
    world = arrays_of(repositories, presentation)
    evaluator = Evaluator(
        world.frames, world.facts, world.families, now_ms=NOW_MS, options=options or Options()
    )
    policies, policy_of = [Policy(rules)], np.zeros(len(repositories), np.int64)
    found = find_warnings(evaluator, policies, policy_of, evaluator.judge(policies, policy_of))
    assert [(w.repository, w.code) for w in found] == sorted((w.repository, w.code) for w in found)
    assert all(_says_how_many(warning) for warning in found)
    return {
        (w.repository, w.code): "".join(sorted(world.images[at].digest for at in w.positions.tolist()))
        for w in found
    }


def _says_how_many(warning: LifecycleWarning) -> bool:
    count = len(warning.positions)
    return (f"{count} artifacts" if count > 1 else "1 artifact ") in warning.text


def test_nothing_doubtful() -> None:
    images = [image("a", 9, "v1"), image("b", 5), image("i", 2, "v2", children=("b",))]
    assert warned([images, []], rule(PUSHED, 7)) == {}


def test_children_that_hold_slots_of_a_rule_that_claims() -> None:
    images = [
        image("a", 1),
        image("b", 4),
        image("i", 2, "v1", children=("a", "b")),
        image("c", 3, "v2"),
    ]
    # Without the child a there would be room for c; the child b is claimed itself and is blocked.
    assert warned([images], rule(COUNT, 2)) == {(0, "CHILDREN_TAKE_SLOTS"): "ab"}
    assert warned([images], rule(COUNT, 2), options=Options(children_take_slots=False)) == {}
    assert warned([images], rule(COUNT, 4)) == {}


def test_children_that_leave_with_their_index() -> None:
    images = [image("a", 9), image("i", 9, children=("a",))]
    assert warned([[], images], rule(PUSHED, 1)) == {(1, "DEFERRED"): "a"}


def test_ages_near_the_limit_on_either_side() -> None:
    images = [image("a", 7.5), image("b", 6.5), image("c", 9), image("d", 5)]
    assert warned([images], rule(PUSHED, 7)) == {(0, "NEAR_LIMIT"): "ab"}


def test_restores_under_way_and_referrers() -> None:
    images = [
        image("a", 9, status=ImageStatus.ACTIVATING),
        image("b", 9),
        image("s", 9, subject="b"),
    ]
    assert warned([images, [image("c", 9)]], rule(PUSHED, 1)) == {
        (0, "ACTIVATING"): "a",
        (0, "FOLLOWS_SUBJECT"): "s",
    }


def test_unknown_times() -> None:
    assert warned([[image("a", None), image("b", 9)]], rule(COUNT, 1)) == {(0, "UNKNOWN_TIME"): "a"}
    assert warned([[image("a", None), image("b", 9)]], rule(PUSHED, 7)) == {(0, "UNKNOWN_TIME"): "a"}


@pytest.mark.parametrize(("limit", "named"), [(1, ""), (2, "bcd"), (3, "bcd"), (4, ""), (5, "")])
def test_equal_times_on_both_sides_of_a_limit(limit: int, named: str) -> None:
    images = [image("a", 1), image("b", 2), image("c", 2), image("d", 2), image("e", 3)]
    expected = {(0, "EQUAL_TIMES"): named} if named else {}
    assert warned([images], rule(COUNT, limit)) == expected


def test_equal_times_matter_where_one_of_them_belongs_to_an_earlier_rule() -> None:
    images = [image("a", 2, "keep"), image("b", 2), image("c", 3)]
    keep = rule(COUNT, 1000, 1, **tagged("keep"))
    assert warned([images], keep, rule(COUNT, 1, 2)) == {(0, "EQUAL_TIMES"): "b"}


def test_unknown_times_are_not_equal_ones() -> None:
    images = [image("a", None), image("b", None), image("c", 3)]
    assert warned([images], rule(COUNT, 1)) == {(0, "UNKNOWN_TIME"): "ab"}


def test_restores_that_decide() -> None:
    def restored(digest: str, pushed: float | None, days: float) -> Image:
        return replace(image(digest, pushed), activated_at_ms=NOW_MS - round(days * DAY_MS))

    images = [
        restored("a", 900, 10),
        restored("b", 900, 100),
        restored("c", 20, 10),
        restored("d", None, 10),
        image("e", 900),
    ]
    assert warned([images], rule(PUSHED, 30)) == {(0, "RESTORED"): "a"}
    pulls = rule(CountType.SINCE_IMAGE_PULLED, 30, action=Action.TRANSITION)
    assert warned([images], pulls) == {}


@pytest.mark.parametrize("shown", [Shown.UNREAD, Shown.UNKNOWN])
def test_images_of_unknown_size_that_stay_where_others_leave(shown: Shown) -> None:
    images = [image("a", 9), image("b", 9, "v1"), image("x", 1, "v2"), image("y", 9, "v3")]
    unread = Presentation(shown={"x": shown, "y": shown, "d": shown}, listed=Listed.IMAGE)
    # What leaves holds nothing back, and where nothing known leaves there is nothing to hold.
    assert warned([images, [image("d", 1)]], rule(PUSHED, 5), presentation=unread) == {
        (0, "UNREAD_HOLDER"): "x"
    }


@pytest.mark.parametrize("shown", [Shown.UNREAD, Shown.UNKNOWN])
def test_untagged_images_beside_an_index_that_nobody_read(shown: Shown) -> None:
    images = [image("a", 9), image("b", 9, "v1"), image("x", 1, "v2"), image("c", 1)]
    unread = Presentation(shown={"x": shown}, listed=Listed.INDEX)
    assert warned([images, [image("d", 9)]], rule(PUSHED, 5), presentation=unread) == {
        (0, "UNREAD_INDEX"): "a",
        (0, "UNREAD_INDEX_TAGGED"): "b",
    }


def test_children_that_an_earlier_rule_shields_hold_slots_of_the_later_one() -> None:
    images = [
        image("i", 1, "latest", children=("a", "b")),
        image("a", 1.1),
        image("b", 1.2),
        image("c", 3, "v1"),
        image("d", 4, "v2"),
    ]
    untagged = rule(PUSHED, 14, tag_status=TagStatus.UNTAGGED)
    assert warned([images], untagged, rule(COUNT, 3, 2)) == {(0, "CHILDREN_TAKE_SLOTS"): "ab"}


def test_a_pull_after_the_moment_is_named_where_it_decides() -> None:
    pulled = image("a", 100, "v1", last_pull_ms=NOW_MS + 3 * DAY_MS)
    archive = rule(CountType.SINCE_IMAGE_PULLED, 30, action=Action.TRANSITION)
    assert warned([[pulled]], archive) == {(0, "USED_LATER"): "a"}


def test_an_unread_index_holds_nothing_that_it_leaves_with() -> None:
    images = [image("a", 9), image("x", 9)]
    unread = Presentation(shown={"x": Shown.UNREAD}, listed=Listed.INDEX)
    assert warned([images], rule(PUSHED, 5), presentation=unread) == {}
    archived = [image("a", 9), image("x", 9, status=ImageStatus.ARCHIVED)]
    archive = rule(PUSHED, 5, action=Action.TRANSITION)
    assert warned([archived], archive, presentation=unread) == {}
    assert warned([archived], rule(PUSHED, 5), presentation=unread) == {(0, "UNREAD_INDEX"): "a"}


@given(lifecycle_cases())
def test_warnings_name_artifacts_of_their_repository_once(case: LifecycleCase) -> None:
    world = case.world
    evaluator = Evaluator(world.frames, world.facts, world.families, now_ms=case.now_ms)
    verdicts = evaluator.judge(case.policies, case.policy_array)
    warnings = find_warnings(evaluator, case.policies, case.policy_array, verdicts)
    assert len({(warning.repository, warning.code) for warning in warnings}) == len(warnings)
    for warning in warnings:
        assert warning.code in CODES
        assert case.policy_of[warning.repository] >= 0
        assert (np.diff(warning.positions) > 0).all()
        assert set(world.frames.artifacts.repository[warning.positions].tolist()) == {warning.repository}


@given(lifecycle_cases())
def test_whatever_another_order_of_digests_would_change_is_named(case: LifecycleCase) -> None:
    world = case.world
    evaluator, other = (
        Evaluator(world.frames, facts, world.families, now_ms=case.now_ms)
        for facts in (world.facts, replace(world.facts, tie=-world.facts.tie))
    )
    verdicts, others = (e.judge(case.policies, case.policy_array) for e in (evaluator, other))
    claims, other_claims = (
        np.isin(v.reason, (Reason.CLAIMED, Reason.BLOCKED_BY_INDEX)) & (v.rule > 0)
        for v in (verdicts, others)
    )
    warnings = find_warnings(evaluator, case.policies, case.policy_array, verdicts)
    named = [at for w in warnings if w.code == "EQUAL_TIMES" for at in w.positions.tolist()]
    assert set(np.flatnonzero(claims != other_claims).tolist()) <= set(named)


def test_what_was_pushed_after_the_moment_is_named() -> None:
    assert warned([[image("a", -1), image("b", 1, "v1")]], rule(COUNT, 5)) == {(0, "PUSHED_LATER"): "a"}
