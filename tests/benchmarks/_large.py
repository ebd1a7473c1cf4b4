"""What a large database holds, as arrays: repositories, images, and the layers of their manifests.

Shaped after measured registries: repositories of very unequal size; images that share the layers of
a base with other repositories and of their builds with each other, and own a config and about two
layers. Equal arguments give equal arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.model.frames import Bools, Int64

#: Manifests that the collector hands to the store at a time: what ids come in runs of.
_BATCH = 400

#: Layers of an image and bytes of a layer at these quantiles, as measured in 86 public repositories.
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_LAYERS = (1, 2, 5, 8, 13, 16, 19, 22, 30)
_LAYER_BYTES = (32, 129, 323, 7_408, 12_518_422, 51_367_231, 90_091_526, 213_232_414, 2_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much there is. ``images`` counts images alone; indexes and referrers come on top."""

    images: int = 1_000_000
    repositories: int = 2_000
    registries: int = 4
    #: Mean per image, configs not counted.
    layers: int = 10
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Fleet:
    """Repositories and images. A *content* is one of the distinct image manifests."""

    #: Of each repository.
    registry: Int64
    #: Of each image, ordered by repository and push.
    repository: Int64
    #: How many images of its repository are older.
    ordinal: Int64
    content: Int64
    #: The image that first had each content.
    original: Int64
    #: The first of the two images (the other follows it) of each index.
    index_of: Int64
    #: The images that have a signature, none of them promoted.
    signed: Int64


@dataclass(frozen=True, slots=True)
class Contents:
    """The distinct image manifests, their references back to back."""

    offsets: Int64
    #: Number of the distinct blob of each reference, and whether it is foreign.
    blob: Int64
    foreign: Bools
    blob_size: Int64
    #: The content that each blob first comes in.
    blob_first: Int64
    #: imageSizeInBytes of each content.
    size: Int64


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids of digests, counted from 1."""

    contents: Int64
    blobs: Int64
    indexes: Int64
    #: Manifest and layer of each signature, and the empty config they share (of length 0 or 1).
    signatures: Int64
    payloads: Int64
    empty: Int64
    total: int


def make_fleet(rng: np.random.Generator, shape: Shape) -> Fleet:
    """Repositories with their images."""
    images = shape.images
    repositories = max(1, min(shape.repositories, images))
    weights = rng.lognormal(0.0, 1.2, repositories)
    counts = 1 + rng.multinomial(images - repositories, weights / weights.sum())
    repository = np.repeat(np.arange(repositories), counts)
    ordinal = np.arange(images) - np.repeat(np.cumsum(counts) - counts, counts)
    trait = rng.random(repositories)
    multi_platform, signs = trait < 0.15, trait > 0.95
    # A promoted image is one of another repository; shifting all by the same amount keeps each
    # content at most once in a repository.
    promoted = (rng.random(images) < 0.05) & ~multi_platform[repository]
    source = (np.arange(images) + images // 2) % images
    promoted &= ~promoted[source] & (repository[source] != repository)
    place = np.cumsum(~promoted) - 1
    # Neighbours in a multi-platform repository are the children of one index.
    paired = multi_platform[repository[:-1]] & (repository[1:] == repository[:-1])
    return Fleet(
        registry=np.sort(rng.integers(0, max(1, min(shape.registries, repositories)), repositories)),
        repository=repository,
        ordinal=ordinal,
        content=np.where(promoted, place[source], place),
        original=np.flatnonzero(~promoted),
        index_of=np.flatnonzero(paired & (ordinal[:-1] % 2 == 0)),
        signed=np.flatnonzero(signs[repository] & ~promoted),
    )


def make_contents(rng: np.random.Generator, fleet: Fleet, mean_layers: int) -> Contents:
    """Manifests with ``mean_layers`` layers on average, each with a config before them."""
    repositories = len(fleet.registry)
    layers = np.interp(rng.random(repositories), _QUANTILES, _LAYERS)
    # Weighted by images, or the few large repositories would decide the mean.
    images = np.bincount(fleet.repository, minlength=repositories)
    scale = mean_layers / np.average(layers, weights=images)
    layers_of: Int64 = np.maximum(3, np.rint(layers * scale)).astype(np.int64)
    bases = max(2, repositories // 10)
    base = np.minimum(rng.zipf(1.4, repositories), bases) - 1
    from_base: Int64 = np.rint(layers_of * 0.35).astype(np.int64)
    from_build = layers_of - from_base - 2

    repository = fleet.repository[fleet.original]
    own = rng.integers(1, 4, len(repository))
    lengths = 1 + from_base[repository] + from_build[repository] + own
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    content = np.repeat(np.arange(len(repository)), lengths)
    depth = np.arange(offsets[-1]) - offsets[content]
    of = repository[content]
    shared = (from_base + from_build)[of]
    in_base = (depth > 0) & (depth <= from_base[of])
    in_build = (depth > from_base[of]) & (depth <= shared)
    # A build's lower layers change seldom, its upper ones every few pushes.
    generation = fleet.ordinal[fleet.original][content] // (4 << np.clip(shared - depth, 0, 6))

    blob = np.arange(offsets[-1]) | (2 << 60)
    blob[in_base] = (base[of] << 8 | depth)[in_base]
    blob[in_build] = (1 << 60 | of << 36 | depth << 28 | generation)[in_build]
    # In one of forty repositories the builds end in empty layers, all of one digest.
    blob[(of % 40 == 3) & (depth > shared)] = 0
    # In one of fifty bases the lowest layer is not the registry's.
    foreign = in_base & (depth == 1) & (base[of] % 50 == 7)
    distinct, first, blob = np.unique(blob, return_index=True, return_inverse=True)
    sizes = np.exp(np.interp(rng.random(len(distinct)), _QUANTILES, np.log(_LAYER_BYTES))).astype(np.int64)
    sizes[blob[offsets[:-1]]] = rng.integers(1_500, 12_000, len(repository))
    stored = np.where(foreign, 0, sizes[blob])
    return Contents(offsets, blob, foreign, sizes, content[first], np.add.reduceat(stored, offsets[:-1]))


def make_ids(rng: np.random.Generator, fleet: Fleet, contents: Contents) -> Ids:
    """Ids as the collector gives them: batch by batch, by digest (so: at random) inside a batch."""
    signed = fleet.content[fleet.signed]
    first_named = (
        np.arange(len(fleet.original)),
        contents.blob_first,
        fleet.content[fleet.index_of],
        signed,
        signed,
        signed[:1],
    )
    batch = np.concatenate(first_named) // _BATCH
    ids = np.empty(len(batch), np.int64)
    ids[np.lexsort((rng.random(len(batch)), batch))] = np.arange(1, len(batch) + 1)
    parts = np.split(ids, np.cumsum([len(part) for part in first_named[:-1]]))
    images, blobs, indexes, signatures, payloads, empty = parts
    return Ids(images, blobs, indexes, signatures, payloads, empty, len(ids))
