"""One registry, from lease to all that its snapshot will hold.

Every call to AWS is a task on the registry's lane of the shared pool. The thread that runs
`RegistryCollector.read` makes none itself: it hands out tasks and gathers what they give, so that it
can stop at once when the run does.

Order: repositories; then their images, policies and tags; and a repository's manifests only when
the listing of its images is over, because fetching a manifest is a pull and would change the recorded
pull time of an image that is still to be listed.

Manifests that were fetched are stored whatever ends the collection: nobody has to fetch them again.
Of a registry that takes long, the repositories read so far are kept as checkpoints too: whoever
has to begin again soon after a kill goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic

from analyzer.collect import ecr, workloads
from analyzer.collect.claims import Claims
from analyzer.collect.clients import AwsRegistryClient, RegistryClient
from analyzer.collect.contract import LeaseT, Progress, SnapshotStore
from analyzer.collect.gaps import gap_of, odd_gap
from analyzer.collect.manifest_fetching import ManifestFetcher
from analyzer.collect.pool import Lane
from analyzer.collect.refusals import Reach, Refusal
from analyzer.collect.registry_settings import SettingsReader
from analyzer.collect.repository_reading import RepositoryOutcome, RepositoryReader, status_of
from analyzer.collect.tasks import Tasks
from analyzer.errors import RunError
from analyzer.model.records import (
    Checkpoint,
    Gap,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    WorkloadRead,
)

#: Seconds between checkpoints: what a kill loses of the listing at most, and far longer than most
#: registries take, which so never write one.
_CHECKPOINT = 60.0


class RegistryCollector(Generic[LeaseT]):
    """Reads one registry; used once."""

    def __init__(
        self,
        client: RegistryClient,
        lane: Lane,
        store: SnapshotStore[LeaseT],
        claims: Claims,
        progress: Progress,
        clock: Callable[[], float],
        *,
        resume_since_ms: int,
        account_name: str = "",
        public_aliases: Sequence[str] = (),
        workload_options: workloads.WorkloadOptions = workloads.NO_WORKLOADS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``account_name`` is what the organization calls the account; "" leaves what is known of it.

        ``public_aliases`` are those of a public registry, as whoever found it was told.

        What was read since ``resume_since_ms`` for a snapshot that was cut short is not read again.
        """
        self.key: RegistryKey = client.key
        self.gaps: list[Gap] = []
        self.lane = lane
        self._client = client
        self._store = store
        self._progress = progress
        self._clock = clock
        self._resume_since_ms = resume_since_ms
        self._workload_options = workload_options
        self._workloads: list[WorkloadRead] = []
        self._monotonic = monotonic
        self._checkpoints: list[Checkpoint] = []
        self._checkpoint_due = 0.0
        self._listed_at_ms = 0
        self._repositories: list[RepositoryRead] = []
        self._unserved: dict[str, Refusal] = {}
        self._tasks = Tasks(client.key, lane)
        known = {"account_name": ecr.canonical(account_name)} if account_name else {}
        if public_aliases:
            known["public_aliases"] = ecr.canonical(sorted(public_aliases))
        self._settings = SettingsReader(client, self._tasks, self.gaps, self._unserved, known)
        self._manifests = ManifestFetcher(client, self._tasks, claims, progress, store.add_manifests)

    @property
    def manifests_fetched(self) -> int:
        """How many manifests came."""
        return self._manifests.fetched

    def close(self) -> None:
        """Drop what is still to be asked, and the registry's connections.

        Botocore's clients end in the next garbage collection, of which a run has few: thousands of
        registries would leave more connections open than a process may have.
        """
        self.lane.close()
        self._client.close()

    def interrupt(self) -> None:
        """Make `read` raise StoppedError at once; from any thread."""
        self._tasks.interrupt()

    def read(self, lease: LeaseT) -> RegistryRead:
        """What is in the registry; nothing of it is written but manifests and checkpoints.

        Raises StoppedError when interrupted, LeaseError when the lease is lost, and whatever
        unexpected a task raised.
        """
        self._tasks.watch(lease)
        try:
            return self._read(lease)
        except BaseException:
            # What ended the collection is the news, not that the database failed as well.
            with suppress(RunError):
                self._manifests.end()
            raise

    def _read(self, lease: LeaseT) -> RegistryRead:
        self._checkpoint_due = self._monotonic() + _CHECKPOINT
        refused_before = self._store.refused_manifests(self.key)
        listing = self._tasks.now(partial(ecr.fetch_repositories, self._client))
        self._note_time()
        status = self._judge(listing)
        self._progress.repositories_known(self.key, len(listing.repositories))
        if listing.refusal is None or listing.refusal.reach is not Reach.REGISTRY:
            self._start_workloads()
            self._settings.start(sorted(listing.repositories))
        reader = RepositoryReader(self._client, self._unserved, refused_before, self._store.unknown_manifests)
        checkpoints = self._store.load_checkpoints(lease, self._resume_since_ms, round(self._clock() * 1000))
        earlier = {point.read.key: point for point in checkpoints}
        keep = partial(self._keep_repository, lease)
        for repository in listing.repositories.values():
            point = earlier.get((repository.name, repository.created_at_ms))
            work = (
                partial(reader.read, repository)
                if point is None
                else partial(reader.resume, repository, point)
            )
            self._tasks.start(work, keep)
        self._manifests.finish()
        gaps, refusals = self._manifests.missing()
        self.gaps += gaps
        self._settings.count_gaps()
        return RegistryRead(
            self.key,
            self._listed_at_ms,
            status,
            sorted(map(self._settings.with_scanning, self._repositories), key=lambda read: read.key),
            self._settings.settings,
            sorted(self.gaps),
            refusals,
            sorted(self._workloads, key=lambda read: read.source),
        )

    def _judge(self, listing: ecr.RepositoryListing) -> ReadStatus:
        """How whole the list of repositories is; notes what is missing of it."""
        known = len(listing.repositories)
        status = status_of(listing.refusal, known)
        if listing.left_out:
            detail = (
                f"{listing.left_out} repositories of the list have no name or creation time to know them by"
            )
            self.gaps.append(
                odd_gap(self.key, "", "DescribeRepositories", "InvalidAnswer", detail, listing.left_out)
            )
            # One of them may be a repository that is known: it must not seem to be gone.
            status = ReadStatus.PARTIAL if status is ReadStatus.COMPLETE else status
        if listing.refusal is not None:
            self.gaps.append(gap_of(self.key, "", "DescribeRepositories", listing.refusal, kept=known))
        return status

    def _start_workloads(self) -> None:
        """Begin to read what uses images here; before all else, because some of it takes long.

        Each source keeps one thread at most.
        """
        if self._workload_options.sources and isinstance(self._client, AwsRegistryClient):
            uses = self._store.known_uses(self.key)
            for reader in workloads.readers(self._client, self._workload_options, uses):
                self._tasks.start(reader, self._keep_workloads)

    def _keep_workloads(self, outcome: workloads.SourceOutcome) -> None:
        self._workloads += outcome.reads
        self.gaps += outcome.gaps

    def _keep_repository(self, lease: LeaseT, outcome: RepositoryOutcome) -> None:
        read = outcome.read
        self._note_time()
        self._repositories.append(read)
        if not outcome.is_resumed:
            self._checkpoint(lease, read, outcome.gaps)
        self.gaps += outcome.gaps
        self._manifests.leave_out(read.name, outcome.unread_archived)
        self._progress.repository_done(self.key, read.name, len(read.artifacts))
        if outcome.wanted is not None:
            self._manifests.start(outcome.wanted)

    def _checkpoint(self, lease: LeaseT, read: RepositoryRead, gaps: Sequence[Gap]) -> None:
        """Keep a repository for whoever has to begin again, with others that came in the same while.

        Only whole reads: what was refused may be granted to the next who asks.
        """
        if read.status is ReadStatus.COMPLETE:
            self._checkpoints.append(Checkpoint(read, tuple(gaps), round(self._clock() * 1000)))
        if self._monotonic() < self._checkpoint_due:
            return
        self._store.save_checkpoints(lease, self._checkpoints)
        self._checkpoints = []
        self._checkpoint_due = self._monotonic() + _CHECKPOINT

    def _note_time(self) -> None:
        """Images pushed later than this cannot be in what was read."""
        self._listed_at_ms = round(self._clock() * 1000)
