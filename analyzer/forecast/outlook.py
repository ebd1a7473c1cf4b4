"""Puts the replays together: totals with their intervals under each supposition about policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analyzer.births import Births, blob_births, held_by_chosen
from analyzer.families import Families, find_families
from analyzer.forecast.atoms import find_atoms
from analyzer.forecast.draws import HALF_LIFE, HORIZON, MONTH_ENDS, RUN, WINDOW, Draws
from analyzer.forecast.growth import Weekly, grown, grown_at_end, weekly_news
from analyzer.forecast.pricing import RegionPrices, money
from analyzer.forecast.record import MOST_WEEKS, WEEK_MS, Record
from analyzer.forecast.worlds import STEPS, Holdings, World
from analyzer.holdings import sharing_groups
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.policy import CountType, Policy
from analyzer.lifecycle.savings import Holdings as Stored
from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts
from analyzer.model.results import ScopedMoney
from analyzer.model.trends import (
    Forecast,
    ForecastPoint,
    Method,
    NoForecast,
    RepositoryForecast,
    ScenarioForecast,
    ScenarioName,
    Span,
)
from analyzer.model.units import from_ms
from analyzer.pricing import PriceBook
from analyzer.storage import Storage

#: Replays, and the probability that their interval is made for.
REPLAYS = 40
LEVEL = 0.8
SEED = 1
#: Where a repository is very large.
FEWEST_REPLAYS = 8
#: Simulated artifacts of all replays together; what goes beyond is scaled.
BUDGET = 500_000
#: Of fewer weeks nothing is forecast, and of a repository with fewer none is expected.
FEWEST_WEEKS = 4
FEWEST_OF_REPOSITORY = 2
#: Part of the budget for the largest repositories; the others are a sample of the rest.
_LARGEST = 2 / 3
#: What a repository costs beside its artifacts.
_OVERHEAD = 10

_Floats = npt.NDArray[np.float64]

_CADENCE = (
    f"The pushes of the last {MOST_WEEKS} weeks, or of those that are known, are replayed week by week: each "
    "brings as many new bytes, shares as many layers and carries the same tags as it did."
)
_DRAWN = (
    f"A replay draws runs of consecutive weeks (of {RUN} on average: a stationary bootstrap), all from "
    f"{WINDOW} weeks that lie together; {WINDOW} weeks that began {HALF_LIFE:.0f} weeks earlier are half as "
    "likely. All repositories live through the same weeks."
)
_JUDGED = (
    "Policies are applied at the end of each month by the evaluator that judges real images, and what is "
    "left is counted layer by layer, at both scopes."
)
_INTERVAL = (
    "The middle is the mean of the replays, the interval goes from quantile to quantile of them; it says "
    "how uneven pushes were, not what nobody has seen yet."
)
METHOD = (_CADENCE, _DRAWN, _JUDGED, _INTERVAL)
_CLOSED = "Where no policy applies, new bytes are added up without looking at single images."


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposition:
    """Which policies are in force from now on."""

    name: ScenarioName
    title: str
    policies: Sequence[Policy]
    #: By row of the frames' repositories: a position in ``policies``, -1 for none.
    policy_of: Int64


@dataclass(frozen=True, slots=True)
class _Path:
    """All replays of one supposition: (STEPS, replays, registries) but for artifacts, (STEPS, replays)."""

    artifacts: _Floats
    standard_repository: _Floats
    archive_repository: _Floats
    standard_registry: _Floats
    archive_registry: _Floats
    #: (repositories, replays) bytes at the end, at repository scope.
    ends: _Floats
    scaled: Bools


def forecast(
    record: Record,
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    storage: Storage,
    births: Births,
    prices: PriceBook,
    suppositions: Sequence[Supposition],
    *,
    at_ms: int,
    chosen: Bools | None = None,
    limits: Sequence[str] = (),
    replays: int = REPLAYS,
    level: float = LEVEL,
    seed: int = SEED,
    budget: int = BUDGET,
) -> Forecast | NoForecast:
    """A year ahead from ``at_ms`` under each of ``suppositions``.

    ``frames``, ``facts``, ``families``, ``storage`` and ``births`` are what is there now, ``record`` what
    was pushed. With ``chosen`` (by repository) it is about these repositories alone, as if there were no
    others. ``limits`` are said beside those that are found here.
    """
    rows = np.ones(len(frames.repositories), np.bool_) if chosen is None else chosen
    known = np.where(rows, record.weeks, 0)
    pushed = np.bincount(record.repository[record.week < known[record.repository]], minlength=len(known))
    weeks = int(known[rows].max(initial=0))
    if weeks < FEWEST_WEEKS:
        return NoForecast(
            reason=f"{_weeks(weeks)} of pushes are known; fewer than {FEWEST_WEEKS} tell nothing of a year"
        )
    usable = np.where(known >= FEWEST_OF_REPOSITORY, known, 0)
    ever = births if record.frames is frames else blob_births(record.frames, find_families(record.frames))
    news = weekly_news(record, ever, record.frames.blob_size_bytes, _rows(record), at_ms=at_ms)
    has_policy = np.logical_or.reduce([rows & (one.policy_of >= 0) for one in suppositions])
    cost = _costs(frames, news, usable)
    # Of a repository that is too large for the budget by itself there are fewer replays.
    dearest = int(cost[has_policy].max(initial=1))
    replays = min(replays, max(FEWEST_REPLAYS, budget // dearest))
    draws = Draws(np.random.default_rng(seed), weeks=weeks, replays=replays)
    simulation = _Simulation(
        replace(record, weeks=usable),
        _Today(frames, facts, families, storage, births),
        news,
        draws,
        rows,
        has_policy,
        cost,
        at_ms=at_ms,
        budget=budget,
    )
    paths = [simulation.path(one) for one in suppositions]
    priced = RegionPrices(prices, frames.registries["region"].tolist())
    quantiles = ((1 - level) / 2, (1 + level) / 2)
    found = _limits(record, rows, known, pushed, suppositions)
    return Forecast(
        at=from_ms(at_ms),
        months=STEPS - 1,
        level=level,
        replays=replays,
        seed=seed,
        measured_from=from_ms(at_ms - weeks * WEEK_MS),
        measured_to=from_ms(at_ms),
        pushes=int(pushed.sum()),
        basis="history" if record.observed[rows & (pushed > 0)].all() and pushed.any() else "present",
        method=(*METHOD, *simulation.words(paths)),
        limits=(*limits, *found),
        scenarios=tuple(
            ScenarioForecast(
                name=one.name,
                title=one.title,
                policies=int((one.policy_of[rows] >= 0).sum()),
                points=_points(path, priced, at_ms, quantiles),
            )
            for one, path in zip(suppositions, paths, strict=True)
        ),
        repositories=_repositories(frames, storage, rows, known, pushed, paths, quantiles),
    )


def _costs(frames: Frames, news: Weekly, weeks: Int64) -> Int64:
    """About how many artifacts one replay of each repository simulates."""
    expected = np.zeros(len(weeks))
    for number in np.unique(weeks[weeks > 0]).tolist():
        mine = weeks == number
        expected[mine] = news.artifacts[mine, :number].sum(axis=1) * HORIZON / number
    present = np.bincount(frames.artifacts.repository, minlength=len(weeks))
    return present + np.ceil(expected).astype(np.int64) + _OVERHEAD


def _rows(record: Record) -> Int64:
    """Row of the present frames of each repository of the record's, -1 for none."""
    rows = np.full(len(record.frames.repositories), -1)
    rows[record.frames.artifacts.repository[record.artifact]] = record.repository
    return rows


@dataclass(frozen=True, slots=True)
class _Today:
    """What is there now."""

    frames: Frames
    facts: LifecycleFacts
    families: Families
    storage: Storage
    births: Births


class _Simulation:
    """What all suppositions share."""

    def __init__(
        self,
        record: Record,
        today: _Today,
        news: Weekly,
        draws: Draws,
        rows: Bools,
        has_policy: Bools,
        cost: Int64,
        *,
        at_ms: int,
        budget: int,
    ) -> None:
        """``rows`` are looked at, ``has_policy`` under some supposition; ``cost`` is that of `_costs`."""
        frames, self._has_policy = today.frames, has_policy
        self._record, self._frames, self._facts = record, frames, today.facts
        self._families, self._storage, self._news = today.families, today.storage, news
        self._draws, self._rows, self._at_ms, self._budget = draws, rows, at_ms, budget
        self._births = today.births
        self._registry = frames.repositories["registry"].to_numpy(np.int64)
        self._registries = len(frames.registries)
        self._group, self._registry_of_group = sharing_groups(frames)
        self._present = np.bincount(frames.artifacts.repository, minlength=len(rows))
        self._cost = cost
        self.whole = int(self._cost[rows].sum()) * draws.replays <= budget
        self._world: World | None = None
        self._world_rows: Int64 = np.zeros(0, np.int64)
        self._sampled: Bools = np.zeros(len(rows), np.bool_)
        self._grown: dict[str, _Floats] = {}

    def path(self, supposition: Supposition) -> _Path:
        """All replays under ``supposition``."""
        policy_of = np.where(self._rows, supposition.policy_of, -1)
        if self.whole:
            return self._replayed(supposition.policies, policy_of)
        has_policy = policy_of >= 0
        if not has_policy.any():
            return self._closed(self._rows)
        return self._mixed(supposition.policies, policy_of)

    def words(self, paths: Sequence[_Path]) -> tuple[str, ...]:
        """How it was made feasible; nothing where every repository was replayed."""
        if self.whole:
            return ()
        scaled = int(np.logical_or.reduce([path.scaled for path in paths]).sum())
        if not scaled:
            return (_CLOSED,)
        text = (
            f"{len(self._world_rows):,} repositories were replayed image by image: the largest, and a sample "
            f"of the others. The {scaled:,} left over were scaled from that sample: what policies leave of "
            "today's and new bytes. Their first effect, and what registries share, are measured on the "
            "images of today."
        )
        return (_CLOSED, text)

    def _replayed(self, policies: Sequence[Policy], policy_of: Int64) -> _Path:
        """Everything image by image."""
        world = self._world_of(np.flatnonzero(self._rows))
        held = world.holdings(policies, policy_of[self._world_rows])
        path = self._nothing()
        self._add(path, held)
        of_group = self._registry_of_group[world.groups]
        for name in ("standard_registry", "archive_registry"):
            np.add.at(
                getattr(path, name).transpose(2, 0, 1), of_group, getattr(held, name).transpose(2, 0, 1)
            )
        return path

    def _world_of(self, rows: Int64) -> World:
        if self._world is None:
            atoms = find_atoms(self._record, self._group, rows, at_ms=self._at_ms)
            self._world_rows = rows
            self._world = World(
                self._record,
                self._facts,
                self._frames.artifacts.image_status,
                atoms,
                self._draws,
                chosen=rows,
                group=self._group,
                at_ms=self._at_ms,
            )
        return self._world

    def _nothing(self) -> _Path:
        shape = (STEPS, self._draws.replays, self._registries)
        return _Path(
            np.zeros(shape[:2]),
            np.zeros(shape),
            np.zeros(shape),
            np.zeros(shape),
            np.zeros(shape),
            np.zeros((len(self._rows), self._draws.replays)),
            np.zeros(len(self._rows), np.bool_),
        )

    def _today(self, rows: Bools) -> dict[str, _Floats]:
        """Bytes of today by registry, of the repositories ``rows``."""
        of, whole = self._storage.repositories, self._storage.registries
        if rows.all():
            found: dict[str, _Floats] = {}
            for scope in ("repository", "registry"):
                archive = whole[f"archive_bytes_{scope}"].to_numpy(np.float64)
                physical = whole[f"physical_bytes_{scope}"].to_numpy(np.float64)
                found |= {f"archive_{scope}": archive, f"standard_{scope}": physical - archive}
            return found
        physical, archive = np.zeros((2, self._registries))
        np.add.at(physical, self._registry[rows], of["physical_bytes"].to_numpy(np.float64)[rows])
        np.add.at(archive, self._registry[rows], of["archive_bytes"].to_numpy(np.float64)[rows])
        shared = np.zeros(self._registries)
        held = held_by_chosen(self._births, rows, len(self._frames.blob_size_bytes).bit_length())[0]
        size = self._frames.blob_size_bytes[self._births.group_blob[held]]
        np.add.at(shared, self._registry_of_group[self._births.group[held]], size)
        return {
            "standard_repository": physical - archive,
            "archive_repository": archive,
            "standard_registry": np.maximum(shared - archive, 0),
            "archive_registry": np.minimum(archive, shared),
        }

    def _add(self, path: _Path, held: Holdings, mine: Bools | None = None) -> None:
        """Add what is ``held`` at repository scope, by those repositories of the world that are ``mine``."""
        chosen = np.ones(len(self._world_rows), np.bool_) if mine is None else mine
        rows = self._world_rows[chosen]
        path.artifacts[:] += held.artifacts[:, :, chosen].sum(axis=2)
        for name in ("standard_repository", "archive_repository"):
            amounts = getattr(held, name)[:, :, chosen]
            np.add.at(
                getattr(path, name).transpose(2, 0, 1), self._registry[rows], amounts.transpose(2, 0, 1)
            )
            path.ends[rows] += amounts[-1].T

    def _growth(self, name: str, rows: Bools) -> _Floats:
        """(STEPS, replays, registries) of what is new in the repositories ``rows``."""
        owner = np.where(rows, self._registry, -1)
        sums = grown(getattr(self._news, name), self._record.weeks, owner, self._registries, self._draws)
        return sums.transpose(1, 0, 2)

    def _grown_at_end(self) -> _Floats:
        if "ends" not in self._grown:
            self._grown["ends"] = grown_at_end(self._news.bytes_repository, self._record.weeks, self._draws)
        return self._grown["ends"]

    def _closed(self, rows: Bools) -> _Path:
        """Where nothing leaves: today's bytes and new ones."""
        path = self._nothing()
        for name, sums in self._today(rows).items():
            getattr(path, name)[:] = sums
        path.standard_repository[:] += self._growth("bytes_repository", rows)
        path.standard_registry[:] += self._growth("bytes_registry", rows)
        path.artifacts[:] = self._present[rows].sum() + self._growth("artifacts", rows).sum(axis=2)
        physical = self._storage.repositories["physical_bytes"].to_numpy(np.float64)
        path.ends[rows] = physical[rows, None] + self._grown_at_end()[rows]
        return path

    def _mixed(self, policies: Sequence[Policy], policy_of: Int64) -> _Path:
        """Some repositories image by image, others from them, and those without a policy in closed form."""
        has_policy = policy_of >= 0
        world = self._world_of(self._world_rows if self._world else self._choose())
        held = world.holdings(policies, policy_of[self._world_rows])
        path = self._closed(self._rows & ~has_policy)
        mine = has_policy[self._world_rows]
        self._add(path, held, mine)
        tail = has_policy.copy()
        tail[self._world_rows] = False
        kept = self._kept(policies, policy_of)
        if tail.any():
            self._scale(path, held, tail, mine, kept)
        # What registries share is measured today, once the policies have acted.
        share = kept.total_registry / np.maximum(kept.total_repository, 1)
        share = np.where(kept.total_repository > 0, share, 1)
        today = self._today(self._rows)
        for storage_class in ("standard", "archive"):
            there = getattr(path, f"{storage_class}_repository")
            getattr(path, f"{storage_class}_registry")[:] = there * share
            for scope in ("repository", "registry"):
                getattr(path, f"{storage_class}_{scope}")[0] = today[f"{storage_class}_{scope}"]
        path.artifacts[0] = self._present[self._rows].sum()
        return path

    def _choose(self) -> Int64:
        """The largest repositories, and a systematic sample of the others, within the budget."""
        affordable = self._budget // self._draws.replays
        physical = self._storage.repositories["physical_bytes"].to_numpy(np.float64)
        weight = physical + self._grown_at_end().mean(axis=1)
        rows = np.flatnonzero(self._has_policy)
        rows = rows[np.argsort(-weight[rows], kind="stable")]
        largest = np.cumsum(self._cost[rows]) <= affordable * _LARGEST
        rest = rows[~largest]
        left = affordable - int(self._cost[rows[largest]].sum())
        every = max(1, int(np.ceil(self._cost[rest].sum() / max(left, 1))))
        sample = rest[every // 2 :: every]
        sample = sample[np.cumsum(self._cost[sample]) <= left]
        if not largest.any() and not len(sample):
            sample = rows[:1]
        self._sampled[sample] = True
        if not len(sample):
            # Nothing smaller fits: the largest have to stand for the rest.
            self._sampled[rows[largest]] = True
        return np.sort(np.concatenate((rows[largest], sample)))

    def _kept(self, policies: Sequence[Policy], policy_of: Int64) -> _Kept:
        evaluator = Evaluator(self._frames, self._facts, self._families, now_ms=self._at_ms)
        savings = Stored(self._frames, self._families).measure(evaluator.judge(policies, policy_of).outcome)
        of, whole = savings.repositories, savings.registries
        return _Kept(
            bytes=(of["physical_bytes"] - of["freed_bytes"]).to_numpy(np.float64),
            artifacts=(of["artifacts"] - of["expired"]).to_numpy(np.float64),
            total_repository=(whole["physical_bytes_repository"] - whole["freed_bytes_repository"]).to_numpy(
                np.float64
            ),
            total_registry=(whole["physical_bytes_registry"] - whole["freed_bytes_registry"]).to_numpy(
                np.float64
            ),
        )

    def _scale(self, path: _Path, held: Holdings, tail: Bools, mine: Bools, kept: _Kept) -> None:
        """Add the repositories of ``tail``, of whose kept and new bytes as much stays as in the sample.

        Where the sample has none under these policies, those of the world that are ``mine`` stand for it.
        """
        sampled = mine & self._sampled[self._world_rows]
        sampled = sampled if sampled.any() else mine
        sample = np.zeros(len(tail), np.bool_)
        sample[self._world_rows[sampled]] = True

        def base(rows: Bools, today: _Floats, name: str) -> _Floats:
            sums = np.zeros(self._registries)
            np.add.at(sums, self._registry[rows], today[rows])
            return sums + self._growth(name, rows)

        def ratio(amounts: Int64, whole: _Floats) -> _Floats:
            # Of nothing nothing can be said, and so everything stays.
            return np.where(whole > 0, amounts[:, :, sampled].sum(axis=2) / np.maximum(whole, 1), 1)

        whole = base(sample, kept.bytes, "bytes_repository").sum(axis=2)
        theirs = base(tail, kept.bytes, "bytes_repository")
        standard = ratio(held.standard_repository, whole)
        archive = np.where(whole > 0, ratio(held.archive_repository, whole), 0)
        path.standard_repository[:] += theirs * standard[:, :, None]
        path.archive_repository[:] += theirs * archive[:, :, None]
        path.ends[tail] += (kept.bytes[tail, None] + self._grown_at_end()[tail]) * (standard + archive)[-1]
        whole = base(sample, kept.artifacts, "artifacts").sum(axis=2)
        path.artifacts[:] += base(tail, kept.artifacts, "artifacts").sum(axis=2) * ratio(
            held.artifacts, whole
        )
        path.scaled[tail] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What policies leave of today's images at once: by repository, and by registry at both scopes."""

    bytes: _Floats
    artifacts: _Floats
    total_repository: _Floats
    total_registry: _Floats


def _points(
    path: _Path, prices: RegionPrices, at_ms: int, quantiles: tuple[float, float]
) -> tuple[ForecastPoint, ...]:
    costs = {
        scope: prices.cost(getattr(path, f"standard_{scope}"), getattr(path, f"archive_{scope}"))
        for scope in ("repository", "registry")
    }
    points = []
    for step, week in enumerate(MONTH_ENDS):
        usd = {
            scope: (None if values is None else _span(values[step], quantiles), missing)
            for scope, (values, missing) in costs.items()
        }
        low, middle, high = (
            ScopedMoney(
                **{
                    scope: money(None if span is None else span[number], missing)
                    for scope, (span, missing) in usd.items()
                }
            )
            for number in range(3)
        )
        points.append(
            ForecastPoint(
                at=from_ms(at_ms + week * WEEK_MS),
                days=week * 7,
                artifacts=_whole(path.artifacts[step], quantiles),
                bytes_repository=_whole(
                    (path.standard_repository + path.archive_repository)[step].sum(axis=1), quantiles
                ),
                bytes_registry=_whole(
                    (path.standard_registry + path.archive_registry)[step].sum(axis=1), quantiles
                ),
                cost_low=low,
                cost=middle,
                cost_high=high,
            )
        )
    return tuple(points)


def _span(values: _Floats, quantiles: tuple[float, float]) -> tuple[float, float, float]:
    """Low, middle and high of the replays. The mean never lies outside of the interval."""
    low, high = np.quantile(values, quantiles).tolist()
    return low, min(max(float(values.mean()), low), high), high


def _whole(values: _Floats, quantiles: tuple[float, float]) -> Span:
    low, middle, high = (round(value) for value in _span(values, quantiles))
    return Span(low=low, middle=middle, high=high)


def _repositories(
    frames: Frames,
    storage: Storage,
    rows: Bools,
    known: Int64,
    pushed: Int64,
    paths: Sequence[_Path],
    quantiles: tuple[float, float],
) -> tuple[RepositoryForecast, ...]:
    repositories, registries = frames.repositories, frames.registries
    accounts, regions = registries["account"].tolist(), registries["region"].tolist()
    names, created = repositories["repository"].tolist(), repositories["created_at_ms"].tolist()
    registry = repositories["registry"].tolist()
    now = storage.repositories["physical_bytes"].tolist()
    unlisted = (repositories["complete_at_ms"] == np.iinfo(np.int64).min).tolist()
    scaled = np.logical_or.reduce([path.scaled for path in paths]) if paths else np.zeros(len(rows), np.bool_)
    found = []
    for row in np.flatnonzero(rows).tolist():
        weeks = int(known[row])
        method: Method = "scaled" if scaled[row] else "replayed"
        reason = ""
        if unlisted[row]:
            method, reason = "unknown", "its images were never listed"
        elif weeks < FEWEST_OF_REPOSITORY:
            method, reason = "constant", f"{_weeks(weeks)} of its pushes are known: none are expected"
        elif not pushed[row]:
            method, reason = "constant", f"nothing was pushed in the last {weeks} weeks"
        found.append(
            RepositoryForecast(
                account=accounts[registry[row]],
                region=regions[registry[row]],
                repository=names[row],
                created_at=from_ms(created[row]),
                method=method,
                reason=reason,
                pushes_per_week=round(int(pushed[row]) / weeks, 3) if weeks else 0.0,
                weeks=weeks,
                now_bytes=now[row],
                ends=tuple(
                    None if method == "unknown" else _whole(path.ends[row], quantiles) for path in paths
                ),
            )
        )
    return tuple(sorted(found, key=_greatest_end))


def _greatest_end(row: RepositoryForecast) -> tuple[object, ...]:
    first = row.ends[0] if row.ends else None
    end = row.now_bytes if first is None else first.middle
    return -end, row.account, row.region, row.repository, row.created_at


def _limits(
    record: Record,
    rows: Bools,
    known: Int64,
    pushed: Int64,
    suppositions: Sequence[Supposition],
) -> tuple[str, ...]:
    found = []
    guessed = int((rows & (pushed > 0) & ~record.observed).sum())
    if guessed:
        found.append(
            "Repositories whose pushes are known from the images that are still there, so that what was "
            f"deleted is missing and more may be pushed than is forecast: {guessed:,}."
        )
    young = int((rows & (known < FEWEST_OF_REPOSITORY)).sum())
    if young:
        found.append(
            f"Repositories with fewer than {FEWEST_OF_REPOSITORY} known weeks, held constant: {young:,}."
        )
    found.append(
        "Repositories that do not exist yet, images deleted by hand, and tags moved back are not in it."
    )
    pulled = any(
        rule.count_type is CountType.SINCE_IMAGE_PULLED
        for one in suppositions
        for number in np.unique(one.policy_of[one.policy_of >= 0]).tolist()
        for rule in one.policies[number].rules
    )
    if pulled:
        found.append(
            "Images of today are taken not to be pulled again, and simulated ones as long after their push "
            "as the image that they repeat: rules that count days since the last pull may act later."
        )
    return tuple(found)


def _weeks(number: int) -> str:
    return f"{number} week" if number == 1 else f"{number} weeks"
