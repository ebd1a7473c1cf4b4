"""Replication against pulling once more: every set of prefixes is tried, and every cost added up anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Held:
    """A repository: blobs by name with their bytes."""

    stored: Mapping[str, int]
    #: Names of blobs that were pushed in the window and that nothing older holds.
    fresh: frozenset[str]
    #: Blobs that the repository of that name at the destination holds.
    there: frozenset[str]
    #: Pulls of blobs from the destination in the window.
    pulls: Mapping[str, int]


@dataclass(frozen=True)
class Rates:
    """USD of a byte: to move, to store for a month, and through NAT where replicas spare it."""

    transfer: Fraction
    storage: Fraction
    nat: Fraction
    #: Windows in a month.
    months: Fraction


def pulling(held: Held, rates: Rates) -> Fraction:
    """What a month's pulls cost that no replica at the destination could serve."""
    total = Fraction(0)
    for blob, times in held.pulls.items():
        if blob not in held.there:
            for _ in range(times):
                total += held.stored[blob] * (rates.transfer + rates.nat) * rates.months
    return total


def replicating(held: Held, rates: Rates) -> Fraction:
    """What carrying new blobs over and storing all of them costs in a month."""
    total = Fraction(0)
    for blob, size in held.stored.items():
        if blob not in held.there:
            total += size * rates.storage
            if blob in held.fresh:
                total += size * rates.transfer * rates.months
    return total


def cost(repositories: Mapping[str, Held], rates: Rates, chosen: frozenset[str]) -> Fraction:
    """A month of everything where the ``chosen`` repositories are replicated."""
    return sum(
        (
            replicating(held, rates) if name in chosen else pulling(held, rates)
            for name, held in repositories.items()
        ),
        Fraction(0),
    )


def reachable(names: Collection[str]) -> set[frozenset[str]]:
    """Every set of repositories that some set of prefixes covers, of those that ECR would take."""
    found: set[frozenset[str]] = {frozenset()}
    for prefix in {name[:length] for name in names for length in range(len(name) + 1) if length != 1}:
        cover = frozenset(name for name in names if name.startswith(prefix))
        found |= {some | cover for some in found}
    return found


def cheapest(repositories: Mapping[str, Held], rates: Rates) -> Fraction:
    """The least that a month can cost, by trying everything that prefixes can cover."""
    return min(cost(repositories, rates, chosen) for chosen in reachable(repositories))
