"""`demurrage update`: what AWS publishes for everybody, brought up to date in the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import HELP, Common, common, global_options
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.origins import IpRangesUpdate


@click.command("update", context_settings=HELP)
@click.option(
    "--ip-ranges",
    type=click.Path(path_type=Path),
    envvar="DEMURRAGE_IP_RANGES",
    show_envvar=True,
    metavar="FILE",
    help="Take AWS's ip-ranges.json from this file; nothing is fetched.",
)
@global_options
@click.pass_context
def update_command(context: click.Context, /, ip_ranges: Path | None) -> int:
    """Bring AWS's address ranges in the database up to date.

    By them the source address of a pull tells its region; without them addresses tell nothing. They
    are fetched from https://ip-ranges.amazonaws.com/ip-ranges.json, which takes no credentials. Where
    this machine cannot reach it, give the file.
    """
    import time

    from analyzer.origins import update_from_aws, update_from_file
    from analyzer.pulls.addresses import parse_ip_ranges
    from analyzer.store.opening import open_database

    shared = common(context)
    if ip_ranges is None:
        database = open_database(shared.db_url, create=True)
        update = update_from_aws(database, int(time.time() * 1000))
    else:
        data = _read(ip_ranges)
        ranges = parse_ip_ranges(data, f"--ip-ranges {ip_ranges}")
        database = open_database(shared.db_url, create=True)
        update = update_from_file(database, ranges, data, str(ip_ranges), int(time.time() * 1000))
    shared.write(_rendered(update, shared))
    return 0


def _read(path: Path) -> bytes:
    from analyzer.pulls.addresses import MAX_BYTES

    try:
        with path.open("rb") as file:
            # One byte too many is enough to be refused.
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"--ip-ranges {path}: {error.strerror or error}; name a file that can be read"
        ) from error


def _rendered(update: IpRangesUpdate, shared: Common) -> str:
    from analyzer.cli.answers import csv_text
    from analyzer.model.units import iso
    from reports.text import json_escaped, visible

    previous = None if update.previous_at is None else iso(update.previous_at)
    if shared.format == "table":
        before = "none before" if previous is None else f"before: {previous}"
        return (
            f"ip-ranges of {iso(update.created_at)} from {visible(update.source)}\n"
            f"{update.prefixes:,} prefixes, {update.regions} regions; "
            f"{before if update.is_changed else 'as before'}"
        )
    row = {
        "what": "ip-ranges",
        "created_at": iso(update.created_at),
        "previous_created_at": previous,
        "is_changed": update.is_changed,
        "prefixes": update.prefixes,
        "regions": update.regions,
        "source": update.source,
    }
    if shared.format == "json":
        return json_escaped(json.dumps({"updates": [row]}, indent=2, ensure_ascii=False))
    return csv_text(
        [
            {
                **row,
                "previous_created_at": previous or "",
                "is_changed": str(update.is_changed).lower(),
            }
        ]
    )
