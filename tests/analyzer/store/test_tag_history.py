"""The tags that a repository had, from one snapshot to the next."""

from __future__ import annotations

from analyzer.model.tag_history import TagHistory
from analyzer.store.engine import Database
from analyzer.store.snapshots import snapshots_of_run
from analyzer.store.tag_history import load_tag_history
from tests.analyzer.store.examples import REPOSITORY, commit, image, read_of


def _load(database: Database, run: int, repository: tuple[str, int] = REPOSITORY) -> TagHistory | None:
    with database.read() as connection:
        (snapshot,) = snapshots_of_run(connection, run)
        return load_tag_history(connection, snapshot, *repository)


def _spans(history: TagHistory | None) -> set[tuple[str, int, int]]:
    assert history is not None
    columns = (history.tag, history.first_ms, history.last_ms)
    return {
        (history.tag_names[tag], first, last)
        for tag, first, last in zip(*(column.tolist() for column in columns), strict=True)
    }


def _four_nights(database: Database) -> None:
    commit(database, read_of(image("one", "v1", "latest"), taken_at_ms=100))
    commit(database, read_of(image("one", "v1"), image("two", "latest"), taken_at_ms=200))
    commit(database, read_of(image("two", "v2"), taken_at_ms=300))
    commit(database, read_of(image("two", "v1", "v2"), taken_at_ms=400))


def test_spans_end_with_the_last_snapshot_that_saw_the_tag(database: Database) -> None:
    _four_nights(database)
    history = _load(database, 4)
    assert history is not None
    assert history.since_ms == 100
    assert _spans(history) == {
        ("v1", 100, 200),
        ("latest", 100, 100),
        ("latest", 200, 200),
        ("v2", 300, 400),
        ("v1", 400, 400),
    }
    artifacts = {
        (history.tag_names[tag], first): artifact
        for artifact, tag, first in zip(
            history.artifact.tolist(), history.tag.tolist(), history.first_ms.tolist(), strict=True
        )
    }
    assert artifacts["v1", 100] == artifacts["latest", 100] != artifacts["latest", 200]
    assert artifacts["v2", 300] == artifacts["v1", 400] == artifacts["latest", 200]


def test_nothing_of_the_future_is_seen(database: Database) -> None:
    _four_nights(database)
    assert _spans(_load(database, 2)) == {("v1", 100, 200), ("latest", 100, 100), ("latest", 200, 200)}


def test_a_repository_that_is_not_there_has_no_history(database: Database) -> None:
    _four_nights(database)
    assert _load(database, 4, ("app", 6)) is None
    assert _load(database, 4, ("other", 5)) is None


def test_a_repository_without_tags_has_an_empty_one(database: Database) -> None:
    commit(database, read_of(image("one"), taken_at_ms=100))
    history = _load(database, 1)
    assert _spans(history) == set()
    assert history is not None
    assert (history.since_ms, history.tag_names) == (100, [])
