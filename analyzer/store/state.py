"""What the store knows of a repository now, or knew at any past snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, or_, select

from analyzer.model.records import Artifact, ImageStatus, ScanSummary
from analyzer.store import tables
from analyzer.store.changes import RepositoryState
from analyzer.store.interning import join_digest


def during(table: FromClause, snapshot: int | ColumnElement[int] | None) -> ColumnElement[bool]:
    """The interval of ``table`` holds at ``snapshot`` of its registry; None means now."""
    if snapshot is None:
        return table.c.gone_snapshot.is_(None)
    return and_(
        table.c.first_snapshot <= snapshot,
        or_(table.c.gone_snapshot.is_(None), table.c.gone_snapshot > snapshot),
    )


def media_types(connection: Connection) -> dict[int | None, str | None]:
    """Names of media types by id; None stays None."""
    table = tables.media_type
    names: dict[int | None, str | None] = {None: None}
    names.update((key, name) for key, name in connection.execute(select(table.c.id, table.c.name)))
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
    for repository_id, name, algorithm, value in connection.execute(_tags(repository_ids, snapshot)):
        digest = join_digest(algorithm, value)
        states[repository_id].tags[name] = digest
        tags_of.setdefault((repository_id, digest), []).append(name)
    pulls = {
        (repository_id, key): day
        for repository_id, key, day in _rows(
            connection, tables.artifact_pull, repository_ids, snapshot, "pulled_day"
        )
    }
    scans = {
        (row[0], row[1]): ScanSummary(*row[2:])
        for row in _rows(connection, tables.artifact_scan, repository_ids, snapshot, *ScanSummary._fields)
    }
    statuses = list(ImageStatus)
    for row in connection.execute(_artifacts(repository_ids, snapshot)):
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


def _artifacts(repository_ids: Sequence[int], snapshot: int | None) -> Select[Any]:
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
        .where(artifact.c.repository_id.in_(repository_ids), during(artifact, snapshot))
    )


def _tags(repository_ids: Sequence[int], snapshot: int | None) -> Select[Any]:
    tag, name, digest = tables.tag, tables.tag_name, tables.digest
    return (
        select(tag.c.repository_id, name.c.name, digest.c.algorithm, digest.c.hash)
        .select_from(tag)
        .join(name, name.c.id == tag.c.tag_name_id)
        .join(digest, digest.c.id == tag.c.digest_id)
        .where(tag.c.repository_id.in_(repository_ids), during(tag, snapshot))
    )


def _rows(
    connection: Connection,
    table: FromClause,
    repository_ids: Sequence[int],
    snapshot: int | None,
    *columns: str,
) -> Any:
    """Repository, digest's id and ``columns``."""
    query = select(*(table.c[column] for column in ("repository_id", "digest_id", *columns)))
    return connection.execute(
        query.where(table.c.repository_id.in_(repository_ids), during(table, snapshot))
    ).all()


def load_settings(
    connection: Connection, table: FromClause, owner_column: str, owner: int, snapshot: int | None = None
) -> dict[str, str]:
    """Setting name to value (canonical JSON text) of one repository or registry."""
    return load_settings_of(connection, table, owner_column, [owner], snapshot)[owner]


def load_settings_of(
    connection: Connection,
    table: FromClause,
    owner_column: str,
    owners: Sequence[int],
    snapshot: int | None = None,
) -> dict[int, dict[str, str]]:
    """The same of several by their ids."""
    value = tables.setting_value
    query = (
        select(table.c[owner_column], table.c.name, value.c.value)
        .join(value, value.c.id == table.c.value_id)
        .where(table.c[owner_column].in_(owners), during(table, snapshot))
    )
    found: dict[int, dict[str, str]] = {owner: {} for owner in owners}
    for owner, name, text in connection.execute(query):
        found[owner][name] = text
    return found
