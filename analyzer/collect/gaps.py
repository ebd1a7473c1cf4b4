"""Gaps: what a run was refused, in words for a person."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.collect.refusals import (
    ACCESS_CODES,
    CREDENTIALS_FAILED,
    REPOSITORY_GONE,
    THROTTLING_CODES,
    Reach,
    Refusal,
)
from analyzer.model.answers import NONE_GIVEN, NOT_GIVEN, TRUNCATED
from analyzer.model.records import Gap, RegistryKey

#: What stays unknown when a call is refused.
_UNKNOWN_WITHOUT = {
    "DescribeRegistries": "whether the account has a public registry, and what it holds, is unknown",
    "DescribeRepositories": "its repositories are not listed",
    "DescribeImages": "its images are not listed",
    "BatchGetImage": "the sizes of these images are unknown",
    "GetLifecyclePolicy": "whether it has a lifecycle policy is unknown",
    "ListTagsForResource": "its tags are unknown",
    "GetAccountSetting": "how the account is set is unknown",
    "DescribePullThroughCacheRules": "which repositories are pull-through caches is unknown",
    "ListPullTimeUpdateExclusions": "whose pulls leave no trace is unknown",
    "GetRegistryScanningConfiguration": "which repositories are to be scanned is unknown",
    "BatchGetRepositoryScanningConfiguration": "how its repositories are scanned is unknown",
    "DescribeRegistry": "where its images are replicated to is unknown",
    "GetRegistryPolicy": "whom the registry's policy lets in is unknown",
    "GetRepositoryPolicy": "whom a repository policy lets in is unknown",
    "DescribeRepositoryCreationTemplates": "what new repositories would be set to is unknown",
}

#: The same of workloads and pullers, by the service that runs them.
_UNKNOWN_WORKLOADS = {
    "apprunner": "which images App Runner runs is not fully known",
    "batch": "which images Batch runs is not fully known",
    "codebuild": "which images CodeBuild builds in is not fully known",
    "ec2": "the regions of instances and VPC endpoints there are not known",
    "ecs": "which images ECS runs is not fully known",
    "eks": "which images EKS runs is not fully known",
    "events": "which images rules start tasks of is not fully known",
    "inspector2": "which images Inspector sees in use is not fully known",
    "kubernetes": "which images EKS runs is not fully known",
    "lambda": "which images Lambda runs is not fully known",
    "sagemaker": "which images SageMaker runs is not fully known",
    "scheduler": "which images schedules start tasks of is not fully known",
}

#: The same of settings that one call gives several of.
_UNKNOWN_SETTING = {
    "basic_scan_type_version": "which scanner basic scanning uses is unknown",
    "blob_mounting": "whether layers are shared across repositories is unknown",
    "registry_policy_scope": "whether the registry's policy counts for every action is unknown",
}


def call_of(key: RegistryKey, operation: str) -> str:
    """``operation`` on the registry as IAM spells it."""
    return f"{'ecr-public' if key.is_public else 'ecr'}:{operation}"


def gap_of(
    key: RegistryKey,
    repository: str,
    operation: str,
    refusal: Refusal,
    *,
    kept: int = 0,
    count: int = 1,
    settings: Sequence[str] = (),
) -> Gap:
    """The gap that ``refusal`` of ``operation`` leaves in ``repository`` ("" for the registry).

    An operation of another service than ECR is named with its service: ``ecs:ListClusters``.

    ``kept`` is how many entries came before a listing broke off; ``settings`` are those that stay
    unknown, where the operation gives several.
    """
    call = operation if ":" in operation else call_of(key, operation)
    place = f"{key.account}/{key.region}"
    if repository:
        place += f" {repository}"
    if refusal.reason in ACCESS_CODES:
        start = f"missing {call} on {place}"
    elif refusal.reason == REPOSITORY_GONE:
        start = f"{place} was deleted while it was being read"
    elif refusal.reason in THROTTLING_CODES:
        start = f"{call} on {place} was throttled until the last retry"
    elif refusal.reason == CREDENTIALS_FAILED:
        start = f"{call} on {place} could not be asked"
    elif refusal.reach is Reach.REGISTRY:
        start = f"{key.account}/{key.region} refuses these credentials (is the region enabled?)"
    elif refusal.reason in {NOT_GIVEN, NONE_GIVEN}:
        start = f"no answer of {call} on {place} was given"
    elif refusal.reason == TRUNCATED:
        start = f"the answer of {call} on {place} is not whole"
    else:
        start = f"{call} on {place} failed"
    service = call.partition(":")[0]
    said = [_UNKNOWN_SETTING[name] for name in settings if name in _UNKNOWN_SETTING]
    unknown = ", ".join(said) or _UNKNOWN_WORKLOADS.get(service) or _UNKNOWN_WITHOUT.get(operation, "")
    if kept:
        unknown = f"the list broke off after {kept}"
    detail = f"{start}; {unknown} ({refusal.detail})" if unknown else f"{start} ({refusal.detail})"
    return Gap(key.account, key.region, repository, call, refusal.reason, detail, count)


def account_gap(account: str, call: str, refusal: Refusal, *, kept: int = 0, unknown: str = "") -> Gap:
    """The gap that ``refusal`` of ``call``, as IAM spells it, leaves of a whole account.

    ``kept`` is how many entries came before a listing broke off; ``unknown`` says what is missing.
    """
    start = f"missing {call}" if refusal.reason in ACCESS_CODES else f"{call} failed"
    broke_off = f"the list broke off after {kept}" if kept else ""
    parts = [f"{start} on {account}", *filter(None, (broke_off, unknown))]
    detail = f"{'; '.join(parts)} ({refusal.reason}: {refusal.detail})"
    return Gap(account, "", "", call, refusal.reason, detail)


def odd_gap(
    key: RegistryKey, repository: str, operation: str, reason: str, detail: str, count: int = 1
) -> Gap:
    """A gap for an answer that came but could not be used as it is."""
    return Gap(key.account, key.region, repository, call_of(key, operation), reason, detail, count)
