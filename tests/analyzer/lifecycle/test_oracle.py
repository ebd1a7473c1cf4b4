"""The slow evaluator against pencil and paper: AWS's documented examples and hand-worked cases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass, TagStatus
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome, Reason
from tests.oracle.lifecycle import (
    DAY_MS,
    Image,
    Verdict,
    evaluate_repository,
    evaluate_slowly,
    pattern_matches,
    trace_slowly,
)
from tests.oracle.policy import codes
from tests.strategies.lifecycle import NOW_MS, World, images_of, policies, worlds
from tests.strategies.policies import document_of
from tests.support.examples import examples

COUNT = CountType.IMAGE_COUNT_MORE_THAN
PUSHED = CountType.SINCE_IMAGE_PUSHED
PULLED = CountType.SINCE_IMAGE_PULLED
TRANSITIONED = CountType.SINCE_IMAGE_TRANSITIONED


def rule(
    priority: int,
    count_type: CountType,
    number: int,
    *,
    tags: str | tuple[str, ...] = "any",
    action: Action = Action.EXPIRE,
) -> Rule:
    """A rule for ``tags``: "any", "untagged" or patterns; of the archive where its count says so."""
    return Rule(
        priority=priority,
        tag_status=TagStatus(tags) if isinstance(tags, str) else TagStatus.TAGGED,
        tag_patterns=() if isinstance(tags, str) else tags,
        storage_class=StorageClass.ARCHIVE if count_type is TRANSITIONED else StorageClass.STANDARD,
        count_type=count_type,
        count_number=number,
        action=action,
    )


def image(digest: str, days: float | None, *tags: str, **more: Any) -> Image:
    """An image pushed ``days`` ago."""
    pushed = None if days is None else NOW_MS - round(days * DAY_MS)
    return Image(digest, frozenset(tags), pushed, **more)


def ago(days: float) -> int:
    """The moment ``days`` before now."""
    return NOW_MS - round(days * DAY_MS)


def judge(images: list[Image], *rules: Rule, slots: bool = True) -> dict[str, Verdict]:
    """The verdicts by digest."""
    verdicts = evaluate_repository(images, Policy(rules), NOW_MS, children_take_slots=slots)
    return {image.digest: verdict for image, verdict in zip(images, verdicts, strict=True)}


def expired(images: list[Image], *rules: Rule) -> str:
    """The digests that expire, in order."""
    outcomes = judge(images, *rules)
    return "".join(sorted(d for d, verdict in outcomes.items() if verdict.outcome is Outcome.EXPIRED))


def archived(images: list[Image], *rules: Rule) -> str:
    """The digests that move to the archive, in order."""
    outcomes = judge(images, *rules)
    return "".join(sorted(d for d, verdict in outcomes.items() if verdict.outcome is Outcome.TRANSITIONED))


# ECR user guide, "Examples of lifecycle policies": one test per example, under its headings.

BETA_PROD = [
    image("A", 10, "beta-1", "prod-1"),
    image("B", 9, "beta-2", "prod-2"),
    image("C", 8, "beta-3"),
]
ALPHA_BETA = [
    image("A", 12, "alpha-1"),
    image("B", 11, "beta-1"),
    image("C", 10, "alpha-2", "beta-2"),
    image("D", 4, "alpha-3"),
    image("E", 3, "beta-3"),
    image("F", 2, "alpha-4", "beta-4"),
]


def test_guide_filtering_on_image_age() -> None:
    # The page gives the policy alone: prod* older than 14 days. The images are ours.
    images = [
        image("A", 15, "prod-1"),
        image("B", 14, "prod-2"),
        image("C", 15, "dev"),
        image("D", 15),
        image("E", 99, "dev", "production"),
    ]
    assert expired(images, rule(1, PUSHED, 14, tags=("prod*",))) == "AE"


def test_guide_filtering_on_last_pulled_time() -> None:
    # Any image not pulled in 90 days goes to the archive; one never pulled counts from its push.
    images = [
        image("A", 200, last_pull_ms=ago(91)),
        image("B", 200, last_pull_ms=ago(90)),
        image("C", 91),
        image("D", 89, "x"),
    ]
    assert archived(images, rule(1, PULLED, 90, action=Action.TRANSITION)) == "AC"


def test_guide_filtering_on_archive_transition_time() -> None:
    # In the archive for more than 365 days; when it was pushed does not matter.
    images = [
        image("A", 900, status=ImageStatus.ARCHIVED, archived_at_ms=ago(366)),
        image("B", 900, status=ImageStatus.ARCHIVED, archived_at_ms=ago(365)),
        image("C", 900, archived_at_ms=ago(800), activated_at_ms=ago(700)),
    ]
    assert expired(images, rule(1, TRANSITIONED, 365)) == "A"


def test_guide_filtering_on_image_count() -> None:
    # Keep one untagged image.
    images = [image("A", 3), image("B", 2), image("C", 1), image("D", 9, "x")]
    assert expired(images, rule(1, COUNT, 1, tags="untagged")) == "AB"


def test_guide_filtering_on_multiple_rules_example_a() -> None:
    assert expired(BETA_PROD, rule(1, COUNT, 1, tags=("prod*",)), rule(2, COUNT, 1, tags=("beta*",))) == "A"


def test_guide_filtering_on_multiple_rules_example_b() -> None:
    assert expired(BETA_PROD, rule(1, COUNT, 1, tags=("beta*",)), rule(2, COUNT, 1, tags=("prod*",))) == "AB"


def test_guide_filtering_on_multiple_tags_example_a() -> None:
    assert expired(ALPHA_BETA, rule(1, PUSHED, 5, tags=("alpha*", "beta*"))) == "C"


def test_guide_filtering_on_multiple_tags_example_b() -> None:
    images = [
        image("A", 10, "alpha-1", "beta-1", "gamma-1"),
        image("B", 9, "alpha-2", "beta-2"),
        image("C", 8, "alpha-3", "beta-3", "gamma-2"),
    ]
    assert expired(images, rule(1, COUNT, 1, tags=("alpha*", "beta*"))) == "AB"


def test_guide_filtering_on_all_images_example_a() -> None:
    images = [image("A", 4, "alpha-1"), image("B", 3, "beta-1"), image("C", 2), image("D", 1, "alpha-2")]
    assert expired(images, rule(1, COUNT, 1)) == "ABC"


def test_guide_filtering_on_all_images_example_b() -> None:
    # D and E are of one age: that the guide keeps E and expires D shows which counts as older. E is
    # exactly one day old and survives "older than one day".
    images = [
        image("A", 4, "alpha-1", "beta-1"),
        image("B", 3),
        image("C", 2, "alpha-2"),
        image("D", 1, "git hash"),
        image("E", 1),
    ]
    rules = (
        rule(1, COUNT, 1, tags=("alpha*",)),
        rule(2, PUSHED, 1, tags="untagged"),
        rule(3, COUNT, 1),
    )
    assert expired(images, *rules) == "ABD"
    verdicts = judge(images, *rules)
    assert verdicts["D"] == Verdict(Outcome.EXPIRED, Reason.CLAIMED, rule=3, rank=2)
    assert verdicts["E"] == Verdict(Outcome.KEPT, Reason.WITHIN_LIMIT, rule=2, age_ms=DAY_MS, near_limit=True)


def test_guide_archiving_images_older_than_a_number_of_days() -> None:
    images = [image("A", 31, "prod-1"), image("B", 30, "prod-2"), image("C", 31, "dev-1"), image("D", 31)]
    assert archived(images, rule(1, PUSHED, 30, tags=("prod*",), action=Action.TRANSITION)) == "A"


def test_guide_combining_archive_and_expire_rules() -> None:
    # Two "any" rules, one per class: the first does not shield what only the second can see.
    rules = (rule(1, PUSHED, 30, action=Action.TRANSITION), rule(2, TRANSITIONED, 365))
    images = [
        image("A", 31),
        image("B", 30),
        image("C", 900, status=ImageStatus.ARCHIVED, archived_at_ms=ago(366)),
        image("D", 900, status=ImageStatus.ARCHIVED, archived_at_ms=ago(364)),
    ]
    assert archived(images, *rules) == "A"
    assert expired(images, *rules) == "C"


# What follows from the rules: ECR user guide, "Lifecycle policy parameters" and the pages named.


@pytest.mark.parametrize(
    ("pattern", "tag", "meets"),
    [
        ("prod*", "prod", True),
        ("prod*", "production", True),
        ("prod*", "aprod", False),
        ("*prod*", "a-prod-1", True),
        ("prod", "prod1", False),
        ("*prod", "aprod", True),
        ("*prod", "prod1", False),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "acb", False),
        ("ab*ba", "aba", False),
        ("*a*a*", "a", False),
        ("*a*a*", "aa", True),
        ("a.b", "axb", False),
        ("a?b", "axb", False),
        ("[ab]", "a", False),
        ("Prod*", "prod", False),
        ("*", "", True),
        ("", "a", False),
        ("a*", "a\nb", True),
        ("a", "a\n", False),
    ],
)
def test_pattern_is_anchored_and_only_the_star_is_special(pattern: str, tag: str, meets: bool) -> None:
    assert pattern_matches(pattern, tag) is meets


def test_prefix_with_a_star_means_the_star_itself() -> None:
    of_prefix = Rule(
        priority=1,
        tag_status=TagStatus.TAGGED,
        tag_prefixes=("a*",),
        count_type=PUSHED,
        count_number=1,
        action=Action.EXPIRE,
    )
    assert expired([image("A", 9, "ab"), image("B", 9, "a*b")], of_prefix) == "B"


def test_marked_image_still_fills_a_kept_slot_of_a_later_rule() -> None:
    images = [image("A", 9, "v1"), image("B", 2, "tmp-1")]
    verdicts = judge(images, rule(1, PUSHED, 1, tags=("tmp*",)), rule(2, COUNT, 1))
    assert [verdicts[d].outcome for d in "AB"] == [Outcome.EXPIRED, Outcome.EXPIRED]
    assert verdicts["A"].rank == 2


def test_keep_rule_shields_from_later_rules() -> None:
    images = [image("A", 500, "prod-1"), image("B", 500, "dev-1"), image("C", 1, "dev-2")]
    assert expired(images, rule(1, COUNT, 9999, tags=("prod*",)), rule(2, COUNT, 1)) == "B"


def test_fresh_pull_does_not_save_from_an_age_since_push() -> None:
    assert expired([image("A", 9, last_pull_ms=NOW_MS - 60_000)], rule(1, PUSHED, 8)) == "A"


def test_restored_image_counts_as_pushed_and_pulled_anew() -> None:
    images = [
        image("A", 100, activated_at_ms=ago(2), last_pull_ms=ago(50)),
        image("B", 5, last_pull_ms=ago(5)),
    ]
    assert expired(images, rule(1, COUNT, 1)) == "B"
    assert expired(images, rule(1, PUSHED, 4)) == "B"
    assert archived(images, rule(1, PULLED, 2, action=Action.TRANSITION)) == "B"
    # A pull later than the restore counts by itself.
    again = [image("A", 100, activated_at_ms=ago(20), last_pull_ms=ago(3))]
    assert judge(again, rule(1, PULLED, 9, action=Action.TRANSITION))["A"].age_ms == 3 * DAY_MS


def test_archived_images_take_no_slot_and_restoring_ones_are_left_alone() -> None:
    images = [
        image("A", 3),
        image("B", 2, status=ImageStatus.ARCHIVED, archived_at_ms=ago(1)),
        image("C", 1, status=ImageStatus.ACTIVATING),
        image("D", 4, status=ImageStatus.OTHER),
    ]
    verdicts = judge(images, rule(1, COUNT, 1))
    assert verdicts["A"] == Verdict(Outcome.KEPT, Reason.WITHIN_LIMIT, rule=1, rank=1)
    assert verdicts["B"].reason is Reason.NO_RULE
    assert verdicts["C"] == Verdict(Outcome.KEPT, Reason.ACTIVATING)
    assert verdicts["D"] == Verdict(Outcome.EXPIRED, Reason.CLAIMED, rule=1, rank=2)


def test_image_without_push_time_holds_a_slot_as_the_youngest_and_is_never_claimed() -> None:
    images = [image("A", 1), image("B", None), image("C", None)]
    verdicts = judge(images, rule(1, COUNT, 1))
    assert verdicts["A"] == Verdict(Outcome.EXPIRED, Reason.CLAIMED, rule=1, rank=3)
    assert verdicts["B"] == Verdict(Outcome.KEPT, Reason.UNKNOWN_TIME, rule=1, rank=2)
    assert verdicts["C"] == Verdict(Outcome.KEPT, Reason.UNKNOWN_TIME, rule=1, rank=1)
    assert judge(images, rule(1, PUSHED, 1))["B"] == Verdict(Outcome.KEPT, Reason.UNKNOWN_TIME, rule=1)


@pytest.mark.parametrize("days", [3, 4, 5, 5 + 1 / DAY_MS, 6, 6 + 1 / DAY_MS])
def test_age_within_a_day_of_the_limit_is_told(days: float) -> None:
    verdict = judge([image("A", days)], rule(1, PUSHED, 5))["A"]
    assert verdict.near_limit is (4 <= days <= 6)
    assert verdict.outcome is (Outcome.EXPIRED if days > 5 else Outcome.KEPT)


def test_future_push_has_a_negative_age() -> None:
    assert judge([image("A", -2)], rule(1, PUSHED, 1))["A"].age_ms == -2 * DAY_MS


def test_child_stays_while_one_index_that_names_it_stays() -> None:
    images = [
        image("L", 50, "old", children=("C",)),
        image("M", 1, "new", children=("C", "absent")),
        image("C", 50),
    ]
    verdicts = judge(images, rule(1, PUSHED, 10))
    assert verdicts["L"].outcome is Outcome.EXPIRED
    assert verdicts["C"] == Verdict(Outcome.KEPT, Reason.BLOCKED_BY_INDEX, rule=1, age_ms=50 * DAY_MS, by="M")


def test_child_leaves_with_its_index_but_not_for_its_sake() -> None:
    images = [image("L", 50, "old", children=("C",)), image("C", 50)]
    both = judge(images, rule(1, PUSHED, 10))
    assert both["C"].outcome is Outcome.EXPIRED
    assert both["C"].deferred
    assert not both["L"].deferred
    only_list = judge(images, rule(1, PUSHED, 10, tags=("*",)))
    assert only_list["C"] == Verdict(Outcome.KEPT, Reason.NO_RULE)


def test_block_reaches_through_nested_indexes() -> None:
    images = [
        image("A", 1, "top", children=("B",)),
        image("B", 50, children=("C",)),
        image("C", 50),
    ]
    verdicts = judge(images, rule(1, PUSHED, 10, tags="untagged"))
    assert verdicts["B"].by == "A"
    assert verdicts["C"].by == "B"


def test_indexes_that_name_each_other_leave_together_and_one_that_names_itself_leaves() -> None:
    images = [
        image("A", 50, children=("B",)),
        image("B", 50, children=("A",)),
        image("C", 50, children=("C",)),
    ]
    verdicts = judge(images, rule(1, PUSHED, 10))
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.EXPIRED}
    assert [verdicts[d].deferred for d in "ABC"] == [True, True, False]


@pytest.mark.parametrize(
    ("status", "action", "leaves"),
    [
        (ImageStatus.ARCHIVED, Action.TRANSITION, True),
        (ImageStatus.ARCHIVED, Action.EXPIRE, False),
        (ImageStatus.ACTIVATING, Action.TRANSITION, False),
        (ImageStatus.ACTIVATING, Action.EXPIRE, False),
    ],
)
def test_archived_index_frees_its_children_for_the_archive_only(
    status: ImageStatus, action: Action, leaves: bool
) -> None:
    images = [image("L", 50, children=("C",), status=status), image("C", 50)]
    assert (judge(images, rule(1, PUSHED, 10, action=action))["C"].outcome is not Outcome.KEPT) is leaves


def test_index_that_expires_lets_its_child_go_to_the_archive_but_not_the_other_way_round() -> None:
    images = [image("L", 50, "x", children=("C",)), image("C", 50)]
    expire_list = (
        rule(1, PUSHED, 10, tags=("x",)),
        rule(2, PUSHED, 10, tags="untagged", action=Action.TRANSITION),
    )
    assert judge(images, *expire_list)["C"].outcome is Outcome.TRANSITIONED
    archive_list = (
        rule(1, PUSHED, 10, tags=("x",), action=Action.TRANSITION),
        rule(2, PUSHED, 10, tags="untagged"),
    )
    assert judge(images, *archive_list)["C"].reason is Reason.BLOCKED_BY_INDEX


def test_children_hold_slots_unless_told_otherwise() -> None:
    images = [image("L", 3, "v1", children=("C",)), image("C", 2), image("O", 5, "v0")]
    assert judge(images, rule(1, COUNT, 2))["O"].outcome is Outcome.EXPIRED
    without = judge(images, rule(1, COUNT, 2), slots=False)
    assert without["O"] == Verdict(Outcome.KEPT, Reason.WITHIN_LIMIT, rule=1, rank=2)
    assert without["C"] == Verdict(Outcome.KEPT, Reason.WITHIN_LIMIT, rule=1, rank=0)


def test_preview_of_a_live_index_whose_old_children_are_spared() -> None:
    # As a user saw it: 26 images, "untagged older than a day" and "any, keep 20" showed four
    # expiries, and the two oldest, children of a live index, were spared. The same four fall out
    # whether children hold slots or not, since rule 1 shields everything untagged.
    children = [image(f"c{n}", 40 - n) for n in range(2)]
    tagged = [image(f"t{n:02}", 30 - n, f"v{n}") for n in range(22)]
    live = image("live", 0.5, "latest", children=("c0", "c1"))
    images = [*children, *tagged, live, image("young", 0.1)]
    for slots in (True, False):
        verdicts = judge(images, rule(1, PUSHED, 1, tags="untagged"), rule(2, COUNT, 20), slots=slots)
        leaving = sum(verdict.outcome is Outcome.EXPIRED for verdict in verdicts.values())
        assert leaving == 4
        assert {verdicts[child.digest].reason for child in children} == {Reason.BLOCKED_BY_INDEX}


def test_referrer_is_not_judged_by_rules_and_follows_its_subject() -> None:
    images = [
        image("A", 50, "v1"),
        image("S", 50, subject="A"),
        image("T", 1, subject="S"),
        image("B", 1, "v2"),
        image("U", 50, subject="B"),
        image("V", 50, subject="gone"),
    ]
    verdicts = judge(images, rule(1, PUSHED, 10))
    assert verdicts["S"] == Verdict(Outcome.EXPIRED, Reason.FOLLOWS_SUBJECT, by="A")
    assert verdicts["T"] == Verdict(Outcome.EXPIRED, Reason.FOLLOWS_SUBJECT, by="S")
    assert verdicts["U"] == Verdict(Outcome.KEPT, Reason.SUBJECT_STAYS, by="B")
    assert verdicts["V"].reason is Reason.CLAIMED
    # Only A, B and V are counted, and of A and V, pushed at once, V is the younger.
    ranks = {digest: verdict.rank for digest, verdict in judge(images, rule(1, COUNT, 2)).items()}
    assert ranks == {"A": 3, "B": 1, "S": 0, "T": 0, "U": 0, "V": 2}


def test_referrers_in_a_circle_stay() -> None:
    images = [image("A", 50, subject="B"), image("B", 50, subject="A"), image("C", 50, subject="C")]
    verdicts = judge(images, rule(1, PUSHED, 10))
    assert [verdicts[d] for d in "ABC"] == [
        Verdict(Outcome.KEPT, Reason.SUBJECT_STAYS, by=by) for by in ("B", "A", "C")
    ]


def test_referrer_of_a_blocked_child_stays_with_it() -> None:
    images = [image("L", 1, "x", children=("C",)), image("C", 50), image("S", 50, subject="C")]
    assert judge(images, rule(1, PUSHED, 10))["S"] == Verdict(Outcome.KEPT, Reason.SUBJECT_STAYS, by="C")


def test_referrer_that_is_a_child_is_held_by_the_index() -> None:
    images = [image("A", 50), image("L", 1, "x", children=("S",)), image("S", 50, subject="A")]
    assert judge(images, rule(1, PUSHED, 10))["S"] == Verdict(Outcome.KEPT, Reason.BLOCKED_BY_INDEX, by="L")


@pytest.mark.parametrize(
    ("status", "action", "expected"),
    [
        (ImageStatus.ACTIVE, Action.TRANSITION, (Outcome.TRANSITIONED, Reason.FOLLOWS_SUBJECT)),
        (ImageStatus.ARCHIVED, Action.TRANSITION, (Outcome.KEPT, Reason.SUBJECT_STAYS)),
        (ImageStatus.ACTIVATING, Action.TRANSITION, (Outcome.KEPT, Reason.SUBJECT_STAYS)),
        (ImageStatus.ARCHIVED, Action.EXPIRE, (Outcome.EXPIRED, Reason.FOLLOWS_SUBJECT)),
        (ImageStatus.ACTIVATING, Action.EXPIRE, (Outcome.KEPT, Reason.ACTIVATING)),
    ],
)
def test_what_a_subject_takes_along(
    status: ImageStatus, action: Action, expected: tuple[Outcome, Reason]
) -> None:
    images = [image("A", 50), image("S", 50, subject="A", status=status)]
    verdict = judge(images, rule(1, PUSHED, 10, action=action))["S"]
    assert (verdict.outcome, verdict.reason) == expected


def test_each_repository_is_judged_by_itself() -> None:
    index = image("L", 50, "x", children=("C",))
    child = image("C", 50)
    policy = Policy((rule(1, PUSHED, 10, tags="untagged"),))
    apart = evaluate_slowly([[index], [child], [index, child]], [policy, policy, None], NOW_MS)
    assert apart[1][0].outcome is Outcome.EXPIRED
    assert {verdict.reason for verdict in apart[2]} == {Reason.NO_POLICY}


def test_trace_tells_each_rule_by_itself() -> None:
    images = [image("A", 9, "v1"), image("B", 2, "tmp-1")]
    policy = Policy((rule(1, PUSHED, 1, tags=("tmp*",)), rule(2, COUNT, 1)))
    first, second = trace_slowly(images, policy, NOW_MS, "B")
    assert (first.selects, first.age_ms, first.selected, first.claims, first.decides) == (
        True,
        2 * DAY_MS,
        1,
        True,
        True,
    )
    assert (second.selects, second.rank, second.selected, second.claims, second.decides) == (
        True,
        1,
        2,
        False,
        False,
    )


# What the strategies promise.


@examples(50)
@given(worlds())
def test_arrays_say_what_the_images_say(world: World) -> None:
    names = [image.digest for image in world.images]
    read_back = images_of(world, names)
    # What names something absent is no relation in the arrays; a child may be named twice.
    for images, read in zip(world.repositories, read_back, strict=True):
        present = {image.digest for image in images}
        assert [image.digest for image in images] == [image.digest for image in read]
        for written, got in zip(images, read, strict=True):
            assert set(got.children) == set(written.children) & present
            assert got.subject == (written.subject if written.subject in present else None)
            same = ("tags", "pushed_at_ms", "last_pull_ms", "archived_at_ms", "activated_at_ms", "status")
            assert all(getattr(got, name) == getattr(written, name) for name in same)
    # Positions are not in the order of the digests' text.
    ids = world.frames.artifacts.digest_id
    assert all(ids[k] < ids[k + 1] for k in range(len(world.repositories[0]) - 1))


@examples(50)
@given(policies())
def test_random_policies_are_valid(policy: Policy) -> None:
    assert codes(json.dumps(document_of(policy))) == set()
    assert [rule.priority for rule in policy.rules] == sorted({rule.priority for rule in policy.rules})
