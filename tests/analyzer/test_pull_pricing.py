"""What recorded pulls cost, against pricing every pull by itself."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.pull_costs import CoverageBasis, Network, PullCost, PullCosts
from analyzer.model.pulls import (
    INTERNET,
    UNKNOWN_REGION,
    Confidence,
    Coverage,
    LeftOut,
    LeftOutCount,
    PullHistory,
    PullKind,
    Pulls,
    RegionMethod,
)
from analyzer.model.units import GB, Money
from analyzer.pricing import bundled_prices, exact_decimal
from analyzer.pull_pricing import price_pulls
from tests.oracle import pull_costs as oracle
from tests.support.examples import examples

OWNER, PULLER = "111111111111", "222222222222"
EU, US, OHIO, SEOUL = "eu-west-1", "us-east-1", "us-east-2", "ap-northeast-2"
PRICES = bundled_prices()
#: The 31st of October 2026, so that a window of some days is in two months.
DAY = 20_757
SIZES = {"big": 3 * GB, "small": 7, "empty": 0, "huge": 90 * GB, "odd": -1}


def pulled(
    digest: str = "big",
    *,
    day: int = DAY,
    region: str = EU,
    repository: str = "app",
    puller: str = US,
    principal: str = "arn:aws:iam::222222222222:role/node",
    kind: PullKind = PullKind.LAYER,
    times: int = 1,
) -> Pulls:
    unknown = puller == UNKNOWN_REGION
    return Pulls(
        day,
        OWNER,
        region,
        repository,
        kind,
        digest,
        "",
        PULLER,
        principal,
        puller,
        RegionMethod.UNKNOWN if unknown else RegionMethod.INSTANCE,
        Confidence.NONE if unknown else Confidence.HIGH,
        times,
    )


def covered(day: int = DAY, region: str = EU, status: str = "complete", detail: str = "") -> Coverage:
    return Coverage(day, OWNER, region, "s3", status, detail)


def history(*pulls: Pulls, coverage: tuple[Coverage, ...] = (), days: int = 10) -> PullHistory:
    return PullHistory(DAY, DAY + days - 1, tuple(sorted(pulls)), coverage=coverage)


def priced(*pulls: Pulls, coverage: tuple[Coverage, ...] = (), network: Network | None = None) -> PullCosts:
    return price_pulls(history(*pulls, coverage=coverage), SIZES, PRICES, network)


def ends(row: PullCost) -> tuple[Decimal | None, Decimal | None]:
    return row.transfer.low.amount, row.transfer.high.amount


@st.composite
def histories(draw: st.DrawFn) -> PullHistory:
    pulls = draw(
        st.lists(
            st.builds(
                pulled,
                st.sampled_from([*SIZES, "never seen"]),
                day=st.integers(DAY, DAY + 3),
                region=st.sampled_from([EU, US]),
                repository=st.sampled_from(["app", "team/app"]),
                puller=st.sampled_from([EU, US, OHIO, UNKNOWN_REGION, INTERNET]),
                principal=st.sampled_from(["", "a", "b"]),
                kind=st.sampled_from([PullKind.LAYER, PullKind.LAYER, PullKind.IMAGE]),
                times=st.integers(1, 4),
            ),
            max_size=12,
        )
    )
    coverage = draw(
        st.lists(
            st.builds(
                covered,
                st.integers(DAY, DAY + 3),
                st.sampled_from([EU, US]),
                st.sampled_from(["complete", "partial", "none"]),
            ),
            max_size=6,
        )
    )
    return PullHistory(DAY, DAY + 3, tuple(sorted(pulls)), coverage=tuple(sorted(coverage)))


def between(source: str, destination: str) -> Fraction | None:
    price = PRICES.transfer.between(source, destination)
    return None if price is None else Fraction(price.usd_per_gb)


@given(
    histories(),
    st.frozensets(st.sampled_from([US, OHIO])),
    st.frozensets(st.sampled_from([US, EU])),
)
@examples(60)
def test_every_row_of_every_table_is_what_its_pulls_cost_one_by_one(
    known: PullHistory, nat_regions: frozenset[str], gateways: frozenset[str]
) -> None:
    world = oracle.World(
        between,
        {region: (Fraction("0.05"), Fraction("0.09")) for region in (EU, US)},
        {region: Fraction("0.09") for region in (EU, US)},
        {region: Fraction("0.045") for region in (US, OHIO)},
        nat_regions,
        gateways,
        100,
    )
    found = price_pulls(known, SIZES, PRICES, Network(nat_regions, gateways))
    rows = [found.total, *found.routes, *found.repositories, *found.pullers, *found.days, *found.rows]
    keys = ("day", "account", "region", "repository", "principal_account", "principal", "puller_region")
    for row in rows:

        def chosen(pulls: Pulls, row: PullCost = row) -> bool:
            return all(getattr(row, key) in (None, getattr(pulls, key)) for key in keys)

        expected = oracle.cost(known, SIZES, world, chosen)
        assert (row.size_bytes, row.unsized_pulls) == (expected.size_bytes, expected.unsized)
        assert ends(row) == (exact_decimal(expected.low), exact_decimal(expected.high))
        assert row.nat is not None
        assert row.nat.low.amount == exact_decimal(expected.nat_low)
        assert row.nat.high.amount == exact_decimal(expected.nat_high)
        if row.monthly_bytes is not None:
            assert row.monthly_bytes == round(expected.monthly_bytes)
            assert row.monthly_transfer.low.amount == exact_decimal(expected.monthly_low)
    for table in (found.routes, found.repositories, found.pullers, found.days, found.rows):
        assert sum(row.size_bytes for row in table) == found.total.size_bytes
        assert sum(row.layer_pulls for row in table) == found.total.layer_pulls
        assert sum(row.checks for row in table) == found.total.checks


def test_a_pull_into_another_region_costs_the_registrys_rate() -> None:
    found = priced(pulled(region=SEOUL, times=2))
    (route,) = found.routes
    assert (route.account, route.region, route.puller_region) == (OWNER, SEOUL, US)
    assert ends(route) == (Decimal("0.48"), Decimal("0.48"))
    assert route.transfer.low.period == "window"
    assert route.nat is None


def test_a_pull_inside_a_region_is_free_and_a_look_moves_nothing() -> None:
    found = priced(pulled(puller=EU), pulled(kind=PullKind.IMAGE, times=5), pulled("odd", puller=EU))
    assert ends(found.total) == (Decimal(0), Decimal(0))
    assert found.total.transfer.low.leaves_out == ()
    assert (found.total.layer_pulls, found.total.checks, found.total.unsized_pulls) == (2, 5, 1)


def test_an_unknown_puller_is_a_row_of_its_own_between_nothing_and_the_dearest() -> None:
    found = priced(pulled(), pulled(puller=UNKNOWN_REGION))
    by_region = {row.puller_region: ends(row) for row in found.routes}
    assert by_region == {
        US: (Decimal("0.06"), Decimal("0.06")),
        UNKNOWN_REGION: (Decimal(0), Decimal("0.27")),
    }
    assert ends(found.total) == (Decimal("0.06"), Decimal("0.33"))


def test_the_free_gigabytes_of_each_month_are_shared_by_what_leaves_in_it() -> None:
    # 180 GB on the last day of October, 3 GB on the first of November.
    found = priced(pulled("huge", puller=INTERNET, times=2), pulled(puller=INTERNET, day=DAY + 1))
    assert [ends(row) for row in found.days] == [
        (Decimal("4.00"), Decimal("16.20")),
        (Decimal(0), Decimal("0.27")),
    ]


def test_layers_of_unknown_size_are_named_where_they_would_cost() -> None:
    found = priced(pulled("odd"), pulled("never seen"))
    reason = ("layers of unknown size were pulled",)
    assert found.total.unsized_pulls == 2
    assert found.total.transfer.high == Money(Decimal(0), period="window", leaves_out=reason)


def test_what_has_no_price_is_unknown_and_not_nothing() -> None:
    found = priced(pulled(region="mx-central-1"), pulled(region="mx-central-1", puller=UNKNOWN_REGION))
    by_region = {row.puller_region: row for row in found.routes}
    reason = ("no price for transfer from mx-central-1 to us-east-1",)
    assert by_region[US].transfer.low == Money(None, period="window", leaves_out=reason)
    assert ends(by_region[UNKNOWN_REGION]) == (Decimal(0), None)
    nowhere = priced(pulled(region="mx-central-1", puller=INTERNET)).total
    assert nowhere.transfer.high.leaves_out == ("no price for transfer from mx-central-1 to the internet",)


@pytest.mark.parametrize(
    ("puller", "network", "usd"),
    [
        (US, Network(), None),
        (US, Network(frozenset()), Decimal(0)),
        (US, Network(frozenset({US})), Decimal("0.135")),
        # The endpoint does not lead to another region's bucket.
        (US, Network(frozenset({US}), frozenset({US})), Decimal("0.135")),
        (EU, Network(frozenset({US})), Decimal(0)),
        ("eu-central-1", Network(frozenset({"eu-central-1"})), None),
    ],
)
def test_nat_is_counted_where_it_is_told_of(puller: str, network: Network, usd: Decimal | None) -> None:
    nat = priced(pulled(puller=puller), network=network).total.nat
    assert (nat.high.amount if nat else None) == usd
    if nat is not None and usd is None:
        assert nat.high.leaves_out == ("no price for NAT gateways in eu-central-1",)


def test_a_gateway_endpoint_takes_local_pulls_off_nat() -> None:
    local = pulled(region=US, puller=US)
    through = priced(local, network=Network(frozenset({US}))).total.nat
    beside = priced(local, network=Network(frozenset({US}), frozenset({US}))).total.nat
    assert through is not None
    assert beside is not None
    assert (through.low.amount, beside.high.amount) == (Decimal("0.135"), Decimal(0))


def test_a_month_is_reckoned_from_the_days_that_are_covered() -> None:
    found = priced(
        pulled(times=4),
        # Not covered: it counts in the window alone.
        pulled(day=DAY + 2, times=100),
        coverage=(
            covered(),
            covered(DAY + 1),
            covered(DAY + 2, status="partial", detail="hours are missing"),
        ),
    )
    assert found.total.monthly_bytes == round(12 * GB * Fraction("15.2"))
    assert found.total.monthly_transfer.high == Money(Decimal("3.648"))
    (coverage,) = found.coverage
    assert (coverage.complete_days, coverage.partial_days, coverage.uncovered_days) == (2, 1, 7)
    assert (coverage.basis, coverage.details) == (CoverageBasis.COMPLETE, ("hours are missing",))


def test_days_in_part_give_a_month_that_is_at_least_so_much() -> None:
    found = priced(pulled(), coverage=(covered(status="partial"), covered(status="none")))
    assert found.coverage[0].basis is CoverageBasis.PARTIAL
    assert found.total.monthly_transfer.low == Money(
        Decimal("1.824"),
        leaves_out=(
            f"days are covered in part only of the registry of {OWNER} in eu-west-1: at least this much",
        ),
    )


@pytest.mark.parametrize(
    ("pulls", "coverage", "reason"),
    [
        ((pulled(),), (), f"no day is covered of the registry of {OWNER} in eu-west-1"),
        ((), (covered(status="none"),), f"no day is covered of the registry of {OWNER} in eu-west-1"),
        ((), (covered(DAY - 1),), "no registry's pulls were read"),
        ((), (), "no registry's pulls were read"),
    ],
)
def test_without_coverage_no_pulls_are_no_zero(
    pulls: tuple[Pulls, ...], coverage: tuple[Coverage, ...], reason: str
) -> None:
    total = priced(*pulls, coverage=coverage).total
    assert total.monthly_bytes is None
    assert total.monthly_transfer.high == Money(None, leaves_out=(reason,))


def test_no_pulls_on_covered_days_are_a_zero() -> None:
    total = priced(coverage=(covered(),)).total
    assert (total.monthly_bytes, total.monthly_transfer.high) == (0, Money(Decimal(0)))


def test_tables_are_ordered_by_what_their_rows_cost() -> None:
    found = priced(
        pulled(repository="b"),
        pulled("huge", repository="c"),
        pulled(repository="a", puller=EU, times=9),
        pulled("small", repository="d", puller=EU),
    )
    assert [row.repository for row in found.repositories] == ["c", "b", "a", "d"]


def test_what_was_left_out_comes_along() -> None:
    left_out = (LeftOutCount(DAY, OWNER, EU, LeftOut.ERROR, 3),)
    known = PullHistory(DAY, DAY, left_out=left_out)
    found = price_pulls(known, SIZES, PRICES)
    assert found.left_out == left_out
    assert found.method
