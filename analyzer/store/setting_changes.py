"""Which settings have another value in one snapshot than in an earlier one, and whether any policy has."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, func, select

from analyzer.model.history import SettingChange
from analyzer.store import tables
from analyzer.store.bulk import rows_where_in
from analyzer.store.repository_frames import POLICY
from analyzer.store.snapshots import SnapshotRef
from analyzer.store.state import during

#: Owner and name of a setting.
_Key = tuple[int, str]


def load_setting_changes(
    connection: Connection, before: Sequence[SnapshotRef], after: Sequence[SnapshotRef]
) -> list[SettingChange]:
    """The changes from ``before`` to ``after`` in registries and repositories that both have, sorted."""
    earlier = {snapshot.registry_id: snapshot for snapshot in before}
    changed: list[tuple[SnapshotRef, str, str, int | None, int | None]] = []
    for snapshot in after:
        old = earlier.get(snapshot.registry_id)
        if old is None or old.number == snapshot.number:
            continue
        names = _repositories(connection, old, snapshot)
        for table, column in (
            (tables.registry_setting, "registry_id"),
            (tables.repository_setting, "repository_id"),
        ):
            one, other = (_values(connection, table, column, side) for side in (old, snapshot))
            for owner, name in sorted(one.keys() | other.keys()):
                repository = names.get(owner) if column == "repository_id" else ""
                was, now = one.get((owner, name)), other.get((owner, name))
                if repository is not None and was != now:
                    changed.append((snapshot, repository, name, was, now))
    value = tables.setting_value
    wanted = {key for *_, was, now in changed for key in (was, now) if key is not None}
    texts = dict(rows_where_in(connection, select(value.c.id, value.c.value), value.c.id, list(wanted)))
    return sorted(
        (
            SettingChange(
                account=snapshot.key.account,
                region=snapshot.key.region,
                repository=repository,
                name=name,
                before=None if was is None else texts[was],
                after=None if now is None else texts[now],
            )
            for snapshot, repository, name, was, now in changed
        ),
        key=lambda change: (change.account, change.region, change.repository, change.name),
    )


def policies_changed(connection: Connection, snapshots: Sequence[SnapshotRef]) -> bool:
    """Whether any lifecycle policy of these registries was another one in an earlier snapshot."""
    setting, repository = tables.repository_setting, tables.repository
    for snapshot in snapshots:
        query = (
            select(setting.c.repository_id)
            .join(repository, repository.c.id == setting.c.repository_id)
            .where(
                repository.c.registry_id == snapshot.registry_id,
                setting.c.name == POLICY,
                setting.c.first_snapshot <= snapshot.number,
            )
            .group_by(setting.c.repository_id)
            .having(func.count() > 1)
            .limit(1)
        )
        if connection.execute(query).first() is not None:
            return True
    return False


def _repositories(connection: Connection, before: SnapshotRef, after: SnapshotRef) -> dict[int, str]:
    """Names of the repositories that both have, by id."""
    repository, read = tables.repository, tables.repository_read
    found = []
    for snapshot in (before, after):
        query = (
            select(repository.c.id, repository.c.name)
            .join(read, read.c.repository_id == repository.c.id)
            .where(repository.c.registry_id == snapshot.registry_id, during(read, snapshot.number))
        )
        found.append(dict(connection.execute(query).all()))
    return {key: name for key, name in found[1].items() if key in found[0]}


def _values(connection: Connection, table: Table, column: str, snapshot: SnapshotRef) -> dict[_Key, int]:
    query = select(table.c[column], table.c.name, table.c.value_id).where(during(table, snapshot.number))
    if column == "registry_id":
        query = query.where(table.c.registry_id == snapshot.registry_id)
    else:
        repository = tables.repository
        query = query.join(repository, repository.c.id == table.c.repository_id).where(
            repository.c.registry_id == snapshot.registry_id
        )
    return {(owner, name): value for owner, name, value in connection.execute(query)}
