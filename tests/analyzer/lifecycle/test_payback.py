"""What an outcome is worth, and whether archiving pays."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle.payback import (
    ArchivePayback,
    archive_payback,
    rates_of_change,
    retrieval_cost,
    saving,
)
from analyzer.model.units import GB, Money, add_up
from analyzer.pricing import (
    Discount,
    PriceBook,
    RetrievalPrice,
    StorageClass,
    StoragePrice,
    Tier,
    bundled_prices,
    storage_cost,
)

REGION = "us-east-1"
#: Where the archive's second tier begins.
BOUND = 153_600 * GB


def book(
    standard: tuple[Tier, ...] | None,
    archive: tuple[Tier, ...] | None,
    retrieval: Decimal | None = None,
    factor: Decimal | None = None,
) -> PriceBook:
    listed: dict[StorageClass, tuple[Tier, ...] | None] = {"archive": archive, "standard": standard}
    sourced = {"region": REGION, "as_of": "2026-01", "source": "a test", "confidence": "low"}
    return PriceBook(
        storage=tuple(
            StoragePrice(storage_class=storage_class, tiers=tiers, **sourced)
            for storage_class, tiers in listed.items()
            if tiers
        ),
        retrieval=() if retrieval is None else (RetrievalPrice(usd_per_gb=retrieval, **sourced),),
        discount_factor=factor,
    )


def flat(usd: str) -> tuple[Tier, ...]:
    return (Tier(0, Decimal(usd)),)


def worth(
    prices: PriceBook,
    *,
    held: tuple[int, int],
    freed: tuple[int, int] = (0, 0),
    archived: int = 0,
    region: str = REGION,
) -> Money:
    """The saving, of (standard, archive) bytes each."""
    return saving(
        prices,
        region,
        standard_bytes=held[0],
        archive_bytes=held[1],
        freed_standard_bytes=freed[0],
        freed_archive_bytes=freed[1],
        archived_bytes=archived,
    )


def payback(
    prices: PriceBook, *, held: tuple[int, int], freed: tuple[int, int] = (0, 0), archived: int
) -> ArchivePayback:
    return archive_payback(
        prices,
        REGION,
        standard_bytes=held[0],
        archive_bytes=held[1],
        freed_standard_bytes=freed[0],
        freed_archive_bytes=freed[1],
        archived_bytes=archived,
    )


# --- the saving -----------------------------------------------------------------------------------


def test_expired_bytes_save_what_they_cost() -> None:
    assert worth(bundled_prices(), held=(100 * GB, 0), freed=(25 * GB, 0)) == Money(Decimal("2.5"))


def test_archiving_below_150_tb_saves_exactly_nothing() -> None:
    assert worth(bundled_prices(), held=(200 * GB, 100 * GB), archived=200 * GB) == Money(Decimal(0))
    assert worth(bundled_prices(), held=(BOUND, 0), archived=BOUND) == Money(Decimal(0))


def test_archiving_beyond_150_tb_saves_three_cents_a_gb() -> None:
    assert worth(bundled_prices(), held=(100 * GB, BOUND), archived=10 * GB) == Money(Decimal("0.3"))
    # Of these ten, four still fit below the bound.
    money = worth(bundled_prices(), held=(100 * GB, BOUND - 4 * GB), archived=10 * GB)
    assert money == Money(Decimal("0.18"))


def test_bytes_that_leave_the_archive_make_room_for_those_that_come() -> None:
    # One GB leaves and one comes, both at the price beyond the bound.
    money = worth(bundled_prices(), held=(GB, BOUND + 5 * GB), freed=(0, GB), archived=GB)
    assert money == Money(Decimal("0.1"))


def test_a_dear_archive_costs_more_than_it_saves() -> None:
    assert worth(book(flat("0.1"), flat("0.25")), held=(GB, 0), archived=GB) == Money(Decimal("-0.15"))


def test_a_discount_is_a_part_of_the_saving_too() -> None:
    prices = book(flat("0.1"), flat("0.1"), factor=Decimal("0.5"))
    assert worth(prices, held=(GB, 0), freed=(GB, 0)) == Money(Decimal("0.05"))


@pytest.mark.parametrize(
    ("held", "freed", "archived"),
    [
        ((1, 1), (2, 0), 0),
        ((1, 1), (0, 2), 0),
        ((2, 1), (1, 0), 2),
        ((-1, 1), (0, 0), 0),
        ((1, 1), (-1, 0), 0),
        ((1, 1), (0, 0), -1),
    ],
)
def test_more_than_there_is_cannot_leave(
    held: tuple[int, int], freed: tuple[int, int], archived: int
) -> None:
    with pytest.raises(ValueError, match="cannot be freed"):
        worth(bundled_prices(), held=held, freed=freed, archived=archived)
    with pytest.raises(ValueError, match="cannot be freed"):
        payback(bundled_prices(), held=held, freed=freed, archived=archived)


# --- unknown prices -------------------------------------------------------------------------------

NO_STANDARD = f"no price for storage-standard in {REGION}"
NO_ARCHIVE = f"no price for storage-archive in {REGION}"


def test_nothing_that_changes_saves_nothing_even_without_a_price() -> None:
    assert worth(PriceBook(), held=(GB, GB)) == Money(Decimal(0))


def test_a_saving_without_any_price_is_unknown() -> None:
    assert worth(PriceBook(), held=(GB, GB), freed=(1, 1)) == Money(
        None, leaves_out=(NO_ARCHIVE, NO_STANDARD)
    )
    assert worth(PriceBook(), held=(GB, GB), freed=(1, 0)) == Money.unknown(NO_STANDARD)


def test_freed_bytes_without_a_price_are_left_out_of_the_saving() -> None:
    prices = book(flat("0.1"), None)
    assert worth(prices, held=(GB, GB), freed=(GB, GB)) == Money(Decimal("0.1"), leaves_out=(NO_ARCHIVE,))


def test_archiving_at_an_unknown_price_is_not_called_a_saving() -> None:
    prices = book(flat("0.1"), None)
    assert worth(prices, held=(GB, 0), archived=GB) == Money.unknown(NO_ARCHIVE)
    assert worth(prices, held=(9 * GB, 0), freed=(8 * GB, 0), archived=1) == Money.unknown(NO_ARCHIVE)


def test_archiving_from_an_unknown_price_is_not_less_than_its_cost() -> None:
    money = worth(book(None, flat("0.1")), held=(GB, 0), archived=GB)
    assert money == Money(Decimal("-0.1"), leaves_out=(NO_STANDARD,))


# --- arithmetic -----------------------------------------------------------------------------------

prices_per_gb = st.integers(0, 500).map(lambda n: Decimal(n) / 1000)


@st.composite
def _tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    bounds = sorted(draw(st.sets(st.integers(1, 30), max_size=3)))
    return tuple(Tier(bound, draw(prices_per_gb)) for bound in (0, *bounds))


books = st.builds(
    book, _tiers(), _tiers(), prices_per_gb, st.none() | st.sampled_from([Decimal("0.5"), Decimal("1.2")])
)
_sizes = st.integers(0, 20 * GB) | st.integers(0, 20).map(lambda n: n * GB)
#: Of one repository: bytes that stay in each class, that are freed from each, and archived.
_changes = st.tuples(_sizes, _sizes, _sizes, _sizes, _sizes)


@given(books, _changes)
def test_saving_is_the_bill_before_less_the_bill_after(prices: PriceBook, change: tuple[int, ...]) -> None:
    standard, archive, freed_standard, freed_archive, archived = change
    before = storage_cost(
        prices,
        REGION,
        standard_bytes=standard + freed_standard + archived,
        archive_bytes=archive + freed_archive,
    )
    after = storage_cost(prices, REGION, standard_bytes=standard, archive_bytes=archive + archived)
    money = worth(
        prices,
        held=(standard + freed_standard + archived, archive + freed_archive),
        freed=(freed_standard, freed_archive),
        archived=archived,
    )
    assert money.leaves_out == ()
    assert money.amount is not None
    assert before.amount is not None
    assert after.amount is not None
    assert Fraction(money.amount) == Fraction(before.amount) - Fraction(after.amount)


@given(books, st.lists(_changes, max_size=5))
def test_savings_of_repositories_add_up_to_that_of_the_region(
    prices: PriceBook, changes: list[tuple[int, ...]]
) -> None:
    standard, archive, freed_standard, freed_archive, archived = (
        sum(change[part] for change in changes) for part in range(5)
    )
    region = {
        "standard_bytes": standard + freed_standard + archived,
        "archive_bytes": archive + freed_archive,
        "freed_standard_bytes": freed_standard,
        "freed_archive_bytes": freed_archive,
        "archived_bytes": archived,
    }
    rates = rates_of_change(prices, REGION, **region)
    rows = [
        rates.saving(freed_standard_bytes=row[2], freed_archive_bytes=row[3], archived_bytes=row[4])
        for row in changes
    ]
    total = saving(prices, REGION, **region).amount
    assert total is not None
    # Exact before a row becomes a decimal: an average over two tiers need not end.
    assert rates.standard_usd_per_byte is not None
    assert rates.archive_usd_per_byte is not None
    assert Fraction(total) == rates.standard_usd_per_byte * (
        freed_standard + archived
    ) + rates.archive_usd_per_byte * (freed_archive - archived)
    amounts = [row.amount for row in rows]
    assert None not in amounts
    added = sum((Fraction(amount) for amount in amounts if amount is not None), Fraction(0))
    assert abs(added - Fraction(total)) <= Fraction(1, 10**118)


def test_rows_whose_changes_cancel_out_add_up_to_nothing() -> None:
    # One repository frees from the archive what another archives: the region's archive stays.
    rates = rates_of_change(
        bundled_prices(),
        REGION,
        standard_bytes=GB,
        archive_bytes=BOUND + 5 * GB,
        freed_standard_bytes=0,
        freed_archive_bytes=GB,
        archived_bytes=GB,
    )
    frees = rates.saving(freed_standard_bytes=0, freed_archive_bytes=GB, archived_bytes=0)
    archives = rates.saving(freed_standard_bytes=0, freed_archive_bytes=0, archived_bytes=GB)
    assert frees == Money(Decimal("0.07"))
    assert archives == Money(Decimal("0.03"))
    assert add_up([frees, archives]) == Money(Decimal("0.1"))


def test_rate_of_an_empty_class_is_that_of_its_first_byte() -> None:
    rates = rates_of_change(
        bundled_prices(),
        REGION,
        standard_bytes=0,
        archive_bytes=0,
        freed_standard_bytes=0,
        freed_archive_bytes=0,
        archived_bytes=0,
    )
    assert rates.standard_usd_per_byte == rates.archive_usd_per_byte == Fraction(1, 10 * GB)


# --- whether archiving pays -----------------------------------------------------------------------


def test_archiving_below_150_tb_never_pays_for_a_restore() -> None:
    found = payback(bundled_prices(), held=(100 * GB, 0), archived=73 * GB)
    assert found.saving == Money(Decimal(0))
    assert found.saves is False
    assert found.months_to_pay_for_a_restore is None
    assert found.minimum_days == 90
    # 90 days are 2,160 of the 730 hours that a month has: 73 GB at 0.10 for as long.
    assert found.minimum_cost == Money(Decimal("21.6"), period="90 days")
    assert found.retrieval_usd_per_gb == Decimal("0.03")
    assert found.retrieval_price == bundled_prices().retrieval_price(REGION)
    assert found.retrieval_cost == Money(Decimal("2.19"), period="once")


def test_archiving_beyond_150_tb_pays_for_one_restore_a_month() -> None:
    found = payback(bundled_prices(), held=(100 * GB, BOUND), archived=73 * GB)
    assert found.saving == Money(Decimal("2.19"))
    assert found.saves is True
    assert found.months_to_pay_for_a_restore == 1
    assert found.minimum_cost == Money(Decimal("15.12"), period="90 days")


def test_what_expires_anyway_is_no_merit_of_archiving() -> None:
    # What leaves the archive takes the rest below the bound, where archiving saves nothing.
    prices = bundled_prices()
    found = payback(prices, held=(100 * GB, BOUND + GB), freed=(20 * GB, 11 * GB), archived=10 * GB)
    assert found.saving == Money(Decimal(0))
    assert found.saves is False
    only_just = payback(prices, held=(100 * GB, BOUND + GB), freed=(20 * GB, 10 * GB), archived=10 * GB)
    assert only_just.saving == Money(Decimal("0.03"))


def test_archiving_nothing_saves_and_costs_nothing() -> None:
    found = payback(PriceBook(), held=(GB, GB), archived=0)
    assert (found.saving, found.saves) == (Money(Decimal(0)), False)
    assert found.minimum_cost == Money(Decimal(0), period="90 days")
    assert found.retrieval_cost == Money(Decimal(0), period="once")


def test_payback_is_unknown_where_prices_are() -> None:
    found = payback(PriceBook(), held=(GB, 0), archived=GB)
    assert (found.saves, found.months_to_pay_for_a_restore) == (None, None)
    assert found.minimum_cost == Money(None, period="90 days", leaves_out=(NO_ARCHIVE,))
    assert found.retrieval_cost == Money(
        None, period="once", leaves_out=(f"no price for archive-retrieval in {REGION}",)
    )
    assert (found.retrieval_usd_per_gb, found.retrieval_price) == (None, None)
    # What it saves is not known, only what it costs.
    assert payback(book(None, flat("0.1")), held=(GB, 0), archived=GB).saves is None
    # It does save, but nobody knows what a restore costs.
    cheap = payback(book(flat("0.1"), flat("0.01")), held=(GB, 0), archived=GB)
    assert (cheap.saves, cheap.months_to_pay_for_a_restore) == (True, None)


def test_retrieval_is_priced_with_the_discount() -> None:
    prices = book(flat("0.1"), flat("0.1"), retrieval=Decimal("0.03"), factor=Decimal("0.5"))
    assert retrieval_cost(prices, REGION, size_bytes=2 * GB) == Money(Decimal("0.03"), period="once")
    discounted = PriceBook(
        storage=prices.storage,
        retrieval=prices.retrieval,
        discounts=(Discount(region=REGION, storage_class=None, factor=Decimal(2)),),
    )
    found = payback(discounted, held=(GB, 0), archived=GB)
    assert found.retrieval_usd_per_gb == Decimal("0.06")


def test_negative_size_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="negative"):
        retrieval_cost(bundled_prices(), REGION, size_bytes=-1)
