"""Findings with owners and waivers: which are told, in which order, and what they come to together."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.hygiene.estate import Estate
from analyzer.hygiene.judging import Agreements, Wanted, judge
from analyzer.hygiene.owners import OwnedPrefix, Ownership
from analyzer.model.findings import FindingsReport, Waiver
from analyzer.model.registry_settings import RepositorySettings
from analyzer.model.results import ScopedBytes
from analyzer.model.units import GB
from analyzer.model.verdicts import Outcome
from tests.oracle.savings import measure
from tests.strategies.frames import DAY_MS, ArtifactSpec, Case, RepositorySpec, build_frames, cases, image
from tests.support.estates import estate_of

NOW_MS = 20_000 * DAY_MS
TODAY = date(1970, 1, 1) + timedelta(days=20_000)
LONG_AGO = NOW_MS - 400 * DAY_MS


def two_repositories() -> Estate:
    """``app`` holds 3 GB of orphans, 1 GB of it never used; ``lib`` 1 GB that was used once."""
    frames = build_frames(
        [
            RepositorySpec(
                (ArtifactSpec(1, pushed_at_ms=LONG_AGO), ArtifactSpec(2, tags=1, pushed_at_ms=NOW_MS)),
                name="app",
            ),
            RepositorySpec((ArtifactSpec(3, tags=1, pushed_at_ms=LONG_AGO, pulled_day=19_700),), name="lib"),
            RepositorySpec(name="void"),
        ],
        {1: image(10, 11), 2: image(11), 3: image(12)},
        {10: 3 * GB, 11: 2 * GB, 12: GB},
    )
    tags: list[dict[str, str] | None] = [{"team": "shop"}, None, {}]
    return estate_of(frames, now_ms=NOW_MS, of_repositories=[RepositorySettings(tags=own) for own in tags])


CHECKS = frozenset({"NEVER_PULLED", "STALE_IMAGES", "ORPHANED_IMAGES", "EMPTY_REPOSITORY", "WAIVER_EXPIRED"})


def judged(agreements: Agreements | None = None, **wanted: Any) -> FindingsReport:
    return judge(two_repositories(), agreements or Agreements(), Wanted(**{"checks": CHECKS, **wanted}))


def names(report: FindingsReport) -> list[tuple[str, str]]:
    return [(finding.check, finding.repository) for finding in report.findings]


def test_findings_come_by_severity_and_then_by_what_they_promise() -> None:
    report = judged()
    assert names(report) == [
        ("NEVER_PULLED", "app"),
        ("ORPHANED_IMAGES", "app"),
        ("STALE_IMAGES", "lib"),
        ("EMPTY_REPOSITORY", "void"),
    ]
    assert {check.id for check in report.checks} == CHECKS
    assert report.repositories == 3


def test_the_total_counts_an_image_once_however_many_findings_it_is_part_of() -> None:
    report = judged()
    assert report.freed_bytes == ScopedBytes(repository=4 * GB, registry=4 * GB)
    assert report.storage_saving.low.amount == Decimal("0.40")
    first, second, third = report.by_repository
    assert (first.repository, first.checks) == ("app", ("NEVER_PULLED", "ORPHANED_IMAGES"))
    assert first.freed_bytes == ScopedBytes(repository=3 * GB, registry=3 * GB)
    assert (second.repository, third.repository, third.saving) == ("lib", "void", None)


@given(cases(), st.data())
def test_the_total_and_its_rows_agree_with_a_recount(case: Case, data: st.DataObject) -> None:
    frames = case.frames
    estate = estate_of(frames, now_ms=case.now_ms, stale_days=case.stale_days)
    waived = data.draw(st.sampled_from(["", "NEVER_PULLED", "*"]))
    waivers = (
        (Waiver(check=waived, owner="o", reason="r", expires=TODAY + timedelta(days=9)),) if waived else ()
    )
    checks = frozenset({"NEVER_PULLED", "STALE_IMAGES", "ORPHANED_IMAGES"})
    report = judge(estate, Agreements(waivers=waivers), Wanted(checks=checks))
    leaves = np.zeros(len(frames.artifacts.digest_id), np.bool_)
    if waived == "NEVER_PULLED":
        days = estate.known.families.latest_of_ancestors(frames.artifacts.pulled_day.astype(np.int64))
        never = (days == np.iinfo(np.int32).min) & estate.idle & ~estate.lost
        principals = estate.known.families.principals()
        # A referrer is no finding of its own and goes with what it refers to.
        told = (estate.idle | estate.lost) & ~never
        leaves = told[principals] & (estate.known.families.kind[principals] != 2)
    elif not waived:
        principals = estate.known.families.principals()
        leaves = (estate.idle | estate.lost)[principals] & (estate.known.families.kind[principals] != 2)
    outcome = np.where(leaves, int(Outcome.EXPIRED), int(Outcome.KEPT)).tolist()
    expected = measure(frames, outcome).registries
    assert report.freed_bytes == ScopedBytes(
        repository=sum(row["freed_bytes_repository"] for row in expected),
        registry=sum(row["freed_bytes_registry"] for row in expected),
    )
    rows = [row.freed_bytes.repository for row in report.by_repository if row.freed_bytes is not None]
    assert sum(rows) == report.freed_bytes.repository


def test_owners_are_told_and_asked_for() -> None:
    prefixes = (OwnedPrefix(prefix="lib", owner="libraries"),)
    agreements = Agreements(ownership=Ownership(tag_keys=("team",), prefixes=prefixes))
    owners = {f.repository: f.owner.name if f.owner else None for f in judged(agreements).findings}
    assert owners == {"app": "shop", "lib": "libraries", "void": None}
    assert names(judged(agreements, owners=("lib*",))) == [("STALE_IMAGES", "lib")]
    assert names(judged(agreements, owners=("",))) == [("EMPTY_REPOSITORY", "void")]


def test_an_answer_about_some_repositories_is_about_these_alone() -> None:
    report = judged(repositories=("l*",))
    assert names(report) == [("STALE_IMAGES", "lib")]
    assert (report.repositories, report.freed_bytes.repository) == (1, GB)


def test_what_is_not_judged_is_told_of_the_repositories_that_are_asked_for() -> None:
    whole = judged(checks=frozenset({"NOT_SCANNED"})).not_judged
    part = judged(checks=frozenset({"NOT_SCANNED"}), repositories=("l*",)).not_judged
    assert [one.repositories for one in (*whole, *part)] == [3, 1]


WAIVER = Waiver(check="NEVER_PULLED", owner="o", reason="r", expires=TODAY)


def test_a_waived_finding_is_shown_and_in_no_total() -> None:
    report = judged(Agreements(waivers=(replace(WAIVER, check="STALE_*"),)))
    (waived,) = (finding for finding in report.findings if finding.waiver is not None)
    assert waived.check == "STALE_IMAGES"
    assert len(report.open) == 3
    assert report.freed_bytes.repository == 3 * GB
    assert [row.repository for row in report.by_repository] == ["app", "void"]


def test_a_waiver_is_unmatched_only_where_it_covers_nothing_at_all() -> None:
    matching, other = WAIVER, replace(WAIVER, repository="lib")
    report = judged(Agreements(waivers=(matching, other)), checks=frozenset({"EMPTY_REPOSITORY"}))
    assert report.unmatched_waivers == (other,)


def test_an_expired_waiver_is_a_finding_of_its_owner() -> None:
    old = replace(WAIVER, expires=TODAY - timedelta(days=1))
    report = judged(Agreements(waivers=(old,)), repositories=("app",))
    (expired,) = (finding for finding in report.findings if finding.check == "WAIVER_EXPIRED")
    assert expired.owner is not None
    assert expired.owner.name == "o"
    assert all(finding.waiver is None for finding in report.findings)
    assert report.unmatched_waivers == ()
    assert [row.repository for row in report.by_repository] == ["app"]
