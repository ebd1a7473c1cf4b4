"""One repository: its images, then the settings that are asked for repository by repository.

All of it runs on the registry's lane, as one task for each repository.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from analyzer.collect import ecr, settings
from analyzer.collect.clients import RegistryClient
from analyzer.collect.ecr import RepositoryRecord
from analyzer.collect.gaps import call_of, gap_of, odd_gap
from analyzer.collect.manifest_fetching import ARCHIVED, Wanted
from analyzer.collect.refusals import (
    REPOSITORY_GONE,
    UNSERVED_CODES,
    Reach,
    Refusal,
    RefusedError,
    one_line,
)
from analyzer.model.records import Artifact, Checkpoint, Gap, ImageStatus, ReadStatus, RepositoryRead

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


@dataclass(slots=True)
class RepositoryOutcome:
    """What one repository's task brings back."""

    read: RepositoryRead
    gaps: list[Gap]
    wanted: Wanted | None
    #: Archived artifacts whose manifest was refused before and is not asked for again.
    unread_archived: Collection[str] = ()
    #: It was read by an earlier run, which was cut short.
    is_resumed: bool = False


class RepositoryReader:
    """Reads the repositories of one registry; changes nothing but ``unserved``."""

    def __init__(
        self,
        client: RegistryClient,
        unserved: dict[str, Refusal],
        refused_before: Mapping[tuple[tuple[str, int], str], ImageStatus],
        unknown_manifests: Callable[[Collection[str]], set[str]],
    ) -> None:
        """``unserved``: see `SettingsReader`. The others are what the store says of manifests.

        ``refused_before`` are those refused before, by repository key and digest, with the image's
        status then; ``unknown_manifests`` gives those of some digests that were never stored.
        """
        self.key = client.key
        self._client = client
        self._unserved = unserved
        self._refused_before = refused_before
        self._unknown_manifests = unknown_manifests

    def read(self, repository: RepositoryRecord) -> RepositoryOutcome:
        """What is in the repository."""
        client, name = self._client, repository.name
        listing = ecr.fetch_images(client, name)
        artifacts, refusal = listing.artifacts, listing.refusal
        status = status_of(refusal, len(artifacts))
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
            return RepositoryOutcome(read, gaps, None)
        return self._outcome(repository, read, gaps, artifacts)

    def resume(self, repository: RepositoryRecord, point: Checkpoint) -> RepositoryOutcome:
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

    def _outcome(
        self,
        repository: RepositoryRecord,
        read: RepositoryRead,
        gaps: list[Gap],
        artifacts: Mapping[str, Artifact],
    ) -> RepositoryOutcome:
        """What was read, and which manifests are still to be fetched."""
        if not artifacts:
            return RepositoryOutcome(read, gaps, None)
        unknown = self._unknown_manifests(artifacts.keys())
        hopeless = {digest for digest in unknown if self._is_hopeless(read.key, artifacts[digest])}
        wanted = sorted(unknown - hopeless)
        if not wanted:
            return RepositoryOutcome(read, gaps, None, hopeless)
        fetch = Wanted(repository, {digest: artifacts[digest] for digest in wanted}, deque(wanted))
        return RepositoryOutcome(read, gaps, fetch, hopeless)

    def _is_hopeless(self, repository: tuple[str, int], artifact: Artifact) -> bool:
        """Whether its manifest was refused while it was archived, and it still is."""
        before = self._refused_before.get((repository, artifact.digest))
        return before in ARCHIVED and artifact.image_status in ARCHIVED

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


def status_of(refusal: Refusal | None, kept: int) -> ReadStatus:
    """How a listing went that ``refusal`` ended, if anything did, after ``kept`` entries."""
    if refusal is None:
        return ReadStatus.COMPLETE
    return ReadStatus.PARTIAL if kept else ReadStatus.REFUSED
