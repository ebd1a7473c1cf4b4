"""Which events are counted already: sorted hashes by day, in pieces, in the store and in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select

from analyzer.model.frames import Bools, UInt64
from analyzer.store import tables

#: One copy of an event, sorted by what all its copies have in common.
COPY: Final = np.dtype([("joint", "<u8"), ("target", "<u4"), ("puller", "<u4"), ("side", "u1")])
Copies = np.ndarray[Any, Any]

_HASH = np.dtype("<u8")
#: Rows of a piece from which on it is not merged with others: merging takes room for both.
_LARGE = 2_000_000
#: Stored pieces of a day from which on they are put together.
_MANY = 48
#: Events in memory, of all days together; one takes 8 bytes, one with copies 25.
_REMEMBERED = 12_000_000


@dataclass(slots=True)
class Day:
    """The events of a day, as far as pieces were read."""

    #: Of the last piece that was read, and how many are stored.
    last: int = 0
    stored: int = 0
    is_closed: bool = False
    events: list[UInt64] = field(default_factory=list)
    copies: list[Copies] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.events))

    def knows(self, events: UInt64) -> Bools:
        """Which of ``events`` are among them."""
        found = np.zeros(len(events), np.bool_)
        for piece in self.events:
            place = np.searchsorted(piece, events)
            place[place == len(piece)] = 0
            found |= piece[place] == events
        return found

    def copies_of(self, joints: UInt64) -> Copies:
        """The known copies of the events ``joints`` (sorted, distinct)."""
        found = [np.zeros(0, COPY)]
        for piece in self.copies:
            # A piece is sorted, and may hold several copies of one event.
            first = np.searchsorted(piece["joint"], joints, "left")
            last = np.searchsorted(piece["joint"], joints, "right")
            shifts = range(int((last - first).max(initial=0)))
            found += [piece[first[first + shift < last] + shift] for shift in shifts]
        return np.concatenate(found)

    def add(self, events: UInt64, copies: Copies) -> None:
        """Take in a sorted piece of new events, and of copies among them."""
        _add(self.events, events, None)
        _add(self.copies, copies, "joint")


class CountedEvents:
    """The events of those days that are being written; used by one thread at a time."""

    def __init__(self) -> None:
        self._days: dict[int, Day] = {}

    def of(self, connection: Connection, day: int) -> Day:
        """The events of ``day``, with what others have written by now."""
        found = self._days.pop(day, None)
        # Back in at the end: the first is the one not used for longest.
        known = self._days[day] = found or Day()
        table = tables.pull_events
        query = (
            select(table.c.number, table.c.is_closed, table.c.events, table.c.copies)
            .where(table.c.day == day, table.c.number > known.last)
            .order_by(table.c.number)
        )
        for number, is_closed, events, copies in connection.execute(query):
            known.last = number
            known.stored += 1
            known.is_closed = bool(is_closed)
            known.add(np.frombuffer(events, _HASH), np.frombuffer(copies, COPY))
        return known

    def forget(self, *, everything: bool = False) -> None:
        """Let go of the days not used for longest, down to what may be remembered."""
        total = sum(map(len, self._days.values()))
        while self._days and (everything or (total > _REMEMBERED and len(self._days) > 1)):
            total -= len(self._days.pop(next(iter(self._days))))


def store_piece(connection: Connection, day: int, known: Day, events: UInt64, copies: Copies) -> None:
    """Store a piece of ``day`` beside those that are ``known``, or all of them anew where they are many.

    Leaves ``known`` as it is: the transaction may come to nothing.
    """
    table = tables.pull_events
    pieces = [(events, copies)]
    if known.stored >= _MANY:
        connection.execute(delete(table).where(table.c.day == day))
        pieces += [(piece, np.zeros(0, COPY)) for piece in known.events]
        pieces += [(np.zeros(0, _HASH), piece) for piece in known.copies]
    rows = [
        {
            "day": day,
            "number": number,
            "events": piece.astype(_HASH, copy=False).tobytes(),
            "copies": some.tobytes(),
            "is_closed": 0,
        }
        for number, (piece, some) in enumerate(pieces, start=known.last + 1)
    ]
    connection.execute(insert(table), rows)


def close_days(connection: Connection, before_day: int) -> int:
    """Forget the events of the days before ``before_day``, which take no more; gives how many those are."""
    table = tables.pull_events
    query = (
        select(table.c.day, func.max(table.c.number))
        .where(table.c.day < before_day)
        .group_by(table.c.day)
        .having(func.max(table.c.is_closed) == 0)
    )
    rows = connection.execute(query).all()
    for day, last in rows:
        connection.execute(delete(table).where(table.c.day == day))
        connection.execute(
            insert(table).values(day=day, number=last + 1, events=b"", copies=b"", is_closed=1)
        )
    return len(rows)


def _add(pieces: list[Any], piece: Any, order: str | None) -> None:
    """Append ``piece``, merged with those before it that are no larger, so that there are only a few."""
    if not len(piece):
        return
    pieces.append(piece)
    while len(pieces) > 1 and len(pieces[-2]) <= 2 * len(pieces[-1]) <= 2 * _LARGE:
        last = pieces.pop()
        merged = np.concatenate([pieces.pop(), last])
        merged.sort(order=order, kind="stable")
        pieces.append(merged)
