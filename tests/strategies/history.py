"""Random pasts: repositories night by night in the oracle's form, and the same as a ``History``.

Everything that happens to images happens: they are pushed and pushed again, deleted, archived,
restored, pulled, and tags move. Nights are a day apart, or some, or many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st

from analyzer.lifecycle.policy import Policy
from analyzer.model.frames import NO_TIME, Int64, Listed
from analyzer.model.history import (
    History,
    Presence,
    RecordedPulls,
    Spans,
    ValueSpans,
    WorkloadSpans,
)
from analyzer.model.records import ImageStatus, Kind
from tests.oracle.back_test import Blobs, Night
from tests.oracle.lifecycle import DAY_MS, Image
from tests.strategies.frames import ArtifactSpec, ManifestSpec, RepositorySpec, build_frames
from tests.strategies.policies import RANDOMS, PolicyMaker

_State = TypeVar("_State")

#: The moment that drawn pasts begin at.
BEGIN_MS = 19_000 * DAY_MS + 7_200_000


@dataclass(frozen=True)
class Past:
    """Repositories of one or two registries, all of one registry read on the same nights."""

    #: By repository; those of one registry side by side.
    repositories: tuple[tuple[Night, ...], ...]
    registry: tuple[int, ...]
    #: What each digest holds: size by blob.
    blobs: Mapping[str, Blobs]
    policies: tuple[Policy, ...]
    #: Position of a policy, -1 for none, by repository.
    policy_of: tuple[int, ...]

    @property
    def policy_array(self) -> Int64:
        return np.array(self.policy_of, np.int64)


@dataclass(frozen=True)
class Written:
    """A ``History``, and what its positions stand for."""

    history: History
    #: Digests by artifact.
    digests: Sequence[str]


def write(
    repositories: Sequence[Sequence[Night]],
    *,
    registry: Sequence[int] = (),
    blobs: Mapping[str, Blobs] | None = None,
    names: Sequence[str] = (),
    policies: Iterable[tuple[int, int, int, str | None]] = (),
    workloads: Sequence[tuple[int, int, int, str, str]] = (),
    recorded: Sequence[tuple[int, int, str | None, str | None, str]] = (),
) -> Written:
    """The same past as arrays.

    ``policies``: repository, first night, night that ended it, text. ``workloads``: registry, first and
    gone night, name, reference. ``recorded``: day, repository, digest, tag, by whom.
    """
    blobs = blobs or {}
    registry = registry or [0] * len(repositories)
    names = names or [f"repository-{number:04}" for number in range(len(repositories))]
    every = [{image.digest: image for night in nights for image in night.images} for nights in repositories]
    digests = sorted({digest for images in every for digest in images}, reverse=True)
    mentioned = {
        *digests,
        *(child for images in every for image in images.values() for child in image.children),
        *(image.subject for images in every for image in images.values() if image.subject),
        *(blob for held in blobs.values() for blob in held),
    }
    # Ids say nothing about an order that anybody sees, so they are given backwards.
    ids = {digest: number for number, digest in enumerate(sorted(mentioned, reverse=True), 1)}
    frames = build_frames(
        [
            RepositorySpec(
                tuple(
                    ArtifactSpec(ids[digest], image_status=image.status, listed=Listed.IMAGE)
                    for digest, image in images.items()
                ),
                registry=registry[number],
                name=names[number],
            )
            for number, images in enumerate(every)
        ],
        {
            ids[digest]: ManifestSpec(
                Kind.INDEX if image.children else Kind.IMAGE,
                blobs=tuple((ids[blob], False) for blob in blobs.get(digest, {})),
                children=tuple(ids[child] for child in image.children),
                subject=ids[image.subject] if image.subject else 0,
            )
            for images in every
            for digest, image in images.items()
        },
        {ids[blob]: size for held in blobs.values() for blob, size in held.items()},
        registries=max(registry, default=0) + 1,
    )
    times: dict[int, list[int]] = {}
    for number, nights in enumerate(repositories):
        times[registry[number]] = [night.at_ms for night in nights]
    of = [
        (number, digest)
        for number, images in enumerate(every)
        for digest in sorted(images, key=lambda digest: ids[digest])
    ]
    position = {key: place for place, key in enumerate(of)}
    tag_names = sorted({tag for nights in repositories for n in nights for i in n.images for tag in i.tags})
    states = _spans(repositories, position, lambda image: replace(image, tags=frozenset(), last_pull_ms=None))
    offsets = np.cumsum([0, *(len(times[number]) for number in sorted(times))])
    texts = sorted({text for *_, text in policies if text is not None})
    ranked = sorted(digests)
    places = sorted({number for _, number, *_ in recorded})
    who = sorted({by for *_, by in recorded})
    by_name = sorted({name for *_, name, _ in workloads})
    references = sorted({reference for *_, reference in workloads})
    return Written(
        History(
            frames=frames,
            night_offsets=offsets,
            night_ms=np.array([ms for number in sorted(times) for ms in times[number]], np.int64),
            night_number=np.array(
                [n for number in sorted(times) for n in range(len(times[number]))], np.int64
            ),
            existence=_whole(repositories),
            complete=_whole(repositories),
            presence=Presence(
                *_columns(states),
                pushed_at_ms=_times(image.pushed_at_ms for *_, image in states),
                archived_at_ms=_times(image.archived_at_ms for *_, image in states),
                activated_at_ms=_times(image.activated_at_ms for *_, image in states),
                image_status=np.array([image.status for *_, image in states], np.uint8),
                tie=np.array([ranked.index(image.digest) for *_, image in states], np.int64),
            ),
            tags=_valued(_tag_spans(repositories, position, tag_names)),
            pulls=_valued(
                [
                    (at, first, gone, day)
                    for at, first, gone, day in _spans(
                        repositories,
                        position,
                        lambda image: None if image.last_pull_ms is None else image.last_pull_ms // DAY_MS,
                    )
                    if day is not None
                ]
            ),
            policies=_valued(
                [
                    (number, first, gone, -1 if text is None else texts.index(text))
                    for number, first, gone, text in policies
                ]
            ),
            policy_texts=texts,
            tag_names=tag_names,
            workloads=WorkloadSpans(
                of=np.array([row[0] for row in workloads], np.int64),
                first=np.array([row[1] for row in workloads], np.int32),
                gone=np.array([row[2] for row in workloads], np.int32),
                name=np.array([by_name.index(row[3]) for row in workloads], np.int64),
                reference=np.array([references.index(row[4]) for row in workloads], np.int64),
                names=by_name,
                references=references,
            ),
            recorded=RecordedPulls(
                day=np.array([row[0] for row in recorded], np.int64),
                place=np.array([places.index(row[1]) for row in recorded], np.int64),
                digest_id=np.array([ids[row[2]] if row[2] else 0 for row in recorded], np.int64),
                tag=np.array([tag_names.index(row[3]) if row[3] else -1 for row in recorded], np.int64),
                puller=np.array([who.index(row[4]) for row in recorded], np.int64),
                places=[
                    (
                        str(frames.registries["account"].iloc[registry[number]]),
                        str(frames.registries["region"].iloc[registry[number]]),
                        names[number],
                    )
                    for number in places
                ],
                pullers=who,
            ),
            recorded_days=[0] * len(times),
            untraced=[False] * len(times),
            digests=lambda positions: [of[place][1] for place in positions.tolist()],
            digest_ids=lambda wanted: np.array([ids.get(digest, -1) for digest in wanted], np.int64),
        ),
        [digest for _, digest in of],
    )


def _tag_spans(
    repositories: Sequence[Sequence[Night]], position: Mapping[tuple[int, str], int], names: Sequence[str]
) -> list[tuple[int, int, int, int]]:
    def carries(tag: str) -> Callable[[Image], bool]:
        return lambda image: tag in image.tags

    return [
        (at, first, gone, number)
        for number, tag in enumerate(names)
        for at, first, gone, has in _spans(repositories, position, carries(tag))
        if has
    ]


def _spans(
    repositories: Sequence[Sequence[Night]],
    position: Mapping[tuple[int, str], int],
    state: Callable[[Image], _State],
) -> list[tuple[int, int, int, _State]]:
    """Runs of nights in which an artifact was in the same ``state``: artifact, first, gone, state."""
    found: list[tuple[int, int, int, _State]] = []
    for number, nights in enumerate(repositories):
        begun: dict[str, tuple[int, _State]] = {}
        for night, entry in enumerate([*nights, Night(0, ())]):
            now = {image.digest: state(image) for image in entry.images}
            for digest, (first, was) in list(begun.items()):
                if digest not in now or now[digest] != was:
                    found.append((position[number, digest], first, night, was))
                    del begun[digest]
            for digest, value in now.items():
                begun.setdefault(digest, (night, value))
    return sorted(found, key=lambda span: span[:2])


def _whole(repositories: Sequence[Sequence[Night]]) -> Spans:
    rows = [(number, 0, len(nights)) for number, nights in enumerate(repositories) if nights]
    return Spans(*_columns(rows))


def _columns(rows: Sequence[Sequence[object]]) -> tuple[Int64, np.ndarray, np.ndarray]:
    return (
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int32),
        np.array([row[2] for row in rows], np.int32),
    )


def _valued(rows: Sequence[tuple[int, int, int, int]]) -> ValueSpans:
    rows = sorted(rows)
    return ValueSpans(*_columns(rows), np.array([row[3] for row in rows], np.int64))


def _times(moments: Iterable[int | None]) -> Int64:
    return np.array([NO_TIME if moment is None else moment for moment in moments], np.int64)


class _Maker(PolicyMaker):
    """Draws one past."""

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        self.letters = [f"sha256:{letter * 4}" for letter in "abcdefgh"]
        some = (*self.letters, "sha256:gone")
        self.children = {
            digest: tuple(self.one(some) for _ in range(1 + self.number(2))) if self.chance(25) else ()
            for digest in self.letters
        }
        self.subject = {digest: self.one(some) if self.chance(15) else None for digest in self.letters}
        sizes = {f"sha256:layer{number}": 10**number for number in range(5)}
        self.blobs = {
            digest: {blob: size for blob, size in sizes.items() if self.number(2)}
            for digest in self.letters
            if not self.children[digest]
        }

    def times(self) -> list[int]:
        at, times = BEGIN_MS, []
        for _ in range(1 + self.number(6)):
            times.append(at)
            at += self.one((1, 1, 1, 2, 3, 30, 90)) * DAY_MS + self.one((0, 0, 0, 600_000, -600_000))
        return times

    def nights(self, times: Sequence[int]) -> tuple[Night, ...]:
        images = {
            digest: self._pushed(digest, times[0] - self.one(self.days) * DAY_MS)
            for digest in self.letters
            if self.number(2)
        }
        nights = []
        for number, at in enumerate(times):
            before = times[number - 1] if number else at - DAY_MS
            for _ in range(self.number(4) if number else 0):
                self._happen(images, before + 1 + self.number(at - before))
            nights.append(Night(at, tuple(images[digest] for digest in sorted(images))))
        return tuple(nights)

    def _pushed(self, digest: str, at: int) -> Image:
        count = self.one((0, 1, 1, 2))
        return Image(
            digest=digest,
            tags=frozenset(self.one(self.tags) for _ in range(count)),
            pushed_at_ms=None if self.chance(5) else at,
            last_pull_ms=self._pull(at) if self.chance(30) else None,
            children=self.children[digest],
            subject=self.subject[digest],
        )

    def _pull(self, at: int) -> int:
        # ECR's record is kept by the day, and counts to its end.
        return at // DAY_MS * DAY_MS + DAY_MS - 1

    def _happen(self, images: dict[str, Image], at: int) -> None:
        digest = self.one(self.letters)
        image = images.get(digest)
        if image is None:
            images[digest] = self._pushed(digest, at)
            return
        match self.number(7):
            case 0:
                del images[digest]
            case 1:
                images[digest] = replace(self._pushed(digest, at), tags=image.tags)
            case 2 | 3:
                images[digest] = replace(image, last_pull_ms=self._pull(at))
            case 4:
                images[digest] = replace(image, status=ImageStatus.ARCHIVED, archived_at_ms=at)
            case 5 if image.status is ImageStatus.ARCHIVED:
                images[digest] = replace(image, status=ImageStatus.ACTIVE, activated_at_ms=at)
            case _:
                images[digest] = replace(image, tags=image.tags ^ {self.one(self.tags)})

    def past(self) -> Past:
        registries = 1 + self.number(2)
        times = [self.times() for _ in range(registries)]
        registry = sorted(self.number(registries) for _ in range(1 + self.number(3)))
        # A registry without a repository would be nobody's.
        registry = [sorted(set(registry)).index(number) for number in registry]
        policies = tuple(self.policy() for _ in range(1 + self.number(2)))
        return Past(
            tuple(self.nights(times[number]) for number in registry),
            tuple(registry),
            self.blobs,
            policies,
            tuple(self.one((*range(len(policies)), *range(len(policies)), -1)) for _ in registry),
        )


def draw_past(rng: Random) -> Past:
    """One to three repositories of at most eight artifacts, over one to six nights."""
    return _Maker(rng).past()


def pasts() -> st.SearchStrategy[Past]:
    """Pasts, see ``draw_past``."""
    return RANDOMS.map(draw_past)
