"""Random policies and registries for the lifecycle simulator, in the oracle's form and in arrays.

A registry is described once, as the oracle's images; ``arrays_of`` turns that into the ``Frames``,
``LifecycleFacts`` and ``Families`` of the same registry. Everything random is drawn from a
``random.Random``: hypothesis hands in one of its own, which it can shrink, and a long run one
with a seed, which is several times as fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from analyzer.families import Families, find_families
from analyzer.lifecycle.policy import Policy
from analyzer.model.frames import NEVER_PULLED, NO_TIME, Frames, Int64, LifecycleFacts, Listed
from analyzer.model.records import ImageStatus, Kind
from tests.oracle.lifecycle import DAY_MS, Image, base_of
from tests.strategies.frames import ArtifactSpec, ManifestSpec, RepositorySpec, build_frames
from tests.strategies.policies import RANDOMS, PolicyMaker, draw_policy, policies, policy_documents

__all__ = [
    "NOW_MS",
    "LifecycleCase",
    "Presentation",
    "Shown",
    "World",
    "arrays_of",
    "draw_case",
    "draw_policy",
    "draw_world",
    "images_of",
    "lifecycle_cases",
    "policies",
    "policy_documents",
    "worlds",
]

_Scalar = TypeVar("_Scalar", bound=np.generic)

NOW_MS = 20_000 * DAY_MS


class Shown(Enum):
    """How a digest's relations are known; all but the first only for what names no children."""

    #: From its manifest.
    MANIFEST = "manifest"
    #: Its manifest was read and states no subject, but the listing names one.
    LISTING = "listing"
    #: Its manifest was never read.
    UNREAD = "unread"
    #: Its manifest is of a kind that nobody here can read.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class World:
    """One set of registries in both forms; *position* is that of an artifact in ``frames``."""

    frames: Frames
    facts: LifecycleFacts
    families: Families
    #: Per row of ``frames.repositories`` its images in order of position.
    repositories: tuple[tuple[Image, ...], ...]

    @property
    def images(self) -> list[Image]:
        """All images, one per position."""
        return [image for images in self.repositories for image in images]


@dataclass(frozen=True, slots=True)
class LifecycleCase:
    """Arguments for one evaluation."""

    world: World
    policies: tuple[Policy, ...]
    #: Per row of ``frames.repositories`` a position in ``policies``, -1 for none.
    policy_of: tuple[int, ...]
    now_ms: int

    @property
    def policy_array(self) -> Int64:
        """``policy_of`` as the evaluator wants it."""
        return _array(self.policy_of, np.int64)

    @property
    def policy_per_repository(self) -> list[Policy | None]:
        """``policy_of`` as the oracle wants it."""
        return [self.policies[k] if k >= 0 else None for k in self.policy_of]


# From one form to the other.


@dataclass(frozen=True, slots=True)
class Presentation:
    """What the arrays leave open and no verdict may depend on."""

    #: digest_id by digest; it alone decides the order of positions. Default: as they first appear.
    ids: Mapping[str, int] = field(default_factory=dict)
    shown: Mapping[str, Shown] = field(default_factory=dict)
    #: Registry of each repository, ascending; default: all in one.
    registry: Sequence[int] = ()
    #: ``tie`` is 0 wherever the time since which an image counts is its own.
    sparse_ties: bool = False
    #: Names that no artifact carries, put before those that some do; "" is an id without a name.
    spare_tag_names: Sequence[str] = ()
    #: What the listing says of artifacts whose manifest nobody can read.
    listed: Listed = Listed.IMAGE


def arrays_of(repositories: Sequence[Sequence[Image]], presentation: Presentation | None = None) -> World:
    """The same registry as arrays.

    A digest that occurs in several repositories must name the same children and subject in all.
    """
    presentation = presentation or Presentation()
    ids = dict(presentation.ids)
    for image in (image for images in repositories for image in images):
        for digest in (image.digest, *image.children, *([image.subject] if image.subject else [])):
            ids.setdefault(digest, max(ids.values(), default=0) + 1)
    ordered = tuple(tuple(sorted(images, key=lambda image: ids[image.digest])) for images in repositories)
    registry = presentation.registry or [0] * len(ordered)
    frames = build_frames(
        [
            RepositorySpec(
                tuple(_artifact(image, ids, presentation) for image in images),
                registry=registry[number],
                name=f"repository-{number:04}",
            )
            for number, images in enumerate(ordered)
        ],
        _manifests(ordered, ids, presentation),
        {},
        registries=max(registry, default=0) + 1,
    )
    facts = _facts(ordered, presentation)
    return World(frames, facts, find_families(frames), ordered)


def _artifact(image: Image, ids: Mapping[str, int], presentation: Presentation) -> ArtifactSpec:
    shown = presentation.shown.get(image.digest, Shown.MANIFEST)
    return ArtifactSpec(
        digest_id=ids[image.digest],
        tags=len(image.tags),
        pushed_at_ms=_known(image.pushed_at_ms),
        pulled_day=NEVER_PULLED if image.last_pull_ms is None else image.last_pull_ms // DAY_MS,
        image_status=image.status,
        subject=ids[image.subject] if image.subject and shown is not Shown.MANIFEST else 0,
        listed=presentation.listed if shown in {Shown.UNREAD, Shown.UNKNOWN} else Listed.IMAGE,
    )


def _manifests(
    repositories: Sequence[Sequence[Image]], ids: Mapping[str, int], presentation: Presentation
) -> dict[int, ManifestSpec]:
    specs: dict[int, ManifestSpec] = {}
    for image in (image for images in repositories for image in images):
        shown = presentation.shown.get(image.digest, Shown.MANIFEST)
        children = tuple(ids[child] for child in image.children)
        subject = ids[image.subject] if image.subject and shown is Shown.MANIFEST else 0
        kind = Kind.UNKNOWN if shown is Shown.UNKNOWN else Kind.INDEX if children else Kind.IMAGE
        spec = ManifestSpec(kind, children=children, subject=subject)
        assert shown is Shown.MANIFEST or not children, "only a manifest names children"
        assert specs.get(ids[image.digest], spec) == spec, "one digest, two manifests"
        if shown is not Shown.UNREAD:
            specs[ids[image.digest]] = spec
    return specs


def _facts(repositories: Sequence[Sequence[Image]], presentation: Presentation) -> LifecycleFacts:
    images = [image for of_one in repositories for image in of_one]
    texts = sorted({image.digest for image in images})
    ties: list[int] = []
    for of_one in repositories:
        bases = [base_of(image) for image in of_one]
        for image in of_one:
            alone = bases.count(base_of(image)) == 1
            ties.append(0 if presentation.sparse_ties and alone else texts.index(image.digest) + 1)
    used = sorted({tag for image in images for tag in image.tags})
    names = [*(name for name in presentation.spare_tag_names if name not in used), *used]
    place = {name: number for number, name in enumerate(names)}
    # Descending, for nothing may rely on the order of one artifact's tags.
    tags = [[place[tag] for tag in sorted(image.tags, reverse=True)] for image in images]
    offsets = [0]
    for of_one_image in tags:
        offsets.append(offsets[-1] + len(of_one_image))
    return LifecycleFacts(
        pulled_at_ms=_array([_known(image.last_pull_ms) for image in images], np.int64),
        archived_at_ms=_array([_known(image.archived_at_ms) for image in images], np.int64),
        activated_at_ms=_array([_known(image.activated_at_ms) for image in images], np.int64),
        tie=_array(ties, np.int64),
        tag_offsets=_array(offsets, np.int64),
        tags=_array([tag for of_one_image in tags for tag in of_one_image], np.int32),
        tag_names=names,
    )


def images_of(world: World, names: Sequence[str]) -> list[list[Image]]:
    """The oracle's form read back from the arrays alone; ``names``: digest per position."""
    frames, facts, families = world.frames, world.facts, world.families
    artifacts = frames.artifacts
    read: list[list[Image]] = [[] for _ in range(len(frames.repositories))]
    for position, name in enumerate(names):
        tags = facts.tags[facts.tag_offsets[position] : facts.tag_offsets[position + 1]]
        subject = int(families.subject[position])
        read[artifacts.repository[position]].append(
            Image(
                digest=name,
                tags=frozenset(facts.tag_names[tag] for tag in tags),
                pushed_at_ms=_unknown(artifacts.pushed_at_ms[position]),
                last_pull_ms=_unknown(facts.pulled_at_ms[position]),
                archived_at_ms=_unknown(facts.archived_at_ms[position]),
                activated_at_ms=_unknown(facts.activated_at_ms[position]),
                status=ImageStatus(int(artifacts.image_status[position])),
                children=tuple(names[child] for child in families.child[families.parent == position]),
                subject=names[subject] if subject >= 0 else None,
            )
        )
    return read


def _known(moment: int | None) -> int:
    return NO_TIME if moment is None else moment


def _unknown(moment: np.int64) -> int | None:
    return None if moment == NO_TIME else int(moment)


def _array(values: Sequence[object], dtype: type[_Scalar]) -> npt.NDArray[_Scalar]:
    """A read-only array of ``values``."""
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


# Random registries.

_DIGESTS = 12
_OFFSETS_MS = (0, 0, 0, 0, 1, -1, DAY_MS, DAY_MS + 1, -DAY_MS, -DAY_MS - 1, DAY_MS // 2)


@dataclass(frozen=True, slots=True)
class _Mood:
    """What a case is about: each in a hundred."""

    indexes: int
    subjects: int
    unknown_times: int
    #: Times that are not one of the few that many images share.
    odd_times: int
    restored: int
    statuses: tuple[ImageStatus, ...]


_ACTIVE = (ImageStatus.ACTIVE,)
_MIXED = (*_ACTIVE * 3, *(ImageStatus.ARCHIVED,) * 2, ImageStatus.ACTIVATING, ImageStatus.OTHER)
_MOODS = (
    _Mood(5, 0, 0, 60, 0, _ACTIVE),
    _Mood(0, 0, 25, 20, 20, _MIXED),
    _Mood(50, 0, 3, 40, 5, (*_ACTIVE * 9, ImageStatus.ARCHIVED)),
    _Mood(30, 40, 3, 40, 5, (*_ACTIVE * 9, *_MIXED)),
    _Mood(10, 70, 5, 40, 5, (*_ACTIVE * 3, *_MIXED)),
    _Mood(40, 25, 5, 40, 20, _MIXED),
)


class _Maker(PolicyMaker):
    """Draws one case."""

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        self.mood = self.one(_MOODS)
        self.few_times = [self._age() for _ in range(4)]

    def world(self) -> World:
        letters = self.shuffled([f"sha256:{letter * 4}" for letter in "abcdefghijkl"])
        ids = {digest: number for number, digest in enumerate(letters, start=1)}
        relations = {digest: self._relations(letters) for digest in letters}
        repositories = [
            [self._image(digest, *relations[digest]) for digest in letters if self.number(4)]
            for _ in range(1 + self.number(4))
        ]
        shown = {
            digest: Shown.MANIFEST if children else self.one((*(Shown.MANIFEST,) * 5, *Shown))
            for digest, (children, _) in relations.items()
        }
        second = self.number(len(repositories) + 1)
        presentation = Presentation(
            # Ids leave gaps, as those of a database do.
            ids={digest: 3 * number + 2 for digest, number in ids.items()},
            shown=shown,
            registry=[int(number >= second) for number in range(len(repositories))],
            sparse_ties=bool(self.number(2)),
            spare_tag_names=self.one(((), ("",), ("prod-spare", "", "a"))),
            listed=self.one(tuple(Listed)),
        )
        return arrays_of(repositories, presentation)

    def _relations(self, digests: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
        children: tuple[str, ...] = ()
        if self.chance(self.mood.indexes):
            # A digest that no repository holds, now and then one named twice, or the index itself.
            children = tuple(self.one((*digests, "sha256:gone")) for _ in range(1 + self.number(4)))
        subject = self.one((*digests, "sha256:gone")) if self.chance(self.mood.subjects) else None
        return children, subject

    def _image(self, digest: str, children: tuple[str, ...], subject: str | None) -> Image:
        restored = self.chance(self.mood.restored)
        status = self.one(self.mood.statuses)
        archived = status is not ImageStatus.ACTIVE or restored
        count = self.one((0, 0, 1, 1, 1, 2, 3, 5))
        return Image(
            digest=digest,
            tags=frozenset(self.one(self.tags) for _ in range(count)),
            pushed_at_ms=self._time(),
            last_pull_ms=self._time() if self.number(2) else None,
            archived_at_ms=self._time() if archived or self.chance(10) else None,
            activated_at_ms=self._time() if restored else None,
            status=status,
            children=children,
            subject=subject,
        )

    def _time(self) -> int | None:
        if self.chance(self.mood.unknown_times):
            return None
        return NOW_MS - (self._age() if self.chance(self.mood.odd_times) else self.one(self.few_times))

    def _age(self) -> int:
        """Mostly at, just before or just behind a limit; now and then still to come, or 1970."""
        if self.chance(3):
            return self.one((NOW_MS, -DAY_MS, -1, 0))
        return self.one(self.days) * DAY_MS + self.one(_OFFSETS_MS)

    def case(self) -> LifecycleCase:
        world = self.world()
        chosen = tuple(self.policy() for _ in range(1 + self.number(3)))
        choices = (*(*range(len(chosen)),) * 8, -1)
        return LifecycleCase(world, chosen, tuple(self.one(choices) for _ in world.repositories), NOW_MS)


def draw_world(rng: Random) -> World:
    """One or two registries of one to four repositories of at most twelve artifacts."""
    return _Maker(rng).world()


def draw_case(rng: Random) -> LifecycleCase:
    """Registries, up to three policies that fit their tags, and which repository has which."""
    return _Maker(rng).case()


def worlds() -> st.SearchStrategy[World]:
    """Registries, see ``draw_world``."""
    return RANDOMS.map(draw_world)


def lifecycle_cases() -> st.SearchStrategy[LifecycleCase]:
    """Whole evaluations, see ``draw_case``."""
    return RANDOMS.map(draw_case)
