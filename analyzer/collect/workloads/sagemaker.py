"""What runs on Amazon SageMaker AI: models, and the endpoints that serve them, with their digests.

A model cannot be changed, and an endpoint says when it was: both are described once, and again only
when the list shows that they are newer than what is known.
"""

from __future__ import annotations

from analyzer.collect.refusals import Refusal
from analyzer.collect.workloads.reading import Reading, entries, mapping, text, time_ms, with_digest
from analyzer.model.records import UseKind

ACTIONS = (
    "sagemaker:DescribeEndpoint",
    "sagemaker:DescribeModel",
    "sagemaker:ListEndpoints",
    "sagemaker:ListModels",
)

_PAGE = 100


def fetch(reading: Reading) -> None:
    """Read the images of all models and endpoints."""
    for entry in reading.pages("sagemaker", "ListModels", "Models", by="NextToken", MaxResults=_PAGE):
        name, created = text(mapping(entry).get("ModelName")), mapping(entry).get("CreationTime")
        if name:
            _read_model(reading, name, time_ms(created))
    for entry in reading.pages("sagemaker", "ListEndpoints", "Endpoints", by="NextToken", MaxResults=_PAGE):
        name, changed = text(mapping(entry).get("EndpointName")), mapping(entry).get("LastModifiedTime")
        if name:
            _read_endpoint(reading, name, time_ms(changed))


def _read_model(reading: Reading, name: str, created_at_ms: int | None) -> None:
    workload = f"model/{name}"
    images: list[object] = list(_known(reading, workload, created_at_ms))
    if not images:
        answer = reading.call("sagemaker", "DescribeModel", is_gone=_is_gone, ModelName=name) or {}
        containers = [mapping(answer.get("PrimaryContainer")), *entries(answer.get("Containers"))]
        images = [container.get("Image") for container in containers]
    for image in images:
        reading.use(workload, image, UseKind.CONFIGURED)


def _read_endpoint(reading: Reading, name: str, changed_at_ms: int | None) -> None:
    workload = f"endpoint/{name}"
    images: list[str] = list(_known(reading, workload, changed_at_ms))
    if not images:
        answer = reading.call("sagemaker", "DescribeEndpoint", is_gone=_is_gone, EndpointName=name) or {}
        pending = mapping(answer.get("PendingDeploymentSummary"))
        for part in (answer, pending):
            for variant in (
                *entries(part.get("ProductionVariants")),
                *entries(part.get("ShadowProductionVariants")),
            ):
                for image in entries(variant.get("DeployedImages")):
                    specified, resolved = text(image.get("SpecifiedImage")), text(image.get("ResolvedImage"))
                    images.append(with_digest(specified, resolved.partition("@")[2]) or resolved)
    for reference in images:
        reading.use(workload, reference, UseKind.RUNNING)


def _known(reading: Reading, workload: str, changed_at_ms: int | None) -> tuple[str, ...]:
    return () if changed_at_ms is None else reading.known(workload, changed_at_ms=changed_at_ms)


def _is_gone(refusal: Refusal) -> bool:
    # SageMaker has no code of its own for what does not exist.
    return refusal.reason == "ValidationException" and refusal.detail.startswith("Could not find")
