"""Our verdicts against a preview: the slow evaluator stands in for ECR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from analyzer.lifecycle.parsing import parse_policy
from analyzer.lifecycle.policy import Policy
from analyzer.model.frames import Int64
from analyzer.model.media_types import OCI_INDEX, OCI_MANIFEST
from analyzer.model.records import Artifact, ImageStatus
from analyzer.model.units import from_ms
from analyzer.model.verdicts import Outcome, Reason
from analyzer.model.verification import Act, Compared, Difference, Listing, Preview, PreviewRow
from analyzer.verification import compare
from tests.oracle.lifecycle import Image, Verdict, evaluate_repository
from tests.strategies.lifecycle import NOW_MS, LifecycleCase, World, arrays_of, lifecycle_cases
from tests.support.examples import examples

DAY = 86_400_000
HOUR = DAY // 24

KEEP_TWO = """{"rules":[{"rulePriority":5,"selection":{"tagStatus":"any","countType":"imageCountMoreThan",
"countNumber":2},"action":{"type":"expire"}}]}"""
UNTAGGED_AFTER_A_WEEK = """{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged",
"countType":"sinceImagePushed","countUnit":"days","countNumber":7},"action":{"type":"expire"}}]}"""


def listing_of(images: Sequence[Image]) -> Listing:
    """What DescribeImages would say of ``images``."""
    artifacts = {
        image.digest: Artifact(
            digest=image.digest,
            tags=tuple(sorted(image.tags)),
            pushed_at_ms=image.pushed_at_ms,
            image_status=image.status,
            archived_at_ms=image.archived_at_ms,
            activated_at_ms=image.activated_at_ms,
            media_type=OCI_INDEX if image.children else OCI_MANIFEST,
            subject_digest=image.subject,
            pulled_day=None if image.last_pull_ms is None else image.last_pull_ms // DAY,
        )
        for image in images
    }
    pulled = {image.digest: image.last_pull_ms for image in images if image.last_pull_ms is not None}
    return Listing(artifacts, pulled)


def rows_of(images: Sequence[Image], verdicts: Sequence[Verdict]) -> list[PreviewRow]:
    """The rows of a preview that says what ``verdicts`` say, those of blocked images left out."""
    actions = {Outcome.EXPIRED: "EXPIRE", Outcome.TRANSITIONED: "TRANSITION"}
    return [
        PreviewRow(
            image.digest,
            tuple(sorted(image.tags)),
            image.pushed_at_ms,
            "EXPIRE" if actions[verdict.outcome] == "EXPIRE" else "TRANSITION",
            verdict.rule,
        )
        for image, verdict in zip(images, verdicts, strict=True)
        if verdict.reason is Reason.CLAIMED
    ]


def preview_of(
    rows: Sequence[PreviewRow], *, started: int = NOW_MS, completed: int = NOW_MS, joined: bool = False
) -> Preview:
    return Preview(
        policy_text="",
        started_at_ms=started,
        completed_at_ms=completed,
        joined=joined,
        rows=tuple(rows),
        expiring_total=sum(1 for row in rows if row.action == "EXPIRE"),
        transitioning_total=sum(1 for row in rows if row.action == "TRANSITION"),
    )


def held_against(
    world: World, repository: int, policy: Policy, preview: Preview, listing: Listing | None = None
) -> Compared:
    names = [image.digest for image in world.images]

    def digests(positions: Int64) -> list[str]:
        return [names[position] for position in positions.tolist()]

    listing = listing or listing_of(world.repositories[repository])
    return compare(world.frames, digests, repository, policy, preview, listing)


def images(*specs: Image) -> World:
    return arrays_of([specs])


def aged(digest: str, days: float, *tags: str, **more: object) -> Image:
    return replace(
        Image(digest, frozenset(tags), pushed_at_ms=NOW_MS - round(days * DAY)),
        **more,  # type: ignore[arg-type]  # fields of Image, as the call says
    )


# --- against the slow evaluator -----------------------------------------------------------------


def judged(case: LifecycleCase, repository: int, policy: Policy) -> list[Verdict]:
    return evaluate_repository(case.world.repositories[repository], policy, case.now_ms)


@examples(70)
@given(lifecycle_cases())
def test_a_preview_that_says_what_the_rules_say_agrees(case: LifecycleCase) -> None:
    for repository, policy in enumerate(case.policy_per_repository):
        if policy is None:
            continue
        here = case.world.repositories[repository]
        verdicts = judged(case, repository, policy)
        found = held_against(case.world, repository, policy, preview_of(rows_of(here, verdicts)))
        assert found.disagreements == ()
        assert not found.summary_differs
        assert found.artifacts == len(here)
        assert (found.our_expiring, found.our_transitioning) == (found.aws_expiring, found.aws_transitioning)
        assert (found.pushed_since, found.gone_since, found.gone_after_preview) == ((), (), ())
        assert found.on_the_edge == 0
        blocked = [
            image.digest
            for image, verdict in zip(here, verdicts, strict=True)
            if verdict.reason is Reason.BLOCKED_BY_INDEX and verdict.rule
        ]
        assert found.blocked_hidden == tuple(sorted(blocked))
        assert found.blocked_shown == ()


@examples(70)
@given(lifecycle_cases(), st.data())
def test_every_row_that_is_changed_is_a_disagreement_and_no_other(
    case: LifecycleCase, data: st.DataObject
) -> None:
    for repository, policy in enumerate(case.policy_per_repository):
        if policy is None:
            continue
        here = case.world.repositories[repository]
        verdicts = judged(case, repository, policy)
        truth = {row.digest: row for row in rows_of(here, verdicts)}
        expected: dict[str, Difference] = {}
        rows: list[PreviewRow] = []
        for image, verdict in zip(here, verdicts, strict=True):
            row = truth.get(image.digest)
            change = data.draw(st.sampled_from(["none", "none", "drop", "rule", "action"]))
            if row is None:
                if change != "action" or (verdict.reason is Reason.BLOCKED_BY_INDEX and verdict.rule):
                    continue
                rows.append(PreviewRow(image.digest, (), None, "EXPIRE", 77_777))
                leaves = verdict.outcome is not Outcome.KEPT
                expected[image.digest] = (
                    Difference.AWS_ACTS
                    if not leaves
                    else Difference.RULE
                    if verdict.outcome is Outcome.EXPIRED
                    else Difference.ACTION
                )
            elif change == "drop":
                expected[image.digest] = Difference.WE_ACT
            elif change == "rule":
                rows.append(row._replace(rule=77_777))
                expected[image.digest] = Difference.RULE
            elif change == "action":
                other = "TRANSITION" if row.action == "EXPIRE" else "EXPIRE"
                rows.append(row._replace(action="TRANSITION" if other == "TRANSITION" else "EXPIRE"))
                expected[image.digest] = Difference.ACTION
            else:
                rows.append(row)
        found = held_against(case.world, repository, policy, preview_of(rows))
        assert {one.digest: one.difference for one in found.disagreements} == expected
        order = [list(Difference).index(one.difference) for one in found.disagreements]
        assert order == sorted(order)
        assert (found.without_child_slots is None) == (not expected)


@examples(70)
@given(lifecycle_cases(), st.data())
def test_a_snapshot_that_is_old_does_not_matter_where_no_index_is_new(
    case: LifecycleCase, data: st.DataObject
) -> None:
    now = case.world.repositories
    named = {name for of_one in now for image in of_one for name in (*image.children, image.subject)}
    dropped = {
        image.digest
        for of_one in now
        for image in of_one
        if image.digest not in named and not image.children and data.draw(st.booleans())
    }
    assume(dropped)
    gone = Image("zz-gone", frozenset({"zz"}), pushed_at_ms=NOW_MS - 5 * DAY)
    before = arrays_of(
        [
            [
                *(
                    # Tags, pulls and archiving of the snapshot's time must leave no trace.
                    replace(image, tags=frozenset({"old"}), last_pull_ms=1, status=ImageStatus.ACTIVE)
                    for image in of_one
                    if image.digest not in dropped
                ),
                gone,
            ]
            for of_one in now
        ]
    )
    for repository, policy in enumerate(case.policy_per_repository):
        if policy is None:
            continue
        here = now[repository]
        rows = rows_of(here, judged(case, repository, policy))
        found = held_against(before, repository, policy, preview_of(rows), listing_of(here))
        assert found.disagreements == ()
        assert found.gone_since == ("zz-gone",)
        assert set(found.pushed_since) == {image.digest for image in here} & dropped


# --- single cases -------------------------------------------------------------------------------


def test_what_differs_is_said_with_both_verdicts_and_why() -> None:
    world = images(
        aged("a", 1, "v3"),
        aged("b", 2, "v2", "stable"),
        aged("c", 3),
        aged("d", 4),
        aged("e", 5),
        aged("f", 6),
    )
    rows = [
        PreviewRow("b", (), None, "EXPIRE", 5),
        PreviewRow("d", (), None, "EXPIRE", 6),
        PreviewRow("e", (), None, "TRANSITION", 5),
        PreviewRow("f", (), None, "EXPIRE", None),
    ]
    found = held_against(world, 0, parse_policy(KEEP_TWO), preview_of(rows))
    assert [(one.digest, one.difference, one.aws, one.ours) for one in found.disagreements] == [
        ("b", Difference.AWS_ACTS, Act("EXPIRE", 5), None),
        ("c", Difference.WE_ACT, None, Act("EXPIRE", 5)),
        ("e", Difference.ACTION, Act("TRANSITION", 5), Act("EXPIRE", 5)),
        ("d", Difference.RULE, Act("EXPIRE", 6), Act("EXPIRE", 5)),
    ]
    first = found.disagreements[0]
    assert first.tags == ("stable", "v2")
    assert first.pushed_at == from_ms(NOW_MS - 2 * DAY)
    assert (
        first.why
        == "rule 5 is the first to select it and keeps it as number 2 of those it selects, youngest first"
    )
    assert (found.aws_expiring, found.aws_transitioning) == (3, 1)
    assert (found.our_expiring, found.our_transitioning) == (4, 0)


def test_an_image_that_crosses_its_limit_while_ecr_looks_may_have_either_verdict() -> None:
    policy = parse_policy(UNTAGGED_AFTER_A_WEEK)
    world = images(aged("edge", 7), aged("old", 8), aged("young", 6))
    sure = PreviewRow("old", (), None, "EXPIRE", 1)
    for rows in ([sure], [sure, PreviewRow("edge", (), None, "EXPIRE", 1)]):
        preview = preview_of(rows, started=NOW_MS - HOUR, completed=NOW_MS + HOUR)
        found = held_against(world, 0, policy, preview)
        assert found.disagreements == ()
        assert found.on_the_edge == 1
        assert found.started_at == from_ms(NOW_MS - HOUR)
    # Long before, and long after, only one of the two is right.
    early = held_against(world, 0, policy, preview_of([sure], started=NOW_MS - 2, completed=NOW_MS - 1))
    assert early.disagreements == ()
    late = held_against(world, 0, policy, preview_of([sure], started=NOW_MS + 1, completed=NOW_MS + 2))
    assert [(one.digest, one.near_limit) for one in late.disagreements] == [("edge", True)]
    assert "at an age of 7.000 days" in late.disagreements[0].why


def test_children_that_an_index_keeps_may_be_shown_by_the_rule_that_claims_them() -> None:
    policy = parse_policy(UNTAGGED_AFTER_A_WEEK)
    index = aged("index", 9, "latest", children=("amd64", "arm64"))
    world = images(index, aged("amd64", 9), aged("arm64", 9))
    shown = held_against(world, 0, policy, preview_of([PreviewRow("amd64", (), None, "EXPIRE", 1)]))
    assert shown.disagreements == ()
    assert (shown.blocked_shown, shown.blocked_hidden) == (("amd64",), ("arm64",))
    # By another rule it is a disagreement like any other.
    other = held_against(world, 0, policy, preview_of([PreviewRow("amd64", (), None, "EXPIRE", 2)]))
    (one,) = other.disagreements
    assert (one.difference, one.why) == (Difference.AWS_ACTS, "the index index names it and stays")
    assert (other.blocked_shown, other.blocked_hidden) == ((), ("arm64",))


def test_a_referrer_is_not_expected_in_a_preview() -> None:
    policy = parse_policy(UNTAGGED_AFTER_A_WEEK)
    world = images(aged("app", 9), aged("signature", 9, subject="app"))
    app = PreviewRow("app", (), None, "EXPIRE", 1)
    assert held_against(world, 0, policy, preview_of([app])).disagreements == ()
    found = held_against(world, 0, policy, preview_of([app, PreviewRow("signature", (), None, "EXPIRE", 1)]))
    (one,) = found.disagreements
    assert (one.difference, one.ours) == (Difference.RULE, Act("EXPIRE", None))
    assert one.why == "no rule acts on it; it leaves with its subject app"


def test_a_preview_in_which_children_hold_no_places_is_recognised() -> None:
    policy = parse_policy(KEEP_TWO)
    world = images(
        aged("index", 1, "v3", children=("amd64", "arm64")),
        aged("amd64", 1.1),
        aged("arm64", 1.2),
        aged("second", 2, "v2"),
        aged("third", 3, "v1"),
    )
    # By our reading the index and one child hold both places; here the two tagged ones do.
    found = held_against(world, 0, policy, preview_of([PreviewRow("third", (), None, "EXPIRE", 5)]))
    assert [one.digest for one in found.disagreements] == ["second"]
    assert found.without_child_slots == 0


def test_a_new_index_is_said_to_be_unread() -> None:
    policy = parse_policy(UNTAGGED_AFTER_A_WEEK)
    world = images(aged("amd64", 9))
    now = [aged("amd64", 9), aged("index", 0.5, "latest", children=("amd64",))]
    found = held_against(world, 0, policy, preview_of([]), listing_of(now))
    assert found.unread == ("index",)
    assert found.pushed_since == ("index",)
    # What it holds cannot be known, so this is said to differ, beside the reason to doubt it.
    assert [one.digest for one in found.disagreements] == ["amd64"]


def test_a_row_without_an_image_is_told_apart() -> None:
    policy = parse_policy(KEEP_TWO)
    found = held_against(
        images(aged("a", 1)), 0, policy, preview_of([PreviewRow("left", (), None, "EXPIRE", 5)])
    )
    assert found.gone_after_preview == ("left",)
    assert found.disagreements == ()


def test_a_summary_that_differs_from_its_rows_is_noticed() -> None:
    policy = parse_policy(KEEP_TWO)
    preview = preview_of([])
    world = images(aged("a", 1))
    assert held_against(world, 0, policy, replace(preview, expiring_total=1)).summary_differs
    assert held_against(world, 0, policy, replace(preview, transitioning_total=1)).summary_differs
    assert not held_against(
        world, 0, policy, replace(preview, expiring_total=None, transitioning_total=None)
    ).summary_differs


def test_an_empty_repository_agrees_with_an_empty_preview() -> None:
    world = arrays_of([[aged("other", 1)], []])
    found = held_against(world, 1, parse_policy(KEEP_TWO), preview_of([]))
    assert (found.artifacts, found.disagreements) == (0, ())
    emptied = held_against(world, 0, parse_policy(KEEP_TWO), preview_of([]), Listing({}, {}))
    assert emptied.gone_since == ("other",)
    assert np.array_equal(world.frames.artifacts.repository, [0])
