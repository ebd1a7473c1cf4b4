"""A simulation as Markdown, for a comment on a pull request.

Repositories, tags, addresses and messages are other people's text, and a comment is read where a
``@name`` calls somebody, a number sign links an issue and HTML is HTML. Names stand in code, where
none of that counts; sentences have such characters defused. The text stays well below the 65,536
characters that GitHub takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from analyzer.model.frames import Int64
from analyzer.model.records import Gap
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.simulation import Candidate, Effect, RepositoryEffect, Simulation
from analyzer.model.units import Money, iso
from analyzer.model.verdicts import Outcome
from reports.figures import UNKNOWN, counted, size, span
from reports.text import shortened, visible

#: The first line: by it a workflow finds its own comment again.
MARKER: Final = "<!-- demurrage: lifecycle policies -->"

_LIMIT: Final = 60_000
#: Rows of a table and entries of a list; fewer where the text would grow too long.
_ROWS: Final = (50, 10, 3)
_NAME: Final = 120
_SENTENCE: Final = 500
_TAGS: Final = 3
_ARROW: Final = " \N{RIGHTWARDS ARROW} "

#: What a code span shows as it is, in a table too.
_PLAIN_NAME = re.compile(r'[A-Za-z0-9._/:@+=,\[\]"() -]*')
_SPECIAL = re.compile(r"[^A-Za-z0-9 .,;:()'/-]")
#: What links people, issues, requests, labels and the like on GitHub and GitLab.
_REFERENCE = re.compile(r"([@#!~%$&^])(?=\w|\")")
_LINK = re.compile(r"(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)


def render_markdown(
    simulation: Simulation,
    *,
    addresses: Mapping[int, Sequence[str]] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """What each candidate of ``simulation`` would do, most important first; with a line feed at its end.

    ``addresses``: by row of ``simulation.frames.repositories`` the resources of a plan that set its
    policy. ``notes``: sentences about what could not be judged (a policy that is known only after
    apply, say).
    """
    text = ""
    for rows in _ROWS:
        text = "\n".join(_lines(simulation, addresses or {}, notes, rows)).rstrip() + "\n"
        if len(text) <= _LIMIT:
            return text
    # Only dozens of candidates get here; a line is never cut in two.
    return (
        f"{text[: text.rindex(chr(10), 0, _LIMIT)]}\n\nThe rest is left out: it is too long for a comment.\n"
    )


def _lines(
    simulation: Simulation, addresses: Mapping[int, Sequence[str]], notes: Sequence[str], rows: int
) -> Iterator[str]:
    yield MARKER
    several = len(simulation.candidates) > 1
    for candidate in simulation.candidates:
        yield f"### {_headline(candidate)}"
        yield ""
        if several:
            yield f"Candidate {_code(candidate.name)}."
            yield ""
        yield from _in_use(simulation, candidate, rows)
        yield from _table(candidate, addresses, rows)
        said = [
            *candidate.warnings,
            *(f"{_place(row)}: {one.text}" for row in candidate.repositories for one in row.warnings),
        ]
        yield from _list("Warnings", said, rows)
    if simulation.missing_in_use:
        yield from _list("Named as in use, and not there", simulation.missing_in_use, rows)
    yield from _list("Not judged", [*notes, *simulation.warnings], rows)
    yield from _list(
        "Gaps: what they hide is in no figure above", [_gap(gap) for gap in simulation.gaps], rows
    )
    taken = f", from snapshots of {iso(simulation.taken_to)}" if simulation.taken_to else ""
    yield f"Evaluated as of {iso(simulation.at)}{taken}. ECR acts within 24 hours of when an image qualifies."


def _headline(candidate: Candidate) -> str:
    totals = candidate.totals
    if not totals.leaving and not totals.archiving:
        return "ECR lifecycle policies: no image would leave"
    parts = []
    if totals.leaving:
        parts.append(f"{counted(totals.leaving, 'image')} would leave ({_bytes(totals.freed_bytes)} freed)")
    if totals.archiving:
        moved = _bytes(totals.archived_bytes)
        parts.append(f"{counted(totals.archiving, 'image')} would be archived ({moved})")
    return f"ECR lifecycle policies: {', '.join(parts)}, {_saved(_ends(totals))}"


def _ends(effect: Effect) -> ScopedMoney:
    """The two ends that the scope of the simulation leaves open, the lower one as that of the registry."""
    return ScopedMoney(repository=effect.saving_high, registry=effect.saving_low)


def _saved(saving: ScopedMoney) -> str:
    """What becomes of the bill, in words; archiving a little can cost more than it saves."""
    amounts = [money.amount for money in (saving.repository, saving.registry) if money.amount is not None]
    if len(amounts) < 2:
        return "how much would be saved is unknown"
    if max(amounts) < 0:
        return f"{_span([-amount for amount in amounts], saving.registry)} per month more to pay"
    return f"{_money(saving)} per month saved"


def _in_use(simulation: Simulation, candidate: Candidate, limit: int) -> Iterator[str]:
    """A warning that nobody overlooks, where images in use or protected would be taken."""
    of_all: tuple[tuple[str, list[tuple[RepositoryEffect, Int64]]], ...] = (
        ("in use", [(row, row.in_use) for row in candidate.repositories]),
        ("protected", [(row, row.protected) for row in candidate.repositories]),
    )
    for what, of_rows in of_all:
        taken = [(row, positions) for row, positions in of_rows if len(positions)]
        number = sum(len(positions) for _, positions in taken)
        if not number:
            continue
        yield "> [!CAUTION]"
        verb = "is" if number == 1 else "are"
        yield f"> **{counted(number, 'image')} that {verb} {what} would be taken:**"
        left = limit
        for row, positions in taken:
            shown = positions[:left]
            for position, digest in zip(shown.tolist(), simulation.digests(shown), strict=True):
                yield f"> - {_image(simulation, candidate, row, position, digest)}"
            left -= len(shown)
        if number > limit:
            yield f"> - and {number - limit:,} more"
        yield ""


def _image(
    simulation: Simulation, candidate: Candidate, row: RepositoryEffect, position: int, digest: str
) -> str:
    facts = simulation.facts
    at = facts.tags[facts.tag_offsets[position] : facts.tag_offsets[position + 1]].tolist()
    tags = sorted(facts.tag_names[tag] for tag in at)
    names = ", ".join(map(_code, tags[:_TAGS]))
    more = f" and {len(tags) - _TAGS:,} more" if len(tags) > _TAGS else ""
    tagged = f" (tags {names}{more})" if names else " (untagged)"
    archived = candidate.verdicts.outcome[position] == Outcome.TRANSITIONED
    fate = "would be archived, and could not be pulled" if archived else "would be deleted"
    return f"{_code(f'{_place(row)}@{digest}')}{tagged} {fate}"


def _table(candidate: Candidate, addresses: Mapping[int, Sequence[str]], limit: int) -> Iterator[str]:
    """The repositories where something happens or would have happened, and the total."""
    told = [row for row in candidate.repositories if row.position in addresses or _happens(row)]
    if not told:
        return
    with_live = candidate.live_totals is not None or any(row.live is not None for row in told)
    with_address = bool(addresses)
    heads = [
        "Repository",
        *(["Resource"] if with_address else []),
        "Images leaving",
        "Archived",
        "Freed",
        "Saved per month",
        "In use",
    ]
    if with_live:
        yield f"Each figure: under the policy in force{_ARROW}under the policy proposed."
        yield ""
    yield f"| {' | '.join(heads)} |"
    words = 2 if with_address else 1
    yield "|" + " :-- |" * words + " --: |" * (len(heads) - words)
    reasons: set[str] = set()
    for row in told[:limit]:
        cells = _cells(row.effect, row.live, reasons)
        resources = ", ".join(_code(one) for one in addresses.get(row.position, ())[:_TAGS])
        named = [_code(_place(row)), *([resources] if with_address else [])]
        yield f"| {' | '.join([*named, *cells])} |"
    if len(told) > limit:
        yield f"| and {len(told) - limit:,} more |{' |' * (len(heads) - 1)}"
    totals = _cells(candidate.totals, candidate.live_totals, reasons)
    yield f"| {' | '.join(['**Total**', *([''] if with_address else []), *totals])} |"
    yield ""
    quiet = len(candidate.repositories) - len(told)
    if quiet:
        where = counted(quiet, "more repository", "more repositories")
        yield f"{where}: nothing would leave."
        yield ""
    if reasons:
        yield f"\\* without {_prose('; '.join(sorted(reasons)))}"
        yield ""


def _happens(row: RepositoryEffect) -> bool:
    live = row.live
    return bool(
        row.effect.leaving or row.effect.archiving or (live is not None and (live.leaving or live.archiving))
    )


def _cells(effect: Effect, live: Effect | None, reasons: set[str]) -> list[str]:
    """The figures of a row; what they leave out goes to ``reasons``."""
    rows = [one for one in (live, effect) if one is not None]
    marked = [_marked(one, reasons) for one in rows]
    columns = (
        [f"{one.leaving:,}" for one in rows],
        [f"{one.archiving:,}" for one in rows],
        [_bytes(one.freed_bytes) for one in rows],
        marked,
        [f"**{one.in_use:,}**" if one.in_use else "0" for one in rows],
    )
    return [_ARROW.join(column) if column[0] != column[-1] else column[-1] for column in columns]


def _marked(effect: Effect, reasons: set[str]) -> str:
    saving = _ends(effect)
    left_out = {*saving.repository.leaves_out, *saving.registry.leaves_out}
    text = _money(saving)
    if not left_out or text == UNKNOWN:
        return text
    reasons |= left_out
    return f"{text}\\*"


def _bytes(both: ScopedBytes) -> str:
    low, high = sorted((both.repository, both.registry))
    return span(size(low), size(high))


def _money(both: ScopedMoney) -> str:
    amounts = [money.amount for money in (both.repository, both.registry) if money.amount is not None]
    return UNKNOWN if len(amounts) < 2 else _span(amounts, both.registry)


def _span(amounts: Sequence[Decimal], money: Money) -> str:
    """Least to greatest, by currency code: a dollar sign before a number is a link on GitLab."""
    return span(_amount(min(amounts), money), _amount(max(amounts), money))


def _amount(amount: Decimal, money: Money) -> str:
    if 0 < amount < Decimal("0.005"):
        return f"<0.01 {money.currency}".replace("<", "&lt;")
    return f"{amount:,.2f} {money.currency}"


def _list(title: str, sentences: Sequence[str], limit: int) -> Iterator[str]:
    if not sentences:
        return
    yield f"**{title}**"
    yield ""
    for sentence in sentences[:limit]:
        yield f"- {_prose(sentence)}"
    if len(sentences) > limit:
        yield f"- and {len(sentences) - limit:,} more"
    yield ""


def _gap(gap: Gap) -> str:
    place = "/".join(part for part in (gap.account, gap.region, gap.repository) if part)
    return f"{place}: {gap.call} {gap.reason}" + (f" ({gap.detail})" if gap.detail else "")


def _place(row: RepositoryEffect) -> str:
    known = [part for part in (row.account, row.region, row.repository) if part]
    return "/".join(known) or "repository"


def _code(text: str) -> str:
    """``text`` as code: nothing in it links, calls or formats."""
    shown = shortened(visible(text), _NAME)
    if _PLAIN_NAME.fullmatch(shown) and shown.strip() == shown and shown:
        return f"`{shown}`"
    # A code span cannot hold every text inside a table; entities are text and nothing else.
    return f"<code>{''.join(c if c.isalnum() else f'&#{ord(c)};' for c in shown)}</code>"


def _prose(text: str) -> str:
    """``text`` as a sentence: nothing in it links, calls or formats."""
    shown = _LINK.sub(lambda match: f"{match[0]}\u200b", shortened(visible(text), _SENTENCE))
    shown = _REFERENCE.sub("\\1\u200b", shown)
    return _SPECIAL.sub(lambda match: match[0] if ord(match[0]) > 127 else f"&#{ord(match[0])};", shown)
