"""How the artifacts of a repository hang together: children of indexes and referrers of subjects.

Relations count only inside one repository, and only towards artifacts that are present there:
that is how ECR resolves an index or a subject. Nothing here assumes that the graph is free of
cycles, since the digests come from text that other people wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.model.frames import NO_MANIFEST, Bools, Frames, Int32, Int64, Listed, UInt32
from analyzer.model.records import Kind

#: Codes of ``Families.kind``, in the words of the vocabulary.
KINDS = ("image", "index", "referrer", "unknown")
IMAGE, INDEX, REFERRER, UNKNOWN = range(4)


@dataclass(frozen=True, slots=True)
class Families:
    """Kinds and relations of the artifacts of one ``Frames``; positions are positions there."""

    #: IMAGE, INDEX, REFERRER or UNKNOWN per artifact.
    kind: Int64
    #: Parallel arrays: the index at ``parent[i]`` names the artifact at ``child[i]``.
    parent: Int64
    child: Int64
    #: Position of the subject where it is present, else -1; any kind may have one.
    subject: Int64
    #: Its manifest is not known, and it may be an index: whatever is in its repository may be a
    #: child of it.
    opaque: Bools

    @property
    def holders(self) -> Bools:
        """True for images and referrers: what is known to hold blobs."""
        holders: Bools = (self.kind == IMAGE) | (self.kind == REFERRER)
        return holders

    def reachable(self, roots: Bools) -> Bools:
        """True for roots, children of reachable indexes and artifacts with a reachable subject."""
        reached = roots.copy()
        with_subject = np.flatnonzero(self.subject >= 0)
        while True:
            before = np.count_nonzero(reached)
            reached[self.child[reached[self.parent]]] = True
            reached[with_subject[reached[self.subject[with_subject]]]] = True
            if np.count_nonzero(reached) == before:
                return reached

    def possibly_reached(self, reached: Bools, repository: Int32) -> Bools:
        """True for what is not ``reached`` but may be, through something reached that is opaque."""
        doubtful = np.unique(repository[reached & self.opaque])
        return ~reached & np.isin(repository, doubtful)

    def latest_of_ancestors(self, moments: Int64) -> Int64:
        """For each artifact the greatest of its own moment and those of all indexes above it."""
        latest = moments.copy()
        while True:
            before = latest[self.child]
            np.maximum.at(latest, self.child, latest[self.parent])
            if np.array_equal(before, latest[self.child]):
                return latest

    def with_indexes(self, chosen: Bools) -> Bools:
        """``chosen``, and the indexes above them, at any height."""
        reached = chosen.copy()
        while True:
            before = np.count_nonzero(reached)
            reached[self.parent[reached[self.child]]] = True
            if np.count_nonzero(reached) == before:
                return reached

    def principals(self) -> Int64:
        """Position of the artifact whose fate each one shares.

        For a referrer that is the end of its chain of subjects, or where the chain runs into a
        circle the first artifact of the circle; for all others the artifact itself.
        """
        own = np.arange(len(self.kind))
        follows = (self.kind == REFERRER) & (self.subject >= 0)
        step: Int64 = np.where(follows, self.subject, own)
        end = _far_along(step)
        # After more steps than there are artifacts only ends and members of circles are left.
        circles = np.zeros(len(own), np.bool_)
        circles[end[step[end] != end]] = True
        return _far_along(np.where(circles, own, step)) if circles.any() else end


def find_families(frames: Frames) -> Families:
    """The kinds and relations of the artifacts in ``frames``."""
    artifacts, manifests = frames.artifacts, frames.manifests
    read = artifacts.manifest != NO_MANIFEST
    manifest = np.where(read, artifacts.manifest, 0)
    if len(manifests.kind):
        manifest_kind = manifests.kind[manifest]
        stated_subject = np.where(read, manifests.subject[manifest], 0)
    else:
        manifest_kind = np.zeros(len(read), np.uint8)
        stated_subject = np.zeros(len(read), np.uint32)
    subject_id = np.where(stated_subject != 0, stated_subject, artifacts.subject)

    kind = np.full(len(read), UNKNOWN)
    kind[read & (manifest_kind == Kind.IMAGE)] = IMAGE
    kind[(kind == IMAGE) & (subject_id != 0)] = REFERRER
    kind[read & (manifest_kind == Kind.INDEX)] = INDEX
    kind[~read & (artifacts.listed == Listed.INDEX)] = INDEX
    opaque = (artifacts.listed != Listed.IMAGE) & (~read | (kind == UNKNOWN))

    keys = _keys(artifacts.repository, artifacts.digest_id)
    subject = np.full(len(read), -1)
    with_subject = np.flatnonzero(subject_id)
    subject[with_subject] = _find(keys, _keys(artifacts.repository[with_subject], subject_id[with_subject]))

    indexes = np.flatnonzero(read & (kind == INDEX))
    starts = manifests.child_offsets[artifacts.manifest[indexes]]
    lengths = manifests.child_offsets[artifacts.manifest[indexes] + 1] - starts
    parent = np.repeat(indexes, lengths)
    child_id = manifests.children[spans(starts, lengths)]
    child = _find(keys, _keys(artifacts.repository[parent], child_id))
    present = child >= 0
    return Families(kind, parent[present], child[present], subject, opaque)


def _far_along(step: Int64) -> Int64:
    """Where each artifact gets to by following ``step`` until it stays, or for ever."""
    end = step
    for _ in range(len(step).bit_length()):
        further = end[end]
        if np.array_equal(further, end):
            break
        end = further
    return end


def spans(starts: Int64, lengths: Int64) -> Int64:
    """The positions ``starts[i] … starts[i] + lengths[i] - 1`` of every i, back to back."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    positions: Int64 = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return positions


def _keys(repository: Int32, digest_id: UInt32) -> Int64:
    return (repository.astype(np.int64) << 32) | digest_id.astype(np.int64)


def _find(keys: Int64, wanted: Int64) -> Int64:
    """Position of each wanted key in the sorted ``keys``, -1 where it is absent."""
    if not len(keys):
        return np.full(len(wanted), -1)
    at = np.searchsorted(keys, wanted)
    at[at == len(keys)] = 0
    return np.where(keys[at] == wanted, at, -1)
