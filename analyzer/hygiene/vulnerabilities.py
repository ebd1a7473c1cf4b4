"""Checks of what scans found in images that workloads use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from analyzer.families import IMAGE
from analyzer.hygiene.estate import EXAMPLES, Check, Estate, Found, Unjudged
from analyzer.model.findings import CheckText, Evidence
from analyzer.model.frames import Bools, Int64
from analyzer.model.lint import Severity
from analyzer.model.registry_settings import SEVERITIES
from analyzer.model.registry_settings import counted as known_counts
from analyzer.model.units import from_day
from analyzer.model.words import counted, images

_CRITICAL, _HIGH = SEVERITIES.index("critical"), SEVERITIES.index("high")
_NO_WORKLOADS: Final = "no workloads were read: what is in use is not known"


def critical_in_use(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per repository: images in use in which the last scan found something critical."""
    yield from _unjudged(estate)
    yield from _found(estate, _CRITICAL, _counts(estate)[:, _CRITICAL] > 0)


def high_in_use(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per repository: images in use in which the last scan found something high, and nothing critical."""
    yield from _unjudged(estate)
    counts = _counts(estate)
    yield from _found(estate, _HIGH, (counts[:, _HIGH] > 0) & (counts[:, _CRITICAL] == 0))


def not_scanned_in_use(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per repository: images in use of which no scan was completed."""
    yield from _unjudged(estate)
    scans = estate.known.scans
    unscanned = _in_use(estate) & ~known_counts(scans) & ~estate.is_public[estate.repository]
    for row, positions in estate.by_repository(unscanned):
        said = sorted({scans.statuses[number] for number in scans.status[positions].tolist() if number >= 0})
        words = f" (ECR says {', '.join(filter(None, said))})" if any(said) else ""
        yield Found(
            registry=estate.registry[row],
            row=row,
            message=f"no scan was completed of {images(len(positions))} in use{words}",
            artifacts=_youngest_first(positions),
            evidence=_users(estate, _youngest_first(positions)),
        )


def _found(estate: Estate, severity: int, chosen: Bools) -> Iterator[Found]:
    counts, days = _counts(estate), estate.known.scans.completed_day
    word = SEVERITIES[severity]
    for row, positions in estate.by_repository(chosen & _in_use(estate)):
        # The worst first, of equals the youngest.
        worst = _youngest_first(positions)
        worst = worst[np.argsort(-counts[worst, severity], kind="stable")]
        total, most = int(counts[worst, severity].sum()), int(counts[worst[0], severity])
        yield Found(
            registry=estate.registry[row],
            row=row,
            message=(
                f"scans found {counted(total, f'{word} vulnerability', f'{word} vulnerabilities')} in"
                f" {images(len(positions))} in use, up to {most:,} in one; the oldest of these scans is of"
                f" {from_day(int(days[positions].min())).isoformat()}"
            ),
            artifacts=worst,
            evidence=_users(estate, worst),
        )


def _unjudged(estate: Estate) -> Iterator[Unjudged]:
    coverage = estate.known.coverage
    if estate.known.usage is None or (coverage is not None and coverage.is_nothing):
        for registry in range(len(estate.regions)):
            yield Unjudged(registry=registry, row=None, reason=_NO_WORKLOADS)


def _in_use(estate: Estate) -> Bools:
    """Images in use; of an index that is in use those that are there for its platforms."""
    known = estate.known
    usage = known.usage
    if usage is None:
        return np.zeros(len(estate.repository), np.bool_)
    used: Bools = usage.in_use & (known.families.kind == IMAGE) & ~estate.platforms.is_attestation
    return used


def _counts(estate: Estate) -> Int64:
    """(artifacts, severities) findings; 0 where none are known."""
    scans = estate.known.scans
    return np.where(known_counts(scans)[:, None], scans.findings, 0).astype(np.int64)


def _youngest_first(positions: Int64) -> Int64:
    return positions[::-1]


def _users(estate: Estate, positions: Int64) -> tuple[Evidence, ...]:
    """Some of the workloads that use the first of ``positions``."""
    usage = estate.known.usage
    if usage is None or not len(positions):
        return ()
    return tuple(
        Evidence(
            kind="workload",
            name="/".join(filter(None, (use.account, use.region, use.source, use.workload))) or use.reference,
            note=f"{use.kind}, as {use.reference}; uses the first of these images",
        )
        for use in usage.of(int(positions[0]), EXAMPLES)
    )


_VALIDATE: Final = (
    "aws ecr describe-image-scan-findings --registry-id {account} --region {region}"
    " --repository-name {repository} --image-id imageDigest=DIGEST"
)
_FIX: Final = (
    "build the image again on a newer base with updated packages, roll it out, and let the old one leave;"
    " `demurrage explain IMAGE` names all that use it"
)
_SOURCE: Final = "ECR API reference, ImageScanFindingsSummary: findingSeverityCounts"

CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="CRITICAL_IN_USE",
            severity=Severity.HIGH,
            title="Critical vulnerabilities in images that are in use",
            meaning=(
                "The last completed scan of these images found critical vulnerabilities, and a workload that"
                " was read runs them, would start with them, or would roll back to them. A vulnerability"
                " once in each image that has it. Images without a completed scan are told by"
                " NOT_SCANNED_IN_USE."
            ),
            validate=_VALIDATE,
            fix=_FIX,
            source=_SOURCE,
        ),
        critical_in_use,
    ),
    Check(
        CheckText(
            id="HIGH_IN_USE",
            severity=Severity.MEDIUM,
            title="Vulnerabilities of severity high in images that are in use",
            meaning=(
                "The last completed scan of these images found vulnerabilities of severity high and none that"
                " are critical, and a workload that was read uses them."
            ),
            validate=_VALIDATE,
            fix=_FIX,
            source=_SOURCE,
        ),
        high_in_use,
    ),
    Check(
        CheckText(
            id="NOT_SCANNED_IN_USE",
            severity=Severity.LOW,
            title="Images in use that no scan has looked at",
            meaning=(
                "A workload that was read uses these images, and ECR shows no completed scan of them: they"
                " were pushed before scanning was on, no filter matches their repository, or the scan failed"
                " or does not know their kind. What is in them is unknown. Archived images cannot be scanned."
            ),
            validate=_VALIDATE,
            fix=(
                "let a scanning filter match the repository; for basic scanning also aws ecr start-image-scan"
                " --registry-id {account} --region {region} --repository-name {repository} --image-id"
                " imageDigest=DIGEST"
            ),
            source="ECR user guide, Scan images for software vulnerabilities",
        ),
        not_scanned_in_use,
    ),
)
