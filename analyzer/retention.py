"""Which snapshots a rule of retention keeps: pure, no clock.

A rule is written as terms with commas between them, and a snapshot that any of them keeps stays:

* ``30d``: every snapshot of the last 30 times 24 hours;
* ``last 10``: the newest 10;
* ``daily 14``, ``weekly 26``, ``monthly 24``, ``yearly 3``: one of each of the last so many days,
  weeks (from Monday), months or years, the current one being one of them; without a number, of each
  there ever was. All are those of UTC.

A day, week, month or year keeps its last complete snapshot; where none is complete its last partial
one, and where nothing was read at all its last. The newest snapshot of a registry always stays, and
before a refused one that is kept the last that was not: what a refused one shows is what that one saw.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from analyzer.errors import InputError
from analyzer.model.records import ReadStatus

_DAY_MS = 86_400_000
#: Snapshots and rules of more are nobody's; their dates would leave the calendar.
_MOST = 100_000
_RANK = {ReadStatus.COMPLETE: 2, ReadStatus.PARTIAL: 1, ReadStatus.REFUSED: 0}
_TERM = re.compile(r"(?:(?P<days>\d{1,6})\s*d|(?P<word>[a-z]+)(?:\s+(?P<count>\d{1,6}))?)", re.ASCII)
_EXAMPLE = 'write terms like "30d, weekly 26, monthly 24": Nd, last N, daily, weekly, monthly, yearly [N]'


@dataclass(frozen=True, slots=True)
class Taken:
    """One snapshot of a registry: its number, when it was taken, and how that went."""

    number: int
    taken_at_ms: int
    status: ReadStatus


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a rule."""

    #: days, last, or one of the periods.
    kind: str
    #: None for any number of periods.
    count: int | None


@dataclass(frozen=True, slots=True)
class Retention:
    """A rule; see the module."""

    terms: tuple[Term, ...]


def _month(taken_at_ms: int) -> int:
    moment = datetime.fromtimestamp(taken_at_ms // 1000, UTC)
    return moment.year * 12 + moment.month


#: Number of the period that a moment is in.
_PERIODS: dict[str, Callable[[int], int]] = {
    "daily": lambda at_ms: at_ms // _DAY_MS,
    # 1970-01-01 was a Thursday.
    "weekly": lambda at_ms: (at_ms // _DAY_MS + 3) // 7,
    "monthly": _month,
    "yearly": lambda at_ms: datetime.fromtimestamp(at_ms // 1000, UTC).year,
}


def parse_retention(text: str) -> Retention:
    """The rule that ``text`` spells; raises InputError where it spells none."""
    return Retention(tuple(_term(part.strip().lower(), text) for part in text.split(",")))


def _term(part: str, text: str) -> Term:
    found = _TERM.fullmatch(part)
    if found is None:
        raise InputError(f"--keep {text!r}: {part!r} is no term; {_EXAMPLE}")
    kind = "days" if found["days"] is not None else found["word"]
    digits = found["days"] or found["count"]
    count = None if digits is None else int(digits)
    if found["word"] is not None and kind != "last" and kind not in _PERIODS:
        raise InputError(f"--keep {text!r}: {part!r} is no term; {_EXAMPLE}")
    if kind == "last" and count is None:
        raise InputError(f"--keep {text!r}: say how many, as in last 10")
    if count is not None and not 1 <= count <= _MOST:
        raise InputError(f"--keep {text!r}: {count} is not between 1 and {_MOST:,}")
    return Term(kind, count)


def kept_snapshots(retention: Retention, snapshots: Sequence[Taken], now_ms: int) -> frozenset[int]:
    """Numbers of those of one registry's ``snapshots`` that stay at ``now_ms``."""
    ordered = sorted(snapshots, key=lambda taken: taken.number)
    kept = {ordered[-1].number} if ordered else set()
    for term in retention.terms:
        kept.update(_kept_by(term, ordered, now_ms))
    return frozenset(kept | set(_answers(ordered, kept)))


def _kept_by(term: Term, ordered: Sequence[Taken], now_ms: int) -> Iterator[int]:
    if term.kind == "last":
        yield from (taken.number for taken in ordered[-(term.count or 0) :])
        return
    if term.kind == "days":
        since = now_ms - (term.count or 0) * _DAY_MS
        yield from (taken.number for taken in ordered if taken.taken_at_ms >= since)
        return
    period = _PERIODS[term.kind]
    best: dict[int, Taken] = {}
    for taken in ordered:
        at = period(taken.taken_at_ms)
        if term.count is not None and at <= period(now_ms) - term.count:
            continue
        if at not in best or _RANK[taken.status] >= _RANK[best[at].status]:
            best[at] = taken
    yield from (taken.number for taken in best.values())


def _answers(ordered: Sequence[Taken], kept: set[int]) -> Iterator[int]:
    """Before the first kept ones, all refused, the last snapshot that was not."""
    last: int | None = None
    for taken in ordered:
        answered = taken.status is not ReadStatus.REFUSED
        if taken.number in kept:
            if answered:
                return
            if last is not None:
                yield last
                return
        if answered:
            last = taken.number
