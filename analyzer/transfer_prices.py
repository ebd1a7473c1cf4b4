"""List prices of bytes on the move: between regions, to the internet, through NAT and endpoints.

A price book (``pricing``) has these tables for them, each any number of times, each row with its
``as_of``, ``source`` and ``confidence``:

- ``[[inter_region]]``: ``from`` (codes of regions), ``to`` (codes, or ``"*"`` for every other region
  of the commercial partition and of GovCloud), ``usd_per_gb``. AWS charges it on the source's side;
- ``[[internet]]``: ``regions`` and ``tiers`` (each from how many GB of a month it holds, and its
  price), for what leaves AWS;
- ``[[nat_gateway]]``: ``regions``, ``usd_per_gb`` in either direction, ``usd_per_hour``;
- ``[[interface_endpoint]]``: ``regions``, ``usd_per_hour`` in one zone, ``tiers`` as above;

and ``internet_free_gb``, what leaves AWS without a charge in a month, all regions and services of a
payer together. A region that is in no row has no known price, unless a row has ``"*"`` in its
``regions``: that holds in every region of the commercial partition that has no row of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Protocol, TypeVar

from analyzer.model.units import GB
from analyzer.price_tables import COMMERCIAL_REGION, EVERYWHERE, PriceTable

#: The keys of a price book that are read here.
TRANSFER_KEYS: Final = frozenset(
    {"inter_region", "internet", "internet_free_gb", "nat_gateway", "interface_endpoint"}
)

_GOVCLOUD: Final = re.compile(r"us-gov-[a-z]+-\d{1,2}", re.ASCII)
_TIERS_EXAMPLE: Final = 'tiers = [{ from_gb = 0, usd_per_gb = "0.09" }]'


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a price comes from."""

    #: ``YYYY-MM-DD`` or ``YYYY-MM``.
    as_of: str
    source: str
    #: high, medium or low.
    confidence: str


@dataclass(frozen=True, slots=True)
class GbTier:
    """One step of a price: it holds for the GB of a month from ``from_gb`` to the next step."""

    from_gb: int
    usd_per_gb: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class InterRegionPrice:
    """What a GB costs from one region to another (or ``"*"``), whoever receives it."""

    from_region: str
    to_region: str
    usd_per_gb: Decimal
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetPrice:
    """What leaves AWS from one region (or ``"*"``)."""

    region: str
    #: From 0 upwards; never empty.
    tiers: tuple[GbTier, ...]
    origin: Origin

    def usd(self, size_bytes: int) -> Fraction:
        """What so many bytes of one month cost, each tier's part at its own rate."""
        total = Fraction(0)
        for position, tier in enumerate(self.tiers):
            last = position + 1 == len(self.tiers)
            upper = size_bytes if last else min(size_bytes, self.tiers[position + 1].from_gb * GB)
            total += Fraction(tier.usd_per_gb) * max(0, upper - tier.from_gb * GB) / GB
        return total

    @property
    def dearest(self) -> Decimal:
        """The highest price of a GB."""
        return max(tier.usd_per_gb for tier in self.tiers)

    @property
    def cheapest(self) -> Decimal:
        """The lowest price of a GB."""
        return min(tier.usd_per_gb for tier in self.tiers)


@dataclass(frozen=True, slots=True, kw_only=True)
class NatPrice:
    """A NAT gateway in one region (or ``"*"``)."""

    region: str
    #: Of what goes through it, either way.
    usd_per_gb: Decimal
    usd_per_hour: Decimal
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPrice:
    """An interface endpoint in one region (or ``"*"``)."""

    region: str
    #: In each availability zone.
    usd_per_hour: Decimal
    tiers: tuple[GbTier, ...]
    origin: Origin


class _OfRegion(Protocol):
    @property
    def region(self) -> str: ...


_Row = TypeVar("_Row", bound=_OfRegion)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPrices:
    """Prices of transfer; at most one row for each region, or pair of regions. All sorted."""

    inter_region: tuple[InterRegionPrice, ...] = ()
    internet: tuple[InternetPrice, ...] = ()
    #: None where the file does not say; that is 0.
    internet_free_gb: int | None = None
    nat: tuple[NatPrice, ...] = ()
    endpoints: tuple[EndpointPrice, ...] = ()

    def between(self, from_region: str, to_region: str) -> InterRegionPrice | None:
        """The price of a GB from one region to another one, or None when it is not known.

        A row for both decides, else the source's ``"*"`` row. Other partitions than the commercial
        one and GovCloud are reached over the internet only, so that no such row speaks for them.
        """
        rows = {row.to_region: row for row in self.inter_region if row.from_region == from_region}
        if to_region in rows:
            return rows[to_region]
        return rows.get(EVERYWHERE) if _is_reached(to_region) else None

    def dearest_from(self, from_region: str) -> Decimal | None:
        """The most that a GB may cost that leaves ``from_region``, wherever it goes.

        None unless both are known: what it costs to other regions, and to the internet.
        """
        between = [row.usd_per_gb for row in self.inter_region if row.from_region == from_region]
        internet = self.to_internet(from_region)
        return max(*between, internet.dearest) if between and internet is not None else None

    def to_internet(self, region: str) -> InternetPrice | None:
        """The price of what leaves AWS from ``region``, or None when it is not known."""
        return _of(self.internet, region)

    def free_gb(self, region: str) -> int:
        """GB that leave AWS without a charge in a month; none from GovCloud and from China."""
        return (self.internet_free_gb or 0) if COMMERCIAL_REGION.fullmatch(region) else 0

    def nat_gateway(self, region: str) -> NatPrice | None:
        """The price of a NAT gateway in ``region``, or None when it is not known."""
        return _of(self.nat, region)

    def interface_endpoint(self, region: str) -> EndpointPrice | None:
        """The price of an interface endpoint in ``region``, or None when it is not known."""
        return _of(self.endpoints, region)

    def overridden_by(self, other: TransferPrices) -> TransferPrices:
        """These prices with every row of ``other`` in place of what it is about.

        A ``"*"`` row of ``other`` replaces the rows of all regions that it covers.
        """
        named = {(row.from_region, row.to_region) for row in other.inter_region}
        kept = [
            row
            for row in self.inter_region
            if (row.from_region, row.to_region) not in named
            and not ((row.from_region, EVERYWHERE) in named and _is_reached(row.to_region))
        ]
        return TransferPrices(
            inter_region=_sorted_pairs((*kept, *other.inter_region)),
            internet=_merged(self.internet, other.internet),
            internet_free_gb=self.internet_free_gb
            if other.internet_free_gb is None
            else other.internet_free_gb,
            nat=_merged(self.nat, other.nat),
            endpoints=_merged(self.endpoints, other.endpoints),
        )


def read_transfer_prices(top: PriceTable) -> TransferPrices:
    """The prices of transfer in a price book whose top level is ``top``; InputError for a bad one."""
    return TransferPrices(
        inter_region=_inter_region(top),
        internet=_internet(top),
        internet_free_gb=top.whole("internet_free_gb") if "internet_free_gb" in top.values else None,
        nat=_nat(top),
        endpoints=_endpoints(top),
    )


def _inter_region(top: PriceTable) -> tuple[InterRegionPrice, ...]:
    rows: dict[tuple[str, str], InterRegionPrice] = {}
    for table in top.tables("inter_region", "[[inter_region]] above each"):
        table.only({"from", "to", "usd_per_gb", "as_of", "source", "confidence"})
        usd_per_gb, origin = table.number("usd_per_gb"), _origin(table)
        sources, destinations = table.regions("from"), table.regions("to")
        if EVERYWHERE in sources:
            raise table.error("from", 'has "*"; name the regions, for the price is that of the source')
        for source in sources:
            for destination in destinations:
                if (source, destination) in rows:
                    raise table.error("to", f"names {source} to {destination} again; keep one of the two")
                if source == destination:
                    raise table.error("to", f"names {source} itself; nothing leaves a region that way")
                rows[source, destination] = InterRegionPrice(
                    from_region=source, to_region=destination, usd_per_gb=usd_per_gb, origin=origin
                )
    return _sorted_pairs(rows.values())


def _internet(top: PriceTable) -> tuple[InternetPrice, ...]:
    rows: dict[str, InternetPrice] = {}
    for table in top.tables("internet", "[[internet]] above each"):
        table.only({"regions", "tiers", "as_of", "source", "confidence"})
        tiers, origin = _tiers(table), _origin(table)
        for region in _new_regions(table, rows):
            rows[region] = InternetPrice(region=region, tiers=tiers, origin=origin)
    return tuple(rows[region] for region in sorted(rows))


def _nat(top: PriceTable) -> tuple[NatPrice, ...]:
    rows: dict[str, NatPrice] = {}
    for table in top.tables("nat_gateway", "[[nat_gateway]] above each"):
        table.only({"regions", "usd_per_gb", "usd_per_hour", "as_of", "source", "confidence"})
        usd_per_gb, usd_per_hour = table.number("usd_per_gb"), table.number("usd_per_hour")
        origin = _origin(table)
        for region in _new_regions(table, rows):
            rows[region] = NatPrice(
                region=region, usd_per_gb=usd_per_gb, usd_per_hour=usd_per_hour, origin=origin
            )
    return tuple(rows[region] for region in sorted(rows))


def _endpoints(top: PriceTable) -> tuple[EndpointPrice, ...]:
    rows: dict[str, EndpointPrice] = {}
    for table in top.tables("interface_endpoint", "[[interface_endpoint]] above each"):
        table.only({"regions", "tiers", "usd_per_hour", "as_of", "source", "confidence"})
        tiers, usd_per_hour, origin = _tiers(table), table.number("usd_per_hour"), _origin(table)
        for region in _new_regions(table, rows):
            rows[region] = EndpointPrice(region=region, usd_per_hour=usd_per_hour, tiers=tiers, origin=origin)
    return tuple(rows[region] for region in sorted(rows))


def _new_regions(table: PriceTable, rows: Mapping[str, object]) -> list[str]:
    """The regions that a row is about, none of which may be in ``rows``, or there twice."""
    regions = table.regions()
    for position, region in enumerate(regions):
        if region in rows or region in regions[:position]:
            raise table.error("regions", f"names {region} again; keep one of the two")
    return regions


def _tiers(table: PriceTable) -> tuple[GbTier, ...]:
    return tuple(GbTier(from_gb, usd) for from_gb, usd in table.steps("usd_per_gb", _TIERS_EXAMPLE))


def _origin(table: PriceTable) -> Origin:
    return Origin(as_of=table.as_of(), source=table.text("source"), confidence=table.confidence())


def _is_reached(region: str) -> bool:
    """Whether a source's ``"*"`` row may speak for that destination."""
    return bool(COMMERCIAL_REGION.fullmatch(region) or _GOVCLOUD.fullmatch(region))


def _of(rows: Iterable[_Row], region: str) -> _Row | None:
    by_region = {row.region: row for row in rows}
    if region in by_region:
        return by_region[region]
    return by_region.get(EVERYWHERE) if COMMERCIAL_REGION.fullmatch(region) else None


def _merged(own: Iterable[_Row], other: Iterable[_Row]) -> tuple[_Row, ...]:
    merged = {row.region: row for row in other}
    replaced = EVERYWHERE in merged
    for row in own:
        if not (replaced and COMMERCIAL_REGION.fullmatch(row.region)):
            merged.setdefault(row.region, row)
    return tuple(merged[region] for region in sorted(merged))


def _sorted_pairs(rows: Iterable[InterRegionPrice]) -> tuple[InterRegionPrice, ...]:
    return tuple(sorted(rows, key=lambda row: (row.from_region, row.to_region)))
