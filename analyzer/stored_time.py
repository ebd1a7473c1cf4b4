"""How long bytes were stored, and how long they would have been, had images left earlier.

A blob is stored as long as any artifact of its scope holds it: the union of the intervals in which
its holders were there. Bytes times that time is what a bill of storage counts, exactly, whatever the
nights between; a part of it is in the archive class as long as no holder of the standard class is
left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.families import spans
from analyzer.holdings import changes, references_of, runs_of_repositories, sharing_groups, sort_rows
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.replay import Verdict
from analyzer.model.frames import Bools, Int64
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome

_FOREVER = np.iinfo(np.int64).max
#: Bits of a moment in milliseconds since 1970, up to the year 2109.
_MS_BITS = 42


@dataclass(frozen=True, slots=True)
class SavedTime:
    """Byte-milliseconds that would not have been stored, in the standard and in the archive class.

    Negative ones are of bytes that would have been in that class, and were not.
    """

    #: By repository, each on its own; and by registry, at registry scope.
    repositories: Sequence[tuple[int, int]]
    registries: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Held:
    """Holders of blobs and their intervals, in truth and as they would have been; parallel."""

    repository: Int64
    blob: Int64
    begin: Int64
    end: Int64
    is_archived: Bools
    #: As it would have been: until then at all, and from then on archived.
    left: Int64
    archived: Int64


def saved_time(past: Past, taken: Verdict) -> SavedTime:
    """What ``taken`` of the registries of ``past`` would have saved up to their last nights."""
    count = len(past.registry_of)
    nothing = [(0, 0)] * count
    if not len(taken.artifact):
        return SavedTime(nothing, [(0, 0)] * len(past.moments.counts))
    group, registry_of_group = sharing_groups(past.history.frames)
    held = _held(past, taken, group)
    size = past.history.frames.blob_size_bytes
    repositories = _saved(held, held.repository, size, count)
    groups = _saved(held, group[held.repository], size, len(registry_of_group))
    registries = [[0, 0] for _ in past.moments.counts]
    for number, (standard, archive) in enumerate(groups):
        registries[int(registry_of_group[number])][0] += standard
        registries[int(registry_of_group[number])][1] += archive
    return SavedTime(repositories, [(standard, archive) for standard, archive in registries])


def _held(past: Past, taken: Verdict, group: Int64) -> _Held:
    """Every holder of a blob that something taken holds, in the groups of what was taken."""
    frames, families = past.history.frames, past.families
    artifacts, manifests = frames.artifacts, frames.manifests
    is_holder = families.holders
    size = len(frames.blob_size_bytes)
    gone = np.unique(taken.artifact)
    wanted = np.zeros(size, np.bool_)
    of_gone, _ = _references(past, gone[is_holder[gone]], None)
    wanted[of_gone] = True
    touched = np.zeros(int(group.max(initial=0)) + 1, np.bool_)
    touched[group[past.repository[gone]]] = True
    holding = np.flatnonzero(is_holder & touched[group[past.repository]])
    lengths = np.diff(manifests.blob_offsets)[artifacts.manifest[holding]] if len(holding) else holding
    blobs, owners = [], []
    for begin, end in runs_of_repositories(past.repository[holding], lengths):
        found, owner = _references(past, holding[begin:end], wanted)
        blobs.append(found)
        owners.append(owner)
    blob, artifact = np.concatenate(blobs), np.concatenate(owners)

    presence = past.history.presence
    starts = np.searchsorted(presence.of, artifact)
    several = np.searchsorted(presence.of, artifact, side="right") - starts
    at = spans(starts, several)
    blob, artifact = np.repeat(blob, several), np.repeat(artifact, several)
    registry = past.registry_of[past.repository[artifact]]
    offset = past.moments.offsets[registry]
    last = past.moments.counts[registry] - 1
    pushed, activated = presence.pushed_at_ms[at], presence.activated_at_ms[at]
    return _Held(
        repository=past.repository[artifact],
        blob=blob,
        begin=past.moments.ms[offset + past.presence.first[at]],
        end=past.moments.ms[offset + np.minimum(past.presence.gone[at], last)],
        is_archived=np.isin(presence.image_status[at], (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING)),
        left=_first_since(taken, Outcome.EXPIRED, artifact, pushed),
        archived=_first_since(taken, Outcome.TRANSITIONED, artifact, np.maximum(pushed, activated)),
    )


def _references(past: Past, holders: Int64, wanted: Bools | None) -> tuple[Int64, Int64]:
    """The stored blobs of ``holders`` that are ``wanted``, each once per holder, and these."""
    within, blob = references_of(past.history.frames, holders)
    if wanted is not None:
        keep = wanted[blob]
        within, blob = within[keep], blob[keep]
    holder, blobs = sort_rows(within, blob)
    new = changes(holder, blobs)
    return blobs[new], holders[holder[new]]


def _first_since(taken: Verdict, outcome: Outcome, artifact: Int64, since_ms: Int64) -> Int64:
    """When each artifact was first taken at or after ``since_ms``; never is _FOREVER."""
    mine = taken.outcome == outcome
    known, at = taken.artifact[mine], taken.at_ms[mine]
    if not len(known):
        return np.full(len(artifact), _FOREVER)
    distinct, place = np.unique(known, return_inverse=True)
    key = np.sort((place << _MS_BITS) | at)
    which = np.minimum(np.searchsorted(distinct, artifact), len(distinct) - 1)
    is_known = distinct[which] == artifact
    found = np.searchsorted(key, (which << _MS_BITS) | np.maximum(since_ms, 0))
    first = key[np.minimum(found, len(key) - 1)]
    hit = is_known & (found < len(key)) & (first >> _MS_BITS == which)
    return np.where(hit, first & ((1 << _MS_BITS) - 1), _FOREVER)


def _saved(held: _Held, owner: Int64, size: Int64, owners: int) -> list[tuple[int, int]]:
    """Byte-milliseconds saved by each owner, in the standard and in the archive class."""
    left = np.minimum(held.end, held.left)
    standard_end = np.where(held.is_archived, held.begin, np.minimum(left, held.archived))
    truth = _covered(owner, held.blob, held.begin, held.end)
    would = _covered(owner, held.blob, held.begin, left)
    truth_standard = _covered(owner, held.blob, held.begin, np.where(held.is_archived, held.begin, held.end))
    would_standard = _covered(owner, held.blob, held.begin, standard_end)
    # The same rows in all four, so that the same owners and blobs stand in the same places.
    of, blob = truth[0], truth[1]
    standard = truth_standard[2] - would_standard[2]
    archive = truth[2] - would[2] - standard
    sums = [[0, 0] for _ in range(owners)]
    changed = np.flatnonzero((standard != 0) | (archive != 0))
    # Bytes times milliseconds of a year do not fit into 64 bits.
    for number, bytes_, one, other in zip(
        of[changed].tolist(),
        size[blob[changed]].tolist(),
        standard[changed].tolist(),
        archive[changed].tolist(),
        strict=True,
    ):
        sums[number][0] += bytes_ * one
        sums[number][1] += bytes_ * other
    return [(standard, archive) for standard, archive in sums]


def _covered(owner: Int64, blob: Int64, begin: Int64, end: Int64) -> tuple[Int64, Int64, Int64]:
    """Each owner and blob, and the length of the union of their intervals; empty ones end early."""
    order = np.lexsort((begin, blob, owner))
    owner, blob, begin, end = owner[order], blob[order], begin[order], end[order]
    new = changes(owner, blob)
    starts = np.flatnonzero(new)
    if not len(starts):
        return owner, blob, np.zeros(0, np.int64)
    end = np.maximum(begin, end)
    earliest = int(begin.min())
    width = int(end.max()) - earliest + 1
    # Each pair gets a stretch of time of its own, so that one running maximum serves all.
    shift = (np.cumsum(new) - 1) * width - earliest
    begin, end = begin + shift, end + shift
    reached = np.maximum.accumulate(end)
    before = np.append(np.zeros(1, np.int64), reached[:-1])
    before[starts] = begin[starts]
    length = np.maximum(0, end - np.maximum(begin, before))
    return owner[starts], blob[starts], np.add.reduceat(length, starts)
