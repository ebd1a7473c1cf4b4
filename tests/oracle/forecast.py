"""A replay of the future once more, slowly: one push after the other, sets of blobs, the slow evaluator.

It takes the weeks that a replay draws as given, and everything else from the description of the images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from analyzer.lifecycle.policy import Policy
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome
from tests.oracle.lifecycle import Image, evaluate_repository

_ARCHIVED = {ImageStatus.ARCHIVED, ImageStatus.ACTIVATING}
WEEK_MS = 7 * 86_400_000
MONTH_ENDS = (0, 4, 9, 13, 17, 22, 26, 30, 35, 39, 43, 48, 52)


@dataclass
class Simulated:
    """An image of a replay: of today (week -1), or pushed again in a week to come."""

    image: Image
    source: int
    week: int
    #: (blob, week in which it came to the repository, -1 for the very blob of today), and for the group.
    blobs: frozenset[tuple[int, int]]
    shared: frozenset[tuple[int, int]]
    tags: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Repository:
    """One repository with what each image holds, in the same order."""

    images: Sequence[Image]
    blobs: Sequence[frozenset[int]]
    group: int
    policy: Policy | None
    #: Source of each week to come and the week in which its run began; empty where nothing is known.
    source: Sequence[int]
    start: Sequence[int]


@dataclass(frozen=True)
class Totals:
    """At one moment, by repository and by group."""

    artifacts: list[int]
    standard: list[int]
    archive: list[int]
    group_standard: dict[int, int]
    group_archive: dict[int, int]


def replay(
    repositories: Sequence[Repository], sizes: Mapping[int, int], moves: Sequence[str], at_ms: int
) -> list[Totals]:
    """What is held at the end of each month, and now."""
    born_in_group: dict[tuple[int, int], int | None] = {}
    for repository in repositories:
        for blob in {blob for blobs in repository.blobs for blob in blobs}:
            key = repository.group, blob
            for other in repositories:
                if other.group == repository.group:
                    _earliest(born_in_group, key, _births(other, blob))
    worlds = [_future(repository, born_in_group, moves, at_ms) for repository in repositories]
    found = [_totals([[one for one in world if one.week < 0] for world in worlds], repositories, sizes)]
    for end in MONTH_ENDS[1:]:
        now_ms = at_ms + end * WEEK_MS
        for number, repository in enumerate(repositories):
            there = [one for one in worlds[number] if one.week < end]
            later = [one for one in worlds[number] if one.week >= end]
            worlds[number] = _judged(there, repository.policy, now_ms) + later
        found.append(
            _totals([[one for one in world if one.week < end] for world in worlds], repositories, sizes)
        )
    return found


def _births(repository: Repository, blob: int) -> list[int | None]:
    return [
        image.pushed_at_ms
        for image, blobs in zip(repository.images, repository.blobs, strict=True)
        if blob in blobs
    ]


def _earliest(
    born: dict[tuple[int, int], int | None], key: tuple[int, int], moments: Sequence[int | None]
) -> None:
    for moment in moments:
        if key not in born:
            born[key] = moment
        elif moment is None or born[key] is None:
            born[key] = None
        else:
            born[key] = min(moment, born[key] or moment)


def _weeks_ago(moment: int | None, at_ms: int) -> int | None:
    return None if moment is None else max(at_ms - moment, 0) // WEEK_MS


def _future(
    repository: Repository,
    born_in_group: Mapping[tuple[int, int], int | None],
    moves: Sequence[str],
    at_ms: int,
) -> list[Simulated]:
    """Everything that is there or will be pushed; tags know until when they stay."""
    born: dict[tuple[int, int], int | None] = {}
    for blob in {blob for blobs in repository.blobs for blob in blobs}:
        _earliest(born, (0, blob), _births(repository, blob))
    ago = [_weeks_ago(image.pushed_at_ms, at_ms) for image in repository.images]
    known = {image.digest: number for number, image in enumerate(repository.images)}
    world = [
        Simulated(
            image,
            number,
            -1,
            frozenset((blob, -1) for blob in repository.blobs[number]),
            frozenset((blob, -1) for blob in repository.blobs[number]),
        )
        for number, image in enumerate(repository.images)
    ]
    for week, source in enumerate(repository.source):
        for number, image in enumerate(repository.images):
            if ago[number] != source or image.pushed_at_ms is None:
                continue

            def again(digest: str, week: int = week, source: int = source) -> str:
                """What a relative is called in this week."""
                if digest not in known:
                    return digest
                other = ago[known[digest]]
                then = None if other is None else week - (other - source)
                starts = repository.start
                if then is not None and 0 <= then < len(starts) and starts[then] == starts[week]:
                    return f"{digest}@{then}"
                return digest

            def version(moment: int | None, week: int = week, source: int = source) -> int:
                came = _weeks_ago(moment, at_ms)
                then = None if came is None else week - (came - source)
                return -1 if then is None or then < repository.start[week] else then

            pushed = image.pushed_at_ms + (source + week + 1) * WEEK_MS
            after = None if image.last_pull_ms is None else image.last_pull_ms - image.pushed_at_ms
            clone = Image(
                digest=f"{image.digest}@{week}",
                tags=image.tags,
                pushed_at_ms=pushed,
                last_pull_ms=None if after is None else pushed + after,
                children=tuple(map(again, image.children)),
                subject=None if image.subject is None else again(image.subject),
            )
            blobs = repository.blobs[number]
            world.append(
                Simulated(
                    clone,
                    number,
                    week,
                    frozenset((blob, version(born[0, blob])) for blob in blobs),
                    frozenset((blob, version(born_in_group[repository.group, blob])) for blob in blobs),
                )
            )
    for one in world:
        for tag in one.image.tags:
            later = [
                other.image.pushed_at_ms
                for other in world
                if other is not one
                and tag in other.image.tags
                and (other.week, other.image.pushed_at_ms or 0) > (one.week, one.image.pushed_at_ms or 0)
                and other.image.pushed_at_ms is not None
            ]
            one.tags[tag] = min(later, default=None) if tag in moves else None
    return world


def _judged(there: list[Simulated], policy: Policy | None, now_ms: int) -> list[Simulated]:
    images = [
        replace(
            one.image,
            tags=frozenset(tag for tag, until in one.tags.items() if until is None or until > now_ms),
        )
        for one in there
    ]
    kept = []
    for one, verdict in zip(there, evaluate_repository(images, policy, now_ms), strict=True):
        if verdict.outcome is Outcome.EXPIRED:
            continue
        if verdict.outcome is Outcome.TRANSITIONED:
            one.image = replace(one.image, status=ImageStatus.ARCHIVED, archived_at_ms=now_ms)
        kept.append(one)
    return kept


def _totals(
    worlds: Sequence[Sequence[Simulated]], repositories: Sequence[Repository], sizes: Mapping[int, int]
) -> Totals:
    def weigh(holders: Sequence[tuple[Simulated, frozenset[tuple[int, int]]]]) -> tuple[int, int]:
        everything = {blob for _, blobs in holders for blob in blobs}
        active = {blob for one, blobs in holders for blob in blobs if one.image.status not in _ARCHIVED}
        standard = sum(sizes[blob] for blob, _ in active)
        return standard, sum(sizes[blob] for blob, _ in everything) - standard

    own = [weigh([(one, one.blobs) for one in world]) for world in worlds]
    groups: dict[int, list[tuple[Simulated, frozenset[tuple[int, int]]]]] = {}
    for world, repository in zip(worlds, repositories, strict=True):
        groups.setdefault(repository.group, []).extend((one, one.shared) for one in world)
    shared = {group: weigh(holders) for group, holders in groups.items()}
    return Totals(
        artifacts=[len(world) for world in worlds],
        standard=[standard for standard, _ in own],
        archive=[archive for _, archive in own],
        group_standard={group: standard for group, (standard, _) in shared.items()},
        group_archive={group: archive for group, (_, archive) in shared.items()},
    )
