"""Images and manifests of documents, to the arrays that the analyses take."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyzer.documents.fields import partition_of
from analyzer.documents.images import ListedImage, Listing
from analyzer.documents.manifests import GivenManifests
from analyzer.documents.notes import Fault, Notes, RepositoryKey
from analyzer.model.frames import (
    NEVER_PULLED,
    NO_MANIFEST,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Frames,
    Int32,
    Int64,
    LifecycleFacts,
    Listed,
    Manifests,
)
from analyzer.model.records import ImageStatus, Manifest, ReadStatus

_DAY_MS = 86_400_000
_Scalar = TypeVar("_Scalar", bound=np.generic)


def make_arrays(
    listing: Listing,
    partial: Collection[RepositoryKey],
    given: GivenManifests,
    notes: Notes,
    *,
    region: str,
    taken_at_ms: int,
) -> tuple[Frames, LifecycleFacts, list[str]]:
    """Frames, facts and digests (by artifact) of ``listing``; what is unknown goes to ``notes``."""
    repositories = sorted(repository for repository, images in listing.items() if images)
    images: list[ListedImage] = []
    digests: list[str] = []
    repository_of: list[int] = []
    manifest_of: list[int] = []
    manifests: list[Manifest] = []
    numbers: dict[int, int] = {}
    for position, repository in enumerate(repositories):
        for digest, image in sorted(listing[repository].items()):
            manifest = _manifest_of(repository, digest, image, given, notes)
            number = NO_MANIFEST
            if manifest is not None:
                # All of them live in ``given``, so that no two have the same id.
                number = numbers.setdefault(id(manifest), len(manifests))
                if number == len(manifests):
                    manifests.append(manifest)
            images.append(image)
            digests.append(digest)
            repository_of.append(position)
            manifest_of.append(number)
    _note_unlisted(listing, given, notes)

    ids = _ids(digests, images, manifests)
    sizes = _blob_sizes(manifests, ids)
    _note_conflicts(
        zip(repository_of, digests, manifest_of, strict=True), repositories, manifests, sizes, ids, notes
    )
    accounts = sorted({repository.account for repository in repositories})
    artifacts = Artifacts(
        repository=_array(repository_of, np.int32),
        digest_id=_array([ids[digest] for digest in digests], np.uint32),
        manifest=_array(manifest_of, np.int32),
        pushed_at_ms=_times([image.pushed_at_ms for image in images]),
        image_status=_array([image.status or ImageStatus.ACTIVE for image in images], np.uint8),
        pulled_day=_days([image.pulled_at_ms for image in images]),
        tags=_array([len(image.tags) for image in images], np.int32),
        reported_size_bytes=_array(
            [NO_SIZE if image.size_bytes is None else image.size_bytes for image in images], np.int64
        ),
        subject=_array([ids[image.subject] if image.subject else 0 for image in images], np.uint32),
        listed=_array([image.listed for image in images], np.uint8),
    )
    frames = Frames(
        _registries(accounts, region, taken_at_ms),
        _repositories(repositories, accounts, partial, taken_at_ms),
        artifacts,
        _manifests(manifests, ids),
        sizes,
    )
    return frames, _facts(images, artifacts), digests


def _manifest_of(
    repository: RepositoryKey, digest: str, image: ListedImage, given: GivenManifests, notes: Notes
) -> Manifest | None:
    found = given.find(repository, digest)
    if not found:
        notes.add(
            repository,
            Fault.NO_INDEX_MANIFEST if image.listed is Listed.INDEX else Fault.NO_MANIFEST,
            digest,
        )
        return None
    if len(found) > 1:
        notes.add(repository, Fault.MANIFESTS_DIFFER, digest)
        return None
    manifest, fault = found[0]
    if fault is not None:
        notes.add(repository, fault, digest)
    return manifest


def _note_unlisted(listing: Listing, given: GivenManifests, notes: Notes) -> None:
    listed = {digest for images in listing.values() for digest in images}
    for repository, digest in given.images():
        if digest not in listed:
            notes.add(repository, Fault.NOT_LISTED, digest)


def _ids(
    digests: Iterable[str], images: Iterable[ListedImage], manifests: Iterable[Manifest]
) -> dict[str, int]:
    """A number from 1 on for every digest that is mentioned, in the order of their text."""
    mentioned = set(digests)
    mentioned.update(image.subject for image in images if image.subject)
    for manifest in manifests:
        mentioned.update(blob.digest for blob in manifest.blobs)
        mentioned.update(child.digest for child in manifest.children)
        if manifest.subject_digest is not None:
            mentioned.add(manifest.subject_digest)
    return {digest: number for number, digest in enumerate(sorted(mentioned), 1)}


def _blob_sizes(manifests: Iterable[Manifest], ids: dict[str, int]) -> Int64:
    """Sizes by digest id: that of the first manifest that gives one."""
    stated: dict[int, int] = {}
    for manifest in manifests:
        for blob in manifest.blobs:
            stated.setdefault(ids[blob.digest], blob.size_bytes)
    sizes = np.zeros(len(ids) + 1, np.int64)
    sizes[list(stated)] = list(stated.values())
    return sizes


def _note_conflicts(
    artifacts: Iterable[tuple[int, str, int]],
    repositories: Sequence[RepositoryKey],
    manifests: Sequence[Manifest],
    sizes: Int64,
    ids: dict[str, int],
    notes: Notes,
) -> None:
    counted = sizes.tolist()
    conflicting = {
        number
        for number, manifest in enumerate(manifests)
        if any(counted[ids[blob.digest]] != blob.size_bytes for blob in manifest.blobs)
    }
    for position, digest, number in artifacts:
        if number in conflicting:
            notes.add(repositories[position], Fault.SIZE_CONFLICT, digest)


def _manifests(manifests: Sequence[Manifest], ids: dict[str, int]) -> Manifests:
    blobs = [blob for manifest in manifests for blob in manifest.blobs]
    return Manifests(
        digest_id=_array([ids[manifest.digest] for manifest in manifests], np.uint32),
        kind=_array([manifest.kind for manifest in manifests], np.uint8),
        subject=_array([ids.get(manifest.subject_digest or "", 0) for manifest in manifests], np.uint32),
        blob_offsets=_offsets([len(manifest.blobs) for manifest in manifests]),
        blobs=_array([ids[blob.digest] for blob in blobs], np.uint32),
        foreign=_array([blob.foreign for blob in blobs], np.bool_),
        child_offsets=_offsets([len(manifest.children) for manifest in manifests]),
        children=_array(
            [ids[child.digest] for manifest in manifests for child in manifest.children], np.uint32
        ),
    )


def _facts(images: Sequence[ListedImage], artifacts: Artifacts) -> LifecycleFacts:
    names = sorted({tag for image in images for tag in image.tags})
    number_of = {name: number for number, name in enumerate(names)}
    return LifecycleFacts(
        pulled_at_ms=_times([image.pulled_at_ms for image in images]),
        archived_at_ms=_times([image.archived_at_ms for image in images]),
        activated_at_ms=_times([image.activated_at_ms for image in images]),
        # The ids are in the order of the digests' text.
        tie=artifacts.digest_id.astype(np.int64),
        tag_offsets=_offsets(artifacts.tags),
        tags=_array([number_of[tag] for image in images for tag in image.tags], np.int32),
        tag_names=names,
    )


def _registries(accounts: Sequence[str], region: str, taken_at_ms: int) -> pd.DataFrame:
    count = len(accounts)
    return pd.DataFrame(
        {
            "partition": pd.Series([partition_of(region)] * count, dtype="str"),
            "account": pd.Series(accounts, dtype="str"),
            "region": pd.Series([region] * count, dtype="str"),
            "snapshot": np.zeros(count, np.int64),
            "run": np.zeros(count, np.int64),
            "taken_at_ms": np.full(count, taken_at_ms, np.int64),
            "status": pd.Series([str(ReadStatus.COMPLETE)] * count, dtype="str"),
            "blob_mounting": pd.Series([""] * count, dtype="str"),
            "blob_mounting_ever": np.zeros(count, np.bool_),
            "account_name": pd.Series([""] * count, dtype="str"),
            "public_aliases": pd.Series([()] * count, dtype="object"),
        }
    )


def _repositories(
    repositories: Sequence[RepositoryKey],
    accounts: Sequence[str],
    partial: Collection[RepositoryKey],
    taken_at_ms: int,
) -> pd.DataFrame:
    count = len(repositories)
    registry_of = {account: position for position, account in enumerate(accounts)}
    whole = [repository not in partial for repository in repositories]
    status = [str(ReadStatus.COMPLETE if complete else ReadStatus.PARTIAL) for complete in whole]
    return pd.DataFrame(
        {
            "registry": np.array([registry_of[repository.account] for repository in repositories], np.int64),
            "repository": pd.Series([repository.name for repository in repositories], dtype="str"),
            "created_at_ms": np.full(count, NO_TIME, np.int64),
            "status": pd.Series(status, dtype="str"),
            "complete_at_ms": np.where(whole, taken_at_ms, NO_TIME).astype(np.int64),
            "encryption_type": pd.Series([""] * count, dtype="str"),
            "kms_key": pd.Series([""] * count, dtype="str"),
            "pull_through_cache": np.zeros(count, np.bool_),
            "pull_through_cache_known": np.zeros(count, np.bool_),
            "lifecycle_policy_text": pd.Series([None] * count, dtype=object),
            "lifecycle_policy_known": np.zeros(count, np.bool_),
        }
    )


def _times(values: Iterable[int | None]) -> Int64:
    return _array([NO_TIME if value is None else value for value in values], np.int64)


def _days(values: Iterable[int | None]) -> Int32:
    return _array([NEVER_PULLED if value is None else value // _DAY_MS for value in values], np.int32)


def _offsets(lengths: Sequence[int] | Int32) -> Int64:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))


def _array(values: Sequence[object], dtype: type[_Scalar]) -> npt.NDArray[_Scalar]:
    return np.array(values, dtype)
