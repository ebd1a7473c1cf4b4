"""The evaluator against its slow twin, on random policies and registries.

As many examples as the active hypothesis profile asks for, each a handful of repositories. A longer
run is asked for by number: with LIFECYCLE_CASES=200000 in the environment so many seeded cases are
compared besides (about 5 ms each).
"""

from __future__ import annotations

import os
from dataclasses import fields
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle.evaluation import Evaluator, Options
from analyzer.model.frames import NO_TIME
from analyzer.model.verdicts import Outcome, Reason, Verdicts
from tests.oracle.lifecycle import Step, Verdict, evaluate_slowly, trace_slowly
from tests.strategies.lifecycle import LifecycleCase, World, draw_case, lifecycle_cases, worlds
from tests.support.examples import examples

#: Of each kind of verdict a run must hold some, or it compares nothing worth comparing.
_SEEDED = 400


def fast(case: LifecycleCase, *, children_take_slots: bool = True) -> Verdicts:
    """What the evaluator says."""
    world = case.world
    evaluator = Evaluator(
        world.frames,
        world.facts,
        world.families,
        now_ms=case.now_ms,
        options=Options(children_take_slots=children_take_slots),
    )
    return evaluator.judge(case.policies, case.policy_array)


def slow(case: LifecycleCase, *, children_take_slots: bool = True) -> list[Verdict]:
    """What the oracle says, one verdict per position."""
    verdicts = evaluate_slowly(
        case.world.repositories,
        case.policy_per_repository,
        case.now_ms,
        children_take_slots=children_take_slots,
    )
    return [verdict for of_one in verdicts for verdict in of_one]


def as_records(verdicts: Verdicts, case: LifecycleCase) -> list[Verdict]:
    """The evaluator's arrays in the oracle's form."""
    images = case.world.images
    return [
        Verdict(
            outcome=Outcome(int(verdicts.outcome[position])),
            reason=Reason(int(verdicts.reason[position])),
            rule=int(verdicts.rule[position]),
            rank=int(verdicts.rank[position]),
            age_ms=None if verdicts.age_ms[position] == NO_TIME else int(verdicts.age_ms[position]),
            by=images[verdicts.by[position]].digest if verdicts.by[position] >= 0 else None,
            deferred=bool(verdicts.deferred[position]),
            near_limit=bool(verdicts.near_limit[position]),
        )
        for position in range(len(verdicts.outcome))
    ]


def assert_same(case: LifecycleCase, *, children_take_slots: bool = True) -> list[Verdict]:
    """Both say the same of every image; all differences are named. Gives back what they say."""
    got = as_records(fast(case, children_take_slots=children_take_slots), case)
    expected = slow(case, children_take_slots=children_take_slots)
    assert len(got) == len(expected)
    wrong = [
        f"position {position} ({image.digest}): {field.name} {getattr(mine, field.name)!r}, "
        f"expected {getattr(yours, field.name)!r}\n  {image}"
        for position, (image, mine, yours) in enumerate(zip(case.world.images, got, expected, strict=True))
        for field in fields(Verdict)
        if getattr(mine, field.name) != getattr(yours, field.name)
    ]
    assert not wrong, "\n".join(wrong)
    return expected


# Shrinking a failure takes minutes.
@pytest.mark.timeout(600)
@examples(400)
@given(lifecycle_cases())
def test_evaluator_says_what_the_oracle_says(case: LifecycleCase) -> None:
    assert_same(case)


@pytest.mark.timeout(600)
@examples(200)
@given(lifecycle_cases())
def test_evaluator_says_what_the_oracle_says_where_children_take_no_slots(case: LifecycleCase) -> None:
    assert_same(case, children_take_slots=False)


@pytest.mark.timeout(600)
@examples(60)
@given(lifecycle_cases(), st.integers(-400, 800), st.integers(-1, 1))
def test_they_agree_at_any_moment(case: LifecycleCase, days: int, more_ms: int) -> None:
    now_ms = case.now_ms + days * 86_400_000 + more_ms
    assert_same(LifecycleCase(case.world, case.policies, case.policy_of, now_ms))


@examples(60)
@given(lifecycle_cases())
def test_one_evaluator_judges_many_sets_of_policies(case: LifecycleCase) -> None:
    world = case.world
    evaluator = Evaluator(world.frames, world.facts, world.families, now_ms=case.now_ms)
    for chosen in (*range(len(case.policies)), -1, 0):
        of_all = LifecycleCase(world, case.policies, (chosen,) * len(world.repositories), case.now_ms)
        got = evaluator.judge(of_all.policies, of_all.policy_array)
        assert as_records(got, of_all) == slow(of_all)


@examples(60)
@given(worlds())
def test_without_any_policy_everything_is_kept(world: World) -> None:
    case = LifecycleCase(world, (), (-1,) * len(world.repositories), 0)
    expected = assert_same(case)
    assert {verdict.reason for verdict in expected} <= {Reason.NO_POLICY}


@examples(60)
@given(lifecycle_cases())
def test_evaluation_leaves_its_inputs_and_one_repository_leaves_the_others_alone(
    case: LifecycleCase,
) -> None:
    together = fast(case)
    repository = case.world.frames.artifacts.repository
    for chosen in range(len(case.world.repositories)):
        others_without = tuple(k if row == chosen else -1 for row, k in enumerate(case.policy_of))
        alone = fast(LifecycleCase(case.world, case.policies, others_without, case.now_ms))
        here = repository == chosen
        for field in fields(Verdicts):
            np.testing.assert_array_equal(
                getattr(together, field.name)[here], getattr(alone, field.name)[here]
            )


@examples(60)
@given(lifecycle_cases(), st.booleans())
def test_trace_tells_every_rule_as_the_oracle_does(case: LifecycleCase, slots: bool) -> None:
    world, position = case.world, -1
    evaluator = Evaluator(
        world.frames,
        world.facts,
        world.families,
        now_ms=case.now_ms,
        options=Options(children_take_slots=slots),
    )
    for images in world.repositories:
        for image in images:
            position += 1
            expected = trace_slowly(
                images, case.policies[0], case.now_ms, image.digest, children_take_slots=slots
            )
            got = evaluator.trace(case.policies[0], position)
            assert expected == [
                Step(
                    priority=step.rule.priority,
                    selects=step.selects,
                    rank=step.rank,
                    age_ms=None if step.age_ms == NO_TIME else step.age_ms,
                    selected=step.selected,
                    claims=step.claims,
                    decides=step.decides,
                )
                for step in got
            ]
            assert all(bool(step.why_not) is not step.selects for step in got)


def test_seeded_cases_agree_and_hold_every_reason() -> None:
    cases = int(os.environ.get("LIFECYCLE_CASES", _SEEDED))
    seen: set[object] = set()
    for seed in range(cases):
        slots = seed % 3 > 0
        for verdict in assert_same(draw_case(Random(seed)), children_take_slots=slots):
            seen |= {verdict.reason, verdict.outcome}
            seen |= {"deferred"} if verdict.deferred else set()
            seen |= {"near"} if verdict.near_limit else set()
    if cases >= _SEEDED:
        assert seen == {*Reason, *Outcome, "deferred", "near"}
