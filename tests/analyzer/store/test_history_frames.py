"""The past in one read: every night that it gives is what the store rebuilds of that snapshot."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.frames import NO_TIME
from analyzer.model.history import History, Spans
from analyzer.model.pull_batches import ALL_HOURS, Evidence, PullBatch
from analyzer.model.pulls import NoOrigin
from analyzer.model.records import ABSENT, ReadStatus, RegistryKey
from analyzer.pulls.batches import columns_of
from analyzer.pulls.files import Extract
from analyzer.pulls.records import Rules
from analyzer.retention import parse_retention
from analyzer.store.engine import Database
from analyzer.store.history_frames import load_history
from analyzer.store.pruning import prune_registry, registry_keys
from analyzer.store.pulls import PullStore
from analyzer.store.snapshots import SnapshotRef, last_run, rebuild, snapshots_of_run
from analyzer.store.writer import Store
from tests.analyzer.lifecycle.test_plans import policy_text
from tests.analyzer.store.examples import HOST, commit, image, read_of
from tests.analyzer.store.twin import play
from tests.oracle.back_test import Night as Past
from tests.oracle.lifecycle import DAY_MS, Image
from tests.strategies.history import BEGIN_MS
from tests.strategies.registries import Night, histories
from tests.support.databases import Provider
from tests.support.examples import database_examples
from tests.support.trails import OWNER, REGION, record
from tests.support.written_past import write_nights


@database_examples(60)
@given(history=histories(), keep=st.sampled_from([None, 1, 2]))
def test_every_night_of_the_past_equals_its_rebuilt_snapshot_on_sqlite(
    sqlite: Provider, history: list[Night], keep: int | None
) -> None:
    _hold(sqlite.clean(), history, keep)


@database_examples(10)
@given(history=histories(), keep=st.sampled_from([None, 2]))
def test_every_night_of_the_past_equals_its_rebuilt_snapshot_on_postgresql(
    postgresql: Provider, history: list[Night], keep: int | None
) -> None:
    _hold(postgresql.clean(), history, keep)


def _hold(database: Database, nights: list[Night], keep: int | None) -> None:
    naive = play(database, nights)
    kept: dict[RegistryKey, list[int]] = {key: [] for key, _ in naive.snapshots}
    for key, number in sorted(naive.snapshots, key=lambda snapshot: snapshot[1]):
        kept[key].append(number)
    if keep is not None:
        store = Store(database, lambda: 0)
        for key in registry_keys(database):
            with store.lease(key, "prune", HOST) as lease:
                done = prune_registry(database, lease, parse_retention(f"last {keep}"), 10**15)
            kept[key] = [taken.number for taken in done.kept]
    if not naive.snapshots:
        return
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, last_run(connection))
    history = load_history(database, snapshots)
    _assert_ordered(history)
    for place, snapshot in enumerate(snapshots):
        first = int(history.night_offsets[place])
        numbers = history.night_number[first : int(history.night_offsets[place + 1])].tolist()
        assert numbers == kept[snapshot.key]
        for night, number in enumerate(numbers):
            assert _night(history, place, night) == _rebuilt(database, snapshot, number)


def _night(history: History, registry: int, night: int) -> dict[Any, Any]:
    """What ``history`` says of one night, by repository."""
    frames = history.frames
    presence, artifacts = history.presence, frames.artifacts
    digests = history.digests(presence.of)
    found: dict[Any, Any] = {}
    names = frames.repositories["repository"].tolist()
    created = frames.repositories["created_at_ms"].tolist()
    for row, place in enumerate(frames.repositories["registry"].tolist()):
        if place == registry and any(_at(history.existence, row, night)):
            found[names[row], created[row]] = {
                "complete": any(_at(history.complete, row, night)),
                "policy": [
                    history.policy_texts[value] if value >= 0 else None
                    for at, value in enumerate(history.policies.value.tolist())
                    if history.policies.of[at] == row and _holds(history.policies, at, night)
                ],
                "artifacts": {},
            }
    for at, digest in enumerate(digests):
        artifact = int(presence.of[at])
        row = int(artifacts.repository[artifact])
        if frames.repositories["registry"].iloc[row] != registry or not _holds(presence, at, night):
            continue
        found[names[row], created[row]]["artifacts"][digest] = (
            int(presence.pushed_at_ms[at]),
            int(presence.image_status[at]),
            int(presence.archived_at_ms[at]),
            int(presence.activated_at_ms[at]),
            sorted(
                history.tag_names[history.tags.value[tag]]
                for tag in range(len(history.tags.of))
                if history.tags.of[tag] == artifact and _holds(history.tags, tag, night)
            ),
            [
                int(history.pulls.value[pull])
                for pull in range(len(history.pulls.of))
                if history.pulls.of[pull] == artifact and _holds(history.pulls, pull, night)
            ],
        )
    return found


def _rebuilt(database: Database, snapshot: SnapshotRef, number: int) -> dict[Any, Any]:
    past = SnapshotRef(
        snapshot.registry_id, snapshot.key, number, 0, 0, 0, ReadStatus.COMPLETE, is_latest=False
    )
    with database.read() as connection:
        read = rebuild(connection, past)
    found = {}
    for repository in read.repositories:
        policy = repository.settings.get("lifecycle_policy_text")
        found[repository.key] = {
            "complete": repository.status is ReadStatus.COMPLETE,
            "policy": [] if policy is None else [None if policy == ABSENT else json.loads(policy)],
            "artifacts": {
                artifact.digest: (
                    _time(artifact.pushed_at_ms),
                    int(artifact.image_status),
                    _time(artifact.archived_at_ms),
                    _time(artifact.activated_at_ms),
                    sorted(artifact.tags),
                    [] if artifact.pulled_day is None else [artifact.pulled_day],
                )
                for artifact in repository.artifacts
            },
        }
    return found


def _time(moment: int | None) -> int:
    return NO_TIME if moment is None else moment


def _at(spans: Spans, of: int, night: int) -> list[bool]:
    return [_holds(spans, at, night) for at in range(len(spans.of)) if spans.of[at] == of]


def _holds(spans: Spans, at: int, night: int) -> bool:
    return bool(spans.first[at] <= night < spans.gone[at])


def _assert_ordered(history: History) -> None:
    for spans in (history.existence, history.presence, history.tags, history.pulls, history.policies):
        keys = list(zip(spans.of.tolist(), spans.first.tolist(), strict=True))
        assert keys == sorted(keys)
        assert bool((spans.first < spans.gone).all())


def test_times_never_go_back_though_a_clock_did(database: Database) -> None:
    for taken in (5, 3, 9):
        commit(database, read_of(image("a"), taken_at_ms=taken))
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, last_run(connection))
    assert load_history(database, snapshots).night_ms.tolist() == [5, 5, 9]


def test_the_past_ends_at_the_chosen_snapshot(database: Database) -> None:
    for taken in (1, 2, 3):
        commit(database, read_of(image("a"), image(f"b{taken}"), taken_at_ms=taken))
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, 2)
    history = load_history(database, snapshots)
    assert history.night_number.tolist() == [1, 2]
    # What only the third night had is not known yet.
    assert len(history.frames.artifacts.digest_id) == 3


def test_policies_that_came_later_are_not_in_the_past(database: Database) -> None:
    first, second = policy_text(1), policy_text(2)
    held = (Image("old", frozenset({"v1"}), BEGIN_MS - DAY_MS),)
    nights = [Past(BEGIN_MS + number * DAY_MS, held) for number in range(2)]
    write_nights(database, {"app": nights}, policies={("app", 0): first, ("app", 1): second})
    with database.read() as connection:
        runs = [snapshots_of_run(connection, run) for run in (1, 2)]
    assert [list(load_history(database, run).policy_texts) for run in runs] == [[first], [first, second]]


def test_repositories_find_their_row_in_frames_of_any_night(database: Database) -> None:
    commit(database, read_of(image("a"), taken_at_ms=1))
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, last_run(connection))
    history = load_history(database, snapshots)
    assert history.rows_of(history.frames).tolist() == [0]


def test_pulls_that_cloudtrail_recorded_come_with_whoever_pulled(database: Database) -> None:
    key = RegistryKey("aws", OWNER, REGION)
    first_ms = 20_730 * 86_400_000
    for night in range(3):
        commit(database, read_of(image("a", "v1"), key=key, taken_at_ms=first_ms + night * 86_400_000))
    extract = Extract()
    asked = {"imageIds": [{"imageTag": "v1"}, {"imageDigest": image("a").digest}]}
    before, during, elsewhere = (
        record(
            f"event-{number}",
            name="BatchGetImage",
            time=time,
            repository=repository,
            asked=asked,
            region=region,
        )
        for number, (time, repository, region) in enumerate(
            [
                ("2026-10-03T08:00:00Z", "app", REGION),
                ("2026-10-05T08:00:00Z", "app", REGION),
                ("2026-10-05T08:00:00Z", "app", "ap-south-1"),
            ]
        )
    )
    extract.add([before, during, elsewhere], Rules())
    evidence = tuple(
        Evidence(20_730 + day, OWNER, REGION, "s3", ALL_HOURS, has_reads=True) for day in range(2)
    )
    PullStore(database).write(PullBatch(columns_of([extract], NoOrigin()), evidence=evidence))
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, last_run(connection))
    history = load_history(database, snapshots)
    recorded = history.recorded
    # Of before the first night nothing is asked.
    assert recorded.day.tolist() == [20_731, 20_731]
    assert recorded.places == [(OWNER, REGION, "app")]
    digest_id = int(history.frames.artifacts.digest_id[0])
    named = {(int(digest), int(tag)) for digest, tag in zip(recorded.digest_id, recorded.tag, strict=True)}
    assert named == {(digest_id, -1), (0, list(history.tag_names).index("v1"))}
    assert all(recorded.pullers)
    assert list(history.recorded_days) == [2]
