"""What the evaluator says of every image, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from analyzer.model.frames import Bools, Int32, Int64, UInt8


class Outcome(IntEnum):
    """Where an artifact ends up: codes of ``Verdicts.outcome``."""

    KEPT = 0
    EXPIRED = 1
    #: Moved to the archive storage class.
    TRANSITIONED = 2


class Reason(IntEnum):
    """Why it ends up there: codes of ``Verdicts.reason``."""

    #: EXPIRED or TRANSITIONED: ``rule`` claims it.
    CLAIMED = 0
    #: EXPIRED or TRANSITIONED with its subject, at ``by``; no rule acts on it.
    FOLLOWS_SUBJECT = 1
    #: KEPT: there is no policy for its repository, or none that could be read.
    NO_POLICY = 2
    #: KEPT: no rule of its storage class selects it.
    NO_RULE = 3
    #: KEPT: ``rule`` is the first to select it and does not claim it; later rules cannot.
    WITHIN_LIMIT = 4
    #: KEPT: ``rule`` claims it, but the index at ``by`` names it and stays.
    BLOCKED_BY_INDEX = 5
    #: KEPT: it refers to the artifact at ``by``, which stays; no rule acts on it.
    SUBJECT_STAYS = 6
    #: KEPT: its restore from the archive is under way; no rule acts on it.
    ACTIVATING = 7
    #: KEPT: ``rule`` is the first to select it and needs a time that AWS did not give.
    UNKNOWN_TIME = 8


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One verdict per artifact, in the order of the artifacts; n long each."""

    #: ``Outcome`` codes.
    outcome: UInt8
    #: ``Reason`` codes.
    reason: UInt8
    #: Priority of the first rule of its storage class that selects it, which alone can claim it;
    #: 0 where none does, or none may (NO_POLICY, NO_RULE, FOLLOWS_SUBJECT, SUBJECT_STAYS, ACTIVATING).
    rule: Int32
    #: Where ``rule`` counts images: 1 for the youngest of all that it selects, and so on; else 0.
    rank: Int64
    #: Where ``rule`` counts days: milliseconds since the push, pull or transition that it looks at
    #: (negative for a moment yet to come); NO_TIME where it counts images or the time is unknown.
    age_ms: Int64
    #: Position of the index or subject that ``reason`` speaks of (the first of several), else -1.
    by: Int64
    #: It leaves, but an index that names it leaves with it: ECR may need two runs for that.
    deferred: Bools
    #: ``rule`` counts days, and its limit is within 24 hours of the age: when ECR runs decides.
    near_limit: Bools
