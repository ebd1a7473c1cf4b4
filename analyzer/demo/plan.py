"""The records of an emulated registry: what it holds, and what it refuses. No emulator is needed here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime


def digest_of(text: str) -> str:
    """The digest that names ``text`` in a registry: ``sha256:`` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that a collector of the emulated account cannot read, and why it is so.

    ``repository`` is "" for the whole registry; ``call`` is spelt as IAM does. A ``code`` of
    ``AccessDeniedException`` is an answer to the call itself; other codes are about single images.
    """

    account: str
    region: str
    repository: str
    call: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Scan:
    """The scan state that DescribeImages shows: status, its time, and findings by severity."""

    status: str
    completed_at: datetime | None
    findings: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Image:
    """One image, index or artifact of a repository; changed in place as nights pass."""

    manifest: str
    media_type: str
    pushed_at: datetime
    tags: list[str] = field(default_factory=list)
    artifact_media_type: str | None = None
    subject_digest: str | None = None
    #: ACTIVE, ARCHIVED or ACTIVATING.
    status: str = "ACTIVE"
    archived_at: datetime | None = None
    activated_at: datetime | None = None
    pulled_at: datetime | None = None
    scan: Scan | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        """Name the image by its manifest unless a digest is given."""
        self.digest = self.digest or digest_of(self.manifest)


@dataclass(slots=True, kw_only=True)
class Repository:
    """One repository with its settings and everything it holds."""

    region: str
    name: str
    created_at: datetime
    images: list[Image] = field(default_factory=list)
    tags: Mapping[str, str] = field(default_factory=dict)
    #: None: the registry's own AES256 encryption.
    kms_key: str | None = None
    immutable: bool = False
    scan_on_push: bool = False
    #: Text of the repository policy.
    policy: str | None = None
    lifecycle_policy: str | None = None
    lifecycle_evaluated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PullThroughRule:
    """A pull-through-cache rule of a registry."""

    prefix: str
    upstream_url: str
    #: As the API names it: ``docker-hub``, ``quay``…
    upstream: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CreationTemplate:
    """What repositories get that ECR creates by itself under a prefix."""

    #: ``ROOT`` for all that no other template covers.
    prefix: str
    #: Of REPLICATION, PULL_THROUGH_CACHE and CREATE_ON_PUSH.
    applied_for: tuple[str, ...]
    created_at: datetime
    lifecycle_policy: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Registry:
    """The settings of one region's registry."""

    region: str
    #: ENABLED or DISABLED.
    blob_mounting: str = "DISABLED"
    pull_through_rules: Iterable[PullThroughRule] = ()
    #: ARNs whose pulls do not move lastRecordedPullTime.
    pull_time_exclusions: Iterable[str] = ()
    #: BASIC or ENHANCED.
    scan_type: str = "BASIC"
    #: Scan frequency to the filters of its rule.
    scan_filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Prefix of repository names ("" for all) to the regions they are replicated to.
    replicated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    policy: str | None = None
    templates: Iterable[CreationTemplate] = ()
