"""Alembic's entry: migrates over the connection that the database adapter hands in."""

from alembic import context

from core.adapters.database_tables import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
