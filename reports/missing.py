"""What the bytes and counts of a row leave out, so that nothing unknown is shown as zero.

Money says by itself what it leaves out (``Money.leaves_out``). Bytes and counts are plain integers
in the model; what is missing from them follows from how the reading went.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Final

from analyzer.model.records import ReadStatus
from analyzer.model.results import (
    UNKNOWN_SIZE,
    UNLISTED_IMAGES,
    UNLISTED_REPOSITORIES,
    Counts,
    RegistryRow,
    Report,
    RepositoryRow,
)
from analyzer.model.units import Money
from reports.figures import listed


@dataclass(frozen=True, slots=True)
class Missing:
    """What a figure leaves out; no reasons where it is whole."""

    reasons: tuple[str, ...] = ()
    #: Nothing at all is known, so that zero would be a guess.
    nothing_known: bool = False

    @property
    def words(self) -> str:
        """The reasons as one text; "" where nothing is missing."""
        return "; ".join(self.reasons)


WHOLE: Final = Missing()


def bytes_of_repository(row: RepositoryRow) -> Missing:
    """What the bytes of a repository leave out."""
    return _missing(row.counts, row.physical_bytes.repository, never_listed=row.complete_at is None)


def counts_of_repository(row: RepositoryRow) -> Missing:
    """What the counts of a repository leave out: what could not be read may be of any kind."""
    return _uncounted(row.counts, never_listed=row.complete_at is None)


def bytes_of_registries(report: Report) -> list[Missing]:
    """What the bytes of each registry leave out, in the report's order."""
    never_listed = _with_unlisted_images(report)
    return [
        _missing(
            row.counts,
            row.physical_bytes.repository,
            never_listed=(row.account, row.region) in never_listed,
            list_incomplete=bool(repositories_of_registry(row).reasons),
        )
        for row in report.registries
    ]


def counts_of_registries(report: Report) -> list[Missing]:
    """What the counts of artifacts in each registry leave out, in the report's order."""
    never_listed = _with_unlisted_images(report)
    return [
        _uncounted(
            row.counts,
            never_listed=(row.account, row.region) in never_listed,
            list_incomplete=bool(repositories_of_registry(row).reasons),
        )
        for row in report.registries
    ]


def repositories_of_registry(row: RegistryRow) -> Missing:
    """What the number of repositories of a registry leaves out."""
    unlisted = row.status == ReadStatus.PARTIAL or (
        row.status != ReadStatus.COMPLETE and not row.repositories
    )
    return Missing((UNLISTED_REPOSITORIES,), nothing_known=not row.repositories) if unlisted else WHOLE


def bytes_of_all(report: Report) -> Missing:
    """What the total bytes leave out."""
    return united(bytes_of_registries(report), known=report.totals.physical_bytes.repository)


def counts_of_all(report: Report) -> Missing:
    """What the total counts of artifacts leave out."""
    return united(counts_of_registries(report), known=sum(astuple(report.totals.counts)))


def repositories_of_all(report: Report) -> Missing:
    """What the total number of repositories leaves out."""
    return united(map(repositories_of_registry, report.registries), known=report.totals.repositories)


def dagger_note(report: Report, *amounts: Money) -> str:
    """What the dagger and ``unknown`` stand for in a table with these totals; "" where neither is."""
    reasons = sorted(
        {
            *(reason for money in amounts for reason in money.leaves_out),
            *bytes_of_all(report).reasons,
            *counts_of_all(report).reasons,
        }
    )
    if not reasons:
        return ""
    return f"Leaves out: {listed(reasons)}. Where nothing else is known, the cell says unknown."


def _missing(
    counts: Counts, known_bytes: int, *, never_listed: bool, list_incomplete: bool = False
) -> Missing:
    reasons = tuple(
        reason
        for reason, holds in (
            (UNKNOWN_SIZE, counts.unknown > 0),
            (UNLISTED_IMAGES, never_listed),
            (UNLISTED_REPOSITORIES, list_incomplete),
        )
        if holds
    )
    return Missing(reasons, nothing_known=bool(reasons) and not known_bytes)


def _uncounted(counts: Counts, *, never_listed: bool, list_incomplete: bool = False) -> Missing:
    return _missing(counts, sum(astuple(counts)), never_listed=never_listed, list_incomplete=list_incomplete)


def _with_unlisted_images(report: Report) -> set[tuple[str, str]]:
    return {(row.account, row.region) for row in report.repositories if row.complete_at is None}


def united(parts: Iterable[Missing], *, known: int) -> Missing:
    """What the sum of several figures leaves out, of which ``known`` is what is known."""
    reasons = tuple(sorted({reason for part in parts for reason in part.reasons}))
    return Missing(reasons, nothing_known=bool(reasons) and not known)
