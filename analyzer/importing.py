"""What the AWS CLI printed, brought into the database as the collector would have done.

The answers go through the collector itself, which asks them in place of AWS: what comes out is the
snapshot that it would have written at the time, and what is not among them is a gap.

A repository is known by its name and its time of creation. Where no list of repositories dates it,
it is taken for the one that the registry had under that name when it was last read; if there was
none, for one made in 1970, and a gap says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analyzer.collect import CollectResult, Progress
from analyzer.collect.written import collect_written
from analyzer.documents.gathering import Source, gather
from analyzer.documents.registries import RegistryAnswers
from analyzer.documents.sorting import registries_of
from analyzer.documents.spool import Spool
from analyzer.errors import InputError
from analyzer.model.records import (
    Checkpoint,
    Gap,
    ImageStatus,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    ResumableSnapshot,
)
from analyzer.model.units import from_ms, iso
from analyzer.nightly import facts_writer
from analyzer.store.engine import Database
from analyzer.store.frames import load_frames
from analyzer.store.leases import Lease
from analyzer.store.snapshots import SnapshotRef, newest_snapshots
from analyzer.store.writer import Store


@dataclass(frozen=True, slots=True)
class Imported:
    """How an import went."""

    result: CollectResult
    #: What was passed over, and why, in words.
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the user says of the answers."""

    #: When they were taken (milliseconds, UTC); None for when the files were written.
    taken_at_ms: int | None = None
    #: Whose they are, where they do not say.
    account: str | None = None
    region: str | None = None


def import_answers(
    database: Database,
    sources: Sequence[Source],
    options: ImportOptions,
    progress: Progress,
    *,
    clock: Callable[[], float] = time.time,
) -> Imported:
    """A snapshot of each registry that ``sources`` are about.

    Raises InputError for files that cannot be used, and for answers that are older than the last
    snapshot of their registry; then nothing was written.
    """
    with Spool() as spool:
        gathered = gather(list(sources), spool)
        registries = registries_of(gathered, account=options.account, region=options.region)
        if not registries:
            raise InputError(_nothing_found(gathered.notes))
        with database.read() as connection:
            last = newest_snapshots(connection)
        taken_at_ms = {
            registry.key: _taken_at_ms(registry, options, round(clock() * 1000)) for registry in registries
        }
        for registry in registries:
            _require_newer(registry.key, taken_at_ms[registry.key], last)
        archived = {
            registry.key: _compare(database, registry, last.get(registry.key)) for registry in registries
        }
        gaps = {registry.key: registry.gaps() for registry in registries}
        store = _AsOf(database, lambda: round(clock() * 1000), taken_at_ms, archived, gaps)
        write_facts = facts_writer(database)
        result = collect_written(
            store,
            registries,
            clock=clock,
            progress=progress,
            after_snapshot=lambda key, run, number: (*write_facts(key, run, number), *gaps[key]),
        )
        return Imported(result, tuple(gathered.notes))


def _nothing_found(notes: Sequence[str]) -> str:
    seen = f" ({notes[0]})" if notes else ""
    return (
        f"nothing to import: no file holds what `aws ecr describe-repositories` or `aws ecr describe-images` "
        f"prints{seen}; see the README for the commands that make them"
    )


def _taken_at_ms(registry: RegistryAnswers, options: ImportOptions, now_ms: int) -> int:
    """When the answers were taken; raises InputError where that cannot be."""
    key, event = registry.key, registry.newest_event_ms
    given = options.taken_at_ms
    if given is None:
        # Nothing can have been read before it happened, whatever the clock of the machine said.
        found = max(registry.listed_at_ms, event)
        if found > now_ms:
            raise InputError(
                f"the answers of {key.account}/{key.region} are of a time to come, {iso(from_ms(found))}; "
                "set this machine's clock right, or say when they were taken with --taken-at TIME"
            )
        return found
    if given > now_ms:
        raise InputError(f"--taken-at {iso(from_ms(given))}: is yet to come; say when the answers were taken")
    if event > given:
        raise InputError(
            f"--taken-at {iso(from_ms(given))}: an image of {key.account}/{key.region} was pushed or pulled "
            f"at {iso(from_ms(event))}, which the answers could not know; name a later time"
        )
    return given


def _require_newer(key: RegistryKey, taken_at_ms: int, last: Mapping[RegistryKey, SnapshotRef]) -> None:
    before = last.get(key)
    if before is not None and taken_at_ms < before.taken_at_ms:
        raise InputError(
            f"the answers of {key.account}/{key.region} were taken at {iso(from_ms(taken_at_ms))}, before "
            f"its last snapshot ({iso(from_ms(before.taken_at_ms))}): history is only added to; import newer "
            "answers, or these into a database of their own with --db URL"
        )


def _compare(database: Database, registry: RegistryAnswers, last: SnapshotRef | None) -> frozenset[str]:
    """Tell ``registry`` when its repositories were made, as far as that is known.

    Gives the names of those whose archived images are known, and which nothing shows to have been
    asked for: that they are not listed does not mean that they are gone.
    """
    unsure = registry.unsure_of_archived
    if last is None or not (unsure or registry.undated):
        return frozenset()
    with database.read() as connection:
        frames = load_frames(connection, [last])
    names = frames.repositories["repository"].tolist()
    registry.know_creation(dict(zip(names, frames.repositories["created_at_ms"].tolist(), strict=True)))
    held = frames.artifacts.repository[frames.artifacts.image_status != ImageStatus.ACTIVE]
    return unsure & {names[position] for position in np.unique(held).tolist()}


class _AsOf(Store):
    """A store into which registries are written as they were when their answers were taken."""

    def __init__(
        self,
        database: Database,
        now_ms: Callable[[], int],
        taken_at_ms: Mapping[RegistryKey, int],
        archived: Mapping[RegistryKey, frozenset[str]],
        gaps: Mapping[RegistryKey, Sequence[Gap]],
    ) -> None:
        super().__init__(database, now_ms)
        self._read = database.read
        self._taken_at_ms = taken_at_ms
        self._archived = archived
        self._gaps = gaps

    def commit_snapshot(self, lease: Lease, run: int, read: RegistryRead) -> int:
        """Write ``read`` as of the time at which it was taken.

        Raises InputError where somebody wrote a later snapshot in the meantime.
        """
        key = read.key
        with self._read() as connection:
            _require_newer(key, self._taken_at_ms[key], newest_snapshots(connection))
        return super().commit_snapshot(
            lease,
            run,
            replace(
                read,
                taken_at_ms=self._taken_at_ms[key],
                repositories=[self._kept(repository, key) for repository in read.repositories],
                gaps=sorted((*read.gaps, *self._gaps[key])),
            ),
        )

    def _kept(self, repository: RepositoryRead, key: RegistryKey) -> RepositoryRead:
        """The repository such that images which nobody asked for do not seem to be gone."""
        if repository.status is ReadStatus.COMPLETE and repository.name in self._archived[key]:
            return replace(repository, status=ReadStatus.PARTIAL)
        return repository

    # A collection that was cut short is gone on with by the collector alone, and never with these.

    def resumable_snapshots(self, since_ms: int, now_ms: int) -> dict[RegistryKey, ResumableSnapshot]:
        """None: the answers at hand are what is to be written."""
        del since_ms, now_ms
        return {}

    def load_checkpoints(self, lease: Lease, since_ms: int, now_ms: int) -> list[Checkpoint]:
        """None, for the same reason."""
        del lease, since_ms, now_ms
        return []

    def save_checkpoints(self, lease: Lease, checkpoints: Sequence[Checkpoint]) -> None:
        """Nothing: the files are still there."""
