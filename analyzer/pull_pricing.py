"""What recorded pulls cost: bytes and money by route, repository, puller and day.

Transfer between regions is paid by the account that owns the registry, whoever pulls, and at the rate of
the registry's region; inside of a region it is free (ECR pricing; containers-roadmap#2505). NAT gateways
are paid by the puller. Of a puller whose region is not known the transfer lies between nothing, as if
it were in the registry's own region, and the dearest way out of that region.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

from analyzer.model.pull_costs import CoverageBasis, Network, PullCost, PullCosts, RegistryCoverage
from analyzer.model.pulls import INTERNET, UNKNOWN_REGION, PullHistory, PullKind
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


class _Cell(NamedTuple):
    """What pulls of one registry, puller and day have in common."""

    day: int
    account: str
    region: str
    repository: str
    principal_account: str
    principal: str
    puller_region: str
    method: str
    confidence: str


class _Route(NamedTuple):
    """What decides the price of a byte."""

    account: str
    region: str
    puller_region: str
    #: Calendar month of what leaves AWS, whose first GB are free; (0, 0) for all else.
    month: tuple[int, int]


@dataclass(slots=True)
class _Counts:
    layer_pulls: int = 0
    checks: int = 0
    size_bytes: int = 0
    unsized_pulls: int = 0
    #: The same on covered days.
    covered_layer_pulls: int = 0
    covered_bytes: int = 0
    covered_unsized_pulls: int = 0

    def add(self, other: _Counts, *, is_covered: bool) -> None:
        """Add what another one counts for days that are covered, or not."""
        self.layer_pulls += other.layer_pulls
        self.checks += other.checks
        self.size_bytes += other.size_bytes
        self.unsized_pulls += other.unsized_pulls
        if is_covered:
            self.covered_layer_pulls += other.layer_pulls
            self.covered_bytes += other.size_bytes
            self.covered_unsized_pulls += other.unsized_pulls


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

    def add(self, rate: Rate, size_bytes: Fraction | int, unsized: int) -> None:
        """Add what ``size_bytes`` cost, and that so many pulls have no known size."""
        self.has_low |= rate.low is not None
        self.has_high |= rate.high is not None
        if rate.is_free:
            return
        if rate.low is None:
            self.low_missing.add(rate.reason)
        else:
            self.low += rate.low * size_bytes
        if rate.high is None:
            self.high_missing.add(rate.reason)
        else:
            self.high += rate.high * size_bytes
        if unsized:
            reason = "layers of unknown size were pulled"
            self.low_missing.add(reason)
            self.high_missing.add(reason)

    def given(self, period: str, missing: Iterable[str] = (), notes: Iterable[str] = ()) -> MoneyRange:
        """The range; nothing at all costs nothing, unless something is ``missing`` besides."""

        def end(usd: Fraction, unknown: set[str], *, has_part: bool) -> Money:
            unknown = unknown.union(missing)
            amount = (exact_decimal(usd) if usd else Decimal(0)) if has_part or not unknown else None
            return Money(amount, period=period, leaves_out=tuple(sorted(unknown.union(notes))))

        low = end(self.low, self.low_missing, has_part=self.has_low)
        if (self.low, self.has_low, self.low_missing) == (self.high, self.has_high, self.high_missing):
            return MoneyRange(low, low)
        return MoneyRange(low, end(self.high, self.high_missing, has_part=self.has_high))


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

    def is_covered(self, account: str, region: str, day: int) -> bool:
        """Whether pulls of that day count in a month."""
        return day in self._covered.get((account, region), ())

    def factor(self, account: str, region: str) -> Fraction | None:
        """How often what was pulled on covered days is pulled in a month; None where no day is."""
        covered = self._covered.get((account, region))
        return DAYS_PER_MONTH / len(covered) if covered else None


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
    months = Months(history)
    cells = _cells(history, sizes)
    pricing = _Pricing(Rates(prices, network), months, cells, prices, network)
    tables: list[_Table] = [defaultdict(lambda: defaultdict(_Counts)) for _ in _TABLES]
    # Also of nothing there is a sum.
    tables[0][()] = defaultdict(_Counts)
    pick = [_picker(names) for names in _TABLES]
    for cell, counts in cells.items():
        route = _route(cell)
        is_covered = months.is_covered(cell.account, cell.region, cell.day)
        for table, keys_of in zip(tables, pick, strict=True):
            table[keys_of(cell)][route].add(counts, is_covered=is_covered)
    total, routes, repositories, pullers, days, rows = (
        [pricing.row(names, key, parts, is_all=not names) for key, parts in sorted(table.items())]
        for names, table in zip(_TABLES, tables, strict=True)
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


#: Counts of the rows of a table, by the keys of the row and what decides the price.
_Table: TypeAlias = "defaultdict[tuple[Any, ...], defaultdict[_Route, _Counts]]"

#: Keys of the total, of routes, repositories, pullers and days; and all keys but the day.
_TABLES: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("account", "region", "puller_region"),
    ("account", "region", "repository"),
    ("principal_account", "principal"),
    ("day",),
    _Cell._fields[1:],
)

_METHOD: Final = (
    "bytes are compressed layers that were asked for, each whole whenever it was asked for",
    "transfer is priced at the list rates of the registry's region, discount included; no bill was asked",
    "of an unknown region the low end is the registry's own region, the high end the dearest way out of it",
    "out of AWS the low end is the cheapest tier beyond a month's free GB, the high end the dearest tier",
    "a month is 30.4 days, reckoned from covered days alone",
)


def _picker(names: tuple[str, ...]) -> Callable[[_Cell], tuple[Any, ...]]:
    """What takes the values of ``names`` out of a cell."""
    at = [_Cell._fields.index(name) for name in names]
    if not at:
        return lambda _: ()
    if len(at) == 1:
        return lambda cell: (cell[at[0]],)
    return itemgetter(*at)


def _cells(history: PullHistory, sizes: Mapping[str, int]) -> dict[_Cell, _Counts]:
    """The pulls of all layers and images together."""
    cells: dict[_Cell, _Counts] = defaultdict(_Counts)
    for pulls in history.pulls:
        counts = cells[
            _Cell(
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
        ]
        if pulls.kind is PullKind.IMAGE:
            counts.checks += pulls.times
            continue
        counts.layer_pulls += pulls.times
        size = sizes.get(pulls.digest, -1)
        if size < 0:
            counts.unsized_pulls += pulls.times
        else:
            counts.size_bytes += size * pulls.times
    return cells


def _route(cell: _Cell) -> _Route:
    month = _month(cell.day) if cell.puller_region == INTERNET else (0, 0)
    return _Route(cell.account, cell.region, cell.puller_region, month)


def _month(day: int) -> tuple[int, int]:
    date = from_day(day)
    return date.year, date.month


class _Pricing:
    """Prices counts."""

    def __init__(
        self,
        rates: Rates,
        months: Months,
        cells: Mapping[_Cell, _Counts],
        prices: PriceBook,
        network: Network,
    ) -> None:
        self._rates = rates
        self._months = months
        self._free_gb = prices.transfer.free_gb
        self._is_nat_told = network.nat_regions is not None
        #: What left AWS for the internet in each month, of regions with free GB.
        self._left: dict[tuple[int, int], int] = defaultdict(int)
        for cell, counts in cells.items():
            if cell.puller_region == INTERNET and self._free_gb(cell.region):
                self._left[_month(cell.day)] += counts.size_bytes
        self._known: dict[_Route, Rate] = {}

    def row(
        self,
        names: tuple[str, ...],
        key: tuple[Any, ...],
        parts: Mapping[_Route, _Counts],
        *,
        is_all: bool,
    ) -> PullCost:
        """The row with those keys, of what it is made of."""
        transfer, nat, monthly_transfer, monthly_nat = _Money(), _Money(), _Money(), _Money()
        monthly_bytes = _NOTHING
        missing, notes = self._bounds(self._months.coverage) if is_all else (set(), set())
        if is_all and not self._months.coverage:
            missing.add("no registry's pulls were read")
        for route, counts in sorted(parts.items()):
            if not counts.layer_pulls:
                continue
            rate = self._transfer(route)
            through = self._rates.nat(route.region, route.puller_region)
            transfer.add(rate, counts.size_bytes, counts.unsized_pulls)
            if through is not None:
                nat.add(through, counts.size_bytes, counts.unsized_pulls)
            of_place = self._bounds([(route.account, route.region)])
            missing, notes = missing | of_place[0], notes | of_place[1]
            factor = self._months.factor(route.account, route.region)
            if factor is None or not counts.covered_layer_pulls:
                continue
            size = factor * counts.covered_bytes
            monthly_bytes += size
            monthly_transfer.add(rate, size, counts.covered_unsized_pulls)
            if through is not None:
                monthly_nat.add(through, size, counts.covered_unsized_pulls)
        return PullCost(
            **dict(zip(names, key, strict=True)),
            layer_pulls=sum(counts.layer_pulls for counts in parts.values()),
            checks=sum(counts.checks for counts in parts.values()),
            size_bytes=sum(counts.size_bytes for counts in parts.values()),
            unsized_pulls=sum(counts.unsized_pulls for counts in parts.values()),
            transfer=transfer.given("window"),
            nat=nat.given("window") if self._is_nat_told else None,
            monthly_bytes=None if missing else round(monthly_bytes),
            monthly_transfer=monthly_transfer.given("month", missing, notes),
            monthly_nat=monthly_nat.given("month", missing, notes) if self._is_nat_told else None,
        )

    def _transfer(self, route: _Route) -> Rate:
        if route not in self._known:
            rate = self._rates.transfer(route.region, route.puller_region)
            if route.puller_region == INTERNET and rate.low is not None:
                free, left = self._free_gb(route.region) * GB, self._left.get(route.month, 0)
                charged = max(_NOTHING, 1 - Fraction(free, left)) if free and left else Fraction(1)
                rate = rate._replace(low=rate.low * charged)
            self._known[route] = rate
        return self._known[route]

    def _bounds(self, places: Iterable[tuple[str, str]]) -> tuple[set[str], set[str]]:
        """Why a month of these registries is not known, and why it may be more than what is."""
        missing, notes = set(), set()
        for account, region in places:
            basis = self._months.coverage[account, region].basis
            place = f"the registry of {account} in {region}"
            if basis is CoverageBasis.NONE:
                missing.add(f"no day is covered of {place}")
            elif basis is CoverageBasis.PARTIAL:
                notes.add(f"days are covered in part only of {place}: at least this much")
        return missing, notes


def _dearest(row: PullCost) -> tuple[Any, ...]:
    amount = row.transfer.high.amount
    return (-(amount or 0), -row.size_bytes, -row.layer_pulls)
