"""What becomes of marks among relatives: indexes hold their children, referrers follow subjects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzer.families import Families, spans
from analyzer.model.frames import Bools, Int64, UInt8
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome


@dataclass(frozen=True, slots=True)
class Settlement:
    """Which marks hold in the end, n long each."""

    #: ``Outcome`` codes.
    outcome: UInt8
    #: Has lost its mark to an index that stays, or follows nothing for such an index.
    blocked: Bools
    #: Position of the first index that blocks it, -1 where none does.
    blocking: Int64
    #: Leaves after its subject.
    following: Bools
    #: Leaves, and so does an index that names it.
    deferred: Bools


class Relations:
    """Who holds whom, prepared once for any number of settlements."""

    def __init__(self, families: Families, image_status: UInt8) -> None:
        # An index that names itself holds nothing by it.
        pairs = np.flatnonzero(families.parent != families.child)
        pairs = pairs[np.argsort(families.parent[pairs], kind="stable")]
        self._parent = families.parent[pairs]
        self._child = families.child[pairs]
        follower = np.flatnonzero(families.subject >= 0)
        self._follower = follower[np.argsort(families.subject[follower], kind="stable")]
        self._subject = families.subject[self._follower]
        self._archived: Bools = image_status == ImageStatus.ARCHIVED
        activating = image_status == ImageStatus.ACTIVATING
        #: What can take the mark of its subject, by that mark.
        self._can_follow = np.zeros((len(Outcome), len(image_status)), np.bool_)
        self._can_follow[Outcome.EXPIRED] = ~activating
        self._can_follow[Outcome.TRANSITIONED] = ~(activating | self._archived)

    def settle(self, claims: UInt8) -> Settlement:
        """What remains of ``claims`` (``Outcome`` codes of what rules claim).

        Marks spread from subjects to referrers, along chains; a circle of subjects gets none. Then
        marks are dropped until nothing changes: of children whose index stays, and of referrers
        whose subject does. What remains is the largest set of marks that stand together.

        ECR user guide, "Automate the cleanup of images by using lifecycle policies": an image that a
        manifest list names is neither expired nor archived before the list is; referrers go within
        24 hours after their subject.
        """
        marks = self._spread(claims)
        outcome = self._drop(marks)
        blocked = np.zeros(len(claims), np.bool_)
        blocking = np.full(len(claims), -1)
        lost = outcome != marks
        if lost.any():
            pairs = self._held(np.flatnonzero(lost[self._child]), marks, outcome)
            child, parent = self._child[pairs], self._parent[pairs]
            blocking[child] = len(claims)
            np.minimum.at(blocking, child, parent)
            blocked[child] = True
            # Where the subject stays too, that alone would keep it.
            stays = outcome[self._subject] == Outcome.KEPT
            blocked[self._follower[stays]] = False
            blocking[~blocked] = -1
        following = np.zeros(len(claims), np.bool_)
        following[self._follower[outcome[self._follower] != Outcome.KEPT]] = True
        deferred = np.zeros(len(claims), np.bool_)
        leave = outcome != Outcome.KEPT
        deferred[self._child[leave[self._child] & leave[self._parent]]] = True
        return Settlement(outcome, blocked, blocking, following, deferred)

    def _spread(self, claims: UInt8) -> UInt8:
        marks = claims.copy()
        rows = np.arange(len(self._follower))
        # After the first pass only what follows something newly marked can change.
        while len(rows):
            taken = marks[self._subject[rows]]
            takes = self._can_follow[taken, self._follower[rows]]
            marked = self._follower[rows[takes]]
            marks[marked] = taken[takes]
            rows = _rows_of(self._subject, marked)
        return marks

    def _drop(self, marks: UInt8) -> UInt8:
        outcome = marks.copy()
        pairs, rows = np.arange(len(self._child)), np.zeros(0, np.int64)
        # After the first pass only what hangs on something that just lost its mark can change.
        while len(pairs) or len(rows):
            held = self._child[self._held(pairs, outcome, outcome)]
            deserted = self._follower[rows[outcome[self._follower[rows]] != Outcome.KEPT]]
            fallen = np.union1d(held, deserted)
            outcome[fallen] = Outcome.KEPT
            pairs, rows = _rows_of(self._parent, fallen), _rows_of(self._subject, fallen)
        return outcome

    def _held(self, pairs: Int64, marks: UInt8, outcome: UInt8) -> Int64:
        """Those of ``pairs`` (positions) whose index holds its child back.

        ``marks`` is what the children want, ``outcome`` what the indexes do. Expiry waits for the
        index to expire, archiving for it to expire or to be archived, now or before.
        """
        wants = marks[self._child[pairs]]
        index = self._parent[pairs]
        does = outcome[index]
        expiry_waits = (wants == Outcome.EXPIRED) & (does != Outcome.EXPIRED)
        archiving_waits = (wants == Outcome.TRANSITIONED) & (does == Outcome.KEPT) & ~self._archived[index]
        held: Int64 = pairs[expiry_waits | archiving_waits]
        return held


def _rows_of(keys: Int64, wanted: Int64) -> Int64:
    """Positions in the sorted ``keys`` of each of ``wanted``."""
    starts = np.searchsorted(keys, wanted)
    return spans(starts, np.searchsorted(keys, wanted, side="right") - starts)
