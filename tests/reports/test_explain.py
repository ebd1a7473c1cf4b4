"""The explanation of one image at a terminal, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from analyzer.model.explanation import Departure, Explanation, Family, Relative, SeenPulls, TraceStep
from analyzer.model.records import Gap
from analyzer.model.results import ScopedBytes
from analyzer.model.units import GB
from analyzer.model.verdicts import Outcome, Reason
from reports.explain import explain_csv, explain_json, explain_text
from reports.text import visible

HOSTILE = "=1+1\x1b[31m\u202e"


def _relative(name: str, outcome: Outcome = Outcome.KEPT, *tags: str) -> Relative:
    return Relative(digest=f"sha256:{name}", tags=tags, outcome=outcome)


def _bytes(repository: int, registry: int) -> ScopedBytes:
    return ScopedBytes(repository=repository, registry=registry)


EXPLANATION = Explanation(
    at=datetime(2026, 11, 24, tzinfo=UTC),
    taken_at=datetime(2026, 11, 23, tzinfo=UTC),
    account="123456789012",
    region="eu-west-1",
    repository="team/app",
    digest="sha256:it",
    kind="image",
    tags=("v1", "v2"),
    pushed_at=datetime(2026, 10, 1, tzinfo=UTC),
    pulled_at=None,
    archived_at=None,
    activated_at=None,
    status="active",
    logical_bytes=3 * GB,
    in_use=True,
    protected=None,
    family=Family(
        parents=(_relative("list", Outcome.KEPT, "top"),),
        children=(),
        absent_children=0,
        subject=None,
        subject_is_absent=True,
        referrers=(_relative("sig", Outcome.EXPIRED),),
        may_have_children=False,
    ),
    policy="live",
    outcome=Outcome.EXPIRED,
    reason=Reason.CLAIMED,
    rule=2,
    sentence="It leaves: rule 2 takes it; 54.0 days since its push, the limit is 30 days.",
    notes=("A note.",),
    trace=(
        TraceStep(
            priority=1,
            rule="expire untagged images more than 1 day after their push",
            description=None,
            selects=False,
            decides=False,
            claims=False,
            why="it is tagged",
            rank=None,
            selected=4,
            age_days=None,
        ),
        TraceStep(
            priority=2,
            rule="expire all images more than 30 days after their push",
            description=HOSTILE,
            selects=True,
            decides=True,
            claims=True,
            why="54.0 days since its push, the limit is 30 days",
            rank=None,
            selected=9,
            age_days=54.0,
        ),
    ),
    departure=Departure(
        unique_bytes=_bytes(2 * GB, GB),
        followers=(_relative("sig"),),
        released=(),
        freed_bytes=_bytes(2 * GB + GB // 2, GB),
        orphans=(),
        freed_with_orphans_bytes=_bytes(2 * GB + GB // 2, GB),
        unknown_size=0,
    ),
)


def test_the_text_has_facts_verdict_trace_family_and_what_leaves() -> None:
    text = explain_text(EXPLANATION)
    lines = text.splitlines()
    assert lines[0] == "123456789012/eu-west-1/team/app@sha256:it"
    for line in (
        "Tags      v1, v2",
        "Pushed    2026-10-01T00:00:00Z",
        "Pulled    no pull is recorded",
        "Size      3.00 GB, 1.00 GB to 2.00 GB of it in no other image",
        "In use    yes",
        "Under the policy in force at 2026-11-24T00:00:00Z:",
        EXPLANATION.sentence,
        "A note.",
        "Index     sha256:list (top) stays",
        "Subject   is not there",
        "Referrer  sha256:sig leaves",
        "Alone     1.00 GB to 2.00 GB would leave",
        "With it   1 referrer: 1.00 GB to 2.50 GB would leave in all",
    ):
        assert line in lines, line
    assert "Protected" not in text
    assert "Orphans" not in text
    said = " ".join(text.split())
    assert "selects it and would act: 54.0 days" in said
    assert "does not select it: it is tagged" in said


def test_the_text_names_orphans_and_what_is_unknown() -> None:
    departure = replace(
        EXPLANATION.departure,
        followers=(),
        released=(_relative("a"), _relative("b")),
        orphans=(_relative("c"),),
        freed_with_orphans_bytes=_bytes(9 * GB, 9 * GB),
        unknown_size=2,
    )
    text = explain_text(
        replace(EXPLANATION, departure=departure, logical_bytes=None, pushed_at=None, trace=())
    )
    for line in (
        "Pushed    unknown",
        "Size      unknown",
        "With it   2 children that it alone holds back: 1.00 GB to 2.50 GB would leave in all",
        "Orphans   1 child would be left that no tag reaches; 9.00 GB in all if these went too",
        "Unknown   the sizes of 2 artifacts, in none of these figures",
    ):
        assert line in text.splitlines(), line
    assert "DECIDES" not in text


def test_the_text_is_harmless_and_narrow() -> None:
    hostile = replace(
        EXPLANATION,
        repository=HOSTILE,
        tags=tuple(f"{HOSTILE}{'t' * 290}{number}" for number in range(20)),
        sentence=HOSTILE * 20,
        policy=HOSTILE,
        family=replace(EXPLANATION.family, children=tuple(_relative(f"{n}" * 64) for n in range(15))),
    )
    text = explain_text(hostile)
    assert visible(text.replace("\n", "")) == text.replace("\n", "")
    assert max(map(len, text.splitlines()[1:])) <= 100
    assert "and 10 more" in " ".join(text.split())
    assert "Child     and 5 more" in text


def test_json_uses_ecrs_words_for_the_verdict() -> None:
    gap = Gap("123456789012", "eu-west-1", "team/app", "ecr:BatchGetImage", "Denied", HOSTILE)
    document = json.loads(explain_json(replace(EXPLANATION, gaps=(gap,))))
    assert document["verdict"] == {
        "action": {"type": "EXPIRE"},
        "appliedRulePriority": 2,
        "decidingRulePriority": 2,
        "reason": "CLAIMED",
        "sentence": EXPLANATION.sentence,
        "notes": ["A note."],
    }
    assert document["unique_bytes"] == {"repository": 2 * GB, "registry": GB}
    assert document["family"]["referrers"] == [{"digest": "sha256:sig", "tags": [], "action": "EXPIRE"}]
    assert document["family"]["parents"] == [{"digest": "sha256:list", "tags": ["top"], "action": None}]
    assert document["trace"][1]["age_days"] == 54.0
    assert document["trace"][1]["description"] == HOSTILE
    assert (document["pulled_at"], document["protected"], document["in_use"]) == (None, None, True)
    assert document["gaps"][0]["detail"] == HOSTILE


def test_json_of_what_is_archived_or_stays() -> None:
    archived = json.loads(explain_json(replace(EXPLANATION, outcome=Outcome.TRANSITIONED)))
    assert archived["verdict"]["action"] == {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
    kept = json.loads(explain_json(replace(EXPLANATION, outcome=Outcome.KEPT, account="", region="")))
    assert (kept["verdict"]["action"], kept["verdict"]["appliedRulePriority"]) == (None, None)
    assert kept["verdict"]["decidingRulePriority"] == 2
    assert (kept["account"], kept["region"]) == (None, None)


def test_csv_has_a_row_per_rule_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(explain_csv(replace(EXPLANATION, repository=HOSTILE)))))
    assert [(row["priority"], row["selects"], row["claims"], row["age_days"]) for row in rows] == [
        ("1", "false", "false", ""),
        ("2", "true", "true", "54.0"),
    ]
    assert rows[0]["repository"] == "'" + visible(HOSTILE)
    assert explain_csv(replace(EXPLANATION, trace=())).count("\n") == 1


def test_a_stored_pull_is_shown_as_the_day_that_it_is() -> None:
    stored = replace(EXPLANATION, pulled_at=datetime(2026, 11, 24, 23, 59, 59, 999_000, tzinfo=UTC))
    assert "Pulled    2026-11-24\n" in explain_text(stored)
    assert json.loads(explain_json(stored))["pulled_at"] == "2026-11-24"
    exact = replace(EXPLANATION, pulled_at=datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC))
    assert "Pulled    2026-11-24T01:02:03Z\n" in explain_text(exact)


_SEEN = SeenPulls(
    first_day=20_770, last_day=20_779, complete_days=10, by_digest_day=20_775, by_tag_day=None, tag=""
)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (_SEEN, "by digest last on 2026-11-18, as CloudTrail recorded it"),
        (
            replace(_SEEN, by_digest_day=None, by_tag_day=20_776, tag="v1"),
            "by the tag v1 last on 2026-11-19, as CloudTrail recorded it; the tag may have",
        ),
        (replace(_SEEN, by_digest_day=None), "by nobody from 2026-11-13 to 2026-11-22, as CloudTrail"),
        (
            replace(_SEEN, by_digest_day=None, complete_days=9),
            "not known: CloudTrail recorded nothing from 2026-11-13 to 2026-11-22, but only 9",
        ),
        (
            replace(_SEEN, first_day=None, last_day=None, by_digest_day=None),
            "unknown: CloudTrail was not read",
        ),
    ],
)
def test_what_cloudtrail_saw_stands_beside_what_ecr_recorded(seen: SeenPulls, said: str) -> None:
    text = " ".join(explain_text(replace(EXPLANATION, seen_pulls=seen)).split())
    assert f"Pulled no pull is recorded Asked for {said}" in text


def test_a_tag_asked_for_no_later_than_the_digest_says_nothing_new() -> None:
    seen = replace(_SEEN, by_tag_day=20_775, tag="v1")
    assert "by the tag" not in explain_text(replace(EXPLANATION, seen_pulls=seen))
    document = json.loads(explain_json(replace(EXPLANATION, seen_pulls=seen)))
    assert document["asked_for"] == {
        "first_day": "2026-11-13",
        "last_day": "2026-11-22",
        "complete_days": 10,
        "covered": True,
        "by_digest": "2026-11-18",
        "by_tag": {"tag": "v1", "day": "2026-11-18"},
    }
    assert json.loads(explain_json(EXPLANATION))["asked_for"] is None
    assert "Asked for" not in explain_text(EXPLANATION)
