"""Lists of images in use, in whatever form they come out of the tools that know them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from analyzer.errors import InputError
from analyzer.json_texts import read_json_texts
from analyzer.references.parsing import ImageReference, RegistryKind, parse_reference

_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)
_REMEDY = (
    "give image references, one on each line or as a JSON list, or what `kubectl get pods -A -o json` "
    "or `aws ecs describe-tasks` prints ([] for none)"
)

#: Under these, objects name an image: containers of Kubernetes, ECS, Batch and Lambda, CodeBuild,
#: SageMaker, App Runner, EMR Serverless, Bedrock AgentCore, in the words of their APIs.
_IMAGE_KEYS = (
    "image",
    "Image",
    "imageUri",
    "ImageUri",
    "imageURI",
    "ResolvedImageUri",
    "SpecifiedImage",
    "ResolvedImage",
    "ImageIdentifier",
    "containerUri",
    "imageID",
)
#: Under these, the digest of the image that the object names otherwise.
_DIGEST_KEYS = ("imageDigest", "resolvedImageDigest")
#: Under these, lists of references.
_LIST_KEYS = ("images", "imageUris")
#: What documents are lists of; where such a list is empty, nothing is in use.
_CONTENTS = (*_LIST_KEYS, "items", "tasks", "containers", "containerDefinitions", "Functions", "imageDetails")


def read_references(text: str, origin: str) -> list[ImageReference]:
    """The images that ``text`` names, each once, in the order of their first mention.

    ``text`` may be one reference on each line (blank lines, and what follows a ``#`` at the beginning
    or after a space, do not count), or JSON, one or several documents: strings, lists of
    strings, or objects in which, at any depth, ``image``, ``imageUri`` and the like name an image.
    So the answers of ``kubectl get … -o json``, ``aws ecs describe-tasks`` and
    ``describe-task-definition``, ``aws lambda get-function`` and others will do as they are. Where an
    object names an image and gives its digest beside it, both count: what runs, and what would be
    pulled next.

    Of Kubernetes objects, image ids without a repository (digests of configs, not of images) and
    names that no runtime could pull (pods in InvalidImageName) are passed over.

    Raises InputError, in one line that begins with ``origin``, for anything else, and for a text
    without any reference: an empty file is more often an accident than a fleet at rest. An empty
    JSON list does say that nothing is in use.
    """
    start = text.lstrip("\ufeff \t\r\n")
    found: dict[str, ImageReference] = {}
    references = _of_json(text, origin) if start[:1] in tuple('{["') else _of_lines(text, origin)
    for reference in references:
        found.setdefault(reference.text, reference)
    return list(found.values())


def _of_lines(text: str, origin: str) -> Iterator[ImageReference]:
    empty = True
    # Byte order marks stand wherever files were put together.
    for number, line in enumerate(text.replace("\ufeff", "").splitlines(), 1):
        words = _COMMENT.sub("", line).strip()
        if words:
            empty = False
            yield _parsed(words, f"{origin}, line {number}")
    if empty:
        raise InputError(f"{origin} names no image; {_REMEDY}")


def _of_json(text: str, origin: str) -> Iterator[ImageReference]:
    for number, document in enumerate(read_json_texts(text, origin, _REMEDY), 1):
        place = f"{origin}, document {number}"
        entries = document if isinstance(document, list) else [document]
        for position, entry in enumerate(entries):
            where = f"{place}, entry {position}" if isinstance(document, list) else place
            if isinstance(entry, str):
                yield _parsed(entry, where)
            elif isinstance(entry, dict):
                yield from _of_object(entry, where)
            else:
                raise InputError(f"{where} is neither a text nor an object; {_REMEDY}")


def _of_object(document: dict[str, Any], place: str) -> Iterator[ImageReference]:
    kubernetes = "apiVersion" in document
    mentioned = any(document.get(key) == [] for key in _CONTENTS)
    # Other people's nesting: a stack of our own has no limit.
    stack: list[Any] = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += reversed(value)
            continue
        if not isinstance(value, dict):
            continue
        for text in _texts(value):
            mentioned = True
            if not kubernetes:
                yield _parsed(text, place)
            elif (reference := _pullable(text)) is not None:
                yield reference
        for reference in _by_digest(value, place):
            mentioned = True
            yield reference
        stack += [
            value[key] for key in reversed(value) if isinstance(value[key], dict | list) and key != "metadata"
        ]
    if not mentioned:
        raise InputError(f"{place} names no image; {_REMEDY}")


def _texts(value: dict[str, Any]) -> Iterator[str]:
    """The references in one object; not those in the objects that it holds."""
    for key in _IMAGE_KEYS:
        text = value.get(key)
        if isinstance(text, dict):
            # A volume of Kubernetes that is an image.
            text = text.get("reference")
        if isinstance(text, str) and text.strip():
            yield text
    for key in _LIST_KEYS:
        several = value.get(key)
        if isinstance(several, list):
            yield from (text for text in several if isinstance(text, str))


def _by_digest(value: dict[str, Any], place: str) -> Iterator[ImageReference]:
    """The image that an object names by digest, in the repository that it names otherwise."""
    for key in _DIGEST_KEYS:
        digest = value.get(key)
        if not isinstance(digest, str) or not digest:
            continue
        alone = _parsed(digest, place)
        if alone.registry is not RegistryKind.NONE:
            raise InputError(f"{place}: {key} {digest!r} is no digest; {_REMEDY}")
        images = [text for text in _texts(value) if _pullable(text) is not None]
        name, account = value.get("repositoryName"), value.get("registryId")
        if images:
            named = parse_reference(images[0])
            text = f"{named.host}/{named.repository}@{digest}".removeprefix("/")
            yield replace(named, text=text, tag=None, digest=digest)
        elif isinstance(name, str) and name:
            account = account if isinstance(account, str) else ""
            yield ImageReference(
                text=f"{account}/{name}@{digest}".removeprefix("/"),
                registry=RegistryKind.PRIVATE,
                account=account,
                repository=name,
                digest=digest,
            )
        else:
            yield alone


def _pullable(text: str) -> ImageReference | None:
    """The reference if a runtime could pull it."""
    try:
        reference = parse_reference(text)
    except InputError:
        return None
    return None if reference.registry is RegistryKind.NONE else reference


def _parsed(text: str, place: str) -> ImageReference:
    try:
        return parse_reference(text)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
