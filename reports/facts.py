"""The scope-and-trust lines: what a report covers, how complete it is and where its money stands."""

from __future__ import annotations

from typing import Final

from analyzer.model.records import ReadStatus
from analyzer.model.results import RegistryRow, Report, ScopedBytes, ScopedMoney
from analyzer.model.units import Money, Scope
from analyzer.model.words import counted
from reports.cells import Tone
from reports.figures import count, listed, moment, moments
from reports.missing import counts_of_all, repositories_of_all

#: Registries that the run did not read are named up to so many.
_MOST_NOT_READ: Final = 3


def is_range(report: Report) -> bool:
    """Whether the headline has two ends: sharing is, or ever was, on somewhere."""
    return report.scope == "auto" and report.totals.cost_low.amount != report.totals.cost_high.amount


def main_scope(report: Report) -> Scope:
    """The scope of the main figures: the one that was asked for; ``auto`` stands at repository scope."""
    return "registry" if report.scope == "registry" else "repository"


def promise_scope(report: Report) -> Scope:
    """The scope at which a saving cannot be overstated.

    What frees a layer in one repository frees it from the bill only if no other repository shares
    it, so this is repository scope only where sharing is known to be off and never was on.
    """
    proven_off = all(
        row.blob_mounting == "DISABLED" and not row.blob_mounting_ever for row in report.registries
    )
    return main_scope(report) if proven_off else "registry"


def money_at(both: ScopedMoney, scope: Scope) -> Money:
    """The money at ``scope``."""
    return both.registry if scope == "registry" else both.repository


def bytes_at(both: ScopedBytes, scope: Scope) -> int:
    """The bytes at ``scope``."""
    return both.registry if scope == "registry" else both.repository


def low_scope(report: Report, row: RegistryRow) -> Scope:
    """Where the low end of a registry stands: at registry scope only where layers may really be shared."""
    if report.scope != "auto":
        return report.scope
    return "registry" if ever_on(row) else "repository"


def low_bytes(report: Report) -> int:
    """The stored bytes that the low end of the cost is for."""
    return sum(bytes_at(row.physical_bytes, low_scope(report, row)) for row in report.registries)


def ever_on(row: RegistryRow) -> bool:
    """Whether repositories of the registry may share layers: mounts outlive the setting."""
    return row.blob_mounting_ever or row.blob_mounting == "ENABLED"


def is_list_price(report: Report) -> bool:
    """Whether no discount was taken from any price."""
    return all(row.discount_factor == 1 for row in report.prices)


def leaves_out(*amounts: Money) -> str:
    """What any of the amounts does not contain, as words; "" when nothing is missing."""
    reasons = sorted({reason for money in amounts for reason in money.leaves_out})
    return listed(reasons, limit=5)


def covers(report: Report) -> str:
    """Which registries the report covers, and how much is in them."""
    accounts = sorted({row.account for row in report.registries})
    regions = sorted({row.region for row in report.registries})
    registries = counted(len(report.registries), "registry", "registries")
    if not report.registries:
        return "No registry has been read."
    return (
        f"{registries} in {'account' if len(accounts) == 1 else 'accounts'} {listed(accounts)},"
        f" {'region' if len(regions) == 1 else 'regions'} {listed(regions)}: {contents(report)}."
    )


def contents(report: Report) -> str:
    """How many repositories and artifacts of each kind there are; ``at least`` where more may be."""
    totals = report.totals
    counts = totals.counts
    unlisted, uncounted = repositories_of_all(report), counts_of_all(report)
    said = [counted(totals.repositories, "repository", "repositories")]
    if unlisted.nothing_known:
        said = ["an unknown number of repositories"]
    elif unlisted.reasons:
        said = [f"at least {said[0]}"]
    if uncounted.nothing_known:
        return f"{said[0]}, an unknown number of images"
    images = counted(counts.images, "image")
    said += [
        f"at least {images}" if uncounted.reasons else images,
        counted(counts.indexes, "index", "indexes"),
        counted(counts.referrers, "referrer"),
    ]
    if counts.unknown:
        said.append(f"{counted(counts.unknown, 'artifact')} of unknown size")
    return ", ".join(said)


def possibly_reached(report: Report) -> str:
    """A sentence on the images of which nobody knows whether a tag reaches them; "" without any."""
    images = report.totals.counts.possibly_reached_images
    if not images:
        return ""
    return (
        f"Whether a tag reaches {counted(images, 'more image', 'more images')} is unknown:"
        f" {'it' if images == 1 else 'they'} may belong to an index that could not be read."
    )


def redacted_words(report: Report) -> str:
    """What a report without names leaves out; "" of any other."""
    if report.redacted is None:
        return ""
    left_out = f" Left out: {listed(list(report.redacted))}." if report.redacted else ""
    return (
        "Names are pseudonyms, the same for the same name, and texts of yours are gone; figures and regions"
        f" are as they were.{left_out}"
    )


def moment_of_snapshot(report: Report) -> str:
    """Which run the report shows, when it read, and to when ages count."""
    own = [row.taken_at for row in report.registries if row.run == report.run]
    taken = moments(min(own), max(own)) if own else moments(report.taken_from, report.taken_to)
    ages = "" if report.taken_from <= report.at <= report.taken_to else f" Ages count to {moment(report.at)}."
    if not own and report.registries:
        return f"Run {report.run}; snapshots of {taken}.{ages}"
    return f"Run {report.run}, read {taken}.{ages}"


def not_read(report: Report) -> str:
    """Which registries the run shown did not read, and what is shown of them; "" where it read all."""
    rows = [row for row in report.registries if row.run != report.run]
    if not rows:
        return ""
    if len(rows) > _MOST_NOT_READ:
        oldest = min(rows, key=lambda row: row.taken_at)
        return (
            f"{count(len(rows))} of {counted(len(report.registries), 'registry', 'registries')} were not read"
            f" in run {report.run}; the oldest is shown as of {moment(oldest.taken_at)} (run {oldest.run})"
        )
    return "; ".join(
        f"{row.account}/{row.region} was not read in run {report.run};"
        f" shown as of {moment(row.taken_at)} (run {row.run})"
        for row in rows
    )


def completeness(report: Report) -> tuple[str, str, Tone]:
    """How complete the reading was: the verdict, what it means, and whether it is a warning."""
    if not report.registries:
        return "Nothing was read.", "", "warn"
    rows = report.repositories
    unread = sum(row.status != ReadStatus.COMPLETE for row in rows)
    lists = sum(row.status != ReadStatus.COMPLETE for row in report.registries)
    problems = []
    if unread:
        of = counted(len(rows), "repository", "repositories")
        problems.append(f"{count(unread)} of {of} not fully read")
    if lists:
        of = counted(len(report.registries), "registry", "registries")
        problems.append(f"the repository list of {count(lists)} of {of} not fully read")
    earlier = not_read(report)
    if earlier:
        problems.append(earlier)
    if problems:
        never = sum(row.complete_at is None for row in rows)
        detail = "Their figures are what was last seen of them."
        if never:
            detail += f" {counted(never, 'repository', 'repositories')} {_were(never)} never read whole."
        return f"Incomplete: {'; '.join(problems)}.", detail, "warn"
    if report.gaps:
        gaps = counted(len(report.gaps), "gap")
        return "Every repository was read,", f"but other answers have {gaps}.", ""
    if report.accepted_gaps:
        return "Complete:", f"every repository was read. {_accepted(report)}", ""
    return "Complete:", "every repository was read.", ""


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _accepted(report: Report) -> str:
    gaps = counted(len(report.accepted_gaps), "known gap")
    return f"{gaps} {'is' if len(report.accepted_gaps) == 1 else 'are'} accepted."


def scope_of_money(report: Report) -> str:
    """Which scope the money stands at, and why."""
    if report.scope == "repository":
        return (
            "Money is at repository scope, as asked for: each layer is charged once per repository."
            " This is the upper bound."
        )
    if report.scope == "registry":
        return (
            "Money is at registry scope, as asked for: each layer is charged once per registry."
            " This is the lower bound."
        )
    registries = report.registries
    of = counted(len(registries), "registry", "registries")
    ever = sum(ever_on(row) for row in registries)
    unreadable = sum(not row.blob_mounting and not ever_on(row) for row in registries)
    doubt = (
        f" In {count(unreadable)} of {of} the setting could not be read; it is off by"
        " default and taken as off."
        if unreadable
        else ""
    )
    if ever:
        return (
            f"Money is a range: blob mounting, which lets repositories share layers, is or was on in"
            f" {count(ever)} of {of}. The high end charges each layer once per repository (repository scope),"
            f" the low end once per registry there (registry scope); the bill lies between.{doubt}"
        )
    off = len(registries) - unreadable
    known = f"is off (DISABLED) in {count(off)} of {of}" if unreadable else "is off (DISABLED) everywhere"
    if not off:
        known = "could not be read anywhere"
        doubt = " It is off by default and taken as off."
    return (
        f"Money is at repository scope: blob mounting, which lets repositories share layers, {known},"
        f" so each layer is charged once per repository that holds it.{doubt}"
    )
