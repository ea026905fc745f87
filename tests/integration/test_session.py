import os

import pytest
from sqlalchemy import text

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
