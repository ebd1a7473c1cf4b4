"""What an outcome is worth: of each repository, of all, and of what archiving adds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pandas as pd

from analyzer.lifecycle.payback import RatesOfChange, archive_payback, rates_of_change
from analyzer.lifecycle.savings import Savings
from analyzer.model.frames import Frames, Int64
from analyzer.model.results import UNKNOWN_SIZE, ScopedBytes, ScopedMoney
from analyzer.model.simulation import Archiving
from analyzer.model.units import Money, Scope, ScopeChoice, add_up
from analyzer.pricing import PriceBook, StorageRates, rates

SCOPES: tuple[Scope, ...] = ("repository", "registry")
_NOTHING = Money(Decimal(0))
_NO_REGION = "the region is not known"

#: Bytes of a row or registry at one scope, by the names that ``rates_of_change`` takes.
_Volumes = dict[str, int]
_CHANGES = ("freed_standard_bytes", "freed_archive_bytes", "archived_bytes")


@dataclass(frozen=True, slots=True)
class Unknown:
    """What nobody knows of some repositories, or of what leaves them, and money does not contain."""

    #: In the words of ``model.results``.
    held: frozenset[str]
    #: Whether something of unknown size is expired, and archived.
    expired: bool
    archived: bool

    def of_cost(self, money: Money, *, held_bytes: int) -> Money:
        """``money`` for what is held, saying what it leaves out."""
        return _beside(money, self.held, is_something=held_bytes > 0)

    def of_saving(self, money: Money, *, moved_bytes: int) -> Money:
        """``money`` for what leaves or is archived, saying what it leaves out."""
        return _beside(money, _UNSIZED[self.expired or self.archived], is_something=moved_bytes > 0)

    def of_expiry(self, money: Money, *, freed_bytes: int) -> Money:
        """``money`` for what leaves, saying what it leaves out."""
        return _beside(money, _UNSIZED[self.expired], is_something=freed_bytes > 0)


_UNSIZED: Mapping[bool, Collection[str]] = {False: (), True: (UNKNOWN_SIZE,)}


def _beside(money: Money, reasons: Collection[str], *, is_something: bool) -> Money:
    if not reasons:
        return money
    # Nothing beside something unknown is not nothing; what is there and worth nothing is.
    amount = money.amount if money.amount or is_something else None
    return replace(money, amount=amount, leaves_out=tuple(sorted({*money.leaves_out, *reasons})))


class OutcomeValue:
    """One measurement with what it is worth, row by row; in plain Python numbers, exact."""

    def __init__(self, frames: Frames, savings: Savings, prices: PriceBook, scope: ScopeChoice) -> None:
        """Price ``savings``, those of all of ``frames``."""
        self._prices = prices
        self._rows = _columns(savings.repositories)
        self._registries = _columns(savings.registries)
        self._registry_of = frames.repositories["registry"].tolist()
        self._regions = frames.registries["region"].tolist()
        mounting = frames.registries["blob_mounting_ever"].tolist()
        self._low = [_low_end(bool(ever), scope) for ever in mounting]
        self._high: Scope = "repository" if scope == "auto" else scope
        self._held: dict[tuple[str, Scope], StorageRates] = {}
        self._change: dict[tuple[str, Scope], RatesOfChange] = {}
        self._expiry: dict[tuple[str, Scope], RatesOfChange] = {}
        self._volumes: dict[tuple[str, Scope], _Volumes] = {}
        for region in dict.fromkeys(self._regions):
            for each in SCOPES:
                volumes = self._volume(region, each)
                self._volumes[region, each] = volumes
                self._held[region, each] = rates(
                    prices,
                    region,
                    standard_bytes_total=volumes["standard_bytes"],
                    archive_bytes_total=volumes["archive_bytes"],
                )
                self._change[region, each] = rates_of_change(prices, region, **volumes)
                self._expiry[region, each] = rates_of_change(
                    prices, region, **volumes | {"archived_bytes": 0}
                )

    def _volume(self, region: str, scope: Scope) -> _Volumes:
        of = [number for number, name in enumerate(self._regions) if name == region]

        def total(name: str) -> int:
            column = self._registries[f"{name}_{scope}"]
            return sum(column[number] for number in of)

        archive, freed_archive = total("archive_bytes"), total("freed_archive_bytes")
        return {
            "standard_bytes": total("physical_bytes") - archive,
            "archive_bytes": archive,
            "freed_standard_bytes": total("freed_bytes") - freed_archive,
            "freed_archive_bytes": freed_archive,
            "archived_bytes": total("archived_bytes"),
        }

    def bytes_of_row(self, row: int) -> _Volumes:
        """Every figure of the row."""
        return {name: column[row] for name, column in self._rows.items()}

    def sum_of_rows(self, name: str, rows: Int64) -> int:
        """Of ``rows`` together."""
        column = self._rows[name]
        return sum(column[row] for row in rows.tolist())

    def sum_of_registries(self, name: str) -> int:
        """Of all registries together."""
        return sum(self._registries[name])

    def moved(self, rows: Int64, name: str) -> ScopedBytes:
        """Freed or archived bytes of ``rows``, outside of which nothing moves."""
        return ScopedBytes(
            repository=self.sum_of_rows(name, rows), registry=self.sum_of_registries(f"{name}_registry")
        )

    def of_row(self, row: int, *, unknown: Unknown) -> dict[str, Any]:
        """The money of an Effect, beside what is unknown there."""
        number = self._registry_of[row]
        region = self._regions[number]
        parts: dict[Scope, _Volumes] = {
            scope: self._part(row, "unique_" if scope == "registry" else "") for scope in SCOPES
        }
        cost = {scope: self._cost(region, scope, parts[scope]) for scope in SCOPES}
        saving = {scope: self._saving(self._change, region, scope, parts[scope]) for scope in SCOPES}
        expiry = {
            scope: self._saving(self._expiry, region, scope, parts[scope] | {"archived_bytes": 0})
            if self._volumes[region, scope]["archived_bytes"]
            else saving[scope]
            for scope in SCOPES
        }
        return self._effect_money(
            cost,
            saving,
            expiry,
            low=saving[self._low[number]],
            high=saving[self._high],
            naive=self._naive(region, self._rows["expired_logical_bytes"][row]),
            naive_bytes=self._rows["expired_logical_bytes"][row],
            parts=parts,
            low_part=parts[self._low[number]],
            unknown=unknown,
        )

    def totals(self, rows: Int64, outside: Sequence[tuple[int, int]], *, unknown: Unknown) -> dict[str, Any]:
        """The money of an Effect over ``rows``; ``outside``: what others hold in each registry."""
        asked = rows.tolist()
        numbers = range(len(self._regions))
        whole: dict[Scope, list[_Volumes]] = {
            "repository": [self._sum_of_registry(number, asked) for number in numbers],
            "registry": [self._whole(number, outside[number]) for number in numbers],
        }

        def each(make: Callable[[str, Scope, _Volumes], Money], scope: Scope) -> list[Money]:
            return [
                make(self._regions[number], scope, part)
                for number, part in zip(numbers, whole[scope], strict=True)
            ]

        cost = {scope: add_up(each(self._cost, scope)) for scope in SCOPES}
        saving = {
            scope: each(lambda region, of, part: self._saving(self._change, region, of, part), scope)
            for scope in SCOPES
        }
        expiry = {
            scope: add_up(
                each(
                    lambda region, of, part: self._saving(
                        self._expiry, region, of, part | {"archived_bytes": 0}
                    ),
                    scope,
                )
            )
            for scope in SCOPES
        }
        naive: dict[int, int] = dict.fromkeys(numbers, 0)
        for row in asked:
            naive[self._registry_of[row]] += self._rows["expired_logical_bytes"][row]
        low = [whole[self._low[number]][number] for number in numbers]
        return self._effect_money(
            cost,
            {scope: add_up(saving[scope]) for scope in SCOPES},
            expiry,
            low=add_up(saving[self._low[number]][number] for number in numbers),
            high=add_up(saving[self._high]),
            naive=add_up(self._naive(self._regions[number], size) for number, size in naive.items()),
            naive_bytes=sum(naive.values()),
            parts={scope: _sum(whole[scope]) for scope in SCOPES},
            low_part=_sum(low),
            unknown=unknown,
        )

    def archiving(self) -> Iterator[Archiving]:
        """Whether archiving pays, for each region where something is archived."""
        for region in sorted(set(self._regions)):
            volumes = self._volumes[region, "repository"]
            if not region or not volumes["archived_bytes"]:
                continue
            payback = archive_payback(self._prices, region, **volumes)
            yield Archiving(
                region=region,
                archived_bytes=payback.archived_bytes,
                saving=payback.saving,
                saves=payback.saves,
                minimum_days=payback.minimum_days,
                minimum_cost=payback.minimum_cost,
                retrieval_cost=payback.retrieval_cost,
            )

    def _part(self, row: int, prefix: str) -> _Volumes:
        of = self._rows
        physical = of["unique_bytes" if prefix else "physical_bytes"][row]
        archive = of[f"{prefix}archive_bytes"][row]
        freed, freed_archive = of[f"freed_{prefix}bytes"][row], of[f"freed_{prefix}archive_bytes"][row]
        return {
            "standard_bytes": physical - archive,
            "archive_bytes": archive,
            "freed_standard_bytes": freed - freed_archive,
            "freed_archive_bytes": freed_archive,
            "archived_bytes": of[f"archived_{prefix}bytes"][row],
        }

    def _sum_of_registry(self, number: int, rows: Sequence[int]) -> _Volumes:
        return _sum([self._part(row, "") for row in rows if self._registry_of[row] == number])

    def _whole(self, number: int, outside: tuple[int, int]) -> _Volumes:
        of = {name: column[number] for name, column in self._registries.items()}
        physical, archive = outside
        freed, freed_archive = of["freed_bytes_registry"], of["freed_archive_bytes_registry"]
        held_archive = of["archive_bytes_registry"] - archive
        return {
            "standard_bytes": of["physical_bytes_registry"] - physical - held_archive,
            "archive_bytes": held_archive,
            "freed_standard_bytes": freed - freed_archive,
            "freed_archive_bytes": freed_archive,
            "archived_bytes": of["archived_bytes_registry"],
        }

    def _cost(self, region: str, scope: Scope, part: Mapping[str, int]) -> Money:
        standard, archive = part["standard_bytes"], part["archive_bytes"]
        if not standard and not archive:
            return _NOTHING
        if not region:
            return Money.unknown(_NO_REGION)
        return self._held[region, scope].cost(standard_bytes=standard, archive_bytes=archive)

    def _saving(
        self,
        at: Mapping[tuple[str, Scope], RatesOfChange],
        region: str,
        scope: Scope,
        part: Mapping[str, int],
    ) -> Money:
        moved = {name: part[name] for name in _CHANGES}
        if not any(moved.values()):
            return _NOTHING
        return at[region, scope].saving(**moved) if region else Money.unknown(_NO_REGION)

    def _naive(self, region: str, size: int) -> Money:
        if not size:
            return _NOTHING
        if not region:
            return Money.unknown(_NO_REGION)
        return self._held[region, "repository"].cost(standard_bytes=size, archive_bytes=0)

    def _effect_money(
        self,
        cost: Mapping[Scope, Money],
        saving: Mapping[Scope, Money],
        expiry: Mapping[Scope, Money],
        *,
        low: Money,
        high: Money,
        naive: Money,
        naive_bytes: int,
        parts: Mapping[Scope, Mapping[str, int]],
        low_part: Mapping[str, int],
        unknown: Unknown,
    ) -> dict[str, Any]:
        """The money of an Effect, for the bytes of ``parts`` (of ``low``: ``low_part``)."""

        def scoped(beside: Callable[[Scope], Money]) -> ScopedMoney:
            return ScopedMoney(repository=beside("repository"), registry=beside("registry"))

        return {
            "cost": scoped(lambda scope: unknown.of_cost(cost[scope], held_bytes=_held(parts[scope]))),
            "saving": scoped(
                lambda scope: unknown.of_saving(saving[scope], moved_bytes=_moved(parts[scope]))
            ),
            "saving_low": unknown.of_saving(low, moved_bytes=_moved(low_part)),
            "saving_high": unknown.of_saving(high, moved_bytes=_moved(parts[self._high])),
            "expiry_saving": scoped(
                lambda scope: unknown.of_expiry(expiry[scope], freed_bytes=_freed(parts[scope]))
            ),
            "naive_saving": unknown.of_expiry(naive, freed_bytes=naive_bytes),
        }


def _held(part: Mapping[str, int]) -> int:
    return part["standard_bytes"] + part["archive_bytes"]


def _freed(part: Mapping[str, int]) -> int:
    return part["freed_standard_bytes"] + part["freed_archive_bytes"]


def _moved(part: Mapping[str, int]) -> int:
    return _freed(part) + part["archived_bytes"]


def _sum(parts: Sequence[Mapping[str, int]]) -> _Volumes:
    return {
        name: sum(part[name] for part in parts) for name in ("standard_bytes", "archive_bytes", *_CHANGES)
    }


def _columns(frame: pd.DataFrame) -> dict[str, list[int]]:
    return {str(name): frame[name].tolist() for name in frame}


def _low_end(mounting_ever: bool, scope: ScopeChoice) -> Scope:  # noqa: FBT001
    if scope == "auto":
        return "registry" if mounting_ever else "repository"
    return scope
