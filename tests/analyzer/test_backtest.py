"""What shows that an image was needed afterwards, one case at a time; and what a back-test says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from analyzer.backtest import back_test, policies_of
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.policy import Action, Policy
from analyzer.model.history import BackTest, LaterKind
from analyzer.model.records import ImageStatus
from analyzer.pricing import bundled_prices
from tests.analyzer.lifecycle.worlds import rule
from tests.oracle.back_test import Blobs, Night, replay_slowly
from tests.oracle.lifecycle import DAY_MS, Image
from tests.strategies.history import BEGIN_MS, write

KEEP_ONE = Policy((rule(1, keep=1),))
_HOST = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"


def _image(
    name: str,
    *tags: str,
    age: int = 0,
    pulled: int | None = None,
    children: tuple[str, ...] = (),
    status: ImageStatus = ImageStatus.ACTIVE,
) -> Image:
    """Pushed so many days before the first night; ``pulled`` on the day so many after it."""
    return Image(
        digest=f"sha256:{name}",
        tags=frozenset(tags),
        pushed_at_ms=BEGIN_MS - age * DAY_MS - 1,
        last_pull_ms=None if pulled is None else (BEGIN_MS // DAY_MS + pulled + 1) * DAY_MS - 1,
        children=children,
        status=status,
    )


def _nights(*images: Sequence[Image], apart: int = 1) -> list[Night]:
    return [Night(BEGIN_MS + number * apart * DAY_MS, tuple(some)) for number, some in enumerate(images)]


def _test(
    nights: Sequence[Night],
    policy: Policy = KEEP_ONE,
    *,
    blobs: Mapping[str, Blobs] | None = None,
    workloads: Sequence[tuple[int, int, int, str, str]] = (),
    recorded: Sequence[tuple[int, int, str | None, str | None, str]] = (),
) -> BackTest:
    written = write([nights], names=["app"], blobs=blobs or {}, workloads=workloads, recorded=recorded)
    return back_test(Past(written.history), [policy], np.zeros(1, np.int64), prices=bundled_prices())


_OLD, _NEW = _image("old", "v1", age=9), _image("new", "v2")
_DAY = BEGIN_MS // DAY_MS


def test_a_pull_of_a_later_day_shows_that_the_image_was_needed() -> None:
    test = _test(_nights([_OLD, _NEW], [_OLD, _NEW], [_image("old", "v1", age=9, pulled=2), _NEW]))
    assert (test.totals.removed, test.totals.pulled, test.totals.needed) == (1, 1, 1)
    (example,) = test.examples
    assert (example.digest, example.tags, example.kind) == ("sha256:old", ("v1",), LaterKind.PULLED)
    assert (example.days, example.rule, example.action) == (2, 1, "expire")
    assert example.needed_on == date.fromordinal(date(1970, 1, 1).toordinal() + _DAY + 2)


def test_a_pull_before_it_was_taken_shows_nothing() -> None:
    old = _image("old", "v1", age=9, pulled=-1)
    assert _test(_nights([old, _NEW], [old, _NEW])).totals.needed == 0


def test_a_pull_of_the_very_day_is_neither_before_nor_after() -> None:
    test = _test(_nights([_OLD, _NEW], [_image("old", "v1", age=9, pulled=0), _NEW]))
    assert (test.totals.needed, test.totals.same_day) == (0, 1)
    assert any("very day" in sentence for sentence in test.unknown)


def test_a_pull_of_the_day_that_the_night_knew_already_was_before() -> None:
    old = _image("old", "v1", age=9, pulled=0)
    assert _test(_nights([old, _NEW], [old, _NEW])).totals.same_day == 0


def test_of_what_no_later_night_saw_nothing_is_known() -> None:
    test = _test(_nights([_OLD, _NEW], [_NEW]))
    assert (test.totals.removed, test.totals.unwatched) == (1, 1)
    assert any("seen by no later night" in sentence for sentence in test.unknown)


def test_a_pull_after_the_next_push_is_of_the_new_image() -> None:
    again = Image("sha256:old", frozenset({"v3"}), BEGIN_MS + DAY_MS // 2, (_DAY + 3) * DAY_MS - 1)
    test = _test(_nights([_OLD, _NEW], [again, _NEW], [again, _NEW]))
    # Taken, pushed again, and then the other one is the older.
    assert (test.totals.removed, test.totals.needed) == (2, 0)


def test_another_tag_shows_that_somebody_promoted_it() -> None:
    test = _test(_nights([_OLD, _NEW], [_image("old", "v1", "prod", age=9), _NEW]))
    assert (test.totals.tagged, test.totals.pulled) == (1, 0)
    assert test.examples[0].by == "prod"


def test_tags_that_it_had_or_lost_show_nothing() -> None:
    test = _test(_nights([_OLD, _NEW], [_image("old", age=9), _NEW]))
    assert test.totals.tagged == 0


def test_a_workload_that_named_its_digest_or_tag_then_or_later_used_it() -> None:
    nights = _nights([_OLD, _NEW], [_OLD, _NEW], [_OLD, _NEW])
    for reference in (f"{_HOST}/app:v1", f"{_HOST}/app@sha256:old", f"{_HOST}/app:v9@sha256:old"):
        for first, gone in ((0, 1), (1, 3), (0, 3)):
            test = _test(nights, workloads=[(0, first, gone, "ecs prod/web", reference)])
            assert (test.totals.used, test.examples[0].by) == (1, "ecs prod/web"), (reference, first)
            assert test.examples[0].days == first


def test_a_workload_of_another_repository_or_of_before_used_nothing() -> None:
    nights = _nights([_OLD, _NEW], [_OLD, _NEW], [_OLD, _NEW])
    for reference in (f"{_HOST}/other:v1", f"{_HOST}/app:v2", "docker.io/library/app:v1", "no reference!"):
        assert _test(nights, workloads=[(0, 0, 3, "ecs w", reference)]).totals.used == 0
    late = Policy((rule(1, pushed=10),))
    # It is ten days old on the second night, when nothing names it any more.
    assert _test(nights, late, workloads=[(0, 0, 1, "ecs w", f"{_HOST}/app:v1")]).totals.used == 0


def test_an_index_is_used_where_an_image_of_it_runs() -> None:
    child = _image("child", age=9)
    index = _image("index", "v1", age=8, children=("sha256:child",))
    nights = _nights([child, index, _NEW], [child, index, _NEW])
    test = _test(nights, workloads=[(0, 0, 2, "eks pod", f"{_HOST}/app@sha256:child")])
    assert (test.totals.removed, test.totals.used) == (2, 2)


def test_pulls_that_cloudtrail_recorded_count_and_say_by_whom() -> None:
    nights = _nights([_OLD, _NEW], [_OLD, _NEW], [_OLD, _NEW], [_OLD, _NEW])
    by_digest = [(_DAY + 2, 0, "sha256:old", None, "role/ci")]
    by_tag = [(_DAY + 1, 0, None, "v1", "role/ci")]
    for recorded in (by_digest, by_tag):
        test = _test(nights, recorded=recorded)
        assert (test.totals.pulled, test.examples[0].by) == (1, "role/ci")
        assert test.examples[0].kind is LaterKind.RECORDED
    # The tag moved that day, and nobody knows what came.
    moved = _nights([_OLD, _NEW], [_OLD, _NEW], [_image("old", age=9), _image("new", "v1", "v2")])
    assert _test(moved, recorded=by_tag).totals.pulled == 0
    assert _test(nights, recorded=[(_DAY, 0, "sha256:old", None, "x")]).totals.same_day == 1


def test_what_it_took_stays_taken_and_takes_no_place_in_later_nights() -> None:
    """Judged each night anew, what an earlier rule took would still fill a place under a later one."""
    policy = Policy((rule(1, "a*", pushed=1), rule(2, keep=2)))
    taken, kept = _image("x", "a1", age=3), _image("y", "b1", age=5)
    nights = _nights([taken, kept], [taken, kept, _image("z", "b2", age=-1)])
    assert [one.digest for one in replay_slowly(nights, policy)] == ["sha256:x"]
    anew = replay_slowly(nights, policy, remembering=False)
    assert {one.digest for one in anew} == {"sha256:x", "sha256:y"}
    assert _test(nights, policy).totals.removed == 1


def test_bytes_count_for_as_long_as_they_would_not_have_been_stored() -> None:
    blobs = {"sha256:old": {"sha256:l1": 100, "sha256:shared": 7}, "sha256:new": {"sha256:shared": 7}}
    test = _test(_nights([_OLD, _NEW], [_OLD, _NEW], [_NEW], apart=10), blobs=blobs)
    # It left in truth between the second night and the third, by which it is not seen.
    assert test.saved_byte_days.repository == 100 * 20
    assert test.saved.repository.period == "20 days"
    gb_months = Decimal(100) / 2**30 * 20 / Decimal("30.4375")
    assert test.saved.repository.amount == pytest.approx(gb_months * Decimal("0.10"), rel=Decimal("1e-9"))


def test_days_between_nights_are_judged_too() -> None:
    late = Policy((rule(1, pushed=12),))
    test = _test(_nights([_OLD, _NEW], [_OLD, _NEW], apart=10), late)
    assert test.totals.removed == 1
    assert (test.nights, test.moments) == (2, 11)
    # Ten days apart is a hole in what is known.
    assert any("no snapshot for up to 10 days" in sentence for sentence in test.unknown)


def test_what_is_archived_counts_by_itself() -> None:
    archive = Policy((rule(1, pushed=5, action=Action.TRANSITION),))
    pulled = _image("old", "v1", age=9, pulled=1)
    test = _test(_nights([_OLD, _NEW], [pulled, _NEW]), archive)
    assert (test.totals.removed, test.totals.archived, test.totals.needed) == (0, 1, 1)
    assert test.examples[0].action == "archive"


def test_repositories_without_a_policy_are_left_out_and_others_keep_their_row() -> None:
    nights = _nights([_OLD, _NEW])
    written = write([nights, nights], names=["a", "b"])
    history = written.history
    policy_of = policies_of(history, history.frames, np.array([-1, 0]))
    test = back_test(Past(history), [KEEP_ONE], policy_of)
    assert [(row.repository, row.counts.removed) for row in test.repositories] == [("b", 1)]
    assert test.saved.repository.amount is None


def test_nothing_at_all_is_an_answer_too() -> None:
    test = back_test(Past(write([[]]).history), [KEEP_ONE], np.full(1, -1))
    assert (test.first_at, test.nights, test.repositories) == (None, 0, ())
