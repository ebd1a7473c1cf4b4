"""What crosses regions and accounts when images are pulled: findings, costs and advice.

Money of a single cold pull has the period ``pull``, of the days that were looked at ``window``, of a
month (30.4 days) ``month``. A figure that is not certain is a range; what is not known is None, or
money without an amount, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from analyzer.model.lint import Severity
from analyzer.model.units import Money


class TransferCode(StrEnum):
    """Findings about where images come from; stable ids."""

    REPLICA_UNUSED = "TRANSFER_REPLICA_UNUSED"
    CROSS_REGION = "TRANSFER_CROSS_REGION"
    CROSS_ACCOUNT = "TRANSFER_CROSS_ACCOUNT"
    PUBLIC_UPSTREAM = "TRANSFER_PUBLIC_UPSTREAM"
    IMPOSSIBLE = "TRANSFER_IMPOSSIBLE"


@dataclass(frozen=True, slots=True)
class Explained:
    """What a finding of one code is about, for somebody who meets it for the first time."""

    #: high is for what breaks, which nothing here does.
    severity: Severity
    title: str
    meaning: str
    #: How to make sure that it is so.
    validate: str
    fix: str
    #: Where the rule comes from.
    source: str


#: In the order in which findings are told.
EXPLANATIONS: Final[Mapping[TransferCode, Explained]] = MappingProxyType(
    {
        TransferCode.REPLICA_UNUSED: Explained(
            severity=Severity.MEDIUM,
            title="Pulled from another region although a replica is at hand",
            meaning=(
                "The workload names an image in another region's registry. The registry of its own region "
                "has the same digest under the same repository name, and a pull from there crosses no region."
            ),
            validate="aws ecr describe-images in the workload's region, with the repository and the digest",
            fix="name the registry of the workload's own region; nothing else changes",
            source="ECR user guide, Private image replication in Amazon ECR",
        ),
        TransferCode.CROSS_REGION: Explained(
            severity=Severity.LOW,
            title="Pulled from another region",
            meaning=(
                "Whenever the image is not on the node yet, its layers cross regions. The account that owns "
                "the registry pays for the transfer, whoever pulls."
            ),
            validate="compare the region in the image reference with the one where the workload runs",
            fix="replicate the repository to the workload's region, or move the workload's reference",
            source="EC2 on-demand pricing, Data transfer; ECR pricing",
        ),
        TransferCode.CROSS_ACCOUNT: Explained(
            severity=Severity.INFO,
            title="Pulled from another account in the same region",
            meaning=(
                "The image is in another account's registry of the workload's region. The transfer is free, "
                "and the other account stores the image and may delete it."
            ),
            validate="compare the account in the image reference with the workload's own",
            fix="nothing to save; see that the owner's lifecycle policy knows of the use",
            source="ECR pricing, data transferred within a region",
        ),
        TransferCode.PUBLIC_UPSTREAM: Explained(
            severity=Severity.LOW,
            title="Pulled from a registry that a pull-through cache can stand for",
            meaning=(
                "The workload pulls from an upstream registry at every cold start: subject to that "
                "registry's limits and failures, and through the NAT gateway where there is one. A "
                "pull-through cache keeps the image in the region."
            ),
            validate="aws ecr describe-pull-through-cache-rules in the workload's region",
            fix="create a pull-through cache rule for the upstream, and name the image through it",
            source="ECR user guide, Sync an upstream registry with an Amazon ECR private registry",
        ),
        TransferCode.IMPOSSIBLE: Explained(
            severity=Severity.INFO,
            title="A reference that the service would not accept",
            meaning=(
                "Lambda functions and SageMaker models take images from their own region only, and this "
                "reference names another one: what was read contradicts that. No money is counted for it."
            ),
            validate="aws lambda get-function or aws sagemaker describe-model, with the workload's name",
            fix="collect again; if it stays so, report it with the reference as the service gives it",
            source=(
                "Lambda developer guide, Create a Lambda function using a container image; SageMaker "
                "developer guide, Use your own inference code"
            ),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class ColdPull:
    """Compressed bytes that a pull moves to a node that has none of the layers: config and layers.

    A range where it is not known which image of an index is pulled. Layers that the registry does
    not store (``foreign_bytes``, the most of them) come from elsewhere and are not in it.
    """

    low_bytes: int | None
    high_bytes: int | None
    foreign_bytes: int = 0
    #: Why the bytes are None; "" where they are known.
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class MoneyRange:
    """Between these two; equal where there is nothing uncertain about it."""

    low: Money
    high: Money

    @property
    def is_exact(self) -> bool:
        """Whether both ends are the same known amount."""
        return self.low == self.high and self.low.amount is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A workload that names an image."""

    #: Inside of its account, region and source.
    workload: str
    #: running, configured or previous.
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFinding:
    """One reference of workloads of one source, account and region to an image elsewhere."""

    code: TransferCode
    #: Where the workloads are.
    account: str
    region: str
    source: str
    #: As the workloads give it.
    reference: str
    #: The strongest kind of use first, then by name.
    users: tuple[User, ...]
    #: Where the image is; account and region are "" for an upstream registry.
    registry_account: str
    registry_region: str
    #: Host of an upstream registry, "" for private ECR.
    upstream: str
    repository: str
    cold_pull: ColdPull
    #: What one cold pull costs in transfer between regions, with the period ``pull``.
    usd_per_pull: MoneyRange
    #: The account that pays for that; "" where nobody does.
    payer: str
    #: What to name instead; "" where nothing is known to be there.
    better_reference: str = ""
    #: What is not known about this finding, a sentence each.
    caveats: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return EXPLANATIONS[self.code].severity

    @property
    def crosses_regions(self) -> bool:
        """Whether its pulls move bytes from one region to another."""
        return self.code in {TransferCode.REPLICA_UNUSED, TransferCode.CROSS_REGION}

    @property
    def is_cross_account(self) -> bool:
        """Whether the registry is another account's."""
        return bool(self.registry_account) and self.registry_account != self.account


@dataclass(frozen=True, slots=True)
class TransferFindings:
    """What the references of workloads tell without any log."""

    #: Replicas that are not used first, then by code and by what a cold pull costs, the dearest first.
    findings: tuple[TransferFinding, ...]
    #: References that were looked at, each once per source, account and region.
    references: int
    #: Of those, from the workload's own account and region.
    local: int
    #: Of those, no image references, or to registries that are neither ECR nor known upstreams.
    not_judged: int
