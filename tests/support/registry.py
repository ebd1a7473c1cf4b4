"""A private registry in memory, as ECR keeps one, and a generator of large ones.

What a test does to it is done at once; the stub server (``tests.support.stub_ecr``) only reads.
An image's answers are serialised when first asked for and kept until the image changes.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"

DAY = 86_400.0
#: Where the generator's clock begins: 2026-01-01 UTC, in seconds since 1970.
EPOCH = 1_767_225_600.0


def digest_of(text: str) -> str:
    """``sha256:`` and the hash of the text, as a registry names a manifest."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(slots=True)
class Image:
    """One artifact of a repository. Times are seconds since 1970; None is an absent key."""

    digest: str
    manifest: str
    media_type: str
    pushed_at: float
    size_bytes: int
    #: Its place in the order of pushes, by which listings go.
    number: int
    tags: list[str] = field(default_factory=list)
    pulled_at: float | None = None
    status: str = "ACTIVE"
    archived_at: float | None = None
    activated_at: float | None = None
    artifact_media_type: str | None = None
    subject_digest: str | None = None
    scan: dict[str, Any] | None = None
    _detail: bytes | None = None
    _answer: bytes | None = None

    def changed(self) -> None:
        """Forget what was serialised; call it after setting fields by hand."""
        self._detail = self._answer = None

    def detail(self, registry_id: str, repository: str) -> bytes:
        """One entry of ``imageDetails``: absent values are absent keys."""
        if self._detail is None:
            entry = {
                "registryId": registry_id,
                "repositoryName": repository,
                "imageDigest": self.digest,
                "imageTags": self.tags or None,
                "imageSizeInBytes": self.size_bytes,
                "imagePushedAt": self.pushed_at,
                "imageManifestMediaType": self.media_type,
                "artifactMediaType": self.artifact_media_type,
                "lastRecordedPullTime": self.pulled_at,
                "subjectManifestDigest": self.subject_digest,
                "imageStatus": self.status,
                "lastArchivedAt": self.archived_at,
                "lastActivatedAt": self.activated_at,
                **(self.scan or {}),
            }
            self._detail = _compact({key: value for key, value in entry.items() if value is not None})
        return self._detail

    def answer(self, registry_id: str, repository: str) -> bytes:
        """One entry of BatchGetImage's ``images``, as asked for by digest."""
        if self._answer is None:
            self._answer = self.answer_with_text(registry_id, repository, self.manifest)
        return self._answer

    def answer_with_text(self, registry_id: str, repository: str, text: str, tag: str | None = None) -> bytes:
        """The same with another text, or as asked for by tag."""
        image_id = {"imageDigest": self.digest} | ({"imageTag": tag} if tag else {})
        return _compact(
            {
                "registryId": registry_id,
                "repositoryName": repository,
                "imageId": image_id,
                "imageManifest": text,
                "imageManifestMediaType": self.media_type,
            }
        )


@dataclass(slots=True)
class LifecyclePreview:
    """The last preview that was started on a repository."""

    policy_text: str
    #: Entries of ``previewResults``.
    rows: list[dict[str, Any]]
    #: How many looks still find it IN_PROGRESS.
    looks_left: int
    #: What it ends as: COMPLETE, FAILED or EXPIRED.
    ends_as: str = "COMPLETE"


class Repository:
    """Images in the order of their first push, tags, and settings."""

    def __init__(self, registry: Registry, name: str, created_at: float) -> None:
        self.registry = registry
        self.name = name
        self.created_at = created_at
        self.images: dict[str, Image] = {}
        self.tags: dict[str, str] = {}
        self.lifecycle_policy: str | None = None
        self.policy: str | None = None
        self.resource_tags: dict[str, str] = {}
        self.tag_mutability = "MUTABLE"
        self.scan_on_push = False
        self.encryption: dict[str, str] = {"encryptionType": "AES256"}
        self.preview: LifecyclePreview | None = None
        #: Of previews to come: how many looks find them IN_PROGRESS, and what they end as.
        self.preview_looks = 1
        self.preview_ends_as = "COMPLETE"
        #: In place of the summary that the rows come to; an empty one is left out of the answer.
        self.preview_summary: dict[str, Any] | None = None
        self._pushed = 0

    @property
    def arn(self) -> str:
        """The repository's ARN."""
        registry = self.registry
        return f"arn:aws:ecr:{registry.region}:{registry.account}:repository/{self.name}"

    def described(self) -> dict[str, Any]:
        """One entry of ``repositories``."""
        registry = self.registry
        host = f"{registry.account}.dkr.ecr.{registry.region}.amazonaws.com"
        return {
            "repositoryArn": self.arn,
            "registryId": registry.account,
            "repositoryName": self.name,
            "repositoryUri": f"{host}/{self.name}",
            "createdAt": self.created_at,
            "imageTagMutability": self.tag_mutability,
            "imageScanningConfiguration": {"scanOnPush": self.scan_on_push},
            "encryptionConfiguration": self.encryption,
        }

    def put_image(
        self,
        manifest: str,
        *,
        tag: str | None = None,
        pushed_at: float = EPOCH,
        media_type: str | None = None,
    ) -> Image:
        """Push a manifest; a tag that another image carries moves, and that image stays.

        The manifest may be any text. Its size is that of the config and layers it lists, an
        index's the largest of its children's.
        """
        digest = digest_of(manifest)
        image = self.images.get(digest)
        if image is None:
            body = _parsed(manifest)
            image = Image(
                digest=digest,
                manifest=manifest,
                media_type=media_type or body.get("mediaType") or OCI_MANIFEST,
                pushed_at=pushed_at,
                size_bytes=self._size(body),
                number=self._pushed,
                artifact_media_type=body.get("artifactType") or (body.get("config") or {}).get("mediaType"),
                subject_digest=(body.get("subject") or {}).get("digest"),
            )
            self._store(image)
        if tag is not None:
            self.put_tag(tag, image)
        return image

    def _store(self, image: Image) -> None:
        self.images[image.digest] = image
        self._pushed = image.number + 1

    def put_tag(self, tag: str, image: Image) -> None:
        """Make ``tag`` name ``image``; who carried it before keeps its other tags, or none."""
        before = self.images.get(self.tags.get(tag, ""))
        if before is image:
            return
        if before is not None:
            before.tags.remove(tag)
            before.changed()
        self.tags[tag] = image.digest
        image.tags.append(tag)
        image.changed()

    def delete_image(self, digest: str) -> None:
        """Remove an image and its tags."""
        for tag in self.images.pop(digest).tags:
            del self.tags[tag]

    def archive_image(self, digest: str, *, at: float = EPOCH) -> None:
        """Move an image to the archive: it is listed when asked for, and cannot be pulled."""
        image = self.images[digest]
        image.status, image.archived_at = "ARCHIVED", at
        image.changed()

    def _size(self, body: dict[str, Any]) -> int:
        children = [self.images.get(child.get("digest", "")) for child in body.get("manifests") or []]
        if children:
            return max((child.size_bytes for child in children if child), default=0)
        blobs = [body.get("config") or {}, *(body.get("layers") or [])]
        return sum(blob.get("size", 0) for blob in blobs if not blob.get("urls"))


class Registry:
    """One account in one region."""

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region
        self.repositories: dict[str, Repository] = {}
        self.settings: dict[str, str] = {
            "BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE",
            "REGISTRY_POLICY_SCOPE": "V2",
            "BLOB_MOUNTING": "DISABLED",
        }
        self.pull_through_cache_rules: list[dict[str, Any]] = []
        self.pull_time_update_exclusions: list[str] = []
        self.scanning: dict[str, Any] = {"scanType": "BASIC", "rules": []}
        self.replication: dict[str, Any] = {"rules": []}
        self.policy: str | None = None
        self.creation_templates: list[dict[str, Any]] = []

    def create_repository(self, name: str, *, created_at: float = EPOCH) -> Repository:
        """A new, empty repository (in place of one of that name, if there was one)."""
        repository = self.repositories[name] = Repository(self, name, created_at)
        return repository


class World:
    """All registries of an emulated AWS, by account and region."""

    def __init__(self, account: str = "123456789012", region: str = "eu-west-1") -> None:
        #: Who a caller is whose access key is not itself an account's number.
        self.account = account
        self.region = region
        self.registries: dict[tuple[str, str], Registry] = {}
        #: What a preview of a policy's text finds: entries of ``previewResults``.
        self.previewer: Callable[[Repository, str], list[dict[str, Any]]] = lambda _repository, _text: []
        #: Held by the server while it answers; hold it to change several things at once.
        self.lock = threading.RLock()
        self._random = random.Random(0)
        self._layers_per_image = 10
        self._now = EPOCH

    def registry(self, account: str | None = None, region: str | None = None) -> Registry:
        """The registry there, made when it is first asked for."""
        key = (account or self.account, region or self.region)
        if key not in self.registries:
            self.registries[key] = Registry(*key)
        return self.registries[key]

    def repositories(self) -> Iterator[Repository]:
        """Every repository, by account, region and name."""
        for key in sorted(self.registries):
            registry = self.registries[key]
            for name in sorted(registry.repositories):
                yield registry.repositories[name]

    def push_and_delete(self, fraction: float) -> tuple[int, int]:
        """The next day: that part of each repository's images is pushed anew, as many oldest go.

        The first push of a repository takes over its tag ``latest``. Returns how many were pushed
        and how many deleted. The same calls after the same ``generate`` give the same registry.
        """
        pushed = deleted = 0
        with self.lock:
            self._now += DAY
            for repository in self.repositories():
                number = round(len(repository.images) * fraction)
                oldest = list(repository.images)[:number]
                _fill(repository, number, self._layers_per_image, self._random, self._now)
                for digest in oldest:
                    repository.delete_image(digest)
                pushed += number
                deleted += len(oldest)
        return pushed, deleted


def generate(
    repositories: int,
    images_per_repository: int,
    layers_per_image: int,
    seed: int,
    *,
    account: str = "123456789012",
    region: str = "eu-west-1",
    registries: int = 1,
) -> World:
    """A world with registries of that shape; equal arguments give equal bytes.

    The first is in ``region``, the others in made-up regions (`made_up_region`).

    About a third of an image's layers are of a base shared by the whole registry, a third of its
    repository's own, the rest its own. Two thirds of the images carry a tag of their own and the
    newest ``latest``; half have been pulled.
    """
    world = World(account, region)
    world._random = random.Random(seed)
    world._layers_per_image = layers_per_image
    for place in range(registries):
        registry = world.registry(region=made_up_region(place) if place else None)
        for number in range(repositories):
            name = f"team-{number % 17:02d}/service-{number:05d}"
            repository = registry.create_repository(name, created_at=EPOCH - 900 * DAY + number)
            _fill(repository, images_per_repository, layers_per_image, world._random, EPOCH)
    return world


def made_up_region(number: int) -> str:
    """The name of a region that AWS does not have, for worlds of more registries than it has regions."""
    return f"xx-stub-{number}"


def manifest_text(layers: Iterable[tuple[str, int]], config: tuple[str, int]) -> str:
    """An OCI image manifest with those layers and config (digest and size of each)."""
    listed = ",".join(
        f'{{"mediaType":"{OCI_LAYER}","digest":"{digest}","size":{size}}}' for digest, size in layers
    )
    return (
        f'{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"{OCI_CONFIG}",'
        f'"digest":"{config[0]}","size":{config[1]}}},"layers":[{listed}]}}'
    )


def index_text(children: Sequence[Image], platforms: Sequence[tuple[str, str]]) -> str:
    """An OCI index of those children, with their operating systems and architectures."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                {
                    "mediaType": child.media_type,
                    "digest": child.digest,
                    "size": len(child.manifest.encode()),
                    "platform": {"os": system, "architecture": architecture},
                }
                for child, (system, architecture) in zip(children, platforms, strict=True)
            ],
        }
    )


def _fill(repository: Repository, number: int, layers: int, rng: random.Random, now: float) -> None:
    """Push that many images, the last of them at ``now``."""
    shared = layers // 3
    for position in range(number):
        base = [_blob(f"base {rng.randrange(12)} {depth}") for depth in range(shared)]
        middle = [_blob(f"{repository.name} {rng.randrange(8)} {depth}") for depth in range(shared)]
        own = [(_random_digest(rng), rng.randrange(1_000, 40_000_000)) for _ in range(layers - 2 * shared)]
        config = (_random_digest(rng), rng.randrange(1_500, 12_000))
        text = manifest_text((*base, *middle, *own), config)
        pushed_at = round(now - (number - 1 - position) * 3600.0, 3)
        image = Image(
            digest=digest_of(text),
            manifest=text,
            media_type=OCI_MANIFEST,
            pushed_at=pushed_at,
            size_bytes=config[1] + sum(size for _, size in (*base, *middle, *own)),
            number=repository._pushed,
            artifact_media_type=OCI_CONFIG,
            pulled_at=pushed_at + 60.0 if rng.random() < 0.5 else None,
        )
        repository._store(image)
        if rng.random() < 2 / 3:
            repository.put_tag(f"v{image.number}", image)
        if position + 1 == number:
            repository.put_tag("latest", image)


def _blob(name: str) -> tuple[str, int]:
    """A layer that is the same wherever its name is."""
    hashed = hashlib.sha256(name.encode()).hexdigest()
    return f"sha256:{hashed}", 20_000 + int(hashed[:8], 16) % 60_000_000


def _random_digest(rng: random.Random) -> str:
    return f"sha256:{rng.getrandbits(256):064x}"


def _parsed(text: str) -> dict[str, Any]:
    """The manifest's object, or an empty one for a text that is none."""
    try:
        body = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
