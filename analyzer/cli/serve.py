"""`demurrage serve`: the night by a schedule, and what others may ask of it over HTTP."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from analyzer.cli.asking import advised_options
from analyzer.cli.collect import collect_options
from analyzer.cli.common import (
    HELP,
    Common,
    Decorated,
    NumberRange,
    accept_gaps_option,
    common,
    global_options,
    wants_traceback,
    with_options,
)
from analyzer.cli.ingest import ingest_options
from analyzer.cli.publishing import notify_options, publish_options
from analyzer.cli.streams import Dropping, is_terminal
from analyzer.errors import DemurrageError, InputError

if TYPE_CHECKING:
    from analyzer.cli.night import NightPlan
    from analyzer.service.metrics import Metrics
    from analyzer.service.server import Asked
    from analyzer.service.steps import StepResult
    from analyzer.store.engine import Database

_log = logging.getLogger("demurrage.service")

_HOUR_MS = 3_600_000

_SERVE_OPTIONS = (
    click.option(
        "--schedule",
        envvar="DEMURRAGE_SCHEDULE",
        default="30 2 * * *",
        show_default=True,
        show_envvar=True,
        metavar="CRON",
        help="When to run: minute, hour, day of month, month and day of week, as in a crontab.",
    ),
    click.option(
        "--timezone",
        envvar="DEMURRAGE_TIMEZONE",
        default="UTC",
        show_default=True,
        show_envvar=True,
        metavar="ZONE",
        help="The time zone of --schedule, such as Europe/Berlin.",
    ),
    click.option(
        "--misfire-grace",
        type=click.IntRange(min=1, max=7 * 86_400),
        envvar="DEMURRAGE_MISFIRE_GRACE",
        default=3600,
        show_default=True,
        show_envvar=True,
        metavar="SECONDS",
        help="How late a run that was missed is still made up: once, however many were missed.",
    ),
    click.option(
        "--stop-seconds",
        type=NumberRange(min=0, max=3600),
        envvar="DEMURRAGE_STOP_SECONDS",
        default=20.0,
        show_default=True,
        show_envvar=True,
        metavar="SECONDS",
        help="How long the step at hand may go on after SIGTERM, before it is interrupted.",
    ),
    click.option(
        "--listen",
        envvar="DEMURRAGE_LISTEN",
        default="127.0.0.1:8010",
        show_default=True,
        show_envvar=True,
        metavar="HOST:PORT",
        help="Where /healthz, /metrics and reports are answered, to whoever can reach it; none for nowhere.",
    ),
    click.option(
        "--max-snapshot-age",
        type=NumberRange(min=0.01, max=10_000),
        envvar="DEMURRAGE_MAX_SNAPSHOT_AGE",
        show_envvar=True,
        metavar="HOURS",
        help="From which age of a registry's last complete snapshot on /healthz answers 503."
        "  [the schedule's longest pause, --misfire-grace and 2 hours]",
    ),
)


def serve_options(command: Decorated) -> Decorated:
    """Add the options of the service itself."""
    return with_options(_SERVE_OPTIONS, command)


@click.command("serve", context_settings=HELP)
@serve_options
@collect_options
@ingest_options
@advised_options
@publish_options
@notify_options
@accept_gaps_option
@global_options
@click.pass_context
def serve_command(
    context: click.Context,
    /,
    *,
    schedule: str,
    timezone: str,
    misfire_grace: int,
    stop_seconds: float,
    listen: str,
    max_snapshot_age: float | None,
    **options: Any,
) -> int:
    """Run the night by a schedule, for as long as it is let.

    Does what `demurrage run` does, with the report published to the folders and buckets of --publish; without
    any, to reports in your data folder. Of several servers on one database one works and the others stand by.
    Answers /healthz, /metrics and the published reports over HTTP.
    """
    from analyzer.cli.night import take_plan
    from analyzer.publishing.folder import FolderTarget
    from analyzer.service.logs import logging_to
    from analyzer.service.metrics import Metrics
    from analyzer.service.schedule import Schedule
    from analyzer.service.server import Server
    from analyzer.service.stopping import Stopping
    from analyzer.service.web import Site, listening, parse_address
    from analyzer.store.opening import open_database

    shared = common(context, formats=("table",))
    if shared.output != "-":
        raise InputError("--output is for commands that print an answer; serve publishes: use --publish")
    times = Schedule(schedule, timezone)
    address = None if listen.lower() == "none" else parse_address(listen)
    if str(options["in_use"]) == "-":
        raise InputError(
            "--in-use -: serve reads the list every night, and stdin can be read but once; name a file"
        )
    plan = take_plan(options, published_otherwise=str(_reports_folder()), reads_anew=True)
    database = open_database(shared.db_url, create=True)
    stopping = Stopping(stop_seconds)
    night = _ServiceNight(database, plan)
    server = Server(
        database, times, night, grace_seconds=misfire_grace, stopping=stopping, on_ended=night.run_ended
    )
    night.metrics = metrics = Metrics(database, server.state)
    folders = (
        [target.folder for target in plan.delivery.publishing.targets if isinstance(target, FolderTarget)]
        if plan.delivery.publishing
        else []
    )
    now_ms = server.state.started_at_ms
    max_age_ms = (
        times.longest_pause_ms(now_ms) + misfire_grace * 1000 + 2 * _HOUR_MS
        if max_snapshot_age is None
        else round(max_snapshot_age * _HOUR_MS)
    )
    site = Site(
        database,
        server.state,
        metrics,
        folder=folders[0] if folders else None,
        max_age_ms=max_age_ms,
        any_host=address is not None and not address.is_loopback,
    )
    secrets = [options["external_id"] or "", _password(shared), *plan.delivery.secrets]
    stream = cast(TextIO, Dropping(sys.stderr))
    with (
        logging_to(
            stream, as_json=not is_terminal(sys.stderr), secrets=secrets, debug=wants_traceback(context)
        ),
        stopping.signals(),
        nullcontext(None) if address is None else listening(site, address) as port,
    ):
        if address is not None and port is not None:
            _log.info(
                "listening",
                extra={"host": address.host, "port": port, "folder": str(folders[0]) if folders else None},
            )
            if not address.is_loopback:
                _log.warning(
                    "whoever can reach %s can read every report: there is no authentication. Put a proxy in "
                    "front that has one, or listen to 127.0.0.1",
                    address.host,
                )
        server.serve()
        _log.info("stopped")
    return 0


class _ServiceNight:
    """The night as the server runs it: every step is logged and counted."""

    def __init__(self, database: Database, plan: NightPlan) -> None:
        self._database = database
        self._plan = plan
        self._figures: Mapping[str, Any] | None = None
        self.metrics: Metrics | None = None

    @property
    def figures(self) -> Mapping[str, Any] | None:
        """Those of the last report; None where the last night made none."""
        return self._figures

    def run_ended(self, status: str) -> None:
        """Count a run."""
        if self.metrics is not None:
            self.metrics.run_ended(status)

    def run(self, asked: Asked) -> Mapping[str, StepResult]:
        """Do all steps that an earlier attempt did not."""
        from analyzer.cli.night import Night
        from analyzer.service.figures import figures_of
        from analyzer.service.steps import run_steps
        from analyzer.service.stopping import Interrupted

        self._figures = None
        done: dict[str, StepResult] = {}
        night = Night(
            self._database,
            self._plan,
            progress=_logged_progress(),
            on_run=asked.on_run,
            known_run=asked.slot.run,
            note=_log.warning,
        )

        def begun(name: str) -> None:
            if asked.stopping.is_asked:
                raise Interrupted
            _log.debug("step begins: %s", name, extra={"step": name})

        def ended(result: StepResult, error: Exception | None) -> None:
            done[result.name] = result
            about = {"step": result.name, "status": result.status, "seconds": result.seconds}
            if error is None:
                _log.info("%s: %s", result.name, result.detail, extra=about)
            else:
                # What is no failure of ours to expect is worth its traceback.
                traceback = None if isinstance(error, DemurrageError) else error
                _log.error("%s failed: %s", result.name, result.detail, extra=about, exc_info=traceback)
            if self.metrics is not None:
                self.metrics.step_ended(result)
            asked.note(done)

        with night.steps() as steps, asked.stopping.step():
            # A service outlives what nobody foresaw: the step failed, it is told, and the next night comes.
            results = run_steps(steps, failures=Exception, before=asked.before, begun=begun, ended=ended)
        collected = night.collected
        if collected is not None and self.metrics is not None:
            self.metrics.collected(
                collected.calls,
                billed=collected.billed_calls,
                retries=collected.retries,
                throttles=collected.throttles,
                expired_page_tokens=collected.expired_page_tokens,
                received_bytes=collected.received_bytes,
            )
        if night.report is not None:
            for warning in night.report.warnings:
                _log.warning("%s", warning)
            self._figures = figures_of(night.report)
        return results


@contextmanager
def _logged_progress() -> Iterator[Any]:
    """How a collection gets on, in the log."""
    from analyzer.collect import SilentProgress

    class Logged(SilentProgress):
        def registry_done(self, summary: Any) -> None:
            _log.info(
                "registry read",
                extra={
                    "account": summary.key.account,
                    "region": summary.key.region,
                    "snapshot": summary.snapshot,
                    "status": summary.status,
                    "repositories": summary.repositories,
                    "artifacts": summary.artifacts,
                    "new_manifests": summary.manifests_fetched,
                    "gaps": len(summary.gaps),
                },
            )

    yield Logged()


def _reports_folder() -> Path:
    from platformdirs import user_data_path

    return user_data_path("demurrage", appauthor=False) / "reports"


def _password(shared: Common) -> str:
    """The password in the database's URL, "" where there is none."""
    from urllib.parse import unquote, urlsplit

    try:
        return unquote(urlsplit(shared.db_location).password or "")
    except ValueError:
        return ""
