"""`demurrage import`: a snapshot of what the AWS CLI printed, where nothing may be installed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    Moment,
    accept_gaps_option,
    common,
    global_options,
    load_accepted_gaps,
)

#: How many things that were passed over are named; what is more is counted.
_NAMED_AT_MOST = 20


@click.command("import", context_settings=HELP)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--taken-at",
    type=Moment(),
    metavar="TIME",
    help="When the answers were taken. Without it: when the newest of the files that list repositories or"
    " images was written.",
)
@click.option("--account", metavar="ID", help="Whose the answers are, where they do not say so.")
@click.option("--region", metavar="REGION", help="The region they are of, where they do not say so.")
@accept_gaps_option
@global_options
@click.pass_context
def import_command(
    context: click.Context,
    /,
    folder: Path,
    taken_at: datetime | None,
    account: str | None,
    region: str | None,
    accept_gaps: Path | None,
) -> int:
    """Take a snapshot of what the AWS CLI printed.

    DIR holds its answers as JSON, under any names: describe-repositories, describe-images,
    batch-get-image, get-lifecycle-policy and more; the README has a recipe. Files of several
    registries lie in a folder each. What is not there is a gap.
    """
    from analyzer.acceptance import split_gaps
    from analyzer.cli.answers import rendered
    from analyzer.cli.collect import require_something_read
    from analyzer.cli.folders import files_of
    from analyzer.cli.progress import shown_progress
    from analyzer.cli.streams import tell
    from analyzer.importing import ImportOptions, import_answers
    from analyzer.model.units import to_ms
    from analyzer.store.opening import open_database

    shared = common(context)
    accepted = load_accepted_gaps(accept_gaps)
    files, passed_over = files_of(folder)
    options = ImportOptions(
        taken_at_ms=None if taken_at is None else to_ms(taken_at), account=account, region=region
    )
    database = open_database(shared.db_url, create=True)
    with shown_progress(quiet=shared.quiet) as progress:
        imported = import_answers(database, files, options, progress)
    notes = (*passed_over, *imported.notes)
    if not shared.quiet:
        for note in notes[:_NAMED_AT_MOST]:
            tell(note)
        if len(notes) > _NAMED_AT_MOST:
            tell(f"{len(notes) - _NAMED_AT_MOST} more were not read")
    shared.write(rendered(imported.result, accepted, shared.format))
    require_something_read(imported.result)
    return WITH_GAPS if split_gaps(imported.result.gaps, accepted)[0] else 0
