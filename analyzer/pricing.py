"""Prices of storage, retrieval and transfer: a dated, sourced table, and what bytes cost by it.

The bundled tables are ``analyzer/prices.toml`` and ``analyzer/transfer_prices.toml``; a payer's own
file has the same form and replaces rows of them. A price that is not known gives money that is not
known, never zero.

A file has these keys:

- ``format = 1`` and ``currency = "USD"``;
- ``discount_factor``: what is paid of the list price (optional, 1 by default);
- ``[[storage]]``, any number of times: ``class`` ("standard" or "archive"), ``regions`` (codes,
  ``"public"`` for an account's public registry, or ``"*"`` for every region of the commercial
  partition that is not named), ``tiers`` (each from how many GB-months it holds, and its price),
  ``as_of``, ``source``, ``confidence``;
- ``[[retrieval]]``, any number of times: ``regions`` as above, ``usd_per_gb`` of a restore from the
  archive, ``as_of``, ``source``, ``confidence``;
- ``[[discount]]``, any number of times: ``factor`` for one ``region``, one ``class`` or both;
- prices of transfer: see ``transfer_prices``.

Prices and factors are text or whole numbers: a TOML float cannot hold 0.1.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Literal

from analyzer.errors import InputError
from analyzer.model.results import PriceRow
from analyzer.model.units import GB, Money
from analyzer.price_tables import COMMERCIAL_REGION, EVERYWHERE, PriceTable
from analyzer.transfer_prices import TRANSFER_KEYS, TransferPrices, read_transfer_prices

StorageClass = Literal["standard", "archive"]

#: In the order in which they are listed.
STORAGE_CLASSES: tuple[StorageClass, ...] = ("standard", "archive")

#: Enough for bytes below 10**30, divided by 2**30 (30 more digits), times a price and a factor of
#: 24 digits each.
_DIGITS = 150
_TIERS_EXAMPLE = 'tiers = [{ from_gb = 0, usd_per_gb_month = "0.10" }]'


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of a price: it holds for the GB-months from ``from_gb`` to the next step."""

    from_gb: int
    usd_per_gb_month: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePrice:
    """The list price of one storage class in one region (or ``"*"``), and where it comes from."""

    region: str
    storage_class: StorageClass
    #: From 0 upwards; never empty.
    tiers: tuple[Tier, ...]
    #: ``YYYY-MM-DD`` or ``YYYY-MM``.
    as_of: str
    source: str
    #: high, medium or low.
    confidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalPrice:
    """The list price of a restore from the archive in one region (or ``"*"``), and its source."""

    region: str
    usd_per_gb: Decimal
    #: ``YYYY-MM-DD`` or ``YYYY-MM``.
    as_of: str
    source: str
    #: high, medium or low.
    confidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """What is paid of the list price in one region, for one class, or both (None is any)."""

    region: str | None
    storage_class: StorageClass | None
    factor: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """Prices by region and class, and the payer's discounts; at most one row for each."""

    storage: tuple[StoragePrice, ...] = ()
    retrieval: tuple[RetrievalPrice, ...] = ()
    #: None where the file does not say; that is 1.
    discount_factor: Decimal | None = None
    discounts: tuple[Discount, ...] = ()
    #: List prices of bytes that leave a region, or go through a NAT gateway or an endpoint.
    transfer: TransferPrices = field(default_factory=TransferPrices)

    def price(self, region: str, storage_class: StorageClass) -> StoragePrice | None:
        """The list price there, or None when it is not known.

        A ``"*"`` row holds in every region of the commercial partition that has no row of its own;
        for archive, only where the price of standard is known too: a region about which nothing
        is known is not guessed at.
        """
        rows = {row.region: row for row in self.storage if row.storage_class == storage_class}
        if region in rows:
            return rows[region]
        return rows.get(EVERYWHERE) if self._covers(region, storage_class) else None

    def retrieval_price(self, region: str) -> RetrievalPrice | None:
        """The list price of a restore there, or None when it is not known.

        A ``"*"`` row holds wherever one for the archive class would.
        """
        rows = {row.region: row for row in self.retrieval}
        if region in rows:
            return rows[region]
        return rows.get(EVERYWHERE) if self._covers(region, "archive") else None

    def retrieval_usd_per_gb(self, region: str) -> Decimal | None:
        """What is paid there for a restored GB, discount included; None when it is not known.

        Discounts for a storage class are for what it stores, and do not apply.
        """
        price = self.retrieval_price(region)
        if price is None:
            return None
        return exact_decimal(Fraction(price.usd_per_gb) * Fraction(self._factor((region, None))))

    def transfer_factor(self, region: str) -> Decimal:
        """What is paid of the list price of transfer out of ``region``.

        Discounts for a storage class do not apply.
        """
        return self._factor((region, None))

    def _covers(self, region: str, storage_class: StorageClass) -> bool:
        """Whether a ``"*"`` row of ``storage_class`` may speak for ``region``."""
        if not COMMERCIAL_REGION.fullmatch(region):
            return False
        return storage_class == "standard" or self.price(region, "standard") is not None

    def factor(self, region: str, storage_class: StorageClass) -> Decimal:
        """What is paid of the list price there.

        The row for both region and class decides, else the one for the region, else the one for
        the class, else the file's ``discount_factor``, else 1.
        """
        return self._factor((region, storage_class), (region, None), (None, storage_class))

    def _factor(self, *keys: tuple[str | None, StorageClass | None]) -> Decimal:
        """The factor of the first of ``keys`` that has a row, else the one for everything."""
        by_key = {(row.region, row.storage_class): row.factor for row in self.discounts}
        for key in keys:
            if key in by_key:
                return by_key[key]
        return Decimal(1) if self.discount_factor is None else self.discount_factor

    def overridden_by(self, other: PriceBook) -> PriceBook:
        """This book with every row of ``other`` in place of its own for that region and class.

        A ``"*"`` row of ``other`` replaces the rows of all regions that it covers, except those
        that ``other`` names itself. Prices of retrieval and discounts are replaced in the same way, and
        those of transfer (``TransferPrices.overridden_by``).
        """
        named = {(row.region, row.storage_class) for row in other.storage}
        merged = PriceBook(storage=(*(r for r in self.storage if _key(r) not in named), *other.storage))
        everywhere = {storage_class for region, storage_class in named if region == EVERYWHERE}
        kept = [
            row
            for row in merged.storage
            if _key(row) in named
            or row.storage_class not in everywhere
            or not merged._covers(row.region, row.storage_class)
        ]
        retrieval = {row.region: row for row in other.retrieval}
        replaced = EVERYWHERE in retrieval
        for row in self.retrieval:
            if not (replaced and merged._covers(row.region, "archive")):
                retrieval.setdefault(row.region, row)
        factors = {(row.region, row.storage_class): row for row in (*self.discounts, *other.discounts)}
        return PriceBook(
            storage=tuple(sorted(kept, key=_key)),
            retrieval=tuple(retrieval[region] for region in sorted(retrieval)),
            discount_factor=self.discount_factor if other.discount_factor is None else other.discount_factor,
            discounts=tuple(factors[key] for key in sorted(factors, key=_sortable)),
            transfer=self.transfer.overridden_by(other.transfer),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRates:
    """What a byte-month costs in one region once its tiers are blended; USD, exact.

    Blending is ours: a bill says how much of a region's archive fell into the upper tier, never
    whose bytes those were. Every byte of a class therefore bears the same part of both, so that
    the parts of all repositories are exactly the cost of the region.
    """

    region: str
    #: None where the price is not known.
    standard_usd_per_byte: Fraction | None
    archive_usd_per_byte: Fraction | None

    def cost(self, *, standard_bytes: int, archive_bytes: int) -> Money:
        """USD per month of those bytes; bytes without a known price are named in ``leaves_out``.

        Exact while one tier is in use. A blend of tiers need not end as a decimal: it is rounded
        at the hundred and fiftieth digit, and rows then add up to the region's cost to that digit.
        """
        return self.freed(
            standard_bytes=_not_negative(standard_bytes), archive_bytes=_not_negative(archive_bytes)
        )

    def freed(self, *, standard_bytes: int, archive_bytes: int) -> Money:
        """What leaves the bill when those bytes leave their classes, at today's blended rates.

        Negative bytes are bytes that a class gains: a layer whose last active image leaves goes
        over to the archive when an archived one still holds it.
        """
        usd, missing = self._priced(standard_bytes, archive_bytes)
        return Money(None if usd is None else exact_decimal(usd), leaves_out=missing)

    def _priced(self, standard_bytes: int, archive_bytes: int) -> tuple[Fraction | None, tuple[str, ...]]:
        """The sum of what has a price (None when nothing has), and what has none."""
        held = {
            "standard": (standard_bytes, self.standard_usd_per_byte),
            "archive": (archive_bytes, self.archive_usd_per_byte),
        }
        parts = {name: part for name, part in held.items() if part[0]}
        known = [size_bytes * rate for size_bytes, rate in parts.values() if rate is not None]
        missing = sorted(name for name, (_, rate) in parts.items() if rate is None)
        return (
            sum(known, Fraction(0)) if known or not missing else None,
            tuple(f"no price for storage-{name} in {self.region}" for name in missing),
        )


def storage_cost(prices: PriceBook, region: str, *, standard_bytes: int, archive_bytes: int) -> Money:
    """What a region's bytes cost per month, discount included; exact, not rounded.

    The bytes are those of everything that shares the region's tiers: a payer's whole region.
    Bytes without a known price make the amount unknown, or are named in ``leaves_out`` when the
    other class is known; no bytes cost nothing wherever they are.
    """
    whole = rates(prices, region, standard_bytes_total=standard_bytes, archive_bytes_total=archive_bytes)
    return whole.cost(standard_bytes=standard_bytes, archive_bytes=archive_bytes)


def rates(
    prices: PriceBook, region: str, *, standard_bytes_total: int, archive_bytes_total: int
) -> StorageRates:
    """The price of one byte of each class in ``region``, given all the bytes that it holds."""
    return StorageRates(
        region=region,
        standard_usd_per_byte=_rate(prices, region, "standard", standard_bytes_total),
        archive_usd_per_byte=_rate(prices, region, "archive", archive_bytes_total),
    )


def class_cost(
    prices: PriceBook, region: str, storage_class: StorageClass, size_bytes: int
) -> Fraction | None:
    """What the bytes of one class in a whole region cost, USD per month, discount included; exact.

    None when the price is not known.
    """
    price = prices.price(region, storage_class)
    if price is None:
        return None
    return _tiered(price.tiers, _not_negative(size_bytes)) * Fraction(prices.factor(region, storage_class))


def price_rows(prices: PriceBook, regions: Iterable[str]) -> tuple[PriceRow, ...]:
    """Every tier of every class in ``regions``, by region, class and tier; missing ones too."""
    rows: list[PriceRow] = []
    for region in sorted(set(regions)):
        for storage_class in STORAGE_CLASSES:
            price = prices.price(region, storage_class)
            factor = prices.factor(region, storage_class)
            tiers: Sequence[Tier | None] = (None,) if price is None else price.tiers
            rows.extend(
                PriceRow(
                    region=region,
                    storage_class=storage_class,
                    from_gb=tier.from_gb if tier else 0,
                    usd_per_gb_month=tier.usd_per_gb_month if tier else None,
                    discount_factor=factor,
                    source=price.source if price else "",
                    as_of=price.as_of if price else "",
                    confidence=price.confidence if price else "unknown",
                )
                for tier in tiers
            )
    return tuple(rows)


@cache
def bundled_prices() -> PriceBook:
    """The price book that comes with this version."""
    storage, transfer = (
        load_prices(
            resources.files("analyzer").joinpath(name).read_text(encoding="utf-8"),
            origin="the bundled price book",
        )
        for name in ("prices.toml", "transfer_prices.toml")
    )
    return storage.overridden_by(transfer)


def load_prices(text: str, *, origin: str) -> PriceBook:
    """The price book written in ``text`` (TOML, see the module's head).

    ``origin`` is what to call it in messages, a file's path for example.

    Raises:
        InputError: it is not TOML, or a value is missing, unknown, of the wrong kind or out of
            range; the message names origin, table and key and says what to write instead.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{origin} is not valid TOML: {error}; mend the file") from error
    top = PriceTable(origin, "the top level", document)
    top.only({"format", "currency", "discount_factor", "storage", "retrieval", "discount", *TRANSFER_KEYS})
    if (version := top.get("format")) != 1 or isinstance(version, bool):
        raise top.error("format", f"is {version!r}; write format = 1")
    if (currency := top.get("currency")) != "USD":
        raise top.error("currency", f'is {currency!r}; only "USD" can be used')
    return PriceBook(
        storage=_storage(top),
        retrieval=_retrieval(top),
        discount_factor=top.factor("discount_factor") if "discount_factor" in document else None,
        discounts=_discounts(top),
        transfer=read_transfer_prices(top),
    )


def _storage(top: PriceTable) -> tuple[StoragePrice, ...]:
    rows: dict[tuple[str, StorageClass], StoragePrice] = {}
    for table in top.tables("storage", "[[storage]] above each"):
        table.only({"class", "regions", "tiers", "as_of", "source", "confidence"})
        storage_class = _storage_class(table)
        regions = table.regions()
        tiers = _tiers(table)
        as_of, source, confidence = table.as_of(), table.text("source"), table.confidence()
        for region in regions:
            if (region, storage_class) in rows:
                raise table.error("regions", f"names {region} for {storage_class} again; keep one of the two")
            rows[region, storage_class] = StoragePrice(
                region=region,
                storage_class=storage_class,
                tiers=tiers,
                as_of=as_of,
                source=source,
                confidence=confidence,
            )
    return tuple(rows[key] for key in sorted(rows))


def _storage_class(table: PriceTable) -> StorageClass:
    value = table.get("class")
    for storage_class in STORAGE_CLASSES:
        if value == storage_class:
            return storage_class
    raise table.error("class", f'is {value!r}; write "standard" or "archive"')


def _retrieval(top: PriceTable) -> tuple[RetrievalPrice, ...]:
    rows: dict[str, RetrievalPrice] = {}
    for table in top.tables("retrieval", "[[retrieval]] above each"):
        table.only({"regions", "usd_per_gb", "as_of", "source", "confidence"})
        regions = table.regions()
        usd_per_gb = table.number("usd_per_gb")
        as_of, source, confidence = table.as_of(), table.text("source"), table.confidence()
        for region in regions:
            if region in rows:
                raise table.error("regions", f"names {region} again; keep one of the two")
            rows[region] = RetrievalPrice(
                region=region, usd_per_gb=usd_per_gb, as_of=as_of, source=source, confidence=confidence
            )
    return tuple(rows[region] for region in sorted(rows))


def _tiers(table: PriceTable) -> tuple[Tier, ...]:
    return tuple(Tier(from_gb, usd) for from_gb, usd in table.steps("usd_per_gb_month", _TIERS_EXAMPLE))


def _discounts(top: PriceTable) -> tuple[Discount, ...]:
    rows: dict[tuple[str | None, StorageClass | None], Discount] = {}
    for table in top.tables("discount", "[[discount]] above each"):
        table.only({"region", "class", "factor"})
        region = None
        if "region" in table.values:
            region = table.region("region", table.get("region"), everywhere=False)
        storage_class = _storage_class(table) if "class" in table.values else None
        if region is None and storage_class is None:
            raise table.error(
                "region", "and class are both missing; for everything use discount_factor instead"
            )
        if (region, storage_class) in rows:
            raise table.error("region", "and class were given before; keep one of the two")
        rows[region, storage_class] = Discount(
            region=region, storage_class=storage_class, factor=table.factor("factor")
        )
    return tuple(rows[key] for key in sorted(rows, key=_sortable))


def _rate(prices: PriceBook, region: str, storage_class: StorageClass, total_bytes: int) -> Fraction | None:
    # Of no bytes, the first tier's rate: nothing will be priced by it.
    cost = class_cost(prices, region, storage_class, total_bytes or 1)
    return None if cost is None else cost / (total_bytes or 1)


def _tiered(tiers: Sequence[Tier], size_bytes: int) -> Fraction:
    """USD per month at list price, each tier's part at its own rate."""
    total = Fraction(0)
    for position, tier in enumerate(tiers):
        last = position + 1 == len(tiers)
        upper = size_bytes if last else min(size_bytes, tiers[position + 1].from_gb * GB)
        total += Fraction(tier.usd_per_gb_month) * max(0, upper - tier.from_gb * GB) / GB
    return total


def exact_decimal(value: Fraction) -> Decimal:
    """``value`` as a decimal: exact where it ends within _DIGITS digits, else rounded there."""
    with localcontext() as context:
        context.prec = _DIGITS
        return Decimal(value.numerator) / Decimal(value.denominator)


def _not_negative(size_bytes: int) -> int:
    if size_bytes < 0:
        raise ValueError(f"{size_bytes} bytes: a size cannot be negative")
    return size_bytes


def _key(row: StoragePrice) -> tuple[str, StorageClass]:
    return row.region, row.storage_class


def _sortable(key: tuple[str | None, StorageClass | None]) -> tuple[str, str]:
    return key[0] or "", key[1] or ""
