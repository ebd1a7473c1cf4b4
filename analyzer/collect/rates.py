"""How often a registry may be asked: a token bucket per kind of call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class TokenBucket:
    """At most ``per_second`` calls a second in the long run, half a second's worth of them at once.

    Safe to share between threads: each caller is given its own moment, in the order of arrival,
    and sleeps until then without holding anything. ``per_second`` may be infinite.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises ValueError unless ``per_second`` is above zero."""
        if not per_second > 0:
            raise ValueError(f"a rate must be above zero, not {per_second}")
        self._interval = 1.0 / per_second
        # How far an idle bucket's next moment may lie in the past: what allows the first few at once.
        self._slack = max(0.0, 0.5 - self._interval)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = float("-inf")

    def acquire(self) -> float:
        """Wait for this caller's turn; gives the seconds it waited."""
        if not self._interval:
            return 0.0
        with self._lock:
            now = self._clock()
            turn = max(self._next, now - self._slack)
            self._next = turn + self._interval
        wait = turn - now
        if wait <= 0:
            return 0.0
        self._sleep(wait)
        return wait
