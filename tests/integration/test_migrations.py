"""The steps in `migrations/` against real Postgres, each test in a database of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import Engine, make_url, text

from calltrack.db import audit, migrate, tables
from calltrack.db.session import connect
from calltrack.errors import FixConfiguration, TryLater

HEAD = "018_waiting_pages"
BEFORE_HEAD = "017_caller_number"
ALL = len(list(migrate.STEPS.glob("versions/[0-9]*.py")))
#: the next step after this one changes `calls`
BEFORE_CALLS = "005_rejects_and_changes"


@pytest.fixture
def empty(postgres) -> Iterator[Engine]:
    """An engine on a new, empty database. It is not dropped, which takes a while: the whole server goes in the end."""
    name = f"migrations_{uuid4().hex}"
    server = connect(postgres.url)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    engine = connect(make_url(postgres.url).set(database=name).render_as_string(hide_password=False))
    yield engine
    engine.dispose()


def test_the_steps_lead_to_what_the_tables_say(empty, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the steps are found from anywhere
    done = migrate.upgrade(empty)
    assert done[0] == "001_calls"
    assert done[-1] == HEAD
    migrate.check(empty)  # `alembic check`
    with empty.connect() as conn:
        (recorded,) = audit.entries(conn)
    assert (recorded["action"], recorded["details"]) == ("database.upgraded", {"to": HEAD, "steps": ALL})


def test_the_steps_and_create_all_make_the_same_database(empty):
    """What alembic does not compare: the conditions of indexes, what a foreign key does on delete, identities."""
    migrate.upgrade(empty)
    migrated = catalogue(empty)
    with empty.begin() as conn:
        conn.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        tables.metadata.create_all(conn)
    assert catalogue(empty) == migrated


def test_steps_can_be_undone_and_done_again(empty):
    first = migrate.upgrade(empty)
    migrate.downgrade(empty)
    assert catalogue(empty) == []
    assert migrate.upgrade(empty) == first
    migrate.check(empty)


def test_two_upgrades_at_once_share_the_work(empty):
    """Processes, as two hosts that are deployed at the same moment."""
    command = [sys.executable, "-c", UPGRADE, empty.url.render_as_string(hide_password=False)]
    with ThreadPoolExecutor(2) as pool:
        outputs = pool.map(lambda _: subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True), range(2))
    assert sorted(len(json.loads(done.stdout)) for done in outputs) == [0, ALL]
    migrate.check(empty)


def test_threads_take_turns(empty):
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: migrate.upgrade(empty), range(3), timeout=30))
    assert sorted(map(len, done)) == [0, 0, ALL]


def test_a_step_that_fails_leaves_nothing_behind(empty):
    with empty.begin() as conn:
        conn.execute(text("CREATE TABLE call_events (id int)"))  # in the way of step 005
    with pytest.raises(Exception, match="already exists"):
        migrate.upgrade(empty)
    with empty.connect() as conn:
        assert migrate.pending(conn)[0] == "001_calls"
        assert conn.scalar(text("SELECT to_regclass('calls')")) is None


def test_a_table_that_is_held_is_not_waited_for_for_ever(empty, monkeypatch):
    migrate.upgrade(empty, BEFORE_CALLS)
    monkeypatch.setattr(migrate, "TABLE_WAIT", "50ms")
    monkeypatch.setattr(migrate, "UPGRADE_WAIT", "20s")
    with empty.connect() as reader:
        reader.execute(text("LOCK TABLE calls IN ACCESS SHARE MODE"))
        began = time.monotonic()
        with pytest.raises(TryLater, match="Nothing has changed"):
            migrate.upgrade(empty)
        assert time.monotonic() - began < 10
    assert migrate.upgrade(empty)[-1] == HEAD


def test_check_names_the_steps_that_are_due(empty):
    migrate.upgrade(empty, BEFORE_HEAD)
    with pytest.raises(FixConfiguration, match=f"lacks {HEAD}: run `calltrack db upgrade`"):
        migrate.check(empty)


def test_check_tells_a_column_that_no_step_made(empty):
    migrate.upgrade(empty)
    with empty.begin() as conn:
        conn.execute(text("ALTER TABLE calls DROP COLUMN agent_email"))
    with pytest.raises(FixConfiguration, match="agent_email"):
        migrate.check(empty)


def test_a_database_from_the_future_is_told(empty):
    migrate.upgrade(empty)
    with empty.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '999_flying_cars'"))
    with empty.connect() as conn, pytest.raises(FixConfiguration, match=r"999_flying_cars.*upgrade calltrack"):
        migrate.pending(conn)


UPGRADE = """
import json, sys
from calltrack.db import migrate, session
print(json.dumps(migrate.upgrade(session.connect(sys.argv[1]))))
"""

CATALOGUE = """
SELECT table_name || '.' || column_name AS name,
       concat_ws(' ', udt_name, numeric_precision, numeric_scale, is_nullable, column_default, is_identity) definition
  FROM information_schema.columns WHERE table_schema = 'public'
  AND NOT (SELECT relispartition FROM pg_class WHERE oid = table_name::regclass)
UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
  AND NOT (SELECT relispartition FROM pg_class WHERE oid = tablename::regclass)
UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_class WHERE oid = conrelid AND relispartition)
ORDER BY 1, 2
"""


def catalogue(engine: Engine) -> list[tuple[str, str]]:
    """Every column, index and constraint, save alembic's own."""
    with engine.connect() as conn:
        rows = conn.execute(text(CATALOGUE)).all()
    return [tuple(row) for row in rows if "alembic_version" not in row.name]
