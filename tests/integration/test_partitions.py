"""The change log and raw pages in partitions: made ahead, begun in time, dropped as a whole while others work."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from calltrack.db import migrate, partitions
from calltrack.sync import retention
from tests.integration.test_migrations import empty  # noqa: F401 - a fixture
from tests.integration.test_retention import DAY, age, count, remove

TABLES, SPAN = partitions.TABLES, partitions.SPAN
AGES = {"sync_pages": "fetched_at", "call_events": "created_at"}


@pytest.fixture
def world(system):
    """Afterwards the tables are as the steps left them, for the next test."""
    made = system(records=60)
    yield made
    with made.engine.begin() as connection:
        for table in TABLES:
            connection.execute(text(f"TRUNCATE {table}"))
            for one in partitions.partitions(connection, table):
                connection.execute(text(f"DROP TABLE {one.name}"))
            for place, edge in enumerate(("MINVALUE", str(SPAN))):
                bounds = f"FROM ({edge}) TO ({(place + 1) * SPAN})"
                connection.execute(text(f"CREATE TABLE {table}_{place:05d} PARTITION OF {table} FOR VALUES {bounds}"))


def names(world, table="call_events"):
    with world.engine.connect() as connection:
        return [one.name for one in partitions.partitions(connection, table)]


def ahead(world, table="call_events", kept=90):
    with world.engine.begin() as connection:
        partitions.open_ahead(connection, table, AGES[table], DAY * kept if kept else None)


def last(world, table="call_events"):
    with world.engine.connect() as connection:
        return partitions.last_id(connection, table)


def insert(world, table="call_events"):
    with world.engine.begin() as connection:
        query = f"INSERT INTO {table} (call_id, account_id, event) VALUES (gen_random_uuid(), :a, 'inserted') RETURNING"
        return connection.execute(text(f"{query} id, tableoid::regclass::text"), {"a": world.account_id()}).one()


def grow_old(world, *tables):
    """Let all that is there have come 100 days ago, and the next partitions have begun 95 days ago."""
    age(world)
    for table in tables:
        ahead(world, table)
        if table == "sync_pages":
            world.execute(
                "INSERT INTO sync_pages (run_id, slice_id, account_id, provider, number, cursor, state)"
                " SELECT run_id, slice_id, account_id, provider, 1000, '{}', 'stored' FROM sync_pages LIMIT 1"
            )
        else:
            insert(world)
        world.execute(f"UPDATE {table} SET {AGES[table]} = now() - interval '95 days' WHERE id >= {SPAN}")


def housekeep(**kept):
    """As the running system does it."""
    return retention.remove({kind: days * DAY for kind, days in kept.items()}, seconds=60)[0]


def test_the_next_partition_is_begun_when_the_open_one_s_time_is_over(world):
    world.sync("retreaver")
    age(world, 3)
    ahead(world)
    assert last(world) < SPAN  # not yet: a piece is 7.5 days
    age(world, 5)
    for _ in range(2):
        ahead(world)
    assert insert(world) == (SPAN, "call_events_00001")
    ahead(world)
    assert names(world) == ["call_events_00000", "call_events_00001", "call_events_00002"]
    assert insert(world).id == SPAN + 1


def test_without_a_setting_one_partition_takes_all(world):
    world.sync("retreaver")
    age(world, 1000)
    for _ in range(2):
        ahead(world, kept=None)
    assert insert(world).tableoid == "call_events_00000"
    assert len(names(world)) == 2


def test_an_empty_partition_goes_on(world):
    """Nothing happened for long: that is no reason for more partitions."""
    for _ in range(3):
        ahead(world)
    assert insert(world).tableoid == "call_events_00000"
    assert len(names(world)) == 2


def test_ids_grow_into_the_next_partition_by_themselves(world):
    world.execute(f"SELECT setval('call_events_id_seq', {SPAN - 1})")
    assert insert(world) == (SPAN, "call_events_00001")  # nobody had moved anything
    ahead(world)
    assert names(world)[2:] == ["call_events_00002"]


def test_what_no_partition_takes_is_kept_and_goes_with_age(world):
    world.execute(f"SELECT setval('call_events_id_seq', {7 * SPAN})")
    assert insert(world).tableoid == "call_events_default"
    retention.look_ahead({})
    assert names(world)[2:] == ["call_events_00008"]  # beyond what strayed
    assert insert(world).tableoid == "call_events_default"
    age(world)
    assert remove(events=90) == {"events": 2}


def test_two_at_once_open_one_partition(world):
    """The one that waits for the other finds nothing to do."""
    world.execute(f"SELECT setval('call_events_id_seq', {SPAN})")
    faults = at_once(4, lambda: ahead(world))
    assert [fault for fault in faults if not isinstance(fault, OperationalError)] == []
    assert names(world)[2:] == ["call_events_00002"]


def test_a_partition_of_a_table_in_use_is_opened_the_next_time(world):
    """Who wants a partition gives up, and no insert fails for it."""
    world.execute(f"SELECT setval('call_events_id_seq', {SPAN})")
    with world.engine.begin() as writer:
        writer.execute(text("LOCK TABLE call_events IN ROW EXCLUSIVE MODE"))
        retention.look_ahead({})
        assert len(names(world)) == 2
    retention.look_ahead({})
    assert len(names(world)) == 3


def test_an_old_partition_goes_as_a_whole_and_leaves_what_is_needed(world):
    world.sync("retreaver")
    world.sync("convoso")
    world.execute("UPDATE sync_runs SET state = 'failed' WHERE provider = 'convoso'")
    held = count(world, "sync_pages WHERE provider = 'convoso'")
    gone = count(world, "sync_pages") - held
    calls = world.rows("SELECT * FROM calls ORDER BY id")
    kept = world.rows("SELECT * FROM sync_pages WHERE provider = 'convoso' ORDER BY id")
    grow_old(world, "sync_pages")
    assert housekeep(pages=90) == {"pages": gone}
    assert names(world, "sync_pages")[0] == "sync_pages_00001"
    assert count(world, "sync_pages_default") == held
    assert [row["body"] for row in world.rows(f"SELECT body FROM sync_pages WHERE id < {SPAN} ORDER BY id")] == [
        row["body"] for row in kept
    ]
    assert world.rows("SELECT * FROM calls ORDER BY id") == calls
    world.execute("UPDATE sync_runs SET state = 'completed'")
    assert housekeep(pages=90) == {"pages": held}
    assert world.sync("retreaver")["unchanged"] == 60


def test_where_too_much_stays_rows_go_one_by_one(world, monkeypatch):
    world.sync("retreaver")
    world.sync("convoso")
    world.execute("UPDATE sync_runs SET state = 'failed' WHERE provider = 'convoso'")
    held = count(world, "sync_pages WHERE provider = 'convoso'")
    gone = count(world, "sync_pages") - held
    grow_old(world, "sync_pages")
    monkeypatch.setattr(retention, "MOST_MOVED", 0)
    assert housekeep(pages=90) == {"pages": gone}
    assert count(world, "sync_pages_00000") == held


def test_rows_wait_for_their_partition_s_end(world):
    """Removing them one by one before it is dropped would be twice the work. By hand, all that can go goes."""
    world.sync("retreaver")
    age(world, 92)
    insert(world)
    kept = {"events": 90 * DAY}
    assert retention.remove(kept, seconds=60) == ({}, True)
    world.execute("UPDATE call_events SET created_at = created_at - interval '10 days'")  # by more than a piece
    assert retention.remove(kept, seconds=60)[0] == {"events": 60}
    age(world, 92)
    assert remove(events=90) == {"events": 1}


def test_what_waits_longer_than_one_message_lasts_is_told_in_several(world, monkeypatch):
    """What was done before counts: otherwise a large partition would never be done."""
    for _ in range(2):
        world.sync("convoso")
    monkeypatch.setattr(retention, "PAGES", replace(retention.PAGES, batch=1))
    monkeypatch.setitem(retention.KINDS, "pages", retention.PAGES)
    grow_old(world, "sync_pages")
    done, messages = False, 0
    while not done:
        _, done = retention.remove({"pages": 90 * DAY}, seconds=0)
        messages += 1
        assert messages < 100
    assert messages > 2
    assert names(world, "sync_pages")[0] == "sync_pages_00001"


def test_what_pages_of_a_dropped_partition_confirmed_is_told(world):
    for _ in range(2):
        world.sync("convoso")
    assert count(world, "sync_pages WHERE confirmed IS NOT NULL")
    stamps = world.rows("SELECT observations FROM calls WHERE provider = 'convoso' ORDER BY id")
    grow_old(world, "sync_pages")
    world.execute("UPDATE sync_pages SET fetched_at = now() - interval '95 days' WHERE confirmed IS NOT NULL")
    world.execute(  # as if all had been landed 100 days ago
        "UPDATE calls SET observations = (SELECT jsonb_agg(jsonb_set(one, '{1}', to_jsonb((one ->> 1)::bigint - :us)))"
        " FROM jsonb_array_elements(observations) one)",
        us=100 * 86_400_000_000,
    )
    assert housekeep(pages=90)["pages"] > 0
    assert names(world, "sync_pages")[0] == "sync_pages_00001"
    seen = world.rows("SELECT observations FROM calls WHERE provider = 'convoso' ORDER BY id")
    days = {
        round((a["observations"][0][1] - b["observations"][0][1]) / 86_400_000_000)
        for a, b in zip(stamps, seen, strict=True)
    }
    assert days == {95}


def test_partitions_are_dropped_while_workers_work(world):
    world.sync("retreaver")
    world.sync("convoso")
    grow_old(world, *TABLES)
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
        for kind, rows in housekeep(pages=90, events=90).items():
            removed[kind] = removed.get(kind, 0) + rows
    worker.join()
    housekeep(pages=90, events=90)
    assert faults == []
    assert all(names(world, table)[0] == f"{table}_00001" for table in TABLES)
    world.assert_complete("retreaver")


def test_a_table_in_use_is_left_for_the_next_time(world):
    world.sync("retreaver")
    grow_old(world, "call_events")
    with world.engine.connect() as reader:
        reader.execute(text("SELECT FROM call_events LIMIT 1"))
        assert housekeep(events=90) == {}
    assert housekeep(events=90) == {"events": 60}


def test_data_goes_through_the_step_and_back(empty):  # noqa: F811
    migrate.upgrade(empty, "015_retention")
    with empty.begin() as connection:
        connection.execute(text(ROWS))
    before = rows(empty)
    migrate.upgrade(empty)
    assert rows(empty) == before
    migrate.check(empty)
    with empty.begin() as connection:
        found = [one.name for one in partitions.partitions(connection, "sync_pages")]
        assert found == ["sync_pages_00000", "sync_pages_00001"]
        added = (
            "INSERT INTO call_events (call_id, account_id, event) SELECT call_id, account_id, event FROM call_events"
        )
        assert connection.execute(text(f"{added} RETURNING id")).scalars().all() == [4, 5]  # ids go on
        connection.execute(text("DELETE FROM call_events WHERE id > 3"))
        stray = "INSERT INTO call_events (id, call_id, account_id, event) SELECT 99000000000, call_id, account_id, 'x'"
        connection.execute(text(f"{stray} FROM call_events LIMIT 1"))
    migrate.downgrade(empty, "015_retention")
    with empty.begin() as connection:
        assert connection.execute(text("DELETE FROM call_events WHERE event = 'x'")).rowcount == 1
    assert rows(empty) == before
    migrate.upgrade(empty)
    assert rows(empty) == before


def at_once(number, work):
    """What went wrong when so many did this at once."""
    faults = []

    def one():
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told to the caller
            faults.append(error)

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


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
