"""Verdicts over several repositories at once; what a slow evaluator finds is compared elsewhere."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle import census
from analyzer.lifecycle.census import order_by_age
from analyzer.lifecycle.evaluation import Evaluator, Options
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass, TagStatus
from analyzer.model.frames import NO_TIME, Int64
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome, Reason, Verdicts
from tests.oracle.lifecycle import DAY_MS, Image
from tests.strategies.lifecycle import LifecycleCase, World, arrays_of, lifecycle_cases

NOW_MS = 20_000 * DAY_MS
COUNT = CountType.IMAGE_COUNT_MORE_THAN
PUSHED = CountType.SINCE_IMAGE_PUSHED
PULLED = CountType.SINCE_IMAGE_PULLED


def image(digest: str, days: float | None, *tags: str, **others: Any) -> Image:
    """An image pushed so many days ago, None for nobody knows when."""
    pushed_at_ms = None if days is None else NOW_MS - round(days * DAY_MS)
    return Image(digest, frozenset(tags), pushed_at_ms, **others)


def rule(count_type: CountType, number: int, priority: int = 1, **others: Any) -> Rule:
    chosen: dict[str, Any] = {"tag_status": TagStatus.ANY, "action": Action.EXPIRE} | others
    return Rule(priority=priority, count_type=count_type, count_number=number, **chosen)


def tagged(*patterns: str) -> dict[str, Any]:
    return {"tag_status": TagStatus.TAGGED, "tag_patterns": patterns}


class Judged:
    """One repository under one policy; artifacts by their digest."""

    def __init__(self, images: list[Image], *rules: Rule, **options: bool) -> None:
        self.world = arrays_of([images])
        self.evaluator = evaluator_of(self.world, **options)
        self.policy = Policy(rules)
        self.verdicts = self.evaluator.judge([self.policy], np.zeros(1, np.int64))
        self.digests = [image.digest for image in self.world.images]

    def said(self, digest: str) -> tuple[Outcome, Reason, str]:
        """Outcome, reason and the digest that the reason speaks of."""
        at = self.digests.index(digest)
        by = int(self.verdicts.by[at])
        return (
            Outcome(int(self.verdicts.outcome[at])),
            Reason(int(self.verdicts.reason[at])),
            self.digests[by] if by >= 0 else "",
        )

    def column(self, name: str) -> dict[str, Any]:
        return dict(zip(self.digests, getattr(self.verdicts, name).tolist(), strict=True))

    def leaving(self) -> set[str]:
        return {digest for digest, outcome in self.column("outcome").items() if outcome != Outcome.KEPT}


def evaluator_of(world: World, now_ms: int = NOW_MS, **options: bool) -> Evaluator:
    return Evaluator(world.frames, world.facts, world.families, now_ms=now_ms, options=Options(**options))


def same(left: Verdicts, right: Verdicts) -> bool:
    return all(np.array_equal(getattr(left, f.name), getattr(right, f.name)) for f in fields(Verdicts))


# Time, rank and rule


@pytest.mark.parametrize(
    ("age_ms", "claims", "near"),
    [
        (9 * DAY_MS - 1, False, False),
        (9 * DAY_MS, False, True),
        (10 * DAY_MS, False, True),
        (10 * DAY_MS + 1, True, True),
        (11 * DAY_MS, True, True),
        (11 * DAY_MS + 1, True, False),
        (-5 * DAY_MS, False, False),
    ],
)
def test_strictly_older_than_the_limit_and_near_it_within_a_day(
    age_ms: int, claims: bool, near: bool
) -> None:
    judged = Judged([replace(image("a", 0), pushed_at_ms=NOW_MS - age_ms)], rule(PUSHED, 10))
    assert (judged.leaving() == {"a"}) == claims
    assert judged.column("near_limit") == {"a": near}
    assert judged.column("age_ms") == {"a": age_ms}
    assert judged.column("rank") == {"a": 0}


def test_ranks_count_what_earlier_rules_claim_and_shield() -> None:
    judged = Judged(
        [image("a", 1, "tmp"), image("b", 2), image("c", 3, "keep"), image("d", 4)],
        rule(COUNT, 1000, 1, **tagged("keep")),
        rule(PUSHED, 0, 2, **tagged("tmp")),
        rule(COUNT, 3, 3),
    )
    assert judged.column("rank") == {"a": 0, "b": 2, "c": 1, "d": 4}
    assert judged.column("rule") == {"a": 2, "b": 3, "c": 1, "d": 3}
    assert judged.leaving() == {"a", "d"}
    assert judged.said("c")[1] == Reason.WITHIN_LIMIT


def test_of_equal_times_the_smaller_digest_is_older() -> None:
    judged = Judged([image(digest, 5) for digest in "cadb"], rule(COUNT, 2))
    assert judged.column("rank") == {"a": 4, "b": 3, "c": 2, "d": 1}


def test_an_unknown_push_holds_the_first_slot_and_is_claimed_by_nothing() -> None:
    judged = Judged([image("a", None), image("b", 1), image("c", None), image("d", 2)], rule(COUNT, 1))
    assert judged.column("rank") == {"a": 2, "b": 3, "c": 1, "d": 4}
    assert judged.leaving() == {"b", "d"}
    assert {judged.said(digest)[1] for digest in "ac"} == {Reason.UNKNOWN_TIME}


def test_an_unknown_push_is_no_age() -> None:
    judged = Judged([image("a", None)], rule(PUSHED, 1))
    assert judged.said("a") == (Outcome.KEPT, Reason.UNKNOWN_TIME, "")
    assert judged.column("age_ms") == {"a": NO_TIME}
    assert judged.column("near_limit") == {"a": False}


def test_a_known_pull_makes_up_for_an_unknown_push() -> None:
    pulled = image("a", None, last_pull_ms=NOW_MS - 40 * DAY_MS)
    judged = Judged([pulled], rule(PULLED, 30, action=Action.TRANSITION))
    assert judged.said("a") == (Outcome.TRANSITIONED, Reason.CLAIMED, "")


def test_what_no_rule_of_its_class_selects_has_no_rule() -> None:
    archived = image("a", 900, status=ImageStatus.ARCHIVED, archived_at_ms=NOW_MS - 800 * DAY_MS)
    judged = Judged([archived, image("b", 1, "v1")], rule(COUNT, 1, tag_status=TagStatus.UNTAGGED))
    assert judged.said("a") == judged.said("b") == (Outcome.KEPT, Reason.NO_RULE, "")
    assert judged.column("rule") == {"a": 0, "b": 0}


def test_archived_images_take_no_slots_of_standard_rules() -> None:
    archived = image("a", 1, status=ImageStatus.ARCHIVED, archived_at_ms=NOW_MS)
    judged = Judged([archived, image("b", 2), image("c", 3)], rule(COUNT, 1))
    assert judged.leaving() == {"c"}


def test_a_status_that_nobody_knows_counts_as_active() -> None:
    judged = Judged([image("a", 9, status=ImageStatus.OTHER)], rule(PUSHED, 1))
    assert judged.leaving() == {"a"}


def test_images_under_restore_are_left_alone_and_take_no_slot() -> None:
    judged = Judged([image("a", 1, status=ImageStatus.ACTIVATING), image("b", 2)], rule(COUNT, 1))
    assert judged.said("a") == (Outcome.KEPT, Reason.ACTIVATING, "")
    assert judged.column("rank") == {"a": 0, "b": 1}


def test_tags_are_met_together_by_any_of_them() -> None:
    judged = Judged(
        [image("a", 9, "x1", "y1"), image("b", 9, "x1"), image("c", 9, "xy"), image("d", 9, "z", "y", "x")],
        rule(PUSHED, 1, **tagged("x*", "*y*")),
    )
    assert judged.leaving() == {"a", "c", "d"}


# Indexes and referrers


def test_one_index_that_stays_is_enough_to_hold_a_child() -> None:
    judged = Judged(
        [
            image("child", 50),
            image("old", 50, "v1", children=("child",)),
            image("new", 1, "v2", children=("child",)),
        ],
        rule(PUSHED, 30),
    )
    assert judged.leaving() == {"old"}
    assert judged.said("child") == (Outcome.KEPT, Reason.BLOCKED_BY_INDEX, "new")
    assert judged.column("rule")["child"] == 1
    assert judged.column("age_ms")["child"] == 50 * DAY_MS


def test_holding_back_goes_down_through_nested_indexes() -> None:
    judged = Judged(
        [
            image("a", 50),
            image("b", 50, children=("a",)),
            image("c", 50, children=("b",)),
            image("d", 1, children=("c",)),
        ],
        rule(PUSHED, 30),
    )
    assert judged.leaving() == set()
    assert [judged.said(digest)[2] for digest in "abc"] == ["b", "c", "d"]


def test_children_that_leave_with_their_index_are_deferred() -> None:
    judged = Judged([image("a", 50), image("b", 50, children=("a",))], rule(PUSHED, 30))
    assert judged.leaving() == {"a", "b"}
    assert judged.column("deferred") == {"a": True, "b": False}


def test_indexes_that_name_themselves_or_each_other_hold_nothing_by_it() -> None:
    judged = Judged(
        [image("a", 50, children=("a",)), image("b", 50, children=("c",)), image("c", 50, children=("b",))],
        rule(PUSHED, 30),
    )
    assert judged.leaving() == {"a", "b", "c"}
    assert judged.column("deferred") == {"a": False, "b": True, "c": True}


@pytest.mark.parametrize(
    ("status", "action", "leaves"),
    [
        (ImageStatus.ARCHIVED, Action.EXPIRE, False),
        (ImageStatus.ARCHIVED, Action.TRANSITION, True),
        (ImageStatus.ACTIVATING, Action.EXPIRE, False),
        (ImageStatus.ACTIVATING, Action.TRANSITION, False),
    ],
)
def test_an_archived_index_frees_its_children_for_the_archive_only(
    status: ImageStatus, action: Action, leaves: bool
) -> None:
    index = image("i", 60, status=status, archived_at_ms=NOW_MS - DAY_MS, children=("a",))
    judged = Judged([image("a", 50), index], rule(PUSHED, 30, action=action))
    assert (judged.leaving() == {"a"}) == leaves
    assert not judged.verdicts.deferred.any()


def test_expiry_waits_for_an_index_that_is_only_archived() -> None:
    judged = Judged(
        [image("a", 50), image("i", 50, "v1", children=("a",))],
        rule(PUSHED, 30, 1, tag_status=TagStatus.UNTAGGED),
        rule(PUSHED, 30, 2, action=Action.TRANSITION),
    )
    assert judged.said("a") == (Outcome.KEPT, Reason.BLOCKED_BY_INDEX, "i")
    assert judged.said("i")[0] == Outcome.TRANSITIONED


def test_children_need_not_take_slots() -> None:
    images = [image("a", 1), image("b", 2), image("i", 3, children=("a", "b")), image("z", 4)]
    assert Judged(images, rule(COUNT, 2)).leaving() == {"i", "z"}
    judged = Judged(images, rule(COUNT, 2), children_take_slots=False)
    assert judged.leaving() == set()
    assert judged.column("rank") == {"a": 0, "b": 0, "i": 1, "z": 2}
    assert judged.said("a") == (Outcome.KEPT, Reason.WITHIN_LIMIT, "")


def test_referrers_follow_along_chains_and_take_no_slots() -> None:
    judged = Judged(
        [
            image("a", 9),
            image("s", 1, "signature", subject="a"),
            image("t", 1, subject="s"),
            image("b", 2),
            image("u", 99, subject="b"),
        ],
        rule(COUNT, 1),
    )
    assert judged.leaving() == {"a", "s", "t"}
    assert judged.said("t") == (Outcome.EXPIRED, Reason.FOLLOWS_SUBJECT, "s")
    assert judged.said("u") == (Outcome.KEPT, Reason.SUBJECT_STAYS, "b")
    assert judged.column("rank") == {"a": 2, "s": 0, "t": 0, "b": 1, "u": 0}
    assert judged.column("rule")["s"] == 0


def test_referrers_in_a_circle_stay() -> None:
    judged = Judged(
        [image("a", 9, subject="b"), image("b", 9, subject="a"), image("c", 9, subject="c")],
        rule(PUSHED, 1),
    )
    assert judged.leaving() == set()
    assert judged.said("c") == (Outcome.KEPT, Reason.SUBJECT_STAYS, "c")


def test_referrers_of_blocked_subjects_stay_and_those_in_indexes_are_blocked() -> None:
    judged = Judged(
        [
            image("a", 9),
            image("s", 9, subject="a"),
            image("b", 9),
            image("t", 9, subject="b"),
            image("i", 0, children=("a", "t")),
        ],
        rule(PUSHED, 1),
    )
    assert judged.leaving() == {"b"}
    assert judged.said("s") == (Outcome.KEPT, Reason.SUBJECT_STAYS, "a")
    assert judged.said("t") == (Outcome.KEPT, Reason.BLOCKED_BY_INDEX, "i")
    assert judged.column("rule")["t"] == 0


@pytest.mark.parametrize(
    ("status", "action", "said"),
    [
        (ImageStatus.ARCHIVED, Action.EXPIRE, (Outcome.EXPIRED, Reason.FOLLOWS_SUBJECT, "a")),
        (ImageStatus.ARCHIVED, Action.TRANSITION, (Outcome.KEPT, Reason.SUBJECT_STAYS, "a")),
        (ImageStatus.ACTIVATING, Action.EXPIRE, (Outcome.KEPT, Reason.ACTIVATING, "")),
        (ImageStatus.ACTIVATING, Action.TRANSITION, (Outcome.KEPT, Reason.SUBJECT_STAYS, "a")),
    ],
)
def test_referrers_outside_the_standard_class(
    status: ImageStatus, action: Action, said: tuple[Outcome, Reason, str]
) -> None:
    judged = Judged(
        [image("a", 9), image("s", 9, status=status, subject="a")], rule(PUSHED, 1, action=action)
    )
    assert judged.said("s") == said


def test_long_chains_are_followed_to_their_end() -> None:
    indexes = [image("c0000", 9), *(image(f"c{n:04}", 9, children=(f"c{n - 1:04}",)) for n in range(1, 2000))]
    referrers = [image("s0000", 9, subject="c0000")]
    referrers += [image(f"s{n:04}", 9, subject=f"s{n - 1:04}") for n in range(1, 2000)]
    assert len(Judged(indexes + referrers, rule(PUSHED, 7)).leaving()) == 4000
    assert (
        Judged([*indexes, image("t", 1, children=("c1999",)), *referrers], rule(PUSHED, 7)).leaving() == set()
    )


# Several repositories


def small_blocks(monkeypatch: pytest.MonkeyPatch, size: int, part: float) -> None:
    monkeypatch.setattr(census, "_ARTIFACTS_AT_ONCE", size)
    monkeypatch.setattr(census, "_LARGE_PART", part)


@given(lifecycle_cases(), st.sampled_from([1, 2, 5]), st.sampled_from([0.0, 1e9]))
def test_the_size_of_blocks_and_where_names_are_matched_change_nothing(
    case: LifecycleCase, size: int, part: float
) -> None:
    expected = evaluator_of(case.world, case.now_ms).judge(case.policies, case.policy_array)
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_blocks(monkeypatch, size, part)
        found = evaluator_of(case.world, case.now_ms).judge(case.policies, case.policy_array)
    assert same(found, expected)


@given(lifecycle_cases())
def test_repositories_are_judged_as_if_alone(case: LifecycleCase) -> None:
    evaluator = evaluator_of(case.world, case.now_ms)
    together = evaluator.judge(case.policies, case.policy_array)
    for row, policy in enumerate(case.policy_of):
        alone = np.full(len(case.policy_of), -1)
        alone[row] = policy
        verdicts = evaluator.judge(case.policies, alone)
        own = case.world.frames.artifacts.repository == row
        for field in fields(Verdicts):
            expected = getattr(together, field.name)[own].tolist()
            assert getattr(verdicts, field.name)[own].tolist() == expected
        assert (verdicts.reason[~own] == Reason.NO_POLICY).all()
        assert (verdicts.by[~own] == -1).all()


@given(lifecycle_cases())
def test_traces_agree_with_verdicts(case: LifecycleCase) -> None:
    evaluator = evaluator_of(case.world, case.now_ms)
    verdicts = evaluator.judge(case.policies, case.policy_array)
    for at, repository in enumerate(case.world.frames.artifacts.repository.tolist()):
        if (number := case.policy_of[repository]) < 0:
            continue
        traces = evaluator.trace(case.policies[number], at)
        assert [trace.rule for trace in traces] == list(case.policies[number].rules)
        assert all(bool(trace.why_not) != trace.selects for trace in traces)
        deciding = [trace for trace in traces if trace.decides]
        assert [trace.rule.priority for trace in deciding] == [
            priority for priority in [int(verdicts.rule[at])] if priority
        ]
        for trace in deciding:
            assert (trace.rank, trace.age_ms) == (verdicts.rank[at], verdicts.age_ms[at])
            assert trace.claims == (verdicts.reason[at] in {Reason.CLAIMED, Reason.BLOCKED_BY_INDEX})


def test_equal_policies_are_judged_together() -> None:
    world = arrays_of([[image(f"{row}{n}", n) for n in range(row)] for row in (3, 0, 2, 4)])
    evaluator = evaluator_of(world)
    policies = [Policy((rule(COUNT, 1),)), Policy((rule(COUNT, 2),)), Policy((rule(COUNT, 1),))]
    shares = evaluator.shares(policies, np.array([0, 2, 1, 2]))
    assert [(policy.rules[0].count_number, rows.tolist()) for policy, rows in shares] == [
        (1, [0, 1, 3]),
        (2, [2]),
    ]
    verdicts = evaluator.judge(policies, np.array([0, 2, 1, 2]))
    assert np.bincount(verdicts.outcome).tolist() == [4, 5]


@pytest.mark.parametrize("policy_of", [[0], [0, 0, 0], [0, 1], [-2, 0]])
def test_policies_that_do_not_fit_are_refused(policy_of: list[int]) -> None:
    evaluator = evaluator_of(arrays_of([[image("a", 1)], [image("b", 1)]]))
    with pytest.raises(ValueError, match="policy_of"):
        evaluator.judge([Policy((rule(COUNT, 1),))], np.array(policy_of, np.int64))


def test_nothing_at_all() -> None:
    for count in range(3):
        evaluator = evaluator_of(arrays_of([[]] * count))
        verdicts = evaluator.judge([Policy((rule(COUNT, 1),))], np.zeros(count, np.int64))
        assert len(verdicts.outcome) == 0


# Order


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([NO_TIME, NO_TIME + 1, -1, 0, 1, 5, 2**40, 2**63 - 1]),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_order_by_age(rows: list[tuple[int, int, int]]) -> None:
    rows.sort(key=lambda row: row[0])
    repository, base, tie = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    order: Int64 = order_by_age(repository.astype(np.int32), base, tie)
    expected = sorted(
        range(len(rows)),
        key=lambda at: (rows[at][0], rows[at][1] != NO_TIME, -rows[at][1], -rows[at][2], at),
    )
    assert order.tolist() == expected


# Traces


def test_a_trace_says_why_rules_do_not_select() -> None:
    judged = Judged(
        [
            image("a", 9, "dev-1"),
            image("b", 8),
            image("c", 7, status=ImageStatus.ACTIVATING),
            image("s", 7, subject="a"),
        ],
        rule(COUNT, 1, 1, tag_status=TagStatus.TAGGED, tag_prefixes=("prod", "dev")),
        rule(COUNT, 1, 2, **tagged("dev*", "*x", "rel")),
        rule(COUNT, 1, 3, tag_status=TagStatus.UNTAGGED),
        rule(COUNT, 1, 4),
        rule(
            CountType.SINCE_IMAGE_TRANSITIONED,
            90,
            5,
            storage_class=StorageClass.ARCHIVE,
            action=Action.EXPIRE,
        ),
    )

    def why_not(digest: str) -> list[str]:
        traces = judged.evaluator.trace(judged.policy, judged.digests.index(digest))
        return [trace.why_not for trace in traces]

    in_archive = "it is not archived, and the rule looks at archive images"
    assert why_not("a") == [
        "none of its tags begins with prod",
        "none of its tags matches *x, and none matches rel",
        "it is tagged",
        "",
        in_archive,
    ]
    assert why_not("b") == ["it is untagged", "it is untagged", "", "", in_archive]
    assert set(why_not("c")) == {"its restore from the archive is under way"}
    assert set(why_not("s")) == {
        "it refers to another image of the repository, and leaves with that one only"
    }


def test_a_trace_counts_and_ranks_what_later_rules_see_too() -> None:
    judged = Judged(
        [image("a", 9, "v1"), image("b", 8, "v2"), image("c", 7)],
        rule(PUSHED, 30, 1, **tagged("v*")),
        rule(COUNT, 2, 2),
    )
    first, second = judged.evaluator.trace(judged.policy, judged.digests.index("a"))
    assert (first.selects, first.selected, first.age_ms, first.claims, first.decides) == (
        True,
        2,
        9 * DAY_MS,
        False,
        True,
    )
    assert (second.selected, second.rank, second.claims, second.decides) == (3, 3, True, False)


@pytest.mark.parametrize("position", [-1, 2])
def test_a_trace_of_nothing(position: int) -> None:
    judged = Judged([image("a", 1), image("b", 1)], rule(COUNT, 1))
    with pytest.raises(IndexError, match="no artifact"):
        judged.evaluator.trace(judged.policy, position)
