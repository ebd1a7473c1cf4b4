"""Puts the analyses together: storage times prices, as the rows that a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyzer.model.frames import NEVER_PULLED, NO_TIME, Bools, Frames, Int32, Int64
from analyzer.model.frontier import PricedFrontier
from analyzer.model.pull_report import PullReport
from analyzer.model.records import Gap, ImageStatus, ReadStatus
from analyzer.model.registry_settings import Scans, Settings
from analyzer.model.results import (
    POSSIBLY_REACHED,
    UNKNOWN_SIZE,
    UNLISTED_IMAGES,
    UNLISTED_REPOSITORIES,
    AgeBucket,
    Counts,
    RegistryRow,
    Report,
    RepositoryRow,
    ScopedBytes,
    ScopedMoney,
    Totals,
)
from analyzer.model.units import Money, Scope, ScopeChoice, add_up, from_ms
from analyzer.pricing import PriceBook, StorageRates, price_rows, rates
from analyzer.replication import find_replication
from analyzer.settings_rows import image_columns, registry_settings, repository_settings
from analyzer.showback import group_by_tag
from analyzer.storage import COUNTS, Storage

_SCOPES: tuple[Scope, ...] = ("repository", "registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the reader asked for."""

    scope: ScopeChoice
    at_ms: int
    stale_days: int
    run: int
    #: Tags of repositories to group the cost by.
    tag_keys: tuple[str, ...] = ()


def assemble_report(
    question: Question,
    frames: Frames,
    storage: Storage,
    prices: PriceBook,
    *,
    gaps: Sequence[Gap],
    accepted_gaps: Sequence[tuple[Gap, str]],
    digests: Sequence[str],
    tags: Sequence[str],
    in_use: Sequence[str] | npt.NDArray[np.object_],
    settings: Settings,
    scans: Scans,
    frontier: Sequence[PricedFrontier] = (),
    pulls: PullReport | None = None,
) -> Report:
    """The report on ``frames``: ``storage`` is their analysis, ``digests`` and ``tags`` their names.

    ``in_use`` says of every artifact how it is used (``references.use_words``), ``settings`` and
    ``scans`` are theirs, ``frontier`` and ``pulls`` are to be shown beside it.

    Money is exact and unrounded; rows add up to their totals before rounding.
    """
    pricing = _Pricing(frames, storage, prices)
    replication = find_replication(frames, settings)
    registries = [
        replace(_with_ends(pricing.registry(position), question.scope), settings=own)
        for position, own in enumerate(registry_settings(frames, settings))
    ]
    repositories = [
        replace(pricing.repository(position), settings=own)
        for position, own in enumerate(repository_settings(frames, settings, replication))
    ]
    taken = frames.registries["taken_at_ms"]
    return Report(
        scope=question.scope,
        at=from_ms(question.at_ms),
        stale_days=question.stale_days,
        run=question.run,
        taken_from=from_ms(int(taken.min())),
        taken_to=from_ms(int(taken.max())),
        totals=pricing.totals(registries, question.scope),
        registries=tuple(registries),
        repositories=tuple(sorted(repositories, key=_dearest_first)),
        shared_cost=pricing.shared_cost(),
        ages=tuple(
            AgeBucket(label=str(label), physical_bytes=int(size))
            for label, size in zip(storage.ages["label"], storage.ages["physical_bytes"], strict=True)
        ),
        prices=price_rows(prices, frames.registries["region"]),
        gaps=tuple(gaps),
        accepted_gaps=tuple(accepted_gaps),
        images=_images(frames, storage, digests, tags, in_use, image_columns(scans, replication)),
        frontier=tuple(frontier),
        pulls=pulls,
        groups=tuple(group_by_tag(repositories, key) for key in question.tag_keys),
    )


class _Pricing:
    """Storage of some registries with the rates of their regions, row by row."""

    def __init__(self, frames: Frames, storage: Storage, prices: PriceBook) -> None:
        self._frames = frames
        self._storage = storage
        # Plain Python numbers, so that sums of bytes stay exact whatever their size.
        self._repositories = _records(pd.concat([frames.repositories, storage.repositories], axis=1))
        self._registries = _records(pd.concat([frames.registries, storage.registries], axis=1))
        self._unknown_of = [_unknown_in(row) for row in self._repositories]
        self._unknown_of_registry = self._unknown_by_registry()
        # A tier counts all the bytes of a region together. That consolidated billing pools them over
        # accounts is likely and not known (pricing notes: "per region, per account or pooled").
        self._rates = {
            (region, scope): rates(
                prices,
                region,
                standard_bytes_total=sum(
                    _standard(row, scope) for row in self._registries if row["region"] == region
                ),
                archive_bytes_total=sum(
                    row[f"archive_bytes_{scope}"] for row in self._registries if row["region"] == region
                ),
            )
            for region in {row["region"] for row in self._registries}
            for scope in _SCOPES
        }

    def repository(self, position: int) -> RepositoryRow:
        row = self._repositories[position]
        registry = self._registries[row["registry"]]
        of_repository, of_registry = (self._rates[registry["region"], scope] for scope in _SCOPES)
        unique, unknown = row["unique_bytes"], self._unknown_of[position]
        cached = bool(row["pull_through_cache"]) if row["pull_through_cache_known"] else None
        return RepositoryRow(
            account=registry["account"],
            region=registry["region"],
            repository=row["repository"],
            created_at=from_ms(row["created_at_ms"]),
            status=row["status"],
            complete_at=None if row["complete_at_ms"] == NO_TIME else from_ms(row["complete_at_ms"]),
            counts=_counts([row]),
            logical_bytes=row["logical_bytes"],
            physical_bytes=ScopedBytes(repository=row["physical_bytes"], registry=unique),
            unique_bytes=unique,
            shared_bytes=row["physical_bytes"] - unique,
            untagged_freed_bytes=row["untagged_freed_bytes"],
            orphaned_freed_bytes=row["orphaned_freed_bytes"],
            stale_freed_bytes=row["stale_freed_bytes"],
            cost=ScopedMoney(
                repository=unknown.beside(_cost(of_repository, row["physical_bytes"], row["archive_bytes"])),
                registry=unknown.beside(_cost(of_registry, unique, row["unique_archive_bytes"])),
            ),
            orphaned_cost=unknown.beside_freed(_freed_cost(of_repository, row, "orphaned", ""), "orphaned"),
            has_lifecycle_policy=(
                row["lifecycle_policy_text"] is not None if row["lifecycle_policy_known"] else None
            ),
            pull_through_cache=cached,
        )

    def registry(self, position: int) -> RegistryRow:
        row, unknown = self._registries[position], self._unknown_of_registry[position]
        cost = ScopedMoney(
            **{
                scope: unknown.beside(
                    _cost(
                        self._rates[row["region"], scope],
                        row[f"physical_bytes_{scope}"],
                        row[f"archive_bytes_{scope}"],
                    )
                )
                for scope in _SCOPES
            }
        )
        return RegistryRow(
            partition=row["partition"],
            account=row["account"],
            region=row["region"],
            snapshot=row["snapshot"],
            run=row["run"],
            taken_at=from_ms(row["taken_at_ms"]),
            status=row["status"],
            blob_mounting=row["blob_mounting"],
            blob_mounting_ever=bool(row["blob_mounting_ever"]),
            repositories=row["repositories"],
            counts=_counts([row]),
            logical_bytes=row["logical_bytes"],
            physical_bytes=_scoped([row], "physical_bytes"),
            shared_bytes=row["shared_bytes"],
            cost=cost,
            cost_low=cost.registry,
            cost_high=cost.repository,
            account_name=row["account_name"],
        )

    def shared_cost(self) -> Money:
        """What the bytes cost that no single repository owns, at registry scope."""
        return add_up(
            _cost(self._rates[row["region"], "registry"], row["shared_bytes"], row["shared_archive_bytes"])
            for row in self._registries
        )

    def totals(self, registries: Sequence[RegistryRow], scope: ScopeChoice) -> Totals:
        rows = self._registries
        low = {_low_end(row, scope) for row in registries}
        return Totals(
            repositories=len(self._repositories),
            registries=len(rows),
            counts=_counts(rows),
            logical_bytes=sum(row["logical_bytes"] for row in rows),
            physical_bytes=_scoped(rows, "physical_bytes"),
            shared_bytes=sum(row["shared_bytes"] for row in rows),
            untagged_freed_bytes=_scoped(rows, "untagged_freed_bytes"),
            orphaned_freed_bytes=_scoped(rows, "orphaned_freed_bytes"),
            stale_freed_bytes=_scoped(rows, "stale_freed_bytes"),
            cost=ScopedMoney(
                repository=add_up(row.cost.repository for row in registries),
                registry=add_up(row.cost.registry for row in registries),
            ),
            cost_low=add_up(row.cost_low for row in registries),
            cost_high=add_up(row.cost_high for row in registries),
            cost_low_scope=low.pop() if len(low) == 1 else "mixed",
            cost_high_scope=_high_end(scope),
            orphaned_cost=self._freed("orphaned"),
            stale_cost=self._freed("stale"),
            reported_size_bytes=sum(row["reported_size_bytes"] for row in rows),
        )

    def _freed(self, trait: str) -> ScopedMoney:
        return ScopedMoney(
            **{
                scope: add_up(
                    self._unknown_of_registry[position].beside_freed(
                        _freed_cost(self._rates[row["region"], scope], row, trait, f"_{scope}"), trait
                    )
                    for position, row in enumerate(self._registries)
                )
                for scope in _SCOPES
            }
        )

    def _unknown_by_registry(self) -> list[_Unknown]:
        """What is unknown of each registry: what is of its repositories, and those never listed."""
        of_repositories: list[list[_Unknown]] = [[] for _ in self._registries]
        for row, unknown in zip(self._repositories, self._unknown_of, strict=True):
            of_repositories[row["registry"]].append(unknown)
        found = []
        for row, parts in zip(self._registries, of_repositories, strict=True):
            reasons = {reason for unknown in parts for reason in unknown.reasons}
            if row["status"] == ReadStatus.PARTIAL or (row["status"] != ReadStatus.COMPLETE and not parts):
                reasons.add(UNLISTED_REPOSITORIES)
            found.append(
                _Unknown(
                    tuple(sorted(reasons)),
                    possibly_reached=any(unknown.possibly_reached for unknown in parts),
                    nothing_known=bool(reasons) and not row["physical_bytes_repository"],
                )
            )
        return found


@dataclass(frozen=True, slots=True)
class _Unknown:
    """What the bytes of a repository or registry leave out."""

    reasons: tuple[str, ...]
    #: There are images of which nobody knows whether a tag reaches them.
    possibly_reached: bool
    #: Not one byte of it is known, so that zero would be a guess.
    nothing_known: bool

    def beside(self, money: Money) -> Money:
        """``money`` for the bytes that are known, saying what it leaves out."""
        if not self.reasons:
            return money
        leaves_out = tuple(sorted({*money.leaves_out, *self.reasons}))
        return replace(money, amount=None if self.nothing_known else money.amount, leaves_out=leaves_out)

    def beside_freed(self, money: Money, trait: str) -> Money:
        """The same for what leaves with the images that have ``trait``."""
        if trait != "orphaned" or not self.possibly_reached:
            return self.beside(money)
        return replace(self, reasons=(*self.reasons, POSSIBLY_REACHED)).beside(money)


def _unknown_in(row: Mapping[str, Any]) -> _Unknown:
    reasons = []
    if row["unknown"]:
        reasons.append(UNKNOWN_SIZE)
    if row["complete_at_ms"] == NO_TIME:
        reasons.append(UNLISTED_IMAGES)
    return _Unknown(
        tuple(reasons),
        possibly_reached=row["possibly_reached_images"] > 0,
        nothing_known=bool(reasons) and not row["physical_bytes"],
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {str(name): frame[name].tolist() for name in frame}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _standard(row: Mapping[str, Any], scope: str) -> int:
    return int(row[f"physical_bytes_{scope}"] - row[f"archive_bytes_{scope}"])


def _cost(of: StorageRates, physical: int, archive: int) -> Money:
    return of.cost(standard_bytes=physical - archive, archive_bytes=archive)


def _freed_cost(of: StorageRates, row: Mapping[str, Any], trait: str, suffix: str) -> Money:
    """What leaves the bill when the artifacts with ``trait`` leave."""
    archive = row[f"{trait}_freed_archive_bytes{suffix}"]
    return of.freed(standard_bytes=row[f"{trait}_freed_bytes{suffix}"] - archive, archive_bytes=archive)


def _counts(rows: Sequence[Mapping[str, Any]]) -> Counts:
    return Counts(**{name: sum(row[name] for row in rows) for name in COUNTS})


def _scoped(rows: Sequence[Mapping[str, Any]], name: str) -> ScopedBytes:
    return ScopedBytes(**{scope: sum(row[f"{name}_{scope}"] for row in rows) for scope in _SCOPES})


def _with_ends(row: RegistryRow, scope: ScopeChoice) -> RegistryRow:
    """``row`` with the ends that ``scope`` asks for.

    Sharing is off unless switched on, so where it never was, or cannot be known, each repository
    pays for its own; where it is or was on, the truth lies between the ends, since the setting is
    not retroactive and switching it off keeps what is mounted.
    """
    by_scope = {"repository": row.cost.repository, "registry": row.cost.registry}
    return replace(row, cost_low=by_scope[_low_end(row, scope)], cost_high=by_scope[_high_end(scope)])


def _low_end(row: RegistryRow, scope: ScopeChoice) -> Scope:
    if scope == "auto":
        return "registry" if row.blob_mounting_ever else "repository"
    return scope


def _high_end(scope: ScopeChoice) -> Scope:
    return "repository" if scope == "auto" else scope


def _dearest_first(row: RepositoryRow) -> tuple[Any, ...]:
    amount = row.cost.repository.amount
    known = amount is not None
    return (
        not known,
        -(amount or Decimal(0)),
        -row.physical_bytes.repository,
        row.account,
        row.region,
        row.repository,
        row.created_at,
    )


def _images(
    frames: Frames,
    storage: Storage,
    digests: Sequence[str],
    tags: Sequence[str],
    in_use: Sequence[str] | npt.NDArray[np.object_],
    more: pd.DataFrame,
) -> pd.DataFrame:
    artifacts, repositories = frames.artifacts, frames.repositories
    registry = repositories["registry"].to_numpy(np.int64)[artifacts.repository]
    pushed = artifacts.pushed_at_ms
    pulled = artifacts.pulled_day
    statuses = pd.Index([status.name for status in ImageStatus])
    table = pd.DataFrame(
        {
            "account": frames.registries["account"].to_numpy()[registry],
            "region": frames.registries["region"].to_numpy()[registry],
            "repository": repositories["repository"].to_numpy()[artifacts.repository],
            "digest": digests,
            "kind": storage.artifacts["kind"].astype(object),
            "tags": tags,
            "tagged": storage.artifacts["tagged"],
            "orphaned": storage.artifacts["orphaned"],
            "stale": storage.artifacts["stale"],
            "pushed_at": _text_of_times(np.where(pushed == NO_TIME, 0, pushed), pushed != NO_TIME),
            "last_pull": _text_of_days(np.where(pulled == NEVER_PULLED, 0, pulled), pulled != NEVER_PULLED),
            "image_status": statuses[artifacts.image_status],
            "logical_bytes": storage.artifacts["logical_bytes"],
            "unique_bytes_repository": storage.artifacts["unique_bytes_repository"],
            "unique_bytes_registry": storage.artifacts["unique_bytes_registry"],
            "in_use": in_use,
        }
    )
    table = pd.concat([table, more], axis=1)
    # Frames come by repository already, so a stable sort by digest inside each one is what is left.
    order = np.lexsort((table["digest"].to_numpy(str), artifacts.repository))
    return table.take(order).reset_index(drop=True)


def _text_of_times(milliseconds: Int64, known: Bools) -> npt.NDArray[np.str_]:
    text = np.datetime_as_string(milliseconds.astype("datetime64[ms]").astype("datetime64[s]"))
    return np.where(known, np.char.add(text, "Z"), "")


def _text_of_days(days: Int32, known: Bools) -> npt.NDArray[np.str_]:
    return np.where(known, np.datetime_as_string(days.astype("datetime64[D]")), "never")
