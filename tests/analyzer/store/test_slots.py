"""Slots: each moment of the schedule is taken once, and what was left is gone on with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import BigInteger, insert, literal, select, update

from analyzer.errors import LeaseError
from analyzer.store import leases, tables
from analyzer.store.engine import Database
from analyzer.store.leases import ServiceLease, hold_service
from analyzer.store.slots import (
    MOST_ATTEMPTS,
    Slot,
    SlotStatus,
    finish_slot,
    keep_schedule,
    last_slots,
    note_steps,
    take_slot,
    tie_run,
)

MINUTE = 60_000
GRACE = 10 * MINUTE
#: When the schedule began, on a minute.
START = 1_800_000_000_000


def _every_minute(after_ms: int, until_ms: int) -> Sequence[int]:
    first = after_ms // MINUTE + 1
    return [number * MINUTE for number in range(first, until_ms // MINUTE + 1)]


class _Service:
    """One server after another on a database, all of them seen from a clock of this test."""

    def __init__(self, database: Database, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = database
        self.now_ms = START
        # On PostgreSQL the server's clock counts, which no test moves.
        monkeypatch.setattr(leases, "_server_ms", lambda: literal(self.now_ms, BigInteger))
        self._stack = stack
        self.lease = self.take_over("first")

    def take_over(self, host: str) -> ServiceLease:
        """As another server that found the one before silent."""
        with self.database.write() as connection:
            # The heartbeat stays: it is the last sign of life.
            connection.execute(update(tables.service).values(holder=None))
        self.lease = self._stack.enter_context(
            hold_service(self.database, f"pid {len(host)}", host, lambda: self.now_ms)
        )
        keep_schedule(self.database, self.lease, "* * * * *", "UTC", self.now_ms)
        return self.lease

    def take(self, after_ms: int = 0) -> Slot | None:
        self.now_ms += after_ms
        return take_slot(self.database, self.lease, _every_minute, now_ms=self.now_ms, grace_ms=GRACE)

    def finish(self, slot: Slot, status: SlotStatus = SlotStatus.DONE) -> None:
        finish_slot(self.database, self.lease, slot, status, steps={}, now_ms=self.now_ms)

    def rows(self) -> dict[int, str]:
        """Minutes since the beginning, and what became of them."""
        with self.database.read() as connection:
            found = connection.execute(select(tables.service_slot.c.fire_at_ms, tables.service_slot.c.status))
            return {(row.fire_at_ms - START) // MINUTE: row.status for row in sorted(found)}


@pytest.fixture
def service(database: Database, monkeypatch: pytest.MonkeyPatch) -> Any:
    with ExitStack() as stack:
        yield _Service(database, stack, monkeypatch)


def test_nothing_is_due_before_the_first_moment_and_each_is_taken_once(service: _Service) -> None:
    assert service.take() is None
    slot = service.take(MINUTE)
    assert slot == Slot(START + MINUTE, 1)
    service.finish(slot)
    assert service.take() is None
    assert service.rows() == {1: "done"}


def test_of_many_missed_the_newest_is_made_up_once(service: _Service) -> None:
    slot = service.take(4 * MINUTE + 500)
    assert slot == Slot(START + 4 * MINUTE, 1)
    assert service.rows() == {1: "coalesced", 2: "coalesced", 3: "coalesced", 4: "running"}


def test_what_is_older_than_the_grace_is_missed(database: Database, service: _Service) -> None:
    def daily(after_ms: int, until_ms: int) -> Sequence[int]:
        return [moment for moment in (START + MINUTE, START + 2 * MINUTE) if after_ms < moment <= until_ms]

    for now_ms in (START + 2 * MINUTE + GRACE + 1, START + 3 * MINUTE + GRACE):
        assert take_slot(database, service.lease, daily, now_ms=now_ms, grace_ms=GRACE) is None
    assert service.rows() == {1: "missed", 2: "missed"}


def test_grace_counts_to_the_very_end(database: Database, service: _Service) -> None:
    def once(after_ms: int, until_ms: int) -> Sequence[int]:
        return [START + MINUTE] if after_ms < START + MINUTE <= until_ms else []

    slot = take_slot(database, service.lease, once, now_ms=START + MINUTE + GRACE, grace_ms=GRACE)
    assert slot == Slot(START + MINUTE, 1)


def test_a_slot_that_was_left_is_gone_on_with_and_its_steps_are_known(service: _Service) -> None:
    slot = service.take(MINUTE)
    assert slot is not None
    note_steps(service.database, service.lease, slot, {"collect": {"status": "done"}})
    service.take_over("second")
    again = service.take(10_000)
    assert again == Slot(slot.fire_at_ms, 2, None, {"collect": {"status": "done"}})
    service.finish(again)
    assert service.take() is None
    assert service.rows() == {1: "done"}


@pytest.mark.parametrize(
    ("status", "is_known"), [("complete", True), ("gaps", True), ("failed", False), ("running", False)]
)
def test_a_run_that_ended_is_not_made_again(service: _Service, status: str, is_known: bool) -> None:
    slot = service.take(MINUTE)
    assert slot is not None
    with service.database.write() as connection:
        values = {"started_at_ms": 1, "status": status, "host": "h", "version": "1"}
        run = connection.execute(insert(tables.run).values(**values).returning(tables.run.c.id)).scalar_one()
        tie_run(service.lease, slot)(connection, run)
    service.take_over("second")
    again = service.take()
    assert again is not None
    assert again.run == (run if is_known else None)


def test_a_newer_moment_stands_for_one_that_was_left(service: _Service) -> None:
    service.take(MINUTE)
    service.take_over("second")
    assert service.take(MINUTE) == Slot(START + 2 * MINUTE, 1)
    assert service.rows() == {1: "coalesced", 2: "running"}


def test_what_kills_its_server_each_time_is_given_up(service: _Service) -> None:
    service.take(MINUTE)
    for attempt in range(2, MOST_ATTEMPTS + 1):
        service.take_over(f"server {attempt}")
        slot = service.take(1)
        assert slot is not None
        assert slot.attempts == attempt
    service.take_over("last")
    assert service.take(1) is None
    assert service.rows() == {1: "failed"}


@pytest.mark.parametrize(("silent_ms", "is_left"), [(GRACE, False), (GRACE + 1, True)])
def test_a_slot_is_given_up_when_its_server_was_silent_for_longer_than_the_grace(
    database: Database, service: _Service, silent_ms: int, is_left: bool
) -> None:
    slot = service.take(MINUTE)
    assert slot is not None
    # The night takes hours, and its server is alive until then.
    service.now_ms += 300 * MINUTE
    with database.write() as connection:
        connection.execute(update(tables.service).values(heartbeat_at_ms=service.now_ms))
    service.now_ms += silent_ms
    service.take_over("second")
    found = take_slot(database, service.lease, lambda *_: [], now_ms=service.now_ms, grace_ms=GRACE)
    assert (found is None) == is_left
    assert service.rows() == {1: "failed" if is_left else "running"}


def test_another_schedule_makes_nothing_due_in_the_past(service: _Service) -> None:
    slot = service.take(MINUTE)
    assert slot is not None
    service.finish(slot)
    service.now_ms += 5 * MINUTE
    keep_schedule(service.database, service.lease, "*/1 * * * *", "UTC", service.now_ms)
    assert service.take() is None
    keep_schedule(service.database, service.lease, "*/1 * * * *", "UTC", service.now_ms + 1)
    assert service.take(MINUTE) == Slot(START + 7 * MINUTE, 1)


def test_whoever_lost_the_lease_takes_and_records_nothing(service: _Service) -> None:
    slot = service.take(MINUTE)
    assert slot is not None
    before = service.lease
    service.take_over("second")
    late_ms = service.now_ms + MINUTE
    with pytest.raises(LeaseError):
        take_slot(service.database, before, _every_minute, now_ms=late_ms, grace_ms=GRACE)
    with pytest.raises(LeaseError):
        note_steps(service.database, before, slot, {})
    with pytest.raises(LeaseError):
        finish_slot(service.database, before, slot, SlotStatus.DONE, steps={}, now_ms=late_ms)
    with service.database.write() as connection, pytest.raises(LeaseError):
        tie_run(before, slot)(connection, 1)
    assert service.rows() == {1: "running"}


def test_the_newest_slots_are_told_and_those_with_figures_apart(service: _Service) -> None:
    for number in range(1, 4):
        slot = service.take(MINUTE)
        assert slot is not None
        figures = {"run": number} if number == 2 else None
        finish_slot(
            service.database,
            service.lease,
            slot,
            SlotStatus.DONE if number == 2 else SlotStatus.FAILED,
            steps={"collect": {"status": "done"}},
            now_ms=service.now_ms + 5,
            figures=figures,
        )
    with service.database.read() as connection:
        newest = last_slots(connection, 2)
        (reported,) = last_slots(connection, 5, with_figures=True)
    assert [(slot.fire_at_ms - START) // MINUTE for slot in newest] == [3, 2]
    assert newest[0].status is SlotStatus.FAILED
    assert newest[0].figures is None
    assert reported == newest[1]
    assert (reported.figures, reported.finished_at_ms) == ({"run": 2}, START + 2 * MINUTE + 5)
