"""What lifecycle rules look at, read back: against the store that copies everything every night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from sqlalchemy import Connection

from analyzer.model.frames import NO_TIME, Frames, LifecycleFacts
from analyzer.model.records import Artifact, ImageStatus
from analyzer.store import interning
from analyzer.store.engine import Database
from analyzer.store.frames import load_frames, load_frames_with_facts
from analyzer.store.names import load_digest_texts, load_digests
from analyzer.store.snapshots import SnapshotRef, rebuild, snapshots_of_run
from analyzer.store.writer import Store
from tests.analyzer.store.examples import commit, read_of
from tests.oracle.naive_store import NaiveStore
from tests.strategies.registries import Night, histories, sha256, sha512
from tests.support.databases import Provider
from tests.support.examples import database_examples

DAY_MS = 86_400_000


@database_examples(25)
@given(history=histories())
def test_facts_of_every_snapshot_equal_the_naive_copies_on_sqlite(
    sqlite: Provider, history: list[Night]
) -> None:
    _play(sqlite.clean(), history)


@database_examples(6)
@given(history=histories())
def test_facts_of_every_snapshot_equal_the_naive_copies_on_postgresql(
    postgresql: Provider, history: list[Night]
) -> None:
    _play(postgresql.clean(), history)


def _play(database: Database, history: Sequence[Night]) -> None:
    store, naive = Store(database, lambda: 0), NaiveStore()
    runs = []
    for night in history:
        run = store.begin_run(0, "host", "1")
        runs.append(run)
        for manifests in (night.manifests_before, night.manifests_after):
            store.add_manifests(manifests)
            naive.add_manifests(manifests)
        for read in night.reads:
            with store.lease(read.key, "test", "host") as lease:
                store.commit_snapshot(lease, run, read)
            naive.commit(run, read)
        store.finish_run(run, 0, "complete")
    for run in runs:
        if naive.as_of_run(run):
            with database.read() as connection:
                snapshots = snapshots_of_run(connection, run)
                for chosen in (snapshots, *([one] for one in snapshots)):
                    _assert_facts(connection, naive, chosen)


def _assert_facts(connection: Connection, naive: NaiveStore, snapshots: Sequence[SnapshotRef]) -> None:
    frames, facts = load_frames_with_facts(connection, snapshots)
    _assert_same_frames(frames, load_frames(connection, snapshots))
    digests = load_digests(connection, frames)
    artifacts: dict[tuple[int, str], Artifact] = {}
    position = 0
    for snapshot in snapshots:
        states = naive.snapshots[snapshot.key, snapshot.number].repositories
        for _, state in sorted(states.items()):
            for digest, artifact in state.artifacts.items():
                artifacts[position, digest] = artifact._replace(tags=tuple(state.tags_of(digest)))
            position += 1
    _assert_equal(frames, facts, digests, artifacts)


def _assert_same_frames(one: Frames, other: Frames) -> None:
    assert one.registries.equals(other.registries)
    assert one.repositories.equals(other.repositories)
    for part in ("artifacts", "manifests"):
        mine, theirs = getattr(one, part), getattr(other, part)
        for field in fields(mine):
            np.testing.assert_array_equal(getattr(mine, field.name), getattr(theirs, field.name))
    np.testing.assert_array_equal(one.blob_size_bytes, other.blob_size_bytes)


def _assert_equal(
    frames: Frames, facts: LifecycleFacts, digests: Sequence[str], artifacts: dict[tuple[int, str], Artifact]
) -> None:
    """``facts`` say of every artifact what its record says; ``artifacts`` by repository and digest."""
    keys = list(zip(frames.artifacts.repository.tolist(), digests, strict=True))
    assert sorted(keys) == sorted(artifacts)
    assert facts.tag_offsets.dtype == facts.pulled_at_ms.dtype == facts.tie.dtype == np.int64
    assert facts.tags.dtype == np.int32
    assert facts.tag_offsets.tolist() == [0, *np.cumsum(frames.artifacts.tags).tolist()]
    assert len(facts.tags) == facts.tag_offsets[-1]
    for number, key in enumerate(keys):
        expected = artifacts[key]
        tags = facts.tags[facts.tag_offsets[number] : facts.tag_offsets[number + 1]].tolist()
        assert sorted(facts.tag_names[tag] for tag in tags) == list(expected.tags)
        # Only the day is known: an image counts as pulled until its end.
        pulled = None if expected.pulled_day is None else (expected.pulled_day + 1) * DAY_MS - 1
        assert _time(facts.pulled_at_ms[number]) == pulled
        assert _time(facts.archived_at_ms[number]) == expected.archived_at_ms
        assert _time(facts.activated_at_ms[number]) == expected.activated_at_ms
    _assert_ties(facts, [artifacts[key] for key in keys], frames.artifacts.repository.tolist())


def _assert_ties(facts: LifecycleFacts, artifacts: Sequence[Artifact], repository: Sequence[int]) -> None:
    """Of equal times the smaller text has the smaller tie, and where none are equal there is none."""
    tie = facts.tie.tolist()
    for one, mine in enumerate(artifacts):
        alone = True
        for other, theirs in enumerate(artifacts):
            if one == other or repository[one] != repository[other]:
                continue
            if _base(mine) == _base(theirs) or _listed(mine) == _listed(theirs):
                alone = False
                assert (tie[one] < tie[other]) == (mine.digest < theirs.digest)
                assert tie[one] != tie[other]
        if alone:
            assert tie[one] == 0


def _base(artifact: Artifact) -> int | None:
    """Since when an image counts as being there."""
    return artifact.pushed_at_ms if artifact.activated_at_ms is None else artifact.activated_at_ms


def _listed(artifact: Artifact) -> int | None:
    """Since when it grows old for the rules of its class."""
    return artifact.archived_at_ms if artifact.image_status is ImageStatus.ARCHIVED else _base(artifact)


def _time(moment: np.int64) -> int | None:
    return None if moment == NO_TIME else int(moment)


def _facts(database: Database, run: int) -> tuple[Frames, LifecycleFacts, list[str]]:
    with database.read() as connection:
        frames, facts = load_frames_with_facts(connection, snapshots_of_run(connection, run))
        return frames, facts, load_digests(connection, frames)


def _number_backwards(database: Database, digests: Sequence[str]) -> None:
    """Give ``digests`` numbers that go against the order of their texts, as later pushes may have."""
    for digest in sorted(digests, reverse=True):
        interning.Interner(database).digests([digest])


def test_equal_times_go_by_the_text_of_the_digest_whatever_its_algorithm(database: Database) -> None:
    names = [sha512("a"), *(sha256(f"{n}") for n in range(20)), sha512("b")]
    other = "sha256:" + "ff" * 32
    _number_backwards(database, [*names, other])
    commit(
        database,
        read_of(*(Artifact(name, pushed_at_ms=7) for name in names), Artifact(other, pushed_at_ms=8)),
    )
    _, facts, digests = _facts(database, 1)
    tie = dict(zip(digests, facts.tie.tolist(), strict=True))
    assert tie.pop(other) == 0
    assert sorted(tie, key=tie.__getitem__) == sorted(names)


def test_equal_times_of_other_repositories_are_no_ties(database: Database) -> None:
    read = read_of(Artifact(sha256("a"), pushed_at_ms=7))
    (app,) = read.repositories
    commit(database, replace(read, repositories=[app, replace(app, name="other")]))
    assert _facts(database, 1)[1].tie.tolist() == [0, 0]


def test_unknown_times_are_equal_to_each_other(database: Database) -> None:
    _number_backwards(database, [sha256(name) for name in "abc"])
    commit(database, read_of(*(Artifact(sha256(name)) for name in "abc")))
    _, facts, digests = _facts(database, 1)
    assert [digests[n] for n in np.argsort(facts.tie)] == sorted(digests)
    assert len(set(facts.tie.tolist())) == 3


def test_times_very_far_apart_are_told_apart(database: Database) -> None:
    # So far that repository and time do not fit into one number together.
    times = [0, 2**62, 2**62, 1, 2**62 - 1]
    artifacts = [Artifact(sha256(f"{n}"), pushed_at_ms=time) for n, time in enumerate(times)]
    _number_backwards(database, [artifact.digest for artifact in artifacts])
    read = read_of(*artifacts)
    others = [replace(read.repositories[0], name=name) for name in ("b", "c")]
    commit(database, replace(read, repositories=[*read.repositories, *others]))
    frames, facts, digests = _facts(database, 1)
    tied = frames.artifacts.pushed_at_ms == 2**62
    assert not facts.tie[~tied].any()
    for repository in range(3):
        here = np.flatnonzero(tied & (frames.artifacts.repository == repository))
        first, second = here[np.argsort(facts.tie[here])]
        assert digests[first] < digests[second]
        assert facts.tie[first] != facts.tie[second]


def test_archived_images_of_one_archiving_are_listed_by_their_digests(database: Database) -> None:
    # Their pushes differ, so that rules that rank need no tie: what is shown of them does.
    _number_backwards(database, [sha256(f"{n}") for n in range(4)])
    commit(
        database,
        read_of(
            *(
                Artifact(
                    sha256(f"{n}"),
                    pushed_at_ms=n,
                    image_status=ImageStatus.ARCHIVED,
                    archived_at_ms=100,
                )
                for n in range(4)
            )
        ),
    )
    _, facts, digests = _facts(database, 1)
    assert [digests[n] for n in np.argsort(facts.tie)] == sorted(digests)


def test_facts_of_a_past_run_are_those_of_its_snapshots(database: Database) -> None:
    first = Artifact(sha256("a"), ("v1",), pushed_at_ms=1, pulled_day=20_000)
    later = first._replace(
        tags=("v1", "v2"),
        pulled_day=20_003,
        image_status=ImageStatus.ARCHIVED,
        archived_at_ms=5,
        activated_at_ms=4,
    )
    for artifact in (first, later):
        commit(database, read_of(artifact))
    for run, expected in ((1, first), (2, later)):
        frames, facts, digests = _facts(database, run)
        _assert_equal(frames, facts, digests, {(0, expected.digest): expected})
        with database.read() as connection:
            (snapshot,) = snapshots_of_run(connection, run)
            assert rebuild(connection, snapshot).repositories[0].artifacts == (expected,)


def test_a_registry_without_an_image_has_no_facts_of_the_right_types(database: Database) -> None:
    commit(database, read_of())
    frames, facts, _ = _facts(database, 1)
    assert len(frames.artifacts.digest_id) == len(facts.tie) == len(facts.tags) == 0
    assert facts.tag_offsets.tolist() == [0]
    assert facts.tags.dtype == np.int32
    assert facts.pulled_at_ms.dtype == facts.tie.dtype == facts.tag_offsets.dtype == np.int64


@pytest.mark.parametrize("many", [3, 100])
def test_digests_are_the_same_looked_up_or_read_all_together(
    database: Database, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interning, "_MANY", many)
    names = [sha256(f"{n}") for n in range(10)] + [sha512("x"), "blake3:" + "ab" * 32]
    ids = dict(interning.Interner(database).digests(names))
    with database.read() as connection:
        for wanted in (names, names[4:7], names[4:8], names[:1], []):
            rows = list(interning.digest_rows(connection, [ids[name] for name in wanted]))
            assert sorted(rows) == sorted((ids[name], *interning.split_digest(name)) for name in wanted)
            texts = load_digest_texts(connection, [ids[name] for name in wanted])
            assert texts == {ids[name]: name for name in wanted}
        # What is not there is not in the answer.
        assert list(interning.digest_rows(connection, [10_000 + n for n in range(5)])) == []
        assert list(interning.digest_rows(connection, [10_000])) == []
