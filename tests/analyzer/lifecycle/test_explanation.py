"""One image explained: the sentence, the trace, the family, and what would leave with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from analyzer.lifecycle.explanation import explain
from analyzer.lifecycle.parsing import InvalidPolicy
from analyzer.lifecycle.policy import Action, Policy, Rule, TagStatus
from analyzer.lifecycle.sentences import age_text, rule_text
from analyzer.model.explanation import Explanation
from analyzer.model.records import ImageStatus
from analyzer.model.results import ScopedBytes
from analyzer.model.units import from_ms
from analyzer.model.verdicts import Outcome
from tests.analyzer.lifecycle.worlds import DAY_MS, NOW_MS, HandMade, Pushed, Repository, make_world, rule
from tests.oracle.lifecycle import evaluate_repository, trace_slowly
from tests.strategies.lifecycle import LifecycleCase, lifecycle_cases
from tests.support.examples import examples
from tests.support.usage import listed


def _explain(images: tuple[Pushed, ...], *rules: Rule, name: str = "it", **options: Any) -> Explanation:
    world = make_world(Repository(images=images, policy=Policy(rules) if rules else None))
    return explain(world, world.position(name), **options)


def _same(number: int, *, age: float = 0.5) -> tuple[Pushed, ...]:
    return tuple(Pushed(name=f"n{k}", tags=(f"n{k}",), age=age) for k in range(number))


@pytest.mark.parametrize(
    ("images", "rules", "outcome", "sentence"),
    [
        (
            (Pushed(name="it", age=41.2),),
            (rule(2, pushed=30),),
            Outcome.EXPIRED,
            "It leaves: rule 2 takes it; 41.2 days since its push, the limit is 30 days.",
        ),
        (
            (Pushed(name="it", age=3), *_same(5)),
            (rule(3, keep=4),),
            Outcome.EXPIRED,
            "It leaves: rule 3 takes it; rank 6 of 6 selected, the limit is 4.",
        ),
        (
            (Pushed(name="it", age=0.1), *_same(26)),
            (rule(3, keep=20),),
            Outcome.KEPT,
            "Rule 3 keeps it: rank 1 of 27 selected, the limit is 20.",
        ),
        (
            (Pushed(name="it", age=41, pulled=35.5),),
            (rule(2, pulled=30, action=Action.TRANSITION),),
            Outcome.TRANSITIONED,
            "It is archived: rule 2 takes it; 35.5 days since its last pull, the limit is 30 days.",
        ),
        (
            (Pushed(name="it", age=41),),
            (rule(2, pulled=50, action=Action.TRANSITION),),
            Outcome.KEPT,
            "Rule 2 keeps it: 41.0 days since its push (no pull is recorded), the limit is 50 days.",
        ),
        (
            (Pushed(name="it", age=90, pulled=70, activated=2),),
            (rule(2, pulled=50, action=Action.TRANSITION),),
            Outcome.KEPT,
            (
                "Rule 2 keeps it: 2.0 days since its restore from the archive (not pulled since), the limit "
                "is 50 days."
            ),
        ),
        (
            (Pushed(name="it", age=90, activated=2),),
            (rule(2, pushed=50),),
            Outcome.KEPT,
            (
                "Rule 2 keeps it: 2.0 days since its restore from the archive (which counts like a push), "
                "the limit is 50 days."
            ),
        ),
        (
            (Pushed(name="it", age=900, archived=100, status=ImageStatus.ARCHIVED),),
            (rule(2, transitioned=90),),
            Outcome.EXPIRED,
            "It leaves: rule 2 takes it; 100.0 days since it was archived, the limit is 90 days.",
        ),
        (
            (Pushed(name="it", age=None),),
            (rule(2, pushed=50),),
            Outcome.KEPT,
            "It stays as far as is known: rule 2 decides; the time since its push is unknown.",
        ),
        (
            (Pushed(name="it", age=None), *_same(1)),
            (rule(2, keep=1),),
            Outcome.KEPT,
            (
                "It stays as far as is known: rule 2 decides; its push time is unknown, so it counts as the "
                "youngest: rank 1 of 2 selected, the limit is 1."
            ),
        ),
        (
            (Pushed(name="it", tags=("a",)),),
            (rule(2, "b", pushed=50),),
            Outcome.KEPT,
            "It stays: no rule selects it.",
        ),
        (
            (Pushed(name="it", age=9), Pushed(name="list", tags=("v1",), children=("it",))),
            (rule(2, status=TagStatus.UNTAGGED, pushed=5),),
            Outcome.KEPT,
            (
                "It stays, blocked: index sha256:list names it and stays. Rule 2 claims it: 9.0 days since "
                "its push, the limit is 5 days."
            ),
        ),
        (
            (Pushed(name="it", age=9, subject="signed"), Pushed(name="signed", tags=("v1",), age=9)),
            (rule(2, pushed=5),),
            Outcome.EXPIRED,
            "It leaves with its subject sha256:signed; no rule acts on it.",
        ),
        (
            (Pushed(name="it", age=9, subject="signed"), Pushed(name="signed", tags=("v1",), age=1)),
            (rule(2, pushed=5),),
            Outcome.KEPT,
            "It stays with its subject sha256:signed; no rule acts on it.",
        ),
        (
            (
                Pushed(name="it", age=9, subject="signed"),
                Pushed(name="signed", tags=("v1",), age=9),
                Pushed(name="list", children=("it",)),
            ),
            (rule(2, "v*", pushed=5),),
            Outcome.KEPT,
            "It stays, blocked: index sha256:list names it and stays, though its subject leaves.",
        ),
        (
            (Pushed(name="it", age=9, subject="it"),),
            (rule(2, pushed=5),),
            Outcome.KEPT,
            "It stays: it names itself as its subject, and no rule acts on it.",
        ),
        (
            (Pushed(name="it", age=9, status=ImageStatus.ACTIVATING),),
            (rule(2, pushed=5),),
            Outcome.KEPT,
            "It stays: its restore from the archive is under way, and no rule acts on it.",
        ),
        ((Pushed(name="it"),), (), Outcome.KEPT, "It stays: its repository has no lifecycle policy."),
    ],
)
def test_the_verdict_in_one_sentence(
    images: tuple[Pushed, ...], rules: tuple[Rule, ...], outcome: Outcome, sentence: str
) -> None:
    found = _explain(images, *rules)
    assert (found.sentence, found.outcome) == (sentence, outcome)


def test_an_unknown_or_invalid_policy_is_not_called_absent() -> None:
    for policy, sentence in (
        ("unknown", "It stays: whether its repository has a lifecycle policy is not known."),
        (InvalidPolicy(()), "It stays: the policy in force is not valid, and was not applied."),
    ):
        world = make_world(Repository(images=(Pushed(name="it"),), policy=policy))
        assert explain(world, 0).sentence == sentence


def test_a_given_policy_is_judged_in_place_of_the_one_in_force() -> None:
    world = make_world(Repository(images=(Pushed(name="it", age=9),), policy=Policy((rule(1, keep=1),))))
    live = explain(world, 0)
    other = explain(world, 0, policy=Policy((rule(7, pushed=5),)), policy_name="new.json")
    assert (live.policy, live.rule, live.outcome) == ("live", 1, Outcome.KEPT)
    assert (other.policy, other.rule, other.outcome) == ("new.json", 7, Outcome.EXPIRED)


def test_notes_say_what_shields_it_and_what_hangs_on_the_moment() -> None:
    shielded = _explain((Pushed(name="it", tags=("a",), age=9),), rule(1, "a", keep=5), rule(2, pushed=5))
    assert shielded.notes == ("Rule 2 would take it, but rule 1 selects it first.",)
    close = _explain((Pushed(name="it", age=5.5),), rule(1, pushed=5))
    assert close.notes == ("It is within 24 hours of the limit: the moment at which ECR runs decides.",)
    together = _explain(
        (Pushed(name="it", age=9), Pushed(name="list", age=9, children=("it",))), rule(1, pushed=5)
    )
    assert together.notes == ("An index that names it leaves too: ECR may need two runs, the index first.",)


def test_the_trace_has_every_rule_with_its_reason() -> None:
    found = _explain(
        (Pushed(name="it", tags=("a",), age=9),),
        rule(1, status=TagStatus.UNTAGGED, pushed=1),
        rule(2, "a", keep=5),
        rule(3, pushed=5),
    )
    assert [(s.priority, s.selects, s.decides, s.claims) for s in found.trace] == [
        (1, False, False, False),
        (2, True, True, False),
        (3, True, False, True),
    ]
    assert [s.why for s in found.trace] == [
        "it is tagged",
        "rank 1 of 1 selected, the limit is 5",
        "9.0 days since its push, the limit is 5 days",
    ]
    assert [(s.rank, s.selected, s.age_days) for s in found.trace] == [
        (None, 0, None),
        (1, 1, None),
        (None, 1, 9.0),
    ]


@examples(100)
@given(lifecycle_cases())
def test_verdict_and_trace_are_those_of_the_slow_evaluator(case: LifecycleCase) -> None:
    world = case.world
    names = [image.digest.removeprefix("sha256:") for image in world.images]
    made = HandMade(
        world.frames, world.facts, world.families, case.now_ms, case.policies, case.policy_array, {}, names
    )
    for position in range(0, len(names), 5):
        row = int(world.frames.artifacts.repository[position])
        policy = case.policy_per_repository[row]
        images = world.repositories[row]
        found = explain(made, position)
        number = [image.digest for image in images].index(found.digest)
        verdict = evaluate_repository(images, policy, case.now_ms)[number]
        assert (found.outcome, found.reason, found.rule or 0) == (
            verdict.outcome,
            verdict.reason,
            verdict.rule,
        )
        steps = [] if policy is None else trace_slowly(images, policy, case.now_ms, found.digest)
        assert [(s.selects, s.decides, s.claims, s.rank or 0, s.selected) for s in found.trace] == [
            (s.selects, s.decides, s.claims, s.rank, s.selected) for s in steps
        ]
        assert found.sentence.endswith(".")


def test_facts_and_family() -> None:
    images = (
        Pushed(name="it", tags=("b", "a"), age=2, pulled=1, children=("arm", "gone"), blobs={}),
        Pushed(name="arm", age=2),
        Pushed(name="above", tags=("top",), age=1, children=("it",)),
        Pushed(name="sig", subject="it", age=1),
    )
    found = _explain(images, rule(1, pushed=30), usage=listed(np.array([True] * 4)))
    assert (found.digest, found.kind, found.tags, found.status) == (
        "sha256:it",
        "index",
        ("a", "b"),
        "active",
    )
    assert found.pushed_at == from_ms(NOW_MS - 2 * DAY_MS)
    assert found.pulled_at == from_ms(NOW_MS - DAY_MS)
    assert (found.archived_at, found.activated_at) == (None, None)
    assert (found.in_use, found.protected) == (True, None)
    assert found.logical_bytes is None
    family = found.family
    assert [relative.digest for relative in family.parents] == ["sha256:above"]
    assert family.parents[0].tags == ("top",)
    assert [relative.digest for relative in family.children] == ["sha256:arm"]
    assert family.absent_children == 1
    assert [relative.digest for relative in family.referrers] == ["sha256:sig"]
    assert (family.subject, family.subject_is_absent) == (None, False)


def test_a_subject_that_is_not_there_is_told_from_none() -> None:
    assert _explain((Pushed(name="it", subject="gone"),)).family.subject_is_absent
    assert not _explain((Pushed(name="it"),)).family.subject_is_absent


def test_what_leaves_with_it_is_counted_once_and_only_where_nothing_else_holds_it() -> None:
    images = (
        Pushed(name="it", tags=("v1",), age=9, children=("arm", "amd", "kept")),
        Pushed(name="arm", age=9, blobs={"base": 100, "arm": 10}),
        Pushed(name="amd", age=9, blobs={"base": 100, "amd": 20}),
        Pushed(name="kept", tags=("k",), age=9, blobs={"kept": 1000}),
        Pushed(name="other", tags=("v2",), age=1, children=("amd",)),
        Pushed(name="sig", subject="it", age=9, blobs={"sig": 3}),
    )
    untagged = rule(1, status=TagStatus.UNTAGGED, pushed=5)
    found = _explain(images, untagged).departure
    assert found.unique_bytes == ScopedBytes(repository=0, registry=0)
    assert [relative.digest for relative in found.followers] == ["sha256:sig"]
    # amd stays with the other index, kept is tagged.
    assert [relative.digest for relative in found.released] == ["sha256:arm"]
    assert found.freed_bytes == ScopedBytes(repository=13, registry=13)
    assert found.orphans == ()


def test_children_that_no_rule_takes_are_left_as_orphans() -> None:
    images = (
        Pushed(name="it", tags=("v1",), age=9, children=("arm",)),
        Pushed(name="arm", age=9, blobs={"arm": 10}),
        Pushed(name="attestation", subject="arm", age=9, blobs={"text": 1}),
    )
    found = _explain(images, rule(1, "v*", pushed=5)).departure
    assert found.released == ()
    assert [relative.digest for relative in found.orphans] == ["sha256:arm", "sha256:attestation"]
    assert found.freed_bytes == ScopedBytes(repository=0, registry=0)
    assert found.freed_with_orphans_bytes == ScopedBytes(repository=11, registry=11)


def test_bytes_that_other_repositories_hold_count_at_repository_scope_only() -> None:
    images = (Pushed(name="it", blobs={"base": 100, "own": 7}), Pushed(name="mate", blobs={"joint": 5}))
    world = make_world(
        Repository(name="one", images=images),
        Repository(name="two", images=(Pushed(name="x", blobs={"base": 100}),)),
    )
    found = explain(world, world.position("it"))
    assert found.logical_bytes == 107
    assert found.departure.unique_bytes == ScopedBytes(repository=107, registry=7)


def test_an_unknown_size_is_not_zero() -> None:
    found = _explain((Pushed(name="it", unread=True),))
    assert (found.kind, found.logical_bytes, found.departure.unknown_size) == ("unknown", None, 1)
    assert found.family.may_have_children


def test_there_is_nothing_to_explain_beyond_the_artifacts() -> None:
    world = make_world(Repository(images=(Pushed(name="it"),)))
    with pytest.raises(IndexError):
        explain(world, 1)
    with pytest.raises(IndexError):
        explain(world, -1)


@pytest.mark.parametrize(
    ("age_ms", "limit", "text"),
    [
        (41 * DAY_MS + DAY_MS // 5, 30, "41.2 days"),
        (30 * DAY_MS, 30, "30.0 days"),
        (30 * DAY_MS + 1, 30, "30 days and 0.001 s"),
        (30 * DAY_MS - 90_000, 30, "30 days less 1.5 min"),
        (DAY_MS + 3_600_000, 1, "1 day and 1.0 h"),
        (-DAY_MS, 30, "-1.0 days"),
    ],
)
def test_an_age_is_never_rounded_to_the_other_side_of_its_limit(age_ms: int, limit: int, text: str) -> None:
    assert age_text(age_ms, limit) == text


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (rule(1, keep=20), "expire all images beyond the newest 20"),
        (rule(1, "a*", "b", pushed=1), "expire images tagged 'a*' and 'b' more than 1 day after their push"),
        (
            rule(1, prefixes=("v",), pulled=30, action=Action.TRANSITION),
            "archive images with a tag that begins with 'v' more than 30 days after their last pull",
        ),
        (
            rule(1, status=TagStatus.UNTAGGED, transitioned=90),
            "expire untagged archived images more than 90 days after they were archived",
        ),
    ],
)
def test_a_rule_in_one_line(one: Rule, text: str) -> None:
    assert rule_text(one) == text
