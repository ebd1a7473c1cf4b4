"""Worker threads shared by all registries, so divided that none can take another's.

A plain first-in-first-out pool would let one registry that times out fill every thread while the
others wait. Here each registry has a lane of its own and at most its share of the threads; what a
finished lane leaves is shared by the rest. The threads are daemons: an interrupted run does not
wait for the answer of a call that hangs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Lane:
    """The queue of one registry in a `Pool`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.waiting: deque[Callable[[], None]] = deque()
        self.running = 0
        self.is_open = True

    def submit(self, task: Callable[[], None]) -> None:
        """Have ``task`` run in some thread of the pool; it must not raise."""
        self._pool.submit(self, task)

    def close(self) -> None:
        """Drop what waits, and whatever comes; running tasks end by themselves."""
        self._pool.remove(self)


class Pool:
    """``threads`` threads for ``lanes`` lanes at a time, at most as many.

    Each may use its share of the threads from the start, and no more even while the others have not
    come yet: a call that hangs is not given back.
    """

    def __init__(self, threads: int, lanes: int) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._lanes: list[Lane] = []
        self._size = threads
        self._expected = lanes
        self._share = 1
        self._set_share()
        for number in range(self._size):
            threading.Thread(target=self._work, name=f"collect-{number}", daemon=True).start()

    def lane(self) -> Lane:
        """A new lane."""
        lane = Lane(self)
        with self._changed:
            self._lanes.append(lane)
        return lane

    def submit(self, lane: Lane, task: Callable[[], None]) -> None:
        """Queue ``task`` on ``lane``."""
        with self._changed:
            if not lane.is_open:
                return
            lane.waiting.append(task)
            # Where the lane has its share, whichever of its threads ends its task takes the next.
            if lane.running < self._share:
                self._changed.notify()

    def remove(self, lane: Lane) -> None:
        """Take ``lane`` out; its running tasks end by themselves."""
        with self._changed:
            lane.waiting.clear()
            if lane.is_open:
                lane.is_open = False
                self._lanes.remove(lane)

    def expect_one_less(self) -> None:
        """From now on one lane less will be there at a time: the others share its threads."""
        with self._changed:
            self._expected -= 1
            self._set_share()
            self._changed.notify_all()

    def close(self) -> None:
        """Drop everything that waits; idle threads end now, busy ones after their task."""
        with self._changed:
            self._closed = True
            for lane in self._lanes:
                lane.waiting.clear()
            self._changed.notify_all()

    def _set_share(self) -> None:
        self._share = max(1, self._size // max(1, self._expected))

    def _work(self) -> None:
        lane: Lane | None = None
        while True:
            with self._changed:
                if lane is not None:
                    lane.running -= 1
                while not self._closed and (lane := self._pick(lane)) is None:
                    self._changed.wait()
                if self._closed or lane is None:
                    return
                task = lane.waiting.popleft()
                lane.running += 1
            task()
            # Or an idle thread keeps the last task's answer alive for the rest of the run.
            del task

    def _pick(self, last: Lane | None) -> Lane | None:
        """The lane with work whose share is used least, or None.

        Of those that use none, the one whose task this thread did last: then they need not all be
        looked at after every task.
        """
        if last is not None and last.waiting and not last.running:
            return last
        best: Lane | None = None
        for lane in self._lanes:
            if lane.waiting and lane.running < self._share and (best is None or lane.running < best.running):
                if not lane.running:
                    return lane
                best = lane
        return best
