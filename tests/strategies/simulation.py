"""Random what-if questions: the registries of ``strategies.lifecycle`` with bytes, places and prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from analyzer.families import find_families
from analyzer.lifecycle.evaluation import Options
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass, TagStatus
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64
from analyzer.model.records import Kind
from analyzer.model.simulation import Simulation
from analyzer.model.units import GB, ScopeChoice
from analyzer.pricing import Discount, PriceBook, RetrievalPrice, StoragePrice, Tier
from analyzer.pricing import StorageClass as PricedClass
from analyzer.simulation import Proposal, WhatIf, simulate
from tests.oracle import simulation as oracle
from tests.strategies.lifecycle import NOW_MS, World, draw_world
from tests.strategies.policies import RANDOMS, Maker, PolicyMaker

#: Small enough that sums of a few cross a tier, and such as neither int32 nor float64 can hold.
_SIZES = (0, 1, 7, GB // 3, GB, GB + 1, 2 * GB, 3 * GB - 1, 2**31, 2**53 + 1)
#: One that both classes have prices in, one without a price for the archive, one without any, and none.
_REGIONS = ("eu-west-1", "us-east-1", "xx-nowhere-1", "")
_BLOBS = 10


@dataclass(frozen=True)
class SimulationCase:
    """A question with everything that it is about."""

    world: World
    question: WhatIf
    prices: PriceBook
    #: Of every repository, whatever the question is about.
    in_force: Proposal

    @property
    def frames(self) -> Frames:
        return self.world.frames

    @property
    def oracle_world(self) -> oracle.World:
        """The same for the slow twin."""
        question = self.question
        return oracle.World(
            frames=self.frames,
            repositories=self.world.repositories,
            rows=question.rows.tolist(),
            now_ms=question.at_ms,
            prices=self.prices,
            scope=question.scope,
            children_take_slots=question.options.children_take_slots,
            in_use=_positions(question.in_use),
            protected=_positions(question.protected),
        )

    def judged(self, proposal: Proposal) -> oracle.Judged:
        """What the slow twin says of ``proposal``."""
        return oracle.Judged(self.oracle_world, policies_of(proposal))

    def simulated(self, **changes: Any) -> Simulation:
        """What the simulator says, of the question with ``changes``."""
        world = self.world
        return simulate(
            replace(self.question, **changes),
            world.frames,
            world.facts,
            world.families,
            self.prices,
            digests=self.digests,
            in_force=self.in_force,
        )

    def digests(self, positions: Int64) -> list[str]:
        images = self.world.images
        return [images[position].digest for position in positions.tolist()]


def policies_of(proposal: Proposal) -> list[Policy | None]:
    """The policy of each row of repositories."""
    return [proposal.policies[number] if number >= 0 else None for number in proposal.policy_of.tolist()]


def _positions(mask: Bools | None) -> frozenset[int]:
    return frozenset() if mask is None else frozenset(np.flatnonzero(mask).tolist())


class _Maker(Maker):
    def case(self) -> SimulationCase:
        world = draw_world(self.rng)
        manifests = self._manifests(world.frames)
        world = replace(
            world,
            frames=replace(
                world.frames,
                manifests=manifests,
                blob_size_bytes=self._sizes(world.frames),
                registries=self._registries(world.frames),
                repositories=self._repositories(world.frames),
            ),
            facts=replace(world.facts, tie=_ties(world)),
        )
        # Blobs are no relations, and a manifest without any is an image all the same.
        assert np.array_equal(find_families(world.frames).kind, world.families.kind)
        rows = len(world.repositories)
        # Mostly all of them; now and then none at all.
        asked = [row for row in range(rows) if self.number(4)] if self.number(2) else range(rows)
        count = len(world.images)
        in_force = self._proposal("live", world)
        frames = world.frames
        texts = ['{"rules": []}' if one is not None else None for one in policies_of(in_force)]
        # As a text column pandas would turn None, no policy, into NaN.
        frames.repositories["lifecycle_policy_text"] = pd.Series(texts, dtype=object)
        question = WhatIf(
            proposals=[self._proposal(f"{number}.json", world) for number in range(1 + self.number(2))],
            rows=np.array(asked, np.int64),
            at_ms=NOW_MS,
            scope=self.one(_SCOPES),
            options=Options(children_take_slots=bool(self.number(4))),
            against=in_force if self.number(2) else None,
            not_in_force={
                row: "not read" for row, policy in enumerate(texts) if policy is None and self.number(2)
            },
            in_use=self._mask(count),
            protected=self._mask(count),
        )
        return SimulationCase(world, question, self.prices(), in_force)

    def _mask(self, count: int) -> Bools | None:
        return np.array([self.chance(30) for _ in range(count)], np.bool_) if self.number(3) else None

    def _proposal(self, name: str, world: World) -> Proposal:
        rows = len(world.repositories)
        policies = [self._policy(world) for _ in range(self.one((1, 1, 2)))]
        policy_of = [self.one((*range(len(policies)), 0, 0, -1)) for _ in range(rows)]
        return Proposal(
            name=name,
            policies=policies,
            texts=[f"{name} {number}" for number in range(len(policies))],
            policy_of=np.array(policy_of, np.int64),
        )

    def _policy(self, world: World) -> Policy:
        """One that fits the tags there, or one of few rules under which much goes."""
        if self.number(2):
            maker = PolicyMaker(self.rng)
            tags = sorted({tag for image in world.images for tag in image.tags})
            maker.tags = tags or maker.tags
            return maker.policy()
        drastic = [rule for rule in _DRASTIC if self.number(3)] or list(_DRASTIC[:1])
        rules = [*drastic, self.one(_LAST)]
        return Policy(tuple(replace(rule, priority=number) for number, rule in enumerate(rules, start=1)))

    def _manifests(self, frames: Frames) -> Any:
        """The manifests of ``frames`` with blobs, of which many are shared."""
        first = len(frames.blob_size_bytes)
        blobs: list[int] = []
        offsets = [0]
        for kind in frames.manifests.kind.tolist():
            if kind != Kind.INDEX:
                # Nobody counts those of a manifest that could not be read.
                blobs += [first + self.number(_BLOBS) for _ in range(self.number(4))]
            offsets.append(len(blobs))
        foreign = [self.chance(10) for _ in blobs]
        return replace(
            frames.manifests,
            blob_offsets=np.array(offsets, np.int64),
            blobs=np.array(blobs, np.uint32),
            foreign=np.array(foreign, np.bool_),
        )

    def _sizes(self, frames: Frames) -> Int64:
        sizes = np.array([self.one(_SIZES) for _ in range(_BLOBS)], np.int64)
        return np.concatenate((frames.blob_size_bytes, sizes))

    def _registries(self, frames: Frames) -> Any:
        registries = frames.registries.copy()
        count = len(registries)
        registries["region"] = [self.one((*_REGIONS[:1] * 3, *_REGIONS)) for _ in range(count)]
        registries["blob_mounting_ever"] = np.array([bool(self.number(2)) for _ in range(count)], np.bool_)
        return registries

    def _repositories(self, frames: Frames) -> Any:
        repositories = frames.repositories.copy()
        count = len(repositories)
        encryptions = self.one((("AES256",), ("AES256", "KMS")))
        # One name in two registries may be a replica.
        repositories["repository"] = [self.one(("app", "web", "")) for _ in range(count)]
        repositories["encryption_type"] = [self.one(encryptions) for _ in range(count)]
        repositories["pull_through_cache"] = np.array([self.chance(10) for _ in range(count)], np.bool_)
        repositories["complete_at_ms"] = np.array(
            [NO_TIME if self.chance(10) else 0 for _ in range(count)], np.int64
        )
        repositories["lifecycle_policy_known"] = np.array(
            [not self.chance(20) for _ in range(count)], np.bool_
        )
        return repositories

    def prices(self) -> PriceBook:
        """Prices whose tiers a few blobs fill; most are cheaper the more there is, some dearer."""
        rows: list[tuple[str, PricedClass]] = [("eu-west-1", "standard"), ("eu-west-1", "archive")]
        if self.number(4):
            rows.append(("us-east-1", "standard"))
        discounts = (Discount(region="eu-west-1", storage_class="archive", factor=Decimal("0.7")),)
        return PriceBook(
            storage=tuple(
                StoragePrice(
                    region=region,
                    storage_class=storage_class,
                    tiers=self._tiers(),
                    as_of="2026-11",
                    source="made up",
                    confidence="low",
                )
                for region, storage_class in rows
            ),
            retrieval=tuple(
                RetrievalPrice(
                    region=region,
                    usd_per_gb=Decimal("0.03"),
                    as_of="2026-11",
                    source="made up",
                    confidence="low",
                )
                for region in ("eu-west-1",) * self.number(2)
            ),
            discounts=discounts if self.number(2) else (),
        )

    def _tiers(self) -> tuple[Tier, ...]:
        bounds = (0, 1 + self.number(3), 5 + self.number(4))[: 1 + self.number(3)]
        return tuple(Tier(bound, self.one(_PRICES)) for bound in bounds)


_KEEP, _PUSHED = CountType.IMAGE_COUNT_MORE_THAN, CountType.SINCE_IMAGE_PUSHED
_DRASTIC = (
    Rule(
        priority=1,
        tag_status=TagStatus.UNTAGGED,
        count_type=_KEEP,
        count_number=1,
        action=Action.EXPIRE,
        description="untagged",
    ),
    Rule(
        priority=1,
        tag_status=TagStatus.ANY,
        storage_class=StorageClass.ARCHIVE,
        count_type=CountType.SINCE_IMAGE_TRANSITIONED,
        count_number=90,
        action=Action.EXPIRE,
    ),
)
_LAST = tuple(
    Rule(priority=1, tag_status=TagStatus.ANY, count_type=count_type, count_number=number, action=action)
    for count_type, number in ((_KEEP, 1), (_KEEP, 3), (_PUSHED, 1))
    for action in Action
)
_SCOPES: tuple[ScopeChoice, ...] = ("auto", "auto", "repository", "registry")
_PRICES = tuple(map(Decimal, ("0.5", "0.3", "0.1", "0.07", "1.25", "0")))


def _ties(world: World) -> Int64:
    """The order of all digests' text, whether times are equal or not."""
    texts = sorted({image.digest for image in world.images})
    return np.array([texts.index(image.digest) for image in world.images], np.int64)


def draw_simulation(rng: Random) -> SimulationCase:
    """One or two registries, up to two candidates, and which repositories are asked about."""
    return _Maker(rng).case()


def simulation_cases() -> st.SearchStrategy[SimulationCase]:
    """Whole questions, see ``draw_simulation``."""
    return RANDOMS.map(draw_simulation)


def same_everywhere(policy: Policy, rows: int, name: str = "one.json", asked: Sequence[int] = ()) -> Proposal:
    """``policy`` for all of so many repositories, or for those ``asked`` about."""
    policy_of = np.full(rows, -1)
    policy_of[list(asked) or slice(None)] = 0
    return Proposal(name=name, policies=(policy,), texts=(name,), policy_of=policy_of)
