"""The manifests of one registry that nobody has: fetched on its lane, and handed to the store.

Whatever ends the collection, what was fetched is stored: nobody has to fetch it again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from analyzer.collect import ecr
from analyzer.collect.claims import Claims
from analyzer.collect.clients import RegistryClient
from analyzer.collect.contract import Progress
from analyzer.collect.ecr import BATCH, RepositoryRecord
from analyzer.collect.gaps import gap_of, odd_gap
from analyzer.collect.refusals import Reach, Refusal
from analyzer.collect.tasks import Tasks
from analyzer.model.records import Artifact, Gap, ImageStatus, Manifest, ManifestRefusal

#: Manifests handed to the store at a time; what a kill loses at most.
_STORE_AT_ONCE = 5_000
#: Seconds to wait for manifests that another registry is fetching before fetching them as well.
_CLAIM_PATIENCE = 60.0

#: Why the manifest of an archived image is not to be had.
_IMAGE_ARCHIVED = "ImageArchived"
#: Why a single image's manifest did not come; of an archived image, what ECR says of it.
_IMAGE_NOT_FOUND = "ImageNotFound"
#: Not readable while archived, nor while being restored.
ARCHIVED = frozenset({ImageStatus.ARCHIVED, ImageStatus.ACTIVATING})


@dataclass(slots=True)
class Wanted:
    """A repository's manifests that are still to be fetched."""

    repository: RepositoryRecord
    #: Digest to its artifact, of all that were wanted at first.
    artifacts: Mapping[str, Artifact]
    digests: deque[str]
    #: Digests that somebody else is fetching just now.
    busy: list[str] = field(default_factory=list)
    #: Set when this repository refuses all its manifests.
    closed: Refusal | None = None


class ManifestFetcher:
    """Fetches the manifests of one registry."""

    def __init__(
        self,
        client: RegistryClient,
        tasks: Tasks,
        claims: Claims,
        progress: Progress,
        add_manifests: Callable[[Sequence[Manifest]], None],
    ) -> None:
        """``add_manifests`` stores manifests for ever; it is called from several threads."""
        self.key = client.key
        self.fetched = 0
        self._client = client
        self._tasks = tasks
        self._claims = claims
        self._progress = progress
        self._add_manifests = add_manifests
        self._wanted: list[Wanted] = []
        self._refusals: dict[tuple[tuple[str, int], str], tuple[ManifestRefusal, Refusal]] = {}
        self._unread_archived: dict[str, Collection[str]] = {}
        self._unstored: list[Manifest] = []
        self._unstored_lock = threading.Lock()
        #: What still comes is stored at once: nobody gathers it any more.
        self._ending = False

    def start(self, wanted: Wanted) -> None:
        """Begin to fetch what a repository wants."""
        self._wanted.append(wanted)
        self._start_batches(wanted)

    def leave_out(self, repository: str, digests: Collection[str]) -> None:
        """Archived artifacts of a repository, whose manifest was refused before, are not asked for again."""
        self._unread_archived[repository] = digests

    def finish(self) -> None:
        """Wait for all tasks, and hand the last of what they gave to the store."""
        self._finish_tasks()
        self._finish_busy()

    def end(self) -> None:
        """Store what came: the collection ends here, and nobody waits for what is under way."""
        with self._unstored_lock:
            self._ending = True
        self._flush()

    def missing(self) -> tuple[list[Gap], list[ManifestRefusal]]:
        """What has no manifest in the end: gaps, one per repository and reason, and what to remember."""
        # Refused here, but another repository or registry gave it: nothing is missing.
        refused = [
            self._refusals[key] for key in sorted(self._refusals) if not self._claims.is_stored(key[1])
        ]
        archived = Counter(
            name
            for name, digests in self._unread_archived.items()
            for digest in digests
            if not self._claims.is_stored(digest)
        )
        counts: Counter[tuple[str, str]] = Counter()
        examples: dict[tuple[str, str], Refusal] = {}
        for kept, refusal in refused:
            name = kept.repository_key[0]
            # The same words on the first night, when it was asked for, as on all others.
            if kept.reason == _IMAGE_ARCHIVED:
                archived[name] += 1
                continue
            counts[name, refusal.reason] += 1
            examples.setdefault((name, refusal.reason), refusal)
        gaps = []
        for (name, reason), count in counts.items():
            gaps.append(gap_of(self.key, name, "BatchGetImage", examples[name, reason], count=count))
        for name, count in archived.items():
            detail = f"the manifests of {count} archived images cannot be read before they are restored"
            gaps.append(odd_gap(self.key, name, "BatchGetImage", _IMAGE_ARCHIVED, detail, count))
        return gaps, [kept for kept, _ in refused if _is_lasting(kept)]

    def _start_batches(self, wanted: Wanted, *, even_busy: bool = False) -> None:
        for _ in range(0, len(wanted.digests), BATCH):
            self._tasks.start(partial(self._fetch_batch, wanted, even_busy=even_busy), self._keep_batch)

    def _fetch_batch(self, wanted: Wanted, *, even_busy: bool) -> tuple[Wanted, ecr.ManifestAnswers]:
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
        self._add_manifests(manifests)
        self._claims.settle(stored=[manifest.digest for manifest in manifests])

    def _keep_batch(self, result: tuple[Wanted, ecr.ManifestAnswers]) -> None:
        wanted, answers = result
        repository = (wanted.repository.name, wanted.repository.created_at_ms)
        for digest, refusal in answers.refused.items():
            status = wanted.artifacts[digest].image_status
            reason = refusal.reason
            if reason == _IMAGE_NOT_FOUND and status in ARCHIVED:
                reason = _IMAGE_ARCHIVED
            self._refusals[repository, digest] = ManifestRefusal(repository, digest, reason, status), refusal
        if answers.manifests:
            self.fetched += len(answers.manifests)
            self._progress.manifests_fetched(self.key, len(answers.manifests))

    def _finish_tasks(self) -> None:
        self._tasks.finish()
        self._flush()

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
            self._finish_tasks()
            if sum(len(wanted.busy) for wanted in waiting) == before:
                self._claims.wait(seen, 0.5)
                self._tasks.raise_if_lost()
                self._tasks.raise_if_stopped()


def _is_lasting(refusal: ManifestRefusal) -> bool:
    """Whether it is worth remembering: an archived image is asked for again unless that is the reason."""
    return refusal.reason == _IMAGE_ARCHIVED or refusal.image_status not in ARCHIVED


def _pop(digests: deque[str]) -> str | None:
    try:
        return digests.popleft()
    except IndexError:
        return None
