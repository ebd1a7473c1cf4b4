"""Who may write a registry: one collector at a time, on however many hosts.

A lease is a row with holder, host and heartbeat, and a fencing number that grows with every
holder. The commit of a snapshot checks the number inside its own transaction, so that a holder
that was thought dead and comes back cannot write over its successor.

How long a holder has been silent is told by one clock, whichever host asks: on PostgreSQL the
server's, since those of several hosts may be hours apart; on SQLite that of the one host there is.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, extract, func, literal, select, update

from analyzer.errors import LeaseError, RunError
from analyzer.model.records import RegistryKey
from analyzer.model.units import from_ms, iso
from analyzer.store import tables
from analyzer.store.bulk import insert_rows
from analyzer.store.engine import Database

#: A lease without a heartbeat for this long is anybody's.
STALE_AFTER_MS = 5 * 60_000
_HEARTBEAT_SECONDS = 30.0

#: What this process holds. Process numbers come back, the same in every life of a container: a
#: lease of our own number that is not among these was a former process's.
_held: set[tuple[RegistryKey, int]] = set()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one registry."""

    key: RegistryKey
    registry_id: int
    fence: int
    lost: threading.Event

    def check(self, connection: Connection) -> None:
        """Raise LeaseError unless the lease is still held, as the transaction at hand sees it."""
        table = tables.lease
        # FOR UPDATE holds off a take-over until the transaction ends; SQLite has one writer anyway.
        query = select(table.c.fence, table.c.holder).where(table.c.registry_id == self.registry_id)
        row = connection.execute(query.with_for_update()).one_or_none()
        if row is None or row.fence != self.fence or row.holder is None:
            raise LeaseError(
                f"lost the lease on {self.key.account}/{self.key.region}: another collector took over; "
                "nothing was written"
            )


def registry_id(database: Database, key: RegistryKey) -> int:
    """Id of the registry, which is stored if it is new."""
    table = tables.registry
    values = {"partition": key.partition, "account": key.account, "region": key.region}
    query = select(table.c.id).filter_by(**values)
    with database.read() as connection:
        found = connection.execute(query).scalar_one_or_none()
    if found is None:
        with database.write() as connection:
            insert_rows(connection, table, [values], only_new=True)
            found = connection.execute(query).scalar_one()
    return int(found)


@contextmanager
def hold_lease(
    database: Database, key: RegistryKey, holder: str, host: str, now_ms: Callable[[], int]
) -> Iterator[Lease]:
    """The lease on ``key``, kept alive by a thread until the block ends.

    ``now_ms`` is this host's clock, which counts on SQLite alone.

    Raises LeaseError, saying who holds it since when and where, when another collector does.
    """
    number = registry_id(database, key)
    fence = _acquire(database, key, number, holder, host, now_ms)
    lease = Lease(key, number, fence, threading.Event())
    stop = threading.Event()
    beat = threading.Thread(
        target=_keep_alive, args=(database, lease, stop, now_ms), name=f"lease {key.region}", daemon=True
    )
    beat.start()
    try:
        yield lease
    finally:
        stop.set()
        beat.join()
        try:
            _update(database, lease, {"holder": None, "host": None, "heartbeat_at_ms": None})
        finally:
            _held.discard((key, fence))


def _acquire(
    database: Database, key: RegistryKey, number: int, holder: str, host: str, now_ms: Callable[[], int]
) -> int:
    table = tables.lease
    mine = table.c.registry_id == number
    with database.write() as connection:
        insert_rows(connection, table, [{"registry_id": number, "fence": 0}], only_new=True)
        now = _now(database, now_ms)
        query = select(table, now.label("now_ms")).where(mine).with_for_update(of=table)
        row = connection.execute(query).one()
        if (
            row.holder is not None
            and not _is_silent(row.now_ms, row.heartbeat_at_ms)
            and not (row.host == host and _is_dead(row.holder, key, row.fence))
        ):
            raise LeaseError(
                f"{key.account}/{key.region} is being collected by {row.holder} on {row.host} since "
                f"{iso(from_ms(row.acquired_at_ms))} (last sign of life {iso(from_ms(row.heartbeat_at_ms))})"
            )
        fence = int(row.fence) + 1
        values = {"fence": fence, "holder": holder, "host": host}
        connection.execute(
            update(table).where(mine).values(**values, acquired_at_ms=now, heartbeat_at_ms=now)
        )
        # Before anybody else can see the row. Should the commit fail, this is a number never used.
        _held.add((key, fence))
    return fence


def _now(database: Database, now_ms: Callable[[], int]) -> ColumnElement[int]:
    """The moment by the clock that counts, in milliseconds since 1970 UTC."""
    return literal(now_ms(), BigInteger) if database.is_sqlite else _server_ms()


def _server_ms() -> ColumnElement[int]:
    # Not that of the transaction's start, which may have waited for a lock since.
    return cast(func.floor(extract("epoch", func.clock_timestamp()) * 1000), BigInteger)


def _is_silent(now_ms: int, heartbeat_at_ms: int) -> bool:
    """Whether nothing was heard for so long that the lease is anybody's."""
    # A heartbeat far in the future is older than the moment at which the clock was set back.
    return abs(now_ms - heartbeat_at_ms) >= STALE_AFTER_MS


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease that is taken, and whether whoever took it is still there."""

    key: RegistryKey
    holder: str
    host: str
    acquired_at_ms: int
    heartbeat_at_ms: int
    is_alive: bool


def held_leases(database: Database, connection: Connection, host: str, now_ms: int) -> list[HeldLease]:
    """All that are taken, by account and region, seen from ``host``; ``now_ms`` is as for `hold_lease`."""
    lease, registry = tables.lease, tables.registry
    query = (
        select(lease, registry, _now(database, lambda: now_ms).label("now_ms"))
        .join(registry, registry.c.id == lease.c.registry_id)
        .where(lease.c.holder.is_not(None))
    )
    found = []
    for row in connection.execute(query):
        key = RegistryKey(row.partition, row.account, row.region)
        is_gone = row.host == host and _is_dead(row.holder, key, row.fence)
        is_alive = not (is_gone or _is_silent(row.now_ms, row.heartbeat_at_ms))
        found.append(HeldLease(key, row.holder, row.host, row.acquired_at_ms, row.heartbeat_at_ms, is_alive))
    return sorted(found, key=lambda entry: (entry.key.account, entry.key.region))


def _is_dead(holder: str, key: RegistryKey, fence: int) -> bool:
    """Whether ``holder`` was a process of this host ("pid 123") that is no more."""
    if holder == f"pid {os.getpid()}":
        return (key, fence) not in _held
    named = re.fullmatch(r"pid ([1-9][0-9]{0,8})", holder)
    # Elsewhere than on POSIX, signal 0 is not a question but an order to end.
    if named is None or os.name != "posix":
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _keep_alive(database: Database, lease: Lease, stop: threading.Event, now_ms: Callable[[], int]) -> None:
    while not stop.wait(_HEARTBEAT_SECONDS):
        try:
            held = _update(database, lease, {"heartbeat_at_ms": _now(database, now_ms)})
        except RunError:
            # A database that is busy or away for a moment costs one heartbeat; what counts is the
            # check at commit.
            continue
        if not held:
            lease.lost.set()
            return


def _update(database: Database, lease: Lease, values: dict[str, object]) -> bool:
    table = tables.lease
    mine = (table.c.registry_id == lease.registry_id) & (table.c.fence == lease.fence)
    with database.write() as connection:
        return connection.execute(update(table).where(mine).values(**values)).rowcount == 1
