"""A back-test for a terminal and for programs: what would have been taken, and was needed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from analyzer.model.history import BackTest, BackTestCounts, LaterKind, LaterUse
from analyzer.model.units import Money, iso
from analyzer.model.words import counted
from reports.figures import UNKNOWN, headline_money, size
from reports.json_parts import money_object
from reports.text import shortened, visible
from reports.what_if_terminal import wrapped_lines

_EXAMPLES: Final = 10
_TAGS: Final = 3
_HOW: Final = {
    LaterKind.PULLED: "pulled",
    LaterKind.RECORDED: "pulled",
    LaterKind.USED: "in use",
    LaterKind.TAGGED: "given another tag",
}


def back_test_text(test: BackTest) -> str:
    """What the policy would have done since the first night, with a line feed at its end."""
    if test.first_at is None or test.last_at is None:
        return "Back-test: no night is stored yet\n"
    totals = test.totals
    judged = f"judged at {counted(test.moments, 'moment')} up to {test.last_at.date()}"
    lines = [
        f"Back-test: had it been in force since {test.first_at.date()}, {judged}",
        f"  {_taken_text(totals)}; {_needed_text(totals)}",
    ]
    if totals.removed or totals.archived:
        average = _average(test)
        money = test.saved.registry, test.saved.repository
        lines.append(
            f"  saved meanwhile: {' to '.join(dict.fromkeys(map(_money_text, money)))} over "
            f"{test.saved.repository.period}; on average {average} less stored"
        )
    parts = [wrapped_lines(lines)]
    if test.examples:
        parts.append(wrapped_lines(_example_lines(test)))
    parts.append(wrapped_lines([f"  {sentence}" for sentence in test.unknown]))
    return "".join(part for part in parts if part)


def needed_words(counts: BackTestCounts) -> str:
    """``12 pulled, 3 in use and 1 given another tag afterwards``; "" where nothing was needed."""
    words = [
        f"{number:,} {what}"
        for number, what in (
            (counts.pulled, "pulled"),
            (counts.used, "in use"),
            (counts.tagged, "given another tag"),
        )
        if number
    ]
    return f"{', '.join(words)} afterwards" if words else ""


def _taken_text(counts: BackTestCounts) -> str:
    taken = f"it would have removed {counted(counts.removed, 'image')}"
    return f"{taken} and archived {counts.archived:,}" if counts.archived else taken


def _needed_text(counts: BackTestCounts) -> str:
    if not counts.removed and not counts.archived:
        return "nothing to be missed"
    if not counts.needed:
        return "none of them is known to have been needed afterwards"
    return f"{counted(counts.needed, 'of them was', 'of them were')} needed: {needed_words(counts)}"


def _average(test: BackTest) -> str:
    if test.first_at is None or test.last_at is None or test.first_at == test.last_at:
        return UNKNOWN
    days = Decimal((test.last_at - test.first_at).total_seconds()) / 86_400
    low, high = (
        size(max(0, round(byte_days / days)))
        for byte_days in (test.saved_byte_days.registry, test.saved_byte_days.repository)
    )
    return low if low == high else f"{low} to {high}"


def _money_text(money: Money) -> str:
    if money.amount is not None and money.amount < 0:
        return f"-{headline_money(-money.amount, money.currency)}"
    return headline_money(money.amount, money.currency)


def _example_lines(test: BackTest) -> Iterator[str]:
    yield "  needed soonest:"
    for example in test.examples[:_EXAMPLES]:
        yield f"    {example_text(example)}"
    left = test.totals.needed - min(len(test.examples), _EXAMPLES)
    if left > 0:
        yield f"    and {left:,} more"


def example_text(example: LaterUse) -> str:
    """One image that was needed afterwards, in a line."""
    tags = " ".join(visible(tag) for tag in example.tags[:_TAGS])
    more = f" and {len(example.tags) - _TAGS:,} more" if len(example.tags) > _TAGS else ""
    name = f"{example.account}/{example.region}/{visible(example.repository)}"
    what = "removed" if example.action == "expire" else "archived"
    by = (
        f" by {shortened(visible(example.by), 80)}" if example.by and example.kind != LaterKind.TAGGED else ""
    )
    if example.kind is LaterKind.TAGGED:
        by = f", {shortened(visible(example.by), 80)}"
    when = "the same day" if not example.days else f"{counted(example.days, 'day')} later"
    return (
        f"{name} {tags or 'untagged'}{more} ({visible(example.digest)[:19]}): {what} "
        f"{example.taken_at.date()}, {_HOW[example.kind]} {example.needed_on}, {when}{by}"
    )


def back_test_object(test: BackTest) -> dict[str, Any]:
    """The same with all that it holds, for JSON."""
    return {
        "from": None if test.first_at is None else iso(test.first_at),
        "to": None if test.last_at is None else iso(test.last_at),
        "nights": test.nights,
        "moments": test.moments,
        "totals": counts_object(test.totals),
        "repositories": [
            {
                "registryId": row.account,
                "region": row.region,
                "repositoryName": row.repository,
                **counts_object(row.counts),
                "nights": row.nights,
                "nightsUnread": row.nights_unread,
            }
            for row in test.repositories
        ],
        "examples": [_example_object(example) for example in test.examples],
        "savedByteDays": {
            "repository": test.saved_byte_days.repository,
            "registry": test.saved_byte_days.registry,
        },
        "saved": [
            money_object(money, scope)
            for scope, money in (("repository", test.saved.repository), ("registry", test.saved.registry))
        ],
        "unknownSize": test.unknown_size,
        "unknown": list(test.unknown),
    }


def counts_object(counts: BackTestCounts) -> dict[str, int]:
    """The counts of a back-test by their names in JSON."""
    return {
        "removed": counts.removed,
        "archived": counts.archived,
        "needed": counts.needed,
        "pulled": counts.pulled,
        "used": counts.used,
        "tagged": counts.tagged,
        "pulledOnTheDay": counts.same_day,
        "notSeenAgain": counts.unwatched,
    }


def _example_object(example: LaterUse) -> dict[str, Any]:
    return {
        "registryId": example.account,
        "region": example.region,
        "repositoryName": example.repository,
        "imageDigest": example.digest,
        "imageTags": list(example.tags),
        "imagePushedAt": None if example.pushed_at is None else iso(example.pushed_at),
        "takenAt": iso(example.taken_at),
        "action": example.action.upper(),
        "appliedRulePriority": example.rule or None,
        "needed": str(example.kind),
        "neededOn": example.needed_on.isoformat(),
        "days": example.days,
        "by": example.by or None,
    }
