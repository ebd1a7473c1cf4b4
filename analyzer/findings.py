"""Findings out of the store: joins what is stored to the analyses that checks build on, and to the checks.

Below the command line, the service and ``nightly``; without clock or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np

from analyzer.acceptance import AcceptedGap, split_gaps
from analyzer.errors import InputError
from analyzer.hygiene.estate import Estate, Known
from analyzer.hygiene.judging import Agreements, Wanted, judge
from analyzer.lifecycle.in_force import policies_in_force
from analyzer.lifecycle.lint import lint
from analyzer.loading import Loaded, load
from analyzer.model.findings import FindingsReport
from analyzer.model.frames import Int64
from analyzer.model.pull_report import RecordedPulls
from analyzer.model.records import Gap
from analyzer.model.units import ScopeChoice
from analyzer.pricing import PriceBook
from analyzer.recorded_pulls import PULL_DAYS, judge_recorded
from analyzer.references import AskedUses
from analyzer.replication import find_replication
from analyzer.settings_rows import registry_settings, repository_settings
from analyzer.storage import Storage, analyze
from analyzer.store.engine import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsQuestion:
    """What the findings are asked for."""

    prices: PriceBook
    scope: ScopeChoice
    stale_days: int
    agreements: Agreements
    wanted: Wanted
    accepted: tuple[AcceptedGap, ...] = ()
    run: int | None = None
    #: Count ages to this moment (milliseconds, UTC); None for the time of the newest snapshot.
    at_ms: int | None = None
    #: What is to count as a use of an image.
    uses: AskedUses = field(default_factory=AskedUses)


def find(database: Database, question: FindingsQuestion) -> FindingsReport:
    """The findings of what is stored; the same database and question give the same report.

    Raises InputError when there is no snapshot, or no repository of a name that is asked for.
    """
    loaded = load(database, question.prices, run=question.run, uses=question.uses)
    _require_repositories(loaded, question.wanted.repositories)
    at_ms = loaded.newest_ms if question.at_ms is None else question.at_ms
    recorded = judge_recorded(
        database,
        loaded.frames,
        loaded.families,
        loaded.settings,
        loaded.snapshots,
        question.prices,
        days=PULL_DAYS,
    )
    known = gather(
        loaded,
        analyze(loaded.frames, now_ms=at_ms, stale_days=question.stale_days),
        recorded,
        prices=question.prices,
        scope=question.scope,
        at_ms=at_ms,
        stale_days=question.stale_days,
        known_accounts=question.agreements.known_accounts,
    )
    report = judge(Estate(known), question.agreements, question.wanted)
    gaps = _gaps_about(loaded, question.wanted.repositories)
    open_gaps, accepted = split_gaps(gaps, question.accepted)
    return replace(
        report,
        gaps=tuple(open_gaps),
        accepted_gaps=tuple(accepted),
        warnings=(*loaded.uses.warnings, *loaded.uses.missing),
    )


def gather(
    loaded: Loaded,
    storage: Storage,
    recorded: RecordedPulls | None,
    *,
    prices: PriceBook,
    scope: ScopeChoice,
    at_ms: int,
    stale_days: int,
    known_accounts: frozenset[str],
) -> Known:
    """All that the checks look at; ``storage`` is that of ``loaded`` for this moment and age."""
    frames, settings = loaded.frames, loaded.settings
    policies, policy_of, problems = policies_in_force(frames)
    replication = find_replication(frames, settings)
    known = Known(
        frames=frames,
        facts=loaded.facts,
        families=loaded.families,
        storage=storage,
        at_ms=at_ms,
        stale_days=stale_days,
        settings=settings,
        of_registries=registry_settings(frames, settings),
        of_repositories=repository_settings(frames, settings, replication),
        replication=replication,
        scans=loaded.scans,
        usage=loaded.uses.usage,
        coverage=loaded.uses.coverage,
        use_basis=loaded.uses.basis,
        transfers=loaded.transfers if loaded.has_workloads else None,
        recorded=recorded,
        lint=(),
        policies=policies,
        policy_of=policy_of,
        policy_problems=problems,
        prices=prices,
        scope=scope,
        digests=loaded.digests,
        index_children=loaded.index_children,
        base_names=loaded.base_names,
        digest_texts=loaded.digest_texts,
        digest_ids=loaded.digest_ids,
        accounts=known_accounts,
    )
    # Public repositories can have no policy.
    rows: Int64 = np.flatnonzero(~frames.is_public)
    found = lint(known, rows, usage=known.usage, history=loaded.tag_history, prices=prices)
    return replace(known, lint=found)


def _require_repositories(loaded: Loaded, globs: Sequence[str]) -> None:
    names = [str(name) for name in loaded.frames.repositories["repository"]]
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise InputError(f"--repository {glob}: no repository has such a name; name another")


def _gaps_about(loaded: Loaded, globs: Sequence[str]) -> list[Gap]:
    """The gaps about repositories of such names, and all that are about whole registries."""
    return [
        gap
        for gap in loaded.gaps
        if not globs or not gap.repository or any(fnmatchcase(gap.repository, glob) for glob in globs)
    ]
