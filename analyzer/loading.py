"""What is stored of some registries, read in one transaction, with what analyses beside it start from.

Below what answers questions about it (``nightly``, ``findings``), which add what each of them needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from analyzer.errors import InputError
from analyzer.families import Families, find_families
from analyzer.model.frames import Frames, IndexChildren, Int64, LifecycleFacts
from analyzer.model.records import Gap
from analyzer.model.registry_settings import Scans, Settings
from analyzer.model.tag_history import TagHistory
from analyzer.model.transfer import TransferFindings
from analyzer.model.usage import Coverage, Workloads
from analyzer.pricing import PriceBook
from analyzer.references import AskedUses, FoundUses, coverage_of, find_asked_uses
from analyzer.standing_gaps import standing_gaps
from analyzer.store.engine import Database
from analyzer.store.frames import load_frames_with_facts
from analyzer.store.manifests import (
    load_attestations,
    load_base_names,
    load_index_children,
    load_size_conflicts,
)
from analyzer.store.names import load_digest_ids, load_digest_texts, load_digests, load_tags
from analyzer.store.settings import load_all_settings, load_scans
from analyzer.store.snapshots import SnapshotRef, last_run, load_gaps, snapshots_of_run
from analyzer.store.tag_history import load_tag_history
from analyzer.store.workload_frames import load_workload_frames
from analyzer.transfer import find_transfers, read_cache_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Registries as of a run, and what their workloads use and pull."""

    run: int
    #: What the frames were read from, in the order of ``frames.registries``.
    snapshots: Sequence[SnapshotRef]
    frames: Frames
    facts: LifecycleFacts
    families: Families
    settings: Settings
    scans: Scans
    workloads: Workloads
    #: Which of them were read: what ``transfers`` covers.
    coverage: Coverage
    #: Who uses what, by what was asked to count.
    uses: FoundUses
    transfers: TransferFindings
    #: Sorted.
    gaps: Sequence[Gap]
    #: Digests of the artifacts at these positions.
    digests: Callable[[Int64], Sequence[str]]
    #: The tags of the repository of a row over time; None where nothing is recorded.
    tag_history: Callable[[int], TagHistory | None]
    #: What all indexes that were ever read say of their children.
    index_children: IndexChildren
    #: By digest_id: the image that an image says it was built on.
    base_names: Mapping[int, str]
    #: Digests by digest_id, of blobs too; and the other way, -1 for what was never read.
    digest_texts: Callable[[Sequence[int]], Mapping[int, str]]
    digest_ids: Callable[[Sequence[str]], Int64]
    #: Tags of every artifact, separated by spaces; empty where they were not asked for.
    tags: Sequence[str] = ()
    #: Digests of every artifact; likewise.
    all_digests: Sequence[str] = ()

    @property
    def newest_ms(self) -> int:
        """When the newest snapshot was taken, milliseconds since 1970 UTC."""
        return max(snapshot.taken_at_ms for snapshot in self.snapshots)

    @property
    def has_workloads(self) -> bool:
        """Whether any workloads were ever read; else nobody knows what they pull."""
        return not self.coverage.is_nothing or len(self.workloads.kind) > 0


def load(
    database: Database,
    prices: PriceBook,
    *,
    run: int | None = None,
    with_names: bool = False,
    uses: AskedUses | None = None,
) -> Loaded:
    """What is stored as of ``run``, the last one by default; ``with_names`` of every artifact too.

    ``prices`` are those of transfer, ``uses`` what is to count as a use of an image: all workloads by
    default. Raises InputError when there is no such run.
    """
    with database.read() as connection:
        last = last_run(connection)
        run = last if run is None else run
        if run > last:
            raise InputError(f"--run {run}: the last run is {last}; name that or an earlier one")
        snapshots = snapshots_of_run(connection, run)
        frames, facts = load_frames_with_facts(connection, snapshots)
        all_digests = load_digests(connection, frames) if with_names else ()
        tags = load_tags(connection, frames, snapshots) if with_names else ()
        recorded = load_gaps(connection, snapshots, run)
        conflicts = load_size_conflicts(connection)
        workloads = load_workload_frames(connection, snapshots)
        families = find_families(frames)
        found_uses = find_asked_uses(
            uses or AskedUses(), workloads, frames, facts, families, partial(load_digest_ids, connection)
        )
        settings = load_all_settings(connection, frames, snapshots)
        scans = load_scans(connection, frames, snapshots)
        index_children = load_index_children(
            connection, [(snapshot.registry_id, snapshot.number) for snapshot in snapshots]
        )
        base_names = load_base_names(connection)

        def digests(positions: Int64) -> list[str]:
            ids = frames.artifacts.digest_id[positions].tolist()
            texts = load_digest_texts(connection, sorted(set(ids)))
            return [texts[key] for key in ids]

        transfers = find_transfers(
            workloads,
            frames,
            facts,
            families,
            prices,
            digest_ids=partial(load_digest_ids, connection),
            digests=digests,
            caches=[read_cache_rules(own) for own in settings.registries],
            attestations=partial(load_attestations, connection),
        )
    return Loaded(
        run=run,
        snapshots=snapshots,
        frames=frames,
        facts=facts,
        families=families,
        settings=settings,
        scans=scans,
        workloads=workloads,
        coverage=coverage_of(workloads, frames.registries),
        uses=found_uses,
        transfers=transfers,
        gaps=sorted((*recorded, *standing_gaps(frames, conflicts))),
        digests=partial(_digests, database, frames),
        index_children=index_children,
        base_names=base_names,
        digest_texts=partial(_digest_texts, database),
        digest_ids=partial(_digest_ids, database),
        tag_history=partial(_tag_history, database, frames, snapshots),
        tags=tags,
        all_digests=all_digests,
    )


# What is stored of digests and of past snapshots never changes, so that those below need not be asked
# in the transaction of the frames.


def _digests(database: Database, frames: Frames, positions: Int64) -> list[str]:
    ids = frames.artifacts.digest_id[positions].tolist()
    with database.read() as connection:
        texts = load_digest_texts(connection, sorted(set(ids)))
    return [texts[key] for key in ids]


def _digest_texts(database: Database, ids: Sequence[int]) -> dict[int, str]:
    with database.read() as connection:
        return load_digest_texts(connection, ids)


def _digest_ids(database: Database, digests: Sequence[str]) -> Int64:
    with database.read() as connection:
        return load_digest_ids(connection, digests)


def _tag_history(
    database: Database, frames: Frames, snapshots: Sequence[SnapshotRef], row: int
) -> TagHistory | None:
    repository = frames.repositories.iloc[row]
    with database.read() as connection:
        return load_tag_history(
            connection,
            snapshots[int(repository["registry"])],
            str(repository["repository"]),
            int(repository["created_at_ms"]),
        )
