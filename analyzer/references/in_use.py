"""Which of the images that were read are in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.families import Families
from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts
from analyzer.model.records import ReadStatus
from analyzer.references.parsing import ImageReference, RegistryKind


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
    #: References to registries, or repositories, that were not read.
    elsewhere: list[ImageReference]


def find_in_use(
    references: Sequence[ImageReference],
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    digests: Callable[[Int64], list[str]],
    *,
    whole_registries: bool = False,
) -> InUse:
    """What ``references`` name in ``frames``; ``digests`` gives the digests of artifact positions.

    A reference names what has its repository's name and its tag (with a digest: the digest) in its
    account and region; an account, region or name that is not known, "", fits any. A digest alone
    names that image in every repository. What is not in private ECR is elsewhere.

    With ``whole_registries`` the frames hold every repository of their registries, so that one which
    is missing in a registry that was read completely does not exist; else it may just not have been
    read. ``digests`` is asked once at most, for the repositories that a digest is looked for in.
    """
    places = _Places(frames)
    candidates = [places.of(reference) for reference in references]
    named: list[tuple[int, ...]] = [()] * len(references)
    by_digest = [i for i, reference in enumerate(references) if reference.digest is not None]
    by_tag = [i for i, reference in enumerate(references) if reference.digest is None]
    positions = _find_digests(
        [(references[i].digest or "", candidates[i]) for i in by_digest], frames, digests
    )
    positions += _find_tags([(references[i].tag or "", candidates[i]) for i in by_tag], frames, facts)
    for i, found in zip([*by_digest, *by_tag], positions, strict=True):
        named[i] = found

    unmatched: list[ImageReference] = []
    elsewhere: list[ImageReference] = []
    for reference, repositories, found in zip(references, candidates, named, strict=True):
        if found:
            continue
        read = reference.registry is RegistryKind.PRIVATE and (
            bool(repositories) or (whole_registries and places.is_whole(reference))
        )
        (unmatched if read else elsewhere).append(reference)
    roots = np.zeros(len(frames.artifacts.digest_id), np.bool_)
    roots[[position for found in named for position in found]] = True
    in_use = with_children(roots, families)
    possibly = families.possibly_reached(in_use, frames.artifacts.repository)
    return InUse(in_use, possibly, named, unmatched, elsewhere)


def with_children(chosen: Bools, families: Families) -> Bools:
    """``chosen``, and the children of all indexes among them, at any depth."""
    reached = chosen.copy()
    while True:
        before = np.count_nonzero(reached)
        reached[families.child[reached[families.parent]]] = True
        if np.count_nonzero(reached) == before:
            return reached


_NOWHERE: frozenset[int] = frozenset()


class _Places:
    """Finds the repositories that a reference may mean."""

    def __init__(self, frames: Frames) -> None:
        registries = frames.registries
        self._registries = list(
            zip(registries["account"], registries["region"], registries["status"], strict=True)
        )
        self._by_name: dict[str, list[tuple[int, str, str]]] = {}
        names, numbers = frames.repositories["repository"], frames.repositories["registry"]
        for position, (name, number) in enumerate(zip(names, numbers, strict=True)):
            account, region, _ = self._registries[number]
            self._by_name.setdefault(name, []).append((position, account, region))
        self._all = frozenset(range(len(frames.repositories)))
        self._known: dict[tuple[str, str, str], frozenset[int]] = {}

    def of(self, reference: ImageReference) -> frozenset[int]:
        """Positions of those repositories; the same set, not just an equal one, for the same ones."""
        if reference.registry is RegistryKind.NONE:
            return self._all
        if reference.registry is not RegistryKind.PRIVATE:
            return _NOWHERE
        key = (reference.account, reference.region, reference.repository)
        if key not in self._known:
            same_name = [*self._by_name.get("", ()), *self._by_name.get(reference.repository, ())]
            self._known[key] = frozenset(
                position
                for position, account, region in same_name
                if _fits(account, reference.account) and _fits(region, reference.region)
            )
        return self._known[key]

    def is_whole(self, reference: ImageReference) -> bool:
        """Whether all repositories of the registry that ``reference`` names are known."""
        return any(
            account == reference.account and region == reference.region and status == ReadStatus.COMPLETE
            for account, region, status in self._registries
        )


def _fits(one: str, other: str) -> bool:
    return one == other or not one or not other


def _find_digests(
    wanted: Sequence[tuple[str, frozenset[int]]], frames: Frames, digests: Callable[[Int64], list[str]]
) -> list[tuple[int, ...]]:
    """Positions of the artifacts with each wanted digest in its repositories."""
    of_artifact = frames.artifacts.repository
    looked_at = _marked(len(frames.repositories), (repositories for _, repositories in wanted))
    positions = np.flatnonzero(looked_at[of_artifact])
    found: dict[str, list[int]] = {digest: [] for digest, _ in wanted}
    if len(positions):
        for position, digest in zip(positions.tolist(), digests(positions), strict=True):
            if digest in found:
                found[digest].append(position)
    return [
        tuple(position for position in found[digest] if int(of_artifact[position]) in repositories)
        for digest, repositories in wanted
    ]


def _find_tags(
    wanted: Sequence[tuple[str, frozenset[int]]], frames: Frames, facts: LifecycleFacts
) -> list[tuple[int, ...]]:
    """Positions of the artifacts with each wanted tag in its repositories."""
    names = {tag for tag, _ in wanted}
    numbers = {name: number for number, name in enumerate(facts.tag_names) if name in names}
    keys = [
        (repository << 32) | numbers[tag]
        for tag, repositories in wanted
        if tag in numbers
        for repository in repositories
    ]
    found: dict[int, list[int]] = {key: [] for key in keys}
    if keys:
        of_tag = np.repeat(np.arange(len(frames.artifacts.repository)), np.diff(facts.tag_offsets))
        is_wanted = np.zeros(len(facts.tag_names), np.bool_)
        is_wanted[list(numbers.values())] = True
        at = np.flatnonzero(is_wanted[facts.tags])
        artifact = of_tag[at]
        key_of = (frames.artifacts.repository[artifact].astype(np.int64) << 32) | facts.tags[at]
        hit = np.isin(key_of, np.array(keys, np.int64))
        for key, position in zip(key_of[hit].tolist(), artifact[hit].tolist(), strict=True):
            found[key].append(position)
    return [
        tuple(
            sorted(
                position
                for repository in repositories
                for position in found.get((repository << 32) | numbers[tag], ())
            )
        )
        if tag in numbers
        else ()
        for tag, repositories in wanted
    ]


def _marked(count: int, groups: Iterable[frozenset[int]]) -> Bools:
    marked = np.zeros(count, np.bool_)
    for group in set(groups):
        marked[list(group)] = True
    return marked
