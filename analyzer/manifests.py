"""Manifest texts to records: a pure function that takes any text and never raises.

The text counts only if it hashes to the digest it was asked for by. What it then says is still
somebody else's: depth, types, sizes, digests and repeated keys are checked, and a manifest that
fails any of it is kept as UNREADABLE, its bytes unknown, never as a manifest with fewer bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from analyzer.model.media_types import DOCKER_LIST, DOCKER_MANIFEST, KINDS, OCI_INDEX, OCI_MANIFEST
from analyzer.model.records import BlobReference, Child, Kind, Manifest

#: What can be read, and what is asked for: anything else may come converted, or not at all.
ACCEPTED_MEDIA_TYPES = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)

#: The reason given when a text is not what its digest says.
DIGEST_MISMATCH = "DigestMismatch"

_OCI_DEFAULT = {Kind.IMAGE: OCI_MANIFEST, Kind.INDEX: OCI_INDEX}

#: Config types that make a manifest an image, and the OCI type of an empty config, which says
#: nothing: for any other the config's type is the artifact's type (OCI image-spec 1.1,
#: manifest.md, "Guidelines for Artifact Usage").
_NOT_ARTIFACT_TYPES = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.oci.empty.v1+json",
    }
)

# Docker calls a foreign layer one "that should never be pushed" (Image Manifest V2, Schema 2,
# media types), OCI a non-distributable one (image-spec, layer.md). The media type alone decides:
# `urls` is an optional property of every descriptor, a further place to fetch from, and clients do
# push an ordinary layer that carries it.
_FOREIGN_PREFIXES = (
    "application/vnd.docker.image.rootfs.foreign.",
    "application/vnd.oci.image.layer.nondistributable.",
)

#: ECR's own limit on a manifest's text.
_LONGEST_TEXT = 4 * 2**20
_LONGEST_MEDIA_TYPE = 255
_SIZE_LIMIT = 2**63

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_is_digest = _DIGEST.fullmatch
_new = tuple.__new__


class _MalformedError(ValueError):
    """The text is authentic and is no manifest."""


def is_digest(text: object) -> bool:
    """Whether ``text`` is a sha256 or sha512 digest as registries spell it."""
    return isinstance(text, str) and _is_digest(text) is not None


def storable(text: str) -> str:
    """``text`` with what no database takes as text (NUL, lone surrogates) replaced by U+FFFD."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return re.sub("[\0\ud800-\udfff]", "\ufffd", text)


def parse_manifest(digest: str, text: str, media_type: str | None = None) -> Manifest | str:
    """The manifest that ``text`` is, or the reason why it is not the one named ``digest``.

    ``media_type`` is what the API says the text is; it is used where the text does not say so
    itself. The reason is DigestMismatch when the text does not hash to ``digest`` (or ``digest``
    is not one that can be checked). A text that does is always a Manifest: of kind UNKNOWN when
    its media type is not one of the four, UNREADABLE when it breaks their rules.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return DIGEST_MISMATCH
    if digest.startswith("sha256:"):
        found = hashlib.sha256(data).hexdigest()
    elif digest.startswith("sha512:"):
        found = hashlib.sha512(data).hexdigest()
    else:
        return DIGEST_MISMATCH
    if found != digest[7:]:
        return DIGEST_MISMATCH
    return _read(digest, text, len(data), media_type)


def read_manifest(digest: str, text: str, media_type: str | None = None) -> Manifest:
    """The manifest that ``text`` is, where it is taken as given that it is the one named ``digest``.

    Otherwise as ``parse_manifest``: of kind UNREADABLE where the text is no manifest.
    """
    return _read(digest, text, len(text.encode("utf-8", "surrogatepass")), media_type)


def _read(digest: str, text: str, size: int, media_type: str | None) -> Manifest:
    try:
        if size > _LONGEST_TEXT:
            raise _MalformedError
        return _manifest(digest, _DECODER.decode(text), size, media_type)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # Of hostile JSON, each of these is what a wrong type or shape raises somewhere below.
        return Manifest(digest, Kind.UNREADABLE, _said(media_type), size)


def _manifest(digest: str, content: Any, size: int, api_type: str | None) -> Manifest:
    if type(content) is not dict:
        raise _MalformedError
    kind, media_type = _kind(content, api_type)
    if kind is None:
        return Manifest(digest, Kind.UNKNOWN, media_type, size)
    if content.get("schemaVersion", 2) != 2:
        raise _MalformedError
    blobs: list[BlobReference] = []
    children: list[Child] = []
    artifact_type = content.get("artifactType") or None
    if artifact_type is not None:
        artifact_type = _media_type(artifact_type)[0]
    # A document that is both could be read as either, and has been to deceive: neither is believed.
    if kind is Kind.IMAGE:
        if "manifests" in content:
            raise _MalformedError
        # Go programs write an empty list as null.
        blobs = _blobs([content["config"], *_list(content["layers"])])
        if artifact_type is None and media_type == OCI_MANIFEST:
            config_type = blobs[0].media_type
            artifact_type = None if config_type in _NOT_ARTIFACT_TYPES else config_type
    else:
        if "layers" in content or "config" in content:
            raise _MalformedError
        children = [_child(entry) for entry in _list(content["manifests"])]
    subject = content.get("subject")
    return Manifest(
        digest,
        kind,
        media_type,
        size,
        blobs,
        children,
        artifact_type,
        None if subject is None else _checked_digest(subject),
        _annotations(content.get("annotations")),
    )


def _kind(content: Mapping[str, Any], api_type: str | None) -> tuple[Kind | None, str]:
    """What the document is (None: something this version does not know) and its media type."""
    stated = content.get("mediaType")
    # Go programs write a property that is not set as "".
    if stated is not None and stated != "":
        stated, _ = _media_type(stated)
        return KINDS.get(stated), stated
    kind = None
    if "manifests" in content:
        kind = Kind.INDEX
    elif "config" in content or "layers" in content:
        kind = Kind.IMAGE
    said = _said(api_type)
    if kind is None:
        if said in KINDS:
            raise _MalformedError
        return None, said
    return kind, said if KINDS.get(said) is kind else _OCI_DEFAULT[kind]


def _blobs(entries: Sequence[Any]) -> list[BlobReference]:
    """The references of a config and layers, in that order."""
    blobs = []
    for entry in entries:
        digest, size = entry["digest"], entry["size"]
        if type(size) is not int or not 0 <= size < _SIZE_LIMIT or _is_digest(digest) is None:
            raise _MalformedError
        # Past the class, which takes twice the time; a large registry has ten million of them.
        blobs.append(_new(BlobReference, (digest, size, *_media_type(entry["mediaType"]))))
    if blobs[0].foreign:
        blobs[0] = blobs[0]._replace(foreign=False)
    return blobs


def _child(entry: Any) -> Child:
    size = entry["size"]
    if type(size) is not int or not 0 <= size < _SIZE_LIMIT:
        raise _MalformedError
    digest = _checked_digest(entry)
    platform = entry.get("platform")
    if platform is None:
        return Child(digest)
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    if any(part is not None and type(part) is not str for part in parts):
        raise _MalformedError
    if not parts[0] or not parts[1]:
        return Child(digest)
    return Child(digest, sys.intern(storable("/".join(part for part in parts if part))))


def _checked_digest(descriptor: Any) -> str:
    digest: str = descriptor["digest"]
    if _is_digest(digest) is None:
        raise _MalformedError
    return digest


def _list(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    if type(value) is not list:
        raise _MalformedError
    return value


def _annotations(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if type(value) is not dict:
        raise _MalformedError
    return {storable(name): storable(text) for name, text in value.items() if type(text) is str}


@lru_cache(maxsize=4096)
def _media_type(text: str) -> tuple[str, bool]:
    """The media type and whether it is a foreign layer's; raises _MalformedError if it is no such thing."""
    if type(text) is not str or not 0 < len(text) <= _LONGEST_MEDIA_TYPE:
        raise _MalformedError
    if not text.isascii() or not text.isprintable():
        raise _MalformedError
    return sys.intern(text), text.startswith(_FOREIGN_PREFIXES)


def _said(api_type: str | None) -> str:
    """The API's media type if it is one, else nothing."""
    try:
        return _media_type(api_type or "")[0]
    except (_MalformedError, TypeError):
        return ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    # Readers disagree on which of two equal keys holds; the registry may have believed the other.
    if len(content) != len(pairs):
        raise _MalformedError
    return content


def _no_constant(name: str) -> NoReturn:
    raise _MalformedError(name)


# NaN and Infinity are Python's, not JSON's.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
