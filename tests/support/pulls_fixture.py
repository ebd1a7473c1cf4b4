"""Findings about pulls across regions, one of every kind and then some, for the formats."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from analyzer.model.pull_costs import (
    Advice,
    AdviceKind,
    CoverageBasis,
    PullCost,
    PullCosts,
    RegistryCoverage,
    TransferAdvice,
)
from analyzer.model.pull_report import PullReport, RecordedPulls
from analyzer.model.pulls import INTERNET, UNKNOWN_REGION, LeftOut, LeftOutCount
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


def _cost(
    account: str, region: str, puller: str, layers: int, size_bytes: int, dollars: MoneyRange, **keys: object
) -> PullCost:
    # Ten days were looked at, and a month has 30.4 of them.
    monthly = MoneyRange(*(replace(money, period="month") for money in (dollars.low, dollars.high)))
    return PullCost(
        account=account,
        region=region,
        puller_region=puller,
        layer_pulls=layers,
        checks=layers // 2,
        size_bytes=size_bytes,
        unsized_pulls=0 if size_bytes else layers,
        transfer=dollars,
        nat=None,
        monthly_bytes=3 * size_bytes,
        monthly_transfer=monthly,
        monthly_nat=None,
        **keys,  # type: ignore[arg-type]
    )


def recorded_pulls() -> RecordedPulls:
    """Ten days: two routes that are known, one region that is not, one layer of unknown size."""
    routes = (
        _cost(OWN, "eu-west-1", "us-east-1", 40, 50 * GB, usd("1.00")),
        _cost(OTHER, "ap-south-1", UNKNOWN_REGION, 4, GB, usd("0", "0.09")),
        _cost(OTHER, "ap-south-1", INTERNET, 3, 0, no_usd("3 pulls of layers of unknown size")),
        _cost(OWN, "eu-west-1", "eu-west-1", 90, 90 * GB, usd("0")),
    )
    total = replace(
        _cost(OWN, "eu-west-1", "", 137, 141 * GB, usd("1.00", "1.09")),
        account=None,
        region=None,
        puller_region=None,
        unsized_pulls=3,
    )
    puller = replace(total, principal_account=OWN, principal="=role/<node>")
    costs = PullCosts(
        first_day=20_770,
        last_day=20_779,
        total=total,
        routes=routes,
        repositories=(replace(total, account=OWN, region="eu-west-1", repository="checkout/api"),),
        pullers=(puller, replace(total, principal_account="", principal="")),
        days=(replace(total, day=20_779),),
        rows=tuple(
            replace(row, day=20_779, repository="app", method="instance", confidence="high") for row in routes
        ),
        coverage=(
            RegistryCoverage(
                account=OWN,
                region="eu-west-1",
                complete_days=10,
                partial_days=0,
                uncovered_days=0,
                basis=CoverageBasis.COMPLETE,
            ),
            RegistryCoverage(
                account=OTHER,
                region="ap-south-1",
                complete_days=0,
                partial_days=0,
                uncovered_days=10,
                basis=CoverageBasis.NONE,
                details=("the trail keeps writes only",),
            ),
        ),
        left_out=(LeftOutCount(20_779, OWN, "eu-west-1", LeftOut.ERROR, 7),),
        method=("bytes are compressed layers",),
    )
    advice = Advice(
        kind=AdviceKind.REPLICATE,
        account=OWN,
        region="eu-west-1",
        to_region="us-east-1",
        repositories=("checkout/api",),
        prefixes=("checkout/",),
        saving=usd("0.50", "0.70"),
        cost_now=usd("1.00"),
        cost_then=usd("0.30", "0.50"),
        one_time=usd("0.20"),
        pulled_bytes=150 * GB,
        break_even_bytes=20 * GB,
        break_even_pulls=7,
        instead_of=(AdviceKind.MOVE_REPOSITORIES,),
        replication_json='{\n  "rules": []\n}',
        terraform='resource "aws_ecr_replication_configuration" "this" {}',
        caveats=("pullers need permission",),
    )
    return RecordedPulls(
        costs=costs, advice=TransferAdvice(advice=(advice,), options=(), method=("a month has days",))
    )
