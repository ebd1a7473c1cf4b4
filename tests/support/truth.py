"""What a snapshot should hold, from the world's own objects; nothing of the collector's is used.

``differences`` says where a snapshot and the world are apart, and by which call that would have to be
told: what lies under no gap is a falsehood, and a gap under which nothing lies is one too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from analyzer.model.records import Artifact, Gap, ImageStatus, ReadStatus, RegistryRead, ScanSummary
from tests.support.registry import Image, Registry, Repository, World

#: Repository ("" for the registry) and call, as gaps name them.
Place = tuple[str, str]

_CALL_OF_SETTING = {
    "arn": "ecr:DescribeRepositories",
    "uri": "ecr:DescribeRepositories",
    "image_tag_mutability": "ecr:DescribeRepositories",
    "scan_on_push": "ecr:DescribeRepositories",
    "encryption": "ecr:DescribeRepositories",
    "lifecycle_policy_text": "ecr:GetLifecyclePolicy",
    "repository_policy_text": "ecr:GetRepositoryPolicy",
    "scanning": "ecr:BatchGetRepositoryScanningConfiguration",
    "tags": "ecr:ListTagsForResource",
    "blob_mounting": "ecr:GetAccountSetting",
    "basic_scan_type_version": "ecr:GetAccountSetting",
    "registry_policy_scope": "ecr:GetAccountSetting",
    "registry_policy_text": "ecr:GetRegistryPolicy",
    "replication_configuration": "ecr:DescribeRegistry",
    "repository_creation_templates": "ecr:DescribeRepositoryCreationTemplates",
    "scanning_configuration": "ecr:GetRegistryScanningConfiguration",
    "pull_through_cache_rules": "ecr:DescribePullThroughCacheRules",
    "pull_time_update_exclusions": "ecr:ListPullTimeUpdateExclusions",
}
_REPOSITORIES: Place = ("", "ecr:DescribeRepositories")
_MANIFESTS = "ecr:BatchGetImage"
_NOWHERE: Mapping[str, int] = {}

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class HeldRepository:
    """One repository as it is."""

    #: By digest.
    artifacts: Mapping[str, Artifact]
    #: Of the settings that this module knows, what they are, as parsed JSON.
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Held:
    """One registry as it is."""

    #: By name and creation time in milliseconds.
    repositories: Mapping[tuple[str, int], HeldRepository]
    settings: Mapping[str, object]


def held(world: World, region: str) -> Held:
    """The registry of the world's account in ``region`` at this moment."""
    with world.lock:
        registry = world.registry(region=region)
        return Held(
            {
                (repository.name, round(repository.created_at * 1000)): HeldRepository(
                    {image.digest: _artifact(image) for image in repository.images.values()},
                    _settings(repository),
                )
                for repository in registry.repositories.values()
            },
            _registry_settings(registry),
        )


def differences(truth: Held, read: RegistryRead, stored: Collection[str]) -> Counter[Place]:
    """Where ``read`` is not ``truth``, and where it does not vouch for it, with how many things are.

    ``stored`` are the digests of the manifests that are known: one that is not is a difference in each
    repository whose images need it.
    """
    found: Counter[Place] = Counter()
    entries = {entry.key: entry for entry in read.repositories}
    found[_REPOSITORIES] += len(truth.repositories.keys() ^ entries.keys())
    found[_REPOSITORIES] += read.status is not ReadStatus.COMPLETE
    found.update(_different_settings("", truth.settings, read.settings))
    for key, entry in entries.items():
        name, _ = key
        real = truth.repositories.get(key)
        artifacts = {artifact.digest: artifact for artifact in entry.artifacts}
        if real is not None:
            found.update(_different_settings(name, real.settings, entry.settings))
            keys = artifacts.keys() | real.artifacts.keys()
            apart = sum(artifacts.get(digest) != real.artifacts.get(digest) for digest in keys)
            found[name, "ecr:DescribeImages"] += apart
        found[name, "ecr:DescribeImages"] += entry.status is not ReadStatus.COMPLETE
        found[name, _MANIFESTS] += len(artifacts.keys() - set(stored))
    return +found


def untold(
    different: Counter[Place], gaps: Sequence[Gap], elsewhere: Mapping[str, int] = _NOWHERE
) -> list[str]:
    """Each difference that no gap covers, in words; of manifests the numbers must agree as well.

    A gap of the whole registry covers the same call in all its repositories, and one for the list of
    repositories all of those that stand as they were because they were not listed. That a repository is
    gone covers all that would have been asked of it. ``elsewhere`` is how many of a repository's manifests
    another registry of the run has as well: refused here, they may have come from there a moment later.
    """
    places = {(gap.repository, gap.call) for gap in gaps}
    gone = {gap.repository for gap in gaps if gap.reason == "RepositoryNotFoundException"}
    complaints = []
    for (repository, call), number in sorted(different.items()):
        covering = {(repository, call), ("", call), _REPOSITORIES}
        if repository not in gone and not covering & places:
            complaints.append(f"{number} differences in {_named(repository, call)}, and no gap")
        told = sum(gap.count for gap in gaps if (gap.repository, gap.call) == (repository, call))
        if call == _MANIFESTS and told and not number <= told <= number + elsewhere.get(repository, 0):
            complaints.append(f"{number} manifests missing in {_named(repository, call)}, told are {told}")
    return complaints


def unfounded(
    different: Counter[Place], gaps: Sequence[Gap], refused: Collection[Place] = frozenset()
) -> list[str]:
    """Each gap under which nothing is missing, in words.

    ``refused`` are the places where a call got no good answer: what is known from an earlier night may
    well be as it was, and is not known to be.
    """
    founded = {*different, *refused, *(("", call) for _, call in (*different, *refused))}
    return [
        f"a gap in {_named(gap.repository, gap.call)} ({gap.reason}), and nothing is missing"
        for gap in gaps
        if (gap.repository, gap.call) not in founded
    ]


def _named(repository: str, call: str) -> str:
    return f"{call} of {repository or 'the registry'}"


def _different_settings(
    repository: str, real: Mapping[str, object], known: Mapping[str, str]
) -> Counter[Place]:
    found: Counter[Place] = Counter()
    for name, value in real.items():
        if name not in known or json.loads(known[name]) != value:
            found[repository, _CALL_OF_SETTING[name]] += 1
    return found


def _artifact(image: Image) -> Artifact:
    return Artifact(
        digest=image.digest,
        tags=tuple(sorted(image.tags)),
        pushed_at_ms=round(image.pushed_at * 1000),
        image_status=ImageStatus[image.status],
        archived_at_ms=_ms(image.archived_at),
        activated_at_ms=_ms(image.activated_at),
        reported_size_bytes=image.size_bytes,
        media_type=image.media_type,
        artifact_media_type=image.artifact_media_type,
        subject_digest=image.subject_digest,
        pulled_day=None if image.pulled_at is None else int(image.pulled_at // _DAY),
        scan=_scan(image),
    )


def _scan(image: Image) -> ScanSummary | None:
    if image.scan is None:
        return None
    summary = image.scan["imageScanFindingsSummary"]
    counts = summary["findingSeverityCounts"]
    return ScanSummary(
        image.scan["imageScanStatus"]["status"],
        int(summary["imageScanCompletedAt"] // _DAY),
        **{name.lower(): number for name, number in counts.items()},
    )


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _settings(repository: Repository) -> dict[str, object]:
    described = repository.described()
    return {
        "arn": repository.arn,
        "uri": described["repositoryUri"],
        "image_tag_mutability": repository.tag_mutability,
        "scan_on_push": repository.scan_on_push,
        "encryption": repository.encryption,
        "lifecycle_policy_text": repository.lifecycle_policy,
        "repository_policy_text": repository.policy,
        # Of registries without a rule of scanning.
        "scanning": {
            "appliedScanFilters": [],
            "scanFrequency": "SCAN_ON_PUSH" if repository.scan_on_push else "MANUAL",
            "scanOnPush": repository.scan_on_push,
        },
        "tags": repository.resource_tags,
    }


def _registry_settings(registry: Registry) -> dict[str, object]:
    return {
        "blob_mounting": registry.settings["BLOB_MOUNTING"],
        "basic_scan_type_version": registry.settings["BASIC_SCAN_TYPE_VERSION"],
        "registry_policy_scope": registry.settings["REGISTRY_POLICY_SCOPE"],
        "registry_policy_text": registry.policy,
        "replication_configuration": registry.replication,
        "repository_creation_templates": registry.creation_templates,
        "scanning_configuration": registry.scanning,
        "pull_through_cache_rules": registry.pull_through_cache_rules,
        "pull_time_update_exclusions": sorted(registry.pull_time_update_exclusions),
    }
