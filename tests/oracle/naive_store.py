"""A store that copies everything every night: the slow and obvious twin of ``analyzer.store``.

Each snapshot is a whole copy of its registry, made by copying the one before it and writing what
the night's read saw over it. Looking something up in the past is then no more than reading the
copy of that night. Nothing here is clever, and nothing is kept as an interval.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analyzer.model.records import (
    ABSENT,
    Artifact,
    Manifest,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    WorkloadRead,
    WorkloadUse,
)

Row = dict[str, Any]


@dataclass
class NaiveRepository:
    """One repository in one snapshot."""

    status: ReadStatus
    #: By digest; their ``tags`` are empty, see there.
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    #: Digest by tag.
    tags: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def tags_of(self, digest: str) -> list[str]:
        """The tags of one artifact, sorted."""
        return sorted(tag for tag, holder in self.tags.items() if holder == digest)


@dataclass
class NaiveWorkloads:
    """One source of workloads in one snapshot."""

    status: ReadStatus
    uses: set[WorkloadUse] = field(default_factory=set)


@dataclass
class NaiveSnapshot:
    """One registry in one snapshot."""

    run: int
    taken_at_ms: int
    status: ReadStatus
    repositories: dict[tuple[str, int], NaiveRepository] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    #: By source.
    workloads: dict[str, NaiveWorkloads] = field(default_factory=dict)
    #: When each repository that ever was had its last complete read.
    complete_at_ms: dict[tuple[str, int], int] = field(default_factory=dict)
    #: BLOB_MOUNTING was ENABLED in this snapshot or in an earlier one.
    blob_mounting_ever: bool = False


#: Image manifests are 1, indexes 2, anything else is 0.
_LISTED = {
    "application/vnd.docker.distribution.manifest.v2+json": 1,
    "application/vnd.oci.image.manifest.v1+json": 1,
    "application/vnd.docker.distribution.manifest.list.v2+json": 2,
    "application/vnd.oci.image.index.v1+json": 2,
}


class NaiveStore:
    """Every snapshot of every registry, each a copy of its own."""

    def __init__(self) -> None:
        self.snapshots: dict[tuple[RegistryKey, int], NaiveSnapshot] = {}
        self.manifests: dict[str, Manifest] = {}
        self.blob_sizes: dict[str, int] = {}
        #: (manifest, blob, size) where the blob's first size was another.
        self.size_conflicts: set[tuple[str, str, int]] = set()

    def add_manifests(self, manifests: Iterable[Manifest]) -> None:
        """Store ``manifests``."""
        for manifest in manifests:
            self.manifests.setdefault(manifest.digest, manifest)
            for blob in manifest.blobs:
                if self.blob_sizes.setdefault(blob.digest, blob.size_bytes) != blob.size_bytes:
                    self.size_conflicts.add((manifest.digest, blob.digest, blob.size_bytes))

    def commit(self, run: int, read: RegistryRead) -> int:
        """Copy the last snapshot, write ``read`` over it, keep it as the next; gives its number."""
        number = self.newest(read.key) + 1
        if number == 1:
            snapshot = NaiveSnapshot(run, read.taken_at_ms, read.status)
        else:
            snapshot = copy.deepcopy(self.snapshots[read.key, number - 1])
        snapshot.run, snapshot.taken_at_ms, snapshot.status = run, read.taken_at_ms, read.status
        snapshot.settings.update(read.settings)
        if snapshot.settings.get("blob_mounting") == '"ENABLED"':
            snapshot.blob_mounting_ever = True

        # A repository that was not read: a complete list shows that it is gone, or another of its name.
        seen = {repository.key for repository in read.repositories}
        names = {repository.name for repository in read.repositories}
        for key in list(snapshot.repositories):
            if key not in seen:
                if read.status is ReadStatus.COMPLETE or key[0] in names:
                    del snapshot.repositories[key]
                else:
                    snapshot.repositories[key].status = ReadStatus.REFUSED

        for repository in read.repositories:
            state = snapshot.repositories.setdefault(repository.key, NaiveRepository(repository.status))
            _write_over(state, repository)
            if repository.status is ReadStatus.COMPLETE:
                snapshot.complete_at_ms[repository.key] = read.taken_at_ms
        for source in read.workloads:
            known = snapshot.workloads.setdefault(source.source, NaiveWorkloads(source.status))
            known.status = source.status
            # Only a complete read shows that a use is no more.
            if source.status is ReadStatus.COMPLETE:
                known.uses = set()
            known.uses.update(source.uses)
        self.snapshots[read.key, number] = snapshot
        return number

    def prune(self, key: RegistryKey, numbers: Sequence[int]) -> None:
        """Drop the copies of those snapshots of the registry.

        A repository that no copy is left of is forgotten, also when it was last read whole.
        """
        for number in numbers:
            del self.snapshots[key, number]
        left = [snapshot for (registry, _), snapshot in self.snapshots.items() if registry == key]
        known = {repository for snapshot in left for repository in snapshot.repositories}
        for snapshot in left if numbers else ():
            for repository in snapshot.complete_at_ms.keys() - known:
                del snapshot.complete_at_ms[repository]

    def newest(self, key: RegistryKey) -> int:
        """Number of the registry's last snapshot, 0 for none."""
        return max((number for registry, number in self.snapshots if registry == key), default=0)

    def as_of_run(self, run: int) -> list[tuple[RegistryKey, int]]:
        """Each registry's last snapshot up to ``run``, ordered by account, region and partition.

        Without registries that never answered, unless it was this run that asked them.
        """
        last: dict[RegistryKey, int] = {}
        answered = set()
        for (key, number), snapshot in self.snapshots.items():
            if snapshot.run <= run:
                last[key] = max(number, last.get(key, 0))
                if snapshot.run == run or snapshot.status is not ReadStatus.REFUSED:
                    answered.add(key)
        last = {key: number for key, number in last.items() if key in answered}
        return sorted(last.items(), key=lambda item: (item[0].account, item[0].region, item[0].partition))

    def rebuild(self, key: RegistryKey, number: int) -> RegistryRead:
        """The registry as the snapshot saw it, in the order that the store documents."""
        snapshot = self.snapshots[key, number]
        return RegistryRead(
            key,
            snapshot.taken_at_ms,
            snapshot.status,
            tuple(
                RepositoryRead(
                    name,
                    created_at_ms,
                    state.status,
                    tuple(
                        state.artifacts[digest]._replace(tags=tuple(state.tags_of(digest)))
                        for digest in sorted(state.artifacts)
                    ),
                    state.settings,
                )
                for (name, created_at_ms), state in sorted(snapshot.repositories.items())
            ),
            snapshot.settings,
            workloads=tuple(
                WorkloadRead(source, known.status, tuple(sorted(known.uses)))
                for source, known in sorted(snapshot.workloads.items())
            ),
        )


def _write_over(state: NaiveRepository, read: RepositoryRead) -> None:
    """What ``read`` saw of a repository becomes its state; what it did not see stays, if it may."""
    state.status = read.status
    state.settings.update(read.settings)
    listed = {artifact.digest for artifact in read.artifacts}
    if read.status is ReadStatus.COMPLETE:
        state.artifacts = {digest: old for digest, old in state.artifacts.items() if digest in listed}
        state.tags = {tag: digest for tag, digest in state.tags.items() if digest in listed}
    # A listed artifact has the tags that it was listed with and no others.
    state.tags = {tag: digest for tag, digest in state.tags.items() if digest not in listed}
    for artifact in read.artifacts:
        state.artifacts[artifact.digest] = artifact._replace(tags=())
        for tag in artifact.tags:
            # Whoever held it: it is here now. Listed twice, the later place is the newer.
            state.tags[tag] = artifact.digest


@dataclass(frozen=True)
class NaiveFrames:
    """What ``Frames`` says, as plain rows: digests as text, positions as numbers, unknown as None."""

    registries: list[Row]
    repositories: list[Row]
    #: Ordered by repository, then by the id that the database gave the digest.
    artifacts: list[Row]
    #: By digest.
    manifests: dict[str, Row]


def naive_frames(
    store: NaiveStore, snapshots: Sequence[tuple[RegistryKey, int]], digest_ids: Mapping[str, int]
) -> NaiveFrames:
    """The frames of ``snapshots`` (in that order); ``digest_ids`` decide the order of artifacts."""
    registries: list[Row] = []
    repositories: list[Row] = []
    artifacts: list[Row] = []
    for position, (key, number) in enumerate(snapshots):
        snapshot = store.snapshots[key, number]
        mounting = json.loads(snapshot.settings.get("blob_mounting", ABSENT))
        registries.append(
            {
                "partition": key.partition,
                "account": key.account,
                "region": key.region,
                "snapshot": number,
                "run": snapshot.run,
                "taken_at_ms": snapshot.taken_at_ms,
                "status": snapshot.status.value,
                "blob_mounting": "" if mounting is None else mounting,
                "blob_mounting_ever": snapshot.blob_mounting_ever,
                "account_name": json.loads(snapshot.settings.get("account_name", '""')),
                "public_aliases": tuple(json.loads(snapshot.settings.get("public_aliases", "[]"))),
            }
        )
        rules = json.loads(snapshot.settings.get("pull_through_cache_rules", ABSENT)) or []
        for (name, created_at_ms), state in sorted(snapshot.repositories.items()):
            encryption = json.loads(state.settings.get("encryption", ABSENT)) or {}
            policy = state.settings.get("lifecycle_policy_text")
            artifacts += [
                _artifact_row(store, len(repositories), state, digest)
                for digest in sorted(state.artifacts, key=lambda digest: digest_ids[digest])
            ]
            repositories.append(
                {
                    "registry": position,
                    "repository": name,
                    "created_at_ms": created_at_ms,
                    "status": state.status.value,
                    "complete_at_ms": snapshot.complete_at_ms.get((name, created_at_ms)),
                    "encryption_type": encryption.get("encryptionType", ""),
                    "kms_key": encryption.get("kmsKey", ""),
                    "pull_through_cache": any(_fills(rule["ecrRepositoryPrefix"], name) for rule in rules),
                    "pull_through_cache_known": "pull_through_cache_rules" in snapshot.settings
                    and (
                        any(_fills(rule["ecrRepositoryPrefix"], name) for rule in rules)
                        or not any(rule["ecrRepositoryPrefix"] == "ROOT" for rule in rules)
                    ),
                    "lifecycle_policy_text": None if policy is None else json.loads(policy),
                    "lifecycle_policy_known": policy is not None,
                }
            )
    present = {row["digest"] for row in artifacts}
    manifests = {
        digest: _manifest_row(store.manifests[digest]) for digest in present & store.manifests.keys()
    }
    return NaiveFrames(registries, repositories, artifacts, manifests)


def _fills(prefix: str, repository: str) -> bool:
    # ROOT stands for all names that no other rule covers, ordinary ones among them.
    return prefix != "ROOT" and repository.startswith(prefix + "/")


def _artifact_row(store: NaiveStore, repository: int, state: NaiveRepository, digest: str) -> Row:
    artifact = state.artifacts[digest]
    return {
        "repository": repository,
        "digest": digest,
        "manifest": digest if digest in store.manifests else None,
        "pushed_at_ms": artifact.pushed_at_ms,
        "image_status": int(artifact.image_status),
        "pulled_day": artifact.pulled_day,
        "tags": len(state.tags_of(digest)),
        "tag_names": " ".join(state.tags_of(digest)),
        "reported_size_bytes": artifact.reported_size_bytes,
        "subject": artifact.subject_digest,
        "listed": _LISTED.get(artifact.media_type or "", 0),
    }


def _manifest_row(manifest: Manifest) -> Row:
    return {
        "kind": int(manifest.kind),
        "subject": manifest.subject_digest,
        "blobs": [(blob.digest, blob.foreign) for blob in manifest.blobs],
        "children": [child.digest for child in manifest.children],
    }
