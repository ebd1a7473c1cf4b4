"""In which regions archiving saves nothing, at the volumes that are there."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pandas as pd

from analyzer.lifecycle.lint_fleet import Fleet
from analyzer.lifecycle.payback import ArchivePayback, archive_payback
from analyzer.model.units import GB
from analyzer.pricing import PriceBook


def regions_without_payback(fleet: Fleet, prices: PriceBook) -> dict[str, str]:
    """Why archiving does not pay, by region; regions where it does, or nobody can tell, are left out.

    Volumes are those of all registries of a region, since they decide the archive's tier. How far
    layers are shared is not known, so a region is named only where archiving saves nothing at either
    end: with every repository by itself, and with all that can be shared.
    """
    registries = fleet.holdings.measure(fleet.verdicts.outcome).registries
    registries["region"] = fleet.world.frames.registries["region"].astype(str)
    found = {}
    for region, sums in registries.groupby("region").sum().iterrows():
        paybacks = list(_paybacks(prices, str(region), sums))
        if all(payback.archived_bytes and payback.saves is False for payback in paybacks):
            upper = paybacks[0]
            loses = any(payback.saving.amount for payback in paybacks)
            found[str(region)] = (
                f"in {region} the archive costs {'more than' if loses else 'as much as'} the standard class "
                f"at the {Decimal(upper.archived_bytes) / GB:,.2f} GB that would be archived there, and "
                f"each image is billed for {upper.minimum_days} days at least"
            )
    return found


def _paybacks(prices: PriceBook, region: str, sums: pd.Series) -> Iterator[ArchivePayback]:
    """What archiving comes to at the scopes repository and registry."""
    for scope in ("repository", "registry"):
        archive, freed_archive = (
            int(sums[f"{name}_{scope}"]) for name in ("archive_bytes", "freed_archive_bytes")
        )
        yield archive_payback(
            prices,
            region,
            standard_bytes=int(sums[f"physical_bytes_{scope}"]) - archive,
            archive_bytes=archive,
            freed_standard_bytes=int(sums[f"freed_bytes_{scope}"]) - freed_archive,
            freed_archive_bytes=freed_archive,
            archived_bytes=int(sums[f"archived_bytes_{scope}"]),
        )
