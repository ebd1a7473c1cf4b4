"""A simulation for spreadsheets and databases: a row per repository, or per image; as ``csv`` does it.

Headers are in snake_case with the unit in the name, numbers raw, moments ISO 8601 in UTC; an empty
cell is unknown or does not apply, and ``…_leaves_out`` says what is missing from money. Money at
repository scope adds up to the row ``total``; at registry scope the row ``shared`` completes it. Text
is neutralised: nothing in it runs as a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import chain, repeat
from typing import Final, Literal

import numpy as np

from analyzer.model.frames import NO_TIME, Int64
from analyzer.model.results import ScopedBytes
from analyzer.model.simulation import Candidate, Effect, RepositoryEffect, Simulation
from analyzer.model.units import Money
from analyzer.model.usage import KINDS, Usage
from analyzer.model.verdicts import Outcome, Reason
from reports.csv_cells import Cell, known_cell, neutral, neutral_column, reasons, require_dollars
from reports.missing import WHOLE, Missing
from reports.rounding import EXACT_DECIMALS, amount_text
from reports.usage import user_text
from reports.what_if_figures import Known, Split, known_of, split_columns
from reports.what_if_images import (
    DAY_MS,
    Names,
    limits_of,
    moments_of,
    storage_classes,
    tags_of,
)

_USD: Final = "usd_per_month"

_COUNTS: Final[dict[str, Callable[[Effect], int]]] = {
    "artifacts": lambda effect: effect.artifacts,
    "leaving": lambda effect: effect.leaving,
    "archived": lambda effect: effect.archiving,
    "kept": lambda effect: effect.kept,
    "followers": lambda effect: effect.expired_followers + effect.transitioned_followers,
    "blocked": lambda effect: effect.blocked,
    "deferred": lambda effect: effect.deferred,
    "near_limit": lambda effect: effect.near_limit,
    "in_use": lambda effect: effect.in_use,
    "protected": lambda effect: effect.protected,
    "leaving_of_unknown_size": lambda effect: effect.unknown_size,
}
#: Counts that what was never listed is missing from.
_OF_ALL: Final = frozenset({"artifacts", "kept"})
_BYTES: Final[dict[str, tuple[Callable[[Effect], ScopedBytes], Callable[[Known], Missing]]]] = {
    "physical": (lambda effect: effect.physical_bytes, lambda known: known.stored),
    "freed": (lambda effect: effect.freed_bytes, lambda known: known.freed),
    "archived": (lambda effect: effect.archived_bytes, lambda known: known.archived),
}
_MONEY: Final[dict[str, Callable[[Effect], Money]]] = {
    "cost_repository_scope": lambda effect: effect.cost.repository,
    "cost_registry_scope": lambda effect: effect.cost.registry,
    "saving_repository_scope": lambda effect: effect.saving.repository,
    "saving_registry_scope": lambda effect: effect.saving.registry,
    "saving_low": lambda effect: effect.saving_low,
    "saving_high": lambda effect: effect.saving_high,
    "expiry_saving_repository_scope": lambda effect: effect.expiry_saving.repository,
    "expiry_saving_registry_scope": lambda effect: effect.expiry_saving.registry,
    "naive_saving": lambda effect: effect.naive_saving,
}
#: What is never above another one in a row.
_BOUNDS: Final = {
    "cost_registry_scope": "cost_repository_scope",
    "saving_registry_scope": "saving_repository_scope",
    "saving_low": "saving_high",
    "expiry_saving_registry_scope": "expiry_saving_repository_scope",
}
_SHARED: Final = frozenset({"cost_registry_scope", "saving_registry_scope", "expiry_saving_registry_scope"})
#: Of those in use, by the strongest kind of use.
_BY_KIND: Final[dict[str, Callable[[Effect], int]]] = {
    "in_use_running": lambda effect: effect.in_use_running,
    "in_use_configured": lambda effect: effect.in_use_configured,
    "in_use_previous": lambda effect: effect.in_use_previous,
}
#: What the policies in force do, with ``--against live``.
_LIVE_COUNTS: Final = ("leaving", "archived", "in_use")
_LIVE_MONEY: Final = ("saving_repository_scope", "saving_registry_scope", "saving_low", "saving_high")

REPOSITORY_COLUMNS: Final = (
    "row",
    "candidate",
    "account",
    "region",
    "repository",
    "has_policy",
    *_COUNTS,
    "logical_bytes",
    "expired_logical_bytes",
    *(f"{name}_bytes_{scope}_scope" for name in _BYTES for scope in ("repository", "registry")),
    *(f"{name}_{_USD}" for name in _MONEY),
    "cost_leaves_out",
    "saving_leaves_out",
    *(f"live_{name}" for name in _LIVE_COUNTS),
    "live_freed_bytes_repository_scope",
    "live_freed_bytes_registry_scope",
    *(f"live_{name}_{_USD}" for name in _LIVE_MONEY),
    "live_saving_leaves_out",
    "warnings",
    *_BY_KIND,
)
IMAGE_COLUMNS: Final = (
    "candidate",
    "account",
    "region",
    "repository",
    "digest",
    "tags",
    "pushed_at",
    "storage_class",
    "outcome",
    "reason",
    "rule",
    "rank",
    "age_days",
    "limit_type",
    "limit",
    "by_digest",
    "deferred",
    "near_limit",
    "in_use",
    "protected",
    "in_use_as",
    "used_by",
)

_OUTCOMES: Final[dict[int, str]] = {
    Outcome.KEPT: "kept",
    Outcome.EXPIRED: "expired",
    Outcome.TRANSITIONED: "archived",
}
_REASONS: Final[dict[int, str]] = {reason: reason.name.lower() for reason in Reason}


def what_if_csv(simulation: Simulation, rows: Literal["repository", "image"] = "repository") -> str:
    """The table of ``simulation`` with a row for each repository, or each image concerned.

    Image rows: whatever leaves, is archived, is kept by an index, is in use or is protected. ``rule``
    is the deciding one, ``limit`` its countNumber and ``limit_type`` its countType; ``rank`` is filled
    where it counts images, ``age_days`` where it counts days. ``by_digest`` is the index that keeps it,
    or the subject that it goes with. Tags are separated by spaces, which no tag of ECR's has.
    ``in_use_as`` is the strongest kind of use, ``used_by`` names every workload, separated by semicolons.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if rows == "image":
        writer.writerow(IMAGE_COLUMNS)
        repository = simulation.frames.artifacts.repository
        rows_of = np.arange(len(simulation.frames.repositories) + 1, dtype=repository.dtype)
        bounds = np.searchsorted(repository, rows_of).tolist()
        for candidate in simulation.candidates:
            for row in candidate.repositories:
                everything = np.arange(bounds[row.position], bounds[row.position + 1])
                writer.writerows(_images(simulation, candidate, row, everything))
    else:
        writer.writerow(REPOSITORY_COLUMNS)
        unasked = _unasked(simulation)
        for candidate in simulation.candidates:
            writer.writerows(
                ["" if name in unasked else cell for name, cell in zip(REPOSITORY_COLUMNS, row, strict=True)]
                for row in _repositories(candidate)
            )
    return out.getvalue()


def _unasked(simulation: Simulation) -> frozenset[str]:
    """Columns about what is needed that are empty, for nobody said what is."""
    names = set[str]()
    if not simulation.in_use_given:
        names |= {"in_use", "live_in_use"}
    if simulation.usage is None:
        names |= _BY_KIND.keys()
    if not simulation.protected_given:
        names.add("protected")
    return frozenset(names)


def _images(
    simulation: Simulation, candidate: Candidate, row: RepositoryEffect, everything: Int64
) -> Iterator[Sequence[Cell]]:
    """Of ``everything`` in the repository what is concerned.

    Column by column: there can be a million rows, and csv.writer then zips them in C.
    """
    verdicts = candidate.verdicts
    needed = everything[simulation.in_use[everything] | simulation.protected[everything]]
    at: Int64 = np.unique(np.concatenate([row.claimed, row.followers, row.blocked, needed]))
    if not len(at):
        return iter(())
    by = verdicts.by[at]
    names = Names(simulation, np.concatenate([at, by[by >= 0]]))
    by_names = iter(names(by[by >= 0]))
    place = [neutral(text or "") for text in (candidate.name, row.account, row.region, row.repository)]
    limits = limits_of(row.policy_text) if row.policy_text else {}
    rules = verdicts.rule[at].tolist()
    decided = [limits.get(rule) for rule in rules]
    columns: list[Sequence[Cell]] = [
        neutral_column(names(at)),
        neutral_column([" ".join(tags) for tags in tags_of(simulation.facts, at)]),
        moments_of(simulation.frames.artifacts.pushed_at_ms[at]),
        storage_classes(simulation, at),
        [_OUTCOMES[code] for code in verdicts.outcome[at].tolist()],
        [_REASONS[code] for code in verdicts.reason[at].tolist()],
        [rule or "" for rule in rules],
        [rank or "" for rank in verdicts.rank[at].tolist()],
        # So many decimals tell milliseconds apart: on which side of the limit an age lies is seen.
        ["" if age == NO_TIME else f"{age / DAY_MS:.9f}" for age in verdicts.age_ms[at].tolist()],
        ["" if limit is None else limit.count_type for limit in decided],
        ["" if limit is None else limit.count_number for limit in decided],
        neutral_column([next(by_names) if position >= 0 else "" for position in by.tolist()]),
        *(
            np.where(marks[at], "true", "false").tolist() if is_known else [""] * len(at)
            for marks, is_known in (
                (verdicts.deferred, True),
                (verdicts.near_limit, True),
                (simulation.in_use, simulation.in_use_given),
                (simulation.protected, simulation.protected_given),
            )
        ),
        *_users(simulation.usage, at),
    ]
    return zip(*chain(map(repeat, place), columns), strict=False)


def _users(usage: Usage | None, at: Int64) -> tuple[Sequence[Cell], Sequence[Cell]]:
    """How the images at these positions are used, and by whom."""
    kinds, users = [""] * len(at), [""] * len(at)
    if usage is not None:
        for n in np.flatnonzero(usage.in_use[at]).tolist():
            position = int(at[n])
            kinds[n] = KINDS[usage.kind[position]]
            users[n] = "; ".join(map(user_text, usage.of(position)))
    return kinds, neutral_column(users)


def _repositories(candidate: Candidate) -> list[list[Cell]]:
    parts = split_columns(candidate, _MONEY, _BOUNDS)
    require_dollars(candidate.totals.cost.repository)
    rows: list[list[Cell]] = []
    for n, row in enumerate(candidate.repositories):
        place = [neutral(text or "") for text in (row.account, row.region, row.repository)]
        rows.append(
            [
                "repository",
                neutral(candidate.name),
                *place,
                "true" if row.policy_text is not None else "false",
                *_figures(row.effect, [part.rows[n] for part in parts.values()]),
                *_live(row.live),
                neutral(" ".join(warning.code for warning in row.warnings)),
                *(pick(row.effect) for pick in _BY_KIND.values()),
            ]
        )
    rows.append(_shared(candidate, parts))
    totals = _figures(candidate.totals, [part.total for part in parts.values()])
    live = _live(candidate.live_totals)
    by_kind = [pick(candidate.totals) for pick in _BY_KIND.values()]
    rows.append(["total", neutral(candidate.name), "", "", "", "", *totals, *live, "", *by_kind])
    return rows


def _figures(effect: Effect, amounts: Sequence[Decimal | None]) -> list[Cell]:
    known = known_of(effect)
    return [
        *(
            known_cell(pick(effect), known.counted if name in _OF_ALL else WHOLE)
            for name, pick in _COUNTS.items()
        ),
        known_cell(effect.logical_bytes, known.stored),
        known_cell(effect.expired_logical_bytes, known.freed),
        *(
            known_cell(number, missing_of(known))
            for pick, missing_of in _BYTES.values()
            for number in (pick(effect).repository, pick(effect).registry)
        ),
        *map(amount_text, amounts),
        reasons(effect.cost.repository, effect.cost.registry),
        reasons(effect.saving.repository, effect.saving.registry, effect.naive_saving),
    ]


def _live(live: Effect | None) -> list[Cell]:
    if live is None:
        return [""] * (len(_LIVE_COUNTS) + 2 + len(_LIVE_MONEY) + 1)
    missing = known_of(live).freed
    money = [_MONEY[name](live) for name in _LIVE_MONEY]
    return [
        *(_COUNTS[name](live) for name in _LIVE_COUNTS),
        known_cell(live.freed_bytes.repository, missing),
        known_cell(live.freed_bytes.registry, missing),
        *(
            amount_text(None if amount.amount is None else round(amount.amount, EXACT_DECIMALS))
            for amount in money
        ),
        reasons(*money),
    ]


def _shared(candidate: Candidate, parts: dict[str, Split]) -> list[Cell]:
    """Completes the columns of registry scope; it has no images and nothing of its own."""
    rows = [row.effect for row in candidate.repositories]
    sizes: list[Cell] = []
    for pick, _ in _BYTES.values():
        shared = pick(candidate.totals).registry - sum(pick(row).registry for row in rows)
        sizes += [0, known_cell(shared, WHOLE)]
    amounts = [amount_text(part.shared) if name in _SHARED else "0.00" for name, part in parts.items()]
    # The low end stands at registry scope where layers may be shared.
    for number, name in enumerate(parts):
        if name in {"saving_low", "saving_high"}:
            amounts[number] = amount_text(parts[name].shared)
    return [
        "shared",
        neutral(candidate.name),
        *([""] * 4),
        *([0] * len(_COUNTS)),
        0,
        0,
        *sizes,
        *amounts,
        *([""] * (2 + len(_LIVE_COUNTS) + 2 + len(_LIVE_MONEY) + 2)),
        *([0] * len(_BY_KIND)),
    ]
