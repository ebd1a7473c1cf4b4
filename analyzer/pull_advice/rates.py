"""What a byte costs, pulled from one region to another or stored there, and how amounts are said."""

from __future__ import annotations

from fractions import Fraction

from analyzer.model.transfer import MoneyRange
from analyzer.model.units import GB, Money
from analyzer.pricing import class_cost, exact_decimal
from analyzer.pull_advice.flows import ZERO
from analyzer.pull_pricing import Rates


class ByteRates(Rates):
    """USD per byte between regions, as paid and as avoided; and of a byte stored for a month."""

    def avoided(self, region: str, to_region: str) -> tuple[Fraction | None, str]:
        """USD per byte that is pulled at home instead of from ``region``, and what is left out of it."""
        transfer = self.transfer(region, to_region)
        if transfer.low is None:
            return None, transfer.reason
        through = self.nat(region, to_region)
        at_home = self.nat(to_region, to_region)
        if through is None or at_home is None:
            return transfer.low, ""
        if through.low is None or at_home.low is None:
            return transfer.low, through.reason or at_home.reason
        return transfer.low + through.low - at_home.low, ""

    def paid_now(self, region: str, to_region: str) -> Fraction:
        """USD per byte that is paid now, as far as it is known."""
        nat = self.nat(region, to_region)
        return (self.transfer(region, to_region).low or ZERO) + ((nat.low if nat else None) or ZERO)

    def storage(self, region: str) -> Fraction | None:
        """USD of a byte and month of the class standard at its first tier."""
        cost = class_cost(self._prices, region, "standard", GB)
        return None if cost is None else cost / GB


def money(usd: Fraction | None, reason: str = "") -> Money:
    """``usd`` as money that leaves out ``reason``."""
    return Money(None if usd is None else exact_decimal(usd), leaves_out=(reason,) if reason else ())


def money_range(low: Fraction | None, high: Fraction | None, reason: str = "") -> MoneyRange:
    """Both ends as money."""
    return MoneyRange(money(low, reason), money(high, reason))


def caveats(*texts: str) -> tuple[str, ...]:
    """Those of ``texts`` that say something."""
    return tuple(text for text in texts if text)
