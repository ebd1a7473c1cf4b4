"""A server of the service as a process of its own, with nights that take some hundredths of a second.

Its night begins a run of the collector, ends it, and makes a report that says which run it is about: what
`demurrage serve` records, without what takes its time. Importing this is quick.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, update

from analyzer.service.schedule import Schedule
from analyzer.service.server import Asked, Server
from analyzer.service.steps import Step, StepResult, StepStatus, run_steps
from analyzer.service.stopping import Interrupted, Stopping
from analyzer.store import tables
from analyzer.store.engine import Database

GRACE_SECONDS = 60
_STEP_SECONDS = 0.03


class QuickNight:
    """Two steps; what it did the tables say."""

    def __init__(self, database: Database, seconds: float = _STEP_SECONDS) -> None:
        self._database = database
        self._seconds = seconds
        self.figures: Mapping[str, Any] | None = None

    def run(self, asked: Asked) -> Mapping[str, StepResult]:
        done: dict[str, StepResult] = {}

        def collect(_: object) -> tuple[StepStatus, str]:
            if asked.slot.run is not None:
                return "done", str(asked.slot.run)
            # As the collector's store does it, without what else that imports.
            values = {"started_at_ms": _now_ms(), "status": "running", "host": "here", "version": "test"}
            with self._database.write() as connection:
                new = insert(tables.run).values(**values).returning(tables.run.c.id)
                run = int(connection.execute(new).scalar_one())
                asked.on_run(connection, run)
            time.sleep(self._seconds)
            self._set(run, finished_at_ms=_now_ms(), status="complete")
            return "done", str(run)

        def report(results: Mapping[str, StepResult]) -> tuple[StepStatus, str]:
            time.sleep(self._seconds)
            return "done", results["collect"].detail

        def begun(_: str) -> None:
            if asked.stopping.is_asked:
                raise Interrupted

        def ended(result: StepResult, _: Exception | None) -> None:
            done[result.name] = result
            asked.note(done)

        steps = [Step("collect", collect), Step("report", report, needs=("collect",))]
        with asked.stopping.step():
            results = run_steps(steps, failures=Exception, before=asked.before, begun=begun, ended=ended)
        self.figures = {"run": int(results["report"].detail)}
        return results

    def _set(self, run: int, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(update(tables.run).where(tables.run.c.id == run).values(**values))


def _now_ms() -> int:
    return round(time.time() * 1000)


def main(url: str, schedule: str, patience_seconds: float = 10) -> None:
    """Serve until a signal comes."""
    database = Database(url)
    stopping = Stopping(patience_seconds)
    server = Server(
        database,
        Schedule(schedule, "UTC"),
        QuickNight(database),
        grace_seconds=GRACE_SECONDS,
        stopping=stopping,
        look_seconds=1,
        standby_seconds=0.05,
    )
    with stopping.signals():
        server.serve()
