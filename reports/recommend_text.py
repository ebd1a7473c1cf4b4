"""Recommended policies for a person at a terminal: what to do, what it saves, why it is safe."""

from __future__ import annotations

import io
import textwrap
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analyzer.model.recommendation import FleetDefault, Recommendation, RecommendReport
from analyzer.model.units import GB
from analyzer.model.words import counted
from reports.recommend_words import (
    STATUS_WORDS,
    advice,
    back_test_words,
    basis_words,
    check_commands,
    decided_words,
    head_words,
    needed_words,
    placed,
    range_words,
    risk_words,
    summary,
    total_back_test_words,
)
from reports.text import json_escaped, shortened, visible
from reports.usage import coverage_sentences

#: Columns of a terminal that is not made wider; what is piped gets the same.
_WIDTH: Final = 100
#: Repositories that the table names; the other formats have all.
_ROWS: Final = 20
#: Up to so many repositories are told of in full, with the text to paste.
_IN_FULL: Final = 3


def recommend_text(report: RecommendReport) -> str:
    """The advice, what saves most first; gaps are left to the caller."""
    lines = [f"{head_words(report)}: {summary(report)}", *_wrapped(needed_words(report))]
    if report.totals is not None and advice(report):
        lines.append(
            f"Following it saves {range_words(report.saving_low, report.saving_high)} a month beyond the "
            "policies in force"
        )
    if report.back_test is not None:
        lines += _wrapped(total_back_test_words(report.back_test))
    for sentence in (
        *report.warnings,
        *(() if report.coverage is None else coverage_sentences(report.coverage)),
    ):
        lines += _wrapped(visible(sentence))
    text = "\n".join(lines) + "\n"
    if len(report.repositories) <= _IN_FULL:
        text += "".join(f"\n{_in_full(row)}" for row in report.repositories)
    elif report.repositories:
        text += f"\n{_table(report)}"
        text += "Policies to paste: --repository NAME, or --format json, terraform or cli for all\n"
    if report.fleet is not None:
        text += f"\n{_fleet(report.fleet)}"
    return text


def _table(report: RecommendReport) -> str:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("REPOSITORY", overflow="fold")
    table.add_column("ADVICE")
    for head in ("RULES", "TAKES", "FREES GB", "SAVES/MONTH"):
        table.add_column(head, justify="right")
    for row in report.repositories[:_ROWS]:
        effect = row.effect if row.status.advises else None
        table.add_row(
            Text(shortened(visible(placed(row)), _WIDTH)),
            row.status.value,
            f"{len(row.rules)}" if effect is not None else "",
            f"{effect.leaving:,}" if effect is not None else "",
            f"{effect.freed_bytes.repository / GB:,.2f}" if effect is not None else "",
            range_words(row.saving_low, row.saving_high) if effect is not None else "",
        )
    text = _rendered(table)
    left = len(report.repositories) - _ROWS
    return text + (f"and {left:,} more: see --format csv or json\n" if left > 0 else "")


def _in_full(row: Recommendation) -> str:
    lines = [f"{visible(placed(row))}: {STATUS_WORDS[row.status]}"]
    if row.reason:
        lines += _wrapped(visible(row.reason), 2)
    for family in row.families[:8]:
        selected = f"by {visible(family.pattern)}" if family.pattern else "by no pattern of its own"
        lines += _wrapped(
            f"{family.kind.value} {visible(shortened(family.label, 60))}: "
            f"{counted(family.images, 'image')}, {selected}",
            2,
        )
    if row.status.advises and row.effect is not None:
        lines.append(
            f"  takes {counted(row.effect.leaving, 'image')}, frees "
            f"{row.effect.freed_bytes.repository / GB:,.2f} GB, saves "
            f"{range_words(row.saving_low, row.saving_high)} a month"
        )
        for rule in row.rules:
            lines += _wrapped(f"rule {rule.priority}: {visible(rule.description)}; {basis_words(rule)}", 2)
        for sentence in (risk_words(row), back_test_words(row)):
            if sentence:
                lines += _wrapped(visible(sentence), 2)
        if row.safe_until is not None:
            lines.append(
                f"  safe until {row.safe_until:%Y-%m-%d} at the present rate of pushes; then ask again"
            )
    for note in row.notes:
        lines += _wrapped(visible(note), 2)
    text = "\n".join(lines) + "\n"
    if row.policy_text is not None:
        # Escaped as JSON has it, so that what is pasted is the same policy.
        text += f"\n{json_escaped(row.policy_text)}\n\nTo check it:\n"
        text += "".join(f"  {visible(command)}\n" for command in check_commands(row))
    return text


def _fleet(default: FleetDefault) -> str:
    where = counted(default.repositories, "repository", "repositories")
    if default.policy_text is None or default.effect is None:
        return f"One policy for {where}: none, for {default.reason}\n"
    lines = [f"One policy that is safe in all {where}:"]
    lines.append(
        f"  takes {counted(default.effect.leaving, 'image')}, frees "
        f"{default.effect.freed_bytes.repository / GB:,.2f} GB"
    )
    if default.lost is not None:
        lost = range_words(default.lost.registry, default.lost.repository)
        lines.append(f"  saves {lost} a month less than a policy for each")
    for rule in default.rules:
        lines += _wrapped(f"rule {rule.priority}: {visible(rule.description)}; {basis_words(rule)}", 2)
    for sentence in decided_words(default):
        lines += _wrapped(visible(sentence), 2)
    return "\n".join(lines) + f"\n\n{json_escaped(default.policy_text)}\n"


def _wrapped(text: str, indent: int = 0) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(text, _WIDTH, initial_indent=margin, subsequent_indent=f"{margin}  ")


def _rendered(table: Table) -> str:
    file = io.StringIO()
    Console(file=file, width=_WIDTH, color_system=None, force_terminal=False).print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n") + "\n"
