"""Add what pruned snapshots leave behind: when they were taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "pruned_snapshot",
        sa.Column("registry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("taken_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registry_id"], ["registry.id"], name=op.f("fk_pruned_snapshot_registry_id")
        ),
        sa.PrimaryKeyConstraint("registry_id", "number", name=op.f("pk_pruned_snapshot")),
        sqlite_with_rowid=False,
    )
