"""What checks look at, made of frames: everything else is known to be absent unless it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyzer.families import find_families
from analyzer.hygiene.estate import Estate, Known
from analyzer.model.frames import NEVER_PULLED, NO_TIME, Frames, Int64, LifecycleFacts
from analyzer.model.records import UseKind
from analyzer.model.registry_settings import (
    RegistrySettings,
    RepositorySettings,
    Settings,
    no_scans,
)
from analyzer.model.usage import UNUSED, Unresolved, Usage, UseTexts, Workloads
from analyzer.pricing import bundled_prices
from analyzer.replication import find_replication
from analyzer.storage import DAY_MS, analyze


def known_of(frames: Frames, *, now_ms: int, stale_days: int = 90, **given: Any) -> Known:
    """``frames`` with no settings, workloads, scans or policies read, but for what is ``given``."""
    count = len(frames.artifacts.digest_id)
    settings = given.get("settings") or Settings(
        [{} for _ in range(len(frames.registries))], [{} for _ in range(len(frames.repositories))]
    )
    days = frames.artifacts.pulled_day.astype(np.int64)
    defaults: dict[str, Any] = {
        "facts": LifecycleFacts(
            pulled_at_ms=np.where(days == NEVER_PULLED, NO_TIME, (days + 1) * DAY_MS - 1),
            archived_at_ms=np.full(count, NO_TIME),
            activated_at_ms=np.full(count, NO_TIME),
            tie=np.zeros(count, np.int64),
            # Each tag of each artifact is called after its digest.
            tag_offsets=np.concatenate(([0], np.cumsum(frames.artifacts.tags))).astype(np.int64),
            tags=np.repeat(frames.artifacts.digest_id, frames.artifacts.tags).astype(np.int32),
            tag_names=[
                f"tag-{number}" for number in range(int(frames.artifacts.digest_id.max(initial=0)) + 1)
            ],
        ),
        "families": find_families(frames),
        "storage": analyze(frames, now_ms=now_ms, stale_days=stale_days),
        "settings": settings,
        "of_registries": [RegistrySettings() for _ in range(len(frames.registries))],
        "of_repositories": [RepositorySettings() for _ in range(len(frames.repositories))],
        "replication": find_replication(frames, settings),
        "scans": no_scans(count),
        "usage": None,
        "coverage": None,
        "transfers": None,
        "recorded": None,
        "lint": (),
        "policies": (),
        "policy_of": np.full(len(frames.repositories), -1),
        "policy_problems": {},
        "prices": bundled_prices(),
        "scope": "auto",
        "digests": lambda positions: digests_of(frames, positions),
    }
    return Known(frames=frames, at_ms=now_ms, stale_days=stale_days, **defaults | given)


def estate_of(frames: Frames, *, now_ms: int, stale_days: int = 90, **given: Any) -> Estate:
    """An estate of the same."""
    return Estate(known_of(frames, now_ms=now_ms, stale_days=stale_days, **given))


def digests_of(frames: Frames, positions: Int64) -> Sequence[str]:
    """Names of artifacts that tell which they are: ``sha256:`` and the digest's number."""
    return [f"sha256:{number:064x}" for number in frames.artifacts.digest_id[positions].tolist()]


def usage_of(artifacts: int, running: Sequence[int], possibly: Sequence[int] = ()) -> Usage:
    """The artifacts at these positions run, and those may be in use; nobody in particular uses them."""
    kind = np.full(artifacts, UNUSED, np.uint8)
    kind[list(running)] = UseKind.RUNNING
    may = np.zeros(artifacts, np.bool_)
    may[list(possibly)] = True
    none = np.zeros(0, np.int64)
    few = np.zeros(0, np.int32)
    nobody = Workloads(few, few, few, few, np.zeros(0, np.uint8), (), (), (), ())
    return Usage(
        kind=kind,
        possibly=may,
        reached=none,
        reached_by=none,
        user_offsets=np.zeros(1, np.int64),
        users=none,
        is_whole=np.zeros(0, np.bool_),
        use_kind=np.zeros(0, np.uint8),
        owner=none,
        uses=UseTexts(nobody, (), ()),
        missing=(),
        unresolved=Unresolved(),
    )
