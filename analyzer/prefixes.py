"""Which prefixes of names to choose, where one covers whatever begins with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

#: The shortest filter that ECR takes (``RepositoryFilterValue`` in its API model).
SHORTEST: Final = 2


def choose_prefixes(worth: Mapping[str, Fraction | None]) -> tuple[str, ...]:
    """The prefixes that cover names of the greatest total worth; sorted, none of them below another.

    A prefix covers every name that begins with it, those that are worth less than nothing too; a name of
    None may not be covered. Of choices of equal worth it is the one that covers fewest names, with as few
    prefixes as it takes. ``""`` covers everything, and no prefix is one character long.
    """
    names = sorted(worth)
    return tuple(sorted(_choose(names, worth)[1])) if names else ()


def _choose(
    names: Sequence[str], worth: Mapping[str, Fraction | None]
) -> tuple[Fraction, tuple[str, ...], int]:
    """The best total for sorted ``names``, the prefixes that give it, and how many names they cover."""
    prefix = _common(names[0], names[-1])
    total: Fraction | None = Fraction(0)
    for name in names:
        value = worth[name]
        total = None if total is None or value is None else total + value
    best, covered = Fraction(0), 0
    chosen: tuple[str, ...] = ()
    parts: dict[str, list[str]] = {}
    for name in names:
        if name != prefix:
            parts.setdefault(name[len(prefix)], []).append(name)
    for part in parts.values():
        value, some, count = _choose(part, worth)
        best, chosen, covered = best + value, chosen + some, covered + count
    is_allowed = not prefix or len(prefix) >= SHORTEST
    if is_allowed and total is not None and (total > best or (total == best and covered == len(names) > 1)):
        return total, (prefix,), len(names)
    return best, chosen, covered


def _common(one: str, other: str) -> str:
    """What both begin with; of sorted names the first and the last have in common what all have."""
    for length, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return one[:length]
    return min(one, other, key=len)
