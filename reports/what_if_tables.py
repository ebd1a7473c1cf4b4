"""The tables of the page's section on a simulated policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzer.model.frames import Int64
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.simulation import Candidate, Effect, RepositoryEffect, Simulation
from analyzer.model.units import Scope
from analyzer.model.verdicts import Outcome
from analyzer.model.words import counted
from reports.anchors import repository_anchor
from reports.cells import (
    DASH,
    MOST_ROWS,
    Cell,
    Column,
    Filled,
    Place,
    Row,
    Table,
    count_cell,
    count_column,
    filled_table,
    gb_column,
    money_cell,
    money_column,
    text_column,
)
from reports.facts import bytes_at, money_at
from reports.figures import UNKNOWN, exact_size, gb_decimals, listed, size
from reports.missing import WHOLE
from reports.rounding import CENT_DECIMALS, apportion_gb, rounded
from reports.text import shortened
from reports.what_if_figures import (
    NAIVE,
    known_of,
    main_scope,
    orders_by_low_end,
    shown_scopes,
    split,
)
from reports.what_if_images import Names, moments_of, tags_of
from reports.what_if_words import (
    place_of,
)

#: Images of a repository that are listed.
MOST_IMAGES: Final = 20
_TAGS: Final = 4
#: Letters of a policy's name in a caption.
_NAME: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageList:
    """The images of one repository that leave or are archived, to be unfolded."""

    heading: str
    table: Table


def repository_table(simulation: Simulation, candidate: Candidate, name: str) -> Table:
    """Where it happens: repositories in the order of the candidate, then other, shared and total."""
    rows, totals, scopes = candidate.repositories, candidate.totals, shown_scopes(simulation)
    several = in_several_places(candidate)
    with_shared = "registry" in scopes

    def counts(label: str, pick: Callable[[Effect], int], hint: str, *, alarm: bool = False) -> Filled:
        values = [pick(row.effect) for row in rows]
        if not alarm:
            column = Column(label=label, hint=hint)
            return count_column(column, values, pick(totals), [WHOLE] * len(rows), WHOLE)
        cells = [_alarm_cell(value) for value in values]
        rest, of_all = _alarm_cell(sum(values[MOST_ROWS:])), _alarm_cell(pick(totals))
        return text_column(Column(label=label, hint=hint), cells, other=rest, shared=DASH, total=of_all)

    needed = _needed(simulation)
    order = "ordered by what is surely saved, the low end"
    if not orders_by_low_end(simulation, candidate):
        order = "those that save most first"
    filled = [
        text_column(
            Column(label="Repository", numeric=False),
            [_repository_cell(row, several=several) for row in rows],
            other=Cell(text=f"Other ({counted(len(rows) - MOST_ROWS, 'repository', 'repositories')})"),
            shared=Cell(text="Shared", notes=("layers that several repositories of a registry hold",)),
            total=Cell(text="Total"),
        ),
        counts("Leave", lambda effect: effect.leaving, "Deleted by a rule, or with their subject"),
        counts("Archived", lambda effect: effect.archiving, "Moved to the archive storage class"),
        counts("Held", lambda effect: effect.blocked, "A rule claims them; an index that stays keeps them"),
        *(counts(label, pick, hint, alarm=True) for label, pick, hint in needed),
        *(_freed(candidate, scope) for scope in scopes),
        *(_saving(candidate, scope) for scope in scopes),
    ]
    live = candidate.live_totals is not None
    if live:
        filled.append(
            text_column(
                Column(label="Change", hint="How many more leave than under the policy in force"),
                [_change_cell([row]) for row in rows],
                other=_change_cell(rows[MOST_ROWS:]),
                shared=DASH,
                total=_change_cell(rows),
            )
        )
    currency = totals.saving.repository.currency
    return filled_table(
        name,
        f"Repositories{_under(simulation, candidate)}, {order}",
        filled,
        with_shared=with_shared,
        groups=(
            ("", 1),
            ("Artifacts", 3 + len(needed)),
            ("Freed, GB", len(scopes)),
            (f"Saved, {currency} a month", len(scopes)),
            *((("", 1),) if live else ()),
        ),
        file="what-if.csv",
        method="what-if",
        places=[_place(row) for row in rows] if several else (),
    )


def _under(simulation: Simulation, candidate: Candidate) -> str:
    """Which policy a table is about, where there are several: no two tables go by one name."""
    return f" under {shortened(candidate.name, _NAME)}" if len(simulation.candidates) > 1 else ""


def _place(row: RepositoryEffect) -> Place:
    # The id is that of its row among all repositories, which this is not.
    return Place(account=row.account or UNKNOWN, region=row.region or UNKNOWN)


def _repository_cell(row: RepositoryEffect, *, several: bool) -> Cell:
    notes = [part for part in (row.account, row.region) if part] if several else []
    if row.policy_text is None:
        notes.append("no policy")
    link = repository_anchor(row.account or "", row.region or "", row.repository or "")
    return Cell(text=row.repository or "repository", notes=tuple(notes), link=link)


def _alarm_cell(number: int) -> Cell:
    return Cell(text=f"{number:,}", value=str(number), tone="warn" if number else "muted")


def _change_cell(rows: Sequence[RepositoryEffect]) -> Cell:
    known = [(row.effect, row.live) for row in rows if row.live is not None]
    if not known:
        return Cell(text=UNKNOWN, tone="muted", hint="the policy in force is not known")
    more = sum(effect.leaving - live.leaving for effect, live in known)
    missing = len(rows) - len(known)
    of = counted(missing, "repository", "repositories")
    return Cell(
        text=f"{more:+,}" if more else "0",
        value=str(more),
        hint=f"leaves out: {of} whose policy in force is not known" if missing else "",
        incomplete=bool(missing),
    )


def _freed(candidate: Candidate, scope: Scope) -> Filled:
    values = [bytes_at(row.effect.freed_bytes, scope) for row in candidate.repositories]
    total = bytes_at(candidate.totals.freed_bytes, scope)
    shared = total - sum(values)
    decimals = gb_decimals(total)
    *shown, shared_shown = apportion_gb([*values, shared], total, decimals)
    return gb_column(
        _scope_column(scope),
        values,
        shown,
        (shared, shared_shown),
        total,
        decimals,
        [known_of(row.effect).freed for row in candidate.repositories],
        known_of(candidate.totals).freed,
    )


def _saving(candidate: Candidate, scope: Scope) -> Filled:
    part = split(candidate, lambda effect: money_at(effect.saving, scope), CENT_DECIMALS)
    # Adding nothing to the rows is no row of its own.
    shared = None if scope == "repository" and not part.shared else (part.shared_exact, part.shared)
    return money_column(
        _scope_column(scope),
        [money_at(row.effect.saving, scope) for row in candidate.repositories],
        part.rows,
        shared,
        money_at(candidate.totals.saving, scope),
    )


def _scope_column(scope: Scope) -> Column:
    bound = "the lower bound" if scope == "registry" else "the upper bound"
    return Column(label=f"{scope.capitalize()} scope", hint=f"Each layer once per {scope}: {bound}")


def _needed(simulation: Simulation) -> list[tuple[str, Callable[[Effect], int], str]]:
    """Label, count and hint of what would be taken though it is needed, as far as anybody said what is."""
    columns: list[tuple[str, Callable[[Effect], int], str]] = []
    if simulation.in_use_given:
        columns.append(("In use", lambda effect: effect.in_use, "In use, and would be taken"))
    if simulation.protected_given:
        columns.append(("Protected", lambda effect: effect.protected, "Protected, and would be taken"))
    return columns


def comparison_table(simulation: Simulation, shown: Sequence[Candidate], name: str) -> Table:
    """A row for each candidate, that of the policies in force before them."""
    scope = main_scope(simulation)
    live, needed = shown[0].live_totals, _needed(simulation)
    entries: list[tuple[str, Effect]] = [] if live is None else [("In force", live)]
    entries += [(candidate.name, candidate.totals) for candidate in shown]
    rows = []
    for label, effect in entries:
        missing = known_of(effect).freed
        numbers = (effect.leaving, effect.archiving, effect.kept, effect.blocked)
        freed = bytes_at(effect.freed_bytes, scope)
        rows.append(
            Row(
                cells=(
                    Cell(text=label),
                    *map(count_cell, numbers),
                    *(_alarm_cell(pick(effect)) for _, pick, _ in needed),
                    Cell(
                        text=UNKNOWN if missing.nothing_known else size(freed),
                        value=str(freed),
                        hint=exact_size(freed),
                        incomplete=bool(missing.reasons) and not missing.nothing_known,
                    ),
                    *(
                        money_cell(money, rounded(money, CENT_DECIMALS))
                        for money in (effect.saving_low, effect.saving_high, effect.naive_saving)
                    ),
                )
            )
        )
    return Table(
        name=name,
        caption="Policies side by side",
        columns=(
            Column(label="Policy", numeric=False),
            Column(label="Leave"),
            Column(label="Archived"),
            Column(label="Kept"),
            Column(label="Held", hint="A rule claims them; an index that stays keeps them"),
            *(Column(label=label, hint=hint) for label, _, hint in needed),
            Column(label="Freed", hint=f"At {scope} scope"),
            Column(label="Low end", hint="What can be promised"),
            Column(label="High end"),
            Column(label="Naive", muted=True, hint=f"What {NAIVE} would say is saved"),
        ),
        rows=tuple(rows),
        groups=(("", 1), ("Artifacts", 4 + len(needed)), ("", 1), (f"Saved, {_currency(shown)} a month", 3)),
        file="what-if.csv",
        method="what-if",
    )


def _currency(shown: Sequence[Candidate]) -> str:
    return shown[0].totals.saving.repository.currency


def rule_table(simulation: Simulation, candidate: Candidate, name: str) -> Table | None:
    """What each rule brings; None where that was not worked out."""
    if not candidate.rules:
        return None
    scope = main_scope(simulation)

    def bytes_cell(both: ScopedBytes) -> Cell:
        number = bytes_at(both, scope)
        text = f"-{size(-number)}" if number < 0 else size(number)
        return Cell(text=text, value=str(number), hint=f"{number:,} bytes")

    def dollars_cell(both: ScopedMoney) -> Cell:
        money = money_at(both, scope)
        return money_cell(money, rounded(money, CENT_DECIMALS))

    return Table(
        name=name,
        caption=f"What each rule{_under(simulation, candidate)} brings; these figures do not add up",
        columns=(
            Column(label="Rule", numeric=False),
            Column(label="Description", numeric=False),
            Column(label="Leave"),
            Column(label="Archived"),
            Column(label="Freed", hint="Less than nothing where the rule shields images from later ones"),
            Column(label="Saved a month"),
            Column(label="Freed"),
            Column(label="Saved a month"),
        ),
        rows=tuple(
            Row(
                cells=(
                    Cell(text=str(rule.priority), value=str(rule.priority)),
                    Cell(text=rule.description or ""),
                    count_cell(rule.expired),
                    count_cell(rule.transitioned),
                    bytes_cell(rule.marginal_freed_bytes),
                    dollars_cell(rule.marginal_saving),
                    bytes_cell(rule.alone_freed_bytes),
                    dollars_cell(rule.alone_saving),
                )
            )
            for rule in candidate.rules
        ),
        groups=(("", 4), ("By this rule, with the others there", 2), ("If it were the only rule", 2)),
        file="what-if.json",
        method="what-if",
    )


def image_list(simulation: Simulation, candidate: Candidate, row: RepositoryEffect, name: str) -> ImageList:
    """The first images of a repository that leave or are archived."""
    positions = np.concatenate([row.claimed, row.followers])[:MOST_IMAGES]
    effect = row.effect
    numbers = [f"{effect.leaving:,} leave"] if effect.leaving else []
    numbers += [f"{effect.archiving:,} archived"] if effect.archiving else []
    rows = [
        Row(
            cells=(
                Cell(text=digest),
                Cell(text=tags_text(tags), tone="" if tags else "muted"),
                Cell(text=pushed or UNKNOWN, tone="" if pushed else "muted"),
                Cell(text=fate),
            )
        )
        for digest, tags, pushed, fate in zip(
            Names(simulation, positions)(positions),
            tags_of(simulation.facts, positions),
            moments_of(simulation.frames.artifacts.pushed_at_ms[positions]),
            fates(candidate, positions),
            strict=True,
        )
    ]
    of = len(row.claimed) + len(row.followers)
    place = place_of(row) if in_several_places(candidate) else row.repository or "repository"
    first = f"the first {len(rows)} of {of:,} images" if of > len(rows) else counted(of, "image")
    return ImageList(
        heading=f"{place}: {', '.join(numbers)}",
        table=Table(
            name=name,
            caption=f"{place}{_under(simulation, candidate)}: {first}, oldest first",
            columns=(
                Column(label="Digest", numeric=False),
                Column(label="Tags", numeric=False),
                Column(label="Pushed", numeric=False),
                Column(label="Fate", numeric=False),
            ),
            rows=tuple(rows),
            file="what-if-images.csv",
            method="what-if",
        ),
    )


def fates(candidate: Candidate, positions: Int64) -> list[str]:
    """What would become of artifacts that leave or are archived, and by which rule."""
    verdicts = candidate.verdicts
    return [
        ("archived" if outcome == Outcome.TRANSITIONED else "deleted")
        + (f" by rule {rule}" if rule else " with its subject")
        for outcome, rule in zip(
            verdicts.outcome[positions].tolist(), verdicts.rule[positions].tolist(), strict=True
        )
    ]


def tags_text(tags: Sequence[str]) -> str:
    """The first tags, and how many more."""
    return listed(list(tags), limit=_TAGS) or "untagged"


def in_several_places(candidate: Candidate) -> bool:
    """Whether a repository's name alone does not say which it is."""
    return len({(row.account, row.region) for row in candidate.repositories}) > 1
