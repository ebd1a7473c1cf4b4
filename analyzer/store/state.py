"""What the store knows of a repository now, or knew at any past snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
)

from analyzer.model.records import Artifact, ImageStatus, ScanSummary
from analyzer.store import tables
from analyzer.store.changes import RepositoryState
from analyzer.store.interning import join_digest

#: Later than the number of any snapshot.
_FAR_AHEAD = 2**31 - 1
_MEDIA_TYPES = select(tables.media_type.c.id, tables.media_type.c.name)


def during(table: FromClause, snapshot: int | ColumnElement[int] | None) -> ColumnElement[bool]:
    """The interval of ``table`` holds at ``snapshot`` of its registry; None means now."""
    if snapshot is None:
        return table.c.gone_snapshot.is_(None)
    return and_(
        table.c.first_snapshot <= snapshot,
        or_(table.c.gone_snapshot.is_(None), table.c.gone_snapshot > snapshot),
    )


def end_of(table: FromClause) -> ColumnElement[int]:
    """The first snapshot that no longer saw an interval of ``table``, far ahead where it holds on."""
    end: ColumnElement[int] = func.coalesce(table.c.gone_snapshot, literal(_FAR_AHEAD))
    return end


def media_types(connection: Connection) -> dict[int | None, str | None]:
    """Names of media types by id; None stays None."""
    names: dict[int | None, str | None] = {None: None}
    names.update((key, name) for key, name in connection.execute(_MEDIA_TYPES))
    return names


def load_repository(
    connection: Connection,
    repository_id: int,
    types: dict[int | None, str | None],
    snapshot: int | None = None,
) -> RepositoryState:
    """The repository as the store knows it at ``snapshot`` of its registry, or now."""
    return load_repositories(connection, [repository_id], types, snapshot)[repository_id]


def load_repositories(
    connection: Connection,
    repository_ids: Sequence[int],
    types: dict[int | None, str | None],
    snapshot: int | None = None,
) -> dict[int, RepositoryState]:
    """The same of several repositories of a registry by their ids, in as many queries as for one."""
    states = {repository_id: RepositoryState() for repository_id in repository_ids}
    tags_of: dict[tuple[int, str], list[str]] = {}
    is_now, asked = snapshot is None, parameters(snapshot, owners=repository_ids)
    for repository_id, name, algorithm, value in connection.execute(_tags(is_now=is_now), asked):
        digest = join_digest(algorithm, value)
        states[repository_id].tags[name] = digest
        tags_of.setdefault((repository_id, digest), []).append(name)
    pulled = _of_images(tables.artifact_pull, "pulled_day", is_now=is_now)
    pulls = {(owner, key): day for owner, key, day in connection.execute(pulled, asked)}
    scanned = _of_images(tables.artifact_scan, *ScanSummary._fields, is_now=is_now)
    scans = {(row[0], row[1]): ScanSummary(*row[2:]) for row in connection.execute(scanned, asked).all()}
    statuses = list(ImageStatus)
    for row in connection.execute(_artifacts(is_now=is_now), asked):
        (
            repository_id,
            key,
            algorithm,
            value,
            pushed,
            status,
            archived,
            activated,
            size,
            kind,
            artifact_kind,
            s_algorithm,
            s_value,
        ) = row
        digest = join_digest(algorithm, value)
        states[repository_id].artifacts[digest] = Artifact(
            digest,
            tuple(sorted(tags_of.get((repository_id, digest), ()))),
            pushed,
            statuses[status],
            archived,
            activated,
            size,
            types[kind],
            types[artifact_kind],
            None if s_value is None else join_digest(s_algorithm, s_value),
            pulls.get((repository_id, key)),
            scans.get((repository_id, key)),
        )
    return states


# What is asked of every registry, often for a few rows: putting a statement together takes longer than
# its answer does, so each is made once, for now and for a past snapshot.


def parameters(snapshot: int | None, **others: object) -> dict[str, Any]:
    """The parameters of a statement that was made with `moment`."""
    return others if snapshot is None else {**others, "snapshot": snapshot}


def moment(*, is_now: bool) -> ColumnElement[int] | None:
    """The snapshot of `during` in a statement that is used again for others."""
    return None if is_now else bindparam("snapshot", type_=Integer)


@lru_cache(maxsize=2)
def _artifacts(*, is_now: bool) -> Select[Any]:
    artifact, digest, subject = tables.artifact, tables.digest, tables.digest.alias("subject")
    return (
        select(
            artifact.c.repository_id,
            artifact.c.digest_id,
            digest.c.algorithm,
            digest.c.hash,
            artifact.c.pushed_at_ms,
            artifact.c.image_status,
            artifact.c.archived_at_ms,
            artifact.c.activated_at_ms,
            artifact.c.reported_size_bytes,
            artifact.c.media_type_id,
            artifact.c.artifact_media_type_id,
            subject.c.algorithm,
            subject.c.hash,
        )
        .join(digest, digest.c.id == artifact.c.digest_id)
        .outerjoin(subject, subject.c.id == artifact.c.subject_id)
        .where(_of(artifact, "repository_id"), during(artifact, moment(is_now=is_now)))
    )


@lru_cache(maxsize=2)
def _tags(*, is_now: bool) -> Select[Any]:
    tag, name, digest = tables.tag, tables.tag_name, tables.digest
    return (
        select(tag.c.repository_id, name.c.name, digest.c.algorithm, digest.c.hash)
        .select_from(tag)
        .join(name, name.c.id == tag.c.tag_name_id)
        .join(digest, digest.c.id == tag.c.digest_id)
        .where(_of(tag, "repository_id"), during(tag, moment(is_now=is_now)))
    )


@lru_cache(maxsize=4)
def _of_images(table: Table, *columns: str, is_now: bool) -> Select[Any]:
    """Repository, digest's id and ``columns``."""
    query = select(*(table.c[column] for column in ("repository_id", "digest_id", *columns)))
    return query.where(_of(table, "repository_id"), during(table, moment(is_now=is_now)))


def _of(table: Table, column: str) -> ColumnElement[bool]:
    return table.c[column].in_(bindparam("owners", expanding=True))


def load_settings(
    connection: Connection, table: Table, owner_column: str, owner: int, snapshot: int | None = None
) -> dict[str, str]:
    """Setting name to value (canonical JSON text) of one repository or registry."""
    return load_settings_of(connection, table, owner_column, [owner], snapshot)[owner]


def load_settings_of(
    connection: Connection,
    table: Table,
    owner_column: str,
    owners: Sequence[int],
    snapshot: int | None = None,
) -> dict[int, dict[str, str]]:
    """The same of several by their ids."""
    query = _settings(table, owner_column, is_now=snapshot is None)
    found: dict[int, dict[str, str]] = {owner: {} for owner in owners}
    for owner, name, text in connection.execute(query, parameters(snapshot, owners=owners)):
        found[owner][name] = text
    return found


@lru_cache(maxsize=4)
def _settings(table: Table, owner_column: str, *, is_now: bool) -> Select[Any]:
    value = tables.setting_value
    return (
        select(table.c[owner_column], table.c.name, value.c.value)
        .join(value, value.c.id == table.c.value_id)
        .where(_of(table, owner_column), during(table, moment(is_now=is_now)))
    )


def settings_in_force(
    connection: Connection, registry_id: int, snapshot: int, names: Sequence[str], texts: dict[int, str]
) -> Sequence[Row[int, str, int]]:
    """(repository's id, name, value's id) of the settings ``names`` of a registry's repositories.

    The values (canonical JSON texts) are put into ``texts`` by their ids, for a policy repeats in many
    repositories: each text is fetched, and kept, once.
    """
    setting, repository, value = tables.repository_setting, tables.repository, tables.setting_value
    in_force = (
        select(setting.c.repository_id, setting.c.name, setting.c.value_id)
        .join(repository, repository.c.id == setting.c.repository_id)
        .where(repository.c.registry_id == registry_id, setting.c.name.in_(names), during(setting, snapshot))
    )
    rows = connection.execute(in_force).all()
    wanted = select(in_force.subquery().c.value_id)
    for key, text in connection.execute(select(value.c.id, value.c.value).where(value.c.id.in_(wanted))):
        texts.setdefault(key, text)
    return rows
