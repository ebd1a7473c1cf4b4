"""What a night calls, as IAM knows it: one row an operation. Pure data, and the policies of it.

A test holds the rows equal to what the package's code can ask, another holds the shipped templates
and README.md equal to the rows. Which operations can be granted on single repositories is from the
Service Authorization Reference of each service.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

#: Parts of the collector's work, each granted or left out as a whole.
REGISTRY: Final = "registry"
#: Where all regions of an account are wanted.
REGIONS: Final = "regions"
#: The account's public registry, where all regions or that are wanted.
PUBLIC: Final = "public"
VERIFY: Final = "verify"
#: What the credentials that a run begins with need, to find the accounts and to enter them.
ORGANIZATION: Final = "organization"
#: The same where organizational units are named.
UNITS: Final = "units"
ENTER: Final = "enter"
#: Where pulls are wanted: from a trail's bucket, with the credentials that a run begins with…
TRAIL: Final = "trail"
#: …or from the event history of each registry's account.
LOOKUP: Final = "lookup"
#: Where the regions of pullers are to be told by their instances and endpoints.
MACHINES: Final = "machines"
#: What of these the role in an account needs; the trail's bucket is read without it.
PULLS: Final = (LOOKUP, MACHINES)
#: Where reports are published to a bucket, with the credentials that a run begins with…
PUBLISH: Final = "publish"
#: …and encrypted with a key of its own…
ENCRYPT: Final = "encrypt"
#: …and where a topic is told.
NOTIFY: Final = "notify"

#: By source of workloads, what it is for and what reading it takes. All of it lists what there is in
#: the account, so a narrower resource would let in no less; and what is about single functions, models
#: or services has to reach every one of them.
_WORKLOADS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "ecs": (
        "what ECS runs and may start",
        (
            "ecs:DescribeServiceRevisions",
            "ecs:DescribeServices",
            "ecs:DescribeTaskDefinition",
            "ecs:DescribeTasks",
            "ecs:ListClusters",
            "ecs:ListServices",
            "ecs:ListTaskDefinitions",
            "ecs:ListTasks",
            "events:ListRuleNamesByTarget",
            "events:ListTargetsByRule",
            "scheduler:GetSchedule",
            "scheduler:ListSchedules",
        ),
    ),
    "lambda": ("what functions run", ("lambda:GetFunction", "lambda:ListFunctions")),
    "eks": ("which EKS clusters there are", ("eks:DescribeCluster", "eks:ListClusters")),
    "inspector": ("what Amazon Inspector sees in use", ("inspector2:ListCoverage",)),
    "apprunner": ("what App Runner runs", ("apprunner:DescribeService", "apprunner:ListServices")),
    "batch": (
        "what Batch runs",
        (
            "batch:DescribeJobDefinitions",
            "batch:DescribeJobQueues",
            "batch:DescribeJobs",
            "batch:ListJobs",
        ),
    ),
    "sagemaker": (
        "what SageMaker serves",
        (
            "sagemaker:DescribeEndpoint",
            "sagemaker:DescribeModel",
            "sagemaker:ListEndpoints",
            "sagemaker:ListModels",
        ),
    ),
    "codebuild": ("what CodeBuild builds in", ("codebuild:BatchGetProjects", "codebuild:ListProjects")),
}


def workload_part(source: str) -> str:
    """The part of the collector's work that reading one source of workloads is."""
    return f"workloads.{source}"


#: All sources of workloads.
WORKLOADS: Final = tuple(map(workload_part, _WORKLOADS))

#: What the role in each account needs to be read every night.
READER: Final = (REGISTRY, REGIONS, PUBLIC, *WORKLOADS)
#: What leads into the accounts of an organization.
BASE: Final = (ORGANIZATION, UNITS, ENTER)

#: Resource of what is granted on repositories: by ARN, so that a team's can be left out.
REPOSITORIES: Final = "arn:{partition}:ecr:*:*:repository/*"
#: The same of public repositories, which are in no region.
PUBLIC_REPOSITORIES: Final = "arn:{partition}:ecr-public::*:repository/*"
#: Resource of the way into other accounts.
ROLES: Final = "arn:{partition}:iam::*:role/{role}"
#: Resources of one bucket, of what is in it below a prefix, of one key and of one topic, each of them any
#: until `on_bucket` and its like say which.
BUCKET: Final = "{bucket}"
OBJECTS: Final = "{objects}"
KEY: Final = "{key}"
TOPIC: Final = "{topic}"
#: Name of the role to roll out, unless it is given another.
ROLE_NAME: Final = "demurrage-reader"
#: Resource of what IAM grants on everything or not at all, or of what lists all there is anyway.
EVERYTHING: Final = "*"


#: What the API calls otherwise than IAM does.
_OPERATIONS: Final = {"s3:DeleteObject": "DeleteObjects", "s3:ListBucket": "ListObjectsV2"}


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One operation and the permission that it needs."""

    #: As IAM spells it: ``ecr:DescribeImages``.
    action: str
    #: What is done with it, and so who needs it: REGISTRY, VERIFY…
    part: str
    #: REPOSITORIES, BUCKET, EVERYTHING…; may name ``{partition}`` and ``{role}``; its own braces are
    #: doubled.
    resource: str
    #: What it is for, in a few words.
    purpose: str

    @property
    def service(self) -> str:
        """IAM's prefix of the service."""
        return self.action.partition(":")[0]

    @property
    def operation(self) -> str:
        """The API's name of the operation, which of nearly all that is asked here is IAM's too."""
        return _OPERATIONS.get(self.action, self.action.partition(":")[2])


def _rows(part: str, resource: str, purposes: Mapping[str, str]) -> tuple[Permission, ...]:
    return tuple(Permission(action, part, resource, purpose) for action, purpose in purposes.items())


#: Whoever asks STS who they are is answered: it needs no permission, and none can be withheld.
FREE_ACTIONS: Final = frozenset({"sts:GetCallerIdentity"})

PERMISSIONS: Final = (
    *_rows(
        REGISTRY,
        REPOSITORIES,
        {
            "ecr:BatchGetImage": "manifests, once each: what images are made of",
            "ecr:BatchGetRepositoryScanningConfiguration": "how repositories are scanned",
            "ecr:DescribeImages": "images, their tags, pulls and storage classes",
            "ecr:DescribeRepositories": "which repositories there are",
            "ecr:GetLifecyclePolicy": "the lifecycle policies in force",
            "ecr:GetRepositoryPolicy": "who else may read repositories",
            "ecr:ListTagsForResource": "the repositories' own tags",
        },
    ),
    *_rows(
        REGISTRY,
        EVERYTHING,
        {
            "ecr:DescribePullThroughCacheRules": "which repositories are pull-through caches",
            "ecr:DescribeRegistry": "where images are replicated to",
            "ecr:DescribeRepositoryCreationTemplates": "what new repositories will be like",
            "ecr:GetAccountSetting": "whether layers are shared across repositories",
            "ecr:GetRegistryPolicy": "who else may reach the registry",
            "ecr:GetRegistryScanningConfiguration": "how the registry is scanned",
            "ecr:ListPullTimeUpdateExclusions": "whose pulls leave no trace",
        },
    ),
    *_rows(
        REGIONS,
        EVERYTHING,
        {
            "account:ListRegions": "which regions the account has enabled",
            "ec2:DescribeRegions": "the same, where account:ListRegions is refused",
        },
    ),
    *_rows(
        PUBLIC,
        PUBLIC_REPOSITORIES,
        {
            "ecr-public:DescribeImages": "public images and their tags",
            "ecr-public:DescribeRepositories": "which public repositories there are",
            "ecr-public:GetRepositoryPolicy": "who else may push to public repositories",
            "ecr-public:ListTagsForResource": "the public repositories' own tags",
        },
    ),
    *_rows(
        PUBLIC,
        EVERYTHING,
        {"ecr-public:DescribeRegistries": "whether the account has a public registry"},
    ),
    *_rows(
        VERIFY,
        REPOSITORIES,
        {
            "ecr:GetLifecyclePolicyPreview": "ECR's own verdicts, for verify",
            "ecr:StartLifecyclePolicyPreview": "asking ECR for its verdicts, for verify",
        },
    ),
    *_rows(ORGANIZATION, EVERYTHING, {"organizations:ListAccounts": "which accounts there are"}),
    *_rows(
        UNITS,
        EVERYTHING,
        {
            "organizations:ListAccountsForParent": "which accounts are in a unit",
            "organizations:ListOrganizationalUnitsForParent": "which units there are",
            "organizations:ListRoots": "where the organization's units begin",
        },
    ),
    *(
        row
        for source, (purpose, actions) in _WORKLOADS.items()
        for row in _rows(workload_part(source), EVERYTHING, dict.fromkeys(actions, purpose))
    ),
    *_rows(
        TRAIL,
        EVERYTHING,
        {
            "cloudtrail:DescribeTrails": "which trail writes to the bucket",
            "cloudtrail:GetEventSelectors": "whether the trail keeps reads, as pulls are",
            "cloudtrail:GetTrailStatus": "whether hours without a file were quiet",
        },
    ),
    *_rows(TRAIL, OBJECTS, {"s3:GetObject": "the trail's files"}),
    *_rows(TRAIL, BUCKET, {"s3:ListBucket": "which files the trail has written"}),
    *_rows(LOOKUP, EVERYTHING, {"cloudtrail:LookupEvents": "pulls of the last 90 days, without a trail"}),
    *_rows(
        MACHINES,
        EVERYTHING,
        {
            "ec2:DescribeInstances": "the regions of instances that pull",
            "ec2:DescribeVpcEndpoints": "the regions of endpoints that pulls come through",
        },
    ),
    *_rows(
        PUBLISH,
        OBJECTS,
        {
            "s3:DeleteObject": "taking old reports away",
            "s3:GetObject": "the index of the reports before",
            "s3:PutObject": "publishing reports",
        },
    ),
    *_rows(PUBLISH, BUCKET, {"s3:ListBucket": "telling that there is no index yet"}),
    *_rows(
        ENCRYPT,
        KEY,
        {
            "kms:Decrypt": "reading what is encrypted with the key",
            "kms:GenerateDataKey": "encrypting what is published",
        },
    ),
    *_rows(NOTIFY, TOPIC, {"sns:Publish": "sending the digest"}),
    *_rows(ENTER, ROLES, {"sts:AssumeRole": "entering other accounts"}),
)


def permissions_of(parts: Collection[str]) -> tuple[Permission, ...]:
    """The rows of ``parts``, by action; each action once."""
    found = {row.action: row for row in sorted(PERMISSIONS, reverse=True) if row.part in parts}
    return tuple(sorted(found.values()))


def on_bucket(
    permissions: Iterable[Permission], partition: str, bucket: str, prefix: str
) -> tuple[Permission, ...]:
    """``permissions`` with BUCKET and OBJECTS narrowed to one bucket, and to what is below a prefix in it.

    ``bucket`` is its name, or the ARN of an access point.
    """
    is_arn = bucket.startswith("arn:")
    arn = bucket if is_arn else f"arn:{partition}:s3:::{bucket}"
    objects = "/".join(part for part in (arn, "object" if is_arn else "", prefix, "*") if part)
    return _on(permissions, {BUCKET: arn, OBJECTS: objects})


def on_key(permissions: Iterable[Permission], partition: str, key: str) -> tuple[Permission, ...]:
    """``permissions`` with KEY narrowed to the key that ``key`` names: its ARN, its id, or an alias.

    IAM knows no key by its alias, so that leaves any key.
    """
    if key.startswith("arn:") and ":key/" in key:
        return _on(permissions, {KEY: key})
    if key.startswith(("alias/", "arn:")):
        return tuple(permissions)
    return _on(permissions, {KEY: f"arn:{partition}:kms:*:*:key/{key}"})


def on_topic(permissions: Iterable[Permission], arn: str) -> tuple[Permission, ...]:
    """``permissions`` with TOPIC narrowed to one topic."""
    return _on(permissions, {TOPIC: arn})


def _on(permissions: Iterable[Permission], places: Mapping[str, str]) -> tuple[Permission, ...]:
    literal = {kind: place.replace("{", "{{").replace("}", "}}") for kind, place in places.items()}
    return tuple(replace(row, resource=literal.get(row.resource, row.resource)) for row in permissions)


def policy_document(
    permissions: Iterable[Permission], partition: str, *, role: str = ROLE_NAME
) -> dict[str, Any]:
    """The IAM policy that grants ``permissions`` and no more: a statement per resource.

    ``role`` is the name of the role to assume, with its path if it has one.
    """
    actions: dict[str, set[str]] = {}
    for row in permissions:
        actions.setdefault(row.resource, set()).add(row.action)
    anywhere = {
        "bucket": f"arn:{partition}:s3:::*",
        "objects": f"arn:{partition}:s3:::*/*",
        "key": f"arn:{partition}:kms:*:*:key/*",
        "topic": f"arn:{partition}:sns:*:*:*",
    }
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": sorted(granted),
                "Resource": resource.format(partition=partition, role=role, **anywhere),
            }
            # Longest first: what is narrow before what is everything.
            for resource, granted in sorted(actions.items(), key=lambda item: (-len(item[0]), item[0]))
        ],
    }


def policy_text(permissions: Iterable[Permission], partition: str, *, role: str = ROLE_NAME) -> str:
    """`policy_document` as indented JSON."""
    return json.dumps(policy_document(permissions, partition, role=role), indent=2)
