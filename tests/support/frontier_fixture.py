"""A frontier for a report of ``report_fixture``: figures that fall as they should, nothing simulated."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from analyzer.model.frontier import (
    LADDER,
    By,
    FrontierCurve,
    FrontierPoint,
    PricedFrontier,
    RepositoryFrontier,
)
from analyzer.model.results import Report, RepositoryRow, ScopedBytes, ScopedMoney
from analyzer.model.units import Money

#: What is kept by images or days beyond which nothing is left to leave.
LAST = {"images": 400, "days": 700}


def with_frontier(report: Report) -> Report:
    """``report`` with both sweeps: of every row the N-th part of ``LAST`` is kept."""
    return replace(report, frontier=(_sweep(report, "images"), _sweep(report, "days")))


def _sweep(report: Report, by: By) -> PricedFrontier:
    totals = report.totals
    artifacts = sum((totals.counts.images, totals.counts.indexes, totals.counts.referrers))
    last = LAST[by]
    return PricedFrontier(
        by=by,
        fleet=FrontierCurve(
            points=tuple(
                _point(n, last, artifacts, totals.physical_bytes, totals.cost) for n in range(1, last + 1)
            )
        ),
        repositories=tuple(_repository(row, by) for row in sorted(report.repositories, key=_place)),
    )


def _place(row: RepositoryRow) -> tuple[str, str, str]:
    return row.account, row.region, row.repository


def _repository(row: RepositoryRow, by: By) -> RepositoryFrontier:
    last = min(LAST[by], max(1, row.counts.images))
    numbers = [n for n in LADDER[by] if n < last] + [last]
    return RepositoryFrontier(
        account=row.account,
        region=row.region,
        repository=row.repository,
        curve=FrontierCurve(
            points=tuple(_point(n, last, row.counts.images, row.physical_bytes, row.cost) for n in numbers)
        ),
    )


def _point(n: int, last: int, artifacts: int, stored: ScopedBytes, cost: ScopedMoney) -> FrontierPoint:
    part = Decimal(n) / last
    kept = ScopedMoney(repository=_part(cost.repository, part), registry=_part(cost.registry, part))
    return FrontierPoint(
        n=n,
        kept=artifacts * n // last,
        stored_bytes=ScopedBytes(
            repository=stored.repository * n // last, registry=stored.registry * n // last
        ),
        archive_bytes=ScopedBytes(repository=0, registry=0),
        cost=kept,
        saving=ScopedMoney(
            repository=_less(cost.repository, kept.repository),
            registry=_less(cost.registry, kept.registry),
        ),
    )


def _part(money: Money, part: Decimal) -> Money:
    if part == 1:
        # Even a product by one is rounded to 28 digits.
        return money
    return replace(money, amount=None if money.amount is None else money.amount * part)


def _less(money: Money, other: Money) -> Money:
    if money.amount is None or other.amount is None:
        return replace(money, amount=None)
    return replace(money, amount=money.amount - other.amount)
