"""Findings about pulls across regions, one of every kind and then some, for the formats."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from analyzer.model.pull_report import PullReport
from analyzer.model.records import Gap
from analyzer.model.transfer import (
    ColdPull,
    MoneyRange,
    TransferCode,
    TransferFinding,
    TransferFindings,
    User,
)
from analyzer.model.units import GB, Money
from analyzer.model.usage import SOURCES, Coverage, PlaceCoverage
from analyzer.transfer_summary import summarize_transfers

AT = datetime(2026, 11, 23, 2, tzinfo=UTC)
OWN, OTHER = "111122223333", "444455556666"
HOST = f"{OWN}.dkr.ecr.eu-west-1.amazonaws.com"
UNREAD = f"the registry of {OTHER} in ap-south-1 was not read"


def usd(low: str, high: str | None = None) -> MoneyRange:
    return MoneyRange(Money(Decimal(low), period="pull"), Money(Decimal(high or low), period="pull"))


def no_usd(reason: str) -> MoneyRange:
    money = Money(None, period="pull", leaves_out=(reason,))
    return MoneyRange(money, money)


REPLICA = TransferFinding(
    code=TransferCode.REPLICA_UNUSED,
    account=OWN,
    region="us-east-1",
    source="ecs",
    reference=f"{HOST}/checkout/api:v7",
    users=(User(workload="prod/api", kind="running"), User(workload="prod/api:41", kind="previous")),
    registry_account=OWN,
    registry_region="eu-west-1",
    upstream="",
    repository="checkout/api",
    cold_pull=ColdPull(3 * GB, 3 * GB),
    usd_per_pull=usd("0.06"),
    payer=OWN,
    better_reference=f"{OWN}.dkr.ecr.us-east-1.amazonaws.com/checkout/api:v7",
)
ACROSS = replace(
    REPLICA,
    code=TransferCode.CROSS_REGION,
    source="eks",
    reference=f"{HOST}/ml/trainer:nightly",
    users=(User(workload="ml/Deployment/trainer", kind="configured"),),
    repository="ml/trainer",
    cold_pull=ColdPull(GB, 2 * GB),
    usd_per_pull=usd("0.02", "0.04"),
    better_reference="",
    caveats=(f"the registry of {OWN} in us-east-1 was not read whole: a replica may be there",),
)
UNKNOWN = replace(
    ACROSS,
    account=OTHER,
    source="batch",
    reference=f"{OTHER}.dkr.ecr.ap-south-1.amazonaws.com/tool:1",
    registry_account=OTHER,
    registry_region="ap-south-1",
    repository="tool",
    cold_pull=ColdPull(None, None, unknown=UNREAD),
    usd_per_pull=no_usd(f"bytes not known: {UNREAD}"),
    payer=OTHER,
    caveats=(),
)
NEIGHBOUR = replace(
    ACROSS,
    code=TransferCode.CROSS_ACCOUNT,
    account=OTHER,
    region="eu-west-1",
    source="lambda",
    cold_pull=ColdPull(GB, GB),
    usd_per_pull=usd("0"),
    payer="",
    caveats=(),
)
UPSTREAM = replace(
    NEIGHBOUR,
    code=TransferCode.PUBLIC_UPSTREAM,
    source="codebuild",
    reference="nginx",
    users=(User(workload="=cmd|'/C calc'!A0", kind="configured"),),
    registry_account="",
    registry_region="",
    upstream="registry-1.docker.io",
    repository="library/nginx",
    cold_pull=ColdPull(None, None, unknown="images of registry-1.docker.io are not read"),
    better_reference=f"{OTHER}.dkr.ecr.eu-west-1.amazonaws.com/hub/library/nginx:latest",
)
IMPOSSIBLE = replace(
    ACROSS,
    code=TransferCode.IMPOSSIBLE,
    source="sagemaker",
    usd_per_pull=no_usd("sagemaker pulls from its own region only"),
    payer="",
    caveats=(),
)
FINDINGS = (REPLICA, ACROSS, UNKNOWN, NEIGHBOUR, UPSTREAM, IMPOSSIBLE)

COVERAGE = Coverage(
    (
        PlaceCoverage(account=OWN, region="us-east-1", read=SOURCES),
        PlaceCoverage(account=OTHER, region="eu-west-1", read=("lambda",), refused=("ecs",)),
    )
)


def pull_report(*findings: TransferFinding, references: int = 40, gaps: tuple[Gap, ...] = ()) -> PullReport:
    """What is said of ``findings``, in their order."""
    return PullReport(
        at=AT,
        found=TransferFindings(findings=findings, references=references, local=30, not_judged=1),
        summary=summarize_transfers(findings),
        coverage=COVERAGE,
        gaps=gaps,
    )
