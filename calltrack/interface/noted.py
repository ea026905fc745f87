"""What is changed at a provider is noted in the audit log: that it was asked for, before the request goes out, and what
came of it.

So nothing is done that the log does not tell of. An entry "asked" that is followed by no other with its number is that
of a process that was killed in between: whether it was done is to be seen at the provider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, text

from calltrack.db import audit
from calltrack.db.accounts import Account
from calltrack.db.session import engine
from calltrack.errors import AlreadyAsked, CalltrackError

#: entries among which a number is looked for: one that comes twice does so within minutes
NEWEST = 10_000
_ONE_BY_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:number, 0))")
_KNOWN = text("""
SELECT EXISTS (SELECT FROM (SELECT details FROM audit_log ORDER BY id DESC LIMIT :newest) AS newest
    WHERE details ->> 'request' = :number)
""")


@contextmanager
def noted(account: Account, what: str, number: str, details: Mapping[str, object]) -> Iterator[None]:
    """Around the request. Raises `AlreadyAsked` where there was one with this number."""
    with engine().begin() as connection:
        _claim(connection, number)
        _note(connection, account, what, number, "asked", details)
    outcome = "interrupted"
    try:
        yield
        outcome = "done"
    except CalltrackError as error:
        outcome = error.reason
        raise
    finally:
        with engine().begin() as connection:
            _note(connection, account, what, number, outcome, details)


def _claim(connection: Connection, number: str) -> None:
    connection.execute(_ONE_BY_ONE, {"number": number})
    if connection.execute(_KNOWN, {"number": number, "newest": NEWEST}).scalar():
        raise AlreadyAsked


def _note(
    connection: Connection, account: Account, what: str, number: str, outcome: str, details: Mapping[str, object]
) -> None:
    given = {name: value for name, value in details.items() if value is not None}
    audit.record(connection, what, account.label, **given, request=number, outcome=outcome)
