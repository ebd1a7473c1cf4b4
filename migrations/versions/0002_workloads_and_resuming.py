"""Add workloads, what interrupted runs leave behind, and a view of workloads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The same on SQLite and PostgreSQL.
_VIEW = """
    CREATE VIEW v_workloads AS
    SELECT registry.account, registry.region, workload_use.source, workload.name AS workload,
           CASE workload_use.kind WHEN 0 THEN 'running' WHEN 1 THEN 'configured' ELSE 'previous' END AS kind,
           image_reference.name AS image_reference
    FROM workload_use
    JOIN registry ON registry.id = workload_use.registry_id
    JOIN workload ON workload.id = workload_use.workload_id
    JOIN image_reference ON image_reference.id = workload_use.image_reference_id
    WHERE workload_use.gone_snapshot IS NULL
"""


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "image_reference",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_reference")),
        sa.UniqueConstraint("name", name=op.f("uq_image_reference_name")),
    )
    op.create_table(
        "workload",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workload")),
        sa.UniqueConstraint("name", name=op.f("uq_workload_name")),
    )
    op.create_table(
        "checkpoint",
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("repository", sa.String(length=256), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("read_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["registry_id"], ["registry.id"], name=op.f("fk_checkpoint_registry_id")),
        sa.PrimaryKeyConstraint("registry_id", "repository", "created_at_ms", name=op.f("pk_checkpoint")),
    )
    op.create_table(
        "resumed_snapshot",
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registry_id"], ["registry.id"], name=op.f("fk_resumed_snapshot_registry_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_resumed_snapshot_run_id")),
        sa.PrimaryKeyConstraint("run_id", "registry_id", name=op.f("pk_resumed_snapshot")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "workload_read",
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_workload_read_interval")),
        sa.ForeignKeyConstraint(["registry_id"], ["registry.id"], name=op.f("fk_workload_read_registry_id")),
        sa.PrimaryKeyConstraint("registry_id", "source", "first_snapshot", name=op.f("pk_workload_read")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "workload_use",
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("workload_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("image_reference_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("first_snapshot", sa.Integer(), nullable=False),
        sa.Column("gone_snapshot", sa.Integer(), nullable=True),
        sa.CheckConstraint("gone_snapshot > first_snapshot", name=op.f("ck_workload_use_interval")),
        sa.ForeignKeyConstraint(
            ["image_reference_id"], ["image_reference.id"], name=op.f("fk_workload_use_image_reference_id")
        ),
        sa.ForeignKeyConstraint(["registry_id"], ["registry.id"], name=op.f("fk_workload_use_registry_id")),
        sa.ForeignKeyConstraint(["workload_id"], ["workload.id"], name=op.f("fk_workload_use_workload_id")),
        sa.PrimaryKeyConstraint(
            "registry_id",
            "source",
            "workload_id",
            "image_reference_id",
            "kind",
            "first_snapshot",
            name=op.f("pk_workload_use"),
        ),
        sqlite_with_rowid=False,
    )
    op.execute(_VIEW)
