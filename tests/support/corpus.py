"""The real corpus of manifests: re-made as registry content, with its bytes counted by plain sets.

The data lies beside the repository and is not part of it. The source kept digests, sizes and media
types but not the manifests' own text, so the manifests are written again and get the digests of
what was written. Config blobs get size 0, for their sizes are not known.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from analyzer.demo import pour
from analyzer.demo.plan import Image, Registry, Repository, digest_of

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
#: id of the tag event that says that a tag was deleted.
_DELETED = -1


class Layer(NamedTuple):
    """One distinct layer of the corpus."""

    digest: str
    size: int
    media_type: str

    @property
    def foreign(self) -> bool:
        """Whether it is a Windows base layer, which a registry does not store."""
        return self.media_type == _FOREIGN_LAYER


class StoredBytes(NamedTuple):
    """What the images hold, each layer once per image, foreign layers left out."""

    logical: int
    #: Each layer once in every repository.
    repository: int
    #: Each layer once.
    registry: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """Whole repositories of the corpus, ready to be put into a registry."""

    repositories: Sequence[Repository]
    #: How many images and indexes they hold.
    images: int
    indexes: int
    #: Counted from the source records, not from the manifests made of them.
    expected: StoredBytes


class RawManifest(NamedTuple):
    """A manifest as some registry held it: the digest is that of the text."""

    digest: str
    text: str


def shared_path() -> Path:
    """Where the data lies: DEMURRAGE_SHARED, or ``../shared`` beside the repository."""
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("DEMURRAGE_SHARED") or root.parent / "shared")


def require_shared() -> Path:
    """The folder of the data; skips the test where it is absent."""
    path = shared_path()
    if not (path / "data" / "manifests" / "images.jsonl.gz").is_file():
        pytest.skip(f"the corpus of real manifests is not at {path} (set DEMURRAGE_SHARED)")
    return path


def _lines(name: str) -> Iterator[str]:
    with gzip.open(require_shared() / "data" / "manifests" / name, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\n")


# Records of the source: JSON objects, whose fields are described beside the data.
_Record = dict[str, Any]


def _records(name: str) -> Iterator[_Record]:
    return map(json.loads, _lines(name))


def _layers() -> dict[int, Layer]:
    rows = _lines("layers.tsv.gz")
    next(rows)
    layers = {}
    for row in rows:
        number, digest, size, _, media_type = row.split("\t")
        # Where the source did not print a media type (2016), it is the usual one.
        layers[int(number)] = Layer(digest, int(size), media_type or _LAYER)
    return layers


def _last_tags() -> dict[str, dict[str, int]]:
    """The image or index that each tag points at in the end, by repository and tag."""
    rows = _lines("tag_events.tsv.gz")
    next(rows)
    tags: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        _, repository, tag, number = row.split("\t")
        tags[repository][tag] = int(number)
    return {
        repository: {tag: number for tag, number in sorted(of.items()) if number != _DELETED}
        for repository, of in tags.items()
    }


def _sample(names: Iterable[str], count: int | None) -> set[str]:
    """So many of ``names``, spread by hash, the same on every machine."""
    # With this prefix a sample of eight holds Windows images, whose base layers are not stored.
    spread = sorted(names, key=lambda name: hashlib.sha256(f"0/{name}".encode()).digest())
    return set(spread[:count])


def load_corpus(repositories: int | None = None) -> Corpus:
    """The corpus, or a fixed sample of so many whole repositories; skips where the data is absent."""
    layers = _layers()
    # Read whole even for a sample, so that a manifest is the same text in every sample.
    all_images = list(_records("images.jsonl.gz"))
    chosen = _sample({image["repo"] for image in all_images}, repositories)
    alike: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for record in all_images:
        alike[record["config"], *record["layers"]].add(record["digest"])
    tags = {repo: _by_number(of) for repo, of in _last_tags().items()}

    held: dict[str, list[Image]] = defaultdict(list)
    made: dict[int, Image] = {}
    platforms: dict[int, str] = {}
    images = [record for record in all_images if record["repo"] in chosen]
    for record in images:
        # 140 images differ from another one of their repository in nothing that the source kept.
        ambiguous = len(alike[record["config"], *record["layers"]]) > 1
        text = _image_text(record, layers, ambiguous=ambiguous)
        made[record["id"]] = _image(record, text, _MANIFEST, _CONFIG, tags)
        platforms[record["id"]] = record["platform"]
        held[record["repo"]].append(made[record["id"]])
    indexes = [record for record in _records("indexes.jsonl.gz") if record["repo"] in chosen]
    for record in indexes:
        text = _index_text(record, made, platforms)
        held[record["repo"]].append(_image(record, text, record["mediaType"], None, tags))
    return Corpus(
        repositories=[_repository(name, held[name]) for name in sorted(held)],
        images=len(images),
        indexes=len(indexes),
        expected=_stored_bytes(images, layers),
    )


def _by_number(tags: Mapping[str, int]) -> dict[int, list[str]]:
    by_number: dict[int, list[str]] = defaultdict(list)
    for tag, number in tags.items():
        by_number[number].append(tag)
    return by_number


def _stored_bytes(images: Iterable[_Record], layers: Mapping[int, Layer]) -> StoredBytes:
    logical = 0
    by_repository: dict[str, set[int]] = defaultdict(set)
    everywhere: set[int] = set()
    for image in images:
        stored = {number for number in image["layers"] if not layers[number].foreign}
        logical += sum(layers[number].size for number in stored)
        by_repository[image["repo"]] |= stored
        everywhere |= stored
    return StoredBytes(
        logical,
        sum(layers[number].size for held in by_repository.values() for number in held),
        sum(layers[number].size for number in everywhere),
    )


def _image_text(record: _Record, layers: Mapping[int, Layer], *, ambiguous: bool) -> str:
    manifest: _Record = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "size": 0, "digest": record["config"]},
        "layers": [_layer_entry(layers[number]) for number in record["layers"]],
    }
    if ambiguous:
        # Nothing reads it; it keeps two images from becoming one.
        manifest["originalDigest"] = record["digest"]
    return json.dumps(manifest, separators=(",", ":"))


def _layer_entry(layer: Layer) -> _Record:
    entry: _Record = {"mediaType": layer.media_type, "size": layer.size, "digest": layer.digest}
    if layer.foreign:
        entry["urls"] = [f"https://mcr.microsoft.com/v2/windows/servercore/blobs/{layer.digest}"]
    return entry


def _index_text(record: _Record, made: Mapping[int, Image], platforms: Mapping[int, str]) -> str:
    children = [
        {
            "mediaType": _MANIFEST,
            "size": len(made[number].manifest),
            "digest": made[number].digest,
            "platform": _platform(platforms[number]),
        }
        for number in record["images"]
    ]
    text = {"schemaVersion": 2, "mediaType": record["mediaType"], "manifests": children}
    return json.dumps(text, separators=(",", ":"))


def _platform(text: str) -> dict[str, str]:
    """``linux; arm variant v7`` and ``windows version 10.0.1; amd64`` as an index has them."""
    system, _, architecture = text.partition("; ")
    os_name, _, version = system.partition(" version ")
    name, _, variant = architecture.partition(" variant ")
    platform = {"architecture": name, "os": os_name, "os.version": version, "variant": variant}
    return {key: value for key, value in platform.items() if value}


def _image(
    record: _Record,
    text: str,
    media_type: str,
    artifact_media_type: str | None,
    tags: Mapping[str, Mapping[int, list[str]]],
) -> Image:
    return Image(
        manifest=text,
        media_type=media_type,
        artifact_media_type=artifact_media_type,
        pushed_at=datetime.fromisoformat(record["first_seen"]),
        tags=list(tags.get(record["repo"], {}).get(record["id"], ())),
        digest=digest_of(text),
    )


def _repository(name: str, images: list[Image]) -> Repository:
    return Repository(
        region="us-east-1", name=name, created_at=min(image.pushed_at for image in images), images=images
    )


def regclient_manifests() -> list[RawManifest]:
    """Raw OCI manifests and indexes, byte exact, with referrers and artifacts; skips where absent."""
    path = require_shared() / "data" / "manifests" / "regclient_oci_layout_testrepo.jsonl"
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [RawManifest(record["digest"], record["raw"]) for record in records]


def fill_moto(corpus: Corpus, account: str, region: str) -> None:
    """Put the corpus into moto's backend, blob mounting off; under ``moto_faults.mended()``."""
    pour.pour_registry(account, Registry(region=region))
    for repository in corpus.repositories:
        pour.pour_repository(account, replace(repository, region=region))
