"""One repository as the search for its policy sees it: its images as bits, the youngest first.

Whatever rule counts images or days, what it keeps of its images is the youngest of them up to some
place. So sets of images are numbers whose lowest bit is the youngest image, and a rule that keeps
the youngest is a mask of low bits: a policy is judged in microseconds, however many are tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from analyzer.families import Families
from analyzer.holdings import changes, references_of
from analyzer.lifecycle.census import DAY_MS, Census
from analyzer.lifecycle.marks import Relations
from analyzer.lifecycle.needed import Needs
from analyzer.lifecycle.policy import StorageClass, TagStatus
from analyzer.lifecycle.tag_families import Shape, moves, patterns_of
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64, LifecycleFacts
from analyzer.model.recommendation import FamilyKind, RecommendOptions, TagFamily
from analyzer.model.verdicts import Outcome

#: Families that get a rule of their own at most, and names that move likewise.
_MOST_FAMILIES: Final = 12
_MOST_MOVING: Final = 6
#: Families that are told of, and names of each.
_FAMILIES_TOLD: Final = 20
_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """What a rule can select, and what it counts there."""

    tag_status: TagStatus
    #: With TAGGED: ``*`` for every tagged image.
    pattern: str = ""
    #: What it selects, earlier rules left out of account, and the places of these in ascending order.
    bits: int
    places: Int64
    #: What it will count beyond today's images within the margin.
    growth: int
    pushes_per_day: float
    #: All that it selects is of one family, whose last releases nothing else can push out.
    is_pure: bool
    #: A name that only one image at a time can carry.
    is_exact: bool
    #: Least numbers that are advised.
    least_images: int
    least_days: int

    @property
    def text(self) -> str:
        """What it selects, for people: a pattern, untagged or any."""
        return self.pattern or self.tag_status.value


class Fleet:
    """All that views of single repositories are cut from, prepared once."""

    def __init__(
        self,
        frames: Frames,
        facts: LifecycleFacts,
        families: Families,
        census: Census,
        needs: Needs,
        options: RecommendOptions,
    ) -> None:
        self.frames = frames
        self.families = families
        self.tag_names = facts.tag_names
        self.census = census
        self.needs = needs
        self.options = options
        self.seen = census.seen[StorageClass.STANDARD]
        self.holds = families.holders
        tagged = needs.families
        #: Offsets of each repository's tags.
        self.tag_offsets = np.searchsorted(tagged.artifact, census.offsets)
        order = np.argsort(families.parent, kind="stable")
        self._parent, self._child = families.parent[order], families.child[order]
        self.pair_offsets = np.searchsorted(self._parent, census.offsets)

    def relations(self, row: int) -> Relations | None:
        """Who holds whom in the repository; None where nobody holds anybody."""
        begin, end = self.census.offsets[row : row + 2].tolist()
        pairs = slice(*self.pair_offsets[row : row + 2].tolist())
        subject = self.families.subject[begin:end]
        if pairs.start == pairs.stop and not (subject >= 0).any():
            return None
        local = Families(
            self.families.kind[begin:end],
            self._parent[pairs] - begin,
            self._child[pairs] - begin,
            np.where(subject >= 0, subject - begin, -1),
            self.families.opaque[begin:end],
        )
        return Relations(local, self.frames.artifacts.image_status[begin:end])


class View:
    """One repository."""

    def __init__(self, fleet: Fleet, row: int, *, least_untagged_days: int) -> None:
        self._fleet = fleet
        self._row = row
        self._least_untagged_days = least_untagged_days
        census, needs = fleet.census, fleet.needs
        self._begin, self._end = census.offsets[row : row + 2].tolist()
        self.count = self._end - self._begin
        span = slice(self._begin, self._end)
        #: Position in the repository of each place, and the other way round.
        self._order = census.youngest_first[span] - self._begin
        base = census.base_ms[span][self._order]
        self.seen = self.bits(fleet.seen[span])
        self.tagged = self.bits(census.tagged[span])
        self._unknown_time = base == NO_TIME
        #: No rule takes these, for nobody knows when they were pushed.
        self.ageless = _number(self._unknown_time)
        #: Ascending; what has no known time is the youngest.
        self.age_ms: Int64 = np.where(self._unknown_time, np.iinfo(np.int64).min, census.now_ms - base)
        roots = needs.roots[span]
        can_leave = self.seen & ~self.ageless
        self.lasting = self.bits(roots & needs.lasting[span]) & can_leave
        self.releases = self.bits(roots & ~needs.lasting[span]) & can_leave
        self._relations = fleet.relations(row)
        self._held = self._prepare_bytes()
        self._freed: dict[int, int] = {}

    def bits(self, mask: Bools) -> int:
        """``mask``, one entry per artifact of the repository, as bits by place."""
        return _number(mask[self._order])

    def mask(self, bits: int) -> Bools:
        """The other way round."""
        raw = np.frombuffer(bits.to_bytes((self.count + 7) // 8, "little"), np.uint8)
        chosen = np.zeros(self.count, np.bool_)
        chosen[self._order] = np.unpackbits(raw, count=self.count, bitorder="little").astype(np.bool_)
        return chosen

    # What leaves.

    def outcome(self, kept: int) -> Bools:
        """What leaves where the rules keep ``kept`` of what they see: after indexes had their say."""
        claimed = self.mask(self.seen & ~kept)
        if self._relations is None:
            return claimed
        marks = claimed.astype(np.uint8) * np.uint8(Outcome.EXPIRED)
        leaves: Bools = self._relations.settle(marks).outcome == Outcome.EXPIRED
        return leaves

    def freed(self, kept: int) -> int:
        """Bytes at repository scope that leave where the rules keep ``kept``."""
        if kept not in self._freed:
            self._freed[kept] = self.freed_by(self.outcome(kept))
        return self._freed[kept]

    def freed_by(self, leaves: Bools) -> int:
        """Bytes at repository scope that leave with ``leaves``, one entry per artifact here."""
        holder, blob, size = self._held
        stays = np.zeros(len(size), np.bool_)
        stays[blob[~leaves[holder]]] = True
        return int(size[~stays].sum())

    def _prepare_bytes(self) -> tuple[Int64, Int64, Int64]:
        """Holder and blob of each reference, as positions here, and the sizes of the blobs."""
        fleet = self._fleet
        holders = np.flatnonzero(fleet.holds[self._begin : self._end])
        within, references = references_of(fleet.frames, self._begin + holders)
        blobs, local = np.unique(references, return_inverse=True)
        return holders[within], local, fleet.frames.blob_size_bytes[blobs]

    # What rules can select.

    @cached_property
    def tails(self) -> tuple[tuple[Selector, ...], ...]:
        """The ends that a policy can have: what is not selected yet is left to one of these.

        A policy without an end would let pile up whatever gets other names one day.
        """
        keep = self._fleet.options.keep_releases
        untagged = self._selector(TagStatus.UNTAGGED, "", self.seen & ~self.tagged, 1)
        everything = self._selector(TagStatus.ANY, "", self.seen, keep)
        named = self._selector(TagStatus.TAGGED, "*", self.seen & self.tagged, keep)
        return ((everything,), (untagged, everything), (untagged, named))

    def families(self) -> tuple[list[TagFamily], list[Selector]]:
        """The tag families, largest first, and what selects them.

        Of many families the largest are told of and get a selector, and of names that move those on
        the oldest images.
        """
        fleet = self._fleet
        carried = self._carried
        if carried is None:
            return [], []
        fixed, moving = carried.largest_fixed(_MOST_FAMILIES), carried.oldest_moving(_MOST_MOVING)
        tried = {*moving, *fixed}
        told = [
            carried.describe(family, is_tried=family in tried) for family in carried.largest(_FAMILIES_TOLD)
        ]
        selectors = []
        for family in (*moving, *fixed):
            found = carried.pattern(family)
            if found is not None and (bits := _number(found.chosen(self.count)) & self.seen):
                exact = carried.moves(family)
                selector = self._selector(
                    TagStatus.TAGGED,
                    found.pattern,
                    bits,
                    1 if exact else fleet.options.keep_releases,
                    is_pure=not found.foreign,
                    is_exact=exact,
                )
                selectors.append(selector)
        return told, selectors

    def select(self, pattern: str) -> Selector:
        """What a rule with any ``pattern`` selects here."""
        found = None if self._carried is None else self._carried.select(pattern)
        exact = "*" not in pattern
        return self._selector(
            TagStatus.TAGGED,
            pattern,
            0 if found is None else _number(found.chosen(self.count)) & self.seen,
            1 if exact else self._fleet.options.keep_releases,
            is_pure=found is not None and not found.foreign,
            is_exact=exact,
        )

    @cached_property
    def _carried(self) -> _Carried | None:
        """The tags that are carried here; None where there are none."""
        fleet, number = self._fleet, self._row
        tagged = fleet.needs.families
        rows = slice(*fleet.tag_offsets[number : number + 2].tolist())
        if rows.start == rows.stop:
            return None
        place = np.empty(self.count, np.int64)
        place[self._order] = np.arange(self.count)
        at = place[tagged.artifact[rows] - self._begin]
        of, name = tagged.of[rows], tagged.name[rows]
        order = np.lexsort((name, at, of))
        return _Carried(fleet, of[order], at[order], name[order])

    def _selector(
        self,
        tag_status: TagStatus,
        pattern: str,
        bits: int,
        least_images: int,
        *,
        is_pure: bool = False,
        is_exact: bool = False,
    ) -> Selector:
        options = self._fleet.options
        places = np.flatnonzero(self._by_place(bits))
        growth, rate = (0, 0.0) if is_exact else _growth(self.age_ms[places], options.margin_days)
        untagged = tag_status is TagStatus.UNTAGGED
        return Selector(
            tag_status=tag_status,
            pattern=pattern,
            bits=bits,
            places=places,
            growth=growth,
            pushes_per_day=rate,
            is_pure=is_pure,
            is_exact=is_exact,
            least_images=least_images,
            least_days=self._least_untagged_days if untagged else options.pulled_within_days,
        )

    def _by_place(self, bits: int) -> Bools:
        raw = np.frombuffer(bits.to_bytes((self.count + 7) // 8, "little"), np.uint8)
        return np.unpackbits(raw, count=self.count, bitorder="little").astype(np.bool_)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A pattern that selects all of a family."""

    pattern: str
    #: Artifacts that it selects beside those of the family.
    foreign: int
    #: Places of all that it selects, each once.
    places: Int64

    def chosen(self, count: int) -> Bools:
        """The same as one entry per place."""
        by_place = np.zeros(count, np.bool_)
        by_place[self.places] = True
        return by_place


class _Carried:
    """The tags of one repository: a row for each, by family and by place."""

    def __init__(self, fleet: Fleet, of: Int64, at: Int64, name: Int64) -> None:
        self._fleet = fleet
        self._at = at
        self._of = of
        self._names, self._name = np.unique(name, return_inverse=True)
        starts = np.flatnonzero(changes(of))
        self._bounds = np.append(starts, len(of)).tolist()
        self._family: list[int] = fleet.needs.families.family[of[starts]].tolist()
        self._sizes = np.add.reduceat(changes(of, at).astype(np.int64), starts)
        #: The place of each family's oldest artifact.
        self._oldest = at[np.append(starts[1:], len(of)) - 1]
        self._moves = np.array([moves(self._kind(family)[0]) for family in range(len(starts))], np.bool_)
        self._texts = fleet.census.names_at(self._names)
        self._patterns: dict[int, _Pattern | None] = {}

    def _kind(self, family: int) -> tuple[FamilyKind, str]:
        of_name = self._fleet.needs.families.names
        return of_name.families[self._family[family]]

    def moves(self, family: int) -> bool:
        """Whether it is a name that goes from image to image."""
        return bool(self._moves[family])

    def largest(self, most: int) -> list[int]:
        """The families of most artifacts."""
        families: list[int] = np.argsort(-self._sizes, kind="stable")[:most].tolist()
        return families

    def largest_fixed(self, most: int) -> list[int]:
        """Likewise, among those of names that stay with their images."""
        fixed = np.flatnonzero(~self._moves)
        families: list[int] = fixed[np.argsort(-self._sizes[fixed], kind="stable")[:most]].tolist()
        return families

    def oldest_moving(self, most: int) -> list[int]:
        """Names that move, those of the oldest artifacts."""
        moving = np.flatnonzero(self._moves)
        families: list[int] = moving[np.argsort(-self._oldest[moving], kind="stable")[:most]].tolist()
        return families

    def pattern(self, family: int) -> _Pattern | None:
        """What selects all of ``family`` and the least beside it; None where no pattern does."""
        if family not in self._patterns:
            self._patterns[family] = self._best_pattern(family)
        return self._patterns[family]

    def _best_pattern(self, family: int) -> _Pattern | None:
        own = slice(self._bounds[family], self._bounds[family + 1])
        members = np.unique(self._name[own])
        carriers = np.unique(self._at[own])
        best: _Pattern | None = None
        for pattern in self._possible(family, members):
            met = self._texts.match(pattern)
            if met[members].all():
                places = np.unique(self._at[met[self._name]])
                foreign = len(places) - len(carriers)
                # Of patterns that are as good the widest reads best, and holds for later names.
                if best is None or foreign <= best.foreign:
                    best = _Pattern(pattern, foreign, places)
        return best

    def select(self, pattern: str) -> _Pattern:
        """What ``pattern`` selects; what is not of the family that it selects most of is foreign."""
        met = self._texts.match(pattern)[self._name]
        places, of = np.unique(self._at[met]), self._of[met]
        largest = max((len(np.unique(self._at[met][of == one])) for one in np.unique(of)), default=0)
        return _Pattern(pattern, len(places) - largest, places)

    def _possible(self, family: int, members: Int64) -> tuple[str, ...]:
        if self.moves(family):
            name = self._kind(family)[1]
            # What is no tag of ECR could be taken for a pattern of many.
            return () if "*" in name else (name,)
        return patterns_of(self._shape(shape).skeleton for shape in self._shapes(members))

    def _shapes(self, members: Int64) -> list[int]:
        names = self._fleet.needs.families.names
        shapes: list[int] = np.unique(names.shape_of[self._names[members]]).tolist()
        return shapes

    def _shape(self, number: int) -> Shape:
        return self._fleet.needs.families.names.shapes[number]

    def describe(self, family: int, *, is_tried: bool) -> TagFamily:
        """What to say of ``family``."""
        kind, key = self._kind(family)
        own = slice(self._bounds[family], self._bounds[family + 1])
        members = np.unique(self._name[own])
        shapes = self._shapes(members)
        found = self.pattern(family) if is_tried else None
        shown = list(dict.fromkeys(self._name[own].tolist()))[:_EXAMPLES]
        return TagFamily(
            kind=kind,
            label=key if self.moves(family) else self._shape(shapes[0]).label,
            names=len(members),
            images=int(self._sizes[family]),
            pattern=None if found is None else found.pattern,
            foreign=0 if found is None else found.foreign,
            examples=tuple(self._fleet.tag_names[number] for number in self._names[shown].tolist()),
        )


def _number(by_place: Bools) -> int:
    return int.from_bytes(np.packbits(by_place, bitorder="little").tobytes(), "little")


def _growth(ages_ms: Int64, days: int) -> tuple[int, float]:
    """How many images come within ``days`` if it goes on like in the last ones, and how many a day.

    What has been there for less than that is taken to go on as it began, counted over a day at least.
    """
    if not len(ages_ms) or not days:
        return 0, 0.0
    recent = int(np.count_nonzero(ages_ms <= days * DAY_MS))
    oldest = max(int(ages_ms[-1]), 0)
    over_ms = min(days * DAY_MS, max(oldest, DAY_MS))
    return -(-recent * days * DAY_MS // over_ms), recent * DAY_MS / over_ms


def union(bits: Iterable[int]) -> int:
    """All of ``bits``."""
    together = 0
    for each in bits:
        together |= each
    return together
