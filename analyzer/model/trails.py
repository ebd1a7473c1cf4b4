"""Where CloudTrail's files are, and what is known of the trail that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class StoredFile(NamedTuple):
    """A file of a trail's."""

    #: As its source knows it.
    name: str
    size: int


class TrailPlace(NamedTuple):
    """An account's region, of which a source has files."""

    account: str
    region: str


@dataclass(frozen=True, slots=True)
class TrailState:
    """What CloudTrail says of a trail; where it was not asked, or refused to say, a note."""

    #: Why reads such as pulls are in none of its files; "" where they are, or where that is not known.
    problem: str = ""
    #: The days from which and to which it vouches for its files; None where nobody asked it.
    first_day: int | None = None
    last_day: int | None = None
    #: The one region that it covers; "" for all.
    region: str = ""
    #: What could not be found out.
    note: str = ""

    def vouches_for(self, region: str, day: int) -> bool:
        """Whether hours without a file are hours in which nothing happened."""
        return (
            not self.problem
            and self.first_day is not None
            and self.last_day is not None
            and self.first_day < day < self.last_day
            and self.region in ("", region)
        )


class TrailSource(Protocol):
    """A place with a trail's files by account, region and day; what it raises is an UnreadableFileError."""

    @property
    def name(self) -> str:
        """What it is called in the store and in messages."""

    def state(self) -> TrailState:
        """What is known of the trail."""

    def places(self) -> Sequence[TrailPlace]:
        """Of which accounts and regions it has files, sorted."""

    def files(self, place: TrailPlace, day: int) -> Sequence[StoredFile]:
        """The files of a day, sorted by name."""

    def fetch(self, name: str) -> bytes:
        """What is in a file; called from threads."""
