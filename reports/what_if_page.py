"""The page's section on a simulated policy: what would break, what it comes to, where, and which images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
from markupsafe import Markup

from analyzer.model.frames import Int64
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.simulation import Candidate, Effect, RepositoryEffect, Simulation
from analyzer.model.units import Money, Scope
from analyzer.model.verdicts import Outcome
from reports.cards import Card, is_known
from reports.cells import (
    DASH,
    MOST_ROWS,
    Cell,
    Column,
    Filled,
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
from reports.charts import Bar, Chart, bar_chart
from reports.facts import bytes_at, money_at
from reports.figures import UNKNOWN, counted, exact_size, gb_decimals, listed, moment, moments, size, span
from reports.missing import WHOLE
from reports.rounding import CENT_DECIMALS, amount_text, apportion_gb, rounded
from reports.what_if_figures import (
    NAIVE,
    Line,
    four_lines,
    known_of,
    main_scope,
    shown_scopes,
    split,
)
from reports.what_if_images import Names, moments_of, tags_of
from reports.what_if_words import (
    archiving_note,
    grouped_warnings,
    money_text,
    place_of,
    replica_note,
    saved_text,
)

_MOST_BARS: Final = 12
#: Images that are named in a warning, repositories whose images are listed, and images of each.
_NAMED: Final = 20
_LISTED: Final = 10
_IMAGES: Final = 20
_TAGS: Final = 4
_NOTES: Final = 10

_SENTENCES: Final = {
    "TOTAL": "What these repositories hold and cost now, each layer counted once per {scope}.",
    "LEAVES": "Saved per month: the layers that no remaining image holds.",
    "ARCHIVED": "What archiving saves per month; archived images cannot be pulled until they are restored.",
    "KEPT": "The bill that remains per month, archived images included.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Images that are needed and would be taken."""

    heading: str
    images: tuple[str, ...]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageList:
    """The images of one repository that leave or are archived, to be unfolded."""

    heading: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatePart:
    """One candidate."""

    name: str
    alarms: tuple[Alarm, ...]
    cards: tuple[Card, ...]
    saved: str
    #: Why not the sum of image sizes; "" where nothing expires.
    naive: str
    chart: Chart | None
    #: None where nothing happens.
    repositories: Table | None
    footnote: str
    note: str
    #: Under the policies in force and under this one; None where it was not asked for.
    compared: Table | None
    rules: Table | None
    #: On archiving, on what AWS does not say, on replicas.
    notes: tuple[str, ...]
    images: tuple[ImageList, ...]
    images_note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfSection:
    """The section of the page."""

    at: str
    taken: str
    candidates: tuple[CandidatePart, ...]
    #: The candidates side by side; None for one.
    compared: Table | None
    missing_in_use: tuple[str, ...]
    missing_more: str
    notes: tuple[str, ...]


def what_if_section(simulation: Simulation) -> WhatIfSection:
    """The section about ``simulation``; equal simulations give equal sections."""
    shown = simulation.candidates
    missing = simulation.missing_in_use
    gaps = len(simulation.gaps)
    taken = ""
    if simulation.taken_from is not None and simulation.taken_to is not None:
        taken = moments(simulation.taken_from, simulation.taken_to)
    notes = list(simulation.warnings)
    if gaps:
        notes.append(f"{counted(gaps, 'gap')} in what was read: what they hide is in no figure here.")
    return WhatIfSection(
        at=moment(simulation.at),
        taken=taken,
        candidates=tuple(
            _part(simulation, candidate, f"what-if-{n}") for n, candidate in enumerate(shown, start=1)
        ),
        compared=_compared(simulation, shown, "what-if-candidates") if len(shown) > 1 else None,
        missing_in_use=missing[:_NAMED],
        missing_more=f"and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else "",
        notes=tuple(notes),
    )


def _part(simulation: Simulation, candidate: Candidate, name: str) -> CandidatePart:
    lines = four_lines(candidate.totals)
    happening = [row for row in candidate.repositories if row.effect.leaving or row.effect.archiving]
    listed_rows = happening[:_LISTED]
    images_note = ""
    if len(happening) > _LISTED or any(_affected(row) > _IMAGES for row in listed_rows):
        images_note = (
            f"Of the {_LISTED} repositories where most happens, the first {_IMAGES} images each; all are in"
            " the answer of demurrage what-if with --format json, or csv and --rows image."
        )
    live = candidate.live_totals is not None and len(simulation.candidates) == 1
    return CandidatePart(
        name=candidate.name,
        alarms=tuple(_alarms(simulation, candidate)),
        cards=tuple(_card(simulation, line) for line in lines),
        saved=_saved(candidate.totals),
        naive=_naive(simulation, candidate.totals),
        chart=_chart(simulation, candidate, name),
        repositories=_repositories(simulation, candidate, f"{name}-repositories")
        if happening or any(row.live is not None for row in candidate.repositories)
        else None,
        footnote=_footnote(lines),
        note=_note(simulation, candidate),
        compared=_compared(simulation, [candidate], f"{name}-compared") if live else None,
        rules=_rules(simulation, candidate, f"{name}-rules"),
        notes=tuple(_notes(candidate)),
        images=tuple(
            _image_list(simulation, candidate, row, f"{name}-images-{n}")
            for n, row in enumerate(listed_rows, start=1)
        ),
        images_note=images_note,
    )


def _affected(row: RepositoryEffect) -> int:
    return row.effect.leaving + row.effect.archiving


# What would break.


def _alarms(simulation: Simulation, candidate: Candidate) -> Iterator[Alarm]:
    lists: tuple[tuple[str, Callable[[RepositoryEffect], Int64]], ...] = (
        ("in use", lambda row: row.in_use),
        ("protected", lambda row: row.protected),
    )
    for what, pick in lists:
        number = sum(len(pick(row)) for row in candidate.repositories)
        if not number:
            continue
        images: list[str] = []
        for row in candidate.repositories:
            taken = pick(row)[: _NAMED - len(images)]
            for digest, tags, fate in zip(
                Names(simulation, taken)(taken),
                tags_of(simulation.facts, taken),
                _fates(candidate, taken),
                strict=True,
            ):
                images.append(f"{place_of(row)}@{digest} ({_tags_text(tags)}) would be {fate}")
        yield Alarm(
            heading=f"{counted(number, 'image')} that {'is' if number == 1 else 'are'} {what} would be taken",
            images=tuple(images),
            more=f"and {number - len(images):,} more" if number > len(images) else "",
        )


def _fates(candidate: Candidate, positions: Int64) -> list[str]:
    verdicts = candidate.verdicts
    return [
        ("archived" if outcome == Outcome.TRANSITIONED else "deleted")
        + (f" by rule {rule}" if rule else " with its subject")
        for outcome, rule in zip(
            verdicts.outcome[positions].tolist(), verdicts.rule[positions].tolist(), strict=True
        )
    ]


def _tags_text(tags: Sequence[str]) -> str:
    return listed(list(tags), limit=_TAGS) or "untagged"


# Totals.


def _card(simulation: Simulation, line: Line) -> Card:
    scopes = shown_scopes(simulation)
    low, high = (_ordered(line.money, scopes), _sizes(line.size, scopes))
    sentence = _SENTENCES[line.label].format(scope=scopes[0])
    if line.label == "TOTAL" and len(scopes) > 1:
        sentence = (
            "What these repositories hold and cost now: each layer counted once per registry, up to once"
        )
        sentence += " per repository."
    sized = UNKNOWN if line.missing.nothing_known else span(*map(size, high))
    known = all(map(is_known, low))
    reasons = sorted({*line.missing.reasons, *(reason for money in low for reason in money.leaves_out)})
    artifacts = counted(line.artifacts, "artifact")
    if line.uncounted.nothing_known:
        artifacts = "artifacts unknown"
    return Card(
        label=line.label.capitalize(),
        # Of documents without a region nothing is priced, and bytes are all there is.
        figure=span(*map(money_text, low)) if known else sized,
        exact=span(*(amount_text(rounded(money, 6)) for money in low))
        if known
        else span(*map(exact_size, high)),
        beside=f"{artifacts}, {sized}" if known else artifacts,
        sentences=(sentence,),
        leaves_out=listed(reasons, limit=5),
        tone="warn" if line.label == "LEAVES" and line.artifacts else "",
    )


def _ordered(both: ScopedMoney, scopes: Sequence[Scope]) -> tuple[Money, Money]:
    """The least and the greatest at ``scopes``; unknown ones first."""
    amounts = sorted(
        (money_at(both, scope) for scope in scopes), key=lambda money: money.amount or Decimal(0)
    )
    return amounts[0], amounts[-1]


def _sizes(both: ScopedBytes, scopes: Sequence[Scope]) -> tuple[int, int]:
    found = sorted(bytes_at(both, scope) for scope in scopes)
    return found[0], found[-1]


def _saved(effect: Effect) -> str:
    if not effect.leaving and not effect.archiving:
        return "Nothing would leave or be archived."
    return f"Saved: {saved_text(effect)}."


def _naive(simulation: Simulation, effect: Effect) -> str:
    missing = known_of(effect).freed
    claimed, freed = effect.expired_logical_bytes, bytes_at(effect.freed_bytes, main_scope(simulation))
    if not claimed or missing.nothing_known:
        return ""
    money = f" and {money_text(effect.naive_saving)} a month" if is_known(effect.naive_saving) else ""
    times = f", {claimed / freed:,.1f} times what is freed" if freed and not missing.reasons else ""
    return (
        f"Why not the sum of image sizes? {NAIVE[0].upper()}{NAIVE[1:]} would say that {size(claimed)}{money}"
        f" leave{times}: they count a layer with every image that holds it, though it stays as long as one"
        " does."
    )


def _chart(simulation: Simulation, candidate: Candidate, name: str) -> Chart | None:
    scope = main_scope(simulation)
    several = _several(candidate)
    found = [
        (row, bytes_at(row.effect.freed_bytes, scope), bytes_at(row.effect.archived_bytes, scope))
        for row in candidate.repositories
    ]
    found = sorted(found, key=lambda one: -(one[1] + one[2]))[:_MOST_BARS]
    bars = [
        Bar(
            label=row.repository or "repository",
            note=(row.region or "") if several else "",
            figure=size(freed + archived) + ("†" if _is_short(row.effect) else ""),
            value=freed + archived,
            part=archived,
            hint=f"{place_of(row)}: {size(freed)} freed, {size(archived)} archived",
        )
        for row, freed, archived in found
        if freed + archived
    ]
    if not bars:
        return None
    heading = f"Bytes freed and archived by repository, at {scope} scope"
    description = "; ".join(f"{bar.label} {bar.figure}" for bar in bars)
    # Built and escaped in charts.py.
    svg = Markup(bar_chart(bars, name=f"{name}-chart", title=heading, description=description))  # noqa: S704
    return Chart(heading=heading, svg=svg, legend=(("accent", "freed"), ("warn", "moved to the archive")))


def _is_short(effect: Effect) -> bool:
    known = known_of(effect)
    return bool(known.freed.reasons or known.archived.reasons)


def _several(candidate: Candidate) -> bool:
    return len({(row.account, row.region) for row in candidate.repositories}) > 1


def _footnote(lines: Sequence[Line]) -> str:
    reasons = {
        reason
        for line in lines
        for reason in (
            *line.money.repository.leaves_out,
            *line.money.registry.leaves_out,
            *line.missing.reasons,
        )
    }
    return f"Leaves out: {listed(sorted(reasons))}." if reasons else ""


def _note(simulation: Simulation, candidate: Candidate) -> str:
    said = ["Artifacts are images, indexes and what refers to them, as ECR counts them."]
    if len(shown_scopes(simulation)) > 1 or simulation.scope == "registry":
        said.append(
            "At registry scope the rows hold what leaves with that repository alone; the shared row"
            " completes them."
        )
    if len(candidate.repositories) > MOST_ROWS:
        said.append(f"The {MOST_ROWS} where most happens; the rest is in one row.")
    unknown = sum(row.live is None for row in candidate.repositories)
    if candidate.live_totals is not None and unknown:
        of = counted(unknown, "repository", "repositories")
        said.append(f"The policy in force in {of} is not known.")
    return " ".join(said)


# Tables.


def _repositories(simulation: Simulation, candidate: Candidate, name: str) -> Table:
    rows, totals, scopes = candidate.repositories, candidate.totals, shown_scopes(simulation)
    several = _several(candidate)
    with_shared = "registry" in scopes

    def counts(label: str, pick: Callable[[Effect], int], hint: str, *, alarm: bool = False) -> Filled:
        values = [pick(row.effect) for row in rows]
        if not alarm:
            column = Column(label=label, hint=hint)
            return count_column(column, values, pick(totals), [WHOLE] * len(rows), WHOLE)
        cells = [_alarm_cell(value) for value in values]
        rest, of_all = _alarm_cell(sum(values[MOST_ROWS:])), _alarm_cell(pick(totals))
        return text_column(Column(label=label, hint=hint), cells, other=rest, shared=DASH, total=of_all)

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
        counts("In use", lambda effect: effect.in_use, "In use, and would be taken", alarm=True),
        counts("Protected", lambda effect: effect.protected, "Protected, and would be taken", alarm=True),
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
        "Repositories, those that save most first",
        filled,
        with_shared=with_shared,
        groups=(
            ("", 1),
            ("Artifacts", 5),
            ("Freed, GB", len(scopes)),
            (f"Saved, {currency} a month", len(scopes)),
            *((("", 1),) if live else ()),
        ),
    )


def _repository_cell(row: RepositoryEffect, *, several: bool) -> Cell:
    notes = [part for part in (row.account, row.region) if part] if several else []
    if row.policy_text is None:
        notes.append("no policy")
    return Cell(text=row.repository or "repository", notes=tuple(notes))


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


def _compared(simulation: Simulation, shown: Sequence[Candidate], name: str) -> Table:
    """A row for each candidate, that of the policies in force before them."""
    scope = main_scope(simulation)
    live = shown[0].live_totals
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
                    _alarm_cell(effect.in_use),
                    _alarm_cell(effect.protected),
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
            Column(label="In use", hint="In use, and would be taken"),
            Column(label="Protected", hint="Protected, and would be taken"),
            Column(label="Freed", hint=f"At {scope} scope"),
            Column(label="Low end", hint="What can be promised"),
            Column(label="High end"),
            Column(label="Naive", muted=True, hint=f"What {NAIVE} would say is saved"),
        ),
        rows=tuple(rows),
        groups=(("", 1), ("Artifacts", 6), ("", 1), (f"Saved, {_currency(shown)} a month", 3)),
    )


def _currency(shown: Sequence[Candidate]) -> str:
    return shown[0].totals.saving.repository.currency


def _rules(simulation: Simulation, candidate: Candidate, name: str) -> Table | None:
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
        caption="What each rule brings; these figures do not add up",
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
    )


def _image_list(simulation: Simulation, candidate: Candidate, row: RepositoryEffect, name: str) -> ImageList:
    positions = np.concatenate([row.claimed, row.followers])[:_IMAGES]
    effect = row.effect
    numbers = [f"{effect.leaving:,} leave"] if effect.leaving else []
    numbers += [f"{effect.archiving:,} archived"] if effect.archiving else []
    rows = [
        Row(
            cells=(
                Cell(text=digest),
                Cell(text=_tags_text(tags), tone="" if tags else "muted"),
                Cell(text=pushed or UNKNOWN, tone="" if pushed else "muted"),
                Cell(text=fate),
            )
        )
        for digest, tags, pushed, fate in zip(
            Names(simulation, positions)(positions),
            tags_of(simulation.facts, positions),
            moments_of(simulation.frames.artifacts.pushed_at_ms[positions]),
            _fates(candidate, positions),
            strict=True,
        )
    ]
    of = len(row.claimed) + len(row.followers)
    place = place_of(row) if _several(candidate) else row.repository or "repository"
    first = f"the first {len(rows)} of {of:,} images" if of > len(rows) else counted(of, "image")
    return ImageList(
        heading=f"{place}: {', '.join(numbers)}",
        table=Table(
            name=name,
            caption=f"Oldest first, {first}",
            columns=(
                Column(label="Digest", numeric=False),
                Column(label="Tags", numeric=False),
                Column(label="Pushed", numeric=False),
                Column(label="Fate", numeric=False),
            ),
            rows=tuple(rows),
        ),
    )


def _notes(candidate: Candidate) -> Iterator[str]:
    yield from candidate.warnings[:_NOTES]
    if len(candidate.warnings) > _NOTES:
        yield f"and {len(candidate.warnings) - _NOTES:,} more about the policy as a whole"
    if candidate.totals.archiving:
        yield from map(archiving_note, candidate.archiving)
    yield from grouped_warnings(candidate)
    replicas = [replica_note(row) for row in candidate.repositories if row.replicas]
    yield from replicas[:_NOTES]
    if len(replicas) > _NOTES:
        yield f"and {len(replicas) - _NOTES:,} more repositories that have replicas"
