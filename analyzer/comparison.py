"""Former reports to compare the newest with: made anew, with the same options and prices.

So what a digest calls growth is growth, and not another price book; and nothing has to be kept for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from analyzer.acceptance import split_gaps
from analyzer.assembly import Question, assemble_report
from analyzer.loading import load
from analyzer.model.results import Report
from analyzer.model.units import to_ms
from analyzer.nightly import ReportOptions
from analyzer.references import use_words
from analyzer.storage import analyze
from analyzer.store.engine import Database
from analyzer.store.snapshots import run_at, run_before


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """What there was before a report; None where it was the first."""

    #: The report before.
    previous: Report | None
    #: That of some days before, or the oldest there is; None too where nobody asked.
    earlier: Report | None


def former_reports(database: Database, options: ReportOptions, report: Report, *, days: int | None) -> Former:
    """The reports before ``report``, which was made with ``options``: the last, and that of ``days`` before.

    They have totals and rows, and nothing of findings, pulls or policies.
    """
    with database.read() as connection:
        before = run_before(connection, report.run)
        then = None
        if days is not None:
            then = run_at(connection, to_ms(report.taken_to - timedelta(days=days)))
    previous = None if before is None else _outline(database, replace(options, run=before, at_ms=None))
    if then is None or then >= report.run:
        return Former(previous=previous, earlier=None)
    if then == before:
        return Former(previous=previous, earlier=previous)
    return Former(previous=previous, earlier=_outline(database, replace(options, run=then, at_ms=None)))


def _outline(database: Database, options: ReportOptions) -> Report:
    loaded = load(database, options.prices, run=options.run, with_names=True, uses=options.uses)
    open_gaps, accepted = split_gaps(loaded.gaps, options.accepted)
    return assemble_report(
        Question(
            scope=options.scope,
            at_ms=loaded.newest_ms,
            stale_days=options.stale_days,
            run=loaded.run,
            tag_keys=(),
        ),
        loaded.frames,
        analyze(loaded.frames, now_ms=loaded.newest_ms, stale_days=options.stale_days),
        options.prices,
        gaps=open_gaps,
        accepted_gaps=accepted,
        digests=loaded.all_digests,
        tags=loaded.tags,
        settings=loaded.settings,
        scans=loaded.scans,
        in_use=use_words(loaded.uses.usage, loaded.uses.coverage, loaded.frames),
    )
