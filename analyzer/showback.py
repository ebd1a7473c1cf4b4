"""What repositories cost by the value of an AWS tag that they carry: show-back.

Repositories are whole here: what several of them share at registry scope belongs to none, and stays a
row of its own, so that the rows add up to the total at both scopes.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from analyzer.model.results import RepositoryRow, ScopedBytes, ScopedMoney, TagGroup, TagGroups
from analyzer.model.units import add_up


def group_by_tag(rows: Sequence[RepositoryRow], key: str) -> TagGroups:
    """``rows`` by their value of the tag ``key``, dearest first.

    Those without it, and those whose tags are not known, are the last two groups, where there are any.
    """
    members: dict[tuple[str, str], list[RepositoryRow]] = {}
    for row in rows:
        tags = row.settings.tags
        if tags is None:
            group = ("unknown", "")
        elif key in tags:
            group = ("value", tags[key])
        else:
            group = ("untagged", "")
        members.setdefault(group, []).append(row)
    groups = [_group(kind, value, own) for (kind, value), own in members.items()]
    order = ("value", "untagged", "unknown")
    return TagGroups(key=key, rows=tuple(sorted(groups, key=lambda g: (order.index(g.kind), *_rank(g)))))


def _rank(group: TagGroup) -> tuple[bool, Decimal, int, str]:
    amount = group.cost.repository.amount
    return amount is None, -(amount or Decimal(0)), -group.physical_bytes.repository, group.value


def _group(kind: str, value: str, rows: Sequence[RepositoryRow]) -> TagGroup:
    return TagGroup(
        kind=kind,
        value=value,
        members=tuple(rows),
        physical_bytes=ScopedBytes(
            repository=sum(row.physical_bytes.repository for row in rows),
            registry=sum(row.physical_bytes.registry for row in rows),
        ),
        orphaned_freed_bytes=sum(row.orphaned_freed_bytes for row in rows),
        cost=ScopedMoney(
            repository=add_up(row.cost.repository for row in rows),
            registry=add_up(row.cost.registry for row in rows),
        ),
        orphaned_cost=add_up(row.orphaned_cost for row in rows),
    )
