"""What ``findings`` answers at a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from analyzer.model.findings import CheckText, Finding, FindingsReport, RepositoryFindings
from analyzer.model.units import iso
from analyzer.model.words import counted
from reports.findings_words import (
    OVERLAP,
    example_text,
    freed_text,
    not_judged_sentences,
    owner_text,
    place_text,
    saving_text,
    summary_sentences,
)
from reports.text import shortened, visible

#: Columns of a terminal that is not made wider; what is piped gets the same.
_WIDTH: Final = 100
#: Findings of a check and repositories that the text shows; the other formats have all.
_ROWS: Final = 10
_REPOSITORIES: Final = 10
_EXAMPLES: Final = 2
_EXAMPLE: Final = 140
#: Characters for the name of a repository; what does not fit is cut in the middle.
_PLACE: Final = 60
_OWNER: Final = 24


def findings_text(report: FindingsReport) -> str:
    """The findings for a person: what to do first, then each check; gaps are left to the caller."""
    lines = [f"Findings at {iso(report.at)}"]
    lines += [line for sentence in summary_sentences(report) for line in _wrapped(sentence, 0)]
    first = [row for row in report.by_repository if row.saving is not None and row.saving.high.amount]
    if first:
        lines += ["", "WHAT TO DO FIRST", *_first(first)]
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.open:
        groups.setdefault((finding.severity, finding.check), []).append(finding)
    for (severity, check), findings in groups.items():
        number = counted(len(findings), "finding")
        head = _wrapped(f"{severity.upper()}  {check}  {number}: {findings[0].title}", 0)
        lines += ["", *head, *_group(findings)]
    lines += _waived(report)
    told = [f"Waiver of {one.check} matches nothing: {one.place}" for one in report.unmatched_waivers] + list(
        not_judged_sentences(report.not_judged)
    )
    if told:
        lines += ["", *(line for sentence in told for line in _wrapped(sentence, 0))]
    if any(finding.saving is not None for finding in report.open):
        lines += ["", *_wrapped(OVERLAP, 0)]
        if any(finding.unknown_size for finding in report.open):
            lines.append("* without images of unknown size, or what has no known price")
    return "\n".join(lines) + "\n"


def checks_text(checks: Sequence[CheckText]) -> str:
    """The table of checks."""
    lines: list[str] = []
    for check in checks:
        lines += [f"{check.id}  ({check.severity})", f"  {check.title}"]
        lines += _wrapped(check.meaning, 4)
        for label, text in (("validate", check.validate), ("fix", check.fix), ("source", check.source)):
            lines += _wrapped(f"{label}: {text}", 4)
        lines.append("")
    return "\n".join(lines)


def _first(rows: Sequence[RepositoryFindings]) -> Iterator[str]:
    for row in rows[:_REPOSITORIES]:
        figures = f"{freed_text(row):>13}{saving_text(row.saving):>18}"
        yield f"  {shortened(visible(place_text(row)), _PLACE):<{_PLACE}}{figures}".rstrip()
        owner = f"{shortened(owner_text(row.owner), _OWNER)}: " if row.owner else ""
        yield from _wrapped(f"{owner}{', '.join(row.checks)}", 6)
    left = len(rows) - _REPOSITORIES
    if left > 0:
        yield f"  and {counted(left, 'more repository', 'more repositories')}"


def _group(findings: Sequence[Finding]) -> Iterator[str]:
    """The findings of one check, with what mends them all once."""
    fixes = {finding.fix for finding in findings}
    common = fixes.pop() if len(fixes) == 1 else None
    if common is not None:
        yield from _wrapped(f"fix: {common}", 2)
    for finding in findings[:_ROWS]:
        figures = f"{freed_text(finding):>13}{saving_text(finding.saving):>18}".rstrip()
        yield f"  {shortened(visible(place_text(finding)), _PLACE):<{_PLACE}}{figures}".rstrip()
        owner = f" [{shortened(owner_text(finding.owner), _OWNER)}]" if finding.owner else ""
        yield from _wrapped(f"{finding.message}{owner}", 6)
        if finding.evidence:
            shown = "; ".join(example_text(one, _EXAMPLE) for one in finding.evidence[:_EXAMPLES])
            yield from _wrapped(f"e.g. {shown}", 6)
        if common is None:
            yield from _wrapped(f"fix: {finding.fix}", 6)
    left = len(findings) - _ROWS
    if left > 0:
        yield f"  and {left:,} more: see --format csv or json"


def _waived(report: FindingsReport) -> Iterator[str]:
    waived = [finding for finding in report.findings if finding.waiver is not None]
    if not waived:
        return
    yield ""
    yield f"WAIVED  {counted(len(waived), 'finding')}"
    for finding in waived[:_ROWS]:
        waiver = finding.waiver
        if waiver is not None:
            yield f"  {finding.check}  {shortened(visible(place_text(finding)), _PLACE)}"
            yield from _wrapped(f"until {waiver.expires} by {waiver.owner}: {waiver.reason}", 6)
    if len(waived) > _ROWS:
        yield f"  and {len(waived) - _ROWS:,} more: see --format csv or json"


def _wrapped(text: str, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        visible(text),
        _WIDTH,
        initial_indent=margin,
        subsequent_indent=margin + "  ",
        # Names and commands are there to be pasted.
        break_on_hyphens=False,
    )
