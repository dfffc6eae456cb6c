"""What alembic runs to migrate: it is handed the connection, in whose transaction everything happens."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
