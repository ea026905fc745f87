"""Lookups through a real Valkey: what they give is what Postgres has, after every commit and through every door."""

import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text

from calltrack import accounts, config, lookup, registry
from calltrack.cli import calltrack
from calltrack.client import state
from calltrack.client.state import Shared
from calltrack.db.session import driver, engine
from calltrack.db.tables import calls, provider_configs
from calltrack.errors import RejectRecord, TryLater, UnknownDoor
from calltrack.lookup import cache as cache_module
from calltrack.lookup import forget, read
from calltrack.lookup.cache import Cache, cache
from calltrack.lookup.call import NAMES, SHAPE
from calltrack.model import call_id
from calltrack.sync import deliveries, modes, operations, rejected, remap, replay
from calltrack.sync.ledger import buckets

PROVIDER = "retreaver"


# ── a table with a few calls ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def account(database, broker, settings_env):
    """An account of no provider that there is."""
    key = uuid4()
    with database.begin() as connection:
        connection.execute(insert(provider_configs).values(id=key, provider_type="acme", api_url="", credentials=""))
    return key


def put(database, account, external_id="c1", provider="acme", **values):
    key = call_id(account, external_id)
    row = {"id": key, "account_id": account, "provider": provider, "external_id": external_id, **values}
    with database.begin() as connection:
        connection.execute(insert(calls).values(row))
    return key


def change(connection, key, **values):
    """As a writer does, the commit left to the caller."""
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    connection.execute(text(f"UPDATE calls SET {assignments} WHERE id = :id"), {"id": key, **values})
    forget.after_commit(driver(connection).cursor(), [key])


def commit(key, **values):
    with engine().begin() as connection:
        change(connection, key, **values)


def from_postgres(database, key):
    with database.connect() as connection:
        found = driver(connection).execute(f"SELECT {', '.join(NAMES)} FROM calls WHERE id = %s", [key]).fetchone()
    return dict(zip(NAMES, found, strict=True)) if found else None


def as_row(call):
    return call._asdict()


def kept_at(key):
    """Whether the call stands in the cache."""
    return (cache().get(key) or b"").startswith(SHAPE)


def until(true, seconds=30):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.005)


words = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
stated = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
moments = st.none() | stated
money = st.one_of(
    st.none(),
    st.decimals(Decimal("-999999999999.999999"), Decimal("999999999999.999999"), places=6),
    st.just(Decimal("-0")),
)
whole = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))
plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False), plain
)
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3))
OF_COLUMN = {
    "TEXT": words,
    "DATETIME": moments,
    "NUMERIC": money,
    "INTEGER": whole,
    "BOOLEAN": st.none() | st.booleans(),
}
IDENTITY = {"id", "account_id", "provider", "external_id"}
STATED = {"last_synced_at", "created_at", "updated_at"}


def of_column(name):
    if name == "tags":
        return st.none() | st.lists(plain, max_size=3)
    if name == "metadata":
        return st.none() | st.dictionaries(plain, trees, max_size=4)
    return stated if name in STATED else OF_COLUMN[calls.c[name].type.__visit_name__.upper()]


rows = st.fixed_dictionaries({name: of_column(name) for name in NAMES if name not in IDENTITY})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, plain)
def test_what_comes_from_the_cache_is_what_postgres_has_type_by_type(database, account, row, external_id):
    key = put(database, account, f"{uuid4()} {external_id}", **row)
    loaded, kept = lookup.call(key), lookup.call(key)
    assert kept_at(key)
    expected = from_postgres(database, key)
    for found in (as_row(loaded), as_row(kept)):
        for name, value in expected.items():
            assert (name, repr_of(found[name])) == (name, repr_of(value))


def repr_of(value):
    """Equal only where kind, digits and order are: 1.50 is not 1.5, True is not 1, -0.0 is not 0.0."""
    if isinstance(value, datetime):
        assert value.utcoffset() == timedelta(0)
        return value.isoformat()
    return repr(value)


def test_a_call_has_all_columns_but_the_merges_own_books_and_the_providers_record():
    left_out = {"provider_data", "observations", "content_digest"}
    assert list(lookup.Call._fields) == [one.name for one in calls.c if one.name not in left_out]


# ── after a commit ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def slow_load(monkeypatch):
    """Lets the first load wait, with what it has read in its hands, until `go` is set."""

    class Slow:
        read, go, loads = threading.Event(), threading.Event(), 0

    load = read._load

    def slowly(ids):
        found = load(ids)
        Slow.loads += 1
        if Slow.loads == 1:
            Slow.read.set()
            assert Slow.go.wait(30)
        return found

    monkeypatch.setattr(read, "_load", slowly)
    return Slow


def test_a_reader_that_read_before_a_commit_keeps_nothing_after_it(database, account, slow_load):
    key = put(database, account, disposition="old")
    with ThreadPoolExecutor(1) as side:
        late = side.submit(lookup.call, key)
        assert slow_load.read.wait(30)
        commit(key, disposition="new")
        slow_load.go.set()
        assert late.result(30).disposition == "old"  # it asked before the commit
    assert not kept_at(key)
    assert lookup.call(key).disposition == "new"


def test_a_reader_whose_lease_ran_out_keeps_nothing_in_the_place_of_anothers(database, account):
    key = put(database, account)
    first, _ = cache().lease([key])
    cache().forget([key])
    second, ours = cache().lease([key])
    assert ours == [key]
    assert cache().fill(first, {key: b"old"}) == 0
    assert cache().get(key) == second
    assert cache().fill(second, {key: b"new"}) == 1
    assert cache().fill(second, {key: b"again"}) == 0


def test_a_call_is_forgotten_after_the_commit_and_not_before(database, account, monkeypatch):
    key, seen, commit_it = put(database, account, disposition="old"), [], psycopg.Connection.commit

    def look_first(self):
        seen.append(lookup.call(key).disposition)  # had it been forgotten, the old row would now be kept
        commit_it(self)

    with engine().connect() as connection:
        change(connection, key, disposition="new")
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Connection, "commit", look_first)
            connection.commit()
    assert seen == ["old"]
    assert not kept_at(key)
    assert lookup.call(key).disposition == "new"


def test_what_is_rolled_back_is_not_forgotten_and_what_may_be_committed_is(database, account, monkeypatch):
    key = put(database, account, disposition="old")
    lookup.call(key)
    with engine().connect() as connection:
        change(connection, key, disposition="never")
        connection.rollback()
        connection.execute(text("SELECT 1"))
        connection.commit()  # of another transaction
    assert kept_at(key)
    monkeypatch.setattr("psycopg.Connection.commit", lambda _: 1 / 0)  # nobody knows what became of it
    with pytest.raises(ZeroDivisionError):
        commit(key, disposition="new")
    assert not kept_at(key)


def test_a_call_is_kept_for_five_minutes_from_when_it_was_loaded(database, account, broker):
    key = put(database, account)
    lookup.call(key)
    (place,) = broker.keys("calltrack:call:*")
    assert cache_module.TTL == 300
    assert 295_000 < broker.pttl(place) <= 300_000
    broker.pexpire(place, 100_000)
    lookup.call(key)
    assert broker.pttl(place) <= 100_000  # reading makes nothing last longer


def test_with_writers_and_readers_at_once_nobody_gets_what_is_older_than_a_finished_commit(database, account):
    key, done, stop, older = put(database, account, duration_seconds=0), [0], threading.Event(), []

    def write():
        for number in range(1, 101):
            commit(key, duration_seconds=number)
            done[0] = number

    def follow():
        while not stop.is_set():
            committed = done[0]
            if (found := lookup.call(key).duration_seconds) < committed:
                older.append((committed, found))

    with ThreadPoolExecutor(5) as side:
        readers = [side.submit(follow) for _ in range(4)]
        side.submit(write).result(60)
        stop.set()
        for reader in readers:
            reader.result(30)
    assert older == []
    assert lookup.call(key).duration_seconds == 100


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_many_threads_one_asks_postgres_and_they_share_a_connection(database, account, slow_load, use_redis, valkey):
    key, number = put(database, account), 200  # more than a client of Redis has connections
    found = use_redis(valkey.url)
    began = threading.Barrier(number)

    def look():
        began.wait(30)
        return lookup.call(key)

    with ThreadPoolExecutor(number) as side:
        calls_found = [side.submit(look) for _ in range(number)]
        assert slow_load.read.wait(30)
        slow_load.go.set()
        assert {one.result(30).id for one in calls_found} == {key}
    assert slow_load.loads == 1
    assert len(found._client.connection_pool._available_connections) == 1


def test_threads_take_no_answer_to_a_question_that_was_asked_before_they_came(database, account, slow_load):
    key = put(database, account, disposition="old")
    with ThreadPoolExecutor(2) as side:
        early = side.submit(lookup.call, key)
        assert slow_load.read.wait(30)
        commit(key, disposition="new")
        late = side.submit(lookup.call, key)  # has seen the commit
        slow_load.go.set()
        assert (early.result(30).disposition, late.result(30).disposition) == ("old", "new")


#: asks for a call as soon as it is let, in several threads, and tells how many had to ask Postgres
CROWD = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID
from calltrack import lookup
from calltrack.lookup import read
key, number = UUID(sys.argv[1]), int(sys.argv[2])
load, loads = read._load, []
load([UUID(int=0)])  # connects
def counted(ids):
    loads.extend(ids)
    return load(ids)
read._load, read.PATIENCE = counted, 30
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(number) as side:
    assert {one.id for one in side.map(lookup.call, [key] * number)} == {key}
print(len(loads))
"""


def test_of_many_processes_one_asks_postgres(database, account):
    key, processes = put(database, account), []
    for _ in range(3):
        command = [sys.executable, "-c", CROWD, str(key), "10"]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    loads = [process.communicate(timeout=60)[0] for process in processes]
    assert sum(map(int, loads)) == 1


def test_who_waits_too_long_asks_beside(database, account, slow_load, monkeypatch):
    monkeypatch.setattr(read, "PATIENCE", 0.05)
    key = put(database, account)
    with ThreadPoolExecutor(1) as side:
        stuck = side.submit(lookup.call, key)
        assert slow_load.read.wait(30)
        assert lookup.call(key).id == key  # its lane is taken
        assert read._through(cache(), key)  # as another process would
        slow_load.go.set()
        stuck.result(30)


def test_a_load_that_fails_holds_up_nobody(database, account, monkeypatch):
    key = put(database, account)
    with monkeypatch.context() as patch:
        patch.setattr(read, "_load", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            lookup.call(key)
    assert cache().lease([key])[1] == [key]


# ── Redis away ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def use_redis(monkeypatch):
    """Lets this process have its cache in another Redis."""

    def use(url):
        monkeypatch.setenv("REDIS_URL", url)
        config.settings.cache_clear()
        return cache()

    monkeypatch.setattr(state, "REST", 0.01)
    cache_module._cache.cache_clear()
    yield use
    if found := cache():
        forget._debt(found)._until = 0.0  # nobody need try on
    cache_module._cache.cache_clear()
    forget._debt.cache_clear()


@pytest.fixture
def nowhere():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"redis://127.0.0.1:{taken.getsockname()[1]}/0"


def test_without_redis_calls_are_looked_up_all_the_same(database, account, use_redis, nowhere):
    key = put(database, account, disposition="old")
    use_redis(nowhere)
    assert lookup.call(key).disposition == "old"
    commit(key, disposition="new")
    assert lookup.call(key).disposition == "new"
    assert lookup.by_external_id("acme", "c1").id == key
    with pytest.raises(TryLater, match="Redis does not answer"):
        lookup.stats()
    forget._debt(cache())._until = 0.0
    assert use_redis("") is None
    commit(key, disposition="newest")
    assert lookup.call(key).disposition == "newest"


def test_what_redis_could_not_be_told_it_is_told_when_it_answers_again(
    database, account, use_redis, nowhere, broker, valkey
):
    key = put(database, account, disposition="old")
    assert lookup.call(key).disposition == "old"
    writer = use_redis(nowhere)
    commit(key, disposition="new")
    use_redis(valkey.url)
    assert lookup.call(key).disposition == "old"  # this reader's Redis was never away: it cannot know
    writer._client.connection_pool = broker.connection_pool
    until(lambda: lookup.call(key).disposition == "new")
    until(lambda: forget._debt(writer)._thread is None)


def test_nobody_tries_on_once_nothing_old_can_be_left(database, account, use_redis, nowhere, monkeypatch):
    key = put(database, account)
    monkeypatch.setattr(forget, "TTL", -forget.LEASE)
    writer = use_redis(nowhere)
    commit(key, disposition="new")
    until(lambda: forget._debt(writer)._thread is None)


def test_a_redis_that_hangs_delays_a_commit_once(database, account, use_redis, monkeypatch):
    key = put(database, account, disposition="old")
    monkeypatch.setattr(state, "REST", 60.0)
    asked, ask = [], Shared.ask

    def counted(self, question):
        return ask(self, lambda: asked.append(1) or question())

    monkeypatch.setattr(Shared, "ask", counted)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = use_redis(f"redis://127.0.0.1:{mute.getsockname()[1]}/0")
        for number in range(5):
            commit(key, disposition=f"new {number}")
        assert asked == [1]
        assert found._client.get_connection_kwargs()["socket_timeout"] <= 0.2
    assert from_postgres(database, key)["disposition"] == "new 4"


# ── every door ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def world(system):
    return system(records=12, accounts_at=(PROVIDER,), days=0.2)


def use(patch, *, version, change):
    """Let the provider's mapper read otherwise: `change` alters each record."""
    before = registry.get(PROVIDER)

    def altered(read):
        def map_one(*given):
            record = read(*given)
            change(record)
            return record

        return map_one

    webhook = replace(before.webhook, map_delivery=altered(before.webhook.map_delivery))
    other = replace(before, mapper_version=version, map_call=altered(before.map_call), webhook=webhook)
    patch.setattr(registry, "get", lambda _: other)


def wrong(record):
    record.disposition = "wrong"


def finish(operation):
    while operations.advance(operation) is not None:
        pass


def begin(world, function, **how):
    with engine().begin() as connection:
        return function(connection, **how)


def damage(world):
    world.execute("UPDATE calls SET disposition = 'damaged', content_digest = NULL")


def by_page(world, monkeypatch):
    with monkeypatch.context() as patch:
        use(patch, version=0, change=wrong)
        world.sync(PROVIDER)
    yield
    world.sync(PROVIDER)


def by_delivery(world, monkeypatch):
    world.sync(PROVIDER)
    yield
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    for external_id in world.ids(PROVIDER):
        world.deliver(uuid=external_id, updated_at=later, revenue="777.00", status="finished")
    deliveries.process(PROVIDER)


def by_remap(world, monkeypatch):
    with monkeypatch.context() as patch:
        use(patch, version=0, change=wrong)
        world.sync(PROVIDER)
    yield
    finish(begin(world, remap.begin, account_id=world.account_id(), apply=True))


def by_replay(world, monkeypatch):
    for number in range(5):
        world.deliver(call_uuid=f"c{number}", caller_number="+15550100001")
    deliveries.process(PROVIDER)
    world.execute("UPDATE calls SET caller_number = NULL")
    yield
    finish(begin(world, replay.begin, meant=replay.arguments(provider=PROVIDER)))


def by_retried_rejects(world, monkeypatch):
    world.sync(PROVIDER)

    def cannot(record):
        raise RejectRecord("The mapping does not know this.", "unknown_shape")

    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    with monkeypatch.context() as patch:
        use(patch, version=1, change=cannot)
        for external_id in world.ids(PROVIDER):
            world.deliver(uuid=external_id, updated_at=later, revenue="777.00", status="finished")
        deliveries.process(PROVIDER)
    yield
    finish(begin(world, rejected.begin, meant=rejected.arguments()))


def by_going_live(world, monkeypatch):
    world.sync(PROVIDER)
    damage(world)
    account_id = world.account_id()
    begin(world, modes.set_mode, account_id=account_id, mode="shadow", mapper_name=None)
    world.sync(PROVIDER)
    yield
    finish(begin(world, modes.set_mode, account_id=account_id, mode="live", mapper_name=None))


def by_the_ledger(world, monkeypatch):
    world.sync(PROVIDER)
    damage(world)
    now, account_id = datetime.now(UTC), world.account_id()
    yield
    with engine().begin() as connection:
        made = buckets.make(connection, account_id, PROVIDER, now - timedelta(hours=6), now)
    for bucket in made:
        with engine().begin() as connection:
            hints = buckets.begin_check(connection, bucket, repair=True)
        world.follow(hints)


DOORS = [by_page, by_delivery, by_remap, by_replay, by_retried_rejects, by_going_live, by_the_ledger]


@pytest.mark.parametrize("door", DOORS)
def test_whatever_changes_a_call_the_cache_follows(world, monkeypatch, door):
    changing = door(world, monkeypatch)
    next(changing)
    keys = [row["id"] for row in world.rows("SELECT id FROM calls")]
    for key in keys:
        lookup.call(key)
    before = {key: as_row(lookup.call(key)) for key in keys}
    assert all(map(kept_at, keys))
    assert next(changing, "done") == "done"
    after = {key: from_postgres(world.engine, key) for key in keys}
    assert all(before[key] != after[key] for key in keys)
    assert {key: as_row(lookup.call(key)) for key in keys} == after


def test_storing_new_calls_asks_nothing_of_the_cache(world, broker, monkeypatch):
    monkeypatch.setattr(Cache, "forget", lambda *_: 1 / 0)
    world.sync(PROVIDER)
    world.sync(PROVIDER)  # and what has not changed neither
    world.assert_complete(PROVIDER)
    assert broker.keys("calltrack:call:*") == []


# ── by the provider's id ─────────────────────────────────────────────────────────────────────────────────────────────


def add_account(database, name):
    with database.begin() as connection:
        values = {"provider_type": "acme", "name": name, "api_url": "", "credentials": ""}
        return connection.scalar(insert(provider_configs).values(values).returning(provider_configs.c.id))


def test_calls_are_found_by_the_providers_id(database, account):
    key = put(database, account, "E1")
    assert lookup.by_external_id("acme", "E1").id == lookup.by_external_id("acme", "E1", "default").id == key
    assert kept_at(key)
    assert lookup.by_external_id("acme", "E2") is None
    with pytest.raises(UnknownDoor, match="no account 'acme/west'"):
        lookup.by_external_id("acme", "E1", "west")
    west = add_account(database, "west")
    assert lookup.by_external_id("acme", "E1", "west") is None
    other = put(database, west, "E2")
    assert lookup.by_external_id("acme", "E2").id == lookup.by_external_id("acme", "E2", "west").id == other
    put(database, west, "E1")
    with pytest.raises(UnknownDoor, match="acme/default, acme/west"):
        lookup.by_external_id("acme", "E1")
    assert lookup.by_external_id("acme", "E1", account="default").id == key


def test_a_call_that_is_not_there_yet_is_there_as_soon_as_it_is(database, account):
    for _ in range(2):
        assert lookup.by_external_id("acme", "E1") is None
    key = put(database, account, "E1")
    assert lookup.by_external_id("acme", "E1").id == lookup.call(key).id == key


def test_the_calls_of_an_account_go_with_it(database, account):
    key = put(database, account, "E1")
    assert lookup.by_external_id("acme", "E1").id == key
    with engine().begin() as connection:
        accounts.remove(connection, account)
    assert lookup.call(key) is None
    again = add_account(database, "default")
    assert lookup.by_external_id("acme", "E1") is None
    assert lookup.by_external_id("acme", "E1") is None
    put(database, again, "E1")
    assert lookup.by_external_id("acme", "E1", "default").account_id == again


# ── warming, and the commands ────────────────────────────────────────────────────────────────────────────────────────


def say(*words, code=0):
    done = CliRunner().invoke(calltrack, words)
    assert done.exit_code == code, done.output
    return done


def test_warming_takes_the_newest_calls_of_the_range(database, account, monkeypatch, broker):
    monkeypatch.setattr(read, "CHUNK", 2)
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    keys = [put(database, account, f"c{n}", started_at=noon + timedelta(hours=n)) for n in range(6)]
    warmed = lookup.warm(noon + timedelta(hours=1), noon + timedelta(hours=5), most=3)
    assert (warmed.calls, warmed.added) == (3, 3)
    assert [key for key in keys if kept_at(key)] == keys[2:5]
    assert all(0 < broker.ttl(place) <= cache_module.TTL for place in broker.keys("calltrack:call:*"))
    assert lookup.stats().hit_rate == 0.0  # warming is nobody's question


def test_the_commands(database, account):
    key = put(database, account, "E1", revenue=Decimal("12.5"), started_at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert say("cache", "warm", "--since", "2026-03-01").stdout == "1 calls, 1 of them were not in the cache.\n"
    for wanted in ("E1", str(key)):
        told = json.loads(say("calls", "show", wanted, "--json").stdout)
        assert (told["id"], told["revenue"], told["started_at"]) == (str(key), "12.50", "2026-03-01T12:00:00+00:00")
    assert "12.50" in say("calls", "show", "E1").stdout
    assert "explain" in str(say("calls", "show", "E2", code=1).exception)
    lookup.call(key)
    lookup.call(uuid4())
    stats = json.loads(say("cache", "stats", "--json").stdout)
    assert (stats["hits"], stats["misses"], stats["entries"], stats["bytes"] > 0) == (1, 1, 1, True)
    assert "hit rate" in say("cache", "stats").stdout
    say("cache", "clear")
    assert lookup.stats().entries == 0
    assert lookup.call(key).id == key


def test_what_another_version_has_packed_is_neither_read_nor_waited_for(database, account, broker, monkeypatch):
    key = put(database, account)
    lookup.call(key)
    (place,) = broker.keys("calltrack:call:*")
    broker.set(place, b"0" + broker.get(place))
    monkeypatch.setattr(read.time, "sleep", lambda _: 1 / 0)
    assert lookup.call(key).id == key


def test_patience_is_short():
    assert read.PATIENCE <= 1
    assert cache_module.PATIENCE <= 0.2
