"""Prices of transfer: the bundled rows against what they were carried over from, and a payer's own."""

from __future__ import annotations

import csv
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.model.units import GB
from analyzer.pricing import PriceBook, bundled_prices, load_prices
from analyzer.transfer_prices import TransferPrices
from tests.support.corpus import shared_path

BUNDLED = bundled_prices()
HEAD = 'format = 1\ncurrency = "USD"\n'
ORIGIN = 'as_of = "2026-01"\nsource = "a test"\nconfidence = "low"\n'
TIERS = (
    'tiers = [{ from_gb = 0, usd_per_gb = "0.09" }, { from_gb = 10, usd_per_gb = "0.085" },'
    ' { from_gb = 50, usd_per_gb = "0.05" }]\n'
)


def book(*tables: str) -> PriceBook:
    return load_prices(HEAD + "\n".join(tables), origin="mine.toml")


def inter_region(source: str, destination: str, usd: str) -> str:
    return f'[[inter_region]]\nfrom = ["{source}"]\nto = ["{destination}"]\nusd_per_gb = "{usd}"\n{ORIGIN}'


def internet(region: str, tiers: str = TIERS) -> str:
    return f'[[internet]]\nregions = ["{region}"]\n{tiers}{ORIGIN}'


def usd(prices: PriceBook, source: str, destination: str) -> str | None:
    price = prices.transfer.between(source, destination)
    return None if price is None else str(price.usd_per_gb)


def figures(name: str) -> list[dict[str, str]]:
    path = shared_path() / "ecr" / "data" / name
    if not path.exists():
        pytest.skip(f"the reference figures are not at {path}")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_pair_of_the_table_has_its_price() -> None:
    rows = figures("inter_region_transfer.csv")
    assert len(rows) > 600
    for row in rows:
        price = BUNDLED.transfer.between(row["from_region"], row["to_region"])
        assert price is not None
        assert price.usd_per_gb == Decimal(row["usd_per_gb"]), row


def test_every_tier_of_the_table_is_there() -> None:
    tiers = defaultdict(list)
    for row in figures("internet_egress_tiers.csv"):
        tiers[row["from_region"]].append((int(row["from_gb"]), Decimal(row["usd_per_gb"])))
    assert len(tiers) > 20
    for region, expected in tiers.items():
        price = BUNDLED.transfer.to_internet(region)
        assert price is not None
        assert [(tier.from_gb, tier.usd_per_gb) for tier in price.tiers] == expected


def test_every_gateway_of_the_table_has_its_price() -> None:
    rows = [row for row in figures("prices.csv") if row["usage"].startswith("nat-gateway")]
    assert rows
    for row in rows:
        price = BUNDLED.transfer.nat_gateway(row["region"])
        assert price is not None
        found = price.usd_per_hour if row["usage"].endswith("hour") else price.usd_per_gb
        assert found == Decimal(row["usd"])


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("eu-nowhere-1", "eu-west-1"),
        ("cn-north-1", "cn-northwest-1"),
        ("us-east-1", "cn-north-1"),
        ("us-east-1", "us-iso-east-1"),
        ("us-east-1", "eusc-de-east-1"),
        ("us-east-1", ""),
    ],
)
def test_what_nobody_published_has_no_price(source: str, destination: str) -> None:
    assert usd(BUNDLED, source, destination) is None


def test_a_region_without_rows_has_no_other_price_either() -> None:
    assert BUNDLED.transfer.to_internet("mx-central-1") is None
    assert BUNDLED.transfer.nat_gateway("eu-central-1") is None
    assert BUNDLED.transfer.interface_endpoint("eu-central-1") is None
    assert BUNDLED.transfer.dearest_from("mx-central-1") is None


def test_the_free_gigabytes_are_those_of_the_commercial_partition() -> None:
    free = [BUNDLED.transfer.free_gb(region) for region in ("eu-west-1", "us-gov-west-1", "cn-north-1")]
    assert free == [100, 0, 0]
    assert TransferPrices().free_gb("eu-west-1") == 0


def test_the_dearest_way_out_of_a_region_is_between_regions_or_to_the_internet() -> None:
    assert BUNDLED.transfer.dearest_from("eu-west-1") == Decimal("0.09")
    dear = book(inter_region("eu-west-1", "*", "0.5"), internet("eu-west-1"))
    assert dear.transfer.dearest_from("eu-west-1") == Decimal("0.5")


def test_a_pair_of_ones_own_replaces_that_pair_alone() -> None:
    mine = BUNDLED.overridden_by(book(inter_region("us-east-1", "us-east-2", "0.005")))
    assert usd(mine, "us-east-1", "us-east-2") == "0.005"
    assert usd(mine, "us-east-2", "us-east-1") == "0.01"
    assert usd(mine, "us-east-1", "eu-west-1") == "0.02"


def test_a_star_of_ones_own_replaces_every_pair_of_that_source() -> None:
    mine = BUNDLED.overridden_by(book(inter_region("us-east-1", "*", "0.015")))
    assert usd(mine, "us-east-1", "us-east-2") == usd(mine, "us-east-1", "eu-west-1") == "0.015"
    assert usd(mine, "us-east-2", "us-east-1") == "0.01"


def test_a_star_holds_in_commercial_regions_without_a_row_of_their_own() -> None:
    mine = BUNDLED.overridden_by(
        book(
            "internet_free_gb = 0",
            f'[[nat_gateway]]\nregions = ["*"]\nusd_per_gb = "0.01"\nusd_per_hour = "0.02"\n{ORIGIN}',
            f'[[interface_endpoint]]\nregions = ["*"]\nusd_per_hour = "0.02"\n{TIERS}{ORIGIN}',
            internet("us-gov-west-1"),
        )
    ).transfer
    for region in ("us-east-1", "eu-central-1"):
        gateway, endpoint = mine.nat_gateway(region), mine.interface_endpoint(region)
        assert gateway is not None
        assert endpoint is not None
        assert (gateway.usd_per_gb, endpoint.usd_per_hour) == (Decimal("0.01"), Decimal("0.02"))
    assert mine.nat_gateway("us-gov-west-1") is None
    assert mine.free_gb("eu-west-1") == 0
    assert len(mine.internet) == len(BUNDLED.transfer.internet)


def test_nothing_of_ones_own_changes_nothing() -> None:
    assert BUNDLED.overridden_by(book()).transfer == BUNDLED.transfer
    mine = book(internet("*") + internet("eu-west-1", 'tiers = [{ from_gb = 0, usd_per_gb = "1" }]\n'))
    assert mine.overridden_by(book()) == mine


@given(st.integers(0, 200 * GB))
def test_each_tier_of_what_leaves_is_charged_by_its_own_rate(size_bytes: int) -> None:
    price = book(internet("eu-west-1")).transfer.to_internet("eu-west-1")
    assert price is not None
    bounds = ((0, 10, "0.09"), (10, 50, "0.085"), (50, 10**9, "0.05"))
    expected = sum(
        Fraction(rate) * max(0, min(size_bytes, upper * GB) - lower * GB) / GB
        for lower, upper, rate in bounds
    )
    assert price.usd(size_bytes) == expected


def test_a_discount_of_a_region_holds_for_what_leaves_it() -> None:
    prices = book(
        'discount_factor = "0.9"',
        '[[discount]]\nregion = "eu-west-1"\nfactor = "0.8"',
        '[[discount]]\nclass = "standard"\nfactor = "0.1"',
    )
    assert prices.transfer_factor("eu-west-1") == Decimal("0.8")
    assert prices.transfer_factor("us-east-1") == Decimal("0.9")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (inter_region("*", "eu-west-1", "0.1"), 'from: has "*"; name the regions'),
        (inter_region("eu-west-1", "eu-west-1", "0.1"), "to: names eu-west-1 itself"),
        (
            inter_region("eu-west-1", "*", "0.1") + inter_region("eu-west-1", "*", "0.2"),
            "inter_region number 2, to: names eu-west-1 to * again",
        ),
        (inter_region("Ireland", "*", "0.1"), "from: is 'Ireland'; write a region's code"),
        (inter_region("eu-west-1", "*", "-1"), "usd_per_gb: is '-1'; it cannot be negative"),
        (internet("eu-west-1", ""), "tiers: is missing or empty"),
        (
            internet("eu-west-1", 'tiers = [{ from_gb = 5, usd_per_gb = "1" }]\n'),
            "from_gb: is 5; the first tier begins at 0",
        ),
        (internet("eu-west-1") + internet("eu-west-1"), "names eu-west-1 again"),
        (f'[[nat_gateway]]\nregions = ["eu-west-1"]\nusd_per_gb = "1"\n{ORIGIN}', "usd_per_hour: is missing"),
        (f"[[interface_endpoint]]\nregions = []\n{TIERS}{ORIGIN}", "usd_per_hour: is missing"),
        (
            f'[[interface_endpoint]]\nregions = []\nusd_per_hour = "1"\n{TIERS}{ORIGIN}',
            "regions: is []; write a list",
        ),
        ('internet_free_gb = "0.5"', "internet_free_gb: is 0.5; write whole GB"),
        ("[[egress]]", "'egress': is not a known key"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(table: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        book(table)
    assert message in str(caught.value)
    assert str(caught.value).startswith("mine.toml: ")
