"""Sentences about a simulation that the terminal and the page say alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from analyzer.model.simulation import Archiving, Candidate, Effect, RepositoryEffect, SimulationWarning
from analyzer.model.units import Money
from analyzer.model.words import counted
from reports.cards import is_known
from reports.figures import UNKNOWN, headline_money, listed, size, span
from reports.missing import Missing
from reports.what_if_figures import Change

#: Repositories that a grouped warning names.
_NAMED: Final = 3


def place_of(row: RepositoryEffect) -> str:
    """Where the repository is, as far as that is known."""
    return "/".join(part for part in (row.account, row.region, row.repository) if part) or "repository"


def money_text(money: Money) -> str:
    """``$12.34``, ``-$1.20``, or ``unknown`` where it is, or is zero beside something unknown."""
    if not is_known(money) or money.amount is None:
        return UNKNOWN
    if money.amount < 0:
        return f"-{headline_money(-money.amount, money.currency)}"
    return headline_money(money.amount, money.currency)


def saved_text(effect: Effect) -> str:
    """Both ends of the saving, the lower first, in words; a bill can also grow."""
    low, high = effect.saving_low, effect.saving_high
    if not is_known(low) and not is_known(high):
        return "how much, is unknown"
    amounts = [money.amount for money in (low, high) if money.amount is not None]
    if amounts and max(amounts) < 0:
        more = [Money(-amount, low.currency, low.period) for amount in sorted(amounts, reverse=True)]
        return f"nothing; {span(money_text(more[0]), money_text(more[-1]))} more to pay per month"
    figures = span(money_text(low), money_text(high))
    short = " at least, without what is not known" if low.leaves_out or high.leaves_out else ""
    return f"{figures} per month{short}"


def change_text(change: Change) -> str:
    """What a policy does more or less than those in force: artifacts, bytes and money.

    A star is at what leaves something out; repositories that are on neither side are counted at the end.
    """
    if change.unknown and not change.known:
        return "unknown, for no policy in force is known"
    said = [_count_change(change.leaving, "artifact leaves", "artifacts leave")]
    if change.archiving:
        said.append(_count_change(change.archiving, "artifact archived", "artifacts archived"))
    said.append(_freed_change(change.freed, change.missing))
    said.append(_saved_more(change))
    without = ""
    if change.unknown:
        where = counted(change.unknown, "repository", "repositories")
        without = f" (without {where} whose policy in force is not known)"
    return f"{', '.join(said)}{without}"


def _count_change(number: int, one: str, many: str) -> str:
    if not number:
        return f"as many {many}"
    return f"{abs(number):,} {'more' if number > 0 else 'fewer'} {one if abs(number) == 1 else many}"


def _freed_change(freed: int | None, missing: Missing) -> str:
    if freed is None or (not freed and missing.reasons):
        return "how much is freed, unknown"
    if not freed:
        return "as much freed"
    return f"{size(abs(freed))}{'*' if missing.reasons else ''} {'more' if freed > 0 else 'less'} freed"


def _saved_more(change: Change) -> str:
    known = [money for money in (change.low, change.high) if is_known(money)]
    if not known or (len(known) < 2 and change.scope == "registry"):
        return "how much is saved, unknown"
    # The low end may be unknown for the layers that several repositories hold.
    at = f" at {change.scope} scope" if len(known) < 2 else ""
    star = "*" if any(money.leaves_out for money in known) else ""
    low, high = known[0], known[-1]
    least, most = sorted((low.amount or Decimal(0), high.amount or Decimal(0)))

    def dollars(amount: Decimal) -> str:
        return money_text(Money(abs(amount), low.currency, low.period))

    if not least and not most:
        return f"as much saved per month{at}"
    if least < 0 < most:
        return f"from {dollars(least)}{star} less to {dollars(most)}{star} more saved per month{at}"
    near, far = sorted((least, most), key=abs)
    return f"{span(dollars(near), dollars(far))}{star} {'more' if most > 0 else 'less'} saved per month{at}"


def archiving_note(one: Archiving) -> str:
    """Whether archiving pays in a region, and what it binds to."""
    moved = f"Archiving {size(one.archived_bytes)} in {one.region}"
    minimum = (
        f"each archived image is billed for at least {one.minimum_days} days"
        f" ({money_text(one.minimum_cost)} for all of them)"
    )
    restore = f"restoring them all costs {money_text(one.retrieval_cost)} each time"
    if one.saves is None:
        return f"{moved}: whether it saves anything is unknown, for a price is missing; {minimum}, {restore}."
    if not one.saves:
        worse = ""
        if one.saving.amount is not None and one.saving.amount < 0:
            worse = f" and costs {money_text(_negative(one.saving))} more per month"
        return (
            f"{moved} saves nothing{worse}: up to 150 TB a month a GB in the archive costs what it costs in"
            f" the standard class; {minimum}, {restore}, and what is archived cannot be pulled."
        )
    return f"{moved} saves {money_text(one.saving)} per month; {minimum}, {restore}."


def _negative(money: Money) -> Money:
    return Money(Decimal(0) - (money.amount or 0), money.currency, money.period, money.leaves_out)


def replica_note(row: RepositoryEffect) -> str:
    """What becomes of the replicas, which this policy does not reach."""
    said = []
    for one in row.replicas:
        where = f"{one.account}/{one.region}"
        if one.has_policy is None:
            said.append(f"{where} (its policy is not known)")
        elif not one.has_policy:
            said.append(f"{where} (no policy: all is kept)")
        else:
            archived = f", {one.transitioned:,} archived" if one.transitioned else ""
            said.append(f"{where} (its own policy: {one.expired:,} leave{archived})")
    return f"{place_of(row)}: policies do not replicate; replicas in {listed(said, limit=4)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningGroup:
    """All warnings of one code."""

    code: str
    artifacts: int
    #: In the order of the candidate: where most happens first.
    warnings: tuple[tuple[RepositoryEffect, SimulationWarning], ...]


def warning_groups(candidate: Candidate) -> list[WarningGroup]:
    """The warnings of all repositories by code, in order of the codes."""
    groups: dict[str, list[tuple[RepositoryEffect, SimulationWarning]]] = {}
    for row in candidate.repositories:
        for warning in row.warnings:
            groups.setdefault(warning.code, []).append((row, warning))
    return [
        WarningGroup(
            code=code,
            artifacts=sum(len(warning.positions) for _, warning in found),
            warnings=tuple(found),
        )
        for code, found in sorted(groups.items())
    ]


def grouped_warnings(candidate: Candidate) -> Iterable[str]:
    """A line for each code: how much it is about, where, and the first in its own words."""
    for group in warning_groups(candidate):
        row, first = group.warnings[0]
        if len(group.warnings) == 1:
            yield f"{group.code}: {place_of(row)}: {first.text}"
            continue
        artifacts = f"{counted(group.artifacts, 'artifact')} in " if group.artifacts else ""
        where = counted(len(group.warnings), "repository", "repositories")
        yield f"{group.code}: {artifacts}{where}; {place_of(row)}: {first.text}"
