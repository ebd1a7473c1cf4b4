"""The search for policies against every policy of the same grammar, and against the slow needed set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from hypothesis import given

from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.needed import Needs, find_needs
from analyzer.lifecycle.recommend import policy_of
from analyzer.lifecycle.recommend_search import Search
from analyzer.lifecycle.recommend_view import Fleet, View
from analyzer.model.frames import Frames, Int64
from analyzer.model.recommendation import RecommendOptions
from analyzer.model.records import Kind
from tests.oracle import recommendation as oracle
from tests.oracle.lifecycle import DAY_MS, Image
from tests.strategies.lifecycle import NOW_MS, World, arrays_of
from tests.strategies.policies import RANDOMS
from tests.support.examples import examples

#: Tags of a few families, told apart as a person would.
_FAMILIES = {
    "v1.0": "release",
    "v1.1": "release",
    "v2.0": "release",
    "1.0-alpine": "alpine",
    "1.1-alpine": "alpine",
    "main-3f2a9c1": "branches",
    "main-4d5e6f7": "branches",
    "fix-1a2b3c4": "branches",
    "latest": "latest",
    "prod": "prod",
    "2026-01-31": "dates",
    "2026-02-01": "dates",
    "c0ffee1": "hashes",
    "17": "builds",
    "odd": "others",
}
_DIGESTS = [f"sha256:{(letter + str(number)) * 32}" for number, letter in enumerate("abcdefa")]
_BLOBS = 8
_FIRST_BLOB = 100
_DAYS = range(1, 16)


@dataclass(frozen=True)
class _Case:
    world: World
    images: Sequence[Image]
    options: RecommendOptions
    in_use: frozenset[str]

    @property
    def asked(self) -> oracle.Asked:
        return oracle.Asked(
            NOW_MS, self.options.keep_releases, self.options.pulled_within_days, self.options.margin_days
        )

    @property
    def need(self) -> oracle.Need:
        return oracle.needed_slowly(self.images, _FAMILIES | _beside(self.images), self.in_use, self.asked)

    def needs(self, evaluator: Evaluator) -> Needs:
        """The same as arrays."""
        world = self.world
        return find_needs(
            world.frames,
            world.facts,
            world.families,
            evaluator.census,
            self.options,
            usage=None,
            protected=np.array([image.digest in self.in_use for image in world.images], np.bool_),
            digest_ids=self.digest_ids,
        )

    def digest_ids(self, digests: Sequence[str]) -> Int64:
        known = {
            image.digest: int(number)
            for image, number in zip(
                self.world.images, self.world.frames.artifacts.digest_id.tolist(), strict=True
            )
        }
        return np.array([known.get(digest, -1) for digest in digests], np.int64)

    def blobs_of(self) -> dict[str, dict[int, int]]:
        frames = self.world.frames
        found = {}
        for image, manifest in zip(self.world.images, frames.artifacts.manifest.tolist(), strict=True):
            at = slice(*frames.manifests.blob_offsets[manifest : manifest + 2].tolist())
            blobs = frames.manifests.blobs[at].tolist()
            found[image.digest] = {blob: int(frames.blob_size_bytes[blob]) for blob in blobs}
        return found


def _beside(images: Sequence[Image]) -> dict[str, str]:
    return {tag: "signatures" for image in images for tag in image.tags if tag.startswith("sha256-")}


def _draw(rng: Random, *, most: int, tags: Sequence[str]) -> _Case:
    digests = _DIGESTS[: 2 + rng.randrange(most - 1)]
    images = []
    few_tags = rng.sample(list(tags), min(len(tags), 4))
    free = list(few_tags)
    for number, digest in enumerate(digests):
        carried = {tag for tag in free if rng.random() < 0.3}
        # A tag is on one image of a repository.
        free = [tag for tag in free if tag not in carried]
        if rng.random() < 0.1:
            carried.add(f"sha256-{rng.choice(digests)[7:]}.sig")
            free = [tag for tag in free if tag not in carried]
        others = [other for other in digests if other != digest]
        # A digest is that of the manifest's text, so no index can name what names it.
        later = digests[number + 1 :]
        index, refers = rng.random() < 0.25 and later, rng.random() < 0.12
        images.append(
            Image(
                digest=digest,
                tags=frozenset(carried),
                pushed_at_ms=None if rng.random() < 0.05 else NOW_MS - rng.randrange(20) * DAY_MS // 2,
                last_pull_ms=NOW_MS - rng.randrange(10) * DAY_MS if rng.random() < 0.25 else None,
                children=tuple(rng.sample(later, min(len(later), rng.randrange(1, 3)))) if index else (),
                subject=rng.choice(others) if refers and not index else None,
            )
        )
    images = [
        replace(image, tags=image.tags - {tag for other in images[:number] for tag in other.tags})
        for number, image in enumerate(images)
    ]
    world = arrays_of([images])
    world = replace(world, frames=_with_blobs(rng, world))
    options = RecommendOptions(
        keep_releases=rng.choice((1, 2)),
        pulled_within_days=rng.choice((1, 3, 5)),
        margin_days=rng.choice((0, 0, 2, 4)),
        loss=0.0,
        age_rules=rng.random() < 0.5,
    )
    in_use = frozenset(digest for digest in digests if rng.random() < 0.12)
    # What is given as protected comes with the children of indexes.
    return _Case(world, images, options, in_use)


def _with_blobs(rng: Random, world: World) -> Frames:
    frames = world.frames
    blobs: list[int] = []
    offsets = [0]
    for kind in frames.manifests.kind.tolist():
        if kind != Kind.INDEX:
            blobs += [_FIRST_BLOB + rng.randrange(_BLOBS) for _ in range(rng.randrange(4))]
        offsets.append(len(blobs))
    sizes = np.zeros(_FIRST_BLOB + _BLOBS, np.int64)
    sizes[_FIRST_BLOB:] = [rng.choice((1, 7, 100, 2**33)) for _ in range(_BLOBS)]
    manifests = replace(
        frames.manifests,
        blob_offsets=np.array(offsets, np.int64),
        blobs=np.array(blobs, np.uint32),
        foreign=np.zeros(len(blobs), np.bool_),
    )
    return replace(frames, manifests=manifests, blob_size_bytes=sizes)


@examples(60)
@given(RANDOMS)
def test_needed_images_are_those_of_the_slow_recount(rng: Random) -> None:
    case = _draw(rng, most=7, tags=list(_FAMILIES))
    evaluator = _evaluator(case)
    needs = case.needs(evaluator)
    slow = case.need
    digests = [image.digest for image in case.world.images]
    assert {digest for digest, one in zip(digests, needs.needed, strict=True) if one} == slow.needed
    assert {digest for digest, one in zip(digests, needs.lasting, strict=True) if one} == slow.lasting


@examples(15)
@given(RANDOMS)
def test_the_policy_found_frees_as_much_as_the_best_of_all_that_are_safe(rng: Random) -> None:
    case = _draw(rng, most=5, tags=list(_FAMILIES))
    evaluator = _evaluator(case)
    view = View(_fleet(case, evaluator), 0, least_untagged_days=case.options.pulled_within_days)
    _, selectors = view.families()
    selectors = selectors[:2]
    found = Search(view, margin_days=case.options.margin_days, age_rules=case.options.age_rules).best(
        selectors, 0.0
    )
    grammar = oracle.Grammar(
        patterns=[selector.pattern for selector in selectors],
        pure={selector.pattern for selector in selectors if selector.is_pure},
        most_images=(1 + case.options.margin_days) * (len(case.images) + 1),
        days=_DAYS,
        age_rules=case.options.age_rules,
    )
    best = oracle.most_freed(case.images, case.blobs_of(), case.need, case.asked, grammar)
    policy = policy_of(found.settings)
    gone = oracle.taken(case.images, policy, NOW_MS)
    assert oracle.freed(case.blobs_of(), gone) == found.freed == found.most_freed == best
    assert not gone & case.need.needed


def _evaluator(case: _Case) -> Evaluator:
    return Evaluator(case.world.frames, case.world.facts, case.world.families, now_ms=NOW_MS)


def _fleet(case: _Case, evaluator: Evaluator) -> Fleet:
    world = case.world
    return Fleet(
        world.frames, world.facts, world.families, evaluator.census, case.needs(evaluator), case.options
    )
