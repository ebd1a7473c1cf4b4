"""What is new in each week, and what comes of it where nothing ever leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzer.births import Births
from analyzer.forecast.draws import MONTH_ENDS, Draws
from analyzer.forecast.record import LONG_AGO, MOST_WEEKS, WEEK_MS, Record
from analyzer.holdings import changes
from analyzer.model.frames import NO_TIME, Int64

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """New in each of the last weeks, by repository of the present frames: (repositories, MOST_WEEKS).

    At registry scope a blob is new where it was pushed first in its sharing group. A float holds bytes
    exactly up to 8 PiB.
    """

    artifacts: _Floats
    bytes_repository: _Floats
    bytes_registry: _Floats


def weekly_news(record: Record, births: Births, size_bytes: Int64, rows: Int64, *, at_ms: int) -> Weekly:
    """What came in each week; ``births`` are those of ``record.frames``.

    ``rows`` gives the row of the present frames for each repository of ``record.frames``, -1 for none.
    """
    repositories = len(record.weeks)
    news = np.zeros((3, repositories, MOST_WEEKS))

    def count(into: _Floats, row: Int64, week: Int64, values: Int64) -> None:
        recent = (row >= 0) & (week < MOST_WEEKS)
        np.add.at(into, (row[recent], week[recent]), values[recent])

    count(news[0], record.repository, record.week, np.ones(len(record.week), np.int64))
    count(news[1], rows[births.repository], weeks_ago(births.born_ms, at_ms), size_bytes[births.blob])
    # Of the repositories that hold a blob of the group the one that was first; ties by their order.
    bits = len(size_bytes).bit_length()
    where = np.searchsorted(
        (births.group << bits) | births.group_blob,
        (births.group_of_repository[births.repository] << bits) | births.blob,
    )
    order = np.lexsort((births.repository, births.born_ms, where))
    first = order[changes(where[order])]
    owner = rows[births.repository[first]]
    count(news[2], owner, weeks_ago(births.group_born_ms, at_ms), size_bytes[births.group_blob])
    return Weekly(artifacts=news[0], bytes_repository=news[1], bytes_registry=news[2])


def weeks_ago(moments: Int64, at_ms: int) -> Int64:
    """In which week before ``at_ms`` each moment lies, 0 for the last; LONG_AGO where it is unknown."""
    known = moments != NO_TIME
    ago = np.maximum(at_ms - np.where(known, moments, at_ms), 0) // WEEK_MS
    return np.where(known, ago, LONG_AGO)


def grown(weekly: _Floats, weeks: Int64, owner: Int64, owners: int, draws: Draws) -> _Floats:
    """(replays, months + 1, owners): sums of what is new from now to the end of each month.

    ``weekly`` is one figure of ``Weekly``, ``weeks`` how many weeks of each repository are known (of
    those with 0 nothing is expected), ``owner`` whose it is, -1 for nobody's.
    """
    sums = np.zeros((draws.replays, len(MONTH_ENDS), owners))
    for known in np.unique(weeks[weeks > 0]).tolist():
        rows = np.flatnonzero((weeks == known) & (owner >= 0))
        if not len(rows):
            continue
        by_owner = np.zeros((owners, known))
        np.add.at(by_owner, owner[rows], weekly[rows, :known])
        busy = np.flatnonzero(by_owner.any(axis=1))
        times = draws.times(known).astype(np.float64)
        sums[:, :, busy] += times @ by_owner[busy].T
    return sums


def grown_at_end(weekly: _Floats, weeks: Int64, draws: Draws) -> _Floats:
    """(repositories, replays): what is new from now to the end of the last month."""
    sums = np.zeros((len(weeks), draws.replays))
    for known in np.unique(weeks[weeks > 0]).tolist():
        rows = np.flatnonzero(weeks == known)
        rows = rows[weekly[rows, :known].any(axis=1)]
        sums[rows] = weekly[rows, :known] @ draws.times(known)[:, -1].T.astype(np.float64)
    return sums
