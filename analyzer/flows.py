"""New and freed bytes between nights: blobs that came with their first holder and left with the last.

What no aggregate tells, for a repository that gains a gigabyte and loses one looks as if nothing had
happened. Only images that came or went are gone into, and the others only where they may hold the
same blobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.families import find_families
from analyzer.holdings import changes, references_of, sharing_groups, sort_rows
from analyzer.model.frames import Bools, Frames, Int64
from analyzer.model.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Bytes that came and went, by registry and step and by repository; s steps between s + 1 nights.

    Rows of repositories are those of ``History.frames``.
    """

    #: (registries, most steps) each; what lies behind a registry's own steps is 0.
    new_repository: Int64
    new_registry: Int64
    freed_repository: Int64
    freed_registry: Int64
    #: At repository scope, over all steps.
    new_by_repository: Int64
    freed_by_repository: Int64


def flows_between(history: History, nights: Sequence[Int64], chosen: Bools | None = None) -> Flows:
    """What came and went between the ``nights`` of each registry (ascending, numbered as there).

    With ``chosen`` (by repository) as if there were no others. A blob that came and went between two
    nights is in no figure, and bytes that nobody knows are not either.
    """
    frames = history.frames
    steps = max((len(own) - 1 for own in nights), default=0)
    registries, repositories = len(frames.registries), len(frames.repositories)
    result = np.zeros((4, registries, max(steps, 0)), np.int64)
    by_repository = np.zeros((2, repositories), np.int64)
    owner = frames.artifacts.repository.astype(np.int64)
    registry_of = frames.repositories["registry"].to_numpy(np.int64)
    first, gone = _steps(history, registry_of[owner], nights)
    counts = first < gone
    if chosen is not None:
        counts &= chosen[owner[history.presence.of]]
    there = np.flatnonzero(counts)
    last = np.array([len(own) for own in nights], np.int64)[registry_of[owner]]
    of = history.presence.of[there]
    moving = (first[there] > 0) | (gone[there] < last[of])
    group, group_registry = sharing_groups(frames)
    holding = _Holding(frames)
    for scope, unit, registry_of_unit in (
        (0, np.arange(repositories), registry_of),
        (1, group, group_registry),
    ):
        events = _events(holding, unit[owner[of]], of, first[there], gone[there], moving, last[of])
        for kind, (where, step, size) in enumerate(events):
            np.add.at(result[2 * kind + scope], (registry_of_unit[where], step - 1), size)
            if scope == 0:
                np.add.at(by_repository[kind], where, size)
    return Flows(
        new_repository=result[0],
        new_registry=result[1],
        freed_repository=result[2],
        freed_registry=result[3],
        new_by_repository=by_repository[0],
        freed_by_repository=by_repository[1],
    )


def _steps(history: History, registry: Int64, nights: Sequence[Int64]) -> tuple[Int64, Int64]:
    """For each span of presence the first of ``nights`` that has it, and the first that has not."""
    presence = history.presence
    first, gone = np.zeros((2, len(presence.of)), np.int64)
    of = registry[presence.of]
    for number, own in enumerate(nights):
        mine = of == number
        first[mine] = np.searchsorted(own, presence.first[mine])
        gone[mine] = np.searchsorted(own, presence.gone[mine])
    return first, gone


class _Holding:
    """Which blobs artifacts hold."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self.size = frames.blob_size_bytes
        self.holds = find_families(frames).holders

    def references(self, artifacts: Int64) -> tuple[Int64, Int64]:
        """(position in ``artifacts``, blob) of everything that these hold and a registry stores."""
        holders = np.flatnonzero(self.holds[artifacts])
        within, blob = references_of(self._frames, artifacts[holders])
        return holders[within], blob.astype(np.int64)


_Event = tuple[Int64, Int64, Int64]


def _events(
    holding: _Holding,
    unit: Int64,
    artifact: Int64,
    first: Int64,
    gone: Int64,
    moving: Bools,
    last: Int64,
) -> tuple[_Event, _Event]:
    """(unit, step, size) of every blob that came to its unit, and of every one that left it."""
    movers = np.flatnonzero(moving)
    within, blob = holding.references(artifact[movers])
    row = movers[within]
    # A blob that something holds which stays throughout neither comes nor goes.
    touched = np.zeros(int(unit.max(initial=0)) + 1, np.bool_)
    touched[unit[movers]] = True
    stays = np.flatnonzero(~moving & touched[unit])
    wanted = np.zeros(len(holding.size), np.bool_)
    wanted[blob] = True
    within, held = holding.references(artifact[stays])
    candidates = wanted[held]
    bits = len(holding.size).bit_length()
    fixed = np.unique((unit[stays[within[candidates]]] << bits) | held[candidates])
    key = (unit[row] << bits) | blob
    if len(fixed):
        at = np.minimum(np.searchsorted(fixed, key), len(fixed) - 1)
        free = fixed[at] != key
        row, blob = row[free], blob[free]
    owner, blob, begin, end, until = sort_rows(unit[row], blob, first[row], gone[row], last[row])
    starts = changes(owner, blob)
    # The latest end among the holders before, inside each blob: behind it a new interval begins.
    number = np.cumsum(starts) - 1
    width = int(end.max(initial=0)) + 1
    reached = np.maximum.accumulate(number * width + end) - number * width
    before = np.concatenate((np.zeros(1, np.int64), reached[:-1])) if len(reached) else reached
    opens = starts | (begin > before)
    closes = np.concatenate((opens[1:], np.ones(1, np.bool_))) if len(opens) else opens
    size = holding.size[blob]
    came = opens & (begin > 0)
    left = closes & (reached < until)
    return (owner[came], begin[came], size[came]), (owner[left], reached[left], size[left])
