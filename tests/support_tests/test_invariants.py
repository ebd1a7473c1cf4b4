"""The checks of `tests.support.invariants` and `truth` find what they are there to find."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from analyzer.model.records import Gap, RegistryRead
from analyzer.store.engine import Database
from analyzer.store.snapshots import last_run, rebuild, snapshots_of_run
from tests.support import invariants
from tests.support.nights import REGIONS, first_night, next_night
from tests.support.registry import World
from tests.support.stub_ecr import serve
from tests.support.truth import Held, differences, held, unfounded, untold
from tests.support.warm_starts import warm_starts

REGION = REGIONS[0]
_OVERLAP = """
    INSERT INTO repository_read SELECT repository_id, 2, NULL, status FROM repository_read
    WHERE first_snapshot = 1 AND gone_snapshot IS NULL
"""


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """A world in its second night, and the database of both nights."""
    rng = Random(4)
    world = first_night(rng)
    for image in next(world.repositories()).images.values():
        image.pulled_at = image.pushed_at
    folder = tmp_path_factory.mktemp("collected")
    file = folder / "nights.sqlite"
    with serve(world) as server, warm_starts(folder) as starts:
        environment = {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_ENDPOINT_URL": server.url,
            "DEMURRAGE_REQUESTS_PER_SECOND": "100000",
        }
        command = ["collect", "--region", " ".join(REGIONS), "--db", f"sqlite:///{file}"]
        for night in (1, 2):
            assert starts.run(*command, environment=environment).status in (0, 4)
            if night == 1:
                next_night(world, rng, night)
    return world, file


@pytest.fixture
def file(collected: tuple[World, Path], tmp_path: Path) -> Path:
    copy = tmp_path / "copy.sqlite"
    shutil.copy(collected[1], copy)
    return copy


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    with invariants.connect(file) as connection:
        yield connection


def _read(file: Path) -> RegistryRead:
    database = Database(f"sqlite:///{file}")
    try:
        with database.read() as connection:
            (found,) = [
                found
                for found in snapshots_of_run(connection, last_run(connection))
                if found.key.region == REGION
            ]
            return rebuild(connection, found)
    finally:
        database.engine.dispose()


def test_a_sound_database_is_found_sound(
    collected: tuple[World, Path], connection: sqlite3.Connection
) -> None:
    world, _ = collected
    assert invariants.broken(connection) == []
    assert invariants.false_facts(connection) == []
    assert set(invariants.snapshots(connection).values()) == {2}
    stored = invariants.manifests(connection)
    assert len(stored) > 60
    ours = {image.digest: image.manifest for one in world.repositories() for image in one.images.values()}
    assert invariants.false_manifests({key: stored[key] for key in stored.keys() & ours.keys()}, ours) == []


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("DELETE FROM digest WHERE id = (SELECT max(digest_id) FROM artifact)", "foreign_key_check"),
        ("UPDATE snapshot SET number = 5 WHERE number = 2", "numbered [1, 5]"),
        ("DELETE FROM snapshot WHERE number = 2", "the last snapshot is 1"),
        ("UPDATE artifact SET gone_snapshot = 3 WHERE gone_snapshot IS NULL", "the last snapshot is 2"),
        ("UPDATE tag SET first_snapshot = 3 WHERE gone_snapshot IS NULL", "the last snapshot is 2"),
        (
            _OVERLAP,
            "overlapping",
        ),
        (
            "UPDATE repository_read SET gone_snapshot = 2 WHERE gone_snapshot IS NULL AND first_snapshot = 1",
            "outlasts its repository",
        ),
        ("DELETE FROM artifact WHERE digest_id IN (SELECT digest_id FROM tag)", "is on nothing"),
        ("DELETE FROM artifact WHERE digest_id IN (SELECT digest_id FROM artifact_pull)", "is of nothing"),
        ("DELETE FROM blob WHERE digest_id = (SELECT min(digest_id) FROM blob)", "names a blob"),
        ("DELETE FROM digest WHERE id > 20", "names a child"),
        ("UPDATE run SET status = 'complete'", "in spite of"),
        ("UPDATE run SET finished_at_ms = NULL", "has no end"),
    ],
)
def test_each_damage_is_found(connection: sqlite3.Connection, damage: str, complaint: str) -> None:
    connection.execute("PRAGMA foreign_keys=OFF")
    assert connection.execute(damage).rowcount > 0
    assert complaint in "\n".join(invariants.broken(connection))


def test_a_page_that_is_torn_is_found(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = bytes(4096)
    file.write_bytes(content)
    with invariants.connect(file) as connection:
        try:
            assert invariants.broken(connection) != []
        except sqlite3.DatabaseError as error:
            assert "malformed" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE tag SET digest_id = (SELECT min(digest_id) FROM artifact) WHERE first_snapshot = 1",
        "UPDATE artifact SET gone_snapshot = 2 WHERE first_snapshot = 1",
        "UPDATE snapshot SET taken_at_ms = 0",
        "UPDATE repository_fact SET images = images + 1",
        "DELETE FROM gap",
    ],
)
def test_a_past_that_is_told_differently_is_found(connection: sqlite3.Connection, damage: str) -> None:
    before = invariants.history(connection, facts=True)
    assert len(before) == 2 * len(REGIONS)
    assert connection.execute(damage).rowcount > 0
    after = invariants.history(connection, facts=True)
    assert before.keys() == after.keys()
    assert before != after


def test_the_end_of_an_interval_is_no_change_of_the_past(connection: sqlite3.Connection) -> None:
    before = invariants.history(connection, facts=True)
    connection.execute(
        "INSERT INTO snapshot SELECT registry_id, 3, run_id, 0, status FROM snapshot WHERE number = 2"
    )
    connection.execute("UPDATE artifact SET gone_snapshot = 3 WHERE gone_snapshot IS NULL")
    after = invariants.history(connection, facts=True)
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + len(REGIONS)


def test_facts_and_manifests_that_are_false_are_found(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE repository_fact SET images = images + 1")
    assert invariants.false_facts(connection)
    stored = invariants.manifests(connection)
    assert len(invariants.false_manifests(stored, {})) == len(stored)


def _with(read: RegistryRead, **changes: Any) -> RegistryRead:
    entry = read.repositories[0]
    fields = {
        name: getattr(entry, name) for name in ("name", "created_at_ms", "status", "artifacts", "settings")
    }
    changed = type(entry)(**{**fields, **changes})
    rest = read.repositories[1:]
    return RegistryRead(read.key, read.taken_at_ms, read.status, (changed, *rest), read.settings)


def test_a_difference_is_found_wherever_it_is(
    collected: tuple[World, Path], file: Path, connection: sqlite3.Connection
) -> None:
    world, _ = collected
    truth: Held = held(world, REGION)
    stored = set(invariants.manifests(connection))
    read = _read(file)
    level = differences(truth, read, stored)
    assert {call for _, call in level} <= {"ecr:BatchGetImage"}
    first = read.repositories[0]
    images = "ecr:DescribeImages"
    (one, *others) = first.artifacts
    for changed, place in (
        (_with(read, artifacts=others), (first.name, images)),
        (_with(read, artifacts=[one._replace(tags=("else",)), *others]), (first.name, images)),
        (_with(read, artifacts=[one._replace(pushed_at_ms=1), *others]), (first.name, images)),
        (_with(read, settings={**first.settings, "tags": "{}"}), (first.name, "ecr:ListTagsForResource")),
        (
            _with(read, settings={**first.settings, "lifecycle_policy_text": '"x"'}),
            (first.name, "ecr:GetLifecyclePolicy"),
        ),
        (_with(read, created_at_ms=1), ("", "ecr:DescribeRepositories")),
    ):
        assert (differences(truth, changed, stored) - level).keys() == {place}
    missing = differences(truth, read, stored - {one.digest}) - level
    assert missing[first.name, "ecr:BatchGetImage"] == 1


def test_a_difference_without_a_gap_and_a_gap_without_a_difference_are_found() -> None:
    def gap(repository: str, call: str, reason: str = "AccessDenied", count: int = 1) -> Gap:
        return Gap("1", "r", repository, call, reason, count=count)

    images, manifests = ("app", "ecr:DescribeImages"), ("app", "ecr:BatchGetImage")
    for covering in (gap(*images), gap("", images[1]), gap("app", "x", "RepositoryNotFoundException")):
        assert untold(Counter({images: 2}), [covering]) == []
    for other in ([], [gap("else", images[1])], [gap("app", "ecr:GetLifecyclePolicy")]):
        assert untold(Counter({images: 2}), other) == [
            "2 differences in ecr:DescribeImages of app, and no gap"
        ]
    assert untold(Counter({manifests: 2}), [gap(*manifests, count=3)])
    assert untold(Counter({manifests: 2}), [gap(*manifests, count=2)]) == []
    assert unfounded(Counter({images: 2}), [gap(*images), gap("", images[1])]) == []
    assert unfounded(Counter(), [gap(*images)], [images]) == []
    assert unfounded(Counter({images: 2}), [gap(*manifests)])
    assert unfounded(Counter(), [gap(*images)], [manifests])
