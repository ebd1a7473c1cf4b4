"""Which of the images that were read are in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.families import Families
from analyzer.model.frames import Bools, Frames, LifecycleFacts
from analyzer.references.parsing import ImageReference
from analyzer.references.resolution import DigestIds, Fate, Resolver, take_apart


@dataclass(frozen=True, slots=True)
class InUse:
    """What references name among the artifacts of some frames."""

    #: Per artifact: it is named, or an index that is named has it as a child, at any depth.
    in_use: Bools
    #: Per artifact: not ``in_use``, but an artifact in use of its repository may be an index that
    #: nobody could read, and may have it as a child.
    possibly: Bools
    #: Positions of the artifacts that each reference names; beside the references as given. More
    #: than one where account or region of what was read are not known.
    named: list[tuple[int, ...]]
    #: References to what was read and is not there: they are broken already.
    unmatched: list[ImageReference]
    #: The same in pull-through caches, which fetch it again when it is asked for.
    cached: list[ImageReference]
    #: References to registries, or repositories, that were not read, or not whole.
    elsewhere: list[ImageReference]


def find_in_use(
    references: Sequence[ImageReference],
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    digest_ids: DigestIds,
    *,
    whole_registries: bool = False,
) -> InUse:
    """What ``references`` name in ``frames``; ``digest_ids`` gives the numbers that digests have there.

    A reference names what has its repository's name and its tag (with a digest: the digest) in its
    account and region; an account, region or name that is not known, "", fits any. A digest alone
    names that image in every repository. The alias of a public registry that was read stands for its
    account; what else is not in private ECR is elsewhere, as are aliases that were not read.

    With ``whole_registries`` the frames hold every repository of their registries, so that one which
    is missing in a registry that was read completely does not exist; else it may just not have been
    read. ``digest_ids`` is asked once at most, for all digests together.
    """
    resolver = Resolver(frames, facts, digest_ids, whole_registries=whole_registries)
    resolved = resolver.resolve(take_apart(references))
    cuts = np.searchsorted(resolved.reference, np.arange(1, len(references)))
    named = [tuple(part.tolist()) for part in np.split(resolved.artifact, cuts)][: len(references)]
    of_fate: dict[int, list[ImageReference]] = {fate: [] for fate in Fate}
    for reference, fate in zip(references, resolved.fate.tolist(), strict=True):
        of_fate[fate].append(reference)
    roots = np.zeros(len(frames.artifacts.digest_id), np.bool_)
    roots[resolved.artifact] = True
    in_use = with_children(roots, families)
    possibly = families.possibly_reached(in_use, frames.artifacts.repository)
    return InUse(
        in_use, possibly, named, of_fate[Fate.MISSING], of_fate[Fate.CACHED], of_fate[Fate.ELSEWHERE]
    )


def with_children(chosen: Bools, families: Families) -> Bools:
    """``chosen``, and the children of all indexes among them, at any depth."""
    reached = chosen.copy()
    while True:
        before = np.count_nonzero(reached)
        reached[families.child[reached[families.parent]]] = True
        if np.count_nonzero(reached) == before:
            return reached
