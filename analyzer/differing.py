"""Two runs against each other, end to end: joins the store and the reports on both to the difference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import numpy as np

from analyzer.differences import ImageKey, Place, compare
from analyzer.errors import InputError
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.model.history import Difference
from analyzer.model.units import from_ms, iso, to_ms
from analyzer.model.verdicts import Outcome
from analyzer.nightly import ReportOptions, make_report
from analyzer.store.engine import Database
from analyzer.store.setting_changes import load_setting_changes
from analyzer.store.snapshots import runs_with_snapshots, snapshots_of_run
from analyzer.what_if import World, load_world

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_DAY_MS = 86_400_000


def runs_to_compare(database: Database, before: str, after: str) -> tuple[int, int]:
    """The runs that two sides name: a number, ``last``, ``previous`` (the one before), a date or a time.

    A date is the end of that day in UTC, and a moment the last run that had been done by then. Raises
    InputError for anything else, for a run that left no snapshot, and for sides in the wrong order.
    """
    with database.read() as connection:
        runs = runs_with_snapshots(connection)
    if not runs:
        raise InputError("the database holds no snapshot yet; run: demurrage collect")
    one, other = (_run(side, runs) for side in (before, after))
    if one == other:
        raise InputError(
            f"{before} and {after} are the same run, number {one}; name two of the runs "
            f"{runs[0][0]} to {runs[-1][0]}"
        )
    if one > other:
        raise InputError(f"{before} is run {one}, after {after}, run {other}; write the earlier one first")
    return one, other


def _run(side: str, runs: Sequence[tuple[int, int]]) -> int:
    numbers = [number for number, _ in runs]
    if side == "last":
        return numbers[-1]
    if side == "previous":
        if len(numbers) < 2:
            raise InputError("there is one run only, and nothing to compare it with; collect another night")
        return numbers[-2]
    if _NUMBER.fullmatch(side):
        if int(side) not in numbers:
            raise InputError(f"run {side} left no snapshot; those that did are {_ranges(numbers)}")
        return int(side)
    try:
        moment = datetime.fromisoformat(side)
    except ValueError:
        raise InputError(
            f"{side!r} is no run; write its number, last, previous, a date such as 2026-11-01 or a time"
        ) from None
    at_ms = _moment_ms(side, moment)
    done = [number for number, taken_ms in runs if taken_ms <= at_ms]
    if not done:
        first = from_ms(min(taken for _, taken in runs))
        raise InputError(f"{side}: no run had been done by then; the first was on {iso(first)}")
    return max(done)


def _moment_ms(side: str, moment: datetime) -> int:
    at = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        at_ms = to_ms(at)
    except OverflowError:
        raise InputError(f"{side!r} is no time that any run could have been done by") from None
    return at_ms + _DAY_MS - 1 if _DAY.fullmatch(side) else at_ms


def _ranges(numbers: Sequence[int]) -> str:
    """``1 to 4, 6``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)


def compare_runs(
    database: Database, before: int, after: int, options: ReportOptions, *, globs: Sequence[str] = ()
) -> Difference:
    """What changed from run ``before`` to run ``after``; ``options`` are those of both reports.

    Raises InputError where a glob fits no repository of either side.
    """
    reports = [make_report(database, replace(options, run=run, at_ms=None)) for run in (before, after)]
    world, later = (load_world(database, run=run) for run in (before, after))
    with database.read() as connection:
        sides = [snapshots_of_run(connection, run) for run in (before, after)]
        settings = load_setting_changes(connection, *sides)
    difference = compare(
        *reports,
        settings=settings,
        expiring=_expiring(world, later),
        without_known_policy=_without_known_policy(world),
        globs=globs,
    )
    for glob in globs:
        names = [row.repository for row in difference.repositories]
        if not any(fnmatchcase(name, glob) for name in names):
            raise InputError(f"--repository {glob}: no repository of either side has such a name")
    return difference


def _expiring(world: World, later: World) -> set[ImageKey]:
    """Images of ``world`` that a policy in force, its own or that of ``later``, takes by the later moment.

    ECR may have evaluated either of them in between.
    """
    places = _places(later)
    own = [
        (world.policies, world.policy_of),
        (later.policies, np.array([_policy(later, places, place) for place in _places(world)], np.int64)),
    ]
    evaluator = Evaluator(world.frames, world.facts, world.families, now_ms=later.at_ms)
    taken = np.zeros(len(world.frames.artifacts.digest_id), np.bool_)
    for policies, policy_of in own:
        taken |= evaluator.judge(policies, policy_of).outcome == Outcome.EXPIRED
    positions = np.flatnonzero(taken)
    names = list(_places(world))
    return {
        (*names[row][:3], digest)
        for row, digest in zip(
            world.frames.artifacts.repository[positions].tolist(), world.digests(positions), strict=True
        )
    }


def _policy(
    later: World, places: dict[tuple[str, str, str, int], int], place: tuple[str, str, str, int]
) -> int:
    row = places.get(place)
    return -1 if row is None else int(later.policy_of[row])


def _places(world: World) -> dict[tuple[str, str, str, int], int]:
    """The row of each repository by account, region, name and creation, in the order of rows."""
    registries, repositories = world.frames.registries, world.frames.repositories
    accounts, regions = registries["account"].tolist(), registries["region"].tolist()
    columns = (repositories[name].tolist() for name in ("registry", "repository", "created_at_ms"))
    return {
        (accounts[registry], regions[registry], name, created): row
        for row, (registry, name, created) in enumerate(zip(*columns, strict=True))
    }


def _without_known_policy(world: World) -> set[Place]:
    known = world.frames.repositories["lifecycle_policy_known"].tolist()
    return {
        place[:3] for place, row in _places(world).items() if not known[row] or row in world.policy_problems
    }
