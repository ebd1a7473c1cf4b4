"""Small worlds written by hand, for the checks of ``lint`` and for ``explain``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from analyzer.families import Families, find_families
from analyzer.lifecycle.parsing import InvalidPolicy
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass, TagStatus
from analyzer.model.frames import NO_TIME, Frames, Int64, LifecycleFacts, Listed
from analyzer.model.records import ImageStatus, Kind
from tests.strategies.frames import ArtifactSpec, ManifestSpec, RepositorySpec, build_frames

DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """One artifact of a repository; its digest is ``sha256:`` and its name."""

    name: str
    tags: tuple[str, ...] = ()
    #: Days since its push, None where that is unknown.
    age: float | None = 1
    pulled: float | None = None
    archived: float | None = None
    activated: float | None = None
    status: ImageStatus = ImageStatus.ACTIVE
    #: Bytes by blob.
    blobs: Mapping[str, int] = field(default_factory=dict)
    #: Names; with any it is an index.
    children: tuple[str, ...] = ()
    subject: str | None = None
    #: Its manifest was never read, and may be anything.
    unread: bool = False


@dataclass(frozen=True, kw_only=True)
class Repository:
    """``policy`` "unknown" could not be read; an InvalidPolicy is one that is not valid."""

    name: str = "app"
    images: tuple[Pushed, ...] = ()
    policy: Policy | InvalidPolicy | str | None = None
    #: 0 and 1 are two regions of one account.
    registry: int = 0
    #: Whether it was ever listed whole.
    listed: bool = True


@dataclass(frozen=True)
class HandMade:
    """A world as ``analyzer.lifecycle.lint_fleet.World`` describes it."""

    frames: Frames
    facts: LifecycleFacts
    families: Families
    at_ms: int
    policies: Sequence[Policy]
    policy_of: Int64
    policy_problems: Mapping[int, InvalidPolicy]
    names: Sequence[str]

    def digests(self, positions: Int64) -> list[str]:
        return [f"sha256:{self.names[position]}" for position in positions.tolist()]

    def position(self, name: str, row: int = 0) -> int:
        """Of the artifact ``name`` in the repository at ``row``."""
        (found,) = (
            position
            for position, other in enumerate(self.names)
            if other == name and self.frames.artifacts.repository[position] == row
        )
        return found

    def mask(self, *names: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """The artifacts of these names, wherever they are."""
        return np.array([name in names for name in self.names])

    @property
    def rows(self) -> Int64:
        return np.arange(len(self.frames.repositories))


def rule(
    priority: int,
    *patterns: str,
    status: TagStatus | None = None,
    prefixes: tuple[str, ...] = (),
    keep: int | None = None,
    pushed: int | None = None,
    pulled: int | None = None,
    transitioned: int | None = None,
    action: Action = Action.EXPIRE,
) -> Rule:
    """A rule with the one limit that is given; tagged if it has a list, else for any image."""
    (count_type, number) = next(
        (kind, value)
        for kind, value in (
            (CountType.IMAGE_COUNT_MORE_THAN, keep),
            (CountType.SINCE_IMAGE_PUSHED, pushed),
            (CountType.SINCE_IMAGE_PULLED, pulled),
            (CountType.SINCE_IMAGE_TRANSITIONED, transitioned),
        )
        if value is not None
    )
    listed = TagStatus.TAGGED if patterns or prefixes else TagStatus.ANY
    return Rule(
        priority=priority,
        tag_status=status or listed,
        tag_patterns=patterns,
        tag_prefixes=prefixes,
        storage_class=StorageClass.STANDARD if transitioned is None else StorageClass.ARCHIVE,
        count_type=count_type,
        count_number=number,
        action=action,
    )


def make_world(*repositories: Repository, at_ms: int = NOW_MS) -> HandMade:
    """``repositories`` must be in the order of registry and name; digest ids go against the names."""
    pushed = [image for repository in repositories for image in repository.images]
    mentioned = {image.name for image in pushed} | {
        name
        for image in pushed
        for name in (*image.children, *image.blobs, *([image.subject] if image.subject else []))
    }
    # Ids say nothing about an order that anybody sees, so they are given backwards.
    ids = {name: number for number, name in enumerate(sorted(mentioned, reverse=True), 1)}
    manifests = {
        ids[image.name]: ManifestSpec(
            Kind.INDEX if image.children else Kind.IMAGE,
            tuple((ids[blob], False) for blob in image.blobs),
            tuple(ids[child] for child in image.children),
            ids[image.subject] if image.subject else 0,
        )
        for image in pushed
        if not image.unread
    }
    frames = build_frames(
        [
            RepositorySpec(
                tuple(
                    ArtifactSpec(
                        ids[image.name],
                        tags=len(image.tags),
                        pushed_at_ms=_ago(image.age, at_ms),
                        image_status=image.status,
                        listed=Listed.UNKNOWN if image.unread else Listed.IMAGE,
                    )
                    for image in repository.images
                ),
                registry=repository.registry,
                name=repository.name,
            )
            for repository in repositories
        ],
        manifests,
        {ids[blob]: size for image in pushed for blob, size in image.blobs.items()},
        registries=max(repository.registry for repository in repositories) + 1,
    )
    rows = frames.repositories
    rows["lifecycle_policy_known"] = [repository.policy != "unknown" for repository in repositories]
    rows["complete_at_ms"] = [0 if repository.listed else NO_TIME for repository in repositories]
    ordered = [
        image
        for repository in repositories
        for image in sorted(repository.images, key=lambda image: ids[image.name])
    ]
    names = sorted({tag for image in ordered for tag in image.tags})
    policies = [repository.policy for repository in repositories if isinstance(repository.policy, Policy)]
    distinct = list(dict.fromkeys(policies))
    return HandMade(
        frames,
        LifecycleFacts(
            pulled_at_ms=np.array([_ago(image.pulled, at_ms) for image in ordered], np.int64),
            archived_at_ms=np.array([_ago(image.archived, at_ms) for image in ordered], np.int64),
            activated_at_ms=np.array([_ago(image.activated, at_ms) for image in ordered], np.int64),
            tie=np.array([sorted(ids).index(image.name) for image in ordered], np.int64),
            tag_offsets=np.cumsum([0, *(len(image.tags) for image in ordered)]),
            tags=np.array([names.index(tag) for image in ordered for tag in image.tags], np.int32),
            tag_names=names,
        ),
        find_families(frames),
        at_ms,
        distinct,
        np.array(
            [
                distinct.index(repository.policy) if isinstance(repository.policy, Policy) else -1
                for repository in repositories
            ]
        ),
        {
            row: repository.policy
            for row, repository in enumerate(repositories)
            if isinstance(repository.policy, InvalidPolicy)
        },
        [image.name for image in ordered],
    )


def _ago(days: float | None, at_ms: int) -> int:
    return NO_TIME if days is None else at_ms - round(days * DAY_MS)
