"""What every JSON document has alike: money as a decimal string with currency and period, and gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from analyzer.model.records import Gap
from analyzer.model.units import Money
from reports.rounding import EXACT_DECIMALS, amount_text, rounded


def money_object(money: Money, scope: str | None = None) -> dict[str, Any]:
    """``money`` as exact as documents have it; the amount is None where it is not known."""
    return amount_object(money, rounded(money, EXACT_DECIMALS), scope)


def amount_object(money: Money, amount: Decimal | None, scope: str | None = None) -> dict[str, Any]:
    """``money`` with an ``amount`` that was rounded already, so that rows add up to their total."""
    shown: dict[str, Any] = {
        "amount": None if amount is None else amount_text(amount),
        "currency": money.currency,
        "period": money.period,
    }
    if scope is not None:
        shown["scope"] = scope
    if money.leaves_out:
        shown["leaves_out"] = list(money.leaves_out)
    return shown


def gap_objects(gaps: Iterable[Gap], accepted: Iterable[tuple[Gap, str]]) -> dict[str, Any]:
    """Open gaps, and accepted ones with the reason given for each."""
    return {
        "gaps": [asdict(gap) for gap in gaps],
        "accepted_gaps": [{**asdict(gap), "accepted_because": reason} for gap, reason in accepted],
    }
