"""Settings and scans of frames, read beside them in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, case, func, literal, select

from analyzer.model.frames import Frames
from analyzer.model.registry_settings import NEVER_COMPLETED, SEVERITIES, Scans, Settings, no_scans
from analyzer.store import tables
from analyzer.store.frames import Places, match_artifacts
from analyzer.store.names import repository_ids
from analyzer.store.snapshots import SnapshotRef
from analyzer.store.state import load_settings, settings_in_force

#: Of repositories; what ``Frames`` gives already is not read again.
_REPOSITORY_SETTINGS = (
    "arn",
    "image_tag_mutability",
    "image_tag_mutability_exclusion_filters",
    "repository_policy_text",
    "scan_on_push",
    "scanning",
    "tags",
)


def load_all_settings(connection: Connection, frames: Frames, snapshots: Sequence[SnapshotRef]) -> Settings:
    """What the registries and repositories of ``frames`` are set to, in their order."""
    ids = repository_ids(connection, frames, snapshots).tolist()
    position = {key: row for row, key in enumerate(ids)}
    repositories: list[dict[str, str]] = [{} for _ in ids]
    registries = []
    texts: dict[int, str] = {}
    for snapshot in snapshots:
        own = load_settings(
            connection, tables.registry_setting, "registry_id", snapshot.registry_id, snapshot.number
        )
        registries.append(own)
        rows = settings_in_force(
            connection, snapshot.registry_id, snapshot.number, _REPOSITORY_SETTINGS, texts
        )
        for key, name, value_id in rows:
            if key in position:
                repositories[position[key]][name] = texts[value_id]
    return Settings(registries, repositories)


def load_scans(connection: Connection, frames: Frames, snapshots: Sequence[SnapshotRef]) -> Scans:
    """The scans of the artifacts of ``frames``, in their order."""
    table = tables.artifact_scan
    places = Places(
        snapshots,
        frames.repositories["registry"].to_numpy(np.int64),
        repository_ids(connection, frames, snapshots),
    )
    artifacts = frames.artifacts
    scans = no_scans(len(artifacts.digest_id))
    statuses = list(connection.execute(select(table.c.status).distinct().order_by(table.c.status)).scalars())
    if not statuses:
        return scans
    # Texts would have to be Python objects, a million of them; their places in a short list are not.
    code: Any = case({status: number for number, status in enumerate(statuses)}, value=table.c.status)
    rows = places.read(
        connection,
        table,
        table.c.digest_id,
        code,
        func.coalesce(table.c.completed_day, literal(NEVER_COMPLETED)),
        *(table.c[severity] for severity in SEVERITIES),
    )
    keys = (artifacts.repository.astype(np.int64) << 32) | artifacts.digest_id
    found, matched = match_artifacts(keys, rows)
    scans.status[found] = rows[matched, 2]
    scans.completed_day[found] = rows[matched, 3]
    scans.findings[found] = rows[matched, 4:]
    return Scans(scans.status, statuses, scans.completed_day, scans.findings)
