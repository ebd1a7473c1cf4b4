"""Create the store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "digest",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("algorithm", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest")),
        sa.UniqueConstraint("hash", "algorithm", name=op.f("uq_digest_hash_algorithm")),
    )
    op.create_table(
        "media_type",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_type")),
        sa.UniqueConstraint("name", name=op.f("uq_media_type_name")),
    )
    op.create_table(
        "platform",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_platform")),
        sa.UniqueConstraint("name", name=op.f("uq_platform_name")),
    )
    op.create_table(
        "registry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("partition", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry")),
        sa.UniqueConstraint(
            "account", "region", "partition", name=op.f("uq_registry_account_region_partition")
        ),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("caller", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_table(
        "setting_value",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setting_value")),
        sa.UniqueConstraint("sha256", name=op.f("uq_setting_value_sha256")),
    )
    op.create_table(
        "tag_name",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_name")),
        sa.UniqueConstraint("name", name=op.f("uq_tag_name_name")),
    )
    op.create_table(
        "blob",
        sa.Column(
            "digest_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_blob_digest_id")),
        sa.PrimaryKeyConstraint("digest_id", name=op.f("pk_blob")),
    )
    op.create_table(
        "blob_conflict",
        sa.Column("manifest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_blob_conflict_digest_id")),
        sa.ForeignKeyConstraint(["manifest_id"], ["digest.id"], name=op.f("fk_blob_conflict_manifest_id")),
        sa.PrimaryKeyConstraint("manifest_id", "digest_id", "size_bytes", name=op.f("pk_blob_conflict")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gap",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("repository", sa.String(length=256), nullable=False),
        sa.Column("call", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["registry_id"], ["registry.id"], name=op.f("fk_gap_registry_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_gap_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gap")),
    )
    with op.batch_alter_table("gap", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_gap_registry_id_run_id"), ["registry_id", "run_id"], unique=False
        )

    op.create_table(
        "lease",
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("acquired_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("heartbeat_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["registry_id"], ["registry.id"], name=op.f("fk_lease_registry_id")),
        sa.PrimaryKeyConstraint("registry_id", name=op.f("pk_lease")),
    )
    op.create_table(
        "manifest",
        sa.Column(
            "digest_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("media_type_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("artifact_type_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("subject_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("blob_ids", sa.LargeBinary(), nullable=False),
        sa.Column("blob_media_types", sa.LargeBinary(), nullable=False),
        sa.Column("child_ids", sa.LargeBinary(), nullable=False),
        sa.Column("child_platforms", sa.LargeBinary(), nullable=False),
        sa.Column("annotations", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["artifact_type_id"], ["media_type.id"], name=op.f("fk_manifest_artifact_type_id")
        ),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_manifest_digest_id")),
        sa.ForeignKeyConstraint(["media_type_id"], ["media_type.id"], name=op.f("fk_manifest_media_type_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["digest.id"], name=op.f("fk_manifest_subject_id")),
        sa.PrimaryKeyConstraint("digest_id", name=op.f("pk_manifest")),
    )
    op.create_table(
        "registry_fact",
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("shared_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_registry_fact_interval")),
        sa.ForeignKeyConstraint(["registry_id"], ["registry.id"], name=op.f("fk_registry_fact_registry_id")),
        sa.PrimaryKeyConstraint("registry_id", "first_snapshot", name=op.f("pk_registry_fact")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "registry_setting",
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("value_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_registry_setting_interval")),
        sa.ForeignKeyConstraint(
            ["registry_id"], ["registry.id"], name=op.f("fk_registry_setting_registry_id")
        ),
        sa.ForeignKeyConstraint(
            ["value_id"], ["setting_value.id"], name=op.f("fk_registry_setting_value_id")
        ),
        sa.PrimaryKeyConstraint("registry_id", "name", "first_snapshot", name=op.f("pk_registry_setting")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repository",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["registry_id"], ["registry.id"], name=op.f("fk_repository_registry_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repository")),
        sa.UniqueConstraint(
            "registry_id", "name", "created_at_ms", name=op.f("uq_repository_registry_id_name_created_at_ms")
        ),
    )
    op.create_table(
        "snapshot",
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("taken_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["registry_id"], ["registry.id"], name=op.f("fk_snapshot_registry_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_snapshot_run_id")),
        sa.PrimaryKeyConstraint("registry_id", "number", name=op.f("pk_snapshot")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("snapshot", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_snapshot_run_id"), ["run_id"], unique=False)

    op.create_table(
        "artifact",
        sa.Column("repository_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("pushed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("image_status", sa.SmallInteger(), nullable=False),
        sa.Column("archived_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("activated_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("reported_size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("media_type_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "artifact_media_type_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("subject_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_artifact_interval")),
        sa.ForeignKeyConstraint(
            ["artifact_media_type_id"], ["media_type.id"], name=op.f("fk_artifact_artifact_media_type_id")
        ),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_artifact_digest_id")),
        sa.ForeignKeyConstraint(["media_type_id"], ["media_type.id"], name=op.f("fk_artifact_media_type_id")),
        sa.ForeignKeyConstraint(["repository_id"], ["repository.id"], name=op.f("fk_artifact_repository_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["digest.id"], name=op.f("fk_artifact_subject_id")),
        sa.PrimaryKeyConstraint("repository_id", "digest_id", "first_snapshot", name=op.f("pk_artifact")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "artifact_pull",
        sa.Column("repository_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("pulled_day", sa.Integer(), nullable=False),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_artifact_pull_interval")),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_artifact_pull_digest_id")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_artifact_pull_repository_id")
        ),
        sa.PrimaryKeyConstraint(
            "repository_id", "digest_id", "first_snapshot", name=op.f("pk_artifact_pull")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "artifact_scan",
        sa.Column("repository_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("completed_day", sa.Integer(), nullable=True),
        sa.Column("critical", sa.Integer(), nullable=False),
        sa.Column("high", sa.Integer(), nullable=False),
        sa.Column("medium", sa.Integer(), nullable=False),
        sa.Column("low", sa.Integer(), nullable=False),
        sa.Column("informational", sa.Integer(), nullable=False),
        sa.Column("undefined", sa.Integer(), nullable=False),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_artifact_scan_interval")),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_artifact_scan_digest_id")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_artifact_scan_repository_id")
        ),
        sa.PrimaryKeyConstraint(
            "repository_id", "digest_id", "first_snapshot", name=op.f("pk_artifact_scan")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "manifest_refusal",
        sa.Column("repository_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("image_status", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_manifest_refusal_digest_id")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_manifest_refusal_repository_id")
        ),
        sa.PrimaryKeyConstraint("repository_id", "digest_id", name=op.f("pk_manifest_refusal")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repository_fact",
        sa.Column("repository_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("indexes", sa.Integer(), nullable=False),
        sa.Column("referrers", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("untagged_images", sa.Integer(), nullable=False),
        sa.Column("orphaned_images", sa.Integer(), nullable=False),
        sa.Column("logical_bytes", sa.BigInteger(), nullable=False),
        sa.Column("physical_bytes", sa.BigInteger(), nullable=False),
        sa.Column("unique_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_repository_fact_interval")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_repository_fact_repository_id")
        ),
        sa.PrimaryKeyConstraint("repository_id", "first_snapshot", name=op.f("pk_repository_fact")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repository_read",
        sa.Column("repository_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_repository_read_interval")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_repository_read_repository_id")
        ),
        sa.PrimaryKeyConstraint("repository_id", "first_snapshot", name=op.f("pk_repository_read")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repository_setting",
        sa.Column("repository_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("value_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_repository_setting_interval")),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_repository_setting_repository_id")
        ),
        sa.ForeignKeyConstraint(
            ["value_id"], ["setting_value.id"], name=op.f("fk_repository_setting_value_id")
        ),
        sa.PrimaryKeyConstraint(
            "repository_id", "name", "first_snapshot", name=op.f("pk_repository_setting")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tag",
        sa.Column("repository_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tag_name_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("digest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_tag_interval")),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_tag_digest_id")),
        sa.ForeignKeyConstraint(["repository_id"], ["repository.id"], name=op.f("fk_tag_repository_id")),
        sa.ForeignKeyConstraint(["tag_name_id"], ["tag_name.id"], name=op.f("fk_tag_tag_name_id")),
        sa.PrimaryKeyConstraint("repository_id", "tag_name_id", "first_snapshot", name=op.f("pk_tag")),
        sqlite_with_rowid=False,
    )
    for view in _SQLITE_VIEWS if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL_VIEWS:
        op.execute(view)


# What people who query with SQL are promised (README, "Databases"). A later migration that makes one
# of the tables anew has to drop the views first: SQLite refuses to rename what a view depends on.

_SQLITE_VIEWS = (
    """
    CREATE VIEW v_images AS
    SELECT registry.account, registry.region, repository.name AS repository,
           digest.algorithm || ':' || lower(hex(digest.hash)) AS digest,
           strftime('%Y-%m-%dT%H:%M:%S', artifact.pushed_at_ms / 1000, 'unixepoch')
               || printf('.%03dZ', artifact.pushed_at_ms % 1000) AS pushed_at,
           CASE artifact.image_status WHEN 0 THEN 'ACTIVE' WHEN 1 THEN 'ARCHIVED'
               WHEN 2 THEN 'ACTIVATING' ELSE 'OTHER' END AS image_status,
           date(artifact_pull.pulled_day * 86400, 'unixepoch') AS last_pull
    FROM artifact
    JOIN repository ON repository.id = artifact.repository_id
    JOIN registry ON registry.id = repository.registry_id
    JOIN digest ON digest.id = artifact.digest_id
    LEFT JOIN artifact_pull ON artifact_pull.repository_id = artifact.repository_id
        AND artifact_pull.digest_id = artifact.digest_id AND artifact_pull.gone_snapshot IS NULL
    WHERE artifact.gone_snapshot IS NULL
    """,
    """
    CREATE VIEW v_tags AS
    SELECT registry.account, registry.region, repository.name AS repository, tag_name.name AS tag,
           digest.algorithm || ':' || lower(hex(digest.hash)) AS digest
    FROM tag
    JOIN repository ON repository.id = tag.repository_id
    JOIN registry ON registry.id = repository.registry_id
    JOIN tag_name ON tag_name.id = tag.tag_name_id
    JOIN digest ON digest.id = tag.digest_id
    WHERE tag.gone_snapshot IS NULL
    """,
    """
    CREATE VIEW v_manifests AS
    SELECT digest.algorithm || ':' || lower(hex(digest.hash)) AS digest,
           media_type.name AS media_type,
           CASE WHEN manifest.kind = 0 AND manifest.subject_id IS NOT NULL THEN 'referrer'
               WHEN manifest.kind = 0 THEN 'image' WHEN manifest.kind = 1 THEN 'index'
               WHEN manifest.kind = 2 THEN 'unknown' ELSE 'unreadable' END AS kind,
           manifest.size_bytes
    FROM manifest
    JOIN digest ON digest.id = manifest.digest_id
    JOIN media_type ON media_type.id = manifest.media_type_id
    """,
)

_POSTGRESQL_VIEWS = (
    """
    CREATE VIEW v_images AS
    SELECT registry.account, registry.region, repository.name AS repository,
           digest.algorithm || ':' || encode(digest.hash, 'hex') AS digest,
           to_char(TIMESTAMP 'epoch' + artifact.pushed_at_ms * INTERVAL '1 millisecond',
               'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS pushed_at,
           CASE artifact.image_status WHEN 0 THEN 'ACTIVE' WHEN 1 THEN 'ARCHIVED'
               WHEN 2 THEN 'ACTIVATING' ELSE 'OTHER' END AS image_status,
           to_char(DATE '1970-01-01' + artifact_pull.pulled_day, 'YYYY-MM-DD') AS last_pull
    FROM artifact
    JOIN repository ON repository.id = artifact.repository_id
    JOIN registry ON registry.id = repository.registry_id
    JOIN digest ON digest.id = artifact.digest_id
    LEFT JOIN artifact_pull ON artifact_pull.repository_id = artifact.repository_id
        AND artifact_pull.digest_id = artifact.digest_id AND artifact_pull.gone_snapshot IS NULL
    WHERE artifact.gone_snapshot IS NULL
    """,
    """
    CREATE VIEW v_tags AS
    SELECT registry.account, registry.region, repository.name AS repository, tag_name.name AS tag,
           digest.algorithm || ':' || encode(digest.hash, 'hex') AS digest
    FROM tag
    JOIN repository ON repository.id = tag.repository_id
    JOIN registry ON registry.id = repository.registry_id
    JOIN tag_name ON tag_name.id = tag.tag_name_id
    JOIN digest ON digest.id = tag.digest_id
    WHERE tag.gone_snapshot IS NULL
    """,
    """
    CREATE VIEW v_manifests AS
    SELECT digest.algorithm || ':' || encode(digest.hash, 'hex') AS digest,
           media_type.name AS media_type,
           CASE WHEN manifest.kind = 0 AND manifest.subject_id IS NOT NULL THEN 'referrer'
               WHEN manifest.kind = 0 THEN 'image' WHEN manifest.kind = 1 THEN 'index'
               WHEN manifest.kind = 2 THEN 'unknown' ELSE 'unreadable' END AS kind,
           manifest.size_bytes
    FROM manifest
    JOIN digest ON digest.id = manifest.digest_id
    JOIN media_type ON media_type.id = manifest.media_type_id
    """,
)
