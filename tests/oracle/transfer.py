"""Pulls across regions once more, slowly: every figure follows its definition word for word."""

from __future__ import annotations

from analyzer.model.frames import NO_MANIFEST, Frames
from analyzer.model.records import Kind

#: (lowest, highest) of what a node may have to fetch; None where nobody can say.
Range = tuple[int, int] | None


def cold_pull(frames: Frames, position: int, never_pulled: frozenset[tuple[int, int]]) -> Range:
    """Config and layers of whichever image a pull of the artifact at ``position`` ends at."""
    ends: list[int | None] = []
    _walk(frames, position, never_pulled, (), ends)
    if not ends or None in ends:
        return None
    known = [end for end in ends if end is not None]
    return min(known), max(known)


def _walk(
    frames: Frames,
    position: int,
    never_pulled: frozenset[tuple[int, int]],
    above: tuple[int, ...],
    ends: list[int | None],
) -> None:
    artifacts, manifests = frames.artifacts, frames.manifests
    manifest = int(artifacts.manifest[position])
    if manifest == NO_MANIFEST or manifests.kind[manifest] not in {Kind.IMAGE, Kind.INDEX}:
        ends.append(None)
    elif manifests.kind[manifest] == Kind.IMAGE:
        stored = {
            int(manifests.blobs[at])
            for at in range(manifests.blob_offsets[manifest], manifests.blob_offsets[manifest + 1])
            if not manifests.foreign[at]
        }
        ends.append(sum(int(frames.blob_size_bytes[blob]) for blob in stored))
    else:
        begun = len(ends)
        for at in range(manifests.child_offsets[manifest], manifests.child_offsets[manifest + 1]):
            wanted = int(manifests.children[at])
            for other in range(len(artifacts.digest_id)):
                if (
                    artifacts.repository[other] == artifacts.repository[position]
                    and artifacts.digest_id[other] == wanted
                    and other != position
                    and other not in above
                    and (int(artifacts.digest_id[position]), wanted) not in never_pulled
                ):
                    _walk(frames, other, never_pulled, (*above, position), ends)
        if len(ends) == begun:
            # An index of nothing that could be pulled.
            ends.append(None)


def stock(
    frames: Frames, row: int, pushed: frozenset[int], since_ms: int
) -> tuple[frozenset[int], frozenset[int]]:
    """Blobs that the repository at ``row`` stores, and those of ``pushed`` that nothing older holds."""
    stored: set[int] = set()
    older: set[int] = set()
    artifacts, manifests = frames.artifacts, frames.manifests
    for position in range(len(artifacts.digest_id)):
        manifest = int(artifacts.manifest[position])
        if artifacts.repository[position] != row or manifest == NO_MANIFEST:
            continue
        if manifests.kind[manifest] != Kind.IMAGE:
            continue
        for at in range(manifests.blob_offsets[manifest], manifests.blob_offsets[manifest + 1]):
            if not manifests.foreign[at]:
                stored.add(int(manifests.blobs[at]))
                # NO_TIME is the least of all moments.
                if artifacts.pushed_at_ms[position] < since_ms:
                    older.add(int(manifests.blobs[at]))
    return frozenset(stored), frozenset(pushed - older)
