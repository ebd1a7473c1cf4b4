"""Who may share blobs with whom, and the arithmetic on sorted arrays that counting them takes.

What ``storage`` and the savings of a lifecycle policy both start from.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyzer.families import Families, spans
from analyzer.model.frames import Bools, Frames, Int64, Manifests, UInt32

_Number = TypeVar("_Number", bound=np.integer)

#: References worked on together. Arrays of so many numbers stay in the processor's cache and in
#: memory that the process has already; fresh memory costs more here than the arithmetic.
_REFERENCES_AT_ONCE = 1 << 16


def sharing_groups(frames: Frames) -> tuple[Int64, Int64]:
    """The group each repository shares layers within, and the registry of each group.

    Where layers are shared across repositories at all, that is within one registry, encryption type
    and key, and never for pull-through-cache repositories (ECR user guide, "Cross-repository layer
    sharing").
    """
    repositories = frames.repositories
    alone = np.where(repositories["pull_through_cache"], np.arange(len(repositories)), -1)
    keys = pd.MultiIndex.from_arrays(
        [repositories["registry"], repositories["encryption_type"], repositories["kms_key"], alone]
    )
    group, distinct = pd.factorize(keys)
    registry = np.array([key[0] for key in distinct], np.int64)
    return group.astype(np.int64), registry


def runs_of_repositories(repository: Int64, lengths: Int64) -> Iterator[tuple[int, int]]:
    """(first, end) of runs of whole repositories with about ``_REFERENCES_AT_ONCE`` references.

    ``repository`` is sorted; ``lengths`` are the references of each of its rows.
    """
    firsts = np.flatnonzero(changes(repository))
    before = (np.cumsum(lengths) - lengths)[firsts]
    cuts = firsts[changes(before // _REFERENCES_AT_ONCE)].tolist()
    # Where there is nothing at all, one empty run.
    yield from pairwise([*(cuts or [0]), len(repository)])


def stored_references(frames: Frames, families: Families) -> Iterator[tuple[int, Int64, Int64, Int64]]:
    """The blobs that images and referrers of known manifests hold, some whole repositories at a time.

    Each time: the first of the repositories, and by reference the repository (counted from it), the blob
    and the artifact that holds it (a position), in that order and repeats included. Foreign layers are
    not stored. Without any artifact there is one empty batch.
    """
    artifacts, manifests = frames.artifacts, frames.manifests
    holding = np.flatnonzero(families.holders)
    manifest = artifacts.manifest[holding]
    offsets = manifests.blob_offsets[manifest]
    lengths = manifests.blob_offsets[manifest + 1] - offsets
    repository = artifacts.repository[holding].astype(np.int64)
    any_foreign = bool(manifests.foreign.any())
    for begin, end in runs_of_repositories(repository, lengths):
        run = slice(begin, end)
        within, blob = _stored(manifests, offsets[run], lengths[run], any_foreign=any_foreign)
        first = int(repository[begin]) if end else 0
        owner = repository[run] - first
        owner, blobs, within = sort_rows(owner[within], blob, within)
        yield first, owner, blobs, holding[begin + within]


def references_of(frames: Frames, artifacts: Int64) -> tuple[Int64, UInt32]:
    """(position in ``artifacts``, blob) of what these hold and a registry stores, repeats included.

    They have known manifests, and come in the order given, their blobs in that of the manifest. Foreign
    layers are not stored.
    """
    manifests = frames.manifests
    manifest = frames.artifacts.manifest[artifacts]
    offsets = manifests.blob_offsets[manifest]
    return _stored(manifests, offsets, manifests.blob_offsets[manifest + 1] - offsets, any_foreign=True)


def _stored(
    manifests: Manifests, offsets: Int64, lengths: Int64, *, any_foreign: bool
) -> tuple[Int64, UInt32]:
    """Which of the runs of references each stored one is of, and its blob."""
    at = spans(offsets, lengths)
    within = np.repeat(np.arange(len(lengths)), lengths)
    if any_foreign:
        stored = ~manifests.foreign[at]
        at, within = at[stored], within[stored]
    return within, manifests.blobs[at]


def sort_rows(*columns: npt.NDArray[np.integer]) -> tuple[Int64, ...]:
    """The rows of parallel, non-negative ``columns`` in lexicographic order.

    Sorting one packed integer is several times faster than ordering by columns, and the columns
    can be read back from it; where they do not fit into 63 bits the slow way is taken.
    """
    if not len(columns[0]):
        return tuple(column.astype(np.int64) for column in columns)
    widths = [max(1, int(column.max()).bit_length()) for column in columns]
    if sum(widths) > 63:
        order = np.lexsort(columns[::-1])
        return tuple(column[order].astype(np.int64) for column in columns)
    packed = columns[0].astype(np.int64)
    for column, width in zip(columns[1:], widths[1:], strict=True):
        packed <<= width
        packed |= column.astype(np.int64, copy=False)
    packed.sort()
    unpacked = []
    for width in widths[:0:-1]:
        unpacked.append(packed & ((1 << width) - 1))
        packed >>= width
    return packed, *unpacked[::-1]


def changes(*columns: npt.NDArray[np.integer]) -> Bools:
    """True at the first row of every run of equal rows."""
    changed = np.zeros(len(columns[0]), np.bool_)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


def reduce_runs(operation: np.ufunc, values: npt.NDArray[_Number], starts: Int64) -> npt.NDArray[_Number]:
    """``operation`` over each run of ``values``; reduceat itself refuses to start nowhere."""
    reduced: npt.NDArray[_Number] = operation.reduceat(values, starts) if len(starts) else values[:0]
    return reduced


def sum_by_owner(owner: npt.NDArray[np.integer], values: Int64, owners: int) -> Int64:
    """Exact sums of ``values`` per owner, ``owner`` being sorted."""
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)))
    return np.diff(ends[np.searchsorted(owner, np.arange(owners + 1))])
