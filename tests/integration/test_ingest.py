"""The funnel on real Postgres: exact counts, idempotency, concurrent writers, and what Postgres refuses."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text

from calltrack.db.session import driver
from calltrack.db.tables import provider_configs, sync_pages, sync_runs, sync_slices
from calltrack.db.upsert import CALLS, SHADOW
from calltrack.model import CallRecord, Observation, Source, Status, call_id
from calltrack.sync.ingest import ingest
from calltrack.sync.merge import merged

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = UUID(int=7)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def account(database):
    with database.begin() as connection:
        connection.execute(
            insert(provider_configs).values(id=ACCOUNT, provider_type="acme", api_url="", credentials="")
        )
    return ACCOUNT


def seen(external_id="c1", source=Source.API_RECORD, landed=0, page_id=1, **values):
    raw = values.pop("raw", {"id": external_id, "says": repr(sorted(values.items(), key=str))})
    record = CallRecord(external_id=external_id, raw=raw, **values)
    digest = blake2b(orjson.dumps(raw), digest_size=16).digest()
    door = {"page_id": page_id} if source is Source.API_RECORD else {"delivery_id": page_id}
    return Observation(ACCOUNT, "acme", record, source, at(landed), digest, **door)


def take_in(database, *batch, **how):
    with database.begin() as connection, driver(connection).cursor() as cursor:
        return ingest(cursor, batch, **how)


def rows(database, columns="*"):
    with database.connect() as connection:
        return connection.execute(text(f"SELECT {columns} FROM calls ORDER BY external_id")).mappings().all()


def version(second):
    return {"provider_updated_at": at(second)}


def test_counts_are_exact(database, account):
    first = take_in(database, seen("a", **version(1)), seen("b", **version(1)), seen("b", **version(1)))
    again = take_in(
        database,
        seen("a", **version(1)),
        seen("b", disposition="sale", **version(2)),
        seen("c", status=Status.COMPLETED, **version(1)),
    )
    assert (first.inserted, first.updated, first.unchanged, first.duplicates) == (2, 0, 0, 1)
    assert (again.inserted, again.updated, again.unchanged, again.duplicates) == (1, 1, 1, 0)


def test_a_row_holds_every_field_as_it_was_mapped(database, account):
    values = {
        "status": Status.COMPLETED,
        "caller_number": "+15550100001",
        "started_at": at(0),
        "ended_at": at(70),
        "duration_seconds": 70,
        "revenue": Decimal("25.125"),
        "converted": True,
        "tags": ["one", "two"],
        "metadata": {"geo": "us", "deep": {"x": [1, None]}},
        **version(90),
    }
    take_in(database, seen("a", raw={"as": "it came", "n": 1.5}, **values))
    row = rows(database)[0]
    assert {name: row[name] for name in values} == values
    assert row["provider_data"] == {"as": "it came", "n": 1.5}
    assert row["id"] == call_id(ACCOUNT, "a")
    assert row["account_id"] == ACCOUNT


def test_an_unchanged_row_is_not_rewritten(database, account):
    for values in (version(1), {}):
        batch = [seen("versioned" if values else "landed", disposition="sale", **values)]
        take_in(database, *batch)
        before = rows(database, "xmin, ctid, updated_at")
        assert take_in(database, *batch).unchanged == 1
        assert rows(database, "xmin, ctid, updated_at") == before


def test_an_unversioned_record_told_again_takes_back_what_another_gave_meanwhile(database, account):
    """It is not "said before": the row does not hold all of it any more, and it is newer each time it is told."""
    page = {"lead_id": "1", "disposition": "sale", "raw": {"id": "a", "lead": "1"}}
    take_in(database, seen("a", landed=10, **page))
    take_in(database, seen("a", Source.VERIFIED_WEBHOOK, landed=20, lead_id="2", complete=False))
    assert rows(database, "lead_id") == [{"lead_id": "2"}]
    assert take_in(database, seen("a", landed=15, **page)).unchanged == 1  # fetched before the webhook came
    assert take_in(database, seen("a", landed=30, **page)).updated == 1
    assert rows(database, "lead_id") == [{"lead_id": "1"}]
    before = rows(database, "xmin")
    assert take_in(database, seen("a", landed=40, **page)).unchanged == 1  # and now it holds all of it again
    assert rows(database, "xmin") == before


def test_changes_are_logged_with_their_columns(database, account):
    take_in(database, seen("a", disposition="no sale", **version(1)))
    take_in(database, seen("a", Source.VERIFIED_WEBHOOK, disposition="sale", page_id=42, **version(2)))
    with database.connect() as connection:
        events = connection.execute(
            text("SELECT event, changed, page_id, delivery_id FROM call_events ORDER BY id")
        ).all()
    assert events[0] == ("inserted", None, 1, None)
    assert events[1].event == "updated"
    assert set(events[1].changed) == {"disposition", "provider_data", "provider_updated_at"}
    assert events[1].delivery_id == 42


def test_one_record_that_postgres_refuses_does_not_stop_the_rest(database, account):
    bad = seen("bad", revenue=Decimal(10) ** 14)
    outcome = take_in(database, *[seen(f"good{n}") for n in range(9)], bad)
    assert outcome.inserted == 9
    assert [(one.record.external_id, why) for one, why in outcome.refused] == [("bad", "NumericValueOutOfRange")]


def test_a_refused_record_leaves_no_locks_that_others_would_wait_for_in_a_circle(database, account):
    """It is not sorted, and is split to find the bad one. A rival holds its lowest row, and then takes the next."""
    low, high = sorted(("p", "q"), key=lambda name: call_id(ACCOUNT, name))
    take_in(database, seen("p", **version(1)), seen("q", **version(1)))
    changed = [seen(name, disposition="sale", **version(2)) for name in (high, low)]
    batch = [changed[0], seen("bad", revenue=Decimal(10) ** 14), changed[1]]
    with ThreadPoolExecutor(1) as worker:
        with database.begin() as connection, driver(connection).cursor() as rival:
            CALLS.lock(rival, [call_id(ACCOUNT, low)])
            poisoned = worker.submit(take_in, database, *batch)
            until_somebody_waits(database)
            CALLS.lock(rival, [call_id(ACCOUNT, high)])  # a circle that Postgres broke is raised here, or below
        outcome = poisoned.result(30)
    assert (outcome.updated, len(outcome.refused)) == (2, 1)


def until_somebody_waits(database):
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 20
    with database.connect() as connection:
        while not connection.execute(query).scalar_one():
            connection.rollback()  # the view stands still within a transaction
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.01)


def test_a_page_confirms_what_a_late_delivery_would_undo(database, account):
    """Without versions: a page landed at 3 shows the call as at 1; a delivery landed at 2 comes late, and has lost."""
    take_in(database, seen("a", disposition="sale", landed=1))
    again = seen("a", disposition="sale", landed=3, page_id=2)
    outcome = take_in(database, again)
    assert outcome.confirmed == [(call_id(ACCOUNT, "a"), again.digest)]
    remember(database, page_id=2, landed=3, confirmed=outcome.confirmed)
    take_in(database, seen("a", Source.VERIFIED_WEBHOOK, disposition="no sale", landed=2))
    assert rows(database)[0]["disposition"] == "sale"
    take_in(database, seen("a", Source.VERIFIED_WEBHOOK, disposition="no sale", landed=4))
    assert rows(database)[0]["disposition"] == "no sale"


def remember(database, page_id, landed, confirmed):
    """A stored page in the ledger that confirmed these calls."""
    whose = {"account_id": ACCOUNT, "provider": "acme"}
    with database.begin() as connection:
        run = insert(sync_runs).values(**whose, mode="full", axis="created").returning(sync_runs.c.id)
        run_id = connection.execute(run).scalar_one()
        part = insert(sync_slices).values(run_id=run_id, since=at(0), until=at(9)).returning(sync_slices.c.id)
        page = {"run_id": run_id, "slice_id": connection.execute(part).scalar_one(), "number": page_id, "cursor": {}}
        calls, digests = map(list, zip(*confirmed, strict=True))
        seen = {"state": "stored", "fetched_at": at(landed), "confirmed": calls, "confirmed_as": digests}
        connection.execute(insert(sync_pages).values(**whose, **page, **seen))


OBSERVATIONS = st.builds(
    seen,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([Source.API_RECORD, Source.VERIFIED_WEBHOOK]),
    disposition=st.sampled_from([None, "sale", "no sale"]),
    revenue=st.sampled_from([None, Decimal(5), Decimal(7)]),
    status=st.sampled_from([None, Status.INITIATED, Status.COMPLETED]),
    provider_updated_at=st.integers(1, 4).map(at),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OBSERVATIONS, min_size=2, max_size=10), st.data())
def test_two_writers_at_once_end_with_the_same_rows(database, account, told, data):
    with database.begin() as connection:
        connection.execute(text("TRUNCATE calls, call_events"))
    shuffled = data.draw(st.permutations(told + told[:2]))
    halves, new = (told, shuffled), data.draw(st.booleans())
    writers = [
        threading.Thread(
            target=lambda half=half: [take_in(database, *half[i : i + 3], new=new) for i in range(0, len(half), 3)]
        )
        for half in halves
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    for row in rows(database):
        of_call = [one for one in told if one.record.external_id == row["external_id"]]
        expected = merged(of_call).values
        assert {name: row[name] for name in ("disposition", "revenue", "status")} == {
            name: expected.get(name) for name in ("disposition", "revenue", "status")
        }
    assert {row["external_id"] for row in rows(database)} == {one.record.external_id for one in told}


def test_calls_that_were_taken_for_new_ones_and_are_not(database, account):
    take_in(database, seen("a", disposition="sale", **version(2)), seen("b", disposition="sale", **version(1)))
    told = [seen(name, disposition="no sale", page_id=2, **version(2)) for name in "bc"]
    outcome = take_in(database, seen("a", disposition="sale", **version(2)), *told, new=True)
    assert (outcome.inserted, outcome.updated, outcome.unchanged) == (1, 1, 1)
    assert [row["disposition"] for row in rows(database)] == ["sale", "no sale", "no sale"]
    assert [news.new for news in outcome.news] == [True, False]


def test_a_damaged_row_is_mended_by_telling_it_again_thoroughly(database, account):
    told = seen("a", disposition="sale", revenue=Decimal(5), **version(1))
    take_in(database, told)
    with database.begin() as connection:
        connection.execute(text("UPDATE calls SET disposition = 'no', revenue = NULL, buyer = 'somebody'"))
    assert take_in(database, told).unchanged == 1  # a sync sees by the digest that it has been here
    with database.begin() as connection, driver(connection).cursor() as cursor:
        assert ingest(cursor, [told], thorough=True).updated == 1
    row = rows(database)[0]
    assert (row["disposition"], row["revenue"], row["buyer"]) == ("sale", Decimal(5), None)


def test_shadow_calls_leave_calls_and_the_change_log_alone(database, account):
    with database.begin() as connection, driver(connection).cursor() as cursor:
        assert ingest(cursor, [seen("a", **version(1))], target=SHADOW).inserted == 1
        assert ingest(cursor, [seen("a", disposition="sale", **version(2))], target=SHADOW).updated == 1
    assert rows(database) == []
    with database.connect() as connection:
        assert connection.scalar(text("SELECT disposition FROM shadow_calls")) == "sale"
        assert connection.scalar(text("SELECT count(*) FROM call_events")) == 0
