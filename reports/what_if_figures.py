"""Figures of a simulation as reports show them: at which scopes, what they leave out, adding up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from analyzer.model.words import counted
from reports.facts import bytes_at, money_at
from reports.missing import WHOLE, Missing, united
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


def without_policy_in_force(candidate: Candidate) -> tuple[str, ...]:
    """What the figures of all policies in force leave out, as a reason; empty where nothing."""
    unknown = sum(row.live is None for row in candidate.repositories)
    if candidate.live_totals is None or not unknown:
        return ()
    return (f"{counted(unknown, 'repository', 'repositories')} whose policy in force is not known",)


def orders_by_low_end(simulation: Simulation, candidate: Candidate) -> bool:
    """Whether rows, which come by the low end of their saving, are shown with something else."""
    scope = main_scope(simulation)
    return any(
        row.effect.saving_low.amount != money_at(row.effect.saving, scope).amount
        for row in candidate.repositories
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a candidate does more than the policies in force, over the repositories where those are known."""

    leaving: int
    archiving: int
    #: At ``scope``; None where either side is not known.
    freed: int | None
    #: What ``freed`` leaves out.
    missing: Missing
    #: Lower and upper end of what is saved more.
    low: Money
    high: Money
    scope: Scope
    #: Repositories left out, and whether any are left.
    unknown: int
    known: int


def change_of(simulation: Simulation, candidate: Candidate) -> Change | None:
    """How ``candidate`` differs from the policies in force; None where that was not asked for.

    Repositories whose policy in force is not known are on neither side. Then the others are added up,
    which leaves out, at registry scope, layers that several repositories hold: where there are such,
    figures at that scope are unknown.
    """
    live = candidate.live_totals
    if live is None:
        return None
    pairs = [(row.effect, row.live) for row in candidate.repositories if row.live is not None]
    unknown = len(candidate.repositories) - len(pairs)
    scope = main_scope(simulation)
    # Totals have the layers that several repositories hold; they serve where they are of the same rows.
    sums = pairs if unknown else [(candidate.totals, live)]
    apart = not unknown or not _shares(candidate)

    def money(pick: Callable[[Effect], Money], at: Scope | Literal["mixed"]) -> Money:
        total = _without_dust(add_up(less(pick(one), pick(other)) for one, other in sums))
        return total if apart or at == "repository" else replace(total, amount=None)

    low = low_scope_of_all(simulation, candidate)
    freed = sum(bytes_at(one.freed_bytes, scope) - bytes_at(other.freed_bytes, scope) for one, other in sums)
    sides = [
        united(
            (known_of(effect).freed for effect in side),
            known=sum(effect.freed_bytes.repository for effect in side),
        )
        for side in ([one for one, _ in sums], [other for _, other in sums])
    ]
    is_known = (apart or scope == "repository") and not any(side.nothing_known for side in sides)
    return Change(
        leaving=sum(one.leaving - other.leaving for one, other in pairs),
        archiving=sum(one.archiving - other.archiving for one, other in pairs),
        freed=freed if is_known else None,
        missing=united(sides, known=1),
        low=money(lambda effect: effect.saving_low, low),
        high=money(lambda effect: effect.saving_high, scope),
        scope=scope,
        unknown=unknown,
        known=len(pairs),
    )


def _shares(candidate: Candidate) -> bool:
    """Whether the totals at registry scope have anything that no row has, or may have."""
    rows, live = candidate.repositories, candidate.live_totals
    lives = [row.live for row in rows if row.live is not None]
    sides = [(candidate.totals, [row.effect for row in rows])]
    sides += [] if live is None else [(live, lives)]
    return any(
        total.freed_bytes.registry != sum(effect.freed_bytes.registry for effect in of)
        or total.archived_bytes.registry != sum(effect.archived_bytes.registry for effect in of)
        for total, of in sides
    )


def less(one: Money, other: Money) -> Money:
    """``one`` less ``other``; unknown where either is."""
    if one.amount is None or other.amount is None:
        return Money(None, one.currency, one.period, tuple(sorted({*one.leaves_out, *other.leaves_out})))
    # A minus sign would round.
    return one + replace(other, amount=other.amount.copy_negate())


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


def split_columns(
    candidate: Candidate, columns: Mapping[str, Callable[[Effect], Money]], bounds: Mapping[str, str]
) -> dict[str, Split]:
    """The ``columns``, in their order, to the decimals of files.

    ``bounds`` names columns that are never above another one in a row: rounding must not put them there.
    """
    most = {name: split(candidate, columns[name], EXACT_DECIMALS) for name in bounds.values()}
    return {
        name: most.get(name) or split(candidate, pick, EXACT_DECIMALS, most=most.get(bounds.get(name, "")))
        for name, pick in columns.items()
    }


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
