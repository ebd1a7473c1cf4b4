"""What changed between two runs: for a terminal, for programs and for spreadsheets.

Bytes and money are changes, later less earlier: what rows of repositories have, and at registry scope
what repositories share, add up to the totals. Null, or an empty cell, is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import pandas as pd
from rich.text import Text

from analyzer.model.history import Change, Difference, ImageEvent, Moment, RepositoryDifference
from analyzer.model.results import ScopedBytes, ScopedMoney
from analyzer.model.units import Money, iso
from analyzer.model.words import counted
from reports.csv_cells import Cell, neutral, neutralised, table_text
from reports.figures import UNKNOWN, headline_money
from reports.json_parts import money_object
from reports.rounding import EXACT_DECIMALS, amount_text, rounded
from reports.text import json_escaped, shortened, visible
from reports.what_if_terminal import plain_table, rendered, signed_size, wrapped_lines

_ROWS: Final = 15
_IMAGES: Final = 10
_SETTINGS: Final = 10
_FINDINGS: Final = 10

REPOSITORY_COLUMNS: Final = (
    "account",
    "region",
    "repository",
    "created_at",
    "status",
    "artifacts_before",
    "artifacts_after",
    "artifacts_change",
    "bytes_change_repository_scope",
    "bytes_change_registry_scope",
    "usd_per_month_change_repository_scope",
    "usd_per_month_change_registry_scope",
    *(str(event) for event in ImageEvent),
    "reason",
)
IMAGE_COLUMNS: Final = (
    "account",
    "region",
    "repository",
    "digest",
    "tags",
    "event",
    "detail",
    "kind",
    "pushed_at",
    "logical_bytes",
)


def diff_text(difference: Difference) -> str:
    """The difference for a person, the greatest changes first."""
    before, after = difference.before, difference.after
    parts = [
        wrapped_lines(
            [
                f"From run {before.run} ({iso(before.taken_to)}) to run {after.run} ({iso(after.taken_to)})",
                *_headline(difference),
            ]
        ),
        _repositories(difference),
        _images(difference.images),
        _settings(difference),
        _findings(difference),
        wrapped_lines([f"Not known: {sentence}" for sentence in difference.unknown]),
    ]
    return "\n".join(part for part in parts if part)


def _headline(difference: Difference) -> Iterator[str]:
    totals = difference.totals
    was, now = totals.artifacts_before, totals.artifacts_after
    # What only one side knows is in its count, and in no change.
    is_whole = None not in (was, now) and (now or 0) - (was or 0) == totals.artifacts
    yield (
        f"  {_signed(totals.artifacts)} artifacts{'' if is_whole else ' where both sides are known'}: "
        f"{_count(was)} before, {_count(now)} after{'' if is_whole else ' in all'}"
        f"{_events_text(_events(difference))}"
    )
    yield (
        f"  {_bytes_text(totals.bytes)} stored, {_money_text(totals.cost)} per month (within repositories, "
        "and with layers shared across the registry)"
    )
    statuses = {
        status: sum(row.status == status for row in difference.repositories)
        for status in ("new", "gone", "changed", "same", "unknown")
    }
    words = [f"{number:,} {status}" for status, number in statuses.items() if number]
    yield f"  repositories: {', '.join(words) or 'none'}"


def _events(difference: Difference) -> dict[ImageEvent, int]:
    sums: dict[ImageEvent, int] = {}
    for row in difference.repositories:
        for event, number in row.events.items():
            sums[event] = sums.get(event, 0) + number
    return {event: sums[event] for event in ImageEvent if event in sums}


def _events_text(events: dict[ImageEvent, int]) -> str:
    words = ", ".join(f"{number:,} {event}" for event, number in events.items())
    return f"; {words}" if words else ""


def _signed(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:+,}" if number else "0"


def _count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def _bytes_text(both: ScopedBytes | None) -> str:
    if both is None:
        return UNKNOWN
    texts = (_size(both.repository), _size(both.registry))
    return " / ".join(dict.fromkeys(texts))


def _size(number: int) -> str:
    return f"+{signed_size(number)}" if number > 0 else signed_size(number)


def _dollars(money: Money) -> str:
    if money.amount is None:
        return UNKNOWN
    text = headline_money(abs(money.amount), money.currency)
    return text if not money.amount else f"{'-' if money.amount < 0 else '+'}{text}"


def _money_text(both: ScopedMoney) -> str:
    return " / ".join(dict.fromkeys((_dollars(both.repository), _dollars(both.registry))))


def _place(row: RepositoryDifference) -> str:
    return shortened(f"{row.account}/{row.region}/{visible(row.repository)}", 60)


def _repositories(difference: Difference) -> str:
    shown = [row for row in difference.repositories if row.status != "same"]
    if not shown:
        return ""
    table = plain_table("REPOSITORY", "", "ARTIFACTS", "BYTES", "USD/MONTH", right=3)
    for row in shown[:_ROWS]:
        table.add_row(Text(_place(row)), row.status, *_figures(row.change))
    left = shown[_ROWS:]
    if left:
        table.add_row(f"Other ({counted(len(left), 'repository', 'repositories')})", "", *_sum(left))
    totals = difference.totals
    table.add_row("Total", "", *_figures(totals))
    return rendered(table)


def _figures(change: Change) -> tuple[str, str, str]:
    size = UNKNOWN if change.bytes is None else _size(change.bytes.repository)
    return _signed(change.artifacts), size, _dollars(change.cost.repository)


def _sum(rows: Sequence[RepositoryDifference]) -> tuple[str, str, str]:
    artifacts = sum(row.change.artifacts or 0 for row in rows)
    size = sum(row.change.bytes.repository for row in rows if row.change.bytes is not None)
    known = [
        row.change.cost.repository.amount for row in rows if row.change.cost.repository.amount is not None
    ]
    return _signed(artifacts), _size(size), _dollars(Money(sum(known, Decimal(0))))


def _images(images: pd.DataFrame) -> str:
    if not len(images):
        return ""
    lines = []
    columns = ("event", "account", "region", "repository", "tags", "digest", "detail")
    for event, account, region, repository, tags, digest, detail in images.head(_IMAGES)[
        list(columns)
    ].itertuples(index=False, name=None):
        name = f"{account}/{region}/{visible(repository)}"
        note = f" ({visible(detail)})" if detail else ""
        lines.append(
            f"  {event}: {name} {shortened(visible(tags), 60) or 'untagged'} {visible(digest)[:19]}{note}"
        )
    if len(images) > _IMAGES:
        lines.append(f"  and {len(images) - _IMAGES:,} more; --format csv --rows image has all")
    return wrapped_lines(lines)


def _settings(difference: Difference) -> str:
    lines = []
    for change in difference.settings[:_SETTINGS]:
        where = f"{change.account}/{change.region}" + (f"/{change.repository}" if change.repository else "")
        lines.append(
            f"  {visible(where)}: {visible(change.name)} {_value(change.before)} -> {_value(change.after)}"
        )
    if len(difference.settings) > _SETTINGS:
        lines.append(f"  and {len(difference.settings) - _SETTINGS:,} more")
    return f"Settings changed: {len(difference.settings):,}\n" + wrapped_lines(lines) if lines else ""


def _value(text: str | None) -> str:
    return "(not known)" if text is None else "none" if text == "null" else shortened(visible(text), 60)


def _findings(difference: Difference) -> str:
    if not difference.findings:
        return ""
    new = sum(one.status == "new" for one in difference.findings)
    lines = [
        f"  {one.status}: {one.severity} {one.check} {one.account}/{one.region}/{visible(one.repository)}"
        for one in difference.findings[:_FINDINGS]
    ]
    if len(difference.findings) > _FINDINGS:
        lines.append(f"  and {len(difference.findings) - _FINDINGS:,} more")
    return f"Findings: {new:,} new, {len(difference.findings) - new:,} mended\n" + wrapped_lines(lines)


# For programs.


def diff_json(difference: Difference) -> str:
    """All of it as one JSON object, with a line feed at its end."""
    columns = {name: _column(difference.images, name) for name in IMAGE_COLUMNS}
    document = {
        "before": _moment(difference.before),
        "after": _moment(difference.after),
        "totals": _change(difference.totals),
        "shared": {
            "bytes": difference.shared_bytes,
            "cost": money_object(difference.shared_cost, "registry"),
        },
        "repositories": [
            {
                "account": row.account,
                "region": row.region,
                "repository": row.repository,
                "created_at": iso(row.created_at),
                "status": row.status,
                **_change(row.change),
                "events": {str(event): number for event, number in row.events.items()},
                "reason": row.reason or None,
            }
            for row in difference.repositories
        ],
        "images": [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)],
        "settings": [
            {
                "account": change.account,
                "region": change.region,
                "repository": change.repository or None,
                "name": change.name,
                "before": None if change.before is None else json.loads(change.before),
                "before_known": change.before is not None,
                "after": None if change.after is None else json.loads(change.after),
                "after_known": change.after is not None,
            }
            for change in difference.settings
        ],
        "findings": None
        if difference.findings is None
        else [{name: getattr(one, name) for name in type(one).__slots__} for one in difference.findings],
        "unknown": list(difference.unknown),
    }
    return json_escaped(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def _moment(moment: Moment) -> dict[str, Any]:
    return {"run": moment.run, "from": iso(moment.taken_from), "to": iso(moment.taken_to)}


def _change(change: Change) -> dict[str, Any]:
    return {
        "artifacts": {
            "before": change.artifacts_before,
            "after": change.artifacts_after,
            "change": change.artifacts,
        },
        "bytes": {
            "before": _bytes(change.bytes_before),
            "after": _bytes(change.bytes_after),
            "change": _bytes(change.bytes),
        },
        "cost": {
            "repository": money_object(change.cost.repository, "repository"),
            "registry": money_object(change.cost.registry, "registry"),
        },
    }


def _bytes(both: ScopedBytes | None) -> dict[str, int] | None:
    return None if both is None else {"repository": both.repository, "registry": both.registry}


def _column(images: pd.DataFrame, name: str) -> list[Any]:
    if name == "pushed_at":
        # Times of reports are texts already, "" for those that ECR did not give.
        return [at or None for at in images[name].tolist()]
    values: list[Any] = images[name].tolist()
    return values


# For spreadsheets.


def diff_csv(difference: Difference, *, rows: str = "repository") -> str:
    """A row for each repository, or for each ``image`` that something happened to."""
    if rows == "image":
        columns = [_column(difference.images, name) for name in IMAGE_COLUMNS]
        return table_text(IMAGE_COLUMNS, map(neutralised, zip(*columns, strict=True)))
    table: list[list[Cell]] = []
    for row, *costs in zip(difference.repositories, *_costs(difference), strict=True):
        change = row.change
        table.append(
            [
                *neutralised((row.account, row.region, row.repository)),
                iso(row.created_at),
                row.status,
                *(
                    "" if n is None else n
                    for n in (change.artifacts_before, change.artifacts_after, change.artifacts)
                ),
                "" if change.bytes is None else change.bytes.repository,
                "" if change.bytes is None else change.bytes.registry,
                *map(amount_text, costs),
                *(row.events.get(event, 0) if row.status != "unknown" else "" for event in ImageEvent),
                neutral(row.reason),
            ]
        )
    return table_text(REPOSITORY_COLUMNS, table)


def _costs(difference: Difference) -> tuple[list[Decimal | None], list[Decimal | None]]:
    """The money of the rows at both scopes, rounded so that it adds up."""
    rows = difference.repositories
    repository = [rounded(row.change.cost.repository, EXACT_DECIMALS) for row in rows]
    registry = [rounded(row.change.cost.registry, EXACT_DECIMALS) for row in rows]
    return repository, registry
