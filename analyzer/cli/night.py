"""The night: collect, ingest, report, publish, tell. What `run` does once and `serve` by its schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer.acceptance import split_gaps
from analyzer.cli.asking import take_report
from analyzer.cli.collect import collect_shown, first_profile, prepare_collection, require_something_read
from analyzer.cli.ingest import checked_ingest
from analyzer.cli.needs import read_uses
from analyzer.cli.publishing import take_delivery, temporary_folder
from analyzer.errors import InputError, RunError
from analyzer.model.words import counted
from analyzer.service.steps import Step, StepResult, StepStatus
from analyzer.store.slots import OnRun

if TYPE_CHECKING:
    from analyzer.cli.publishing import Delivery
    from analyzer.collect import CollectResult, Progress
    from analyzer.ingesting import IngestTotals
    from analyzer.model.results import Report
    from analyzer.nightly import ReportOptions
    from analyzer.store.engine import Database

#: Ties a run to nothing: that of `demurrage run` belongs to no slot.
_FREE: OnRun = lambda _connection, _run: None  # noqa: E731


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPlan:
    """What a night consists of, all of it checked."""

    #: Those of `collect_options`.
    collect: Mapping[str, Any]
    #: What `ingest` takes beside the database; None where no pulls are to be read.
    ingest: Mapping[str, Any] | None
    report: ReportOptions
    #: The user's list of images in use, where each night is to read it anew.
    in_use: Path | None
    delivery: Delivery
    #: Where the report's files go; None for nowhere but where they are published.
    output_dir: Path | None


def take_plan(
    options: dict[str, Any],
    *,
    output_dir: Path | None = None,
    published_otherwise: str | None = None,
    reads_anew: bool = False,
) -> NightPlan:
    """The night that a command's ``options`` ask for; what is not about collecting is taken out of them.

    All of it is checked here, so that a mistake costs no night: raises InputError. ``published_otherwise``
    is where reports go that nothing says where to publish; with ``reads_anew`` each night reads the list
    of images in use, which changes more often than options do.
    """
    in_use = options["in_use"] if reads_anew else None
    ingest, report = checked_ingest(options), take_report(options)
    delivery = take_delivery(options, profile=first_profile(options), otherwise=published_otherwise)
    prepare_collection(**options)
    return NightPlan(
        collect=options,
        ingest=ingest,
        report=report,
        in_use=in_use,
        delivery=delivery,
        output_dir=output_dir,
    )


class Night:
    """One night of a plan."""

    def __init__(
        self,
        database: Database,
        plan: NightPlan,
        *,
        progress: AbstractContextManager[Progress],
        on_run: OnRun = _FREE,
        known_run: int | None = None,
        note: Callable[[str], None],
    ) -> None:
        """Prepare it; ``known_run`` was collected by an earlier attempt.

        ``note`` is told what went wrong without harm.
        """
        self._database = database
        self._plan = plan
        self._progress = progress
        self._on_run = on_run
        self._run = known_run
        self._note = note
        self._asked = plan.report
        #: What the steps came to; None for one that was not done.
        self.collected: CollectResult | None = None
        self.ingested: list[IngestTotals] | None = None
        self.report: Report | None = None
        self._files: dict[str, Path] = {}

    @contextmanager
    def steps(self) -> Iterator[list[Step]]:
        """Its steps, in their order; to be done before the block ends."""
        plan = self._plan
        with self._folder() as folder:
            steps = [Step("collect", self._collect)]
            if plan.ingest is not None:
                # Whose pulls ought to be there the snapshots tell; those of former nights do as well.
                steps.append(Step("ingest", self._ingest))
            steps.append(Step("report", lambda _: self._make_report(folder), needs=("collect",)))
            if plan.delivery.publishing is not None:
                steps.append(Step("publish", self._publish, needs=("report",)))
            if plan.delivery.telling is not None:
                # Of failures as well; sent once more only where the service was cut short just then.
                steps.append(Step("digest", self._tell, is_kept=True))
            yield steps

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Where the files of the report are written."""
        if self._plan.output_dir is not None:
            yield self._plan.output_dir
            return
        with temporary_folder() as folder:
            yield folder

    def _collect(self, _: Mapping[str, StepResult]) -> tuple[StepStatus, str]:
        if self._run is not None:
            return "done", f"run {self._run} was collected before the service was cut short"
        sessions, chosen = prepare_collection(**self._plan.collect)
        result = collect_shown(self._progress, self._database, sessions, chosen, on_run=self._on_run)
        self.collected = result
        require_something_read(result)
        self._run = result.run
        gaps = split_gaps(result.gaps, self._plan.report.accepted)[0]
        read = sum(row.snapshot is not None for row in result.registries)
        registries = counted(read, "registry", "registries")
        told = f"run {result.run} read {registries}, with {counted(len(gaps), 'gap')}"
        return "gaps" if gaps else "done", told

    def _ingest(self, _: Mapping[str, StepResult]) -> tuple[StepStatus, str]:
        from analyzer.cli.ingest import ingest, require_something_ingested

        self.ingested = ingest(self._database, **(self._plan.ingest or {}), options=dict(self._plan.collect))
        require_something_ingested(self.ingested)
        files = sum(row.files for row in self.ingested)
        unread = sum(row.unreadable for row in self.ingested)
        not_read = f"{counted(unread, 'source or file', 'sources or files')} not read"
        return "gaps" if unread else "done", f"{counted(files, 'new file')} of pulls, {not_read}"

    def _make_report(self, folder: Path) -> tuple[StepStatus, str]:
        from analyzer.nightly import make_report
        from reports import write_report

        if self._plan.in_use is not None:
            uses = read_uses(self._plan.in_use, self._asked.uses.workloads)
            self._asked = replace(self._asked, uses=uses)
        self.report = make_report(self._database, replace(self._asked, run=self._run))
        try:
            paths = write_report(self.report, folder)
        except InputError as error:
            # The folder was found to be writable: that it no longer is fails the run.
            raise RunError(str(error)) from error
        self._files = {path.relative_to(folder).as_posix(): path for path in paths}
        return "gaps" if self.report.gaps else "done", f"the report on run {self.report.run}"

    def _publish(self, _: Mapping[str, StepResult]) -> tuple[StepStatus, str]:
        publishing = self._plan.delivery.publishing
        if publishing is None or self.report is None:
            raise RunError("there is no report to publish")
        return "done", publishing.publish(self.report, self._files, self._note)

    def _tell(self, results: Mapping[str, StepResult]) -> tuple[StepStatus, str]:
        delivery = self._plan.delivery
        if delivery.telling is None:
            raise RunError("there is nobody to tell")
        was_published = "publish" in results and results["publish"].went_well
        return "done", delivery.telling.tell(
            self._database,
            self._asked,
            self.report,
            failures=[(name, result.detail) for name, result in results.items() if result.status == "failed"],
            places=delivery.publishing.labels if delivery.publishing and was_published else (),
            note=self._note,
        )
