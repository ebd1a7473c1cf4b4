"""The scope-and-trust lines: what a report covers, how complete it is and where its money stands."""

from __future__ import annotations

from analyzer.model.records import ReadStatus
from analyzer.model.results import RegistryRow, Report, ScopedBytes, ScopedMoney
from analyzer.model.units import Money
from reports.cells import Tone
from reports.figures import (
    count,
    counted,
    listed,
    moment,
    moments,
)


def is_range(report: Report) -> bool:
    """Whether the headline has two ends: sharing is, or ever was, on somewhere."""
    return report.scope == "auto" and report.totals.cost_low.amount != report.totals.cost_high.amount


def money_at_scope(report: Report, money: ScopedMoney) -> Money:
    """Money at the scope that was asked for; ``auto`` stands at repository scope."""
    return money.registry if report.scope == "registry" else money.repository


def bytes_at_scope(report: Report, both: ScopedBytes) -> int:
    """Bytes at the scope that was asked for; ``auto`` stands at repository scope."""
    return both.registry if report.scope == "registry" else both.repository


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
        f" {'region' if len(regions) == 1 else 'regions'} {listed(regions)}:"
        f" {counted(report.totals.repositories, 'repository', 'repositories')},"
        f" {counted(report.totals.counts.images, 'image')},"
        f" {counted(report.totals.counts.indexes, 'index', 'indexes')},"
        f" {counted(report.totals.counts.referrers, 'referrer')}."
    )


def moment_of_snapshot(report: Report) -> str:
    """Which run the report shows, when it read, and to when ages count."""
    taken = moments(report.taken_from, report.taken_to)
    ages = "" if report.taken_from <= report.at <= report.taken_to else f" Ages count to {moment(report.at)}."
    return f"Run {report.run}, read {taken}.{ages}"


def completeness(report: Report) -> tuple[str, str, Tone]:
    """How complete the reading was: the verdict, what it means, and whether it is a warning."""
    if not report.registries:
        return "Nothing was read.", "", "warn"
    unread = sum(row.status != ReadStatus.COMPLETE for row in report.repositories)
    lists = sum(row.status != ReadStatus.COMPLETE for row in report.registries)
    problems = []
    if unread:
        of = counted(len(report.repositories), "repository", "repositories")
        problems.append(f"{count(unread)} of {of} not fully read")
    if lists:
        of = counted(len(report.registries), "registry", "registries")
        problems.append(f"the repository list of {count(lists)} of {of} not fully read")
    if problems:
        said = "; ".join(problems)
        return f"Incomplete: {said}.", "Their figures are what was last seen of them.", "warn"
    if report.gaps:
        gaps = counted(len(report.gaps), "gap")
        return "Every repository was read,", f"but other answers have {gaps}.", ""
    if report.accepted_gaps:
        return "Complete:", f"every repository was read. {_accepted(report)}", ""
    return "Complete:", "every repository was read.", ""


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
