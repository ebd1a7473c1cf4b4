"""Add pulls as CloudTrail records them, in daily aggregates, and a view of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SQLITE_VIEW = """
    CREATE VIEW v_pulls AS
    SELECT date(pull.day * 86400, 'unixepoch') AS day,
           pull_target.account, pull_target.region, pull_target.repository,
           CASE pull_target.kind WHEN 0 THEN 'layer' ELSE 'image' END AS kind,
           digest.algorithm || ':' || lower(hex(digest.hash)) AS digest,
           tag_name.name AS tag, blob.size_bytes,
           puller.account AS principal_account, puller.principal,
           puller.region AS puller_region, puller.method, puller.confidence, pull.times
    FROM pull
    JOIN pull_target ON pull_target.id = pull.target_id
    JOIN puller ON puller.id = pull.puller_id
    LEFT JOIN digest ON digest.id = pull_target.digest_id
    LEFT JOIN blob ON blob.digest_id = pull_target.digest_id
    LEFT JOIN tag_name ON tag_name.id = pull_target.tag_name_id
    WHERE pull_target.kind < 10
"""

_POSTGRESQL_VIEW = """
    CREATE VIEW v_pulls AS
    SELECT to_char(DATE '1970-01-01' + pull.day, 'YYYY-MM-DD') AS day,
           pull_target.account, pull_target.region, pull_target.repository,
           CASE pull_target.kind WHEN 0 THEN 'layer' ELSE 'image' END AS kind,
           digest.algorithm || ':' || encode(digest.hash, 'hex') AS digest,
           tag_name.name AS tag, blob.size_bytes,
           puller.account AS principal_account, puller.principal,
           puller.region AS puller_region, puller.method, puller.confidence, pull.times
    FROM pull
    JOIN pull_target ON pull_target.id = pull.target_id
    JOIN puller ON puller.id = pull.puller_id
    LEFT JOIN digest ON digest.id = pull_target.digest_id
    LEFT JOIN blob ON blob.digest_id = pull_target.digest_id
    LEFT JOIN tag_name ON tag_name.id = pull_target.tag_name_id
    WHERE pull_target.kind < 10
"""


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "pull_target",
        sa.Column("id", _id(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("account", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("repository", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("digest_id", _id(), nullable=True),
        sa.Column("tag_name_id", _id(), nullable=True),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_pull_target_digest_id")),
        sa.ForeignKeyConstraint(["tag_name_id"], ["tag_name.id"], name=op.f("fk_pull_target_tag_name_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pull_target")),
        sa.UniqueConstraint("key", name=op.f("uq_pull_target_key")),
    )
    op.create_table(
        "puller",
        sa.Column("id", _id(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("account", sa.String(length=32), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("confidence", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_puller")),
        sa.UniqueConstraint("key", name=op.f("uq_puller_key")),
    )
    op.create_table(
        "pull",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("target_id", _id(), nullable=False),
        sa.Column("puller_id", _id(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["puller_id"], ["puller.id"], name=op.f("fk_pull_puller_id")),
        sa.ForeignKeyConstraint(["target_id"], ["pull_target.id"], name=op.f("fk_pull_target_id")),
        sa.PrimaryKeyConstraint("day", "target_id", "puller_id", name=op.f("pk_pull")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pull_events",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("events", sa.LargeBinary(), nullable=False),
        sa.Column("copies", sa.LargeBinary(), nullable=False),
        sa.Column("is_closed", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "number", name=op.f("pk_pull_events")),
    )
    op.create_table(
        "pull_files",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("files", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source", "day", "number", name=op.f("pk_pull_files")),
    )
    op.create_table(
        "pull_coverage",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("has_reads", sa.SmallInteger(), nullable=False),
        sa.Column("is_whole", sa.SmallInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "account", "region", "source", name=op.f("pk_pull_coverage")),
        sqlite_with_rowid=False,
    )
    op.execute(_SQLITE_VIEW if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL_VIEW)
