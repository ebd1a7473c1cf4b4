"""Base images that are spread over several builds: leading layers that could be shared and are not.

Nothing says what an image was built on, so it is told by what is there. The *base chain* of an image is
the longest row of layers, from the lowest one up, that an image of another repository begins with too;
only repositories that could share layers are compared (``holdings.sharing_groups``), and an image that
was copied from one repository to another counts for the one that had it first. Two chains are *builds of
one base* where at least two repositories went from the one to the other between two pushes (of one
platform), both chains being of as many layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analyzer.families import IMAGE, Families
from analyzer.holdings import changes, sharing_groups
from analyzer.hygiene.platforms import Platforms
from analyzer.model.frames import NO_TIME, Bools, Frames, Int32, Int64

#: Repositories that must have moved from one chain to another.
_WITNESSES = 2


@dataclass(frozen=True, slots=True)
class Build:
    """One build of a base."""

    #: digest_ids of its layers, the lowest first; foreign ones, which are not stored, too.
    layers: tuple[int, ...]
    #: Of its distinct stored layers.
    size_bytes: int
    #: The earliest push of an image that stands on it.
    first_ms: int
    #: Rows of the repositories whose newest image stands on it, ascending.
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """A base of which the newest images of several repositories have different builds."""

    registry: int
    #: The newest first.
    builds: tuple[Build, ...]
    #: Bytes of the layers of all these builds, each once, less those of the newest build: what nobody would
    #: need if all of these images stood on that.
    spare_bytes: int
    #: Row and platform (position in ``Platforms.names``, or -1) of the first of these images.
    first: tuple[int, int]

    @property
    def rows(self) -> tuple[int, ...]:
        """Of the repositories, ascending."""
        return tuple(sorted({row for build in self.builds for row in build.rows}))


@dataclass(frozen=True, slots=True)
class _Series:
    """Images of known layers and push, by repository, platform and push."""

    artifact: Int64
    repository: Int64
    platform: Int32
    #: True at the first of each repository and platform.
    is_first: Bools
    #: Where its layers begin in ``Manifests.blobs``, and how many there are.
    start: Int64
    layers: Int64


def find_spreads(frames: Frames, families: Families, platforms: Platforms, current: Bools) -> list[Spread]:
    """The bases of which several builds are in current use, most spare bytes first.

    ``current``: artifacts that may stand for their repository; of each repository and platform the newest
    of them is looked at.
    """
    series = _series(frames, families, platforms)
    chain, depth = _chains(frames, series)
    labels = _lineages(series, chain, depth)
    newest = _newest(series, current[series.artifact] & (depth > 0))
    found = []
    order = newest[np.argsort(labels[chain[newest]], kind="stable")]
    starts = np.flatnonzero(changes(labels[chain[order]]))
    for members in np.split(order, starts[1:]) if len(order) else ():
        if len(np.unique(chain[members])) > 1:
            spread = _spread(frames, series, chain, depth, members)
            if spread.spare_bytes and len(spread.rows) > 1:
                found.append(spread)
    return sorted(found, key=lambda spread: (-spread.spare_bytes, spread.registry, spread.rows))


def _series(frames: Frames, families: Families, platforms: Platforms) -> _Series:
    artifacts, manifests = frames.artifacts, frames.manifests
    chosen = np.flatnonzero(
        (families.kind == IMAGE) & (artifacts.pushed_at_ms != NO_TIME) & ~platforms.is_attestation
    )
    manifest = artifacts.manifest[chosen]
    start = manifests.blob_offsets[manifest] + 1
    layers = manifests.blob_offsets[manifest + 1] - start
    # Of what is in several repositories of a group, the copy that was pushed first.
    group, _ = sharing_groups(frames)
    repository = artifacts.repository[chosen].astype(np.int64)
    pushed, digest = artifacts.pushed_at_ms[chosen], artifacts.digest_id[chosen]
    order = np.lexsort((repository, pushed, digest, group[repository]))
    is_home = np.zeros(len(chosen), np.bool_)
    is_home[order[changes(group[repository[order]], digest[order])]] = True
    kept = np.flatnonzero(is_home & (layers > 0))
    platform = platforms.platform[chosen[kept]]
    kept = kept[np.lexsort((chosen[kept], pushed[kept], platform, repository[kept]))]
    platform = platforms.platform[chosen[kept]]
    return _Series(
        artifact=chosen[kept],
        repository=repository[kept],
        platform=platform,
        is_first=changes(repository[kept], platform),
        start=start[kept],
        layers=layers[kept],
    )


def _chains(frames: Frames, series: _Series) -> tuple[Int64, Int64]:
    """The number of each image's base chain, and of how many layers that is (0 for none)."""
    blobs = frames.manifests.blobs
    group, registry = sharing_groups(frames)
    chain = group[series.repository]
    depth = np.zeros(len(chain), np.int64)
    numbers = len(registry)
    growing = np.flatnonzero(series.layers > 0)
    while len(growing):
        layer = blobs[series.start[growing] + depth[growing]].astype(np.int64)
        _, node = np.unique((chain[growing] << 32) | layer, return_inverse=True)
        pairs = np.unique((node << 32) | series.repository[growing])
        holders = np.bincount(pairs >> 32)
        shared = holders[node] > 1
        growing, node = growing[shared], node[shared]
        chain[growing] = numbers + node
        depth[growing] += 1
        numbers += len(holders)
        growing = growing[series.layers[growing] > depth[growing]]
    return chain, depth


def _lineages(series: _Series, chain: Int64, depth: Int64) -> Int64:
    """Per chain the number of its base: the least of the chains that are builds of one."""
    later = np.flatnonzero(~series.is_first)
    earlier = later - 1
    moved = (chain[later] != chain[earlier]) & (depth[later] == depth[earlier]) & (depth[later] > 0)
    one, other = chain[earlier[moved]], chain[later[moved]]
    pairs = np.stack([np.minimum(one, other), np.maximum(one, other), series.repository[later[moved]]])
    distinct = np.unique(pairs, axis=1)
    starts = np.flatnonzero(changes(distinct[0], distinct[1]))
    witnesses = np.diff(starts, append=distinct.shape[1])
    edges = distinct[:2, starts[witnesses >= _WITNESSES]]
    labels = np.arange(int(chain.max(initial=-1)) + 1)
    while True:
        least = np.minimum(labels[edges[0]], labels[edges[1]])
        before = labels.copy()
        np.minimum.at(labels, edges[0], least)
        np.minimum.at(labels, edges[1], least)
        if np.array_equal(before, labels):
            return labels


def _newest(series: _Series, chosen: Bools) -> Int64:
    """The last of ``chosen`` in each repository and platform."""
    number = np.cumsum(series.is_first, dtype=np.int64)
    at = np.flatnonzero(chosen)
    return at[np.append(changes(number[at])[1:], True)] if len(at) else at


def _spread(frames: Frames, series: _Series, chain: Int64, depth: Int64, members: Int64) -> Spread:
    artifacts = frames.artifacts
    builds = []
    for number in np.unique(chain[members]).tolist():
        standing = members[chain[members] == number]
        one = int(standing[0])
        span = slice(int(series.start[one]), int(series.start[one] + depth[one]))
        stored = frames.manifests.blobs[span][~frames.manifests.foreign[span]]
        builds.append(
            Build(
                layers=tuple(frames.manifests.blobs[span].tolist()),
                size_bytes=_bytes(frames, set(stored.tolist())),
                first_ms=int(artifacts.pushed_at_ms[series.artifact[chain == number]].min()),
                rows=tuple(np.unique(series.repository[standing]).tolist()),
            )
        )
    builds.sort(key=lambda build: (-build.first_ms, build.layers))
    foreign = set(_foreign(frames, series, depth, members))
    needed = set(builds[0].layers) - foreign
    everything = {layer for build in builds for layer in build.layers} - foreign
    return Spread(
        registry=int(frames.repositories["registry"].iloc[builds[0].rows[0]]),
        builds=tuple(builds),
        spare_bytes=_bytes(frames, everything - needed),
        # Members are in the order of series.
        first=(int(series.repository[members[0]]), int(series.platform[members[0]])),
    )


def _foreign(frames: Frames, series: _Series, depth: Int64, members: Int64) -> Iterator[int]:
    """Layers that these images name as not stored in the registry."""
    for member in members.tolist():
        span = slice(int(series.start[member]), int(series.start[member] + depth[member]))
        yield from frames.manifests.blobs[span][frames.manifests.foreign[span]].tolist()


def _bytes(frames: Frames, blobs: set[int]) -> int:
    return int(frames.blob_size_bytes[sorted(blobs)].sum()) if blobs else 0
