"""What recorded pulls cost: bytes and money by route, repository, puller and day.

Transfer between regions is paid by the account that owns the registry, whoever pulls, and at the rate of
the registry's region; inside of a region it is free (ECR pricing; containers-roadmap#2505). NAT gateways
are paid by the puller. Of a puller whose region is not known the transfer lies between nothing, as if
it were in the registry's own region, and the dearest way out of that region.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, NamedTuple

from analyzer.model.pull_costs import CoverageBasis, Network, PullCost, PullCosts, RegistryCoverage
from analyzer.model.pulls import INTERNET, UNKNOWN_REGION, PullHistory, PullKind, Pulls
from analyzer.model.transfer import MoneyRange
from analyzer.model.units import GB, Money, from_day
from analyzer.pricing import PriceBook, exact_decimal

#: Days of a month: a year's, divided by twelve.
DAYS_PER_MONTH: Final = Fraction(304, 10)

_NOTHING: Final = Fraction(0)


class Rate(NamedTuple):
    """USD per byte between these two; None where it is not known, with the reason."""

    low: Fraction | None
    high: Fraction | None
    reason: str = ""

    @property
    def is_free(self) -> bool:
        """Whether nothing is paid, however many bytes there are."""
        return self.low == self.high == 0


class Rates:
    """The rates that pulls are priced by, discount included."""

    def __init__(self, prices: PriceBook, network: Network) -> None:
        self._prices = prices
        self._network = network
        self._transfer: dict[tuple[str, str], Rate] = {}
        self._nat: dict[tuple[str, str], Rate] = {}

    def transfer(self, region: str, puller_region: str) -> Rate:
        """From the registry's region to the puller's, what is free in a month aside."""
        key = region, puller_region
        if key not in self._transfer:
            self._transfer[key] = self._find_transfer(region, puller_region)
        return self._transfer[key]

    def nat(self, region: str, puller_region: str) -> Rate | None:
        """Through NAT gateways; None where nothing was said about them.

        A gateway endpoint leads to buckets of its own region only, so that layers of other regions go
        through NAT all the same (VPC guide, "Gateway endpoints for Amazon S3").
        """
        if self._network.nat_regions is None:
            return None
        key = region, puller_region
        if key not in self._nat:
            self._nat[key] = self._find_nat(region, puller_region, self._network.nat_regions)
        return self._nat[key]

    def nat_of(self, region: str) -> Rate:
        """Of what goes through a NAT gateway in ``region``."""
        price = self._prices.transfer.nat_gateway(region)
        if price is None:
            return Rate(None, None, f"no price for NAT gateways in {region}")
        rate = self._per_byte(price.usd_per_gb, region)
        return Rate(rate, rate)

    def _find_transfer(self, region: str, puller_region: str) -> Rate:
        if puller_region == region:
            return Rate(_NOTHING, _NOTHING)
        book = self._prices.transfer
        if puller_region == UNKNOWN_REGION:
            dearest = book.dearest_from(region)
            if dearest is None:
                return Rate(_NOTHING, None, f"no price for transfer out of {region}")
            return Rate(_NOTHING, self._per_byte(dearest, region))
        if puller_region == INTERNET:
            internet = book.to_internet(region)
            if internet is None:
                return Rate(None, None, f"no price for transfer from {region} to the internet")
            return Rate(self._per_byte(internet.cheapest, region), self._per_byte(internet.dearest, region))
        price = book.between(region, puller_region)
        if price is None:
            return Rate(None, None, f"no price for transfer from {region} to {puller_region}")
        rate = self._per_byte(price.usd_per_gb, region)
        return Rate(rate, rate)

    def _find_nat(self, region: str, puller_region: str, nat_regions: frozenset[str]) -> Rate:
        if puller_region == UNKNOWN_REGION:
            known = [self.nat_of(one) for one in sorted(nat_regions)]
            missing = next((rate.reason for rate in known if rate.high is None), "")
            if missing:
                return Rate(_NOTHING, None, missing)
            return Rate(
                _NOTHING, max((rate.high for rate in known if rate.high is not None), default=_NOTHING)
            )
        if puller_region not in nat_regions or (
            puller_region == region and region in self._network.gateway_regions
        ):
            return Rate(_NOTHING, _NOTHING)
        return self.nat_of(puller_region)

    def _per_byte(self, usd_per_gb: Any, region: str) -> Fraction:
        return Fraction(usd_per_gb) * Fraction(self._prices.transfer_factor(region)) / GB


class _Key(NamedTuple):
    day: int
    account: str
    region: str
    repository: str
    principal_account: str
    principal: str
    puller_region: str
    method: str
    confidence: str


@dataclass(slots=True)
class _Counts:
    layer_pulls: int = 0
    checks: int = 0
    size_bytes: int = 0
    unsized_pulls: int = 0


@dataclass(slots=True)
class _Money:
    """A sum of ranges under way."""

    low: Fraction = _NOTHING
    high: Fraction = _NOTHING
    #: Whether some part of it is known, at either end.
    has_low: bool = False
    has_high: bool = False
    low_missing: set[str] = field(default_factory=set)
    high_missing: set[str] = field(default_factory=set)

    def add(self, rate: Rate, size_bytes: Fraction, unsized: int) -> None:
        """Add what ``size_bytes`` cost, and that so many pulls have no known size."""
        if rate.low is None:
            self.low_missing.add(rate.reason)
        else:
            self.low, self.has_low = self.low + rate.low * size_bytes, True
        if rate.high is None:
            self.high_missing.add(rate.reason)
        else:
            self.high, self.has_high = self.high + rate.high * size_bytes, True
        if unsized and not rate.is_free:
            reason = "layers of unknown size were pulled"
            self.low_missing.add(reason)
            self.high_missing.add(reason)

    def given(self, period: str, missing: Iterable[str] = (), notes: Iterable[str] = ()) -> MoneyRange:
        """The range; nothing at all costs nothing, unless something is ``missing`` besides."""
        ends = (
            (self.low, self.has_low, self.low_missing.union(missing)),
            (self.high, self.has_high, self.high_missing.union(missing)),
        )
        low, high = (
            Money(
                exact_decimal(usd) if known or not unknown else None,
                period=period,
                leaves_out=tuple(sorted(unknown.union(notes))),
            )
            for usd, known, unknown in ends
        )
        return MoneyRange(low, high)


@dataclass(slots=True)
class _Sum:
    """A row under way."""

    counts: _Counts = field(default_factory=_Counts)
    transfer: _Money = field(default_factory=_Money)
    nat: _Money = field(default_factory=_Money)
    monthly_bytes: Fraction = _NOTHING
    monthly_transfer: _Money = field(default_factory=_Money)
    monthly_nat: _Money = field(default_factory=_Money)
    #: Why a month is not known, or not all of it.
    missing: set[str] = field(default_factory=set)
    #: Why a month may be more than that.
    bounds: set[str] = field(default_factory=set)


class Months:
    """How many times each covered day of a registry counts in a month."""

    def __init__(self, history: PullHistory) -> None:
        days: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
        details: dict[tuple[str, str], set[str]] = defaultdict(set)
        for entry in history.coverage:
            if not history.first_day <= entry.day <= history.last_day:
                continue
            place = entry.account, entry.region
            known = days[place]
            if entry.status == "complete" or known.get(entry.day, "none") == "none":
                known[entry.day] = entry.status
            if entry.status != "complete" and entry.detail:
                details[place].add(entry.detail)
        for pulls in history.pulls:
            days.setdefault((pulls.account, pulls.region), {})
        window = max(0, history.last_day - history.first_day + 1)
        #: Days that count, by registry.
        self._covered: dict[tuple[str, str], frozenset[int]] = {}
        self.coverage: dict[tuple[str, str], RegistryCoverage] = {}
        for place, known in sorted(days.items()):
            complete = frozenset(day for day, status in known.items() if status == "complete")
            partial = frozenset(day for day, status in known.items() if status == "partial")
            basis = (
                CoverageBasis.COMPLETE
                if complete
                else CoverageBasis.PARTIAL
                if partial
                else CoverageBasis.NONE
            )
            self._covered[place] = complete or partial
            self.coverage[place] = RegistryCoverage(
                account=place[0],
                region=place[1],
                complete_days=len(complete),
                partial_days=len(partial),
                uncovered_days=window - len(complete) - len(partial),
                basis=basis,
                details=tuple(sorted(details[place])),
            )

    def weight(self, account: str, region: str, day: int) -> Fraction | None:
        """What to multiply pulls of that day by; 0 on a day that is not covered, None without any."""
        covered = self._covered.get((account, region), frozenset())
        if not covered:
            return None
        return DAYS_PER_MONTH / len(covered) if day in covered else _NOTHING


def price_pulls(
    history: PullHistory, sizes: Mapping[str, int], prices: PriceBook, network: Network | None = None
) -> PullCosts:
    """What the pulls of ``history`` cost; ``sizes`` are bytes of layers by digest, -1 for unknown.

    A month is reckoned from the days that are covered completely, or where a registry has none from
    those that are covered in part, and then it is at least that much; the pulls of other days count in the
    window alone. Out of AWS the low end is the cheapest tier for what exceeds the free GB of each
    calendar month, as if nothing else of the payer's used them, and the high end the dearest tier for all.
    """
    network = network or Network()
    rates, months = Rates(prices, network), Months(history)
    cells: dict[_Key, _Counts] = defaultdict(_Counts)
    for pulls in history.pulls:
        counts = cells[_key(pulls)]
        if pulls.kind is PullKind.IMAGE:
            counts.checks += pulls.times
            continue
        counts.layer_pulls += pulls.times
        size = sizes.get(pulls.digest, -1)
        if size < 0:
            counts.unsized_pulls += pulls.times
        else:
            counts.size_bytes += size * pulls.times
    charged = _charged_parts(cells, prices)
    tables: list[tuple[tuple[str, ...], dict[Hashable, _Sum]]] = [
        (names, defaultdict(_Sum)) for names in _TABLES
    ]
    for key, counts in sorted(cells.items()):
        for names, table in tables:
            _add(table[tuple(getattr(key, name) for name in names)], key, counts, rates, months, charged)
    _bound(tables[0][1][()], months)
    total, routes, repositories, pullers, days, rows = (
        [_row(names, key, one, network) for key, one in sorted(table.items(), key=_by_key)]
        for names, table in tables
    )
    return PullCosts(
        first_day=history.first_day,
        last_day=history.last_day,
        total=total[0],
        routes=tuple(sorted(routes, key=_dearest)),
        repositories=tuple(sorted(repositories, key=_dearest)),
        pullers=tuple(sorted(pullers, key=_dearest)),
        days=tuple(days),
        rows=tuple(rows),
        coverage=tuple(months.coverage[place] for place in sorted(months.coverage)),
        left_out=history.left_out,
        method=_METHOD,
    )


#: Total, routes, repositories, pullers, days, and all keys.
_TABLES: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("account", "region", "puller_region"),
    ("account", "region", "repository"),
    ("principal_account", "principal"),
    ("day",),
    _Key._fields,
)

_METHOD: Final = (
    "bytes are compressed layers that were asked for, each whole whenever it was asked for",
    "transfer is priced at the list rates of the registry's region, discount included; no bill was asked",
    "of an unknown region the low end is the registry's own region, the high end the dearest way out of it",
    "out of AWS the low end is the cheapest tier beyond a month's free GB, the high end the dearest tier",
    "a month is 30.4 days, reckoned from covered days alone",
)


def _key(pulls: Pulls) -> _Key:
    return _Key(
        pulls.day,
        pulls.account,
        pulls.region,
        pulls.repository,
        pulls.principal_account,
        pulls.principal,
        pulls.puller_region,
        str(pulls.method),
        str(pulls.confidence),
    )


def _charged_parts(cells: Mapping[_Key, _Counts], prices: PriceBook) -> Callable[[_Key], Fraction]:
    """Of what leaves AWS, which part is not free at least, by the month and region of a cell."""
    left: dict[tuple[int, int], int] = defaultdict(int)
    for key, counts in cells.items():
        if key.puller_region == INTERNET and prices.transfer.free_gb(key.region):
            left[_month(key.day)] += counts.size_bytes

    def charged(key: _Key) -> Fraction:
        free, total = prices.transfer.free_gb(key.region) * GB, left.get(_month(key.day), 0)
        return max(_NOTHING, 1 - Fraction(free, total)) if free and total else Fraction(1)

    return charged


def _month(day: int) -> tuple[int, int]:
    date = from_day(day)
    return date.year, date.month


def _add(
    row: _Sum,
    key: _Key,
    counts: _Counts,
    rates: Rates,
    months: Months,
    charged: Callable[[_Key], Fraction],
) -> None:
    row.counts.layer_pulls += counts.layer_pulls
    row.counts.checks += counts.checks
    row.counts.size_bytes += counts.size_bytes
    row.counts.unsized_pulls += counts.unsized_pulls
    if not counts.layer_pulls:
        return
    transfer = rates.transfer(key.region, key.puller_region)
    if key.puller_region == INTERNET and transfer.low is not None:
        transfer = transfer._replace(low=transfer.low * charged(key))
    nat = rates.nat(key.region, key.puller_region)
    size = Fraction(counts.size_bytes)
    row.transfer.add(transfer, size, counts.unsized_pulls)
    if nat is not None:
        row.nat.add(nat, size, counts.unsized_pulls)
    weight = months.weight(key.account, key.region, key.day)
    place = f"{key.account} in {key.region}"
    if weight is None:
        row.missing.add(f"no day is covered of the registry of {place}")
        return
    if months.coverage[key.account, key.region].basis is CoverageBasis.PARTIAL:
        row.bounds.add(_in_part(place))
    if weight:
        row.monthly_bytes += weight * size
        row.monthly_transfer.add(transfer, weight * size, counts.unsized_pulls)
        if nat is not None:
            row.monthly_nat.add(nat, weight * size, counts.unsized_pulls)


def _bound(total: _Sum, months: Months) -> None:
    """Say of the sum of everything what it is not known to contain: no pulls are no zero."""
    if not months.coverage:
        total.missing.add("no registry's pulls were read")
    for (account, region), coverage in months.coverage.items():
        if coverage.basis is CoverageBasis.NONE:
            total.missing.add(f"no day is covered of the registry of {account} in {region}")
        elif coverage.basis is CoverageBasis.PARTIAL:
            total.bounds.add(_in_part(f"{account} in {region}"))


def _in_part(place: str) -> str:
    return f"days are covered in part only of the registry of {place}: at least this much"


def _row(names: tuple[str, ...], key: Any, one: _Sum, network: Network) -> PullCost:
    told = network.nat_regions is not None
    return PullCost(
        **dict(zip(names, key, strict=True)),
        layer_pulls=one.counts.layer_pulls,
        checks=one.counts.checks,
        size_bytes=one.counts.size_bytes,
        unsized_pulls=one.counts.unsized_pulls,
        transfer=one.transfer.given("window"),
        nat=one.nat.given("window") if told else None,
        monthly_bytes=None if one.missing else round(one.monthly_bytes),
        monthly_transfer=one.monthly_transfer.given("month", one.missing, one.bounds),
        monthly_nat=one.monthly_nat.given("month", one.missing, one.bounds) if told else None,
    )


def _by_key(entry: tuple[Any, _Sum]) -> Any:
    return entry[0]


def _dearest(row: PullCost) -> tuple[Any, ...]:
    amount = row.transfer.high.amount
    return (-(amount or 0), -row.size_bytes, -row.layer_pulls)
