"""What an outcome is worth: the bill before less the bill after, and whether archiving pays.

Bytes are those of a payer's whole region, since that is what the archive's tiers count. Up to 150 TB
a month a GB in the archive costs what it costs in the standard class, so archiving below that saves
exactly nothing; beyond, what it saves is less the price of every restore.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from analyzer.model.units import GB, Money
from analyzer.pricing import PriceBook, RetrievalPrice, StorageClass, class_cost, exact_decimal

#: An archived image is billed for at least so long; until then lifecycle policies do not delete it
#: (ECR user guide, page archive-image).
MINIMUM_ARCHIVE_DAYS = 90

#: The hours of AWS's average month, 365 days in twelve parts; a bill counts those of each month.
_HOURS_PER_MONTH = 730


@dataclass(frozen=True, slots=True, kw_only=True)
class RatesOfChange:
    """What a byte is worth that leaves its class in one region; USD per month, exact.

    When a class shrinks or grows over a bound between tiers, its bytes are worth different amounts,
    and nobody can say whose were which. Every byte that changes is therefore worth the average, so
    that the savings of all repositories are exactly that of the region.
    """

    region: str
    #: None where the price is not known.
    standard_usd_per_byte: Fraction | None
    archive_usd_per_byte: Fraction | None

    def saving(self, *, freed_standard_bytes: int, freed_archive_bytes: int, archived_bytes: int) -> Money:
        """USD per month saved when these bytes leave the bill or move to the archive.

        Negative where it would cost more than before. Where the price of a class is not known: bytes
        that leave it are named in ``leaves_out``, and the amount without them is less than what is
        saved; bytes that it gains make the amount unknown, for without them it would be more.
        """
        leaving: dict[StorageClass, tuple[int, Fraction | None]] = {
            "standard": (freed_standard_bytes + archived_bytes, self.standard_usd_per_byte),
            "archive": (freed_archive_bytes - archived_bytes, self.archive_usd_per_byte),
        }
        changed = {name: part for name, part in leaving.items() if part[0]}
        known = [size_bytes * rate for size_bytes, rate in changed.values() if rate is not None]
        unpriced = {name: size_bytes for name, (size_bytes, rate) in changed.items() if rate is None}
        missing = tuple(f"no price for storage-{name} in {self.region}" for name in sorted(unpriced))
        if unpriced and (not known or min(unpriced.values()) < 0):
            return Money(None, leaves_out=missing)
        return Money(exact_decimal(sum(known, Fraction(0))), leaves_out=missing)


def rates_of_change(
    prices: PriceBook,
    region: str,
    *,
    standard_bytes: int,
    archive_bytes: int,
    freed_standard_bytes: int,
    freed_archive_bytes: int,
    archived_bytes: int,
) -> RatesOfChange:
    """What the bytes that change are worth each, given what all of ``region`` holds and changes.

    ``standard_bytes`` and ``archive_bytes`` are there before; of these, ``freed_standard_bytes``
    and ``freed_archive_bytes`` leave the bill, and ``archived_bytes`` move from standard to archive.

    Raises:
        ValueError: a number is negative, or more bytes leave a class than it holds.
    """
    numbers = (standard_bytes, archive_bytes, freed_standard_bytes, freed_archive_bytes, archived_bytes)
    leaving = freed_standard_bytes + archived_bytes
    if min(numbers) < 0 or leaving > standard_bytes or freed_archive_bytes > archive_bytes:
        raise ValueError(
            f"of {standard_bytes} standard and {archive_bytes} archive bytes cannot be freed "
            f"{freed_standard_bytes} and {freed_archive_bytes} and archived {archived_bytes}"
        )
    return RatesOfChange(
        region=region,
        standard_usd_per_byte=_rate(prices, region, "standard", standard_bytes, leaving),
        archive_usd_per_byte=_rate(
            prices, region, "archive", archive_bytes, freed_archive_bytes - archived_bytes
        ),
    )


def saving(
    prices: PriceBook,
    region: str,
    *,
    standard_bytes: int,
    archive_bytes: int,
    freed_standard_bytes: int,
    freed_archive_bytes: int,
    archived_bytes: int,
) -> Money:
    """The bill of ``region`` before less the bill after, USD per month, exact.

    Arguments and errors are those of ``rates_of_change``; unknown prices are treated as
    ``RatesOfChange.saving`` says.
    """
    rates = rates_of_change(
        prices,
        region,
        standard_bytes=standard_bytes,
        archive_bytes=archive_bytes,
        freed_standard_bytes=freed_standard_bytes,
        freed_archive_bytes=freed_archive_bytes,
        archived_bytes=archived_bytes,
    )
    return rates.saving(
        freed_standard_bytes=freed_standard_bytes,
        freed_archive_bytes=freed_archive_bytes,
        archived_bytes=archived_bytes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePayback:
    """Whether archiving pays in one region, at the volumes there, beside what is freed anyway."""

    region: str
    archived_bytes: int
    #: What archiving alone saves a month, once everything that is freed has left.
    saving: Money
    #: What these bytes add to the archive's bill in ``minimum_days``, however soon they are
    #: deleted; its period is "90 days".
    minimum_cost: Money
    #: The price of a restore, discount included, and the row of the price book that it comes from.
    retrieval_usd_per_gb: Decimal | None
    retrieval_price: RetrievalPrice | None
    #: What it costs to restore all these bytes one time; its period is "once".
    retrieval_cost: Money
    #: For so many days an archived image is billed at least.
    minimum_days: int = MINIMUM_ARCHIVE_DAYS

    @property
    def saves(self) -> bool | None:
        """Whether archiving lowers the bill at all; None when a price that decides is not known."""
        if self.saving.amount is None:
            return None
        return self.saving.amount > 0 or (None if self.saving.leaves_out else False)

    @property
    def months_to_pay_for_a_restore(self) -> Fraction | None:
        """How many months of the saving one restore of everything eats up; None if never, or unknown."""
        if not self.saves or self.saving.amount is None or self.retrieval_cost.amount is None:
            return None
        return Fraction(self.retrieval_cost.amount) / Fraction(self.saving.amount)


def archive_payback(
    prices: PriceBook,
    region: str,
    *,
    standard_bytes: int,
    archive_bytes: int,
    freed_standard_bytes: int,
    freed_archive_bytes: int,
    archived_bytes: int,
) -> ArchivePayback:
    """What archiving adds to an outcome; arguments and errors are those of ``rates_of_change``."""
    # Called for its checks: the parts below could not tell what is wrong with the whole.
    rates_of_change(
        prices,
        region,
        standard_bytes=standard_bytes,
        archive_bytes=archive_bytes,
        freed_standard_bytes=freed_standard_bytes,
        freed_archive_bytes=freed_archive_bytes,
        archived_bytes=archived_bytes,
    )
    archive_left = archive_bytes - freed_archive_bytes
    return ArchivePayback(
        region=region,
        archived_bytes=archived_bytes,
        saving=saving(
            prices,
            region,
            standard_bytes=standard_bytes - freed_standard_bytes,
            archive_bytes=archive_left,
            freed_standard_bytes=0,
            freed_archive_bytes=0,
            archived_bytes=archived_bytes,
        ),
        minimum_cost=_minimum_cost(prices, region, archive_left, archived_bytes),
        retrieval_usd_per_gb=prices.retrieval_usd_per_gb(region),
        retrieval_price=prices.retrieval_price(region),
        retrieval_cost=retrieval_cost(prices, region, size_bytes=archived_bytes),
    )


def retrieval_cost(prices: PriceBook, region: str, *, size_bytes: int) -> Money:
    """What it costs to restore ``size_bytes`` from the archive one time; the period is "once".

    Raises:
        ValueError: ``size_bytes`` is negative.
    """
    if size_bytes < 0:
        raise ValueError(f"{size_bytes} bytes: a size cannot be negative")
    usd_per_gb = prices.retrieval_usd_per_gb(region)
    if not size_bytes:
        return Money(Decimal(0), period="once")
    if usd_per_gb is None:
        return Money(None, period="once", leaves_out=(f"no price for archive-retrieval in {region}",))
    return Money(exact_decimal(size_bytes * Fraction(usd_per_gb) / GB), period="once")


def _minimum_cost(prices: PriceBook, region: str, archive_bytes: int, archived_bytes: int) -> Money:
    period = f"{MINIMUM_ARCHIVE_DAYS} days"
    if not archived_bytes:
        return Money(Decimal(0), period=period)
    before = class_cost(prices, region, "archive", archive_bytes)
    after = class_cost(prices, region, "archive", archive_bytes + archived_bytes)
    if before is None or after is None:
        return Money(None, period=period, leaves_out=(f"no price for storage-archive in {region}",))
    months = Fraction(24 * MINIMUM_ARCHIVE_DAYS, _HOURS_PER_MONTH)
    return Money(exact_decimal((after - before) * months), period=period)


def _rate(
    prices: PriceBook, region: str, storage_class: StorageClass, held_bytes: int, leaving_bytes: int
) -> Fraction | None:
    """The average worth of a byte of those that leave a class; negative ones are gained.

    Where nothing leaves, and nothing comes, the worth of the last byte: what one repository gains
    another then loses, and at any one rate the two cancel out.
    """
    if not leaving_bytes:
        leaving_bytes = 1 if held_bytes else -1
    before = class_cost(prices, region, storage_class, held_bytes)
    after = class_cost(prices, region, storage_class, held_bytes - leaving_bytes)
    return None if before is None or after is None else (before - after) / leaving_bytes
