"""What simulated bytes cost: the price book over whole arrays."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from analyzer.model.units import GB, Money
from analyzer.pricing import STORAGE_CLASSES, PriceBook

_Floats = npt.NDArray[np.float64]


class RegionPrices:
    """The prices of some regions, for bytes of registries in them."""

    def __init__(self, prices: PriceBook, regions: Sequence[str]) -> None:
        """``regions`` are those of the registries, in their order."""
        self._prices = prices
        self._regions = sorted(set(regions))
        self._of = np.array([self._regions.index(region) for region in regions], np.int64)

    def cost(self, standard: _Floats, archive: _Floats) -> tuple[_Floats | None, tuple[str, ...]]:
        """USD a month of (…, registries) bytes by class, and what has no price; None where nothing has.

        Tiers count the bytes of a region together.
        """
        total = np.zeros(standard.shape[:-1])
        missing, priced = [], False
        for number, region in enumerate(self._regions):
            mine = self._of == number
            for storage_class, held in zip(STORAGE_CLASSES, (standard, archive), strict=True):
                size = held[..., mine].sum(axis=-1)
                if not size.any():
                    continue
                price = self._prices.price(region, storage_class)
                if price is None:
                    missing.append(f"no price for storage-{storage_class} in {region}")
                    continue
                priced = True
                factor = float(self._prices.factor(region, storage_class))
                for position, tier in enumerate(price.tiers):
                    last = position + 1 == len(price.tiers)
                    upper = size if last else np.minimum(size, price.tiers[position + 1].from_gb * GB)
                    in_tier = np.maximum(upper - tier.from_gb * GB, 0)
                    total += in_tier * (float(Fraction(tier.usd_per_gb_month) / GB) * factor)
        return (total if priced or not missing else None), tuple(sorted(missing))


def money(usd: float | None, leaves_out: tuple[str, ...]) -> Money:
    """``usd`` as money, to a hundredth of a cent: it is an estimate."""
    amount = None if usd is None else Decimal(f"{usd:.4f}")
    return Money(amount, leaves_out=leaves_out)
