"""A report that has something for every section of the page, and for every table beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from analyzer.model.history import Fate, ImageOutcome, Outcomes, PolicyOutcome
from analyzer.model.registry_settings import (
    Exposure,
    Frequency,
    Grant,
    Openness,
    RegistrySettings,
    ReplicationRule,
    RepositorySettings,
    Scanning,
    ScanRule,
    Template,
)
from analyzer.model.results import Report
from analyzer.showback import group_by_tag
from tests.support.findings_fixture import with_findings
from tests.support.frontier_fixture import with_frontier
from tests.support.pulls_fixture import FINDINGS, pull_report, recorded_pulls
from tests.support.recommend_fixture import with_recommendations
from tests.support.report_fixture import HOSTILE, build_report
from tests.support.trend_fixture import with_trend

_FRIEND = "444455556666"


def whole_report(repositories: int, *, prefix: str = "", **options: Any) -> Report:
    """A report of ``repositories`` rows as ``build_report`` makes it, with all that is optional.

    The names of its repositories begin with ``prefix``.
    """
    report = build_report(repositories, **options)
    rows = tuple(
        replace(
            row,
            repository=f"{prefix}{row.repository}",
            settings=_settings(n, hostile=bool(options.get("hostile"))),
        )
        for n, row in enumerate(report.repositories)
    )
    registries = tuple(replace(row, settings=_REGISTRY) for row in report.registries)
    report = replace(
        report,
        repositories=rows,
        registries=registries,
        groups=(group_by_tag(rows, "team"),),
        pulls=replace(pull_report(*FINDINGS), recorded=recorded_pulls()),
    )
    hostile = bool(options.get("hostile"))
    report = replace(report, outcomes=_outcomes(report, hostile=hostile))
    found = with_trend(with_findings(with_frontier(report), hostile=hostile))
    return with_recommendations(found, hostile=hostile)


def _outcomes(report: Report, *, hostile: bool) -> Outcomes:
    """A change of policy in every fourth repository, with an image of every fate."""
    at = report.at
    return Outcomes(
        changes=tuple(
            PolicyOutcome(
                account=row.account,
                region=row.region,
                repository=row.repository,
                known_before_at=at,
                changed_at=at,
                text_before=None,
                text_after="{}",
                until=at,
                images=tuple(
                    ImageOutcome(
                        digest=f"sha256:{n:064x}",
                        tags=(HOSTILE[n] if hostile else f"v{n}",),
                        pushed_at=at,
                        fate=fate,
                        predicted_at=None if fate is Fate.NOT_PREDICTED else at,
                        rule=3,
                        last_seen_at=at,
                        gone_at=None,
                        size_bytes=7,
                    )
                    for n, fate in enumerate(Fate)
                ),
                freed_bytes=1_000,
                predicted_bytes=2_000,
            )
            for row in report.repositories[::4]
        ),
        unknown=("of one repository no policy is known",),
    )


_REGISTRY = RegistrySettings(
    scan_type="BASIC",
    basic_scan_type_version="AWS_NATIVE",
    scan_rules=(ScanRule(frequency="SCAN_ON_PUSH", filters=("prod*",)),),
    replication_rules=(
        ReplicationRule(destinations=((_FRIEND, "eu-west-1"),), prefixes=("prod",), deletes=True),
    ),
    exposure=Exposure(Openness.UNKNOWN, (), "it is not JSON"),
    policy_scope="V2",
    templates=(Template("prod", ("REPLICATION",), lifecycle_policy_text="{}"),),
)


def _settings(n: int, *, hostile: bool) -> RepositorySettings:
    """Of three repositories one is set to everything, one to nothing, and of one nothing is known."""
    if n % 3 == 2:
        return RepositorySettings()
    if n % 3 == 1:
        return RepositorySettings(
            scanning=Scanning(Frequency.MANUAL, (), Frequency.MANUAL, ()),
            exposure=Exposure(Openness.PRIVATE, (), ""),
            replicated_to=(),
            creation_template="",
            tags={},
        )
    team = HOSTILE[n % len(HOSTILE)] if hostile else f"team-{n % 20}"
    return RepositorySettings(
        scanning=Scanning(Frequency.SCAN_ON_PUSH, ("prod*",), Frequency.CONTINUOUS_SCAN, ("prod*",)),
        exposure=Exposure(Openness.ACCOUNTS, (Grant("account", _FRIEND, ("pull",)),), ""),
        # Nothing is said of replicas, whose bytes would have to fit the rows.
        replicated_to=(),
        creation_template="prod",
        tags={"team": team},
    )
