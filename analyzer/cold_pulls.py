"""What a pull to an empty node moves, of the artifacts of some frames."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from analyzer.families import Families
from analyzer.model.frames import NO_MANIFEST, Frames, Int64
from analyzer.model.records import Kind
from analyzer.model.transfer import ColdPull

_UNREAD = "its manifest could not be read"
_EMPTY = "none of the images that the index names is there"


class ColdPulls:
    """Answers for single artifacts; made once for many."""

    def __init__(
        self, frames: Frames, families: Families, never_pulled: Collection[tuple[int, int]] = ()
    ) -> None:
        """Of ``frames``; ``never_pulled``: digest ids of an index and a child that no node asks for.

        Those are attestations, which BuildKit puts beside the images under the platform
        ``unknown/unknown``.
        """
        self._frames = frames
        self._parents, self._children = _by_parent(families)
        self._never_pulled = frozenset(never_pulled)
        self._known: dict[int, ColdPull] = {}

    def of(self, position: int) -> ColdPull:
        """What a pull of the artifact at ``position`` moves.

        Of an index that is one of its images that are there, at any depth, whichever the node's
        platform asks for. The manifests themselves, a few kilobytes, are left out.
        """
        if position not in self._known:
            self._known[position] = self._of(position, set())
        return self._known[position]

    def blobs(self, position: int) -> Int64:
        """Digest ids of the distinct blobs that the registry stores for the image at ``position``.

        None for an index, and where the manifest is not known.
        """
        return self._blobs(position, foreign=False)

    def _of(self, position: int, above: set[int]) -> ColdPull:
        manifest = int(self._frames.artifacts.manifest[position])
        if manifest == NO_MANIFEST:
            return ColdPull(None, None, unknown=_UNREAD)
        kind = int(self._frames.manifests.kind[manifest])
        if kind == Kind.IMAGE:
            sizes = self._frames.blob_size_bytes
            stored = int(sizes[self.blobs(position)].sum())
            return ColdPull(stored, stored, int(sizes[self._blobs(position, foreign=True)].sum()))
        if kind != Kind.INDEX:
            return ColdPull(None, None, unknown=_UNREAD)
        # What contains itself is pulled by nobody.
        images = [
            self._of(child, above | {position})
            for child in self._pulled_children(position)
            if child not in above and child != position
        ]
        if not images:
            return ColdPull(None, None, unknown=_EMPTY)
        low = [image.low_bytes for image in images if image.low_bytes is not None]
        high = [image.high_bytes for image in images if image.high_bytes is not None]
        if len(low) < len(images) or len(high) < len(images):
            return ColdPull(None, None, unknown="the manifest of an image that the index names is not known")
        return ColdPull(min(low), max(high), max(image.foreign_bytes for image in images))

    def _blobs(self, position: int, *, foreign: bool) -> Int64:
        manifests = self._frames.manifests
        manifest = int(self._frames.artifacts.manifest[position])
        if manifest == NO_MANIFEST or manifests.kind[manifest] != Kind.IMAGE:
            return np.zeros(0, np.int64)
        span = slice(int(manifests.blob_offsets[manifest]), int(manifests.blob_offsets[manifest + 1]))
        return np.unique(manifests.blobs[span][manifests.foreign[span] == foreign]).astype(np.int64)

    def _pulled_children(self, position: int) -> list[int]:
        begin, end = np.searchsorted(self._parents, [position, position + 1]).tolist()
        ids = self._frames.artifacts.digest_id
        return [
            child
            for child in self._children[begin:end].tolist()
            if (int(ids[position]), int(ids[child])) not in self._never_pulled
        ]


def _by_parent(families: Families) -> tuple[Int64, Int64]:
    order = np.lexsort((families.child, families.parent))
    return families.parent[order], families.child[order]
