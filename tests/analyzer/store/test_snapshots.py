"""Which run answers a question about a moment."""

from __future__ import annotations

import pytest

from analyzer.errors import InputError
from analyzer.model.records import ReadStatus, RegistryKey, RegistryRead
from analyzer.store.engine import Database
from analyzer.store.snapshots import run_at
from analyzer.store.writer import Store
from tests.analyzer.store.examples import HOST, KEY

_OTHER = RegistryKey(KEY.partition, KEY.account, "us-east-1")


def _run(database: Database, *taken: tuple[RegistryKey, int]) -> int:
    """A run with snapshots of these registries, taken at these moments."""
    store = Store(database, lambda: 0)
    run = store.begin_run(0, HOST, "1")
    for key, moment in taken:
        with store.lease(key, "test", HOST) as lease:
            store.commit_snapshot(lease, run, RegistryRead(key, moment, ReadStatus.COMPLETE))
    return run


def _at(database: Database, moment: int) -> int:
    with database.read() as connection:
        return run_at(connection, moment)


def test_the_last_run_by_then_answers(database: Database) -> None:
    runs = [_run(database, (KEY, moment)) for moment in (100, 200, 300)]
    assert [_at(database, moment) for moment in (100, 199, 200, 201, 300, 10**15)] == [
        runs[0],
        runs[0],
        runs[1],
        runs[1],
        runs[2],
        runs[2],
    ]


def test_the_first_run_answers_about_what_was_before_all_of_them(database: Database) -> None:
    # A run that left nothing is none.
    _run(database)
    first = _run(database, (KEY, 100))
    _run(database, (KEY, 200))
    assert _at(database, 99) == _at(database, -(10**12)) == first


def test_a_run_counts_once_all_its_snapshots_are_taken(database: Database) -> None:
    first = _run(database, (KEY, 100), (_OTHER, 110))
    second = _run(database, (KEY, 200), (_OTHER, 260))
    assert _at(database, 105) == _at(database, 250) == first
    assert _at(database, 260) == second


def test_of_runs_at_once_the_one_of_the_greatest_number_answers(database: Database) -> None:
    _run(database, (KEY, 500))
    second = _run(database, (_OTHER, 400))
    assert _at(database, 400) == _at(database, 500) == second


def test_without_a_snapshot_there_is_nothing_to_answer_from(database: Database) -> None:
    with pytest.raises(InputError, match="no snapshot yet; run: demurrage collect"):
        _at(database, 0)
    _run(database)
    with pytest.raises(InputError, match="no snapshot yet"):
        _at(database, 0)
