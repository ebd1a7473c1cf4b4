"""Sharing of layers once more, slowly: sets of blobs per repository, key and registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analyzer.model.frames import NO_MANIFEST, NO_TIME, Frames
from analyzer.model.records import ImageStatus, Kind

#: Blob and whether all of its holders are archived.
Stored = dict[int, bool]


@dataclass(frozen=True, slots=True)
class Holder:
    """An image or referrer whose blobs are known."""

    repository: int
    blobs: frozenset[int]
    is_archived: bool
    pushed_at_ms: int | None


def holders(frames: Frames) -> list[Holder]:
    """Whatever holds blobs in ``frames``."""
    artifacts, manifests = frames.artifacts, frames.manifests
    found = []
    for position, manifest in enumerate(artifacts.manifest.tolist()):
        if manifest == NO_MANIFEST or manifests.kind[manifest] != Kind.IMAGE:
            continue
        span = range(int(manifests.blob_offsets[manifest]), int(manifests.blob_offsets[manifest + 1]))
        pushed = int(artifacts.pushed_at_ms[position])
        found.append(
            Holder(
                int(artifacts.repository[position]),
                frozenset(int(manifests.blobs[at]) for at in span if not manifests.foreign[at]),
                int(artifacts.image_status[position]) in (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING),
                None if pushed == NO_TIME else pushed,
            )
        )
    return found


def stored(found: Iterable[Holder]) -> Stored:
    """Each blob of ``found`` once."""
    blobs: Stored = {}
    for holder in found:
        for blob in holder.blobs:
            blobs[blob] = blobs.get(blob, True) and holder.is_archived
    return blobs


def bytes_of(frames: Frames, blobs: Mapping[int, bool]) -> tuple[int, int]:
    """Bytes in the standard class and in the archive."""
    sizes = {blob: int(frames.blob_size_bytes[blob]) for blob in blobs}
    return (
        sum(size for blob, size in sizes.items() if not blobs[blob]),
        sum(size for blob, size in sizes.items() if blobs[blob]),
    )


def key_splits(frames: Frames) -> dict[int, tuple[tuple[int, int], dict[tuple[str, str], int]]]:
    """Of each registry with several keys: repeated bytes by class; by key what other keys hold too."""
    rows = frames.repositories.to_dict("records")
    found = {}
    for registry in range(len(frames.registries)):
        by_key: dict[tuple[str, str], list[Holder]] = {}
        for holder in holders(frames):
            row = rows[holder.repository]
            if row["registry"] == registry and row["encryption_type"] and not row["pull_through_cache"]:
                by_key.setdefault((row["encryption_type"], row["kms_key"]), []).append(holder)
        every = stored(holder for own in by_key.values() for holder in own)
        whole = bytes_of(frames, every)
        parts = [bytes_of(frames, stored(own)) for own in by_key.values()]
        repeated = tuple(sum(part[of] for part in parts) - whole[of] for of in (0, 1))
        if sum(repeated):
            elsewhere = {}
            for key, own in by_key.items():
                others = stored(h for other, hs in by_key.items() if other != key for h in hs)
                elsewhere[key] = sum(bytes_of(frames, {b: False for b in stored(own) if b in others}))
            found[registry] = ((repeated[0], repeated[1]), elsewhere)
    return found


def mountable(frames: Frames, since_ms: int) -> list[tuple[tuple[int, int], ...]]:
    """Of each registry: bytes by class once per repository, once per group, and what was mountable."""
    rows = frames.repositories.to_dict("records")
    answers: list[tuple[tuple[int, int], ...]] = []
    for registry in range(len(frames.registries)):
        apart = [0, 0]
        groups: dict[tuple[object, ...], dict[int, list[Holder]]] = {}
        for holder in holders(frames):
            row = rows[holder.repository]
            if row["registry"] == registry:
                alone = holder.repository if row["pull_through_cache"] else -1
                key = (row["encryption_type"], row["kms_key"], alone)
                groups.setdefault(key, {}).setdefault(holder.repository, []).append(holder)
        shared, recent = [0, 0], [0, 0]
        for group in groups.values():
            for number, size in enumerate(bytes_of(frames, stored(h for own in group.values() for h in own))):
                shared[number] += size
            pushes: dict[int, dict[int, list[int | None]]] = {}
            for repository, own in group.items():
                for number, size in enumerate(bytes_of(frames, stored(own))):
                    apart[number] += size
                for holder in own:
                    for blob in holder.blobs:
                        of_blob = pushes.setdefault(blob, {})
                        of_blob.setdefault(repository, []).append(holder.pushed_at_ms)
            for blob, by_repository in pushes.items():
                first = {
                    repository: min(moment for moment in moments if moment is not None)
                    for repository, moments in by_repository.items()
                    if None not in moments
                }
                for repository, moment in first.items():
                    before = [other for elsewhere, other in first.items() if elsewhere != repository]
                    if moment >= since_ms and before and min(before) < moment:
                        recent[stored(group[repository])[blob]] += int(frames.blob_size_bytes[blob])
        answers.append(((apart[0], apart[1]), (shared[0], shared[1]), (recent[0], recent[1])))
    return answers
