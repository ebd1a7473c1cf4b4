"""Pulls on their way into the store: some thousand events at a time, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from analyzer.model.frames import Int32, UInt8, UInt64
from analyzer.model.pulls import Puller, Target

#: Every hour of a day, as bits.
ALL_HOURS = (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class PullColumns:
    """Events about images and layers, a row for each that one asks for."""

    days: Int32
    #: 64-bit hashes: of the row (each copy of an event has its own), and the same for all its copies.
    events: UInt64
    joints: UInt64
    #: 0 for the only copy there is, else `analyzer.pulls.records.Side`.
    sides: UInt8
    #: Positions in ``targets`` and ``pullers``.
    target: Int32
    puller: Int32
    targets: Sequence[Target]
    pullers: Sequence[Puller]

    def __len__(self) -> int:
        return len(self.events)


class FileMark(NamedTuple):
    """A file that is in the store from now on."""

    source: str
    #: Of its name; 0 where that holds none.
    day: int
    #: 64-bit hash of what tells it from others.
    file: int


class Evidence(NamedTuple):
    """What a source turned out to hold about one account and region on one day."""

    day: int
    account: str
    region: str
    source: str
    #: Bits, added to those that are known.
    hours: int = 0
    #: Whether a read event was seen; once is enough.
    has_reads: bool = False
    #: Whether the source vouches for what is missing; None leaves it as it was.
    is_whole: bool | None = None
    #: What went wrong, "" for nothing; None leaves it as it was.
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class PullBatch:
    """What one transaction takes in: all of it, or nothing."""

    columns: PullColumns
    files: tuple[FileMark, ...] = ()
    evidence: tuple[Evidence, ...] = field(default=())


class WrittenPulls(NamedTuple):
    """What became of a batch's rows."""

    #: Counted now.
    new: int
    #: Known already.
    repeated: int
    #: Of days that are closed.
    late: int

    def __add__(self, other: object) -> WrittenPulls:
        """Of two batches."""
        if not isinstance(other, WrittenPulls):
            return NotImplemented
        return WrittenPulls(self.new + other.new, self.repeated + other.repeated, self.late + other.late)
