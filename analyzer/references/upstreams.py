"""Upstream registries that a pull-through cache of ECR can stand for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from analyzer.references.parsing import ImageReference, RegistryKind

#: Host in references to the ``upstreamRegistryUrl`` of a rule (ECR API reference,
#: CreatePullThroughCacheRule). Docker Hub goes by several names; GitLab's is that of its hosted service.
#: What is missing (Microsoft's and Google's own registries, say) is not supported.
_UPSTREAMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "": "registry-1.docker.io",
        "cgr.dev": "cgr.dev",
        "docker.io": "registry-1.docker.io",
        "ecr-public.aws.com": "public.ecr.aws",
        "ghcr.io": "ghcr.io",
        "index.docker.io": "registry-1.docker.io",
        "public.ecr.aws": "public.ecr.aws",
        "quay.io": "quay.io",
        "registry-1.docker.io": "registry-1.docker.io",
        "registry.gitlab.com": "registry.gitlab.com",
        "registry.hub.docker.com": "registry-1.docker.io",
        "registry.k8s.io": "registry.k8s.io",
    }
)
_AZURE: Final = ".azurecr.io"
_DOCKER_HUB: Final = "registry-1.docker.io"
#: Images that CodeBuild keeps itself and that no registry serves.
_CODEBUILD: Final = "aws/codebuild/"


def upstream_of(reference: ImageReference) -> str:
    """The upstream that a cache rule would name for ``reference``; "" where ECR supports none."""
    if reference.registry not in {RegistryKind.PUBLIC, RegistryKind.OTHER}:
        return ""
    host = reference.host.removesuffix(":443")
    if not host and reference.repository.startswith(_CODEBUILD):
        return ""
    if host.endswith(_AZURE):
        return host
    return _UPSTREAMS.get(host, "")


def cached_repository(reference: ImageReference, prefix: str) -> str:
    """The repository of a cache with that ``ecrRepositoryPrefix`` that stands for the reference's.

    ``ROOT`` is no prefix at all. Docker Hub's official images are in ``library``, which a cache wants
    to be told (ECR user guide, "Pulling an image with a pull through cache rule in Amazon ECR").
    """
    repository = reference.repository
    if upstream_of(reference) == _DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return repository if prefix == "ROOT" else f"{prefix}/{repository}"
