"""Which images a policy must not take, and for how long.

Needed is an image in use or protected, one pulled within so many days, and one of the last releases
of a tag family; then whatever these reach. What is not known counts as needed. *Lasting* needs hold
whatever is pushed next; an image that is needed as one of the last releases alone is so until newer
ones take its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.families import Families
from analyzer.holdings import changes
from analyzer.lifecycle.census import Census
from analyzer.lifecycle.policy import StorageClass
from analyzer.lifecycle.tag_families import NameFamilies, find_name_families
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64, LifecycleFacts
from analyzer.model.recommendation import FamilyKind, RecommendOptions
from analyzer.model.usage import Usage
from analyzer.storage import DAY_MS

#: Builds of a branch from which on it is a family of its own in its repository.
MANY_BUILDS = 10
#: How cosign names the signature of an image where a registry knows no referrers.
_BESIDE = re.compile(r"sha256-([0-9a-f]{64})(?:\..*)?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class RepositoryFamilies:
    """The tag families of every repository; f of them, ordered by repository."""

    names: NameFamilies
    #: Per family: its repository, and its position in ``names.families``.
    repository: Int64
    family: Int64
    #: One row per tag on an artifact: the artifact (ascending), the tag's name, the family.
    artifact: Int64
    name: Int64
    of: Int64


@dataclass(frozen=True, slots=True)
class Needs:
    """Per artifact why it is needed; an artifact may be so in several ways."""

    in_use: Bools
    protected: Bools
    pulled: Bools
    releases: Bools
    #: Reached from one of these or of ``unknown``, or the index that such a one is pulled by.
    related: Bools
    #: It may be an index that nobody could read, or a child of one that is needed, or in use.
    unknown: Bools
    #: Needed in any way, and in a way that newer pushes do not end.
    needed: Bools
    lasting: Bools
    #: Of the needed ones those that a rule itself must keep: nothing needed for as long holds them.
    roots: Bools
    families: RepositoryFamilies


def find_repository_families(frames: Frames, facts: LifecycleFacts) -> RepositoryFamilies:
    """The families of the tags in each repository; branches of few builds are one together."""
    names = find_name_families(facts.tag_names)
    count = len(frames.artifacts.repository)
    artifact = np.repeat(np.arange(count), np.diff(facts.tag_offsets))
    name = facts.tags.astype(np.int64)
    width = max(1, len(names.families))
    key = frames.artifacts.repository[artifact].astype(np.int64) * width
    family = names.family_of[name]
    is_branch = np.array([kind is FamilyKind.BRANCH for kind, _ in names.families], np.bool_)
    branches = np.flatnonzero(is_branch[family])
    _, of_branch, builds = np.unique(
        key[branches] + family[branches], return_inverse=True, return_counts=True
    )
    family[branches[builds[of_branch] < MANY_BUILDS]] = names.few_builds
    distinct, of = np.unique(key + family, return_inverse=True)
    return RepositoryFamilies(names, distinct // width, distinct % width, artifact, name, of)


def find_needs(
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    census: Census,
    options: RecommendOptions,
    *,
    usage: Usage | None,
    protected: Bools | None,
    digest_ids: Callable[[Sequence[str]], Int64],
) -> Needs:
    """Why each artifact is needed at the moment of ``census``."""
    count = len(frames.artifacts.repository)
    nothing = np.zeros(count, np.bool_)
    tagged = find_repository_families(frames, facts)
    since = census.now_ms - options.pulled_within_days * DAY_MS
    in_use = nothing if usage is None else usage.in_use
    pulled = (facts.pulled_at_ms != NO_TIME) & (facts.pulled_at_ms >= since)
    shielded = nothing if protected is None else protected
    unknown = families.opaque | (nothing if usage is None else usage.possibly)
    releases = _last_releases(census, tagged, options.keep_releases)
    reach = _Reach(frames, facts, families, digest_ids)
    place = np.empty(count, np.int64)
    place[census.youngest_first] = np.arange(count)
    lasting = _with_indexes(families, reach, reach.of(in_use | shielded | pulled | unknown), place)
    needed = _with_indexes(families, reach, reach.of(lasting | releases), place)
    # An index that nobody could read may hold anything that is there.
    possibly = families.possibly_reached(needed, frames.artifacts.repository)
    if possibly.any():
        unknown = unknown | possibly
        lasting, needed = lasting | possibly, needed | possibly
    direct = in_use | shielded | pulled | unknown | releases
    return Needs(
        in_use=in_use,
        protected=shielded,
        pulled=pulled,
        releases=releases,
        related=needed & ~direct,
        unknown=unknown,
        needed=needed,
        lasting=lasting,
        roots=_roots(families, needed, lasting),
        families=tagged,
    )


def _last_releases(census: Census, tagged: RepositoryFamilies, keep: int) -> Bools:
    """The ``keep`` youngest of each family, among what rules of the standard class see."""
    seen = census.seen[StorageClass.STANDARD]
    place = np.empty(len(seen), np.int64)
    place[census.youngest_first] = np.arange(len(seen))
    rows = np.flatnonzero(seen[tagged.artifact])
    # The same artifact may carry several names of a family.
    key = np.unique(tagged.of[rows] * max(1, len(seen)) + place[tagged.artifact[rows]])
    family, at = np.divmod(key, max(1, len(seen)))
    first = np.searchsorted(family, family)
    last = np.zeros(len(seen), np.bool_)
    last[census.youngest_first[at[np.arange(len(key)) - first < keep]]] = True
    return last


class _Reach:
    """What is needed with an artifact: children, referrers, signatures under names like cosign's.

    What is needed and refers to something needs that too, for it would leave with it.
    """

    def __init__(
        self,
        frames: Frames,
        facts: LifecycleFacts,
        families: Families,
        digest_ids: Callable[[Sequence[str]], Int64],
    ) -> None:
        self._families = families
        self._beside, self._of = _named_beside(frames, facts, digest_ids)
        self._with_subject = np.flatnonzero(families.subject >= 0)

    def of(self, roots: Bools) -> Bools:
        """``roots`` and all that is needed with them."""
        reached = roots
        while True:
            before = np.count_nonzero(reached)
            reached = self._families.reachable(reached)
            reached[self._beside[reached[self._of]]] = True
            follows = self._with_subject
            reached[self._families.subject[follows[reached[follows]]]] = True
            if np.count_nonzero(reached) == before:
                return reached


def _named_beside(
    frames: Frames, facts: LifecycleFacts, digest_ids: Callable[[Sequence[str]], Int64]
) -> tuple[Int64, Int64]:
    """Artifacts that a tag names after another one's digest, and those in their repositories."""
    wanted = {}
    for number, name in enumerate(facts.tag_names):
        if name.startswith("sha256-") and (found := _BESIDE.fullmatch(name)):
            wanted[number] = f"sha256:{found[1]}"
    if not wanted:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    numbers = np.fromiter(wanted, np.int64, len(wanted))
    digest_of = np.full(len(facts.tag_names), -1)
    digest_of[numbers] = digest_ids(list(wanted.values()))
    artifacts = frames.artifacts
    artifact = np.repeat(np.arange(len(artifacts.repository)), np.diff(facts.tag_offsets))
    digest = digest_of[facts.tags]
    rows = np.flatnonzero(digest >= 0)
    keys = (artifacts.repository.astype(np.int64) << 32) | artifacts.digest_id
    sought = (artifacts.repository[artifact[rows]].astype(np.int64) << 32) | digest[rows]
    at = np.searchsorted(keys, sought)
    there = at < len(keys)
    there[there] = keys[at[there]] == sought[there]
    return artifact[rows[there]], at[there]


def _with_indexes(families: Families, reach: _Reach, needed: Bools, place: Int64) -> Bools:
    """``needed``, and of what no needed index holds the youngest index that names it.

    That is how it was pulled, most likely, and ECR keeps it as long as the index stays. An index that is
    older than the image would go before it, and is no help.
    """
    parent, child = families.parent, families.child
    while True:
        held = np.zeros(len(needed), np.bool_)
        held[child[needed[parent] & (parent != child)]] = True
        rows = np.flatnonzero(needed[child] & ~held[child] & (place[parent] < place[child]))
        if not len(rows):
            return needed
        rows = rows[np.lexsort((place[parent[rows]], child[rows]))]
        needed = needed.copy()
        needed[parent[rows[changes(child[rows])]]] = True
        needed = reach.of(needed)


def _roots(families: Families, needed: Bools, lasting: Bools) -> Bools:
    """What no index or subject that is needed as long keeps there."""
    held = np.zeros(len(needed), np.bool_)
    parent, child = families.parent, families.child
    holds = (parent != child) & np.where(lasting[child], lasting[parent], needed[parent])
    held[child[holds]] = True
    roots = needed & ~held & (families.subject < 0)
    # What holds itself in a circle is held by nothing.
    return roots | (needed & ~families.reachable(roots))
