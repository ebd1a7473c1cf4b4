"""Who fetches which manifest."""

from __future__ import annotations

import threading
from collections import deque

from analyzer.collect.claims import Claims


def test_each_digest_is_claimed_by_one() -> None:
    claims = Claims()
    busy: list[str] = []
    assert claims.take(deque("abc"), 2, busy) == ["a", "b"]
    assert claims.take(deque("abcd"), 9, busy) == ["c", "d"]
    assert busy == ["a", "b"]


def test_what_failed_may_be_tried_from_elsewhere_and_what_is_stored_is_done() -> None:
    claims = Claims()
    claims.take(deque("abc"), 9, [])
    claims.settle(stored=["a"], failed=["b"])
    busy: list[str] = []
    assert claims.take(deque("abc"), 9, busy) == ["b"]
    assert busy == ["c"]
    assert [claims.is_stored(digest) for digest in "abcx"] == [True, False, False, False]


def test_a_late_failure_does_not_undo_what_somebody_else_stored() -> None:
    claims = Claims()
    claims.take(deque("a"), 1, [])
    assert claims.take(deque("a"), 1, [], even_busy=True) == ["a"]
    claims.settle(stored=["a"])
    claims.settle(failed=["a"])
    assert claims.is_stored("a")


def test_waiting_ends_when_claims_do_or_the_time_is_up() -> None:
    claims = Claims()
    seen = claims.changes
    threading.Timer(0.05, claims.settle).start()
    claims.wait(seen, 20)
    assert claims.changes == seen + 1
    claims.wait(claims.changes, 0.01)


def test_under_contention_nothing_is_claimed_twice_or_left() -> None:
    claims, digests = Claims(), [str(number) for number in range(2000)]
    taken: list[list[str]] = []

    def work() -> None:
        wanted, busy = deque(digests), list[str]()
        while mine := claims.take(wanted, 7, busy):
            taken.append(mine)
            claims.settle(stored=mine)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(digest for mine in taken for digest in mine) == sorted(digests)
