"""From an AWS endpoint through the real collector and store to the storage analysis."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from boto3.session import Session

from analyzer import storage
from analyzer.collect import CollectOptions, CollectResult, SilentProgress, collect
from analyzer.model.frames import Frames
from analyzer.storage import Storage
from analyzer.store.engine import Database
from analyzer.store.frames import load_frames
from analyzer.store.schema import upgrade_schema
from analyzer.store.snapshots import snapshots_of_run
from analyzer.store.writer import Store

#: High enough that an emulator is never waited for.
_PER_SECOND = 1_000_000.0
_STALE_DAYS = 90


@dataclass(frozen=True, slots=True)
class Night:
    """One run and what the analysis makes of it."""

    result: CollectResult
    frames: Frames
    storage: Storage

    def total(self, column: str) -> int:
        """Sum of a column of ``storage.registries``."""
        return int(self.storage.registries[column].sum())


class Pipeline:
    """A database in ``folder`` that one night after another is collected into."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'demurrage.db'}")
        upgrade_schema(self.database)
        self._store = Store(self.database, lambda: round(time.time() * 1000))

    def collect(self, session: Session, *regions: str, now_ms: int | None = None, workers: int = 4) -> Night:
        """Collect once; ages are counted to ``now_ms`` (default: the present)."""
        options = CollectOptions(
            regions=regions,
            workers=workers,
            requests_per_second=_PER_SECOND,
            batch_get_image_per_second=_PER_SECOND,
        )
        result = collect(self._store, session, options, progress=SilentProgress())
        with self.database.read() as connection:
            frames = load_frames(connection, snapshots_of_run(connection, result.run))
        at = now_ms if now_ms is not None else round(time.time() * 1000)
        return Night(result, frames, storage.analyze(frames, now_ms=at, stale_days=_STALE_DAYS))
