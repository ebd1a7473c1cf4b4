"""A small world in which everything happens that happens to registries, one night after another.

``first_night`` makes it, ``next_night`` moves it on: images pushed and deleted, tags moved, images
archived and restored, policies set, changed, spoilt and removed, repositories made and deleted (and made
again under the same name), pulls, scans. All of it by the generator that is passed in, so that a seed
says everything.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.support.registry import (
    DAY,
    DOCKER_MANIFEST,
    EPOCH,
    OCI_MANIFEST,
    Image,
    Registry,
    Repository,
    World,
    index_text,
    manifest_text,
)

REGIONS = ("eu-north-1", "eu-west-1", "us-east-1")
_NAMES = ("api", "cache/mirror", "team/app", "team/worker")
#: As AWS would never take it: stored as it is, and no reason to fail.
SPOILT_POLICY = '{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "some"}}'


def first_night(rng: random.Random) -> World:
    """A registry in each of REGIONS, some images replicated in all of them."""
    world = World(region=REGIONS[0])
    for region in REGIONS:
        registry = world.registry(region=region)
        registry.settings["BLOB_MOUNTING"] = rng.choice(("ENABLED", "DISABLED"))
        for name in _NAMES:
            _create(registry, name, rng, EPOCH)
        # Replicated: the same texts everywhere.
        shared = random.Random(5)
        for _ in range(4):
            _push(registry.repositories["api"], shared, EPOCH)
    return world


def next_night(world: World, rng: random.Random, night: int) -> None:
    """Move the world on by a day; between two answers, so that no call sees half of it."""
    at = EPOCH + night * DAY
    with world.lock:
        for region in REGIONS:
            registry = world.registry(region=region)
            for repository in list(registry.repositories.values()):
                # Some nights nothing happens.
                for _ in range(rng.choice((0, 1, 3))):
                    rng.choice(_EVENTS)(repository, rng, at)
            if rng.random() < 0.3:
                name = rng.choice((*_NAMES, f"new/{night}"))
                # A repository made again under the same name is a new one.
                _create(registry, name, rng, at)
            if rng.random() < 0.2:
                registry.settings["BLOB_MOUNTING"] = rng.choice(("ENABLED", "DISABLED"))


def _create(registry: Registry, name: str, rng: random.Random, at: float) -> None:
    repository = registry.create_repository(name, created_at=at)
    for _ in range(rng.randrange(2, 6)):
        _push(repository, rng, at)
    _push_index(repository, rng, at)
    _set_policy(repository, rng, at)
    repository.scan_on_push = rng.random() < 0.5
    repository.resource_tags = {"team": name.partition("/")[0]}


def _push(repository: Repository, rng: random.Random, at: float) -> Image:
    docker = rng.random() < 0.3
    layers = [_blob(rng) for _ in range(rng.randrange(1, 4))]
    text = manifest_text(layers, _blob(rng))
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    # A tag that is there already moves here.
    tag = rng.choice((None, "latest", "stable", f"v{rng.randrange(30)}"))
    return repository.put_image(
        text.replace(OCI_MANIFEST, media_type), tag=tag, pushed_at=at + rng.randrange(3_600_000) / 1000
    )


def _push_index(repository: Repository, rng: random.Random, at: float) -> None:
    children = [_push(repository, rng, at) for _ in range(2)]
    text = index_text(children, [("linux", "amd64"), ("linux", "arm64")])
    repository.put_image(text, tag=f"multi-{rng.randrange(5)}", pushed_at=at)


def _delete(repository: Repository, rng: random.Random, _at: float) -> None:
    if repository.images:
        repository.delete_image(rng.choice(list(repository.images)))


def _archive(repository: Repository, rng: random.Random, at: float) -> None:
    if repository.images:
        repository.archive_image(rng.choice(list(repository.images)), at=at)


def _push_archived(repository: Repository, rng: random.Random, at: float) -> None:
    """An image that was archived before anybody could read its manifest."""
    repository.archive_image(_push(repository, rng, at).digest, at=at)


def _restore(repository: Repository, rng: random.Random, at: float) -> None:
    for image in repository.images.values():
        if image.status == "ARCHIVED" and rng.random() < 0.5:
            image.status, image.activated_at = "ACTIVE", at
            image.changed()


def _pull_and_scan(repository: Repository, rng: random.Random, at: float) -> None:
    for image in repository.images.values():
        if rng.random() < 0.4:
            image.pulled_at = at
            image.scan = {
                "imageScanStatus": {"status": "COMPLETE"},
                "imageScanFindingsSummary": {
                    "imageScanCompletedAt": at,
                    "findingSeverityCounts": {"HIGH": rng.randrange(9)},
                },
            }
            image.changed()


def _set_policy(repository: Repository, rng: random.Random, _at: float) -> None:
    keep = (
        '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan",'
        f'"countNumber":{rng.randrange(1, 50)}}},"action":{{"type":"expire"}}}}]}}'
    )
    repository.lifecycle_policy = rng.choice((None, keep, keep, SPOILT_POLICY))
    repository.policy = rng.choice((None, '{"Version":"2012-10-17","Statement":[]}'))


def _remove(repository: Repository, rng: random.Random, _at: float) -> None:
    if rng.random() < 0.2:
        repository.registry.repositories.pop(repository.name, None)


def _blob(rng: random.Random) -> tuple[str, int]:
    # Of few, so that images share them; the size hangs on the digest, as it must.
    number = rng.randrange(60)
    return f"sha256:{number:064x}", 1_000 + 7_919 * number


_EVENTS: tuple[Callable[[Repository, random.Random, float], object], ...] = (
    _push,
    _push,
    _push_index,
    _delete,
    _archive,
    _push_archived,
    _restore,
    _pull_and_scan,
    _set_policy,
    _remove,
)
