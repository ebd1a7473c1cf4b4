"""One run of the collector: every registry of one account, each into its own snapshot."""

from __future__ import annotations

import gc
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol

from analyzer import __version__
from analyzer.collect.claims import Claims
from analyzer.collect.clients import (
    TOTAL_ATTEMPTS,
    CallCounts,
    RegistryClient,
    check_regions,
    fetch_identity,
    make_clients,
)
from analyzer.collect.pool import Lane, Pool
from analyzer.collect.refusals import one_line
from analyzer.collect.registry import LeaseT, RegistryCollector
from analyzer.errors import InputError, LeaseError
from analyzer.model.records import Gap, ImageStatus, Manifest, RegistryKey, RegistryRead

if TYPE_CHECKING:
    from boto3.session import Session

#: What is done with a snapshot (its registry, run and number) as soon as it is written, while its
#: lease is still held; gives the gaps that only what is stored shows.
AfterSnapshot = Callable[[RegistryKey, int, int], Sequence[Gap]]

#: New objects between two garbage collections during a run.
_GARBAGE_THRESHOLD = 100_000

#: Seconds given to the threads of a failed or interrupted run to let go of their leases.
_FAREWELL = 10.0
#: Seconds between looks for an interrupt while no registry ends.
_LOOK = 1.0


class SnapshotStore(Protocol[LeaseT]):
    """What the collector needs of the store; called from several threads."""

    def begin_run(self, started_at_ms: int, host: str, version: str, caller: str | None) -> int:
        """Number of a new run by ``caller``, an ARN, None where it is not known."""

    def finish_run(self, run: int, finished_at_ms: int, status: str) -> None:
        """Record how a run ended: complete, gaps or failed."""

    def lease(self, key: RegistryKey, holder: str, host: str) -> AbstractContextManager[LeaseT]:
        """The right to write a registry; raises LeaseError while another process has it."""

    def unknown_manifests(self, digests: Collection[str]) -> set[str]:
        """Those of ``digests`` whose manifest was never stored."""

    def add_manifests(self, manifests: Sequence[Manifest]) -> None:
        """Store manifests for ever."""

    def refused_manifests(self, key: RegistryKey) -> Mapping[tuple[tuple[str, int], str], ImageStatus]:
        """(repository key, digest) of manifests refused before, with the image's status then."""

    def commit_snapshot(self, lease: LeaseT, run: int, read: RegistryRead) -> int:
        """Write a registry's next snapshot; gives its number. Raises LeaseError if the lease is lost."""

    def record_gaps(self, run: int, key: RegistryKey, gaps: Sequence[Gap]) -> None:
        """Record why the run left no snapshot of a registry."""


class Progress(Protocol):
    """Whoever shows how a run gets on. Called from several threads, never by two at once."""

    def registry_started(self, key: RegistryKey) -> None:
        """The registry's lease is held and reading begins."""

    def repositories_known(self, key: RegistryKey, count: int) -> None:
        """Its repositories are listed."""

    def repository_done(self, key: RegistryKey, repository: str, artifacts: int) -> None:
        """A repository's images are listed (or refused)."""

    def manifests_fetched(self, key: RegistryKey, count: int) -> None:
        """So many more manifests were read."""

    def registry_done(self, summary: RegistrySummary) -> None:
        """The registry's snapshot is written, or it was held by somebody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """What to collect, and how hard to press AWS for it."""

    regions: tuple[str, ...]
    #: The account that the credentials must belong to; None for whichever they do.
    account: str | None = None
    #: Threads that call AWS, for all registries together; each registry has at least one.
    workers: int = 16
    #: Describe, list and get calls per second to one registry. AWS publishes no limit for them.
    requests_per_second: float = 10.0
    #: BatchGetImage calls per second to one registry: 2 % of the published 2,000, which production
    #: pulls share.
    batch_get_image_per_second: float = 40.0
    #: Attempts of one call, the first included.
    attempts: int = TOTAL_ATTEMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySummary:
    """How the collection of one registry went."""

    key: RegistryKey
    #: Number of the snapshot written; None if none was.
    snapshot: int | None
    #: complete, partial or refused (its list of repositories), or held (by another process).
    status: str
    repositories: int = 0
    artifacts: int = 0
    manifests_fetched: int = 0
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectResult:
    """How a run went."""

    run: int
    #: complete, or gaps when anything at all is missing.
    status: str
    #: By account and region.
    registries: tuple[RegistrySummary, ...]
    #: Calls by operation (``DescribeImages``), retries not included.
    calls: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    #: Attempts that AWS throttled.
    throttles: int = 0

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps of all registries."""
        return tuple(gap for registry in self.registries for gap in registry.gaps)


def collect(
    store: SnapshotStore[LeaseT],
    session: Session,
    options: CollectOptions,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress,
    after_snapshot: AfterSnapshot = lambda _key, _run, _snapshot: (),
) -> CollectResult:
    """Read the account's registries in ``options.regions`` and write a snapshot of each.

    Whatever AWS refuses is a gap of the registry it is about, and the others go on. ``clock`` gives
    seconds since 1970 UTC; ``sleep`` is what the rate limits wait with; ``after_snapshot`` is called
    from several threads.

    Raises InputError when the options make no sense or the credentials are another account's,
    RunError when the credentials cannot be used, and whatever unexpected a thread raised: then the
    run is recorded as failed, and the manifests fetched so far are kept.
    """
    regions = check_regions(options.regions)
    if options.workers < 1 or options.attempts < 1:
        raise InputError("at least one worker and one attempt per call are needed")
    if not (options.requests_per_second > 0 and options.batch_get_image_per_second > 0):
        raise InputError("requests per second must be above zero")
    identity = fetch_identity(session, regions)
    if options.account not in (None, identity.account):
        raise InputError(
            f"the credentials belong to account {identity.account}, not to {options.account}; "
            "choose another profile or account"
        )
    counts, stop = CallCounts(), threading.Event()
    clients = make_clients(
        session,
        [RegistryKey(identity.partition, identity.account, region) for region in regions],
        connections=max(10, options.workers),
        requests_per_second=options.requests_per_second,
        batch_get_image_per_second=options.batch_get_image_per_second,
        counts=counts,
        stop=stop,
        sleep=sleep,
        attempts=options.attempts,
    )
    host = socket.gethostname()
    run = store.begin_run(_ms(clock), host, __version__, identity.arn or None)
    status = "failed"
    try:
        with _fewer_garbage_collections():
            registries = _Run(
                store,
                run,
                host,
                clients,
                options.workers,
                stop,
                _OneAtATime(progress),
                clock,
                identity.arn,
                after_snapshot,
            ).go()
        status = "gaps" if any(registry.gaps for registry in registries) else "complete"
    finally:
        store.finish_run(run, _ms(clock), status)
    return CollectResult(
        run=run,
        status=status,
        registries=tuple(registries),
        calls=dict(sorted(counts.calls.items())),
        retries=counts.retries,
        throttles=counts.throttles,
    )


@contextmanager
def _fewer_garbage_collections() -> Iterator[None]:
    """Let tuples pile up: a run makes millions of them and no cycles to speak of.

    Python's collector would walk all of them after every few hundred new ones, which is a third of
    the CPU of an unchanged night.
    """
    before = gc.get_threshold()
    gc.set_threshold(_GARBAGE_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Run(Generic[LeaseT]):
    """The registries of one run, each in a thread of its own, over one pool."""

    def __init__(
        self,
        store: SnapshotStore[LeaseT],
        run: int,
        host: str,
        clients: Sequence[RegistryClient],
        workers: int,
        stop: threading.Event,
        progress: Progress,
        clock: Callable[[], float],
        caller: str,
        after_snapshot: AfterSnapshot,
    ) -> None:
        self._store = store
        self._run = run
        self._host = host
        self._stop = stop
        self._progress = progress
        self._after_snapshot = after_snapshot
        self._finished: queue.SimpleQueue[RegistrySummary | BaseException] = queue.SimpleQueue()
        self._pool = Pool(workers, len(clients))
        claims = Claims()
        self._jobs: list[tuple[RegistryCollector[LeaseT], Lane]] = []
        for client in clients:
            lane = self._pool.lane()
            collector = RegistryCollector(client, lane, self._store, claims, progress, clock, caller)
            self._jobs.append((collector, lane))

    def go(self) -> list[RegistrySummary]:
        """Collect all registries; raises the first thing unexpected that happens in any of them."""
        threads = [
            threading.Thread(target=self._one, args=job, name=f"registry {job[0].key.region}", daemon=True)
            for job in self._jobs
        ]
        summaries: list[RegistrySummary] = []
        try:
            for thread in threads:
                thread.start()
            while len(summaries) < len(threads):
                try:
                    outcome = self._finished.get(timeout=_LOOK)
                except queue.Empty:
                    # An interrupt that the system gave to another thread shows here.
                    continue
                if isinstance(outcome, BaseException):
                    raise outcome
                summaries.append(outcome)
        finally:
            self._stop.set()
            self._pool.close()
            for collector, _ in self._jobs:
                collector.interrupt()
            deadline = time.monotonic() + _FAREWELL
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
        return sorted(summaries, key=lambda summary: summary.key.region)

    def _one(self, collector: RegistryCollector[LeaseT], lane: Lane) -> None:
        """Collect one registry; tells how it went through the queue."""
        try:
            self._finished.put(self._collect(collector))
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits for us
            self._finished.put(error)
        finally:
            lane.close()

    def _collect(self, collector: RegistryCollector[LeaseT]) -> RegistrySummary:
        key = collector.key
        reason = "LeaseHeld"
        try:
            with self._store.lease(key, f"pid {os.getpid()}", self._host) as lease:
                reason = "LeaseLost"
                self._progress.registry_started(key)
                snapshot, read = collector.collect(lease, self._run)
                gaps = self._after_snapshot(key, self._run, snapshot)
            summary = RegistrySummary(
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
                manifests_fetched=collector.manifests_fetched,
                gaps=(*sorted(collector.gaps), gap),
            )
            self._store.record_gaps(self._run, key, summary.gaps)
        self._progress.registry_done(summary)
        return summary


class _OneAtATime:
    """A Progress that is never called by two threads at once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()

    def registry_started(self, key: RegistryKey) -> None:
        with self._lock:
            self._progress.registry_started(key)

    def repositories_known(self, key: RegistryKey, count: int) -> None:
        with self._lock:
            self._progress.repositories_known(key, count)

    def repository_done(self, key: RegistryKey, repository: str, artifacts: int) -> None:
        with self._lock:
            self._progress.repository_done(key, repository, artifacts)

    def manifests_fetched(self, key: RegistryKey, count: int) -> None:
        with self._lock:
            self._progress.manifests_fetched(key, count)

    def registry_done(self, summary: RegistrySummary) -> None:
        with self._lock:
            self._progress.registry_done(summary)


def _ms(clock: Callable[[], float]) -> int:
    return round(clock() * 1000)
