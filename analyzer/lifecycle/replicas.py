"""Which repositories of different registries hold the same images under one name.

Replication copies images to the repository of the same name and leaves policies where they are
(ECR user guide, "Private image replication in Amazon ECR"). It is told by what is there, since its
settings may have changed since, or be another account's.
"""

from __future__ import annotations

import numpy as np

from analyzer.model.frames import Frames, Int64

#: Of the digests of the smaller repository so much must be in the larger one too.
_ALIKE = 0.5


def find_replicas(frames: Frames, rows: Int64) -> dict[int, tuple[int, ...]]:
    """For each of ``rows`` of ``frames.repositories`` that has any: the rows of its replicas, ascending.

    Empty repositories are replicas of none, and neither are those whose name is not known ("").
    """
    of_row = frames.repositories["repository"].tolist()
    namesakes: dict[str, list[int]] = {}
    for row, name in enumerate(of_row):
        if name:
            namesakes.setdefault(name, []).append(row)
    found = {}
    bounds = np.searchsorted(frames.artifacts.repository, np.arange(len(frames.repositories) + 1))
    for row in rows.tolist():
        others = (other for other in namesakes.get(of_row[row], ()) if other != row)
        alike = tuple(other for other in others if are_alike(frames, bounds, row, other))
        if alike:
            found[row] = alike
    return found


def are_alike(frames: Frames, bounds: Int64, one: int, other: int) -> bool:
    """Whether two rows of repositories, of different registries, mostly hold the same digests.

    ``bounds``: of each row the position of its first artifact, and the number of artifacts last.
    """
    registry = frames.repositories["registry"]
    if registry.iloc[one] == registry.iloc[other]:
        # Deleted and made again.
        return False
    mine, theirs = (frames.artifacts.digest_id[bounds[row] : bounds[row + 1]] for row in (one, other))
    smaller = min(len(mine), len(theirs))
    common = len(np.intersect1d(mine, theirs, assume_unique=True))
    return smaller > 0 and common >= _ALIKE * smaller
