"""What would be stored if every repository kept fewer images, for every number at once.

The policy looked at is one rule: ``tagStatus`` any, ``imageCountMoreThan`` N or
``sinceImagePushed`` N days, expire, N at least 1. ``Frontier`` has the exact integers as arrays;
``FrontierCurve`` and its points are what reports show, priced.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from analyzer.model.frames import Bools, Int64
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.units import Scope

#: What the N of the rule counts: the youngest images, or days since the push.
By = Literal["images", "days"]


#: The N that tables show, and the policies that people write.
LADDER: Final[Mapping[By, tuple[int, ...]]] = {
    "images": (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000),
    "days": (1, 3, 7, 14, 30, 60, 90, 180, 365, 730, 1_095),
}


@dataclass(frozen=True, slots=True)
class ClassBytes:
    """Bytes by storage class at both scopes: parallel int64 arrays.

    A blob is of the archive class iff all artifacts that hold it are archived (or being restored).
    """

    standard_repository: Int64
    archive_repository: Int64
    standard_registry: Int64
    archive_registry: Int64

    def standard(self, scope: Scope) -> Int64:
        """Bytes of the standard class at ``scope``."""
        return self.standard_registry if scope == "registry" else self.standard_repository

    def archive(self, scope: Scope) -> Int64:
        """Bytes of the archive class at ``scope``."""
        return self.archive_registry if scope == "registry" else self.archive_repository


@dataclass(frozen=True, slots=True)
class Steps:
    """One step function of N for each of k owners (repositories, registries), back to back.

    A step holds from its N up to that of the owner's next one. The first begins at 1; the last
    holds for every greater N too, for it keeps everything: what is stored today.
    """

    #: (k + 1) offsets into the other arrays; every owner has at least one step.
    offsets: Int64
    n: Int64
    #: Artifacts of every kind that are kept, archived ones included.
    kept: Int64
    stored: ClassBytes

    def at(self, n: int) -> Int64:
        """For each owner the position of the step that holds at ``n``, which is at least 1."""
        if n < 1:
            raise ValueError(f"a policy cannot keep {n}; the least is 1")
        # Positions of owners are non-empty runs, so that reduceat means what it seems to.
        begun = np.add.reduceat((self.n <= n).astype(np.int64), self.offsets[:-1]) if len(self.n) else self.n
        positions: Int64 = self.offsets[:-1] + begun - 1
        return positions

    def today(self) -> Int64:
        """For each owner the position of its last step, which keeps everything."""
        return self.offsets[1:] - 1


@dataclass(frozen=True, slots=True)
class Frontier:
    """The curves of all repositories and of the fleet; owners stand in the order of the frames."""

    by: By
    #: The moment that days are counted to, in milliseconds since 1970 UTC.
    at_ms: int
    #: The repositories where the policy would hold, one entry each.
    chosen: Bools
    #: N in the repository alone, all others unchanged. At registry scope these are the bytes that
    #: it adds to what the others of its sharing group store: 0 for a blob that one of them holds.
    #: Its archive bytes there may be negative: where another one holds a blob archived, an active
    #: holder here is what keeps it out of the archive. Repositories that were not chosen have one
    #: step of nothing.
    repositories: Steps
    #: The same N in all chosen repositories of the registry, beside ``rest``.
    registries: Steps
    #: Per registry, what the repositories that were not chosen store by themselves.
    rest: ClassBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """What one N comes to."""

    #: Images or days.
    n: int
    #: Artifacts of every kind.
    kept: int
    stored_bytes: ScopedBytes
    #: Of these, in the archive class.
    archive_bytes: ScopedBytes
    #: Per month. ``saving`` is what leaves the bill of the whole region; ``cost`` is what the bytes of
    #: today cost less that.
    cost: ScopedMoney
    saving: ScopedMoney


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierCurve:
    """One curve: what some N come to, in ascending order, the last of them today's.

    The ``n`` of the last point is the least that keeps everything, and it holds for every greater
    one too.
    """

    points: tuple[FrontierPoint, ...]

    @property
    def today(self) -> FrontierPoint:
        """Everything kept."""
        return self.points[-1]

    def at(self, n: int) -> FrontierPoint:
        """The point that holds at ``n``: the last that is not above it.

        Exact for every N of a curve of all points, and for the N of ``LADDER`` of one of those.
        Raises ValueError below the first point.
        """
        place = bisect_right(self.points, n, key=lambda point: point.n)
        if not place:
            raise ValueError(f"there is no point for {n}; the first is {self.points[0].n}")
        return self.points[place - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFrontier:
    """The curve of one repository, with N there and every other repository unchanged."""

    account: str
    region: str
    repository: str
    curve: FrontierCurve


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedFrontier:
    """One sweep as reports show it."""

    by: By
    #: The same N in all chosen repositories; a point for every N at which something changes.
    fleet: FrontierCurve
    #: The chosen ones, in the order of the frames. Points at the N of ``LADDER`` that lie below
    #: today's, unless all were asked for.
    repositories: tuple[RepositoryFrontier, ...]
