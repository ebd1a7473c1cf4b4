"""`demurrage report`: a stored snapshot as HTML, JSON, CSV or at the terminal."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from analyzer.cli.asking import advised_options, take_report
from analyzer.cli.choices import (
    at_option,
    output_dir_option,
    policies_option,
    run_option,
)
from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    Common,
    accept_gaps_option,
    common,
    global_options,
    require_folder,
)
from analyzer.cli.judging import matching_rows, read_policy_document
from analyzer.cli.needs import needed_images
from analyzer.cli.publishing import publish_options, take_publishing, temporary_folder
from analyzer.cli.streams import tell
from analyzer.errors import InputError, RunError

if TYPE_CHECKING:
    from analyzer.lifecycle.policy import Policy
    from analyzer.model.results import Report
    from analyzer.model.simulation import Simulation
    from analyzer.nightly import ReportOptions
    from analyzer.store.engine import Database


@click.command("report", context_settings=HELP)
@output_dir_option(
    "Folder for report.html, report.json and the CSV tables. Without it only the answer is printed."
)
@run_option()
@at_option()
@policies_option(
    "Add to the report what this lifecycle policy would do to every repository; may be repeated."
)
@click.option(
    "--redact",
    is_flag=True,
    help="Make a report that can be shared: names become pseudonyms, texts are left out, figures stay.",
)
@click.option(
    "--redact-key",
    envvar="DEMURRAGE_REDACT_KEY",
    show_envvar=True,
    metavar="KEY",
    help="Makes the same pseudonyms as every other report with this secret.  [a new key]",
)
@advised_options
@publish_options
@accept_gaps_option
@global_options
@click.pass_context
def report_command(
    context: click.Context,
    /,
    output_dir: Path | None,
    run: int | None,
    at: datetime | None,
    policies: tuple[Path, ...],
    redact: bool,  # noqa: FBT001 (click gives it by name)
    redact_key: str | None,
    **options: Any,
) -> int:
    """Report on a stored snapshot: what is stored, what it costs, what is waste.

    Asks nothing of AWS. The same snapshot and options give the same bytes. It is published where a
    --publish was typed: what environment and configuration file say about that is for the nightly run.
    """
    from analyzer.store.opening import open_database

    shared = common(context)
    if policies and output_dir is None:
        raise InputError("--policy is about the report's files; add --output-dir DIR, or ask what-if")
    if redact:
        _require_redactable(context, output_dir, policies)
    tried = [(path, *read_policy_document(shared, path)) for path in policies]
    own_prices = options["prices"] is not None
    asked = take_report(options, run=run, at=at)
    if context.get_parameter_source("publish") is not ParameterSource.COMMANDLINE:
        options.update(publish=(), publish_kms_key=None)
    publishing = take_publishing(options)
    database = open_database(shared.db_url)
    if output_dir is not None:
        require_folder(output_dir)
    change = _redaction(redact_key, own_prices=own_prices) if redact else None
    with nullcontext(output_dir) if output_dir or not publishing else temporary_folder() as folder:
        report, files = write_answer(
            shared, database, folder, asked, policies=tried, told=output_dir, change=change
        )
        if publishing is not None and folder is not None:
            names = {path.relative_to(folder).as_posix(): path for path in files}
            told = publishing.publish(report, names, tell)
            if not shared.quiet:
                tell(told)
    return WITH_GAPS if report.gaps else 0


#: Of a key for pseudonyms: fewer could be tried out.
_KEY_CHARACTERS = 16


def _require_redactable(context: click.Context, output_dir: Path | None, policies: Sequence[Path]) -> None:
    """Raise InputError where names would stand beside a report without them."""
    if policies:
        raise InputError("--redact leaves out what policies would do; ask without --policy")
    if context.get_parameter_source("publish") is ParameterSource.COMMANDLINE:
        raise InputError(
            "--redact makes a report to hand on, not one of those that are published; ask without --publish"
        )
    if output_dir is not None and output_dir.is_dir() and any(output_dir.iterdir()):
        raise InputError(
            f"--redact: --output-dir {output_dir} is not empty, and what is there may hold names; name a new"
            " folder"
        )


def _redaction(key: str | None, *, own_prices: bool) -> Callable[[Report], Report]:
    """What takes names out of a report; raises InputError for a key that is easily guessed."""
    from functools import partial

    from analyzer.redaction import redact

    if key is not None and len(key) < _KEY_CHARACTERS:
        raise InputError(
            f"--redact-key is {len(key)} characters long, which can be guessed; give {_KEY_CHARACTERS}"
        )
    secret = secrets.token_bytes(32) if key is None else key.encode("utf-8", "surrogateescape")
    return partial(redact, key=secret, own_prices=own_prices)


def write_answer(
    shared: Common,
    database: Database,
    output_dir: Path | None,
    options: ReportOptions,
    *,
    policies: Sequence[tuple[Path, Policy, str]] = (),
    told: Path | None,
    change: Callable[[Report], Report] | None = None,
) -> tuple[Report, list[Path]]:
    """Make the report, write its files, print its headline and where it is; gives it and them.

    ``told`` is where it is said to be, ``change`` makes another report of it. ``output_dir`` was
    found to be writable: that it no longer is fails the run, with RunError.
    """
    from analyzer.nightly import make_report
    from reports import write_report

    report = make_report(database, options)
    if change is not None:
        report = change(report)
    files: list[Path] = []
    if output_dir is not None:
        try:
            files = write_report(
                report, output_dir, what_if=_simulation(database, options, report.run, policies)
            )
        except InputError as error:
            raise RunError(str(error)) from error
    show_answer(shared, report, told)
    return report, files


def show_answer(shared: Common, report: Report, output_dir: Path | None) -> int:
    """Print the headline of ``report``, whose files are in ``output_dir``; gives the exit status.

    What the user's list and patterns do not cover is told beside it.
    """
    from analyzer.cli.tables import report_table
    from reports import render_csvs, render_json

    if shared.format == "json":
        shared.write(render_json(report))
    elif shared.format == "csv":
        shared.write(render_csvs(report)["repositories.csv"])
    else:
        shared.write(report_table(report))
    if not shared.quiet:
        for warning in report.warnings:
            tell(warning)
    if output_dir is not None and not shared.quiet:
        tell(f"The report is in {output_dir}: open {output_dir / 'report.html'}")
    return WITH_GAPS if report.gaps else 0


def _simulation(
    database: Database,
    options: ReportOptions,
    run: int,
    policies: Sequence[tuple[Path, Policy, str]],
) -> Simulation | None:
    """What ``policies`` would do to every repository, compared with those in force; None without any."""
    if not policies:
        return None
    from analyzer.simulation import WhatIf
    from analyzer.what_if import answer, everywhere, in_force, load_world, not_in_force

    world = load_world(database, run=run, at_ms=options.at_ms)
    needed = needed_images(world, options.uses, options.protection, whole_registries=True)
    rows, left_out = matching_rows(world.frames, ())
    question = WhatIf(
        proposals=[everywhere(world, rows, str(path), policy, text) for path, policy, text in policies],
        rows=rows,
        at_ms=world.at_ms,
        scope=options.scope,
        against=in_force(world),
        not_in_force=not_in_force(world),
        in_use=needed.in_use,
        protected=needed.protected,
        missing_in_use=needed.missing or (),
        usage=needed.usage,
        coverage=needed.coverage,
        warnings=(*left_out, *needed.warnings, *needed.of_workloads),
    )
    return answer(world, question, options.prices, warnings=question.warnings)
