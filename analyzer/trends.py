"""What is stored from day to day, by the aggregates that the store keeps: growth, movers, comparisons.

Pure functions over ``StoredFacts``; no images are looked at. A day shows the last snapshot that was
taken on it (UTC), and a day without one is a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from analyzer.model.frames import Bools, Int64
from analyzer.model.results import ScopedBytes
from analyzer.model.trends import (
    Change,
    Comparison,
    Curve,
    Movement,
    Period,
    RepositoryTrend,
    StoredFacts,
    UnknownDay,
)
from analyzer.model.units import from_day, from_ms
from analyzer.pricing import PriceBook, StorageRates, rates

DAY_MS = 86_400_000
#: A registry that was not read for so many days is left out of the totals; until then its days are gaps.
LOST_DAYS = 7
#: Places that a reason names.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Days:
    """The facts of consecutive days, as arrays of (repository or registry, day)."""

    first_day: int
    #: Night that each registry shows on each day, -1 for none.
    night: Int64
    #: Registry of each repository.
    registry: Int64
    exists: Bools
    known: Bools
    stale: Bools
    artifacts: Int64
    repository_bytes: Int64
    registry_bytes: Int64
    #: By registry: its days are known; and sums over its repositories with what they share.
    registry_known: Bools
    registry_artifacts: Int64
    total_repository: Int64
    total_registry: Int64
    #: By registry: whether it belongs to a day's total.
    expected: Bools

    @property
    def total_known(self) -> Bools:
        """Days on which every registry that belongs to the total is known."""
        counted = self.registry_known | ~self.expected
        return np.logical_and(self.expected.any(axis=0), counted.all(axis=0))


def days_of(stored: StoredFacts, first_day: int, last_day: int, chosen: Bools | None = None) -> Days:
    """The figures of every day from ``first_day`` to ``last_day``, both counted from 1970-01-01.

    With ``chosen`` (by repository) those of these repositories alone. What they share with each other is
    then in no figure at registry scope, for no aggregate tells whose it is.
    """
    count = last_day - first_day + 1
    registries = len(stored.registries)
    registry = stored.repositories["registry"].to_numpy(np.int64)
    night = np.full((registries, count), -1)
    expected = np.zeros((registries, count), np.bool_)
    days = np.arange(first_day, last_day + 1)
    for number in range(registries):
        nights = slice(*stored.night_offsets[number : number + 2].tolist())
        day_of = stored.night_ms[nights] // DAY_MS
        at = np.searchsorted(day_of, days, side="right") - 1
        found = (at >= 0) & (day_of[at] == days) if len(day_of) else np.zeros(count, np.bool_)
        night[number, found] = at[found]
        whole = day_of[stored.night_complete[nights]]
        if len(whole):
            last = int(whole[-1])
            expected[number] = (days >= whole[0]) & ((days <= last) | (last > last_day - LOST_DAYS))
    sizes = len(registry), count
    exists, complete, has_facts = (np.zeros(sizes, np.bool_) for _ in range(3))
    artifacts, physical, unique = (np.zeros(sizes, np.int64) for _ in range(3))
    shared, has_shared = np.zeros((registries, count), np.int64), np.zeros((registries, count), np.bool_)
    for number in range(registries):
        held = np.flatnonzero(night[number] >= 0)
        nights_held = night[number, held]
        own = registry == number
        for rows, target in ((stored.existence, exists), (stored.complete, complete)):
            mine = rows[own[rows[:, 0]]].astype(np.int64)
            _fill(target, mine, held, nights_held, np.ones((len(mine), 1), np.int64), (target,))
        mine = stored.facts[own[stored.facts[:, 0]]]
        _fill(has_facts, mine, held, nights_held, mine[:, 3:], (artifacts, physical, unique))
        mine = stored.shared[stored.shared[:, 0] == number]
        _fill(has_shared, mine, held, nights_held, mine[:, 3:], (shared,))
    for values in (artifacts, physical, unique):
        # Facts of a repository that is gone are not closed: it is ``existence`` that says so.
        values[~exists] = 0
    if chosen is not None:
        for values in (artifacts, physical, unique):
            values[~chosen] = 0
        shared[:] = 0
        expected &= np.isin(np.arange(registries), registry[chosen])[:, None]
    whole_night = np.zeros((registries, count), np.bool_)
    for number in range(registries):
        nights = slice(*stored.night_offsets[number : number + 2].tolist())
        held = night[number] >= 0
        whole_night[number, held] = stored.night_complete[nights][night[number, held]]
    lacking = exists & ~has_facts
    registry_known = whole_night & has_shared & (_by_registry(registry, lacking, registries) == 0)
    return Days(
        first_day=first_day,
        night=night,
        registry=registry,
        exists=exists,
        known=registry_known[registry] & (~exists | complete),
        stale=exists & ~complete & registry_known[registry],
        artifacts=artifacts,
        repository_bytes=physical,
        registry_bytes=unique,
        registry_known=registry_known,
        registry_artifacts=_by_registry(registry, artifacts, registries),
        total_repository=_by_registry(registry, physical, registries),
        total_registry=_by_registry(registry, unique, registries) + shared,
        expected=expected,
    )


def _fill(
    marks: Bools, spans: Int64, held: Int64, nights: Int64, values: Int64, targets: tuple[Int64 | Bools, ...]
) -> None:
    """Write ``values`` of spans (row, first, gone, …) on the days ``held``, which show ``nights``."""
    if not len(held):
        return
    begin = np.searchsorted(nights, spans[:, 1])
    end = np.searchsorted(nights, spans[:, 2])
    lengths = np.maximum(end - begin, 0)
    row = np.repeat(spans[:, 0], lengths)
    starts = np.cumsum(lengths) - lengths
    day = held[np.arange(int(lengths.sum())) - np.repeat(starts - begin, lengths)]
    marks[row, day] = True
    for column, target in enumerate(targets):
        target[row, day] = np.repeat(values[:, column], lengths)


def _by_registry(registry: Int64, values: Int64 | Bools, registries: int) -> Int64:
    sums = np.zeros((registries, values.shape[1]), np.int64)
    np.add.at(sums, registry, values)
    return sums


def total_curve(days: Days, begin: int = 0) -> tuple[Curve, Int64]:
    """The total of all registries from the day at ``begin`` on, and how many repositories are stale in it."""
    known = days.total_known
    counted = days.expected & known

    def total(values: Int64) -> Int64:
        sums: Int64 = np.where(counted, values, 0).sum(axis=0)[begin:]
        return sums

    stale = (days.stale & counted[days.registry]).sum(axis=0)[begin:]
    curve = Curve(
        first_day=days.first_day + begin,
        known=known[begin:],
        artifacts=total(days.registry_artifacts),
        repository_bytes=total(days.total_repository),
        registry_bytes=total(days.total_registry),
    )
    return curve, stale.astype(np.int64)


def unknown_days(days: Days, stored: StoredFacts, begin: int = 0) -> tuple[UnknownDay, ...]:
    """Why the total of a day is not known, for each such day from the one at ``begin`` on."""
    names = _names(stored)
    found = []
    for day in np.flatnonzero(~days.total_known[begin:]).tolist():
        at = day + begin
        expected = days.expected[:, at]
        missing = np.flatnonzero(expected & (days.night[:, at] < 0)).tolist()
        unread = np.flatnonzero(expected & (days.night[:, at] >= 0) & ~days.registry_known[:, at]).tolist()
        reasons = []
        if not expected.any():
            reasons.append("no registry had been read yet")
        if missing:
            reasons.append(f"no snapshot of {_listed([names[row] for row in missing])}")
        if unread:
            reasons.append(f"{_listed([names[row] for row in unread])} could not be read whole")
        found.append(UnknownDay(day=from_day(days.first_day + at), reason="; ".join(reasons)))
    return tuple(found)


def breaks(days: Days, stored: StoredFacts, begin: int = 0) -> tuple[UnknownDay, ...]:
    """The days behind the one at ``begin`` from which on other registries make up the total."""
    names = _names(stored)
    found = []
    for at in range(begin + 1, days.expected.shape[1]):
        before, after = days.expected[:, at - 1], days.expected[:, at]
        if not before.any() or np.array_equal(before, after):
            continue
        words = []
        if joins := [names[row] for row in np.flatnonzero(after & ~before).tolist()]:
            words.append(f"with {_listed(joins)} from here on")
        if leaves := [names[row] for row in np.flatnonzero(before & ~after).tolist()]:
            words.append(f"without {_listed(leaves)} from here on, which was not read any more")
        found.append(UnknownDay(day=from_day(days.first_day + at), reason="; ".join(words)))
    return tuple(found)


def comparisons(days: Days) -> tuple[Comparison, ...]:
    """This week, these 30 days and this month so far beside what came before them.

    Each is measured from the last day before it to its last one, on the days that are known, over
    the registries that are known at both ends.
    """
    last = from_day(days.first_day + days.expected.shape[1] - 1)
    found = [_comparison(days, "7 days", 7, last), _comparison(days, "30 days", 30, last)]
    start = last.replace(day=1) - timedelta(1)
    former_start = start.replace(day=1) - timedelta(1)
    # As many days of the month before, or all of it where it is shorter.
    former_end = min(former_start + (last - start), start)
    this, former = _change(days, start, last), _change(days, former_start, former_end)
    found.append(Comparison(period="month", this=this, former=former, unknown=_why_unknown(this, former)))
    return tuple(found)


def _comparison(days: Days, period: Period, length: int, last: date) -> Comparison:
    first = last - timedelta(length)
    this, former = _change(days, first, last), _change(days, first - timedelta(length), first)
    return Comparison(period=period, this=this, former=former, unknown=_why_unknown(this, former))


def _why_unknown(this: Change | None, former: Change | None) -> str:
    missing = [name for name, change in (("this", this), ("the former", former)) if change is None]
    return f"fewer than two days of {' and '.join(missing)} period are known" if missing else ""


def _change(days: Days, first: date, last: date) -> Change | None:
    epoch = date(1970, 1, 1)
    begin = max((first - epoch).days - days.first_day, 0)
    end = (last - epoch).days - days.first_day + 1
    known = np.flatnonzero(days.total_known[begin:end]) + begin
    if end <= begin or len(known) < 2:
        return None
    start, stop = int(known[0]), int(known[-1])
    both = days.registry_known[:, start] & days.registry_known[:, stop]

    def difference(values: Int64) -> int:
        return int((values[both, stop] - values[both, start]).sum())

    return Change(
        first=from_day(days.first_day + start),
        last=from_day(days.first_day + stop),
        days_known=len(known),
        days=(last - first).days + 1,
        bytes=ScopedBytes(
            repository=difference(days.total_repository), registry=difference(days.total_registry)
        ),
        artifacts=difference(days.registry_artifacts),
    )


def repository_trends(
    days: Days,
    stored: StoredFacts,
    prices: PriceBook,
    flows: tuple[Int64, Int64] | None,
    *,
    begin: int = 0,
    chosen: Bools | None = None,
) -> tuple[RepositoryTrend, ...]:
    """Each repository from the day at ``begin`` on, greatest movement first.

    ``flows`` are new and freed bytes by repository; ``chosen`` says which repositories are asked for.
    What was gone before these days is left out.
    """
    wanted = days.exists[:, begin:].any(axis=1)
    if chosen is not None:
        wanted &= chosen
    price = _rates_now(days, stored, prices)
    rows = [_repository(days, stored, price, flows, row, begin) for row in np.flatnonzero(wanted).tolist()]
    return tuple(sorted(rows, key=_movement))


def _movement(trend: RepositoryTrend) -> tuple[object, ...]:
    moved = abs(trend.change.bytes.repository) if trend.change else -1
    return -moved, trend.account, trend.region, trend.repository, trend.created_at


def _repository(
    days: Days,
    stored: StoredFacts,
    price: dict[int, StorageRates],
    flows: tuple[Int64, Int64] | None,
    row: int,
    begin: int,
) -> RepositoryTrend:
    registry = int(days.registry[row])
    known = days.known[row, begin:]
    at = np.flatnonzero(known)
    curve = Curve(
        first_day=days.first_day + begin,
        known=known,
        artifacts=np.where(known, days.artifacts[row, begin:], 0),
        repository_bytes=np.where(known, days.repository_bytes[row, begin:], 0),
        registry_bytes=np.where(known, days.registry_bytes[row, begin:], 0),
    )
    change = None
    if len(at) > 1:
        first, last = int(at[0]), int(at[-1])

        def difference(values: Int64) -> int:
            return int(values[last] - values[first])

        change = Change(
            first=from_day(curve.first_day + first),
            last=from_day(curve.first_day + last),
            days_known=len(at),
            days=curve.days,
            bytes=ScopedBytes(
                repository=difference(curve.repository_bytes), registry=difference(curve.registry_bytes)
            ),
            artifacts=difference(curve.artifacts),
        )
    place = stored.registries.iloc[registry]
    moved = change.bytes.repository if change else None
    return RepositoryTrend(
        account=place["account"],
        region=place["region"],
        repository=stored.repositories["repository"].iloc[row],
        created_at=from_ms(int(stored.repositories["created_at_ms"].iloc[row])),
        curve=curve,
        change=change,
        cost_change=None if moved is None else price[registry].freed(standard_bytes=moved, archive_bytes=0),
        new_bytes=None if flows is None or change is None else int(flows[0][row]),
        freed_bytes=None if flows is None or change is None else int(flows[1][row]),
        movement=_word(days.exists[row, begin:][at], moved),
    )


def _word(exists: Bools, moved: int | None) -> Movement:
    if moved is None:
        return "unknown"
    if not exists[-1]:
        return "gone"
    if not exists[0]:
        return "new"
    return "grown" if moved > 0 else "shrunk" if moved < 0 else "same"


def _rates_now(days: Days, stored: StoredFacts, prices: PriceBook) -> dict[int, StorageRates]:
    """What a byte costs in the region of each registry, given the bytes that its last days show."""
    regions = stored.registries["region"].tolist()
    now = {
        row: int(days.total_repository[row, known[-1]]) if len(known) else 0
        for row, known in ((row, np.flatnonzero(days.registry_known[row])) for row in range(len(regions)))
    }
    return {
        row: rates(
            prices,
            region,
            standard_bytes_total=sum(size for other, size in now.items() if regions[other] == region),
            archive_bytes_total=0,
        )
        for row, region in enumerate(regions)
    }


def _names(stored: StoredFacts) -> list[str]:
    columns = stored.registries["account"].tolist(), stored.registries["region"].tolist()
    return [f"{account}/{region}" for account, region in zip(*columns, strict=True)]


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED:,} more" if len(names) > _NAMED else shown


def known_runs(known: Bools) -> Iterator[tuple[int, int]]:
    """(first, end) of every run of known days."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], known, [False])).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
