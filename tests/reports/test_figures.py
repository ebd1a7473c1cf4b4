"""Numbers as a person reads them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from reports import figures

_DASH = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "0.98 KB"),
        (1024, "1.00 KB"),
        (2**30, "1.00 GB"),
        (int(12.34 * 2**30), "12.3 GB"),
        (1000 * 2**30, "0.98 TB"),
        (5000 * 2**40, "5,000 TB"),
    ],
)
def test_sizes_have_three_digits_or_so(size_bytes: int, text: str) -> None:
    assert figures.size(size_bytes) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        ("0", "$0.00"),
        ("0.0049", "<$0.01"),
        ("0.005", "<$0.01"),
        ("999.99", "$999.99"),
        ("12345.6", "$12,346"),
        ("-12345.6", "-$12,346"),
        ("-0.3", "-$0.30"),
        ("-0.0049", ">-$0.01"),
    ],
)
def test_headline_money(amount: str | None, text: str) -> None:
    assert figures.headline_money(None if amount is None else Decimal(amount), "USD") == text


def test_money_rounded_away_is_not_shown_as_nothing() -> None:
    assert figures.headline_money(Decimal("0.00"), "USD", Decimal("0.007")) == "<$0.01"
    assert figures.headline_money(Decimal("0.00"), "USD", Decimal(0)) == "$0.00"


def test_other_currencies_go_by_their_code() -> None:
    assert figures.headline_money(Decimal(3), "CNY") == "CNY 3.00"


def test_something_is_never_shown_as_nothing() -> None:
    assert figures.column_number(Decimal("0.00"), Decimal("0.001"), 2) == "<0.01"
    assert figures.column_number(Decimal("0.00"), 0, 2) == "0.00"
    assert figures.share(1, 1000) == "<1%"
    assert figures.share(999, 1000) == ">99%"
    assert figures.share(1, 3) == "33%"
    assert figures.share(0, 0) == _DASH


def test_a_span_says_a_shared_unit_once() -> None:
    assert figures.span("9.8 TB", "11 TB") == f"9.8{_DASH}11 TB"
    assert figures.span("900 GB", "1.1 TB") == f"900 GB{_DASH}1.1 TB"
    assert figures.span("$1.00", "$2.00") == f"$1.00{_DASH}$2.00"
    assert figures.span("1 GB", "1 GB") == "1 GB"


def test_moments_say_a_shared_day_once() -> None:
    first = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    assert figures.moments(first, first.replace(second=30)) == "2026-11-23 02:00 UTC"
    assert figures.moments(first, first.replace(minute=4)) == f"2026-11-23 02:00{_DASH}02:04 UTC"
    next_day = figures.moments(first, first.replace(day=24))
    assert next_day == f"2026-11-23 02:00{_DASH}2026-11-24 02:00 UTC"


def test_long_lists_are_cut() -> None:
    assert figures.listed([]) == ""
    assert figures.listed(["a"]) == "a"
    assert figures.listed(["a", "b", "c"]) == "a, b and c"
    assert figures.listed([*"abcdefgh"], limit=3) == "a, b and 6 more"
