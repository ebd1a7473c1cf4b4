"""What documents leave unknown, counted while they are read and said once per repository."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from itertools import islice
from typing import NamedTuple

from analyzer.json_texts import shown
from analyzer.model.records import Gap

#: How many things a gap names; what is more is counted.
_NAMED_AT_MOST = 50

_PLURALS = {
    "image": "images",
    "index": "indexes",
    "listing": "listings",
    "manifest": "manifests",
    "tag": "tags",
}
_DESCRIBE_IMAGES = "ecr:DescribeImages"
_BATCH_GET_IMAGE = "ecr:BatchGetImage"


class RepositoryKey(NamedTuple):
    """A repository of the documents; "" for what they do not say."""

    #: registryId.
    account: str
    name: str


class _Fault(NamedTuple):
    """A kind of gap: so many of ``noun``, and what it is with them."""

    call: str
    reason: str
    noun: str
    detail: str
    #: Whether the gap names them.
    named: bool = True


class Fault(Enum):
    """What may be missing or wrong in a document that can be read all the same."""

    NO_PUSH_TIME = _Fault(
        _DESCRIBE_IMAGES,
        "NoPushTime",
        "image",
        "without imagePushedAt: marked by no rule that needs it, counted as the youngest",
    )
    UNKNOWN_STATUS = _Fault(
        _DESCRIBE_IMAGES,
        "UnknownImageStatus",
        "image",
        "with a status unknown to this version: counted as active",
    )
    INVALID_FIELD = _Fault(
        _DESCRIBE_IMAGES,
        "InvalidAnswer",
        "image",
        "with a size or media type that cannot be understood: taken as unknown",
    )
    CONTRADICTION = _Fault(
        _DESCRIBE_IMAGES,
        "Contradiction",
        "image",
        "listed more than once with different facts: what is listed last counts",
    )
    TAG_TWICE = _Fault(
        _DESCRIBE_IMAGES, "TagOnSeveralImages", "tag", "on more than one image, as no repository can have it"
    )
    TRUNCATED = _Fault(
        _DESCRIBE_IMAGES,
        "Truncated",
        "listing",
        "ending with a nextToken: the images after it are missing from every count",
    )
    NO_MANIFEST = _Fault(
        _BATCH_GET_IMAGE, "NoManifest", "image", "without a manifest given: sizes unknown", named=False
    )
    NO_INDEX_MANIFEST = _Fault(
        _BATCH_GET_IMAGE, "NoIndexManifest", "index", "without a manifest given: children unknown"
    )
    NOT_JSON = _Fault(_BATCH_GET_IMAGE, "ManifestNotJSON", "manifest", "not JSON: sizes unknown")
    UNREADABLE = _Fault(_BATCH_GET_IMAGE, "UnreadableManifest", "manifest", "malformed: sizes unknown")
    UNKNOWN_TYPE = _Fault(
        _BATCH_GET_IMAGE,
        "UnknownMediaType",
        "manifest",
        "of a media type unknown to this version: sizes unknown",
    )
    MANIFESTS_DIFFER = _Fault(
        _BATCH_GET_IMAGE,
        "ManifestContradiction",
        "image",
        "given with more than one manifest: none of them counts, sizes unknown",
    )
    SIZE_CONFLICT = _Fault(
        _BATCH_GET_IMAGE,
        "SizeConflict",
        "manifest",
        "contradicting others on the size of a blob: the size given first counts",
    )
    NOT_LISTED = _Fault(
        _BATCH_GET_IMAGE, "NotListed", "manifest", "of images that are not listed: not looked at"
    )


class Notes:
    """Faults by repository, each thing that has one named once."""

    def __init__(self) -> None:
        self._faults: dict[tuple[RepositoryKey, Fault], dict[str, None]] = {}
        self._failures: dict[tuple[RepositoryKey, str], dict[str, None]] = {}

    def add(self, repository: RepositoryKey, fault: Fault, thing: str) -> None:
        """``thing`` of ``repository`` (a digest mostly) has ``fault``."""
        self._faults.setdefault((repository, fault), {})[thing] = None

    def add_failure(self, repository: RepositoryKey, code: str, thing: str) -> None:
        """ECR itself gave no manifest for ``thing``, for the reason ``code``."""
        self._failures.setdefault((repository, code), {})[thing] = None

    def gaps(self, region: str) -> list[Gap]:
        """Everything noted, sorted, one gap per repository and reason."""
        kinds = {(repository, fault.value): things for (repository, fault), things in self._faults.items()}
        kinds |= {
            (
                repository,
                _Fault(_BATCH_GET_IMAGE, code, "manifest", "not given by ECR: sizes unknown"),
            ): things
            for (repository, code), things in self._failures.items()
        }
        return sorted(_gap(region, *key, things) for key, things in kinds.items())


def _gap(region: str, repository: RepositoryKey, kind: _Fault, things: Collection[str]) -> Gap:
    names = [shown(thing)[1:-1] for thing in islice(things, _NAMED_AT_MOST)]
    count = len(things)
    detail = f"{count} {kind.noun if count == 1 else _PLURALS[kind.noun]} {kind.detail}"
    if kind.named:
        more = f" and {count - _NAMED_AT_MOST} more" if count > _NAMED_AT_MOST else ""
        detail += f" ({', '.join(names)}{more})"
    return Gap(repository.account, region, repository.name, kind.call, kind.reason, detail, count)
