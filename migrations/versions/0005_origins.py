"""Add what tells where pullers are: AWS's ip-ranges, and the regions of machines that were seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "ip_ranges",
        sa.Column("created_at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stored_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("created_at_ms", name=op.f("pk_ip_ranges")),
    )
    op.create_table(
        "machine",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("seen_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_machine")),
        sqlite_with_rowid=False,
    )
