"""The registries of one run, a bounded number of them at a time, over one pool of threads.

A registry that is being read has a thread of its own, which asks AWS nothing and writes its
snapshot, and a lane of the pool, whose threads make the calls. As soon as a registry was read the next
one begins, the largest first, so that none is left over at the end. There are more such threads than
lanes: while some write snapshots, which is done one after the other, and others get ready, no lane
need be empty.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Generic

from analyzer.collect.claims import Claims
from analyzer.collect.clients import AwsRegistryClient, CallSettings, RegistryClient
from analyzer.collect.contract import AfterSnapshot, LeaseT, Progress, RegistrySummary, SnapshotStore
from analyzer.collect.places import Place
from analyzer.collect.pool import Pool
from analyzer.collect.refusals import one_line
from analyzer.collect.registry import RegistryCollector
from analyzer.collect.workloads import WorkloadOptions
from analyzer.errors import LeaseError
from analyzer.model.records import Gap, ReadStatus, RegistryKey, ResumableSnapshot

#: Seconds given to the threads of a failed or interrupted run to let go of their leases.
_FAREWELL = 10.0
#: Seconds between looks for an interrupt while no registry ends.
_LOOK = 1.0

#: Whoever answers for a place.
OpenClient = Callable[[Place, CallSettings], RegistryClient]


class Crew(Generic[LeaseT]):
    """Collects ``places``; used once."""

    def __init__(
        self,
        store: SnapshotStore[LeaseT],
        run: int,
        host: str,
        places: Sequence[Place],
        settings: CallSettings,
        workers: int,
        progress: Progress,
        clock: Callable[[], float],
        after_snapshot: AfterSnapshot,
        resume_seconds: float,
        workloads: WorkloadOptions,
        open_client: OpenClient = AwsRegistryClient,
    ) -> None:
        """``workers`` is how many calls to AWS are made, and registries read, at a time.

        At most half as many registries again are waiting to be written or to be read.
        """
        self._store = store
        self._run = run
        self._host = host
        self._settings = settings
        self._progress = progress
        self._clock = clock
        self._after_snapshot = after_snapshot
        self._open_client = open_client
        self._resume_since_ms = round((clock() - resume_seconds) * 1000)
        self._workloads = workloads
        self._claims = Claims()
        self._lock = threading.Lock()
        self._waiting = deque(places)
        self._active: set[RegistryCollector[LeaseT]] = set()
        self._finished: queue.SimpleQueue[RegistrySummary | BaseException] = queue.SimpleQueue()
        self._at_once = min(workers, len(places))
        self._pool = Pool(workers, self._at_once)
        #: One for each registry that may be read now.
        self._turns = threading.Semaphore(self._at_once)
        #: How many registries are being read or still to be.
        self._unread = len(places)

    def go(self) -> list[RegistrySummary]:
        """Collect all registries; raises the first thing unexpected that happens in any of them."""
        resumable = self._store.resumable_snapshots(self._resume_since_ms, round(self._clock() * 1000))
        sizes = self._store.repository_counts()
        # Sorting keeps the order of equals: by account and region.
        self._waiting = deque(sorted(self._waiting, key=lambda place: -sizes.get(place.key, 0)))
        wanted = len(self._waiting)
        crew = min(wanted, self._at_once + self._at_once // 2)
        self._progress.places_known(wanted)
        threads = [
            threading.Thread(target=self._work, args=(resumable,), name=f"registries {number}", daemon=True)
            for number in range(crew)
        ]
        summaries: list[RegistrySummary] = []
        try:
            for thread in threads:
                thread.start()
            while len(summaries) < wanted:
                try:
                    outcome = self._finished.get(timeout=_LOOK)
                except queue.Empty:
                    # An interrupt that the system gave to another thread shows here.
                    continue
                if isinstance(outcome, BaseException):
                    raise outcome
                summaries.append(outcome)
        finally:
            self._settings.stop.set()
            with self._lock:
                self._waiting.clear()
                active = list(self._active)
            self._pool.close()
            # Whoever waits for a turn is to see that there is none.
            self._turns.release(max(1, len(threads)))
            for collector in active:
                collector.interrupt()
            deadline = time.monotonic() + _FAREWELL
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
        return sorted(summaries, key=lambda summary: (summary.key.account, summary.key.region))

    def _work(self, resumable: Mapping[RegistryKey, ResumableSnapshot]) -> None:
        """Collect one registry after the other; tells how each went through the queue."""
        while True:
            with self._lock:
                place = self._waiting.popleft() if self._waiting else None
            if place is None:
                return
            try:
                summary = self._take(place, resumable.get(place.key))
                self._progress.registry_done(summary)
                self._finished.put(summary)
            except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits for us
                self._finished.put(error)
                return

    def _take(self, place: Place, earlier: ResumableSnapshot | None) -> RegistrySummary:
        """A snapshot of the registry: the one that a run left which was cut short, or a new one."""
        key = place.key
        reason = "LeaseHeld"
        collector: RegistryCollector[LeaseT] | None = None
        try:
            with self._store.lease(key, f"pid {os.getpid()}", self._host) as lease:
                if earlier is not None:
                    return self._resume(key, earlier)
                reason = "LeaseLost"
                with self._turn(place) as collector:
                    read = collector.read(lease)
                snapshot = self._store.commit_snapshot(lease, self._run, read)
                gaps = self._after_snapshot(key, self._run, snapshot)
            return RegistrySummary(
                key=key,
                snapshot=snapshot,
                status=str(read.status),
                repositories=len(read.repositories),
                artifacts=sum(len(repository.artifacts) for repository in read.repositories),
                manifests_fetched=collector.manifests_fetched,
                gaps=tuple(sorted((*read.gaps, *gaps))),
            )
        except LeaseError as error:
            gap = Gap(key.account, key.region, "", "lease", reason, one_line(error))
            summary = RegistrySummary(
                key=key,
                snapshot=None,
                status="held",
                manifests_fetched=collector.manifests_fetched if collector else 0,
                gaps=(*sorted(collector.gaps if collector else ()), gap),
            )
            self._store.record_gaps(self._run, key, summary.gaps)
            return summary
        finally:
            if collector is None:
                self._count_read()

    def _resume(self, key: RegistryKey, earlier: ResumableSnapshot) -> RegistrySummary:
        self._store.resume_snapshot(self._run, key, earlier)
        # That run may have ended before it came to this.
        gaps = self._after_snapshot(key, self._run, earlier.number)
        return RegistrySummary(
            key=key,
            snapshot=earlier.number,
            status=str(ReadStatus.COMPLETE),
            repositories=earlier.repositories,
            artifacts=earlier.artifacts,
            gaps=tuple(sorted((*earlier.gaps, *gaps))),
            is_resumed=True,
        )

    @contextmanager
    def _turn(self, place: Place) -> Iterator[RegistryCollector[LeaseT]]:
        """Who reads the registry, once fewer are being read than may be."""
        # Makes a client, which takes a while, and asks nothing yet.
        client = self._open_client(place, self._settings)
        with self._turns:
            self._progress.registry_started(place.key)
            collector = self._begin(place, client)
            try:
                yield collector
            finally:
                self._end(collector)

    def _begin(self, place: Place, client: RegistryClient) -> RegistryCollector[LeaseT]:
        collector = RegistryCollector(
            client,
            self._pool.lane(),
            self._store,
            self._claims,
            self._progress,
            self._clock,
            resume_since_ms=self._resume_since_ms,
            account_name=place.account_name,
            public_aliases=place.public_aliases,
            workload_options=self._workloads,
        )
        with self._lock:
            self._active.add(collector)
            if self._settings.stop.is_set():
                collector.interrupt()
        return collector

    def _end(self, collector: RegistryCollector[LeaseT]) -> None:
        with self._lock:
            self._active.discard(collector)
        collector.close()
        self._count_read()

    def _count_read(self) -> None:
        """Leave the threads of a lane that will not be needed again to the others."""
        with self._lock:
            self._unread -= 1
            is_last = self._unread < self._at_once
        if is_last:
            self._pool.expect_one_less()
