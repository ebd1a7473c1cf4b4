"""Counting a batch of pulls inside its transaction: names to ids, copies of one call joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from analyzer.model.frames import Int32, Int64, UInt64
from analyzer.model.pull_batches import PullColumns
from analyzer.model.pulls import Confidence, LeftOut, Puller, PullKind, RegionMethod, Target
from analyzer.pull_copies import Copy, join_copies
from analyzer.store import tables
from analyzer.store.bulk import insert_rows, rows_where_in
from analyzer.store.interning import digest_rows, join_digest
from analyzer.store.pull_events import COPY, Copies, Day

#: Codes of ``pull_target.kind``.
KINDS: Final[Mapping[PullKind | LeftOut, int]] = {
    PullKind.LAYER: 0,
    PullKind.IMAGE: 1,
    LeftOut.ERROR: 10,
    LeftOut.COLLECTOR: 11,
    LeftOut.SCANNER: 12,
    LeftOut.SERVICE: 13,
    LeftOut.UNREADABLE: 14,
}
KIND_OF: Final = {code: kind for kind, code in KINDS.items()}

_target, _puller, _pull = tables.pull_target, tables.puller, tables.pull
_IDS = {table: select(table.c.key, table.c.id) for table in (_target, _puller)}
_TARGETS = select(
    _target.c.id,
    _target.c.account,
    _target.c.region,
    _target.c.repository,
    _target.c.kind,
    _target.c.digest_id,
    _target.c.tag_name_id,
)
_PULLERS = select(
    _puller.c.id,
    _puller.c.account,
    _puller.c.principal,
    _puller.c.region,
    _puller.c.method,
    _puller.c.confidence,
)
_TAGS = select(tables.tag_name.c.id, tables.tag_name.c.name)

#: Copies of an event: of the owner, the puller and others.
_SIDES = 3


class PullCounts:
    """The counts of one batch, written at the end by `flush`."""

    def __init__(
        self,
        connection: Connection,
        known_ids: Mapping[bytes, int],
        digests: Mapping[str, int],
        tags: Mapping[str, int],
    ) -> None:
        """``known_ids`` are of keys that were committed, ``digests`` and ``tags`` the ids of the batch's."""
        self._connection = connection
        self._known_ids = known_ids
        self._digests = digests
        self._tags = tags
        #: Ids that this transaction found or made.
        self.new_ids: dict[bytes, int] = {}
        self._changes: Counter[tuple[int, int, int]] = Counter()

    def count(self, day: int, columns: PullColumns, rows: Int64) -> Copies:
        """Count ``rows`` of ``columns``, which are new; gives those with copies, to be counted with them."""
        target = _by_position(columns.target[rows], columns.targets, self._target_ids)
        puller = _by_position(columns.puller[rows], columns.pullers, self._puller_ids)
        alone = columns.sides[rows] == 0
        pairs = np.stack([target[alone], puller[alone]], axis=1)
        for (target_id, puller_id), times in _distinct(pairs):
            self._changes[day, target_id, puller_id] += times
        copies = np.zeros(int(len(rows) - alone.sum()), COPY)
        copies["joint"] = columns.joints[rows][~alone]
        copies["target"], copies["puller"] = target[~alone], puller[~alone]
        copies["side"] = columns.sides[rows][~alone]
        copies.sort(order=["joint", "side"])
        return copies

    def join(self, day: int, copies: Copies, known: Day) -> None:
        """Count new ``copies`` together with those of the same events that are ``known``."""
        if not len(copies):
            return
        joints = np.unique(copies["joint"])
        before = _states(joints, known.copies_of(joints))
        added = _states(joints, copies)
        changes = _distinct(np.where(added >= 0, added, before))
        changes += [(state, -times) for state, times in _distinct(before) if max(state) >= 0]
        joined = self._joined([state for state, _ in changes])
        for (_, times), (target_id, puller_id) in zip(changes, joined, strict=True):
            self._changes[day, target_id, puller_id] += times

    def flush(self) -> None:
        """Write what was counted."""
        changes = [(key, times) for key, times in sorted(self._changes.items()) if times]
        if not changes:
            return
        maker: Any = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        statement = maker.insert(_pull)
        statement = statement.on_conflict_do_update(
            index_elements=[_pull.c.day, _pull.c.target_id, _pull.c.puller_id],
            set_={"times": _pull.c.times + statement.excluded.times},
        )
        self._connection.execute(
            statement,
            [
                {"day": day, "target_id": target, "puller_id": puller, "times": times}
                for (day, target, puller), times in changes
            ],
        )
        lowered = {key[0] for key, times in changes if times < 0}
        if lowered:
            self._connection.execute(delete(_pull).where(_pull.c.day.in_(lowered), _pull.c.times == 0))

    def _target_ids(self, targets: Collection[Target]) -> dict[Target, int]:
        rows = {
            target: {
                "account": target.account,
                "region": target.region,
                "repository": target.repository,
                "kind": KINDS[target.kind],
                "digest_id": self._digests[target.digest] if target.digest else None,
                "tag_name_id": self._tags[target.tag] if target.tag else None,
            }
            for target in targets
        }
        return self._ids(_target, rows)

    def _puller_ids(self, pullers: Collection[Puller]) -> dict[Puller, int]:
        return self._ids(_puller, {puller: puller._asdict() for puller in pullers})

    def _ids(self, table: Table, rows: Mapping[Any, dict[str, Any]]) -> dict[Any, int]:
        keys = {name: _key(table.name, name) for name in rows}
        missing = {
            key: name for name, key in keys.items() if key not in self._known_ids and key not in self.new_ids
        }
        if missing:
            self.new_ids.update(rows_where_in(self._connection, _IDS[table], table.c.key, list(missing)))
            new = [{"key": key, **rows[name]} for key, name in missing.items() if key not in self.new_ids]
            insert_rows(self._connection, table, new)
            made = [row["key"] for row in new]
            self.new_ids.update(rows_where_in(self._connection, _IDS[table], table.c.key, made))
        return {
            name: self.new_ids[key] if key in self.new_ids else self._known_ids[key]
            for name, key in keys.items()
        }

    def _joined(self, states: Sequence[tuple[int, ...]]) -> list[tuple[int, int]]:
        """For each state of an event's copies the ids of what they say together."""
        targets = targets_of(self._connection, {n for state in states for n in state[:_SIDES] if n >= 0})
        pullers = pullers_of(self._connection, {n for state in states for n in state[_SIDES:] if n >= 0})
        found: list[Copy] = [
            join_copies(
                [
                    (targets[target], pullers[puller]) if target >= 0 else None
                    for target, puller in zip(state[:_SIDES], state[_SIDES:], strict=True)
                ]
            )
            for state in states
        ]
        # Of a target with a digest or a tag the id is known: it is that of one of the copies.
        ids = {target: key for key, target in targets.items()}
        ids |= self._target_ids({target for target, _ in found if target not in ids})
        of_pullers = self._puller_ids({puller for _, puller in found})
        return [(ids[target], of_pullers[puller]) for target, puller in found]


def targets_of(connection: Connection, ids: Collection[int]) -> dict[int, Target]:
    """The targets with these ids."""
    rows = list(rows_where_in(connection, _TARGETS, _target.c.id, list(ids)))
    digests = {row[5] for row in rows} - {None}
    texts = {
        key: join_digest(algorithm, value) for key, algorithm, value in digest_rows(connection, list(digests))
    }
    tags = dict(
        rows_where_in(connection, _TAGS, tables.tag_name.c.id, list({row[6] for row in rows} - {None}))
    )
    return {
        key: Target(account, region, name, KIND_OF[kind], texts.get(digest, ""), tags.get(tag, ""))
        for key, account, region, name, kind, digest, tag in rows
    }


def pullers_of(connection: Connection, ids: Collection[int]) -> dict[int, Puller]:
    """The pullers with these ids."""
    rows = rows_where_in(connection, _PULLERS, _puller.c.id, list(ids))
    return {
        key: Puller(account, principal, region, RegionMethod(method), Confidence(confidence))
        for key, account, principal, region, method, confidence in rows
    }


def _key(kind: str, name: Iterable[str]) -> bytes:
    return blake2b("\0".join((kind, *name)).encode(), digest_size=16).digest()


def _by_position(
    positions: Int32, names: Sequence[Any], ids_of: Callable[[Collection[Any]], dict[Any, int]]
) -> Int64:
    """The ids of ``names[position]``."""
    used = np.unique(positions).tolist()
    ids = ids_of({names[position] for position in used})
    found = np.zeros(len(names), np.int64)
    found[used] = [ids[names[position]] for position in used]
    return found[positions]


def _states(joints: UInt64, copies: Copies) -> Int64:
    """For each of ``joints`` the target of each side's copy, and then the pullers; -1 where there is none."""
    states = np.full((len(joints), 2 * _SIDES), -1, np.int64)
    place = np.searchsorted(joints, copies["joint"])
    side = copies["side"].astype(np.int64) - 1
    states[place, side] = copies["target"]
    states[place, side + _SIDES] = copies["puller"]
    return states


def _distinct(rows: Int64) -> list[tuple[tuple[int, ...], int]]:
    """The distinct rows, and how often each is there."""
    if not len(rows):
        return []
    # Sorting rows as such is slow; sorting column by column is not.
    order = np.lexsort(rows.T)
    ordered = rows[order]
    starts = np.flatnonzero(np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)])
    times = np.diff(np.r_[starts, len(rows)])
    return list(zip(map(tuple, ordered[starts].tolist()), times.tolist(), strict=True))
