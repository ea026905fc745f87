"""Runs the steps: all that are due in one transaction, one upgrade at a time (`calltrack.db.migrate`)."""

from __future__ import annotations

from alembic import context
from alembic.runtime.migration import MigrationInfo
from sqlalchemy import Connection

from calltrack.db.migrate import take_turn
from calltrack.db.session import engine
from calltrack.db.tables import metadata


def run(connection: Connection) -> None:
    # Constraint and index names that a step does not give follow the naming convention of `metadata`.
    context.configure(connection, target_metadata=metadata, compare_server_default=True, on_version_apply=note)
    with context.begin_transaction():
        take_turn(connection)
        context.run_migrations()


def note(ctx: object, step: MigrationInfo, heads: object, run_args: object) -> None:  # noqa: ARG001 - alembic's form
    """Tell who asked which step was done."""
    context.config.attributes.setdefault("done", []).append(step.up_revision_id)


def main() -> None:
    """With the connection at hand, or, under the `alembic` command, with one of our own."""
    if handed_in := context.config.attributes.get("connection"):
        run(handed_in)
        return
    with engine().connect() as connection:
        run(connection)


main()
