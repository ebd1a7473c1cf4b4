"""Pulls in the store: whatever comes, in any files, order and number, each event counts once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from analyzer.model.pull_batches import ALL_HOURS, Evidence, FileMark, PullBatch, WrittenPulls
from analyzer.model.pulls import (
    NOT_TOLD,
    Confidence,
    Coverage,
    Hints,
    LeftOut,
    NoOrigin,
    Origin,
    Puller,
    PullHistory,
    RegionMethod,
    Target,
    Told,
)
from analyzer.model.records import RegistryKey
from analyzer.pulls.batches import columns_of
from analyzer.pulls.files import Extract
from analyzer.pulls.records import Rules, read_record
from analyzer.store import pull_coverage, pull_events, tables
from analyzer.store.engine import Database
from analyzer.store.interning import digest_ids
from analyzer.store.pull_coverage import known_files
from analyzer.store.pulls import PullStore, load_layer_sizes, load_pulls
from tests.analyzer.store.examples import KEY, commit, image, read_of
from tests.oracle.pulls import count_pulls
from tests.support.databases import Provider
from tests.support.examples import database_examples
from tests.support.trails import OTHER, OWNER, REGION, layer, record, reduced_identity, role_identity

_DAY = 20_731
_RULES = Rules(("*/trivy",))


class _BySession:
    """Tells the region of some sessions."""

    def tell(self, hints: Hints, /) -> Told:
        """By the session's last letter."""
        if hints.session.endswith("1"):
            return Told("us-east-1", RegionMethod.INSTANCE, Confidence.HIGH)
        return NOT_TOLD


def _batch(records: Sequence[dict[str, Any]], origin: Origin | None = None, **more: Any) -> PullBatch:
    half = len(records) // 2
    extracts = [Extract(), Extract()]
    extracts[0].add(records[:half], _RULES)
    extracts[1].add(records[half:], _RULES)
    return PullBatch(columns_of(extracts, origin or NoOrigin()), **more)


def _load(database: Database, first: int = _DAY - 400, last: int = _DAY + 400) -> PullHistory:
    with database.read() as connection:
        return load_pulls(connection, first, last, registries=())


def _load_all(database: Database) -> Counter[tuple[Any, ...]]:
    with database.read() as connection:
        history = load_pulls(connection, _DAY - 400, _DAY + 400)
    found: Counter[tuple[Any, ...]] = Counter()
    for row in history.pulls:
        found[row[:-1]] += row.times
    for left_out in history.left_out:
        found[left_out[:-1]] += left_out.times
    return found


_IDENTITIES: tuple[Callable[[], dict[str, Any]], ...] = (
    lambda: role_identity(session="i-1"),
    lambda: role_identity(role="ci", session="s"),
    lambda: role_identity(role="aws-service-role/x.ecr.amazonaws.com/X"),
    lambda: role_identity(role="trivy"),
    dict,
)
_OF_OTHERS: tuple[Callable[[], dict[str, Any]], ...] = (
    lambda: role_identity(OTHER, session="i-1"),
    lambda: role_identity(OTHER, "ci", session="s"),
    lambda: role_identity(OTHER, "trivy"),
    lambda: role_identity(OTHER, "aws-service-role/x.ecr.amazonaws.com/X"),
)


@st.composite
def _calls(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Calls, each with the records that CloudTrail writes of it."""
    calls = []
    for number in range(draw(st.integers(0, 14))):
        name = draw(st.sampled_from(["GetDownloadUrlForLayer", "BatchGetImage"]))
        asked: dict[str, Any] = {"layerDigest": layer(draw(st.integers(0, 2)))}
        if name == "BatchGetImage":
            images = st.sampled_from([{"imageTag": "a"}, {"imageDigest": layer(9)}, {"imageTag": "b"}, {}])
            asked = {"imageIds": draw(st.lists(images, min_size=1, max_size=3))}
        about: dict[str, Any] = {
            "name": name,
            "asked": asked,
            "time": f"2026-10-0{draw(st.integers(4, 6))}T08:00:00Z",
            "repository": draw(st.sampled_from(["app", "team/app"])),
        }
        if draw(st.integers(0, 4)) == 0:
            about["errorCode"] = "AccessDenied"
        if draw(st.booleans()):
            calls.append([record(f"e{number}", identity=draw(st.sampled_from(_IDENTITIES))(), **about)])
            continue
        about |= {"sharedEventID": f"shared{number}"}
        identity = draw(st.sampled_from(_OF_OTHERS))()
        session = identity["principalId"].partition(":")[2]
        copies = [
            record(f"o{number}", identity=reduced_identity(session=session), **about),
            record(f"p{number}", identity=identity, recipient=OTHER, **about),
            record(f"x{number}", identity=reduced_identity(session="?"), recipient="777788889999", **about),
        ]
        calls.append(draw(st.lists(st.sampled_from(copies), min_size=1, max_size=3, unique_by=id)))
    return calls


@database_examples(60)
@given(calls=_calls(), seed=st.integers(0, 2**32))
def test_each_event_counts_once_in_any_order_and_any_number(
    sqlite: Provider, calls: list[list[dict[str, Any]]], seed: int
) -> None:
    _hold_to_the_oracle(sqlite.clean(), calls, random.Random(seed))


@database_examples(8)
@given(calls=_calls(), seed=st.integers(0, 2**32))
def test_on_postgresql_too(postgresql: Provider, calls: list[list[dict[str, Any]]], seed: int) -> None:
    _hold_to_the_oracle(postgresql.clean(), calls, random.Random(seed))


def _hold_to_the_oracle(database: Database, calls: list[list[dict[str, Any]]], chance: random.Random) -> None:
    records = [found for call in calls for found in call]
    sent = records + [found for found in records if chance.random() < 0.4]
    chance.shuffle(sent)
    # Two writers that take turns, and one that begins anew now and then.
    stores = [PullStore(database), PullStore(database)]
    written = WrittenPulls(0, 0, 0)
    while sent:
        part, sent = sent[: (cut := chance.randrange(1, 9))], sent[cut:]
        written += stores[chance.randrange(2)].write(_batch(part, _BySession()))
        if chance.random() < 0.2:
            stores[0] = PullStore(database)
    assert _load_all(database) == count_pulls(records, lambda found: read_record(found, _RULES), _BySession())
    rows = sum(len(facts.targets) for found in records if (facts := read_record(found, _RULES)))
    assert (written.new, written.late) == (rows, 0)


def test_the_copy_that_comes_late_moves_the_pull_to_the_role(database: Database) -> None:
    store = PullStore(database)
    owners = record("o", identity=reduced_identity(), sharedEventID="s")
    pullers = record("p", identity=role_identity(OTHER), recipient=OTHER, sharedEventID="s")
    store.write(_batch([owners]))
    assert [(row.principal_account, row.principal, row.times) for row in _all_pulls(database)] == [
        (OTHER, "", 1)
    ]
    store.write(_batch([pullers]))
    role = f"arn:aws:iam::{OTHER}:role/nodes"
    assert [(row.principal_account, row.principal, row.times) for row in _all_pulls(database)] == [
        (OTHER, role, 1)
    ]


def _all_pulls(database: Database) -> Sequence[Any]:
    with database.read() as connection:
        return load_pulls(connection, _DAY, _DAY).pulls


def test_a_batch_that_fails_leaves_nothing_and_can_come_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PullStore(database)
    store.write(_batch([record("a")]))
    batch = _batch([record("a"), record("b")], files=(FileMark("s3", _DAY, 7),))
    with monkeypatch.context() as broken:
        broken.setattr("analyzer.store.pulls.mark_files", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.write(batch)
    assert [row.times for row in _all_pulls(database)] == [1]
    with database.read() as connection:
        assert not len(known_files(connection, "s3", _DAY))
    assert store.write(batch) == (1, 1, 0)
    assert [row.times for row in _all_pulls(database)] == [2]


def test_a_closed_day_takes_no_more_and_keeps_what_it_has(database: Database) -> None:
    store, other = PullStore(database), PullStore(database)
    store.write(_batch([record("a"), record("b", time="2026-10-06T00:00:00Z")]))
    other.write(_batch([record("c")]))
    assert store.close_days(_DAY + 1) == 1
    assert store.close_days(_DAY + 1) == 0
    for writer in (store, other):
        written = writer.write(_batch([record("a"), record("d"), record("b", time="2026-10-06T00:00:00Z")]))
        assert written == (0, 1, 2)
    assert [row.times for row in _all_pulls(database)] == [2]


def test_many_small_pieces_of_a_day_are_put_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_events, "_MANY", 3)
    monkeypatch.setattr(pull_coverage, "_MANY", 3)
    stores = [PullStore(database), PullStore(database)]
    for number in range(20):
        shared: dict[str, Any] = {"sharedEventID": f"s{number}", "identity": reduced_identity()}
        batch = _batch(
            [record(f"a{number}"), record(f"b{number}", **shared)], files=(FileMark("x", 5, number),)
        )
        assert stores[number % 2].write(batch).new == 2
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM pull_events").scalar_one()
        assert known_files(connection, "x", 5).tolist() == list(range(20))
        assert known_files(connection, "y", 5).tolist() == []
    assert rows <= 6
    again = [record(f"a{number}") for number in range(20)]
    assert PullStore(database).write(_batch(again)) == (0, 20, 0)


def test_memory_of_days_is_bounded_and_correct(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_events, "_REMEMBERED", 3)
    store = PullStore(database)
    records = [record(f"{n}", time=f"2026-10-{1 + n % 5:02}T00:00:00Z") for n in range(20)]
    for found in records + records:
        store.write(_batch([found]))
    assert sum(_load_all(database).values()) == 20


def test_coverage_says_what_is_missing(database: Database) -> None:
    def row(day: int, **more: Any) -> Evidence:
        return Evidence(day, OWNER, REGION, "s3://logs", **more)

    most = ALL_HOURS & ~(1 << 3) & ~(3 << 22)
    evidence = (
        row(1, hours=ALL_HOURS, has_reads=True),
        row(2, hours=most, has_reads=True),
        row(3, hours=most, has_reads=True, is_whole=True),
        row(4, hours=ALL_HOURS),
        row(5, problem="no file of that day"),
        row(6, hours=ALL_HOURS, has_reads=True, problem="a file is damaged"),
        row(7, hours=1, has_reads=True),
        row(7, hours=ALL_HOURS & ~1, problem="x"),
        row(7, problem="", is_whole=True),
        row(8),
    )
    PullStore(database).write(_batch([], evidence=evidence))
    with database.read() as connection:
        history = load_pulls(connection, 1, 9, [RegistryKey("aws", OWNER, REGION)])
    assert [(found.day, found.status, found.detail) for found in history.coverage] == [
        (1, "complete", ""),
        (2, "partial", "no events of 03:00-04:00, 22:00-24:00 (UTC): nothing happened, or files are missing"),
        (3, "complete", ""),
        (4, "none", "no event in it only reads: a trail of writes alone keeps no pulls"),
        (5, "none", "no file of that day"),
        (6, "partial", "a file is damaged"),
        (7, "complete", ""),
        (8, "none", "there is no file of that day"),
        (9, "none", "no source of CloudTrail's events was read"),
    ]


def test_a_collected_registry_that_no_source_covers_is_not_without_pulls(database: Database) -> None:
    commit(database, read_of(image("one", "v1")))
    with database.read() as connection:
        history = load_pulls(connection, 5, 6)
    assert [row[:3] for row in history.coverage] == [
        (5, KEY.account, KEY.region),
        (6, KEY.account, KEY.region),
    ]
    assert {row.status for row in history.coverage} == {"none"}


def test_only_the_registries_asked_for_are_loaded(database: Database) -> None:
    records = [record("a"), record("b", account=OTHER, identity=role_identity()), record("c", errorCode="x")]
    PullStore(database).write(_batch(records))
    with database.read() as connection:
        history = load_pulls(connection, _DAY, _DAY, [RegistryKey("aws", OWNER, REGION)])
        assert load_pulls(connection, _DAY + 1, _DAY + 2).pulls == ()
    assert {row.account for row in history.pulls} == {OWNER}
    assert [(row.reason, row.times) for row in history.left_out] == [(LeftOut.ERROR, 1)]
    assert isinstance(history.coverage[0], Coverage)


def test_sizes_of_layers_are_those_of_manifests(database: Database) -> None:
    PullStore(database).write(_batch([record("a", asked={"layerDigest": layer(n)}) for n in (1, 2)]))
    with database.write() as connection:
        ids = digest_ids(connection, [layer(1), layer(2)])
        connection.execute(insert(tables.blob).values(digest_id=ids[layer(1)], size_bytes=5))
    with database.read() as connection:
        assert load_layer_sizes(connection, [layer(1), layer(2), layer(77), "none"]) == {layer(1): 5}


def test_names_of_targets_and_pullers_are_told_apart() -> None:
    assert Target("1", "2", "3", LeftOut.ERROR) != Target("1", "2", "3", LeftOut.SCANNER)
    assert Puller() == Puller("", "", *NOT_TOLD)
