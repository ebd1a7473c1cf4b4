"""Twenty collectors killed at random moments; `make kills` kills two hundred."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.kills import KILLS_PER_SEASON, play
from tests.support.warm_starts import WarmStarts, warm_starts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills and forks of POSIX")

_KILLS = 20


@pytest.fixture(scope="session")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmStarts]:
    with warm_starts(tmp_path_factory.mktemp("starts")) as starts:
        yield starts


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(_KILLS // KILLS_PER_SEASON))
def test_kills_at_random_moments_lose_nothing_and_the_next_start_brings_all_level(
    starts: WarmStarts, seed: int
) -> None:
    assert len(play(seed, KILLS_PER_SEASON, starts)) == KILLS_PER_SEASON
