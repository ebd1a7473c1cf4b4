"""Simulated registries against a replay that goes push by push."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from analyzer.families import IMAGE, REFERRER
from analyzer.forecast.atoms import find_atoms
from analyzer.forecast.draws import Draws
from analyzer.forecast.record import WEEK_MS, record_of_present
from analyzer.forecast.worlds import World
from analyzer.holdings import sharing_groups
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64
from tests.oracle.forecast import Repository, replay
from tests.strategies.lifecycle import NOW_MS, images_of
from tests.strategies.simulation import draw_simulation, policies_of

_WEEKS = 6
_REPLAYS = 2


@pytest.mark.parametrize("seed", range(24))
def test_any_world_holds_what_pushes_one_by_one_leave(seed: int) -> None:
    rng = Random(seed)
    case = draw_simulation(rng)
    world = case.world
    count = len(world.images)
    # Tens of milliseconds apart in every week, so that no two are pushed at the same moment.
    pushed = np.array(
        [
            NO_TIME
            if rng.random() < 0.1
            else NOW_MS - rng.randrange(_WEEKS + 2) * WEEK_MS - n * 1_000_000 - rng.randrange(900_000)
            for n in range(count)
        ],
        np.int64,
    )
    sizes = np.arange(len(world.frames.blob_size_bytes)) ** 2
    frames = replace(
        world.frames,
        artifacts=replace(world.frames.artifacts, pushed_at_ms=pushed),
        blob_size_bytes=sizes,
    )
    world = replace(world, frames=frames)
    rows = len(frames.repositories)
    weeks = np.array([rng.choice((0, 1, 2, _WEEKS)) for _ in range(rows)], np.int64)
    record = record_of_present(
        frames, world.facts, world.families, at_ms=NOW_MS, may_have_lost=np.zeros(rows, np.bool_)
    )
    record = replace(record, weeks=weeks)
    draws = Draws(np.random.default_rng(seed), weeks=_WEEKS, replays=_REPLAYS)
    group, _ = sharing_groups(frames)
    chosen = np.arange(rows)
    made = World(
        record,
        world.facts,
        frames.artifacts.image_status,
        find_atoms(record, group, chosen, at_ms=NOW_MS),
        draws,
        chosen=chosen,
        group=group,
        at_ms=NOW_MS,
    )
    proposal = case.in_force
    held = made.holdings(proposal.policies, proposal.policy_of)

    names = [image.digest for image in world.images]
    described = images_of(world, names)
    blobs = _blobs(frames, np.isin(world.families.kind, (IMAGE, REFERRER)))
    at = 0
    for number in range(_REPLAYS):
        repositories = []
        at = 0
        for row, images in enumerate(described):
            drawn = draws.of(int(weeks[row])) if weeks[row] else None
            repositories.append(
                Repository(
                    images=images,
                    blobs=blobs[at : at + len(images)],
                    group=int(group[row]),
                    policy=policies_of(proposal)[row],
                    source=() if drawn is None else drawn[0][number].tolist(),
                    start=() if drawn is None else drawn[1][number].tolist(),
                )
            )
            at += len(images)
        moves = [name for name, moves in zip(record.tag_names, record.moves, strict=True) if moves]
        expected = replay(repositories, dict(enumerate(sizes.tolist())), moves, NOW_MS)
        for step, totals in enumerate(expected):
            assert held.artifacts[step, number].tolist() == totals.artifacts
            assert held.standard_repository[step, number].tolist() == totals.standard
            assert held.archive_repository[step, number].tolist() == totals.archive
            for column, key in enumerate(made.groups.tolist()):
                assert held.standard_registry[step, number, column] == totals.group_standard[key]
                assert held.archive_registry[step, number, column] == totals.group_archive[key]
    assert at == count


def _blobs(frames: Frames, holds: Bools) -> list[frozenset[int]]:
    manifests = frames.manifests
    found = []
    for position, manifest in enumerate(frames.artifacts.manifest.tolist()):
        held: list[int] = []
        if holds[position]:
            span: slice[int, int, None] = slice(*manifests.blob_offsets[manifest : manifest + 2].tolist())
            stored: Int64 = manifests.blobs[span][~manifests.foreign[span]].astype(np.int64)
            held = stored.tolist()
        found.append(frozenset(held))
    return found
