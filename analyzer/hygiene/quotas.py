"""Check of what comes near a quota of ECR, beyond which pushes and changes are refused.

The quotas are the defaults of each account and region (ECR user guide, "Amazon ECR service quotas"; Service
Quotas' codes stand beside those that can be raised). Whether one was raised is not known here, but where more
is there than the default allows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from analyzer.hygiene.estate import Check, Estate, Found, Unjudged
from analyzer.model.findings import CheckText, Evidence
from analyzer.model.frames import Int64
from analyzer.model.lint import Severity
from analyzer.model.records import PUBLIC_REGION, ReadStatus
from analyzer.replication import read_replication_rules

#: From so many per cent of a quota on something is near it, and from so many on it is urgent.
NEAR_PER_CENT: Final = 80
URGENT_PER_CENT: Final = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One of ECR's quotas."""

    #: Names the quota in keys of findings.
    subject: str
    #: As Service Quotas and the user guide name it.
    name: str
    default: int
    unit: str = ""
    #: Of a quota that can be raised, "" for one that cannot.
    code: str = ""


REPOSITORIES: Final = Quota(
    subject="repositories", name="registered repositories", default=100_000, code="L-CFEB8E8D"
)
IMAGES: Final = Quota(subject="images", name="images per repository", default=100_000, code="L-03A36CE1")
TAGS: Final = Quota(subject="tags", name="tags per image", default=1_000)
RULES: Final = Quota(subject="policy-rules", name="rules per lifecycle policy", default=50)
POLICY_TEXT: Final = Quota(
    subject="policy-length", name="lifecycle policy length", default=30_720, unit=" characters"
)
CACHE_RULES: Final = Quota(subject="cache-rules", name="pull-through cache rules per registry", default=50)
REPLICATION_RULES: Final = Quota(
    subject="replication-rules", name="rules per replication configuration", default=10
)
FILTERS: Final = Quota(subject="replication-filters", name="filters per replication rule", default=100)
DESTINATIONS: Final = Quota(
    subject="replication-destinations",
    name="unique destinations of a replication configuration",
    default=25,
)
EXCLUSIONS: Final = Quota(subject="pull-time-exclusions", name="pull-time update exclusions", default=100)
LAYER: Final = Quota(subject="layer-size", name="layer size", default=52_000, unit=" MiB")


def near_quotas(estate: Estate) -> Iterator[Found | Unjudged]:
    """Whatever of a private registry or repository is at NEAR_PER_CENT of a quota or more.

    What was listed in part counts as far as it was listed: it may be more.
    """
    yield from _of_registries(estate)
    yield from _of_repositories(estate)


def _of_registries(estate: Estate) -> Iterator[Found | Unjudged]:
    registries = estate.known.frames.registries
    repositories = np.bincount(np.array(estate.registry, np.int64), minlength=len(registries)).tolist()
    for registry, (region, status) in enumerate(
        zip(estate.regions, registries["status"].tolist(), strict=True)
    ):
        if region == PUBLIC_REGION:
            continue
        own = estate.known.settings.registries[registry]
        yield from _near(
            registry, None, REPOSITORIES, repositories[registry], at_least=status != ReadStatus.COMPLETE
        )
        yield from _near(registry, None, CACHE_RULES, _length(own.get("pull_through_cache_rules")))
        yield from _near(registry, None, EXCLUSIONS, _length(own.get("pull_time_update_exclusions")))
        rules = read_replication_rules(own)
        if rules is None:
            continue
        yield from _near(registry, None, REPLICATION_RULES, len(rules))
        yield from _near(registry, None, FILTERS, max((len(rule.prefixes) for rule in rules), default=0))
        destinations = {place for rule in rules for place in rule.destinations}
        yield from _near(registry, None, DESTINATIONS, len(destinations))


def _of_repositories(estate: Estate) -> Iterator[Found | Unjudged]:
    known = estate.known
    repositories = known.frames.repositories
    whole = (repositories["status"] == ReadStatus.COMPLETE).to_numpy(np.bool_) & estate.listed
    texts: Sequence[str | None] = repositories["lifecycle_policy_text"].tolist()
    heaviest_tags = _heaviest(estate, known.frames.artifacts.tags.astype(np.int64))
    layers = _largest_layers(estate)
    for row in estate.rows:
        registry = estate.registry[row]
        if estate.is_public[row]:
            continue
        if not estate.listed[row]:
            yield Unjudged(registry=registry, row=row, reason="its images were never listed whole")
        yield from _near(registry, row, IMAGES, int(estate.held[row]), at_least=not whole[row])
        position = int(heaviest_tags[row])
        if position >= 0:
            number = int(known.frames.artifacts.tags[position])
            yield from _near(registry, row, TAGS, number, artifacts=np.array([position], np.int64))
        # A round MiB less never counts as more.
        yield from _near(registry, row, LAYER, int(layers[row]) >> 20)
        text = texts[row]
        if isinstance(text, str):
            yield from _near(registry, row, POLICY_TEXT, len(text))
            policy = int(known.policy_of[row])
            if policy >= 0:
                yield from _near(registry, row, RULES, len(known.policies[policy].rules))


def _near(
    registry: int,
    row: int | None,
    quota: Quota,
    number: int,
    *,
    at_least: bool = False,
    artifacts: Int64 | None = None,
) -> Iterator[Found]:
    if 100 * number < NEAR_PER_CENT * quota.default:
        return
    severity = Severity.HIGH if 100 * number >= URGENT_PER_CENT * quota.default else Severity.MEDIUM
    raised = ""
    if number > quota.default:
        # Nothing is refused that is there: the quota must have been raised.
        severity, raised = Severity.LOW, "; as more is there, yours was raised, and how far is not known here"
    part = f"{100 * number // quota.default:,} %"
    at = "at least " if at_least else ""
    yield Found(
        registry=registry,
        row=row,
        subject=quota.subject,
        message=(
            f"{quota.name}: {at}{number:,}{quota.unit} of {quota.default:,}, {part} of the default quota,"
            f" which {'can' if quota.code else 'cannot'} be raised{raised}"
        ),
        severity=severity,
        fix=(
            f"remove what is not needed, or ask for more: aws service-quotas request-service-quota-increase"
            f" --region {{region}} --service-code ecr --quota-code {quota.code} --desired-value NUMBER"
            if quota.code
            else "remove what is not needed: this quota cannot be raised"
        ),
        validate=(
            f"aws service-quotas get-service-quota --region {{region}} --service-code ecr"
            f" --quota-code {quota.code}"
            if quota.code
            else ""
        ),
        artifacts=np.zeros(0, np.int64) if artifacts is None else artifacts,
        images=0 if artifacts is None else len(artifacts),
        evidence=(
            Evidence(
                kind="setting", name=quota.name, note=f"{at}{number:,}{quota.unit} of {quota.default:,}"
            ),
        ),
    )


def _length(text: str | None) -> int:
    """How many entries a setting has; 0 where it is none or not known, of which nothing is said."""
    found: Any = None if text is None else json.loads(text)
    return len(found) if isinstance(found, list) else 0


def _heaviest(estate: Estate, weight: Int64) -> Int64:
    """Per row the first artifact of the greatest ``weight``; -1 where there is none."""
    order = np.lexsort((-np.arange(len(weight)), weight, estate.repository))
    heaviest = np.full(len(estate.names), -1)
    # The last of each repository is written last.
    heaviest[estate.repository[order]] = order
    return heaviest


def _largest_layers(estate: Estate) -> Int64:
    """Per row the bytes of the largest blob that it stores."""
    blobs = estate.blobs
    largest = np.zeros(len(estate.names), np.int64)
    np.maximum.at(largest, blobs.repository, blobs.size)
    return largest


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="NEAR_QUOTA",
            severity=Severity.MEDIUM,
            title="Near a quota of ECR",
            meaning=(
                f"At {NEAR_PER_CENT} % of a quota or more. At the quota pushes or changes are refused, as a"
                " rule in the middle of a release. Every manifest counts as an image: indexes, the images of"
                " their platforms, signatures. Held against are the default quotas of an account and region:"
                " repositories and images per repository (100,000 each, can be raised), tags per image"
                " (1,000), rules (50) and length (30,720) of a lifecycle policy, pull-through cache rules"
                " (50), replication rules (10), their filters (100) and destinations (25), pull-time update"
                " exclusions (100) and the size of a layer (52,000 MiB)."
            ),
            validate="aws service-quotas list-service-quotas --region {region} --service-code ecr",
            fix="remove what is not needed",
            source="ECR user guide, Amazon ECR service quotas",
        ),
        near_quotas,
    ),
)
