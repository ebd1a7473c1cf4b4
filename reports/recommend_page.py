"""The page's section on recommended policies: what to put where, what it saves, and the text to paste."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analyzer.model.recommendation import FleetDefault, Recommendation, RecommendReport
from analyzer.model.results import Report
from analyzer.model.words import counted
from reports.cells import DASH, EMPTY, MOST_ROWS, PLACE_FACETS, Cell, Column, Place, Row, Table
from reports.figures import count, exact_size, size
from reports.recommend_words import (
    STATUS_WORDS,
    advice,
    back_test_words,
    basis_words,
    decided_words,
    needed_words,
    placed,
    range_words,
    risk_words,
    summary,
    total_back_test_words,
)
from reports.rounding import exact_text

#: Policies whose text is on the page; all of them are in the files beside it.
_IN_FULL: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyBlock:
    """One policy with its text."""

    title: str
    sentences: tuple[str, ...]
    rules: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendSection:
    """What to put where."""

    sentences: tuple[str, ...]
    table: Table
    blocks: tuple[PolicyBlock, ...]
    #: One policy for all; None where there is none.
    default: PolicyBlock | None
    notes: tuple[str, ...]
    #: Files beside the page with all of them, and what they are.
    files: tuple[tuple[str, str], ...]


def recommend_section(report: Report) -> RecommendSection | None:
    """The advice on policies; None where it was not worked out, or there is no repository to advise on."""
    found = report.recommendations
    if found is None or not found.repositories:
        return None
    rows = advice(found)
    sentences = [f"{summary(found)[:1].upper()}{summary(found)[1:]}.", needed_words(found)]
    if rows:
        saved = range_words(found.saving_low, found.saving_high)
        sentences.insert(1, f"Following it saves {saved} a month beyond the policies in force.")
    if found.back_test is not None:
        sentences.append(total_back_test_words(found.back_test))
    return RecommendSection(
        sentences=tuple(sentences),
        table=_table(found),
        blocks=tuple(_block(row) for row in rows[:_IN_FULL]),
        default=None if found.fleet is None else _default(found.fleet),
        notes=found.warnings,
        files=(
            ("recommended.tf", "all policies as Terraform resources"),
            ("recommended.sh", "a script that has ECR preview each of them and, with --apply, puts it"),
        )
        if rows
        else (),
    )


def _table(report: RecommendReport) -> Table:
    rows = report.repositories
    left = len(rows) - MOST_ROWS
    more = f"Other ({counted(left, 'repository', 'repositories')}, see recommendations.csv)"
    return Table(
        name="recommended",
        file="recommendations.csv",
        method="recommended",
        caption="Repositories by what the advice on them saves, the most first",
        columns=(
            Column(label="Repository", numeric=False),
            Column(label="Advice", numeric=False),
            Column(label="Rules"),
            Column(label="Taken", hint="Artifacts that the policy takes today"),
            Column(label="Needed", hint="Artifacts that it must not take"),
            Column(label="Pulled once", hint="Of those taken: ECR records a pull, long ago"),
            Column(label="Freed", hint="Would leave the store, each layer once in the repository"),
            Column(label="USD per month", hint="Saved beyond the policy in force", sorts_rows=True),
        ),
        rows=tuple(map(_row, rows[:MOST_ROWS])),
        footer=(Row(cells=(Cell(text=more), *[EMPTY] * 7), kind="other"),) if left > 0 else (),
        facets=("Advice", *PLACE_FACETS),
    )


def _row(row: Recommendation) -> Row:
    place = Place.of(row.account, row.region, row.repository)
    effect = row.effect if row.status.advises else None
    notes = (row.reason,) if row.reason else ()
    figures = [DASH] * 5
    if effect is not None:
        freed = effect.freed_bytes.repository
        figures = [
            Cell(text=count(len(row.rules)), value=str(len(row.rules))),
            Cell(text=count(effect.leaving), value=str(effect.leaving)),
            Cell(text=count(row.risk.once_pulled), value=str(row.risk.once_pulled)),
            Cell(text=size(freed), value=str(freed), hint=exact_size(freed)),
            Cell(
                text=range_words(row.saving_low, row.saving_high),
                value=exact_text(row.saving_low),
                hint="; ".join(row.saving_low.leaves_out),
            ),
        ]
    rules, taken, pulled, freed_cell, saved = figures
    needed = Cell(text=count(row.needed.artifacts), value=str(row.needed.artifacts))
    return Row(
        cells=(
            Cell(
                text=row.repository or row.region,
                notes=tuple(part for part in (row.account, row.region) if part),
                link=place.anchor,
            ),
            Cell(text=STATUS_WORDS[row.status], notes=notes),
            rules,
            taken,
            needed,
            pulled,
            freed_cell,
            saved,
        ),
        facets=(row.status.value, *place.facets),
    )


def _block(row: Recommendation) -> PolicyBlock:
    taken = 0 if row.effect is None else row.effect.leaving
    said = [row.reason, risk_words(row), back_test_words(row), *row.notes]
    if row.safe_until is not None:
        said.append(f"safe until {row.safe_until:%Y-%m-%d} at the present rate of pushes")
    return PolicyBlock(
        title=f"{placed(row)}: takes {counted(taken, 'image')}, saves "
        f"{range_words(row.saving_low, row.saving_high)} a month",
        sentences=tuple(f"{text[:1].upper()}{text[1:]}." for text in said if text),
        rules=tuple(f"{rule.description}: {basis_words(rule)}" for rule in row.rules),
        text=row.policy_text or "",
    )


def _default(default: FleetDefault) -> PolicyBlock | None:
    if default.policy_text is None or default.effect is None:
        return None
    lost = "" if default.lost is None else range_words(default.lost.registry, default.lost.repository)
    where = counted(default.repositories, "repository", "repositories")
    said = [f"it takes {counted(default.effect.leaving, 'image')}", *decided_words(default)]
    if lost:
        said.insert(1, f"it saves {lost} a month less than a policy for each repository")
    return PolicyBlock(
        title=f"One policy that is safe in all {where}",
        sentences=tuple(f"{text[:1].upper()}{text[1:]}." for text in said),
        rules=tuple(f"{rule.description}: {basis_words(rule)}" for rule in default.rules),
        text=default.policy_text,
    )
