"""What ``verify`` found, in each format."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from analyzer.model.records import Gap
from analyzer.model.units import from_ms
from analyzer.model.verification import (
    Act,
    Compared,
    Difference,
    Disagreement,
    RepositoryVerification,
    Verification,
    VerificationStatus,
)
from reports.verification import notes_of, verification_csv, verification_json, verification_text

AT = from_ms(1_780_000_000_000)
LATER = from_ms(1_780_000_015_000)
HOSTILE = '=HYPERLINK("x")\u202e|\x1b[31m`@all'


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


AGREED = Compared(
    started_at=AT,
    completed_at=LATER,
    joined=False,
    policy_text='{"rules": []}',
    artifacts=120,
    aws_expiring=14,
    aws_transitioning=2,
    our_expiring=14,
    our_transitioning=2,
    summary_expiring=14,
    summary_transitioning=2,
    disagreements=(),
    blocked_shown=(),
    blocked_hidden=(),
    on_the_edge=0,
    pushed_since=(),
    gone_since=(),
    gone_after_preview=(),
    unread=(),
    without_child_slots=None,
)
DISAGREEMENTS = (
    Disagreement(
        difference=Difference.AWS_ACTS,
        digest=digest("a"),
        tags=(HOSTILE, "v2", "v3", "v4", "v5"),
        pushed_at=AT,
        aws=Act("EXPIRE", 1),
        ours=None,
        why="rule 2 is the first to select it",
        near_limit=True,
        deferred=False,
    ),
    Disagreement(
        difference=Difference.WE_ACT,
        digest=digest("b"),
        tags=(),
        pushed_at=None,
        aws=None,
        ours=Act("TRANSITION", 3),
        why="rule 3 claims it",
        near_limit=False,
        deferred=True,
    ),
    Disagreement(
        difference=Difference.RULE,
        digest=digest("c"),
        tags=("latest",),
        pushed_at=AT,
        aws=Act("EXPIRE", None),
        ours=Act("EXPIRE", None),
        why="no rule acts on it",
        near_limit=False,
        deferred=False,
    ),
)
DIFFERENT = replace(
    AGREED,
    disagreements=DISAGREEMENTS,
    our_expiring=1_000,
    summary_expiring=13,
    blocked_shown=(digest("d"),),
    blocked_hidden=(digest("e"), digest("f")),
    joined=True,
    on_the_edge=1,
    pushed_since=(digest("1"),),
    gone_since=(digest("2"), digest("3")),
    gone_after_preview=(digest("4"),),
    unread=(digest("1"),),
    without_child_slots=1,
)
GAP = Gap(
    "111111111111", "eu-west-1", "team/refused", "ecr:StartLifecyclePolicyPreview", "AccessDenied", "no"
)


def row(name: str, status: VerificationStatus, **more: object) -> RepositoryVerification:
    return replace(
        RepositoryVerification(account="111111111111", region="eu-west-1", repository=name, status=status),
        **more,  # type: ignore[arg-type]  # fields of the record, as the call says
    )


VERIFICATION = Verification(
    at=AT,
    policy="live",
    repositories=(
        row("team/agreed", VerificationStatus.AGREES, compared=AGREED),
        row("team/different", VerificationStatus.DISAGREES, compared=DIFFERENT, policy_changed=True),
        row("team/none", VerificationStatus.NO_POLICY),
        row("team/refused", VerificationStatus.UNVERIFIED),
        row("team/strange", VerificationStatus.DISAGREES, validation="we refuse the policy"),
    ),
    gaps=(GAP,),
    accepted_gaps=((GAP, "agreed"),),
    notes=("2 more belong to other accounts",),
)


# As a terminal shows it, digests cut out.
TEXT = """\
ECR's own preview of the policy in force against ours, on 5 repositories: 1 agrees, 2 disagree, 1
    has no policy, 1 unverified

111111111111/eu-west-1/team/agreed: agrees on all 120 artifacts (14 expire, 2 move to the archive)
111111111111/eu-west-1/team/different: DISAGREES on 3 of 120 artifacts (ECR: 14 expire, 2 move to
    the archive; ours: 1,000 and 2)
    sha256:{a}
        (=HYPERLINK("x")\\u202e|\\x1b[31m`@all, v2, v3 and 2 more) pushed 2026-05-28T20:26:40Z: ECR
        expires by rule 1, we keep it; rule 2 is the first to select it [within a day of its limit]
    sha256:{b} (untagged): ECR keeps
        it, we say it is archived by rule 3; rule 3 claims it [with an index that names it: ECR may
        need two runs]
    sha256:{c} (latest) pushed
        2026-05-28T20:26:40Z: ECR expires by no rule, we say it expires by no rule; no rule acts on
        it
    ECR's summary says 13 expire and 2 move to the archive, its rows 14 and 2
    if children of indexes held no place in counts of images, the disagreements would be 1 instead
        of 3
    3 images claimed by a rule and kept by an index that stays: ECR's preview shows 1 of them (AWS
        does not say whether it should)
    1 image crossed a limit of days while ECR looked, between 2026-05-28T20:26:40Z and
        2026-05-28T20:26:55Z: either verdict counts
    pushed since the snapshot: 1; gone since: 2; compared is what is there now
    in the preview, gone before the listing that followed it, and so not compared: 1 image
    1 artifact may be an index and was never read: images that it holds can differ; run demurrage
        collect first
    a preview of the same policy was already running, and is the one compared
    the policy in force is another than in the snapshot, which other commands judge
111111111111/eu-west-1/team/none: no lifecycle policy is in force
111111111111/eu-west-1/team/refused: not verified, see the gaps
111111111111/eu-west-1/team/strange: DISAGREES on the policy itself
    we refuse the policy
Note: 2 more belong to other accounts
""".format(a="a" * 64, b="b" * 64, c="c" * 64)


def test_text_says_each_disagreement_and_what_to_know_of_it() -> None:
    assert verification_text(VERIFICATION) == TEXT


def test_text_of_a_file_names_it_and_long_lists_are_cut() -> None:
    many = replace(DIFFERENT, disagreements=DISAGREEMENTS[:1] * 25)
    one = replace(VERIFICATION.repositories[1], compared=many)
    text = verification_text(replace(VERIFICATION, policy="keep\n.json", repositories=(one,), notes=()))
    assert text.startswith("ECR's own preview of keep\\n.json against ours, on 1 repository: 1 disagrees\n")
    assert text.count(digest("a")) == 20
    assert "and 5 more: see --format csv or json" in text
    assert "\x1b" not in text
    nothing = verification_text(replace(VERIFICATION, repositories=(), notes=()))
    assert nothing.endswith("on 0 repositories: nothing to compare\n")


def test_json_has_every_fact_in_aws_words() -> None:
    document = json.loads(verification_json(VERIFICATION))
    assert list(document) == [
        "at",
        "policy",
        "agrees",
        "repositories",
        "totals",
        "notes",
        "gaps",
        "accepted_gaps",
    ]
    assert document["agrees"] is False
    assert document["totals"] == {"agrees": 1, "disagrees": 2, "no-policy": 1, "unverified": 1}
    assert document["gaps"][0]["call"] == "ecr:StartLifecyclePolicyPreview"
    assert document["accepted_gaps"][0]["accepted_because"] == "agreed"
    agreed, different, none, *_ = document["repositories"]
    assert agreed["status"] == "agrees"
    assert agreed["lifecyclePolicyText"] == '{"rules": []}'
    assert (agreed["startedAt"], agreed["completedAt"]) == ("2026-05-28T20:26:40Z", "2026-05-28T20:26:55Z")
    assert agreed["aws"] == agreed["ours"] == agreed["summary"] == {"expire": 14, "transition": 2}
    assert agreed["disagreements"] == agreed["notes"] == []
    assert agreed["disagreementsWithoutChildSlots"] is None
    first, second, third = different["disagreements"]
    assert first == {
        "imageDigest": digest("a"),
        "imageTags": [HOSTILE, "v2", "v3", "v4", "v5"],
        "imagePushedAt": "2026-05-28T20:26:40Z",
        "difference": "aws-acts-we-keep",
        "aws": {"action": {"type": "EXPIRE"}, "appliedRulePriority": 1},
        "ours": None,
        "why": "rule 2 is the first to select it",
        "nearLimit": True,
        "deferred": False,
    }
    assert second["imagePushedAt"] is None
    assert second["ours"]["action"] == {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
    assert third["aws"] == {"action": {"type": "EXPIRE"}, "appliedRulePriority": None}
    assert different["summaryDiffers"] is True
    assert different["blockedShown"] == [digest("d")]
    assert different["blockedNotShown"] == [digest("e"), digest("f")]
    assert different["policyChangedSinceSnapshot"] is True
    assert "compared" not in none
    assert "\u202e" not in verification_json(VERIFICATION)


def test_json_agrees_only_where_something_was_compared_and_all_of_it_agrees() -> None:
    def agrees(*rows: RepositoryVerification) -> bool:
        found: bool = json.loads(verification_json(replace(VERIFICATION, repositories=rows)))["agrees"]
        return found

    agreed, different, none, unverified, _ = VERIFICATION.repositories
    assert agrees(agreed)
    for other in (different, none, unverified):
        assert not agrees(agreed, other)
    assert not agrees()


def test_csv_has_one_row_per_image_and_runs_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(verification_csv(VERIFICATION))))
    assert [(one["digest"][7], one["difference"]) for one in rows] == [
        ("a", "aws-acts-we-keep"),
        ("b", "we-act-aws-keeps"),
        ("c", "other-rule"),
        ("d", "blocked-by-index-shown"),
        ("e", "blocked-by-index-not-shown"),
        ("f", "blocked-by-index-not-shown"),
    ]
    first, second, third = rows[:3]
    assert first["tags"].startswith("'=HYPERLINK")
    assert (first["aws_action"], first["aws_rule"], first["our_action"], first["our_rule"]) == (
        "EXPIRE",
        "1",
        "",
        "",
    )
    assert (first["near_limit"], first["deferred"]) == ("true", "false")
    assert (second["our_action"], second["our_rule"], second["pushed_at"]) == ("TRANSITION", "3", "")
    assert (third["aws_action"], third["aws_rule"]) == ("EXPIRE", "")
    agreed = replace(VERIFICATION, repositories=VERIFICATION.repositories[:1])
    assert verification_csv(agreed).count("\n") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"summary_expiring": None, "summary_transitioning": 5}, "an unknown number expire and 5 move"),
        ({"blocked_hidden": (digest("a"),)}, "1 image claimed by a rule and kept by an index"),
    ],
)
def test_single_notes(change: dict[str, object], said: str) -> None:
    found = replace(AGREED, **change)  # type: ignore[arg-type]  # fields of the record
    (note,) = notes_of(VERIFICATION.repositories[0], found)
    assert said in note
    assert notes_of(VERIFICATION.repositories[0], AGREED) == []
