"""What registries and repositories are set to do, as report.json has it; null is unknown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from analyzer.model.registry_settings import Exposure, Place, RegistrySettings, RepositorySettings, Template
from reports.missing import Missing

_Object = dict[str, Any]


def repository_settings(settings: RepositorySettings, missing: Missing) -> _Object:
    """``settings`` of a repository; ``missing`` is what its bytes leave out."""
    scanning = settings.scanning
    return {
        "scanning": {
            "frequency": _or_none(scanning.applied),
            "filters": _list(scanning.applied_filters),
            "frequency_by_rules": _or_none(scanning.by_rules),
            "filters_by_rules": _list(scanning.matching_filters),
            "agrees": scanning.agrees,
        },
        "exposure": _exposure(settings.exposure),
        "replicated_to": None
        if settings.replicated_to is None
        else [_place(place) for place in settings.replicated_to],
        "replica_of": [_place(place) for place in settings.replica_of],
        "replicas": settings.replicas,
        "possible_replicas": settings.possible_replicas,
        "replica_bytes": None if missing.nothing_known else settings.replica_bytes,
        "possible_replica_bytes": None if missing.nothing_known else settings.possible_replica_bytes,
        "creation_template": settings.creation_template,
        "tags": None if settings.tags is None else dict(settings.tags),
    }


def registry_settings(settings: RegistrySettings) -> _Object:
    """``settings`` of a registry; the creation template "" of a repository is none."""
    return {
        "scan_type": settings.scan_type,
        "basic_scan_type_version": settings.basic_scan_type_version,
        "scan_rules": None
        if settings.scan_rules is None
        else [{"frequency": rule.frequency, "filters": list(rule.filters)} for rule in settings.scan_rules],
        "replication_rules": None
        if settings.replication_rules is None
        else [
            {
                "destinations": [
                    {"account": account, "region": region} for account, region in rule.destinations
                ],
                "prefixes": list(rule.prefixes),
                "deletes": rule.deletes,
            }
            for rule in settings.replication_rules
        ],
        "policy": _exposure(settings.exposure),
        "policy_scope": settings.policy_scope,
        "creation_templates": None
        if settings.templates is None
        else [_template(template) for template in settings.templates],
    }


def tags_text(settings: RepositorySettings) -> str:
    """The tags of a repository as one JSON object, "" where they are not known."""
    return "" if settings.tags is None else json.dumps(dict(settings.tags), ensure_ascii=False)


def _exposure(exposure: Exposure) -> _Object:
    return {
        "open_to": exposure.openness.value,
        "grants": [
            {
                "kind": grant.kind,
                "who": grant.who,
                "access": list(grant.access),
                "narrowed": grant.is_narrowed,
            }
            for grant in exposure.grants
        ],
        "unknown_because": exposure.reason or None,
    }


def _place(place: Place) -> _Object:
    return {
        "account": place.account,
        "region": place.region,
        "present": place.present,
        "missing": place.missing,
        "unknown": place.unknown,
    }


def _template(template: Template) -> _Object:
    return {
        "prefix": template.prefix,
        "applied_for": list(template.applied_for),
        "encryption_type": template.encryption_type or None,
        "kms_key": template.kms_key or None,
        "lifecycle_policy_text": template.lifecycle_policy_text,
        "has_repository_policy": template.has_repository_policy,
        "image_tag_mutability": template.image_tag_mutability or None,
        "tags": dict(template.tags),
    }


def _or_none(value: str | None) -> str | None:
    return None if value is None else str(value)


def _list(texts: Sequence[str] | None) -> list[str] | None:
    return None if texts is None else list(texts)
