"""One collector per registry: who holds it, when it may be taken over, and that the loser writes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, literal, select, update

from analyzer.errors import LeaseError, RunError
from analyzer.model.records import RegistryKey
from analyzer.store import leases, tables
from analyzer.store.engine import Database
from analyzer.store.leases import STALE_AFTER_MS
from analyzer.store.writer import Store
from tests.analyzer.store.examples import HOST, KEY, commit, image, latest, read_of, stored
from tests.support.databases import Provider

_START = 1_700_000_000_000


class _Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ms = _START

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """The clock that counts, on PostgreSQL too."""
    clock = _Clock()
    monkeypatch.setattr(leases, "_server_ms", lambda: literal(clock.now_ms, BigInteger))
    # Made anew for each moment, which these statements now hold.
    monkeypatch.setattr(leases, "_statements", leases._statements.__wrapped__)
    return clock


@pytest.fixture
def store(database: Database, clock: _Clock) -> Store:
    return Store(database, clock)


def _row(database: Database) -> Any:
    with database.read() as connection:
        return connection.execute(select(tables.lease)).one()


def _leave_behind(database: Database, store: Store, holder: str) -> None:
    """Leave the lease as a holder that ended without a word would."""
    with store.lease(KEY, "before", HOST):
        pass
    with database.write() as connection:
        connection.execute(
            update(tables.lease).values(
                holder=holder, host=HOST, acquired_at_ms=_START, heartbeat_at_ms=_START
            )
        )


@pytest.fixture
def dead_pid() -> int:
    """Number of a process that is no more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def live_pid() -> Iterator[int]:
    """Number of another process that lives."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child.pid
    child.communicate()


def test_registry_held_by_another_is_refused_with_who_since_when_and_where(store: Store) -> None:
    with store.lease(KEY, "pid 1", "first"):
        with pytest.raises(LeaseError) as caught, store.lease(KEY, "pid 2", "second"):
            pass
        assert str(caught.value) == (
            "111111111111/eu-west-1 is being collected by pid 1 on first since 2023-11-14T22:13:20Z "
            "(last sign of life 2023-11-14T22:13:20Z)"
        )


def test_other_registries_are_free(store: Store) -> None:
    with (
        store.lease(KEY, "a", HOST) as one,
        store.lease(RegistryKey("aws", KEY.account, "us-east-1"), "a", HOST) as other,
        store.lease(RegistryKey("aws-cn", KEY.account, KEY.region), "a", HOST) as third,
    ):
        assert len({one.registry_id, other.registry_id, third.registry_id}) == 3


def test_released_lease_goes_to_the_next_with_a_higher_fence(database: Database, store: Store) -> None:
    fences = []
    for holder in ("a", "b", "c"):
        with store.lease(KEY, holder, HOST) as lease:
            fences.append(lease.fence)
            assert _row(database).holder == holder
        row = _row(database)
        assert (row.holder, row.host, row.heartbeat_at_ms) == (None, None, None)
    assert fences == [1, 2, 3]


def test_lease_is_released_when_the_work_fails(database: Database, store: Store) -> None:
    with pytest.raises(KeyError, match="ours"), store.lease(KEY, "a", HOST):
        raise KeyError("ours")
    assert _row(database).holder is None


@pytest.mark.parametrize(("silent_ms", "free"), [(STALE_AFTER_MS - 1, False), (STALE_AFTER_MS, True)])
def test_silent_holder_is_given_five_minutes(
    database: Database, store: Store, clock: _Clock, silent_ms: int, free: bool
) -> None:
    assert STALE_AFTER_MS == 5 * 60 * 1000
    _leave_behind(database, store, "somebody")
    clock.now_ms += silent_ms
    if free:
        with store.lease(KEY, "next", "elsewhere"):
            assert _row(database).holder == "next"
    else:
        with pytest.raises(LeaseError, match="somebody"), store.lease(KEY, "next", "elsewhere"):
            pass


@pytest.mark.parametrize(("ahead_ms", "free"), [(STALE_AFTER_MS - 1, False), (STALE_AFTER_MS, True)])
def test_heartbeat_from_before_the_clock_was_set_back_does_not_hold_for_ever(
    database: Database, store: Store, clock: _Clock, ahead_ms: int, free: bool
) -> None:
    _leave_behind(database, store, "somebody")
    clock.now_ms -= ahead_ms
    if free:
        with store.lease(KEY, "next", "elsewhere"):
            assert _row(database).heartbeat_at_ms == clock.now_ms
    else:
        with pytest.raises(LeaseError, match="somebody"), store.lease(KEY, "next", "elsewhere"):
            pass


_HOUR_MS = 3_600_000


@pytest.mark.parametrize("skew_ms", [-_HOUR_MS, 0, _HOUR_MS])
@pytest.mark.parametrize("other_skew_ms", [-_HOUR_MS, _HOUR_MS])
def test_clocks_of_hosts_that_are_hours_apart_neither_take_nor_keep_a_lease(
    postgresql: Provider, skew_ms: int, other_skew_ms: int
) -> None:
    database = postgresql.clean()
    started = round(time.time() * 1000)
    holder = Store(database, lambda: round(time.time() * 1000) + skew_ms)
    other = Store(database, lambda: round(time.time() * 1000) + other_skew_ms)
    with holder.lease(KEY, "holder", HOST):
        row = _row(database)
        # The server is on this host: its clock is ours.
        assert started - 1000 <= row.heartbeat_at_ms == row.acquired_at_ms <= time.time() * 1000 + 1000
        with pytest.raises(LeaseError, match="holder on host"), other.lease(KEY, "other", "elsewhere"):
            pass
        # Silent for as long as the server's clock says, it may be taken over, and no sooner.
        for silent_ms, free in ((STALE_AFTER_MS - 60_000, False), (STALE_AFTER_MS, True)):
            with database.write() as connection:
                connection.execute(
                    update(tables.lease).values(heartbeat_at_ms=row.heartbeat_at_ms - silent_ms)
                )
            if not free:
                with pytest.raises(LeaseError), other.lease(KEY, "other", "elsewhere"):
                    pass
        with other.lease(KEY, "other", "elsewhere"):
            assert _row(database).holder == "other"


@pytest.mark.parametrize("skew_ms", [-_HOUR_MS, _HOUR_MS])
def test_heartbeats_are_by_the_clock_of_the_server(
    postgresql: Provider, monkeypatch: pytest.MonkeyPatch, skew_ms: int
) -> None:
    monkeypatch.setattr(leases, "_HEARTBEAT_SECONDS", 0.01)
    database = postgresql.clean()
    with Store(database, lambda: round(time.time() * 1000) + skew_ms).lease(KEY, "holder", HOST):
        first = _row(database).heartbeat_at_ms
        _wait_for(lambda: _row(database).heartbeat_at_ms > first)
        assert abs(_row(database).heartbeat_at_ms - time.time() * 1000) < STALE_AFTER_MS


def test_dead_process_of_the_same_host_is_succeeded_at_once(
    database: Database, store: Store, dead_pid: int
) -> None:
    _leave_behind(database, store, f"pid {dead_pid}")
    with store.lease(KEY, "pid 1", HOST):
        assert _row(database).holder == "pid 1"


def test_process_number_of_another_host_says_nothing(database: Database, store: Store, dead_pid: int) -> None:
    _leave_behind(database, store, f"pid {dead_pid}")
    with pytest.raises(LeaseError), store.lease(KEY, "pid 1", "elsewhere"):
        pass


def test_living_process_of_the_same_host_is_not_succeeded(
    database: Database, store: Store, live_pid: int
) -> None:
    _leave_behind(database, store, f"pid {live_pid}")
    with pytest.raises(LeaseError, match=f"pid {live_pid} on host"), store.lease(KEY, "pid 1", HOST):
        pass


def test_former_process_of_our_own_number_is_succeeded_at_once(database: Database, store: Store) -> None:
    # As in a container, where the program is process 1 in every life.
    me = f"pid {os.getpid()}"
    _leave_behind(database, store, me)
    with store.lease(KEY, me, HOST):
        assert _row(database).fence == 2
        # Now it is ours indeed, whoever of us asks and however often.
        for _ in range(2):
            with pytest.raises(LeaseError, match=f"{me} on host"), store.lease(KEY, me, HOST):
                pass
    _leave_behind(database, store, me)
    with pytest.raises(LeaseError), store.lease(KEY, me, "elsewhere"):
        pass


@pytest.mark.parametrize("holder", ["somebody", "pid", "pid ", "pid x", f"pid {10**30}", "pid 1x"])
def test_holder_that_names_no_process_is_given_its_time(
    database: Database, store: Store, holder: str
) -> None:
    _leave_behind(database, store, holder)
    with pytest.raises(LeaseError), store.lease(KEY, "pid 1", HOST):
        pass


def test_holder_that_lost_its_lease_writes_nothing(database: Database, store: Store, clock: _Clock) -> None:
    first = read_of(image("a", "latest"), taken_at_ms=1)
    commit(database, first)
    run = store.begin_run(2, HOST, "1")
    with store.lease(KEY, "slow", HOST) as slow:
        clock.now_ms += STALE_AFTER_MS
        with store.lease(KEY, "quick", "elsewhere") as quick:
            with pytest.raises(LeaseError, match=r"lost the lease .* nothing was written"):
                store.commit_snapshot(slow, run, read_of(taken_at_ms=3))
            assert latest(database)[1] == stored(first)
            number = store.commit_snapshot(quick, run, read_of(image("b"), taken_at_ms=4))
        assert number == 2
        # Its successor has gone too: the lease is free, but not the slow one's.
        with pytest.raises(LeaseError, match="lost the lease"):
            store.commit_snapshot(slow, run, read_of(taken_at_ms=5))
    assert latest(database)[1] == stored(read_of(image("b"), taken_at_ms=4))


def test_holder_that_lost_its_lease_does_not_release_its_successors(
    database: Database, store: Store, clock: _Clock
) -> None:
    with store.lease(KEY, "slow", HOST):
        clock.now_ms += STALE_AFTER_MS
        quick = store.lease(KEY, "quick", HOST)
        quick.__enter__()
    assert _row(database).holder == "quick"
    quick.__exit__(None, None, None)
    assert _row(database).holder is None


def test_holder_may_write_more_than_one_snapshot(database: Database, store: Store) -> None:
    run = store.begin_run(1, HOST, "1")
    reads = [read_of(image("a")), read_of(image("b"))]
    with store.lease(KEY, "a", HOST) as lease:
        assert [store.commit_snapshot(lease, run, read) for read in reads] == [1, 2]
    assert latest(database)[1] == stored(reads[1])


def _wait_for(happened: Any) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_heartbeat_keeps_the_lease(
    database: Database, store: Store, clock: _Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_HEARTBEAT_SECONDS", 0.01)
    with store.lease(KEY, "a", HOST) as lease:
        clock.now_ms += STALE_AFTER_MS
        _wait_for(lambda: _row(database).heartbeat_at_ms == clock.now_ms)
        with (
            pytest.raises(LeaseError, match="last sign of life 2023-11-14T22:18:20Z"),
            store.lease(KEY, "b", "c"),
        ):
            pass
        assert not lease.lost.is_set()


def test_heartbeat_notices_that_the_lease_is_lost(
    database: Database, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_HEARTBEAT_SECONDS", 0.01)
    with store.lease(KEY, "a", HOST) as lease:
        with database.write() as connection:
            connection.execute(update(tables.lease).values(fence=9))
        assert lease.lost.wait(20)


def test_heartbeat_outlives_a_database_that_is_away_for_a_moment(
    database: Database, store: Store, clock: _Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_HEARTBEAT_SECONDS", 0.01)
    failures = threading.Semaphore(3)
    really: Any = leases._update

    def fails_at_first(*args: Any, **values: int) -> bool:
        if failures.acquire(blocking=False):
            raise RunError("the database is locked")
        return bool(really(*args, **values))

    monkeypatch.setattr(leases, "_update", fails_at_first)
    with store.lease(KEY, "a", HOST) as lease:
        clock.now_ms += 1
        _wait_for(lambda: _row(database).heartbeat_at_ms == clock.now_ms)
        assert not lease.lost.is_set()


def test_only_one_of_many_gets_the_lease(database: Database) -> None:
    start, done = threading.Barrier(8), threading.Event()
    held, refused = list[int](), list[int]()

    def try_it(number: int) -> None:
        store = Store(database, lambda: _START)
        start.wait()
        try:
            with store.lease(KEY, f"thread {number}", HOST) as lease:
                held.append(lease.fence)
                done.wait(20)
        except LeaseError:
            refused.append(number)
            if len(refused) == 7:
                done.set()

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(held), len(refused)) == (1, 7)
