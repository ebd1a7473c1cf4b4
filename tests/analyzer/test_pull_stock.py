"""What repositories hold and what is new in them, against a search through everything."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import find_families
from analyzer.model.frames import NO_TIME
from analyzer.model.pull_costs import Pushes
from analyzer.pull_stock import find_stock
from tests.oracle import transfer as oracle
from tests.strategies.frames import ArtifactSpec, Case, RepositorySpec, build_frames, cases, image, index
from tests.support.examples import examples


@given(cases(), st.frozensets(st.integers(8, 12)), st.integers(-400, 400))
@examples(40)
def test_stock_is_what_a_search_through_everything_finds(
    case: Case, pushed: frozenset[int], before_days: int
) -> None:
    since_ms = case.now_ms - before_days * 86_400_000
    known = frozenset(blob for blob in pushed if blob < len(case.frames.blob_size_bytes))
    rows = range(len(case.frames.repositories))
    pushes = Pushes(blobs={row: np.array(sorted(known), np.int64) for row in rows}, unread={})
    stocks = find_stock(case.frames, find_families(case.frames), pushes, since_ms)
    for row, stock in enumerate(stocks):
        stored, fresh = oracle.stock(case.frames, row, known, since_ms)
        assert frozenset(stock.stored.tolist()) == stored
        assert frozenset(stock.fresh.tolist()) == fresh


def test_means_are_over_images_and_unknown_things_are_counted() -> None:
    held = (
        ArtifactSpec(1, pushed_at_ms=5),
        ArtifactSpec(2, pushed_at_ms=NO_TIME),
        ArtifactSpec(3),
        ArtifactSpec(4),
        ArtifactSpec(5, subject=1),
    )
    manifests = {1: image(11, 12, 11), 2: image(12, foreign=(13,)), 3: index(1, 2), 5: image(14, subject=1)}
    frames = build_frames([RepositorySpec(held)], manifests, {11: 100, 12: 20, 13: 7, 14: 1})
    pushes = Pushes(blobs={0: np.array([11, 12, 99])}, unread={0: 2})
    (stock,) = find_stock(frames, find_families(frames), pushes, 5)
    assert stock.stored.tolist() == [11, 12, 14]
    assert stock.fresh.tolist() == [11]
    # Artifact 4, blob 99, and two that were pushed.
    assert stock.unread == 4
    assert stock.cold_pull_bytes == 70


def test_an_empty_repository_has_nothing() -> None:
    frames = build_frames([RepositorySpec()], {}, {})
    (stock,) = find_stock(frames, find_families(frames), Pushes(blobs={}, unread={}), 0)
    assert (stock.stored.tolist(), stock.fresh.tolist(), stock.unread, stock.cold_pull_bytes) == (
        [],
        [],
        0,
        None,
    )
