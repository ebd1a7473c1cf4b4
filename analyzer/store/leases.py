"""Who may write a registry, and who runs the service: one at a time, on however many hosts.

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
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    Update,
    bindparam,
    cast,
    extract,
    func,
    select,
    update,
)

from analyzer.errors import LeaseError, RunError
from analyzer.model.records import RegistryKey
from analyzer.model.units import from_ms, iso
from analyzer.store import tables
from analyzer.store.bulk import insert_rows
from analyzer.store.engine import Database

#: A lease without a heartbeat for this long is anybody's.
STALE_AFTER_MS = 5 * 60_000
_HEARTBEAT_SECONDS = 30.0

#: Those of the service: others stand by for it, and each works for seconds at its start and end alone.
SERVICE_STALE_AFTER_MS = 60_000
_SERVICE_HEARTBEAT_SECONDS = 10.0
_SERVICE = "nightly"

#: What this process holds. Process numbers come back, the same in every life of a container: a
#: lease of our own number that is not among these was a former process's.
_held: set[tuple[RegistryKey | str, int]] = set()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one registry."""

    key: RegistryKey
    registry_id: int
    fence: int
    lost: threading.Event

    def check(self, connection: Connection) -> None:
        """Raise LeaseError unless the lease is still held, as the transaction at hand sees it."""
        _check(connection, _row_of(self.key, self.registry_id), self.fence)


@dataclass(frozen=True, slots=True)
class ServiceLease:
    """The right to run the scheduled service."""

    fence: int
    host: str
    #: The last sign of life of whoever held it before; None if nobody did.
    before_ms: int | None
    lost: threading.Event = field(default_factory=threading.Event)
    name: str = _SERVICE

    def check(self, connection: Connection) -> None:
        """Raise LeaseError unless the lease is still held, as the transaction at hand sees it."""
        _check(connection, _service_row(), self.fence)


@dataclass(frozen=True, slots=True)
class _Row:
    """The row that is a lease, and how to speak of it."""

    table: Table
    column: str
    value: int | str
    #: As `_held` has it.
    key: RegistryKey | str
    name: str
    #: What its holder does with it, and is.
    doing: str
    role: str
    stale_after_ms: int
    heartbeat_seconds: float

    def statements(self, database: Database) -> _Statements:
        """What is asked of it and written to it, by the clock that counts."""
        return _statements(self.table, self.column, is_sqlite=database.is_sqlite)


def _row_of(key: RegistryKey, registry_id: int) -> _Row:
    return _Row(
        tables.lease,
        "registry_id",
        registry_id,
        key,
        f"{key.account}/{key.region}",
        "collected",
        "collector",
        STALE_AFTER_MS,
        _HEARTBEAT_SECONDS,
    )


def _service_row() -> _Row:
    return _Row(
        tables.service,
        "name",
        _SERVICE,
        _SERVICE,
        "the service",
        "run",
        "server",
        SERVICE_STALE_AFTER_MS,
        _SERVICE_HEARTBEAT_SECONDS,
    )


def _check(connection: Connection, row: _Row, fence: int) -> None:
    found = connection.execute(_check_query(row.table, row.column), {"mine": row.value}).one_or_none()
    if found is None or found.fence != fence or found.holder is None:
        raise LeaseError(f"lost the lease on {row.name}: another {row.role} took over; nothing was written")


def registry_id(database: Database, key: RegistryKey) -> int:
    """Id of the registry, which is stored if it is new."""
    values = asdict(key)
    with database.read() as connection:
        found = connection.execute(_REGISTRY, values).scalar_one_or_none()
    if found is None:
        with database.write() as connection:
            insert_rows(connection, tables.registry, [values], only_new=True)
            found = connection.execute(_REGISTRY, values).scalar_one()
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
    row = _row_of(key, number)
    fence, _ = _acquire(database, row, holder, host, now_ms)
    lease = Lease(key, number, fence, threading.Event())
    with _kept_alive(database, row, fence, lease.lost, now_ms):
        yield lease


@contextmanager
def hold_service(
    database: Database, holder: str, host: str, now_ms: Callable[[], int]
) -> Iterator[ServiceLease]:
    """The lease on the service, as `hold_lease` has them; raises LeaseError while another server holds it."""
    row = _service_row()
    fence, before_ms = _acquire(database, row, holder, host, now_ms)
    lease = ServiceLease(fence, host, before_ms)
    with _kept_alive(database, row, fence, lease.lost, now_ms):
        yield lease


@contextmanager
def _kept_alive(
    database: Database, row: _Row, fence: int, lost: threading.Event, now_ms: Callable[[], int]
) -> Iterator[None]:
    """Keeps the lease until the block ends, and then lets go of it."""
    stop = threading.Event()
    beat = threading.Thread(
        target=_keep_alive,
        args=(database, row, fence, lost, stop, now_ms),
        name=f"lease {row.name}",
        daemon=True,
    )
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        try:
            # Until when the service did its work is asked for later.
            moment = _moment(database, now_ms) if row.table is tables.service else {}
            _update(database, row, fence, row.statements(database).release, **moment)
        finally:
            _held.discard((row.key, fence))


def _acquire(
    database: Database, row: _Row, holder: str, host: str, now_ms: Callable[[], int]
) -> tuple[int, int | None]:
    """The fence of the new holder, and the last sign of life of the one before."""
    statements = row.statements(database)
    with database.write() as connection:
        insert_rows(connection, row.table, [{row.column: row.value, "fence": 0}], only_new=True)
        asked = {"mine": row.value, **_moment(database, now_ms)}
        found = connection.execute(statements.look, asked).one()
        if (
            found.holder is not None
            and not _is_silent(found.now_ms, found.heartbeat_at_ms, row.stale_after_ms)
            and not (found.host == host and _is_dead(found.holder, row.key, found.fence))
        ):
            since, seen = (iso(from_ms(at)) for at in (found.acquired_at_ms, found.heartbeat_at_ms))
            raise LeaseError(
                f"{row.name} is being {row.doing} by {found.holder} on {found.host} since {since} "
                f"(last sign of life {seen})"
            )
        fence = int(found.fence) + 1
        connection.execute(statements.take, {**asked, "fence": fence, "holder": holder, "host": host})
        # Before anybody else can see the row. Should the commit fail, this is a number never used.
        _held.add((row.key, fence))
    return fence, found.heartbeat_at_ms


# Every registry needs these: putting a statement together takes longer than carrying it out.
_REGISTRY = select(tables.registry.c.id).where(
    *(tables.registry.c[name] == bindparam(name) for name in ("partition", "account", "region"))
)


class _Statements(NamedTuple):
    """``mine`` is the row's key and ``held`` its fence; ``now_ms``, if any, is as `_moment` gives it."""

    look: Select[Any]
    #: Sets fence, holder and host.
    take: Update
    beat: Update
    release: Update


@lru_cache(maxsize=4)
def _statements(table: Table, column: str, *, is_sqlite: bool) -> _Statements:
    mine, now = table.c[column] == bindparam("mine"), _now(is_sqlite=is_sqlite)
    taken: dict[str, Any] = {name: bindparam(name) for name in ("fence", "holder", "host")}
    change = update(table).where(mine, table.c.fence == bindparam("held"))
    last = now if table is tables.service else None
    return _Statements(
        select(table, now.label("now_ms")).where(mine).with_for_update(of=table),
        update(table).where(mine).values(**taken, acquired_at_ms=now, heartbeat_at_ms=now),
        change.values(heartbeat_at_ms=now),
        change.values(holder=None, host=None, heartbeat_at_ms=last),
    )


@lru_cache(maxsize=2)
def _check_query(table: Table, column: str) -> Select[Any]:
    # FOR UPDATE holds off a take-over until the transaction ends; SQLite has one writer anyway.
    mine = table.c[column] == bindparam("mine")
    return select(table.c.fence, table.c.holder).where(mine).with_for_update()


def _now(*, is_sqlite: bool) -> ColumnElement[int]:
    """The moment by the clock that counts, in milliseconds since 1970 UTC."""
    return bindparam("now_ms", type_=BigInteger) if is_sqlite else _server_ms()


def _moment(database: Database, now_ms: Callable[[], int]) -> dict[str, int]:
    """The parameter of `_now`."""
    return {"now_ms": now_ms()} if database.is_sqlite else {}


def _server_ms() -> ColumnElement[int]:
    # Not that of the transaction's start, which may have waited for a lock since.
    return cast(func.floor(extract("epoch", func.clock_timestamp()) * 1000), BigInteger)


def _is_silent(now_ms: int, heartbeat_at_ms: int, stale_after_ms: int = STALE_AFTER_MS) -> bool:
    """Whether nothing was heard for so long that the lease is anybody's."""
    # A heartbeat far in the future is older than the moment at which the clock was set back.
    return abs(now_ms - heartbeat_at_ms) >= stale_after_ms


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
        select(lease, registry, _now(is_sqlite=database.is_sqlite).label("now_ms"))
        .join(registry, registry.c.id == lease.c.registry_id)
        .where(lease.c.holder.is_not(None))
    )
    found = []
    for row in connection.execute(query, _moment(database, lambda: now_ms)):
        key = RegistryKey(row.partition, row.account, row.region)
        is_gone = row.host == host and _is_dead(row.holder, key, row.fence)
        is_alive = not (is_gone or _is_silent(row.now_ms, row.heartbeat_at_ms))
        found.append(HeldLease(key, row.holder, row.host, row.acquired_at_ms, row.heartbeat_at_ms, is_alive))
    return sorted(found, key=lambda entry: (entry.key.account, entry.key.region))


def _is_dead(holder: str, key: RegistryKey | str, fence: int) -> bool:
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


def _keep_alive(
    database: Database,
    row: _Row,
    fence: int,
    lost: threading.Event,
    stop: threading.Event,
    now_ms: Callable[[], int],
) -> None:
    while not stop.wait(row.heartbeat_seconds):
        try:
            held = _update(database, row, fence, row.statements(database).beat, **_moment(database, now_ms))
        except RunError:
            # A database that is busy or away for a moment costs one heartbeat; what counts is the
            # check at commit.
            continue
        if not held:
            lost.set()
            return


def _update(database: Database, row: _Row, fence: int, statement: Update, **moment: int) -> bool:
    asked = {"mine": row.value, "held": fence, **moment}
    with database.write() as connection:
        return connection.execute(statement, asked).rowcount == 1
