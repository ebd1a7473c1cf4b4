"""What used images in the past: workloads that named them, and pulls that CloudTrail recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, func, literal, select

from analyzer.model.history import RecordedPulls, WorkloadSpans
from analyzer.model.pulls import PullKind
from analyzer.store import tables
from analyzer.store.columns import read_integers
from analyzer.store.nights import Nights
from analyzer.store.pull_counts import KINDS, pullers_of
from analyzer.store.pull_coverage import load_coverage
from analyzer.store.snapshots import SnapshotRef
from analyzer.store.state import end_of

_DAY_MS = 86_400_000
_EXCLUSIONS = "pull_time_update_exclusions"


def load_workload_spans(connection: Connection, nights: Nights) -> WorkloadSpans:
    """Which workloads named which images, night by night."""
    use, workload, reference = tables.workload_use, tables.workload, tables.image_reference
    query = select(
        use.c.registry_id,
        use.c.source,
        use.c.workload_id,
        use.c.image_reference_id,
        use.c.first_snapshot,
        end_of(use),
    ).where(use.c.first_snapshot <= nights.last_number)
    # The same image is often named in several ways at once: running, configured, previous.
    found = {tuple(row) for row in connection.execute(query).cursor.fetchall() if row[0] in nights.position}
    ordered = sorted(found)
    named = sorted({(row[1], row[2]) for row in ordered})
    asked = sorted({row[3] for row in ordered})
    texts: dict[int, str] = dict(
        connection.execute(_used(workload.c.id, workload.c.name, use.c.workload_id, nights)).all()
    )
    references: dict[int, str] = dict(
        connection.execute(_used(reference.c.id, reference.c.name, use.c.image_reference_id, nights)).all()
    )
    name_at = {key: place for place, key in enumerate(named)}
    reference_at = {key: place for place, key in enumerate(asked)}
    rows = np.array(
        [
            (nights.position[registry], name_at[source, name], reference_at[asks], first, gone)
            for registry, source, name, asks, first, gone in ordered
        ],
        np.int64,
    ).reshape(-1, 5)
    rows, keep = nights.spans(rows[:, 0], rows)
    rows = rows[keep]
    rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 3], rows[:, 0]))]
    return WorkloadSpans(
        of=rows[:, 0].copy(),
        first=rows[:, 3].astype(np.int32),
        gone=rows[:, 4].astype(np.int32),
        name=rows[:, 1].copy(),
        reference=rows[:, 2].copy(),
        names=[f"{source} {texts[key]}" for source, key in named],
        references=[references[key] for key in asked],
    )


def load_recorded_pulls(
    connection: Connection, nights: Nights, snapshots: Sequence[SnapshotRef]
) -> RecordedPulls:
    """What CloudTrail recorded of images of these registries, from the first night's day on."""
    pull, target = tables.pull, tables.pull_target
    first_day = int(nights.taken_at_ms.min(initial=np.iinfo(np.int64).max)) // _DAY_MS
    query = (
        select(
            pull.c.day,
            target.c.id,
            func.coalesce(target.c.digest_id, literal(0)),
            func.coalesce(target.c.tag_name_id, literal(-1)),
            func.min(pull.c.puller_id),
        )
        .join(target, target.c.id == pull.c.target_id)
        .where(
            pull.c.day >= first_day,
            target.c.kind == KINDS[PullKind.IMAGE],
        )
        .group_by(pull.c.day, target.c.id, target.c.digest_id, target.c.tag_name_id)
    )
    rows = read_integers(connection, query)
    mine = {(snapshot.key.account, snapshot.key.region) for snapshot in snapshots}
    of_target = {
        key: (account, region, repository)
        for key, account, region, repository in connection.execute(
            select(target.c.id, target.c.account, target.c.region, target.c.repository).where(
                target.c.kind == KINDS[PullKind.IMAGE]
            )
        )
        if (account, region) in mine
    }
    rows = rows[np.array([key in of_target for key in rows[:, 1].tolist()], np.bool_)]
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    used = set(rows[:, 1].tolist())
    places = sorted({of_target[key] for key in used})
    at = {place: number for number, place in enumerate(places)}
    pullers = pullers_of(connection, set(rows[:, 4].tolist()))
    known = sorted(pullers)
    return RecordedPulls(
        day=rows[:, 0].copy(),
        place=np.array([at[of_target[key]] for key in rows[:, 1].tolist()], np.int64),
        digest_id=rows[:, 2].copy(),
        tag=rows[:, 3].copy(),
        puller=np.searchsorted(np.array(known, np.int64), rows[:, 4]),
        places=places,
        pullers=[pullers[key].principal or pullers[key].account for key in known],
    )


def load_recorded_days(connection: Connection, nights: Nights, snapshots: Sequence[SnapshotRef]) -> list[int]:
    """Days between the first and the last night of each registry of which CloudTrail's record is complete."""
    days = []
    for place, snapshot in enumerate(snapshots):
        taken = nights.taken_at_ms[nights.offsets[place] : nights.offsets[place + 1]]
        if not len(taken):
            days.append(0)
            continue
        key = (snapshot.key.account, snapshot.key.region)
        found = load_coverage(connection, int(taken[0]) // _DAY_MS, int(taken[-1]) // _DAY_MS, {key})
        days.append(len({entry.day for entry in found if entry.status == "complete"}))
    return days


def load_untraced(connection: Connection, snapshot: SnapshotRef) -> bool | None:
    """Whether some night's settings kept pulls of some principals out of ECR's record of pulls."""
    setting, value = tables.registry_setting, tables.setting_value
    query = (
        select(value.c.value)
        .join(setting, setting.c.value_id == value.c.id)
        .where(
            setting.c.registry_id == snapshot.registry_id,
            setting.c.name == _EXCLUSIONS,
            setting.c.first_snapshot <= snapshot.number,
        )
    )
    texts = list(connection.execute(query).scalars())
    return any(json.loads(text) for text in texts) if texts else None


def _used(key: Any, name: Any, column: Any, nights: Nights) -> Select[Any]:
    use = tables.workload_use
    used = select(column).where(use.c.first_snapshot <= nights.last_number)
    return select(key, name).where(key.in_(used))
