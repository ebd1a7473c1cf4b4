"""`demurrage ingest`: pulls from CloudTrail's files and its event history into the database."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.collect import aws_choice, aws_sessions, collect_options
from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    Common,
    Decorated,
    Moment,
    common,
    global_options,
    require_names,
    with_options,
)
from analyzer.errors import InputError, RunError

if TYPE_CHECKING:
    from analyzer.collect.clients import CallSettings
    from analyzer.collect.places import Places
    from analyzer.ingesting import Ingester, IngestTotals
    from analyzer.origins import Locator
    from analyzer.pulls.role_rules import RoleRule
    from analyzer.store.engine import Database

_S3 = "s3://"
_DAY_SECONDS = 86_400
#: Problems that are named at the terminal; what is more is counted.
_NAMED = 10

_INGEST_OPTIONS = (
    click.option(
        "--trail",
        multiple=True,
        envvar="DEMURRAGE_TRAIL",
        show_envvar=True,
        metavar="S3URL|DIR",
        help="A trail's files: s3://BUCKET/PREFIX as the trail has it, or a folder of such files.",
    ),
    click.option(
        "--lookup",
        is_flag=True,
        envvar="DEMURRAGE_LOOKUP",
        show_envvar=True,
        help="Ask CloudTrail's event history, which needs no trail: 90 days, at 100 events a second.",
    ),
    click.option(
        "--since",
        type=Moment(),
        envvar="DEMURRAGE_SINCE",
        show_envvar=True,
        metavar="DATE",
        help="The first day to read. Without it: 30 days back, and then what is new; of a folder, all.",
    ),
    click.option(
        "--scanner",
        multiple=True,
        envvar="DEMURRAGE_SCANNER",
        show_envvar=True,
        metavar="GLOB",
        help="ARNs of roles or users that scan images, such as *:role/trivy-*: their pulls are not counted.",
    ),
    click.option(
        "--role-regions",
        type=click.Path(path_type=Path),
        envvar="DEMURRAGE_ROLE_REGIONS",
        show_envvar=True,
        metavar="FILE",
        help="Your own rules (TOML) about the regions that roles pull from, for where nothing else tells.",
    ),
    click.option(
        "--processes",
        type=click.IntRange(1, 64),
        envvar="DEMURRAGE_PROCESSES",
        default=2,
        show_default=True,
        show_envvar=True,
        help="Processes that unpack and parse files.",
    ),
)


def ingest_options(command: Decorated) -> Decorated:
    """Add the options that say where pulls are read from."""
    return with_options(_INGEST_OPTIONS, command)


@click.command("ingest", context_settings=HELP)
@ingest_options
@collect_options
@global_options
@click.pass_context
def ingest_command(
    context: click.Context,
    /,
    **options: Any,
) -> int:
    """Read from CloudTrail who pulled what, and keep it by day.

    Files and events that were read before are known: run it as often as you like. A trail's bucket is
    read with your own credentials; the event history is asked in the accounts and regions that the other
    options name, as `collect` does.
    """
    from analyzer.store.opening import open_database

    shared = common(context)
    asked = checked_ingest(options)
    if asked is None:
        raise InputError("nothing to read: give --trail s3://BUCKET/PREFIX, --trail DIR or --lookup")
    database = open_database(shared.db_url, create=True)
    totals = ingest(database, **asked, options=options)
    shared.write(_rendered(totals, shared))
    require_something_ingested(totals)
    return WITH_GAPS if any(row.unreadable for row in totals) else 0


def checked_ingest(options: dict[str, Any]) -> dict[str, Any] | None:
    """What `ingest_options` say, for `ingest`; None where nothing is to be read.

    Takes them out of ``options``.
    Raises InputError for a folder that is not there, and rules that cannot be read.
    """
    trails: tuple[str, ...] = options.pop("trail")
    rules_file: Path | None = options.pop("role_regions")
    asked = {
        "trails": trails,
        "lookup": options.pop("lookup"),
        "since": options.pop("since"),
        "scanners": options.pop("scanner"),
        "processes": options.pop("processes"),
    }
    require_names("--trail", trails)
    for name in trails:
        if not name.startswith(_S3) and not Path(name).is_dir():
            raise InputError(
                f"--trail {name}: there is no such folder; a bucket is written s3://BUCKET/PREFIX"
            )
    asked["rules"] = () if rules_file is None else load_role_rules(rules_file)
    return asked if trails or asked["lookup"] else None


def require_something_ingested(totals: Sequence[IngestTotals]) -> None:
    """Raise RunError when not one source could be read."""
    failed = [row for row in totals if row.unreadable]
    if failed and not any(row.files or row.known_files or sum(row.written) for row in totals):
        raise RunError(f"nothing could be read ({failed[0].problems[0]})")


def ingest(
    database: Database,
    *,
    trails: tuple[str, ...],
    lookup: bool,
    since: datetime | None,
    scanners: tuple[str, ...],
    rules: tuple[RoleRule, ...],
    processes: int,
    options: dict[str, Any],
) -> list[IngestTotals]:
    """Take in each source; ``options`` are those of `collect_options`."""
    from analyzer.ingesting import REMEMBERED_DAYS, Ingester, IngestOptions
    from analyzer.origins import Locator
    from analyzer.pulls.records import Rules

    today = int(time.time()) // _DAY_SECONDS
    locator = Locator(database, today, rules)
    ingester = Ingester(
        database,
        IngestOptions(
            rules=Rules(scanners),
            origin=locator,
            today=today,
            since=None if since is None else int(since.timestamp()) // _DAY_SECONDS,
            processes=processes,
            prepare=locator.prepare,
        ),
    )
    totals = [ingester.folder(Path(name)) for name in trails if not name.startswith(_S3)]
    buckets = [name for name in trails if name.startswith(_S3)]
    if buckets or lookup:
        totals += _from_aws(database, ingester, locator, buckets, lookup=lookup, options=options)
    ingester.finish()
    locator.forget(today - REMEMBERED_DAYS)
    totals[-1].notes += locator.notes
    return totals


def _from_aws(
    database: Database,
    ingester: Ingester,
    locator: Locator,
    buckets: Sequence[str],
    *,
    lookup: bool,
    options: dict[str, Any],
) -> list[IngestTotals]:
    """Take in trails' buckets and event histories; unknown machines are asked for in the same accounts."""
    from analyzer.collect.accounts import find_places
    from analyzer.collect.machines import MachineFinder
    from analyzer.store.snapshots import newest_snapshots

    sessions, regions = aws_sessions(options.pop("profile"), options.pop("region"))
    settings = _settings(options)

    @cache
    def find() -> Places:
        return find_places(sessions, aws_choice(regions, len(sessions), **options), settings)

    locator.ask_with(lambda: MachineFinder(find().places, settings))
    totals = []
    if buckets:
        from analyzer.collect.regions import greeting_regions
        from analyzer.collect.trails import TrailBucket

        with database.read() as connection:
            registries = list(newest_snapshots(connection))
        for name in buckets:
            first = greeting_regions(sessions[0], regions)[0]
            totals.append(ingester.trail(TrailBucket(name, sessions[0], settings, first), registries))
    if lookup:
        from analyzer.collect.lookups import HISTORY_DAYS, EventHistory
        from analyzer.model.records import PUBLIC_REGION

        found = find()
        histories = {
            place.key: EventHistory(place, settings)
            for place in found.places
            if place.key.region != PUBLIC_REGION
        }
        row = ingester.histories(histories, HISTORY_DAYS)
        for key, gap in found.gaps:
            row.fail(f"{key.account}/{key.region}".strip("/"), f"{gap.call}: {gap.reason} {gap.detail}")
        totals.append(row)
    return totals


def load_role_rules(file: Path) -> tuple[RoleRule, ...]:
    """The rules of --role-regions; raises InputError where they cannot be read."""
    from analyzer.cli.configuration import read_text
    from analyzer.pulls.role_rules import parse_role_rules

    return parse_role_rules(read_text(file, "--role-regions"), origin=f"--role-regions {file}")


def _settings(options: dict[str, Any]) -> CallSettings:
    from analyzer.collect.clients import CallSettings
    from analyzer.collect.lookups import LOOKUP_RATES
    from analyzer.collect.trails import S3_RATES

    return CallSettings(
        requests_per_second=options["requests_per_second"],
        operation_rates={**S3_RATES, **LOOKUP_RATES},
        connections=max(10, options["workers"]),
        read_seconds=options["read_timeout"],
    )


def _rendered(totals: list[IngestTotals], shared: Common) -> str:
    from analyzer.cli.answers import csv_text
    from reports.text import json_escaped, visible

    rows = [
        {
            "source": row.source,
            "files": row.files,
            "files_known": row.known_files,
            "bytes_read": row.read_bytes,
            "requests_counted": row.written.new,
            "requests_known": row.written.repeated,
            "requests_of_closed_days": row.written.late,
            "events_undated": row.undated,
            "unreadable": row.unreadable,
        }
        for row in totals
    ]
    if shared.format == "csv":
        return csv_text(rows)
    if shared.format == "json":
        document = [
            {**cells, "problems": row.problems, "notes": row.notes}
            for cells, row in zip(rows, totals, strict=True)
        ]
        return json_escaped(json.dumps({"sources": document}, indent=2, ensure_ascii=False)) + "\n"
    lines = []
    for row in totals:
        new, repeated, late = row.written
        lines.append(
            f"{row.source}: {row.files:,} new files ({row.known_files:,} known), {new:,} new requests for"
            f" layers and images ({repeated:,} known)"
        )
        if late:
            lines.append(f"  {late:,} requests came too late: their days take no more")
        if row.undated:
            lines.append(f"  {row.undated:,} events without a time that can be read")
        lines += [f"  {note}" for note in row.notes]
        lines += [f"  not read: {problem}" for problem in row.problems[:_NAMED]]
        if row.unreadable > _NAMED:
            lines.append(f"  and {row.unreadable - _NAMED:,} more not read")
    return "\n".join(map(visible, lines)) + "\n"
