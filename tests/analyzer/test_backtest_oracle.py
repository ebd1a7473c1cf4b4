"""Back-tests against one that goes day by day."""

from __future__ import annotations

import os
from random import Random

import numpy as np
import pytest
from hypothesis import given

from analyzer.backtest import back_test
from analyzer.later_uses import NEVER, later_uses
from analyzer.lifecycle.evaluation import Options
from analyzer.lifecycle.past import Past as Replayed
from analyzer.lifecycle.replay import replay
from analyzer.model.history import LaterKind
from analyzer.stored_time import saved_time
from tests.oracle.back_test import (
    Taken,
    byte_ms_saved,
    pulled_afterwards,
    replay_slowly,
    tagged_afterwards,
)
from tests.strategies.history import Past, Written, draw_past, pasts, write
from tests.support.examples import database_examples


@database_examples(25)
@given(past=pasts())
def test_policies_take_what_they_take_day_by_day(past: Past) -> None:
    _hold(past)


@pytest.mark.parametrize("seed", range(int(os.environ.get("BACK_TEST_CASES", "25"))))
def test_seeded_pasts_come_out_the_same_day_by_day(seed: int) -> None:
    _hold(draw_past(Random(seed)))


def _hold(past: Past) -> None:
    written = write(past.repositories, registry=past.registry, blobs=past.blobs)
    for children_take_slots in (True, False):
        replayed = Replayed(written.history, options=Options(children_take_slots=children_take_slots))
        expected = [
            replay_slowly(nights, past.policies[policy], children_take_slots=children_take_slots)
            if policy >= 0
            else []
            for nights, policy in zip(past.repositories, past.policy_of, strict=True)
        ]
        again = replay(replayed, past.policies, replayed.everywhere(past.policy_array))
        assert _told(written, replayed, again.verdicts) == sorted(
            (number, one.at_ms, one.digest, one.night, int(one.outcome), one.rule)
            for number, taken in enumerate(expected)
            for one in taken
        )
        if children_take_slots:
            _hold_uses(past, written, replayed, expected)
            _hold_bytes(past, replayed, expected)


def _told(written: Written, replayed: Replayed, verdicts: object) -> list[tuple[object, ...]]:
    columns = ("artifact", "at_ms", "night", "outcome", "rule")
    artifact, at_ms, night, outcome, rule = (getattr(verdicts, name).tolist() for name in columns)
    return sorted(
        (int(replayed.repository[a]), at, written.digests[a], n, o, r)
        for a, at, n, o, r in zip(artifact, at_ms, night, outcome, rule, strict=True)
    )


def _hold_uses(past: Past, written: Written, replayed: Replayed, expected: list[list[Taken]]) -> None:
    verdicts = replay(replayed, past.policies, replayed.everywhere(past.policy_array)).verdicts
    later = later_uses(replayed, verdicts)
    got = {}
    for at, artifact in enumerate(verdicts.artifact.tolist()):
        key = int(replayed.repository[artifact]), written.digests[artifact], int(verdicts.at_ms[at])
        day = int(later.uses[LaterKind.PULLED].day[at])
        got[key] = (None if day == NEVER else day, bool(later.uses[LaterKind.TAGGED].day[at] != NEVER))
    nights = past.repositories
    assert got == {
        (number, one.digest, one.at_ms): (
            pulled_afterwards(nights[number], one),
            tagged_afterwards(nights[number], one),
        )
        for number, taken in enumerate(expected)
        for one in taken
    }


def _hold_bytes(past: Past, replayed: Replayed, expected: list[list[Taken]]) -> None:
    verdicts = replay(replayed, past.policies, replayed.everywhere(past.policy_array)).verdicts
    saved = saved_time(replayed, verdicts)
    blobs = past.blobs
    for number, nights in enumerate(past.repositories):
        assert saved.repositories[number] == byte_ms_saved([nights], [expected[number]], blobs)
    for registry in range(len(saved.registries)):
        rows = [number for number, of in enumerate(past.registry) if of == registry]
        assert saved.registries[registry] == byte_ms_saved(
            [past.repositories[row] for row in rows], [expected[row] for row in rows], blobs
        )


@database_examples(25)
@given(past=pasts())
def test_counts_of_repositories_add_up_to_the_totals(past: Past) -> None:
    written = write(past.repositories, registry=past.registry, blobs=past.blobs)
    test = back_test(Replayed(written.history), past.policies, past.policy_array)
    for name in type(test.totals).__slots__:
        parts = sum(getattr(row.counts, name) for row in test.repositories)
        assert parts == getattr(test.totals, name), name
    assert [row.position for row in test.repositories] == np.flatnonzero(past.policy_array >= 0).tolist()
    assert len(test.examples) == min(20, test.totals.needed)
