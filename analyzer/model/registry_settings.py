"""What registries and repositories are set to do, as far as it could be read.

``Settings`` and ``Scans`` come from the store, the rest is what the analyses make of them. Unknown is
never the same as none: a setting that could not be read is absent from its mapping, one that is known
to be absent has the value ABSENT (``model.records``), and results say None or UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np

from analyzer.model.frames import Bools, Int32, Int64, UInt8

#: ``Scans.status`` of an artifact for which ECR shows no scan.
NO_SCAN = -1
#: ``Scans.completed_day`` where no scan was completed, or it is not known when.
NEVER_COMPLETED = np.iinfo(np.int32).min
#: Columns of ``Scans.findings``, the gravest first.
SEVERITIES = ("critical", "high", "medium", "low", "informational", "undefined")


@dataclass(frozen=True, slots=True)
class Settings:
    """Setting name to canonical JSON, of the registries and repositories of frames, in their order."""

    registries: Sequence[Mapping[str, str]]
    repositories: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Scans:
    """The scan that DescribeImages shows for each artifact of frames, in their order; n long each."""

    #: Position in ``statuses``, or NO_SCAN.
    status: Int32
    #: ECR's words: COMPLETE, ACTIVE, FAILED, UNSUPPORTED_IMAGE…; "" where it gave none.
    statuses: Sequence[str]
    #: Day since 1970 UTC, or NEVER_COMPLETED.
    completed_day: Int32
    #: (n, 6) findings by ``SEVERITIES``; they count only where ``completed_day`` is known.
    findings: Int32


class Frequency(StrEnum):
    """How often the images of a repository are scanned, in ECR's words."""

    CONTINUOUS_SCAN = "CONTINUOUS_SCAN"
    SCAN_ON_PUSH = "SCAN_ON_PUSH"
    #: Only when somebody asks for it; in enhanced scanning never.
    MANUAL = "MANUAL"
    #: Never, which is our word: ECR scans no public repository.
    NOT_SCANNED = "NOT_SCANNED"


@dataclass(frozen=True, slots=True)
class Scanning:
    """How one repository is scanned: as ECR says it, and as the registry's rules have it."""

    #: None where ECR's answer is not known.
    applied: Frequency | None = None
    applied_filters: tuple[str, ...] | None = None
    #: None where the rules are not known, or leave it open.
    by_rules: Frequency | None = None
    #: Filters that match, of the rules with that frequency; None where the rules are not known.
    matching_filters: tuple[str, ...] | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether ECR applies what the rules say; None where one of them is not known."""
        if self.applied is None or self.by_rules is None:
            return None
        if self.applied is not self.by_rules:
            return False
        if self.applied_filters is None or self.matching_filters is None:
            return None
        return set(self.applied_filters) <= set(self.matching_filters)


class Openness(StrEnum):
    """The widest circle that a repository is open to beside its own account."""

    #: Whoever reads this needs no more than their own account's permission.
    PRIVATE = "private"
    #: AWS services.
    SERVICES = "services"
    #: Other accounts that are named.
    ACCOUNTS = "accounts"
    ORGANIZATION = "organization"
    #: Anyone who meets conditions that are not judged here.
    CONDITIONAL = "conditional"
    #: Anyone.
    PUBLIC = "public"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """Somebody outside of the account is let in."""

    #: public, organization, account, service or unknown.
    kind: str
    #: ``*``, an organization's or account's id, a service's name, or the principal as it is written.
    who: str
    #: Of pull, push, delete, administer, replicate, import, create and other, in that order.
    access: tuple[str, ...]
    #: Conditions, denials or the principal narrow it to a part that is not judged here.
    is_narrowed: bool = False


@dataclass(frozen=True, slots=True)
class Exposure:
    """Whom policies let in."""

    openness: Openness = Openness.UNKNOWN
    #: Sorted.
    grants: tuple[Grant, ...] = ()
    #: Why ``openness`` is unknown; "" where it is known.
    reason: str = "it was not read"


@dataclass(frozen=True, slots=True, order=True)
class Template:
    """A repository creation template: what repositories get that ECR creates by itself."""

    #: ``ROOT`` for all that no other template covers.
    prefix: str
    #: Of REPLICATION, PULL_THROUGH_CACHE and CREATE_ON_PUSH, sorted.
    applied_for: tuple[str, ...] = ()
    #: AES256, KMS or KMS_DSSE; "" where the template names none.
    encryption_type: str = ""
    kms_key: str = ""
    #: Its text; None for none.
    lifecycle_policy_text: str | None = None
    has_repository_policy: bool = False
    image_tag_mutability: str = ""
    tags: tuple[tuple[str, str], ...] = ()


class Copy(IntEnum):
    """Whether something is where replication would put it."""

    NO = 0
    YES = 1
    UNKNOWN = 2


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A repository of the same name in another registry, and how much of this one is there."""

    account: str
    region: str
    #: Artifacts of this repository that are there too, that are not, and of which nobody knows.
    present: int
    missing: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Replication:
    """What is a replica of what, among the registries of frames."""

    #: Of each repository: where the rules of its registry copy it to. None where they are not known.
    replicated_to: Sequence[tuple[Place, ...] | None]
    #: Of each repository: which registries' rules copy to it, as far as they are known.
    replica_of: Sequence[tuple[Place, ...]]
    #: ``Copy`` code per artifact: whether it is a replica.
    is_replica: UInt8
    #: Per artifact: in how many of its destinations it is, is not, and may be.
    present: Int32
    missing: Int32
    unknown: Int32
    #: Of each repository, at repository scope: bytes that only replicas hold, and that only replicas
    #: and artifacts hold of which nobody knows whether they are.
    replica_bytes: Int64
    possible_replica_bytes: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySettings:
    """What one repository is set to do; everything unknown by default."""

    scanning: Scanning = field(default_factory=Scanning)
    exposure: Exposure = field(default_factory=Exposure)
    #: None where the registry's rules are not known.
    replicated_to: tuple[Place, ...] | None = None
    replica_of: tuple[Place, ...] = ()
    replicas: int = 0
    possible_replicas: int = 0
    replica_bytes: int = 0
    possible_replica_bytes: int = 0
    #: Prefix of the template that would make it anew, "" for none; None where they are not known.
    creation_template: str | None = None
    #: Its AWS tags; None where they are not known.
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRule:
    """A rule of a registry's scanning configuration."""

    frequency: str
    #: Sorted.
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationRule:
    """A rule of a registry's replication configuration."""

    #: (account, region), sorted.
    destinations: tuple[tuple[str, str], ...]
    #: Sorted; empty for every repository.
    prefixes: tuple[str, ...] = ()
    #: Whether deletions are replicated too.
    deletes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """What one registry is set to do; None is unknown."""

    #: BASIC or ENHANCED; NONE for public registries, which ECR does not scan.
    scan_type: str | None = None
    #: The scanner of basic scanning: AWS_NATIVE or CLAIR.
    basic_scan_type_version: str | None = None
    scan_rules: tuple[ScanRule, ...] | None = None
    replication_rules: tuple[ReplicationRule, ...] | None = None
    #: Whom the registry's own policy lets in.
    exposure: Exposure = field(default_factory=Exposure)
    #: V1 or V2.
    policy_scope: str | None = None
    #: Longest prefix first, ROOT last.
    templates: tuple[Template, ...] | None = None


#: What ``Scans`` is where nothing was read.
def no_scans(artifacts: int) -> Scans:
    """``Scans`` of so many artifacts without one."""
    return Scans(
        status=np.full(artifacts, NO_SCAN, np.int32),
        statuses=(),
        completed_day=np.full(artifacts, NEVER_COMPLETED, np.int32),
        findings=np.zeros((artifacts, len(SEVERITIES)), np.int32),
    )


def counted(scans: Scans) -> Bools:
    """Where ``scans.findings`` count."""
    known: Bools = scans.completed_day != NEVER_COMPLETED
    return known
