"""What of CloudTrail's files was taken in, and what that says about each registry and day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, update

from analyzer.model.frames import UInt64
from analyzer.model.pull_batches import ALL_HOURS, Evidence, FileMark
from analyzer.model.pulls import Coverage
from analyzer.store import tables

_HASH = np.dtype("<u8")
#: Stored pieces of a day's files from which on they are put together.
_MANY = 24


def known_files(connection: Connection, source: str, day: int) -> UInt64:
    """The hashes of the files of ``source`` and ``day`` that are in the store, sorted."""
    table = tables.pull_files
    query = select(table.c.files).where(table.c.source == source, table.c.day == day)
    pieces = [np.frombuffer(piece, _HASH) for piece in connection.execute(query).scalars()]
    return np.unique(np.concatenate([np.zeros(0, _HASH), *pieces]))


def settled_days(connection: Connection, source: str, account: str, region: str) -> set[int]:
    """The days of which ``source`` was read to the end, without a problem."""
    table = tables.pull_coverage
    query = select(table.c.day).where(
        table.c.source == source,
        table.c.account == account,
        table.c.region == region,
        table.c.problem == "",
    )
    return set(connection.execute(query).scalars())


def mark_files(connection: Connection, marks: Iterable[FileMark]) -> None:
    """Note that these files are in the store."""
    table = tables.pull_files
    by_day: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for mark in marks:
        by_day[mark.source, mark.day].add(mark.file)
    for (source, day), files in sorted(by_day.items()):
        mine = (table.c.source == source, table.c.day == day)
        stored, last = connection.execute(
            select(func.count(), func.coalesce(func.max(table.c.number), 0)).where(*mine)
        ).one()
        hashes = np.array(sorted(files), _HASH)
        if stored >= _MANY:
            hashes = np.union1d(known_files(connection, source, day), hashes)
            connection.execute(delete(table).where(*mine))
        connection.execute(
            insert(table).values(
                source=source, day=day, number=last + 1, files=hashes.astype(_HASH).tobytes()
            )
        )


def write_evidence(connection: Connection, evidence: Iterable[Evidence]) -> None:
    """Add to what is known of sources, registries and days."""
    table = tables.pull_coverage
    for row in evidence:
        mine = (
            table.c.day == row.day,
            table.c.account == row.account,
            table.c.region == row.region,
            table.c.source == row.source,
        )
        known = connection.execute(
            select(table.c.hours, table.c.has_reads, table.c.is_whole, table.c.problem).where(*mine)
        ).one_or_none()
        hours, has_reads, is_whole, problem = known or (0, 0, 0, "")
        values = {
            "hours": hours | row.hours,
            "has_reads": int(has_reads or row.has_reads),
            "is_whole": is_whole if row.is_whole is None else int(row.is_whole),
            "problem": problem if row.problem is None else row.problem,
        }
        if known is None:
            names = {"day": row.day, "account": row.account, "region": row.region, "source": row.source}
            connection.execute(insert(table).values(**names, **values))
        elif tuple(values.values()) != tuple(known):
            connection.execute(update(table).where(*mine).values(**values))


def pull_days(connection: Connection) -> tuple[int, int] | None:
    """The first and the last day that some source says anything of; None where none was ever read."""
    days = tables.pull_coverage.c.day
    first, last = connection.execute(select(func.min(days), func.max(days))).one()
    return None if first is None else (first, last)


def load_coverage(
    connection: Connection,
    first_day: int,
    last_day: int,
    registries: Collection[tuple[str, str]] | None = None,
) -> list[Coverage]:
    """What the sources say about ``registries`` (account and region; None for all that there are), sorted."""
    table = tables.pull_coverage
    query = select(
        table.c.day,
        table.c.account,
        table.c.region,
        table.c.source,
        table.c.hours,
        table.c.has_reads,
        table.c.is_whole,
        table.c.problem,
    ).where(table.c.day.between(first_day, last_day))
    found = []
    for day, account, region, source, hours, has_reads, is_whole, problem in connection.execute(query):
        if registries is None or (account, region) in registries:
            status, detail = _judged(hours, problem, has_reads=bool(has_reads), is_whole=bool(is_whole))
            found.append(Coverage(day, account, region, source, status, detail))
    return sorted(found)


def _judged(hours: int, problem: str, *, has_reads: bool, is_whole: bool) -> tuple[str, str]:
    """Status and detail of a `Coverage`."""
    if hours and not has_reads and not is_whole:
        return "none", "no event in it only reads: a trail of writes alone keeps no pulls"
    if problem:
        return ("partial" if hours else "none"), problem
    if is_whole or hours == ALL_HOURS:
        return "complete", ""
    if not hours:
        return "none", "there is no file of that day"
    return (
        "partial",
        f"no events of {_spans(ALL_HOURS & ~hours)} (UTC): nothing happened, or files are missing",
    )


def _spans(hours: int) -> str:
    """The hours whose bits are set: ``03:00-05:00, 07:00-08:00``."""
    return ", ".join(f"{first:02}:00-{last:02}:00" for first, last in _runs(hours))


def _runs(hours: int) -> Iterator[tuple[int, int]]:
    first: int | None = None
    for hour in range(25):
        is_set = bool(hours >> hour & 1)
        if is_set and first is None:
            first = hour
        elif not is_set and first is not None:
            yield first, hour
            first = None
