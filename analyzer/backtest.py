"""Back-tests: policies replayed over the stored past, and held against what came afterwards.

An image that a policy would have taken was needed if it was pulled on a later day, if a workload
named it then or later, or if it was given another tag: in truth it was still there for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np

from analyzer.families import UNKNOWN
from analyzer.later_uses import NEVER, Later, later_uses
from analyzer.lifecycle.census import DAY_MS
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.replay import Verdict, replay
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64
from analyzer.model.history import (
    BackTest,
    BackTestCounts,
    History,
    LaterKind,
    LaterUse,
    RepositoryBackTest,
)
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.units import Money, add_up, from_day, from_ms
from analyzer.model.verdicts import Outcome
from analyzer.pricing import PriceBook, exact_decimal, rates
from analyzer.stored_time import SavedTime, saved_time

#: Of a month that prices are for: a twelfth of 365.25 days.
_DAYS_A_MONTH = Fraction("30.4375")
#: Two nights further apart leave a hole in the records.
_HOLE_MS = 36 * 3_600_000
_EXAMPLES = 20


def policies_of(history: History, frames: Frames, policy_of: Int64) -> Int64:
    """``policy_of`` of the rows of ``frames.repositories``, for those of ``history``; -1 for others."""
    found = np.full(len(history.frames.repositories), -1, np.int64)
    rows = history.rows_of(frames)
    found[rows[rows >= 0]] = policy_of[rows >= 0]
    return found


def back_test(
    past: Past,
    policies: Sequence[Policy],
    policy_of: Int64,
    *,
    prices: PriceBook | None = None,
    examples: int = _EXAMPLES,
) -> BackTest:
    """What ``policies`` would have done, had they been in force since the first night.

    ``policy_of`` has one entry per row of ``past.history.frames.repositories``: the position in
    ``policies``, -1 for none (``policies_of`` makes it). Without ``prices`` nothing is said of money; of
    images that were needed so many ``examples`` are named.
    """
    history = past.history
    replayed = replay(past, policies, past.everywhere(policy_of))
    taken = replayed.verdicts
    later = later_uses(past, taken)
    needed = np.zeros(len(taken.artifact), np.bool_)
    for use in later.uses.values():
        needed |= use.day != NEVER
    rows = np.flatnonzero(policy_of >= 0)
    repositories = _repositories(past, rows, taken, later, needed)
    saved = saved_time(past, taken)
    is_unknown = past.families.kind[taken.artifact] == UNKNOWN
    registries = np.unique(past.registry_of[rows])
    nights = [history.nights_of(int(registry)) for registry in registries.tolist()]
    first = min((int(taken_at[0]) for taken_at in nights if len(taken_at)), default=None)
    last = max((int(taken_at[-1]) for taken_at in nights if len(taken_at)), default=None)
    span_ms = 0 if first is None or last is None else last - first
    totals = _counts(taken, later, needed, np.ones(len(needed), np.bool_))
    return BackTest(
        first_at=None if first is None else from_ms(first),
        last_at=None if last is None else from_ms(last),
        nights=sum(len(taken_at) for taken_at in nights),
        moments=int(past.moments.counts[registries].sum()),
        repositories=repositories,
        totals=totals,
        examples=_examples(past, taken, later, needed, examples),
        saved_byte_days=_byte_days(saved),
        saved=_money(past, saved, prices, span_ms, unknown_size=int(is_unknown.sum())),
        unknown_size=int(is_unknown.sum()),
        unknown=_unknown(past, registries, repositories, totals),
    )


def _counts(taken: Verdict, later: Later, needed: Bools, chosen: Bools) -> BackTestCounts:
    def known(*kinds: LaterKind) -> int:
        any_of = np.zeros(len(chosen), np.bool_)
        for kind in kinds:
            any_of |= later.uses[kind].day != NEVER
        return int((chosen & any_of).sum())

    removed = taken.outcome == Outcome.EXPIRED
    return BackTestCounts(
        removed=int((chosen & removed).sum()),
        archived=int((chosen & ~removed).sum()),
        pulled=known(LaterKind.PULLED, LaterKind.RECORDED),
        used=known(LaterKind.USED),
        tagged=known(LaterKind.TAGGED),
        needed=int((chosen & needed).sum()),
        same_day=int((chosen & ~needed & later.same_day).sum()),
        unwatched=int((chosen & ~needed & ~later.same_day & later.unwatched).sum()),
    )


def _repositories(
    past: Past, rows: Int64, taken: Verdict, later: Later, needed: Bools
) -> tuple[RepositoryBackTest, ...]:
    frames = past.history.frames
    of = past.repository[taken.artifact]
    nights, unread = _nights(past)
    order = np.argsort(of, kind="stable")
    bounds = np.searchsorted(of[order], [rows, rows + 1])
    nothing = BackTestCounts()
    columns = {name: frames.repositories[name].tolist() for name in ("registry", "repository")}
    places = {name: frames.registries[name].tolist() for name in ("account", "region")}
    found = []
    for row, begin, end in zip(rows.tolist(), *bounds.tolist(), strict=True):
        counts = nothing
        if begin < end:
            mine = order[begin:end]
            part = Verdict(*(getattr(taken, name)[mine] for name in Verdict.__slots__))
            counts = _counts(part, _only(later, mine), needed[mine], np.ones(len(mine), np.bool_))
        registry = columns["registry"][row]
        found.append(
            RepositoryBackTest(
                position=row,
                account=places["account"][registry],
                region=places["region"][registry],
                repository=columns["repository"][row],
                counts=counts,
                nights=int(nights[row]),
                nights_unread=int(unread[row]),
            )
        )
    return tuple(found)


def _only(later: Later, rows: Int64) -> Later:
    uses = {kind: type(use)(use.day[rows], use.by[rows], use.who) for kind, use in later.uses.items()}
    return Later(uses, later.same_day[rows], later.unwatched[rows])


def _nights(past: Past) -> tuple[Int64, Int64]:
    """Of each repository the nights that it existed, and those of them that it was not read whole."""
    count = len(past.registry_of)
    existed, read = (
        np.bincount(spans.of, weights=spans.gone - spans.first, minlength=count).astype(np.int64)
        for spans in (past.history.existence, past.history.complete)
    )
    return existed, existed - read


def _examples(past: Past, taken: Verdict, later: Later, needed: Bools, limit: int) -> tuple[LaterUse, ...]:
    """The images needed soonest; of each the first use, and of those of one day the strongest."""
    history, frames = past.history, past.history.frames
    kinds = list(LaterKind)
    days = np.stack([later.uses[kind].day for kind in kinds])
    strongest = np.argmin(days, axis=0)
    day = days[strongest, np.arange(days.shape[1])]
    at = np.flatnonzero(needed)
    after = day[at] - taken.at_ms[at] // DAY_MS
    # Digests decide last, and only among the rows that might be shown.
    order = np.lexsort((taken.at_ms[at], past.repository[taken.artifact[at]], after))
    at, after = at[order], after[order]
    if len(at) > limit:
        last = after[limit - 1] if limit else -1
        at, after = at[after <= last], after[after <= last]
    digests = history.digests(taken.artifact[at])
    chosen = sorted(
        range(len(at)),
        key=lambda n: (
            int(after[n]),
            int(past.repository[taken.artifact[at[n]]]),
            int(taken.at_ms[at[n]]),
            digests[n],
        ),
    )[:limit]
    found = []
    for number in chosen:
        row = int(at[number])
        artifact = int(taken.artifact[row])
        repository = frames.repositories.iloc[int(past.repository[artifact])]
        registry = frames.registries.iloc[int(repository["registry"])]
        use = later.uses[kinds[int(strongest[row])]]
        pushed = int(history.presence.pushed_at_ms[taken.presence[row]])
        by = int(use.by[row])
        found.append(
            LaterUse(
                account=str(registry["account"]),
                region=str(registry["region"]),
                repository=str(repository["repository"]),
                digest=digests[number],
                tags=tags_at(history, artifact, int(taken.night[row])),
                pushed_at=None if pushed == NO_TIME else from_ms(pushed),
                taken_at=from_ms(int(taken.at_ms[row])),
                action="expire" if taken.outcome[row] == Outcome.EXPIRED else "archive",
                rule=int(taken.rule[row]),
                kind=kinds[int(strongest[row])],
                needed_on=from_day(int(use.day[row])),
                days=int(use.day[row] - taken.at_ms[row] // DAY_MS),
                by=use.who[by] if by >= 0 else "",
            )
        )
    return tuple(found)


def tags_at(history: History, artifact: int, night: int) -> tuple[str, ...]:
    """The tags of the artifact at that position on a night, sorted."""
    tags = history.tags
    begin, end = np.searchsorted(tags.of, [artifact, artifact + 1]).tolist()
    mine = slice(begin, end)
    holds = (tags.first[mine] <= night) & (night < tags.gone[mine])
    return tuple(sorted(history.tag_names[name] for name in tags.value[mine][holds].tolist()))


def _byte_days(saved: SavedTime) -> ScopedBytes:
    def days(parts: Sequence[tuple[int, int]]) -> int:
        return round(Fraction(sum(standard + archive for standard, archive in parts), DAY_MS))

    return ScopedBytes(repository=days(saved.repositories), registry=days(saved.registries))


def _money(
    past: Past, saved: SavedTime, prices: PriceBook | None, span_ms: int, *, unknown_size: int
) -> ScopedMoney:
    """At the price of the first tier of each class; over the whole time from first night to last."""
    period = _days_text(span_ms)
    if prices is None:
        nothing = Money(None, period=period, leaves_out=("no prices were given",))
        return ScopedMoney(repository=nothing, registry=nothing)
    regions = past.history.frames.registries["region"].tolist()
    of_repository: dict[str, list[int]] = {}
    of_registry: dict[str, list[int]] = {}
    for row, parts in enumerate(saved.repositories):
        _add(of_repository, regions[int(past.registry_of[row])], parts)
    for number, parts in enumerate(saved.registries):
        _add(of_registry, regions[number], parts)
    left_out = ("images of unknown size",) if unknown_size else ()

    def priced(parts: Mapping[str, Sequence[int]]) -> Money:
        amounts = []
        for region in sorted(parts):
            of_region = rates(prices, region, standard_bytes_total=0, archive_bytes_total=0)
            # Byte-milliseconds stand for bytes, and what they cost a month is divided by a month's.
            month = of_region.freed(standard_bytes=parts[region][0], archive_bytes=parts[region][1])
            amounts.append(month)
        total = add_up(amounts)
        amount = total.amount
        if amount is not None:
            amount = exact_decimal(Fraction(amount) / (_DAYS_A_MONTH * DAY_MS))
        return Money(amount, period=period, leaves_out=tuple(sorted({*total.leaves_out, *left_out})))

    return ScopedMoney(repository=priced(of_repository), registry=priced(of_registry))


def _add(to: dict[str, list[int]], region: str, parts: tuple[int, int]) -> None:
    standard, archive = to.setdefault(region, [0, 0])
    to[region] = [standard + parts[0], archive + parts[1]]


def _days_text(span_ms: int) -> str:
    days = Decimal(span_ms) / DAY_MS
    whole = round(days)
    return "1 day" if whole == 1 else f"{whole:,} days"


def _unknown(
    past: Past,
    registries: Int64,
    repositories: Sequence[RepositoryBackTest],
    totals: BackTestCounts,
) -> tuple[str, ...]:
    """What the answer does not cover, a sentence each."""
    history = past.history
    places = history.frames.registries
    names = [
        f"{account}/{region}" for account, region in zip(places["account"], places["region"], strict=True)
    ]
    sentences = []
    for registry in registries.tolist():
        taken = history.nights_of(registry)
        if not len(taken):
            continue
        sentences.append(
            f"{names[registry]}: nothing is known of the time before {from_ms(int(taken[0])).date()}, "
            "the first night stored"
        )
        apart = np.diff(taken)
        if len(apart) and int(apart.max()) > _HOLE_MS:
            holes = apart[apart > _HOLE_MS]
            sentences.append(
                f"{names[registry]}: no snapshot for up to {int(holes.max()) // DAY_MS:,} days at a time; "
                "what came and went meanwhile, and tags that moved twice, nobody saw"
            )
        untraced = history.untraced[registry]
        if untraced is not False:
            sentences.append(
                f"{names[registry]}: "
                + (
                    "pulls by whom its pull time update exclusions name leave no trace in ECR's record"
                    if untraced
                    else "whether pulls of some principals leave no trace in ECR's record could not be read"
                )
            )
        days = 1 + (int(taken[-1]) // DAY_MS) - (int(taken[0]) // DAY_MS)
        if history.recorded_days[registry] < days:
            sentences.append(
                f"{names[registry]}: CloudTrail's records cover {history.recorded_days[registry]:,} of "
                f"{days:,} days whole; of the others ECR's record of the last pull is all there is"
            )
    unread = sum(row.nights_unread for row in repositories)
    if unread:
        of = sum(row.nights_unread > 0 for row in repositories)
        sentences.append(
            f"{of:,} of {len(repositories):,} repositories could not be read whole on some nights "
            f"({unread:,} in all); they were judged as last seen"
        )
    if totals.same_day:
        sentences.append(
            f"{totals.same_day:,} images were pulled on the very day they would have been taken, "
            "before or after is not known"
        )
    if totals.unwatched:
        sentences.append(
            f"{totals.unwatched:,} images were seen by no later night: whether they were needed is not known"
        )
    return tuple(sentences)
