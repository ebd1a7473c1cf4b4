"""What the collector is given, what it needs of others, and what it gives back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from analyzer.collect.clients import READ_SECONDS, TOTAL_ATTEMPTS
from analyzer.collect.credentials import RoleOptions
from analyzer.collect.places import Skipped
from analyzer.collect.workloads.options import WorkloadOptions
from analyzer.model.records import (
    Checkpoint,
    Gap,
    ImageStatus,
    KnownUse,
    Manifest,
    RegistryKey,
    RegistryRead,
    ResumableSnapshot,
)

#: What is done with a snapshot (its registry, run and number) as soon as it is written, while its
#: lease is still held; gives the gaps that only what is stored shows.
AfterSnapshot = Callable[[RegistryKey, int, int], Sequence[Gap]]

#: Long enough for a supervisor to start a killed run again, too short for the night before.
RESUME_SECONDS = 6 * 3600.0


class HeldLease(Protocol):
    """The right to write a registry, while it lasts."""

    @property
    def lost(self) -> threading.Event:
        """Set when another collector has taken over."""


LeaseT = TypeVar("LeaseT", bound=HeldLease)


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

    def known_uses(self, key: RegistryKey) -> Mapping[str, Sequence[KnownUse]]:
        """By source, the uses of images that the registry's last snapshot has."""

    def commit_snapshot(self, lease: LeaseT, run: int, read: RegistryRead) -> int:
        """Write a registry's next snapshot; gives its number. Raises LeaseError if the lease is lost."""

    def record_gaps(self, run: int, key: RegistryKey, gaps: Sequence[Gap]) -> None:
        """Record why the run left no snapshot of a registry."""

    def repository_counts(self) -> Mapping[RegistryKey, int]:
        """How many repositories each registry had when it was last read."""

    def resumable_snapshots(self, since_ms: int, now_ms: int) -> Mapping[RegistryKey, ResumableSnapshot]:
        """Whole snapshots taken in that time by runs that did not end."""

    def resume_snapshot(self, run: int, key: RegistryKey, snapshot: ResumableSnapshot) -> None:
        """Count a snapshot of an earlier run as this run's own."""

    def load_checkpoints(self, lease: LeaseT, since_ms: int, now_ms: int) -> Sequence[Checkpoint]:
        """The repositories read in that time for a snapshot of the registry that was never written."""

    def save_checkpoints(self, lease: LeaseT, checkpoints: Sequence[Checkpoint]) -> None:
        """Keep them until the registry's next snapshot. Raises LeaseError if the lease is lost."""


class Progress(Protocol):
    """Whoever shows how a run gets on. Called from several threads, never by two at once."""

    def places_known(self, count: int) -> None:
        """So many registries are to be read."""

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

    #: Names of regions, ``public`` among them for the accounts' public registries; or ``all`` alone:
    #: those that each account has enabled and ECR is in, and its public registry if it has one.
    regions: tuple[str, ...]
    #: The accounts to assume the role in; without a role, those that the credentials must belong to
    #: (none: whichever they do).
    accounts: tuple[str, ...] = ()
    #: Whether to assume the role in all active accounts of the organization.
    organization: bool = False
    #: Of the organization's accounts, those that are meant (all, if empty) and those that are not:
    #: patterns, see `analyzer.collect.account_patterns`.
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    #: The role to assume in each account; None stays in that of the credentials.
    role: RoleOptions | None = None
    #: Whether to assume it in the account of the credentials too, where StackSets put none.
    role_in_own_account: bool = False
    #: Threads that call AWS, for all registries together; as many registries are read at a time.
    workers: int = 32
    #: Calls per second of one describe, list or get operation to one registry. AWS publishes no
    #: limit for them.
    requests_per_second: float = 10.0
    #: BatchGetImage calls per second to one registry: 2 % of the published 2,000, which production
    #: pulls share.
    batch_get_image_per_second: float = 40.0
    #: Attempts of one call, the first included.
    attempts: int = TOTAL_ATTEMPTS
    #: Seconds that one answer may take.
    read_seconds: float = READ_SECONDS
    #: What a run that was cut short read in the last so many seconds is not read again.
    resume_seconds: float = RESUME_SECONDS
    #: What else is read in the account and region of each registry: what uses its images.
    workloads: WorkloadOptions = field(default_factory=WorkloadOptions)


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
    #: An earlier run, cut short, took the snapshot; this one found it young enough.
    is_resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectResult:
    """How a run went."""

    run: int
    #: complete, or gaps when anything at all is missing.
    status: str
    #: By account and region.
    registries: tuple[RegistrySummary, ...]
    #: What could not even be tried: accounts that let nobody in, regions that are not enabled.
    unreached: tuple[Gap, ...] = ()
    #: Accounts that are not meant to be collected: suspended, or left out by the options.
    skipped: tuple[Skipped, ...] = ()
    #: Calls by service and operation (``ecr:DescribeImages``), retries not included.
    calls: Mapping[str, int] = field(default_factory=dict)
    #: How many of those calls AWS charges for.
    billed_calls: int = 0
    retries: int = 0
    #: Attempts that AWS throttled.
    throttles: int = 0
    #: Pages of listings that were refused because their token had grown too old. The listing was begun
    #: anew, or there is a gap.
    expired_page_tokens: int = 0
    #: Bytes of AWS's answers.
    received_bytes: int = 0

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps of all registries, and what could not be reached at all."""
        return (*self.unreached, *(gap for registry in self.registries for gap in registry.gaps))


class SilentProgress:
    """A Progress that shows nothing; others say only what they have to say."""

    def places_known(self, count: int) -> None:
        """So many registries are to be read."""

    def registry_started(self, key: RegistryKey) -> None:
        """Reading of a registry begins."""

    def repositories_known(self, key: RegistryKey, count: int) -> None:
        """Its repositories are listed."""

    def repository_done(self, key: RegistryKey, repository: str, artifacts: int) -> None:
        """A repository is read."""

    def manifests_fetched(self, key: RegistryKey, count: int) -> None:
        """So many more manifests were read."""

    def registry_done(self, summary: RegistrySummary) -> None:
        """The registry's snapshot is written."""


class OneAtATime:
    """A Progress that is never called by two threads at once."""

    def __init__(self, progress: Progress) -> None:
        """Hand everything on to ``progress``."""
        self._progress = progress
        self._lock = threading.Lock()

    def places_known(self, count: int) -> None:
        """Hand it on."""
        with self._lock:
            self._progress.places_known(count)

    def registry_started(self, key: RegistryKey) -> None:
        """Hand it on."""
        with self._lock:
            self._progress.registry_started(key)

    def repositories_known(self, key: RegistryKey, count: int) -> None:
        """Hand it on."""
        with self._lock:
            self._progress.repositories_known(key, count)

    def repository_done(self, key: RegistryKey, repository: str, artifacts: int) -> None:
        """Hand it on."""
        with self._lock:
            self._progress.repository_done(key, repository, artifacts)

    def manifests_fetched(self, key: RegistryKey, count: int) -> None:
        """Hand it on."""
        with self._lock:
            self._progress.manifests_fetched(key, count)

    def registry_done(self, summary: RegistrySummary) -> None:
        """Hand it on."""
        with self._lock:
            self._progress.registry_done(summary)
