"""The tables with a row for each registry, repository, setting, use, finding or gap."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any

from analyzer.exporting.blocks import Block
from analyzer.exporting.columns import TableText
from analyzer.loading import Loaded
from analyzer.model.findings import Finding
from analyzer.model.records import ABSENT, Gap
from analyzer.model.registry_settings import Openness
from analyzer.model.results import Report
from analyzer.model.units import Money
from analyzer.model.usage import KINDS
from reports.missing import (
    Missing,
    bytes_of_registries,
    bytes_of_repository,
    counts_of_registries,
    counts_of_repository,
    repositories_of_registry,
)
from reports.rounding import EXACT_DECIMALS, rounded, rounded_costs

_Row = dict[str, Any]


def block_of(table: TableText, rows: Iterable[_Row]) -> Block:
    """``rows`` as one block, sorted as ``table`` is."""
    key = [column.name for column in table.columns[: table.sorted_by]]
    ordered = sorted(rows, key=lambda row: [row[name] or "" for name in key])
    return {column.name: [row[column.name] for row in ordered] for column in table.columns}


def registries(report: Report) -> list[_Row]:
    """Rows of ``registries``."""
    costs = rounded_costs(report, EXACT_DECIMALS)
    unsized, uncounted = bytes_of_registries(report), counts_of_registries(report)
    return [
        {
            "account": row.account,
            "region": row.region,
            "partition": row.partition,
            "account_name": row.account_name or None,
            "snapshot": row.snapshot,
            "run": row.run,
            "taken_at": row.taken_at,
            "status": row.status,
            "blob_mounting": row.blob_mounting or None,
            "blob_mounting_ever": row.blob_mounting_ever,
            "repositories": _known(row.repositories, repositories_of_registry(row)),
            **{name: _known(number, uncounted[n]) for name, number in asdict(row.counts).items()},
            "logical_bytes": _known(row.logical_bytes, unsized[n]),
            "physical_bytes_repository_scope": _known(row.physical_bytes.repository, unsized[n]),
            "physical_bytes_registry_scope": _known(row.physical_bytes.registry, unsized[n]),
            "shared_bytes": _known(row.shared_bytes, unsized[n]),
            "cost_repository_scope_usd_per_month": costs.registries_repository[n],
            "cost_registry_scope_usd_per_month": costs.registries_registry[n],
            "cost_low_usd_per_month": costs.registries_low[n],
            "cost_high_usd_per_month": costs.registries_high[n],
            "cost_leaves_out": _leaves_out(row.cost_low, row.cost_high),
        }
        for n, row in enumerate(report.registries)
    ]


def repositories(report: Report, is_chosen: Callable[[str], bool]) -> list[_Row]:
    """Rows of ``repositories``."""
    costs = rounded_costs(report, EXACT_DECIMALS)
    rows = []
    for n, row in enumerate(report.repositories):
        if not is_chosen(row.repository):
            continue
        unsized, uncounted = bytes_of_repository(row), counts_of_repository(row)
        exposure = row.settings.exposure.openness
        rows.append(
            {
                "account": row.account,
                "region": row.region,
                "repository": row.repository,
                "created_at": row.created_at,
                "status": row.status,
                "complete_at": row.complete_at,
                **{name: _known(number, uncounted) for name, number in asdict(row.counts).items()},
                "logical_bytes": _known(row.logical_bytes, unsized),
                "physical_bytes_repository_scope": _known(row.physical_bytes.repository, unsized),
                "physical_bytes_registry_scope": _known(row.physical_bytes.registry, unsized),
                "untagged_freed_bytes": _known(row.untagged_freed_bytes, unsized),
                "orphaned_freed_bytes": _known(row.orphaned_freed_bytes, unsized),
                "stale_freed_bytes": _known(row.stale_freed_bytes, unsized),
                "cost_repository_scope_usd_per_month": costs.repositories_repository[n],
                "cost_registry_scope_usd_per_month": costs.repositories_registry[n],
                "orphaned_cost_usd_per_month": costs.repositories_orphaned[n],
                "cost_leaves_out": _leaves_out(row.cost.repository, row.cost.registry),
                "orphaned_cost_leaves_out": _leaves_out(row.orphaned_cost),
                "has_lifecycle_policy": row.has_lifecycle_policy,
                "pull_through_cache": row.pull_through_cache,
                "scan_frequency": row.settings.scanning.applied,
                "exposure": None if exposure is Openness.UNKNOWN else exposure.value,
            }
        )
    return rows


def settings(loaded: Loaded, is_chosen: Callable[[str], bool]) -> list[_Row]:
    """Rows of ``settings``."""
    frames = loaded.frames
    places = list(zip(frames.registries["account"], frames.registries["region"], strict=True))
    rows = []
    for (account, region), own in zip(places, loaded.settings.registries, strict=True):
        rows += [_setting(account, region, None, name, text) for name, text in own.items()]
    columns = ("registry", "repository", "encryption_type", "kms_key")
    of_repositories = zip(
        *(frames.repositories[name].tolist() for name in columns),
        frames.repositories["lifecycle_policy_text"],
        frames.repositories["lifecycle_policy_known"].tolist(),
        loaded.settings.repositories,
        strict=True,
    )
    for registry, name, encryption, key, policy, is_known, own in of_repositories:
        if not is_chosen(name):
            continue
        account, region = places[registry]
        rows += [_setting(account, region, name, setting, text) for setting, text in own.items()]
        # Frames have these read already.
        read: dict[str, str | None] = {"lifecycle_policy_text": policy} if is_known else {}
        if encryption:
            read |= {"encryption_type": encryption, "kms_key": key or None}
        rows += [_row(account, region, name, setting, value) for setting, value in read.items()]
    return rows


def _setting(account: str, region: str, repository: str | None, name: str, text: str) -> _Row:
    if text == ABSENT:
        return _row(account, region, repository, name, None)
    value = json.loads(text)
    return _row(account, region, repository, name, value if isinstance(value, str) else text)


def _row(account: str, region: str, repository: str | None, name: str, value: str | None) -> _Row:
    return {
        "account": account,
        "region": region,
        "repository": repository,
        "name": name,
        "is_set": value is not None,
        "value": value,
    }


def workload_uses(loaded: Loaded) -> list[_Row]:
    """Rows of ``workload_uses``."""
    workloads, registries = loaded.workloads, loaded.frames.registries
    places = list(zip(registries["account"], registries["region"], strict=True))
    uses = zip(
        workloads.place.tolist(),
        workloads.source.tolist(),
        workloads.workload.tolist(),
        workloads.kind.tolist(),
        workloads.reference.tolist(),
        strict=True,
    )
    return [
        {
            "account": places[place][0],
            "region": places[place][1],
            "source": workloads.sources[source],
            "workload": workloads.names[workload],
            "kind": KINDS[kind],
            "image_reference": workloads.references[reference],
        }
        for place, source, workload, kind, reference in uses
    ]


def workload_sources(loaded: Loaded) -> list[_Row]:
    """Rows of ``workload_sources``."""
    return [
        {"account": place.account, "region": place.region, "source": source, "status": status}
        for place in loaded.coverage.places
        for status, sources in (
            ("complete", place.read),
            ("partial", place.partial),
            ("refused", place.refused),
            ("never asked", place.never_asked),
        )
        for source in sources
    ]


def findings(found: Sequence[Finding], is_chosen: Callable[[str], bool]) -> list[_Row]:
    """Rows of ``findings``: those about whole registries too."""
    rows = []
    for finding in found:
        if finding.repository and not is_chosen(finding.repository):
            continue
        freed, saving, owner, waiver = finding.freed_bytes, finding.saving, finding.owner, finding.waiver
        rows.append(
            {
                "account": finding.account,
                "region": finding.region,
                "repository": finding.repository or None,
                "key": finding.key,
                "check": finding.check,
                "severity": str(finding.severity),
                "title": finding.title,
                "subject": finding.subject or None,
                "message": finding.message,
                "fix": finding.fix,
                "images": finding.images,
                "freed_bytes_repository_scope": None if freed is None else freed.repository,
                "freed_bytes_registry_scope": None if freed is None else freed.registry,
                "images_of_unknown_size": finding.unknown_size,
                "saving_usd_per_month_low": None if saving is None else rounded(saving.low, EXACT_DECIMALS),
                "saving_usd_per_month_high": None if saving is None else rounded(saving.high, EXACT_DECIMALS),
                "saving_leaves_out": None if saving is None else _leaves_out(saving.low, saving.high),
                "owner": None if owner is None else owner.name,
                "owner_source": None if owner is None else owner.source,
                "waived_until": None if waiver is None else waiver.expires,
                "waiver_owner": None if waiver is None else waiver.owner,
                "waiver_reason": None if waiver is None else waiver.reason,
            }
        )
    return rows


def gaps(report: Report, is_chosen: Callable[[str], bool]) -> list[_Row]:
    """Rows of ``gaps``: those about whole registries too, and those that were accepted."""
    every: list[tuple[Gap, str | None]] = [(gap, None) for gap in report.gaps]
    every += report.accepted_gaps
    return [
        {
            "account": gap.account,
            "region": gap.region,
            "repository": gap.repository or None,
            "call": gap.call,
            "reason": gap.reason,
            "detail": gap.detail or None,
            "count": gap.count,
            "accepted": because is not None,
            "accepted_because": because,
        }
        for gap, because in every
        if not gap.repository or is_chosen(gap.repository)
    ]


def chooser(globs: Sequence[str]) -> Callable[[str], bool]:
    """Whether a repository's name fits one of ``globs``; every one does without any."""
    return lambda name: not globs or any(fnmatchcase(name, glob) for glob in globs)


def _known(number: int, missing: Missing) -> int | None:
    return None if missing.nothing_known else number


def _leaves_out(*amounts: Money) -> str | None:
    return "; ".join(sorted({reason for money in amounts for reason in money.leaves_out})) or None
