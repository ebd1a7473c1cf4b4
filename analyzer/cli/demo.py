"""`demurrage demo`: the whole pipeline on an emulated AWS, for a look at it without an account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from analyzer.cli.common import HELP, common, global_options, load_price_book, report_options
from analyzer.errors import InputError

_NIGHTS = 3
#: The emulator is in this process: there is nobody to be gentle with.
_REQUESTS_PER_SECOND = 100_000.0


@click.command("demo", context_settings=HELP)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    default=Path("demurrage-demo"),
    show_default=True,
    envvar="DEMURRAGE_OUTPUT_DIR",
    show_envvar=True,
    metavar="DIR",
    help="Folder for the report and (without --db) the database.",
)
@click.option("--seed", type=int, default=2026, show_default=True, help="Another seed, another registry.")
@report_options
@global_options
@click.pass_context
def demo_command(
    context: click.Context, output_dir: Path, seed: int, scope: str, stale_days: int, prices: Path | None
) -> int:
    """Try it: collect an emulated AWS for three nights and report on it.

    Needs no AWS account and no network. The collector is the real one; only AWS is emulated (by
    moto, with made-up registries of realistic shape).
    """
    from analyzer.acceptance import AcceptedGap
    from analyzer.cli.collect import collect_shown
    from analyzer.cli.report import write_answer
    from analyzer.collect import CollectOptions
    from analyzer.collect.session import open_session
    from analyzer.demo import emulated_aws
    from analyzer.nightly import open_database

    shared = common(context)
    book = load_price_book(prices)
    database = open_database(shared.db or _fresh_database(output_dir), create=True)
    now = datetime.now(UTC)
    last = now.replace(hour=2, minute=0, second=0, microsecond=0)
    # The last night is the one just past.
    first = last - timedelta(days=_NIGHTS - 1 if last <= now else _NIGHTS)
    with emulated_aws(first, seed) as aws:
        options = CollectOptions(
            regions=aws.regions,
            account=aws.account,
            requests_per_second=_REQUESTS_PER_SECOND,
            batch_get_image_per_second=_REQUESTS_PER_SECOND,
        )
        session = open_session()
        for night in range(_NIGHTS):
            if night:
                aws.pass_night()
            collect_shown(shared, database, session, options, aws.now.timestamp)
        refusals = aws.refusals
    accepted = tuple(
        AcceptedGap(
            reason="The demo refuses this on purpose.",
            account=aws.account,
            region=refusal.region,
            repository=refusal.repository,
            call=refusal.call,
        )
        for refusal in refusals
    )
    return write_answer(
        shared,
        database,
        output_dir,
        prices=book,
        scope=scope,
        stale_days=stale_days,
        accepted=accepted,
    )


def _fresh_database(output_dir: Path) -> str:
    """URL of the demo's own database, an earlier demo's being removed."""
    file = output_dir / "demurrage.sqlite"
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot use {output_dir}: {error.strerror}; choose another --output-dir") from error
    return f"sqlite:///{file}"
