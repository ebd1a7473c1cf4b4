"""Bases and their builds once more, slowly: rows of layers compared one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import NamedTuple

from analyzer.model.frames import NO_MANIFEST, NO_TIME, Frames
from analyzer.model.records import Kind


class Build(NamedTuple):
    """As ``analyzer.hygiene.bases.Build``."""

    layers: tuple[int, ...]
    size_bytes: int
    first_ms: int
    rows: tuple[int, ...]


class Spread(NamedTuple):
    """As ``analyzer.hygiene.bases.Spread``."""

    registry: int
    builds: tuple[Build, ...]
    spare_bytes: int


@dataclass(frozen=True, slots=True)
class _Image:
    position: int
    repository: int
    group: tuple[object, ...]
    digest: int
    platform: int
    pushed_at_ms: int
    layers: tuple[int, ...]


def spreads(
    frames: Frames, platform: Sequence[int], attestations: Sequence[bool], current: Sequence[bool]
) -> list[Spread]:
    """The bases of which several builds are in current use, most spare bytes first."""
    images = _images(frames, platform, attestations)
    chains = {image.position: _chain(image, images) for image in images}
    bases = _bases(images, chains)
    newest: dict[tuple[int, int], _Image] = {}
    for image in images:
        if current[image.position] and chains[image.position]:
            newest[image.repository, image.platform] = image
    found = []
    for base in bases:
        standing = defaultdict(set)
        for image in newest.values():
            if (image.group, chains[image.position]) in base:
                standing[image.group, chains[image.position]].add(image.repository)
        builds = sorted(
            (_build(frames, images, chains, key, rows) for key, rows in standing.items()),
            key=lambda build: (-build.first_ms, build.layers),
        )
        if len(builds) < 2 or len({row for build in builds for row in build.rows}) < 2:
            continue
        foreign = _foreign(frames)
        every = {layer for build in builds for layer in build.layers} - foreign
        spare = sum(int(frames.blob_size_bytes[layer]) for layer in every - set(builds[0].layers))
        if spare:
            registry = int(frames.repositories["registry"].iloc[builds[0].rows[0]])
            found.append(Spread(registry, tuple(builds), spare))
    return sorted(
        found,
        key=lambda s: (-s.spare_bytes, s.registry, tuple(sorted({r for b in s.builds for r in b.rows}))),
    )


def _images(frames: Frames, platform: Sequence[int], attestations: Sequence[bool]) -> list[_Image]:
    artifacts, manifests = frames.artifacts, frames.manifests
    found: list[_Image] = []
    for position, manifest in enumerate(artifacts.manifest.tolist()):
        pushed = int(artifacts.pushed_at_ms[position])
        if manifest == NO_MANIFEST or manifests.kind[manifest] != Kind.IMAGE or pushed == NO_TIME:
            continue
        if manifests.subject[manifest] or artifacts.subject[position] or attestations[position]:
            continue
        blobs = manifests.blobs[manifests.blob_offsets[manifest] : manifests.blob_offsets[manifest + 1]]
        repository = int(artifacts.repository[position])
        row = frames.repositories.iloc[repository]
        alone = repository if row["pull_through_cache"] else -1
        found.append(
            _Image(
                position,
                repository,
                (int(row["registry"]), row["encryption_type"], row["kms_key"], alone),
                int(artifacts.digest_id[position]),
                platform[position],
                pushed,
                tuple(blobs.tolist()[1:]),
            )
        )
    homes: dict[tuple[object, ...], _Image] = {}
    for image in sorted(found, key=lambda image: (image.pushed_at_ms, image.repository)):
        homes.setdefault((*image.group, image.digest), image)
    kept = [image for image in homes.values() if image.layers]
    return sorted(kept, key=lambda i: (i.repository, i.platform, i.pushed_at_ms, i.position))


def _chain(image: _Image, images: Sequence[_Image]) -> tuple[int, ...]:
    longest: tuple[int, ...] = ()
    for other in images:
        if other.repository == image.repository or other.group != image.group:
            continue
        common = 0
        for mine, theirs in zip(image.layers, other.layers, strict=False):
            if mine != theirs:
                break
            common += 1
        longest = max(longest, image.layers[:common], key=len)
    return longest


def _bases(
    images: Sequence[_Image], chains: Mapping[int, tuple[int, ...]]
) -> list[set[tuple[tuple[object, ...], tuple[int, ...]]]]:
    moves = defaultdict(set)
    for before, after in pairwise(images):
        one, other = chains[before.position], chains[after.position]
        if (before.repository, before.platform) != (after.repository, after.platform):
            continue
        if one != other and len(one) == len(other):
            moves[frozenset([(before.group, one), (after.group, other)])].add(before.repository)
    bases = [{(image.group, chains[image.position])} for image in images if chains[image.position]]
    bases += [set(move) for move, witnesses in moves.items() if len(witnesses) >= 2]
    while True:
        for this, that in combinations(bases, 2):
            if this & that:
                bases.remove(this)
                bases.remove(that)
                bases.append(this | that)
                break
        else:
            return bases


def _build(
    frames: Frames,
    images: Sequence[_Image],
    chains: Mapping[int, tuple[int, ...]],
    key: tuple[tuple[object, ...], tuple[int, ...]],
    rows: set[int],
) -> Build:
    _, layers = key
    on_it = [image for image in images if (image.group, chains[image.position]) == key]
    size = sum(int(frames.blob_size_bytes[layer]) for layer in set(layers) - _foreign(frames))
    return Build(layers, size, min(image.pushed_at_ms for image in on_it), tuple(sorted(rows)))


def _foreign(frames: Frames) -> set[int]:
    manifests = frames.manifests
    return set(manifests.blobs[manifests.foreign].tolist())
