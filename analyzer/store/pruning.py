"""Taking snapshots out of the store without changing what any that stays shows.

A registry's snapshots share their rows: each row holds for an interval of them. What goes is every
row whose interval holds no kept snapshot, with these exceptions, since questions about a kept
snapshot reach further back than itself:

* the last complete read of a repository before a kept snapshot, and the last there is, with when each
  pruned snapshot was taken (``pruned_snapshot``): how old is what a snapshot shows of a repository;
* the registry's settings, few as they are: was blob mounting ever on;
* gaps of a run as long as any registry keeps the run's snapshot.

Digests, names, manifests and the sizes of blobs stay for good. A manifest is read once, ever, and an
archived or deleted image's cannot be read again; and any collector on any host may remember the
number of a digest that it is about to refer to.

One registry is pruned in one transaction, under its lease, so that nobody adds to it meanwhile and a
kill at any moment leaves it as it was or as it should be.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    LargeBinary,
    Table,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
)

from analyzer.model.records import ReadStatus, RegistryKey
from analyzer.retention import Retention, Taken, kept_snapshots
from analyzer.store import tables
from analyzer.store.bulk import chunks, insert_rows
from analyzer.store.engine import Database
from analyzer.store.leases import Lease
from analyzer.store.state import during

_BY_REPOSITORY = (
    tables.artifact,
    tables.artifact_pull,
    tables.artifact_scan,
    tables.tag,
    tables.repository_setting,
    tables.repository_fact,
)
_BY_REGISTRY = (tables.registry_fact, tables.workload_use, tables.workload_read)
#: Beside its own size, what SQLite and PostgreSQL spend on finding a row in its page.
_ROW_BYTES = 4


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning takes out of one registry, or would."""

    key: RegistryKey
    kept: tuple[Taken, ...]
    #: In the order they were taken, as ``kept``.
    pruned: tuple[Taken, ...]
    #: Rows by table, none left out.
    rows: Mapping[str, int]
    #: About what those rows take in the database, their indexes not counted.
    freed_bytes: int


def preview_pruning(database: Database, retention: Retention, now_ms: int) -> list[Pruned]:
    """What pruning would take out of each registry, ordered by account, region and partition."""
    with database.read() as connection:
        return [_plan(connection, number, key, retention, now_ms) for number, key in _registries(connection)]


def registry_keys(database: Database) -> list[RegistryKey]:
    """Every registry with a snapshot, ordered by account, region and partition."""
    with database.read() as connection:
        return [key for _, key in _registries(connection)]


def prune_registry(database: Database, lease: Lease, retention: Retention, now_ms: int) -> Pruned:
    """Take out of the registry of ``lease`` what ``retention`` does not keep at ``now_ms``.

    Raises LeaseError, having changed nothing, when the lease was lost.
    """
    with database.write() as connection:
        lease.check(connection)
        plan = _plan(connection, lease.registry_id, lease.key, retention, now_ms)
        if plan.pruned:
            _prune(connection, lease.registry_id, plan)
    return plan


def reclaim_space(database: Database) -> tuple[int, int]:
    """Have the database give back what is not used (VACUUM); its size in bytes before and after.

    SQLite writes the whole file anew and needs that much room on the disk meanwhile; PostgreSQL makes
    the room usable for new rows, and gives back to the system only what is at a table's end.
    """
    with database.outside_transactions() as cursor:
        if not database.is_sqlite:
            before = _size(database)
            cursor.execute("VACUUM (ANALYZE)")
            return before, _size(database)
        # What the log holds is part of the file first.
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = _size(database)
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return before, _size(database)


def _size(database: Database) -> int:
    if database.is_sqlite:
        file = Path(database.engine.url.database or "")
        files = (file, file.with_name(f"{file.name}-wal"))
        return sum(part.stat().st_size for part in files if part.exists())
    with database.read() as connection:
        size = select(func.pg_database_size(func.current_database()))
        return int(connection.execute(size).scalar_one())


def _registries(connection: Connection) -> list[tuple[int, RegistryKey]]:
    registry = tables.registry
    query = select(registry).where(registry.c.id.in_(select(tables.snapshot.c.registry_id)))
    found = [
        (row.id, RegistryKey(row.partition, row.account, row.region)) for row in connection.execute(query)
    ]
    # Sorted here: PostgreSQL's order of texts is a matter of its locale.
    return sorted(found, key=lambda entry: (entry[1].account, entry[1].region, entry[1].partition))


def _plan(
    connection: Connection, registry_id: int, key: RegistryKey, retention: Retention, now_ms: int
) -> Pruned:
    table = tables.snapshot
    query = select(table.c.number, table.c.taken_at_ms, table.c.status)
    mine = query.where(table.c.registry_id == registry_id).order_by(table.c.number)
    taken = [
        Taken(number, taken_at_ms, ReadStatus(status))
        for number, taken_at_ms, status in connection.execute(mine)
    ]
    numbers = kept_snapshots(retention, taken, now_ms)
    kept = tuple(entry for entry in taken if entry.number in numbers)
    pruned = tuple(entry for entry in taken if entry.number not in numbers)
    rows, freed = {}, 0
    if pruned:
        for doomed in (*_BY_REPOSITORY, *_BY_REGISTRY):
            rows[doomed.name], size = _count_intervals(connection, doomed, registry_id, sorted(numbers))
            freed += size
        for doomed, condition in _doomed_repositories(registry_id, sorted(numbers)):
            count = select(func.count(), _sum_of_bytes(connection, doomed)).select_from(doomed)
            rows[doomed.name], size = connection.execute(count.where(condition)).one()
            freed += size
    return Pruned(key, kept, pruned, rows, freed)


def _count_intervals(
    connection: Connection, table: Table, registry_id: int, kept: Sequence[int]
) -> tuple[int, int]:
    """Rows of ``table`` that hold none of ``kept`` (ascending), and their bytes."""
    bounds = (table.c.first_snapshot, table.c.gone_snapshot)
    ended = (_of_registry(table, registry_id), table.c.gone_snapshot.is_not(None))
    # Few different intervals for many rows, which the database need not hold against the list then.
    query = select(*bounds, func.count(), _sum_of_bytes(connection, table)).where(*ended).group_by(*bounds)
    rows = freed = 0
    for first, gone, count, size in connection.execute(query):
        if bisect_left(kept, first) == bisect_left(kept, gone):
            rows += count
            freed += size
    return rows, freed


def _prune(connection: Connection, registry_id: int, plan: Pruned) -> None:
    snapshot, resumed = tables.snapshot, tables.resumed_snapshot
    numbers = [entry.number for entry in plan.pruned]
    runs = _runs_of(connection, registry_id, numbers)
    insert_rows(
        connection,
        tables.pruned_snapshot,
        [
            {"registry_id": registry_id, "number": entry.number, "taken_at_ms": entry.taken_at_ms}
            for entry in plan.pruned
        ],
    )
    for chunk in chunks(numbers):
        for table in (resumed, snapshot):
            connection.execute(
                delete(table).where(table.c.registry_id == registry_id, table.c.number.in_(chunk))
            )
    # What is in the table of snapshots now is what is kept.
    for table in (*_BY_REPOSITORY, *_BY_REGISTRY):
        mine = _of_registry(table, registry_id)
        connection.execute(delete(table).where(mine, _unseen(table, registry_id, None)))
    for table, condition in _doomed_repositories(registry_id, None):
        connection.execute(delete(table).where(condition))
    _prune_gaps(connection, registry_id, runs)


def _runs_of(connection: Connection, registry_id: int, numbers: Sequence[int]) -> list[int]:
    table = tables.snapshot
    found: list[int] = []
    for chunk in chunks(numbers):
        query = select(table.c.run_id).where(table.c.registry_id == registry_id, table.c.number.in_(chunk))
        found += connection.execute(query).scalars()
    return sorted(found)


def _prune_gaps(connection: Connection, registry_id: int, runs: Sequence[int]) -> None:
    """Drop gaps of runs that ended and of which no snapshot is left, in any registry.

    Those of ``runs``, whose snapshots of this registry went, and of earlier ones that left none here.
    """
    gap, run = tables.gap, tables.run
    unused = (
        exists().where(run.c.id == gap.c.run_id, run.c.status != "running"),
        ~exists().where(tables.snapshot.c.run_id == gap.c.run_id),
        ~exists().where(tables.resumed_snapshot.c.run_id == gap.c.run_id),
    )
    connection.execute(delete(gap).where(gap.c.registry_id == registry_id, gap.c.run_id <= runs[-1], *unused))
    for chunk in chunks(runs):
        connection.execute(delete(gap).where(gap.c.run_id.in_(chunk), *unused))


def _of_registry(table: Table, registry_id: int) -> ColumnElement[bool]:
    if "registry_id" in table.c:
        return table.c.registry_id == registry_id
    repository = tables.repository
    mine = select(repository.c.id).where(repository.c.registry_id == registry_id)
    return table.c.repository_id.in_(mine)


def _doomed_repositories(
    registry_id: int, kept: Sequence[int] | None
) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Of reads of repositories and then of repositories, the rows that no snapshot of ``kept`` needs.

    None stands for every snapshot that is left.
    """
    read, repository = tables.repository_read, tables.repository
    yield read, and_(_of_registry(read, registry_id), _is_needless(read, registry_id, kept))
    # Everything else of a repository is part of a snapshot only as long as a read of it is.
    yield (
        repository,
        and_(repository.c.registry_id == registry_id, ~_is_seen(repository.c.id, registry_id, kept)),
    )


def _is_seen(
    repository_id: ColumnElement[int], registry_id: int, kept: Sequence[int] | None
) -> ColumnElement[bool]:
    """A kept snapshot has the repository."""
    other = tables.repository_read.alias()
    return _any(other, other.c.repository_id == repository_id, ~_unseen(other, registry_id, kept))


def _is_needless(read: FromClause, registry_id: int, kept: Sequence[int] | None) -> ColumnElement[bool]:
    """No kept snapshot holds the read, nor does it say when one's repository was last read whole.

    That is the last complete read up to a kept snapshot with the repository, and the last there is:
    the repository may be gone, come back and be read in part.
    """
    snapshot = tables.snapshot.alias()
    present, later = tables.repository_read.alias(), tables.repository_read.alias()
    complete = str(ReadStatus.COMPLETE)
    has_repository = _any(
        present, present.c.repository_id == read.c.repository_id, during(present, snapshot.c.number)
    )
    read_whole_later = (
        later.c.repository_id == read.c.repository_id,
        later.c.status == complete,
        later.c.first_snapshot > read.c.first_snapshot,
    )
    is_last_up_to_one = _any(
        snapshot,
        *_kept(snapshot, registry_id, kept),
        snapshot.c.number >= read.c.gone_snapshot,
        has_repository,
        ~_any(later, *read_whole_later, later.c.first_snapshot <= snapshot.c.number),
    )
    is_needed = and_(
        read.c.status == complete,
        or_(is_last_up_to_one, ~_any(later, *read_whole_later)),
        _is_seen(read.c.repository_id, registry_id, kept),
    )
    return and_(_unseen(read, registry_id, kept), ~is_needed)


def _unseen(table: FromClause, registry_id: int, kept: Sequence[int] | None) -> ColumnElement[bool]:
    """The interval has ended and holds none of ``kept``; an open one holds the newest snapshot."""
    snapshot = tables.snapshot.alias()
    held = _any(
        snapshot,
        *_kept(snapshot, registry_id, kept),
        snapshot.c.number >= table.c.first_snapshot,
        snapshot.c.number < table.c.gone_snapshot,
    )
    return and_(table.c.gone_snapshot.is_not(None), ~held)


def _any(table: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """A row of ``table`` meets ``conditions``; whatever else they name belongs to the queries around."""
    # Left to itself, SQLAlchemy takes the tables of the query next around and no further one.
    return exists().select_from(table).where(*conditions).correlate_except(table)


def _kept(snapshot: FromClause, registry_id: int, kept: Sequence[int] | None) -> list[ColumnElement[bool]]:
    mine = [snapshot.c.registry_id == registry_id]
    return mine if kept is None else [*mine, snapshot.c.number.in_(kept)]


def _sum_of_bytes(connection: Connection, table: Table) -> ColumnElement[int]:
    """About what rows of ``table`` take; the database's own word on it where it has one."""
    if connection.dialect.name == "postgresql":
        row = func.pg_column_size(table.table_valued()) + _ROW_BYTES
    else:
        row = sum((_stored_bytes(column) for column in table.columns), start=literal(_ROW_BYTES))
    return func.coalesce(cast(func.sum(row), BigInteger), 0)


def _stored_bytes(column: Column[Any]) -> ColumnElement[int]:
    """As SQLite's file format says ("Record Format"): a byte for the type, and the value."""
    if isinstance(column.type, Integer):
        size = func.abs(column)
        limits = ((2, 0), (2**7, 1), (2**15, 2), (2**23, 3), (2**31, 4), (2**47, 6))
        return 1 + case((column.is_(None), 0), *((size < limit, held) for limit, held in limits), else_=8)
    return 1 + func.coalesce(func.length(cast(column, LargeBinary)), 0)
