"""The server: it waits for its turn, and while it has the service it runs what is due.

The night itself runs in the thread that calls `serve`, which is the one that signals reach.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from analyzer.errors import LeaseError, RunError
from analyzer.service.schedule import Schedule
from analyzer.service.steps import StepResult, from_plain, to_plain, worst
from analyzer.service.stopping import Interrupted, Stopping
from analyzer.service.ticking import ticking
from analyzer.store.engine import Database
from analyzer.store.leases import ServiceLease, hold_service
from analyzer.store.slots import (
    OnRun,
    Slot,
    SlotStatus,
    finish_slot,
    keep_schedule,
    note_steps,
    take_slot,
    tie_run,
)

_log = logging.getLogger("demurrage.service")

#: Seconds between two looks at what is due: the schedule wakes us, and this is for when it did not.
_LOOK: Final = 15.0
#: Seconds between two tries at the service while another server has it, and after a failure.
_STANDBY: Final = 5.0

Role = Literal["starting", "standby", "leading", "stopping"]


class Night(Protocol):
    """What is to be done when the time has come."""

    def run(self, asked: Asked) -> Mapping[str, StepResult]:
        """Do all steps; how they went."""

    @property
    def figures(self) -> Mapping[str, Any] | None:
        """Those of the report that was made; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One slot, as the night sees it."""

    slot: Slot
    #: How steps went in an earlier attempt.
    before: Mapping[str, StepResult]
    #: Called in the transaction that begins a run of the collector.
    on_run: OnRun
    #: Called after each step with how all went so far.
    note: Callable[[Mapping[str, StepResult]], None]
    stopping: Stopping


@dataclass(slots=True)
class ServerState:
    """What a server is at, for those who look from other threads."""

    schedule: Schedule
    role: Role = "starting"
    #: Who has the service, in the words of the one who was refused; "" for oneself.
    leader: str = ""
    #: The slot that is being run.
    running_since_ms: int | None = None
    fire_at_ms: int | None = None
    #: When the loop was last seen to turn, seconds of `time.monotonic`.
    turned_at: float = field(default_factory=time.monotonic)
    started_at_ms: int = 0


class Server:
    """Runs ``night`` whenever ``schedule`` says so, one server at a time."""

    def __init__(
        self,
        database: Database,
        schedule: Schedule,
        night: Night,
        *,
        grace_seconds: int,
        stopping: Stopping,
        on_ended: Callable[[SlotStatus], None] = lambda _status: None,
        clock: Callable[[], float] = time.time,
        look_seconds: float = _LOOK,
        standby_seconds: float = _STANDBY,
        host: str | None = None,
    ) -> None:
        """``grace_seconds`` is how late a moment is still made up; ``clock`` gives seconds since 1970 UTC.

        ``on_ended`` is told how each run ended.
        """
        self.state = ServerState(schedule, started_at_ms=round(clock() * 1000))
        self._database = database
        self._schedule = schedule
        self._night = night
        self._grace_seconds = grace_seconds
        self._stopping = stopping
        self._on_ended = on_ended
        self._clock = clock
        self._look_seconds = look_seconds
        self._standby_seconds = standby_seconds
        self._host = host or socket.gethostname()

    def serve(self) -> None:
        """Go on until it is asked to stop."""
        while not self._stopping.is_asked:
            try:
                with hold_service(self._database, f"pid {os.getpid()}", self._host, self._now_ms) as lease:
                    self._lead(lease)
            except LeaseError as error:
                self._stand_by(str(error))
            except RunError as error:
                # A database that is away comes back; who looks at /healthz sees that it is.
                _log.error("the service waits: %s", error)  # nobody needs the traceback
                self._pause(self._standby_seconds)
        self.state.role = "stopping"

    def _stand_by(self, why: str) -> None:
        if self.state.role != "standby":
            _log.info("standing by: %s", why)
        self.state.role, self.state.leader = "standby", why
        self._pause(self._standby_seconds)

    def _lead(self, lease: ServiceLease) -> None:
        keep_schedule(
            self._database, lease, self._schedule.expression, self._schedule.timezone, self._now_ms()
        )
        self.state.role, self.state.leader = "leading", ""
        _log.info("leading: the schedule is %s", self._schedule, extra={"fence": lease.fence})
        with ticking(self._database, self._schedule, self._stopping.wake, self._grace_seconds):
            while not lease.lost.is_set():
                self._turn()
                # Before the look: a tick that comes during it counts for the next.
                self._stopping.wake.clear()
                if self._stopping.is_asked:
                    return
                slot = self._take(lease)
                if slot is None:
                    self._pause(self._look_seconds)
                else:
                    self._work(lease, slot)
        raise LeaseError("lost the lease on the service: another server took over")

    def _take(self, lease: ServiceLease) -> Slot | None:
        grace_ms = self._grace_seconds * 1000

        def due(after_ms: int, until_ms: int) -> list[int]:
            return self._schedule.between(after_ms, until_ms, recent_ms=grace_ms)

        return take_slot(self._database, lease, due, now_ms=self._now_ms(), grace_ms=grace_ms)

    def _work(self, lease: ServiceLease, slot: Slot) -> None:
        before = from_plain(slot.steps)
        about = {"fire_at_ms": slot.fire_at_ms, "attempt": slot.attempts, "fence": lease.fence}
        _log.info("the run begins", extra=about)
        self.state.fire_at_ms, self.state.running_since_ms = slot.fire_at_ms, self._now_ms()
        results: Mapping[str, StepResult] = before

        def note(so_far: Mapping[str, StepResult]) -> None:
            nonlocal results
            results = dict(so_far)
            note_steps(self._database, lease, slot, to_plain(results))

        asked = Asked(
            slot=slot, before=before, on_run=tie_run(lease, slot), note=note, stopping=self._stopping
        )
        try:
            results = self._night.run(asked)
        except Interrupted:
            self._finish(lease, slot, SlotStatus.INTERRUPTED, results)
            _log.warning("the run was cut short, to be gone on with", extra=about)
            return
        finally:
            self.state.running_since_ms = None
        status = SlotStatus.FAILED if worst(results.values()) == "failed" else SlotStatus.DONE
        self._finish(lease, slot, status, results, self._night.figures)
        _log.info("the run ended: %s", status, extra={**about, "status": str(status)})

    def _finish(
        self,
        lease: ServiceLease,
        slot: Slot,
        status: SlotStatus,
        results: Mapping[str, StepResult],
        figures: Mapping[str, Any] | None = None,
    ) -> None:
        steps, now_ms = to_plain(results), self._now_ms()
        finish_slot(self._database, lease, slot, status, steps=steps, now_ms=now_ms, figures=figures)
        self._on_ended(status)

    def _pause(self, seconds: float) -> None:
        self._turn()
        self._stopping.wake.wait(seconds)
        if self.state.role != "leading":
            self._stopping.wake.clear()

    def _turn(self) -> None:
        self.state.turned_at = time.monotonic()

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)
