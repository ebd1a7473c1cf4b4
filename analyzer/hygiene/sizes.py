"""Jumps in the size of images, from one push to the next of a repository and platform.

An image is measured against the pushes just before it, by their median and by the largest of them: one
odd push more or less, or variants that take turns, make no jump. Of a jump that was taken back, be it by
later pushes or because it was a variant of its own, nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzer.families import IMAGE, Families
from analyzer.holdings import changes
from analyzer.hygiene.platforms import Platforms
from analyzer.model.frames import NO_MANIFEST, NO_TIME, Frames, Int64, LifecycleFacts

#: So many pushes before are looked at, and so many must be there.
WINDOW: Final = 9
LEAST: Final = 3
#: A jump is to so many times the median, in quarters, and by so many bytes over the largest.
QUARTERS: Final = 6
FLOOR_BYTES: Final = 100 * 2**20

#: What tells versions, dates, builds and commits apart: parts of a tag that hold a digit.
_PARTS: Final = re.compile(r"[-._]+")
_COMMIT: Final = re.compile(r"[a-f]{7,}")


@dataclass(frozen=True, slots=True)
class Jump:
    """A push from which on the images of a repository and platform are much larger than before."""

    #: Position of the first such image, and of the newest one.
    artifact: int
    newest: int
    #: Pushes before that were looked at, and the median (of two in the middle the smaller) of their sizes.
    before: int
    median_bytes: int
    size_bytes: int
    newest_bytes: int
    #: digest_ids of its stored layers that none of the pushes before holds, the largest first.
    new_layers: tuple[int, ...]
    new_bytes: int


def find_jumps(
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    platforms: Platforms,
    sizes: Int64,
    since_ms: int,
) -> list[Jump]:
    """The last jump of each repository and platform since ``since_ms``, where it stands; by position.

    ``sizes``: bytes of the stored blobs of each artifact. Images of unknown size or push are passed over.
    A jump stands where the newest push, and the median of all from the jump on, are still that large.
    """
    artifacts = frames.artifacts
    chosen = np.flatnonzero(
        (families.kind == IMAGE)
        & (artifacts.pushed_at_ms != NO_TIME)
        & (artifacts.manifest != NO_MANIFEST)
        & ~platforms.is_attestation
    )
    platform = platforms.platform[chosen]
    order = np.lexsort((chosen, artifacts.pushed_at_ms[chosen], platform, artifacts.repository[chosen]))
    chosen, platform = chosen[order], platform[order]
    size = sizes[chosen]
    first = np.flatnonzero(changes(artifacts.repository[chosen], platform))
    pushes = np.diff(first, append=len(chosen))
    begin, end = np.repeat(first, pushes), np.repeat(first + pushes, pushes)
    former = np.minimum(np.arange(len(chosen)) - begin, WINDOW)
    largest = _largest_before(size, former)
    recent = artifacts.pushed_at_ms[chosen] >= since_ms
    candidates = np.flatnonzero(recent & (former >= LEAST) & (size - largest >= FLOOR_BYTES))
    found: dict[int, Jump] = {}
    for at in candidates.tolist():
        before = size[at - int(former[at]) : at]
        after = size[at : int(end[at])]
        median = _median(before)
        # By whole numbers, so that nothing is rounded.
        least = (QUARTERS * median + 3) // 4
        if size[at] < least or after[-1] < least or _median(after) < least:
            continue
        if _is_like_its_own(facts, chosen, size, int(begin[at]), at):
            continue
        layers = _new_layers(frames, chosen[at - int(former[at]) : at], int(chosen[at]))
        found[int(begin[at])] = Jump(
            artifact=int(chosen[at]),
            newest=int(chosen[int(end[at]) - 1]),
            before=len(before),
            median_bytes=median,
            size_bytes=int(size[at]),
            newest_bytes=int(after[-1]),
            new_layers=tuple(layers),
            new_bytes=int(frames.blob_size_bytes[layers].sum()) if layers else 0,
        )
    return sorted(found.values(), key=lambda jump: jump.artifact)


def stem_of(tag: str) -> str:
    """What is left of a tag without versions, dates, builds and commits: its variant or branch.

    ``3.12-slim`` and ``3.13-slim`` are both ``slim``, ``v1.2`` and ``2026-11-28`` are both nothing.
    """
    parts = [part for part in _PARTS.split(tag.lower()) if not any(sign.isdigit() for sign in part)]
    return "-".join(part for part in parts if part and not _COMMIT.fullmatch(part))


def _largest_before(size: Int64, former: Int64) -> Int64:
    """The largest of the ``former`` sizes before each; 0 where there is none."""
    largest = np.zeros(len(size), np.int64)
    for back in range(1, min(WINDOW, max(0, len(size) - 1)) + 1):
        inside = former[back:] >= back
        largest[back:] = np.where(inside, np.maximum(largest[back:], size[:-back]), largest[back:])
    return largest


def _median(sizes: Int64) -> int:
    return int(np.sort(sizes)[(len(sizes) - 1) // 2])


def _is_like_its_own(facts: LifecycleFacts, chosen: Int64, size: Int64, begin: int, at: int) -> bool:
    """Whether earlier images of a tag like its own were as large: a variant among others."""
    own = set(_stems(facts, int(chosen[at]))) - {""}
    if not own:
        return False
    alike = [
        int(size[number])
        for number in range(begin, at)
        if not own.isdisjoint(_stems(facts, int(chosen[number])))
    ]
    return bool(alike) and 4 * size[at] < QUARTERS * _median(np.array(alike, np.int64))


def _stems(facts: LifecycleFacts, position: int) -> Iterator[str]:
    begin, end = facts.tag_offsets[position : position + 2].tolist()
    for number in facts.tags[begin:end].tolist():
        yield stem_of(facts.tag_names[number])


def _new_layers(frames: Frames, before: Sequence[int] | Int64, position: int) -> list[int]:
    known = {blob for former in before for blob in _layers(frames, int(former))}
    sizes = frames.blob_size_bytes
    return sorted(set(_layers(frames, position)) - known, key=lambda blob: (-int(sizes[blob]), blob))


def _layers(frames: Frames, position: int) -> list[int]:
    """Stored layers of the image at ``position``, without its config."""
    manifests = frames.manifests
    begin, end = manifests.blob_offsets[int(frames.artifacts.manifest[position]) :][:2].tolist()
    span = slice(begin + 1, end)
    found: list[int] = manifests.blobs[span][~manifests.foreign[span]].tolist()
    return found
