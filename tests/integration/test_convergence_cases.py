"""Where rows converged in one order only, each as the shortest sequence that shows it; and what workers wait for."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest
from sqlalchemy import text

from calltrack.model import call_id
from calltrack.sync import deliveries, store
from tests.integration.test_convergence import Inbox, check

A = {"id": "c1", "status": "NA", "lead_id": "1"}
B = {"id": "c1", "status": "B"}
A_WITHOUT_LEAD = {"id": "c1", "status": "NA"}
B_WITH_LEAD = {"id": "c1", "status": "B", "lead_id": "2"}
NOTICE = {"call_log_id": "c1", "status": "NA", "lead_id": "3"}
BARE = {"uuid": "c1", "updated_at": "2026-03-01T12:00:01Z"}


def page(*records):
    return "page", list(records)


def told(notice, event="completed", verified=True):
    return "delivery", notice, event, verified


def converge(system, provider, landed, order):
    inbox = Inbox(system(records=0), provider, landed)
    for place in order:
        inbox.process([inbox.work[place]])
    check(inbox)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_page_shows_again_what_a_delivery_changed(system, order):
    converge(system, "convoso", [page(A), told({"call_log_id": "c1", "status": "B"}, verified=False), page(A)], order)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_page_shows_again_what_another_page_changed(system, order):
    converge(system, "convoso", [page(A), page(B), page(A)], order)


def test_what_was_confirmed_stays_so_when_a_newer_page_holds_less(system):
    converge(system, "convoso", [page(A), told(NOTICE), page(A), page(B)], (0, 2, 3, 1))


def test_what_was_not_confirmed_is_not_confirmed_by_coming_late(system):
    landed = [page(A_WITHOUT_LEAD), page(B_WITH_LEAD), told(NOTICE), page(A_WITHOUT_LEAD)]
    converge(system, "convoso", landed, (0, 3, 1, 2))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
@pytest.mark.parametrize("event", ["completed", "started", "converted"])
def test_an_event_tells_something_though_its_body_is_known(system, order, event):
    converge(system, "retreaver", [page(BARE), told(BARE, event)], order)


def test_two_events_with_the_same_body_give_the_same_row_in_both_orders(system):
    world, found = system(records=0), []
    for order in ((0, 1), (1, 0)):
        inbox = Inbox(world, "retreaver", [told(BARE, "started"), told(BARE, "ringing")])
        for place in order:
            inbox.process([inbox.work[place]])
        found.append(world.one("SELECT status FROM calls")["status"])
    assert found[0] == found[1]


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def waiting(world, *, advisory=False):
    """How many sessions wait for a lock."""
    which = "AND wait_event = 'advisory'" if advisory else ""
    query = (
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' {which}"
    )
    return world.one(query)["count"]


def test_a_delivery_waits_for_a_page_that_is_confirming_its_call(system):
    """The page was landed later, and is stored but not committed: by what is committed the delivery would win."""
    world = system(records=0)
    inbox = Inbox(world, "convoso", [page(A), told(NOTICE), page(A)])
    inbox.process(inbox.work[:1])
    world.execute("UPDATE webhook_logs SET next_attempt_at = '2026-01-01'")
    with ThreadPoolExecutor(2) as workers:
        with world.engine.begin() as connection:  # the last thing that storing a page writes is its run
            connection.execute(text("SELECT FROM sync_runs FOR UPDATE"))
            storing = workers.submit(store.store, inbox.work[2][1])
            until(lambda: waiting(world) == 1)
            processing = workers.submit(deliveries.process, "convoso")
            until(lambda: processing.done() or waiting(world, advisory=True))
        storing.result(30)
        processing.result(30)
    check(inbox)


HOLD = {
    "new": "INSERT INTO calls (id, account_id, provider, external_id, observations)"
    " SELECT :id, id, provider_type, 'held', '[]' FROM provider_configs WHERE provider_type = 'retreaver'",
    "known": "SELECT FROM calls WHERE id = :id FOR UPDATE",
}


@pytest.mark.parametrize("calls", ["new", "known"])
def test_two_pages_with_the_same_calls_never_wait_in_a_circle(system, calls):
    """Both are stopped half way, at a call that somebody holds. One must then have nothing that the other one wants."""
    world, rounds = system(records=0), range(6)
    shown = [[(f"c{number}-{n}", at) for n in range(100)] for number in rounds for at in (1, 2, 3)]
    inbox = Inbox(world, "retreaver", [page(*map(at_second, records)) for records in shown])
    for number in rounds:
        first, *both = inbox.work[3 * number : 3 * number + 3]
        if calls == "known":
            inbox.process([first])
        with ThreadPoolExecutor(2) as workers:
            with world.engine.connect() as holding:
                middle = sorted(call_id(inbox.account, name) for name, _ in shown[3 * number])[50]
                holding.execute(text(HOLD[calls]), {"id": middle})
                stored = [workers.submit(store.store, key) for _, key in both]
                until(lambda: waiting(world) == 2)
            for one in stored:
                one.result(30)  # a circle that Postgres broke is raised here
        inbox.process([first])
    check(inbox)


def at_second(known):
    name, second = known
    return {"uuid": name, "sub_id": str(second), "updated_at": f"2026-03-01T12:00:0{second}Z"}
