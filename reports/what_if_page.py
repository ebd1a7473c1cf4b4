"""The page's section on a simulated policy: what would break, what it comes to, where, and which images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from analyzer.model.frames import Int64
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.simulation import Candidate, Effect, RepositoryEffect, Simulation
from analyzer.model.units import Money, Scope
from analyzer.model.words import counted
from reports.cards import Card, is_known
from reports.cells import (
    MOST_ROWS,
    Table,
)
from reports.charts import Bar, Chart, drawn
from reports.facts import bytes_at, money_at
from reports.figures import UNKNOWN, exact_size, listed, moment, moments, size, span
from reports.rounding import amount_text, rounded
from reports.usage import SAFE, coverage_sentences, kinds_text, missing_texts, users_of
from reports.what_if_figures import (
    NAIVE,
    Line,
    four_lines,
    known_of,
    main_scope,
    shown_scopes,
)
from reports.what_if_images import Names, tags_of
from reports.what_if_tables import (
    MOST_IMAGES,
    ImageList,
    comparison_table,
    fates,
    image_list,
    in_several_places,
    repository_table,
    rule_table,
    tags_text,
)
from reports.what_if_words import (
    archiving_note,
    grouped_warnings,
    money_text,
    place_of,
    replica_note,
    saved_text,
)

_MOST_BARS: Final = 12
#: Images that are named in a warning, and repositories whose images are listed.
_NAMED: Final = 20
_LISTED: Final = 10
#: Workloads that are named of an image.
_USERS: Final = 2
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
class CandidatePart:
    """One candidate."""

    name: str
    alarms: tuple[Alarm, ...]
    #: That nothing in use would be taken; "" where that is not so, or not known.
    claim: str
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
    #: Which workloads the words about images in use cover.
    coverage: tuple[str, ...]
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
        compared=comparison_table(simulation, shown, "what-if-candidates") if len(shown) > 1 else None,
        missing_in_use=tuple(missing_texts(simulation, _NAMED)),
        missing_more=f"and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else "",
        coverage=() if simulation.coverage is None else tuple(coverage_sentences(simulation.coverage)),
        notes=tuple(notes),
    )


def _part(simulation: Simulation, candidate: Candidate, name: str) -> CandidatePart:
    lines = four_lines(candidate.totals)
    happening = [row for row in candidate.repositories if row.effect.leaving or row.effect.archiving]
    listed_rows = happening[:_LISTED]
    images_note = ""
    if len(happening) > _LISTED or any(_affected(row) > MOST_IMAGES for row in listed_rows):
        images_note = (
            f"Of the {_LISTED} repositories where most happens, the first {MOST_IMAGES} images each; all are"
            " in the answer of demurrage what-if with --format json, or csv and --rows image."
        )
    live = candidate.live_totals is not None and len(simulation.candidates) == 1
    return CandidatePart(
        name=candidate.name,
        alarms=tuple(_alarms(simulation, candidate)),
        claim=SAFE if simulation.in_use_given and not candidate.totals.in_use else "",
        cards=tuple(_card(simulation, line) for line in lines),
        saved=_saved(candidate.totals),
        naive=_naive(simulation, candidate.totals),
        chart=_chart(simulation, candidate, name),
        repositories=repository_table(simulation, candidate, f"{name}-repositories")
        if happening or any(row.live is not None for row in candidate.repositories)
        else None,
        footnote=_footnote(lines),
        note=_note(simulation, candidate),
        compared=comparison_table(simulation, [candidate], f"{name}-compared") if live else None,
        rules=rule_table(simulation, candidate, f"{name}-rules"),
        notes=tuple(_notes(candidate)),
        images=tuple(
            image_list(simulation, candidate, row, f"{name}-images-{n}")
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
        usage = simulation.usage if what == "in use" else None
        kinds = kinds_text(candidate.totals) if what == "in use" else ""
        images: list[str] = []
        for row in candidate.repositories:
            taken = pick(row)[: _NAMED - len(images)]
            for position, digest, tags, fate in zip(
                taken.tolist(),
                Names(simulation, taken)(taken),
                tags_of(simulation.facts, taken),
                fates(candidate, taken),
                strict=True,
            ):
                users = users_of(usage, position, _USERS)
                images.append(
                    f"{place_of(row)}@{digest} ({tags_text(tags)}) would be {fate}"
                    + (f"; {users}" if users else "")
                )
        yield Alarm(
            heading=f"{counted(number, 'image')} that {'is' if number == 1 else 'are'} {what} would be taken"
            + (f": {kinds}" if kinds else ""),
            images=tuple(images),
            more=f"and {number - len(images):,} more" if number > len(images) else "",
        )


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
        method="what-if",
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
    several = in_several_places(candidate)
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
    return drawn(
        heading,
        bars,
        name=f"{name}-chart",
        legend=(("accent", "freed"), ("warn", "moved to the archive")),
        rows=f"{name}-repositories",
        method="what-if",
    )


def _is_short(effect: Effect) -> bool:
    known = known_of(effect)
    return bool(known.freed.reasons or known.archived.reasons)


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
