"""The bell and the thread that strikes it: few messages, none lost between two, and never on anybody's way."""

import threading
import time
from collections import Counter

import pytest

from webhooks.bell import Bell
from webhooks.chores import Chores


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


@pytest.fixture
def run():
    """Puts a bell and its thread together, and stops them."""
    made = []

    def together(publish, interval=0.01):
        chores = Chores(interval)
        bell = Bell(publish, chores.wake)
        chores.add(bell.strike)
        made.append(chores)
        return bell

    yield together
    for chores in made:
        chores.stop()


def test_each_provider_that_was_rung_for_gets_one_message():
    told = []
    bell = Bell(told.append, wake=lambda: None)
    for provider in ("acme", "bell", "acme", "acme"):
        bell.ring(provider)
    bell.strike()
    bell.strike()
    assert told == ["acme", "bell"]


def test_what_is_rung_during_a_message_gets_one_of_its_own():
    """It may have been committed after the worker looked."""
    told = []

    def publish(provider):
        told.append(provider)
        if len(told) == 1:
            bell.ring(provider)

    bell = Bell(publish, wake=lambda: None)
    bell.ring("acme")
    bell.strike()
    bell.strike()
    assert told == ["acme", "acme"]


def test_a_failed_message_is_forgotten_and_the_next_one_is_sent():
    told, state = [], {"away": True}

    def publish(provider):
        if state["away"]:
            raise ConnectionError
        told.append(provider)

    bell = Bell(publish, wake=lambda: None)
    assert bell.state == "unknown"
    bell.ring("acme")
    bell.ring("bell")
    bell.strike()
    assert bell.state == "failing"
    state["away"] = False
    bell.strike()
    assert told == []
    bell.ring("acme")
    bell.strike()
    assert (told, bell.state) == (["acme"], "ok")


def test_many_rings_few_messages_and_one_after_the_last(run):
    landed, seen = 0, []
    bell = run(lambda _: seen.append(landed), interval=0.05)
    began = time.monotonic()
    while time.monotonic() - began < 0.4:
        landed += 1
        bell.ring("acme")
    until(lambda: seen and seen[-1] == landed)
    assert landed > 100
    assert len(seen) <= (time.monotonic() - began) / 0.05 + 2


def test_the_first_ring_is_heard_at_once(run):
    heard = threading.Event()
    bell = run(lambda _: heard.set(), interval=60.0)
    bell.ring("acme")
    assert heard.wait(10)


def test_ringing_does_not_wait_for_a_broker_that_never_answers(run):
    stuck, go_on = threading.Event(), threading.Event()

    def publish(_):
        stuck.set()
        go_on.wait(30)

    bell = run(publish)
    bell.ring("acme")
    assert stuck.wait(10)
    began = time.monotonic()
    for _ in range(1000):
        bell.ring("acme")
        bell.ring("bell")
    assert time.monotonic() - began < 5
    go_on.set()


def test_a_chore_that_fails_stops_neither_the_thread_nor_the_other_chores():
    done = Counter()
    chores = Chores(interval=0.001)

    def fails():
        done["failed"] += 1
        raise ValueError

    chores.add(fails, lambda: done.update(worked=1))
    for number in (1, 2):
        chores.wake()
        until(lambda number=number: done["worked"] >= number)
    assert done["failed"] >= 2
    chores.stop()


def test_chores_are_done_without_being_woken():
    done = threading.Event()
    chores = Chores(interval=0.001, idle=0.01)
    chores.add(done.set)
    chores.start()
    assert done.wait(10)
    chores.stop()


def test_no_thread_before_there_is_work():
    """A server may fork after the application is made; threads do not survive that."""
    chores = Chores()
    chores.add(lambda: None)
    assert chores._thread is None
    chores.stop()
