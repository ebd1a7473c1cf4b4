"""What ``aws ecr describe-images`` prints, to images.

What decides whether a rule takes an image (identity, tags, times, status, subject) has to be
readable, or the document is refused: an image whose tags or last pull were dropped would be said to
leave where it stays. What only sizes or describes it may be odd, and is then unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from analyzer.documents.fields import FieldError, milliseconds, text_of
from analyzer.documents.notes import Fault, Notes, RepositoryKey
from analyzer.errors import InputError
from analyzer.json_texts import read_json_texts, shown
from analyzer.model.frames import Listed
from analyzer.model.media_types import KINDS
from analyzer.model.records import ImageStatus, Kind

_REMEDY = "give what `aws ecr describe-images --output json` prints"
_SIZE_LIMIT = 2**63
_STATUSES = {status.name: status for status in ImageStatus if status is not ImageStatus.OTHER}

#: Config types that an image has and an index cannot have.
_IMAGE_CONFIGS = frozenset(
    {
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.oci.image.config.v1+json",
    }
)

#: What else the AWS CLI prints about ECR, by a key that only that has.
_OTHER_DOCUMENTS = {
    "images": "what `aws ecr batch-get-image` prints, which --manifests takes",
    "imageManifest": "of `aws ecr batch-get-image`, which --manifests takes",
    "imageIds": "what `aws ecr list-images` prints, without times and sizes",
    "imageTag": "of `aws ecr list-images`, without times and sizes",
    "repositories": "what `aws ecr describe-repositories` prints",
    "previewResults": "what `aws ecr get-lifecycle-policy-preview` prints",
    "lifecyclePolicyText": "what `aws ecr get-lifecycle-policy` prints",
    "imageScanFindings": "what `aws ecr describe-image-scan-findings` prints",
    "rules": "a lifecycle policy, which --policy takes",
    "schemaVersion": "a manifest",
    "Error": "an error of the AWS CLI",
}


class ListedImage(NamedTuple):
    """An image as listings have it; None (of ``listed``: UNKNOWN) for what none of them says."""

    #: Sorted, without repeats.
    tags: tuple[str, ...]
    pushed_at_ms: int | None
    pulled_at_ms: int | None
    archived_at_ms: int | None
    activated_at_ms: int | None
    status: ImageStatus | None
    size_bytes: int | None
    listed: Listed
    subject: str | None


#: By repository, then by digest.
Listing = dict[RepositoryKey, dict[str, ListedImage]]


def read_listing(texts: Iterable[tuple[str, str]], notes: Notes) -> tuple[Listing, set[RepositoryKey]]:
    """The images of ``texts`` (name for messages, text), and the repositories listed only in part.

    Images listed more than once are one, with all their tags. Raises InputError.
    """
    listing: Listing = {}
    continued: set[RepositoryKey] = set()
    whole: set[RepositoryKey] = set()
    for origin, text in texts:
        page: set[RepositoryKey] = set()
        for number, value in enumerate(read_json_texts(text, origin, _REMEDY), 1):
            for place, details, more in image_pages(value, f"{origin}, document {number}"):
                # An empty page ends the listing that the page before it began.
                page = _add_page(details, place, listing, notes) or page
                (continued if more else whole).update(page)
    partial = continued - whole
    for repository in partial:
        notes.add(repository, Fault.TRUNCATED, repository.name)
    for repository, images in listing.items():
        _note(repository, images, notes)
    return listing, partial


def image_pages(value: Any, place: str) -> Iterator[tuple[str, list[Any], bool]]:
    """Every page of image details in ``value``: where, the details, and whether more were to come.

    Raises InputError for a value of another kind.
    """
    if isinstance(value, list):
        details = [
            entry
            for entry in value
            if isinstance(entry, dict) and "imageDigest" in entry and "imageTag" not in entry
        ]
        if len(details) == len(value):
            yield f"{place}, entry", details, False
            return
        for number, entry in enumerate(value):
            if isinstance(entry, list):
                raise InputError(f"{place}, entry {number} is a list; {_REMEDY}")
            yield from image_pages(entry, f"{place}, entry {number}")
        return
    if not isinstance(value, dict):
        raise InputError(f"{place} is {shown(value)}; {_REMEDY}")
    if isinstance(value.get("data"), dict) and "status_code" in value:
        # As placebo records an answer.
        value = value["data"]
    if "imageDetails" in value:
        details = value["imageDetails"]
        if not isinstance(details, list):
            raise InputError(f"{place}: imageDetails is {shown(details)} and no list; {_REMEDY}")
        # The API's own name for it, and the one of the CLI's --max-items.
        more = bool(value.get("nextToken") or value.get("NextToken"))
        yield f"{place}, imageDetails", details, more
        return
    for key, what in _OTHER_DOCUMENTS.items():
        if key in value:
            raise InputError(f"{place} is {what}; {_REMEDY}")
    if "imageDigest" not in value:
        raise InputError(f"{place} has no imageDetails; {_REMEDY}")
    yield place, [value], False


def _add_page(details: list[Any], place: str, listing: Listing, notes: Notes) -> set[RepositoryKey]:
    """Add a page to ``listing``; the answer is the repositories that it is about."""
    found = set()
    for number, detail in enumerate(details):
        try:
            repository, digest, image = _image(detail, notes)
        except FieldError as error:
            raise InputError(f"{place} [{number}]: {error}; {_REMEDY}") from error
        found.add(repository)
        images = listing.setdefault(repository, {})
        before = images.get(digest)
        if before is not None:
            image, contradicts = _united(before, image)
            if contradicts:
                notes.add(repository, Fault.CONTRADICTION, digest)
        images[digest] = image
    return found


def _image(detail: Any, notes: Notes) -> tuple[RepositoryKey, str, ListedImage]:
    if not isinstance(detail, dict):
        raise FieldError(f"{shown(detail)} is no image")
    get = detail.get
    repository = RepositoryKey(
        text_of(get("registryId"), "registryId"), text_of(get("repositoryName"), "repositoryName")
    )
    digest = text_of(get("imageDigest"), "imageDigest")
    if not digest:
        raise FieldError("imageDigest is missing")
    subject = text_of(get("subjectManifestDigest"), "subjectManifestDigest") or None
    status = _status(get("imageStatus"))
    pushed_at_ms = _time(get("imagePushedAt"), "imagePushedAt")
    size = get("imageSizeInBytes")
    sound = size is None or (type(size) is int and 0 <= size < _SIZE_LIMIT)
    media_types = [get(name) for name in ("imageManifestMediaType", "artifactMediaType")]
    for at, media_type in enumerate(media_types):
        if media_type is not None and type(media_type) is not str:
            sound, media_types[at] = False, None
    if not sound:
        notes.add(repository, Fault.INVALID_FIELD, digest)
    if status is ImageStatus.OTHER:
        notes.add(repository, Fault.UNKNOWN_STATUS, digest)
    image = ListedImage(
        _tags(get("imageTags")),
        pushed_at_ms,
        _time(get("lastRecordedPullTime"), "lastRecordedPullTime"),
        _time(get("lastArchivedAt"), "lastArchivedAt"),
        _time(get("lastActivatedAt"), "lastActivatedAt"),
        status,
        size if type(size) is int and 0 <= size < _SIZE_LIMIT else None,
        _listed(*media_types),
        subject,
    )
    return repository, digest, image


def _tags(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if type(value) is not list:
        raise FieldError(f"imageTags is {shown(value)} and no list")
    tags = tuple(sorted({text_of(tag, "a tag") for tag in value}))
    if tags and not tags[0]:
        raise FieldError("imageTags holds an empty tag")
    return tags


def _time(value: object, name: str) -> int | None:
    if value is None:
        return None
    try:
        return milliseconds(value)
    except FieldError as error:
        raise FieldError(f"{name}: {error}") from error


def _status(value: object) -> ImageStatus | None:
    if value is None:
        return None
    if type(value) is not str:
        raise FieldError(f"imageStatus is {shown(value)} and no text")
    return _STATUSES.get(value, ImageStatus.OTHER)


def _listed(media_type: str | None, artifact_media_type: str | None) -> Listed:
    if not media_type:
        return Listed.IMAGE if artifact_media_type in _IMAGE_CONFIGS else Listed.UNKNOWN
    kind = KINDS.get(media_type)
    if kind is None:
        return Listed.UNKNOWN
    return Listed.INDEX if kind is Kind.INDEX else Listed.IMAGE


def _united(before: ListedImage, after: ListedImage) -> tuple[ListedImage, bool]:
    """One image of two entries, and whether they contradict each other."""
    facts: list[Any] = []
    contradicts = False
    for old, new in zip(before[1:], after[1:], strict=True):
        known_before, known_after = (fact is not None and fact is not Listed.UNKNOWN for fact in (old, new))
        contradicts = contradicts or (known_before and known_after and old != new)
        facts.append(new if known_after or not known_before else old)
    tags = tuple(sorted({*before.tags, *after.tags}))
    return ListedImage(tags, *facts), contradicts


def _note(repository: RepositoryKey, images: Mapping[str, ListedImage], notes: Notes) -> None:
    once: set[str] = set()
    twice: set[str] = set()
    for digest, image in images.items():
        if image.pushed_at_ms is None:
            notes.add(repository, Fault.NO_PUSH_TIME, digest)
        for tag in image.tags:
            (twice if tag in once else once).add(tag)
    for tag in sorted(twice):
        notes.add(repository, Fault.TAG_TWICE, tag)
