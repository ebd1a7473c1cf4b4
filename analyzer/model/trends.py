"""How what is stored changes from day to day: what was measured, what push times tell, what may come.

A day is a date in UTC, and its figures are those of the last snapshot that began on it. A day
that nothing is known of is a gap with its reason: nothing is carried over or interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

import pandas as pd

from analyzer.model.frames import Bools, Int32, Int64
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.units import Money

if TYPE_CHECKING:
    from analyzer.model.records import Gap

#: What a forecast supposes about lifecycle policies: none anywhere, those in force, those that
#: demurrage recommends, or others that were given.
ScenarioName = Literal["none", "current", "recommended", "candidate"]

#: What is compared with what came before it: so many days, or this month so far.
Period = Literal["7 days", "30 days", "month"]

#: Over some days: ``new`` was first seen in them, ``gone`` was not seen on the last known one.
Movement = Literal["grown", "shrunk", "same", "new", "gone", "unknown"]

#: How a repository's future was worked out: its pushes replayed through the evaluator, its bytes scaled
#: by those of replayed ones, held constant because nothing was pushed, or not at all.
Method = Literal["replayed", "scaled", "constant", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFacts:
    """The aggregates that the store keeps, with the snapshots they are of.

    *Nights* are the snapshots of a registry that the store still has, up to the one looked at, numbered
    from 0 in each registry. What holds from a night on holds up to, and without, another.
    """

    #: partition, account, region.
    registries: pd.DataFrame
    #: (registries + 1) offsets into the nights.
    night_offsets: Int64
    #: When each was taken, milliseconds since 1970 UTC, ascending in each registry.
    night_ms: Int64
    #: Whether the list of repositories was read whole.
    night_complete: Bools
    #: registry (position), repository, created_at_ms; every one that any night had.
    repositories: pd.DataFrame
    #: Columns (repository, first, gone): it existed; its list of images was read whole.
    existence: Int32
    complete: Int32
    #: The same before artifacts, physical_bytes (repository scope) and unique_bytes (registry scope).
    facts: Int64
    #: Columns (registry, first, gone, shared_bytes): what several repositories of it hold.
    shared: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Figures of consecutive days, d of them; figures of days that are not known are 0."""

    #: The first day, counted from 1970-01-01.
    first_day: int
    known: Bools
    #: Images, indexes and referrers, and those of unknown type.
    artifacts: Int64
    #: Physical bytes at repository and at registry scope; of a repository the latter are the bytes
    #: that no other repository of its registry holds.
    repository_bytes: Int64
    registry_bytes: Int64

    @property
    def days(self) -> int:
        """How many days it spans, known or not."""
        return len(self.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What came and went between the known days of a total, d entries; see ``Curve``.

    The difference between the bytes of a known day and of the last known one before it is new_bytes -
    freed_bytes + other_bytes. The last are bytes of manifests that were read later than their images
    were listed, and of registries that join or leave the total.
    """

    #: Whether the day and a day before it are known.
    known: Bools
    new_bytes_repository: Int64
    new_bytes_registry: Int64
    freed_bytes_repository: Int64
    freed_bytes_registry: Int64
    other_bytes_repository: Int64
    other_bytes_registry: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a period changed, from its first known day to its last."""

    #: The days compared; the same where only one is known.
    first: date
    last: date
    #: Known days of the period, and days of it in all.
    days_known: int
    days: int
    #: Last less first.
    bytes: ScopedBytes
    artifacts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A period beside the one of equal length before it, or a month beside the month before."""

    period: Period
    #: None where fewer than two days of it are known.
    this: Change | None
    former: Change | None
    #: Why one of them is None; "" where neither is.
    unknown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryTrend:
    """One repository's days. A repository deleted and created again is another one."""

    account: str
    region: str
    repository: str
    created_at: datetime
    curve: Curve
    #: Over the days asked for; None where fewer than two of them are known and it was there before.
    change: Change | None
    #: What the change costs a month, at repository scope.
    cost_change: Money | None
    #: Bytes that came and went in these days, at repository scope; what came and went between two
    #: nights is in neither. None where no day and a day before it are known.
    new_bytes: int | None
    freed_bytes: int | None
    movement: Movement


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownDay:
    """A day that the total is not known of."""

    day: date
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """Bytes by the push times of the images that are still there: at least so much was stored then.

    Each blob counts from the first push among the images present that hold it. What was deleted since
    is in no figure, so that every earlier point is a lower bound; the last is what is stored now.
    """

    #: Evenly spaced moments, the last one that of the snapshot.
    at: tuple[datetime, ...]
    #: One figure a moment.
    bytes_repository: Int64
    bytes_registry: Int64
    artifacts: Int64
    #: Bytes and artifacts without a push time: in every figure from the first on.
    undated_bytes: ScopedBytes
    undated_artifacts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryReconstruction:
    """The same of one repository, at the moments of the whole."""

    account: str
    region: str
    repository: str
    created_at: datetime
    curve: Reconstruction


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An interval and its middle."""

    low: int
    middle: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPoint:
    """What is expected at one moment."""

    at: datetime
    #: Days from now.
    days: int
    artifacts: Span
    bytes_repository: Span
    bytes_registry: Span
    #: Of low, middle and high bytes, a month.
    cost_low: ScopedMoney
    cost: ScopedMoney
    cost_high: ScopedMoney


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioForecast:
    """What becomes of everything under one supposition about policies."""

    name: ScenarioName
    #: What to call it.
    title: str
    #: Repositories that have a policy then.
    policies: int
    #: Now, then month by month.
    points: tuple[ForecastPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryForecast:
    """One repository at the end of the forecast, at repository scope."""

    account: str
    region: str
    repository: str
    created_at: datetime
    method: Method
    #: Why it was held constant or left out; "" else.
    reason: str
    #: Artifacts pushed a week, over the weeks that were measured.
    pushes_per_week: float
    #: Weeks of its pushes that are known.
    weeks: int
    now_bytes: int
    #: In the order of the scenarios; None where it is not known.
    ends: tuple[Span | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Twelve months ahead, with the method in words that a reader can judge it by."""

    at: datetime
    months: int
    #: Probability that the interval is made for, between 0 and 1.
    level: float
    replays: int
    seed: int
    #: Pushes that were measured: from, to, how many, and what they were told by: ``history`` (every
    #: image that any snapshot saw) or ``present`` (the images still there: what was deleted is missing).
    measured_from: datetime
    measured_to: datetime
    pushes: int
    basis: Literal["history", "present"]
    method: tuple[str, ...]
    #: What it does not know.
    limits: tuple[str, ...]
    scenarios: tuple[ScenarioForecast, ...]
    #: Greatest end without a policy first.
    repositories: tuple[RepositoryForecast, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoForecast:
    """Why there is none."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendReport:
    """Everything there is to say of how registries grow."""

    #: The moment of the newest snapshot.
    at: datetime
    #: First and last day of the curves.
    since: date
    until: date
    #: Sum over the registries that were read on a day; ``breaks`` tells where their set changes.
    total: Curve
    #: Repositories that a day's total has as an earlier night saw them, for they could not be read whole.
    stale_repositories: Int64
    flow: Flow
    unknown_days: tuple[UnknownDay, ...]
    #: Days from which on registries join the total or leave it, with which.
    breaks: tuple[UnknownDay, ...]
    comparisons: tuple[Comparison, ...]
    #: Greatest movement first, of bytes at repository scope.
    repositories: tuple[RepositoryTrend, ...]
    reconstruction: Reconstruction
    reconstructed: tuple[RepositoryReconstruction, ...]
    forecast: Forecast | NoForecast
    gaps: tuple[Gap, ...] = ()
    accepted_gaps: tuple[tuple[Gap, str], ...] = ()
