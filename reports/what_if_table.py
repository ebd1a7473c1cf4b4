"""A simulation for a person at a terminal: what would break first, then what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

import numpy as np
from rich.text import Text

from analyzer.model.frames import Int64
from analyzer.model.simulation import Candidate, Effect, RepositoryEffect, Simulation
from analyzer.model.units import Money, Scope, iso
from analyzer.model.usage import Usage
from analyzer.model.verdicts import Outcome
from reports.back_test import back_test_text
from reports.facts import bytes_at, money_at
from reports.figures import UNKNOWN, counted, size
from reports.missing import WHOLE, Missing, united
from reports.rounding import CENT_DECIMALS, apportion, apportion_money
from reports.text import shortened, visible
from reports.usage import SAFE, coverage_sentences, kinds_text, missing_texts, users_of
from reports.what_if_figures import (
    NAIVE,
    Line,
    change_of,
    four_lines,
    known_of,
    main_scope,
    orders_by_low_end,
    shown_scopes,
    split,
    without_policy_in_force,
)
from reports.what_if_images import Names, tags_of
from reports.what_if_terminal import (
    WIDTH,
    byte_unit,
    cents_figure,
    dollars,
    marked,
    plain_table,
    rendered,
    signed_size,
    size_figure,
    wrapped,
    wrapped_lines,
)
from reports.what_if_words import (
    archiving_note,
    change_text,
    grouped_warnings,
    place_of,
    replica_note,
    saved_text,
)

#: Repositories that are named; the rest is summed.
_ROWS: Final = 15
#: Images in use, protected or missing that are named.
_IMAGES: Final = 20
_TAGS: Final = 3
#: Workloads that are named of an image.
_USERS: Final = 2
_RULES: Final = 50
#: Warnings of a kind, and notes, that are written out.
_NOTES: Final = 10
#: Policies that fit side by side.
_ABREAST: Final = 4
_ABOUT_RULES: Final = (
    "BRINGS: what is freed less what would be freed without the rule; below zero where it shields images"
    " from later rules. ALONE: what a policy of this rule alone would free. Neither column adds up."
)
#: Repositories that are named of each of several policies.
_FEWER_ROWS: Final = 5


def what_if_text(simulation: Simulation) -> str:
    """What every candidate would do; gaps are left to the caller.

    What is in use or protected and would be taken comes first, then totals that add up, the
    repositories where most happens, and what to know about it.
    """
    several = len(simulation.candidates) > 1
    shown = simulation.candidates
    parts = [part for candidate in shown for part in _alarms(simulation, candidate, several=several)]
    parts += [_missing_in_use(simulation), _heading(simulation), _claims(simulation, several=several)]
    if several:
        parts += _side_by_side(simulation, shown)
    for candidate in shown:
        if several:
            parts.append(f"== {shortened(visible(candidate.name), WIDTH - 6)} ==\n")
        else:
            parts += [_totals(simulation, candidate), *_compared(simulation, candidate)]
        limit = _FEWER_ROWS if several else _ROWS
        parts += [
            _repositories(simulation, candidate, limit),
            _rules(simulation, candidate),
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


# What would break.


def _alarms(simulation: Simulation, candidate: Candidate, *, several: bool) -> Iterator[str]:
    lists: tuple[tuple[str, str, Callable[[RepositoryEffect], Int64]], ...] = (
        ("IN USE", "in use", lambda row: row.in_use),
        ("PROTECTED", "protected", lambda row: row.protected),
    )
    for label, what, pick in lists:
        number = sum(len(pick(row)) for row in candidate.repositories)
        if not number:
            continue
        under = f" by {shortened(visible(candidate.name), 200)}" if several else ""
        verb = "is" if number == 1 else "are"
        images = counted(number, "image")
        kinds = kinds_text(candidate.totals) if label == "IN USE" else ""
        lines = [
            f"!! {label}: {images} that {verb} {what} would be taken{under}{f': {kinds}' if kinds else ''}"
        ]
        left = _IMAGES
        for row in candidate.repositories:
            usage = simulation.usage if label == "IN USE" else None
            lines += [f"   {line}" for line in _taken(simulation, candidate, row, pick(row)[:left], usage)]
            left -= len(pick(row)[:left])
        if number > _IMAGES:
            lines.append(f"   and {number - _IMAGES:,} more: see --format csv --rows image, or json")
        yield wrapped_lines(lines)


def _taken(
    simulation: Simulation,
    candidate: Candidate,
    row: RepositoryEffect,
    positions: Int64,
    usage: Usage | None,
) -> Iterator[str]:
    verdicts = candidate.verdicts
    for position, digest, tags, outcome, rule in zip(
        positions.tolist(),
        Names(simulation, positions)(positions),
        tags_of(simulation.facts, positions),
        verdicts.outcome[positions].tolist(),
        verdicts.rule[positions].tolist(),
        strict=True,
    ):
        names = ", ".join(shortened(tag, 60) for tag in tags[:_TAGS]) or "untagged"
        more = f" and {len(tags) - _TAGS:,} more" if len(tags) > _TAGS else ""
        by = f"by rule {rule}" if rule else "with its subject"
        fate = f"would be deleted {by}"
        if outcome == Outcome.TRANSITIONED:
            fate = f"would be archived {by}, and could not be pulled"
        users = users_of(usage, position, _USERS)
        yield f"{place_of(row)}@{digest} ({names}{more}) {fate}{f'; {users}' if users else ''}"


def _missing_in_use(simulation: Simulation) -> str:
    missing = simulation.missing_in_use
    if not missing:
        return ""
    lines = [f"Named as in use, and not there: {counted(len(missing), 'image')}"]
    lines += [f"   {shortened(name, 500)}" for name in missing_texts(simulation, _NOTES)]
    if len(missing) > _NOTES:
        lines.append(f"   and {len(missing) - _NOTES:,} more")
    return wrapped_lines(lines)


def _claims(simulation: Simulation, *, several: bool) -> str:
    """That nothing in use would be taken, where that is so, and what such words cover."""
    lines = []
    if simulation.in_use_given:
        safe = [candidate for candidate in simulation.candidates if not candidate.totals.in_use]
        if not several:
            lines = [SAFE for _ in safe]
        else:
            lines = [f"{shortened(visible(one.name), 200)}: {SAFE[0].lower()}{SAFE[1:]}" for one in safe]
    if simulation.coverage is not None:
        lines += coverage_sentences(simulation.coverage)
    return wrapped_lines(lines)


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
    notes += [f"* not included: {reason}" for reason in sorted(reasons)]
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


def _without_policy(candidate: Candidate) -> Iterator[str]:
    yield from (f"* not included: {reason}" for reason in without_policy_in_force(candidate))


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
            *(f"* not included: {reason}" for reason in sorted(reasons)),
            *([] if live is None else _without_policy(shown[0])),
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


# Repositories and rules.


def _repositories(simulation: Simulation, candidate: Candidate, limit: int) -> str:
    """Where most happens, and the rows that make it add up."""
    rows = candidate.repositories
    if not any(row.effect.leaving or row.effect.archiving for row in rows):
        return wrapped_lines(["No artifact would leave or be archived."])
    scope = main_scope(simulation)
    totals = candidate.totals
    missing = [known_of(row.effect).freed for row in rows]
    amounts = split(candidate, lambda effect: money_at(effect.saving, scope), CENT_DECIMALS)
    sizes = [bytes_at(row.effect.freed_bytes, scope) for row in rows]
    freed = bytes_at(totals.freed_bytes, scope)
    unit, name = byte_unit(freed)
    shared = freed - sum(sizes)
    *gb, shared_gb = [
        Decimal(n or 0).scaleb(-2) for n in apportion([*sizes, shared], freed, Fraction(unit, 100))
    ]
    with_use = bool(totals.in_use or totals.protected)
    with_live = candidate.live_totals is not None
    with_archive = any(row.effect.archiving for row in rows)
    archive = ["ARCHIVED"] if with_archive else []
    heads = ["LEAVES", *archive, "FREED", "SAVED/MONTH"]
    heads += [*(["NEEDED"] if with_use else []), *(["CHANGE"] if with_live else [])]
    several = len({(row.account, row.region) for row in rows}) > 1
    table = plain_table("REPOSITORY", *heads, right=len(heads))

    def add(
        label: Text,
        of: Sequence[RepositoryEffect],
        figures: tuple[Decimal, int, Missing],
        saved: tuple[Decimal | None, Money],
    ) -> None:
        shown, exact, unknown = figures
        cells = [
            f"{sum(row.effect.leaving for row in of):,} ",
            *([f"{sum(row.effect.archiving for row in of):,} "] if with_archive else []),
            marked(size_figure(shown, exact, f" {name}"), unknown),
            cents_figure(*saved),
        ]
        if with_use:
            # One image can be both.
            cells.append(f"{sum(len(np.union1d(row.in_use, row.protected)) for row in of):,} ")
        if with_live:
            cells.append(_change(of))
        table.add_row(label, *cells)

    happening = [n for n, row in enumerate(rows) if _happens(row)]
    named = happening[:limit]
    for n in named:
        row = rows[n]
        money = money_at(row.effect.saving, scope)
        place = place_of(row) if several or row.repository is None else row.repository
        label = Text(shortened(visible(place), 100))
        add(label, [row], (gb[n], sizes[n], missing[n]), (amounts.rows[n], money))
    rest = sorted(set(range(len(rows))) - set(named))
    if rest:
        cents = [amounts.rows[n] for n in rest]
        known_cents = [one for one in cents if one is not None]
        exact = sum(sizes[n] for n in rest)
        moneys = [money_at(rows[n].effect.saving, scope) for n in rest]
        reasons = tuple(sorted({reason for money in moneys for reason in money.leaves_out}))
        money = Money(
            sum((money.amount for money in moneys if money.amount is not None), Decimal(0))
            if known_cents
            else None,
            leaves_out=reasons,
        )
        add(
            Text(f"Other ({counted(len(rest), 'repository', 'repositories')})"),
            [rows[n] for n in rest],
            (
                sum((gb[n] for n in rest), Decimal(0)),
                exact,
                united((missing[n] for n in rest), known=exact),
            ),
            (sum(known_cents, Decimal(0)) if known_cents else None, money),
        )
    if scope == "registry" and (shared or amounts.shared_exact.amount is None or amounts.shared):
        blank = [""] * (len(heads) - 3 - with_archive)
        table.add_row(
            "Shared between repositories",
            "",
            *([""] if with_archive else []),
            marked(size_figure(shared_gb, shared, f" {name}"), WHOLE),
            cents_figure(amounts.shared, amounts.shared_exact),
            *blank,
        )
    table.add_section()
    total_money = money_at(totals.saving, scope)
    add(
        Text("Total"),
        rows,
        (sum(gb, shared_gb), freed, known_of(totals).freed),
        (amounts.total, total_money),
    )
    notes = [f"FREED and SAVED are at {scope} scope."] if len(shown_scopes(simulation)) > 1 else []
    if orders_by_low_end(simulation, candidate):
        notes.append("Ordered by what is surely saved, the low end.")
    if with_use:
        notes.append("NEEDED: of those that leave or are archived, in use or protected.")
    if with_live:
        notes.append("CHANGE: how many artifacts more leave than under the policy in force.")
        notes += _without_policy(candidate)
    if len(happening) > limit:
        notes.append("All repositories: see --format csv or json.")
    return rendered(table) + (f"\n{wrapped_lines(notes)}" if notes else "")


def _happens(row: RepositoryEffect) -> bool:
    live = row.live
    return bool(row.effect.leaving or row.effect.archiving or (live and (live.leaving or live.archiving)))


def _change(rows: Sequence[RepositoryEffect]) -> str:
    """How many more leave than under the policies in force, as far as those are known."""
    known = [(row.effect, row.live) for row in rows if row.live is not None]
    if rows and not known:
        return f"{UNKNOWN} "
    more = sum(effect.leaving - live.leaving for effect, live in known)
    return f"{more:+,}{' ' if len(known) == len(rows) else '*'}"


def _rules(simulation: Simulation, candidate: Candidate) -> str:
    if not candidate.rules:
        return ""
    scope = main_scope(simulation)
    table = plain_table("RULE", "LEAVES", "ARCHIVED", "BRINGS", "A MONTH", "ALONE", "A MONTH", right=6)
    for rule in candidate.rules[:_RULES]:
        description = f" {shortened(visible(rule.description), 60)}" if rule.description else ""
        table.add_row(
            Text(f"{rule.priority}{description}"),
            f"{rule.expired:,} ",
            f"{rule.transitioned:,} ",
            f"{signed_size(bytes_at(rule.marginal_freed_bytes, scope))} ",
            dollars(money_at(rule.marginal_saving, scope)),
            f"{signed_size(bytes_at(rule.alone_freed_bytes, scope))} ",
            dollars(money_at(rule.alone_saving, scope)),
        )
    return f"{rendered(table)}\n{wrapped_lines([_ABOUT_RULES])}"


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
