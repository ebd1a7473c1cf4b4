"""The repositories of the demo's made-up company, and the lifecycle policies they have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MAIN, EUROPE, WEST = "us-east-1", "eu-west-1", "us-west-2"

#: How a repository names what it pushes.
Style = Literal["semver", "branch", "date", "environment"]

AMD, ARM = "linux/amd64", "linux/arm64/v8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What kind of images a repository gets, and how it is kept."""

    region: str = MAIN
    name: str
    team: str
    base: str = "python"
    #: Order by activity: the busiest repository gets the most images.
    busy: int
    style: Style = "branch"
    platforms: tuple[str, ...] = (AMD,)
    oci: bool = False
    zstd: bool = False
    #: Whether BuildKit adds a provenance manifest for each platform.
    attested: bool = False
    #: Whether recent releases carry a signature and an SBOM.
    signed: bool = False
    #: Share of new releases of its base that a build takes up.
    refresh: float = 0.5
    #: Days since the last push; nothing happens in an idle repository.
    idle_days: int = 0
    policy: str | None = None
    #: The policy that somebody puts in the first night, a key of ``POLICIES``; ECR acts a night later.
    adopts: str | None = None
    #: Whom its repository policy lets in, a key of ``SHARED``.
    shared: str | None = None
    kms: bool = False
    immutable: bool = False
    scanned: bool = False
    #: Whether its images list BuildKit's empty layer twice.
    repeats: bool = False
    #: Whether images unused for half a year are in the archive.
    archived: bool = False
    #: For so many days its images have had a package cache in them that nobody meant to keep.
    bloated_days: int = 0
    #: ``region/name`` of the repository whose images are promoted or replicated to this one.
    copies: str = ""


def _policy(*rules: Mapping[str, object]) -> str:
    """The text of a lifecycle policy whose rules take the priorities from 1 upwards."""
    return json.dumps({"rules": [{"rulePriority": n, **rule} for n, rule in enumerate(rules, 1)]}, indent=2)


_EXPIRE = {"type": "expire"}
#: When the policy ``untagged`` lets images go.
UNTAGGED_DAYS = 14
_UNTAGGED_AFTER_DAYS = {
    "description": "Untagged images leave after two weeks",
    "selection": {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": UNTAGGED_DAYS,
    },
    "action": _EXPIRE,
}
POLICIES: Mapping[str, str] = {
    "untagged": _policy(_UNTAGGED_AFTER_DAYS),
    "keep-100": _policy(
        {
            "description": "Keep the newest hundred",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 100},
            "action": _EXPIRE,
        }
    ),
    "branches": _policy(
        {
            "description": "Keep twenty releases",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["v*.*.*"],
                "countType": "imageCountMoreThan",
                "countNumber": 20,
            },
            "action": _EXPIRE,
        },
        {
            "description": "Branch builds leave after two months",
            "selection": {
                "tagStatus": "tagged",
                "tagPrefixList": ["feature-"],
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 60,
            },
            "action": _EXPIRE,
        },
        _UNTAGGED_AFTER_DAYS,
    ),
    "archive": _policy(
        {
            "description": "Archive what nobody pulled for half a year",
            "selection": {
                "tagStatus": "any",
                "countType": "sinceImagePulled",
                "countUnit": "days",
                "countNumber": 180,
            },
            "action": {"type": "transition", "targetStorageClass": "archive"},
        },
        {
            "description": "Delete after a year in the archive",
            "selection": {
                "tagStatus": "any",
                "storageClass": "archive",
                "countType": "sinceImageTransitioned",
                "countUnit": "days",
                "countNumber": 365,
            },
            "action": _EXPIRE,
        },
    ),
}

_PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


def _shared(sid: str, principal: object, condition: Mapping[str, object] | None = None) -> str:
    """The text of a repository policy that lets ``principal`` pull."""
    statement = {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": _PULL}
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


SHARED: Mapping[str, str] = {
    "partner": _shared("PartnerPull", {"AWS": "arn:aws:iam::444455556666:root"}),
    "organization": _shared("WholeCompany", "*", {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}),
    "lambda": _shared("Functions", {"Service": "lambda.amazonaws.com"}),
}

SPECS: tuple[Spec, ...] = (
    # The shop.
    Spec(name="checkout/api", team="checkout", busy=95, signed=True, scanned=True, oci=True),
    Spec(name="checkout/web", team="checkout", base="node", busy=80, policy="untagged"),
    Spec(name="checkout/worker", team="checkout", busy=60, style="environment"),
    Spec(name="payments/gateway", team="payments", base="jre", busy=76, style="semver", scanned=True),
    Spec(name="payments/ledger", team="payments", base="jre", busy=40, kms=True, policy="keep-100"),
    Spec(name="payments/fraud-scoring", team="payments", base="python-build", busy=46, style="date"),
    Spec(name="orders/api", team="orders", base="go", busy=86, platforms=(AMD, ARM), oci=True, attested=True),
    Spec(name="orders/events", team="orders", base="jre", busy=55, refresh=0.2, shared="lambda"),
    Spec(name="catalog/api", team="catalog", base="node", busy=70, style="semver", oci=True, signed=True),
    Spec(
        name="catalog/importer",
        team="catalog",
        base="python-build",
        busy=44,
        style="date",
        archived=True,
        policy="archive",
    ),
    Spec(name="search/indexer", team="search", base="jre", busy=50, oci=True, zstd=True, bloated_days=25),
    Spec(name="search/query", team="search", base="jre", busy=64, policy="branches", style="semver"),
    Spec(name="identity/auth", team="identity", base="scratch", busy=66, signed=True, oci=True, scanned=True),
    Spec(name="identity/sessions", team="identity", base="dotnet", busy=38, immutable=True, style="semver"),
    Spec(name="notifications/email", team="messaging", base="node", busy=30, refresh=0.0),
    Spec(name="notifications/push", team="messaging", base="go", busy=26, platforms=(AMD, ARM)),
    Spec(name="web/storefront", team="web", base="nginx", busy=99, style="environment"),
    Spec(name="web/admin", team="web", base="nginx", busy=58, style="environment", policy="untagged"),
    Spec(name="mobile/bff", team="mobile", base="node", busy=62, platforms=(AMD, ARM), oci=True),
    # Data and machine learning: few images, large ones.
    Spec(name="data/airflow", team="data", base="python-build", busy=48, style="date"),
    Spec(name="data/spark-jobs", team="data", base="spark", busy=34, style="semver", shared="partner"),
    Spec(name="data/dbt", team="data", busy=28, style="date"),
    Spec(name="ml/training-gpu", team="ml", base="cuda", busy=31, style="date", oci=True),
    Spec(name="ml/inference", team="ml", base="python-build", busy=42, style="semver"),
    Spec(name="ml/notebooks", team="ml", base="python-build", busy=32, archived=True, policy="archive"),
    # The platform.
    Spec(
        name="platform/ci-runner",
        team="platform",
        base="ubuntu",
        busy=36,
        adopts="untagged",
        repeats=True,
        style="date",
        shared="organization",
    ),
    Spec(name="platform/terraform", team="platform", base="alpine", busy=24, style="semver", idle_days=40),
    Spec(name="observability/collector", team="platform", base="go", busy=22, platforms=(AMD, ARM), oci=True),
    Spec(name="security/vault-sidecar", team="security", base="alpine", busy=20, style="semver"),
    Spec(
        name="security/scanner", team="security", base="alpine", busy=52, scanned=True, signed=True, oci=True
    ),
    # Left behind.
    Spec(name="legacy/monolith", team="unowned", base="ruby", busy=56, idle_days=260, style="semver"),
    Spec(name="legacy/reporting", team="unowned", base="jre", busy=33, idle_days=420, refresh=0.0),
    Spec(name="sandbox/spike-rust", team="unowned", base="debian", busy=8, idle_days=310),
    # What the release train takes from the repositories above.
    Spec(name="release/checkout-api", team="release", busy=0, copies="us-east-1/checkout/api"),
    Spec(name="release/storefront", team="release", busy=0, copies="us-east-1/web/storefront"),
    Spec(name="release/orders-api", team="release", busy=0, copies="us-east-1/orders/api"),
    # Europe: replicas beside its own.
    Spec(region=EUROPE, name="checkout/api", team="checkout", busy=0, copies="us-east-1/checkout/api"),
    Spec(region=EUROPE, name="orders/api", team="orders", busy=0, copies="us-east-1/orders/api"),
    Spec(
        region=EUROPE, name="eu/tax-engine", team="finance", base="jre", busy=54, style="semver", scanned=True
    ),
    Spec(region=EUROPE, name="eu/gdpr-export", team="legal", busy=18, idle_days=120, style="date"),
    Spec(region=EUROPE, name="eu/storefront", team="web", base="nginx", busy=68, policy="branches"),
    Spec(region=EUROPE, name="eu/invoicing", team="finance", base="dotnet", busy=45, style="semver"),
    Spec(region=EUROPE, name="eu/partner-api", team="partners", base="node", busy=39),
    # The standby region.
    Spec(region=WEST, name="dr/checkout-api", team="checkout", busy=0, copies="us-east-1/checkout/api"),
    Spec(
        region=WEST, name="edge/router", team="edge", base="scratch", busy=43, platforms=(AMD, ARM), oci=True
    ),
    Spec(region=WEST, name="edge/image-resizer", team="edge", base="node", busy=35),
    Spec(region=WEST, name="sandbox/perf-tests", team="unowned", base="python", busy=12, idle_days=200),
)
