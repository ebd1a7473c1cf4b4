"""What the store hands to the analyses: arrays, sorted once, joined by position and not by id.

All arrays are read-only by convention. *Position* means an index into another array or frame of
the same answer; ids of the database appear only as ``digest_id``, the name of a digest inside one
database, and never decide an order that a reader sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyzer.model.records import PUBLIC_REGION

#: ``pushed_at_ms`` and the like where AWS gave no time.
NO_TIME = np.iinfo(np.int64).min
#: ``pulled_day`` of an artifact for which ECR records no pull.
NEVER_PULLED = np.iinfo(np.int32).min
#: ``reported_size_bytes`` where AWS gave none.
NO_SIZE = -1
#: ``manifest`` of an artifact whose manifest was never read.
NO_MANIFEST = -1

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]
UInt8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


class Listed(IntEnum):
    """What a listing says an artifact is."""

    #: Nothing, or a media type that this version does not know: it may name children.
    UNKNOWN = 0
    IMAGE = 1
    INDEX = 2


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Every image, index and referrer present, ordered by (repository, digest_id); n long each."""

    #: Position in ``Frames.repositories``.
    repository: Int32
    digest_id: UInt32
    #: Position in ``Frames.manifests``, or NO_MANIFEST.
    manifest: Int32
    #: Milliseconds since 1970 UTC, or NO_TIME.
    pushed_at_ms: Int64
    #: ``model.records.ImageStatus`` codes.
    image_status: UInt8
    #: Day since 1970 UTC, or NEVER_PULLED.
    pulled_day: Int32
    #: Number of tags it carries.
    tags: Int32
    #: imageSizeInBytes as ECR reports it, or NO_SIZE: a cross-check, never summed with the rest.
    reported_size_bytes: Int64
    #: digest_id of the subject as DescribeImages names it, 0 for none.
    subject: UInt32
    #: What imageManifestMediaType says it is, by ``Listed`` codes: all there is to know of an
    #: artifact whose manifest cannot be read.
    listed: UInt8


@dataclass(frozen=True, slots=True)
class Manifests:
    """The distinct manifests of those artifacts, m of them, their references back to back."""

    digest_id: UInt32
    #: ``model.records.Kind`` codes.
    kind: UInt8
    #: digest_id of the subject as the manifest names it, 0 for none.
    subject: UInt32
    #: (m + 1) offsets into ``blobs`` and ``foreign``.
    blob_offsets: Int64
    #: digest_ids of config and layers, repeats included, foreign ones too.
    blobs: UInt32
    foreign: Bools
    #: (m + 1) offsets into ``children``.
    child_offsets: Int64
    #: digest_ids of the children of indexes.
    children: UInt32

    @classmethod
    def none(cls) -> Manifests:
        """Of artifacts none of which has a known manifest."""
        nothing = np.zeros(0, np.uint32)
        return cls(
            digest_id=nothing,
            kind=np.zeros(0, np.uint8),
            subject=nothing,
            blob_offsets=np.zeros(1, np.int64),
            blobs=nothing,
            foreign=np.zeros(0, np.bool_),
            child_offsets=np.zeros(1, np.int64),
            children=nothing,
        )


@dataclass(frozen=True, slots=True)
class Frames:
    """One or more registries as their chosen snapshots saw them.

    ``registries`` (ordered by account, region, partition): partition, account, region, snapshot
    (its number), run (that took it), taken_at_ms, status, blob_mounting ("ENABLED", "DISABLED" or ""
    when unknown), blob_mounting_ever (bool: ENABLED in this or any earlier snapshot), account_name ("" where
    no organization said it), public_aliases (tuple of text: what a public registry's repositories may be
    named with at public.ecr.aws; empty when unknown, and of private ones).

    ``repositories`` (ordered by account, region, name, created_at_ms): registry (position),
    repository, created_at_ms, status (of its last read), complete_at_ms (time of its last complete
    read, NO_TIME if none), encryption_type ("" unknown), kms_key ("" none), pull_through_cache
    (bool), pull_through_cache_known (bool), lifecycle_policy_text (None when absent or unknown),
    lifecycle_policy_known (bool).
    """

    registries: pd.DataFrame
    repositories: pd.DataFrame
    artifacts: Artifacts
    manifests: Manifests
    #: Size of the blob whose digest_id is the index; 0 where the digest is no blob.
    blob_size_bytes: Int64

    @property
    def is_public(self) -> Bools:
        """Whether each repository is of a public registry, which has no lifecycle policies."""
        public = self.registries["region"].to_numpy(object) == PUBLIC_REGION
        found: Bools = public.astype(np.bool_)[self.repositories["registry"].to_numpy(np.int64)]
        return found


@dataclass(frozen=True, slots=True)
class LifecycleFacts:
    """What lifecycle rules look at beside ``Artifacts``: the same artifacts in the same order, n."""

    #: Milliseconds since 1970 UTC, or NO_TIME where ECR records no pull. Where only the day is
    #: known, its last millisecond: an image must not be said to leave before ECR would take it.
    pulled_at_ms: Int64
    #: lastArchivedAt and lastActivatedAt, or NO_TIME.
    archived_at_ms: Int64
    activated_at_ms: Int64
    #: Among artifacts of one repository with equal times the smaller counts as older: the order of
    #: the digests' text. All 0 where times differ, for then nothing depends on it.
    tie: Int64
    #: (n + 1) offsets into ``tags``.
    tag_offsets: Int64
    #: Positions in ``tag_names``, those of one artifact in no particular order.
    tags: Int32
    #: Distinct tag names, some of which no artifact here may carry; "" for ids that name nothing.
    tag_names: Sequence[str]


@dataclass(frozen=True, slots=True)
class IndexChildren:
    """What all indexes that were ever read say of their children; parallel arrays, in no order."""

    #: digest_id of the child.
    child: UInt32
    #: Position in ``names``, or -1 where the index says no platform.
    platform: Int32
    #: ``os/architecture[/variant]``, distinct.
    names: Sequence[str]


#: Where no index was ever read.
NO_CHILDREN: Final = IndexChildren(np.zeros(0, np.uint32), np.zeros(0, np.int32), ())
