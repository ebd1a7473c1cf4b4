"""What changed between two reports, and what of it is worth telling: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from analyzer.model.digest import (
    ActionLine,
    Changes,
    Digest,
    Outlook,
    PolicyAdvice,
    RepositoryChange,
    Standing,
    Thresholds,
)
from analyzer.model.lint import Severity
from analyzer.model.recommendation import Status
from analyzer.model.records import Gap
from analyzer.model.results import Report, RepositoryRow
from analyzer.model.trends import Forecast, NoForecast
from analyzer.model.units import Money

#: Repositories and actions that are told of.
FEW: Final = 5


def standing(report: Report) -> Standing:
    """What ``report`` came to."""
    totals = report.totals
    return Standing(
        run=report.run,
        at=report.taken_to,
        cost_low=totals.cost_low,
        cost_high=totals.cost_high,
        stored_bytes=totals.physical_bytes,
        registries=totals.registries,
        repositories=totals.repositories,
        images=totals.counts.images,
        gaps=len(report.gaps),
    )


def changes_between(before: Report, after: Report) -> Changes:
    """What changed from ``before`` to ``after``, both made with the same options and prices."""
    old, new = _by_place(before), _by_place(after)
    moved = [
        RepositoryChange(
            name=place,
            cost=_difference(_cost(old.get(place)), _cost(new.get(place))),
            stored_bytes=_stored(new.get(place)) - _stored(old.get(place)),
        )
        for place in sorted({*old, *new})
    ]
    movers = sorted(
        (one for one in moved if one.stored_bytes), key=lambda one: (-abs(one.stored_bytes), one.name)
    )
    gaps = {_gap_name(gap) for gap in before.gaps}, {_gap_name(gap) for gap in after.gaps}
    return Changes(
        before=standing(before),
        cost=_difference(before.totals.cost.repository, after.totals.cost.repository),
        stored_bytes=after.totals.physical_bytes.repository - before.totals.physical_bytes.repository,
        images=after.totals.counts.images - before.totals.counts.images,
        new_repositories=tuple(sorted({*new} - {*old})),
        gone_repositories=tuple(sorted({*old} - {*new})),
        movers=tuple(movers[:FEW]),
        new_gaps=tuple(sorted(gaps[1] - gaps[0])),
        gone_gaps=tuple(sorted(gaps[0] - gaps[1])),
    )


def alerts_of(report: Report, earlier: Report | None, thresholds: Thresholds) -> tuple[str, ...]:
    """What is alarming about ``report``; ``earlier`` is what its growth is counted from.

    Costs are judged at the end that ``report`` shows as the higher one. What is not known alarms nobody,
    and is said where a threshold could not be judged for it.
    """
    found = []
    cost = report.totals.cost_high
    limit = thresholds.cost_above
    if limit is not None:
        if cost.amount is None:
            found.append(f"Whether the cost is above {_money(limit, cost)} per month is not known.")
        elif cost.amount > limit:
            at_least = "at least " if cost.leaves_out else ""
            found.append(
                f"The cost is {at_least}{_money(cost.amount, cost)} per month, above {_money(limit, cost)}."
            )
    growth = thresholds.growth_above
    if growth is not None and earlier is not None:
        before = earlier.totals.cost_high
        since = f"since {earlier.taken_to:%Y-%m-%d}"
        if cost.amount is None or before.amount is None:
            found.append(f"Whether the cost grew by more than {growth:f}% {since} is not known.")
        elif cost.amount * 100 > before.amount * (100 + growth):
            by = f"{(cost.amount / before.amount - 1) * 100:.1f}%" if before.amount else "from nothing"
            found.append(
                f"The cost grew by {by} {since}, from {_money(before.amount, cost)} to "
                f"{_money(cost.amount, cost)} per month: more than {growth:f}%."
            )
    return tuple(found)


def actions_of(report: Report) -> tuple[ActionLine, ...]:
    """The repositories where mending the open findings saves most, each blob counted once."""
    found = report.findings
    if found is None:
        return ()
    titles = {check.id: check.title for check in found.checks}
    return tuple(
        ActionLine(
            place=_place(row.account, row.region, row.repository),
            what="; ".join(titles[check] for check in row.checks[:2]),
            saving=row.saving.low,
        )
        for row in found.by_repository
        if row.saving is not None and row.saving.low.amount
    )[:FEW]


def advice_of(report: Report) -> PolicyAdvice | None:
    """What the policies that ``report`` recommends come to; None where it was not worked out."""
    found = report.recommendations
    if found is None:
        return None
    statuses = [row.status for row in found.repositories]
    return PolicyAdvice(
        to_put=sum(status.advises for status in statuses),
        safer=statuses.count(Status.SAFER),
        saving_low=found.saving_low,
        saving_high=found.saving_high,
    )


def outlook_of(forecast: Forecast | NoForecast | None) -> tuple[Outlook, ...]:
    """Where each scenario of a forecast ends; nothing where there is none."""
    if not isinstance(forecast, Forecast):
        return ()
    return tuple(
        Outlook(
            name=scenario.name,
            title=scenario.title,
            at=scenario.points[-1].at,
            cost=scenario.points[-1].cost.repository,
        )
        for scenario in forecast.scenarios
        if scenario.points
    )


def build_digest(
    report: Report | None,
    *,
    previous: Report | None,
    earlier: Report | None,
    thresholds: Thresholds,
    failures: Sequence[tuple[str, str]] = (),
    places: Sequence[str] = (),
) -> Digest:
    """The digest of a run that made ``report``, or none.

    ``previous`` is the last report before, ``earlier`` the one that growth is counted from.
    """
    severities: tuple[tuple[str, int], ...] | None = None
    if report is not None and report.findings is not None:
        counts: Mapping[Severity, int] = {
            severity: sum(finding.severity is severity for finding in report.findings.open)
            for severity in Severity
        }
        severities = tuple((str(severity), count) for severity, count in counts.items())
    return Digest(
        now=None if report is None else standing(report),
        changes=None if report is None or previous is None else changes_between(previous, report),
        alerts=() if report is None else alerts_of(report, earlier, thresholds),
        actions=() if report is None else actions_of(report),
        advice=None if report is None else advice_of(report),
        findings=severities,
        outlook=() if report is None or report.trend is None else outlook_of(report.trend.forecast),
        failures=tuple(failures),
        places=tuple(places),
    )


def _by_place(report: Report) -> dict[str, RepositoryRow]:
    return {_place(row.account, row.region, row.repository): row for row in report.repositories}


def _place(account: str, region: str, repository: str) -> str:
    return "/".join(part for part in (account, region, repository) if part)


def _gap_name(gap: Gap) -> str:
    return f"{gap.call} {gap.reason} {_place(gap.account, gap.region, gap.repository)}"


def _stored(row: RepositoryRow | None) -> int:
    return 0 if row is None else row.physical_bytes.repository


def _cost(row: RepositoryRow | None) -> Money:
    return Money(Decimal(0)) if row is None else row.cost.repository


def _difference(before: Money, after: Money) -> Decimal | None:
    if before.amount is None or after.amount is None:
        return None
    return after.amount - before.amount


def _money(amount: Decimal, like: Money) -> str:
    return f"{amount:,.2f} {like.currency}"
