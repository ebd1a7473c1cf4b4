"""What single rules see: the artifacts that each selects, their ranks and their ages.

Artifacts are looked at in blocks of whole repositories, so that what a policy costs depends on the
repositories it applies to and not on the size of the fleet, and so that the arrays of one step stay
in the processor's cache and in memory that the process has already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from analyzer.families import Families, spans
from analyzer.lifecycle.matching import TagNames
from analyzer.lifecycle.policy import CountType, Rule, StorageClass, TagStatus
from analyzer.model.frames import NO_TIME, Bools, Frames, Int32, Int64, LifecycleFacts, UInt8
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Reason

#: A day of a rule, whatever the calendar says: 24 hours.
DAY_MS = 86_400_000

#: Artifacts looked at together, unless one repository alone has more.
_ARTIFACTS_AT_ONCE = 1 << 16

#: Names are matched over the whole fleet, and the answer kept, where a policy looks at this part of
#: them or more; where it looks at fewer, only those are.
_LARGE_PART = 0.25


class NameMatches:
    """Which tag names of a fleet meet what policies ask for; each question is answered once.

    Where the same names are judged again and again, at one moment after another, all share one.
    """

    def __init__(self, tag_names: Sequence[str]) -> None:
        self._tag_names = tag_names
        self._found: dict[tuple[str, bool], Bools] = {}

    @cached_property
    def names(self) -> TagNames:
        """The names themselves."""
        return TagNames.of(self._tag_names)

    def everywhere(self, entry: str, *, is_prefix: bool) -> Bools:
        """For every tag name of the fleet whether it meets ``entry``."""
        key = entry, is_prefix
        if key not in self._found:
            self._found[key] = _meet(self.names, entry, is_prefix=is_prefix)
        return self._found[key]


class Census:
    """All artifacts as rules see them; what needs a pass over the fleet is done once, when needed."""

    def __init__(
        self,
        frames: Frames,
        facts: LifecycleFacts,
        families: Families,
        *,
        now_ms: int,
        children_take_slots: bool,
        name_matches: NameMatches | None = None,
    ) -> None:
        artifacts = frames.artifacts
        self.now_ms = now_ms
        self._repository = artifacts.repository
        self._pushed_ms = artifacts.pushed_at_ms
        self._facts = facts
        self._child = families.child
        self._children_take_slots = children_take_slots
        #: (r + 1) offsets: the artifacts of each repository stand side by side.
        self.offsets: Int64 = np.searchsorted(artifacts.repository, np.arange(len(frames.repositories) + 1))
        activating = artifacts.image_status == ImageStatus.ACTIVATING
        archived = artifacts.image_status == ImageStatus.ARCHIVED
        # A referrer leaves after its subject (ECR user guide, "Automate the cleanup of images by using
        # lifecycle policies"), so rules are taken not to see it while the subject is there: else one
        # for untagged images would strip every signature. The guide does not say.
        follows = families.subject >= 0
        self.tagged: Bools = np.diff(facts.tag_offsets) > 0
        #: The artifacts that rules of each class see: what is archived is neither selected nor
        #: counted by standard rules, and the other way round.
        self.seen: dict[StorageClass, Bools] = {
            StorageClass.STANDARD: ~(archived | activating | follows),
            StorageClass.ARCHIVE: archived & ~follows,
        }
        #: ``Reason`` of each artifact as long as no rule selects it, given that there is a policy.
        self.reason_unselected: UInt8 = np.full(len(follows), Reason.NO_RULE, np.uint8)
        self.reason_unselected[follows] = Reason.SUBJECT_STAYS
        self.reason_unselected[activating & ~follows] = Reason.ACTIVATING
        self._is_shared = name_matches is not None
        self._matches = NameMatches(facts.tag_names) if name_matches is None else name_matches

    @cached_property
    def base_ms(self) -> Int64:
        """What images are ordered by and pushed ages count from: the last restore, else the push.

        ECR user guide, "Lifecycle policy properties", orders restored images by last_activated_at. That
        their age starts again too is read from the guide's page restore-image, which says that they
        behave like newly pushed ones.
        """
        activated = self._facts.activated_at_ms
        return np.where(activated == NO_TIME, self._pushed_ms, activated)

    @cached_property
    def pulled_ms(self) -> Int64:
        """What pulled ages count from: the last pull or restore, whichever is later, else the push.

        So the ECR user guide, "Lifecycle policy properties", has it for images that were never
        pulled, or not since they were restored.
        """
        used = np.maximum(self._facts.pulled_at_ms, self._facts.activated_at_ms)
        return np.where(used == NO_TIME, self._pushed_ms, used)

    def times(self, count_type: CountType) -> Int64:
        """The moments that rules of ``count_type`` look at, NO_TIME where unknown."""
        match count_type:
            case CountType.IMAGE_COUNT_MORE_THAN | CountType.SINCE_IMAGE_PUSHED:
                return self.base_ms
            case CountType.SINCE_IMAGE_PULLED:
                return self.pulled_ms
            case CountType.SINCE_IMAGE_TRANSITIONED:
                return self._facts.archived_at_ms

    @cached_property
    def has_slot(self) -> Bools | None:
        """True for what counts among the images of imageCountMoreThan; None where everything does."""
        if self._children_take_slots:
            return None
        counts = np.ones(len(self._repository), np.bool_)
        counts[self._child] = False
        return counts

    @cached_property
    def youngest_first(self) -> Int64:
        """Positions by repository, then from the youngest to the oldest of each.

        An unknown time counts as younger than all others. Of equal times the smaller ``tie`` is
        older: AWS does not say, and this reproduces its own example ("Examples of lifecycle
        policies", "Filtering on all images", example B).
        """
        return order_by_age(self._repository, self.base_ms, self._facts.tie)

    def matches_everywhere(self, entry: str, *, is_prefix: bool) -> Bools:
        """For every tag name of the fleet whether it meets ``entry``."""
        return self._matches.everywhere(entry, is_prefix=is_prefix)

    def names_at(self, positions: Int64) -> TagNames:
        """The tag names at ``positions`` in ``LifecycleFacts.tag_names``."""
        return self._matches.names.take(positions)

    def blocks(self, rows: Int64) -> Iterator[Block]:
        """The artifacts of the repositories ``rows`` (ascending), in blocks of whole repositories."""
        rows = rows[self.offsets[rows + 1] > self.offsets[rows]]
        if not len(rows):
            return
        begins, ends = self.offsets[rows], self.offsets[rows + 1]
        counts = ends - begins
        tag_offsets = self._facts.tag_offsets
        looked_at = int((tag_offsets[ends] - tag_offsets[begins]).sum())
        # What is shared will be asked again, and then is known.
        matches_everywhere = self._is_shared or looked_at >= _LARGE_PART * len(self._facts.tag_names)
        number = (np.cumsum(counts) - counts) // _ARTIFACTS_AT_ONCE
        cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(rows)]
        for begin, end in pairwise(cuts):
            yield Block(self, self._facts, rows[begin:end], matches_everywhere=matches_everywhere)


class Block:
    """Some whole repositories, none of them empty; its arrays have one entry per artifact in them."""

    def __init__(
        self, census: Census, facts: LifecycleFacts, rows: Int64, *, matches_everywhere: bool
    ) -> None:
        self._census = census
        self._facts = facts
        self._matches_everywhere = matches_everywhere
        self._first = census.offsets[rows]
        counts = census.offsets[rows + 1] - self._first
        ends = np.cumsum(counts)
        self._counts = counts
        self._starts = ends - counts
        self.size = int(ends[-1])
        begin, end = int(self._first[0]), int(census.offsets[rows[-1] + 1])
        #: Its artifacts in arrays of the fleet: side by side wherever possible.
        self.at: slice | Int64 = slice(begin, end) if end - begin == self.size else spans(self._first, counts)

    def positions(self, local: Int64) -> Int64:
        """Positions in the fleet of the artifacts at ``local`` positions of the block."""
        return local + self.at.start if isinstance(self.at, slice) else self.at[local]

    def seen(self, storage_class: StorageClass) -> Bools:
        """The artifacts that rules of ``storage_class`` see."""
        return self._census.seen[storage_class][self.at]

    def selected(self, rule: Rule) -> Bools:
        """S(r): what ``rule`` selects, earlier rules left out of account."""
        seen = self.seen(rule.storage_class)
        match rule.tag_status:
            case TagStatus.ANY:
                return seen
            case TagStatus.UNTAGGED:
                return seen & ~self._census.tagged[self.at]
            case TagStatus.TAGGED:
                for entry in rule.tag_prefixes:
                    seen = seen & self.meeting(entry, is_prefix=True)
                for entry in rule.tag_patterns:
                    seen = seen & self.meeting(entry, is_prefix=False)
                return seen

    def meeting(self, entry: str, *, is_prefix: bool) -> Bools:
        """True for artifacts of which some tag meets ``entry``."""
        owner, names = self._tags
        if self._matches_everywhere:
            met = self._census.matches_everywhere(entry, is_prefix=is_prefix)[names]
        else:
            met = _meet(self._names, entry, is_prefix=is_prefix)
        holds = np.zeros(self.size, np.bool_)
        holds[owner[met]] = True
        return holds

    @cached_property
    def _tags(self) -> tuple[Int64, Int64]:
        """For every tag on an artifact of the block that artifact, and the position of its name."""
        offsets, tags = self._facts.tag_offsets, self._facts.tags
        if isinstance(self.at, slice):
            bounds = offsets[self.at.start : self.at.stop + 1]
            counts, names = np.diff(bounds), tags[bounds[0] : bounds[-1]]
        else:
            starts = offsets[self.at]
            counts = offsets[self.at + 1] - starts
            names = tags[spans(starts, counts)]
        return np.repeat(np.arange(self.size), counts), names.astype(np.int64)

    @cached_property
    def _names(self) -> TagNames:
        return self._census.names_at(self._tags[1])

    @cached_property
    def youngest_first(self) -> Int64:
        """Positions in the block in the order of ``Census.youngest_first``."""
        order = self._census.youngest_first[self.at]
        local: Int64 = order - np.repeat(self._first - self._starts, self._counts)
        return local

    def ranks(self, selected: Bools) -> Int64:
        """1 for the youngest of ``selected`` in each repository, and so on; 0 for the others.

        Also 0 for children of indexes where these take no slots.
        """
        has_slot = self._census.has_slot
        counted = selected if has_slot is None else selected & has_slot[self.at]
        order = self.youngest_first
        ranked = np.flatnonzero(counted[order])
        begins = np.searchsorted(ranked, self._starts)
        before = np.repeat(begins, np.diff(begins, append=len(ranked)))
        ranks = np.zeros(self.size, np.int64)
        ranks[order[ranked]] = np.arange(1, len(ranked) + 1) - before
        return ranks

    def ages_ms(self, rule: Rule) -> Int64:
        """Milliseconds since the moment that ``rule`` looks at, NO_TIME where it is unknown."""
        times = self._census.times(rule.count_type)[self.at]
        return np.where(times == NO_TIME, NO_TIME, self._census.now_ms - times)

    def claimed(self, rule: Rule, measure: Int64, local: Int64) -> tuple[Bools, Bools]:
        """Of the selected artifacts at ``local``: which are in C(r), and whose time is unknown.

        ``measure`` is their rank or age. Strictly more than the limit is needed: the ECR user guide,
        "Examples of lifecycle policies", keeps an image of one day under a limit of one day.
        """
        if rule.count_type is not CountType.IMAGE_COUNT_MORE_THAN:
            return measure > rule.count_number * DAY_MS, measure == NO_TIME
        base = self._census.base_ms[self.at][local]
        # Without a slot there is nothing that the time could decide.
        unknown = (base == NO_TIME) & (measure > 0)
        return (measure > rule.count_number) & ~unknown, unknown


def order_by_age(repository: Int32, base_ms: Int64, tie: Int64) -> Int64:
    """Positions by ``repository`` (ascending already), latest ``base_ms`` first, greatest ``tie`` first.

    NO_TIME comes before all known times.
    """
    known = base_ms != NO_TIME
    if not known.any():
        return np.lexsort((~tie, repository))
    latest, earliest = int(base_ms[known].max()), int(base_ms[known].min())
    width = (latest - earliest + 1).bit_length()
    if width + int(repository[-1]).bit_length() > 63:
        # ~x orders as -x does, and cannot overflow.
        return np.lexsort((~tie, ~base_ms, known, repository))
    # Sorting one packed integer is several times faster than ordering by columns.
    key = repository.astype(np.int64) << width
    key += np.where(known, latest - base_ms + 1, 0)
    order = np.arange(len(key)) if bool((key[1:] >= key[:-1]).all()) else np.argsort(key)
    key = key[order]
    same = key[1:] == key[:-1]
    if same.any():
        member = np.flatnonzero(np.append(same, np.False_) | np.insert(same, 0, np.False_))
        among = order[member]
        order[member] = among[np.lexsort((among, ~tie[among], key[member]))]
    return order


def _meet(names: TagNames, entry: str, *, is_prefix: bool) -> Bools:
    return names.begin_with(entry) if is_prefix else names.match(entry)
