"""The token bucket."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.collect.rates import TokenBucket


class Clock:
    """A clock that only sleeping and `pass_` move."""

    def __init__(self) -> None:
        self.now = 100.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        with self._lock:
            self.now += seconds


@pytest.mark.parametrize("rate", [0.5, 1, 10, 40, 2000])
def test_the_rate_is_kept_after_half_a_seconds_worth_at_once(rate: float) -> None:
    clock = Clock()
    bucket = TokenBucket(rate, clock=clock, sleep=clock.sleep)
    at_once = 0
    while bucket.acquire() == 0.0:
        at_once += 1
    # Floating point may take one off.
    assert at_once in (max(1, int(rate / 2) - 1), max(1, int(rate / 2)))
    start = clock.now
    for _ in range(100):
        bucket.acquire()
    assert clock.now - start == pytest.approx(100 / rate)


def test_idle_time_is_not_saved_up() -> None:
    clock = Clock()
    bucket = TokenBucket(10, clock=clock, sleep=clock.sleep)
    clock.now += 3600
    assert sum(bucket.acquire() == 0.0 for _ in range(20)) <= 5


@given(st.floats(0.1, 100), st.lists(st.floats(0, 3), min_size=2, max_size=60))
def test_no_window_of_time_sees_more_than_its_share(rate: float, pauses: list[float]) -> None:
    clock = Clock()
    bucket = TokenBucket(rate, clock=clock, sleep=clock.sleep)
    moments = []
    for pause in pauses:
        clock.now += pause
        bucket.acquire()
        moments.append(clock.now)
    for first in range(len(moments)):
        for last in range(first, len(moments)):
            window = moments[last] - moments[first]
            assert last - first + 1 <= window * rate + max(1.0, rate / 2) + 1e-6


def test_an_infinite_rate_never_waits() -> None:
    bucket = TokenBucket(float("inf"), sleep=lambda _: pytest.fail("slept"))
    assert sum(bucket.acquire() for _ in range(1000)) == 0


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_what_is_no_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        TokenBucket(rate)
