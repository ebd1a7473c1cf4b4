"""The nightly run, end to end: joins the collector, the store, the analyses and the reports.

Below the command line and the service, which own clock, environment, files and exit codes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from analyzer.acceptance import AcceptedGap, split_gaps
from analyzer.assembly import Question, assemble_report
from analyzer.collect import AfterSnapshot, CollectOptions, CollectResult, Progress, collect
from analyzer.families import Families
from analyzer.findings import gather
from analyzer.hygiene.estate import Estate
from analyzer.hygiene.judging import Agreements, judge
from analyzer.lifecycle.frontier import sweep
from analyzer.lifecycle.frontier_pricing import price_frontier
from analyzer.lifecycle.in_force import policies_in_force
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.recommend import InForce
from analyzer.loading import Loaded, load
from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts
from analyzer.model.frontier import By, PricedFrontier
from analyzer.model.history import History, Outcomes
from analyzer.model.pull_report import PullReport
from analyzer.model.recommendation import RecommendOptions, RecommendReport
from analyzer.model.records import Gap, RegistryKey
from analyzer.model.results import Report
from analyzer.model.units import ScopeChoice, from_ms, to_ms
from analyzer.outcomes import policy_outcomes
from analyzer.pricing import PriceBook
from analyzer.recommending import RecommendQuestion, back_tested, recommend
from analyzer.recorded_pulls import PULL_DAYS, judge_recorded
from analyzer.references import AskedUses, Protection, find_protected, use_words
from analyzer.standing_gaps import standing_gaps
from analyzer.storage import Storage, analyze
from analyzer.store.engine import Database
from analyzer.store.facts import write_facts
from analyzer.store.frames import load_frames
from analyzer.store.history_frames import load_history
from analyzer.store.manifests import load_size_conflicts
from analyzer.store.names import load_digest_ids
from analyzer.store.setting_changes import policies_changed
from analyzer.store.slots import OnRun
from analyzer.store.snapshots import SnapshotRef, snapshots_of_run
from analyzer.store.writer import Store
from analyzer.transfer_summary import summarize_transfers
from analyzer.trending import Candidate, Present, report_trend

if TYPE_CHECKING:
    from boto3.session import Session

#: An image not used for so many days is stale, unless the user says otherwise.
STALE_DAYS = 90

_FACTS = (
    "images",
    "indexes",
    "referrers",
    "unknown",
    "untagged_images",
    "orphaned_images",
    "logical_bytes",
    "physical_bytes",
    "unique_bytes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """What a report is asked to show."""

    prices: PriceBook
    scope: ScopeChoice = "auto"
    stale_days: int = STALE_DAYS
    #: Show the snapshots as of this run; None for the last.
    run: int | None = None
    #: Count ages to this moment (milliseconds, UTC); None for the time of the newest snapshot.
    at_ms: int | None = None
    accepted: tuple[AcceptedGap, ...] = ()
    #: Tags of repositories to group the cost by.
    tag_keys: tuple[str, ...] = ()
    #: What was agreed on about findings.
    agreements: Agreements = field(default_factory=Agreements)
    #: What is to count as a use of an image.
    uses: AskedUses = field(default_factory=AskedUses)
    #: Images that no recommended policy may take.
    protection: Protection = field(default_factory=Protection)
    #: What else recommended policies must keep, and how much room they must leave.
    recommend: RecommendOptions = field(default_factory=RecommendOptions)


def collect_snapshots(
    database: Database,
    session: Session,
    options: CollectOptions,
    progress: Progress,
    *,
    more_sessions: Sequence[Session] = (),
    clock: Callable[[], float] = time.time,
    on_run: OnRun = lambda _connection, _run: None,
) -> CollectResult:
    """One snapshot of each registry, with the aggregates it comes to recorded as facts.

    ``more_sessions`` have credentials for what those of ``session`` do not reach; ``on_run`` is called in
    the transaction that begins the run.
    """
    store = Store(database, lambda: round(clock() * 1000), on_run)
    after_snapshot = facts_writer(database)
    return collect(
        store,
        session,
        options,
        more_sessions=more_sessions,
        clock=clock,
        progress=progress,
        after_snapshot=after_snapshot,
    )


def facts_writer(database: Database) -> AfterSnapshot:
    """What records the aggregates of a snapshot as facts, and gives the gaps that stand in it."""
    # The frames of a large registry are gigabytes: one at a time.
    turn = threading.Lock()

    def after_snapshot(key: RegistryKey, run: int, _: int) -> list[Gap]:
        with turn:
            with database.read() as connection:
                (snapshot,) = (found for found in snapshots_of_run(connection, run) if found.key == key)
                frames = load_frames(connection, [snapshot])
                conflicts = load_size_conflicts(connection)
            _write_facts(database, snapshot, frames)
            return standing_gaps(frames, conflicts)

    return after_snapshot


def make_report(database: Database, options: ReportOptions) -> Report:
    """The report on stored snapshots; the same database and options give the same report.

    Raises InputError when there is no snapshot to show.
    """
    loaded = load(database, options.prices, run=options.run, with_names=True, uses=options.uses)
    report, storage = judge_report(database, loaded, options)
    frames, families, at_ms = loaded.frames, loaded.families, to_ms(report.at)
    present = Present(
        snapshots=loaded.snapshots, frames=frames, facts=loaded.facts, families=families, storage=storage
    )

    @cache
    def history() -> History:
        """The stored past, which is read once, and only where something asks for it."""
        return load_history(database, loaded.snapshots)

    @cache
    def past() -> Past:
        return Past(history())

    protected = find_protected(options.protection, frames, loaded.facts, families, loaded.digests)
    warnings = (*report.warnings, *protected.warnings)
    recommendations, followed = _recommendations(
        database, loaded, options, at_ms, past, protected=protected.protected, warnings=warnings
    )
    return replace(
        report,
        warnings=warnings,
        frontier=_frontier(frames, loaded.facts, families, at_ms, options.prices),
        recommendations=recommendations,
        trend=report_trend(
            database,
            present,
            options.prices,
            at_ms=at_ms,
            candidates=[Candidate(name="recommended", title="recommended policies", policies=followed)]
            if followed
            else (),
            load=history,
        ),
        outcomes=_outcomes(database, loaded.snapshots, past),
    )


def judge_report(database: Database, loaded: Loaded, options: ReportOptions) -> tuple[Report, Storage]:
    """The report on what is ``loaded`` as far as its findings need it, and its storage."""
    frames = loaded.frames
    pulls = judge_recorded(
        database, frames, loaded.families, loaded.settings, loaded.snapshots, options.prices, days=PULL_DAYS
    )
    at_ms = loaded.newest_ms if options.at_ms is None else options.at_ms
    open_gaps, accepted = split_gaps(loaded.gaps, options.accepted)
    storage = analyze(frames, now_ms=at_ms, stale_days=options.stale_days)
    known = gather(
        loaded,
        storage,
        pulls,
        prices=options.prices,
        scope=options.scope,
        at_ms=at_ms,
        stale_days=options.stale_days,
        known_accounts=options.agreements.known_accounts,
    )
    report = assemble_report(
        Question(
            scope=options.scope,
            at_ms=at_ms,
            stale_days=options.stale_days,
            run=loaded.run,
            tag_keys=options.tag_keys,
        ),
        frames,
        storage,
        options.prices,
        gaps=open_gaps,
        accepted_gaps=accepted,
        digests=loaded.all_digests,
        tags=loaded.tags,
        settings=loaded.settings,
        scans=loaded.scans,
        in_use=use_words(loaded.uses.usage, loaded.uses.coverage, frames),
        pulls=PullReport(
            at=from_ms(at_ms),
            found=loaded.transfers,
            summary=summarize_transfers(loaded.transfers.findings),
            coverage=loaded.coverage,
            recorded=pulls,
        ),
    )
    warnings = (*loaded.uses.warnings, *loaded.uses.missing)
    findings = replace(judge(Estate(known), options.agreements), warnings=warnings)
    return replace(report, findings=findings, warnings=warnings), storage


def _outcomes(
    database: Database, snapshots: Sequence[SnapshotRef], past: Callable[[], Past]
) -> Outcomes | None:
    """What came of changes of policies; the past is read only where there was one."""
    with database.read() as connection:
        if not policies_changed(connection, snapshots):
            return None
    return policy_outcomes(past())


def _recommendations(
    database: Database,
    loaded: Loaded,
    options: ReportOptions,
    at_ms: int,
    past: Callable[[], Past],
    *,
    protected: Bools,
    warnings: tuple[str, ...],
) -> tuple[RecommendReport | None, Mapping[int, Policy]]:
    """The policies to put, replayed over the stored past, and all policies by row once they are put.

    None where no repository can have one; no policies where none is to be put.
    """
    rows = np.flatnonzero(~loaded.frames.is_public)
    if not len(rows):
        return None, {}

    def digest_ids(digests: Sequence[str]) -> Int64:
        with database.read() as connection:
            return load_digest_ids(connection, digests)

    policies, policy_of, problems = policies_in_force(loaded.frames)
    recommended = recommend(
        RecommendQuestion(
            rows=rows,
            at_ms=at_ms,
            options=options.recommend,
            scope=options.scope,
            usage=loaded.uses.usage,
            coverage=loaded.uses.coverage,
            protected=protected,
            use_basis=loaded.uses.basis,
            protect_patterns=len(options.protection.patterns),
            warnings=warnings,
        ),
        loaded.frames,
        loaded.facts,
        loaded.families,
        options.prices,
        InForce(policies=policies, policy_of=policy_of, problems=problems),
        digests=loaded.digests,
        digest_ids=digest_ids,
    )
    if not recommended.policies:
        return recommended.report, {}
    followed = dict(recommended.followed(policies, policy_of))
    return back_tested(recommended, loaded.frames, past(), options.prices), followed


def _frontier(
    frames: Frames, facts: LifecycleFacts, families: Families, at_ms: int, prices: PriceBook
) -> tuple[PricedFrontier, ...]:
    sweeps: tuple[By, ...] = ("images", "days")
    return tuple(
        price_frontier(
            # Public repositories can have no policy.
            sweep(frames, facts, families, now_ms=at_ms, by=by, chosen=~frames.is_public),
            frames,
            families,
            prices,
        )
        for by in sweeps
    )


def _write_facts(database: Database, snapshot: SnapshotRef, frames: Frames) -> None:
    storage = analyze(frames, now_ms=snapshot.taken_at_ms, stale_days=STALE_DAYS)
    write_facts(
        database,
        snapshot.key,
        snapshot.number,
        _repository_facts(frames, storage),
        int(storage.registries["shared_bytes"].iloc[0]),
    )


def _repository_facts(frames: Frames, storage: Storage) -> dict[tuple[str, int], dict[str, int]]:
    keys = zip(frames.repositories["repository"], frames.repositories["created_at_ms"].tolist(), strict=True)
    columns: Sequence[list[int]] = [storage.repositories[name].tolist() for name in _FACTS]
    rows = zip(*columns, strict=True)
    return {key: dict(zip(_FACTS, row, strict=True)) for key, row in zip(keys, rows, strict=True)}
