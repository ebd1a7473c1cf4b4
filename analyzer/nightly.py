"""The nightly run, end to end: joins the collector, the store, the analyses and the reports.

Below the command line and the service, which own clock, environment, files and exit codes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyzer.acceptance import AcceptedGap, split_gaps
from analyzer.assembly import Question, ScopeChoice, assemble_report
from analyzer.collect import CollectOptions, CollectResult, Progress, collect
from analyzer.errors import InputError
from analyzer.model.frames import NO_MANIFEST, Frames
from analyzer.model.records import Gap, Kind, RegistryKey
from analyzer.model.results import Report
from analyzer.pricing import PriceBook
from analyzer.storage import Storage, analyze
from analyzer.store.engine import Database
from analyzer.store.facts import write_facts
from analyzer.store.frames import load_frames
from analyzer.store.manifests import SizeConflict, load_size_conflicts
from analyzer.store.names import load_digests, load_tags
from analyzer.store.schema import require_current_schema, schema_status, upgrade_schema
from analyzer.store.snapshots import SnapshotRef, last_run, load_gaps, snapshots_of_run
from analyzer.store.writer import Store

if TYPE_CHECKING:
    from boto3.session import Session

#: An image not used for so many days is stale, unless the user says otherwise.
STALE_DAYS = 90

_FACTS = (
    "images",
    "indexes",
    "referrers",
    "unknown",
    "untagged_images",
    "orphaned_images",
    "logical_bytes",
    "physical_bytes",
    "unique_bytes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """What a report is asked to show."""

    prices: PriceBook
    scope: ScopeChoice = "auto"
    stale_days: int = STALE_DAYS
    #: Show the snapshots as of this run; None for the last.
    run: int | None = None
    #: Count ages to this moment (milliseconds, UTC); None for the time of the newest snapshot.
    at_ms: int | None = None
    accepted: tuple[AcceptedGap, ...] = ()


def open_database(url: str, *, create: bool = False) -> Database:
    """The database at ``url``, its schema checked.

    With ``create`` an empty one is set up: nothing can be lost by that, and the first night should
    need no preparation. Raises InputError when it cannot be used, SchemaError when its schema is
    older (saying what to run) or newer.
    """
    database = Database(url)
    if not create and database.is_missing:
        raise InputError(
            f"there is no database {database.label}; name another with --db, or run: demurrage collect"
        )
    if create and schema_status(database).empty:
        upgrade_schema(database)
    require_current_schema(database)
    if create:
        # A copy made by SQL need not have kept it.
        database.use_wal()
    return database


def collect_snapshots(
    database: Database,
    session: Session,
    options: CollectOptions,
    progress: Progress,
    *,
    clock: Callable[[], float] = time.time,
) -> CollectResult:
    """One snapshot of each registry, with the aggregates it comes to recorded as facts."""
    # The frames of a large registry are gigabytes: one at a time.
    turn = threading.Lock()

    def after_snapshot(key: RegistryKey, run: int, _: int) -> list[Gap]:
        with turn:
            with database.read() as connection:
                (snapshot,) = (found for found in snapshots_of_run(connection, run) if found.key == key)
                frames = load_frames(connection, [snapshot])
                conflicts = load_size_conflicts(connection)
            _write_facts(database, snapshot, frames)
            return standing_gaps(frames, conflicts)

    store = Store(database, lambda: round(clock() * 1000))
    return collect(store, session, options, clock=clock, progress=progress, after_snapshot=after_snapshot)


def standing_gaps(frames: Frames, conflicts: Iterable[SizeConflict]) -> list[Gap]:
    """A gap per repository of ``frames`` and fault, for manifests that say less than they should.

    They are stored, and never fetched again; that they leave something unknown has to be said every
    night all the same. So these gaps are found in what is stored whenever it is shown, and are not
    recorded. ``conflicts`` may be about other manifests too.
    """
    return sorted((*_unreadable_manifests(frames), *_size_conflicts(frames, conflicts)))


def _size_conflicts(frames: Frames, conflicts: Iterable[SizeConflict]) -> list[Gap]:
    first: dict[int, SizeConflict] = {}
    for conflict in sorted(conflicts):
        first.setdefault(conflict.manifest_id, conflict)
    artifacts = frames.artifacts
    found: dict[int, list[SizeConflict]] = {}
    for position in np.flatnonzero(np.isin(artifacts.digest_id, list(first))).tolist():
        conflict = first[int(artifacts.digest_id[position])]
        found.setdefault(int(artifacts.repository[position]), []).append(conflict)
    gaps = []
    for position, of_repository in found.items():
        example, count = min(of_repository), len(of_repository)
        detail = (
            f"{count} manifests contradict others on the size of a blob: {example.manifest} gives "
            f"{example.blob} {example.size_bytes} bytes; {example.counted_bytes} are counted"
        )
        gaps.append(_gap(frames, position, "SizeConflict", detail, count))
    return gaps


def _unreadable_manifests(frames: Frames) -> list[Gap]:
    artifacts = frames.artifacts
    read = np.flatnonzero(artifacts.manifest != NO_MANIFEST)
    kinds = frames.manifests.kind[artifacts.manifest[read]]
    gaps = []
    for kind, reason, what in (
        (Kind.UNKNOWN, "UnknownMediaType", "are of a media type that this version does not know"),
        (Kind.UNREADABLE, "UnreadableManifest", "are malformed"),
    ):
        counts = np.bincount(artifacts.repository[read[kinds == kind]], minlength=len(frames.repositories))
        for position in np.flatnonzero(counts).tolist():
            count = int(counts[position])
            detail = f"{count} manifests {what}: the sizes of these images are unknown"
            gaps.append(_gap(frames, position, reason, detail, count))
    return gaps


def _gap(frames: Frames, position: int, reason: str, detail: str, count: int) -> Gap:
    """A gap about manifests of the repository at ``position``."""
    repository = frames.repositories.iloc[position]
    registry = frames.registries.iloc[repository["registry"]]
    name = str(repository["repository"])
    return Gap(registry["account"], registry["region"], name, "ecr:BatchGetImage", reason, detail, count)


def make_report(database: Database, options: ReportOptions) -> Report:
    """The report on stored snapshots; the same database and options give the same report.

    Raises InputError when there is no snapshot to show.
    """
    with database.read() as connection:
        last = last_run(connection)
        run = last if options.run is None else options.run
        if run > last:
            raise InputError(f"--run {run}: the last run is {last}; name that or an earlier one")
        snapshots = snapshots_of_run(connection, run)
        frames = load_frames(connection, snapshots)
        digests = load_digests(connection, frames)
        tags = load_tags(connection, frames, snapshots)
        recorded = load_gaps(connection, snapshots, run)
        conflicts = load_size_conflicts(connection)
    gaps = sorted((*recorded, *standing_gaps(frames, conflicts)))
    newest = max(snapshot.taken_at_ms for snapshot in snapshots)
    at_ms = newest if options.at_ms is None else options.at_ms
    open_gaps, accepted = split_gaps(gaps, options.accepted)
    return assemble_report(
        Question(scope=options.scope, at_ms=at_ms, stale_days=options.stale_days, run=run),
        frames,
        analyze(frames, now_ms=at_ms, stale_days=options.stale_days),
        options.prices,
        gaps=open_gaps,
        accepted_gaps=accepted,
        digests=digests,
        tags=tags,
    )


def _write_facts(database: Database, snapshot: SnapshotRef, frames: Frames) -> None:
    storage = analyze(frames, now_ms=snapshot.taken_at_ms, stale_days=STALE_DAYS)
    write_facts(
        database,
        snapshot.key,
        snapshot.number,
        _repository_facts(frames, storage),
        int(storage.registries["shared_bytes"].iloc[0]),
    )


def _repository_facts(frames: Frames, storage: Storage) -> dict[tuple[str, int], dict[str, int]]:
    keys = zip(frames.repositories["repository"], frames.repositories["created_at_ms"].tolist(), strict=True)
    columns: Sequence[list[int]] = [storage.repositories[name].tolist() for name in _FACTS]
    rows = zip(*columns, strict=True)
    return {key: dict(zip(_FACTS, row, strict=True)) for key, row in zip(keys, rows, strict=True)}
