"""The budget against a real Valkey. Where time matters it is simulated: the script takes a clock."""

import heapq
import json
import math
import socket
import subprocess
import sys
import time
from bisect import bisect_left
from collections import Counter, deque
from pathlib import Path

import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calltrack.client import budget as budget_module
from calltrack.client import state
from calltrack.client.budget import JITTER, Budget, Floor, Lane, Limit

START = 1_760_000_000.0


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def budget_of(client, clock, *limits, account="acme/default"):
    return Budget(client, account, [Limit.parse(limit) for limit in limits], processes=4, clock=clock)


def most_in_a_window(moments, period):
    """The most moments that any half-open window of this length holds."""
    moments = sorted(moments)
    return max((bisect_left(moments, first + period) - i for i, first in enumerate(moments)), default=0)


lanes = st.sampled_from(Lane)
#: seconds to the next request; None: exactly as long as the budget told somebody to wait
gaps = st.one_of(st.none(), st.just(0.0), st.floats(0, 0.2), st.floats(0, 3))
#: seconds from a grant to its arrival; a hair less than what is allowed for, as floats of the present are that coarse
delays = st.floats(0, 0.999 * JITTER)
NO_DELAY, ALL_DELAY = 0.0, 0.999 * JITTER


@settings(max_examples=30, deadline=None)
@given(
    limit=st.sampled_from(["1/second", "3/second", "10/second", "50/second", "7/minute"]),
    requests=st.lists(st.tuples(gaps, lanes, delays), min_size=15, max_size=60),
)
@example("10/second", [(0.0, Lane.LIVE, ALL_DELAY), *[(None, Lane.LIVE, NO_DELAY)] * 30])
def test_no_window_sees_more_requests_than_the_limit(valkey, limit, requests):
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
        clock, told, arrivals = Clock(), 0.0, []
        budget = budget_of(client, clock, limit)
        for gap, lane, delay in requests:
            clock.now += told if gap is None else gap
            told = budget.take(lane)
            if told == 0.0:
                arrivals.append(clock.now + delay)
    parsed = Limit.parse(limit)
    assert most_in_a_window(arrivals, parsed.period) <= parsed.count


@settings(max_examples=12, deadline=None)
@given(requests=st.lists(st.tuples(st.floats(0, 2000), lanes), min_size=20, max_size=60))
def test_no_hour_sees_more_requests_than_the_hourly_limit(valkey, requests):
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
        clock, granted = Clock(), []
        budget = budget_of(client, clock, "12/hour")
        for gap, lane in requests:
            clock.now += gap
            if budget.take(lane) == 0.0:
                granted.append(clock.now)
    assert most_in_a_window(granted, 3600) <= 12


@pytest.mark.parametrize("limit", ["10/second", "50/second", "100/minute"])
def test_a_busy_budget_uses_most_of_its_limit(broker, clock, limit):
    budget, parsed = budget_of(broker, clock, limit), Limit.parse(limit)
    granted = 0
    while clock.now < START + 4 * parsed.period:
        wait = budget.take(Lane.INCREMENTAL)
        granted += wait == 0.0
        clock.now += wait
    assert granted / (4 * parsed.count) > 0.85


@pytest.mark.parametrize("limit", ["2/second", "10/second", "100/minute"])
@pytest.mark.parametrize("asked_after", [0.0, 0.31, 0.77])
def test_a_live_request_passes_a_backfill_that_takes_all_it_can(broker, clock, limit, asked_after):
    budget, interval = budget_of(broker, clock, limit), Limit.parse(limit).interval
    for _ in range(50):
        clock.now += budget.take(Lane.BACKFILL)
    clock.now += asked_after * interval
    asked = clock.now
    while live := budget.take(Lane.LIVE):
        backfill = budget.take(Lane.BACKFILL)
        clock.now += min(live, backfill) or live
    assert clock.now - asked <= interval


def test_a_lane_gives_way_while_one_before_it_is_busy(broker, clock):
    budget = budget_of(broker, clock, "10/second")
    waits, granted = dict.fromkeys((Lane.BACKFILL, Lane.INCREMENTAL), START), dict.fromkeys(Lane, 0)
    while clock.now < START + 6:
        for lane, due in waits.items():
            if due <= clock.now:
                wait = budget.take(lane)
                granted[lane] += wait == 0.0
                waits[lane] = clock.now + wait
        clock.now = max(min(waits.values()), math.nextafter(clock.now, math.inf))
    assert granted[Lane.BACKFILL] <= 3
    assert granted[Lane.INCREMENTAL] > 45


def test_all_limits_are_taken_or_none(broker, clock):
    budget = budget_of(broker, clock, "100/second", "3/hour")
    waits = [budget.take(Lane.LIVE) for _ in range(4)]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert 3600 <= waits[3] <= 3600 + 150
    paced_before = broker.hget("calltrack:budget:acme/default", "paced:1")
    budget.take(Lane.LIVE)
    assert broker.hget("calltrack:budget:acme/default", "paced:1") == paced_before


def test_the_wait_of_a_spent_day_is_exact(broker, clock):
    budget = budget_of(broker, clock, "2/day")
    assert budget.take(Lane.LIVE) == 0.0
    clock.now += 7 * 3600
    assert budget.take(Lane.LIVE) == 0.0
    wait = budget.take(Lane.LIVE)
    clock.now += wait - 0.001
    assert budget.take(Lane.LIVE) > 0
    clock.now += 0.002
    assert budget.take(Lane.LIVE) == 0.0


def test_pieces_that_no_longer_count_are_dropped(broker, clock):
    budget = budget_of(broker, clock, "1000/hour")
    for _ in range(100):
        budget.take(Lane.LIVE)
        clock.now += 400
    assert broker.hlen("calltrack:budget:acme/default") <= 26


def test_a_backfill_leaves_some_of_a_counted_limit_to_others(broker, clock):
    budget = budget_of(broker, clock, "100/day")
    backfilled = sum(budget.take(Lane.BACKFILL) == 0.0 for _ in range(100))
    assert backfilled == 94
    assert sum(budget.take(Lane.LIVE) == 0.0 for _ in range(100)) == 6


def test_a_block_stops_everybody(broker, clock):
    one, other = budget_of(broker, clock, "10/second"), budget_of(broker, clock, "10/second")
    one.block(30)
    assert all(other.take(lane) == pytest.approx(30) for lane in Lane)
    clock.now += 30.001
    assert other.take(Lane.LIVE) == 0.0


def pace(broker):
    return float(broker.hget("calltrack:budget:acme/default", "pace") or 1)


def test_the_limit_is_found_out_by_counting_after_a_rest(broker, clock):
    """Whatever was refused together is one refusal. After a period of rest the provider's count of us is empty."""
    budget = budget_of(broker, clock, "100/minute")
    assert {budget.refused(2) for _ in range(10)} == {60.0}
    assert pace(broker) == 1
    clock.now += 60
    let_through = 0
    while let_through < 30:
        wait = budget.take(Lane.BACKFILL)
        clock.now += wait
        let_through += wait == 0
    assert 0 < budget.refused(None) < 60  # until that period is over; the last one was not let through
    assert pace(broker) == pytest.approx(0.97 * 29 / 96, rel=0.01)


def test_a_refusal_that_was_none_of_the_limit_costs_a_rest_and_no_more(broker, clock):
    budget = budget_of(broker, clock, "10/second")
    budget.refused(1)
    clock.now += 1
    for _ in range(40):
        while wait := budget.take(Lane.BACKFILL):
            clock.now += wait
    assert pace(broker) == 1


def test_where_nothing_is_paced_a_refusal_only_blocks(broker, clock):
    budget = budget_of(broker, clock, "5000/day")
    assert budget.refused(300) == pytest.approx(300)
    assert pace(broker) == 1


class Sliding:
    """A provider that counts the requests of the last second."""

    def __init__(self):
        self.recent = deque()

    def accepts(self, now, limit):
        while self.recent and self.recent[0] <= now - 1:
            self.recent.popleft()
        fits = len(self.recent) < limit
        if fits:
            self.recent.append(now)
        return fits


class Fixed:
    """A provider that counts anew each second."""

    def __init__(self):
        self.counts = Counter()

    def accepts(self, now, limit):
        fits = self.counts[int(now)] < limit
        self.counts[int(now)] += fits
        return fits


PHASES = [(20, 100), (20, 40), (20, 100)]  # seconds, requests per second that the provider lets through


def true_limit(at):
    for seconds, limit in PHASES:
        if at < seconds:
            return limit
        at -= seconds
    return 0


@pytest.mark.parametrize(("provider", "told"), [(Sliding, None), (Fixed, 1.0)])
def test_it_learns_a_limit_that_changes(broker, clock, provider, told):
    """Three that ask as often as they may, of a provider that says 100 per second, and for a while lets through 40."""
    budget, provider = budget_of(broker, clock, "100/second"), provider()
    due = [(START + number / 300, number) for number in range(3)]
    answers = Counter()
    while due[0][0] < START + sum(seconds for seconds, _ in PHASES):
        clock.now, taker = heapq.heappop(due)
        wait = budget.take(Lane.BACKFILL)
        if wait == 0:
            fits = provider.accepts(clock.now, true_limit(clock.now - START))
            answers[fits] += 1
            wait = 0.002 if fits else budget.refused(told)
        heapq.heappush(due, (clock.now + wait + 0.0002 * taker, taker))
    assert answers[True] >= 0.8 * sum(seconds * limit for seconds, limit in PHASES)
    assert answers[False] <= 0.01 * answers.total()


def test_a_shorter_block_does_not_shorten_a_longer_one(broker, clock):
    budget = budget_of(broker, clock, "10/second")
    budget.block(60)
    budget.block(2)
    assert budget.take(Lane.LIVE) == pytest.approx(60)


def test_a_clock_that_was_set_back_does_not_stop_the_budget(broker, clock):
    budget = budget_of(broker, clock, "10/second")
    budget.take(Lane.LIVE)
    clock.now -= 3600
    assert budget.take(Lane.LIVE) < 2


def test_accounts_do_not_share(broker, clock):
    budget_of(broker, clock, "1/second", account="acme/one").block(60)
    assert budget_of(broker, clock, "1/second", account="acme/other").take(Lane.LIVE) == 0.0


def test_without_a_clock_it_runs_on_the_servers_time(broker):
    budget = Budget(broker, "acme/default", [Limit.parse("1/second")])
    assert budget.take(Lane.LIVE) == 0.0
    assert 0.5 < budget.take(Lane.BACKFILL) < 2
    assert 0 < broker.ttl("calltrack:budget:acme/default") <= 26 * 3600


def test_ten_processes_together_keep_the_limit_and_use_it(valkey, broker):
    """Each grant is stamped by the server, in one transaction with the grant: a slow machine cannot blur the count."""
    hammer = Path(__file__).with_name("hammer_budget.py")
    subprocess.run([sys.executable, hammer, valkey.url, "10", "1.6"], check=True, timeout=30)
    stamps = [moment for line in broker.lrange("stamps", 0, -1) for moment in json.loads(line)]
    assert most_in_a_window(stamps, 1.0) <= 50
    assert len(stamps) / (50 * (max(stamps) - min(stamps))) >= 0.5  # and it is used, on a busy machine too


# ── without Redis ────────────────────────────────────────────────────────────────────────────────────────────────


def url_of(server):
    return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.fixture
def nowhere():
    """A client of a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with state.connect(url_of(taken)) as client:
            yield client


def test_without_redis_each_process_keeps_to_its_share(nowhere):
    budget = Budget(nowhere, "acme/alone", [Limit.parse("100/minute"), Limit.parse("50/second")], processes=10)
    assert budget.take(Lane.LIVE) == 0.0
    assert budget.take(Lane.LIVE) == pytest.approx(6.0, abs=0.5)


def test_without_redis_a_block_still_holds_here(nowhere):
    budget = Budget(nowhere, "acme/blocked", [Limit.parse("100/second")], processes=1)
    budget.block(30)
    assert budget.take(Lane.LIVE) == pytest.approx(30, abs=0.5)


def test_more_processes_than_requests_share_by_turns():
    floor = Floor([Limit.parse("2/second")], processes=10)
    assert floor.take() == 0.0
    assert floor.take() == pytest.approx(5.0, abs=0.5)


def test_a_redis_that_hangs_is_asked_once_then_left_alone():
    with socket.create_server(("127.0.0.1", 0)) as mute, state.connect(url_of(mute)) as client:
        budget = Budget(client, "acme/mute", [Limit.parse("10000/second")])
        began = time.monotonic()
        for _ in range(5):
            budget.take(Lane.LIVE)
        assert state.PATIENCE <= time.monotonic() - began < 2 * state.PATIENCE + 0.3


def test_redis_is_asked_again_after_a_rest(broker, nowhere, monkeypatch):
    budget = Budget(nowhere, "acme/returns", [Limit.parse("1/minute")], processes=1)
    assert budget.take(Lane.LIVE) == 0.0
    assert budget.take(Lane.LIVE) > 1  # the floor's
    nowhere.connection_pool = broker.connection_pool
    assert budget.take(Lane.LIVE) > 1  # still resting
    monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + state.REST)
    assert budget.take(Lane.LIVE) == 0.0
    assert broker.exists("calltrack:budget:acme/returns")


def test_the_module_holds_no_forgotten_state(broker):
    """Two budgets of one account in one process share their floor: tasks may build theirs anew."""
    limits = (Limit.parse("5/second"),)
    assert budget_module.floor("acme/x", limits, 2) is budget_module.floor("acme/x", limits, 2)
