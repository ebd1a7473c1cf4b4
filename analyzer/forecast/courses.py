"""What registries hold in every replay under a supposition: image by image, in closed form, or scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzer.births import Births, held_by_chosen
from analyzer.families import Families
from analyzer.forecast.atoms import find_atoms
from analyzer.forecast.draws import HORIZON, Draws
from analyzer.forecast.growth import Weekly, grown, grown_at_end
from analyzer.forecast.record import Record
from analyzer.forecast.worlds import STEPS, Holdings, World
from analyzer.holdings import sharing_groups
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.savings import Holdings as Stored
from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts
from analyzer.model.trends import ScenarioName
from analyzer.storage import Storage

#: Part of the budget for the largest repositories; the others are a sample of the rest.
_LARGEST = 2 / 3
#: What a repository costs beside its artifacts.
_OVERHEAD = 10

_Floats = npt.NDArray[np.float64]

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
class Course:
    """All replays of one supposition: (STEPS, replays, registries) but for artifacts, (STEPS, replays)."""

    artifacts: _Floats
    standard_repository: _Floats
    archive_repository: _Floats
    standard_registry: _Floats
    archive_registry: _Floats
    #: (repositories, replays) bytes at the end, at repository scope.
    ends: _Floats
    scaled: Bools


@dataclass(frozen=True, slots=True)
class Today:
    """What is there now."""

    frames: Frames
    facts: LifecycleFacts
    families: Families
    storage: Storage
    births: Births


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What policies leave of today's images at once: by repository, and by registry at both scopes."""

    bytes: _Floats
    artifacts: _Floats
    total_repository: _Floats
    total_registry: _Floats


def replay_costs(frames: Frames, news: Weekly, weeks: Int64) -> Int64:
    """About how many artifacts one replay of each repository simulates."""
    expected = np.zeros(len(weeks))
    for number in np.unique(weeks[weeks > 0]).tolist():
        mine = weeks == number
        expected[mine] = news.artifacts[mine, :number].sum(axis=1) * HORIZON / number
    present = np.bincount(frames.artifacts.repository, minlength=len(weeks))
    return present + np.ceil(expected).astype(np.int64) + _OVERHEAD


class Simulation:
    """What all suppositions share."""

    def __init__(
        self,
        record: Record,
        today: Today,
        news: Weekly,
        draws: Draws,
        rows: Bools,
        has_policy: Bools,
        cost: Int64,
        *,
        at_ms: int,
        budget: int,
    ) -> None:
        """Simulate ``rows``; ``has_policy`` are those with one under any supposition.

        ``cost`` is that of `replay_costs`, ``budget`` what all replays together may take of it.
        """
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

    def course(self, supposition: Supposition) -> Course:
        """All replays under ``supposition``."""
        policy_of = np.where(self._rows, supposition.policy_of, -1)
        if self.whole:
            return self._replayed(supposition.policies, policy_of)
        has_policy = policy_of >= 0
        if not has_policy.any():
            return self._closed(self._rows)
        return self._mixed(supposition.policies, policy_of)

    def words(self, courses: Sequence[Course]) -> tuple[str, ...]:
        """How it was made feasible; nothing where every repository was replayed."""
        if self.whole:
            return ()
        scaled = int(np.logical_or.reduce([course.scaled for course in courses]).sum())
        if not scaled:
            return (_CLOSED,)
        text = (
            f"{len(self._world_rows):,} repositories were replayed image by image: the largest, and a sample "
            f"of the others. The {scaled:,} left over were scaled from that sample: what policies leave of "
            "today's and new bytes. Their first effect, and what registries share, are measured on the "
            "images of today."
        )
        return (_CLOSED, text)

    def _replayed(self, policies: Sequence[Policy], policy_of: Int64) -> Course:
        """Everything image by image."""
        world = self._world_of(np.flatnonzero(self._rows))
        held = world.holdings(policies, policy_of[self._world_rows])
        course = self._nothing()
        self._add(course, held)
        of_group = self._registry_of_group[world.groups]
        for name in ("standard_registry", "archive_registry"):
            np.add.at(
                getattr(course, name).transpose(2, 0, 1), of_group, getattr(held, name).transpose(2, 0, 1)
            )
        return course

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

    def _nothing(self) -> Course:
        shape = (STEPS, self._draws.replays, self._registries)
        return Course(
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

    def _add(self, course: Course, held: Holdings, mine: Bools | None = None) -> None:
        """Add what is ``held`` at repository scope, by those repositories of the world that are ``mine``."""
        chosen = np.ones(len(self._world_rows), np.bool_) if mine is None else mine
        rows = self._world_rows[chosen]
        course.artifacts[:] += held.artifacts[:, :, chosen].sum(axis=2)
        for name in ("standard_repository", "archive_repository"):
            amounts = getattr(held, name)[:, :, chosen]
            np.add.at(
                getattr(course, name).transpose(2, 0, 1), self._registry[rows], amounts.transpose(2, 0, 1)
            )
            course.ends[rows] += amounts[-1].T

    def _growth(self, name: str, rows: Bools) -> _Floats:
        """(STEPS, replays, registries) of what is new in the repositories ``rows``."""
        owner = np.where(rows, self._registry, -1)
        sums = grown(getattr(self._news, name), self._record.weeks, owner, self._registries, self._draws)
        return sums.transpose(1, 0, 2)

    def _grown_at_end(self) -> _Floats:
        if "ends" not in self._grown:
            self._grown["ends"] = grown_at_end(self._news.bytes_repository, self._record.weeks, self._draws)
        return self._grown["ends"]

    def _closed(self, rows: Bools) -> Course:
        """Where nothing leaves: today's bytes and new ones."""
        course = self._nothing()
        for name, sums in self._today(rows).items():
            getattr(course, name)[:] = sums
        course.standard_repository[:] += self._growth("bytes_repository", rows)
        course.standard_registry[:] += self._growth("bytes_registry", rows)
        course.artifacts[:] = self._present[rows].sum() + self._growth("artifacts", rows).sum(axis=2)
        physical = self._storage.repositories["physical_bytes"].to_numpy(np.float64)
        course.ends[rows] = physical[rows, None] + self._grown_at_end()[rows]
        return course

    def _mixed(self, policies: Sequence[Policy], policy_of: Int64) -> Course:
        """Some repositories image by image, others from them, and those without a policy in closed form."""
        has_policy = policy_of >= 0
        world = self._world_of(self._world_rows if self._world else self._choose())
        held = world.holdings(policies, policy_of[self._world_rows])
        course = self._closed(self._rows & ~has_policy)
        mine = has_policy[self._world_rows]
        self._add(course, held, mine)
        tail = has_policy.copy()
        tail[self._world_rows] = False
        kept = self._kept(policies, policy_of)
        if tail.any():
            self._scale(course, held, tail, mine, kept)
        # What registries share is measured today, once the policies have acted.
        share = kept.total_registry / np.maximum(kept.total_repository, 1)
        share = np.where(kept.total_repository > 0, share, 1)
        today = self._today(self._rows)
        for storage_class in ("standard", "archive"):
            there = getattr(course, f"{storage_class}_repository")
            getattr(course, f"{storage_class}_registry")[:] = there * share
            for scope in ("repository", "registry"):
                getattr(course, f"{storage_class}_{scope}")[0] = today[f"{storage_class}_{scope}"]
        course.artifacts[0] = self._present[self._rows].sum()
        return course

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

    def _scale(self, course: Course, held: Holdings, tail: Bools, mine: Bools, kept: _Kept) -> None:
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
        course.standard_repository[:] += theirs * standard[:, :, None]
        course.archive_repository[:] += theirs * archive[:, :, None]
        course.ends[tail] += (kept.bytes[tail, None] + self._grown_at_end()[tail]) * (standard + archive)[-1]
        whole = base(sample, kept.artifacts, "artifacts").sum(axis=2)
        course.artifacts[:] += base(tail, kept.artifacts, "artifacts").sum(axis=2) * ratio(
            held.artifacts, whole
        )
        course.scaled[tail] = True
