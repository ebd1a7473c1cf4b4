"""Trends out of the store: joins aggregates, the past of images, push times and the forecast.

Below the command line, the service and ``nightly``; without clock or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from analyzer import trends
from analyzer.births import blob_births, reconstruct
from analyzer.errors import InputError
from analyzer.families import Families
from analyzer.flows import flows_between
from analyzer.forecast.courses import Supposition
from analyzer.forecast.outlook import forecast
from analyzer.forecast.record import record_of_history, record_of_present
from analyzer.lifecycle.in_force import policies_in_force
from analyzer.lifecycle.policy import Policy
from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts
from analyzer.model.history import History
from analyzer.model.trends import Curve, Flow, ScenarioName, StoredFacts, TrendReport
from analyzer.model.units import from_day, from_ms
from analyzer.pricing import PriceBook
from analyzer.storage import Storage
from analyzer.store.engine import Database
from analyzer.store.facts import load_facts
from analyzer.store.history_frames import load_history
from analyzer.store.snapshots import SnapshotRef

#: Days that a report shows.
TREND_DAYS = 90
#: Enough for the month before this one.
_COMPARED = 93


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """Registries as of a run."""

    #: What the frames were read from, in the order of ``frames.registries``.
    snapshots: Sequence[SnapshotRef]
    frames: Frames
    facts: LifecycleFacts
    families: Families
    storage: Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Policies that a forecast tries: by row of the frames' repositories, what is not named has none."""

    name: ScenarioName
    title: str
    policies: Mapping[int, Policy]


def report_trend(
    database: Database,
    present: Present,
    prices: PriceBook,
    *,
    at_ms: int,
    days: int = TREND_DAYS,
    globs: Sequence[str] = (),
    candidates: Sequence[Candidate] = (),
    load: Callable[[], History] | None = None,
) -> TrendReport:
    """How the registries of ``present`` grew in the last ``days``, and will grow from ``at_ms`` on.

    ``globs`` choose repositories by name, all without any. ``load`` gives the past where somebody has a
    use for it beside this; it is asked for only where there is any.
    """
    frames = present.frames
    with database.read() as connection:
        stored = load_facts(connection, present.snapshots)
    history = None
    if len(stored.night_ms) > len(frames.registries):
        history = load_history(database, present.snapshots) if load is None else load()
    ever = set(stored.repositories["repository"])
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in ever):
            raise InputError(f"--repository {glob}: no repository has or had such a name; name another")
    chosen = _chosen(stored.repositories["repository"].tolist(), globs)
    chosen_now = _chosen(frames.repositories["repository"].tolist(), globs)
    last_day = at_ms // trends.DAY_MS
    first_day = last_day - max(days, _COMPARED)
    by_day = trends.days_of(stored, first_day, last_day, chosen)
    begin = last_day - days - first_day
    total, stale = trends.total_curve(by_day, begin)
    flow, flows = _flow(history, by_day, stored, total, begin, globs)
    births = blob_births(frames, present.families)
    curve, curves = reconstruct(frames, births, at_ms=at_ms, chosen=chosen_now)
    in_force, current, problems = policies_in_force(frames)
    known = frames.repositories["lifecycle_policy_known"].to_numpy(np.bool_)
    unknown = ~known & ~frames.is_public
    unknown[list(problems)] = True
    may_have_lost = (current >= 0) | unknown
    if history is None:
        record = record_of_present(
            frames, present.facts, present.families, at_ms=at_ms, may_have_lost=may_have_lost
        )
    else:
        record = record_of_history(history, frames, at_ms=at_ms, may_have_lost=may_have_lost)
    limits = []
    if (unread := int(unknown.sum())) > 0:
        limits.append(
            f"Repositories whose policy could not be read, and that count as without one: {unread:,}."
        )
    if (unsized := int(present.storage.repositories["unknown"].sum())) > 0:
        limits.append(f"Artifacts of unknown size, which count for nothing: {unsized:,}.")
    expected = forecast(
        record,
        frames,
        present.facts,
        present.families,
        present.storage,
        births,
        prices,
        [
            Supposition(name="none", title="no policies", policies=(), policy_of=np.full(len(current), -1)),
            Supposition(name="current", title="current policies", policies=in_force, policy_of=current),
            *(_supposition(one, len(current)) for one in candidates),
        ],
        at_ms=at_ms,
        chosen=chosen_now,
        limits=limits,
    )
    until = from_day(last_day)
    return TrendReport(
        at=from_ms(at_ms),
        since=until - timedelta(days),
        until=until,
        total=total,
        stale_repositories=stale,
        flow=flow,
        unknown_days=trends.unknown_days(by_day, stored, begin),
        breaks=trends.breaks(by_day, stored, begin),
        comparisons=trends.comparisons(by_day),
        repositories=trends.repository_trends(by_day, stored, prices, flows, begin=begin, chosen=chosen),
        reconstruction=curve,
        reconstructed=curves,
        forecast=expected,
    )


def matching(names: Sequence[str], globs: Sequence[str]) -> Int64:
    """Positions of the names that fit one of ``globs``, all of them without any."""
    chosen = _chosen(names, globs)
    return np.arange(len(names)) if chosen is None else np.flatnonzero(chosen)


def _chosen(names: Sequence[str], globs: Sequence[str]) -> Bools | None:
    if not globs:
        return None
    return np.array([any(fnmatchcase(name, glob) for glob in globs) for name in names], np.bool_)


def _keys(repositories: pd.DataFrame) -> list[tuple[object, ...]]:
    columns = (repositories[name].tolist() for name in ("registry", "repository", "created_at_ms"))
    return list(zip(*columns, strict=True))


def _supposition(candidate: Candidate, rows: int) -> Supposition:
    policies: dict[Policy, int] = {}
    policy_of = np.full(rows, -1)
    for row, policy in candidate.policies.items():
        policy_of[row] = policies.setdefault(policy, len(policies))
    return Supposition(
        name=candidate.name, title=candidate.title, policies=list(policies), policy_of=policy_of
    )


def _flow(
    history: History | None,
    days: trends.Days,
    stored: StoredFacts,
    total: Curve,
    begin: int,
    globs: Sequence[str],
) -> tuple[Flow, tuple[Int64, Int64] | None]:
    """What came and went on each day of ``total``, and by repository of the stored facts."""
    count = total.days
    known = np.zeros(count, np.bool_)
    shown = np.flatnonzero(total.known)
    known[shown[1:]] = True
    sums = {name: np.zeros(count, np.int64) for name in ("new_r", "new_g", "freed_r", "freed_g")}
    by_repository = None
    if history is not None:
        nights, at = [], []
        for row in range(len(days.expected)):
            mine = shown[days.expected[row, begin + shown]]
            at.append(mine)
            nights.append(days.night[row, begin + mine])
        wanted = _chosen(history.frames.repositories["repository"].tolist(), globs)
        flows = flows_between(history, nights, wanted)
        figures = (flows.new_repository, flows.new_registry, flows.freed_repository, flows.freed_registry)
        for name, values in zip(sums, figures, strict=True):
            for row, mine in enumerate(at):
                sums[name][mine[1:]] += values[row, : max(len(mine) - 1, 0)]
        # The store's aggregates also know repositories that only pruned snapshots had.
        row_of = {key: row for row, key in enumerate(_keys(stored.repositories))}
        rows = [row_of[key] for key in _keys(history.frames.repositories)]
        new, freed = np.zeros((2, len(row_of)), np.int64)
        new[rows], freed[rows] = flows.new_by_repository, flows.freed_by_repository
        by_repository = new, freed

    def other(values: Int64, new: Int64, freed: Int64) -> Int64:
        rest = np.zeros(count, np.int64)
        rest[shown[1:]] = np.diff(values[shown])
        return np.where(known, rest - new + freed, 0)

    flow = Flow(
        known=known if history is not None else np.zeros(count, np.bool_),
        new_bytes_repository=sums["new_r"],
        new_bytes_registry=sums["new_g"],
        freed_bytes_repository=sums["freed_r"],
        freed_bytes_registry=sums["freed_g"],
        other_bytes_repository=other(total.repository_bytes, sums["new_r"], sums["freed_r"]),
        other_bytes_registry=other(total.registry_bytes, sums["new_g"], sums["freed_g"]),
    )
    return flow, by_repository
