"""Amazon ECR's read calls, each as one function that gives plain records.

A listing that breaks off gives what came before beside the refusal that ended it; one whose page
token expired is begun anew first. Nothing here decides what a refusal means for the run, and nothing
computes.

A call about one repository may be refused for its parameters: a name or digest that ECR listed and
then does not like costs that repository, not the night. Of `DescribeRepositories`, which has no
such parameter, it is a fault of ours.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from analyzer.collect.clients import Answering, RegistryClient
from analyzer.collect.images import PageFaults, add_page, milliseconds
from analyzer.collect.refusals import (
    PARAMETER_CODES,
    ExpiredPageTokenError,
    Reach,
    Refusal,
    RefusedError,
    one_line,
)
from analyzer.manifests import ACCEPTED_MEDIA_TYPES, DIGEST_MISMATCH, parse_manifest, storable
from analyzer.model.records import ABSENT, Artifact, Manifest

T = TypeVar("T")

_PAGE = 1000
#: How often a listing whose page token expired is begun anew. Each time it may take as long again.
_ANEW = 2
#: imageIds that BatchGetImage takes at most.
BATCH = 100

_NO_POLICY = "LifecyclePolicyNotFoundException"

_RULE_FIELDS = (
    "credentialArn",
    "customRoleArn",
    "ecrRepositoryPrefix",
    "registryId",
    "upstreamRegistry",
    "upstreamRegistryUrl",
    "upstreamRepositoryPrefix",
)


@dataclass(frozen=True, slots=True)
class RepositoryRecord:
    """One repository as DescribeRepositories lists it."""

    name: str
    created_at_ms: int
    #: "" when the answer had none.
    arn: str
    #: Setting name to canonical JSON.
    settings: Mapping[str, str]


@dataclass(slots=True)
class RepositoryListing:
    """The repositories of a registry, by name."""

    repositories: dict[str, RepositoryRecord] = field(default_factory=dict)
    #: Entries without a name or a time of creation that could be understood.
    left_out: int = 0
    #: What ended the listing early, if anything did.
    refusal: Refusal | None = None


@dataclass(slots=True)
class ImageListing:
    """The artifacts of one repository, by digest, in the order they were last seen."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    faults: PageFaults = field(default_factory=PageFaults)
    #: What ended the listing early, if anything did.
    refusal: Refusal | None = None


@dataclass(slots=True)
class ManifestAnswers:
    """What one BatchGetImage call gave for the digests it was asked for."""

    manifests: list[Manifest] = field(default_factory=list)
    #: Digest to why it has no manifest; with ``manifests`` this covers every digest asked for.
    refused: dict[str, Refusal] = field(default_factory=dict)
    #: What the whole call was refused for, if it was.
    refusal: Refusal | None = None


def canonical(value: object) -> str:
    """JSON text that is equal for equal values: keys sorted, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def fetch_repositories(client: RegistryClient) -> RepositoryListing:
    """All repositories of the registry; of two entries with one name the later counts."""
    readings: list[RepositoryListing] = []

    def read() -> RepositoryListing:
        listing = RepositoryListing()
        readings.append(listing)
        for page in pages(client, "DescribeRepositories"):
            for entry in of_type(page.get("repositories"), list):
                record = _repository(entry)
                if record is None:
                    listing.left_out += 1
                else:
                    listing.repositories[record.name] = record
        return listing

    try:
        return begun_anew(read)
    except RefusedError as error:
        broken = RepositoryListing(refusal=error.refusal)
        for reading in readings:
            broken.repositories |= reading.repositories
            broken.left_out = max(broken.left_out, reading.left_out)
        return broken


def fetch_images(client: RegistryClient, repository: str) -> ImageListing:
    """All artifacts of a repository, archived ones included."""
    readings: list[ImageListing] = []

    def read() -> ImageListing:
        listing = ImageListing()
        readings.append(listing)
        # Without the filter, archived images, which are billed, are not listed.
        for page in pages(
            client,
            "DescribeImages",
            tolerate=PARAMETER_CODES,
            repositoryName=repository,
            filter={"imageStatus": "ANY"},
        ):
            faults = add_page(of_type(page.get("imageDetails"), list), listing.artifacts)
            listing.faults = PageFaults(*map(operator.add, listing.faults, faults))
        return listing

    try:
        # A reading that went whole is the listing, alone: what an earlier one saw and it does not is gone.
        return begun_anew(read)
    except RefusedError as error:
        broken = ImageListing(refusal=error.refusal)
        for reading in readings:
            for digest, artifact in reading.artifacts.items():
                # In the order of the last sight, as `add_page` keeps it, and for its reason.
                broken.artifacts.pop(digest, None)
                broken.artifacts[digest] = artifact
            # The same entries came again; those that did not are no fewer.
            broken.faults = PageFaults(*map(max, broken.faults, reading.faults))
        return broken


def fetch_lifecycle_policy(client: RegistryClient, repository: str) -> str:
    """The lifecycle policy's text as a JSON string, or ABSENT; raises RefusedError."""
    try:
        answer = client.call(
            "GetLifecyclePolicy", tolerate=(_NO_POLICY, *PARAMETER_CODES), repositoryName=repository
        )
    except RefusedError as error:
        if error.refusal.reason == _NO_POLICY:
            return ABSENT
        raise
    return canonical(of_type(answer.get("lifecyclePolicyText"), str))


def fetch_tags(client: RegistryClient, arn: str) -> str:
    """The repository's AWS tags as a JSON object; raises RefusedError."""
    if not arn:
        raise RefusedError(unusable("the repository was listed without its ARN"))
    answer = client.call("ListTagsForResource", tolerate=PARAMETER_CODES, resourceArn=arn)
    tags = of_type(answer.get("tags"), list)
    return canonical({str(tag.get("Key")): tag.get("Value") for tag in tags if tag.get("Key") is not None})


def fetch_blob_mounting(client: RegistryClient) -> str:
    """The account setting BLOB_MOUNTING as a JSON string, ENABLED or DISABLED; raises RefusedError."""
    answer = client.call("GetAccountSetting", tolerate=PARAMETER_CODES, name="BLOB_MOUNTING")
    value = of_type(answer.get("value"), str).upper()
    if value not in ("ENABLED", "DISABLED"):
        raise RefusedError(unusable(f"BLOB_MOUNTING is {one_line(value, 40)}"))
    return canonical(value)


def fetch_pull_through_cache_rules(client: RegistryClient) -> str:
    """The pull-through cache rules as a sorted JSON list of objects, without times; raises RefusedError."""
    rules = [
        {name: rule[name] for name in _RULE_FIELDS if rule.get(name) is not None}
        for rule in fetch_entries(client, "DescribePullThroughCacheRules", "pullThroughCacheRules")
    ]
    return canonical(sorted(rules, key=canonical))


def fetch_pull_time_exclusions(client: RegistryClient) -> str:
    """The ARNs whose pulls do not count as such, as a sorted JSON list; raises RefusedError."""
    # The calls' own paginators differ (this one has none), so all are paged by hand.
    arns = fetch_entries(client, "ListPullTimeUpdateExclusions", "pullTimeUpdateExclusions")
    return canonical(sorted(str(arn) for arn in arns))


def fetch_manifests(
    client: RegistryClient, repository: str, digests: Sequence[str], media_types: Mapping[str, str | None]
) -> ManifestAnswers:
    """The manifests of at most BATCH ``digests``, each checked against its digest.

    ``media_types`` is what DescribeImages said of them, used where the answer says nothing.
    """
    answers = ManifestAnswers()
    try:
        answer = client.call(
            "BatchGetImage",
            tolerate=PARAMETER_CODES,
            repositoryName=repository,
            imageIds=[{"imageDigest": digest} for digest in digests],
            acceptedMediaTypes=list(ACCEPTED_MEDIA_TYPES),
        )
    except RefusedError as error:
        answers.refusal = error.refusal
        answers.refused = dict.fromkeys(digests, error.refusal)
        return answers
    left = dict.fromkeys(digests)
    for digest, image in _by_digest(answer.get("images")):
        text = image.get("imageManifest")
        # An image with several tags may come once for each of them.
        if digest not in left or not isinstance(text, str):
            continue
        manifest = parse_manifest(
            digest, text, image.get("imageManifestMediaType") or media_types.get(digest)
        )
        if isinstance(manifest, Manifest):
            answers.manifests.append(manifest)
            answers.refused.pop(digest, None)
            del left[digest]
        else:
            answers.refused[digest] = Refusal(
                DIGEST_MISMATCH,
                Reach.CALL,
                "what came does not hash to the digest asked for; it was not kept",
            )
    for digest, failure in _by_digest(answer.get("failures")):
        if digest in left and digest not in answers.refused:
            reason = one_line(failure.get("failureCode") or "Unknown", 100)
            text = one_line(failure.get("failureReason") or "no reason was given")
            answers.refused[digest] = Refusal(reason, Reach.CALL, text)
    for digest in left:
        if digest not in answers.refused:
            answers.refused[digest] = Refusal("NotAnswered", Reach.CALL, "the answer says nothing about it")
    return answers


def _by_digest(entries: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The entries of a BatchGetImage answer that name a digest, with it."""
    for entry in entries if isinstance(entries, list) else ():
        image_id = entry.get("imageId") if isinstance(entry, Mapping) else None
        digest = image_id.get("imageDigest") if isinstance(image_id, Mapping) else None
        if isinstance(digest, str):
            yield digest, entry


def pages(
    client: Answering, operation: str, *, tolerate: Collection[str] = (), **parameters: object
) -> Iterator[Mapping[str, Any]]:
    """The pages of a listing; raises RefusedError at the page that did not come.

    Where that is for the page's token, it is an ExpiredPageTokenError: see `begun_anew`.
    """
    token: object = None
    used: set[object] = set()
    while True:
        if token is None:
            page = client.call(operation, tolerate=tolerate, maxResults=_PAGE, **parameters)
        else:
            # A token that has grown too old is refused as an invalid parameter.
            page = client.call(
                operation, tolerate=PARAMETER_CODES, maxResults=_PAGE, nextToken=token, **parameters
            )
        yield page
        following = page.get("nextToken")
        if not following:
            return
        # Not only the one before: tokens that lead in a circle would be followed for ever.
        if not isinstance(following, str) or following in used:
            raise RefusedError(unusable("a page token came that had been used before, or that is none"))
        used.add(following)
        token = following


def fetch_entries(client: Answering, operation: str, key: str) -> list[Any]:
    """All entries of the lists ``key`` that a listing's pages hold; raises RefusedError."""

    def read() -> list[Any]:
        return [
            entry
            for page in pages(client, operation, tolerate=PARAMETER_CODES)
            for entry in of_type(page.get(key), list)
        ]

    return begun_anew(read)


def begun_anew(read: Callable[[], T]) -> T:
    """What ``read`` gives of a listing, which is read from its first page again if a page token expires.

    Raises the RefusedError that the last of the readings ended with.
    """
    for _ in range(_ANEW):
        with suppress(ExpiredPageTokenError):
            return read()
    try:
        return read()
    except ExpiredPageTokenError as error:
        detail = f"a page token expired in each of {_ANEW + 1} readings; {error.refusal.detail}"
        raise RefusedError(error.refusal._replace(detail=detail)) from error


def unusable(detail: str) -> Refusal:
    """The refusal that an answer amounts to which came and says nothing of use."""
    return Refusal("InvalidAnswer", Reach.CALL, detail)


def of_type(value: Any, wanted: type) -> Any:
    """``value`` if it is a ``wanted``; raises RefusedError. An absent list is not an empty one."""
    if not isinstance(value, wanted):
        raise RefusedError(unusable(f"the answer holds no {wanted.__name__} where one was due"))
    return value


def _repository(entry: Any) -> RepositoryRecord | None:
    if not isinstance(entry, Mapping):
        return None
    name = entry.get("repositoryName")
    # Names have 2 to 256 characters; no call accepts any other.
    if not isinstance(name, str) or not 2 <= len(name) <= 256 or storable(name) != name:
        return None
    try:
        created = milliseconds(entry.get("createdAt"))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    if created is None:
        return None
    settings: dict[str, str] = {}
    _set(settings, "arn", entry.get("repositoryArn"), str)
    _set(settings, "uri", entry.get("repositoryUri"), str)
    _set(settings, "image_tag_mutability", entry.get("imageTagMutability"), str)
    filters = entry.get("imageTagMutabilityExclusionFilters") or []
    if isinstance(filters, list):
        _set(settings, "image_tag_mutability_exclusion_filters", sorted(filters, key=canonical), list)
    scanning = entry.get("imageScanningConfiguration")
    if isinstance(scanning, Mapping):
        _set(settings, "scan_on_push", scanning.get("scanOnPush"), bool)
    encryption = entry.get("encryptionConfiguration")
    if isinstance(encryption, Mapping):
        parts = ((part, encryption.get(part)) for part in ("encryptionType", "kmsKey"))
        _set(settings, "encryption", {part: value for part, value in parts if value is not None}, dict)
    arn = entry.get("repositoryArn")
    return RepositoryRecord(name, created, arn if isinstance(arn, str) else "", settings)


def _set(settings: dict[str, str], name: str, value: object, wanted: type) -> None:
    """Note a setting that the answer holds; one that it does not hold stays unknown."""
    if isinstance(value, wanted):
        settings[name] = canonical(value)
