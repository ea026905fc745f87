"""The change log and raw pages in partitions: made ahead, begun in time, dropped as a whole while others work."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from calltrack.db import migrate, partitions
from calltrack.sync import retention
from tests.integration.test_migrations import empty  # noqa: F401 - a fixture
from tests.integration.test_retention import DAY, account_id, age, count, pending, remove  # noqa: F401

TABLES = partitions.TABLES


@pytest.fixture
def world(system):
    """Afterwards the tables are as the steps left them, for the next test."""
    made = system(records=60)
    yield made
    with made.engine.begin() as connection:
        for table in TABLES:
            connection.execute(text(f"TRUNCATE {table}"))
            first, *rest = partitions.partitions(connection, table)
            for one in [first, *rest]:
                connection.execute(text(f"DROP TABLE {one.name}"))
            span = partitions.SPAN
            for place, edge in enumerate(("MINVALUE", str(span))):
                bounds = f"FROM ({edge}) TO ({(place + 1) * span})"
                connection.execute(text(f"CREATE TABLE {table}_{place:05d} PARTITION OF {table} FOR VALUES {bounds}"))
            connection.execute(text(f"COMMENT ON TABLE {table}_00000 IS 'began {'2026-01-01T00:00:00+00:00'}'"))


def there(world, table):
    with world.engine.connect() as connection:
        return partitions.partitions(connection, table)


def ahead(world, table, kept=90):
    with world.engine.begin() as connection:
        partitions.open_ahead(connection, table, DAY * kept if kept else None)


def began(world, partition, days):
    world.execute(f"COMMENT ON TABLE {partition} IS 'began {moment(world, days)}'")


def moment(world, days):
    return world.one("SELECT now() - :age AS at", age=timedelta(days=days))["at"].isoformat()


def insert(world, table="call_events"):
    with world.engine.begin() as connection:
        query = f"INSERT INTO {table} (call_id, account_id, event) VALUES (gen_random_uuid(), :a, 'inserted') RETURNING"
        return connection.execute(text(f"{query} id, tableoid::regclass::text"), {"a": account_id(world)}).one()


def next_partition(world, table):
    """Let the time of the open partition be over."""
    current = [one for one in there(world, table) if one.began][-1]
    began(world, current.name, 365)
    ahead(world, table)


def test_a_partition_is_there_before_it_is_begun(world):
    world.sync("retreaver")
    began(world, "call_events_00000", 3)
    ahead(world, "call_events")
    assert [bool(one.began) for one in there(world, "call_events")] == [True, False]  # not yet: a piece is 7.5 days
    began(world, "call_events_00000", 8)
    ahead(world, "call_events")
    ahead(world, "call_events")
    assert [bool(one.began) for one in there(world, "call_events")] == [True, True]
    assert insert(world) == (partitions.SPAN, "call_events_00001")
    ahead(world, "call_events")
    assert [bool(one.began) for one in there(world, "call_events")] == [True, True, False]


def test_without_a_setting_one_partition_takes_all(world):
    world.sync("retreaver")
    began(world, "call_events_00000", 1000)
    for _ in range(2):
        ahead(world, "call_events", None)
    assert [bool(one.began) for one in there(world, "call_events")] == [True, False]


def test_an_empty_partition_goes_on(world):
    """Nothing happened for long: that is no reason for more partitions."""
    began(world, "call_events_00000", 1000)
    ahead(world, "call_events")
    ahead(world, "call_events")
    assert len(there(world, "call_events")) == 2


def test_ids_grow_into_the_next_partition_by_themselves(world):
    world.execute(f"SELECT setval('call_events_id_seq', {partitions.SPAN - 1})")
    assert insert(world) == (partitions.SPAN, "call_events_00001")  # nobody had moved anything
    ahead(world, "call_events")
    assert [bool(one.began) for one in there(world, "call_events")] == [True, True, False]


def test_what_no_partition_takes_is_kept_and_told(world):
    world.execute(f"SELECT setval('call_events_id_seq', {7 * partitions.SPAN})")
    assert insert(world).tableoid == "call_events_default"
    retention.look_ahead()
    retention.look_ahead()
    (alert,) = world.rows("SELECT kind, message FROM alerts WHERE closed_at IS NULL")
    assert alert["kind"] == "rows_outside_partitions"
    assert "1 of call_events" in alert["message"]
    world.execute("UPDATE call_events SET created_at = created_at - interval '100 days'")
    assert remove(events=90) == {"events": 1}
    retention.look_ahead()
    assert world.rows("SELECT kind FROM alerts WHERE closed_at IS NULL") == []
    assert count(world, "call_events_default") == 0


def test_an_old_partition_goes_as_a_whole_and_leaves_what_is_needed(world):
    world.sync("retreaver")
    world.sync("convoso")
    world.execute("UPDATE sync_runs SET state = 'failed' WHERE provider = 'convoso'")
    held = count(world, "sync_pages WHERE provider = 'convoso'")
    gone = count(world, "sync_pages") - held
    calls = world.rows("SELECT * FROM calls ORDER BY id")
    age(world)
    next_partition(world, "sync_pages")
    began(world, "sync_pages_00001", 95)
    assert remove(pages=90) == {"pages": gone}
    assert there(world, "sync_pages")[0].name == "sync_pages_00001"
    assert (count(world, "sync_pages"), count(world, "sync_pages_default")) == (held, held)
    assert world.rows("SELECT * FROM calls ORDER BY id") == calls
    world.execute("UPDATE sync_runs SET state = 'completed'")
    assert remove(pages=90) == {"pages": held}
    retention.look_ahead()
    assert world.rows("SELECT kind FROM alerts WHERE closed_at IS NULL") == []  # what was moved was no stray
    assert world.sync("retreaver")["unchanged"] == 60


def test_rows_wait_for_their_partition_s_end(world):
    """Removing them one by one before it is dropped would be twice the work."""
    world.sync("retreaver")
    next_partition(world, "call_events")
    began(world, "call_events_00001", 85)  # so the first one was closed then
    age(world)
    world.execute("UPDATE call_events SET created_at = created_at + interval '8 days'")  # 92 days old, of 90
    assert remove(events=90) == {}


def test_what_pages_of_a_dropped_partition_confirmed_is_told(world):
    for _ in range(2):
        world.sync("convoso")
    assert count(world, "sync_pages WHERE confirmed IS NOT NULL")
    stamps = world.rows("SELECT observations FROM calls WHERE provider = 'convoso' ORDER BY id")
    age(world)
    world.execute("UPDATE sync_pages SET fetched_at = now() - interval '95 days' WHERE confirmed IS NOT NULL")
    world.execute(  # as if all had been landed 100 days ago
        "UPDATE calls SET observations = (SELECT jsonb_agg(jsonb_set(one, '{1}', to_jsonb((one ->> 1)::bigint - :us)))"
        " FROM jsonb_array_elements(observations) one)",
        us=100 * 86_400_000_000,
    )
    next_partition(world, "sync_pages")
    began(world, "sync_pages_00001", 94)
    assert remove(pages=90)["pages"] > 0
    seen = world.rows("SELECT observations FROM calls WHERE provider = 'convoso' ORDER BY id")
    days = {
        round((a["observations"][0][1] - b["observations"][0][1]) / 86_400_000_000)
        for a, b in zip(stamps, seen, strict=True)
    }
    assert days == {95}


def test_partitions_are_dropped_while_workers_work(world):
    world.sync("retreaver")
    world.sync("convoso")
    age(world)
    for table in TABLES:
        next_partition(world, table)
        began(world, f"{table}_00001", 95)
    faults = []

    def work():
        try:
            for _ in range(4):
                run = world.sync("retreaver")
                assert (run["state"], run["fetched"]) == ("completed", 60)
        except Exception as error:  # noqa: BLE001 - told below
            faults.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    removed = {}
    while worker.is_alive():
        for kind, rows in remove(pages=90, events=90).items():
            removed[kind] = removed.get(kind, 0) + rows
    worker.join()
    remove(pages=90, events=90)
    assert faults == []
    assert all(there(world, table)[0].name == f"{table}_00001" for table in TABLES)
    world.assert_complete("retreaver")


def test_a_table_in_use_is_left_for_the_next_time(world, monkeypatch):
    world.sync("retreaver")
    age(world)
    next_partition(world, "call_events")
    began(world, "call_events_00001", 95)
    monkeypatch.setattr(partitions, "LOCK_WAIT", "50ms")
    with world.engine.connect() as reader:
        reader.execute(text("SELECT FROM call_events LIMIT 1"))
        assert remove(events=90) == {}
    assert remove(events=90) == {"events": 60}


def test_data_goes_through_the_step_and_back(empty):  # noqa: F811
    migrate.upgrade(empty, "015_retention")
    with empty.begin() as connection:
        connection.execute(text(ROWS))
    before = rows(empty)
    migrate.upgrade(empty)
    assert rows(empty) == before
    migrate.check(empty)
    with empty.begin() as connection:
        assert [one.name for one in partitions.partitions(connection, "sync_pages")] == [
            "sync_pages_00000",
            "sync_pages_00001",
        ]
        # of the run that is under way the places are known, so that a page cannot come twice
        assert connection.execute(text("SELECT slice_id, number FROM sync_cursors")).all() == [(1, 2)]
        added = (
            "INSERT INTO call_events (call_id, account_id, event) SELECT call_id, account_id, event FROM call_events"
        )
        assert connection.execute(text(f"{added} RETURNING id")).scalars().all() == [4, 5]  # ids go on
        connection.execute(text("DELETE FROM call_events WHERE id > 3"))
        stray = "INSERT INTO call_events (id, call_id, account_id, event) SELECT 990000000, call_id, account_id, 'x'"
        connection.execute(text(f"{stray} FROM call_events LIMIT 1"))
    migrate.downgrade(empty, "015_retention")
    with empty.begin() as connection:
        assert connection.execute(text("DELETE FROM call_events WHERE event = 'x'")).rowcount == 1
    assert rows(empty) == before
    migrate.upgrade(empty)
    assert rows(empty) == before


def rows(engine):
    with engine.connect() as connection:
        return [connection.execute(text(f"SELECT * FROM {table} ORDER BY id")).all() for table in TABLES]


ROWS = """
INSERT INTO provider_configs (id, provider_type, api_url, credentials)
VALUES ('00000000-0000-0000-0000-000000000001', 'acme', 'http://acme', '');
INSERT INTO sync_runs (account_id, provider, mode, axis, state)
SELECT id, 'acme', 'full', 'created', state FROM provider_configs, unnest(ARRAY['running', 'completed']) state;
INSERT INTO sync_slices (run_id, since, until) SELECT id, now(), now() FROM sync_runs ORDER BY id;
INSERT INTO sync_pages (run_id, slice_id, account_id, provider, number, cursor, body, fetched_at, state)
SELECT slice.run_id, slice.id, account.id, 'acme', 3 - slice.id, '{"page": 1}', 'body', '2026-01-02Z', 'stored'
FROM sync_slices slice, provider_configs account ORDER BY slice.id;
INSERT INTO call_events (call_id, account_id, event, page_id)
SELECT gen_random_uuid(), account_id, 'inserted', id FROM sync_pages;
INSERT INTO call_events (call_id, account_id, event) SELECT call_id, account_id, 'gone' FROM call_events LIMIT 1;
DELETE FROM call_events WHERE event = 'gone';
"""
