"""The back-test once more, slowly: one repository, one day after the other, with plain sets.

A world is described night by night, as somebody who looked would have written it down. Nothing here
knows of intervals, of nights on which nothing changed, or of arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from analyzer.lifecycle.policy import Policy
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome
from tests.oracle.lifecycle import DAY_MS, Image, evaluate_repository

#: Digests by blob size: what an image holds.
Blobs = Mapping[str, int]


@dataclass(frozen=True)
class Night:
    """One repository on one night."""

    at_ms: int
    images: tuple[Image, ...]


@dataclass(frozen=True)
class Taken:
    """An image that the policy takes."""

    digest: str
    at_ms: int
    night: int
    outcome: Outcome
    rule: int


def moments_of(times: Sequence[int]) -> list[tuple[int, int]]:
    """(moment, night before or at it): every night, and every day after it well before the next."""
    moments = []
    for night, at_ms in enumerate(times):
        moments.append((at_ms, night))
        if night + 1 < len(times):
            day = 1
            while at_ms + day * DAY_MS <= times[night + 1] - DAY_MS // 2:
                moments.append((at_ms + day * DAY_MS, night))
                day += 1
    return moments


def replay_slowly(
    nights: Sequence[Night], policy: Policy, *, remembering: bool = True, children_take_slots: bool = True
) -> list[Taken]:
    """Everything that ``policy`` takes of one repository, moment after moment."""
    taken: list[Taken] = []
    removed: dict[str, int] = {}
    archived: dict[str, int] = {}
    for at_ms, night in moments_of([night.at_ms for night in nights]):
        present = []
        for image in nights[night].images:
            if remembering and image.digest in removed and not _pushed_since(image, removed[image.digest]):
                continue
            present.append(_archived(image, archived) if remembering else image)
        verdicts = evaluate_repository(present, policy, at_ms, children_take_slots=children_take_slots)
        for image, verdict in zip(present, verdicts, strict=True):
            if verdict.outcome is Outcome.KEPT:
                continue
            taken.append(Taken(image.digest, at_ms, night, verdict.outcome, verdict.rule))
            (removed if verdict.outcome is Outcome.EXPIRED else archived)[image.digest] = at_ms
    return taken


def _pushed_since(image: Image, moment: int) -> bool:
    return image.pushed_at_ms is not None and image.pushed_at_ms > moment


def _archived(image: Image, archived: Mapping[str, int]) -> Image:
    """``image`` as it would be, had the policy archived it."""
    since = archived.get(image.digest)
    if since is None or _pushed_since(image, since):
        return image
    if image.activated_at_ms is not None and image.activated_at_ms > since:
        return image
    return replace(image, status=ImageStatus.ARCHIVED, archived_at_ms=since)


def pulled_afterwards(nights: Sequence[Night], taken: Taken) -> int | None:
    """The first day known, later than the day it was taken, of which ECR records a pull."""
    pulls = [image.last_pull_ms // DAY_MS for image in _later_states(nights, taken) if image.last_pull_ms]
    return min((day for day in pulls if day > taken.at_ms // DAY_MS), default=None)


def tagged_afterwards(nights: Sequence[Night], taken: Taken) -> bool:
    """Whether a tag came to it after it was taken."""
    before = _state(nights[taken.night], taken.digest)
    tags = frozenset() if before is None else before.tags
    for number in range(taken.night + 1, len(nights)):
        image = _state(nights[number], taken.digest)
        if image is not None and nights[number].at_ms >= _pushed_again_at(nights, taken):
            return False
        now = frozenset() if image is None else image.tags
        if now - tags:
            return True
        tags = now
    return False


def _later_states(nights: Sequence[Night], taken: Taken) -> list[Image]:
    """The image on all nights, with no pull later than its next push."""
    until = _pushed_again_at(nights, taken)
    states = []
    for night in nights:
        image = _state(night, taken.digest)
        if image is not None and (image.last_pull_ms or 0) // DAY_MS <= until // DAY_MS:
            states.append(image)
    return states


def _pushed_again_at(nights: Sequence[Night], taken: Taken) -> int:
    pushes = [
        image.pushed_at_ms
        for night in nights
        if (image := _state(night, taken.digest)) is not None
        and image.pushed_at_ms is not None
        and image.pushed_at_ms > taken.at_ms
    ]
    return min(pushes, default=2**62)


def _state(night: Night, digest: str) -> Image | None:
    return next((image for image in night.images if image.digest == digest), None)


def byte_ms_saved(
    repositories: Sequence[Sequence[Night]],
    taken: Sequence[Sequence[Taken]],
    blobs: Mapping[str, Blobs],
) -> tuple[int, int]:
    """Byte-milliseconds less in the standard and in the archive class, layers shared by ``repositories``.

    All have their nights at the same times.
    """
    times = [night.at_ms for night in repositories[0]]
    edges = sorted({at_ms for at_ms, _ in moments_of(times)})
    standard = archive = 0
    for begin, end in pairwise(edges):
        night = max(number for number, at_ms in enumerate(times) if at_ms <= begin)
        truth, would = [], []
        for nights, gone in zip(repositories, taken, strict=True):
            for image in nights[night].images:
                truth.append((image, image.status))
                status = _would_be(image, gone, begin)
                if status is not None:
                    would.append((image, status))
        before, after = _stored(truth, blobs), _stored(would, blobs)
        standard += (before[0] - after[0]) * (end - begin)
        archive += (before[1] - after[1]) * (end - begin)
    return standard, archive


def _would_be(image: Image, taken: Sequence[Taken], moment: int) -> ImageStatus | None:
    """Its status from ``moment`` on, had the policy been in force; None for gone."""
    status = image.status
    for one in taken:
        if one.digest != image.digest or one.at_ms > moment or _pushed_since(image, one.at_ms):
            continue
        if one.outcome is Outcome.EXPIRED:
            return None
        if image.activated_at_ms is None or image.activated_at_ms <= one.at_ms:
            status = ImageStatus.ARCHIVED
    return status


def _stored(images: Sequence[tuple[Image, ImageStatus]], blobs: Mapping[str, Blobs]) -> tuple[int, int]:
    """Bytes in the standard and in the archive class."""
    active: dict[str, int] = {}
    every: dict[str, int] = {}
    for image, status in images:
        held = blobs.get(image.digest, {})
        every.update(held)
        if status not in (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING):
            active.update(held)
    return sum(active.values()), sum(every.values()) - sum(active.values())
