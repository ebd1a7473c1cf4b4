"""One snapshot into the database, whole or not at all: what changed since the last, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, exists, func, insert, or_, select, update

from analyzer.model.records import ReadStatus, RegistryRead, RepositoryRead, WorkloadRead
from analyzer.store import tables
from analyzer.store.bulk import close_intervals, insert_rows
from analyzer.store.changes import RepositoryChanges, RepositoryState, diff_repository
from analyzer.store.checkpoints import drop_checkpoints
from analyzer.store.engine import Database
from analyzer.store.gaps import gap_rows
from analyzer.store.interning import Interner
from analyzer.store.leases import Lease
from analyzer.store.state import load_repositories, load_settings, load_settings_of, media_types
from analyzer.store.workloads import KnownWorkloads, load_workloads

#: Images, and repositories, whose last state is read at a time: a query costs as much as a hundred rows.
_IMAGES_AT_ONCE = 5_000
_REPOSITORIES_AT_ONCE = 200

#: Tables whose intervals end with the repository's.
_OF_A_REPOSITORY = (
    tables.artifact,
    tables.artifact_pull,
    tables.artifact_scan,
    tables.tag,
    tables.repository_setting,
    tables.repository_fact,
)

# Statements that every registry needs are put together once: that takes longer than a small answer to
# them does.
_LAST_NUMBER = select(func.max(tables.snapshot.c.number)).where(
    tables.snapshot.c.registry_id == bindparam("registry")
)
_PRESENT = (
    select(
        tables.repository.c.name,
        tables.repository.c.created_at_ms,
        tables.repository.c.id,
        tables.repository_read.c.status,
    )
    .join(tables.repository_read, tables.repository_read.c.repository_id == tables.repository.c.id)
    .where(
        tables.repository.c.registry_id == bindparam("registry"),
        tables.repository_read.c.gone_snapshot.is_(None),
    )
)
_FORGET_REFUSALS = delete(tables.manifest_refusal).where(
    tables.manifest_refusal.c.repository_id.in_(
        select(tables.repository.c.id).where(tables.repository.c.registry_id == bindparam("registry"))
    ),
    or_(
        tables.manifest_refusal.c.digest_id.in_(select(tables.manifest.c.digest_id)),
        ~exists().where(
            tables.artifact.c.repository_id == tables.manifest_refusal.c.repository_id,
            tables.artifact.c.digest_id == tables.manifest_refusal.c.digest_id,
            tables.artifact.c.gone_snapshot.is_(None),
        ),
    ),
)


@dataclass(slots=True)
class _Known:
    """A repository that the store holds as present."""

    id: int
    status: str


@dataclass(slots=True)
class _Plan:
    """What one repository's read will write, worked out before the transaction."""

    read: RepositoryRead
    #: None for a repository that is new.
    known: _Known | None
    changes: RepositoryChanges
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Ids:
    digests: Mapping[str, int]
    tags: Mapping[str, int]
    media_types: Mapping[str | None, int | None]
    values: Mapping[str, int]
    workloads: Mapping[str, int]
    image_references: Mapping[str, int]


def commit_snapshot(
    database: Database, interner: Interner, lease: Lease, run: int, read: RegistryRead
) -> int:
    """Write what ``read`` saw as the registry's next snapshot; gives its number.

    Raises LeaseError, having written nothing, when the lease was lost.
    """
    with database.read() as connection:
        number = _next_number(connection, lease.registry_id)
        known = _present_repositories(connection, lease.registry_id)
        types = media_types(connection)
        old_settings = load_settings(connection, tables.registry_setting, "registry_id", lease.registry_id)
        old_workloads = load_workloads(connection, lease.registry_id)
        plans: list[_Plan] = []
        for batch in _batches(read.repositories):
            plans += _plans(connection, types, known, batch)
    ids = _intern(interner, plans, read)
    with database.write() as connection:
        lease.check(connection)
        connection.execute(
            insert(tables.snapshot).values(
                registry_id=lease.registry_id,
                number=number,
                run_id=run,
                taken_at_ms=read.taken_at_ms,
                status=str(read.status),
            )
        )
        writer = _SnapshotWriter(connection, lease.registry_id, number, ids)
        writer.repositories(known, plans, read)
        writer.settings(
            tables.registry_setting, {"registry_id": lease.registry_id}, old_settings, read.settings
        )
        writer.workloads(old_workloads, read.workloads)
        writer.refusals(read)
        writer.gaps(run, read)
        drop_checkpoints(connection, lease.registry_id)
    return number


def _next_number(connection: Connection, registry_id: int) -> int:
    return int(connection.execute(_LAST_NUMBER, {"registry": registry_id}).scalar() or 0) + 1


def _present_repositories(connection: Connection, registry_id: int) -> dict[tuple[str, int], _Known]:
    rows = connection.execute(_PRESENT, {"registry": registry_id})
    return {(name, created): _Known(key, status) for name, created, key, status in rows}


def _batches(reads: Sequence[RepositoryRead]) -> Iterator[Sequence[RepositoryRead]]:
    """``reads`` in runs that are small enough to be held in memory as they were before, too."""
    first = images = 0
    for place, read in enumerate(reads):
        images += len(read.artifacts)
        if images > _IMAGES_AT_ONCE or place - first == _REPOSITORIES_AT_ONCE:
            if place > first:
                yield reads[first:place]
            first, images = place, len(read.artifacts)
    if first < len(reads):
        yield reads[first:]


def _plans(
    connection: Connection,
    types: dict[int | None, str | None],
    known: Mapping[tuple[str, int], _Known],
    reads: Sequence[RepositoryRead],
) -> Iterator[_Plan]:
    ids = [known[read.key].id for read in reads if read.key in known]
    states = load_repositories(connection, ids, types) if ids else {}
    settings = load_settings_of(connection, tables.repository_setting, "repository_id", ids) if ids else {}
    for read in reads:
        before = known.get(read.key)
        # Let go of as soon as it is compared.
        state = states.pop(before.id) if before else RepositoryState()
        changes = diff_repository(state, read.artifacts, complete=read.status is ReadStatus.COMPLETE)
        yield _Plan(read, before, changes, settings[before.id] if before else {})


def _intern(interner: Interner, plans: Sequence[_Plan], read: RegistryRead) -> _Ids:
    digests: set[str] = {refusal.digest for refusal in read.refusals}
    names: set[str] = set()
    types: set[str] = set()
    values = set(read.settings.values())
    for plan in plans:
        values.update(plan.read.settings.values())
        for tag, digest in plan.changes.tags_opened:
            names.add(tag)
            digests.add(digest)
        names.update(plan.changes.tags_closed)
        changes = plan.changes
        digests.update(changes.artifacts_closed, changes.pulls_closed, changes.scans_closed)
        digests.update(digest for digest, _ in changes.pulls_opened)
        digests.update(digest for digest, _ in changes.scans_opened)
        for artifact in changes.artifacts_opened:
            digests.add(artifact.digest)
            if artifact.subject_digest:
                digests.add(artifact.subject_digest)
            types.update(t for t in (artifact.media_type, artifact.artifact_media_type) if t is not None)
    uses = [use for source in read.workloads for use in source.uses]
    media: dict[str | None, int | None] = {None: None}
    media.update(interner.names(tables.media_type, types).items())
    return _Ids(
        interner.digests(digests),
        interner.names(tables.tag_name, names),
        media,
        interner.values(values),
        interner.names(tables.workload, (use.workload for use in uses)),
        interner.names(tables.image_reference, (use.reference for use in uses)),
    )


class _SnapshotWriter:
    """The rows of one snapshot, in one open transaction."""

    def __init__(self, connection: Connection, registry_id: int, number: int, ids: _Ids) -> None:
        self._connection = connection
        self._registry_id = registry_id
        self._number = number
        self._ids = ids
        self._opened: dict[Table, list[dict[str, Any]]] = {}
        self._closed: dict[Table, list[dict[str, Any]]] = {}

    def repositories(
        self, known: Mapping[tuple[str, int], _Known], plans: Sequence[_Plan], read: RegistryRead
    ) -> None:
        seen = {plan.read.key for plan in plans}
        # There is one repository of a name at a time: another one that bears it now has taken its place.
        names = {plan.read.name for plan in plans}
        for key in sorted(known.keys() - seen):
            if read.status is ReadStatus.COMPLETE or key[0] in names:
                self._close_repository(known[key].id)
            else:
                self._set_status(known[key].id, known[key].status, ReadStatus.REFUSED)
        new = self._add_repositories([plan.read for plan in plans if plan.known is None])
        for plan in plans:
            repository_id = plan.known.id if plan.known else new[plan.read.key]
            self._set_status(repository_id, plan.known.status if plan.known else None, plan.read.status)
            self._changes(repository_id, plan.changes)
            self._setting_changes(
                tables.repository_setting, {"repository_id": repository_id}, plan.settings, plan.read.settings
            )
        self._flush()

    def settings(
        self, table: Table, owner: dict[str, int], old: Mapping[str, str], new: Mapping[str, str]
    ) -> None:
        self._setting_changes(table, owner, old, new)
        self._flush()

    def workloads(self, old: Mapping[str, KnownWorkloads], reads: Sequence[WorkloadRead]) -> None:
        registry = {"registry_id": self._registry_id}
        for read in reads:
            known = old.get(read.source, KnownWorkloads("", {}))
            key = {**registry, "source": read.source}
            if known.status != read.status:
                if known.status:
                    self._close(tables.workload_read, **key)
                self._open(tables.workload_read, **key, status=str(read.status))
            seen = {
                (
                    self._ids.workloads[use.workload],
                    self._ids.image_references[use.reference],
                    int(use.kind),
                )
                for use in read.uses
            }
            gone = known.uses.keys() - seen if read.status is ReadStatus.COMPLETE else set()
            names = ("workload_id", "image_reference_id", "kind")
            for ids in sorted(gone):
                self._close(tables.workload_use, **key, **dict(zip(names, ids, strict=True)))
            for ids in sorted(seen - known.uses.keys()):
                self._open(tables.workload_use, **key, **dict(zip(names, ids, strict=True)))
        self._flush()

    def refusals(self, read: RegistryRead) -> None:
        refusal, connection = tables.manifest_refusal, self._connection
        # What was read since, or is gone, is refused no more; what is refused now is written below.
        connection.execute(_FORGET_REFUSALS, {"registry": self._registry_id})
        if not read.refusals:
            return
        ids = self._repository_ids()
        for entry in read.refusals:
            key = {"repository_id": ids[entry.repository_key], "digest_id": self._ids.digests[entry.digest]}
            connection.execute(delete(refusal).filter_by(**key))
            connection.execute(
                insert(refusal).values(**key, reason=entry.reason, image_status=int(entry.image_status))
            )

    def gaps(self, run: int, read: RegistryRead) -> None:
        rows = gap_rows(run, self._registry_id, read.gaps)
        if rows:
            self._connection.execute(insert(tables.gap), rows)

    def _add_repositories(self, reads: Sequence[RepositoryRead]) -> dict[tuple[str, int], int]:
        """Ids of repositories that were not present; they may have been, once."""
        if not reads:
            return {}
        rows = [
            {"registry_id": self._registry_id, "name": read.name, "created_at_ms": read.created_at_ms}
            for read in reads
        ]
        insert_rows(self._connection, tables.repository, rows, only_new=True)
        return self._repository_ids()

    def _repository_ids(self) -> dict[tuple[str, int], int]:
        """Ids of all repositories there ever were in the registry."""
        table = tables.repository
        query = select(table.c.name, table.c.created_at_ms, table.c.id)
        rows = self._connection.execute(query.where(table.c.registry_id == self._registry_id))
        return {(name, created): key for name, created, key in rows}

    def _set_status(self, repository_id: int, old: str | None, new: ReadStatus) -> None:
        if old == new:
            return
        if old is not None:
            self._close(tables.repository_read, repository_id=repository_id)
        self._open(tables.repository_read, repository_id=repository_id, status=str(new))

    def _close_repository(self, repository_id: int) -> None:
        for table in (*_OF_A_REPOSITORY, tables.repository_read):
            self._connection.execute(
                update(table)
                .where(table.c.repository_id == repository_id, table.c.gone_snapshot.is_(None))
                .values(gone_snapshot=self._number)
            )

    def _changes(self, repository_id: int, changes: RepositoryChanges) -> None:
        digests, tags, types = self._ids.digests, self._ids.tags, self._ids.media_types
        for digest in changes.artifacts_closed:
            self._close(tables.artifact, repository_id=repository_id, digest_id=digests[digest])
        for digest in changes.pulls_closed:
            self._close(tables.artifact_pull, repository_id=repository_id, digest_id=digests[digest])
        for digest in changes.scans_closed:
            self._close(tables.artifact_scan, repository_id=repository_id, digest_id=digests[digest])
        for tag in changes.tags_closed:
            self._close(tables.tag, repository_id=repository_id, tag_name_id=tags[tag])
        for new in changes.artifacts_opened:
            self._open(
                tables.artifact,
                repository_id=repository_id,
                digest_id=digests[new.digest],
                pushed_at_ms=new.pushed_at_ms,
                image_status=int(new.image_status),
                archived_at_ms=new.archived_at_ms,
                activated_at_ms=new.activated_at_ms,
                reported_size_bytes=new.reported_size_bytes,
                media_type_id=types[new.media_type],
                artifact_media_type_id=types[new.artifact_media_type],
                subject_id=digests[new.subject_digest] if new.subject_digest else None,
            )
        for digest, day in changes.pulls_opened:
            self._open(
                tables.artifact_pull, repository_id=repository_id, digest_id=digests[digest], pulled_day=day
            )
        for digest, scan in changes.scans_opened:
            key = {"repository_id": repository_id, "digest_id": digests[digest]}
            self._open(tables.artifact_scan, **key, **scan._asdict())
        for tag, digest in changes.tags_opened:
            self._open(
                tables.tag, repository_id=repository_id, tag_name_id=tags[tag], digest_id=digests[digest]
            )

    def _setting_changes(
        self, table: Table, owner: dict[str, int], old: Mapping[str, str], new: Mapping[str, str]
    ) -> None:
        for name, value in sorted(new.items()):
            if old.get(name) == value:
                continue
            if name in old:
                self._close(table, **owner, name=name)
            self._open(table, **owner, name=name, value_id=self._ids.values[value])

    def _open(self, table: Table, **values: Any) -> None:
        self._opened.setdefault(table, []).append({**values, "first_snapshot": self._number})

    def _close(self, table: Table, **key: Any) -> None:
        self._closed.setdefault(table, []).append(key)

    def _flush(self) -> None:
        """Close before opening: a row that is replaced has the same key but for its start."""
        for table, keys in self._closed.items():
            close_intervals(self._connection, table, keys, self._number)
        for table, rows in self._opened.items():
            # In the order of the key, so that SQLite fills its pages one after the other.
            key = [column.name for column in table.primary_key]
            rows.sort(key=lambda row: [row[name] for name in key])
            insert_rows(self._connection, table, rows)
        self._closed, self._opened = {}, {}
