"""`demurrage db copy`: everything into another database, and the proof that it is there."""

from __future__ import annotations

import json

import click

from analyzer.cli.common import HELP, common, global_options
from analyzer.cli.streams import tell


@click.command("copy", context_settings=HELP)
@click.option(
    "--to",
    required=True,
    metavar="URL",
    help="SQLAlchemy URL of the database to fill: one that holds nothing, or was just set up.",
)
@global_options
@click.pass_context
def copy_command(context: click.Context, to: str) -> int:
    """Copy the database that --db names, whole, into another: from SQLite to PostgreSQL, say.

    Rows are counted and hashed on both sides before the copy counts; where anything differs, or
    the copy is cut short, the other database is left empty. Afterwards point --db to it.
    """
    from analyzer.cli.answers import csv_text
    from analyzer.store.database_copy import copy_database
    from analyzer.store.engine import Database
    from analyzer.store.opening import open_database
    from reports.text import visible

    shared = common(context)
    source, target = open_database(shared.db_url), Database(to, option="--to")
    contents = copy_database(
        source, target, lambda table, rows: None if shared.quiet else tell(f"{table}: {rows:,} rows")
    )
    rows = sum(content.rows for content in contents.values())
    verified = [
        {"table": name, "rows": content.rows, "content_hash": content.digest}
        for name, content in sorted(contents.items())
    ]
    if shared.format == "json":
        shared.write(
            json.dumps(
                {"from": source.label, "to": target.label, "rows": rows, "verified": verified}, indent=2
            )
        )
    elif shared.format == "csv":
        shared.write(csv_text(verified))
    else:
        shared.write(
            f"{visible(source.label)} copied to {visible(target.label)}: "
            f"{len(verified)} tables, {rows:,} rows;\n"
            "the count and the content hash of every table were read back and are the same on both sides"
        )
    return 0
