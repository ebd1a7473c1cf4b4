"""Back-tests on the real tag history: the figures, and a recount of small repositories day by day."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.lifecycle.past import Past
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.replay import replay
from analyzer.model.history import History
from tests.analyzer.lifecycle.worlds import rule
from tests.benchmarks.back_test import POLICIES, figures
from tests.oracle.back_test import Night, replay_slowly
from tests.oracle.lifecycle import Image
from tests.support.corpus_history import load_corpus_history


@pytest.fixture(scope="module")
def history() -> History:
    return load_corpus_history()


def test_what_keeping_100_would_have_taken_of_the_real_repositories(history: History) -> None:
    found = figures(history, Past(history), POLICIES["keep 100"])
    counts = found.test.totals
    # By what stands in for pulls: 26 were tagged again, 393 are tagged still.
    assert (counts.removed, counts.tagged, found.still_tagged) == (27_691, 26, 393)
    assert (counts.pulled, counts.used, counts.needed) == (0, 0, counts.tagged)
    assert all(one.kind == "tagged" for one in found.test.examples)
    # Nobody recorded a pull, and the answer says that nobody could.
    assert any("CloudTrail" in sentence for sentence in found.test.unknown)


def test_small_repositories_come_out_the_same_day_by_day(history: History) -> None:
    past = Past(history)
    sizes = np.bincount(past.repository)
    rows = [row for row in np.argsort(sizes, kind="stable").tolist() if sizes[row] >= 4][:4]
    for policy in (Policy((rule(1, keep=2),)), Policy((rule(1, "1*", pushed=20), rule(2, keep=3)))):
        policy_of = np.full(len(sizes), -1)
        policy_of[rows] = 0
        taken = replay(past, [policy], past.everywhere(policy_of)).verdicts
        digests = history.digests(taken.artifact)
        for row in rows:
            mine = np.flatnonzero(past.repository[taken.artifact] == row).tolist()
            got = sorted((int(taken.at_ms[at]), digests[at]) for at in mine)
            slow = replay_slowly(_nights(history, past, row), policy)
            assert got == sorted((one.at_ms, one.digest) for one in slow)


def _nights(history: History, past: Past, row: int) -> list[Night]:
    """One repository, night by night."""
    artifacts = np.flatnonzero(past.repository == row)
    digests = history.digests(artifacts)
    name = dict(zip(artifacts.tolist(), digests, strict=True))
    spells = np.flatnonzero(past.repository[history.tags.of] == row).tolist()
    nights = []
    for night, at_ms in enumerate(history.night_ms.tolist()):
        tags: dict[int, set[str]] = {}
        for spell in spells:
            if history.tags.first[spell] <= night < history.tags.gone[spell]:
                tag = history.tag_names[history.tags.value[spell]]
                tags.setdefault(int(history.tags.of[spell]), set()).add(tag)
        images = tuple(
            Image(
                digest=name[artifact],
                tags=frozenset(tags.get(artifact, ())),
                pushed_at_ms=int(history.presence.pushed_at_ms[artifact]),
                children=tuple(
                    name[child] for child in past.families.child[past.families.parent == artifact].tolist()
                ),
            )
            for artifact in artifacts.tolist()
            if history.presence.first[artifact] <= night
        )
        nights.append(Night(at_ms, images))
    return nights
