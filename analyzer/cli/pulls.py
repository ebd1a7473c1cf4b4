"""`demurrage pulls`: what is pulled across regions and accounts, what it costs, what to do instead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from analyzer.cli.choices import (
    fail_on_option,
    repositories_option,
    run_option,
)
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
    words,
)
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.model.pull_report import PullReport
    from reports.recorded_words import By


@click.command("pulls", context_settings=HELP)
@click.option(
    "--by",
    type=click.Choice(["repository", "puller", "route", "day"]),
    help="Put findings and recorded pulls together by this, in table and CSV; JSON has them all ways.",
)
@repositories_option("Look only at images of such repositories")
@run_option()
@fail_on_option()
@click.option(
    "--days",
    type=click.IntRange(min=1, max=3_660),
    default=30,
    show_default=True,
    metavar="N",
    help="Count the pulls of the last N days that anything was read of.",
)
@click.option(
    "--nat-region",
    "nat_regions",
    multiple=True,
    envvar="DEMURRAGE_NAT_REGION",
    show_envvar=True,
    metavar="REGION",
    help="Pullers of this region leave through NAT gateways: price that too; may be repeated.",
)
@click.option(
    "--gateway-region",
    "gateway_regions",
    multiple=True,
    envvar="DEMURRAGE_GATEWAY_REGION",
    show_envvar=True,
    metavar="REGION",
    help="This region has the S3 gateway endpoint: its own layers pass no NAT gateway; may be repeated.",
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
    days: int,
    nat_regions: tuple[str, ...],
    gateway_regions: tuple[str, ...],
    prices: Path | None,
    accept_gaps: Path | None,
) -> int:
    """Show what workloads pull across regions and accounts.

    Told by the image references of the workloads in the last snapshot: each that leaves its region or
    account, what one cold pull of it moves and costs, who pays, and what to name instead. A replica
    that is there and not used comes first. Then what CloudTrail recorded, where `demurrage ingest` has
    read it: bytes and dollars by where they went, and what would cost less. Asks nothing of AWS and
    changes nothing.

    Exit status: 0 done; 3 a finding that --fail-on asks for; 4 something was not read.
    """
    from analyzer.model.lint import Severity
    from analyzer.model.pull_costs import Network
    from analyzer.pull_costs import report_pulls
    from analyzer.store.opening import open_database
    from analyzer.what_if import load_world

    shared = common(context)
    accepted, book = load_accepted_gaps(accept_gaps), load_price_book(prices)
    database = open_database(shared.db_url)
    world = load_world(database, run=run)
    nat, gateways = words(nat_regions), words(gateway_regions)
    network = Network(frozenset(nat) if nat else None, frozenset(gateways))
    report = report_pulls(
        database, world, book, days=days, globs=repositories, accepted=accepted, network=network
    )
    if by == "day" and report.recorded is None:
        raise InputError("--by day is about recorded pulls, and none were read; run demurrage ingest first")
    shared.write(_rendered(report, shared.format, cast("By | None", by)))
    threshold = None if fail_on is None else Severity(fail_on)
    if threshold is not None and any(one.severity.is_at_least(threshold) for one in report.found.findings):
        return WITH_FINDINGS
    return WITH_GAPS if report.gaps else 0


def _rendered(report: PullReport, form: str, by: By | None) -> str:
    from analyzer.cli.tables import gaps_text
    from reports.csv import render_grouped_pulls_csv, render_pulls_csv
    from reports.pulls_json import pulls_json
    from reports.pulls_text import groups_by, pulls_text
    from reports.recorded_words import costs_by

    if form == "json":
        return pulls_json(report)
    if form == "csv" and by is not None:
        costs = () if report.recorded is None else costs_by(report.recorded.costs, by)
        return render_grouped_pulls_csv(groups_by(report, by), costs)
    if form == "csv":
        return render_pulls_csv(report)
    return pulls_text(report, by) + gaps_text(report.gaps, accepted=len(report.accepted_gaps))
