"""Runs the migrations on the connection that ``serve.database`` hands over, within its transaction."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("expected a connection, found none: migrations run when serve.database.Database.open is called")
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
