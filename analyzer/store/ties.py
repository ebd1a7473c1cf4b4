"""Which of the images with equal times ECR would list first: the order of their digests' texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sqlalchemy import Connection

from analyzer.model.frames import NO_TIME, Bools, Int32, Int64, UInt8, UInt32
from analyzer.model.records import ImageStatus
from analyzer.store.interning import digest_rows


def rank_ties(
    connection: Connection,
    *,
    digest_id: UInt32 | Int64,
    image_status: UInt8 | Int64,
    pushed_at_ms: Int64,
    archived_at_ms: Int64,
    activated_at_ms: Int64,
    tied: Callable[[Int64], Bools],
) -> Int64:
    """``LifecycleFacts.tie`` of artifacts by what is known of them, or NO_TIME.

    ``tied`` says which of them have, by the times that it is given, the time of another of their repository.
    """
    base = np.where(activated_at_ms != NO_TIME, activated_at_ms, pushed_at_ms)
    any_tied = tied(base)
    archived = image_status == ImageStatus.ARCHIVED
    if archived.any():
        # What rules take of these is listed by the time of their archiving.
        any_tied |= tied(np.where(archived, archived_at_ms, base))
    tie = np.zeros(len(base), np.int64)
    if any_tied.any():
        ids, which = np.unique(digest_id[any_tied], return_inverse=True)
        texts = np.array(_sortable_digests(connection, ids.tolist()), np.bytes_)
        rank = np.empty(len(ids), np.int64)
        rank[np.argsort(texts, kind="stable")] = np.arange(len(ids))
        tie[any_tied] = rank[which]
    return tie


def repeated(repository: Int32, since: Int64) -> Bools:
    """True where another one has the same repository and the same time, or none as well."""
    known = since != NO_TIME
    first, last = (int(since[known].min()), int(since[known].max())) if known.any() else (0, 0)
    span = last - first + 2
    if int(repository.max(initial=0)) >= 2**63 // span:
        # Times that far apart are nobody's; they only must not be confused.
        order = np.lexsort((since, repository))
        same = (np.diff(since[order]) == 0) & (np.diff(repository[order]) == 0)
        repeated = np.zeros(len(since), np.bool_)
        repeated[order[1:][same]] = True
        repeated[order[:-1][same]] = True
        return repeated
    key = repository.astype(np.int64) * span + np.where(known, since - first + 1, 0)
    ordered = np.sort(key)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return np.isin(key, twice) if len(twice) else np.zeros(len(key), np.bool_)


def _sortable_digests(connection: Connection, ids: Sequence[int]) -> list[bytes]:
    """Bytes that sort as the texts of these digests (ids in ascending order) do."""
    found = {
        key: b"%s:%s" % (algorithm.encode(), value) for key, algorithm, value in digest_rows(connection, ids)
    }
    return [found[key] for key in ids]
