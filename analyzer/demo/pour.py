"""Plans poured into moto's backend: thousands of images in a fraction of a second."""

from __future__ import annotations

from collections.abc import Iterable

from moto.codebuild.models import codebuild_backends
from moto.ecr.models import Image as MotoImage
from moto.ecr.models import Repository as MotoRepository
from moto.ecr.models import ecr_backends
from moto.ecs.models import Task, ecs_backends

from analyzer.demo import moto_faults
from analyzer.demo.plan import Image, Registry, Repository
from analyzer.demo.services import Project, Service

_CLUSTER = "production"


def pour_registry(account: str, registry: Registry) -> None:
    """Set the settings of one region's registry."""
    region = registry.region
    moto_faults.set_account_setting(account, region, "BLOB_MOUNTING", registry.blob_mounting)
    moto_faults.set_pull_through_rules(account, region, registry.pull_through_rules)
    moto_faults.set_pull_time_exclusions(account, region, registry.pull_time_exclusions)
    moto_faults.set_registry(
        account,
        region,
        scanning={
            "scanType": registry.scan_type,
            "rules": [
                {
                    "scanFrequency": frequency,
                    "repositoryFilters": [{"filter": text, "filterType": "WILDCARD"} for text in filters],
                }
                for frequency, filters in registry.scan_filters.items()
            ],
        },
        replication={"rules": [_replication_rule(account, *rule) for rule in registry.replicated.items()]},
        policy=registry.policy,
        templates=registry.templates,
    )


def _replication_rule(account: str, prefix: str, regions: Iterable[str]) -> dict[str, object]:
    rule: dict[str, object] = {
        "destinations": [{"region": region, "registryId": account} for region in regions]
    }
    if prefix:
        rule["repositoryFilters"] = [{"filter": prefix, "filterType": "PREFIX_MATCH"}]
    return rule


def pour_repository(account: str, repository: Repository) -> None:
    """Make ``repository`` in moto, or replace everything it holds if it is there already."""
    backend = ecr_backends[account][repository.region]
    moto_repository = backend.repositories.get(repository.name)
    if moto_repository is None:
        moto_repository = backend.create_repository(
            repository_name=repository.name,
            registry_id=account,
            encryption_config=(
                {"encryptionType": "KMS", "kmsKey": repository.kms_key}
                if repository.kms_key
                else {"encryptionType": "AES256"}
            ),
            image_scan_config={"scanOnPush": repository.scan_on_push},
            image_tag_mutability="IMMUTABLE" if repository.immutable else "MUTABLE",
            tags=[{"Key": key, "Value": value} for key, value in repository.tags.items()],
        )
        moto_repository.created_at = repository.created_at
    moto_repository.policy = repository.policy
    moto_repository.lifecycle_policy = repository.lifecycle_policy
    moto_repository.__dict__["demurrage_evaluated_at"] = repository.lifecycle_evaluated_at
    moto_repository.images = _moto_images(account, moto_repository, repository.images)


def pour_service(account: str, service: Service) -> None:
    """Make an ECS service in moto, with a task that runs."""
    backend = ecs_backends[account][service.region]
    cluster = backend.clusters.get(_CLUSTER) or backend.create_cluster(_CLUSTER)
    *earlier, last = service.references
    for reference in earlier:
        backend.register_task_definition(service.name, [_container(reference)])
    definition = backend.register_task_definition(service.name, [_container(last)])
    backend.create_service(_CLUSTER, service.name, 1, task_definition_str=definition.arn)
    task = Task(cluster, definition, None, None, backend, group=f"service:{service.name}")
    # moto's tasks never say which digest they got; its serialiser takes it from here.
    task.containers[0].__dict__["image_digest"] = service.digest
    backend.tasks.setdefault(_CLUSTER, {})[task.task_arn] = task


def _container(image: str) -> dict[str, object]:
    return {"name": "main", "image": image, "memory": 512}


def pour_project(account: str, project: Project) -> None:
    """Make a CodeBuild project in moto."""
    codebuild_backends[account][project.region].create_project(
        project.name,
        description=None,
        project_source={"type": "S3", "location": "source/build.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": project.reference,
            "computeType": "BUILD_GENERAL1_SMALL",
        },
        service_role=f"arn:aws:iam::{account}:role/build",
        tags=None,
        cache=None,
        timeout=None,
        queued_timeout=None,
        source_version=None,
        logs_config=None,
        vpc_config=None,
    )


def _moto_images(account: str, repository: MotoRepository, images: Iterable[Image]) -> list[MotoImage]:
    return [_moto_image(account, repository, image) for image in images]


def _moto_image(account: str, repository: MotoRepository, image: Image) -> MotoImage:
    """One image as moto keeps it, with the fields it lacks beside its own (see ``moto_faults``)."""
    made = MotoImage(
        account,
        image.tags[-1] if image.tags else None,  # type: ignore[arg-type]  # None is moto's own "untagged"
        image.manifest,
        repository.name,
        image.media_type,
        image.digest,
        account,
    )
    made.image_tags = list(image.tags)
    extra = made.__dict__
    # moto declares whole seconds; its serialiser takes fractions as well.
    extra["image_pushed_at"] = image.pushed_at.timestamp()
    extra["image_status"] = image.status
    extra["artifact_media_type"] = image.artifact_media_type
    extra["subject_manifest_digest"] = image.subject_digest
    extra["last_archived_at"] = image.archived_at
    extra["last_activated_at"] = image.activated_at
    extra["last_recorded_pull_time"] = image.pulled_at
    if image.scan is not None:
        extra["image_scan_status"] = {"status": image.scan.status}
        if image.scan.completed_at is not None:
            extra["image_scan_findings_summary"] = {
                "imageScanCompletedAt": image.scan.completed_at,
                "vulnerabilitySourceUpdatedAt": image.scan.completed_at,
                "findingSeverityCounts": dict(image.scan.findings),
            }
    return made
