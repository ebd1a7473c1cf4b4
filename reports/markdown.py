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
from analyzer.model.units import Money, Scope, iso
from analyzer.model.verdicts import Outcome
from analyzer.model.words import counted
from reports.cards import is_known
from reports.facts import bytes_at
from reports.figures import UNKNOWN, size, span
from reports.missing import Missing
from reports.text import shortened, visible
from reports.usage import SAFE, coverage_sentences, kinds_text, missing_texts, users_of
from reports.what_if_figures import (
    known_of,
    low_scope_of_all,
    low_scopes,
    main_scope,
    without_policy_in_force,
)

#: The first line: by it a workflow finds its own comment again.
MARKER: Final = "<!-- demurrage: lifecycle policies -->"

_LIMIT: Final = 60_000
#: Rows of a table and entries of a list; fewer where the text would grow too long.
_ROWS: Final = (50, 10, 3)
_NAME: Final = 120
_SENTENCE: Final = 500
_TAGS: Final = 3
#: Workloads that are named of an image.
_USERS: Final = 2
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
    accepted_gaps: Sequence[Gap] = (),
) -> str:
    """What each candidate of ``simulation`` would do, most important first; with a line feed at its end.

    ``addresses``: by row of ``simulation.frames.repositories`` the resources of a plan that set its
    policy. ``notes``: sentences about what could not be judged (a policy that is known only after
    apply, say). ``accepted_gaps``: those that the reader said need no attention, which are only counted.
    """
    text = ""
    for rows in _ROWS:
        text = "\n".join(_lines(simulation, addresses or {}, notes, len(accepted_gaps), rows)).rstrip() + "\n"
        if len(text) <= _LIMIT:
            return text
    # Only dozens of candidates get here; a line is never cut in two.
    return (
        f"{text[: text.rindex(chr(10), 0, _LIMIT)]}\n\nThe rest is left out: it is too long for a comment.\n"
    )


def _lines(
    simulation: Simulation,
    addresses: Mapping[int, Sequence[str]],
    notes: Sequence[str],
    accepted_gaps: int,
    rows: int,
) -> Iterator[str]:
    yield MARKER
    several = len(simulation.candidates) > 1
    for candidate in simulation.candidates:
        yield f"### {_headline(simulation, candidate)}"
        yield ""
        if several:
            yield f"Candidate {_code(candidate.name)}."
            yield ""
        yield from _in_use(simulation, candidate, rows)
        if simulation.in_use_given and not candidate.totals.in_use:
            yield SAFE
            yield ""
        yield from _table(simulation, candidate, addresses, rows)
        said = [
            *candidate.warnings,
            *(f"{_place(row)}: {one.text}" for row in candidate.repositories for one in row.warnings),
        ]
        yield from _list("Warnings", said, rows)
    if simulation.missing_in_use:
        shown = [*missing_texts(simulation, rows), *simulation.missing_in_use[rows:]]
        yield from _list("Named as in use, and not there", shown, rows)
    if simulation.coverage is not None:
        yield from _list("What is known of images in use", coverage_sentences(simulation.coverage), rows)
    yield from _list("Not judged", [*notes, *simulation.warnings], rows)
    yield from _list(
        "Gaps: what they hide is in no figure above", [_gap(gap) for gap in simulation.gaps], rows
    )
    if accepted_gaps:
        yield f"Accepted gaps: {accepted_gaps:,}"
        yield ""
    taken = f", from snapshots of {iso(simulation.taken_to)}" if simulation.taken_to else ""
    yield f"Evaluated as of {iso(simulation.at)}{taken}. ECR acts within 24 hours of when an image qualifies."


def _headline(simulation: Simulation, candidate: Candidate) -> str:
    totals = candidate.totals
    if not totals.leaving and not totals.archiving:
        if not candidate.repositories:
            return "ECR lifecycle policies: nothing could be judged"
        return "ECR lifecycle policies: no image would leave"
    known, low = known_of(totals), _low_scope_of_all(simulation, candidate)
    parts = []
    if totals.leaving:
        freed = f"{_bytes(simulation, totals.freed_bytes, low)} freed"
        if known.freed.nothing_known:
            freed = "how much is freed is unknown"
        parts.append(f"{counted(totals.leaving, 'image')} would leave ({freed})")
    if totals.archiving:
        moved = _bytes(simulation, totals.archived_bytes, low)
        if known.archived.nothing_known:
            moved = "how many bytes is unknown"
        parts.append(f"{counted(totals.archiving, 'image')} would be archived ({moved})")
    return f"ECR lifecycle policies: {', '.join(parts)}, {_saved(_ends(totals))}"


def _low_scope_of_all(simulation: Simulation, candidate: Candidate) -> Scope:
    """Where the low end of the totals stands, or a bound of it where registries differ."""
    low = low_scope_of_all(simulation, candidate)
    return "registry" if low == "mixed" else low


def _ends(effect: Effect) -> ScopedMoney:
    """The two ends that the scope of the simulation leaves open, the lower one as that of the registry."""
    return ScopedMoney(repository=effect.saving_high, registry=effect.saving_low)


def _saved(saving: ScopedMoney) -> str:
    """What becomes of the bill, in words; archiving a little can cost more than it saves."""
    amounts = [money.amount for money in (saving.repository, saving.registry) if money.amount is not None]
    if len(amounts) < 2 or _money(saving) == UNKNOWN:
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
        kinds = kinds_text(candidate.totals) if what == "in use" else ""
        of_kinds = f" ({kinds})" if kinds else ""
        yield f"> **{counted(number, 'image')} that {verb} {what} would be taken{of_kinds}:**"
        left = limit
        for row, positions in taken:
            shown = positions[:left]
            for position, digest in zip(shown.tolist(), simulation.digests(shown), strict=True):
                users = users_of(simulation.usage, position, _USERS) if what == "in use" else ""
                by = f": {_prose(users)}" if users else ""
                yield f"> - {_image(simulation, candidate, row, position, digest)}{by}"
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


def _table(
    simulation: Simulation, candidate: Candidate, addresses: Mapping[int, Sequence[str]], limit: int
) -> Iterator[str]:
    """The repositories where something happens or would have happened, and the total."""
    scopes = low_scopes(simulation, candidate)
    told = [
        (row, low)
        for row, low in zip(candidate.repositories, scopes, strict=True)
        if row.position in addresses or _happens(row)
    ]
    if not told:
        return
    with_live = candidate.live_totals is not None
    with_address = bool(addresses)
    heads = [
        "Repository",
        *(["Resource"] if with_address else []),
        "Images leaving",
        "Archived",
        "Freed",
        "Saved per month",
        # Where nobody said what is needed, "0" would be a claim.
        *(["In use"] if simulation.in_use_given else []),
        *(["Protected"] if simulation.protected_given else []),
    ]
    if with_live:
        yield f"Each figure: under the policy in force{_ARROW}under the policy proposed."
        yield ""
    yield f"| {' | '.join(heads)} |"
    words = 2 if with_address else 1
    yield "|" + " :-- |" * words + " --: |" * (len(heads) - words)
    reasons: set[str] = set()
    for row, low in told[:limit]:
        after = _cells(simulation, row.effect, low, reasons)
        cells = after
        if with_live:
            before = [UNKNOWN] * len(after)
            if row.live is not None:
                before = _cells(simulation, row.live, low, reasons)
            cells = _both(before, after)
        resources = ", ".join(_code(one) for one in addresses.get(row.position, ())[:_TAGS])
        named = [_code(_place(row)), *([resources] if with_address else [])]
        yield f"| {' | '.join([*named, *cells])} |"
    if len(told) > limit:
        yield f"| and {len(told) - limit:,} more |{' |' * (len(heads) - 1)}"
    low = _low_scope_of_all(simulation, candidate)
    totals = _cells(simulation, candidate.totals, low, reasons)
    if candidate.live_totals is not None:
        without = without_policy_in_force(candidate)
        totals = _both(_cells(simulation, candidate.live_totals, low, reasons, without), totals)
        # Said also where nothing that is known is left to bear a star.
        reasons.update(without)
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


def _both(before: Sequence[str], after: Sequence[str]) -> list[str]:
    return [
        one if one == other else f"{one}{_ARROW}{other}" for one, other in zip(before, after, strict=True)
    ]


def _cells(
    simulation: Simulation, effect: Effect, low: Scope, reasons: set[str], without: Sequence[str] = ()
) -> list[str]:
    """The figures of a row; what they leave out, ``without`` all of them, goes to ``reasons``."""

    def marked(text: str, known: object, left_out: Sequence[str] = ()) -> str:
        missing = Missing((*left_out, *without), nothing_known=bool(left_out or without) and not known)
        if missing.nothing_known or text == UNKNOWN or not missing.reasons:
            return UNKNOWN if missing.nothing_known else text
        reasons.update(missing.reasons)
        return f"{text}\\*"

    def needed(number: int) -> str:
        return marked(f"**{number:,}**" if number else "0", number)

    saving, freed = _ends(effect), known_of(effect).freed
    amounts = (saving.repository, saving.registry)
    return [
        marked(f"{effect.leaving:,}", effect.leaving),
        marked(f"{effect.archiving:,}", effect.archiving),
        # Whether anything is known of the bytes does not hang on the scope.
        marked(
            _bytes(simulation, effect.freed_bytes, low),
            effect.freed_bytes.repository,
            freed.reasons,
        ),
        marked(
            _money(saving),
            any(money.amount for money in amounts),
            sorted({reason for money in amounts for reason in money.leaves_out}),
        ),
        *([needed(effect.in_use)] if simulation.in_use_given else []),
        *([needed(effect.protected)] if simulation.protected_given else []),
    ]


def _bytes(simulation: Simulation, both: ScopedBytes, low: Scope) -> str:
    """From ``low`` to the main scope: where the two ends of the saving stand."""
    ends = sorted((bytes_at(both, main_scope(simulation)), bytes_at(both, low)))
    return span(*map(size, ends))


def _money(both: ScopedMoney) -> str:
    moneys = (both.repository, both.registry)
    amounts = [money.amount for money in moneys if money.amount is not None]
    if len(amounts) < 2 or not any(map(is_known, moneys)):
        return UNKNOWN
    return _span(amounts, both.registry)


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
