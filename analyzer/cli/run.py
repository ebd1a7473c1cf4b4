"""`demurrage run`: what cron calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from analyzer.cli.asking import advised_options
from analyzer.cli.choices import (
    output_dir_option,
)
from analyzer.cli.collect import collect_options
from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    accept_gaps_option,
    common,
    global_options,
    require_folder,
)
from analyzer.cli.ingest import ingest_options
from analyzer.cli.publishing import notify_options, publish_options
from analyzer.cli.report import show_answer
from analyzer.cli.streams import tell
from analyzer.errors import DemurrageError

#: Exit status where the report is there, and what should follow it failed.
_FAILED = 1


@click.command("run", context_settings=HELP)
@collect_options
@ingest_options
@output_dir_option("Folder for the report.", required=True)
@advised_options
@publish_options
@notify_options
@accept_gaps_option
@global_options
@click.pass_context
def run_command(
    context: click.Context,
    /,
    *,
    output_dir: Path,
    **options: Any,
) -> int:
    """Take a snapshot, then write the report: the nightly run.

    The report goes into DIR as HTML, JSON and CSV, and its headline to stdout. Where --trail or --lookup say
    so, pulls are read in between; with --publish the report is published as well, and with --notify a
    digest sent. What fails is told and does not keep the rest from being done.
    """
    from analyzer.cli.night import Night, take_plan
    from analyzer.cli.progress import shown_progress
    from analyzer.service.steps import StepResult, run_steps
    from analyzer.store.opening import open_database

    shared = common(context)
    # Before the night's work, so that a mistake in these does not cost it.
    plan = take_plan(options, output_dir=output_dir)
    require_folder(output_dir)
    database = open_database(shared.db_url, create=True)
    night = Night(database, plan, progress=shown_progress(quiet=shared.quiet), note=tell)
    errors: dict[str, Exception] = {}

    def ended(result: StepResult, error: Exception | None) -> None:
        if error is not None:
            errors[result.name] = error

    with night.steps() as steps:
        results = run_steps(steps, failures=DemurrageError, ended=ended)
    for name in ("collect", "report"):
        if name in errors:
            _tell_failures(errors, but=name)
            raise errors[name]
    status = 0
    if night.report is not None:
        status = show_answer(shared, night.report, output_dir)
    _tell_failures(errors)
    if errors:
        return _FAILED
    return WITH_GAPS if results.get("ingest", results["collect"]).status == "gaps" else status


def _tell_failures(errors: dict[str, Exception], but: str = "") -> None:
    for name, error in errors.items():
        if name != but:
            tell(f"demurrage: {name} failed: {error}")
