"""Layers, base images and manifests of an emulated registry, sized like the real ones measured.

The sizes follow the quantiles measured on 77,738 distinct layers of 24,303 public images: half of
all layers are a few kilobytes at most, a tenth hold nearly all the bytes.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

#: (share of layers, size in bytes below which they are), from the measured corpus.
LAYER_SIZES: tuple[tuple[float, float], ...] = (
    (0.0, 32),
    (0.05, 129),
    (0.25, 323),
    (0.50, 7_408),
    (0.75, 12_518_422),
    (0.90, 51_367_231),
    (0.95, 90_091_526),
    (0.99, 213_232_414),
    (1.0, 420_000_000),
)
#: The same of the images in a repository and of the tags alive in one.
IMAGES_PER_REPOSITORY: tuple[tuple[float, float], ...] = (
    (0.0, 3),
    (0.05, 4),
    (0.25, 68),
    (0.50, 127),
    (0.75, 276),
    (0.90, 813),
    (0.95, 1_061),
    (0.99, 2_065),
    (1.0, 2_300),
)
TAGS_PER_REPOSITORY: tuple[tuple[float, float], ...] = (
    (0.0, 1),
    (0.05, 2),
    (0.25, 7),
    (0.50, 15),
    (0.75, 32),
    (0.90, 67),
    (0.95, 114),
    (0.99, 264),
    (1.0, 300),
)

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
IN_TOTO = "application/vnd.in-toto+json"

#: The gzipped empty layer that BuildKit writes for a step that changes nothing; images repeat it.
EMPTY_LAYER = "sha256:4f4fb700ef54461cfa02571ae0db9a0dc1e0cdb5577484a6d75e68dc38e8acc1"
#: The two bytes ``{}`` that OCI artifacts use as their config.
EMPTY_CONFIG = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def quantile(curve: Sequence[tuple[float, float]], share: float) -> float:
    """The value below which ``share`` (0 to 1) lies, on a curve that is straight in its logarithm."""
    at = min(max(bisect.bisect_left(curve, (share, 0.0)), 1), len(curve) - 1)
    (low, small), (high, large) = curve[at - 1], curve[at]
    part = (share - low) / (high - low)
    return math.exp(math.log(small) + part * (math.log(large) - math.log(small)))


def dice(name: str) -> random.Random:
    """Chances that follow from ``name`` alone, the same on every machine."""
    return random.Random(name)  # noqa: S311 - made to be repeatable, not secret


class Blob(NamedTuple):
    """A layer or a config."""

    digest: str
    size: int
    #: Where a foreign layer is fetched from; empty for all that a registry stores.
    urls: tuple[str, ...] = ()


def blob(name: str, size: int, urls: tuple[str, ...] = ()) -> Blob:
    """A blob of ``size`` bytes whose digest follows from ``name`` alone."""
    return Blob("sha256:" + hashlib.sha256(name.encode()).hexdigest(), size, urls)


class _Base(NamedTuple):
    """A base image: what it stands on, the sizes of its own layers, days between its releases."""

    parent: str | None
    sizes: tuple[int, ...]
    days: int


_MB = 1_000_000
_BASES: Mapping[str, _Base] = {
    "debian": _Base(None, (29 * _MB,), 34),
    "ubuntu": _Base(None, (30 * _MB,), 40),
    "alpine": _Base(None, (3_640_000,), 50),
    "amazonlinux": _Base(None, (54 * _MB,), 30),
    "distroless": _Base(None, (816_000, 2_060_000), 45),
    "scratch": _Base(None, (), 365),
    "python": _Base("debian", (3_510_000, 16_100_000, 249), 45),
    "python-build": _Base("debian", (24 * _MB, 64_400_000, 211 * _MB, 6_160_000, 24_300_000, 250), 60),
    "node": _Base("debian", (4_100, 48_600_000, 1_710_000, 446), 40),
    "jre": _Base("ubuntu", (21_800_000, 47_500_000, 158, 2_280), 60),
    "nginx": _Base("debian", (43_900_000, 628, 955, 405, 1_210, 1_400), 40),
    "go": _Base("distroless", (), 90),
    "dotnet": _Base("debian", (18_700_000, 32_200_000, 155, 11_000_000), 50),
    "ruby": _Base("debian", (197, 36_800_000, 143), 60),
    "cuda": _Base(
        "ubuntu", (4_620_000, 57_600_000, 185, 6_890, 1_380 * _MB, 63_700, 1_680, 1_520, 950 * _MB), 120
    ),
    "spark": _Base("jre", (5_200_000, 312 * _MB, 48_000_000, 1_240, 2_380), 90),
    "windows": _Base(None, (1_720 * _MB, 640 * _MB), 30),
}
#: The shape of Microsoft's own links to the base layers that no other registry may store.
_WINDOWS_URL = "https://mcr.microsoft.com/v2/windows/servercore/blobs/{digest}"


class Bases:
    """Base images as they were released over time, the same for every repository of an account."""

    def __init__(self, seed: int, epoch: datetime) -> None:
        """Releases counted from ``epoch``, the day the account began."""
        self._seed = seed
        self._epoch = epoch
        self._made: dict[tuple[str, str, tuple[int, ...]], tuple[Blob, ...]] = {}

    def release(self, name: str, at: datetime) -> tuple[int, ...]:
        """Which release of ``name`` (and of each base under it, lowest first) was the newest at ``at``."""
        base = _BASES[name]
        # Each has its own day, so that not everything is rebuilt at once.
        offset = int(hashlib.sha256(f"{self._seed}/{name}".encode()).hexdigest()[:4], 16) % base.days
        own = max(0, ((at - self._epoch) + timedelta(days=offset)) // timedelta(days=base.days))
        return (*self.release(base.parent, at), own) if base.parent else (own,)

    def layers(self, name: str, arch: str, release: tuple[int, ...]) -> tuple[Blob, ...]:
        """The layers of one release of ``name`` for ``arch``, lowest first."""
        key = (name, arch, release)
        if key not in self._made:
            base = _BASES[name]
            below = self.layers(base.parent, arch, release[:-1]) if base.parent else ()
            self._made[key] = below + tuple(
                self._layer(
                    f"{name}/{arch}/{'.'.join(map(str, release))}/{number}", size, foreign=name == "windows"
                )
                for number, size in enumerate(base.sizes)
            )
        return self._made[key]

    def _layer(self, name: str, usual: int, *, foreign: bool) -> Blob:
        # Releases of one base differ in size by a few per cent.
        rng = dice(f"{self._seed}/{name}")
        made = blob(f"{self._seed}/base/{name}", max(32, round(usual * rng.uniform(0.96, 1.05))))
        return made._replace(urls=(_WINDOWS_URL.format(digest=made.digest),)) if foreign else made


# JSON as a manifest holds it: members of every JSON type.
Json = dict[str, object]


def descriptor(blob_: Blob, media_type: str, **more: object) -> Json:
    """A manifest's entry for one blob."""
    entry: Json = {"mediaType": media_type, "size": blob_.size, "digest": blob_.digest}
    return entry | ({"urls": list(blob_.urls)} if blob_.urls else {}) | more


def image_manifest(config: Blob, layers: Sequence[Blob], *, oci: bool = False, zstd: bool = False) -> str:
    """The manifest of one image, of Docker's media types or of OCI's."""
    if oci:
        manifest, config_type, layer_type = OCI_MANIFEST, OCI_CONFIG, OCI_ZSTD_LAYER if zstd else OCI_LAYER
    else:
        manifest, config_type, layer_type = DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": manifest,
            "config": descriptor(config, config_type),
            "layers": [descriptor(b, DOCKER_FOREIGN_LAYER if b.urls else layer_type) for b in layers],
        },
        indent=2,
    )


def artifact_manifest(
    artifact_type: str,
    layers: Sequence[tuple[Blob, str]],
    *,
    subject: Json | None = None,
    config: tuple[Blob, str] = (Blob(EMPTY_CONFIG, 2), OCI_EMPTY),
    annotations: Mapping[str, str] | None = None,
) -> str:
    """The manifest of an OCI artifact: something other than an image, with a subject or without."""
    manifest: Json = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    if artifact_type:
        manifest["artifactType"] = artifact_type
    manifest["config"] = descriptor(*config)
    manifest["layers"] = [descriptor(layer, media_type) for layer, media_type in layers]
    if subject is not None:
        manifest["subject"] = subject
    if annotations:
        manifest["annotations"] = dict(annotations)
    return json.dumps(manifest, separators=(",", ":"))


def index_manifest(children: Sequence[Json], *, oci: bool = True) -> str:
    """The manifest of a multi-platform index."""
    media_type = OCI_INDEX if oci else DOCKER_LIST
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": list(children)}, indent=2)


def child(manifest: str, digest: str, media_type: str, platform: str, **more: object) -> Json:
    """An index's entry for one manifest; ``platform`` is ``os/architecture[/variant]``."""
    os, architecture, *variant = platform.split("/")
    where = {"architecture": architecture, "os": os} | ({"variant": variant[0]} if variant else {})
    entry: Json = {
        "mediaType": media_type,
        "digest": digest,
        "size": len(manifest.encode()),
        "platform": where,
    }
    return entry | more
