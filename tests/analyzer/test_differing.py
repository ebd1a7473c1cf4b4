"""Two runs against each other: held to plain set differences, and to what people ask for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest

from analyzer.differing import compare_runs, runs_to_compare
from analyzer.errors import InputError
from analyzer.model.history import Difference, ImageEvent
from analyzer.model.records import ImageStatus, ReadStatus, RegistryKey, RegistryRead, RepositoryRead
from analyzer.model.units import add_up
from analyzer.nightly import ReportOptions
from analyzer.pricing import bundled_prices
from analyzer.store.engine import Database
from reports.diff import diff_csv, diff_json, diff_text
from tests.analyzer.lifecycle.test_plans import policy_text
from tests.analyzer.store.examples import commit, image, read_of
from tests.oracle.back_test import Blobs, Night
from tests.oracle.lifecycle import DAY_MS, Image
from tests.strategies.history import BEGIN_MS, draw_past
from tests.strategies.registries import sha256
from tests.support.databases import Provider
from tests.support.report_fixture import HOSTILE
from tests.support.written_past import KEY, write_nights

_OPTIONS = ReportOptions(prices=bundled_prices())


@pytest.fixture
def database(sqlite: Provider) -> Database:
    return sqlite.clean()


def _compare(database: Database, before: int, after: int, *globs: str) -> Difference:
    return compare_runs(database, before, after, _OPTIONS, globs=globs)


@pytest.mark.parametrize("seed", range(8))
def test_what_happened_is_what_sets_say_and_rows_add_up(database: Database, seed: int) -> None:
    past = draw_past(Random(1000 + seed))
    # The nights of one registry.
    chosen = [number for number, registry in enumerate(past.registry) if registry == past.registry[0]]
    nights = {f"repository-{number}": list(map(_one_each, past.repositories[number])) for number in chosen}
    write_nights(database, nights, blobs=past.blobs)
    last = len(past.repositories[chosen[0]])
    if last == 1:
        return
    found = _compare(database, 1, last)
    expected = Counter[tuple[str, str, str]]()
    for name, of in nights.items():
        expected.update((name, digest, event) for digest, event in _events(of[0], of[-1]))
    columns = (found.images[column].tolist() for column in ("repository", "digest", "event"))
    assert Counter(zip(*columns, strict=True)) == expected
    assert {row.repository: sum(row.events.values()) for row in found.repositories} == {
        name: sum(count for (of, *_), count in expected.items() if of == name) for name in nights
    }
    stored = {
        name: tuple(_stored([night], past.blobs) for night in (of[0], of[-1])) for name, of in nights.items()
    }
    for row in found.repositories:
        assert row.change.bytes is not None
        assert row.change.bytes.repository == stored[row.repository][1] - stored[row.repository][0]
    assert found.totals.bytes is not None
    whole = [_stored([of[at] for of in nights.values()], past.blobs) for at in (0, -1)]
    assert found.totals.bytes.registry == whole[1] - whole[0]
    _assert_adds_up(found)


def _one_each(night: Night) -> Night:
    """With every tag on one image alone, as a registry has it."""
    seen: set[str] = set()
    images = []
    for one in night.images:
        images.append(replace(one, tags=one.tags - seen))
        seen |= one.tags
    return replace(night, images=tuple(images))


def _events(before: Night, after: Night) -> list[tuple[str, str]]:
    """What happened between two nights, by digest; no policy is in force."""
    old, new = ({image.digest: image for image in night.images} for night in (before, after))
    events = [(digest, ImageEvent.PUSHED) for digest in new.keys() - old.keys()]
    events += [(digest, ImageEvent.DELETED) for digest in old.keys() - new.keys()]
    for digest in old.keys() & new.keys():
        was, now = old[digest], new[digest]
        # Reports tell times to the second.
        if _second(was.pushed_at_ms) != _second(now.pushed_at_ms):
            events.append((digest, ImageEvent.REPUSHED))
        archived = [one.status is ImageStatus.ARCHIVED for one in (was, now)]
        if archived[0] != archived[1]:
            events.append((digest, ImageEvent.ARCHIVED if archived[1] else ImageEvent.RESTORED))
        if was.tags != now.tags:
            events.append((digest, ImageEvent.RETAGGED))
    return [(sha256(digest), str(event)) for digest, event in events]


def _second(moment: int | None) -> int | None:
    return None if moment is None else moment // 1000


def _stored(nights: Sequence[Night], blobs: Mapping[str, Blobs]) -> int:
    held: dict[str, int] = {}
    for night in nights:
        for one in night.images:
            held.update(blobs.get(one.digest, {}))
    return sum(held.values())


def _assert_adds_up(found: Difference) -> None:
    known = [row.change for row in found.repositories if row.change.bytes is not None]
    totals = found.totals
    assert totals.bytes is not None
    assert totals.bytes.repository == sum(change.bytes.repository for change in known if change.bytes)
    assert totals.bytes.registry == found.shared_bytes + sum(
        change.bytes.registry for change in known if change.bytes
    )
    assert totals.artifacts == sum(change.artifacts or 0 for change in known)
    assert totals.cost.repository == add_up(change.cost.repository for change in known)
    assert totals.cost.registry == add_up([*(change.cost.registry for change in known), found.shared_cost])


_OLD = Image("old", frozenset({"v1"}), BEGIN_MS - 40 * DAY_MS)
_NEW = Image("new", frozenset({"v2"}), BEGIN_MS - DAY_MS)
_BLOBS = {"old": {"l1": 10**9, "l2": 5}, "new": {"l2": 5}}


def _night(number: int, *images: Image) -> Night:
    return Night(BEGIN_MS + number * DAY_MS, images)


def test_what_a_policy_in_force_takes_expired_and_the_rest_was_deleted(database: Database) -> None:
    keep = {("app", 0): policy_text(1), ("app", 1): policy_text(1)}
    nights = [_night(0, _OLD, _NEW), _night(1)]
    write_nights(database, {"app": nights, "bare": nights}, blobs=_BLOBS, policies=keep)
    events = _by_name(_compare(database, 1, 2))
    assert events == {
        ("app", sha256("old")): "expired",
        ("app", sha256("new")): "deleted",
        ("bare", sha256("old")): "deleted",
        ("bare", sha256("new")): "deleted",
    }


def test_a_policy_that_came_in_between_may_have_taken_it_too(database: Database) -> None:
    write_nights(
        database,
        {"app": [_night(0, _OLD, _NEW), _night(1, _NEW)]},
        policies={("app", 1): policy_text(1)},
    )
    found = _compare(database, 1, 2)
    assert _by_name(found) == {("app", sha256("old")): "expired"}
    (change,) = found.settings
    assert (change.repository, change.name, change.before) == ("app", "lifecycle_policy_text", "null")
    assert change.after is not None
    assert json.loads(json.loads(change.after))["rules"]


def test_what_no_known_policy_explains_is_not_called_deleted(database: Database) -> None:
    spoilt = {("app", 0): "{", ("app", 1): "{"}
    write_nights(database, {"app": [_night(0, _OLD), _night(1)]}, policies=spoilt)
    assert _by_name(_compare(database, 1, 2)) == {("app", sha256("old")): "gone"}


def _by_name(found: Difference) -> dict[tuple[str, str], str]:
    columns = (found.images[name].tolist() for name in ("repository", "digest", "event"))
    return {(repository, digest): event for repository, digest, event in zip(*columns, strict=True)}


def test_a_repository_made_again_under_its_name_is_gone_and_new(database: Database) -> None:
    write_nights(database, {"app": [_night(0, _OLD)]}, blobs=_BLOBS)
    write_nights(database, {"app": [_night(1, _OLD)]}, blobs=_BLOBS, created={"app": 2})
    found = _compare(database, 1, 2)
    assert [(row.status, row.change.artifacts) for row in found.repositories] == [("gone", -1), ("new", 1)]
    assert found.totals.artifacts == 0
    _assert_adds_up(found)


def test_a_repository_that_was_not_read_whole_since_has_no_known_change(database: Database) -> None:
    nights = [_night(0, _OLD), _night(1)]
    pushed = [_night(0, _OLD), _night(1, _NEW)]
    write_nights(database, {"app": pushed, "other": nights}, blobs=_BLOBS, partial=[("app", 1)])
    found = _compare(database, 1, 2)
    status = {row.repository: row.status for row in found.repositories}
    assert status == {"app": "unknown", "other": "changed"}
    assert found.totals.artifacts == -1
    assert "-1 artifacts where both sides are known: 2 before, 2 after in all" in diff_text(found)
    assert any("not read whole since" in sentence for sentence in found.unknown)
    app = next(row for row in found.repositories if row.repository == "app")
    assert (app.change.bytes, app.change.cost.repository.amount, app.events) == (None, None, {})
    _assert_adds_up(found)


def test_a_registry_that_one_side_did_not_read_is_in_no_change(database: Database) -> None:
    other = RegistryKey("aws", "222222222222", "us-east-1")
    commit(database, read_of(image("a"), taken_at_ms=BEGIN_MS))
    commit(database, read_of(image("b"), key=other, taken_at_ms=BEGIN_MS + DAY_MS))
    found = _compare(database, 1, 2)
    assert {row.account: row.status for row in found.repositories} == {
        KEY.account: "unknown",
        other.account: "unknown",
    }
    assert any("222222222222/us-east-1: not read on the earlier side" in one for one in found.unknown)
    assert any("run 2 did not read it" in one for one in found.unknown)
    # Nothing is known to have changed, which is not that nothing has.
    assert (found.totals.artifacts, found.totals.bytes, found.totals.cost.registry.amount) == (
        None,
        None,
        None,
    )
    assert "unknown artifacts where both sides are known: 1 before, 2 after in all" in diff_text(found)


def test_what_was_never_listed_holds_an_unknown_number_and_not_none(database: Database) -> None:
    refused = RepositoryRead("app", 5, ReadStatus.REFUSED)
    for number in range(2):
        commit(database, RegistryRead(KEY, BEGIN_MS + number * DAY_MS, ReadStatus.COMPLETE, [refused]))
    found = _compare(database, 1, 2)
    (row,) = found.repositories
    for change in (row.change, found.totals):
        assert (change.artifacts_before, change.artifacts_after, change.artifacts) == (None, None, None)
        assert (change.bytes_before, change.bytes_after, change.bytes) == (None, None, None)
        assert change.cost.repository.amount is None
    assert "unknown artifacts where both sides are known: unknown before" in diff_text(found)


def test_only_the_repositories_that_are_asked_for(database: Database) -> None:
    nights = [_night(0, _OLD), _night(1)]
    write_nights(database, {"team/app": nights, "other": nights}, blobs=_BLOBS)
    found = _compare(database, 1, 2, "team/*")
    assert [row.repository for row in found.repositories] == ["team/app"]
    assert found.totals.artifacts == -1
    with pytest.raises(InputError, match="no repository of either side has such a name"):
        _compare(database, 1, 2, "nobody/*")


def test_findings_that_came_and_went(database: Database) -> None:
    write_nights(
        database,
        {"app": [_night(0, _OLD, _NEW), _night(1, _OLD, _NEW)]},
        policies={("app", 1): policy_text(5)},
    )
    found = _compare(database, 1, 2)
    assert found.findings is not None
    assert ("mended", "NO_POLICY") in {(one.status, one.check) for one in found.findings}


def test_sides_are_named_by_number_word_date_or_time(database: Database) -> None:
    for number in range(4):
        commit(database, read_of(image("a"), taken_at_ms=BEGIN_MS + number * DAY_MS))
    assert runs_to_compare(database, "previous", "last") == (3, 4)
    assert runs_to_compare(database, "1", "4") == (1, 4)
    # 19,000 days after 1970-01-01.
    assert runs_to_compare(database, "2022-01-08", "2022-01-10") == (1, 3)
    assert runs_to_compare(database, "2022-01-08T03:00:01+01:00", "2022-01-10T01:59:59") == (1, 2)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("last", "last", "are the same run"),
        ("2", "1", "write the earlier one first"),
        ("9", "last", "run 9 left no snapshot; those that did are 1 to 2"),
        ("yesterday", "last", "is no run; write its number"),
        ("1999-01-01", "last", "no run had been done by then; the first was on 2022-01-08"),
        ("0001-01-01T00:00:00+23:59", "last", "no run had been done by then"),
    ],
)
def test_sides_that_name_nothing_are_told(database: Database, before: str, after: str, said: str) -> None:
    for number in range(2):
        commit(database, read_of(image("a"), taken_at_ms=BEGIN_MS + number * DAY_MS))
    with pytest.raises(InputError, match=said):
        runs_to_compare(database, before, after)


def test_one_run_has_nothing_before_it(database: Database) -> None:
    commit(database, read_of(image("a"), taken_at_ms=BEGIN_MS))
    with pytest.raises(InputError, match="nothing to compare it with"):
        runs_to_compare(database, "previous", "last")


def test_every_format_survives_the_names_of_others(database: Database) -> None:
    hostile = [name for name in HOSTILE if "\ud800" not in name]
    images = [Image(f"i{n}", frozenset({tag}), BEGIN_MS) for n, tag in enumerate(hostile)]
    moved = [replace(one, tags=frozenset({"[bold]x"})) for one in images]
    write_nights(database, {"=cmd|'/C calc'!A0": [_night(0, *images), _night(1, *moved[1:])]})
    found = _compare(database, 1, 2)
    text, document, rows = diff_text(found), json.loads(diff_json(found)), diff_csv(found, rows="image")
    assert "\x1b" not in text
    assert "[bold]x" in text
    assert len(document["images"]) == len(hostile)
    assert document["totals"]["artifacts"]["change"] == -1
    assert not any(cell.startswith("=") for line in rows.splitlines() for cell in line.split(","))
    assert "'=cmd" in diff_csv(found)


def test_bytes_of_manifests_that_no_side_could_read_are_unknown(database: Database) -> None:
    for number in range(2):
        commit(database, read_of(image("a"), image(f"b{number}"), taken_at_ms=BEGIN_MS + number * DAY_MS))
    found = _compare(database, 1, 2)
    (row,) = found.repositories
    for change in (row.change, found.totals):
        assert (change.artifacts_before, change.artifacts_after, change.artifacts) == (2, 2, 0)
        assert (change.bytes_before, change.bytes_after, change.bytes) == (None, None, None)
    assert row.status == "changed"


def test_a_list_of_repositories_that_never_came_is_no_empty_registry(database: Database) -> None:
    for number in range(2):
        commit(database, RegistryRead(KEY, BEGIN_MS + number * DAY_MS, ReadStatus.REFUSED))
    totals = _compare(database, 1, 2).totals
    assert (totals.artifacts_before, totals.artifacts, totals.bytes_after, totals.bytes) == (None,) * 4
    assert (totals.cost.repository.amount, totals.cost.registry.amount) == (None, None)
