"""Which weeks of the past a replay lives through."""

from __future__ import annotations

import numpy as np

from analyzer.model.frames import Int64

#: Weeks that are forecast, and those in which a month of the forecast ends.
HORIZON = 52
MONTH_ENDS = tuple(round(month * HORIZON / 12) for month in range(13))
#: A replay draws from so many consecutive weeks, all beginnings of which are possible: how busy
#: repositories are stays alike for months, and what is to come is not an average of all that was.
WINDOW = 8
#: A beginning so many weeks before another is half as likely.
HALF_LIFE = 8.0
#: Expected number of weeks that follow each other as they did in the past.
RUN = 4


class Draws:
    """The weeks of some replays, counted backwards: 0 is the week that ends now."""

    def __init__(self, rng: np.random.Generator, *, weeks: int, replays: int) -> None:
        """Draw for ``replays`` from the last ``weeks`` (at least one)."""
        window = min(WINDOW, weeks)
        newest = np.arange(weeks - window + 1)
        likely = 0.5 ** (newest / HALF_LIFE)
        first = rng.choice(newest, replays, p=likely / likely.sum())
        source, start = np.zeros((2, replays, HORIZON), np.int64)
        at, begun = first, np.zeros(replays, np.int64)
        for week in range(HORIZON):
            jumps = (rng.random(replays) < 1 / RUN) | (at <= first) | (week == 0)
            at = np.where(jumps, first + rng.integers(0, window, replays), at - 1)
            begun = np.where(jumps, week, begun)
            source[:, week], start[:, week] = at, begun
        self.replays = replays
        self._drawn = source, start
        self._of: dict[int, tuple[Int64, Int64]] = {}

    def of(self, weeks: int) -> tuple[Int64, Int64]:
        """(replays, HORIZON) each: the source of each week, and the week in which its run began.

        For a repository of which the last ``weeks`` alone are known: older ones are replaced by them,
        over and over.
        """
        if weeks not in self._of:
            source, start = self._drawn
            source = source % weeks
            follows = np.zeros(source.shape, np.bool_)
            follows[:, 1:] = (source[:, 1:] == source[:, :-1] - 1) & (start[:, 1:] == start[:, :-1])
            begun = np.where(follows, 0, np.arange(HORIZON))
            self._of[weeks] = source, np.maximum.accumulate(begun, axis=1)
        return self._of[weeks]

    def times(self, weeks: int) -> Int64:
        """(replays, months + 1, weeks): how often each source was lived through by the end of a month."""
        source, _ = self.of(weeks)
        lived = np.zeros((self.replays, HORIZON, weeks), np.int64)
        np.put_along_axis(lived, source[:, :, None], 1, axis=2)
        sums = np.concatenate(
            (np.zeros((self.replays, 1, weeks), np.int64), np.cumsum(lived, axis=1)), axis=1
        )
        chosen: Int64 = sums[:, list(MONTH_ENDS)]
        return chosen
