"""What the store knows of a repository now, or knew at any past snapshot."""

from __future__ import annotations

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
    tags: dict[str, str] = {}
    tags_of: dict[str, list[str]] = {}
    for name, algorithm, value in connection.execute(_tags(repository_id, snapshot)):
        digest = join_digest(algorithm, value)
        tags[name] = digest
        tags_of.setdefault(digest, []).append(name)
    pulls = dict(_rows(connection, tables.artifact_pull, repository_id, snapshot, "digest_id", "pulled_day"))
    scans = {
        row[0]: ScanSummary(*row[1:])
        for row in _rows(
            connection, tables.artifact_scan, repository_id, snapshot, "digest_id", *ScanSummary._fields
        )
    }
    artifacts = {}
    statuses = list(ImageStatus)
    for row in connection.execute(_artifacts(repository_id, snapshot)):
        (
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
        artifacts[digest] = Artifact(
            digest,
            tuple(sorted(tags_of.get(digest, ()))),
            pushed,
            statuses[status],
            archived,
            activated,
            size,
            types[kind],
            types[artifact_kind],
            None if s_value is None else join_digest(s_algorithm, s_value),
            pulls.get(key),
            scans.get(key),
        )
    return RepositoryState(artifacts, tags)


def _artifacts(repository_id: int, snapshot: int | None) -> Select[Any]:
    artifact, digest, subject = tables.artifact, tables.digest, tables.digest.alias("subject")
    return (
        select(
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
        .where(artifact.c.repository_id == repository_id, during(artifact, snapshot))
    )


def _tags(repository_id: int, snapshot: int | None) -> Select[Any]:
    tag, name, digest = tables.tag, tables.tag_name, tables.digest
    return (
        select(name.c.name, digest.c.algorithm, digest.c.hash)
        .select_from(tag)
        .join(name, name.c.id == tag.c.tag_name_id)
        .join(digest, digest.c.id == tag.c.digest_id)
        .where(tag.c.repository_id == repository_id, during(tag, snapshot))
    )


def _rows(
    connection: Connection, table: FromClause, repository_id: int, snapshot: int | None, *columns: str
) -> Any:
    query = select(*(table.c[column] for column in columns))
    return connection.execute(
        query.where(table.c.repository_id == repository_id, during(table, snapshot))
    ).all()


def load_settings(
    connection: Connection, table: FromClause, owner_column: str, owner: int, snapshot: int | None = None
) -> dict[str, str]:
    """Setting name to value (canonical JSON text) of one repository or registry."""
    value = tables.setting_value
    query = (
        select(table.c.name, value.c.value)
        .join(value, value.c.id == table.c.value_id)
        .where(table.c[owner_column] == owner, during(table, snapshot))
    )
    return dict(connection.execute(query).all())
