"""What registries and repositories are set to do, as the rows of a report say it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyzer.creation_templates import read_templates, template_of
from analyzer.exposure import exposure_of_registries, exposure_of_repositories
from analyzer.model.frames import Frames
from analyzer.model.records import ABSENT, PUBLIC_REGION
from analyzer.model.registry_settings import (
    NO_SCAN,
    SEVERITIES,
    Copy,
    RegistrySettings,
    Replication,
    RepositorySettings,
    Scans,
    Settings,
    counted,
)
from analyzer.replication import read_replication_rules
from analyzer.scanning import ScanPlan, read_scan_plan, scanning_of_repositories


def repository_settings(
    frames: Frames, settings: Settings, replication: Replication
) -> list[RepositorySettings]:
    """What each repository of ``frames`` is set to do, in their order."""
    scanning = scanning_of_repositories(frames, settings)
    exposure = exposure_of_repositories(frames, settings)
    templates = [read_templates(own) for own in settings.registries]
    registry = frames.repositories["registry"].tolist()
    names = frames.repositories["repository"].tolist()
    artifacts, count = frames.artifacts.repository, len(names)
    replicas, possible = (
        np.bincount(artifacts[replication.is_replica == code], minlength=count).tolist()
        for code in (Copy.YES, Copy.UNKNOWN)
    )
    rows = []
    for row, (position, name, own) in enumerate(zip(registry, names, settings.repositories, strict=True)):
        known = templates[position]
        template = None if known is None else template_of(known, name)
        rows.append(
            RepositorySettings(
                scanning=scanning[row],
                exposure=exposure[row],
                replicated_to=replication.replicated_to[row],
                replica_of=replication.replica_of[row],
                replicas=replicas[row],
                possible_replicas=possible[row],
                replica_bytes=int(replication.replica_bytes[row]),
                possible_replica_bytes=int(replication.possible_replica_bytes[row]),
                creation_template=None if known is None else template.prefix if template else "",
                tags=_tags(own),
            )
        )
    return rows


def registry_settings(frames: Frames, settings: Settings) -> list[RegistrySettings]:
    """What each registry of ``frames`` is set to do, in their order."""
    rows = []
    exposures = exposure_of_registries(frames, settings)
    for own, exposure, region in zip(
        settings.registries, exposures, frames.registries["region"], strict=True
    ):
        plan = ScanPlan("NONE", ()) if region == PUBLIC_REGION else read_scan_plan(own)
        rows.append(
            RegistrySettings(
                scan_type=None if plan is None else plan.scan_type,
                basic_scan_type_version=_text(own, "basic_scan_type_version"),
                scan_rules=None if plan is None else plan.rules,
                replication_rules=read_replication_rules(own),
                exposure=exposure,
                policy_scope=_text(own, "registry_policy_scope"),
                templates=read_templates(own),
            )
        )
    return rows


def image_columns(scans: Scans, replication: Replication) -> pd.DataFrame:
    """What a table of images says of their scans and replicas, one row per artifact.

    scan_status ("" where ECR shows no scan), scan_completed (ISO date or ""), one column of findings
    per severity (missing where they are not known), replica (yes, no, unknown), and in how many of its
    destinations it is (replicated), is not (not_replicated) and may be (replication_unknown).
    """
    known = counted(scans)
    statuses = np.array([*scans.statuses, ""], dtype=object)
    # NO_SCAN is the last of them.
    columns: dict[str, npt.ArrayLike | pd.Series] = {
        "scan_status": statuses[np.where(scans.status == NO_SCAN, len(scans.statuses), scans.status)],
        "scan_completed": np.where(
            known, np.datetime_as_string(np.where(known, scans.completed_day, 0).astype("datetime64[D]")), ""
        ),
    }
    for number, severity in enumerate(SEVERITIES):
        column = pd.Series(scans.findings[:, number].astype(np.int64), dtype="Int64")
        columns[f"findings_{severity}"] = column.where(pd.Series(known))
    words = np.array([code.name.lower() for code in Copy], dtype=object)
    columns["replica"] = words[replication.is_replica]
    columns["replicated"] = replication.present.astype(np.int64)
    columns["not_replicated"] = replication.missing.astype(np.int64)
    columns["replication_unknown"] = replication.unknown.astype(np.int64)
    return pd.DataFrame(columns)


def _tags(settings: Mapping[str, str]) -> dict[str, str] | None:
    text = settings.get("tags")
    found = None if text is None else json.loads(text)
    if not isinstance(found, dict):
        return None
    # A tag without a value has an empty one.
    return {str(key): "" if value is None else str(value) for key, value in sorted(found.items())}


def _text(settings: Mapping[str, str], name: str) -> str | None:
    value = json.loads(settings.get(name, ABSENT))
    return value if isinstance(value, str) else None
