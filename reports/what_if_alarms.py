"""What a simulation would break, for a person at a terminal, and what can be said to be safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from analyzer.model.frames import Int64
from analyzer.model.simulation import Candidate, RepositoryEffect, Simulation
from analyzer.model.usage import Usage
from analyzer.model.verdicts import Outcome
from analyzer.model.words import counted
from reports.text import shortened, visible
from reports.usage import SAFE, coverage_sentences, kinds_text, missing_texts, users_of
from reports.what_if_images import Names, tags_of
from reports.what_if_terminal import wrapped_lines
from reports.what_if_words import place_of

#: Images in use, protected or missing that are named.
_IMAGES: Final = 20
_TAGS: Final = 3
#: Workloads that are named of an image.
_USERS: Final = 2
#: Images named as in use, and not there, that are written out.
_MISSING: Final = 10


def alarms(simulation: Simulation, candidate: Candidate, *, several: bool) -> Iterator[str]:
    """What is in use or protected and would be taken, a list of each."""
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


def missing_in_use(simulation: Simulation) -> str:
    """What was named as in use, and is not there."""
    missing = simulation.missing_in_use
    if not missing:
        return ""
    lines = [f"Named as in use, and not there: {counted(len(missing), 'image')}"]
    lines += [f"   {shortened(name, 500)}" for name in missing_texts(simulation, _MISSING)]
    if len(missing) > _MISSING:
        lines.append(f"   and {len(missing) - _MISSING:,} more")
    return wrapped_lines(lines)


def claims(simulation: Simulation, *, several: bool) -> str:
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
