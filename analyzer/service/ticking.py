"""What tells when: APScheduler, its job kept in the store's database.

It wakes whoever waits, and no more: what is due the slots say (`analyzer.store.slots`), so that a tick
which came twice, late or not at all makes no run twice and loses none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from apscheduler.events import EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from analyzer.service.schedule import Schedule
from analyzer.store.engine import Database
from analyzer.store.jobs import JobStore

_JOB = "nightly"
#: Who waits in this process. The job that is stored can name a function, and nothing of a process.
_waiting: set[threading.Event] = set()


def tick() -> None:
    """Wake whoever waits for the schedule."""
    for event in tuple(_waiting):
        event.set()


@contextmanager
def ticking(
    database: Database, schedule: Schedule, wake: threading.Event, grace_seconds: int
) -> Iterator[None]:
    """``wake`` is set whenever ``schedule`` says so, until the block ends.

    For the one server that holds the service: two schedulers must not share a job store. The job that an
    earlier server left is taken over with the moment that it was waiting for, unless the schedule changed.
    """
    trigger = (Schedule.__module__, Schedule.__qualname__)
    scheduler: Any = BackgroundScheduler(
        jobstores={"default": JobStore(database, [trigger])},
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": grace_seconds},
        timezone=UTC,
    )
    # A moment that is too long ago is still to be noted as missed.
    scheduler.add_listener(lambda _event: tick(), EVENT_JOB_MISSED)
    _waiting.add(wake)
    try:
        scheduler.start(paused=True)
        known = scheduler.get_job(_JOB)
        kept = {}
        if known is not None and str(known.trigger) == str(schedule):
            kept["next_run_time"] = known.next_run_time
        scheduler.add_job(f"{__name__}:{tick.__name__}", schedule, id=_JOB, replace_existing=True, **kept)
        scheduler.resume()
        yield
    finally:
        _waiting.discard(wake)
        if scheduler.running:
            scheduler.shutdown(wait=False)
