"""The public form of the evaluator: DataFrames in and out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

import analyzer.lifecycle
from analyzer.errors import InputError
from analyzer.lifecycle import Options, Policy, evaluate
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.policy import Action, CountType, Rule, TagStatus
from analyzer.model.frames import NO_TIME
from analyzer.model.records import ImageStatus
from analyzer.model.units import from_ms
from analyzer.model.verdicts import Outcome, Reason
from tests.oracle.lifecycle import Image
from tests.strategies.lifecycle import LifecycleCase, lifecycle_cases
from tests.support.examples import examples

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OLDER_THAN_5_DAYS = Policy(
    (
        Rule(
            priority=3,
            tag_status=TagStatus.ANY,
            count_type=CountType.SINCE_IMAGE_PUSHED,
            count_number=5,
            action=Action.EXPIRE,
        ),
    )
)
KEEP_1 = Policy(
    (
        Rule(
            priority=2,
            tag_status=TagStatus.ANY,
            count_type=CountType.IMAGE_COUNT_MORE_THAN,
            count_number=1,
            action=Action.EXPIRE,
        ),
    )
)


def row(digest: str, days: float | None = 9, *tags: str, **others: Any) -> dict[str, Any]:
    return {
        "repository": "app",
        "digest": digest,
        "tags": list(tags),
        "pushed_at": None if days is None else NOW - timedelta(days=days),
        "last_recorded_pull_time": None,
        "status": "ACTIVE",
        "archived_at": None,
        "activated_at": None,
    } | others


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def test_one_row_per_image_under_the_same_index() -> None:
    images = table(
        row("c", 9), row("a", 1), row("b", 8, repository="other"), row("d", None), row("e", 7)
    ).set_index(pd.Index(["v", "w", "x", "y", "z"]))
    answer = evaluate(OLDER_THAN_5_DAYS, images, NOW)
    assert answer.index.tolist() == ["v", "w", "x", "y", "z"]
    assert answer.columns.tolist() == [
        "outcome",
        "reason",
        "rule",
        "rank",
        "age",
        "by",
        "deferred",
        "near_limit",
    ]
    assert answer["outcome"].tolist() == ["EXPIRED", "KEPT", "EXPIRED", "KEPT", "EXPIRED"]
    assert answer["reason"].tolist() == ["CLAIMED", "WITHIN_LIMIT", "CLAIMED", "UNKNOWN_TIME", "CLAIMED"]
    assert answer["rule"].tolist() == [3] * 5
    assert answer["rank"].isna().all()
    assert answer["age"].isna().tolist() == [False, False, False, True, False]
    assert answer.loc["v", "age"] == timedelta(days=9)
    assert answer["by"].isna().all()


def test_images_are_counted_per_repository() -> None:
    images = table(row("a", 1), row("b", 2), row("a", 3, repository="other"))
    answer = evaluate(KEEP_1, images, NOW)
    assert answer["rank"].tolist() == [1, 2, 1]
    assert answer["outcome"].tolist() == ["KEPT", "EXPIRED", "KEPT"]
    assert answer["age"].isna().all()


def test_what_no_rule_may_touch_has_no_rule() -> None:
    answer = evaluate(KEEP_1, table(row("a", 1, status="ACTIVATING"), row("b", 2)), NOW)
    assert answer["rule"].isna().tolist() == [True, False]


def families_in_columns() -> dict[str, Any]:
    images = table(
        row("child", children=None, subject=None),
        row("index", 1, "v1", children=["child", "absent"], subject=None),
        row("signature", children=[], subject="old"),
        row("old", children=[], subject=None),
        row("orphan", children=[], subject="absent"),
    )
    return {"images": images}


def families_beside() -> dict[str, Any]:
    relations = [
        ("app", "child", "child", "index"),
        ("app", "absent", "child", "index"),
        ("app", "signature", "referrer", "old"),
        ("app", "orphan", "referrer", "absent"),
        # Relations count inside one repository only.
        ("other", "old", "child", "index"),
    ]
    return {
        "images": families_in_columns()["images"].drop(columns=["children", "subject"]),
        "families": pd.DataFrame(relations, columns=["repository", "digest", "relation", "of"]),
    }


def families_twice() -> dict[str, Any]:
    return families_beside() | families_in_columns()


@pytest.mark.parametrize("arguments", [families_in_columns, families_beside, families_twice])
def test_families(arguments: Any) -> None:
    given = arguments()
    answer = evaluate(OLDER_THAN_5_DAYS, now=NOW, **given)
    said = dict(zip(given["images"]["digest"], answer["reason"], strict=True))
    assert said == {
        "child": "BLOCKED_BY_INDEX",
        "index": "WITHIN_LIMIT",
        "signature": "FOLLOWS_SUBJECT",
        "old": "CLAIMED",
        "orphan": "CLAIMED",
    }
    assert answer["by"].fillna("").tolist() == ["index", "", "old", "", ""]


def test_options_reach_the_evaluator() -> None:
    images = table(row("a", 1, children=None), row("i", 2, children=["a"]), row("b", 3, children=None))
    assert evaluate(KEEP_1, images, NOW)["rank"].tolist() == [1, 2, 3]
    without = evaluate(KEEP_1, images, NOW, options=Options(children_take_slots=False))
    assert without["rank"].fillna(0).tolist() == [0, 1, 2]


def test_tags_of_any_list_like_kind() -> None:
    rule = Rule(
        priority=1,
        tag_status=TagStatus.TAGGED,
        tag_patterns=("v*", "*2"),
        count_type=CountType.SINCE_IMAGE_PUSHED,
        count_number=1,
        action=Action.EXPIRE,
    )
    images = table(*(row(digest) for digest in "abcde"))
    images["tags"] = pd.Series([("v1", "x2"), ["v2", "v2"], None, [], np.array(["v1"])], dtype=object)
    answer = evaluate(Policy((rule,)), images, NOW)
    assert answer["outcome"].tolist() == ["EXPIRED", "EXPIRED", "KEPT", "KEPT", "KEPT"]


def test_times_of_any_zone_and_resolution() -> None:
    images = table(*(row(digest) for digest in "abc"))
    zone = timezone(timedelta(hours=9))
    moments = [NOW - timedelta(days=6), NOW - timedelta(days=4), NOW - timedelta(days=5, microseconds=1)]
    expected = ["EXPIRED", "KEPT", "KEPT"]
    for pushed_at in (
        pd.Series(moments).dt.tz_convert("America/New_York"),
        pd.Series(moments).dt.as_unit("ns"),
        pd.Series([moments[0].astimezone(zone), *moments[1:]], dtype=object),
    ):
        answer = evaluate(OLDER_THAN_5_DAYS, images.assign(pushed_at=pushed_at), NOW.astimezone(zone))
        assert answer["outcome"].tolist() == expected


def test_categories_are_text() -> None:
    images = table(row("a", 1), row("b", 2))
    images = images.assign(
        repository=images["repository"].astype("category"), status=images["status"].astype("category")
    )
    assert evaluate(KEEP_1, images, NOW)["outcome"].tolist() == ["KEPT", "EXPIRED"]


def test_no_images() -> None:
    answer = evaluate(KEEP_1, table(row("a")).iloc[:0], NOW)
    assert len(answer) == 0
    assert answer["rule"].dtype == "Int64"


def _with(**columns: Any) -> pd.DataFrame:
    return table(row("a"), row("b")).assign(**columns)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (_with().drop(columns=["status", "tags"]), "no column tags, status"),
        (_with(pushed_at=datetime(2026, 1, 1)), "column pushed_at .* time zone"),  # noqa: DTZ001
        (_with(pushed_at="2026-01-01T00:00:00Z"), "column pushed_at .* time zone"),
        (
            _with(archived_at=pd.Series([NOW, datetime(2026, 1, 1)], dtype=object)),  # noqa: DTZ001
            "column archived_at .* time zone",
        ),
        (_with(last_recorded_pull_time=5), "column last_recorded_pull_time .* time zone"),
        (_with(digest="a"), "a comes twice in repository app"),
        (_with(digest=["a", None]), "column digest must hold text"),
        (_with(repository=[1, 2]), "column repository must hold text"),
        (_with(status=["ACTIVE", "active"]), "status 'active' is none of ACTIVE, ARCHIVED, ACTIVATING"),
        (_with(status=["ACTIVE", None]), "is none of ACTIVE"),
        (_with(tags="v1"), "column tags must hold lists of text, but holds text"),
        (_with(tags=pd.Series([[1], []])), "column tags must hold text"),
        (_with(children=pd.Series(["b", None])), "column children must hold lists"),
        (_with(subject=[1, 2]), "column subject must hold text"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(images: pd.DataFrame, said: str) -> None:
    with pytest.raises(InputError, match=said):
        evaluate(KEEP_1, images, NOW)


def test_a_now_without_zone_is_refused() -> None:
    with pytest.raises(InputError, match="no time zone"):
        evaluate(KEEP_1, table(row("a")), NOW.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("relations", "said"),
    [
        ([("app", "a", "parent", "b")], "relation 'parent' is none of child, referrer"),
        ([("app", "a", "referrer", "b"), ("app", "a", "referrer", "a")], "one subject"),
    ],
)
def test_families_that_cannot_be_are_refused(relations: list[tuple[str, ...]], said: str) -> None:
    families = pd.DataFrame(relations, columns=["repository", "digest", "relation", "of"])
    with pytest.raises(InputError, match=said):
        evaluate(KEEP_1, table(row("a"), row("b")), NOW, families=families)
    with pytest.raises(InputError, match="families has no column of"):
        evaluate(KEEP_1, table(row("a")), NOW, families=families.drop(columns="of"))


def _row_of(repository: int, image: Image) -> dict[str, Any]:
    def moment(ms: int | None) -> datetime | None:
        return None if ms is None else from_ms(ms)

    return {
        "repository": f"{repository:04}",
        "digest": image.digest,
        "tags": sorted(image.tags),
        "pushed_at": moment(image.pushed_at_ms),
        "last_recorded_pull_time": moment(image.last_pull_ms),
        # The table knows no other status, and one that nobody knows counts as active.
        "status": "ACTIVE" if image.status is ImageStatus.OTHER else image.status.name,
        "archived_at": moment(image.archived_at_ms),
        "activated_at": moment(image.activated_at_ms),
        "children": list(image.children),
        "subject": image.subject,
    }


@examples(60)
@given(lifecycle_cases())
def test_tables_say_what_the_evaluator_says(case: LifecycleCase) -> None:
    world = case.world
    rows = [_row_of(at, image) for at, images in enumerate(world.repositories) for image in images]
    evaluator = Evaluator(world.frames, world.facts, world.families, now_ms=case.now_ms)
    for policy in case.policies:
        verdicts = evaluator.judge([policy], np.zeros(len(world.repositories), np.int64))
        images = pd.DataFrame(rows, columns=list(_row_of(0, Image("a"))))
        answer = evaluate(policy, images, from_ms(case.now_ms))
        assert answer["outcome"].tolist() == [Outcome(code).name for code in verdicts.outcome.tolist()]
        assert answer["reason"].tolist() == [Reason(code).name for code in verdicts.reason.tolist()]
        assert answer["rule"].fillna(0).tolist() == verdicts.rule.tolist()
        assert answer["rank"].fillna(0).tolist() == verdicts.rank.tolist()
        known = verdicts.age_ms != NO_TIME
        assert answer["age"].notna().tolist() == known.tolist()
        assert answer["age"][known].astype("int64").tolist() == verdicts.age_ms[known].tolist()
        assert answer["deferred"].tolist() == verdicts.deferred.tolist()
        assert answer["near_limit"].tolist() == verdicts.near_limit.tolist()


def test_the_public_names_are_there() -> None:
    for name in analyzer.lifecycle.__all__:
        assert getattr(analyzer.lifecycle, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'evaluator'"):
        _ = analyzer.lifecycle.evaluator
