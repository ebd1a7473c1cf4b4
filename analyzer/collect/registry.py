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

import json
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from analyzer.collect import ecr, settings, workloads
from analyzer.collect.callers import is_excluded
from analyzer.collect.claims import Claims
from analyzer.collect.clients import AwsRegistryClient, RegistryClient, StoppedError
from analyzer.collect.contract import LeaseT, Progress, SnapshotStore
from analyzer.collect.ecr import BATCH, RepositoryRecord
from analyzer.collect.gaps import call_of, gap_of, odd_gap
from analyzer.collect.pool import Lane
from analyzer.collect.refusals import (
    PARAMETER_CODES,
    REPOSITORY_GONE,
    UNSERVED_CODES,
    Reach,
    Refusal,
    RefusedError,
    one_line,
)
from analyzer.errors import LeaseError, RunError
from analyzer.model.answers import NOT_GIVEN
from analyzer.model.records import (
    Artifact,
    Checkpoint,
    Gap,
    ImageStatus,
    Manifest,
    ManifestRefusal,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    WorkloadRead,
)

T = TypeVar("T")

#: Manifests handed to the store at a time; what a kill loses at most.
_STORE_AT_ONCE = 5_000
#: Seconds to wait for manifests that another registry is fetching before fetching them as well.
_CLAIM_PATIENCE = 60.0
#: Seconds between looks at the lease while no task ends.
_LOOK = 1.0
#: Seconds between checkpoints: what a kill loses of the listing at most, and far longer than most
#: registries take, which so never write one.
_CHECKPOINT = 60.0

#: Why the manifest of an archived image is not to be had.
_IMAGE_ARCHIVED = "ImageArchived"
#: Why a single image's manifest did not come; of an archived image, what ECR says of it.
_IMAGE_NOT_FOUND = "ImageNotFound"
#: Not readable while archived, nor while being restored.
_ARCHIVED = frozenset({ImageStatus.ARCHIVED, ImageStatus.ACTIVATING})

_REGISTRY_SETTINGS: Mapping[str, tuple[str, Callable[[RegistryClient], str]]] = {
    "blob_mounting": ("GetAccountSetting", ecr.fetch_blob_mounting),
    "basic_scan_type_version": (
        "GetAccountSetting",
        partial(settings.fetch_account_setting, name="BASIC_SCAN_TYPE_VERSION"),
    ),
    "registry_policy_scope": (
        "GetAccountSetting",
        partial(settings.fetch_account_setting, name="REGISTRY_POLICY_SCOPE"),
    ),
    "pull_through_cache_rules": ("DescribePullThroughCacheRules", ecr.fetch_pull_through_cache_rules),
    "pull_time_update_exclusions": ("ListPullTimeUpdateExclusions", ecr.fetch_pull_time_exclusions),
    "scanning_configuration": ("GetRegistryScanningConfiguration", settings.fetch_scanning_configuration),
    "replication_configuration": ("DescribeRegistry", settings.fetch_replication_configuration),
    "registry_policy_text": ("GetRegistryPolicy", settings.fetch_registry_policy),
    "repository_creation_templates": (
        "DescribeRepositoryCreationTemplates",
        settings.fetch_creation_templates,
    ),
}
#: Settings asked for repository by repository, in this order; each takes the client and the repository.
_REPOSITORY_SETTINGS: Mapping[str, tuple[str, Callable[[RegistryClient, RepositoryRecord], str]]] = {
    "lifecycle_policy_text": (
        "GetLifecyclePolicy",
        lambda client, repository: ecr.fetch_lifecycle_policy(client, repository.name),
    ),
    "tags": (
        "ListTagsForResource",
        lambda client, repository: ecr.fetch_tags(client, repository.arn),
    ),
    "repository_policy_text": (
        "GetRepositoryPolicy",
        lambda client, repository: settings.fetch_repository_policy(client, repository.name),
    ),
}
#: What says nothing of the other settings that the same call gives.
_OF_ONE_SETTING = PARAMETER_CODES | {NOT_GIVEN}
#: Asked for many repositories at a time.
_SCANNING = "BatchGetRepositoryScanningConfiguration"


@dataclass(slots=True)
class _Wanted:
    """A repository's manifests that are still to be fetched."""

    repository: RepositoryRecord
    #: Digest to its artifact, of all that were wanted at first.
    artifacts: Mapping[str, Artifact]
    digests: deque[str]
    #: Digests that somebody else is fetching just now.
    busy: list[str] = field(default_factory=list)
    #: Set when this repository refuses all its manifests.
    closed: Refusal | None = None


@dataclass(slots=True)
class _RepositoryOutcome:
    """What one repository's task brings back."""

    read: RepositoryRead
    gaps: list[Gap]
    wanted: _Wanted | None
    #: Archived artifacts whose manifest was refused before and is not asked for again.
    unread_archived: Collection[str] = ()
    #: It was read by an earlier run, which was cut short.
    is_resumed: bool = False


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
        self.manifests_fetched = 0
        self.lane = lane
        self._client = client
        self._store = store
        self._claims = claims
        self._progress = progress
        self._clock = clock
        self._caller = client.caller
        self._resume_since_ms = resume_since_ms
        self._workload_options = workload_options
        self._workloads: list[WorkloadRead] = []
        self._monotonic = monotonic
        self._checkpoints: list[Checkpoint] = []
        self._checkpoint_due = 0.0
        self._lease: LeaseT | None = None
        self._results: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._outstanding = 0
        self._listed_at_ms = 0
        self._settings: dict[str, str] = {"account_name": ecr.canonical(account_name)} if account_name else {}
        if public_aliases:
            self._settings["public_aliases"] = ecr.canonical(sorted(public_aliases))
        #: Calls that this endpoint does not know, with what it said: not asked again, and one gap each.
        #: Noted by the tasks themselves, so that no second one goes on asking.
        self._unserved: dict[str, Refusal] = {}
        #: Repository name to how it is scanned, or to why that is not known.
        self._scanning: dict[str, str] = {}
        self._scanning_refused: dict[str, Refusal] = {}
        #: Of whole calls, by reason, with the number of repositories they were about.
        self._scanning_refusals: dict[str, tuple[Refusal, int]] = {}
        self._repositories: list[RepositoryRead] = []
        self._wanted: list[_Wanted] = []
        self._refused_before: Mapping[tuple[tuple[str, int], str], ImageStatus] = {}
        self._refusals: dict[tuple[tuple[str, int], str], tuple[ManifestRefusal, Refusal]] = {}
        self._unread_archived: dict[str, Collection[str]] = {}
        self._unstored: list[Manifest] = []
        self._unstored_lock = threading.Lock()
        #: What still comes is stored at once: nobody gathers it any more.
        self._ending = False

    def close(self) -> None:
        """Drop what is still to be asked, and the registry's connections.

        Botocore's clients end in the next garbage collection, of which a run has few: thousands of
        registries would leave more connections open than a process may have.
        """
        self.lane.close()
        self._client.close()

    def interrupt(self) -> None:
        """Make `read` raise StoppedError at once; from any thread."""
        self._results.put(_stop)

    def read(self, lease: LeaseT) -> RegistryRead:
        """What is in the registry; nothing of it is written but manifests and checkpoints.

        Raises StoppedError when interrupted, LeaseError when the lease is lost, and whatever
        unexpected a task raised.
        """
        self._lease = lease
        try:
            return self._read(lease)
        except BaseException:
            with self._unstored_lock:
                self._ending = True
            # What ended the collection is the news, not that the database failed as well.
            with suppress(RunError):
                self._flush()
            raise

    def _read(self, lease: LeaseT) -> RegistryRead:
        self._checkpoint_due = self._monotonic() + _CHECKPOINT
        self._refused_before = self._store.refused_manifests(self.key)
        listing = self._now(partial(ecr.fetch_repositories, self._client))
        self._note_time()
        known = list(listing.repositories.values())
        status = _status(listing.refusal, len(known))
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
            self.gaps.append(gap_of(self.key, "", "DescribeRepositories", listing.refusal, kept=len(known)))
        self._progress.repositories_known(self.key, len(known))
        if listing.refusal is None or listing.refusal.reach is not Reach.REGISTRY:
            if self._workload_options.sources and isinstance(self._client, AwsRegistryClient):
                # First, because some of them take long, and each keeps one thread at most.
                uses = self._store.known_uses(self.key)
                for reader in workloads.readers(self._client, self._workload_options, uses):
                    self._start(reader, self._keep_workloads)
            lacking = self._client.lacking
            for operation in dict.fromkeys(operation for operation, _ in _REGISTRY_SETTINGS.values()):
                if operation not in lacking:
                    self._start(partial(self._fetch_settings, operation), self._keep_settings)
            names = [] if _SCANNING in lacking else sorted(listing.repositories)
            for first in range(0, len(names), settings.SCANNING_BATCH):
                batch = names[first : first + settings.SCANNING_BATCH]
                self._start(partial(self._fetch_scanning, batch), self._keep_scanning)
        checkpoints = self._store.load_checkpoints(lease, self._resume_since_ms, round(self._clock() * 1000))
        earlier = {point.read.key: point for point in checkpoints}
        for repository in known:
            point = earlier.get((repository.name, repository.created_at_ms))
            work = (
                partial(self._read_repository, repository)
                if point is None
                else partial(self._resume_repository, repository, point)
            )
            self._start(work, self._keep_repository)
        self._finish()
        self._finish_busy()
        self._count_manifest_gaps()
        self._count_setting_gaps()
        return RegistryRead(
            self.key,
            self._listed_at_ms,
            status,
            sorted(map(self._with_scanning, self._repositories), key=lambda read: read.key),
            self._settings,
            sorted(self.gaps),
            [refusal for _, (refusal, _) in sorted(self._refusals.items()) if _is_lasting(refusal)],
            sorted(self._workloads, key=lambda read: read.source),
        )

    # Tasks and their results. A task runs on the lane; what it gives is kept in our own thread.

    def _start(self, work: Callable[[], T], keep: Callable[[T], None]) -> None:
        def task() -> None:
            # Whatever a task raises is raised again, by `_next`, in the thread that waits for it.
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001
                self._results.put(partial(_raise, error))
            else:
                self._results.put(partial(keep, result))

        self._outstanding += 1
        self.lane.submit(task)

    def _next(self) -> None:
        """Wait for a task to end and keep what it gave."""
        while True:
            self._raise_if_lost()
            try:
                keep = self._results.get(timeout=_LOOK)
            except queue.Empty:
                continue
            break
        self._outstanding -= 1
        keep()

    def _raise_if_lost(self) -> None:
        """Raise LeaseError when whatever else is read could not be written."""
        if self._lease is not None and self._lease.lost.is_set():
            raise LeaseError(
                f"lost the lease on {self.key.account}/{self.key.region}: another collector took over; "
                "no snapshot was written"
            )

    def _now(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, run as a task."""
        results: list[T] = []
        self._start(work, results.append)
        while not results:
            self._next()
        return results[0]

    def _finish(self) -> None:
        """Wait for all tasks, and hand the last of what they gave to the store."""
        while self._outstanding:
            self._next()
        self._flush()

    def _note_time(self) -> None:
        """Images pushed later than this cannot be in what was read."""
        self._listed_at_ms = round(self._clock() * 1000)

    # The registry's settings.

    def _fetch_settings(self, operation: str) -> tuple[str, dict[str, str], dict[str, Refusal]]:
        """The settings that ``operation`` gives, and those it does not, with why."""
        found: dict[str, str] = {}
        refused: dict[str, Refusal] = {}
        for name, (source, fetch) in _REGISTRY_SETTINGS.items():
            if source != operation:
                continue
            # Only its name may be what ECR does not like of one of them, and one may not have been
            # written down; anything else would be said of the next as well.
            before = next((r for r in refused.values() if r.reason not in _OF_ONE_SETTING), None)
            if before is not None:
                refused[name] = before
                continue
            try:
                found[name] = fetch(self._client)
            except RefusedError as error:
                refused[name] = error.refusal
        return operation, found, refused

    def _keep_settings(self, result: tuple[str, dict[str, str], dict[str, Refusal]]) -> None:
        operation, found, refused = result
        self._settings |= found
        of_reason: dict[str, list[str]] = {}
        for name, refusal in refused.items():
            of_reason.setdefault(refusal.reason, []).append(name)
        for names in of_reason.values():
            self.gaps.append(gap_of(self.key, "", operation, refused[names[0]], settings=names))
        excluded = found.get("pull_time_update_exclusions")
        if excluded is not None and self._caller:
            is_ours = is_excluded(self._caller, json.loads(excluded))
            self._settings["collector_excluded"] = ecr.canonical(is_ours)

    # How repositories are scanned, many of them at a time.

    def _fetch_scanning(self, names: Sequence[str]) -> settings.ScanningAnswers:
        if _SCANNING in self._unserved:
            return settings.ScanningAnswers()
        answers = settings.fetch_scanning(self._client, names)
        for refusal, _ in answers.refusals:
            if refusal.reason in UNSERVED_CODES:
                self._unserved.setdefault(_SCANNING, refusal)
                return settings.ScanningAnswers(answers.settings)
        return answers

    def _keep_scanning(self, answers: settings.ScanningAnswers) -> None:
        self._scanning |= answers.settings
        self._scanning_refused |= answers.refused
        for refusal, names in answers.refusals:
            known, count = self._scanning_refusals.get(refusal.reason, (refusal, 0))
            self._scanning_refusals[refusal.reason] = known, count + len(names)

    def _count_setting_gaps(self) -> None:
        """Gaps for settings of repositories that were not asked for one by one.

        One per call that the endpoint does not know. For scanning one per reason where whole calls
        were refused, and one per repository otherwise, unless that is known already to be gone.
        """
        for operation, refusal in self._unserved.items():
            self.gaps.append(gap_of(self.key, "", operation, refusal))
        gone = {gap.repository for gap in self.gaps if gap.reason == REPOSITORY_GONE}
        for refusal, count in self._scanning_refusals.values():
            self.gaps.append(gap_of(self.key, "", _SCANNING, refusal, count=count))
        for name, refusal in self._scanning_refused.items():
            if not (refusal.reason in self._scanning_refusals or name in gone):
                self.gaps.append(gap_of(self.key, name, _SCANNING, refusal))

    def _with_scanning(self, read: RepositoryRead) -> RepositoryRead:
        scanning = self._scanning.get(read.name)
        if scanning is None:
            return read
        return replace(read, settings={**read.settings, "scanning": scanning})

    # Workloads.

    def _keep_workloads(self, outcome: workloads.SourceOutcome) -> None:
        self._workloads += outcome.reads
        self.gaps += outcome.gaps

    # Repositories. `_read_repository` runs on the lane and changes nothing of ours but `_unserved`.

    def _read_repository(self, repository: RepositoryRecord) -> _RepositoryOutcome:
        client, name = self._client, repository.name
        listing = ecr.fetch_images(client, name)
        artifacts, refusal = listing.artifacts, listing.refusal
        status = _status(refusal, len(artifacts))
        found = dict(repository.settings)
        gaps = self._image_gaps(name, listing)
        if listing.faults.left_out and status is ReadStatus.COMPLETE:
            # One of them may be an image that is known: it must not seem to be gone.
            status = ReadStatus.PARTIAL
        out_of_reach = refusal is not None and (
            refusal.reason == REPOSITORY_GONE or refusal.reach is Reach.REGISTRY
        )
        if not out_of_reach:
            self._read_settings(repository, found, gaps)
        read = RepositoryRead(name, repository.created_at_ms, status, list(artifacts.values()), found)
        if out_of_reach:
            return _RepositoryOutcome(read, gaps, None)
        return self._outcome(repository, read, gaps, artifacts)

    def _read_settings(self, repository: RepositoryRecord, found: dict[str, str], gaps: list[Gap]) -> None:
        """Add the settings that are asked for repository by repository, or the gaps they leave."""
        named = {gap.call for gap in gaps}
        for setting, (operation, fetch) in _REPOSITORY_SETTINGS.items():
            if setting in found or call_of(self.key, operation) in named or operation in self._unserved:
                continue
            try:
                found[setting] = fetch(self._client, repository)
            except RefusedError as error:
                if error.refusal.reason in UNSERVED_CODES:
                    self._unserved.setdefault(operation, error.refusal)
                else:
                    gaps.append(gap_of(self.key, repository.name, operation, error.refusal))

    def _resume_repository(self, repository: RepositoryRecord, point: Checkpoint) -> _RepositoryOutcome:
        """The repository as a run that was cut short read it a while ago."""
        # What the listing says of it is newer, and cost nothing.
        found, gaps = {**point.read.settings, **repository.settings}, list(point.gaps)
        # That run may have been an earlier version's, or have found out that a call is not served.
        self._read_settings(repository, found, gaps)
        read = replace(point.read, settings=found)
        artifacts = {artifact.digest: artifact for artifact in read.artifacts}
        outcome = self._outcome(repository, read, gaps, artifacts)
        outcome.is_resumed = True
        return outcome

    def _outcome(
        self,
        repository: RepositoryRecord,
        read: RepositoryRead,
        gaps: list[Gap],
        artifacts: Mapping[str, Artifact],
    ) -> _RepositoryOutcome:
        """What was read, and which manifests are still to be fetched."""
        if not artifacts:
            return _RepositoryOutcome(read, gaps, None)
        unknown = self._store.unknown_manifests(artifacts.keys())
        hopeless = {digest for digest in unknown if self._is_hopeless(read.key, artifacts[digest])}
        wanted = sorted(unknown - hopeless)
        if not wanted:
            return _RepositoryOutcome(read, gaps, None, hopeless)
        fetch = _Wanted(repository, {digest: artifacts[digest] for digest in wanted}, deque(wanted))
        return _RepositoryOutcome(read, gaps, fetch, hopeless)

    def _is_hopeless(self, repository: tuple[str, int], artifact: Artifact) -> bool:
        """Whether its manifest was refused while it was archived, and it still is."""
        before = self._refused_before.get((repository, artifact.digest))
        return before in _ARCHIVED and artifact.image_status in _ARCHIVED

    def _image_gaps(self, name: str, listing: ecr.ImageListing) -> list[Gap]:
        gaps = []
        kept, faults = len(listing.artifacts), listing.faults
        if listing.refusal is not None:
            gaps.append(gap_of(self.key, name, "DescribeImages", listing.refusal, kept=kept))
        for reason, count, what in (
            ("InvalidDigest", faults.left_out, "have no digest that can be understood and are left out"),
            ("InvalidAnswer", faults.mended, "have fields that cannot be understood; these are left out"),
            (
                "UnknownImageStatus",
                faults.unknown_status,
                "have a status unknown to this version; counted as active",
            ),
        ):
            if count:
                detail = f"{count} entries of {one_line(name)} {what}"
                gaps.append(odd_gap(self.key, name, "DescribeImages", reason, detail, count))
        return gaps

    def _keep_repository(self, outcome: _RepositoryOutcome) -> None:
        read = outcome.read
        self._note_time()
        self._repositories.append(read)
        if not outcome.is_resumed:
            self._checkpoint(read, outcome.gaps)
        self.gaps += outcome.gaps
        self._unread_archived[read.name] = outcome.unread_archived
        self._progress.repository_done(self.key, read.name, len(read.artifacts))
        if outcome.wanted is not None:
            self._wanted.append(outcome.wanted)
            self._start_batches(outcome.wanted)

    def _checkpoint(self, read: RepositoryRead, gaps: Sequence[Gap]) -> None:
        """Keep a repository for whoever has to begin again, with others that came in the same while.

        Only whole reads: what was refused may be granted to the next who asks.
        """
        if read.status is ReadStatus.COMPLETE:
            self._checkpoints.append(Checkpoint(read, tuple(gaps), round(self._clock() * 1000)))
        if self._monotonic() < self._checkpoint_due or self._lease is None:
            return
        self._store.save_checkpoints(self._lease, self._checkpoints)
        self._checkpoints = []
        self._checkpoint_due = self._monotonic() + _CHECKPOINT

    # Manifests.

    def _start_batches(self, wanted: _Wanted, *, even_busy: bool = False) -> None:
        for _ in range(0, len(wanted.digests), BATCH):
            self._start(partial(self._fetch_batch, wanted, even_busy=even_busy), self._keep_batch)

    def _fetch_batch(self, wanted: _Wanted, *, even_busy: bool) -> tuple[_Wanted, ecr.ManifestAnswers]:
        """Fetch up to BATCH of what is still wanted and hand it to the store; runs on the lane."""
        if wanted.closed is not None:
            refused = {}
            while (digest := _pop(wanted.digests)) is not None:
                refused[digest] = wanted.closed
            return wanted, ecr.ManifestAnswers(refused=refused)
        mine = self._claims.take(wanted.digests, BATCH, wanted.busy, even_busy=even_busy)
        if not mine:
            return wanted, ecr.ManifestAnswers()
        media_types = {digest: wanted.artifacts[digest].media_type for digest in mine}
        answers = ecr.fetch_manifests(self._client, wanted.repository.name, mine, media_types)
        self._claims.settle(failed=answers.refused)
        if answers.refusal is not None and answers.refusal.reach in (Reach.REPOSITORY, Reach.REGISTRY):
            wanted.closed = answers.refusal
        with self._unstored_lock:
            self._unstored += answers.manifests
            due = self._ending or len(self._unstored) >= _STORE_AT_ONCE
        if due:
            self._flush()
        return wanted, answers

    def _flush(self) -> None:
        """Hand what has gathered to the store; from any thread."""
        with self._unstored_lock:
            manifests, self._unstored = self._unstored, []
        if not manifests:
            return
        # In digest order, as two processes that write the same ones should.
        manifests.sort(key=lambda manifest: manifest.digest)
        self._store.add_manifests(manifests)
        self._claims.settle(stored=[manifest.digest for manifest in manifests])

    def _keep_batch(self, result: tuple[_Wanted, ecr.ManifestAnswers]) -> None:
        wanted, answers = result
        repository = (wanted.repository.name, wanted.repository.created_at_ms)
        for digest, refusal in answers.refused.items():
            status = wanted.artifacts[digest].image_status
            reason = refusal.reason
            if reason == _IMAGE_NOT_FOUND and status in _ARCHIVED:
                reason = _IMAGE_ARCHIVED
            self._refusals[repository, digest] = ManifestRefusal(repository, digest, reason, status), refusal
        if answers.manifests:
            self.manifests_fetched += len(answers.manifests)
            self._progress.manifests_fetched(self.key, len(answers.manifests))

    def _finish_busy(self) -> None:
        """See to the manifests that somebody else was fetching when we wanted them.

        Nothing of ours is claimed while we wait, and the wait ends: then they are fetched here too.
        """
        deadline = None
        while waiting := [wanted for wanted in self._wanted if wanted.busy]:
            seen = self._claims.changes
            before = sum(len(wanted.busy) for wanted in waiting)
            now = time.monotonic()
            deadline = now + _CLAIM_PATIENCE if deadline is None else deadline
            for wanted in waiting:
                wanted.digests, wanted.busy = deque(wanted.busy), []
                self._start_batches(wanted, even_busy=now >= deadline)
            self._finish()
            if sum(len(wanted.busy) for wanted in waiting) == before:
                self._claims.wait(seen, 0.5)
                self._raise_if_lost()
                self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        try:
            keep = self._results.get_nowait()
        except queue.Empty:
            return
        keep()

    def _count_manifest_gaps(self) -> None:
        """Gaps for what has no manifest in the end, one per repository and reason."""
        # Refused here, but another repository or registry gave it: nothing is missing.
        self._refusals = {
            key: entry for key, entry in self._refusals.items() if not self._claims.is_stored(key[1])
        }
        archived = Counter(
            name
            for name, digests in self._unread_archived.items()
            for digest in digests
            if not self._claims.is_stored(digest)
        )
        counts: Counter[tuple[str, str]] = Counter()
        examples: dict[tuple[str, str], Refusal] = {}
        for ((name, _), _), (kept, refusal) in sorted(self._refusals.items(), key=lambda item: item[0]):
            # The same words on the first night, when it was asked for, as on all others.
            if kept.reason == _IMAGE_ARCHIVED:
                archived[name] += 1
                continue
            counts[name, refusal.reason] += 1
            examples.setdefault((name, refusal.reason), refusal)
        for (name, reason), count in counts.items():
            self.gaps.append(gap_of(self.key, name, "BatchGetImage", examples[name, reason], count=count))
        for name, count in archived.items():
            detail = f"the manifests of {count} archived images cannot be read before they are restored"
            self.gaps.append(odd_gap(self.key, name, "BatchGetImage", _IMAGE_ARCHIVED, detail, count))


def _is_lasting(refusal: ManifestRefusal) -> bool:
    """Whether it is worth remembering: an archived image is asked for again unless that is the reason."""
    return refusal.reason == _IMAGE_ARCHIVED or refusal.image_status not in _ARCHIVED


def _status(refusal: Refusal | None, kept: int) -> ReadStatus:
    if refusal is None:
        return ReadStatus.COMPLETE
    return ReadStatus.PARTIAL if kept else ReadStatus.REFUSED


def _pop(digests: deque[str]) -> str | None:
    try:
        return digests.popleft()
    except IndexError:
        return None


def _raise(error: BaseException) -> None:
    raise error


def _stop() -> None:
    raise StoppedError
