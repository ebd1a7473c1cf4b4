"""What a simulation's artifacts are called, column by column: there can be a million of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from analyzer.families import spans
from analyzer.model.frames import Int64, LifecycleFacts
from analyzer.model.records import ImageStatus
from analyzer.model.simulation import Simulation
from analyzer.model.verdicts import Outcome

#: Days in the milliseconds that ages are given in.
DAY_MS: Final = 86_400_000
#: In the words of ECR's lifecycle policy preview.
ACTIONS: Final[Mapping[int, str]] = {Outcome.EXPIRED: "EXPIRE", Outcome.TRANSITIONED: "TRANSITION"}


@dataclass(frozen=True, slots=True)
class Limit:
    """What a rule counts, in the words of policies, and where its limit is."""

    count_type: str
    count_number: int


class Names:
    """The digests of some artifacts, fetched at once."""

    def __init__(self, simulation: Simulation, positions: Int64) -> None:
        """Fetch those at ``positions``, which may repeat."""
        self._positions = np.unique(positions)
        self._digests = list(simulation.digests(self._positions))

    def __call__(self, positions: Int64) -> list[str]:
        """The digests at some of these positions, in their order."""
        return [self._digests[n] for n in np.searchsorted(self._positions, positions).tolist()]


def tags_of(facts: LifecycleFacts, positions: Int64) -> list[list[str]]:
    """The tags of the artifacts at ``positions``, in order of their names."""
    starts = facts.tag_offsets[positions]
    lengths = facts.tag_offsets[positions + 1] - starts
    ids, number = np.unique(facts.tags[spans(starts, lengths)], return_inverse=True)
    names = [facts.tag_names[key] for key in ids.tolist()]
    rank = np.empty(len(names), np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    order = np.lexsort((rank[number], np.repeat(np.arange(len(positions)), lengths)))
    texts = [names[n] for n in number[order].tolist()]
    ends = np.cumsum(lengths)
    return [texts[start:end] for start, end in zip((ends - lengths).tolist(), ends.tolist(), strict=True)]


def moments_of(milliseconds: Int64) -> list[str]:
    """As ``units.iso`` writes them; "" where the time is not known (NO_TIME)."""
    # NO_TIME is numpy's "not a time".
    moments = milliseconds.astype("datetime64[ms]")
    seconds = np.datetime_as_string(moments, unit="s", timezone="UTC").astype(object)
    odd = milliseconds % 1000 != 0
    seconds[odd] = np.datetime_as_string(moments[odd], unit="ms", timezone="UTC")
    seconds[np.isnat(moments)] = ""
    texts: list[str] = seconds.tolist()
    return texts


def storage_classes(simulation: Simulation, positions: Int64) -> list[str]:
    """The class that artifacts are in now: one being restored is archived until that is over."""
    archived = np.isin(
        simulation.frames.artifacts.image_status[positions], (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING)
    )
    return ["ARCHIVE" if one else "STANDARD" for one in archived.tolist()]


@lru_cache(maxsize=64)
def limits_of(policy_text: str) -> Mapping[int, Limit]:
    """The limit of each rule of a valid policy, by its priority."""
    rules: list[dict[str, Any]] = json.loads(policy_text)["rules"]
    return {
        rule["rulePriority"]: Limit(rule["selection"]["countType"], rule["selection"]["countNumber"])
        for rule in rules
    }
