"""`demurrage trend`: how registries grew, and what they will hold in a year."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.choices import policies_option, repositories_option, run_option, top_option
from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    Moment,
    accept_gaps_option,
    common,
    global_options,
    load_accepted_gaps,
    load_price_book,
    prices_option,
)
from analyzer.cli.judging import advice_on, read_policy_document
from analyzer.cli.needs import (
    needed_images,
    needed_options,
    recommend_options,
    take_protection,
    take_recommend,
    take_uses,
    tell_warnings,
)
from analyzer.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.cli.needs import Needed
    from analyzer.lifecycle.policy import Policy
    from analyzer.model.frames import Int64
    from analyzer.model.recommendation import RecommendOptions
    from analyzer.model.trends import TrendReport
    from analyzer.pricing import PriceBook
    from analyzer.what_if import World


@click.command("trend", context_settings=HELP)
@repositories_option("Look only at repositories of such names")
@click.option(
    "--days",
    type=click.IntRange(min=1, max=3_660),
    metavar="N",
    help="Look back on the last N days.  [90]",
)
@click.option(
    "--since", type=Moment(), metavar="TIME", help="Look back to this day (UTC) in place of --days."
)
@policies_option("Forecast also with this lifecycle policy in these repositories; may be repeated.")
@click.option(
    "--recommended/--no-recommended",
    default=True,
    show_default=True,
    help="Forecast also with the policies that `demurrage recommend` would put.",
)
@run_option()
@top_option
@needed_options
@recommend_options
@prices_option
@accept_gaps_option
@global_options
@click.pass_context
def trend_command(
    context: click.Context,
    /,
    repositories: tuple[str, ...],
    days: int | None,
    since: datetime | None,
    policies: tuple[Path, ...],
    recommended: bool,  # noqa: FBT001 (click hands it over by name)
    run: int | None,
    top: int,
    prices: Path | None,
    accept_gaps: Path | None,
    **options: Any,
) -> int:
    """Show how registries grew, and what they will hold in a year.

    Day by day from the stored snapshots, with new and freed bytes; before the first snapshot
    reconstructed from the push times of the images that are still there, which is a lower bound. The
    forecast replays measured pushes under no policies, those in force, those that `demurrage recommend`
    would put and, with --policy, others. Days that are not known are gaps; with too little history there
    is no forecast, and it says so. Asks nothing of AWS and changes nothing.

    Exit status: 0 done; 4 something was not read.
    """
    from analyzer.acceptance import split_gaps
    from analyzer.model.units import to_ms
    from analyzer.storage import DAY_MS, analyze
    from analyzer.store.opening import open_database
    from analyzer.trending import TREND_DAYS, Candidate, Present, matching, report_trend
    from analyzer.what_if import gaps_about, load_world

    shared = common(context)
    if days is not None and since is not None:
        raise InputError("--days and --since both say how far to look back; give one of them")
    tried = [(path, *read_policy_document(shared, path)) for path in policies]
    accepted, book = load_accepted_gaps(accept_gaps), load_price_book(prices)
    uses, protection, advised = take_uses(options), take_protection(options), take_recommend(options)
    database = open_database(shared.db_url)
    world = load_world(database, run=run)
    if since is not None:
        days = world.at_ms // DAY_MS - to_ms(since) // DAY_MS
        if days < 1:
            raise InputError("--since is not before the day of the snapshot; name an earlier one")
    rows = matching(world.frames.repositories["repository"].tolist(), repositories)
    present = Present(
        snapshots=world.snapshots,
        frames=world.frames,
        facts=world.facts,
        families=world.families,
        storage=analyze(world.frames, now_ms=world.at_ms, stale_days=1),
    )
    # Public repositories can have no policy.
    judged = rows[~world.frames.is_public[rows]]
    candidates = [
        Candidate(name="candidate", title=str(path), policies=dict.fromkeys(judged.tolist(), policy))
        for path, policy, _ in tried
    ]
    needed = needed_images(world, uses, protection, whole_registries=True)
    if recommended and (followed := _followed(world, judged, needed, advised, book)):
        tell_warnings(shared, replace(needed, of_workloads=()))
        candidates.insert(0, Candidate(name="recommended", title="recommended policies", policies=followed))
    report = report_trend(
        database,
        present,
        book,
        at_ms=world.at_ms,
        days=TREND_DAYS if days is None else days,
        globs=repositories,
        candidates=candidates,
    )
    open_gaps, covered = split_gaps(gaps_about(world, rows), accepted)
    report = replace(report, gaps=tuple(open_gaps), accepted_gaps=tuple(covered))
    shared.write(_rendered(report, shared.format, top))
    return WITH_GAPS if report.gaps else 0


def _followed(
    world: World, rows: Int64, needed: Needed, options: RecommendOptions, prices: PriceBook
) -> Mapping[int, Policy]:
    """Every repository's policy once those recommended for ``rows`` are put; nothing without any."""
    from analyzer.recommending import RecommendQuestion

    if not len(rows):
        return {}
    advice = advice_on(
        world,
        RecommendQuestion(
            rows=rows,
            at_ms=world.at_ms,
            options=options,
            usage=needed.usage,
            coverage=needed.coverage,
            protected=needed.protected,
            fleet=False,
        ),
        prices,
    )
    return dict(advice.followed(world.policies, world.policy_of)) if advice.policies else {}


def _rendered(report: TrendReport, form: str, top: int) -> str:
    from analyzer.cli.tables import gaps_text
    from reports.csv import render_trend_csv
    from reports.trend_json import trend_json
    from reports.trend_text import trend_text

    if form == "json":
        return trend_json(report)
    if form == "csv":
        return render_trend_csv(report)
    return trend_text(report, top=top) + gaps_text(report.gaps, accepted=len(report.accepted_gaps))
