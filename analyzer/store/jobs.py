"""APScheduler's job store in this program's database.

APScheduler keeps a job as a pickle, and a pickle may call anything when it is read. Whoever may write to
the database should not thereby run code where the service runs: only names that a job of ours needs are
followed, and a job that has others is dropped and made anew.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Collection
from typing import Any

from apscheduler.job import Job
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from sqlalchemy.exc import DBAPIError

from analyzer.store import tables
from analyzer.store.engine import Database

#: What a job consists of besides its trigger: the moments it is due.
_PLAIN = frozenset(
    {
        ("datetime", "datetime"),
        ("datetime", "timezone"),
        ("datetime", "timedelta"),
        ("zoneinfo", "ZoneInfo._unpickle"),
    }
)


class JobStore(SQLAlchemyJobStore):  # type: ignore[misc]  # APScheduler has no types
    """Jobs in the table ``service_job``, which the schema has already."""

    def __init__(self, database: Database, triggers: Collection[tuple[str, str]]) -> None:
        """Keep jobs in ``database``; ``triggers`` are module and name of the classes that theirs have."""
        self._known = _PLAIN | {*triggers}
        super().__init__(engine=database.writing_engine, tablename=tables.service_job.name)

    def update_job(self, job: Any) -> None:
        """Store the job's next moment; a database that is away for a moment costs no more than that.

        APScheduler's thread would end on it.
        """
        try:
            super().update_job(job)
        except DBAPIError as error:
            self._logger.warning("the job's next moment was not stored: %s", type(error.orig).__name__)

    def shutdown(self) -> None:
        """Leave the engine alone: the rest of the program goes on using it."""

    def _reconstitute_job(self, job_state: bytes) -> Any:
        state = _Reader(io.BytesIO(job_state), self._known).load()
        state["jobstore"] = self
        job = Job.__new__(Job)
        job.__setstate__(state)
        # As the class above does it.
        job._scheduler = self._scheduler  # noqa: SLF001
        job._jobstore_alias = self._alias  # noqa: SLF001
        return job


class _Reader(pickle.Unpickler):
    """Reads pickles that name nothing but what is known."""

    def __init__(self, file: io.BytesIO, known: Collection[tuple[str, str]]) -> None:
        super().__init__(file)
        self._known = known

    def find_class(self, module: str, name: str, /) -> Any:
        """The class; raises UnpicklingError for any that no job of ours has."""
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"a job names {module}.{name}, which is none of the service's")
        return super().find_class(module, name)
