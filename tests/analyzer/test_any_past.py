"""Whatever past is stored, a report on any of its nights can be made, and agrees with itself.

A few pasts are tried in the tests, and more by ``RANDOM_PASTS=500`` (CONTRIBUTING.md).
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from analyzer.differing import compare_runs
from analyzer.model.findings import FindingsReport
from analyzer.model.results import Counts, Report
from analyzer.model.units import Money, Scope, ScopeChoice, add_up
from analyzer.nightly import ReportOptions, facts_writer, make_report
from analyzer.pricing import bundled_prices
from analyzer.store.engine import Database
from analyzer.store.writer import Store
from reports.csv import render_csvs
from reports.diff import diff_csv, diff_json, diff_text
from reports.html import render_html
from reports.json import render_json
from tests.strategies.registries import Night, histories
from tests.support.databases import Provider
from tests.support.examples import database_examples

_PASTS = int(os.environ.get("RANDOM_PASTS", "3"))


# Without shrinking, which would take minutes at half a second a try.
@database_examples(_PASTS, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    # Few registries, so that repositories meet in them and share layers.
    history=histories(nights=5, registries=2),
    sharing=st.booleans(),
    scope=st.sampled_from(get_args(ScopeChoice)),
)
def test_every_night_has_a_report_that_agrees_with_itself(
    sqlite: Provider, history: Sequence[Night], sharing: bool, scope: ScopeChoice
) -> None:
    database = sqlite.clean()
    more = {"blob_mounting": '"ENABLED"'} if sharing else {}
    runs = [run for night in history if (run := _write(database, night, more))]
    options = ReportOptions(prices=bundled_prices(), scope=scope, tag_keys=("team",))
    if not runs:
        return
    report = make_report(database, options)
    _assert_adds_up(report)
    if report.findings is not None:
        _assert_found_in(report, report.findings)
    _assert_formats(report)
    if len(runs) > 1:
        difference = compare_runs(database, runs[0], runs[-1], options)
        json.loads(diff_json(difference), parse_constant=pytest.fail)
        assert diff_text(difference)
        assert diff_csv(difference)


def _write(database: Database, night: Night, settings: Mapping[str, str]) -> int | None:
    """The number of the run that wrote ``night`` with more ``settings``; None where it read nothing."""
    store, after_snapshot = Store(database, lambda: 0), facts_writer(database)
    store.add_manifests(night.manifests_before)
    run = store.begin_run(0, "host", "1")
    for seen in night.reads:
        read = replace(seen, settings={**seen.settings, **settings})
        with store.lease(read.key, "test", "host") as lease:
            number = store.commit_snapshot(lease, run, read)
        store.record_gaps(run, read.key, after_snapshot(read.key, run, number))
    store.finish_run(run, 0, "gaps")
    store.add_manifests(night.manifests_after)
    return run if night.reads else None


def _assert_adds_up(report: Report) -> None:
    totals, rows, registries = report.totals, report.repositories, report.registries
    for name in Counts.__slots__:
        assert getattr(totals.counts, name) == sum(getattr(row.counts, name) for row in rows)
        assert getattr(totals.counts, name) == sum(getattr(row.counts, name) for row in registries)
    stored = totals.physical_bytes
    assert totals.logical_bytes == sum(row.logical_bytes for row in rows)
    assert totals.logical_bytes >= stored.repository >= stored.registry >= 0
    assert stored.repository == sum(row.physical_bytes.repository for row in rows)
    assert stored.registry == sum(row.physical_bytes.registry for row in rows) + totals.shared_bytes
    assert stored.repository == sum(age.physical_bytes for age in report.ages)
    (by_team,) = report.groups
    assert sum(len(group.members) for group in by_team.rows) == len(rows)
    assert stored.repository == sum(group.physical_bytes.repository for group in by_team.rows)
    for row in rows:
        assert row.unique_bytes + row.shared_bytes == row.physical_bytes.repository
        freed = row.untagged_freed_bytes, row.orphaned_freed_bytes, row.stale_freed_bytes
        assert row.physical_bytes.repository >= max(freed) >= min(freed) >= 0
    _assert_same(totals.cost.repository, add_up(row.cost.repository for row in rows))
    _assert_same(totals.cost.registry, add_up([*(row.cost.registry for row in rows), report.shared_cost]))
    _assert_same(totals.cost_low, add_up(row.cost_low for row in registries))
    _assert_same(totals.cost_high, add_up(row.cost_high for row in registries))


def _assert_same(total: Money, parts: Money) -> None:
    """Both amounts, which were rounded far behind the point; not known is nothing."""
    difference = (total.amount or Decimal(0)) - (parts.amount or Decimal(0))
    assert abs(difference) < Decimal("1e-9")


def _assert_found_in(report: Report, findings: FindingsReport) -> None:
    """Nothing frees more than there is, and no finding more than all of its repository do."""
    stored = report.totals.physical_bytes
    assert findings.freed_bytes.repository <= stored.repository
    assert findings.freed_bytes.registry <= stored.registry
    held = {(row.account, row.region, row.repository): row.physical_bytes for row in report.repositories}
    of_repositories = {
        (row.account, row.region, row.repository): row.freed_bytes
        for row in findings.by_repository
        if row.freed_bytes is not None
    }
    for place, freed in of_repositories.items():
        assert freed.registry <= freed.repository <= held[place].repository
    for finding in findings.findings:
        place = finding.account, finding.region, finding.repository
        if finding.freed_bytes is not None and place in of_repositories:
            for scope in get_args(Scope):
                assert getattr(finding.freed_bytes, scope) <= getattr(of_repositories[place], scope)


def _assert_formats(report: Report) -> None:
    """Every format can be written, and no figure in it is none."""
    assert render_html(report)
    json.loads(render_json(report), parse_constant=pytest.fail)
    for text in render_csvs(report).values():
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert {len(row) for row in rows} == {len(rows[0])}
        assert not {"nan", "None", "-0", "-0.00", "inf", "NaT", "<NA>"} & {
            cell for row in rows for cell in row
        }
