"""The tasks of one registry: they run on its lane, and one thread gathers what they give.

That thread makes no call to AWS itself, so that it can stop at once when the run does.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from analyzer.collect.clients import StoppedError
from analyzer.collect.contract import HeldLease
from analyzer.collect.pool import Lane
from analyzer.errors import LeaseError
from analyzer.model.records import RegistryKey

T = TypeVar("T")

#: Seconds between looks at the lease while no task ends.
_LOOK = 1.0


class Tasks:
    """What one registry has still to do; but for `interrupt` all is for the thread that gathers."""

    def __init__(self, key: RegistryKey, lane: Lane) -> None:
        self._key = key
        self._lane = lane
        self._lease: HeldLease | None = None
        self._results: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._outstanding = 0

    def watch(self, lease: HeldLease) -> None:
        """From now on raise LeaseError, while waiting, when ``lease`` is lost."""
        self._lease = lease

    def interrupt(self) -> None:
        """Make whoever waits for a task raise StoppedError at once; from any thread."""
        self._results.put(_stop)

    def start(self, work: Callable[[], T], keep: Callable[[T], None]) -> None:
        """Have ``work`` run on the lane, and ``keep`` what it gives in the thread that gathers."""

        def task() -> None:
            # Whatever a task raises is raised again, in the thread that waits for it.
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001
                self._results.put(partial(_raise, error))
            else:
                self._results.put(partial(keep, result))

        self._outstanding += 1
        self._lane.submit(task)

    def now(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, run as a task."""
        results: list[T] = []
        self.start(work, results.append)
        while not results:
            self._next()
        return results[0]

    def finish(self) -> None:
        """Wait for all tasks."""
        while self._outstanding:
            self._next()

    def raise_if_lost(self) -> None:
        """Raise LeaseError when whatever else is read could not be written."""
        if self._lease is not None and self._lease.lost.is_set():
            raise LeaseError(
                f"lost the lease on {self._key.account}/{self._key.region}: another collector took over; "
                "no snapshot was written"
            )

    def raise_if_stopped(self) -> None:
        """Raise StoppedError when interrupted; for whoever waits for something else than a task."""
        try:
            keep = self._results.get_nowait()
        except queue.Empty:
            return
        keep()

    def _next(self) -> None:
        """Wait for a task to end and keep what it gave."""
        while True:
            self.raise_if_lost()
            try:
                keep = self._results.get(timeout=_LOOK)
            except queue.Empty:
                continue
            break
        self._outstanding -= 1
        keep()


def _raise(error: BaseException) -> None:
    raise error


def _stop() -> None:
    raise StoppedError
