"""`demurrage pulls`: what is pulled across regions and accounts, what it costs, what to do instead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from analyzer.cli.common import (
    HELP,
    WITH_FINDINGS,
    WITH_GAPS,
    accept_gaps_option,
    common,
    global_options,
    load_accepted_gaps,
    load_price_book,
    prices_option,
)

if TYPE_CHECKING:
    from analyzer.model.pull_report import PullReport
    from reports.pulls_text import By


@click.command("pulls", context_settings=HELP)
@click.option(
    "--by",
    type=click.Choice(["repository", "puller", "route"]),
    help="Put findings together by this, in table and CSV; JSON has them all ways.",
)
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    metavar="GLOB",
    help="Look only at images of such repositories; may be repeated.  [all]",
)
@click.option(
    "--run", type=click.IntRange(min=1), metavar="N", help="Look at the registries as of run N.  [the last]"
)
@click.option(
    "--fail-on",
    type=click.Choice(["high", "medium", "low", "info"]),
    envvar="DEMURRAGE_FAIL_ON",
    show_envvar=True,
    help="Exit with status 3 for a finding of this severity or a higher one.",
)
@prices_option
@accept_gaps_option
@global_options
@click.pass_context
def pulls_command(
    context: click.Context,
    by: str | None,
    repositories: tuple[str, ...],
    run: int | None,
    fail_on: str | None,
    prices: Path | None,
    accept_gaps: Path | None,
) -> int:
    """Show what workloads pull across regions and accounts.

    Told by the image references of the workloads in the last snapshot: each that leaves its region or
    account, what one cold pull of it moves and costs, who pays, and what to name instead. A replica
    that is there and not used comes first. Asks nothing of AWS and changes nothing.

    Exit status: 0 done; 3 a finding that --fail-on asks for; 4 something was not read.
    """
    from analyzer.model.lint import Severity
    from analyzer.pull_costs import report_pulls
    from analyzer.store.opening import open_database
    from analyzer.what_if import load_world

    shared = common(context)
    accepted, book = load_accepted_gaps(accept_gaps), load_price_book(prices)
    database = open_database(shared.db_url)
    world = load_world(database, run=run)
    report = report_pulls(database, world, book, globs=repositories, accepted=accepted)
    shared.write(_rendered(report, shared.format, cast("By | None", by)))
    threshold = None if fail_on is None else Severity(fail_on)
    if threshold is not None and any(one.severity.is_at_least(threshold) for one in report.found.findings):
        return WITH_FINDINGS
    return WITH_GAPS if report.gaps else 0


def _rendered(report: PullReport, form: str, by: By | None) -> str:
    from analyzer.cli.tables import gaps_text
    from reports.csv import render_pulls_csv
    from reports.pulls_json import pulls_json
    from reports.pulls_text import groups_by, pulls_text

    if form == "json":
        return pulls_json(report)
    if form == "csv":
        return render_pulls_csv(report, None if by is None else groups_by(report, by))
    return pulls_text(report, by) + gaps_text(report.gaps, accepted=len(report.accepted_gaps))
