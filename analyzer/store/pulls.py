"""Pulls in the store: batches of events in, daily aggregates out.

A batch is one transaction: its counts, which events they are, which files they came from and what that
covers. A writer that is killed has written all of a batch or nothing of it, and events that come again,
from another file, source or writer, are known. Writers take turns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from sqlalchemy import Connection, select

from analyzer.model.frames import Int64
from analyzer.model.pull_batches import PullBatch, PullColumns, WrittenPulls
from analyzer.model.pulls import Coverage, LeftOut, LeftOutCount, PullHistory, PullKind, Pulls
from analyzer.model.records import PUBLIC_REGION, RegistryKey
from analyzer.store import tables
from analyzer.store.bulk import rows_where_in
from analyzer.store.engine import Database
from analyzer.store.interning import Interner, digest_ids
from analyzer.store.pull_counts import PullCounts, pullers_of, targets_of
from analyzer.store.pull_coverage import load_coverage, mark_files, write_evidence
from analyzer.store.pull_events import CountedEvents, Day, close_days, store_piece

#: Number of the lock by which writers of a PostgreSQL database take turns.
_TURN = 0x70756C6C
#: Ids of targets and pullers remembered between batches.
_REMEMBERED = 200_000
_SIZES = select(tables.blob.c.digest_id, tables.blob.c.size_bytes)


class PullStore:
    """Writes pulls into one database; for one thread."""

    def __init__(self, database: Database) -> None:
        """Write into ``database``."""
        self._database = database
        self._interner = Interner(database)
        self._events = CountedEvents()
        self._ids: dict[bytes, int] = {}

    def write(self, batch: PullBatch) -> WrittenPulls:
        """Take in ``batch``, whole or not at all."""
        columns = batch.columns
        digests = self._interner.digests({target.digest for target in columns.targets if target.digest})
        tags = self._interner.names(tables.tag_name, {target.tag for target in columns.targets if target.tag})
        new = late = 0
        try:
            with self._database.write() as connection:
                _take_turn(connection)
                counts = PullCounts(connection, self._ids, digests, tags)
                for day in np.unique(columns.days).tolist():
                    rows = np.flatnonzero(columns.days == day)
                    known = self._events.of(connection, day)
                    if known.is_closed:
                        late += len(rows)
                        continue
                    fresh = _fresh(columns, rows, known)
                    if len(fresh):
                        copies = counts.count(day, columns, fresh)
                        counts.join(day, copies, known)
                        store_piece(connection, day, known, np.sort(columns.events[fresh]), copies)
                        new += len(fresh)
                counts.flush()
                mark_files(connection, batch.files)
                write_evidence(connection, batch.evidence)
        except BaseException:
            # What was read in a transaction that came to nothing need not be there.
            self._events.forget(everything=True)
            raise
        self._events.forget()
        if len(self._ids) + len(counts.new_ids) > _REMEMBERED:
            self._ids = {}
        self._ids.update(counts.new_ids)
        return WrittenPulls(new, len(columns) - new - late, late)

    def close_days(self, before_day: int) -> int:
        """Let days before ``before_day`` take no more events, and forget which they have; how many."""
        with self._database.write() as connection:
            _take_turn(connection)
            closed = close_days(connection, before_day)
        self._events.forget(everything=True)
        return closed


def load_pulls(
    connection: Connection,
    first_day: int,
    last_day: int,
    registries: Collection[RegistryKey] | None = None,
) -> PullHistory:
    """The pulls from ``registries`` (None: from all) on the days from ``first_day`` to ``last_day``.

    Of each of the registries (None: of those that were collected) and each day there is a row of
    coverage for every source; where there was no source, one that says so.
    """
    chosen = None if registries is None else {(key.account, key.region) for key in registries}
    table = tables.pull
    query = select(table.c.day, table.c.target_id, table.c.puller_id, table.c.times).where(
        table.c.day.between(first_day, last_day)
    )
    rows = connection.execute(query).all()
    targets = targets_of(connection, {row[1] for row in rows})
    pullers = pullers_of(connection, {row[2] for row in rows})
    pulls, left_out = [], []
    for day, target_id, puller_id, times in rows:
        target, puller = targets[target_id], pullers[puller_id]
        account, region, repository, kind, digest, tag = target
        if chosen is not None and (account, region) not in chosen:
            continue
        if isinstance(kind, LeftOut):
            left_out.append((LeftOutCount(day, account, region, kind, 0), times))
            continue
        pulls.append(Pulls(day, account, region, repository, PullKind(kind), digest, tag, *puller, times))
    return PullHistory(
        first_day,
        last_day,
        tuple(sorted(pulls)),
        _summed(left_out),
        _with_uncovered(
            load_coverage(connection, first_day, last_day, chosen),
            _collected(connection) if chosen is None else chosen,
            range(first_day, last_day + 1),
        ),
    )


def load_layer_sizes(connection: Connection, digests: Collection[str]) -> dict[str, int]:
    """The bytes of those of ``digests`` that a manifest of any registry names as a layer or config."""
    ids = digest_ids(connection, set(digests))
    sizes = dict(rows_where_in(connection, _SIZES, tables.blob.c.digest_id, list(ids.values())))
    return {digest: sizes[key] for digest, key in ids.items() if key in sizes}


def _take_turn(connection: Connection) -> None:
    # SQLite has one writer as it is. Two that read what is counted, and then both count, count twice.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_TURN,))


def _fresh(columns: PullColumns, rows: Int64, known: Day) -> Int64:
    """Those of ``rows`` whose events are not known, the first of each."""
    events, first = np.unique(columns.events[rows], return_index=True)
    return rows[first[~known.knows(events)]]


def _summed(rows: Iterable[tuple[LeftOutCount, int]]) -> tuple[LeftOutCount, ...]:
    """Whoever pulled: the same registry's events of one day and reason together."""
    total: dict[LeftOutCount, int] = {}
    for row, times in rows:
        total[row] = total.get(row, 0) + times
    return tuple(sorted(row._replace(times=times) for row, times in total.items()))


def _collected(connection: Connection) -> set[tuple[str, str]]:
    """Of the private registries: CloudTrail records no pulls from public ones."""
    table = tables.registry
    query = select(table.c.account, table.c.region).where(table.c.region != PUBLIC_REGION)
    return {(account, region) for account, region in connection.execute(query)}


def _with_uncovered(
    coverage: list[Coverage], registries: Collection[tuple[str, str]], days: range
) -> tuple[Coverage, ...]:
    told = {(row.day, row.account, row.region) for row in coverage}
    silent = [
        Coverage(day, account, region, "", "none", "no source of CloudTrail's events was read")
        for account, region in registries
        for day in days
        if (day, account, region) not in told
    ]
    return tuple(sorted((*coverage, *silent)))
