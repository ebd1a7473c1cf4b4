"""What pulls across regions and accounts cost, end to end: joins the store to the analyses of transfer.

Below the command line and the service, like ``what_if``, without clock or files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np

from analyzer.acceptance import AcceptedGap, split_gaps
from analyzer.errors import InputError
from analyzer.model.frames import Int64
from analyzer.model.pull_costs import Network, PullCosts, TransferAdvice
from analyzer.model.pull_report import PullReport
from analyzer.model.pulls import PullHistory, PullKind
from analyzer.model.transfer import TransferFindings
from analyzer.model.units import from_ms
from analyzer.model.usage import Workloads
from analyzer.pricing import PriceBook
from analyzer.recorded_pulls import judge_history, judge_recorded
from analyzer.references import coverage_of
from analyzer.store.engine import Database
from analyzer.store.manifests import load_attestations
from analyzer.store.pulls import load_layer_sizes, load_pulls
from analyzer.store.settings import load_all_settings
from analyzer.transfer import find_transfers, read_cache_rules
from analyzer.transfer_summary import summarize_transfers
from analyzer.what_if import World, gaps_about


def judge_references(database: Database, world: World, prices: PriceBook) -> TransferFindings:
    """What the references of stored workloads tell about pulls across regions and accounts.

    ``world`` was loaded from ``database`` (``what_if.load_world``).
    """
    workloads = _workloads(world)

    def attestations(indexes: Sequence[int]) -> Collection[tuple[int, int]]:
        with database.read() as connection:
            return load_attestations(connection, indexes)

    with database.read() as connection:
        settings = load_all_settings(connection, world.frames, world.snapshots)
    return find_transfers(
        workloads,
        world.frames,
        world.facts,
        world.families,
        prices,
        digest_ids=world.digest_ids,
        digests=world.digests,
        caches=[read_cache_rules(own) for own in settings.registries],
        attestations=attestations,
    )


def judge_pulls(
    database: Database,
    world: World,
    history: PullHistory,
    sizes: Mapping[str, int],
    prices: PriceBook,
    network: Network | None = None,
) -> tuple[PullCosts, TransferAdvice]:
    """What the pulls of ``history`` cost, and what to do about them, by what ``world`` holds.

    ``sizes`` are the bytes of layers by digest; one that is missing is unknown.
    """
    with database.read() as connection:
        settings = load_all_settings(connection, world.frames, world.snapshots)
    return judge_history(
        database, history, sizes, world.frames, world.families, settings, world.snapshots, prices, network
    )


def judge_stored_pulls(
    database: Database,
    world: World,
    first_day: int,
    last_day: int,
    prices: PriceBook,
    network: Network | None = None,
) -> tuple[PullCosts, TransferAdvice]:
    """The same of the pulls that ``database`` keeps of the days from ``first_day`` to ``last_day``."""
    with database.read() as connection:
        history = load_pulls(connection, first_day, last_day)
        layers = {pulls.digest for pulls in history.pulls if pulls.kind is PullKind.LAYER}
        sizes = load_layer_sizes(connection, layers)
    return judge_pulls(database, world, history, sizes, prices, network)


def report_pulls(
    database: Database,
    world: World,
    prices: PriceBook,
    *,
    days: int,
    globs: Sequence[str] = (),
    accepted: Sequence[AcceptedGap] = (),
    network: Network | None = None,
) -> PullReport:
    """What is known of pulls in ``world``, of the repositories whose names fit one of ``globs``.

    Recorded pulls are those of the last ``days`` that anything was read of. The repositories may be in
    registries that were never read. Raises InputError where a glob fits no name of a repository that was
    read, and none that a workload gives.
    """
    found = judge_references(database, world, prices)
    rows = np.arange(len(world.frames.repositories))
    if globs:
        rows = _fitting(world, found, globs)
        found = replace(found, findings=tuple(one for one in found.findings if _fits(one.repository, globs)))
    open_gaps, covered = split_gaps(gaps_about(world, rows), accepted)
    with database.read() as connection:
        settings = load_all_settings(connection, world.frames, world.snapshots)
    recorded = judge_recorded(
        database,
        world.frames,
        world.families,
        settings,
        world.snapshots,
        prices,
        days=days,
        globs=globs,
        network=network,
    )
    return PullReport(
        at=from_ms(world.at_ms),
        found=found,
        summary=summarize_transfers(found.findings),
        coverage=coverage_of(_workloads(world), world.frames.registries),
        recorded=recorded,
        gaps=tuple(open_gaps),
        accepted_gaps=tuple(covered),
    )


def _workloads(world: World) -> Workloads:
    if world.workloads is None:
        raise TypeError("a world of documents has no workloads")
    return world.workloads


def _fits(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _fitting(world: World, found: TransferFindings, globs: Sequence[str]) -> Int64:
    """Rows of the repositories that fit."""
    names = [str(name) for name in world.frames.repositories["repository"]]
    named = {*names, *(finding.repository for finding in found.findings)}
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in named):
            raise InputError(f"--repository {glob}: no repository has such a name; name another")
    return np.array([row for row, name in enumerate(names) if _fits(name, globs)], np.int64)
