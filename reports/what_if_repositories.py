"""Where most of a simulation happens, for a person at a terminal: its repositories and rules."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

import numpy as np
from rich.text import Text

from analyzer.model.simulation import Candidate, RepositoryEffect, Simulation
from analyzer.model.units import Money
from analyzer.model.words import counted
from reports.facts import bytes_at, money_at
from reports.figures import UNKNOWN
from reports.missing import WHOLE, Missing, united
from reports.rounding import CENT_DECIMALS, apportion
from reports.text import shortened, visible
from reports.what_if_figures import (
    known_of,
    main_scope,
    orders_by_low_end,
    shown_scopes,
    split,
    without_policy_in_force,
)
from reports.what_if_terminal import (
    byte_unit,
    cents_figure,
    dollars,
    marked,
    not_included,
    plain_table,
    rendered,
    signed_size,
    size_figure,
    wrapped_lines,
)
from reports.what_if_words import place_of

_RULES: Final = 50
_ABOUT_RULES: Final = (
    "BRINGS: what is freed less what would be freed without the rule; below zero where it shields images"
    " from later rules. ALONE: what a policy of this rule alone would free. Neither column adds up."
)


def repositories_text(simulation: Simulation, candidate: Candidate, limit: int) -> str:
    """The ``limit`` repositories where most happens, and the rows that make it add up."""
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
        notes += not_included(without_policy_in_force(candidate))
    if len(happening) > limit:
        notes.append("All repositories: see --format csv or json.")
    return rendered(table) + (f"\n{wrapped_lines(notes)}" if notes else "")


def rules_text(simulation: Simulation, candidate: Candidate) -> str:
    """What each rule takes, brings and would free alone; "" where no rule is."""
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
