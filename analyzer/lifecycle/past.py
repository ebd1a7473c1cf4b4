"""A history made ready for replays: moments in place of nights, and what was there at each."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from analyzer.families import Families, find_families, spans
from analyzer.lifecycle.census import DAY_MS, NameMatches
from analyzer.lifecycle.evaluation import Options
from analyzer.model.frames import Int64
from analyzer.model.history import History, Spans, ValueSpans


class Moments:
    """The moments of each registry, and nights as moments."""

    def __init__(self, history: History) -> None:
        ms, night, firsts, counts = [], [], [], []
        for registry in range(len(history.night_offsets) - 1):
            taken = history.nights_of(registry)
            upto = np.append(taken[1:], taken[-1:])
            # The next night stands for the day that ends close to it.
            between = np.maximum(0, (upto - taken - DAY_MS // 2) // DAY_MS)
            steps = 1 + between
            steps[-1:] = 1
            number = spans(np.zeros(len(taken), np.int64), steps)
            ms.append(np.repeat(taken, steps) + number * DAY_MS)
            night.append(np.repeat(np.arange(len(taken)), steps))
            firsts.append(np.concatenate((np.cumsum(steps) - steps, [int(steps.sum())])))
            counts.append(int(steps.sum()))
        nothing = [np.zeros(0, np.int64)]
        self.counts = np.array(counts, np.int64)
        self.offsets: Int64 = np.concatenate((np.zeros(1, np.int64), np.cumsum(self.counts)))
        #: Of all registries, one after the other.
        self.ms: Int64 = np.concatenate(nothing + ms)
        self.night: Int64 = np.concatenate(nothing + night)
        self._first: Int64 = np.concatenate(nothing + firsts)
        self._first_offsets = history.night_offsets[:-1] + np.arange(len(counts))

    def of_night(self, registry: Int64, night: Int64) -> Int64:
        """The first moment of each ``night``; of one past the last, the number of moments."""
        first: Int64 = self._first[self._first_offsets[registry] + night]
        return first

    def after(self, registry: Int64, ms: Int64) -> Int64:
        """The first moment of each registry later than ``ms``; the number of moments where none is."""
        found = np.zeros(len(ms), np.int64)
        for number, (begin, end) in enumerate(pairwise(self.offsets.tolist())):
            mine = registry == number
            found[mine] = np.searchsorted(self.ms[begin:end], ms[mine], side="right")
        return found


class Past:
    """A history made ready for any number of replays."""

    def __init__(self, history: History, *, options: Options | None = None) -> None:
        self.history = history
        self.families: Families = find_families(history.frames)
        self.moments = Moments(history)
        self.options = options or Options()
        self.name_matches = NameMatches(history.tag_names)
        artifacts, repositories = history.frames.artifacts, history.frames.repositories
        self.repository: Int64 = artifacts.repository.astype(np.int64)
        self.registry_of: Int64 = repositories["registry"].to_numpy(np.int64)
        count = len(repositories)
        self.presence = Located(history.presence, self.repository, self, count)
        self.tags = Located(history.tags, self.repository, self, count)
        self.pulls = Located(history.pulls, self.repository, self, count)
        self.pairs = np.searchsorted(self.repository[self.families.parent], np.arange(count + 1))
        self.here = np.full(len(self.repository), -1, np.int64)

    def everywhere(self, policy_of: Int64) -> ValueSpans:
        """The policies at positions ``policy_of`` (-1 for none) in each repository, all the time."""
        rows = np.flatnonzero(policy_of >= 0)
        nights = np.diff(self.history.night_offsets)[self.registry_of[rows]]
        return ValueSpans(rows, np.zeros(len(rows), np.int32), nights.astype(np.int32), policy_of[rows])


class Located:
    """Spans of artifacts as intervals of moments, those of one repository side by side."""

    def __init__(self, of: Spans, repository: Int64, past: Past, repositories: int) -> None:
        self.repository = repository[of.of]
        registry = past.registry_of[self.repository]
        self.first = past.moments.of_night(registry, of.first.astype(np.int64))
        self.gone = past.moments.of_night(registry, of.gone.astype(np.int64))
        self._offsets = np.searchsorted(self.repository, np.arange(repositories + 1))

    def at(self, rows: Int64, moment: int) -> Int64:
        """Positions of the spans of the repositories ``rows`` that hold at that moment."""
        starts = self._offsets[rows]
        found = spans(starts, self._offsets[rows + 1] - starts)
        return found[(self.first[found] <= moment) & (moment < self.gone[found])]
