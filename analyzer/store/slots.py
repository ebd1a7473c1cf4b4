"""The moments of the service's schedule, each taken once, on however many hosts.

A slot is a moment of the schedule. Whether it is due is not asked of any clock that fired, but of the rows
here: whatever lies between the last slot and now is due, the newest of it is taken, and the rest goes with
it. That happens in one transaction, which also checks the lease of whoever takes it. So a moment is taken
once, however often the scheduler wakes, and none is forgotten, whenever a server was killed:

* before the transaction: the moment is due still, and taken by whoever comes next;
* after it: the slot is ``running`` under a fence that nobody holds any more, and is gone on with;
* the run of the collector is tied to its slot by the transaction that begins the run, so that a run which
  ended is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, update

from analyzer.store import tables
from analyzer.store.bulk import insert_rows
from analyzer.store.engine import Database
from analyzer.store.leases import ServiceLease

#: How often a slot is begun at most: what kills its server each time should not do so for ever.
MOST_ATTEMPTS: Final = 5

#: What is called in the transaction that begins a run of the collector, with the run's number.
OnRun = Callable[[Connection, int], None]

_slot = tables.service_slot


class SlotStatus(StrEnum):
    """What became of a slot."""

    #: Somebody works on it, or was killed doing so.
    RUNNING = "running"
    #: Cut short by the end of its server, to be gone on with.
    INTERRUPTED = "interrupted"
    DONE = "done"
    #: Some step failed.
    FAILED = "failed"
    #: A later one was due as well, and stood for it.
    COALESCED = "coalesced"
    #: Nobody was there until the misfire grace was over.
    MISSED = "missed"


_OPEN: Final = (SlotStatus.RUNNING, SlotStatus.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot that was taken."""

    fire_at_ms: int
    attempts: int
    #: The run that an earlier attempt ended; None where none did.
    run: int | None = None
    #: How each step went, as far as earlier attempts came.
    steps: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """A slot as it is stored."""

    fire_at_ms: int
    status: SlotStatus
    attempts: int
    host: str
    started_at_ms: int | None
    finished_at_ms: int | None
    run: int | None
    steps: Mapping[str, Any]
    figures: Mapping[str, Any] | None


def keep_schedule(database: Database, lease: ServiceLease, schedule: str, timezone: str, now_ms: int) -> None:
    """Note the schedule: where it is another one, nothing is due before ``now_ms``."""
    table = tables.service
    with database.write() as connection:
        lease.check(connection)
        known = connection.execute(select(table).where(table.c.name == lease.name)).one()
        if (known.schedule, known.timezone) != (schedule, timezone):
            values = {"schedule": schedule, "timezone": timezone, "since_ms": now_ms}
            connection.execute(update(table).where(table.c.name == lease.name).values(**values))


def take_slot(
    database: Database,
    lease: ServiceLease,
    due: Callable[[int, int], Sequence[int]],
    *,
    now_ms: int,
    grace_ms: int,
) -> Slot | None:
    """The slot to work on now, taken; None where nothing is due.

    ``due`` gives the moments of the schedule after one and up to another, ascending. The newest one is
    taken unless it is older than ``grace_ms``. Without one, a slot is gone on with that was begun and
    left, unless its server showed no sign of life for ``grace_ms``.

    Raises LeaseError where the lease was lost.
    """
    with database.write() as connection:
        lease.check(connection)
        since = connection.execute(
            select(tables.service.c.since_ms).where(tables.service.c.name == lease.name)
        ).scalar_one()
        last = connection.execute(select(func.max(_slot.c.fire_at_ms)).where(_mine(lease))).scalar()
        moments = due(max(since, -1 if last is None else last), now_ms)
        left = connection.execute(
            select(_slot).where(_mine(lease), _slot.c.status.in_(_OPEN)).order_by(_slot.c.fire_at_ms)
        ).all()
        newest = moments[-1] if moments and now_ms - moments[-1] <= grace_ms else None
        passed = [moment for moment in moments if moment != newest]
        if passed:
            how = SlotStatus.MISSED if newest is None else SlotStatus.COALESCED
            insert_rows(
                connection, _slot, [_values(lease, moment, how, finished_at_ms=now_ms) for moment in passed]
            )
        # Whatever was left goes with the newest there is to do.
        passed_over = [row.fire_at_ms for row in (left if newest is not None else left[:-1])]
        _close(connection, lease, passed_over, SlotStatus.COALESCED, now_ms)
        if newest is not None:
            taken = _values(lease, newest, SlotStatus.RUNNING, attempts=1, started_at_ms=now_ms)
            insert_rows(connection, _slot, [taken])
            return Slot(newest, 1)
        return _go_on(connection, lease, left[-1], now_ms, grace_ms) if left else None


def _go_on(
    connection: Connection, lease: ServiceLease, row: Row[Any], now_ms: int, grace_ms: int
) -> Slot | None:
    """The slot that was left, taken again; None where it is given up."""
    alive_ms = max(row.started_at_ms or row.fire_at_ms, lease.before_ms or 0)
    if row.attempts >= MOST_ATTEMPTS or now_ms - alive_ms > grace_ms:
        _close(connection, lease, [row.fire_at_ms], SlotStatus.FAILED, now_ms)
        return None
    changes = {
        "status": str(SlotStatus.RUNNING),
        "attempts": row.attempts + 1,
        "fence": lease.fence,
        "host": lease.host,
    }
    connection.execute(update(_slot).where(_here(lease, row.fire_at_ms)).values(**changes))
    run = None
    if row.run_id is not None:
        status = connection.execute(select(tables.run.c.status).where(tables.run.c.id == row.run_id)).scalar()
        run = row.run_id if status in {"complete", "gaps"} else None
    return Slot(row.fire_at_ms, row.attempts + 1, run, json.loads(row.steps))


def tie_run(lease: ServiceLease, slot: Slot) -> OnRun:
    """What ties a run to ``slot`` in the transaction that begins the run."""

    def tie(connection: Connection, run: int) -> None:
        lease.check(connection)
        connection.execute(update(_slot).where(_here(lease, slot.fire_at_ms)).values(run_id=run))

    return tie


def note_steps(database: Database, lease: ServiceLease, slot: Slot, steps: Mapping[str, Any]) -> None:
    """Record how the steps of ``slot`` went so far."""
    _change(database, lease, slot, steps=_json(steps))


def finish_slot(
    database: Database,
    lease: ServiceLease,
    slot: Slot,
    status: SlotStatus,
    *,
    steps: Mapping[str, Any],
    now_ms: int,
    figures: Mapping[str, Any] | None = None,
) -> None:
    """Record how ``slot`` ended; raises LeaseError where somebody else works on it by now."""
    values: dict[str, Any] = {"status": str(status), "steps": _json(steps)}
    if status not in _OPEN:
        values["finished_at_ms"] = now_ms
    if figures is not None:
        values["figures"] = _json(figures)
    _change(database, lease, slot, **values)


def last_slots(connection: Connection, count: int, *, with_figures: bool = False) -> list[SlotRecord]:
    """The newest slots that were begun, newest first; with ``with_figures`` only those that have some."""
    query = select(_slot).where(_slot.c.attempts > 0).order_by(_slot.c.fire_at_ms.desc()).limit(count)
    if with_figures:
        query = query.where(_slot.c.figures.is_not(None))
    return [
        SlotRecord(
            fire_at_ms=row.fire_at_ms,
            status=SlotStatus(row.status),
            attempts=row.attempts,
            host=row.host,
            started_at_ms=row.started_at_ms,
            finished_at_ms=row.finished_at_ms,
            run=row.run_id,
            steps=json.loads(row.steps),
            figures=None if row.figures is None else json.loads(row.figures),
        )
        for row in connection.execute(query)
    ]


def _change(database: Database, lease: ServiceLease, slot: Slot, **values: Any) -> None:
    with database.write() as connection:
        lease.check(connection)
        connection.execute(update(_slot).where(_here(lease, slot.fire_at_ms)).values(**values))


def _close(
    connection: Connection, lease: ServiceLease, moments: Sequence[int], status: SlotStatus, now_ms: int
) -> None:
    for moment in moments:
        connection.execute(
            update(_slot).where(_here(lease, moment)).values(status=str(status), finished_at_ms=now_ms)
        )


def _values(lease: ServiceLease, fire_at_ms: int, status: SlotStatus, **more: Any) -> dict[str, Any]:
    return {
        "service": lease.name,
        "fire_at_ms": fire_at_ms,
        "status": str(status),
        "attempts": 0,
        "fence": lease.fence,
        "host": lease.host,
        "started_at_ms": None,
        "finished_at_ms": None,
        "steps": "{}",
        **more,
    }


def _mine(lease: ServiceLease) -> Any:
    return _slot.c.service == lease.name


def _here(lease: ServiceLease, fire_at_ms: int) -> Any:
    return _mine(lease) & (_slot.c.fire_at_ms == fire_at_ms)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)
