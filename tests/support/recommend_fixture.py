"""Recommended policies for the repositories of a report, the same for the same report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from analyzer.model.history import BackTest, BackTestCounts, RepositoryBackTest
from analyzer.model.recommendation import (
    FamilyKind,
    FleetDefault,
    Needed,
    Recommendation,
    RecommendOptions,
    RecommendReport,
    Risk,
    RuleBasis,
    Status,
    TagFamily,
)
from analyzer.model.results import UNKNOWN_SIZE, Report, RepositoryRow, ScopedBytes, ScopedMoney
from analyzer.model.simulation import Effect
from analyzer.model.units import Money
from tests.support.report_fixture import HOSTILE
from tests.support.simulation_fixture import build_simulation

POLICY = (
    '{\n  "rules": [\n    {\n      "rulePriority": 1,\n      "description": "Keep the 30 newest images of any'
    ' kind",\n      "selection": {\n        "tagStatus": "any",\n        "countType": "imageCountMoreThan",\n'
    '        "countNumber": 30\n      },\n      "action": {\n        "type": "expire"\n      }\n    }\n  ]\n}'
)
_RULE = RuleBasis(
    priority=1,
    description="Keep the 30 newest images of any kind",
    selects="any",
    by="images",
    number=30,
    required=7,
    margin=20,
    rounding=3,
    decides=200,
    takes=170,
    pushes_per_day=0.667,
)
_COUNTS = BackTestCounts(removed=12, archived=0, pulled=1, needed=1)


def recommendations_of(report: Report, *, hostile: bool = False) -> RecommendReport:
    """One repository after the other gets the next kind of advice."""
    effects = [one.effect for one in build_simulation(3).candidates[0].repositories]
    effect = effects[0]
    rows = tuple(_row(row, n, effects[n % 3], hostile=hostile) for n, row in enumerate(report.repositories))
    return RecommendReport(
        at=report.at,
        scope=report.scope,
        options=RecommendOptions(),
        repositories=rows,
        totals=effect,
        current_totals=replace(effect, expired=0),
        saving_low=_usd("12.5"),
        saving_high=_usd("20"),
        fleet=FleetDefault(
            policy_text=POLICY,
            reason="",
            rules=(_RULE,),
            effect=effect,
            lost_bytes=ScopedBytes(repository=5, registry=4),
            lost=ScopedMoney(repository=_usd("2"), registry=_usd("1.5")),
            repositories=len(rows),
            decided_by=((1, HOSTILE[0] if hostile else "111122223333/eu-west-1/app"),),
        ),
        coverage=None,
        in_use_known=False,
        warnings=(HOSTILE[1] if hostile else "workloads were not read everywhere",),
        back_test=BackTest(
            first_at=report.taken_from,
            last_at=report.taken_to,
            nights=3,
            moments=3,
            repositories=(),
            totals=_COUNTS,
            examples=(),
            saved_byte_days=ScopedBytes(repository=0, registry=0),
            saved=ScopedMoney(repository=_usd("0"), registry=_usd("0")),
            unknown_size=0,
            unknown=(),
        ),
    )


def with_recommendations(report: Report, *, hostile: bool = False) -> Report:
    """``report`` with the advice on its repositories."""
    return replace(report, recommendations=recommendations_of(report, hostile=hostile))


def _row(row: RepositoryRow, n: int, effect: Effect, *, hostile: bool) -> Recommendation:
    status = list(Status)[n % len(Status)]
    label = HOSTILE[n % len(HOSTILE)] if hostile else "v1.2.3"
    return Recommendation(
        position=n,
        account=row.account,
        region=row.region,
        repository=row.repository,
        status=status,
        reason="" if status is Status.SET else f"because {label}",
        policy_text=POLICY if status.advises else None,
        rules=(_RULE,) if status.advises else (),
        families=(
            TagFamily(
                kind=FamilyKind.RELEASE,
                label=label,
                names=3,
                images=3,
                pattern="v*",
                foreign=0,
                examples=(label,),
            ),
        ),
        has_policy=None if status is Status.UNKNOWN else status is not Status.SET,
        effect=effect,
        current=None if n % 2 else effect,
        saving_low=_usd(str(n)),
        saving_high=Money(Decimal(2 * n), leaves_out=(UNKNOWN_SIZE,)),
        current_takes=n % 3,
        needed=Needed(artifacts=9, in_use=1, protected=2, pulled=3, releases=5, related=1, unknown=0),
        risk=Risk(
            once_pulled=n % 4,
            last_pulled=date(2026, 1, 31) if n % 4 else None,
            examples=(f"{row.repository}:{label}",),
            never_pulled=6,
        ),
        safe_until=datetime(2026, 12, 24, 2, tzinfo=UTC) if status.advises else None,
        is_cache=(True, False, None)[n % 3],
        notes=(f"note on {label}",),
        back_test=RepositoryBackTest(
            position=n,
            account=row.account,
            region=row.region,
            repository=row.repository,
            counts=_COUNTS,
            nights=3,
            nights_unread=0,
        )
        if status.advises
        else None,
    )


def _usd(amount: str) -> Money:
    return Money(Decimal(amount))
