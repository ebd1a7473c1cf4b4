"""What ``pulls`` answers at a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from analyzer.model.pull_costs import Advice
from analyzer.model.pull_report import PullReport, RecordedPulls, TransferGroup
from analyzer.model.transfer import EXPLANATIONS, TransferCode, TransferFinding
from analyzer.model.units import iso
from analyzer.model.words import counted
from reports.figures import NOT_APPLICABLE
from reports.pulls_words import (
    COLD_PULL,
    cold_pull_text,
    group_bytes_text,
    origin_text,
    pull_cost_text,
    summary_sentences,
    users_text,
)
from reports.recorded_words import (
    NOTHING_READ,
    By,
    advice_details,
    advice_text,
    bytes_text,
    cost_name,
    costs_by,
    coverage_lines,
    recorded_sentences,
    window_text,
)
from reports.text import shortened, visible
from reports.usage import coverage_sentences

#: Columns of a terminal that is not made wider; what is piped gets the same.
_WIDTH: Final = 100
#: Findings of a code and rows of a table that the text shows; the other formats have all.
_ROWS: Final = 10
_GROUPS: Final = 20
_USERS: Final = 3
_NAME: Final = 55
_COST_NAME: Final = 42
_ADVICE: Final = 5
_TITLES: Final = {"route": "ROUTE", "repository": "REPOSITORY", "puller": "PULLER", "day": "DAY"}


def pulls_text(report: PullReport, by: By | None = None) -> str:
    """The answer for a person; with ``by`` that table alone, else routes and findings.

    Gaps are left to the caller.
    """
    lines = [
        line
        for sentence in (
            f"Pulls across regions and accounts, at {iso(report.at)}",
            *summary_sentences(report),
        )
        for line in _wrapped(sentence, 0)
    ]
    groups = groups_by(report, by or "route")
    if report.found.findings and by != "day":
        lines += ["", *_table(groups, by or "route")]
        if by is None:
            lines += _findings(report.found.findings)
        lines += ["", *_wrapped(COLD_PULL, 0)]
    lines += [line for sentence in coverage_sentences(report.coverage) for line in _wrapped(sentence, 0)]
    lines += ["", *_recorded(report.recorded, by)]
    return "\n".join(lines) + "\n"


def groups_by(report: PullReport, by: By) -> tuple[TransferGroup, ...]:
    """The rows of ``report`` that ``by`` asks for."""
    summary = report.summary
    return {
        "route": summary.routes,
        "repository": summary.repositories,
        "puller": summary.pullers,
        # No reference says when it is pulled.
        "day": (),
    }[by]


def _table(groups: Sequence[TransferGroup], by: By) -> list[str]:
    lines = [_line(_TITLES[by], "REFERENCES", "COLD PULLS", "USD"), "─" * _WIDTH]
    for group in groups[:_GROUPS]:
        name = shortened(visible(group_name(group, by)), _NAME)
        usd = pull_cost_text(group.usd) if group.crossing else NOT_APPLICABLE
        lines.append(_line(name, f"{group.findings:,}", group_bytes_text(group), usd))
    if len(groups) > _GROUPS:
        lines.append(f"and {len(groups) - _GROUPS:,} more: see --format csv or json")
    return lines


def group_name(group: TransferGroup, by: By) -> str:
    """What a row of that table is about, in one line."""
    if by == "route":
        return f"{origin_text(group)} → {group.region}"
    if by == "repository":
        return f"{origin_text(group)}/{group.repository}"
    return f"{group.account}/{group.region} {group.source} {group.workload}"


def _line(name: str, references: str, size: str, usd: str) -> str:
    return f"{name:<{_NAME}}{references:>11}{size:>16}{usd:>18}".rstrip()


def _findings(findings: Sequence[TransferFinding]) -> list[str]:
    by_code: dict[TransferCode, list[TransferFinding]] = {}
    for finding in findings:
        by_code.setdefault(finding.code, []).append(finding)
    lines = []
    for code, of_code in by_code.items():
        told = EXPLANATIONS[code]
        number = counted(len(of_code), "finding")
        lines += ["", f"{told.severity.upper()}  {code}  {number}", *_wrapped(f"{told.title}.", 2)]
        lines += _wrapped(f"fix: {told.fix}", 2)
        for finding in of_code[:_ROWS]:
            lines += _finding(finding)
        if len(of_code) > _ROWS:
            lines.append(f"  and {len(of_code) - _ROWS:,} more: see --format csv or json")
    return lines


def _finding(finding: TransferFinding) -> list[str]:
    who = f"{finding.source} in {finding.account}/{finding.region}: {users_text(finding.users, _USERS)}"
    lines = [*_wrapped(shortened(finding.reference, 300), 4), *_wrapped(who, 8)]
    if finding.crosses_regions:
        paid = f", paid by {finding.payer}" if finding.payer else ""
        unknown = f" ({finding.cold_pull.unknown})" if finding.cold_pull.unknown else ""
        lines += _wrapped(
            f"a cold pull: {cold_pull_text(finding.cold_pull)}{unknown},"
            f" {pull_cost_text(finding.usd_per_pull)}{paid}",
            8,
        )
    if finding.better_reference:
        lines += _wrapped(f"name instead: {finding.better_reference}", 8)
    for caveat in finding.caveats:
        lines += _wrapped(caveat, 8)
    return lines


def _recorded(recorded: RecordedPulls | None, by: By | None) -> list[str]:
    if recorded is None:
        return _wrapped(NOTHING_READ, 0)
    costs = recorded.costs
    lines = [f"Recorded by CloudTrail, {window_text(costs)}"]
    lines += [line for sentence in recorded_sentences(costs) for line in _wrapped(sentence, 0)]
    rows, of = costs_by(costs, by or "route"), by or "route"
    if rows:
        lines += ["", _cost_line(_TITLES[of], "LAYERS", "BYTES", "USD", "USD/MONTH"), "─" * _WIDTH]
    for row in rows[:_GROUPS]:
        lines.append(
            _cost_line(
                shortened(visible(cost_name(row, of)), _COST_NAME),
                f"{row.layer_pulls:,}",
                bytes_text(row),
                pull_cost_text(row.transfer),
                pull_cost_text(row.monthly_transfer),
            )
        )
    if len(rows) > _GROUPS:
        lines.append(f"and {len(rows) - _GROUPS:,} more: see --format csv or json")
    if by is None:
        lines += _advice(recorded.advice.advice)
    lines.append("")
    return lines + [line for sentence in coverage_lines(costs) for line in _wrapped(sentence, 0)]


def _cost_line(name: str, layers: str, size: str, usd: str, monthly: str) -> str:
    return f"{name:<{_COST_NAME}}{layers:>10}{size:>12}{usd:>18}{monthly:>18}".rstrip()


def _advice(advice: Sequence[Advice]) -> list[str]:
    lines = []
    for one in advice[:_ADVICE]:
        lines += ["", *_wrapped(f"{one.kind}  saves {pull_cost_text(one.saving)} a month", 0)]
        for sentence in (advice_text(one), *advice_details(one)):
            lines += _wrapped(sentence, 2)
        if one.replication_json:
            lines.append("  For aws ecr put-replication-configuration --replication-configuration:")
            # To be pasted: as it is, but for what a terminal would obey.
            lines += [f"    {visible(line)}" for line in one.replication_json.splitlines()]
    if len(advice) > _ADVICE:
        lines.append(f"and {len(advice) - _ADVICE:,} more: see --format json")
    return lines


def _wrapped(text: str, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        visible(text),
        _WIDTH,
        initial_indent=margin,
        subsequent_indent=margin + "  ",
        # A reference is there to be copied.
        break_on_hyphens=False,
        break_long_words=False,
    )
