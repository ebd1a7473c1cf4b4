"""What the demo's company runs: ECS services that use images of its registries, and projects that build.

They were deployed before the first night, and nobody deploys while it lasts: as the nights pass, tags
move on and policies act, and a service goes on running the image that it got.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from analyzer.demo.catalogue import EUROPE, MAIN, WEST
from analyzer.demo.plan import Repository

#: Region, repository, and how many pushes of tagged images ago its service was last deployed.
_DEPLOYED = (
    (MAIN, "catalog/api", 1),
    (MAIN, "checkout/api", 0),
    (MAIN, "checkout/web", 3),
    (MAIN, "identity/auth", 0),
    (MAIN, "legacy/monolith", 2),
    (MAIN, "orders/api", 0),
    (MAIN, "payments/gateway", 1),
    (MAIN, "payments/ledger", 12),
    (MAIN, "search/query", 5),
    (MAIN, "web/storefront", 0),
    (EUROPE, "eu/invoicing", 8),
    (EUROPE, "eu/storefront", 0),
)
#: The same for services that run in another region than their image lies in: the first could take its
#: replica there.
_DEPLOYED_AFAR = (
    (MAIN, "orders/api", 0, EUROPE),
    (MAIN, "catalog/api", 1, EUROPE),
    (MAIN, "ml/inference", 2, WEST),
)
#: Region and repository of images that CodeBuild builds in.
_BUILT_IN = ((MAIN, "platform/terraform"), (MAIN, "ml/notebooks"))
#: What a project builds in that nobody keeps in ECR.
_UPSTREAM = "docker.io/library/python:3.13-slim"
#: Revisions that each service has had, the one that runs included.
_REVISIONS = 3


@dataclass(frozen=True, slots=True)
class Service:
    """An ECS service with the past of its task definition."""

    region: str
    name: str
    #: What the revisions of its task definition name, the one that runs last.
    references: tuple[str, ...]
    #: What the last of them was when it was deployed.
    digest: str


@dataclass(frozen=True, slots=True)
class Project:
    """A CodeBuild project."""

    region: str
    name: str
    reference: str


def services_of(account: str, repositories: Iterable[Repository]) -> Iterator[Service]:
    """The services, deployed from what is in ``repositories``."""
    by_name = {(one.region, one.name): one for one in repositories}
    at_home = ((region, name, ago, region) for region, name, ago in _DEPLOYED)
    for region, name, ago, runs_in in (*at_home, *_DEPLOYED_AFAR):
        tagged = _tagged(account, by_name[region, name])
        if tagged:
            until = max(1, len(tagged) - ago)
            deployed = tagged[max(0, until - _REVISIONS) : until]
            references = tuple(reference for reference, _ in deployed)
            yield Service(runs_in, name.replace("/", "-"), references, deployed[-1][1])


def projects_of(account: str, repositories: Iterable[Repository]) -> Iterator[Project]:
    """The projects, which build in the newest image of their repository."""
    by_name = {(one.region, one.name): one for one in repositories}
    for region, name in _BUILT_IN:
        if tagged := _tagged(account, by_name[region, name]):
            yield Project(region, name.replace("/", "-"), tagged[-1][0])
    yield Project(MAIN, "data-quality", _UPSTREAM)


def _tagged(account: str, repository: Repository) -> list[tuple[str, str]]:
    """Reference and digest of all tagged images that can be pulled, the newest last."""
    address = f"{account}.dkr.ecr.{repository.region}.amazonaws.com/{repository.name}"
    found = [
        (image.pushed_at, f"{address}:{image.tags[0]}", image.digest)
        for image in repository.images
        # Signatures have tags that begin like digests.
        if image.status == "ACTIVE" and image.tags and not image.tags[0].startswith("sha256-")
    ]
    return [(reference, digest) for _, reference, digest in sorted(found)]
