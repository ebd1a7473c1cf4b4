"""Columns add up in the digits shown."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.units import GB, Money, add_up
from reports.rounding import amount_text, apportion, apportion_gb, apportion_money, rounded, rounded_costs
from tests.support.report_fixture import build_report

_AMOUNTS = st.decimals(min_value=0, max_value=10**9, allow_nan=False, places=12)


@given(st.lists(st.one_of(st.none(), _AMOUNTS), max_size=60), st.sampled_from([2, 6]))
def test_rounded_amounts_add_up_to_the_rounded_total(amounts: list[Decimal | None], decimals: int) -> None:
    parts = [Money.unknown("no price") if amount is None else Money(amount) for amount in amounts]
    total = add_up(parts)
    shown = apportion_money(parts, total, decimals)
    known = [amount for amount in shown if amount is not None]
    assert sum(known, Decimal(0)) == (rounded(total, decimals) or 0)
    assert [amount is None for amount in shown] == [amount is None for amount in amounts]
    step = Decimal(1).scaleb(-decimals)
    for amount, exact in zip(shown, amounts, strict=True):
        assert amount is None or exact is None or abs(amount - exact) < step


@given(st.lists(st.integers(0, 10**15), max_size=60), st.integers(1, 3))
def test_bytes_as_gb_add_up(sizes: list[int], decimals: int) -> None:
    shown = apportion_gb(sizes, sum(sizes), decimals)
    assert sum(shown, Decimal(0)) == apportion_gb([sum(sizes)], sum(sizes), decimals)[0]


@given(st.lists(_AMOUNTS, min_size=1, max_size=20))
def test_the_dearer_row_is_never_shown_the_smaller(amounts: list[Decimal]) -> None:
    shown = apportion(amounts, sum(amounts), Decimal("0.01"))
    pairs = sorted(zip(amounts, [n or 0 for n in shown], strict=True))
    for (low, low_shown), (high, high_shown) in pairwise(pairs):
        assert low == high or low_shown <= high_shown


def test_ties_go_to_the_first_rows() -> None:
    assert apportion([Decimal("0.005")] * 4, Decimal("0.02"), Decimal("0.01")) == [1, 1, 0, 0]


def test_a_bound_decides_who_is_rounded_up() -> None:
    parts = [Decimal("0.017"), Decimal("0.013"), Decimal("0.010")]
    assert apportion(parts, sum(parts), Decimal("0.01")) == [2, 1, 1]
    assert apportion(parts, sum(parts), Decimal("0.01"), [1]) == [1, 2, 1]
    # The total comes before the bounds.
    assert apportion(parts, sum(parts), Decimal("0.01"), [1, 1, 1]) == [2, 1, 1]


@pytest.mark.parametrize("decimals", [2, 6])
def test_no_low_end_is_shown_above_its_high_end(decimals: int) -> None:
    costs = rounded_costs(build_report(400, mounting="mixed"), decimals)
    pairs = [
        *zip(costs.repositories_registry, costs.repositories_repository, strict=True),
        *zip(costs.repositories_orphaned, costs.repositories_repository, strict=True),
        *zip(costs.registries_low, costs.registries_high, strict=True),
    ]
    assert all(low is not None and high is not None and low <= high for low, high in pairs)


def test_rows_that_miss_their_total_are_refused() -> None:
    with pytest.raises(ValueError, match="more than rounding"):
        apportion([1, 2], 9, 1)
    with pytest.raises(ValueError, match="more than rounding"):
        apportion([1, 2], 1, 1)


def test_amounts_are_plain_decimals_with_two_places_at_least() -> None:
    texts = [amount_text(Decimal(text)) for text in ("0", "-0", "1E+2", "12.340000", "0.000001", "3.1")]
    assert texts == ["0.00", "0.00", "100.00", "12.34", "0.000001", "3.10"]
    assert not amount_text(None)
    assert amount_text(rounded(Money(Decimal(1) / 3), 6)) == "0.333333"
    assert amount_text(rounded(Money(Decimal("123456789012.1234565")), 6)) == "123456789012.123456"


@pytest.mark.parametrize("decimals", [2, 6])
@pytest.mark.parametrize("repositories", [0, 1, 5, 60])
@pytest.mark.parametrize("unpriced", [False, True])
def test_every_money_column_of_a_report_adds_up(repositories: int, unpriced: bool, decimals: int) -> None:
    report = build_report(repositories, unpriced=unpriced, mounting="mixed")
    costs, totals = rounded_costs(report, decimals), report.totals
    columns = [
        (costs.repositories_repository, totals.cost.repository),
        ([*costs.repositories_registry, costs.shared], totals.cost.registry),
        (costs.repositories_orphaned, totals.orphaned_cost.repository),
        (costs.registries_repository, totals.cost.repository),
        (costs.registries_registry, totals.cost.registry),
        (costs.registries_low, totals.cost_low),
        (costs.registries_high, totals.cost_high),
    ]
    for column, total in columns:
        known = [amount for amount in column if amount is not None]
        assert sum(known, Decimal(0)) == rounded(total, decimals)


def test_a_gb_is_what_aws_bills() -> None:
    assert apportion_gb([GB], GB, 2) == [Decimal("1.00")]
