"""Blobs that the same artifacts hold, put together: what happens to one of them happens to all.

An image has ten layers or more, and most of them came with it and go with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.families import IMAGE, REFERRER, spans
from analyzer.forecast.growth import weeks_ago
from analyzer.forecast.record import Record
from analyzer.holdings import changes, reduce_runs, references_of, sort_rows
from analyzer.model.frames import Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Atoms:
    """Who holds which atoms, among chosen repositories; references ordered by artifact."""

    #: By position in the record: (n + 1) offsets into the references.
    offsets: Int64
    atom: Int64
    #: In which week before now the atom came to the repository of the artifact, and to its group.
    week_repository: Int64
    week_group: Int64
    #: By atom.
    size_bytes: Int64


def find_atoms(record: Record, group: Int64, chosen: Int64, *, at_ms: int) -> Atoms:
    """The atoms of the repositories ``chosen`` (rows); ``group`` is the sharing group of each row."""
    is_chosen = np.zeros(len(record.weeks), np.bool_)
    is_chosen[chosen] = True
    holds = ((record.kind == IMAGE) | (record.kind == REFERRER)) & is_chosen[record.repository]
    holder = np.flatnonzero(holds)
    within, references = references_of(record.frames, record.artifact[holder])
    within = holder[within]
    owner, blob, within = sort_rows(group[record.repository[within]], references, within)
    new = changes(owner, blob, within)
    owner, blob, within = owner[new], blob[new], within[new]

    # A sum of random numbers tells sets of holders apart, but for one chance in 2**64 a pair.
    rng = np.random.default_rng(0)
    number = rng.integers(0, 2**64, len(record.week), np.uint64)
    runs = np.flatnonzero(changes(owner, blob))
    counts = np.diff(runs, append=len(owner))
    mark = reduce_runs(np.add, number[within], runs)
    order = np.lexsort((mark, owner[runs]))
    first = np.ones(len(order), np.bool_)
    first[1:] = (mark[order][1:] != mark[order][:-1]) | (owner[runs][order][1:] != owner[runs][order][:-1])
    size = reduce_runs(np.add, record.frames.blob_size_bytes[blob[runs]][order], np.flatnonzero(first))
    of_atom = order[first]
    held = spans(runs[of_atom], counts[of_atom])
    atom, artifact = np.repeat(np.arange(len(of_atom)), counts[of_atom]), within[held]

    pushed = record.pushed_ms[artifact]
    born_group = reduce_runs(np.minimum, pushed, np.flatnonzero(changes(atom)))[atom]
    by_repository = np.lexsort((record.repository[artifact], atom))
    starts_here = np.flatnonzero(changes(atom[by_repository], record.repository[artifact][by_repository]))
    earliest = reduce_runs(np.minimum, pushed[by_repository], starts_here)
    born = np.empty(len(pushed), np.int64)
    born[by_repository] = np.repeat(earliest, np.diff(starts_here, append=len(pushed)))
    order = np.argsort(artifact, kind="stable")
    per_artifact = np.bincount(artifact, minlength=len(record.week))
    return Atoms(
        offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(per_artifact))),
        atom=atom[order],
        week_repository=weeks_ago(born[order], at_ms),
        week_group=weeks_ago(born_group[order], at_ms),
        size_bytes=size,
    )
