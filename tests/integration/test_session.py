import os

import pytest
from psycopg import DataError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from calltrack.db import session
from calltrack.errors import FixConfiguration


def test_times_are_utc_whatever_the_server_thinks(postgres, database):
    """Made for one role on one server: what a hosted Postgres may be set to."""
    with database.begin() as conn:
        conn.execute(text("ALTER ROLE CURRENT_USER SET timezone = 'Asia/Tokyo'"))
    try:
        engine = session.connect(postgres.url)
        with engine.connect() as conn:
            assert conn.scalar(text("SHOW timezone")) == "UTC"
        engine.dispose()
    finally:
        with database.begin() as conn:
            conn.execute(text("ALTER ROLE CURRENT_USER RESET timezone"))


def test_a_forked_child_leaves_its_parent_s_connections_alone(database, settings_env, monkeypatch):
    in_child = []
    monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_child: in_child.append(after_in_child))
    with session.engine().connect() as conn:
        parent_s = conn.connection.driver_connection
    in_child[0]()
    with session.engine().connect() as conn:
        assert conn.connection.driver_connection is not parent_s
    assert not parent_s.closed
    parent_s.close()


@pytest.mark.parametrize(
    "url", ["", "localhost", "mysql://u:plain-password@h/db", "postgresql://u:plain-password@h:port/db"]
)
def test_an_unreadable_url_is_told_and_not_shown(url):
    with pytest.raises(FixConfiguration, match="postgresql://user:password@host") as fault:
        session.connect(url)
    assert "plain-password" not in fault.value.message


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("INSERT INTO secretive VALUES (:body, 1)", 'violates check constraint "never"'),
        ("SELECT CAST(:body AS numeric)", "invalid input syntax for type numeric: …"),
        ("SELECT no_such_column FROM secretive WHERE body = :body", 'column "no_such_column" does not exist'),
    ],
)
def test_an_error_of_the_database_says_what_is_wrong_and_not_what_a_row_holds(database, statement, told):
    with database.connect() as conn:
        conn.execute(text("CREATE TEMP TABLE secretive (body text, n int CONSTRAINT never CHECK (n > 1))"))
        with pytest.raises(DBAPIError) as fault:
            conn.execute(text(statement), {"body": "two lines\nplain-body"})
    assert told in str(fault.value)
    assert "plain-body" not in str(fault.value) + repr(fault.value) + repr(fault.value.orig)


def test_an_error_of_a_copy_does_not_tell_its_line(database):
    with database.connect() as conn:
        cursor = session.driver(conn).cursor()
        cursor.execute("CREATE TEMP TABLE secretive (body text, n int CHECK (n > 1))")
        with pytest.raises(DataError) as fault, cursor.copy("COPY secretive FROM STDIN") as copy:
            copy.write("plain-body\tplain-number\n")
    assert str(fault.value) == "invalid input syntax for type integer: …"
