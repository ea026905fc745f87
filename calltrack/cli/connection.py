"""The database, for commands: of the running system, or of servers started for as long as the command runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.errors import UndefinedColumn, UndefinedTable
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from calltrack.config import settings
from calltrack.db.credentials import Vault
from calltrack.db.session import engine
from calltrack.embedded.servers import Servers
from calltrack.errors import FixConfiguration


def servers() -> Servers:
    """The servers of the settings, running: as a context manager it stops what it had to start."""
    return Servers(settings())


@contextmanager
def database() -> Iterator[Connection]:
    """A connection; what was done on it is committed at the end, unless an error ends it."""
    with servers(), engine().connect() as connection:
        try:
            yield connection
        except ProgrammingError as error:
            if isinstance(error.orig, UndefinedTable | UndefinedColumn):
                raise FixConfiguration(
                    "The database schema is not there or too old: run `calltrack db upgrade`."
                ) from None
            raise
        connection.commit()


def vault() -> Vault:
    """The vault with the keys of the settings. Call it inside `database()`: the embedded start makes a key file."""
    return Vault(settings().secret_keys, settings().home)
