"""Rounding that keeps sums true: columns add up in the very digits that are shown.

Each column is rounded as a whole. Its total is rounded to the nearest unit, every row down, and
the units that are then missing go to the rows that lost most (largest remainder; ties by row
order). A row can therefore differ from its own rounding by less than one unit. Where one figure of
a row bounds another (stored bytes the unique ones, say), rows that would break the bound come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from analyzer.model.results import Report
from analyzer.model.units import GB, Money

#: Decimals of the amounts in JSON and CSV.
EXACT_DECIMALS = 6
#: Decimals of the amounts on the page.
CENT_DECIMALS = 2


def apportion(
    parts: Sequence[Decimal | Fraction | int | None],
    total: Decimal | Fraction | int,
    unit: Decimal | Fraction | int,
    most: Sequence[int | None] | None = None,
) -> list[int | None]:
    """How many ``unit`` each of ``parts`` shows, so that they sum to ``total`` rounded half to even.

    ``most`` holds, by position, units that a part should not be shown above; it may be shorter than
    ``parts``, and gives way where the total could not be met otherwise. A part that is None (unknown)
    stays None and takes no share. Raises ValueError where the parts do not make up the total to within
    a unit: then rounding is not what keeps them apart.
    """
    step = Fraction(unit)
    target = round(Fraction(total) / step)
    units: list[int | None] = [None] * len(parts)
    remainders: list[tuple[bool, Fraction, int]] = []
    bounds = [*(most or ()), *[None] * len(parts)]
    missing = target
    for position, part in enumerate(parts):
        if part is None:
            continue
        exact = Fraction(part) / step
        whole = exact.__floor__()
        units[position] = whole
        missing -= whole
        bound = bounds[position]
        remainders.append((bound is not None and whole >= bound, whole - exact, position))
    if not 0 <= missing <= len(remainders):
        raise ValueError(f"the rows differ from their total {total} by more than rounding")
    for *_, position in sorted(remainders)[:missing]:
        units[position] = (units[position] or 0) + 1
    return units


def apportion_money(
    parts: Sequence[Money], total: Money, decimals: int, most: Sequence[Decimal | None] | None = None
) -> list[Decimal | None]:
    """The amounts of ``parts`` to ``decimals`` places, adding up to that of ``total``.

    ``most`` are amounts of the same places that bound them, as in ``apportion``. Unknown amounts stay
    None. Where the total itself is unknown nothing needs to add up.
    """
    if total.amount is None:
        return [_rounded(part.amount, decimals) for part in parts]
    bounds = None if most is None else [None if b is None else int(b.scaleb(decimals)) for b in most]
    unit = Decimal(1).scaleb(-decimals)
    units = apportion([part.amount for part in parts], total.amount, unit, bounds)
    return [None if n is None else Decimal(n).scaleb(-decimals) for n in units]


def apportion_gb(
    parts: Sequence[int], total: int, decimals: int, most: Sequence[Decimal] | None = None
) -> list[Decimal]:
    """Bytes as GB to ``decimals`` places, adding up to those of ``total`` bytes.

    ``most`` are GB of the same places that bound them, as in ``apportion``.
    """
    bounds = None if most is None else [int(bound.scaleb(decimals)) for bound in most]
    units = apportion(parts, total, Fraction(GB, 10**decimals), bounds)
    return [Decimal(n or 0).scaleb(-decimals) for n in units]


def rounded(money: Money, decimals: int) -> Decimal | None:
    """The amount of ``money`` to ``decimals`` places, half to even; None when unknown."""
    return _rounded(money.amount, decimals)


def exact_text(money: Money) -> str:
    """The amount of ``money`` for a column of raw numbers; "" when unknown."""
    return amount_text(rounded(money, EXACT_DECIMALS))


def amount_text(amount: Decimal | None) -> str:
    """A plain decimal without exponent and without trailing zeros, at least two decimals; "" if None."""
    if amount is None:
        return ""
    whole, _, fraction = format(amount, "f").partition(".")
    text = f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
    return text.removeprefix("-") if not amount else text


def _rounded(amount: Decimal | None, decimals: int) -> Decimal | None:
    # Through fractions, as apportion() does: no context of Decimal has a say in it.
    if amount is None:
        return None
    return Decimal(round(Fraction(amount) * 10**decimals)).scaleb(-decimals)


def shared_bytes(report: Report) -> int:
    """What completes the repositories' bytes at registry scope: held by more than one of them."""
    return report.totals.physical_bytes.registry - sum(
        row.physical_bytes.registry for row in report.repositories
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Every column of money in a report, rounded; one entry per row in the report's own order."""

    repositories_repository: list[Decimal | None]
    #: Its rows and ``shared`` make up the total at registry scope.
    repositories_registry: list[Decimal | None]
    repositories_orphaned: list[Decimal | None]
    shared: Decimal | None
    registries_repository: list[Decimal | None]
    registries_registry: list[Decimal | None]
    registries_low: list[Decimal | None]
    registries_high: list[Decimal | None]


def rounded_costs(report: Report, decimals: int) -> Costs:
    """The money columns of ``report`` to ``decimals`` places, each adding up to its total."""
    totals, rows, registries = report.totals, report.repositories, report.registries
    repository = apportion_money([row.cost.repository for row in rows], totals.cost.repository, decimals)
    *unique, shared = apportion_money(
        [*(row.cost.registry for row in rows), report.shared_cost],
        totals.cost.registry,
        decimals,
        repository,
    )
    high = apportion_money([row.cost_high for row in registries], totals.cost_high, decimals)
    registry_high = apportion_money(
        [row.cost.repository for row in registries], totals.cost.repository, decimals
    )
    return Costs(
        repositories_repository=repository,
        repositories_registry=unique,
        repositories_orphaned=apportion_money(
            [row.orphaned_cost for row in rows], totals.orphaned_cost.repository, decimals, repository
        ),
        shared=shared,
        registries_repository=registry_high,
        registries_registry=apportion_money(
            [row.cost.registry for row in registries], totals.cost.registry, decimals, registry_high
        ),
        registries_low=apportion_money([row.cost_low for row in registries], totals.cost_low, decimals, high),
        registries_high=high,
    )
