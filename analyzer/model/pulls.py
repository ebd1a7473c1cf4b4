"""Pulls as CloudTrail records them, in daily aggregates, and where they came from.

What the ingestion keeps, the store gives back and the analyses read. Days are counted since
1970-01-01 UTC. A pull of a layer is one GetDownloadUrlForLayer, which moves the layer's bytes; a pull
of an image is one BatchGetImage, a look at its manifest that moves none worth counting (the client
may have every layer). Bytes are not kept: they are the layer's known size times the number of pulls.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

#: ``puller_region`` where it cannot be told; a row of its own, never spread over the others.
UNKNOWN_REGION: Final = ""
#: ``puller_region`` where the address is none of AWS's: what was pulled left it for the internet.
INTERNET: Final = "internet"


class PullKind(StrEnum):
    """What was asked for."""

    #: GetDownloadUrlForLayer: bytes moved.
    LAYER = "layer"
    #: BatchGetImage: a check.
    IMAGE = "image"


class RegionMethod(StrEnum):
    """How the puller's region was told, the surest first."""

    #: A workload of the principal's account that names the image runs in one region alone.
    WORKLOAD = "workload"
    #: The session is named for an EC2 instance whose region is known.
    INSTANCE = "instance"
    #: The call came through a VPC endpoint whose region is known.
    ENDPOINT = "endpoint"
    #: The source address is AWS's, by its published ip-ranges.
    ADDRESS = "address"
    #: A rule of the user's says where the role works.
    ROLE = "role"
    #: None of them told.
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    """How sure the puller's region is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"


class LeftOut(StrEnum):
    """Why an ECR read event is no pull to be counted."""

    #: The call failed: nothing was pulled.
    ERROR = "error"
    #: Our own collector reading manifests.
    COLLECTOR = "collector"
    #: A vulnerability scanner (Amazon Inspector, ECR itself).
    SCANNER = "scanner"
    #: Replication, pull-through caches and other reads by ECR itself.
    SERVICE = "service"
    #: The record lacks what a pull needs to be counted (registry, repository, image or layer).
    UNREADABLE = "unreadable"


class Hints(NamedTuple):
    """What a record says that may tell where its puller is.

    Session, address and endpoint are looked at while records are read, and never stored.
    """

    #: Of the registry.
    account: str
    region: str
    repository: str
    #: As in `Pulls`.
    principal_account: str
    principal: str
    #: Name of the role's session: of an EC2 instance's role the instance's id; "" where there is none.
    session: str = ""
    #: An address, without a doubt; "" where the record has none, or a name in its place.
    source_address: str = ""
    #: ``vpce-…``, or "".
    endpoint: str = ""


class Told(NamedTuple):
    """Where a puller is."""

    region: str
    method: RegionMethod
    confidence: Confidence


#: What is told of a puller that cannot be told.
NOT_TOLD: Final = Told(UNKNOWN_REGION, RegionMethod.UNKNOWN, Confidence.NONE)


class Machine(NamedTuple):
    """An EC2 instance or VPC endpoint, and where it was seen; its name is in no other place at any time."""

    #: ``i-…`` or ``vpce-…``.
    name: str
    account: str
    region: str
    #: The last day it was seen.
    seen_day: int


class Origin(Protocol):
    """Whoever can tell where pullers are."""

    def tell(self, hints: Hints, /) -> Told:
        """Where it is; NOT_TOLD where that is not known. Called once for many records of the same hints."""


class NoOrigin:
    """Knows nothing: every puller's region is unknown."""

    def tell(self, _hints: Hints, /) -> Told:
        """NOT_TOLD."""
        return NOT_TOLD


class Target(NamedTuple):
    """What was asked for; where the event is no pull to be counted, only which registry and why not."""

    account: str
    region: str
    repository: str
    kind: PullKind | LeftOut
    digest: str = ""
    tag: str = ""


class Puller(NamedTuple):
    """Who pulled, and from where."""

    account: str = ""
    principal: str = ""
    region: str = UNKNOWN_REGION
    method: RegionMethod = RegionMethod.UNKNOWN
    confidence: Confidence = Confidence.NONE


class Pulls(NamedTuple):
    """So many pulls of one layer or image on one day by one principal from one region."""

    day: int
    #: Of the registry: its owner, and where it is.
    account: str
    region: str
    repository: str
    kind: PullKind
    #: Of the layer, or of the manifest asked for; "" where an image was asked for by ``tag``.
    digest: str
    tag: str
    #: Whose principal pulled; "" where the record does not say.
    principal_account: str
    #: ARN of the role, user or service, without the session's name; "" where it is not known.
    principal: str
    puller_region: str
    method: RegionMethod
    confidence: Confidence
    #: How many.
    times: int


class LeftOutCount(NamedTuple):
    """Layers and images asked for on one day that were not counted as pulls of a registry."""

    day: int
    #: "" where the record does not say.
    account: str
    region: str
    reason: LeftOut
    times: int


class Coverage(NamedTuple):
    """What one source says about one registry on one day: without it, no pulls are no zero."""

    day: int
    account: str
    region: str
    #: s3, folder or lookup, and which.
    source: str
    #: complete, partial (hours without a file, a listing that broke off) or none.
    status: str
    #: Why it is not complete; "" where it is.
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PullHistory:
    """The pulls of some days and what is known of their completeness."""

    first_day: int
    last_day: int
    #: Sorted.
    pulls: tuple[Pulls, ...] = ()
    left_out: tuple[LeftOutCount, ...] = ()
    coverage: tuple[Coverage, ...] = ()
