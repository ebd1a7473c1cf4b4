"""What pulls cost once more, one pull after the other: nothing is summed before it is priced."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from analyzer.model.pulls import PullHistory, Pulls

#: USD per GB from one region to another; None where nobody knows.
Between = Callable[[str, str], Fraction | None]


@dataclass
class Cost:
    """Sums over some pulls."""

    size_bytes: int = 0
    unsized: int = 0
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)
    nat_low: Fraction = Fraction(0)
    nat_high: Fraction = Fraction(0)
    monthly_bytes: Fraction = Fraction(0)
    monthly_low: Fraction = Fraction(0)


@dataclass(frozen=True)
class World:
    """What everything costs."""

    between: Between
    #: Region to (cheapest, dearest) USD per GB out of AWS.
    internet: Mapping[str, tuple[Fraction, Fraction]]
    dearest: Mapping[str, Fraction]
    nat: Mapping[str, Fraction]
    nat_regions: frozenset[str]
    gateways: frozenset[str]
    free_gb: int


def cost(
    history: PullHistory, sizes: Mapping[str, int], world: World, chosen: Callable[[Pulls], bool]
) -> Cost:
    """What the ``chosen`` pulls of ``history`` cost; regions without a price must not occur."""
    found = Cost()
    for pulls in history.pulls:
        if not chosen(pulls) or pulls.kind != "layer":
            continue
        for _ in range(pulls.times):
            size = sizes.get(pulls.digest, -1)
            if size < 0:
                found.unsized += 1
                continue
            gb = Fraction(size, 2**30)
            low, high = _transfer(history, sizes, world, pulls)
            nat_low, nat_high = _nat(world, pulls)
            found.size_bytes += size
            found.low += gb * low
            found.high += gb * high
            found.nat_low += gb * nat_low
            found.nat_high += gb * nat_high
            weight = _weight(history, pulls)
            found.monthly_bytes += size * weight
            found.monthly_low += gb * low * weight
    return found


def _transfer(
    history: PullHistory, sizes: Mapping[str, int], world: World, pulls: Pulls
) -> tuple[Fraction, Fraction]:
    if pulls.puller_region == pulls.region:
        return Fraction(0), Fraction(0)
    if pulls.puller_region == "":
        return Fraction(0), world.dearest[pulls.region]
    if pulls.puller_region == "internet":
        cheapest, dearest = world.internet[pulls.region]
        leaving = sum(
            max(0, sizes.get(other.digest, -1)) * other.times
            for other in history.pulls
            if other.puller_region == "internet"
            and other.kind == "layer"
            and _month(other.day) == _month(pulls.day)
        )
        beyond = max(0, leaving - world.free_gb * 2**30)
        return (cheapest * Fraction(beyond, leaving) if leaving else Fraction(0)), dearest
    rate = world.between(pulls.region, pulls.puller_region)
    assert rate is not None
    return rate, rate


def _nat(world: World, pulls: Pulls) -> tuple[Fraction, Fraction]:
    if pulls.puller_region == "":
        return Fraction(0), max((world.nat[region] for region in world.nat_regions), default=Fraction(0))
    if pulls.puller_region not in world.nat_regions:
        return Fraction(0), Fraction(0)
    if pulls.puller_region == pulls.region and pulls.region in world.gateways:
        return Fraction(0), Fraction(0)
    return world.nat[pulls.puller_region], world.nat[pulls.puller_region]


def _month(day: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()[:7]


def _weight(history: PullHistory, pulls: Pulls) -> Fraction:
    """How often a day's pulls happen in a month, by the best coverage that the registry has."""
    for wanted in ("complete", "partial"):
        days = {
            entry.day
            for entry in history.coverage
            if (entry.account, entry.region, entry.status) == (pulls.account, pulls.region, wanted)
        }
        if days:
            return Fraction("30.4") / len(days) if pulls.day in days else Fraction(0)
    return Fraction(0)
