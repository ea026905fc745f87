"""A system without Celery: accounts at simulated providers, and hints followed in this process, one after another."""

import random

import orjson
import pytest
from sqlalchemy import text

from calltrack import accounts
from calltrack.db.session import driver
from calltrack.sync import deliveries, pull, runs, store
from calltrack.sync.connections import valkey, vault
from calltrack.sync.hints import Step
from calltrack.sync.inbox import Delivery, land
from simulator import Habits, Simulator, World


class System:
    """The database, a simulator with an account at each of its providers, and what tests ask about them."""

    def __init__(self, engine, sim):
        self.engine = engine
        self.sim = sim

    def add_account(self, provider, name="default", **values):
        given = {**self.sim.credentials(provider), "retry_delay": "0.001", **values}
        with self.engine.begin() as connection:
            return accounts.add(
                connection,
                vault(),
                provider,
                name=name,
                api_url=self.sim.url(provider),
                values=given,
                webhook_secrets=["a-secret-of-the-test"],
                rate_limits=["10000/second"],
            ).account

    def account_id(self, provider="retreaver"):
        return self.one("SELECT id FROM provider_configs WHERE provider_type = :p", p=provider)["id"]

    def deliver(self, provider="retreaver", event="completed", verified=True, body=None, **fields):
        """Land a delivery, as the receiver does; returns its id."""
        delivery = Delivery(
            account_id=self.account_id(provider),
            provider=provider,
            event_type=event,
            content_type="application/json",
            query="",
            body=orjson.dumps(fields) if body is None else body,
            verified=verified,
        )
        with self.engine.begin() as connection:
            return land(driver(connection), delivery).id

    def sync(self, provider, mode="full", since=None, until=None):
        """Run a sync to its end, and return its run."""
        run_id, hints = runs.start(provider, None, mode, since, until)
        self.follow(hints)
        return self.run(run_id)

    def fetched(self, provider="retreaver", name="default"):
        """A full sync whose pages are all fetched, and none of them stored: its run, and the hints to store them."""
        run_id, hints = runs.start(provider, name, "full")
        waiting = list(hints)
        while waiting:
            waiting += pull.fetch(waiting.pop(0).id).hints
        pages = self.rows("SELECT * FROM sync_pages WHERE run_id = :run AND state = 'fetched' ORDER BY id", run=run_id)
        return run_id, [runs.unstored(page) for page in pages]

    def follow(self, hints, shuffle=None, lose=None):
        """Do what the hints say, and what comes of it, until nothing is left. Delays are not waited for."""
        waiting = list(hints)
        chance = random.Random(shuffle)
        while waiting:
            hint = waiting.pop(chance.randrange(len(waiting)) if shuffle is not None else 0)
            if lose is None or not lose(hint):
                waiting += self.do(hint)

    def do(self, hint):
        if hint.step is Step.DELIVERIES:
            return deliveries.drain(hint.provider)
        if hint.step is Step.STORE:
            return self.store(hint.id)
        fetched = pull.fetch(hint.id)
        return [*fetched.hints, *(self.store(hint.id) if fetched.landed else ())]

    def store(self, page_id):
        return store.store(page_id) or []

    def wait_no_longer(self):
        """Let all that was put aside be due now, and the breakers forget."""
        valkey().flushall()
        self.execute("UPDATE provider_configs SET blocked_until = NULL")
        self.execute("UPDATE sync_pages SET next_attempt_at = now(), hinted_at = now() - interval '1 day'")

    def run(self, run_id):
        return self.one("SELECT * FROM sync_runs WHERE id = :id", id=run_id)

    def rows(self, query, **values):
        with self.engine.connect() as connection:
            return connection.execute(text(query), values).mappings().all()

    def one(self, query, **values):
        (row,) = self.rows(query, **values)
        return row

    def execute(self, query, **values):
        with self.engine.begin() as connection:
            connection.execute(text(query), values)

    def ids(self, provider):
        rows = self.rows("SELECT external_id FROM calls WHERE provider = :provider", provider=provider)
        return [row["external_id"] for row in rows]

    def assert_complete(self, provider):
        """Every call that the provider has is there once."""
        stored = self.ids(provider)
        assert sorted(stored) == sorted(self.sim.provider(provider).ids())


@pytest.fixture
def system(database, broker, settings_env):
    """Starts a `System`: `system(records=300, habits="faults")`."""
    running = []

    def start(records=230, habits="", accounts_at=("retreaver", "convoso"), seed=1, **world):
        sim = Simulator(World(seed=seed, records=records, **world), habits=Habits.parse(habits) if habits else None)
        running.append(sim.__enter__())
        made = System(database, sim)
        for provider in accounts_at:
            made.add_account(provider)
        return made

    yield start
    for sim in running:
        sim.__exit__(None, None, None)
