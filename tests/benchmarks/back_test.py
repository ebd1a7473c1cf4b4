"""Back-tests on the real tag history, and how long they take there and on a large past.

The corpus is eighteen months of the tags of 86 public repositories, kept as they would be in a
registry that nothing is deleted from. It has no pulls, so that something else stands in for them: an
image was needed if a tag pointed at it *again* (given another tag after it would have been taken), or
if a tag *still* points at it on the last night. Neither is a pull: the first misses images that were
only pulled, and the second counts old releases that nobody may want.

Each policy is judged twice: with what it took staying taken, which is what is told, and with every
night judged anew on all that was there (``anew``), to show what that would overstate.

Usage: ``python -m tests.benchmarks.back_test``
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.backtest import back_test
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.policy import Policy, TagStatus
from analyzer.lifecycle.replay import replay
from analyzer.model.history import BackTest, History
from analyzer.model.units import GB
from analyzer.model.verdicts import Outcome
from analyzer.pricing import bundled_prices
from tests.analyzer.lifecycle.worlds import rule
from tests.benchmarks._measure import measured
from tests.support.corpus_history import load_corpus_history

POLICIES = {
    "keep 10": Policy((rule(1, keep=10),)),
    "keep 100": Policy((rule(1, keep=100),)),
    "30 days": Policy((rule(1, pushed=30),)),
    "90 days": Policy((rule(1, pushed=90),)),
    "untagged for 14 days": Policy((rule(1, status=TagStatus.UNTAGGED, pushed=14),)),
    "the same, and keep 100": Policy((rule(1, status=TagStatus.UNTAGGED, pushed=14), rule(2, keep=100))),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """One policy on the corpus."""

    test: BackTest
    #: Of what it would have taken: still tagged on the last night.
    still_tagged: int
    #: Taken by at least one night, each judged anew.
    anew: int


def figures(history: History, past: Past, policy: Policy) -> Figures:
    """The back-test of ``policy`` everywhere in ``history``, and what stands in for pulls."""
    everywhere = np.zeros(len(history.frames.repositories), np.int64)
    in_force = past.everywhere(everywhere)
    taken = replay(past, [policy], in_force).verdicts.artifact
    anew = replay(past, [policy], in_force, remembering=False).verdicts
    last = len(history.night_ms)
    tagged = np.unique(history.tags.of[history.tags.gone == last])
    return Figures(
        back_test(past, [policy], everywhere, prices=bundled_prices()),
        int(np.isin(taken, tagged).sum()),
        len(np.unique(anew.artifact[anew.outcome != Outcome.KEPT])),
    )


def main() -> None:
    """Print a line for each policy."""
    with measured() as read:
        history = load_corpus_history()
        past = Past(history)
    print(
        f"{len(history.frames.artifacts.digest_id):,} images and indexes in "
        f"{len(history.frames.repositories)} repositories, {len(history.night_ms)} nights, "
        f"{len(history.tags.of):,} spells of a tag; read in {read.seconds:.1f} s"
    )
    print(f"{'policy':<24}{'taken':>8}{'anew':>8}{'again':>7}{'still':>7}{'GB-months':>11}{'seconds':>9}")
    for name, policy in POLICIES.items():
        found = figures(history, past, policy)
        with measured() as one:
            back_test(past, [policy], np.zeros(len(history.frames.repositories), np.int64))
        totals = found.test.totals
        saved = found.test.saved_byte_days.repository / GB / 30.4375
        print(
            f"{name:<24}{totals.removed:>8,}{found.anew:>8,}{totals.tagged:>7,}{found.still_tagged:>7,}"
            f"{saved:>11,.0f}{one.seconds:>9.2f}"
        )


if __name__ == "__main__":
    main()
