"""Figures of a simulation as reports show them: at which scopes, what they leave out, adding up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal

from analyzer.model.results import (
    UNKNOWN_SIZE,
    UNLISTED_IMAGES,
    UNLISTED_REPOSITORIES,
    ScopedBytes,
    ScopedMoney,
)
from analyzer.model.simulation import Candidate, Effect, Simulation
from analyzer.model.units import Money, Scope, add_up
from reports.facts import money_at
from reports.missing import WHOLE, Missing
from reports.rounding import EXACT_DECIMALS, apportion_money, rounded

#: What tools without layers would say, for all formats to say it alike.
NAIVE: Final = "tools that add up image sizes"


def main_scope(simulation: Simulation) -> Scope:
    """The scope of the main figures: the one that was asked for; ``auto`` stands at repository scope."""
    return "registry" if simulation.scope == "registry" else "repository"


def shown_scopes(simulation: Simulation) -> tuple[Scope, ...]:
    """The scopes that figures are shown at, the main one first.

    With ``auto`` both, except where all the registries in question are known never to have shared
    layers between repositories.
    """
    if simulation.scope != "auto":
        return (simulation.scope,)
    registries = simulation.frames.registries.iloc[_registries(simulation)]
    proven_off = (registries["blob_mounting"] == "DISABLED") & ~registries["blob_mounting_ever"].astype(bool)
    return ("repository",) if bool(proven_off.all()) else ("repository", "registry")


def low_scopes(simulation: Simulation, candidate: Candidate) -> list[Scope]:
    """Where ``saving_low`` of each repository of ``candidate`` stands."""
    if simulation.scope != "auto":
        return [simulation.scope] * len(candidate.repositories)
    ever, of = simulation.frames.registries["blob_mounting_ever"].tolist(), _registry_of(simulation)
    return ["registry" if ever[of[row.position]] else "repository" for row in candidate.repositories]


def low_scope_of_all(simulation: Simulation, candidate: Candidate) -> Scope | Literal["mixed"]:
    """Where ``saving_low`` of the totals of ``candidate`` stands."""
    scopes = set(low_scopes(simulation, candidate)) or {main_scope(simulation)}
    return scopes.pop() if len(scopes) == 1 else "mixed"


def _registry_of(simulation: Simulation) -> list[int]:
    numbers: list[int] = simulation.frames.repositories["registry"].tolist()
    return numbers


def _registries(simulation: Simulation) -> list[int]:
    """The registries of the repositories in question."""
    of = _registry_of(simulation)
    return sorted({of[row.position] for one in simulation.candidates for row in one.repositories})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the figures of one effect leave out: its money says so, and the same is true of the rest."""

    #: The artifacts that are there.
    counted: Missing
    stored: Missing
    freed: Missing
    archived: Missing


def known_of(effect: Effect) -> Known:
    """What the figures of ``effect`` leave out."""
    archived = _missing(_UNSEEN, effect.saving, effect.archived_bytes.repository)
    return Known(
        counted=_missing(_UNLISTED, effect.cost, effect.artifacts),
        stored=_missing(_UNSEEN, effect.cost, effect.physical_bytes.repository),
        freed=_missing(_UNSEEN, effect.expiry_saving, effect.freed_bytes.repository),
        # The reason may be that of what expires.
        archived=archived if effect.archiving else WHOLE,
    )


_UNLISTED: Final = (UNLISTED_IMAGES, UNLISTED_REPOSITORIES)
_UNSEEN: Final = (UNKNOWN_SIZE, *_UNLISTED)


def _missing(possible: Sequence[str], money: ScopedMoney, known: int) -> Missing:
    reasons = tuple(reason for reason in money.repository.leaves_out if reason in possible)
    return Missing(reasons, nothing_known=bool(reasons) and not known)


def less(one: Money, other: Money) -> Money:
    """``one`` less ``other``; unknown where either is."""
    if one.amount is None or other.amount is None:
        return Money(None, one.currency, one.period, tuple(sorted({*one.leaves_out, *other.leaves_out})))
    return one + replace(other, amount=-other.amount)


def no_region(candidate: Candidate) -> bool:
    """Whether no repository's region is known, so that nothing at all can be priced."""
    return bool(candidate.repositories) and all(row.region is None for row in candidate.repositories)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A column of money, rounded so that it adds up: rows, what completes them, and the total."""

    rows: list[Decimal | None]
    #: Of blobs that several repositories hold; None where it cannot be told.
    shared: Decimal | None
    shared_exact: Money
    total: Decimal | None


def split(
    candidate: Candidate, pick: Callable[[Effect], Money], decimals: int, *, most: Split | None = None
) -> Split:
    """The column that ``pick`` takes from the effects of ``candidate``; ``most`` bounds its rows.

    At registry scope the rows hold what is theirs alone, and ``shared`` completes them. Where a region
    has rows that are known beside ones that are not, its total may lack what they have, so that
    nothing is made to add up.
    """
    rows, total = [pick(row.effect) for row in candidate.repositories], pick(candidate.totals)
    return split_money(rows, [row.region for row in candidate.repositories], total, decimals, most=most)


def split_money(
    rows: Sequence[Money],
    regions: Sequence[str | None],
    total: Money,
    decimals: int,
    *,
    most: Split | None = None,
) -> Split:
    """``split`` of a column that is at hand: its rows, their regions, and its total."""
    # What nobody could look at is in no total either.
    unknown = {
        region
        for region, money in zip(regions, rows, strict=True)
        if money.amount is None and not set(money.leaves_out).issubset(_UNSEEN)
    }
    mixed = any(money.amount and region in unknown for region, money in zip(regions, rows, strict=True))
    if mixed or total.amount is None:
        return Split(
            rows=[rounded(money, decimals) for money in rows],
            shared=None,
            shared_exact=Money(None, total.currency, total.period, total.leaves_out),
            total=rounded(total, decimals),
        )
    known = add_up(replace(money, amount=money.amount or Decimal(0), leaves_out=()) for money in rows)
    shared = _without_dust(less(replace(total, leaves_out=()), known))
    bounds = None if most is None or None in most.rows else most.rows
    *shown, rest = apportion_money([*rows, shared], total, decimals, bounds)
    return Split(rows=shown, shared=rest, shared_exact=shared, total=rounded(total, decimals))


def _without_dust(money: Money) -> Money:
    """A difference of amounts that were each rounded far behind the point: nothing is then nothing."""
    return replace(money, amount=rounded(money, 2 * EXACT_DECIMALS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One of TOTAL, LEAVES, ARCHIVED and KEPT."""

    label: str
    artifacts: int
    size: ScopedBytes
    money: ScopedMoney
    #: What its bytes leave out, and what its number does.
    missing: Missing
    uncounted: Missing = WHOLE


def four_lines(effect: Effect) -> tuple[Line, Line, Line, Line]:
    """The first is the sum of the others, in artifacts, bytes and money.

    Money of the first is the bill before, of LEAVES and ARCHIVED what is saved of it, of KEPT the bill
    after, what is archived included.
    """
    known = known_of(effect)

    def scoped(pick: Callable[[Scope], Money]) -> ScopedMoney:
        return ScopedMoney(repository=pick("repository"), registry=pick("registry"))

    stored, freed, archived = effect.physical_bytes, effect.freed_bytes, effect.archived_bytes
    kept = ScopedBytes(
        repository=stored.repository - freed.repository - archived.repository,
        registry=stored.registry - freed.registry - archived.registry,
    )
    nothing = replace(effect.cost.repository, amount=Decimal(0), leaves_out=())
    moves = effect.archiving or archived.repository or archived.registry
    by_archiving = scoped(
        lambda scope: (
            _without_dust(less(money_at(effect.saving, scope), money_at(effect.expiry_saving, scope)))
            if moves
            else nothing
        )
    )
    after = scoped(lambda scope: less(money_at(effect.cost, scope), money_at(effect.saving, scope)))
    return (
        Line(
            label="TOTAL",
            artifacts=effect.artifacts,
            size=stored,
            money=effect.cost,
            missing=known.stored,
            uncounted=known.counted,
        ),
        Line(
            label="LEAVES",
            artifacts=effect.leaving,
            size=freed,
            money=effect.expiry_saving,
            missing=known.freed,
        ),
        Line(
            label="ARCHIVED",
            artifacts=effect.archiving,
            size=archived,
            money=by_archiving,
            missing=known.archived,
        ),
        Line(
            label="KEPT",
            artifacts=effect.kept,
            size=kept,
            money=after,
            missing=known.stored,
            uncounted=known.counted,
        ),
    )
