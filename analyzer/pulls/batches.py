"""What files hold, put together into batches for the store: here pullers get their regions."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np

from analyzer.model.pull_batches import PullColumns
from analyzer.model.pulls import Origin, Puller, Target
from analyzer.pulls.files import Extract


def columns_of(extracts: Iterable[Extract], origin: Origin) -> PullColumns:
    """The rows of ``extracts`` as one. What told where a puller is gets lost here."""
    targets: dict[Target, int] = {}
    pullers: dict[Puller, int] = {}
    columns: list[tuple[np.ndarray[Any, Any], ...]] = [_columns(Extract(), targets, pullers, origin)]
    columns += [_columns(extract, targets, pullers, origin) for extract in extracts]
    days, events, joints, sides, target, puller = (
        np.concatenate(parts) for parts in zip(*columns, strict=True)
    )
    return PullColumns(days, events, joints, sides, target, puller, tuple(targets), tuple(pullers))


def _columns(
    extract: Extract, targets: dict[Target, int], pullers: dict[Puller, int], origin: Origin
) -> tuple[np.ndarray[Any, Any], ...]:
    target = [targets.setdefault(name, len(targets)) for name in extract.targets]
    puller = []
    for hints in extract.hints:
        told = origin.tell(hints)
        name = Puller(hints.principal_account, hints.principal, *told)
        puller.append(pullers.setdefault(name, len(pullers)))
    return (
        _array(extract.days, np.int32),
        _array(extract.events, np.uint64),
        _array(extract.joints, np.uint64),
        _array(extract.sides, np.uint8),
        np.array(target, np.int32)[_array(extract.target, np.int32)],
        np.array(puller, np.int32)[_array(extract.hint, np.int32)],
    )


def _array(column: array[int], kind: type[Any]) -> np.ndarray[Any, Any]:
    return np.frombuffer(column, kind) if column else np.zeros(0, kind)
