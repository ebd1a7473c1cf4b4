"""What changed between two snapshots, worked out from the reports on them.

Rows are the same figures as those of the reports, subtracted: so they add up to the change of the
totals as the rows of each report add up to its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from analyzer.model.findings import Finding
from analyzer.model.history import (
    Change,
    Difference,
    FindingChange,
    ImageEvent,
    Moment,
    RepositoryDifference,
    SettingChange,
)
from analyzer.model.results import RegistryRow, Report, RepositoryRow, ScopedBytes, ScopedMoney
from analyzer.model.units import Money, add_up, iso

#: Account, region and name of a repository.
Place = tuple[str, str, str]
#: The same with a digest.
ImageKey = tuple[str, str, str, str]
_KEY = ["account", "region", "repository", "digest"]
_COLUMNS = [*_KEY, "tags", "event", "detail", "kind", "pushed_at", "logical_bytes"]
_SHOWN = [*_KEY, "tags", "kind", "pushed_at", "logical_bytes"]
_ARCHIVED = {"ARCHIVED", "ACTIVATING"}
_NOTHING = Money(Decimal(0))


def compare(
    before: Report,
    after: Report,
    *,
    settings: Sequence[SettingChange] = (),
    expiring: Collection[ImageKey] = frozenset(),
    without_known_policy: Collection[Place] = frozenset(),
    globs: Sequence[str] = (),
) -> Difference:
    """What changed from ``before`` to ``after``.

    ``expiring`` are images of the earlier side that a policy in force on either side takes by the later
    moment; ``without_known_policy`` repositories of which no policy in force could be read. ``globs``
    choose repositories by name; with any, what is said of registries as a whole (settings, what
    repositories share) is left out.
    """
    old = {_place(row): row for row in before.repositories if _chosen(row.repository, globs)}
    new = {_place(row): row for row in after.repositories if _chosen(row.repository, globs)}
    registries = {_registry(row): row for row in before.registries}
    later = {_registry(row): row for row in after.registries}
    pairs: list[_Pair] = []
    for place in sorted(old.keys() | new.keys()):
        one, other = old.get(place), new.get(place)
        if one is not None and other is not None and one.created_at != other.created_at:
            # Deleted and made again under the same name: one is gone, and another is new.
            pairs += [_Pair(one, None), _Pair(None, other)]
        else:
            pairs.append(_Pair(one, other))
    reasons = [_not_known(pair.was, pair.now, registries, later, before) for pair in pairs]
    known = [number for number, reason in enumerate(reasons) if not reason]
    images = _image_events(before.images, after.images, pairs, known, expiring, without_known_policy)
    counted: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for number, event in zip(images["pair"].tolist(), images["event"].tolist(), strict=True):
        counted[number][event] += 1
    rows = [
        _repository(pair.was, pair.now, counted.get(number, {}), reason)
        for number, (pair, reason) in enumerate(zip(pairs, reasons, strict=True))
    ]
    rows.sort(key=_order)
    whole = not globs
    both = [key for key in later if key in registries] if whole else []
    shared = sum(later[key].shared_bytes - registries[key].shared_bytes for key in both)
    shared_cost = add_up(_minus(_rest(later[key], after), _rest(registries[key], before)) for key in both)
    return Difference(
        before=_moment(before),
        after=_moment(after),
        totals=_totals(
            rows, list(old.values()), list(new.values()), before, after, shared, shared_cost, whole=whole
        ),
        shared_bytes=shared,
        shared_cost=shared_cost,
        repositories=tuple(rows),
        images=images.sort_values(["account", "region", "repository", "event", "digest"], ignore_index=True)[
            _COLUMNS
        ],
        settings=tuple(
            change
            for change in settings
            if (_chosen(change.repository, globs) if change.repository else whole)
        ),
        findings=_findings(before, after, globs),
        unknown=tuple(_unknown(rows, registries, later, before, after)),
    )


def _chosen(name: str, globs: Sequence[str]) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _place(row: RepositoryRow) -> Place:
    return row.account, row.region, row.repository


def _registry(row: RegistryRow) -> tuple[str, str, str]:
    return row.partition, row.account, row.region


def _moment(report: Report) -> Moment:
    return Moment(run=report.run, taken_from=report.taken_from, taken_to=report.taken_to)


def _not_known(
    was: RepositoryRow | None,
    now: RepositoryRow | None,
    registries: Mapping[tuple[str, str, str], RegistryRow],
    later: Mapping[tuple[str, str, str], RegistryRow],
    before: Report,
) -> str:
    """Why the difference of a repository is not known; "" where it is."""
    row = now or was
    if row is None:
        return ""

    def has(side: Mapping[tuple[str, str, str], RegistryRow]) -> bool:
        return any(key[1:] == (row.account, row.region) for key in side)

    if not has(registries):
        return "its registry was not read on the earlier side"
    if not has(later):
        return "its registry is not part of the later side"
    if now is not None and now.complete_at is None:
        return "its images were never listed whole"
    if was is not None and was.complete_at is None:
        return "its images were not listed whole on the earlier side"
    read = [key for key in later if key[1:] == (row.account, row.region)]
    if all(later[key].run <= before.run for key in read):
        return f"its registry was not read since {iso(max(later[key].taken_at for key in read))}"
    if (
        was is not None
        and now is not None
        and now.complete_at is not None
        and now.complete_at <= before.taken_to
        and now.complete_at == was.complete_at
    ):
        return f"it was not read whole since {iso(now.complete_at)}"
    return ""


def _artifacts(row: RepositoryRow) -> int:
    counts = row.counts
    return counts.images + counts.indexes + counts.referrers + counts.unknown


def _was_never_seen(row: RepositoryRow) -> bool:
    """Whether nothing is known of what it holds: it was never listed, not even in part."""
    return row.complete_at is None and not _artifacts(row)


def _stored(row: RepositoryRow | None) -> ScopedBytes | None:
    """What it stores; None where that is not known at all, and without a row."""
    if row is None or (not row.physical_bytes.repository and (row.complete_at is None or row.counts.unknown)):
        return None
    return row.physical_bytes


def _repository(
    was: RepositoryRow | None, now: RepositoryRow | None, events: Mapping[str, int], reason: str
) -> RepositoryDifference:
    row = now or was
    if row is None:
        raise ValueError("a repository must be on one side")
    change = _change(was, now, reason)
    status: Literal["new", "gone", "changed", "same", "unknown"]
    if reason:
        status = "unknown"
    elif was is None:
        status = "new"
    elif now is None:
        status = "gone"
    else:
        moved = change.bytes is not None and (change.bytes.repository or change.bytes.registry)
        status = "changed" if events or moved or change.artifacts else "same"
    return RepositoryDifference(
        account=row.account,
        region=row.region,
        repository=row.repository,
        created_at=row.created_at,
        status=status,
        change=change,
        events={event: events[event] for event in ImageEvent if events.get(event)},
        reason=reason,
    )


def _change(was: RepositoryRow | None, now: RepositoryRow | None, reason: str) -> Change:
    def cost(pick: Callable[[ScopedMoney], Money]) -> Money:
        if reason:
            return Money.unknown(reason)
        return _minus(
            _NOTHING if now is None else pick(now.cost), _NOTHING if was is None else pick(was.cost)
        )

    before, after = _stored(was), _stored(now)
    is_unknown = bool(reason) or (was is not None and not before) or (now is not None and not after)
    return Change(
        artifacts_before=None if was is None or _was_never_seen(was) else _artifacts(was),
        artifacts_after=None if now is None or _was_never_seen(now) else _artifacts(now),
        bytes_before=before,
        bytes_after=after,
        artifacts=None if reason else (_artifacts(now) if now else 0) - (_artifacts(was) if was else 0),
        bytes=None
        if is_unknown
        else ScopedBytes(
            repository=(after.repository if after else 0) - (before.repository if before else 0),
            registry=(after.registry if after else 0) - (before.registry if before else 0),
        ),
        cost=ScopedMoney(
            repository=cost(lambda both: both.repository), registry=cost(lambda both: both.registry)
        ),
    )


def _minus(one: Money, other: Money) -> Money:
    """``one`` less ``other``; unknown where either is."""
    if one.amount is None or other.amount is None:
        reasons = tuple(sorted({*one.leaves_out, *other.leaves_out}))
        return Money(None, one.currency, one.period, reasons)
    return one + replace(other, amount=-other.amount)


def _rest(registry: RegistryRow, report: Report) -> Money:
    """What the rows of a registry leave of its cost at registry scope."""
    own = [
        row.cost.registry
        for row in report.repositories
        if (row.account, row.region) == (registry.account, registry.region)
    ]
    known = [money for money in own if money.amount is not None]
    return _minus(registry.cost.registry, add_up(known))


def _order(row: RepositoryDifference) -> tuple[object, ...]:
    size = row.change.bytes.repository if row.change.bytes else 0
    return -abs(size), row.status == "same", row.account, row.region, row.repository, row.created_at


def _totals(
    rows: Sequence[RepositoryDifference],
    old: Sequence[RepositoryRow],
    new: Sequence[RepositoryRow],
    before: Report,
    after: Report,
    shared: int,
    shared_cost: Money,
    *,
    whole: bool,
) -> Change:
    def count(report: Report, chosen: Sequence[RepositoryRow]) -> int | None:
        # Without a row it may be the list of repositories that never came.
        unread = all(map(_was_never_seen, chosen)) if chosen else report.totals.cost.repository.amount is None
        return None if unread else sum(map(_artifacts, chosen))

    def side(report: Report, chosen: Sequence[RepositoryRow]) -> ScopedBytes | None:
        nothing_stored = not any(row.physical_bytes.repository for row in chosen)
        if count(report, chosen) is None or (nothing_stored and None in map(_stored, chosen)):
            return None
        if whole:
            return report.totals.physical_bytes
        return ScopedBytes(
            repository=sum(row.physical_bytes.repository for row in chosen),
            registry=sum(row.physical_bytes.registry for row in chosen),
        )

    known = [row.change for row in rows if row.status != "unknown"]
    was, now = count(before, old), count(after, new)
    nothing_known = not known and (bool(rows) or None in (was, now))
    of_bytes = [change.bytes for change in known if change.bytes is not None]
    costs = [change.cost for change in known]
    if nothing_known:
        # Why it is not.
        costs = [row.change.cost for row in rows] or [before.totals.cost, after.totals.cost]
    return Change(
        artifacts_before=was,
        artifacts_after=now,
        bytes_before=side(before, old),
        bytes_after=side(after, new),
        artifacts=None if nothing_known else sum(change.artifacts or 0 for change in known),
        bytes=None
        if nothing_known or (known and not of_bytes)
        else ScopedBytes(
            repository=sum(both.repository for both in of_bytes),
            registry=sum(both.registry for both in of_bytes) + shared,
        ),
        cost=ScopedMoney(
            repository=add_up(cost.repository for cost in costs),
            registry=add_up([*(cost.registry for cost in costs), shared_cost]),
        ),
    )


class _Pair(NamedTuple):
    """One repository on either side; None where it is not there."""

    was: RepositoryRow | None
    now: RepositoryRow | None

    @property
    def place(self) -> Place:
        """Account, region and name."""
        row = self.now or self.was
        if row is None:
            raise ValueError("a repository must be on one side")
        return _place(row)


def _image_events(
    before: pd.DataFrame,
    after: pd.DataFrame,
    pairs: Sequence[_Pair],
    known: Sequence[int],
    expiring: Collection[ImageKey],
    without_known_policy: Collection[Place],
) -> pd.DataFrame:
    """``_COLUMNS`` and ``pair``: what happened to the images of the ``known`` ones of ``pairs``."""

    def side(images: pd.DataFrame, pick: Callable[[_Pair], RepositoryRow | None]) -> pd.DataFrame:
        chosen = [(*pairs[number].place, number) for number in known if pick(pairs[number]) is not None]
        # Types are given: those of no row would be guessed wrong.
        places = pd.DataFrame(chosen, columns=[*_KEY[:3], "pair"], dtype=object).astype({"pair": np.int64})
        texts = images[[*_SHOWN, "image_status"]].astype(
            dict.fromkeys([*_SHOWN[:-1], "image_status"], object)
        )
        return texts.merge(places, on=_KEY[:3])

    both = side(before, lambda pair: pair.was).merge(
        side(after, lambda pair: pair.now), on=["pair", "digest"], how="outer", suffixes=("_old", "_new")
    )
    is_old, is_new = both["kind_old"].notna(), both["kind_new"].notna()
    stays = is_old & is_new
    pushed_old, pushed_new = both["pushed_at_old"], both["pushed_at_new"]
    again = stays & (pushed_old != pushed_new) & ~(pushed_old.isna() & pushed_new.isna())
    was, now = (both[f"image_status_{end}"].isin(_ARCHIVED) for end in ("old", "new"))
    moved = stays & (both["tags_old"] != both["tags_new"])
    gone = both[is_old & ~is_new]
    causes = [
        _cause(pairs[number], digest, expiring, without_known_policy)
        for number, digest in zip(gone["pair"].tolist(), gone["digest"].tolist(), strict=True)
    ]
    retagged = both[moved]
    words = list(map(_tag_words, retagged["tags_old"].tolist(), retagged["tags_new"].tolist()))
    found = [
        _told(both[is_new & ~is_old], "new", ImageEvent.PUSHED),
        _told(gone, "old", [event for event, _ in causes], [detail for _, detail in causes]),
        _told(both[again], "new", ImageEvent.REPUSHED),
        _told(both[stays & now & ~was], "new", ImageEvent.ARCHIVED),
        _told(both[stays & was & ~now], "new", ImageEvent.RESTORED),
        _told(retagged, "new", ImageEvent.RETAGGED, words),
    ]
    filled = [frame for frame in found if len(frame)]
    return pd.concat(filled) if filled else found[0]


def _told(
    rows: pd.DataFrame,
    side: Literal["old", "new"],
    event: ImageEvent | Sequence[ImageEvent],
    detail: Sequence[str] = (),
) -> pd.DataFrame:
    """``rows`` of both sides as those of one, with what happened."""
    columns = {name: rows[name if name == "digest" else f"{name}_{side}"] for name in _SHOWN}
    events = [event] * len(rows) if isinstance(event, ImageEvent) else event
    return pd.DataFrame(
        {
            **columns,
            "pair": rows["pair"],
            "event": pd.Series([str(one) for one in events], index=rows.index, dtype=object),
            "detail": pd.Series(detail or [""] * len(rows), index=rows.index, dtype=object),
            "logical_bytes": columns["logical_bytes"].astype("int64"),
        }
    )


def _cause(
    pair: _Pair, digest: str, expiring: Collection[ImageKey], without_known_policy: Collection[Place]
) -> tuple[ImageEvent, str]:
    """Why an image is gone, as far as that can be told."""
    if pair.now is None:
        return ImageEvent.DELETED, "with its repository"
    if (*pair.place, digest) in expiring:
        return ImageEvent.EXPIRED, ""
    return (ImageEvent.GONE if pair.place in without_known_policy else ImageEvent.DELETED), ""


def _tag_words(before: str, after: str) -> str:
    """``+v2 -latest``: tags that came and that went."""
    old, new = set(before.split()), set(after.split())
    return " ".join([*(f"+{tag}" for tag in sorted(new - old)), *(f"-{tag}" for tag in sorted(old - new))])


def _findings(before: Report, after: Report, globs: Sequence[str]) -> tuple[FindingChange, ...] | None:
    if before.findings is None or after.findings is None:
        return None
    old, new = (
        {
            finding.key: finding
            for finding in report.findings.findings
            if finding.waiver is None and _chosen(finding.repository, globs)
        }
        for report in (before, after)
        if report.findings is not None
    )
    changes = [_finding("new", finding) for key, finding in new.items() if key not in old]
    changes += [_finding("mended", finding) for key, finding in old.items() if key not in new]
    return tuple(changes)


def _finding(status: Literal["new", "mended"], finding: Finding) -> FindingChange:
    return FindingChange(
        status=status,
        check=finding.check,
        severity=str(finding.severity),
        account=finding.account,
        region=finding.region,
        repository=finding.repository,
        subject=finding.subject,
        title=finding.message,
    )


def _unknown(
    rows: Sequence[RepositoryDifference],
    registries: Mapping[tuple[str, str, str], RegistryRow],
    later: Mapping[tuple[str, str, str], RegistryRow],
    before: Report,
    after: Report,
) -> Iterable[str]:
    for key in sorted(later.keys() - registries.keys()):
        yield f"{key[1]}/{key[2]}: not read on the earlier side; what it holds is in no change"
    for key in sorted(registries.keys() - later.keys()):
        yield f"{key[1]}/{key[2]}: not part of the later side; what it held is in no change"
    for key in sorted(registries.keys() & later.keys()):
        for report, side in ((before, registries[key]), (after, later[key])):
            if side.run < report.run:
                yield (
                    f"{key[1]}/{key[2]}: run {report.run} did not read it; it is shown as of run {side.run} "
                    f"({iso(side.taken_at)})"
                )
    reasons = Counter(row.reason for row in rows if row.reason)
    for reason, number in sorted(reasons.items()):
        noun = "repository" if number == 1 else "repositories"
        yield f"{number:,} {noun} without a known change: {reason}"
