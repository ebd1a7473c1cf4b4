"""How a server is asked to end: it finishes what it is at, within bounds.

The first SIGTERM (or Ctrl-C) asks: what waits ends at once, and the step at hand has some seconds to get
done. When these are over, or at the second signal, that step is interrupted as Ctrl-C interrupts a command:
leases are let go, and the run is recorded as failed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):  # as its base is named, and no error
    """The step at hand had its time, and is to end now."""


class Stopping:
    """Whether the server is to end, for the thread that works and those that look."""

    def __init__(self, patience_seconds: float) -> None:
        """``patience_seconds`` is how long the step at hand may go on after the first signal."""
        self._patience = patience_seconds
        self._in_step = False
        #: Set by whatever is worth looking: a signal, the schedule.
        self.wake = threading.Event()
        self.is_asked = False

    def ask(self) -> None:
        """Ask the server to end."""
        self.is_asked = True
        self.wake.set()

    @contextmanager
    def step(self) -> Iterator[None]:
        """While a step is at hand, which may be interrupted."""
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT for a request to end; for the main thread."""
        names = ("SIGTERM", "SIGINT", "SIGALRM")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: signal.signal(number, self._heed) for number in numbers}
        try:
            yield
        finally:
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heed(self, _number: int, _frame: FrameType | None) -> None:
        again = self.is_asked
        self.ask()
        if not self._in_step:
            return
        if again:
            # Once: what it sets in motion must not be cut short by the next.
            self._in_step = False
            raise Interrupted
        if hasattr(signal, "setitimer"):
            # Not zero, which would be no alarm at all.
            signal.setitimer(signal.ITIMER_REAL, max(self._patience, 0.001))
