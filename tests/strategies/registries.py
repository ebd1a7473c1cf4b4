"""Histories of registries for hypothesis: nights of changes, and reads that see all or some of them.

A history is made in two steps each night, as in life. First the registries themselves change:
repositories come, go and come back, images are pushed, pushed again, tagged, archived, pulled,
scanned and removed. Then each registry is read, well or badly: whole, in part or not at all, in
any order, with settings that could not be seen and tags that moved while the pages were read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st

from analyzer.model.records import (
    ABSENT,
    Artifact,
    BlobReference,
    Child,
    ImageStatus,
    Kind,
    Manifest,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    ScanSummary,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)

T = TypeVar("T")


def sha256(text: str) -> str:
    """The digest of ``text``."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def sha512(text: str) -> str:
    """The other digest of ``text`` that the OCI specification knows."""
    return f"sha512:{hashlib.sha512(text.encode()).hexdigest()}"


REGISTRIES = (
    RegistryKey("aws", "222222222222", "eu-west-1"),
    RegistryKey("aws", "111111111111", "us-east-1"),
    RegistryKey("aws", "111111111111", "ap-southeast-1"),
    RegistryKey("aws-cn", "111111111111", "ap-south-1"),
)

#: Names that share prefixes, and one that a careless statement would trip over.
_REPOSITORIES = ("team/web", "teamwork/web", "app", "hub/library/nginx", "team", "'; --/%s:x")
_CREATED = (0, 1_700_000_000_000)
_ARTIFACTS = (*(sha256(f"artifact {n}") for n in range(5)), sha512("artifact"))
_BLOBS = (*(sha256(f"blob {n}") for n in range(4)), sha512("blob"), _ARTIFACTS[0])
_TAGS = ("latest", "v1", "Latest", "1.0-'\"%s;:x", "ü")
_TIMES = (None, 0, 1, 1_700_000_000_000, 1_700_000_000_001)
_TYPES = (
    None,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "text/x; q='%s'",
)
_SIZES = (None, 0, 7, 2**40)
_SCANS = (
    None,
    ScanSummary("COMPLETE", 20_000, critical=1),
    ScanSummary("COMPLETE", 20_000, undefined=2),
    ScanSummary("FAILED", None),
)
_REPOSITORY_SETTINGS: dict[str, tuple[str, ...]] = {
    "encryption": (
        '{"encryptionType":"AES256"}',
        '{"encryptionType":"KMS","kmsKey":"arn:aws:kms:eu-west-1:111111111111:key/1"}',
    ),
    "lifecycle_policy_text": (ABSENT, json.dumps('{"rules": []}'), json.dumps("'%s")),
    "tags": (ABSENT, '{"team":"a"}', '{"team":"b"}'),
}
_REGISTRY_SETTINGS: dict[str, tuple[str, ...]] = {
    "blob_mounting": ('"ENABLED"', '"DISABLED"', ABSENT),
    "account_name": ('"shop"', '"bank"'),
    "public_aliases": ('["a1b2c3d4"]', '["a1b2c3d4","shop"]'),
    "pull_through_cache_rules": (
        '[{"ecrRepositoryPrefix":"team"}]',
        ABSENT,
        "[]",
        '[{"ecrRepositoryPrefix":"ROOT"},{"ecrRepositoryPrefix":"hub/library"}]',
    ),
}


_SOURCES = ("ecs", "lambda", "eks")
_USES = (
    WorkloadUse("cluster/web", "111111111111.dkr.ecr.us-east-1.amazonaws.com/app:v1", UseKind.RUNNING),
    WorkloadUse("cluster/web", "111111111111.dkr.ecr.us-east-1.amazonaws.com/app:v1", UseKind.PREVIOUS),
    WorkloadUse("cluster/web", f"app@{_ARTIFACTS[0]}", UseKind.RUNNING),
    WorkloadUse("'; --/%s:x", "app:'\"%s;ü", UseKind.CONFIGURED),
)

#: What can change, as often as it should.
_CHANGES = (
    *["push"] * 6,
    *["tag"] * 3,
    *["remove", "store", "pull", "scan"] * 2,
    *["setting", "registry setting", "create", "delete", "use"],
)


@dataclass(frozen=True)
class Night:
    """One run: manifests stored before the snapshots, the reads, manifests stored after them."""

    manifests_before: tuple[Manifest, ...]
    reads: tuple[RegistryRead, ...]
    manifests_after: tuple[Manifest, ...]


@dataclass
class _Repository:
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


@dataclass
class _Registry:
    repositories: dict[tuple[str, int], _Repository] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    #: Uses by source.
    workloads: dict[str, set[WorkloadUse]] = field(default_factory=dict)


class _Maker:
    """Draws a history, one decision after the other."""

    def __init__(self, draw: Callable[[st.SearchStrategy[object]], object], registries: int) -> None:
        self._draw = draw
        self._registries = {key: _Registry() for key in REGISTRIES[:registries]}
        self._unstored = [manifest for digest in _ARTIFACTS if (manifest := self._manifest(digest))]

    def one(self, values: Sequence[T]) -> T:
        """One of ``values``; hypothesis shrinks towards the first."""
        return values[self.number(len(values) - 1)]

    def number(self, last: int) -> int:
        """0 to ``last``."""
        found = self._draw(st.integers(0, last))
        assert isinstance(found, int)
        return found

    def some(self, values: Sequence[T], *, most: bool = False) -> list[T]:
        """Some of ``values``, in order; with ``most`` few are left out."""
        few = 5 if most else 1
        return [value for value in values if self.number(few) < few]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """``values`` in another order, the given one more often than not."""
        rest, order = list(values), []
        while rest:
            order.append(rest.pop(max(0, self.number(2 * len(rest) - 1) - len(rest))))
        return order

    def night(self, moment: int) -> Night:
        """What happens in one night, and what is seen of it."""
        before, after = self._stored(), []
        reads = []
        for key in self.some(list(self._registries), most=True):
            registry = self._registries[key]
            for _ in range(self.number(12)):
                self._change(registry)
            reads.append(self._read(key, registry, moment))
        if self.number(3) == 0:
            after = self._stored()
        return Night(tuple(before), tuple(reads), tuple(after))

    def _stored(self) -> list[Manifest]:
        stored = self.some(self._unstored)
        self._unstored = [manifest for manifest in self._unstored if manifest not in stored]
        return stored

    def _manifest(self, digest: str) -> Manifest | None:
        what = self.one(("image", "none", "index", "referrer", "unknown"))
        if what == "none":
            return None
        if what == "unknown":
            return Manifest(digest, Kind.UNKNOWN, "text/x", 9)
        if what == "index":
            children = tuple(Child(self.one(_ARTIFACTS)) for _ in range(self.number(3)))
            return Manifest(digest, Kind.INDEX, "index", 10, children=children)
        blobs = tuple(
            BlobReference(
                self.one(_BLOBS), self.one((5, 2**40, 0)), self.one(("layer", "other")), self.number(3) == 3
            )
            for _ in range(self.number(4))
        )
        subject = self.one(_ARTIFACTS) if what == "referrer" else None
        return Manifest(digest, Kind.IMAGE, "image", 11, blobs, subject_digest=subject)

    # The registries change.

    def _change(self, registry: _Registry) -> None:
        repositories = registry.repositories
        change = self.one(_CHANGES)
        if change == "use":
            registry.workloads.setdefault(self.one(_SOURCES), set()).symmetric_difference_update(
                {self.one(_USES)}
            )
            return
        if not repositories or change == "create":
            self._create(registry)
            return
        if change == "registry setting":
            name = self.one(list(_REGISTRY_SETTINGS))
            registry.settings[name] = self.one(_REGISTRY_SETTINGS[name])
            return
        key = self.one(list(repositories))
        repository = repositories[key]
        if change == "delete":
            del repositories[key]
        elif change == "setting":
            name = self.one(list(_REPOSITORY_SETTINGS))
            repository.settings[name] = self.one(_REPOSITORY_SETTINGS[name])
        elif change == "push" or not repository.artifacts:
            self._push(repository)
        else:
            self._change_image(repository, self.one(list(repository.artifacts)), change)

    def _create(self, registry: _Registry) -> None:
        name = self.one(_REPOSITORIES)
        # Made again under the same name it is another repository: the old one is gone.
        for key in [key for key in registry.repositories if key[0] == name]:
            del registry.repositories[key]
        registry.repositories[name, self.one(_CREATED)] = _Repository()

    def _push(self, repository: _Repository) -> None:
        digest = self.one(_ARTIFACTS)
        repository.artifacts[digest] = Artifact(
            digest,
            pushed_at_ms=self.one(_TIMES),
            reported_size_bytes=self.one(_SIZES),
            media_type=self.one(_TYPES),
            artifact_media_type=self.one(_TYPES),
            subject_digest=self.one((None, *_ARTIFACTS)),
        )
        for tag in self.some(_TAGS):
            repository.tags[tag] = digest

    def _change_image(self, repository: _Repository, digest: str, change: str) -> None:
        image = repository.artifacts[digest]
        if change == "remove":
            del repository.artifacts[digest]
            repository.tags = {tag: held for tag, held in repository.tags.items() if held != digest}
        elif change == "tag":
            tag = self.one(_TAGS)
            if repository.tags.get(tag) == digest:
                del repository.tags[tag]
            else:
                repository.tags[tag] = digest
        elif change == "store":
            status = self.one(list(ImageStatus))
            archived, activated = self.one(_TIMES), self.one(_TIMES)
            repository.artifacts[digest] = image._replace(
                image_status=status, archived_at_ms=archived, activated_at_ms=activated
            )
        elif change == "pull":
            repository.artifacts[digest] = image._replace(pulled_day=self.one((None, 0, 20_000, 20_001)))
        else:
            repository.artifacts[digest] = image._replace(scan=self.one(_SCANS))

    # The registries are read.

    def _read(self, key: RegistryKey, registry: _Registry, moment: int) -> RegistryRead:
        status = self._status()
        known = list(registry.repositories)
        if status is ReadStatus.PARTIAL:
            known = self.some(known)
        elif status is ReadStatus.REFUSED:
            known = []
        return RegistryRead(
            key,
            moment,
            status,
            [self._read_repository(name, registry.repositories[name]) for name in self.shuffled(known)],
            self._seen(registry.settings),
            workloads=[
                self._read_workloads(source, registry.workloads[source])
                for source in self.shuffled(self.some(list(registry.workloads), most=True))
            ],
        )

    def _read_workloads(self, source: str, uses: set[WorkloadUse]) -> WorkloadRead:
        status = self._status()
        seen = self.shuffled(sorted(uses))
        if status is ReadStatus.PARTIAL:
            seen = self.some(seen)
        elif status is ReadStatus.REFUSED:
            seen = []
        return WorkloadRead(source, status, seen)

    def _read_repository(self, key: tuple[str, int], repository: _Repository) -> RepositoryRead:
        status = self._status()
        listed = self.shuffled(list(repository.artifacts))
        if status is ReadStatus.PARTIAL:
            listed = self.some(listed)
        elif status is ReadStatus.REFUSED:
            listed = []
        tags: dict[str, set[str]] = {digest: set() for digest in listed}
        for tag, digest in repository.tags.items():
            if digest in tags:
                tags[digest].add(tag)
        if listed and self.number(5) == 5:
            # It moved between two pages.
            tags[self.one(listed)].add(self.one(_TAGS))
        artifacts = [
            repository.artifacts[digest]._replace(tags=tuple(sorted(tags[digest]))) for digest in listed
        ]
        return RepositoryRead(*key, status, artifacts, self._seen(repository.settings))

    def _status(self) -> ReadStatus:
        return (ReadStatus.PARTIAL, ReadStatus.REFUSED, ReadStatus.COMPLETE)[min(2, self.number(9))]

    def _seen(self, settings: dict[str, str]) -> dict[str, str]:
        return {name: settings[name] for name in self.some(list(settings), most=True)}


@st.composite
def histories(draw: st.DrawFn, *, nights: int = 6, registries: int = 3) -> list[Night]:
    """Up to ``nights`` nights over up to ``registries`` registries (at most four)."""
    maker = _Maker(draw, draw(st.integers(1, registries)))
    return [maker.night(1_000_000 * number) for number in range(1, draw(st.integers(1, nights)) + 1)]
