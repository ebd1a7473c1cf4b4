"""What checks of repositories should find, slowly: each artifact looked at by itself, by definition.

Builds on the slow twin of the storage analysis for what is orphaned and stale.
"""

from __future__ import annotations

from collections.abc import Collection

from analyzer.families import Families
from analyzer.model.frames import NEVER_PULLED, NO_TIME, Frames
from tests.oracle import storage

DAY_MS = 86_400_000
ORPHAN_DAYS = 14


def lost_idle_pulled(
    frames: Frames, families: Families, needed: Collection[int], *, now_ms: int, stale_days: int
) -> tuple[set[int], set[int], set[int]]:
    """Positions of artifacts that are lost, that are idle, and that were ever pulled (or an index above)."""
    tables = storage.analyze(frames, now_ms=now_ms, stale_days=stale_days)
    principals = families.principals().tolist()
    subjects_needed = {position for position, end in enumerate(principals) if end in needed}
    parents: dict[int, set[int]] = {}
    for parent, child in zip(families.parent.tolist(), families.child.tolist(), strict=True):
        parents.setdefault(child, set()).add(parent)
    public = frames.is_public.tolist()
    lost, idle, pulled = set(), set(), set()
    for position, row in enumerate(tables.artifacts):
        above = _above(principals[position], parents)
        pushes = [int(frames.artifacts.pushed_at_ms[other]) for other in above]
        is_old = NO_TIME not in pushes and max(pushes) < now_ms - ORPHAN_DAYS * DAY_MS
        if row["orphaned"] and is_old and position not in subjects_needed:
            lost.add(position)
        is_private = not public[int(frames.artifacts.repository[position])]
        if row["stale"] and position not in subjects_needed and is_private:
            idle.add(position)
        if any(frames.artifacts.pulled_day[other] != NEVER_PULLED for other in _above(position, parents)):
            pulled.add(position)
    return lost, idle, pulled


def _above(position: int, parents: dict[int, set[int]]) -> set[int]:
    """The artifact and all indexes above it."""
    family = {position}
    while True:
        more = {parent for member in family for parent in parents.get(member, ())} - family
        if not more:
            return family
        family |= more
