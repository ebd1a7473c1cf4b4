"""Simulated registries: images of today and replayed pushes, judged month by month by the evaluator.

Every replay of a repository is a repository of its own to the evaluator, so that all replays are judged
together. *Virtual* is the number of such a one: replay * chosen repositories + which of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyzer.families import Families, spans
from analyzer.forecast.atoms import Atoms
from analyzer.forecast.draws import HORIZON, MONTH_ENDS, Draws
from analyzer.forecast.record import MOST_WEEKS, WEEK_MS, Record
from analyzer.holdings import changes, reduce_runs
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.policy import Policy
from analyzer.model.frames import (
    NEVER_PULLED,
    NO_MANIFEST,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Bools,
    Frames,
    Int64,
    LifecycleFacts,
    Listed,
    Manifests,
    UInt8,
)
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome

#: Moments that are looked at: now, and the end of each month.
STEPS = len(MONTH_ENDS)
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What simulated registries hold at each moment."""

    #: (STEPS, replays, chosen repositories): artifacts, and bytes at repository scope by class.
    artifacts: Int64
    standard_repository: Int64
    archive_repository: Int64
    #: (STEPS, replays, sharing groups) at registry scope.
    standard_registry: Int64
    archive_registry: Int64


@dataclass(frozen=True, slots=True)
class _Scope:
    """Every blob of every replay with its holders: those of blob i from ``starts[i]`` on."""

    holder: Int64
    starts: Int64
    #: Of each blob: whose it is, and its size.
    unit: Int64
    size_bytes: Int64


class World:
    """The ``chosen`` repositories of a record in every replay of ``draws``."""

    def __init__(
        self,
        record: Record,
        facts: LifecycleFacts,
        image_status: UInt8,
        atoms: Atoms,
        draws: Draws,
        *,
        chosen: Int64,
        group: Int64,
        at_ms: int,
    ) -> None:
        """``facts`` and ``image_status`` are of the present artifacts; ``group`` is that of each repository.

        ``chosen`` are rows, ascending.
        """
        self._record, self._facts, self._draws = record, facts, draws
        self._chosen, self._at_ms = chosen, at_ms
        self._virtuals = draws.replays * len(chosen)
        self._source, self._start = self._weeks()
        self._build(image_status)
        self._tag()
        self._relate()
        self._hold(atoms, group)

    def _weeks(self) -> tuple[Int64, Int64]:
        """(virtual, HORIZON): the source of each week and the beginning of its run; -1 for no source."""
        known = self._record.weeks[self._chosen]
        drawn = [self._draws.of(weeks) if weeks else None for weeks in known.tolist()]
        nothing = np.full((self._draws.replays, HORIZON), -1)
        shape = (self._virtuals, HORIZON)
        source = np.stack([nothing if one is None else one[0] for one in drawn], axis=1).reshape(shape)
        start = np.stack([nothing if one is None else one[1] for one in drawn], axis=1).reshape(shape)
        return source, start

    def _build(self, image_status: UInt8) -> None:
        record, chosen, replays = self._record, self._chosen, self._draws.replays
        # Pushes of one repository and week stand side by side: the latest weeks last.
        order_key = record.repository * (MOST_WEEKS + 1) + (MOST_WEEKS - np.minimum(record.week, MOST_WEEKS))
        wanted = np.arange(len(chosen)).repeat(MOST_WEEKS), np.tile(np.arange(MOST_WEEKS), len(chosen))
        keys = chosen[wanted[0]] * (MOST_WEEKS + 1) + (MOST_WEEKS - wanted[1])
        first = np.searchsorted(order_key, keys).reshape(len(chosen), MOST_WEEKS)
        count = np.searchsorted(order_key, keys, side="right").reshape(len(chosen), MOST_WEEKS) - first
        which = np.tile(np.arange(len(chosen)), replays)[:, None]
        source = np.maximum(self._source, 0)
        lengths = np.where(self._source >= 0, count[which, source], 0).ravel()
        self._instance_first = first[which, source]
        self._instance_start = (np.cumsum(lengths) - lengths).reshape(self._source.shape)
        pushed = spans(self._instance_first.ravel(), lengths)
        slot = np.repeat(np.arange(self._source.size), lengths)
        shift = (np.arange(HORIZON) + 1 + self._source).ravel()[slot] * WEEK_MS

        is_chosen = np.full(len(record.weeks), -1)
        is_chosen[chosen] = np.arange(len(chosen))
        tile = np.flatnonzero((record.present >= 0) & (is_chosen[record.repository] >= 0))
        self._tiles = len(tile)
        self._tile_number = np.full(len(record.week), -1)
        self._tile_number[tile] = np.arange(len(tile))
        tiles = np.tile(tile, replays)
        tile_virtual = np.arange(replays).repeat(len(tile)) * len(chosen) + np.tile(
            is_chosen[record.repository[tile]], replays
        )
        #: Of all, those of today first; sorted by virtual, and there in the order of their making.
        virtual = np.concatenate((tile_virtual, slot // HORIZON))
        order = np.argsort(virtual, kind="stable")
        self._place = np.empty(len(order), np.int64)
        self._place[order] = np.arange(len(order))
        self.virtual = virtual[order]
        self.of = np.concatenate((tiles, pushed))[order]
        #: Week of the replay, -1 for what is there today.
        self.week = np.concatenate((np.full(len(tiles), -1), slot % HORIZON))[order]
        push_ms = record.pushed_ms
        self.pushed_ms = np.concatenate((push_ms[tiles], push_ms[pushed] + shift))[order]
        self._born = np.searchsorted(MONTH_ENDS, self.week, side="right").astype(np.int64)
        today, facts = record.present[self.of], self._facts
        is_today = self.week < 0
        after = record.pulled_after_ms[self.of]
        replayed = np.where(after == NO_TIME, NO_TIME, self.pushed_ms + np.where(after == NO_TIME, 0, after))

        def of_today(values: Int64 | UInt8, other: Int64 | int) -> Int64:
            mine = values[np.where(is_today, today, 0)] if len(values) else np.zeros(len(today), np.int64)
            return np.where(is_today, mine, other)

        self._pulled_ms = of_today(facts.pulled_at_ms, replayed)
        self._archived_ms = of_today(facts.archived_at_ms, NO_TIME)
        self._activated_ms = of_today(facts.activated_at_ms, NO_TIME)
        self._status = of_today(image_status, int(ImageStatus.ACTIVE)).astype(np.uint8)
        self._tie = of_today(facts.tie, np.arange(len(today)) + int(facts.tie.max(initial=0)) + 1)

    def _tag(self) -> None:
        """Every tag with the artifact that carries it, and until when."""
        record, facts = self._record, self._facts
        # Both number the tag names of one database, or of one set of documents, alike.
        is_today = self.week < 0
        today = np.where(is_today, record.present[self.of], 0)
        offsets_today = facts.tag_offsets
        starts = np.where(is_today, offsets_today[today], record.tag_offsets[self.of])
        # Where nothing is there today, nobody looks at these.
        after_today = np.minimum(today + 1, len(offsets_today) - 1)
        ends = np.where(is_today, offsets_today[after_today], record.tag_offsets[self.of + 1])
        lengths = ends - starts
        at = spans(starts, lengths)
        carrier = np.repeat(np.arange(len(self.of)), lengths)
        of_today = is_today[carrier]
        tag = np.empty(len(at), np.int64)
        tag[of_today] = facts.tags[at[of_today]]
        tag[~of_today] = record.tags[at[~of_today]]
        until = np.full(len(tag), _NEVER)
        moving = np.flatnonzero(record.moves[tag])
        pushed = self.pushed_ms[carrier[moving]]
        order = moving[np.lexsort((carrier[moving], pushed, tag[moving], self.virtual[carrier[moving]]))]
        same = (tag[order][1:] == tag[order][:-1]) & (
            self.virtual[carrier[order]][1:] == self.virtual[carrier[order]][:-1]
        )
        # From one to the next, but not among those of today: a tag is on one image only.
        until[order[:-1][same]] = self.pushed_ms[carrier[order[1:][same]]]
        self._tags = tag, carrier, until

    def _relate(self) -> None:
        """Children and subjects: of the same run of weeks, or of today."""
        record = self._record
        by_parent = np.argsort(record.parent, kind="stable")
        counts = np.bincount(record.parent, minlength=len(record.week))
        first = np.cumsum(counts) - counts
        lengths = counts[self.of]
        parent = np.repeat(np.arange(len(self.of)), lengths)
        child = self._relative(parent, record.child[by_parent[spans(first[self.of], lengths)]])
        found = child >= 0
        self._parent, self._child = parent[found], child[found]
        self._subject = np.full(len(self.of), -1)
        with_subject = np.flatnonzero(record.subject[self.of] >= 0)
        self._subject[with_subject] = self._relative(with_subject, record.subject[self.of[with_subject]])

    def _relative(self, artifact: Int64, other: Int64) -> Int64:
        """Where the relative stands that ``other`` (a position in the record) is to each ``artifact``."""
        record = self._record
        virtual, week = self.virtual[artifact], self.week[artifact]
        today = self._tile_number[other]
        found = np.where(today >= 0, today + (virtual // len(self._chosen)) * self._tiles, -1)
        found = np.where(found >= 0, self._place[np.maximum(found, 0)], -1)
        then = week - (record.week[other] - record.week[self.of[artifact]])
        inside = (week >= 0) & (then >= 0) & (then < HORIZON)
        then = np.where(inside, then, 0)
        inside &= self._start[virtual, then] == self._start[virtual, np.maximum(week, 0)]
        number = self._instance_start[virtual, then] + other - self._instance_first[virtual, then]
        number = self._tiles * self._draws.replays + np.where(inside, number, 0)
        return np.where(inside, self._place[np.minimum(number, len(self._place) - 1)], found)

    def _hold(self, atoms: Atoms, group: Int64) -> None:
        """Sort the references by what they hold, once for all scenarios."""
        record = self._record
        lengths = np.diff(atoms.offsets)[self.of]
        at = spans(atoms.offsets[self.of], lengths)
        holder = np.repeat(np.arange(len(self.of)), lengths)
        week, virtual = self.week[holder], self.virtual[holder]
        replay = virtual // max(len(self._chosen), 1)
        groups, of_chosen = np.unique(group[self._chosen], return_inverse=True)
        #: The sharing groups that the columns of holdings at registry scope are of.
        self.groups = groups
        shared = replay * len(groups) + of_chosen[virtual % max(len(self._chosen), 1)]
        start = self._start[virtual, np.maximum(week, 0)]
        ago = record.week[self.of[holder]]
        size = atoms.size_bytes[atoms.atom[at]]
        self._scopes = []
        for unit, came in ((virtual, atoms.week_repository[at]), (shared, atoms.week_group[at])):
            new = week - (came - ago)
            # What was there before the run began is the very blob that was there.
            version = np.where((week >= 0) & (new >= start), new + 1, 0)
            key = (unit * (len(atoms.size_bytes) + 1) + atoms.atom[at]) * (HORIZON + 1) + version
            order = np.argsort(key, kind="stable")
            starts = np.flatnonzero(changes(key[order]))
            first = order[starts]
            self._scopes.append(_Scope(holder[order], starts, unit[first], size[first]))

    def holdings(self, policies: Sequence[Policy], policy_of: Int64) -> Holdings:
        """What is held where ``policies`` apply; ``policy_of`` is by chosen repository, -1 for none."""
        leaves, archives = self._judge(policies, np.tile(policy_of, self._draws.replays))

        def mask(begin: Int64, end: Int64) -> Int64:
            """A bit for each moment from ``begin`` up to, and without, ``end``."""
            bits = (np.int64(1) << np.minimum(end, STEPS)) - (np.int64(1) << np.minimum(begin, STEPS))
            return np.maximum(bits, 0)

        there = mask(self._born, leaves)
        standard = mask(self._born, np.minimum(leaves, archives))
        replays, groups = self._draws.replays, len(self.groups)
        repository, registry = self._scopes

        def held(scope: _Scope, bits: Int64, units: int) -> Int64:
            together = reduce_runs(np.bitwise_or, bits[scope.holder], scope.starts)
            return _sums(scope.unit, together, scope.size_bytes, units).reshape(STEPS, replays, -1)

        sums = [
            held(scope, bits, units)
            for scope, units in ((repository, self._virtuals), (registry, replays * groups))
            for bits in (there, standard)
        ]
        one = np.ones(len(self.of), np.int64)
        return Holdings(
            artifacts=_sums(self.virtual, there, one, self._virtuals).reshape(STEPS, replays, -1),
            standard_repository=sums[1],
            archive_repository=sums[0] - sums[1],
            standard_registry=sums[3],
            archive_registry=sums[2] - sums[3],
        )

    def _judge(self, policies: Sequence[Policy], policy_of: Int64) -> tuple[Int64, Int64]:
        """The first moment that finds each artifact gone, and the first that finds it archived."""
        count = len(self.of)
        leaves, archives = np.full((2, count), STEPS)
        archives[np.isin(self._status, (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING))] = 0
        status, archived_ms = self._status.copy(), self._archived_ms.copy()
        subject_to = policy_of[self.virtual] >= 0
        if not subject_to.any():
            return leaves, archives
        for step in range(1, STEPS):
            at = np.flatnonzero(subject_to & (self._born <= step) & (leaves == STEPS))
            now_ms = self._at_ms + MONTH_ENDS[step] * WEEK_MS
            frames, facts, families = self._view(at, now_ms, status, archived_ms)
            outcome = Evaluator(frames, facts, families, now_ms=now_ms).judge(policies, policy_of).outcome
            leaves[at[outcome == Outcome.EXPIRED]] = step
            moved = at[outcome == Outcome.TRANSITIONED]
            archives[moved], status[moved], archived_ms[moved] = step, ImageStatus.ARCHIVED, now_ms
        return leaves, archives

    def _view(
        self, at: Int64, now_ms: int, status: UInt8, archived_ms: Int64
    ) -> tuple[Frames, LifecycleFacts, Families]:
        """The artifacts ``at`` as the evaluator takes them."""
        record = self._record
        where = np.full(len(self.of), -1)
        where[at] = np.arange(len(at))
        tag, carrier, until = self._tags
        carried = (where[carrier] >= 0) & (until > now_ms)
        counts = np.bincount(where[carrier[carried]], minlength=len(at))
        none = np.zeros(len(at), np.uint32)
        artifacts = Artifacts(
            repository=self.virtual[at].astype(np.int32),
            digest_id=np.arange(len(at), dtype=np.uint32),
            manifest=np.full(len(at), NO_MANIFEST, np.int32),
            pushed_at_ms=self.pushed_ms[at],
            image_status=status[at],
            pulled_day=np.full(len(at), NEVER_PULLED, np.int32),
            tags=counts.astype(np.int32),
            reported_size_bytes=np.full(len(at), NO_SIZE),
            subject=none,
            listed=np.full(len(at), Listed.IMAGE, np.uint8),
        )
        frames = Frames(
            pd.DataFrame({"region": pd.Series([], dtype="str")}),
            pd.DataFrame({"registry": np.zeros(self._virtuals, np.int64)}),
            artifacts,
            Manifests.none(),
            np.zeros(1, np.int64),
        )
        facts = LifecycleFacts(
            pulled_at_ms=self._pulled_ms[at],
            archived_at_ms=archived_ms[at],
            activated_at_ms=self._activated_ms[at],
            tie=self._tie[at],
            tag_offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(counts))),
            # Carriers ascend, and so do those that are left.
            tags=tag[carried].astype(np.int32),
            tag_names=record.tag_names,
        )
        related = _both(where, self._parent, self._child)
        subject = self._subject[at]
        of = self.of[at]
        families = Families(
            kind=record.kind[of],
            parent=where[self._parent[related]],
            child=where[self._child[related]],
            subject=np.where(subject >= 0, where[subject], -1),
            opaque=record.opaque[of],
        )
        return frames, facts, families


def _sums(unit: Int64, bits: Int64, amounts: Int64, units: int) -> Int64:
    """(STEPS, units): sums of ``amounts`` over those whose bit of the moment is set.

    There are few different sets of bits, and a float holds sums exactly up to 8 PiB.
    """
    present = np.zeros(1 << STEPS, np.bool_)
    present[bits] = True
    sets = np.flatnonzero(present)
    code = np.zeros(1 << STEPS, np.int64)
    code[sets] = np.arange(len(sets))
    width = max(len(sets), 1)
    added = np.bincount(unit * width + code[bits], amounts, units * width).reshape(units, width)
    chosen = (sets[:, None] >> np.arange(STEPS)) & 1
    total = np.zeros((units, STEPS)) if not len(sets) else added @ chosen.astype(np.float64)
    return np.rint(total.T).astype(np.int64)


def _both(where: Int64, one: Int64, other: Int64) -> Bools:
    both: Bools = (where[one] >= 0) & (where[other] >= 0)
    return both
