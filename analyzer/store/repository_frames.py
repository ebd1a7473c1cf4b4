"""Registries and their repositories as tables, as every bulk read has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, select

from analyzer.model.frames import NO_TIME, Int64
from analyzer.model.records import ABSENT, ReadStatus
from analyzer.store import tables
from analyzer.store.snapshots import SnapshotRef, snapshot_times
from analyzer.store.state import during, end_of, settings_in_force

#: The lifecycle policy among the settings of a repository, and all of these that frames know.
POLICY = "lifecycle_policy_text"
REPOSITORY_SETTINGS = ("encryption", POLICY)
#: Of ``Frames.repositories``. As a text column pandas would turn None, no policy, into NaN.
_COLUMNS: dict[str, Any] = {
    "registry": np.int64,
    "repository": "str",
    "created_at_ms": np.int64,
    "status": "str",
    "complete_at_ms": np.int64,
    "encryption_type": "str",
    "kms_key": "str",
    "pull_through_cache": np.bool_,
    "pull_through_cache_known": np.bool_,
    "lifecycle_policy_text": object,
    "lifecycle_policy_known": np.bool_,
}


@dataclass(frozen=True, slots=True)
class PullThrough:
    """What pull-through-cache rules say of repositories."""

    #: How the names of those begin that a rule fills.
    prefixes: tuple[str, ...]
    #: Any other may be filled by a rule as well.
    may_be_any: bool


def load_registries(connection: Connection, snapshots: Sequence[SnapshotRef]) -> pd.DataFrame:
    """``Frames.registries``."""
    rows = []
    for snapshot in snapshots:
        setting, value = tables.registry_setting, tables.setting_value
        query = (
            select(setting.c.name, value.c.value, setting.c.gone_snapshot)
            .join(value, value.c.id == setting.c.value_id)
            .where(
                setting.c.registry_id == snapshot.registry_id,
                setting.c.name.in_(("account_name", "blob_mounting", "public_aliases")),
                setting.c.first_snapshot <= snapshot.number,
            )
        )
        seen = [
            (name, json.loads(text), gone is None or gone > snapshot.number)
            for name, text, gone in connection.execute(query)
        ]
        now = {name: value or "" for name, value, in_force in seen if in_force}
        key = snapshot.key
        rows.append(
            {
                "partition": key.partition,
                "account": key.account,
                "region": key.region,
                "snapshot": snapshot.number,
                "run": snapshot.run,
                "taken_at_ms": snapshot.taken_at_ms,
                "status": str(snapshot.status),
                "blob_mounting": now.get("blob_mounting", ""),
                "blob_mounting_ever": any(
                    (name, value) == ("blob_mounting", "ENABLED") for name, value, _ in seen
                ),
                "account_name": now.get("account_name", ""),
                "public_aliases": tuple(now.get("public_aliases", ())),
            }
        )
    return pd.DataFrame(rows)


def load_repositories(connection: Connection, snapshots: Sequence[SnapshotRef]) -> tuple[pd.DataFrame, Int64]:
    """``Frames.repositories`` as ``snapshots`` saw them, and their ids."""
    repository, read = tables.repository, tables.repository_read
    rows: list[dict[str, Any]] = []
    for position, snapshot in enumerate(snapshots):
        complete_at = _complete_at(connection, snapshot)
        settings = _settings(connection, snapshot)
        pull_through = load_pull_through(connection, snapshot)
        query = (
            select(repository.c.id, repository.c.name, repository.c.created_at_ms, read.c.status)
            .join(read, read.c.repository_id == repository.c.id)
            .where(repository.c.registry_id == snapshot.registry_id, during(read, snapshot.number))
            .order_by(repository.c.id)
        )
        for key, name, created, status in connection.execute(query):
            rows.append(
                repository_row(
                    key,
                    position,
                    name,
                    created,
                    status=status,
                    complete_at_ms=complete_at.get(key, NO_TIME),
                    settings=settings.get(key, {}),
                    pull_through=pull_through,
                )
            )
    return repositories_frame(rows)


def repository_row(
    key: int,
    place: int,
    name: str,
    created_at_ms: int,
    *,
    status: str,
    complete_at_ms: int,
    settings: Mapping[str, Any],
    pull_through: PullThrough,
) -> dict[str, Any]:
    """A row for `repositories_frame`; ``settings`` are what is known of encryption and policy."""
    encryption = settings.get("encryption") or {}
    return {
        "id": key,
        "registry": place,
        "repository": name,
        "created_at_ms": created_at_ms,
        "status": status,
        "complete_at_ms": complete_at_ms,
        "encryption_type": encryption.get("encryptionType") or "",
        "kms_key": encryption.get("kmsKey") or "",
        "pull_through_cache": (cached := name.startswith(pull_through.prefixes)),
        "pull_through_cache_known": cached or not pull_through.may_be_any,
        "lifecycle_policy_text": settings.get(POLICY),
        "lifecycle_policy_known": POLICY in settings,
    }


def repositories_frame(rows: list[dict[str, Any]]) -> tuple[pd.DataFrame, Int64]:
    """``Frames.repositories`` out of `repository_row`, in their order, and the ids; ``rows`` are used up."""
    rows.sort(key=lambda row: (row["registry"], row["repository"], row["created_at_ms"]))
    ids = np.array([row.pop("id") for row in rows], np.int64)
    # Types are given: those of no row, or of nothing but None, would be guessed wrong.
    columns = {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in _COLUMNS.items()}
    return pd.DataFrame(columns), ids


def _complete_at(connection: Connection, snapshot: SnapshotRef) -> dict[int, int]:
    """Time of the last complete read up to ``snapshot``, by repository id."""
    repository, read = tables.repository, tables.repository_read
    query = (
        select(read.c.repository_id, end_of(read))
        .join(repository, repository.c.id == read.c.repository_id)
        .where(
            repository.c.registry_id == snapshot.registry_id,
            read.c.status == str(ReadStatus.COMPLETE),
            read.c.first_snapshot <= snapshot.number,
        )
    )
    last: dict[int, int] = {}
    for key, end in connection.execute(query):
        last[key] = max(last.get(key, 0), min(end - 1, snapshot.number))
    times = snapshot_times(connection, snapshot.registry_id)
    return {key: times[number] for key, number in last.items()}


def _settings(connection: Connection, snapshot: SnapshotRef) -> dict[int, dict[str, Any]]:
    """What is known of encryption and policy, by repository id."""
    texts: dict[int, str] = {}
    rows = settings_in_force(connection, snapshot.registry_id, snapshot.number, REPOSITORY_SETTINGS, texts)
    values = {key: None if text == ABSENT else json.loads(text) for key, text in texts.items()}
    found: dict[int, dict[str, Any]] = {}
    for repository_id, name, value_id in rows:
        found.setdefault(repository_id, {})[name] = values[value_id]
    return found


def load_pull_through(connection: Connection, snapshot: SnapshotRef) -> PullThrough:
    """Which repositories the pull-through-cache rules of ``snapshot`` fill.

    The prefix ROOT stands for every name that no other rule covers; which of those the rule really
    filled cannot be told, so they stay among the ordinary repositories, as they do where the rules
    could not be read.
    """
    setting, value = tables.registry_setting, tables.setting_value
    query = (
        select(value.c.value)
        .join(setting, setting.c.value_id == value.c.id)
        .where(
            setting.c.registry_id == snapshot.registry_id,
            setting.c.name == "pull_through_cache_rules",
            during(setting, snapshot.number),
        )
    )
    text = connection.execute(query).scalar_one_or_none()
    rules = (json.loads(text) or ()) if text is not None else ()
    prefixes = {rule.get("ecrRepositoryPrefix", "") for rule in rules}
    named = tuple(sorted(f"{prefix}/" for prefix in prefixes if prefix and prefix != "ROOT"))
    return PullThrough(named, text is None or "ROOT" in prefixes)
