"""What `doctor` finds out about the database: it reads, and leaves no trace."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection, func, select, text

from analyzer.errors import DemurrageError, InputError
from analyzer.model.checks import Check, CheckStatus
from analyzer.model.records import ReadStatus
from analyzer.model.units import from_ms, iso
from analyzer.store import tables
from analyzer.store.engine import MOUNTS, ChangedError, Database
from analyzer.store.ip_ranges import ip_ranges_date
from analyzer.store.leases import STALE_AFTER_MS, HeldLease, held_leases
from analyzer.store.schema import SchemaStatus, schema_error, schema_status

_OK, _WARNING, _FAILED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED

#: How often the contents are looked at while somebody writes them just then.
_LOOKS = 5
#: A night may start late and take long; a snapshot that is older was missed.
_NIGHT_MS = 36 * 3_600_000
_WEEK_MS = 7 * 24 * 3_600_000
#: AWS's ip-ranges that are older miss addresses that are in use.
_QUARTER_MS = 91 * 24 * 3_600_000
_MIB = 2**20
#: Room that a night takes at least: its log, the report, temporary files.
_ROOM_BYTES = 64 * _MIB
#: What a first night is taken to need while nobody has seen one.
_FIRST_NIGHT_BYTES = 512 * _MIB
#: With room for fewer nights somebody should act before it is too late.
_NIGHTS_AHEAD = 30


def check_database(
    url: str, now_ms: int, *, folder: Path | None = None, mounts: Path = MOUNTS
) -> list[Check]:
    """Everything about the database at ``url``, an SQLAlchemy URL, at ``now_ms``.

    ``folder`` is the one of the file where the program itself makes it, should it not be there;
    ``mounts`` is as for `Database`.
    """
    if folder is not None and not folder.exists():
        return _to_be_made(folder)
    try:
        database = Database(url, mounts=mounts)
    except InputError as error:
        return [_blocking("database.url", str(error), "name another database with --db")]
    try:
        return list(_checks(database, now_ms))
    except DemurrageError as error:
        return [_blocking("database.reachable", str(error), "mend it, or name another database with --db")]
    finally:
        database.engine.dispose()


def _checks(database: Database, now_ms: int) -> Iterator[Check]:
    label = database.label
    if database.is_missing:
        yield Check(
            id="database.reachable",
            status=_OK,
            found=f"there is no {label} yet; run and collect would create it",
        )
        yield from _writable_file(database.file)
        yield _disk(database.file, None)
        return
    status = schema_status(database)
    yield Check(id="database.reachable", status=_OK, found=label)
    if database.is_sqlite:
        yield from _writable_file(database.file)
    else:
        yield _writable_server(database)
    yield _schema(database, status)
    if not status.is_current:
        if database.is_sqlite:
            yield _disk(database.file, None)
        return
    yield from _contents(database, now_ms)


def _contents(database: Database, now_ms: int) -> list[Check]:
    for _ in range(_LOOKS - 1):
        try:
            return _contents_once(database, now_ms)
        except ChangedError:
            continue
    return _contents_once(database, now_ms)


def _contents_once(database: Database, now_ms: int) -> list[Check]:
    with database.read() as connection:
        held = held_leases(database, connection, socket.gethostname(), now_ms)
        return [
            _disk(database.file, _nightly_share(connection, now_ms))
            if database.is_sqlite
            else _size(connection),
            _leases(held),
            _runs(connection, held, now_ms),
            *_snapshots(connection, now_ms),
            *_ip_ranges(connection, now_ms),
        ]


def _to_be_made(folder: Path) -> list[Check]:
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        found = f"there is no {folder}, and this user may not make it in {place}"
        return [
            _blocking("database.writable", found, "give write access to it, or name a database with --db")
        ]
    return [
        Check(
            id="database.reachable",
            status=_OK,
            found=f"there is no database yet; run and collect would create one in {folder}",
        ),
        _disk(place / folder.name, None),
    ]


def _blocking(name: str, found: str, mend: str) -> Check:
    return Check(id=name, status=_FAILED, found=found, mend=mend, blocks_run=True)


def _writable_file(file: Path) -> Iterator[Check]:
    """Whether this user may write the file, and beside it the log that SQLite keeps there."""
    refused = [
        str(place)
        for place, rights in ((file, os.W_OK), (file.parent, os.W_OK | os.X_OK))
        if place.exists() and not os.access(place, rights)
    ]
    if refused:
        yield _blocking(
            "database.writable",
            f"this user may not write {' and '.join(refused)}",
            "give write access to the file and its folder (SQLite keeps its log beside the file)",
        )
    else:
        what = f"{file} and its folder" if file.exists() else f"the folder {file.parent}"
        mode = f"; {_journal(file)}" if file.exists() else ""
        yield Check(id="database.writable", status=_OK, found=f"this user may write {what}{mode}")


def _journal(file: Path) -> str:
    """How the file keeps its log, from its header (bytes 18 and 19, SQLite's file format, 1.3.3)."""
    with file.open("rb") as opened:
        header = opened.read(20)
    if header[18:20] == b"\x02\x02":
        return "write-ahead log"
    return "rollback journal, which the next run turns into a write-ahead log"


def _writable_server(database: Database) -> Check:
    with database.read() as connection:
        row = connection.execute(
            text(
                "SELECT pg_is_in_recovery() AS replica,"
                " current_setting('default_transaction_read_only') AS read_only,"
                " current_schema() AS schema,"
                " has_schema_privilege(current_schema(), 'CREATE') AS may_create,"
                " to_regclass('snapshot') IS NOT NULL AS is_set_up,"
                " CASE WHEN to_regclass('snapshot') IS NULL THEN NULL ELSE"
                " has_table_privilege('snapshot', 'INSERT') END AS may_insert"
            )
        ).one()
    name = "database.writable"
    if row.replica:
        return _blocking(name, "the server is a replica, which takes no writes", "name the primary with --db")
    if row.read_only == "on":
        return _blocking(
            name,
            "this user's transactions are read-only (default_transaction_read_only)",
            "switch that off for the user that collects",
        )
    if not row.is_set_up and not row.may_create:
        return _blocking(
            name,
            "this user may not create tables in this schema",
            f"GRANT CREATE ON SCHEMA {row.schema or 'public'} to it, for the first run alone",
        )
    if row.is_set_up and not row.may_insert:
        return _blocking(
            name,
            "this user may not write the tables",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA to it",
        )
    return Check(id=name, status=_OK, found="this user may write")


def _schema(database: Database, status: SchemaStatus) -> Check:
    name = "database.schema"
    if status.empty:
        return Check(
            id=name, status=_OK, found=f"empty; run and collect would set up schema {status.expected}"
        )
    if status.is_current:
        return Check(id=name, status=_OK, found=f"schema {status.current}, up to date")
    is_older = status.current is not None and status.known
    return _blocking(
        name,
        str(schema_error(database, status)),
        "run: demurrage db upgrade" if is_older else "name another database with --db",
    )


def _nightly_share(connection: Connection, now_ms: int) -> float | None:
    """Which part of what is stored a night adds, by the week's; None while there was but one night.

    Counted in presences of images, each with its manifest beside it: they are most of the file.
    """
    artifact, snapshot, repository = tables.artifact, tables.snapshot, tables.repository
    nights = connection.execute(
        select(func.count(func.distinct(snapshot.c.run_id))).where(
            snapshot.c.taken_at_ms >= now_ms - _WEEK_MS
        )
    ).scalar_one()
    total = connection.execute(select(func.count()).select_from(artifact)).scalar_one()
    later = (
        select(func.count())
        .select_from(artifact)
        .join(repository, repository.c.id == artifact.c.repository_id)
        .join(
            snapshot,
            (snapshot.c.registry_id == repository.c.registry_id)
            & (snapshot.c.number == artifact.c.first_snapshot),
        )
        # A registry's first night is no measure of the others.
        .where(snapshot.c.number > 1, snapshot.c.taken_at_ms >= now_ms - _WEEK_MS)
    )
    if nights < 2 or not total:
        return None
    return float(connection.execute(later).scalar_one()) / int(total) / int(nights)


def _disk(file: Path, share: float | None) -> Check:
    """Whether the disk has room for the nights to come, by what the last ones added."""
    name, free = "database.disk", shutil.disk_usage(file.parent).free
    size = file.stat().st_size if file.is_file() else 0
    if share is not None:
        night = round(size * share)
        basis = f"a night adds about {_mib(night)}"
    else:
        night = max(size, _FIRST_NIGHT_BYTES)
        basis = "what a night adds is not known yet"
    # What a night writes is in the log first, and in the file afterwards.
    needed = 2 * night + _ROOM_BYTES
    comfortable = needed if share is None else max(needed, _NIGHTS_AHEAD * night)
    found = f"{_mib(free)} free for a database of {_mib(size)}; {basis}"
    mend = f"make room in {file.parent}, or move the database; at least {_mib(comfortable)}"
    if free < _ROOM_BYTES:
        return _blocking(name, found, mend)
    if free < comfortable:
        return Check(id=name, status=_WARNING, found=found, mend=mend)
    return Check(id=name, status=_OK, found=found)


def _mib(size: float) -> str:
    return f"{size / _MIB:,.0f} MiB"


def _size(connection: Connection) -> Check:
    size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    return Check(
        id="database.disk",
        status=CheckStatus.SKIPPED,
        found=f"the database has {_mib(size)}; the server's disk cannot be seen from here",
    )


def _leases(held: Sequence[HeldLease]) -> Check:
    name = "database.leases"
    stale = [lease for lease in held if not lease.is_alive]
    if stale:
        return Check(
            id=name,
            status=_WARNING,
            found=f"{len(stale)} left behind by a collector that was cut short: {_holder(stale[0])}",
            mend="nothing: the next run takes over; find out what ended that one",
        )
    if held:
        return Check(id=name, status=_OK, found=f"{len(held)} held by a run going on: {_holder(held[0])}")
    return Check(id=name, status=_OK, found="none is held")


def _holder(lease: HeldLease) -> str:
    return (
        f"{lease.key.account}/{lease.key.region} by {lease.holder} on {lease.host} since"
        f" {iso(from_ms(lease.acquired_at_ms))} (last sign of life {iso(from_ms(lease.heartbeat_at_ms))})"
    )


def _runs(connection: Connection, held: Sequence[HeldLease], now_ms: int) -> Check:
    """How the last run ended; one that did not is going on only while somebody holds a lease."""
    run = tables.run
    last = connection.execute(select(run).order_by(run.c.id.desc()).limit(1)).one_or_none()
    name = "database.runs"
    if last is None:
        return Check(id=name, status=CheckStatus.SKIPPED, found="no run yet")
    began = f"run {last.id} of {iso(from_ms(last.started_at_ms))} on {last.host}"
    if last.status == "running":
        is_young = now_ms - last.started_at_ms < STALE_AFTER_MS
        if is_young or any(lease.is_alive for lease in held):
            return Check(id=name, status=_OK, found=f"{began} is going on")
        return Check(
            id=name,
            status=_WARNING,
            found=f"{began} was cut short",
            mend="the next run goes on from what it left; find out what ended it (memory, a time limit?)",
        )
    if last.status == "failed":
        return Check(
            id=name, status=_WARNING, found=f"{began} failed", mend="see what it said on stderr; run it again"
        )
    return Check(id=name, status=_OK, found=f"{began}: {last.status}")


def _snapshots(connection: Connection, now_ms: int) -> Iterator[Check]:
    """One check per registry whose last complete snapshot is not of last night, or one for all."""
    name = "database.snapshots"
    snapshot, registry = tables.snapshot, tables.registry
    complete = (
        select(snapshot.c.registry_id, func.max(snapshot.c.taken_at_ms).label("taken_at_ms"))
        .where(snapshot.c.status == str(ReadStatus.COMPLETE))
        .group_by(snapshot.c.registry_id)
        .subquery()
    )
    query = (
        select(registry.c.account, registry.c.region, complete.c.taken_at_ms)
        .outerjoin(complete, complete.c.registry_id == registry.c.id)
        .order_by(registry.c.account, registry.c.region)
    )
    rows = connection.execute(query).all()
    fresh = 0
    for row in rows:
        place = f"{row.account}/{row.region}"
        if row.taken_at_ms is None:
            yield Check(
                id=name,
                subject=place,
                status=_WARNING,
                found="no complete snapshot of it",
                mend="see what the last run says about it; or it is no longer collected",
            )
        elif now_ms - row.taken_at_ms > _NIGHT_MS:
            days = (now_ms - row.taken_at_ms) / 86_400_000
            yield Check(
                id=name,
                subject=place,
                status=_WARNING,
                found=f"the last complete snapshot is {days:,.1f} days old",
                mend="see why the nightly run did not take one; or it is no longer collected",
            )
        else:
            fresh += 1
    if fresh:
        what = "1 registry has" if fresh == 1 else f"{fresh:,} registries have"
        yield Check(id=name, status=_OK, found=f"{what} a complete snapshot of the last night")
    elif not rows:
        yield Check(id=name, status=CheckStatus.SKIPPED, found="no snapshot yet")


def _ip_ranges(connection: Connection, now_ms: int) -> Iterator[Check]:
    """How old AWS's ip-ranges are, where there are pulls whose addresses tell regions by them."""
    name, mend = "database.ip_ranges", "run: demurrage update"
    made_at_ms = ip_ranges_date(connection)
    if made_at_ms is None:
        if connection.execute(select(tables.pull_coverage.c.day).limit(1)).first() is not None:
            found = "none: the addresses of pulls tell no region"
            yield Check(id=name, status=CheckStatus.SKIPPED, found=found, mend=mend)
        return
    made_at = iso(from_ms(made_at_ms))
    if now_ms - made_at_ms > _QUARTER_MS:
        days = (now_ms - made_at_ms) // 86_400_000
        found = f"AWS's of {made_at} are {days:,} days old, and change every week"
        yield Check(id=name, status=_WARNING, found=found, mend=mend)
    else:
        yield Check(id=name, status=_OK, found=f"AWS's of {made_at}")
