"""Usage for tests that are not about finding it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyzer.model.frames import Bools
from analyzer.model.records import UseKind
from analyzer.model.usage import LISTED, UNUSED, MissingUse, Unresolved, Usage, Use, UseTexts, Workloads

PLACE = ("111111111111", "eu-west-1")


def usage_of(users: Sequence[Sequence[Use]], missing: Sequence[tuple[str, Sequence[Use]]] = ()) -> Usage:
    """Who uses each artifact, by position, strongest kind first; all in ``PLACE``, or on a list."""
    given = [use for of_one in (*users, *(of_one for _, of_one in missing)) for use in of_one]
    stored = [use for use in given if use.source != "list"]
    listed = [use for use in given if use.source == "list"]
    ordered = [*stored, *listed]
    at = {id(use): n for n, use in enumerate(ordered)}
    sources = sorted({use.source for use in stored})
    kinds = [LISTED if use.source == "list" else int(UseKind[use.kind.upper()]) for use in ordered]
    pairs = [(position, at[id(use)]) for position, of_one in enumerate(users) for use in of_one]
    number = len(ordered)
    return Usage(
        kind=np.array([min((kinds[at[id(use)]] for use in of), default=UNUSED) for of in users], np.uint8),
        possibly=np.zeros(len(users), np.bool_),
        reached=np.array([position for position, _ in pairs], np.int64),
        reached_by=np.array([use for _, use in pairs], np.int64),
        user_offsets=np.arange(number + 1),
        users=np.arange(number),
        is_whole=np.zeros(number, np.bool_),
        use_kind=np.array(kinds, np.uint8),
        owner=np.arange(number),
        uses=UseTexts(
            Workloads(
                place=np.zeros(len(stored), np.int32),
                source=np.array([sources.index(use.source) for use in stored], np.int32),
                workload=np.arange(len(stored), dtype=np.int32),
                reference=np.arange(len(stored), dtype=np.int32),
                kind=np.array(kinds[: len(stored)], np.uint8),
                sources=sources,
                names=[use.workload for use in stored],
                references=[use.reference for use in stored],
                reads=(),
            ),
            [PLACE],
            [use.reference for use in listed],
        ),
        missing=tuple(
            MissingUse(reference, of_one[0].kind, tuple(at[id(use)] for use in of_one))
            for reference, of_one in missing
        ),
        unresolved=Unresolved(),
    )


def use(workload: str, kind: str = "running", source: str = "ecs", reference: str = "app:v1") -> Use:
    """A use in ``PLACE``; a new object each time."""
    return Use(source, *PLACE, workload, kind, reference)


def listed(mask: Bools) -> Usage:
    """Artifacts that a list names."""
    on_list = [[Use("list", "", "", "", "listed", f"app:v{n}")] if one else [] for n, one in enumerate(mask)]
    return usage_of(on_list)
