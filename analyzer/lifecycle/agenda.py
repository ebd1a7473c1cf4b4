"""When to judge which repository: wherever something can have changed since it last was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from analyzer.lifecycle.census import DAY_MS
from analyzer.lifecycle.past import Located, Past
from analyzer.lifecycle.policy import Action, CountType, Policy
from analyzer.model.frames import NO_TIME, Bools, Int64
from analyzer.model.history import ValueSpans


class Agenda:
    """The repositories to look at by moment, from the first on; more can be noted on the way."""

    def __init__(self, past: Past, policies: Sequence[Policy], in_force: ValueSpans, *, ahead: bool) -> None:
        """Note all that is known beforehand; ``in_force`` and ``ahead`` are those of `replay`."""
        self._past = past
        self._policies = policies
        self._in_force = in_force
        self._ahead = ahead
        self._agenda: list[list[Int64]] = [[] for _ in range(int(past.moments.counts.max(initial=0)))]
        self._plan()

    def __iter__(self) -> Iterator[tuple[int, Int64]]:
        """Each moment that has any, and its repositories, ascending; each is given once."""
        for moment, rows in enumerate(self._agenda):
            if rows:
                yield moment, np.unique(np.concatenate(rows))
            rows.clear()

    def note(self, repository: Int64, moment: Int64) -> None:
        """Look at each ``repository`` at its ``moment``, unless that is past its last one."""
        keep = moment < self._past.moments.counts[self._past.registry_of[repository]]
        key = np.unique((moment[keep] << 32) | repository[keep])
        moments = key >> 32
        starts = np.flatnonzero(np.diff(moments, prepend=-1))
        for begin, end in pairwise([*starts.tolist(), len(key)]):
            self._agenda[int(moments[begin])].append(key[begin:end] & 0xFFFFFFFF)

    def note_archived(self, rows: Int64, moment: int) -> None:
        """Look again where what was archived now passes a limit for archived images."""
        registry = self._past.registry_of[rows]
        now_ms = self._past.moments.ms[self._past.moments.offsets[registry] + moment]
        limits = {
            rule.count_number
            for policy in self._policies
            for rule in policy.rules
            if rule.count_type is CountType.SINCE_IMAGE_TRANSITIONED and rule.action is Action.EXPIRE
        }
        for days in sorted(limits):
            self.note(rows, self._past.moments.after(registry, now_ms + days * DAY_MS))

    def _plan(self) -> None:
        past, history = self._past, self._past.history
        has_policy = np.zeros(len(past.registry_of), np.bool_)
        counts_pulls = np.zeros(len(past.registry_of), np.bool_)
        has_policy[self._in_force.of] = True
        of_pulls = [
            any(rule.count_type is CountType.SINCE_IMAGE_PULLED for rule in policy.rules)
            for policy in self._policies
        ]
        counts_pulls[self._in_force.of[np.array(of_pulls, np.bool_)[self._in_force.value]]] = True
        registry = past.registry_of[self._in_force.of]
        self.note(self._in_force.of, past.moments.of_night(registry, self._in_force.first.astype(np.int64)))
        for located, chosen in (
            (past.presence, has_policy),
            (past.tags, has_policy),
            (past.pulls, counts_pulls),
        ):
            mine = chosen[located.repository]
            for ends in (located.first, located.gone):
                self.note(located.repository[mine], ends[mine])
        presence = history.presence
        restored = np.where(
            presence.activated_at_ms == NO_TIME, presence.pushed_at_ms, presence.activated_at_ms
        )
        pulled = history.pulls.value.astype(np.int64) * DAY_MS + DAY_MS - 1
        for count_type, limit, rows in self._limits():
            chosen = np.zeros(len(past.registry_of), np.bool_)
            chosen[rows] = True
            if count_type is CountType.SINCE_IMAGE_TRANSITIONED:
                self._note_passing(past.presence, presence.archived_at_ms, limit, chosen)
                continue
            self._note_passing(past.presence, restored, limit, chosen)
            if count_type is CountType.SINCE_IMAGE_PULLED:
                self._note_passing(past.pulls, pulled, limit, chosen)

    def _limits(self) -> list[tuple[CountType, int, Int64]]:
        """Every limit in days of the policies, with the repositories that it is in force in."""
        found: dict[tuple[CountType, int], list[Int64]] = {}
        order = np.argsort(self._in_force.value, kind="stable")
        bounds = np.searchsorted(self._in_force.value[order], np.arange(len(self._policies) + 1))
        for number, policy in enumerate(self._policies):
            rows = self._in_force.of[order[bounds[number] : bounds[number + 1]]]
            for rule in policy.rules:
                if rule.count_type is not CountType.IMAGE_COUNT_MORE_THAN and len(rows):
                    found.setdefault((rule.count_type, rule.count_number), []).append(rows)
        return [(kind, days, np.unique(np.concatenate(rows))) for (kind, days), rows in found.items()]

    def _note_passing(self, located: Located, since_ms: Int64, days: int, chosen: Bools) -> None:
        """Look again where something passes a limit of ``days`` while it is there."""
        at = np.flatnonzero(chosen[located.repository] & (since_ms != NO_TIME))
        repository = located.repository[at]
        # Strictly more than the limit is needed.
        moment = self._past.moments.after(self._past.registry_of[repository], since_ms[at] + days * DAY_MS)
        if self._ahead:
            moment = np.maximum(moment - 1, 0)
        inside = (located.first[at] <= moment) & (moment < located.gone[at])
        self.note(repository[inside], moment[inside])
