"""A simulation for a person at a terminal: what would break first, then what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from analyzer.model.simulation import Candidate, Effect, Simulation
from analyzer.model.units import Scope, iso
from analyzer.model.words import counted
from reports.back_test import back_test_text
from reports.facts import bytes_at, money_at
from reports.figures import size
from reports.rounding import CENT_DECIMALS, apportion, apportion_money
from reports.text import shortened, visible
from reports.what_if_alarms import alarms, claims, missing_in_use
from reports.what_if_figures import (
    NAIVE,
    Line,
    change_of,
    four_lines,
    known_of,
    main_scope,
    shown_scopes,
    without_policy_in_force,
)
from reports.what_if_repositories import repositories_text, rules_text
from reports.what_if_terminal import (
    WIDTH,
    byte_unit,
    cents_figure,
    dollars,
    marked,
    not_included,
    plain_table,
    rendered,
    size_figure,
    wrapped,
    wrapped_lines,
)
from reports.what_if_words import (
    archiving_note,
    change_text,
    grouped_warnings,
    replica_note,
    saved_text,
)

#: Repositories that are named; the rest is summed.
_ROWS: Final = 15
#: Warnings of a kind, and notes, that are written out.
_NOTES: Final = 10
#: Policies that fit side by side.
_ABREAST: Final = 4
#: Repositories that are named of each of several policies.
_FEWER_ROWS: Final = 5


def what_if_text(simulation: Simulation) -> str:
    """What every candidate would do; gaps are left to the caller.

    What is in use or protected and would be taken comes first, then totals that add up, the
    repositories where most happens, and what to know about it.
    """
    several = len(simulation.candidates) > 1
    shown = simulation.candidates
    parts = [part for candidate in shown for part in alarms(simulation, candidate, several=several)]
    parts += [missing_in_use(simulation), _heading(simulation), claims(simulation, several=several)]
    if several:
        parts += _side_by_side(simulation, shown)
    for candidate in shown:
        if several:
            parts.append(f"== {shortened(visible(candidate.name), WIDTH - 6)} ==\n")
        else:
            parts += [_totals(simulation, candidate), *_compared(simulation, candidate)]
        limit = _FEWER_ROWS if several else _ROWS
        parts += [
            repositories_text(simulation, candidate, limit),
            rules_text(simulation, candidate),
            wrapped_lines(map(archiving_note, candidate.archiving if candidate.totals.archiving else ())),
            "" if candidate.back_test is None else back_test_text(candidate.back_test),
            _warnings(candidate),
        ]
    parts.append(wrapped_lines(simulation.warnings))
    return "\n".join(part for part in parts if part)


def _heading(simulation: Simulation) -> str:
    rows = {row.position for candidate in simulation.candidates for row in candidate.repositories}
    repositories = counted(len(rows), "repository", "repositories")
    under = ""
    if len(simulation.candidates) == 1:
        under = f" under {shortened(visible(simulation.candidates[0].name), 200)}"
    taken = f", from snapshots of {iso(simulation.taken_to)}" if simulation.taken_to else ""
    return wrapped(f"{repositories}{under} at {iso(simulation.at)}{taken}") + "\n"


# Totals.


def _totals(simulation: Simulation, candidate: Candidate) -> str:
    effect = candidate.totals
    lines = four_lines(effect)
    scopes = _different_scopes(lines, shown_scopes(simulation))
    heads = [
        text
        for scope in scopes
        for text in (
            ("BYTES", "USD/MONTH")
            if len(scopes) == 1
            else (f"BYTES\n{scope} scope", f"USD/MONTH\n{scope} scope")
        )
    ]
    table = plain_table("", "ARTIFACTS", *heads, right=len(heads) + 1)
    columns = [column for scope in scopes for column in (_sizes(lines, scope), _amounts(lines, scope))]
    for n, line in enumerate(lines):
        table.add_row(
            line.label, marked(f"{line.artifacts:,}", line.uncounted), *(column[n] for column in columns)
        )
    change = change_of(simulation, candidate)
    against = [] if change is None else [f"Against the policies in force: {change_text(change)}"]
    notes = [f"Saved: {saved_text(effect)}", *against, *_naive(simulation, effect)]
    if effect.archiving:
        notes.append("ARCHIVED: the amount is what archiving saves; what archived images cost is in KEPT.")
    elif any(bytes_at(effect.archived_bytes, scope) for scope in scopes):
        notes.append("ARCHIVED: layers that only archived images hold once the others have left.")
    if "auto" not in simulation.scope or len(shown_scopes(simulation)) == 1:
        notes.append(f"Each layer is counted once per {main_scope(simulation)}.")
    reasons = {reason for line in lines for reason in _reasons(line)}
    if change is not None:
        reasons |= {*change.missing.reasons, *change.low.leaves_out, *change.high.leaves_out}
    notes += not_included(sorted(reasons))
    return rendered(table) + "\n" + wrapped_lines(notes)


def _different_scopes(lines: Sequence[Line], scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """Of ``scopes`` the first, and the second where something reads differently there."""
    same = all(
        line.size.repository == line.size.registry
        and line.money.repository.amount == line.money.registry.amount
        for line in lines
    )
    return scopes[:1] if same else scopes


def _sizes(lines: Sequence[Line], scope: Scope) -> list[str]:
    """Bytes of the lines in one unit; those after the first add up to it."""
    total, *parts = [bytes_at(line.size, scope) for line in lines]
    unit, name = byte_unit(total)
    shown = [Decimal(n or 0).scaleb(-2) for n in apportion(parts, total, Fraction(unit, 100))]
    figures = [sum(shown, Decimal(0)), *shown]
    return [
        marked(size_figure(figure, exact, f" {name}"), line.missing)
        for figure, exact, line in zip(figures, [total, *parts], lines, strict=True)
    ]


def _amounts(lines: Sequence[Line], scope: Scope) -> list[str]:
    """Money of the lines in cents; those after the first add up to it."""
    total, *parts = [money_at(line.money, scope) for line in lines]
    if any(money.amount is None for money in (total, *parts)):
        return [dollars(money) for money in (total, *parts)]
    shown = apportion_money(parts, total, CENT_DECIMALS)
    figures = [sum((cents for cents in shown if cents is not None), Decimal(0)), *shown]
    return [cents_figure(cents, money) for cents, money in zip(figures, (total, *parts), strict=True)]


def _naive(simulation: Simulation, effect: Effect) -> Iterator[str]:
    """What would be said without layers, labelled as that."""
    missing = known_of(effect).freed
    claimed, freed = effect.expired_logical_bytes, bytes_at(effect.freed_bytes, main_scope(simulation))
    if not claimed or missing.nothing_known:
        return
    money = effect.naive_saving
    amount = "" if money.amount is None else f" and {dollars(money).strip()} per month"
    times = f", {claimed / freed:,.1f} times as much" if freed and not missing.reasons else ""
    yield f"Naive: {NAIVE} would say {size(claimed)}{amount} leave{times}."


def _reasons(line: Line) -> set[str]:
    money = line.money
    return {*money.repository.leaves_out, *money.registry.leaves_out}


# Several policies, or one and those in force.


def _compared(simulation: Simulation, candidate: Candidate) -> Iterator[str]:
    if candidate.live_totals is not None:
        yield from _side_by_side(simulation, [candidate])


def _side_by_side(simulation: Simulation, shown: Sequence[Candidate]) -> Iterator[str]:
    """A column for each candidate, that of the policies in force before them."""
    live = shown[0].live_totals
    columns = [(candidate.name, candidate.totals) for candidate in shown]
    before = [] if live is None else [("in force", live)]
    scope = main_scope(simulation)
    reasons: set[str] = set()
    for first in range(0, len(columns), _ABREAST):
        of_block = [*before, *columns[first : first + _ABREAST]]
        table = plain_table("", *(shortened(visible(name), 60) for name, _ in of_block), right=len(of_block))
        for column in table.columns[1:]:
            column.no_wrap = False
            column.max_width = 18
        effects = [effect for _, effect in of_block]
        for label, pick in _COUNTS.items():
            numbers = [pick(effect) for effect in effects]
            if any(numbers) or label in _ALWAYS:
                table.add_row(label, *(f"{number:,} " for number in numbers))
        table.add_section()
        table.add_row(
            "FREED",
            *(marked(size(bytes_at(one.freed_bytes, scope)), known_of(one).freed) for one in effects),
        )
        ranges = any(effect.saving_low.amount != effect.saving_high.amount for effect in effects)
        low = "SAVED/MONTH, LOW END" if ranges else "SAVED/MONTH"
        table.add_row(low, *(dollars(effect.saving_low) for effect in effects))
        if ranges:
            table.add_row("SAVED/MONTH, HIGH END", *(dollars(effect.saving_high) for effect in effects))
        table.add_row("NAIVE", *(dollars(effect.naive_saving) for effect in effects))
        for effect in effects:
            reasons |= {*effect.saving_low.leaves_out, *effect.naive_saving.leaves_out}
        yield rendered(table)
    yield wrapped_lines(
        [
            f"FREED is at {scope} scope; NAIVE is what {NAIVE} would say is saved.",
            *not_included(sorted(reasons)),
            *([] if live is None else not_included(without_policy_in_force(shown[0]))),
        ]
    )


_COUNTS: Final[dict[str, Callable[[Effect], int]]] = {
    "LEAVES": lambda effect: effect.leaving,
    "ARCHIVED": lambda effect: effect.archiving,
    "KEPT": lambda effect: effect.kept,
    "KEPT BY AN INDEX": lambda effect: effect.blocked,
    "IN USE, TAKEN": lambda effect: effect.in_use,
    "PROTECTED, TAKEN": lambda effect: effect.protected,
}
_ALWAYS: Final = frozenset({"LEAVES", "ARCHIVED", "KEPT"})


def _warnings(candidate: Candidate) -> str:
    lines = [*candidate.warnings[:_NOTES]]
    if len(candidate.warnings) > _NOTES:
        lines.append(f"and {len(candidate.warnings) - _NOTES:,} more about the policy as a whole")
    lines += grouped_warnings(candidate)
    replicas = [replica_note(row) for row in candidate.repositories if row.replicas]
    lines += replicas[:_NOTES]
    if len(replicas) > _NOTES:
        lines.append(f"and {len(replicas) - _NOTES:,} more repositories that have replicas")
    return wrapped_lines(["To know:", *(f"  {line}" for line in lines)]) if lines else ""
