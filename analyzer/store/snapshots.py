"""Which snapshots there are, what one of them held, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select

from analyzer.errors import InputError
from analyzer.model.records import Gap, ReadStatus, RegistryKey, RegistryRead, RepositoryRead
from analyzer.store import tables
from analyzer.store.state import during, load_repository, load_settings, media_types
from analyzer.store.workloads import workload_reads

_NO_SNAPSHOT = "the database holds no snapshot yet; run: demurrage collect"


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """One snapshot of one registry."""

    registry_id: int
    key: RegistryKey
    number: int
    #: The run that took it, or went on from it instead of taking another.
    run: int
    #: The run that took it.
    taken_by: int
    taken_at_ms: int
    status: ReadStatus
    #: No later snapshot of the registry exists: its state is the one in force.
    is_latest: bool


def last_run(connection: Connection) -> int:
    """Number of the last run that left a snapshot, or went on from one; InputError when there is none."""
    left = select(func.max(tables.snapshot.c.run_id))
    resumed = select(func.max(tables.resumed_snapshot.c.run_id))
    numbers = [connection.execute(query).scalar() for query in (left, resumed)]
    known = [int(number) for number in numbers if number is not None]
    if not known:
        raise InputError(_NO_SNAPSHOT)
    return max(known)


def runs_with_snapshots(connection: Connection) -> list[tuple[int, int]]:
    """Every run that left a snapshot or went on from one, ascending, and when its last one was taken."""
    of, resumed = tables.snapshot, tables.resumed_snapshot
    taken: dict[int, int] = {}
    for run, at_ms in connection.execute(
        select(of.c.run_id, func.max(of.c.taken_at_ms)).group_by(of.c.run_id)
    ):
        taken[run] = max(taken.get(run, at_ms), at_ms)
    gone_on = (
        select(resumed.c.run_id, func.max(of.c.taken_at_ms))
        .join(of, (of.c.registry_id == resumed.c.registry_id) & (of.c.number == resumed.c.number))
        .group_by(resumed.c.run_id)
    )
    for run, at_ms in connection.execute(gone_on):
        taken[run] = max(taken.get(run, at_ms), at_ms)
    return sorted(taken.items())


def run_at(connection: Connection, at_ms: int) -> int:
    """The last run whose snapshots were all taken by ``at_ms``, or the first if there is none.

    Raises InputError when no run left a snapshot.
    """
    of = tables.snapshot
    by_run = select(of.c.run_id, func.max(of.c.taken_at_ms).label("taken_at_ms")).group_by(of.c.run_id)
    runs = connection.execute(by_run).all()
    if not runs:
        raise InputError(_NO_SNAPSHOT)
    return int(max((run for run, taken in runs if taken <= at_ms), default=min(run for run, _ in runs)))


def run_before(connection: Connection, run: int) -> int | None:
    """The last run before ``run`` that left a snapshot; None without one."""
    of = tables.snapshot
    return connection.execute(select(func.max(of.c.run_id)).where(of.c.run_id < run)).scalar()


def newest_snapshots(connection: Connection) -> dict[RegistryKey, SnapshotRef]:
    """The last snapshot of every registry that has one."""
    snapshot, registry = tables.snapshot, tables.registry
    newest = (
        select(snapshot.c.registry_id, func.max(snapshot.c.number).label("number"))
        .group_by(snapshot.c.registry_id)
        .subquery()
    )
    query = (
        select(snapshot, registry)
        .join(
            newest, (newest.c.registry_id == snapshot.c.registry_id) & (newest.c.number == snapshot.c.number)
        )
        .join(registry, registry.c.id == snapshot.c.registry_id)
    )
    found = [
        SnapshotRef(
            row.registry_id,
            RegistryKey(row.partition, row.account, row.region),
            row.number,
            row.run_id,
            row.run_id,
            row.taken_at_ms,
            ReadStatus(row.status),
            is_latest=True,
        )
        for row in connection.execute(query)
    ]
    return {snapshot.key: snapshot for snapshot in found}


def snapshots_of_run(connection: Connection, run: int) -> list[SnapshotRef]:
    """Each registry's last snapshot up to ``run``, ordered by account, region and partition.

    A registry that the run did not read shows the snapshot it had before; one that has never
    answered is left out unless it was this run that asked (a region named by mistake must not stay
    for ever). Raises InputError when no run up to that number left a snapshot.
    """
    snapshot, registry, resumed = tables.snapshot, tables.registry, tables.resumed_snapshot
    chosen = (
        select(snapshot.c.registry_id, func.max(snapshot.c.number).label("number"))
        .where(snapshot.c.run_id <= run)
        .group_by(snapshot.c.registry_id)
        .subquery()
    )
    answered = select(snapshot.c.registry_id).where(
        snapshot.c.run_id <= run, snapshot.c.status != str(ReadStatus.REFUSED)
    )
    newest = (
        select(snapshot.c.registry_id, func.max(snapshot.c.number).label("number"))
        .group_by(snapshot.c.registry_id)
        .subquery()
    )
    query = (
        select(snapshot, registry, newest.c.number.label("newest"), resumed.c.run_id.label("resumed_by"))
        .join(
            chosen,
            (chosen.c.registry_id == snapshot.c.registry_id) & (chosen.c.number == snapshot.c.number),
        )
        .join(newest, newest.c.registry_id == snapshot.c.registry_id)
        .join(registry, registry.c.id == snapshot.c.registry_id)
        .outerjoin(
            resumed,
            (resumed.c.run_id == run)
            & (resumed.c.registry_id == snapshot.c.registry_id)
            & (resumed.c.number == snapshot.c.number),
        )
        .where(or_(snapshot.c.run_id == run, snapshot.c.registry_id.in_(answered)))
    )
    found = [
        SnapshotRef(
            row.registry_id,
            RegistryKey(row.partition, row.account, row.region),
            row.number,
            row.run_id if row.resumed_by is None else row.resumed_by,
            row.run_id,
            row.taken_at_ms,
            ReadStatus(row.status),
            row.number == row.newest,
        )
        for row in connection.execute(query)
    ]
    if not found:
        raise InputError(f"--run {run}: no run up to that number left a snapshot")
    # Sorted here: PostgreSQL's order of texts is a matter of its locale.
    return sorted(found, key=lambda entry: (entry.key.account, entry.key.region, entry.key.partition))


def snapshot_times(connection: Connection, registry_id: int) -> dict[int, int]:
    """When each snapshot of the registry was taken, by its number, ascending; pruned ones too."""
    times: dict[int, int] = {}
    for table in (tables.snapshot, tables.pruned_snapshot):
        query = select(table.c.number, table.c.taken_at_ms).where(table.c.registry_id == registry_id)
        times.update(connection.execute(query).all())
    return dict(sorted(times.items()))


def may_hold(table: Table, snapshots: Sequence[SnapshotRef]) -> ColumnElement[bool]:
    """Whether an interval of ``table`` holds in one of ``snapshots``, as far as SQL can say.

    It does not know each registry's own number.
    """
    if all(snapshot.is_latest for snapshot in snapshots):
        return table.c.gone_snapshot.is_(None)
    numbers = [snapshot.number for snapshot in snapshots]
    return and_(
        table.c.first_snapshot <= max(numbers),
        or_(table.c.gone_snapshot.is_(None), table.c.gone_snapshot > min(numbers)),
    )


def load_gaps(connection: Connection, snapshots: Sequence[SnapshotRef], run: int) -> list[Gap]:
    """What was refused when ``snapshots`` were taken, and what ``run`` was refused without one."""
    gap, registry = tables.gap, tables.registry
    runs_of = {snapshot.registry_id: {snapshot.taken_by, run} for snapshot in snapshots}
    query = (
        select(gap, gap.c["count"].label("times"), registry.c.account, registry.c.region)
        .join(registry, registry.c.id == gap.c.registry_id)
        .where(or_(gap.c.run_id == run, gap.c.run_id.in_({snapshot.taken_by for snapshot in snapshots})))
    )
    return sorted(
        Gap(row.account, row.region, row.repository, row.call, row.reason, row.detail, row.times)
        for row in connection.execute(query)
        if row.run_id in runs_of.get(row.registry_id, {run})
    )


def rebuild(connection: Connection, snapshot: SnapshotRef) -> RegistryRead:
    """The registry exactly as the store knew it when ``snapshot`` was committed.

    Gaps and refusals are not part of it. Repositories are ordered by name and creation time,
    artifacts by digest; their ``status`` is that of their last read. So are sources of workloads, by name.
    """
    repository, read = tables.repository, tables.repository_read
    query = (
        select(repository.c.id, repository.c.name, repository.c.created_at_ms, read.c.status)
        .join(read, read.c.repository_id == repository.c.id)
        .where(repository.c.registry_id == snapshot.registry_id, during(read, snapshot.number))
    )
    types = media_types(connection)
    repositories = []
    for key, name, created, status in connection.execute(query).all():
        state = load_repository(connection, key, types, snapshot.number)
        repositories.append(
            RepositoryRead(
                name,
                created,
                ReadStatus(status),
                tuple(artifact for _, artifact in sorted(state.artifacts.items())),
                load_settings(connection, tables.repository_setting, "repository_id", key, snapshot.number),
            )
        )
    return RegistryRead(
        snapshot.key,
        snapshot.taken_at_ms,
        snapshot.status,
        tuple(sorted(repositories, key=lambda entry: entry.key)),
        load_settings(
            connection, tables.registry_setting, "registry_id", snapshot.registry_id, snapshot.number
        ),
        workloads=workload_reads(connection, snapshot.registry_id, snapshot.number),
    )
