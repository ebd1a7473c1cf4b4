"""Where EC2 instances and VPC endpoints are, remembered for as long as their pulls may be told of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from analyzer.model.pulls import Machine
from analyzer.store import tables
from analyzer.store.bulk import chunks, rows_where_in

_BLOCK = 1_000
_REGIONS = select(tables.machine.c.name, tables.machine.c.region)


def remember_machines(connection: Connection, machines: Iterable[Machine]) -> None:
    """Note where ``machines`` were seen; of one that is known, if that was not on an earlier day."""
    latest: dict[str, Machine] = {}
    for one in machines:
        known = latest.get(one.name)
        if known is None or known.seen_day <= one.seen_day:
            latest[one.name] = one
    # In one order, so that two writers do not wait for each other.
    rows = [one._asdict() for _, one in sorted(latest.items())]
    table = tables.machine
    maker: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = maker.insert(table)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=[table.c.name],
        set_={"account": new.account, "region": new.region, "seen_day": new.seen_day},
        where=table.c.seen_day <= new.seen_day,
    )
    for block in chunks(rows, _BLOCK):
        connection.execute(statement, list(block))


def machine_regions(connection: Connection, names: Collection[str] | None = None) -> dict[str, str]:
    """Regions of the machines that are known, by name (``i-…``, ``vpce-…``); only of ``names`` if given."""
    if names is None:
        return dict(connection.execute(_REGIONS).all())
    wanted: Sequence[str] = sorted(set(names))
    return dict(rows_where_in(connection, _REGIONS, tables.machine.c.name, wanted))


def forget_machines(connection: Connection, before_day: int) -> int:
    """Forget the machines that were last seen before ``before_day``; gives how many those are."""
    return connection.execute(delete(tables.machine).where(tables.machine.c.seen_day < before_day)).rowcount
