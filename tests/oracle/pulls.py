"""Pulls counted the obvious way: all records at once, a dictionary of what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from analyzer.model.pulls import LeftOut, Origin
from analyzer.pulls.records import PullFacts, Side


def count_pulls(
    records: Iterable[Mapping[str, Any]],
    facts_of: Callable[[Mapping[str, Any]], PullFacts | None],
    origin: Origin,
) -> Counter[tuple[Any, ...]]:
    """The rows of a history without their times, and the times."""
    calls: dict[tuple[bool, str], dict[Side, PullFacts]] = {}
    for record in records:
        facts = facts_of(record)
        if facts is not None:
            calls.setdefault((facts.side is Side.ALONE, facts.event), {}).setdefault(facts.side, facts)
    counts: Counter[tuple[Any, ...]] = Counter()
    for copies in calls.values():
        if Side.ALONE in copies:
            _count(counts, copies[Side.ALONE], [copies[Side.ALONE]], origin)
            continue
        # The owner's copy is believed, the puller's tells who it was.
        sides = [side for side in (Side.OWNER, Side.PULLER, Side.OTHER) if side in copies]
        readable = [side for side in sides if copies[side].targets[0].kind is not LeftOut.UNREADABLE]
        believed = copies[(readable or sides)[0]]
        informed = [copies[side] for side in (Side.PULLER, Side.OWNER, Side.OTHER) if side in copies]
        _count(counts, believed, informed, origin)
    return counts


def _count(
    counts: Counter[tuple[Any, ...]], believed: PullFacts, informed: list[PullFacts], origin: Origin
) -> None:
    failed = believed.targets[0].kind is LeftOut.ERROR
    reasons = [facts.targets[0].kind for facts in informed if isinstance(facts.targets[0].kind, LeftOut)]
    by_identity = [kind for kind in reasons if kind not in {LeftOut.ERROR, LeftOut.UNREADABLE}]
    named = next((facts.hints for facts in informed if facts.hints.principal), informed[0].hints)
    tellings = [origin.tell(facts.hints) for facts in informed]
    told = next((told for told in tellings if told.region), tellings[0])
    for target in believed.targets:
        if by_identity and not failed:
            counts[believed.day, target.account, target.region, by_identity[0]] += 1
        elif isinstance(target.kind, LeftOut):
            counts[believed.day, target.account, target.region, target.kind] += 1
        else:
            who = (named.principal_account, named.principal)
            counts[(believed.day, *target, *who, *told)] += 1
