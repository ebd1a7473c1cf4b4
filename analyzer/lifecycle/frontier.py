"""The whole frontier in one pass: what is stored at every keep-last-N, or at every keep-N-days.

The policy swept is one rule, ``tagStatus`` any with ``imageCountMoreThan`` N or ``sinceImagePushed``
N, N at least 1, that expires. An artifact leaves at small N and stays from some N on; that least N
is all there is to know of it. A blob stays from the least N of the artifacts that hold it, so that
sums of blob sizes by that number are the stored bytes at every N at once.

The rules are those of the ECR user guide, "Lifecycle policy parameters" (what is counted, which is
youngest, strictly more than N days), "Examples of lifecycle policies" and "Automate the cleanup of
images" (an image that a manifest list names stays with the list; referrers go with their subject).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analyzer.families import Families, spans
from analyzer.holdings import changes, reduce_runs, runs_of_repositories, sharing_groups
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64, LifecycleFacts
from analyzer.model.frontier import By, ClassBytes, Frontier, Steps
from analyzer.model.records import ImageStatus
from analyzer.storage import DAY_MS

#: Least N of what no number of its own keeps: it goes by that of another.
_NEVER = np.iinfo(np.int64).max
#: Blobs of repositories worked on together, so that what lies between stays in the processor's cache.
_ROWS_AT_ONCE = 1 << 16


def sweep(
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    *,
    now_ms: int,
    by: By,
    chosen: Bools | None = None,
    children_take_slots: bool = True,
) -> Frontier:
    """The frontier of ``frames`` at ``now_ms`` (milliseconds since 1970 UTC).

    ``chosen``, one entry per repository, says where the policy would hold (everywhere, if None);
    the other repositories stay as they are, and keep what they share with these. With
    ``children_take_slots`` off, artifacts that an index names fill no place among the N youngest.
    """
    owner = frames.artifacts.repository.astype(np.int64)
    everywhere = np.ones(len(frames.repositories), np.bool_)
    swept = everywhere if chosen is None else np.asarray(chosen, np.bool_)
    least = least_numbers(
        frames, facts, families, now_ms=now_ms, by=by, children_take_slots=children_take_slots
    )
    # 0, which no policy can have, stands for what the sweep leaves alone.
    slots = _slots(frames, np.where(swept[owner], least, 0))
    repositories, registries, rest = _curves(frames, slots, _held(frames, families, slots))
    return Frontier(
        by=by, at_ms=now_ms, chosen=swept, repositories=repositories, registries=registries, rest=rest
    )


def merged(steps: Steps, into: Int64, owners: int) -> Steps:
    """The sums of the curves of several owners; ``into`` says which of the ``owners`` each joins.

    An owner that nothing joins has no step.
    """
    lengths = np.diff(steps.offsets)
    owner, number = np.repeat(into, lengths), steps.n
    order, new = _in_order(owner, number)
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(new) - 1
    places = int(np.count_nonzero(new))
    before = np.arange(len(number)) - 1
    before[steps.offsets[:-1]] = len(number)

    def added(values: Int64) -> Int64:
        return _sums(place, values - np.append(values, 0)[before], places)

    stored = steps.stored
    firsts = order[new]
    return _steps(
        owner[firsts],
        owners,
        number[firsts],
        added(steps.kept),
        ClassBytes(
            added(stored.standard_repository),
            added(stored.archive_repository),
            added(stored.standard_registry),
            added(stored.archive_registry),
        ),
    )


def least_numbers(
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    *,
    now_ms: int,
    by: By,
    children_take_slots: bool = True,
) -> Int64:
    """For each artifact the least N (at least 1) whose policy keeps it.

    By images that is its rank among the images of the standard class, 1 for the youngest; by days
    its age, rounded up. Of what an index names it is the least of its own and of the numbers of all
    such indexes; of what has a subject that is present it is the subject's. Archived and restoring
    artifacts are kept by every N, as is what has no known time.
    """
    artifacts = frames.artifacts
    activating = artifacts.image_status == ImageStatus.ACTIVATING
    standard = ~activating & (artifacts.image_status != ImageStatus.ARCHIVED)
    follows = families.subject >= 0
    base = np.where(facts.activated_at_ms != NO_TIME, facts.activated_at_ms, artifacts.pushed_at_ms)
    least = np.ones(len(base), np.int64)
    counted = standard & ~follows
    if by == "images":
        if not children_take_slots:
            counted[families.child] = False
        ranked = np.flatnonzero(counted)
        rank = _ranks(artifacts.repository[ranked].astype(np.int64), base[ranked], facts.tie[ranked])
        least[ranked] = np.where(base[ranked] == NO_TIME, 1, rank)
    else:
        aged = np.flatnonzero(counted & (base != NO_TIME))
        # Kept iff the age is at most N days: the age in days, rounded up.
        least[aged] = np.maximum(1, -((base[aged] - now_ms) // DAY_MS))
    least[follows & ~activating & ~_in_circles(families.subject)] = _NEVER
    return _settled(least, families)


def _ranks(repository: Int64, base: Int64, tie: Int64) -> Int64:
    """1 for the youngest of each repository, and so on; what has no known time counts as youngest."""
    known = base != NO_TIME
    if not known.any():
        order = np.lexsort((-tie, repository))
    else:
        newest = int(base[known].max())
        age = np.where(known, newest - np.where(known, base, newest) + 1, 0)
        if int(age.max()).bit_length() + int(repository[-1]).bit_length() > 63:
            order = np.lexsort((-tie, age, repository))
        else:
            # Sorting one packed integer is several times faster than ordering by columns.
            key = (repository << int(age.max()).bit_length()) | age
            order = np.argsort(key)
            key = key[order]
            equal = np.zeros(len(key), np.bool_)
            equal[1:] = key[1:] == key[:-1]
            equal[:-1] |= equal[1:]
            tied = np.flatnonzero(equal)
            order[tied] = order[tied][np.lexsort((-tie[order[tied]], key[tied]))]
    ranks = np.empty(len(order), np.int64)
    # Sorting keeps the repositories where they are.
    firsts = np.flatnonzero(changes(repository))
    ranks[order] = np.arange(1, len(order) + 1) - np.repeat(firsts, np.diff(firsts, append=len(order)))
    return ranks


def _in_circles(subject: Int64) -> Bools:
    """True where following the subjects never comes to an end."""
    end = np.where(subject >= 0, subject, np.arange(len(subject)))
    for _ in range(len(subject).bit_length()):
        further = end[end]
        if np.array_equal(further, end):
            break
        end = further
    circles: Bools = subject[end] >= 0
    return circles


def _settled(least: Int64, families: Families) -> Int64:
    """``least`` with no artifact leaving before the indexes that name it and before its subject.

    The greatest set of artifacts that may leave together at some N is of those above which, along
    any path, nothing stays: so each number becomes the minimum of all those above it. Where things
    run in circles that is the same for all of a circle, and the circle can leave at once.
    """
    followers = np.flatnonzero(families.subject >= 0)
    holder = np.concatenate((families.parent, families.subject[followers]))
    held = np.concatenate((families.child, followers))
    held = held[np.argsort(holder, kind="stable")]
    lengths = np.bincount(holder, minlength=len(least))
    starts = np.cumsum(lengths) - lengths
    changed = np.flatnonzero(lengths)
    settled = least.copy()
    while len(changed):
        below = held[spans(starts[changed], lengths[changed])]
        before = settled[below]
        np.minimum.at(settled, below, np.repeat(settled[changed], lengths[changed]))
        changed = np.unique(below[settled[below] < before])
    return settled


@dataclass(frozen=True, slots=True)
class _Slots:
    """Artifacts of one repository with the same least N and class share a slot; a cell has its classes.

    Slots stand in the order of (sharing group, repository, N, class), cells likewise, so that less
    is sooner kept. Every repository has cells for 0 and 1.
    """

    #: Slot of each artifact.
    of: Int64
    cell: Int64
    archived: Bools
    #: Of each cell.
    repository: Int64
    n: Int64
    kept: Int64
    group: Int64
    #: Its place among the cells of the registry: distinct (registry, N), in that order.
    registry_cell: Int64
    #: Of each registry cell.
    registry: Int64
    registry_n: Int64


def _slots(frames: Frames, least: Int64) -> _Slots:
    group, _ = sharing_groups(frames)
    in_groups = np.argsort(group, kind="stable")
    place = np.empty(len(group), np.int64)
    place[in_groups] = np.arange(len(group))
    archived = np.isin(frames.artifacts.image_status, (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING))

    at, number = _with_0_and_1(place[frames.artifacts.repository], least, len(group))
    is_archived = np.concatenate((archived, np.zeros(len(at) - len(archived), np.bool_)))
    order, new = _in_order(at, number * 2 + is_archived)
    slot = np.empty(len(order), np.int64)
    slot[order] = np.cumsum(new) - 1
    first = order[new]
    new_cell = changes(at[first], number[first])
    cell = np.cumsum(new_cell) - 1
    one = first[new_cell]
    repository = in_groups[at[one]]
    registry = frames.repositories["registry"].to_numpy(np.int64)[repository]

    of, by_number = _with_0_and_1(registry, number[one], len(frames.registries))
    order, new = _in_order(of, by_number)
    registry_cell = np.empty(len(order), np.int64)
    registry_cell[order] = np.cumsum(new) - 1
    first_of = order[new]
    of_artifact = slot[: len(least)]
    return _Slots(
        of=of_artifact,
        cell=cell,
        archived=is_archived[first],
        repository=repository,
        n=number[one],
        kept=np.bincount(cell[of_artifact], minlength=len(one)),
        group=group[repository],
        registry_cell=registry_cell[: len(one)],
        registry=of[first_of],
        registry_n=by_number[first_of],
    )


def _with_0_and_1(owner: Int64, number: Int64, owners: int) -> tuple[Int64, Int64]:
    """Both columns with a row for 0 and one for 1 of every owner after the others."""
    every = np.arange(owners)
    both = np.repeat(np.array([0, 1]), owners)
    return np.concatenate((owner, every, every)), np.concatenate((number, both))


def _in_order(owner: Int64, number: Int64) -> tuple[Int64, Bools]:
    """The order of rows by (owner, number), both not negative, and where in it a new pair begins."""
    width = int(number.max(initial=0)).bit_length()
    if int(owner.max(initial=0)).bit_length() + width <= 63:
        key = (owner << width) | number
        order = np.argsort(key)
        return order, changes(key[order])
    order = np.lexsort((number, owner))
    return order, changes(owner[order], number[order])


@dataclass(frozen=True, slots=True)
class _Held:
    """Each stored blob once per repository, ordered by (blob, sharing group, repository)."""

    size: Int64
    #: The cell from which on it is stored.
    cell: Int64
    #: The cell from which on it is of the standard class; for none the number of cells there are.
    standard_cell: Int64
    #: Where each pair of blob and sharing group begins.
    pairs: Int64


def _held(frames: Frames, families: Families, slots: _Slots) -> Iterator[_Held]:
    """All of it, some blobs at a time."""
    # A digest id has 32 bits and a slot 31, so that one integer holds both.
    width = len(slots.cell).bit_length()
    owner = slots.repository[slots.cell]
    any_foreign, any_archived = bool(frames.manifests.foreign.any()), bool(slots.archived.any())
    to_cell = np.append(slots.cell, len(slots.n))
    keys = np.concatenate(
        [
            _first_holders(
                _keys(frames, slots.of, holding, width, any_foreign=any_foreign), width, owner, slots.archived
            )
            for holding in _runs_of_holders(frames, families)
        ]
    )
    keys.sort()
    nominal = keys[::_ROWS_AT_ONCE] >> width << width
    for begin, end in pairwise([*np.unique(np.searchsorted(keys, nominal)).tolist(), len(keys)]):
        blob, slot = _unpacked(keys[begin:end], width)
        firsts = np.flatnonzero(changes(blob, owner[slot]))
        cell = slots.cell[slot[firsts]]
        standard = cell
        if any_archived:
            active = np.where(slots.archived[slot], len(slots.cell), slot)
            standard = to_cell[reduce_runs(np.minimum, active, firsts)]
        blob = blob[firsts]
        pairs = np.flatnonzero(changes(blob, slots.group[cell]))
        yield _Held(frames.blob_size_bytes[blob], cell, standard, pairs)


def _runs_of_holders(frames: Frames, families: Families) -> Iterator[Int64]:
    """Positions of the artifacts that hold blobs, whole repositories of them at a time."""
    artifacts, manifests = frames.artifacts, frames.manifests
    holding = np.flatnonzero(families.holders)
    references = np.diff(manifests.blob_offsets)[artifacts.manifest[holding]]
    for begin, end in runs_of_repositories(artifacts.repository[holding].astype(np.int64), references):
        yield holding[begin:end]


def _keys(frames: Frames, slot: Int64, holding: Int64, width: int, *, any_foreign: bool) -> Int64:
    """Every stored reference of these artifacts as blob and slot of its holder, packed, in order."""
    manifests = frames.manifests
    manifest = frames.artifacts.manifest[holding]
    starts = manifests.blob_offsets[manifest]
    lengths = manifests.blob_offsets[manifest + 1] - starts
    at = spans(starts, lengths)
    keys = manifests.blobs[at].astype(np.int64)
    keys <<= width
    keys |= np.repeat(slot[holding], lengths)
    if any_foreign:
        keys = keys[~manifests.foreign[at]]
    keys.sort()
    return keys


def _first_holders(keys: Int64, width: int, owner: Int64, archived: Bools) -> Int64:
    """Of the sorted ``keys`` the first of each blob in each repository, and the first active one."""
    blob, slot = _unpacked(keys, width)
    kept = changes(blob, owner[slot])
    if archived[slot].any():
        active = np.flatnonzero(~archived[slot])
        kept[active[changes(blob[active], owner[slot[active]])]] = True
    return keys[kept]


def _unpacked(keys: Int64, width: int) -> tuple[Int64, Int64]:
    return keys >> width, keys & ((1 << width) - 1)


class _Added:
    """Bytes of one kind by the cell that adds them; the cell after the last stands for never."""

    def __init__(self, slots: _Slots) -> None:
        cells, registry_cells = len(slots.n), len(slots.registry_n)
        self._slots = slots
        self._to_registry = np.append(slots.registry_cell, registry_cells)
        #: Per repository, of all blobs, and of those that another one of its sharing group holds.
        self._stored, self._shared = np.zeros((2, cells + 1), np.int64)
        #: Per registry, each blob once in a sharing group.
        self._once = np.zeros(registry_cells + 1, np.int64)

    def add(self, held: _Held, cell: Int64) -> None:
        """Add the blobs of ``held``, each from its ``cell`` on."""
        never = len(self._slots.n)
        np.add.at(self._stored, cell, held.size)
        lengths = np.diff(held.pairs, append=len(cell))
        several = lengths > 1
        if several.any():
            several &= reduce_runs(np.add, (cell < never).astype(np.int64), held.pairs) > 1
            rows = np.repeat(several, lengths)
            np.add.at(self._shared, cell[rows], held.size[rows])
        first = reduce_runs(np.minimum, self._to_registry[cell], held.pairs)
        np.add.at(self._once, first, held.size[held.pairs])

    @property
    def stored(self) -> Int64:
        """Per repository."""
        return self._stored[:-1]

    @property
    def unique(self) -> Int64:
        """Per repository, of what no other one of its sharing group holds."""
        return (self._stored - self._shared)[:-1]

    @property
    def joined(self) -> Int64:
        """Per registry, each blob once in a repository."""
        return _sums(self._slots.registry_cell, self.stored, len(self._slots.registry_n))

    @property
    def once(self) -> Int64:
        """Per registry, each blob once in a sharing group."""
        return self._once[:-1]


def _curves(frames: Frames, slots: _Slots, held: Iterable[_Held]) -> tuple[Steps, Steps, ClassBytes]:
    """The curves of repositories and of registries, and what the sweep leaves alone."""
    of_any = of_standard = _Added(slots)
    if slots.archived.any():
        of_standard = _Added(slots)
    for some in held:
        of_any.add(some, some.cell)
        if of_standard is not of_any:
            of_standard.add(some, some.standard_cell)
    of_repositories = ClassBytes(
        of_standard.stored,
        of_any.stored - of_standard.stored,
        of_standard.unique,
        of_any.unique - of_standard.unique,
    )
    of_registries = ClassBytes(
        of_standard.joined,
        of_any.joined - of_standard.joined,
        of_standard.once,
        of_any.once - of_standard.once,
    )
    in_registries = _sums(slots.registry_cell, slots.kept, len(slots.registry_n))
    return (
        _steps(slots.repository, len(frames.repositories), slots.n, slots.kept, of_repositories),
        _steps(slots.registry, len(frames.registries), slots.registry_n, in_registries, of_registries),
        _taken(of_registries, np.flatnonzero(slots.registry_n == 0)),
    )


def _steps(owner: Int64, owners: int, n: Int64, kept: Int64, added: ClassBytes) -> Steps:
    """Steps from what each cell (ordered by owner in some order, and N) adds; those of 0 left out."""
    swept = np.flatnonzero(n > 0)
    swept = swept[np.argsort(owner[swept], kind="stable")]
    counts = np.bincount(owner[swept], minlength=owners)
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))

    def so_far(values: Int64) -> Int64:
        ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(values[swept])))
        return ends[1:] - np.repeat(ends[offsets[:-1]], counts)

    return Steps(
        offsets,
        n[swept],
        so_far(kept),
        ClassBytes(
            so_far(added.standard_repository),
            so_far(added.archive_repository),
            so_far(added.standard_registry),
            so_far(added.archive_registry),
        ),
    )


def _taken(of: ClassBytes, positions: Int64) -> ClassBytes:
    return ClassBytes(
        of.standard_repository[positions],
        of.archive_repository[positions],
        of.standard_registry[positions],
        of.archive_registry[positions],
    )


def _sums(place: Int64, values: Int64, places: int) -> Int64:
    """Exact sums of ``values`` by their place; bincount would add them up as floats."""
    sums = np.zeros(places, np.int64)
    np.add.at(sums, place, values)
    return sums
