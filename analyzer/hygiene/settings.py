"""Checks of what repositories are set to do: whether tags may move, whether anything scans the images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from analyzer.hygiene.estate import Check, Estate, Found, Unjudged
from analyzer.model.findings import CheckText, Evidence
from analyzer.model.lint import Severity
from analyzer.model.registry_settings import Frequency
from analyzer.model.words import counted

#: ECR API reference, Repository: imageTagMutability.
_MUTABLE: Final = "MUTABLE"
_MUTABLE_BUT: Final = "MUTABLE_WITH_EXCLUSION"
_DESCRIBE: Final = (
    "aws ecr describe-repositories --registry-id {account} --region {region} --repository-names {repository}"
)
_SCANNING: Final = (
    "aws ecr batch-get-repository-scanning-configuration --region {region} --repository-names {repository}"
)
_REGISTRY_SCANNING: Final = "aws ecr get-registry-scanning-configuration --region {region}"


def mutable_tags(estate: Estate) -> Iterator[Found | Unjudged]:
    """Private repositories whose tags may be pushed over; caches are left out, whose tags have to move."""
    repositories = estate.known.frames.repositories
    is_cache = repositories["pull_through_cache"].tolist()
    for row in estate.rows:
        if estate.is_public[row] or is_cache[row]:
            continue
        own = estate.known.settings.repositories[row]
        said = json.loads(own.get("image_tag_mutability", "null"))
        if said is None:
            yield Unjudged(
                registry=estate.registry[row], row=row, reason="whether tags are mutable was not read"
            )
        elif said in {_MUTABLE, _MUTABLE_BUT}:
            patterns = _patterns(own.get("image_tag_mutability_exclusion_filters", "[]"))
            but = f", but for those that fit {', '.join(map(repr, patterns))}" if patterns else ""
            yield Found(
                registry=estate.registry[row],
                row=row,
                message=f"a push may move any of its tags to another image{but}",
                severity=Severity.INFO if patterns or not estate.held[row] else None,
                images=0,
                evidence=(Evidence(kind="setting", name="imageTagMutability", note=said),),
            )


def unscanned(estate: Estate) -> Iterator[Found | Unjudged]:
    """Private repositories that are scanned by nobody's rule: there is none, or none matches."""
    for row in estate.rows:
        if estate.is_public[row]:
            continue
        registry = estate.registry[row]
        scanning = estate.known.of_repositories[row].scanning
        frequency = scanning.by_rules if scanning.applied is None else scanning.applied
        if frequency is None:
            yield Unjudged(registry=registry, row=row, reason="how it is scanned was not read")
        elif frequency is Frequency.MANUAL:
            yield Found(
                registry=registry,
                row=row,
                message=f"its images are not scanned when they are pushed: {_why(estate, registry)}",
                severity=None if estate.held[row] else Severity.INFO,
                images=int(estate.held[row]),
                evidence=(Evidence(kind="setting", name="scanFrequency", note=str(frequency)),),
            )


def _why(estate: Estate, registry: int) -> str:
    settings = estate.known.of_registries[registry]
    rules, kind = settings.scan_rules, (settings.scan_type or "").lower()
    if rules is None:
        return "ECR says MANUAL, and the registry's rules were not read"
    if not rules:
        return f"the registry has no {kind} scanning rule".replace("  ", " ")
    filters = sorted({text for rule in rules for text in rule.filters})
    named = ", ".join(map(repr, filters[:3])) + (", …" if len(filters) > 3 else "")
    return f"none of the registry's {counted(len(filters), 'filter', 'filters')} matches its name ({named})"


def _patterns(text: str) -> list[str]:
    found = json.loads(text)
    if not isinstance(found, list):
        return []
    return sorted(str(entry["filter"]) for entry in found if isinstance(entry, dict) and "filter" in entry)


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="MUTABLE_TAGS",
            severity=Severity.LOW,
            title="Tags that may move",
            meaning=(
                "A push under a tag that exists takes it from the image that had it. What a workload gets at"
                " its next start is not what was tested, and the old image stays behind untagged."
            ),
            validate=f"{_DESCRIBE} --query 'repositories[].imageTagMutability'",
            fix=(
                "aws ecr put-image-tag-mutability --registry-id {account} --region {region}"
                " --repository-name {repository} --image-tag-mutability IMMUTABLE (or"
                " IMMUTABLE_WITH_EXCLUSION and filters for the tags that are meant to move)"
            ),
            source="ECR user guide, Preventing image tags from being overwritten",
        ),
        mutable_tags,
    ),
    Check(
        CheckText(
            id="NOT_SCANNED",
            severity=Severity.MEDIUM,
            title="Images that nothing scans",
            meaning=(
                "Neither the registry's scanning rules nor the repository's own setting has its images"
                " scanned when they are pushed: vulnerabilities in them go unseen."
            ),
            validate=f"{_SCANNING}; {_REGISTRY_SCANNING}",
            fix=(
                "add a filter that matches the repository to a rule of the registry:"
                " aws ecr put-registry-scanning-configuration --region {region} (it replaces all rules: begin"
                " with those that are there)"
            ),
            source="ECR user guide, Filters to choose which repositories are scanned",
        ),
        unscanned,
    ),
)
