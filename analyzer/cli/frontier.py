"""`demurrage frontier`: what would be stored at every keep-last-N, or at every keep-N-days."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from analyzer.cli.choices import (
    at_option,
    repositories_option,
    run_option,
    top_option,
)
from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    accept_gaps_option,
    common,
    global_options,
    load_accepted_gaps,
    load_price_book,
    prices_option,
)
from analyzer.cli.judging import matching_rows
from analyzer.cli.streams import tell

if TYPE_CHECKING:
    from analyzer.model.frames import Int64
    from analyzer.model.frontier import By, PricedFrontier
    from analyzer.pricing import PriceBook
    from analyzer.what_if import World


@click.command("frontier", context_settings=HELP)
@click.option(
    "--by",
    type=click.Choice(["images", "days"]),
    default="images",
    show_default=True,
    help="Keep the youngest N images of a repository, or those pushed in the last N days.",
)
@repositories_option("Keep fewer only in repositories of such names")
@at_option("Count days to this moment")
@run_option()
@top_option
@prices_option
@accept_gaps_option
@global_options
@click.pass_context
def frontier_command(
    context: click.Context,
    by: str,
    repositories: tuple[str, ...],
    at: datetime | None,
    run: int | None,
    top: int,
    prices: Path | None,
    accept_gaps: Path | None,
) -> int:
    """What would be stored, and saved, if repositories kept fewer images.

    One rule, for every N at once: expire all but the youngest N images (or all pushed more than N
    days ago), whatever their tags. What an index names stays with it, what refers to an image goes
    with it. The table shows some N; JSON and CSV have every N where something changes.

    Asks nothing of AWS and changes nothing. Whether an image is in use plays no part: see what-if.
    """
    from analyzer.acceptance import split_gaps
    from analyzer.cli.tables import gaps_text
    from analyzer.model.units import from_ms, to_ms
    from analyzer.store.opening import open_database
    from analyzer.what_if import gaps_about, load_world
    from reports.csv import render_frontier_csv
    from reports.frontier_text import frontier_text
    from reports.json import render_frontier_json

    shared = common(context)
    accepted, book = load_accepted_gaps(accept_gaps), load_price_book(prices)
    database = open_database(shared.db_url)
    world = load_world(database, run=run, at_ms=None if at is None else to_ms(at))
    rows, left_out = matching_rows(world.frames, repositories)
    if not shared.quiet:
        for warning in left_out:
            tell(warning)
    open_gaps, covered = split_gaps(gaps_about(world, rows), accepted)
    every_point = shared.format != "table"
    priced = _priced(world, rows, cast("By", by), book, every_point=every_point)
    moment = from_ms(world.at_ms)
    if shared.format == "json":
        shared.write(render_frontier_json([priced], moment, gaps=open_gaps, accepted_gaps=covered))
    elif shared.format == "csv":
        shared.write(render_frontier_csv([priced]))
    else:
        text = frontier_text(priced, moment, top=top)
        shared.write(text + gaps_text(open_gaps, accepted=len(covered)))
    return WITH_GAPS if open_gaps else 0


def _priced(world: World, rows: Int64, by: By, prices: PriceBook, *, every_point: bool) -> PricedFrontier:
    """The frontier where the policy holds in the repositories at ``rows``."""
    import numpy as np

    from analyzer.lifecycle.frontier import sweep
    from analyzer.lifecycle.frontier_pricing import price_frontier

    frames, families = world.frames, world.families
    chosen = np.zeros(len(frames.repositories), np.bool_)
    chosen[rows] = True
    swept = sweep(frames, world.facts, families, now_ms=world.at_ms, by=by, chosen=chosen)
    return price_frontier(swept, frames, families, prices, every_point=every_point)
