"""/healthz: whether what is known is young enough, and why not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from analyzer.errors import DemurrageError
from analyzer.model.records import RegistryKey
from analyzer.model.units import from_ms, iso
from analyzer.service.server import ServerState
from analyzer.store.engine import Database
from analyzer.store.service_status import RegistryAge, registry_ages
from analyzer.store.slots import SlotRecord, SlotStatus, last_slots

#: Seconds without a turn of the loop after which the server is taken for stuck, unless it is running a night.
_STUCK: Final = 180.0
#: Registries that are listed; how many more there are is said.
MOST_REGISTRIES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What there is to see of the service, at one moment."""

    now_ms: int
    ages: Sequence[RegistryAge]
    last: SlotRecord | None
    #: The newest slot with figures of a report.
    reported: SlotRecord | None


def look(database: Database, now_ms: int) -> Watch:
    """What the database says; raises DemurrageError where it cannot be read."""
    with database.read() as connection:
        ages = registry_ages(connection)
        last = last_slots(connection, 1)
        reported = last_slots(connection, 1, with_figures=True)
    return Watch(
        now_ms=now_ms,
        ages=ages,
        last=last[0] if last else None,
        reported=reported[0] if reported else None,
    )


def is_alive(state: ServerState, now: float | None = None) -> bool:
    """Whether the server's loop turns; ``now`` is that of `time.monotonic`."""
    now = time.monotonic() if now is None else now
    return state.running_since_ms is not None or now - state.turned_at < _STUCK


def health(
    database: Database, state: ServerState, now_ms: int, max_age_ms: int
) -> tuple[bool, dict[str, Any]]:
    """Whether all is well, and the document that says so.

    A registry's last complete snapshot must not be older than ``max_age_ms``; one without any counts as
    old since the service began. Registries that the last run left out by choice do not count.
    """
    try:
        seen = look(database, now_ms)
    except DemurrageError as error:
        return False, {"status": "unhealthy", "problems": [str(error)], "role": state.role}
    problems: list[str] = []
    if not is_alive(state):
        problems.append("the service's loop does not turn")
    registries = []
    for age in seen.ages:
        is_stale = age.is_expected and _is_stale(age, state, now_ms, max_age_ms)
        if is_stale:
            problems.append(f"{name_of(age.key)}: {_staleness(age, now_ms)}")
        registries.append(
            {
                "account": age.key.account,
                "region": age.key.region,
                "last_complete_at": _at(age.complete_at_ms),
                "age_seconds": _age(age.complete_at_ms, now_ms),
                "is_expected": age.is_expected,
                "is_stale": is_stale,
            }
        )
    if not seen.ages and seen.last is not None and seen.last.status is SlotStatus.FAILED:
        problems.append("the last run failed, and no registry was ever read")
    registries.sort(key=lambda row: not row["is_stale"])
    next_ms = state.schedule.after(now_ms)
    return not problems, {
        "status": "unhealthy" if problems else "ok",
        "problems": problems[:MOST_REGISTRIES],
        "role": state.role,
        "leader": state.leader,
        "schedule": str(state.schedule),
        "next_run_at": _at(next_ms),
        "running_since": _at(state.running_since_ms),
        "last_run": None if seen.last is None else _run(seen.last),
        "max_age_seconds": max_age_ms // 1000,
        "registries": registries[:MOST_REGISTRIES],
        "registries_not_listed": max(0, len(registries) - MOST_REGISTRIES),
    }


def name_of(key: RegistryKey) -> str:
    """``123456789012/eu-west-1``."""
    return f"{key.account}/{key.region}"


def _is_stale(age: RegistryAge, state: ServerState, now_ms: int, max_age_ms: int) -> bool:
    since = state.started_at_ms if age.complete_at_ms is None else age.complete_at_ms
    return now_ms - since > max_age_ms


def _staleness(age: RegistryAge, now_ms: int) -> str:
    if age.complete_at_ms is None:
        return "no complete snapshot was ever taken"
    return f"the last complete snapshot is {(now_ms - age.complete_at_ms) / 3_600_000:.1f} hours old"


def _run(slot: SlotRecord) -> dict[str, Any]:
    return {
        "scheduled_at": _at(slot.fire_at_ms),
        "status": str(slot.status),
        "attempts": slot.attempts,
        "host": slot.host,
        "started_at": _at(slot.started_at_ms),
        "finished_at": _at(slot.finished_at_ms),
        "run": slot.run,
        # What a step told may name what AWS said, and is in the log.
        "steps": {name: step["status"] for name, step in slot.steps.items()},
    }


def _at(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else iso(from_ms(moment_ms))


def _age(moment_ms: int | None, now_ms: int) -> int | None:
    return None if moment_ms is None else max(0, (now_ms - moment_ms) // 1000)
