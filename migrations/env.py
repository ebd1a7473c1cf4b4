"""How Alembic runs the migrations: each in a transaction of its own, checked before it commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from analyzer.errors import RunError
from analyzer.store.engine import Database
from analyzer.store.schema import VERSION_TABLE
from analyzer.store.tables import metadata


def _check_foreign_keys(
    ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
) -> None:
    """Refuse to commit a migration that leaves rows pointing nowhere (SQLite, keys being off).

    Alembic calls this inside the migration's transaction, which the error undoes.
    """
    del heads, run_args
    connection = ctx.connection
    if connection is None or connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise RunError(
            f"migration {step.up_revision_id} was undone: rows of table {broken[0]} would refer to rows "
            f"that {broken[2]} lacks"
        )


def _main() -> None:
    database: Database = context.config.attributes["database"]
    with database.migrating() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            version_table=VERSION_TABLE,
            transaction_per_migration=True,
            render_as_batch=True,
            on_version_apply=_check_foreign_keys,
        )
        with context.begin_transaction():
            context.run_migrations()


_main()
