"""Who uses which image: workloads as the store hands them over, and what they come to.

A *use* is a workload that names an image. The list of images that a user gives counts as uses too,
of nobody in particular (``LISTED``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from analyzer.model.frames import Bools, Int32, Int64, UInt8
from analyzer.model.records import ReadStatus, UseKind

#: What workloads can be read from, in the order they are told. Inspector is no source of its own: it
#: counts for clusters whose pods cannot be listed.
SOURCES: Final = ("ecs", "lambda", "eks", "apprunner", "batch", "sagemaker", "codebuild")

#: Which uses by workloads count: all of them; those that run an image or would start with it; those that
#: run it; none.
WorkloadChoice = Literal["all", "configured", "running", "none"]

#: Codes of ``Usage.kind`` beside those of ``model.records.UseKind``: named by a list that the user
#: gave, and not known to be used.
LISTED: Final = 3
UNUSED: Final = 255
#: Names of the kinds of use, by code.
KINDS: Final = (*(kind.name.lower() for kind in UseKind), "listed")


@dataclass(frozen=True, slots=True, kw_only=True)
class UseBasis:
    """What was asked to count as a use of an image; nothing of what it came to."""

    workloads: WorkloadChoice = "all"
    #: References on the user's own list; None where there was none.
    listed: int | None = None


class SourceRead(NamedTuple):
    """How the last read of one source of workloads in one account and region went."""

    #: Position in ``Frames.registries``.
    place: int
    source: str
    status: ReadStatus


@dataclass(frozen=True, slots=True)
class Workloads:
    """What workloads of the registries' accounts and regions name, as of their snapshots; u uses."""

    #: Position in ``Frames.registries``.
    place: Int32
    #: Position in ``sources``.
    source: Int32
    #: Position in ``names``.
    workload: Int32
    #: Position in ``references``.
    reference: Int32
    #: ``model.records.UseKind`` codes.
    kind: UInt8
    sources: Sequence[str]
    #: Distinct names of workloads, in no particular order.
    names: Sequence[str]
    #: Distinct image references as workloads give them, in no particular order.
    references: Sequence[str]
    #: Ordered by place and source; a source that was never asked is left out.
    reads: Sequence[SourceRead]


class Use(NamedTuple):
    """One workload that uses an image; "" is what a list does not say."""

    #: "list" for what a list names.
    source: str
    account: str
    region: str
    workload: str
    #: One of ``KINDS``: how it uses the image that was asked about.
    kind: str
    #: As the workload, or the list, gives it.
    reference: str


@dataclass(frozen=True, slots=True)
class UseTexts:
    """The texts of uses, made where one is asked for: there can be hundreds of thousands."""

    workloads: Workloads
    #: Account and region of each place.
    places: Sequence[tuple[str, str]]
    #: What a list names, as it was written; their uses come after those of the workloads.
    listed: Sequence[str]

    def reference(self, use: int) -> str:
        """Its reference alone."""
        number = len(self.workloads.kind)
        if use >= number:
            return self.listed[use - number]
        return self.workloads.references[int(self.workloads.reference[use])]

    def __getitem__(self, use: int) -> Use:
        """The use at that position."""
        workloads = self.workloads
        number = len(workloads.kind)
        if use >= number:
            return Use("list", "", "", "", KINDS[LISTED], self.reference(use))
        account, region = self.places[int(workloads.place[use])]
        return Use(
            workloads.sources[int(workloads.source[use])],
            account,
            region,
            workloads.names[int(workloads.workload[use])],
            KINDS[int(workloads.kind[use])],
            self.reference(use),
        )


@dataclass(frozen=True, slots=True)
class MissingUse:
    """A reference to an image that is not there, and who has it."""

    reference: str
    #: The strongest kind of use, by name.
    kind: str
    #: Positions of uses: of each workload the strongest, and these by how strong they are.
    users: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unresolved:
    """How many distinct references of workloads name nothing that was read, and an example of each."""

    #: To registries or repositories that were not read, Docker Hub and ECR Public among them.
    elsewhere: int = 0
    elsewhere_example: str = ""
    #: Not there now, in a pull-through cache, which fetches them again.
    cached: int = 0
    cached_example: str = ""
    #: No image references.
    unreadable: int = 0
    unreadable_example: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Which artifacts of some frames are in use, and by what.

    Arrays of names run over the distinct references twice: a reference as it is, and (after all
    of these) as what a digest that a workload got is part of.
    """

    #: Per artifact: the strongest kind of use, running first; UNUSED where none is known.
    kind: UInt8
    #: Per artifact: not in use, but an artifact in use of its repository may be an index that nobody
    #: could read, and may have it as a child.
    possibly: Bools
    #: Parallel, ordered by artifact: the name reaches the artifact.
    reached: Int64
    reached_by: Int64
    #: Offsets into ``users``: the uses of each name.
    user_offsets: Int64
    #: Positions in the arrays below, which are in the order in which uses are told.
    users: Int64
    #: Whether a name stands for what such a digest is part of.
    is_whole: Bools
    #: Per use: its kind, and whose it is: the same for uses of one workload.
    use_kind: UInt8
    owner: Int64
    #: Per use: what it is, but for its kind.
    uses: UseTexts
    #: Uses of images that are not there, though their repository was read; the strongest first.
    missing: tuple[MissingUse, ...]
    #: What names no image that was read.
    unresolved: Unresolved

    @property
    def in_use(self) -> Bools:
        """Per artifact: whether it is known to be in use."""
        known: Bools = self.kind != UNUSED
        return known

    def count(self, position: int) -> int:
        """How many workloads use the artifact at ``position``; references of a list count as one each."""
        return len(self._owners(position)[0])

    def of(self, position: int, limit: int | None = None) -> tuple[Use, ...]:
        """Who uses the artifact at ``position``: the strongest kind first, each workload once."""
        uses, kinds = self._owners(position)
        return tuple(
            self.uses[use]._replace(kind=KINDS[kind])
            for use, kind in zip(uses[:limit].tolist(), kinds[:limit].tolist(), strict=True)
        )

    def of_missing(self, missing: MissingUse, limit: int | None = None) -> tuple[Use, ...]:
        """Who has a reference to what is not there: the strongest kind first, each workload once."""
        return tuple(self.uses[use] for use in missing.users[:limit])

    def _owners(self, position: int) -> tuple[Int64, UInt8]:
        """The use of each workload that counts most, and its kind."""
        begin, end = np.searchsorted(self.reached, [position, position + 1]).tolist()
        parts: list[Int64] = [np.zeros(0, np.int64)]
        kinds: list[UInt8] = [np.zeros(0, np.uint8)]
        for name in self.reached_by[begin:end].tolist():
            of_name = self.users[self.user_offsets[name] : self.user_offsets[name + 1]]
            parts.append(of_name)
            kinds.append(
                np.full(len(of_name), UseKind.CONFIGURED, np.uint8)
                if self.is_whole[name]
                else self.use_kind[of_name]
            )
        uses, kind = np.concatenate(parts), np.concatenate(kinds)
        order = np.lexsort((uses, kind))
        uses, kind = uses[order], kind[order]
        _, first = np.unique(self.owner[uses], return_index=True)
        first.sort()
        return uses[first], kind[first]


@dataclass(frozen=True, slots=True)
class PlaceCoverage:
    """What was read of the workloads of one account and region."""

    account: str
    region: str
    #: Sources by how their last read went, in the order of SOURCES.
    read: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    never_asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which workloads an answer about images in use covers, one entry per account and region."""

    places: tuple[PlaceCoverage, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every source was read whole everywhere."""
        return not any(place.partial or place.refused or place.never_asked for place in self.places)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing at all was read of any source."""
        return not any(place.read or place.partial for place in self.places)
