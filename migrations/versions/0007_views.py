"""Add views for people who query with SQL: registries, repositories, policies, gaps, and figures by day."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# As in 0001: the same answers on both. Braces stand for what the two spell differently.
_VIEWS = (
    """
    CREATE VIEW v_registries AS
    SELECT registry.partition, registry.account, registry.region, snapshot.number AS snapshot,
           snapshot.run_id AS run, {taken_at} AS taken_at, snapshot.status
    FROM snapshot
    JOIN registry ON registry.id = snapshot.registry_id
    WHERE snapshot.number = (
        SELECT max(other.number) FROM snapshot AS other WHERE other.registry_id = snapshot.registry_id)
    """,
    """
    CREATE VIEW v_repositories AS
    SELECT registry.account, registry.region, repository.name AS repository, {created_at} AS created_at,
           repository_read.status, repository_fact.images, repository_fact.indexes,
           repository_fact.referrers, repository_fact.unknown AS unknown_artifacts,
           repository_fact.untagged_images, repository_fact.orphaned_images,
           repository_fact.logical_bytes, repository_fact.physical_bytes, repository_fact.unique_bytes
    FROM repository_read
    JOIN repository ON repository.id = repository_read.repository_id
    JOIN registry ON registry.id = repository.registry_id
    LEFT JOIN repository_fact ON repository_fact.repository_id = repository.id
        AND repository_fact.gone_snapshot IS NULL
    WHERE repository_read.gone_snapshot IS NULL
    """,
    """
    CREATE VIEW v_lifecycle_policies AS
    SELECT registry.account, registry.region, repository.name AS repository, {policy} AS policy
    FROM repository_setting
    JOIN setting_value ON setting_value.id = repository_setting.value_id
    JOIN repository_read ON repository_read.repository_id = repository_setting.repository_id
        AND repository_read.gone_snapshot IS NULL
    JOIN repository ON repository.id = repository_setting.repository_id
    JOIN registry ON registry.id = repository.registry_id
    WHERE repository_setting.name = 'lifecycle_policy_text' AND repository_setting.gone_snapshot IS NULL
    """,
    """
    CREATE VIEW v_gaps AS
    SELECT registry.account, registry.region, gap.repository, gap.run_id AS run, gap.call, gap.reason,
           gap.detail, gap."count" AS times
    FROM gap
    JOIN registry ON registry.id = gap.registry_id
    WHERE gap.run_id >= (
        SELECT coalesce(max(snapshot.run_id), 0) FROM snapshot
        WHERE snapshot.registry_id = gap.registry_id)
    """,
    """
    CREATE VIEW v_daily AS
    SELECT {day} AS day, registry.account, registry.region, repository.name AS repository,
           {created_at} AS created_at, repository_read.status, repository_fact.images,
           repository_fact.indexes, repository_fact.referrers,
           repository_fact.unknown AS unknown_artifacts, repository_fact.untagged_images,
           repository_fact.orphaned_images, repository_fact.logical_bytes,
           repository_fact.physical_bytes, repository_fact.unique_bytes
    FROM snapshot
    JOIN registry ON registry.id = snapshot.registry_id
    JOIN repository ON repository.registry_id = snapshot.registry_id
    JOIN repository_read ON repository_read.repository_id = repository.id
        AND repository_read.first_snapshot <= snapshot.number
        AND (repository_read.gone_snapshot IS NULL OR repository_read.gone_snapshot > snapshot.number)
    LEFT JOIN repository_fact ON repository_fact.repository_id = repository.id
        AND repository_fact.first_snapshot <= snapshot.number
        AND (repository_fact.gone_snapshot IS NULL OR repository_fact.gone_snapshot > snapshot.number)
    WHERE snapshot.number = (
        SELECT max(other.number) FROM snapshot AS other
        WHERE other.registry_id = snapshot.registry_id
            AND other.taken_at_ms / 86400000 = snapshot.taken_at_ms / 86400000)
    """,
)


def _sqlite_time(column: str) -> str:
    seconds = f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000, 'unixepoch')"
    return f"{seconds} || printf('.%03dZ', {column} % 1000)"


def _postgresql_time(column: str) -> str:
    moment = f"TIMESTAMP 'epoch' + {column} * INTERVAL '1 millisecond'"
    return f'to_char({moment}, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\')'


def upgrade() -> None:
    """Bring the schema forward."""
    if op.get_bind().dialect.name == "sqlite":
        time, day = _sqlite_time, "date(snapshot.taken_at_ms / 1000, 'unixepoch')"
        policy = "json_extract(setting_value.value, '$')"
    else:
        time = _postgresql_time
        day = "to_char(TIMESTAMP 'epoch' + snapshot.taken_at_ms * INTERVAL '1 millisecond', 'YYYY-MM-DD')"
        policy = "setting_value.value::json #>> '{}'"
    for view in _VIEWS:
        # Both dialects' expressions are constants of this file.
        statement = view.format(
            taken_at=time("snapshot.taken_at_ms"),
            created_at=time("repository.created_at_ms"),
            day=day,
            policy=policy,
        )
        op.execute(statement)
