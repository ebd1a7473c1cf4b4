"""What ``aws ecr batch-get-image`` prints, to manifests by digest.

The texts may have been laid out anew on their way, and documentation shortens digests: so every
digest, of a manifest and in it, is taken as given, and none is held against its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from analyzer.documents.fields import FieldError, text_of
from analyzer.documents.notes import Fault, Notes, RepositoryKey
from analyzer.errors import InputError
from analyzer.json_texts import read_json_texts, shown
from analyzer.manifests import is_digest, read_manifest
from analyzer.model.records import BlobReference, Child, Kind, Manifest

_REMEDY = "give what `aws ecr batch-get-image --output json` prints"

#: What else people may give, by a key that only that has.
_OTHER_DOCUMENTS = {
    "imageDetails": "what `aws ecr describe-images` prints, which --images takes",
    "imageDigest": "of `aws ecr describe-images`, which --images takes",
    "imageIds": "what `aws ecr list-images` prints",
    "schemaVersion": "a manifest without its digest",
    "rules": "a lifecycle policy, which --policy takes",
    "Error": "an error of the AWS CLI",
}


class Given(NamedTuple):
    """A manifest, and what keeps it from saying what it holds."""

    manifest: Manifest
    fault: Fault | None


class GivenManifests:
    """Manifests by digest, and by the repository that they were given for."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], Given] = {}
        self._by_digest: dict[str, list[Given]] = {}
        self._by_image: dict[tuple[RepositoryKey, str], list[Given]] = {}

    def add(self, repository: RepositoryKey, digest: str, text: str, media_type: str | None) -> None:
        """``repository`` holds the manifest ``text`` under ``digest``."""
        given = self._read.get((digest, text))
        if given is None:
            given = self._read[digest, text] = _read(digest, text, media_type)
        for known in (
            self._by_digest.setdefault(digest, []),
            self._by_image.setdefault((repository, digest), []),
        ):
            # Two that differ are as bad as more.
            if len(known) < 2 and not any(_says_the_same(given.manifest, other.manifest) for other in known):
                known.append(given)

    def find(self, repository: RepositoryKey, digest: str) -> list[Given]:
        """The manifests given for an image: two where they contradict each other.

        Where none was given for that very repository, those of the same digest elsewhere count.
        """
        return self._by_image.get((repository, digest)) or self._by_digest.get(digest, [])

    def images(self) -> Iterator[tuple[RepositoryKey, str]]:
        """Every image, as (repository, digest), that a manifest was given for."""
        return iter(self._by_image)


def read_manifests(texts: Iterable[tuple[str, str]], notes: Notes) -> GivenManifests:
    """The manifests of ``texts`` (name for messages, text). Raises InputError."""
    given = GivenManifests()
    for origin, text in texts:
        for number, value in enumerate(read_json_texts(text, origin, _REMEDY), 1):
            for place, images, failures in manifest_answers(value, f"{origin}, document {number}"):
                repositories = _add_images(images, place, given, notes)
                # Of one call all images are of one repository, and failures do not name theirs.
                (repository,) = repositories if len(repositories) == 1 else (RepositoryKey("", ""),)
                for failure in failures:
                    code, thing = _failure(failure)
                    notes.add_failure(repository, code, thing)
    return given


def manifest_answers(value: Any, place: str) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """Every answer in ``value``: where, its images and its failures.

    Raises InputError for a value of another kind.
    """
    if isinstance(value, list):
        images = [entry for entry in value if isinstance(entry, dict) and "imageManifest" in entry]
        if len(images) == len(value):
            yield f"{place}, entry", images, []
            return
        for number, entry in enumerate(value):
            if isinstance(entry, list):
                raise InputError(f"{place}, entry {number} is a list; {_REMEDY}")
            yield from manifest_answers(entry, f"{place}, entry {number}")
        return
    if not isinstance(value, dict):
        raise InputError(f"{place} is {shown(value)}; {_REMEDY}")
    if isinstance(value.get("data"), dict) and "status_code" in value:
        # As placebo records an answer.
        value = value["data"]
    if "images" in value or "failures" in value:
        images, failures = (value.get(name) or [] for name in ("images", "failures"))
        for name, entries in (("images", images), ("failures", failures)):
            if not isinstance(entries, list):
                raise InputError(f"{place}: {name} is {shown(entries)} and no list; {_REMEDY}")
        yield f"{place}, images", images, failures
        return
    if "imageManifest" in value:
        yield place, [value], []
        return
    for key, what in _OTHER_DOCUMENTS.items():
        if key in value:
            raise InputError(f"{place} is {what}; {_REMEDY}")
    raise InputError(f"{place} has no images; {_REMEDY}")


def _add_images(images: list[Any], place: str, given: GivenManifests, notes: Notes) -> set[RepositoryKey]:
    repositories = set()
    for number, image in enumerate(images):
        try:
            repositories.add(_add_image(image, given, notes))
        except FieldError as error:
            raise InputError(f"{place} [{number}]: {error}; {_REMEDY}") from error
    return repositories


def _add_image(image: Any, given: GivenManifests, notes: Notes) -> RepositoryKey:
    if not isinstance(image, dict):
        raise FieldError(f"{shown(image)} is no image")
    get = image.get
    repository = RepositoryKey(
        text_of(get("registryId"), "registryId"), text_of(get("repositoryName"), "repositoryName")
    )
    image_id = get("imageId")
    if not isinstance(image_id, dict):
        raise FieldError(f"imageId is {shown(image_id)} and no object")
    digest = text_of(image_id.get("imageDigest"), "imageId.imageDigest")
    if not digest:
        raise FieldError("imageId.imageDigest is missing")
    text, media_type = get("imageManifest"), get("imageManifestMediaType")
    if type(text) is str:
        given.add(repository, digest, text, media_type if type(media_type) is str else None)
    else:
        notes.add(repository, Fault.NOT_JSON, digest)
    return repository


def _failure(failure: object) -> tuple[str, str]:
    """The code and the image of one entry of ``failures``, as far as it can be understood."""
    entry = failure if isinstance(failure, dict) else {}
    image_id = entry.get("imageId")
    image = image_id if isinstance(image_id, dict) else {}
    code, digest, tag = entry.get("failureCode"), image.get("imageDigest"), image.get("imageTag")
    names = [shown(name)[1:-1] for name in (digest, tag) if isinstance(name, str) and name]
    known = isinstance(code, str) and code.isascii() and code.isalnum()
    return str(code) if known else "Unknown", names[0] if names else shown(failure)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _says_the_same(one: Manifest, other: Manifest) -> bool:
    """Whether they differ in layout at most, or in what nothing here looks at."""
    return one is other or (
        one.kind is other.kind
        and one.subject_digest == other.subject_digest
        and list(one.blobs) == list(other.blobs)
        and [child.digest for child in one.children] == [child.digest for child in other.children]
    )


def _read(digest: str, text: str, media_type: str | None) -> Given:
    manifest = read_manifest(digest, text, media_type)
    if manifest.kind is Kind.UNREADABLE:
        # Perhaps all that is wrong with it are digests that are not of the full length.
        manifest = _with_short_digests(manifest, text, media_type)
    if manifest.kind is Kind.UNREADABLE:
        return Given(manifest, Fault.UNREADABLE if _is_json(text) else Fault.NOT_JSON)
    return Given(manifest, Fault.UNKNOWN_TYPE if manifest.kind is Kind.UNKNOWN else None)


def _with_short_digests(unreadable: Manifest, text: str, media_type: str | None) -> Manifest:
    stand_ins: dict[str, str] = {}
    try:
        content = json.loads(text, object_pairs_hook=_distinct)
        _replace_digests(content, stand_ins)
        if not stand_ins:
            return unreadable
        found = read_manifest(unreadable.digest, json.dumps(content), media_type)
    except (ValueError, RecursionError):
        return unreadable
    return _with_own_digests(found, stand_ins)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a repeated key")
    return content


def _replace_digests(content: Any, stand_ins: dict[str, str]) -> None:
    """Put a digest of full length in place of every other text that stands where a digest should.

    ``stand_ins`` gets them, with what they stand for.
    """
    if not isinstance(content, dict):
        return
    entries = [content.get("config"), content.get("subject")]
    for name in ("layers", "manifests"):
        several = content.get(name)
        entries += several if isinstance(several, list) else []
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        digest = entry.get("digest")
        if isinstance(digest, str) and digest and not is_digest(digest):
            # Raises ValueError for a lone surrogate, which no digest has however it is shortened.
            stand_in = f"sha256:{hashlib.sha256(digest.encode()).hexdigest()}"
            stand_ins[stand_in] = digest
            entry["digest"] = stand_in


def _with_own_digests(manifest: Manifest, stand_ins: Mapping[str, str]) -> Manifest:
    def own(digest: str) -> str:
        return stand_ins.get(digest, digest)

    subject = manifest.subject_digest
    return replace(
        manifest,
        blobs=[
            BlobReference(own(blob.digest), blob.size_bytes, blob.media_type, blob.foreign)
            for blob in manifest.blobs
        ],
        children=[Child(own(child.digest), child.platform) for child in manifest.children],
        subject_digest=None if subject is None else own(subject),
    )
