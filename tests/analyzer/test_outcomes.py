"""What came of changes of policies, on nights written through the real store."""

from __future__ import annotations

import csv
import io
import json

import pytest

from analyzer.lifecycle.past import Past
from analyzer.model.history import Fate, Outcomes, PolicyOutcome
from analyzer.outcomes import policy_outcomes
from analyzer.store.engine import Database
from analyzer.store.history_frames import load_history
from analyzer.store.snapshots import last_run, snapshots_of_run
from reports.csv import render_outcomes_csv
from reports.outcome import outcome_json, outcome_text
from tests.analyzer.lifecycle.documents import DAYS, document, rule
from tests.analyzer.lifecycle.test_plans import policy_text
from tests.oracle.back_test import Night
from tests.oracle.lifecycle import DAY_MS, Image
from tests.strategies.history import BEGIN_MS
from tests.strategies.registries import sha256
from tests.support.databases import Provider
from tests.support.written_past import write_nights

_KEEP_ONE = policy_text(1)


@pytest.fixture
def database(sqlite: Provider) -> Database:
    return sqlite.clean()


def _image(name: str, *tags: str, age: float = 1, children: tuple[str, ...] = ()) -> Image:
    return Image(name, frozenset(tags), BEGIN_MS - round(age * DAY_MS), children=children)


_OLD, _MID, _NEW = _image("old", "v1", age=9), _image("mid", "v2", age=5), _image("new", "v3")


def _nights(*images: tuple[Image, ...]) -> list[Night]:
    return [Night(BEGIN_MS + number * DAY_MS, some) for number, some in enumerate(images)]


def _from(
    night: int, nights: int, text: str = _KEEP_ONE, name: str = "app"
) -> dict[tuple[str, int], str | None]:
    return {(name, number): text for number in range(night, nights)}


def _untagged_for(days: int) -> str:
    return document(rule(selection={"tagStatus": "untagged", **DAYS, "countNumber": days}))


def _outcomes(database: Database, *globs: str) -> Outcomes:
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, last_run(connection))
    return policy_outcomes(Past(load_history(database, snapshots)), globs=globs)


def _one(database: Database) -> PolicyOutcome:
    (change,) = _outcomes(database).changes
    return change


def _fates(change: PolicyOutcome) -> dict[str, Fate]:
    names = {sha256(name): name for name in ("old", "mid", "new", "index", "child")}
    return {names[image.digest]: image.fate for image in change.images}


def test_what_leaves_with_the_change_was_predicted(database: Database) -> None:
    all_three = (_OLD, _MID, _NEW)
    write_nights(
        database,
        {"app": _nights(all_three, all_three, (_NEW,), (_NEW,))},
        policies=_from(2, 4),
        blobs={"old": {"l1": 10, "base": 7}, "mid": {"l2": 20}, "new": {"base": 7}},
    )
    change = _one(database)
    assert _fates(change) == {"old": Fate.LEFT, "mid": Fate.LEFT}
    assert (change.predicted_bytes, change.freed_bytes) == (30, 30)
    assert (change.text_before, change.text_after) == (None, _KEEP_ONE)
    assert change.known_before_at.day == change.changed_at.day - 1
    assert [image.tags for image in change.images] == [("v1",), ("v2",)]


def test_ecr_has_a_day_and_later_is_late(database: Database) -> None:
    all_three = (_OLD, _MID, _NEW)
    write_nights(
        database,
        {"app": _nights(all_three, all_three, (_MID, _NEW), (_MID, _NEW), (_NEW,))},
        policies=_from(1, 5),
    )
    assert _fates(_one(database)) == {"old": Fate.LEFT, "mid": Fate.LEFT_LATE}


def test_what_is_still_there_waits_or_wants_a_reason(database: Database) -> None:
    both = (_OLD, _NEW)
    write_nights(database, {"app": _nights(both, both)}, policies=_from(1, 2))
    (image,) = _one(database).images
    assert (image.fate, image.rule) == (Fate.DUE, 1)
    write_nights(
        database,
        {"app": [Night(BEGIN_MS + number * DAY_MS, both) for number in (2, 3)]},
        policies=_from(0, 2),
    )
    change = _one(database)
    assert _fates(change) == {"old": Fate.STILL_THERE}
    assert "demurrage verify" in change.images[0].reason
    assert change.freed_bytes == 0


def test_what_a_push_saved_from_the_policy_says_so(database: Database) -> None:
    pushed = Image("old", frozenset({"v1"}), BEGIN_MS + DAY_MS * 2)
    by_age = _untagged_for(4)
    bare = Image("old", frozenset(), BEGIN_MS - 9 * DAY_MS)
    nights = _nights((bare, _NEW), (bare, _NEW), (pushed, _NEW), (pushed, _NEW), (pushed, _NEW))
    write_nights(database, {"app": nights}, policies=_from(1, 5, by_age))
    (image,) = _one(database).images
    assert image.fate is Fate.STILL_THERE
    assert "takes it no more" in image.reason


def test_what_nobody_predicted_was_deleted_by_hand(database: Database) -> None:
    write_nights(
        database, {"app": _nights((_OLD, _NEW), (_OLD, _NEW), (_OLD,))}, policies=_from(1, 3, policy_text(5))
    )
    assert _fates(_one(database)) == {"new": Fate.NOT_PREDICTED}


def test_an_image_that_passes_its_limit_between_two_nights_was_predicted(database: Database) -> None:
    by_age = _untagged_for(3)
    # Three days old some hours after the second night, and gone on the third.
    bare = Image("old", frozenset(), BEGIN_MS - 2 * DAY_MS + DAY_MS // 3)
    write_nights(
        database, {"app": _nights((bare, _NEW), (bare, _NEW), (_NEW,), (_NEW,))}, policies=_from(1, 4, by_age)
    )
    assert _fates(_one(database)) == {"old": Fate.LEFT}


def test_what_an_index_holds_is_rightly_there(database: Database) -> None:
    child = _image("child", age=9)
    index = _image("index", "v1", age=8, children=("child",))
    untagged = _untagged_for(3)
    nights = _nights((child, index), (child, index), (child, index), (child, index))
    write_nights(database, {"app": nights}, policies=_from(1, 4, untagged))
    (image,) = _one(database).images
    assert (image.fate, image.reason) == (Fate.HELD, "an index that stays holds it")


def test_a_repository_not_read_since_is_unknown(database: Database) -> None:
    both = (_OLD, _NEW)
    write_nights(
        database,
        {"app": _nights(both, both, both, both)},
        policies=_from(1, 4),
        partial=[("app", 1), ("app", 2), ("app", 3)],
    )
    assert _fates(_one(database)) == {"old": Fate.UNKNOWN}


def test_each_change_ends_with_the_next_and_removal_takes_nothing(database: Database) -> None:
    both = (_OLD, _NEW)
    policies = {("app", 1): _KEEP_ONE, ("app", 2): _KEEP_ONE}
    write_nights(database, {"app": _nights(both, both, (_NEW,), (_NEW,), (_NEW,))}, policies=policies)
    removed, made = _outcomes(database).changes
    assert (made.text_after, removed.text_after) == (_KEEP_ONE, None)
    assert _fates(made) == {"old": Fate.LEFT}
    assert removed.images == ()
    assert made.until < removed.changed_at


def test_policies_that_are_not_valid_predict_nothing_and_are_told(database: Database) -> None:
    both = (_OLD, _NEW)
    write_nights(database, {"app": _nights(both, both)}, policies=_from(1, 2, "{"))
    outcomes = _outcomes(database)
    assert [change.images for change in outcomes.changes] == [()]
    assert any("not valid" in sentence for sentence in outcomes.unknown)


def test_every_format_has_it_and_survives_the_names_of_others(database: Database) -> None:
    evil = Image("old", frozenset({"=1+1", "\x1b[31m"}), BEGIN_MS - 9 * DAY_MS)
    write_nights(
        database,
        {"app": _nights((evil, _NEW), (evil, _NEW), (evil,)), "other": _nights((_NEW,), (_NEW,), (_NEW,))},
        policies={**_from(1, 3), **_from(1, 3, name="other")},
    )
    outcomes = _outcomes(database, "app")
    text = outcome_text(outcomes)
    assert "\x1b" not in text
    assert "policy set between" in text
    found = json.loads(outcome_json(outcomes))
    assert found["changes"][0]["counts"]["not_predicted"] == 1
    rows = list(csv.DictReader(io.StringIO(render_outcomes_csv(outcomes))))
    assert [row["fate"] for row in rows] == ["still_there", "not_predicted"]
    assert all(not row["tags"].startswith("=") for row in rows)
    assert "No change" in outcome_text(Outcomes(changes=(), unknown=()))
