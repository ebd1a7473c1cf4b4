"""`demurrage outcome`: what came of changes of policies."""

from __future__ import annotations

import click

from analyzer.cli.choices import (
    repositories_option,
)
from analyzer.cli.common import HELP, common, global_options
from analyzer.errors import InputError


@click.command("outcome", context_settings=HELP)
@repositories_option()
@global_options
@click.pass_context
def outcome_command(context: click.Context, repositories: tuple[str, ...]) -> int:
    """Tell, image by image, what came of every change of a lifecycle policy in the stored nights.

    What the new policy was predicted to take against what left: in time (ECR has 24 hours), late, or not
    at all and why; and what left though no rule takes it, which somebody deleted. Asks nothing of AWS.
    """
    from fnmatch import fnmatchcase

    from analyzer.lifecycle.past import Past
    from analyzer.outcomes import policy_outcomes
    from analyzer.store.history_frames import load_history
    from analyzer.store.opening import open_database
    from analyzer.store.snapshots import last_run, snapshots_of_run
    from reports.csv import render_outcomes_csv
    from reports.outcome import outcome_json, outcome_text

    shared = common(context)
    database = open_database(shared.db_url)
    with database.read() as connection:
        snapshots = snapshots_of_run(connection, last_run(connection))
    history = load_history(database, snapshots)
    names = history.frames.repositories["repository"].tolist()
    for glob in repositories:
        if not any(fnmatchcase(name, glob) for name in names):
            raise InputError(f"--repository {glob}: no repository has such a name; name another")
    outcomes = policy_outcomes(Past(history), globs=repositories)
    render = {"json": outcome_json, "csv": render_outcomes_csv, "table": outcome_text}[shared.format]
    shared.write(render(outcomes))
    return 0
