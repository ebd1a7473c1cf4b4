"""What a run was refused without a snapshot to hang it on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import insert

from analyzer.model.records import Gap, RegistryKey
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.leases import registry_id


def gap_rows(run: int, registry: int, gaps: Iterable[Gap]) -> list[dict[str, Any]]:
    """``gaps`` of one registry as rows of the table."""
    return [
        {
            "run_id": run,
            "registry_id": registry,
            "repository": gap.repository,
            "call": gap.call,
            "reason": gap.reason,
            "detail": gap.detail,
            "count": gap.count,
        }
        for gap in sorted(gaps)
    ]


def record_gaps(database: Database, run: int, key: RegistryKey, gaps: Iterable[Gap]) -> None:
    """Record why ``run`` left no snapshot of the registry."""
    rows = gap_rows(run, registry_id(database, key), gaps)
    if rows:
        with database.write() as connection:
            connection.execute(insert(tables.gap), rows)
