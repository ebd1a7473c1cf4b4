"""The shared threads and their lanes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from analyzer.collect.pool import Pool


def task(*steps: Callable[[], object]) -> Callable[[], None]:
    """A task of these steps, one after the other."""

    def run() -> None:
        for step in steps:
            step()

    return run


def test_tasks_of_a_lane_start_in_order_and_all_run() -> None:
    pool = Pool(1, 1)
    lane, seen, done = pool.lane(), [], threading.Event()
    for number in range(100):
        lane.submit(lambda number=number: seen.append(number))  # type: ignore[misc]
    lane.submit(done.set)
    assert done.wait(10)
    assert seen == list(range(100))
    pool.close()


def test_a_lane_that_hangs_leaves_the_others_their_share() -> None:
    pool = Pool(4, 2)
    slow, quick = pool.lane(), pool.lane()
    release, done = threading.Event(), threading.Event()
    for _ in range(50):
        slow.submit(task(lambda: release.wait(20)))
    quick.submit(done.set)
    assert done.wait(10)
    release.set()
    pool.close()


def test_a_lane_that_comes_first_leaves_the_threads_of_those_to_come() -> None:
    pool = Pool(2, 2)
    slow = pool.lane()
    release, busy, done = threading.Event(), threading.Event(), threading.Event()
    for _ in range(50):
        slow.submit(task(busy.set, lambda: release.wait(20)))
    assert busy.wait(10)
    pool.lane().submit(done.set)
    assert done.wait(10)
    release.set()
    pool.close()


def test_what_the_last_lanes_do_not_need_is_used_by_the_rest() -> None:
    pool = Pool(4, 2)
    first, second = pool.lane(), pool.lane()
    barrier = threading.Barrier(5)
    for _ in range(4):
        second.submit(task(lambda: barrier.wait(10)))
    first.close()
    first.close()
    pool.expect_one_less()
    # Four at once: only with the share of the first lane.
    barrier.wait(10)
    pool.close()


def test_a_closed_pool_drops_what_waits() -> None:
    pool = Pool(1, 1)
    lane, busy, release, seen = pool.lane(), threading.Event(), threading.Event(), []
    lane.submit(task(busy.set, lambda: release.wait(10)))
    assert busy.wait(10)
    lane.submit(lambda: seen.append(1))
    pool.close()
    release.set()
    assert not lane.waiting
    assert seen == []


def test_a_closed_lane_takes_nothing_more() -> None:
    pool = Pool(1, 1)
    closed, seen, done = pool.lane(), [], threading.Event()
    closed.close()
    closed.submit(lambda: seen.append(1))
    assert not closed.waiting
    pool.lane().submit(done.set)
    assert done.wait(10)
    assert seen == []
    pool.close()


def test_a_lane_that_always_has_work_lets_another_begin() -> None:
    pool = Pool(2, 1)
    full, other = pool.lane(), pool.lane()
    release, busy, done = threading.Event(), threading.Barrier(3), threading.Event()
    for _ in range(2):
        full.submit(task(lambda: busy.wait(10), lambda: release.wait(10)))
    for _ in range(2):
        full.submit(task(lambda: done.wait(20)))
    busy.wait(10)
    other.submit(done.set)
    release.set()
    assert done.wait(10)
    pool.close()
