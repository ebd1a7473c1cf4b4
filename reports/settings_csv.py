"""Columns that say what registries and repositories are set to do; an empty cell is unknown.

Where nothing is the answer (no filter, no destination, no template), the cell says ``none``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from analyzer.model.registry_settings import Openness, RegistrySettings, RepositorySettings
from reports.missing import Missing
from reports.settings_json import tags_text
from reports.settings_words import exposed_to, place_words, replication_rule_words, scan_rule_words

_NONE: Final = "none"

#: The last of repositories.csv.
REPOSITORY_COLUMNS: Final = (
    "scan_frequency",
    "scan_filters",
    "scan_frequency_by_rules",
    "exposure",
    "exposed_to",
    "replicated_to",
    "not_replicated_artifacts",
    "replication_unknown_artifacts",
    "replica_of",
    "replica_artifacts",
    "possible_replica_artifacts",
    "replica_bytes_repository_scope",
    "possible_replica_bytes_repository_scope",
    "creation_template",
    "tags",
)
#: The last of registries.csv.
REGISTRY_COLUMNS: Final = (
    "scan_type",
    "basic_scan_type_version",
    "scan_rules",
    "replication_rules",
    "policy_scope",
    "policy_lets_in",
    "creation_templates",
)


def repository_cells(settings: RepositorySettings, missing: Missing) -> list[str | int]:
    """The cells of REPOSITORY_COLUMNS, not yet neutralised; ``missing`` is what its bytes leave out."""
    scanning, places = settings.scanning, settings.replicated_to
    exposure = settings.exposure
    known = exposure.openness is not Openness.UNKNOWN
    return [
        scanning.applied or "",
        _joined(scanning.applied_filters),
        scanning.by_rules or "",
        exposure.openness.value if known else "",
        _joined(exposed_to(exposure) if known or exposure.grants else None),
        _joined(None if places is None else map(place_words, places)),
        "" if places is None else sum(place.missing for place in places),
        "" if places is None else sum(place.unknown for place in places),
        _joined(map(place_words, settings.replica_of)),
        settings.replicas,
        settings.possible_replicas,
        "" if missing.nothing_known else settings.replica_bytes,
        "" if missing.nothing_known else settings.possible_replica_bytes,
        "" if settings.creation_template is None else settings.creation_template or _NONE,
        tags_text(settings),
    ]


def registry_cells(settings: RegistrySettings) -> list[str]:
    """The cells of REGISTRY_COLUMNS, not yet neutralised."""
    rules, copies = settings.scan_rules, settings.replication_rules
    exposure, templates = settings.exposure, settings.templates
    known = exposure.openness is not Openness.UNKNOWN
    return [
        settings.scan_type or "",
        settings.basic_scan_type_version or "",
        _joined(None if rules is None else map(scan_rule_words, rules)),
        _joined(None if copies is None else map(replication_rule_words, copies)),
        settings.policy_scope or "",
        _joined(exposed_to(exposure) if known or exposure.grants else None),
        _joined(None if templates is None else (template.prefix for template in templates)),
    ]


def _joined(texts: Iterable[str] | Sequence[str] | None) -> str:
    return "" if texts is None else "; ".join(texts) or _NONE
