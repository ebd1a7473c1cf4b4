"""`demurrage db prune`: fewer snapshots, and none that stays says anything else than before."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import HELP, WITH_GAPS, Common, common, global_options
from analyzer.cli.streams import tell
from analyzer.errors import LeaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.retention import Retention, Taken
    from analyzer.store.engine import Database
    from analyzer.store.pruning import Pruned


@click.command("prune", context_settings=HELP)
@click.option(
    "--keep",
    required=True,
    envvar="DEMURRAGE_KEEP",
    show_envvar=True,
    metavar="RULE",
    help='Which snapshots of each registry stay, such as "30d, weekly 26, monthly": all of the last N'
    " days (Nd), the last N, and the last complete one of each of so many days, weeks (from Monday),"
    " months or years in UTC (daily, weekly, monthly, yearly; all there ever were without a number).",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option(
    "--vacuum",
    is_flag=True,
    help="Have the database give unused space back afterwards; SQLite needs as much again meanwhile.",
)
@global_options
@click.pass_context
def prune_command(context: click.Context, keep: str, *, dry_run: bool, vacuum: bool) -> int:
    """Take snapshots out of the database, and keep those that a rule names.

    What the others show stays exactly as it is. The newest snapshot of a registry always stays, and so
    do manifests, of which an archived image's could never be read again. A registry that is being
    collected is left alone: exit 4, or 1 where that is all of them.
    """
    from analyzer.retention import parse_retention
    from analyzer.store.opening import open_database
    from analyzer.store.pruning import preview_pruning, reclaim_space

    shared = common(context)
    retention = parse_retention(keep)
    database = open_database(shared.db_url)
    now_ms = round(time.time() * 1000)
    if dry_run:
        _print(shared, preview_pruning(database, retention, now_ms), dry_run=True, sizes=None)
        return 0
    held: list[LeaseError] = []
    done = _prune(database, retention, now_ms, held)
    for error in held:
        tell(f"left alone: {error}")
    if held and not done:
        raise held[0]
    sizes = reclaim_space(database) if vacuum else None
    _print(shared, done, dry_run=False, sizes=sizes)
    if not (shared.quiet or vacuum) and any(entry.pruned for entry in done):
        tell(_advice(database))
    return WITH_GAPS if held else 0


def _prune(database: Database, retention: Retention, now_ms: int, held: list[LeaseError]) -> list[Pruned]:
    import os
    import socket

    from analyzer.store.leases import hold_lease
    from analyzer.store.pruning import prune_registry, registry_keys

    done = []
    for key in registry_keys(database):
        try:
            with hold_lease(
                database, key, f"pid {os.getpid()}", socket.gethostname(), lambda: round(time.time() * 1000)
            ) as lease:
                done.append(prune_registry(database, lease, retention, now_ms))
        except LeaseError as error:
            held.append(error)
    return done


def _advice(database: Database) -> str:
    if database.is_sqlite:
        return "the file keeps its size and what was freed is filled again; --vacuum gives it back"
    return "PostgreSQL fills what was freed again once it is vacuumed: by itself in time, or with --vacuum"


def _print(shared: Common, done: Sequence[Pruned], *, dry_run: bool, sizes: tuple[int, int] | None) -> None:
    if shared.format == "json":
        shared.write(json.dumps(_document(done, dry_run=dry_run, sizes=sizes), indent=2))
    elif shared.format == "csv":
        shared.write(_csv(done))
    else:
        shared.write(_table(done, dry_run=dry_run, sizes=sizes))


def _document(done: Sequence[Pruned], *, dry_run: bool, sizes: tuple[int, int] | None) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "registries": [
            {
                "account": entry.key.account,
                "region": entry.key.region,
                "kept": [_taken(taken) for taken in entry.kept],
                "pruned": [_taken(taken) for taken in entry.pruned],
                "rows": dict(entry.rows),
                "freed_bytes": entry.freed_bytes,
            }
            for entry in done
        ],
        "freed_bytes": sum(entry.freed_bytes for entry in done),
        "database_bytes": None if sizes is None else {"before": sizes[0], "after": sizes[1]},
    }


def _csv(done: Sequence[Pruned]) -> str:
    """A row for each snapshot."""
    from analyzer.cli.answers import csv_text

    rows = [
        {
            "account": entry.key.account,
            "region": entry.key.region,
            **_taken(taken),
            "kept": taken in entry.kept,
        }
        for entry in done
        for taken in sorted((*entry.kept, *entry.pruned), key=lambda taken: taken.number)
    ]
    if rows:
        return csv_text(rows)
    return "account,region,snapshot,taken_at,status,kept\n"


def _table(done: Sequence[Pruned], *, dry_run: bool, sizes: tuple[int, int] | None) -> str:
    from reports.text import visible

    would = "would go" if dry_run else "gone"
    lines = []
    for entry in done:
        name = f"{visible(entry.key.account)}/{visible(entry.key.region)}"
        lines.append(
            f"{name}: {len(entry.kept):,} of {len(entry.kept) + len(entry.pruned):,} snapshots stay; "
            f"{len(entry.pruned):,} {would}, {sum(entry.rows.values()):,} rows, "
            f"about {entry.freed_bytes / 1e6:,.1f} MB"
        )
        if dry_run:
            shown = map(_taken, entry.pruned)
            lines += [f"  snapshot {one['snapshot']} of {one['taken_at']}, {one['status']}" for one in shown]
    if sizes is not None:
        lines.append(f"the database takes {sizes[1] / 1e6:,.1f} MB now; before, {sizes[0] / 1e6:,.1f} MB")
    return "\n".join(lines or ["the database holds no snapshot"])


def _taken(taken: Taken) -> dict[str, object]:
    from analyzer.model.units import from_ms, iso

    return {
        "snapshot": taken.number,
        "taken_at": iso(from_ms(taken.taken_at_ms)),
        "status": str(taken.status),
    }
