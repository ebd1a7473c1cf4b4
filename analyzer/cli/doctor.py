"""`demurrage doctor`: whether the nightly run would work, and what to do where it would not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from analyzer.cli.collect import aws_choice, aws_sessions, collect_options
from analyzer.cli.common import HELP, WITH_GAPS, Common, common, global_options
from analyzer.cli.ingest import ingest_options
from analyzer.cli.publishing import notify_options, publish_options
from analyzer.cli.streams import Dropping, is_terminal
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.collect.examination import AwsFacts, Beside
    from analyzer.model.checks import Check, Examination

#: Exit status where the nightly run could not work.
CANNOT_RUN = 1


@click.command("doctor", context_settings=HELP)
@collect_options
@ingest_options
@publish_options
@notify_options
@click.option("--for-verify", is_flag=True, help="Look for the permissions of `demurrage verify` as well.")
@click.option(
    "--for-pulls",
    is_flag=True,
    help="Look for the permissions of `demurrage ingest --lookup` as well, as --lookup does.",
)
@global_options
@click.pass_context
def doctor_command(context: click.Context, /, *, for_verify: bool, for_pulls: bool, **options: Any) -> int:
    """Check configuration, credentials, database, disk and every permission.

    Takes the options of `demurrage collect` and `ingest`, and those of `run` that publish and notify: would
    such a run work? Reads a little of each registry, and writes nothing: neither to AWS nor to the database.
    Ends with the IAM policy that is missing. Exit 0: all is well; 4: the run works, with gaps
    or warnings; 1: it could not work.
    """
    from analyzer.cli.night_places import delivery_checks, take_places
    from analyzer.cli.surroundings import check_surroundings
    from analyzer.doctor import judge
    from analyzer.store.checkup import check_database
    from reports.doctor import examination_json, examination_text

    shared = common(context, formats=("table", "json"))
    now = time.time()
    places = take_places(options)
    checks = check_surroundings(context)
    checks += check_database(shared.db_location, round(now * 1000), folder=shared.data_folder)
    asks_clusters = bool(options["eks_pods"] or options["kubeconfig"])
    aws, further = _ask_aws(
        shared, places.beside, for_verify=for_verify, for_pulls=for_pulls or places.asks_history, **options
    )
    found = judge(
        [*checks, *further, *delivery_checks(places, aws)],
        aws,
        datetime.fromtimestamp(now, UTC),
        asks_clusters=asks_clusters,
        other_pulls=places.has_other_pulls,
    )
    shared.write(examination_json(found) if shared.format == "json" else examination_text(found))
    return _status(found)


def _status(found: Examination) -> int:
    if not found.can_run:
        return CANNOT_RUN
    return 0 if found.is_clean else WITH_GAPS


def _ask_aws(
    shared: Common, beside: Beside, *, for_verify: bool, for_pulls: bool, **options: Any
) -> tuple[AwsFacts | None, list[Check]]:
    """What AWS answered; None, and why it was not asked, where the configuration does not even lead there."""
    from analyzer.collect.examination import examine
    from analyzer.model.checks import Check, CheckStatus

    try:
        sessions, regions = aws_sessions(options.pop("profile"), options.pop("region"))
    except InputError as error:
        check = Check(
            id="aws.configuration",
            status=CheckStatus.FAILED,
            found=str(error),
            mend="mend the AWS configuration, or the options",
            blocks_run=True,
        )
        return None, [check]
    chosen = aws_choice(regions, len(sessions), **options)
    with _shown_progress(quiet=shared.quiet) as progress:
        facts = examine(
            sessions, chosen, beside=beside, for_verify=for_verify, for_pulls=for_pulls, progress=progress
        )
        return facts, []


@contextmanager
def _shown_progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, for as long as AWS is asked."""
    if quiet or not is_terminal(sys.stderr):
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    # All that rich asks of a file is what Dropping has.
    stderr = cast(TextIO, Dropping(sys.stderr))
    with Progress(*columns, console=Console(file=stderr), transient=True) as bars:
        task = bars.add_task("registries", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
