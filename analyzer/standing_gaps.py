"""Gaps that are not events of a run but stand in what is stored: manifests that say too little."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from analyzer.model.frames import NO_MANIFEST, Frames
from analyzer.model.records import Gap, Kind
from analyzer.store.manifests import SizeConflict


def standing_gaps(frames: Frames, conflicts: Iterable[SizeConflict]) -> list[Gap]:
    """A gap per repository of ``frames`` and fault, for manifests that say less than they should.

    They are stored, and never fetched again; that they leave something unknown has to be said every
    night all the same. So these gaps are found in what is stored whenever it is shown, and are not
    recorded. ``conflicts`` may be about other manifests too.
    """
    return sorted((*_unreadable_manifests(frames), *_size_conflicts(frames, conflicts)))


def _size_conflicts(frames: Frames, conflicts: Iterable[SizeConflict]) -> list[Gap]:
    first: dict[int, SizeConflict] = {}
    for conflict in sorted(conflicts):
        first.setdefault(conflict.manifest_id, conflict)
    artifacts = frames.artifacts
    found: dict[int, list[SizeConflict]] = {}
    for position in np.flatnonzero(np.isin(artifacts.digest_id, list(first))).tolist():
        conflict = first[int(artifacts.digest_id[position])]
        found.setdefault(int(artifacts.repository[position]), []).append(conflict)
    gaps = []
    for position, of_repository in found.items():
        example, count = min(of_repository), len(of_repository)
        detail = (
            f"{count} manifests contradict others on the size of a blob: {example.manifest} gives "
            f"{example.blob} {example.size_bytes} bytes; {example.counted_bytes} are counted"
        )
        gaps.append(_gap(frames, position, "SizeConflict", detail, count))
    return gaps


def _unreadable_manifests(frames: Frames) -> list[Gap]:
    artifacts = frames.artifacts
    read = np.flatnonzero(artifacts.manifest != NO_MANIFEST)
    kinds = frames.manifests.kind[artifacts.manifest[read]]
    gaps = []
    for kind, reason, what in (
        (Kind.UNKNOWN, "UnknownMediaType", "are of a media type that this version does not know"),
        (Kind.UNREADABLE, "UnreadableManifest", "are malformed"),
    ):
        counts = np.bincount(artifacts.repository[read[kinds == kind]], minlength=len(frames.repositories))
        for position in np.flatnonzero(counts).tolist():
            count = int(counts[position])
            detail = f"{count} manifests {what}: the sizes of these images are unknown"
            gaps.append(_gap(frames, position, reason, detail, count))
    return gaps


def _gap(frames: Frames, position: int, reason: str, detail: str, count: int) -> Gap:
    """A gap about manifests of the repository at ``position``."""
    repository = frames.repositories.iloc[position]
    registry = frames.registries.iloc[repository["registry"]]
    name = str(repository["repository"])
    return Gap(registry["account"], registry["region"], name, "ecr:BatchGetImage", reason, detail, count)
