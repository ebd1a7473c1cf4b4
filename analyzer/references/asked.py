"""Which uses count, held against what was read: workloads, a list of the user's own, or both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analyzer.families import Families
from analyzer.model.frames import Frames, LifecycleFacts
from analyzer.model.records import UseKind
from analyzer.model.usage import Coverage, Usage, UseBasis, WorkloadChoice, Workloads
from analyzer.references.in_use import find_in_use
from analyzer.references.parsing import ImageReference
from analyzer.references.resolution import DigestIds
from analyzer.references.usage import coverage_of, find_usage, up_to


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedUses:
    """What is to count as a use of an image; every workload that was read by default."""

    workloads: WorkloadChoice = "all"
    #: The user's own list of images in use; None without one.
    listed: tuple[ImageReference, ...] | None = None
    #: What messages call the list.
    origin: str = "--in-use"

    @property
    def basis(self) -> UseBasis:
        """The same in numbers, for reports."""
        return UseBasis(workloads=self.workloads, listed=None if self.listed is None else len(self.listed))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundUses:
    """Who uses what, as far as what was asked about says so."""

    #: None where nobody said anything: no workloads were read, and there is no list.
    usage: Usage | None
    #: Which workloads ``usage`` covers; None where these were not to count.
    coverage: Coverage | None
    basis: UseBasis
    #: References of the list to registries or repositories that were not read, or not whole.
    elsewhere: Sequence[ImageReference] = ()
    #: Of the list, not there, in a pull-through cache, which fetches them again.
    cached: Sequence[ImageReference] = ()
    #: Of the list, not there: they are broken already.
    unmatched: Sequence[ImageReference] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the list says nothing about, though whoever gave it may think so."""
        return tuple(
            self._of_list(
                (
                    self.elsewhere,
                    "to registries or repositories that were not read, {} for one; nothing is said of these",
                ),
                (self.cached, "to images that a pull-through cache fetches again, {} for one"),
            )
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """That the list names what is not there: for answers that do not show ``usage.missing``."""
        return tuple(self._of_list((self.unmatched, "to images that are not there, {} for one")))

    def _of_list(self, *kinds: tuple[Sequence[ImageReference], str]) -> Iterator[str]:
        for left, what in kinds:
            if left:
                said = what.format(left[0].text)
                yield f"--in-use: {len(left):,} of {self.basis.listed:,} references are {said}"


def find_asked_uses(
    asked: AskedUses,
    workloads: Workloads | None,
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    digest_ids: DigestIds,
    *,
    whole_registries: bool = True,
) -> FoundUses:
    """Who uses which artifact of ``frames`` by what was ``asked`` to count.

    ``workloads`` are those that were read, None where nobody was asked about any; the rest is as
    ``find_usage`` and ``find_in_use`` take it.
    """
    found = None
    if asked.listed is not None:
        found = find_in_use(
            asked.listed, frames, facts, families, digest_ids, whole_registries=whole_registries
        )
    stored = None if asked.workloads == "none" else workloads
    coverage = None
    if stored is not None:
        coverage = coverage_of(stored, frames.registries)
        if asked.workloads != "all":
            stored = up_to(stored, UseKind[asked.workloads.upper()])
        if coverage.is_nothing and not len(stored.kind):
            stored = None
    usage = None
    if stored is not None or asked.listed is not None:
        usage = find_usage(
            stored,
            asked.listed or (),
            frames,
            facts,
            families,
            digest_ids,
            whole_registries=whole_registries,
        )
    return FoundUses(
        usage=usage,
        coverage=coverage,
        basis=asked.basis,
        elsewhere=() if found is None else found.elsewhere,
        cached=() if found is None else found.cached,
        unmatched=() if found is None else found.unmatched,
    )
