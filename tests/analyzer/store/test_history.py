"""Any past snapshot is rebuilt exactly: the store against one that copies everything every night."""

from __future__ import annotations

from hypothesis import given

from tests.analyzer.store.twin import play
from tests.strategies.registries import Night, histories
from tests.support.databases import Provider
from tests.support.examples import database_examples


@database_examples(100)
@given(history=histories())
def test_past_snapshots_and_frames_equal_the_naive_copies_on_sqlite(
    sqlite: Provider, history: list[Night]
) -> None:
    play(sqlite.clean(), history)


@database_examples(15)
@given(history=histories())
def test_past_snapshots_and_frames_equal_the_naive_copies_on_postgresql(
    postgresql: Provider, history: list[Night]
) -> None:
    play(postgresql.clean(), history)
