"""Pasts of `tests.strategies.history` written through the real store, night by night."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from analyzer.model.media_types import OCI_INDEX, OCI_MANIFEST
from analyzer.model.records import (
    ABSENT,
    Artifact,
    BlobReference,
    Child,
    Kind,
    Manifest,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
)
from analyzer.store.engine import Database
from analyzer.store.writer import Store
from tests.analyzer.store.examples import commit
from tests.oracle.back_test import Blobs, Night
from tests.oracle.lifecycle import DAY_MS, Image
from tests.strategies.registries import sha256

KEY = RegistryKey("aws", "111111111111", "eu-west-1")
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

#: What a repository was on one night: None for one that is not there.
Texts = Mapping[tuple[str, int], str | None]


def write_nights(
    database: Database,
    repositories: Mapping[str, Sequence[Night | None]],
    *,
    blobs: Mapping[str, Blobs] | None = None,
    policies: Texts | None = None,
    created: Mapping[str, int] | None = None,
    partial: Sequence[tuple[str, int]] = (),
) -> None:
    """One run for each night of ``repositories``, which all have as many; None is a night without it.

    ``policies`` by name and night (none at all where left out); ``partial`` reads by name and night.
    """
    policies, created = policies or {}, created or {}
    images = {
        image.digest: image
        for nights in repositories.values()
        for night in nights
        if night is not None
        for image in night.images
    }
    store = Store(database, lambda: 0)
    manifests = [_manifest(image, (blobs or {}).get(image.digest, {})) for image in images.values()]
    store.add_manifests(sorted(manifests, key=lambda manifest: manifest.digest))
    for number in range(max(map(len, repositories.values()))):
        reads, at_ms = [], 0
        for name, nights in repositories.items():
            night = nights[number]
            if night is None:
                continue
            at_ms = night.at_ms
            text = policies.get((name, number))
            reads.append(
                RepositoryRead(
                    name,
                    created.get(name, 1),
                    ReadStatus.PARTIAL if (name, number) in partial else ReadStatus.COMPLETE,
                    tuple(map(artifact_of, night.images)),
                    {"lifecycle_policy_text": ABSENT if text is None else json.dumps(text)},
                )
            )
        commit(
            database, RegistryRead(KEY, at_ms, ReadStatus.COMPLETE, reads, {"blob_mounting": '"DISABLED"'})
        )


def artifact_of(image: Image) -> Artifact:
    """The same artifact as the collector hands it over; its digest is made of its name."""
    return Artifact(
        sha256(image.digest),
        tuple(sorted(image.tags)),
        image.pushed_at_ms,
        image.status,
        image.archived_at_ms,
        image.activated_at_ms,
        media_type=OCI_INDEX if image.children else OCI_MANIFEST,
        subject_digest=sha256(image.subject) if image.subject else None,
        pulled_day=None if image.last_pull_ms is None else image.last_pull_ms // DAY_MS,
    )


def _manifest(image: Image, held: Blobs) -> Manifest:
    return Manifest(
        sha256(image.digest),
        Kind.INDEX if image.children else Kind.IMAGE,
        OCI_INDEX if image.children else OCI_MANIFEST,
        500,
        tuple(BlobReference(sha256(blob), size, _LAYER) for blob, size in held.items()),
        tuple(Child(sha256(child)) for child in image.children),
        subject_digest=sha256(image.subject) if image.subject else None,
    )
