"""Alembic's entry: it runs on the connection, and in the transaction, that `migrations.upgrade` gives."""

from alembic import context

from freehold.server.store import schema

context.configure(
    connection=context.config.attributes["connection"], target_metadata=schema.metadata, transactional_ddl=True
)
context.run_migrations()
