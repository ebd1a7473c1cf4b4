"""The page's sections on findings: what to do first, and every check with what it found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from analyzer.model.findings import CheckText, Finding, FindingsReport, RepositoryFindings
from analyzer.model.lint import Severity
from analyzer.model.results import Report
from analyzer.model.transfer import MoneyRange
from analyzer.model.words import counted
from reports.anchors import repository_anchor
from reports.cells import DASH, EMPTY, MOST_ROWS, PLACE_FACETS, Cell, Column, Place, Row, Table
from reports.figures import UNKNOWN, count, exact_size, listed
from reports.findings_words import (
    OVERLAP,
    example_text,
    freed_text,
    not_judged_sentences,
    owner_text,
    saving_text,
    summary_sentences,
)
from reports.rounding import EXACT_DECIMALS, amount_text, rounded

#: Repositories in the short list, and findings of one check.
_FIRST: Final = 15
_MOST: Final = 12
_EXAMPLES: Final = 3
_EXAMPLE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsSection:
    """What to do first."""

    sentences: tuple[str, ...]
    table: Table
    overlap: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckBlock:
    """One check, with the findings that matter most."""

    #: Its id on the page.
    anchor: str
    check: str
    summary: str
    meaning: str
    fix: str
    validate: str
    source: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsSection:
    """Every check that found something."""

    sentences: tuple[str, ...]
    table: Table
    blocks: tuple[CheckBlock, ...]
    #: Every finding in a row, to choose from.
    everything: Table
    #: What was not judged, and waivers that match nothing.
    notes: tuple[str, ...]
    #: Checks that found nothing.
    clean: str


def actions_section(report: Report) -> ActionsSection | None:
    """The repositories whose findings save most; None where no findings were worked out, or none saves."""
    found = report.findings
    if found is None:
        return None
    rows = [row for row in found.by_repository if row.saving is not None and row.saving.high.amount != 0]
    if not rows:
        return None
    titles = {check.id: check.title for check in found.checks}
    return ActionsSection(
        sentences=tuple(summary_sentences(found)),
        table=_first_table(rows, titles),
        overlap=OVERLAP,
    )


def findings_section(report: Report) -> FindingsSection | None:
    """All findings, check by check; None where they were not worked out."""
    found = report.findings
    if found is None:
        return None
    by_check: dict[str, list[Finding]] = {}
    for finding in found.findings:
        by_check.setdefault(finding.check, []).append(finding)
    texts = {check.id: check for check in found.checks}
    clean = [check.id for check in found.checks if check.id not in by_check]
    return FindingsSection(
        sentences=tuple(summary_sentences(found)),
        table=_check_table(found, by_check),
        blocks=tuple(_block(texts[check], findings) for check, findings in by_check.items()),
        everything=_whole_table(found.findings),
        notes=(
            *(
                f"A waiver of {one.check} matches nothing: {one.place}, by {one.owner}."
                for one in found.unmatched_waivers
            ),
            *not_judged_sentences(found.not_judged),
        ),
        clean=listed(clean, len(clean)),
    )


def check_anchors(report: Report) -> Iterator[str]:
    """The ids of the checks on the page: of those that found something."""
    if report.findings is not None:
        yield from dict.fromkeys(_anchor(finding.check) for finding in report.findings.findings)


def _first_table(rows: Sequence[RepositoryFindings], titles: dict[str, str]) -> Table:
    left = len(rows) - _FIRST
    return Table(
        name="actions",
        file="findings.csv",
        method="findings",
        caption="Repositories by what mending their findings saves, the most first",
        columns=(
            Column(label="Repository", numeric=False),
            Column(label="What to mend", numeric=False),
            Column(label="Owner", numeric=False),
            Column(label="Freed", hint="Would leave the store, counted inside the repository"),
            Column(label="USD per month", hint="Saved if all of them are mended", sorts_rows=True),
        ),
        rows=tuple(
            Row(
                cells=(
                    Cell(
                        text=row.repository or row.region,
                        notes=(row.account, row.region),
                        link=repository_anchor(row.account, row.region, row.repository),
                    ),
                    Cell(text=listed([titles[check] for check in row.checks], 4)),
                    Cell(text=owner_text(row.owner)) if row.owner else DASH,
                    _freed_cell(row),
                    _saving_cell(row.saving),
                )
            )
            for row in rows[:_FIRST]
        ),
        footer=_more(left, 5, "repository", "repositories") if left > 0 else (),
    )


def _check_table(report: FindingsReport, by_check: dict[str, list[Finding]]) -> Table:
    rows = []
    for findings in by_check.values():
        waived = sum(finding.waiver is not None for finding in findings)
        is_open = len(findings) - waived
        rows.append(
            Row(
                cells=(
                    Cell(
                        text=findings[0].title,
                        notes=(findings[0].check,),
                        link=_anchor(findings[0].check),
                    ),
                    _severity_cell(min((f.severity for f in findings), key=lambda level: level.rank)),
                    Cell(text=count(is_open), value=str(is_open)),
                    Cell(text=count(waived), value=str(waived)) if waived else DASH,
                )
            )
        )
    return Table(
        name="checks",
        file="findings.csv",
        method="findings",
        caption=f"What {counted(len(report.checks), 'check')} found",
        columns=(
            Column(label="Check", numeric=False),
            Column(label="Gravest", numeric=False),
            Column(label="Open"),
            Column(label="Waived"),
        ),
        rows=tuple(rows),
    )


def _block(check: CheckText, findings: Sequence[Finding]) -> CheckBlock:
    first = findings[0]
    left = len(findings) - _MOST
    return CheckBlock(
        anchor=_anchor(check.id),
        check=check.id,
        summary=f"{check.title}: {counted(len(findings), 'finding')}",
        meaning=check.meaning,
        fix=first.fix,
        validate=first.validate,
        source=check.source,
        table=Table(
            name=f"finding-{check.id.lower().replace('_', '-')}",
            file="findings.csv",
            method="findings",
            caption=f"{check.id}, those that matter most first",
            columns=(
                Column(label="Where", numeric=False),
                Column(label="What", numeric=False),
                Column(label="Owner", numeric=False),
                Column(label="Freed", hint="Would leave the store, counted inside the repository"),
                Column(label="USD per month", hint="Saved if this alone is mended"),
            ),
            rows=tuple(_finding_row(finding) for finding in findings[:_MOST]),
            footer=_more(left, 5, "finding", "findings") if left > 0 else (),
        ),
    )


def _finding_row(finding: Finding) -> Row:
    notes = [example_text(one, _EXAMPLE) for one in finding.evidence[:_EXAMPLES]]
    waiver = finding.waiver
    if waiver is not None:
        notes.insert(0, f"waived until {waiver.expires} by {waiver.owner}: {waiver.reason}")
    return Row(
        cells=(
            Cell(
                text=finding.repository or "the whole registry",
                notes=(finding.account, finding.region, str(finding.severity)),
                link=repository_anchor(finding.account, finding.region, finding.repository),
            ),
            Cell(text=finding.message, notes=tuple(notes), tone="" if waiver is None else "muted"),
            Cell(text=owner_text(finding.owner), notes=(finding.owner.source,)) if finding.owner else DASH,
            _freed_cell(finding),
            _saving_cell(finding.saving, finding.saving_note),
        )
    )


def _whole_table(findings: Sequence[Finding]) -> Table:
    left = len(findings) - MOST_ROWS
    return Table(
        name="findings-all",
        file="findings.csv",
        method="findings",
        caption="Every finding, the gravest first",
        columns=(
            Column(label="Where", numeric=False),
            Column(label="Check", numeric=False),
            Column(label="Severity", numeric=False),
            Column(label="Owner", numeric=False),
            Column(label="USD per month", hint="Saved if this alone is mended"),
        ),
        rows=tuple(_line(finding) for finding in findings[:MOST_ROWS]),
        footer=_more(left, 5, "finding", "findings") if left > 0 else (),
        facets=("Severity", "Check", "Owner", *PLACE_FACETS, "State"),
    )


def _line(finding: Finding) -> Row:
    place = Place.of(finding.account, finding.region, finding.repository)
    state = "open" if finding.waiver is None else "waived"
    return Row(
        cells=(
            Cell(
                text=finding.repository or "the whole registry",
                notes=(finding.account, finding.region),
                link=place.anchor,
            ),
            Cell(
                text=finding.title,
                link=_anchor(finding.check),
                notes=() if finding.waiver is None else (state,),
                tone="" if finding.waiver is None else "muted",
            ),
            _severity_cell(finding.severity),
            Cell(text=owner_text(finding.owner)) if finding.owner else DASH,
            _saving_cell(finding.saving, finding.saving_note),
        ),
        facets=(
            str(finding.severity),
            finding.title,
            owner_text(finding.owner),
            *place.facets,
            state,
        ),
    )


def _severity_cell(severity: Severity) -> Cell:
    return Cell(text=str(severity), value=str(severity.rank))


def _anchor(check: str) -> str:
    return f"check-{check.lower().replace('_', '-')}"


def _freed_cell(row: Finding | RepositoryFindings) -> Cell:
    if row.freed_bytes is None:
        return Cell(text=UNKNOWN, tone="muted") if row.unknown_size else DASH
    size_bytes = row.freed_bytes.repository
    hint = exact_size(size_bytes)
    if row.unknown_size:
        hint += f"; leaves out {counted(row.unknown_size, 'image')} of unknown size"
    return Cell(text=freed_text(row), value=str(size_bytes), hint=hint)


def _saving_cell(saving: MoneyRange | None, note: str = "") -> Cell:
    if saving is None:
        return DASH
    reasons = "; ".join(sorted({*saving.low.leaves_out, *saving.high.leaves_out}))
    hint = "; ".join(filter(None, (note, f"leaves out: {reasons}" if reasons else "")))
    value = amount_text(rounded(saving.low, EXACT_DECIMALS))
    return Cell(text=saving_text(saving), value=value, hint=hint, tone="" if value else "muted")


def _more(left: int, columns: int, one: str, many: str) -> tuple[Row, ...]:
    text = f"Other ({counted(left, one, many)}, see findings.csv)"
    return (Row(cells=(Cell(text=text), *[EMPTY] * (columns - 1)), kind="other"),)
