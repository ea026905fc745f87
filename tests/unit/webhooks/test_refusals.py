"""Counting refusals: nothing is written per request, nothing is lost while Postgres is away."""

from datetime import UTC, datetime

import pytest
from psycopg import OperationalError

from calltrack.errors import BadSignature, TooLarge
from calltrack.networks import address
from webhooks.answers import NotLanded
from webhooks.refusals import INTERVAL, SAMPLES, Key, Refusals

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)


class Table:
    """Takes the place of `Connections`, and of the statement."""

    def __init__(self):
        self.counts = {}
        self.samples = {}
        self.writes = 0
        self.error = None

    def run(self, work):
        if self.error is not None:
            raise self.error
        self.writes += 1
        work(self)

    def add(self, _, tallies):
        for key, tally in tallies.items():
            self.counts[key] = self.counts.get(key, 0) + tally.refusals
            self.samples[key] = [*self.samples.get(key, []), *tally.samples]


@pytest.fixture
def table(monkeypatch):
    made = Table()
    monkeypatch.setattr("webhooks.refusals._add", made.add)
    return made


class Clock:
    now = NINE.timestamp() + 3590

    def __call__(self):
        return self.now


def test_counts_by_hour_door_and_reason(table):
    clock = Clock()
    refusals = Refusals(table.run, lambda: None, clock)
    for _ in range(1000):
        refusals.count("acme/default", BadSignature())
    refusals.count("unknown", TooLarge())
    clock.now += 20
    refusals.count("acme/default", BadSignature())
    assert table.writes == 0
    refusals.write()
    refusals.write()
    assert table.writes == 1
    assert table.counts == {
        Key(NINE, "acme/default", "bad_signature"): 1000,
        Key(NINE, "unknown", "too_large"): 1,
        Key(NINE.replace(hour=10), "acme/default", "bad_signature"): 1,
    }


@pytest.mark.parametrize("error", [OperationalError(), NotLanded()])
def test_what_cannot_be_written_is_written_later(table, error):
    refusals = Refusals(table.run, lambda: None, Clock())
    refusals.count("acme/default", BadSignature())
    table.error = error
    refusals.write()
    refusals.count("acme/default", BadSignature())
    table.error = None
    refusals.write()
    assert list(table.counts.values()) == [2]


def test_writes_sometimes(table):
    clock = Clock()
    refusals = Refusals(table.run, lambda: None, clock)
    for _ in range(100):
        refusals.count("acme/default", BadSignature())
        refusals.write_sometimes()
        clock.now += INTERVAL / 25
    assert 3 <= table.writes <= 5


def test_the_thread_that_writes_is_started(table):
    started = []
    Refusals(table.run, lambda: started.append(1), Clock()).count("acme/default", BadSignature())
    assert started


def test_of_the_first_few_it_is_kept_whom_they_came_from_and_why(table):
    refusals = Refusals(table.run, lambda: None, Clock())
    for number in range(20):
        refusals.count("acme/default", BadSignature(), address(f"203.0.113.{number}"))
    refusals.count("unknown", TooLarge())
    refusals.write()
    first, *others = table.samples[Key(NINE, "acme/default", "bad_signature")]
    assert first == {
        "at": "2026-03-01T09:59:50.000+00:00",
        "source": "203.0.113.0",
        "detail": "The signature is missing or wrong.",
    }
    assert [sample["source"] for sample in others] == [f"203.0.113.{number}" for number in range(1, SAMPLES)]
    assert table.samples[Key(NINE, "unknown", "too_large")][0]["source"] is None


def test_what_waits_for_postgres_is_no_more_than_a_few_of_each_kind(table):
    refusals = Refusals(table.run, lambda: None, Clock())
    table.error = OperationalError()
    for number in range(100):
        refusals.count("acme/default", BadSignature(), address(f"203.0.113.{number}"))
        refusals.write()
    table.error = None
    refusals.write()
    (samples,) = table.samples.values()
    assert [sample["source"] for sample in samples] == [f"203.0.113.{number}" for number in range(SAMPLES)]
    assert list(table.counts.values()) == [100]
