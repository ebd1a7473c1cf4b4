"""The scheduler's job store: it keeps jobs, and reads no pickle that could run something else."""

from __future__ import annotations

import os
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import select, update

from analyzer.service.schedule import Schedule
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.jobs import JobStore

KNOWN = [("analyzer.service.schedule", "Schedule")]


@pytest.fixture
def scheduler(database: Database) -> Any:
    scheduler = BackgroundScheduler(jobstores={"default": JobStore(database, KNOWN)}, timezone=UTC)
    scheduler.start(paused=True)
    yield scheduler
    scheduler.shutdown(wait=False)


def test_a_job_is_kept_with_its_next_moment(database: Database, scheduler: Any) -> None:
    at = datetime(2100, 1, 1, 2, 30, tzinfo=UTC)
    schedule = Schedule("30 2 * * *", "Europe/Berlin")
    scheduler.add_job("analyzer.service.ticking:tick", schedule, id="nightly", next_run_time=at)
    other = BackgroundScheduler(jobstores={"default": JobStore(database, KNOWN)}, timezone=UTC)
    other.start(paused=True)
    try:
        job = other.get_job("nightly")
        assert str(job.trigger) == "30 2 * * * (Europe/Berlin)"
        assert job.next_run_time == at
    finally:
        other.shutdown(wait=False)


class _Harm:
    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._file),)


def test_a_job_that_names_anything_else_is_dropped_and_nothing_of_it_runs(
    database: Database, scheduler: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler.add_job("analyzer.service.ticking:tick", Schedule("@daily", "UTC"), id="nightly")
    state = pickle.dumps({"id": "nightly", "trigger": _Harm(tmp_path / "harm")})
    with database.write() as connection:
        connection.execute(update(tables.service_job).values(job_state=state))
    assert scheduler.get_jobs() == []
    assert not (tmp_path / "harm").exists()
    assert "none of the service's" in caplog.text
    with database.read() as connection:
        assert connection.execute(select(tables.service_job.c.id)).all() == []
