"""The frontier in money: every point priced by the tiers of its whole region.

A tier of AWS's price list counts all the bytes of a region together. So a saving is what the bill
of the region is today less what it would be then, whoever holds the bytes; and the cost of a curve
is what its bytes cost today, by the blended rates of ``pricing``, less that saving.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np

from analyzer.families import UNKNOWN, Families
from analyzer.lifecycle.frontier import merged
from analyzer.model.frames import NO_TIME, Frames, Int64
from analyzer.model.frontier import (
    LADDER,
    Frontier,
    FrontierCurve,
    FrontierPoint,
    PricedFrontier,
    RepositoryFrontier,
    Steps,
)
from analyzer.model.records import ReadStatus
from analyzer.model.results import (
    UNKNOWN_SIZE,
    UNLISTED_IMAGES,
    UNLISTED_REPOSITORIES,
    ScopedBytes,
    ScopedMoney,
)
from analyzer.model.units import GB, Money, Scope
from analyzer.pricing import STORAGE_CLASSES, PriceBook, class_cost, exact_decimal, rates

_SCOPES: tuple[Scope, ...] = ("repository", "registry")
#: Sums of amounts that pricing gives to its hundred and fiftieth digit.
_DIGITS = 200


def price_frontier(
    frontier: Frontier,
    frames: Frames,
    families: Families,
    prices: PriceBook,
    *,
    every_point: bool = False,
) -> PricedFrontier:
    """``frontier`` with money at both scopes; the fleet at every N where something changes.

    Repositories get the N of ``LADDER`` that lie below today's, and today's; with ``every_point``
    every N where something changes. Money without a known price is unknown, or names what it leaves
    out; so does money beside artifacts of unknown size and repositories that were never listed.
    """
    with localcontext() as context:
        context.prec = _DIGITS
        pricing = _Pricing(frontier, frames, families, prices)
        return PricedFrontier(
            by=frontier.by,
            fleet=pricing.fleet(),
            repositories=tuple(pricing.repositories(every_point=every_point)),
        )


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Why figures are less than all: sizes that nobody knows, and things that nobody could list."""

    sizes: frozenset[str]
    listings: frozenset[str]

    @property
    def reasons(self) -> frozenset[str]:
        return self.sizes | self.listings


class _Meter:
    """The bill of one region for any bytes that might be left of it: ``storage_cost``, and fast."""

    def __init__(self, prices: PriceBook, region: str) -> None:
        #: By class and tier, from the last to the first: where it begins, what all below it costs,
        #: and USD per byte. All exact. None where the price is not known.
        self._tiers: list[list[tuple[int, Decimal, Decimal]] | None] = []
        for storage_class in STORAGE_CLASSES:
            price = prices.price(region, storage_class)
            if price is None:
                self._tiers.append(None)
                continue
            steps = []
            for tier in price.tiers:
                begin = tier.from_gb * GB
                below, above = (
                    class_cost(prices, region, storage_class, size) or Fraction(0)
                    for size in (begin, begin + 1)
                )
                steps.append((begin, exact_decimal(below), exact_decimal(above - below)))
            self._tiers.append(steps[::-1])

    def amount(self, standard_bytes: int, archive_bytes: int) -> Decimal | None:
        """USD per month of all that the region holds, as ``storage_cost`` gives it."""
        total, known, missing = Decimal(0), False, False
        for tiers, size in zip(self._tiers, (standard_bytes, archive_bytes), strict=True):
            if not size:
                continue
            if tiers is None:
                missing = True
                continue
            known = True
            begin, below, rate = next(tier for tier in tiers if tier[0] <= size)
            total += below + rate * (size - begin)
        return total if known or not missing else None


@dataclass(frozen=True, slots=True)
class _Priced:
    """Money of the points of one curve at one scope."""

    costs: list[Decimal | None]
    savings: list[Decimal | None]
    #: Why it is less than all, as far as prices go.
    reasons: frozenset[str]


class _Pricing:
    """One frontier with the bills of its regions."""

    def __init__(self, frontier: Frontier, frames: Frames, families: Families, prices: PriceBook) -> None:
        self._frontier = frontier
        self._frames = frames
        self._prices = prices
        names = frames.registries["region"].tolist()
        self._regions = sorted(set(names))
        number = {name: position for position, name in enumerate(self._regions)}
        self._region_of = np.array([number[name] for name in names], np.int64)
        self._steps = merged(frontier.registries, self._region_of, len(self._regions))
        self._repositories = frames.repositories[["registry", "repository", "complete_at_ms"]].to_dict("list")
        self._unsized = np.bincount(
            frames.artifacts.repository[families.kind == UNKNOWN], minlength=len(frames.repositories)
        )
        #: What the region holds today: of the chosen repositories, and of all.
        self._chosen_today = {scope: self._today(self._steps, scope) for scope in _SCOPES}
        self._all_today = {
            scope: [
                (standard + int(rest_standard), archive + int(rest_archive))
                for (standard, archive), rest_standard, rest_archive in zip(
                    self._chosen_today[scope],
                    self._by_region(frontier.rest.standard(scope)),
                    self._by_region(frontier.rest.archive(scope)),
                    strict=True,
                )
            ]
            for scope in _SCOPES
        }
        self._meters = [_Meter(prices, name) for name in self._regions]

    def fleet(self) -> FrontierCurve:
        """The same N in all chosen repositories, a point for every N where something changes."""
        steps = merged(self._frontier.registries, np.zeros(len(self._region_of), np.int64), 1)
        unknown = self._unknown_of(np.flatnonzero(self._frontier.chosen).tolist(), of_registries=True)
        by_scope = {}
        for scope in _SCOPES:
            parts = []
            for region in range(len(self._regions)):
                begin, end = self._steps.offsets[region : region + 2].tolist()
                standard = self._steps.stored.standard(scope)[begin:end].tolist()
                archive = self._steps.stored.archive(scope)[begin:end].tolist()
                priced = self._priced(scope, region, standard, archive)
                at = np.searchsorted(self._steps.n[begin:end], steps.n, side="right") - 1
                held = at.tolist()
                parts.append(
                    _Priced(
                        [priced.costs[k] for k in held], [priced.savings[k] for k in held], priced.reasons
                    )
                )
            by_scope[scope] = _summed(parts, len(steps.n))
        return self._curve(steps, slice(0, len(steps.n)), by_scope, unknown)

    def repositories(self, *, every_point: bool) -> Iterator[RepositoryFrontier]:
        """The curves of the chosen repositories."""
        steps = self._frontier.repositories
        keys = self._frames.registries[["account", "region"]].to_dict("records")
        for position in np.flatnonzero(self._frontier.chosen).tolist():
            begin, end = steps.offsets[position : position + 2].tolist()
            at = slice(begin, end) if every_point else self._on_ladder(begin, end)
            registry = self._repositories["registry"][position]
            region = int(self._region_of[registry])
            by_scope = {
                scope: self._priced(
                    scope,
                    region,
                    steps.stored.standard(scope)[at].tolist(),
                    steps.stored.archive(scope)[at].tolist(),
                )
                for scope in _SCOPES
            }
            yield RepositoryFrontier(
                account=keys[registry]["account"],
                region=keys[registry]["region"],
                repository=self._repositories["repository"][position],
                curve=self._curve(steps, at, by_scope, self._unknown_of([position]), every=every_point),
            )

    def _on_ladder(self, begin: int, end: int) -> Int64:
        """Positions of the steps that hold at the N of the ladder below today's, and of today's."""
        n = self._frontier.repositories.n[begin:end]
        rungs = [rung for rung in LADDER[self._frontier.by] if rung < n[-1]]
        return begin + np.append(np.searchsorted(n, rungs, side="right") - 1, end - begin - 1)

    def _priced(self, scope: Scope, region: int, standard: Sequence[int], archive: Sequence[int]) -> _Priced:
        """What the bill of the region loses at each point of a curve whose last is today's."""
        meter = self._meters[region]
        all_standard, all_archive = self._all_today[scope][region]
        before = meter.amount(all_standard, all_archive)
        savings: list[Decimal | None] = []
        for own_standard, own_archive in zip(standard, archive, strict=True):
            after = meter.amount(
                all_standard - standard[-1] + own_standard, all_archive - archive[-1] + own_archive
            )
            savings.append(None if before is None or after is None else before - after)
        blended = rates(
            self._prices,
            self._regions[region],
            standard_bytes_total=all_standard,
            archive_bytes_total=all_archive,
        )
        today = blended.freed(standard_bytes=standard[-1], archive_bytes=archive[-1])
        reasons = set(today.leaves_out)
        for held in ((any(standard), False), (False, any(archive))):
            reasons.update(blended.freed(standard_bytes=int(held[0]), archive_bytes=int(held[1])).leaves_out)
        costs = [
            None if today.amount is None or saving is None else today.amount - saving for saving in savings
        ]
        return _Priced(costs, savings, frozenset(reasons))

    def _curve(
        self,
        steps: Steps,
        at: slice | Int64,
        by_scope: dict[Scope, _Priced],
        unknown: _Unknown,
        *,
        every: bool = True,
    ) -> FrontierCurve:
        stored = steps.stored
        numbers = steps.n[at].tolist()
        if not every:
            # The rungs themselves, not the N from which on their steps hold.
            numbers[:-1] = [rung for rung in LADDER[self._frontier.by] if rung < numbers[-1]]
        columns: list[list[Any]] = [
            numbers,
            steps.kept[at].tolist(),
            *((stored.standard(scope)[at] + stored.archive(scope)[at]).tolist() for scope in _SCOPES),
            *(stored.archive(scope)[at].tolist() for scope in _SCOPES),
        ]
        money = {
            scope: self._money(priced, unknown, nothing_known=not columns[2][-1])
            for scope, priced in by_scope.items()
        }
        points = []
        for row, (n, kept, upper, lower, upper_archive, lower_archive) in enumerate(
            zip(*columns, strict=True)
        ):
            (upper_cost, upper_saving), (lower_cost, lower_saving) = (money[scope][row] for scope in _SCOPES)
            points.append(
                FrontierPoint(
                    n=n,
                    kept=kept,
                    stored_bytes=ScopedBytes(repository=upper, registry=lower),
                    archive_bytes=ScopedBytes(repository=upper_archive, registry=lower_archive),
                    cost=ScopedMoney(repository=upper_cost, registry=lower_cost),
                    saving=ScopedMoney(repository=upper_saving, registry=lower_saving),
                )
            )
        return FrontierCurve(points=tuple(points))

    def _money(self, priced: _Priced, unknown: _Unknown, *, nothing_known: bool) -> list[tuple[Money, Money]]:
        """Cost and saving of each point."""
        reasons = tuple(sorted(priced.reasons | unknown.reasons))
        hidden = nothing_known and bool(unknown.reasons)
        found = [
            (
                Money(None if hidden else cost, leaves_out=reasons),
                Money(None if hidden else saving, leaves_out=reasons),
            )
            for cost, saving in zip(priced.costs, priced.savings, strict=True)
        ]
        # Whatever else may be unknown, what stays saves nothing.
        if not (unknown.listings and nothing_known):
            found[-1] = (found[-1][0], Money(Decimal(0), leaves_out=tuple(sorted(unknown.listings))))
        return found

    def _unknown_of(self, positions: Sequence[int], *, of_registries: bool = False) -> _Unknown:
        sizes = {UNKNOWN_SIZE} if any(self._unsized[position] for position in positions) else set()
        complete_at = self._repositories["complete_at_ms"]
        listings = {UNLISTED_IMAGES} if any(complete_at[p] == NO_TIME for p in positions) else set()
        if of_registries:
            filled = set(self._repositories["registry"])
            for registry, status in enumerate(self._frames.registries["status"].tolist()):
                # As the report says it: a list that was refused may still be known from before.
                if status == ReadStatus.PARTIAL or (status != ReadStatus.COMPLETE and registry not in filled):
                    listings.add(UNLISTED_REPOSITORIES)
        return _Unknown(frozenset(sizes), frozenset(listings))

    def _today(self, steps: Steps, scope: Scope) -> list[tuple[int, int]]:
        last = steps.today()
        return list(
            zip(
                steps.stored.standard(scope)[last].tolist(),
                steps.stored.archive(scope)[last].tolist(),
                strict=True,
            )
        )

    def _by_region(self, values: Int64) -> list[int]:
        sums = np.zeros(len(self._regions), np.int64)
        np.add.at(sums, self._region_of, values)
        return sums.tolist()


def _summed(parts: Sequence[_Priced], points: int) -> _Priced:
    """The sums of the regions, point by point; nothing and an unknown amount are together unknown."""
    return _Priced(
        [_total([part.costs[point] for part in parts]) for point in range(points)],
        [_total([part.savings[point] for part in parts]) for point in range(points)],
        frozenset().union(*(part.reasons for part in parts)),
    )


def _total(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    total = sum(known, Decimal(0))
    return total if len(known) == len(amounts) or total else None
