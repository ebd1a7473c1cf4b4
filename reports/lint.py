"""Findings of ``lint`` as text for a terminal, as JSON and as CSV.

Bytes are what would leave if the images of a finding alone left, and come at both scopes; null (in
CSV an empty cell) is unknown or does not apply. Text of other people is escaped in every format, and
in CSV no cell begins like a formula.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from analyzer.model.lint import LintCode, LintFinding, LintReport, Severity
from analyzer.model.units import GB, iso
from analyzer.model.words import counted
from reports.csv_cells import Cell, neutral, table_text
from reports.json_parts import gap_objects
from reports.text import json_escaped, shortened, visible
from reports.usage import (
    SAFE,
    coverage_object,
    coverage_sentences,
    missing_text,
    use_object,
    user_text,
    users_text,
)

#: Columns of a terminal that is not made wider; what is piped gets the same.
_WIDTH: Final = 100
#: Findings of a code, images of a finding and missing images that the text shows; the other formats
#: have all.
_ROWS: Final = 10
_EXAMPLES: Final = 2
_USERS: Final = 2
#: Characters for the name of a repository; what does not fit is cut in the middle.
_PLACE: Final = 68
_MISSING: Final = 10
#: Whether findings of this code are there decides on what is said of images in use.
_TAKEN: Final = LintCode.TAKES_IN_USE

_DIGEST: Final = re.compile(r"(sha(?:256|512):[0-9a-f]{12})[0-9a-f]+")

_CSV_COLUMNS: Final = (
    "severity",
    "code",
    "account",
    "region",
    "repository",
    "rule",
    "message",
    "fix",
    "images",
    "affected_bytes_repository_scope",
    "affected_bytes_registry_scope",
    "images_of_unknown_size",
    "examples",
    "users",
)


def lint_text(report: LintReport) -> str:
    """The findings for a person, those that matter most first; gaps are left to the caller."""
    judged = "the policies in force" if report.policy is None else visible(report.policy)
    repositories = counted(report.repositories, "repository", "repositories")
    lines = [
        f"{repositories}, {report.with_policy:,} with a policy; {judged} at {iso(report.at)}",
        _summary(report),
    ]
    if report.missing_in_use:
        number = counted(len(report.missing_in_use), "image", "images")
        lines.append(f"Named as in use, and not there: {number}")
        lines += [line for name in _missing(report) for line in _wrapped(shortened(name, 300), 2)]
        if len(report.missing_in_use) > _MISSING:
            lines.append(f"  and {len(report.missing_in_use) - _MISSING:,} more")
    if report.coverage is not None:
        if report.usage is not None and not any(one.code == _TAKEN for one in report.findings):
            lines.append(SAFE)
        lines += [line for sentence in coverage_sentences(report.coverage) for line in _wrapped(sentence, 0)]
    text = "\n".join(lines) + "\n"
    if not report.findings:
        return text
    groups: dict[tuple[Severity, str], list[LintFinding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    for (severity, code), findings in groups.items():
        text += f"\n{severity.upper()}  {code}  {counted(len(findings), 'finding', 'findings')}\n"
        text += _group(findings)
    text += "\n"
    if any(finding.affected_bytes is not None for finding in report.findings):
        text += "Bytes: what would leave if these images alone left, counted inside their repository\n"
    if any(finding.unknown_size and finding.affected_bytes for finding in report.findings):
        text += "* without images of unknown size\n"
    return text


def _missing(report: LintReport) -> list[str]:
    """The first that are named as in use and not there, with who names them where that is known."""
    if report.usage is None:
        return list(report.missing_in_use or ())[:_MISSING]
    return [missing_text(report.usage, one) for one in report.usage.missing[:_MISSING]]


def _summary(report: LintReport) -> str:
    if not report.findings:
        return "No findings"
    by_severity = Counter(finding.severity for finding in report.findings)
    parts = ", ".join(f"{by_severity[level]:,} {level}" for level in Severity if by_severity[level])
    return f"{counted(len(report.findings), 'finding', 'findings')}: {parts}"


def _group(findings: Sequence[LintFinding]) -> str:
    """The findings of one code, with what mends them all once."""
    fixes = {finding.fix for finding in findings}
    # Rules of one repository differ in what to do; repositories without a policy do not.
    common = fixes.pop() if len(fixes) == 1 else None
    lines = [] if common is None else _wrapped(f"fix: {common}", 2)
    for finding in findings[:_ROWS]:
        place = "/".join(filter(None, (finding.account, finding.region, finding.repository)))
        images = counted(finding.images, "image", "images") if finding.images else ""
        figures = f"{images:>16}{_size(finding):>13}".rstrip()
        lines.append(f"  {shortened(visible(place), _PLACE):<{_PLACE}}{figures}".rstrip())
        lines += _wrapped(finding.message, 6)
        if finding.examples:
            shown = finding.examples[:_EXAMPLES]
            more = ", …" if finding.images > len(shown) else ""
            lines += _wrapped(f"e.g. {', '.join(_example(example) for example in shown)}{more}", 6)
        if finding.users:
            said = users_text(finding.users[:_USERS], len(finding.users))
            lines += _wrapped(f"used: {said}", 6)
        if common is None:
            lines += _wrapped(f"fix: {finding.fix}", 6)
    left = len(findings) - _ROWS
    if left > 0:
        lines.append(f"  and {left:,} more: see --format csv or json")
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(visible(text), _WIDTH, initial_indent=margin, subsequent_indent=margin + "  ")


def _example(name: str) -> str:
    """The image inside its repository, which stands beside it; a digest's beginning tells it apart."""
    name = _DIGEST.sub(r"\1…", name.rpartition("/")[2])
    return shortened(visible(name), 60)


def _size(finding: LintFinding) -> str:
    if finding.affected_bytes is None:
        return "unknown" if finding.images else ""
    size = finding.affected_bytes.repository
    star = "*" if finding.unknown_size else ""
    if 0 < size < GB / 200:
        return f"<0.01 GB{star}"
    return f"{Decimal(size) / GB:,.2f} GB{star}"


def lint_json(report: LintReport) -> str:
    """All findings for programs, with a line feed at the end; equal reports give equal text."""
    by_severity = Counter(finding.severity for finding in report.findings)
    document: dict[str, Any] = {
        "at": iso(report.at),
        "policy": report.policy,
        "repositories": report.repositories,
        "repositories_with_policy": report.with_policy,
        "counts": {str(level): by_severity[level] for level in Severity},
        "findings": [_finding(finding) for finding in report.findings],
        "missing_in_use": None if report.missing_in_use is None else list(report.missing_in_use),
        "coverage": coverage_object(report.coverage),
        **gap_objects(report.gaps, report.accepted_gaps),
    }
    return json_escaped(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _finding(finding: LintFinding) -> dict[str, Any]:
    known = finding.affected_bytes
    return {
        "code": str(finding.code),
        "severity": str(finding.severity),
        "account": finding.account or None,
        "region": finding.region or None,
        "repository": finding.repository or None,
        "rule": finding.rule,
        "message": finding.message,
        "fix": finding.fix,
        "images": finding.images,
        "affected_bytes": None
        if known is None
        else {"repository": known.repository, "registry": known.registry},
        "images_of_unknown_size": finding.unknown_size,
        "examples": list(finding.examples),
        "users": [use_object(use) for use in finding.users],
    }


def lint_csv(report: LintReport) -> str:
    """One row per finding, for spreadsheets; examples are separated by spaces, which no name has."""
    rows: list[tuple[Cell, ...]] = []
    for finding in report.findings:
        known = finding.affected_bytes
        rows.append(
            (
                finding.severity,
                finding.code,
                neutral(finding.account),
                neutral(finding.region),
                neutral(finding.repository),
                "" if finding.rule is None else finding.rule,
                neutral(finding.message),
                neutral(finding.fix),
                finding.images,
                "" if known is None else known.repository,
                "" if known is None else known.registry,
                finding.unknown_size,
                neutral(" ".join(finding.examples)),
                neutral("; ".join(map(user_text, finding.users))),
            )
        )
    return table_text(_CSV_COLUMNS, rows)
