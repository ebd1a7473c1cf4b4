"""`demurrage db`: the database's schema, its retention, and copies of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import HELP, Common, common, global_options
from analyzer.cli.copy import copy_command
from analyzer.cli.prune import prune_command
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.store.schema import SchemaStatus


@click.group("db", context_settings=HELP)
@global_options
def db_group() -> None:
    """Look after the database."""


@db_group.command("upgrade", context_settings=HELP)
@global_options
@click.pass_context
def upgrade_command(context: click.Context) -> int:
    """Bring the database to the schema of this version.

    Each step happens whole or not at all. Make a copy of the database first all the same.
    """
    from analyzer.store.engine import Database
    from analyzer.store.schema import upgrade_schema

    shared = common(context)
    database = Database(shared.db_url)
    _print(shared, database.label, upgrade_schema(database))
    return 0


@db_group.command("status", context_settings=HELP)
@global_options
@click.pass_context
def status_command(context: click.Context) -> int:
    """Say which schema the database has and which one is needed; exit 2 where they differ."""
    from analyzer.store.engine import Database
    from analyzer.store.schema import require_current_schema, schema_status

    shared = common(context)
    database = Database(shared.db_url)
    if database.is_missing:
        raise InputError(f"there is no database {database.label}; run: demurrage db upgrade")
    _print(shared, database.label, schema_status(database))
    require_current_schema(database)
    return 0


db_group.add_command(prune_command)
db_group.add_command(copy_command)


def _print(shared: Common, label: str, status: SchemaStatus) -> None:
    from analyzer.cli.answers import csv_text
    from reports.text import visible

    values = {
        "database": label,
        "schema": status.current,
        "needed": status.expected,
        "current": status.is_current,
    }
    if shared.format == "json":
        shared.write(json.dumps(values, indent=2))
    elif shared.format == "csv":
        row = {"database": label, "schema": status.current or "", "needed": status.expected}
        shared.write(csv_text([row]))
    else:
        shared.write(
            f"{visible(label)}\nschema {status.current or 'none'}, needed {status.expected}"
            f"{': up to date' if status.is_current else ''}"
        )
