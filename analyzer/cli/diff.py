"""`demurrage diff`: what changed between two nights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from analyzer.cli.choices import (
    repositories_option,
)
from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    common,
    global_options,
    load_price_book,
    report_options,
)
from analyzer.errors import InputError


@click.command("diff", context_settings=HELP)
@click.argument("before", default="previous", metavar="[A]")
@click.argument("after", default="last", metavar="[B]")
@repositories_option()
@click.option(
    "--rows",
    type=click.Choice(["repository", "image"]),
    default="repository",
    show_default=True,
    help="With --format csv: a row for each repository, or for each image that something happened to.",
)
@report_options
@global_options
@click.pass_context
def diff_command(
    context: click.Context,
    /,
    before: str,
    after: str,
    repositories: tuple[str, ...],
    rows: str,
    scope: str,
    stale_days: int,
    prices: Path | None,
) -> int:
    """Tell what changed from A to B: repositories, images, bytes, cost, settings and findings.

    A and B are numbers of runs, `last`, `previous` (the run before the last), dates such as 2026-11-01
    (the end of that day, UTC) or times; without them it is the last night against the one before. Asks
    nothing of AWS.

    An image that is gone is expired where a policy in force on either side takes it, else deleted.

    Exit status: 0 done; 4 something is not known, because one side could not be read.
    """
    from analyzer.differing import compare_runs, runs_to_compare
    from analyzer.nightly import ReportOptions
    from analyzer.store.opening import open_database
    from reports.diff import diff_csv, diff_json, diff_text

    shared = common(context)
    if rows == "image" and shared.format != "csv":
        raise InputError(f"--rows image is for --format csv; --format {shared.format} names images as it is")
    options = ReportOptions(prices=load_price_book(prices), scope=cast(Any, scope), stale_days=stale_days)
    database = open_database(shared.db_url)
    runs = runs_to_compare(database, before, after)
    difference = compare_runs(database, *runs, options, globs=repositories)
    if shared.format == "json":
        shared.write(diff_json(difference))
    elif shared.format == "csv":
        shared.write(diff_csv(difference, rows=rows))
    else:
        shared.write(diff_text(difference))
    return WITH_GAPS if difference.unknown else 0
