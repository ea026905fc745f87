"""The audit log in real Postgres: what it takes, what it refuses, and what verifying it finds."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from calltrack.db import audit


@pytest.fixture
def log(database):
    """A log of five rows."""
    with database.begin() as connection:
        for number in range(1, 6):
            audit.record(connection, "account.changed", "retreaver/default", number=number, share=1e22, tilde="ä\u2028")
    return database


def forge(engine, *statements):
    """Do what the triggers refuse, as one who may switch them off."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement))


def verify(engine, *kept):
    with engine.connect() as connection:
        return audit.verify(connection, kept)


def head(engine):
    with engine.connect() as connection:
        return audit.head(connection)


def test_an_empty_log_is_whole(database):
    assert verify(database) is None
    assert head(database) is None


def test_what_is_recorded_stands_there_and_verifies(log):
    assert verify(log) is None
    with log.connect() as connection:
        rows = connection.execute(text("SELECT * FROM audit_log ORDER BY id")).mappings().all()
    assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[4]["details"] == {"number": 5, "share": 1e22, "tilde": "ä\u2028"}
    assert head(log) == audit.Head(5, rows[4]["hash"].hex())


def test_a_change_that_is_rolled_back_leaves_no_row_and_no_hole(log):
    with log.connect() as connection:
        audit.record(connection, "account.removed", "retreaver/default")
        connection.rollback()
        audit.record(connection, "account.enabled", "retreaver/default")
        connection.commit()
    assert verify(log) is None
    assert head(log).id == 6


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'nobody' WHERE id = 3",
        "DELETE FROM audit_log WHERE id = 5",
        "TRUNCATE audit_log",
        "UPDATE audit_head SET id = 4",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head",
    ],
)
def test_the_database_refuses_every_change(log, statement):
    with log.begin() as connection, pytest.raises(DatabaseError, match="append-only"):
        connection.execute(text(statement))
    assert verify(log) is None


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE audit_log SET actor = 'nobody' WHERE id = 3", 3),
        ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE id = 1", 1),
        ("UPDATE audit_log SET details = '{}' WHERE id = 5", 5),
        ("UPDATE audit_log SET subject = action, action = subject WHERE id = 2", 2),
        ("UPDATE audit_log SET hash = sha256('x') WHERE id = 4", 4),
        ("DELETE FROM audit_log WHERE id = 1", 1),
        ("DELETE FROM audit_log WHERE id = 3", 3),
        ("DELETE FROM audit_log WHERE id >= 4", 4),
        ("DELETE FROM audit_log", 1),
        ("DELETE FROM audit_head", 5),
        ("UPDATE audit_head SET id = 4", 5),
        ("INSERT INTO audit_log SELECT 0, at, actor, action, subject, details, hash FROM audit_log WHERE id = 1", 1),
        ("INSERT INTO audit_log SELECT 6, at, actor, action, subject, details, hash FROM audit_log WHERE id = 5", 6),
    ],
)
def test_verifying_names_the_first_broken_row(log, statement, row):
    forge(log, statement)
    broken = verify(log)
    assert broken.id == row
    assert str(row) in broken.why


def test_a_log_that_lost_its_newest_rows_does_not_close_over_the_gap(log):
    """Rows that are recorded afterwards must not take the places of the lost ones."""
    forge(log, "DELETE FROM audit_log WHERE id >= 4")
    with log.begin() as connection:
        audit.record(connection, "account.enabled", "retreaver/default")
    assert verify(log) == audit.Broken(4, "Row 4 is missing: after row 3 comes row 6.")


def test_what_the_database_alone_cannot_show_a_kept_head_shows(log):
    """All was cut back consistently: the log as it was after row 3."""
    kept = head(log).hash
    assert verify(log, kept.upper()) is None
    forge(
        log,
        "DELETE FROM audit_log WHERE id >= 4",
        "UPDATE audit_head SET id = 3, hash = (SELECT hash FROM audit_log WHERE id = 3)",
    )
    assert verify(log) is None
    assert verify(log, kept).id == 4


def test_those_who_append_take_turns(database):
    barrier = threading.Barrier(4)

    def append(who):
        barrier.wait(10)
        with audit.acting(who):
            for _ in range(10):
                with database.begin() as connection:
                    audit.record(connection, "account.changed", "retreaver/default")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, ["a", "b", "c", "d"], timeout=30))
    assert verify(database) is None
    assert head(database).id == 40
    with database.connect() as connection:
        counted = connection.execute(text("SELECT actor, count(*) FROM audit_log GROUP BY 1 ORDER BY 1")).all()
    assert [tuple(row) for row in counted] == [("a", 10), ("b", 10), ("c", 10), ("d", 10)]


def test_the_actor_is_the_program_unless_something_else_is_said(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gunicorn"])
    assert audit.actor() == f"gunicorn {audit.user()}"
    monkeypatch.setattr(sys, "argv", [".venv/bin/calltrack", "accounts", "list"])
    assert audit.actor() == f"cli {audit.user()}"
    with audit.acting("seed"):
        assert audit.actor() == "seed"
    assert audit.actor() == f"cli {audit.user()}"


def test_the_newest_row_is_logged_once(log, settings_env, caplog):
    """It is called every few seconds: what is kept elsewhere should be what is new."""
    caplog.set_level("INFO")
    for _ in range(2):
        audit.tell_head()
    assert caplog.text.count(head(log).hash) == 1
