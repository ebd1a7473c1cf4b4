"""What the collector hands to the store: one registry as one run saw it.

Digests are text (``sha256:…``). Times are integer milliseconds since 1970-01-01 UTC, as AWS
sends them; pulls are whole days, which is the resolution ECR records them at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple


class ReadStatus(StrEnum):
    """How much of a registry or repository one run could read."""

    COMPLETE = "complete"
    #: Some pages came and then a call failed: what came is kept, nothing disappears.
    PARTIAL = "partial"
    #: Nothing came.
    REFUSED = "refused"


class ImageStatus(IntEnum):
    """ECR's imageStatus, by the code the store keeps."""

    ACTIVE = 0
    ARCHIVED = 1
    #: Being restored from the archive, for up to about 20 minutes; archived until it is over.
    ACTIVATING = 2
    #: A value this version does not know; counted as active, and a gap says so.
    OTHER = 3


class Kind(IntEnum):
    """What a manifest is, by the code the store keeps."""

    #: A config and layers (with a subject it is a referrer).
    IMAGE = 0
    #: A multi-platform index or manifest list: children, no bytes of its own.
    INDEX = 1
    #: The text is authentic, but of a media type this version cannot read: its bytes are unknown.
    UNKNOWN = 2
    #: The text is authentic, but malformed: its bytes are unknown.
    UNREADABLE = 3


class ScanSummary(NamedTuple):
    """The scan state that DescribeImages shows for one image."""

    status: str
    completed_day: int | None
    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    informational: int = 0
    undefined: int = 0


class Artifact(NamedTuple):
    """One image, index or referrer in one repository, as DescribeImages lists it."""

    digest: str
    #: Sorted, without repeats; empty when untagged.
    tags: tuple[str, ...] = ()
    pushed_at_ms: int | None = None
    image_status: ImageStatus = ImageStatus.ACTIVE
    archived_at_ms: int | None = None
    activated_at_ms: int | None = None
    #: imageSizeInBytes, kept as a cross-check only.
    reported_size_bytes: int | None = None
    media_type: str | None = None
    artifact_media_type: str | None = None
    subject_digest: str | None = None
    #: Day (since 1970-01-01 UTC) of lastRecordedPullTime; None when ECR records no pull.
    pulled_day: int | None = None
    scan: ScanSummary | None = None


class BlobReference(NamedTuple):
    """One entry of a manifest: its config or a layer."""

    digest: str
    size_bytes: int
    media_type: str
    #: Not stored by the registry (a Windows base layer fetched from its ``urls``).
    foreign: bool = False


class Child(NamedTuple):
    """One entry of an index."""

    digest: str
    #: ``os/architecture[/variant]``, or None where the index does not say.
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest whose text hashes to its digest."""

    digest: str
    kind: Kind
    media_type: str
    #: Length of the manifest's text.
    size_bytes: int
    #: Config first, then layers in order, repeats included.
    blobs: Sequence[BlobReference] = ()
    children: Sequence[Child] = ()
    artifact_type: str | None = None
    subject_digest: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Something a run was refused or could not read. ``repository`` is "" for the whole registry."""

    account: str
    region: str
    repository: str
    #: The API call, as IAM spells it: ``ecr:DescribeImages``.
    call: str
    #: A stable code: AWS's error code, or one of ours (``DigestMismatch``…).
    reason: str
    #: One sentence for a person.
    detail: str = ""
    #: How many things (images, mostly) it is about.
    count: int = 1


@dataclass(frozen=True, slots=True)
class ManifestRefusal:
    """A manifest that could not be read, and from where; kept so that it is not asked for in vain."""

    repository_key: tuple[str, int]
    digest: str
    reason: str
    image_status: ImageStatus = ImageStatus.ACTIVE


#: A setting whose value is known to be absent (no lifecycle policy, say). A setting that could not
#: be read is left out of the mapping instead, and keeps its last known value in the store.
ABSENT = "null"


@dataclass(frozen=True, slots=True)
class RepositoryRead:
    """One repository as one run saw it. ``(name, created_at_ms)`` identifies it in its registry."""

    name: str
    created_at_ms: int
    status: ReadStatus
    artifacts: Sequence[Artifact] = ()
    #: Setting name to canonical JSON text; only those that could be read.
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int]:
        """Name and creation time: a repository made again under the same name is a new one."""
        return self.name, self.created_at_ms


class UseKind(IntEnum):
    """How a workload uses an image, by the code the store keeps."""

    #: It runs now.
    RUNNING = 0
    #: It would be pulled at the workload's next start.
    CONFIGURED = 1
    #: An earlier state of the workload names it: what a rollback would pull.
    PREVIOUS = 2


class WorkloadUse(NamedTuple):
    """A workload names an image."""

    #: Of its account and region: ``cluster/service``, a function's name with its version.
    workload: str
    #: As the workload gives it, with ``@digest`` behind where it says which digest it got.
    reference: str
    kind: UseKind


class KnownUse(NamedTuple):
    """A use that the last snapshot has."""

    use: WorkloadUse
    #: When the first of the snapshots that have it was taken.
    seen_at_ms: int


@dataclass(frozen=True, slots=True)
class WorkloadRead:
    """What one source of workloads in a registry's account and region names, as one run saw it.

    A use disappears only when ``status`` is complete.
    """

    #: ecs, lambda, eks, inspector, apprunner, batch, sagemaker, codebuild.
    source: str
    status: ReadStatus
    uses: Sequence[WorkloadUse] = ()


#: Stands for a region in the key of an account's public registry, which is in none.
PUBLIC_REGION = "public"


@dataclass(frozen=True, slots=True)
class RegistryKey:
    """A private registry, one account in one region of one partition; or an account's public one."""

    partition: str
    account: str
    region: str

    @property
    def is_public(self) -> bool:
        """Whether it is an account's public registry."""
        return self.region == PUBLIC_REGION


@dataclass(frozen=True, slots=True)
class RegistryRead:
    """One registry as one run saw it.

    ``status`` is that of the repository listing: only a complete one can make a repository
    disappear.
    """

    key: RegistryKey
    taken_at_ms: int
    status: ReadStatus
    repositories: Sequence[RepositoryRead] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()
    refusals: Sequence[ManifestRefusal] = ()
    #: Sources of workloads that were asked; those left out keep what is known of them.
    workloads: Sequence[WorkloadRead] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One repository of a snapshot that is still being taken, for whoever has to take it again."""

    read: RepositoryRead
    #: What was refused of it, manifests apart.
    gaps: Sequence[Gap]
    read_at_ms: int


@dataclass(frozen=True, slots=True)
class ResumableSnapshot:
    """A whole snapshot that a run left which did not end."""

    number: int
    taken_at_ms: int
    repositories: int
    artifacts: int
    #: What that run was refused of the registry.
    gaps: Sequence[Gap] = ()
