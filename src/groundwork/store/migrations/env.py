"""How Alembic reaches the database: over the connection `store.migrate` hands it, inside that one transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)

with context.begin_transaction():
    context.run_migrations()
