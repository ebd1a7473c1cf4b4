"""One image reference, as container runtimes and AWS write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from analyzer.errors import InputError
from analyzer.json_texts import shown


class RegistryKind(StrEnum):
    """Whose registry a reference names."""

    #: A private registry of Amazon ECR: the reference says account and region.
    PRIVATE = "private"
    #: Amazon ECR Public; its repositories begin with the alias of their registry.
    PUBLIC = "public"
    #: Any other, Docker Hub too, which is meant where no host is named.
    OTHER = "other"
    #: None: a digest alone, which is the same image wherever it is.
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """An image as somebody named it."""

    #: As it was written.
    text: str
    registry: RegistryKind
    #: In lower case, with its port; "" where there is none.
    host: str = ""
    #: Of private ECR; "" where it is not known, as for all other registries.
    account: str = ""
    region: str = ""
    #: "" with a digest alone.
    repository: str = ""
    #: ``latest`` where neither tag nor digest was written; where both were, the digest decides.
    tag: str | None = None
    digest: str | None = None


#: Hosts of ECR Public for container runtimes (ECR Public user guide, "Making requests to Amazon ECR
#: Public registries").
_PUBLIC_HOSTS = frozenset({"public.ecr.aws", "ecr-public.aws.com"})

# ECR user guide, "Making requests to Amazon ECR registries", and AWS General Reference, "Amazon ECR
# endpoints and quotas": ACCOUNT.dkr.ecr.REGION.amazonaws.com, with ecr-fips; the dual-stack
# ACCOUNT.dkr-ecr.REGION.on.aws, with dkr-ecr-fips. Each partition has a domain of its own, emulators
# too; so that none is missed any domain will do: what comes before it is found nowhere else.
_PRIVATE_HOST = re.compile(r"(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.[a-z0-9.-]+(?::\d+)?", re.ASCII)

#: What stands before image ids of Kubernetes, and what people copy from browsers and skopeo.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII | re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::\d+)?|\[[0-9A-Fa-f:]+\](?::\d+)?", re.ASCII)
# Wider than what runtimes take: documentation has capital letters, and ECR's own API allows tags of
# 300 characters.
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*", re.ASCII)
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,299}", re.ASCII)
DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z0-9]+)*:[A-Za-z0-9=_-]+", re.ASCII)
_DIGEST_ALONE = re.compile(r"(?:sha256|sha512):[A-Za-z0-9=_-]+", re.ASCII)


def parse_reference(text: str) -> ImageReference:
    """What ``text`` names: ``[HOST/]REPOSITORY[:TAG][@DIGEST]``, or a digest alone.

    White space around it and a scheme before it (``docker://``, ``docker-pullable://``) are passed
    over. The first part is a host where it has a dot or a port or is localhost, as Docker reads it.
    Raises InputError for what is no reference.
    """
    written = text.strip()
    rest = _SCHEME.sub("", written, count=1) if _SCHEME.match(written) else written
    if _DIGEST_ALONE.fullmatch(rest):
        return ImageReference(text=written, registry=RegistryKind.NONE, digest=rest)
    name, at, digest = rest.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise _refused(text)
    host, slash, path = name.partition("/")
    if not (slash and ("." in host or ":" in host or host == "localhost")):
        host, path = "", name
    repository, colon, tag = path.partition(":")
    if (
        (host and not _HOST.fullmatch(host))
        or not _REPOSITORY.fullmatch(repository)
        or (colon and not TAG.fullmatch(tag))
    ):
        raise _refused(text)
    host = host.lower()
    kind, account, region = registry_of(host)
    if not host and registry_of(repository)[0] is not RegistryKind.OTHER:
        raise _refused(text)
    return ImageReference(
        text=written,
        registry=kind,
        host=host,
        account=account,
        region=region,
        repository=repository,
        tag=tag or (None if at else "latest"),
        digest=digest or None,
    )


def registry_of(host: str) -> tuple[RegistryKind, str, str]:
    """Whose registry ``host`` (in lower case) is; for private ECR also account and region."""
    private = _PRIVATE_HOST.fullmatch(host)
    if private is not None:
        return RegistryKind.PRIVATE, private[1], private[2]
    return (RegistryKind.PUBLIC if host in _PUBLIC_HOSTS else RegistryKind.OTHER), "", ""


def _refused(text: str) -> InputError:
    return InputError(
        f"{shown(text)} is no image reference; write HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:…"
    )
