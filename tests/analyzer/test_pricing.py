"""Prices: the bundled table, a payer's file, tiers, and amounts that are exact."""

from __future__ import annotations

import csv
import pickle
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.model.units import GB, Money
from analyzer.pricing import (
    PriceBook,
    StoragePrice,
    Tier,
    bundled_prices,
    load_prices,
    price_rows,
    rates,
    storage_cost,
)
from tests.support.corpus import shared_path

HEAD = 'format = 1\ncurrency = "USD"\n'
ROW = """
[[storage]]
class = "standard"
regions = ["eu-west-1"]
tiers = [{ from_gb = 0, usd_per_gb_month = "0.10" }]
as_of = "2026-01-31"
source = "a test"
confidence = "low"
"""


RETRIEVAL = """
[[retrieval]]
regions = ["eu-west-1"]
usd_per_gb = "0.03"
as_of = "2026-01-31"
source = "a test"
confidence = "low"
"""


def cost(prices: PriceBook, region: str, standard: int = 0, archive: int = 0) -> Money:
    return storage_cost(prices, region, standard_bytes=standard, archive_bytes=archive)


def book(text: str) -> PriceBook:
    return load_prices(HEAD + text, origin="mine.toml")


def storage(region: str, usd: str, storage_class: str = "standard") -> str:
    row = ROW.replace("eu-west-1", region).replace("0.10", usd)
    return row.replace('class = "standard"', f'class = "{storage_class}"')


# --- the bundled table --------------------------------------------------------------------------


def test_bundled_standard_storage_costs_ten_cents_a_gb() -> None:
    assert cost(bundled_prices(), "eu-west-1", standard=25 * GB) == Money(Decimal("2.5"))


def test_bundled_archive_is_cheaper_only_beyond_150_tb() -> None:
    prices = bundled_prices()
    assert cost(prices, "us-east-1", archive=153_600 * GB) == Money(Decimal(15360))
    assert cost(prices, "us-east-1", archive=153_601 * GB) == Money(Decimal("15360.07"))
    assert cost(prices, "us-east-1", standard=153_601 * GB) == Money(Decimal("15360.1"))


def test_bundled_archive_is_assumed_elsewhere_with_low_confidence() -> None:
    price = bundled_prices().price("sa-east-1", "archive")
    assert price is not None
    assert price.confidence == "low"


@pytest.mark.parametrize(
    "region",
    ["cn-north-1", "cn-northwest-1", "eusc-de-east-1", "us-iso-east-1", "xx-new-9", "eu-west-99", ""],
)
@pytest.mark.parametrize("storage_class", ["standard", "archive"])
def test_unknown_region_has_no_price(region: str, storage_class: str) -> None:
    money = cost(bundled_prices(), region, **{storage_class: 1})
    assert money == Money.unknown(f"no price for storage-{storage_class} in {region}")


def test_no_bytes_cost_nothing_even_without_a_price() -> None:
    assert cost(bundled_prices(), "cn-north-1") == Money(Decimal(0))


def test_govcloud_has_a_doubtful_price_of_standard_and_none_of_archive() -> None:
    money = cost(bundled_prices(), "us-gov-west-1", standard=10 * GB, archive=GB)
    assert money == Money(Decimal(1), leaves_out=("no price for storage-archive in us-gov-west-1",))


def test_both_classes_unknown_names_both() -> None:
    assert cost(bundled_prices(), "cn-north-1", standard=1, archive=1) == Money(
        None,
        leaves_out=(
            "no price for storage-archive in cn-north-1",
            "no price for storage-standard in cn-north-1",
        ),
    )


def test_bundled_figures_are_those_of_the_research() -> None:
    figures = shared_path() / "ecr" / "data" / "prices.csv"
    if not figures.exists():
        pytest.skip(f"the reference figures are not at {figures}")
    prices = bundled_prices()
    seen = 0
    with figures.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["usage"] != "storage-standard":
                continue
            seen += 1
            price = prices.price(row["region"], "standard")
            if not row["usd"]:
                assert price is None
                continue
            assert price is not None
            assert [tier.usd_per_gb_month for tier in price.tiers] == [Decimal(row["usd"])]
            assert (price.as_of, price.confidence) == (row["as_of"], row["confidence"])
    regions = {row.region for row in prices.storage if row.storage_class == "standard"}
    assert seen == len(regions - {"public"}) + 3


def test_bundled_retrieval_figures_are_those_of_the_research() -> None:
    figures = shared_path() / "ecr" / "data" / "prices.csv"
    if not figures.exists():
        pytest.skip(f"the reference figures are not at {figures}")
    with figures.open(encoding="utf-8", newline="") as file:
        known = {row["region"]: row for row in csv.DictReader(file) if row["usage"] == "archive-retrieval"}
    rows = bundled_prices().retrieval
    assert {row.region: (row.usd_per_gb, row.as_of) for row in rows} == {
        region: (Decimal(row["usd"]), row["as_of"]) for region, row in known.items()
    }


def test_rows_of_ones_own_leave_the_rest_of_retrieval_as_it_is() -> None:
    everywhere = RETRIEVAL.replace("eu-west-1", "*").replace("0.03", "0.05")
    prices = book(RETRIEVAL + everywhere)
    assert prices.overridden_by(book(ROW)).retrieval == prices.retrieval


def test_bundled_retrieval_is_known_where_the_archive_is() -> None:
    prices = bundled_prices()
    regions = {row.region for row in prices.storage if row.region != "*"} | {"cn-north-1"}
    for region in regions:
        price = prices.retrieval_price(region)
        assert (price is None) == (prices.price(region, "archive") is None), region
    assert prices.retrieval_usd_per_gb("us-east-1") == Decimal("0.03")
    assumed = prices.retrieval_price("sa-east-1")
    assert assumed is not None
    assert (assumed.region, assumed.confidence) == ("*", "low")


def test_price_book_can_be_sent_to_another_process() -> None:
    prices = bundled_prices()
    assert pickle.loads(pickle.dumps(prices)) == prices


# --- a payer's file -----------------------------------------------------------------------------


def test_file_replaces_one_region_and_class_and_leaves_the_rest() -> None:
    prices = bundled_prices().overridden_by(book(storage("eu-west-1", "0.08")))
    assert cost(prices, "eu-west-1", standard=GB).amount == Decimal("0.08")
    assert cost(prices, "eu-west-1", archive=GB).amount == Decimal("0.1")
    assert cost(prices, "us-east-1", standard=GB).amount == Decimal("0.1")


def test_file_can_price_an_unlisted_region() -> None:
    prices = bundled_prices().overridden_by(book(storage("cn-north-1", "0.11")))
    assert cost(prices, "cn-north-1", standard=GB).amount == Decimal("0.11")
    assert cost(prices, "cn-north-1", archive=GB).amount is None


def test_star_row_of_a_file_replaces_named_regions_but_not_those_it_names_itself() -> None:
    mine = book(storage("*", "0.05") + storage("us-east-1", "0.06"))
    prices = bundled_prices().overridden_by(mine)
    assert cost(prices, "eu-west-1", standard=GB).amount == Decimal("0.05")
    assert cost(prices, "us-east-1", standard=GB).amount == Decimal("0.06")
    assert cost(prices, "cn-north-1", standard=GB).amount is None
    assert cost(prices, "us-gov-east-1", standard=GB).amount == Decimal("0.1")


def test_star_archive_row_does_not_reach_a_region_without_a_standard_price() -> None:
    prices = book(storage("*", "0.05", "archive") + storage("eu-west-1", "0.1"))
    assert cost(prices, "eu-west-1", archive=GB).amount == Decimal("0.05")
    assert cost(prices, "eu-west-2", archive=GB).amount is None


def test_file_replaces_prices_of_retrieval() -> None:
    named = bundled_prices().overridden_by(book(RETRIEVAL.replace("0.03", "0.04")))
    assert named.retrieval_usd_per_gb("eu-west-1") == Decimal("0.04")
    assert named.retrieval_usd_per_gb("us-east-1") == Decimal("0.03")
    everywhere = RETRIEVAL.replace("eu-west-1", "*").replace("0.03", "0.05")
    both = bundled_prices().overridden_by(book(everywhere + RETRIEVAL.replace("0.03", "0.04")))
    assert both.retrieval_usd_per_gb("eu-west-1") == Decimal("0.04")
    assert both.retrieval_usd_per_gb("us-east-1") == Decimal("0.05")
    assert both.retrieval_usd_per_gb("sa-east-1") == Decimal("0.05")
    assert both.retrieval_usd_per_gb("us-gov-west-1") is None


def test_discounts_of_storage_classes_do_not_touch_retrieval() -> None:
    prices = book(
        RETRIEVAL
        + RETRIEVAL.replace("eu-west-1", "eu-west-2")
        + '[[discount]]\nclass = "archive"\nfactor = "0.5"\n'
        + '[[discount]]\nregion = "eu-west-1"\nfactor = "0.8"\n'
        + '[[discount]]\nregion = "eu-west-1"\nclass = "archive"\nfactor = "0.1"\n'
    ).overridden_by(book('discount_factor = "0.9"'))
    assert prices.retrieval_usd_per_gb("eu-west-1") == Decimal("0.024")
    assert prices.retrieval_usd_per_gb("eu-west-2") == Decimal("0.027")


def test_discounted_price_of_retrieval_is_exact() -> None:
    nines = "9" * 12
    dear = RETRIEVAL.replace("0.03", f"{nines}.{nines}")
    prices = book(f'discount_factor = "9.{nines}"\n{dear}')
    amount = prices.retrieval_usd_per_gb("eu-west-1")
    assert amount is not None
    assert Fraction(amount) == (10 - Fraction(1, 10**12)) * (10**12 - Fraction(1, 10**12))


def test_discount_factor_is_what_is_paid() -> None:
    prices = bundled_prices().overridden_by(book('discount_factor = "0.93"'))
    assert cost(prices, "eu-west-1", standard=100 * GB).amount == Decimal("9.3")
    assert {row.discount_factor for row in price_rows(prices, ["eu-west-1"])} == {Decimal("0.93")}


def test_most_particular_discount_decides() -> None:
    prices = book(
        'discount_factor = "0.9"\n'
        '[[discount]]\nregion = "eu-west-1"\nfactor = "0.8"\n'
        '[[discount]]\nclass = "archive"\nfactor = "0.7"\n'
        '[[discount]]\nregion = "eu-west-1"\nclass = "archive"\nfactor = "0.6"\n'
        '[[discount]]\nregion = "eu-west-2"\nfactor = 1\n'
    )
    assert prices.factor("us-east-1", "standard") == Decimal("0.9")
    assert prices.factor("us-east-1", "archive") == Decimal("0.7")
    assert prices.factor("eu-west-1", "standard") == Decimal("0.8")
    assert prices.factor("eu-west-1", "archive") == Decimal("0.6")
    assert prices.factor("eu-west-2", "archive") == Decimal(1)


def test_discounts_are_overridden_one_by_one() -> None:
    base = book('discount_factor = "0.9"\n[[discount]]\nregion = "eu-west-1"\nfactor = "0.8"\n')
    same = base.overridden_by(book(""))
    assert (same.discount_factor, same.discounts) == (base.discount_factor, base.discounts)
    other = base.overridden_by(book('[[discount]]\nregion = "eu-west-1"\nfactor = "0.5"\n'))
    assert other.factor("eu-west-1", "standard") == Decimal("0.5")
    assert other.factor("eu-west-2", "standard") == Decimal("0.9")


def test_whole_numbers_dates_and_months_are_accepted() -> None:
    text = ROW.replace('"0.10"', "2").replace('"2026-01-31"', "2026-01-31")
    row = book(text + storage("eu-west-2", "1").replace("2026-01-31", "2026-01")).storage
    assert [(r.as_of, r.tiers[0].usd_per_gb_month) for r in row] == [
        ("2026-01-31", Decimal(2)),
        ("2026-01", Decimal(1)),
    ]


def _row(old: str, new: str) -> str:
    assert old in ROW
    return HEAD + ROW.replace(old, new)


TIER = '{ from_gb = 0, usd_per_gb_month = "0.10" }'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format = ", "is not valid TOML"),
        ("a = " + "[" * 5000, "is not valid TOML"),
        ('currency = "USD"', "format: is missing"),
        ('format = 2\ncurrency = "USD"', "format: is 2"),
        ('format = true\ncurrency = "USD"', "format: is True"),
        ("format = 1", "currency: is missing"),
        ('format = 1\ncurrency = "EUR"', 'only "USD"'),
        (HEAD + "discount = 3", "discount: is not a list of tables"),
        (HEAD + "storage = [1]", "storage: is not a list of tables"),
        (HEAD + "discont_factor = 1", "'discont_factor': is not a known key"),
        (HEAD + "discount_factor = 0.9", 'write it in quotes: "0.9"'),
        (HEAD + 'discount_factor = "0"', "above 0 and at most 10"),
        (HEAD + "discount_factor = 93", "above 0 and at most 10"),
        (HEAD + 'discount_factor = "-1"', "cannot be negative"),
        (HEAD + "discount_factor = true", "write a decimal"),
        (HEAD + 'discount_factor = "NaN"', "write a decimal"),
        (HEAD + '[[discount]]\nfactor = "1"', "are both missing"),
        (HEAD + '[[discount]]\nregion = "*"\nfactor = "1"', "write a region's code"),
        (HEAD + '[[discount]]\nclass = "archive"', "discount number 1, factor: is missing"),
        (HEAD + '[[discount]]\nclass = "archive"\nfactor = 1\n' * 2, "keep one"),
        (_row('"0.10"', "0.10"), "tiers number 1, usd_per_gb_month: is the float 0.1"),
        (_row('"0.10"', '"-0.10"'), "cannot be negative"),
        (_row('"0.10"', '"1e-3"'), "write a decimal"),
        (_row('"0.10"', '"٠.١"'), "write a decimal"),
        (_row('"0.10"', f'"0.{"1" * 13}"'), "at most 12 digits"),
        (_row('"0.10"', "inf"), "is the float inf"),
        (_row("from_gb = 0", "from_gb = 1"), "the first tier begins at 0"),
        (_row("from_gb = 0", 'from_gb = "0.5"'), "write whole GB"),
        (_row(TIER, f"{TIER}, {TIER}"), "order the tiers upwards"),
        (_row(f"[{TIER}]", "[]"), "tiers: is missing or empty"),
        (_row(f"[{TIER}]", "7"), "storage number 1, tiers: is not a list of tables; write tiers ="),
        (_row("usd_per_gb_month", "usd_per_gb"), "'usd_per_gb': is not a known key"),
        (_row('"2026-01-31"', '"2026-02-30"'), "as_of: is '2026-02-30'"),
        (_row('"2026-01-31"', '"20260131"'), "as_of"),
        (_row('"2026-01-31"', "2026-01-31T00:00:00"), "as_of"),
        (_row('as_of = "2026-01-31"', ""), "as_of: is missing"),
        (_row('"a test"', '""'), "source"),
        (_row('"a test"', '"a\\u001b[31m"'), "write one line of text"),
        (_row('"low"', '"certain"'), "write one of high, medium, low"),
        (_row('class = "standard"', 'class = "glacier"'), 'write "standard" or "archive"'),
        (_row('["eu-west-1"]', '"eu-west-1"'), "write a list"),
        (_row('["eu-west-1"]', "[]"), "write a list"),
        (_row('["eu-west-1"]', '["Ireland"]'), "write a region's code"),
        (_row('["eu-west-1"]', '["eu-west-1", "eu-west-1"]'), "names eu-west-1 for standard again"),
        (HEAD + ROW + ROW, "storage number 2, regions: names eu-west-1 for standard again"),
        (HEAD + RETRIEVAL + RETRIEVAL, "retrieval number 2, regions: names eu-west-1 again"),
        (HEAD + RETRIEVAL.replace('"0.03"', "0.03"), "usd_per_gb: is the float 0.03"),
        (HEAD + RETRIEVAL.replace("usd_per_gb", "usd"), "'usd': is not a known key"),
        (HEAD + RETRIEVAL.replace('["eu-west-1"]', '["Ireland"]'), "write a region's code"),
        (HEAD + RETRIEVAL.replace('"low"', '"sure"'), "write one of high, medium, low"),
        (HEAD + "retrieval = 3", "retrieval: is not a list of tables"),
    ],
)
def test_malformed_file_is_refused_with_its_place_and_the_remedy(text: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        load_prices(text, origin="mine.toml")
    message = str(raised.value)
    assert message.startswith("mine.toml")
    assert said in message
    assert message.isprintable()


def test_negative_bytes_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="negative"):
        cost(bundled_prices(), "eu-west-1", standard=-1)


# --- the rows that a report shows ---------------------------------------------------------------


def test_price_rows_list_every_tier_and_what_is_missing() -> None:
    rows = price_rows(bundled_prices(), ["us-east-1", "cn-north-1", "us-east-1"])
    assert [(r.region, r.storage_class, r.from_gb, r.usd_per_gb_month, r.confidence) for r in rows] == [
        ("cn-north-1", "standard", 0, None, "unknown"),
        ("cn-north-1", "archive", 0, None, "unknown"),
        ("us-east-1", "standard", 0, Decimal("0.10"), "high"),
        ("us-east-1", "archive", 0, Decimal("0.10"), "high"),
        ("us-east-1", "archive", 153_600, Decimal("0.07"), "high"),
    ]


# --- arithmetic, against a count that walks GB by GB --------------------------------------------

cents = st.integers(0, 500).map(lambda n: Decimal(n) / 1000)


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    bounds = sorted(draw(st.sets(st.integers(1, 30), max_size=3)))
    return tuple(Tier(bound, draw(cents)) for bound in (0, *bounds))


@st.composite
def small_books(draw: st.DrawFn) -> PriceBook:
    return PriceBook(
        storage=tuple(
            StoragePrice(
                region="eu-west-1",
                storage_class=storage_class,
                tiers=draw(tiers()),
                as_of="2026-01",
                source="a test",
                confidence="low",
            )
            for storage_class in ("archive", "standard")
        ),
        discount_factor=draw(st.none() | st.sampled_from([Decimal("0.5"), Decimal("0.93"), Decimal("1.2")])),
    )


sizes = st.integers(0, 40 * GB) | st.integers(0, 40).map(lambda n: n * GB)


def walked(steps: tuple[Tier, ...], size_bytes: int) -> Fraction:
    """The slow way: every GB, and the broken one at the end, by the tier that it falls in."""
    total, done = Fraction(0), 0
    while done < size_bytes:
        piece = min(GB, size_bytes - done)
        price = [tier.usd_per_gb_month for tier in steps if tier.from_gb * GB <= done][-1]
        total += Fraction(piece, GB) * Fraction(price)
        done += piece
    return total


def expected(prices: PriceBook, standard: int, archive: int) -> Fraction:
    factor = Fraction(prices.discount_factor if prices.discount_factor is not None else 1)
    found = {row.storage_class: row.tiers for row in prices.storage}
    return factor * (walked(found["standard"], standard) + walked(found["archive"], archive))


@given(small_books(), sizes, sizes)
def test_cost_is_exactly_that_of_walking_gb_by_gb(prices: PriceBook, standard: int, archive: int) -> None:
    amount = cost(prices, "eu-west-1", standard, archive).amount
    assert amount is not None
    assert Fraction(amount) == expected(prices, standard, archive)


@given(small_books(), st.lists(st.tuples(sizes, sizes), max_size=6))
def test_costs_of_repositories_add_up_to_that_of_the_region(
    prices: PriceBook, repositories: list[tuple[int, int]]
) -> None:
    standard = sum(held for held, _ in repositories)
    archive = sum(held for _, held in repositories)
    blended = rates(prices, "eu-west-1", standard_bytes_total=standard, archive_bytes_total=archive)
    amounts = [blended.cost(standard_bytes=s, archive_bytes=a).amount for s, a in repositories]
    total = sum((Fraction(amount) for amount in amounts if amount is not None), Fraction(0))
    assert None not in amounts
    # A blended rate need not end within any number of digits.
    assert abs(total - expected(prices, standard, archive)) <= Fraction(1, 10**118)


def test_cost_is_unknown_when_none_of_its_bytes_has_a_price() -> None:
    found = rates(bundled_prices(), "us-gov-west-1", standard_bytes_total=GB, archive_bytes_total=GB)
    assert found.cost(standard_bytes=0, archive_bytes=1).amount is None


@given(st.integers(0, 10**29))
def test_amounts_of_any_size_are_exact(size_bytes: int) -> None:
    amount = cost(bundled_prices(), "eu-west-1", standard=size_bytes).amount
    assert amount is not None
    assert Fraction(amount) == Fraction(size_bytes, 10 * GB)


@given(*[st.none() | st.decimals(min_value=-(10**40), max_value=10**40, places=60)] * 2)
def test_a_difference_of_money_is_exact_and_unknown_where_either_is(
    one: Decimal | None, other: Decimal | None
) -> None:
    reasons = tuple(f"no price {n}" for n, amount in enumerate((other, one)) if amount is None)
    difference = Money(one, leaves_out=reasons[1:]) - Money(other, leaves_out=reasons)
    assert difference.leaves_out == reasons
    if one is None or other is None:
        assert difference.amount is None
    else:
        assert difference.amount is not None
        assert Fraction(difference.amount) == Fraction(one) - Fraction(other)
