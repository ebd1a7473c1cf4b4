"""Jumps in the size of images once more, slowly: lists of pushes, one repository and platform at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

from analyzer.model.frames import NO_MANIFEST, NO_TIME, Frames
from analyzer.model.records import Kind

Jump = tuple[int, int, int, int, int, int, tuple[int, ...], int]

MIB = 2**20


def jumps(
    frames: Frames,
    stems: Sequence[set[str]],
    platform: Sequence[int],
    attestations: Sequence[bool],
    since_ms: int,
) -> list[Jump]:
    """As ``analyzer.hygiene.sizes.find_jumps``, the fields of each jump in their order."""
    artifacts, manifests = frames.artifacts, frames.manifests
    series: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    blobs: dict[int, tuple[set[int], set[int]]] = {}
    for position, manifest in enumerate(artifacts.manifest.tolist()):
        pushed = int(artifacts.pushed_at_ms[position])
        if manifest == NO_MANIFEST or manifests.kind[manifest] != Kind.IMAGE or pushed == NO_TIME:
            continue
        if manifests.subject[manifest] or artifacts.subject[position] or attestations[position]:
            continue
        span = range(int(manifests.blob_offsets[manifest]), int(manifests.blob_offsets[manifest + 1]))
        everything = {int(manifests.blobs[at]) for at in span if not manifests.foreign[at]}
        layers = {int(manifests.blobs[at]) for at in list(span)[1:] if not manifests.foreign[at]}
        blobs[position] = everything, layers
        series[int(artifacts.repository[position]), platform[position]].append((pushed, position))

    def size(position: int) -> int:
        return sum(int(frames.blob_size_bytes[blob]) for blob in blobs[position][0])

    found = []
    for pushes in series.values():
        positions = [position for _, position in sorted(pushes)]
        last = None
        for at, position in enumerate(positions):
            before = positions[max(0, at - 9) : at]
            if artifacts.pushed_at_ms[position] < since_ms or len(before) < 3:
                continue
            median = _median([size(other) for other in before])
            after = [size(other) for other in positions[at:]]
            large = Fraction(3, 2) * median
            if size(position) - max(size(other) for other in before) < 100 * MIB:
                continue
            if size(position) < large or after[-1] < large or _median(after) < large:
                continue
            own = stems[position] - {""}
            alike = [size(other) for other in positions[:at] if own & stems[other]]
            if alike and size(position) < Fraction(3, 2) * _median(alike):
                continue
            new = blobs[position][1] - {layer for other in before for layer in blobs[other][1]}
            ordered = sorted(new, key=lambda layer: (-int(frames.blob_size_bytes[layer]), layer))
            last = (
                position,
                positions[-1],
                len(before),
                median,
                size(position),
                after[-1],
                tuple(ordered),
                sum(int(frames.blob_size_bytes[layer]) for layer in ordered),
            )
        if last is not None:
            found.append(last)
    return sorted(found)


def _median(sizes: Sequence[int]) -> int:
    """Of two in the middle the smaller."""
    return sorted(sizes)[(len(sizes) - 1) // 2]
