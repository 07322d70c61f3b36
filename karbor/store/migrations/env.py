"""Run by Alembic: migrate on the connection, and in the transaction, that `upgrade` has opened."""

from __future__ import annotations

from alembic import context

from karbor.store import checkpoint_tables, plan_tables, schedule_tables  # noqa: F401 - their tables are in METADATA with the others
from karbor.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA,
                  transactional_ddl=True, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
