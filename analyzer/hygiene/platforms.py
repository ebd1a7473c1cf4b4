"""For which platform each image is, and which images are none that a node would run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.model.frames import Bools, Frames, IndexChildren, Int32

#: The platform under which BuildKit puts attestations beside the images of an index (BuildKit, "Image
#: attestation storage").
ATTESTATION = "unknown/unknown"


@dataclass(frozen=True, slots=True)
class Platforms:
    """Per artifact of some frames: what indexes say of it."""

    #: Position in ``names``, or -1 where no index that was ever read says it.
    platform: Int32
    #: ``os/architecture[/variant]``.
    names: tuple[str, ...]
    #: Whether some index that was ever read has it as a child, be that one here, elsewhere or gone.
    is_child: Bools
    is_attestation: Bools


def find_platforms(frames: Frames, children: IndexChildren) -> Platforms:
    """What ``children`` say of the artifacts of ``frames``.

    A digest that indexes name under several platforms is for the first of them by name.
    """
    digests = frames.artifacts.digest_id
    names = tuple(sorted(set(children.names)))
    rank = np.array([names.index(name) for name in children.names], np.int32)
    told = children.platform >= 0
    # The last entry stands for what says no platform.
    platform = np.append(rank, len(names)).astype(np.int32)[np.where(told, children.platform, len(rank))]
    order = np.lexsort((platform, children.child))
    child, platform = children.child[order], platform[order]
    at = np.searchsorted(child, digests)
    inside = np.minimum(at, max(0, len(child) - 1))
    is_child: Bools = child[inside] == digests if len(child) else np.zeros(len(digests), np.bool_)
    found = np.full(len(digests), -1, np.int32)
    said = platform[inside[is_child]] if len(child) else np.zeros(0, np.int32)
    found[is_child] = np.where(said == len(names), -1, said)
    nobody = names.index(ATTESTATION) if ATTESTATION in names else len(names)
    return Platforms(found, names, is_child, is_child & (found == nobody))
