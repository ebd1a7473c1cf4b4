"""The page's last section: how the figures came about, what they leave out, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.model.results import UNKNOWN_SIZE, Report
from analyzer.model.words import counted
from reports.cells import Table
from reports.facts import is_list_price
from reports.figures import count, listed, moment
from reports.lists import gap_table, price_table
from reports.methods import TERMS, Method, Term, methods_for
from reports.missing import counts_of_all, repositories_of_all
from reports.recommend_words import asked_words
from reports.usage import in_use_words


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSection:
    """Method and limits."""

    methods: tuple[Method, ...]
    terms: tuple[Term, ...]
    not_included: tuple[str, ...]
    prices: Table
    gaps: Table
    gaps_summary: str


def method_section(report: Report, sections: frozenset[str]) -> MethodSection:
    """The method of ``report``, for a page with these sections."""
    return MethodSection(
        methods=methods_for(
            sections,
            stale_days=report.stale_days,
            at=moment(report.at),
            in_use="" if report.findings is None else in_use_words(report.findings.use_basis),
            advised="" if report.recommendations is None else asked_words(report.recommendations),
        ),
        terms=TERMS,
        not_included=_not_included(report),
        prices=price_table(report),
        gaps=gap_table(report),
        gaps_summary=_gaps_summary(report),
    )


def _not_included(report: Report) -> tuple[str, ...]:
    unknown = report.totals.counts.unknown
    archived = report.totals.counts.archived_images
    said = [
        "Data transfer, replication, image scanning, key requests and the retrieval of archived images.",
        "The bytes of manifests, a few KB per image, and foreign layers, which a registry does not store.",
    ]
    if unknown:
        said.append(
            f"{counted(unknown, 'artifact')} whose manifest was not read or not understood:"
            f" {'its' if unknown == 1 else 'their'} bytes are in no figure."
        )
    uncounted = sorted(
        {*counts_of_all(report).reasons, *repositories_of_all(report).reasons} - {UNKNOWN_SIZE}
    )
    if uncounted:
        said.append(f"What nobody could look at: {listed(uncounted)}. How much it is, is unknown.")
    if archived:
        said.append(
            f"The minimum of 90 days charged for each of the {counted(archived, 'archived image')},"
            " whatever is deleted earlier."
        )
    said.append(
        "Discounts, free tier, credits and taxes: all amounts are list prices."
        if is_list_price(report)
        else "Free tier, credits and taxes: amounts are list prices times the factor in the table of prices."
    )
    return tuple(said)


def _gaps_summary(report: Report) -> str:
    if not report.gaps and not report.accepted_gaps:
        return "None: every question that was asked was answered."
    accepted = f", {count(len(report.accepted_gaps))} accepted" if report.accepted_gaps else ""
    return f"{count(len(report.gaps))} open{accepted}."
