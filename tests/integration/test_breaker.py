"""The breaker against a real Valkey; every `Breaker` object stands for another process."""

import socket
import threading
import time
from contextlib import suppress

import pytest
import redis

from calltrack.client import state
from calltrack.client.breaker import Breaker
from calltrack.errors import (
    BreakerOpen,
    BudgetSpent,
    CredentialsRefused,
    ProviderFailed,
    ProviderUnreachable,
    RequestRefused,
    TooManyRequests,
    UnreadableAnswer,
)

ACCOUNT = "acme/default"
KEY = f"calltrack:breaker:{ACCOUNT}:pybreaker:"


def fail(breaker, error=ProviderFailed, times=1):
    for _ in range(times):
        with pytest.raises(error):
            breaker.call(raising(error))


def raising(error):
    def function():
        raise error

    return function


def fine():
    return "fine"


def rested(client):
    """A process for which the rest is over."""
    return Breaker(client, ACCOUNT, rest=0.0)


@pytest.fixture
def breaker(broker):
    return Breaker(broker, ACCOUNT)


@pytest.fixture
def opened(broker, breaker):
    fail(breaker, times=5)
    return breaker


def test_it_opens_after_five_failures_in_a_row_for_all_processes(broker, breaker):
    other = Breaker(broker, ACCOUNT)
    fail(breaker, ProviderUnreachable, times=2)
    fail(other, UnreadableAnswer, times=2)
    assert breaker.call(fine) == "fine"  # the row is broken
    fail(breaker, times=2)
    fail(other, times=3)
    for process in (breaker, other):
        with pytest.raises(BreakerOpen) as caught:
            process.call(pytest.fail)
        assert 55 < caught.value.wait <= 60


def test_the_call_that_opens_it_raises_its_own_error(breaker):
    fail(breaker, times=4)
    with pytest.raises(ProviderFailed, match="its own 5"):
        breaker.call(raising(ProviderFailed("its own 5")))


@pytest.mark.parametrize("error", [TooManyRequests, RequestRefused, CredentialsRefused, BudgetSpent, KeyError])
def test_what_says_nothing_of_health_counts_neither_way(broker, breaker, error):
    fail(breaker, times=4)
    fail(breaker, error, times=10)
    assert broker.get(KEY + "fail_counter") == b"4"
    fail(breaker)
    with pytest.raises(BreakerOpen):
        breaker.call(fine)


def test_it_closes_after_three_successes_whoever_has_them(broker, opened):
    states = []
    for _ in range(3):
        assert rested(broker).call(fine) == "fine"
        states.append(broker.get(KEY + "state"))
    assert states == [b"half-open", b"half-open", b"closed"]
    fail(opened, times=4)
    assert opened.call(fine) == "fine"  # the failures from before are forgotten


def test_a_failed_probe_opens_it_again(broker, opened):
    assert rested(broker).call(fine) == "fine"
    fail(rested(broker))
    assert broker.get(KEY + "state") == b"open"
    with pytest.raises(BreakerOpen):
        opened.call(fine)


def test_a_refused_probe_leaves_it_half_open_to_the_next(broker, opened):
    assert rested(broker).call(fine) == "fine"
    fail(rested(broker), TooManyRequests)
    assert broker.get(KEY + "state") == b"half-open"
    assert rested(broker).call(fine) == "fine"


def test_only_one_request_of_all_probes_at_a_time(broker, opened):
    def probe():
        with pytest.raises(BreakerOpen) as caught:
            rested(broker).call(pytest.fail)
        assert 0 < caught.value.wait <= 10
        return "probed"

    assert rested(broker).call(probe) == "probed"
    assert rested(broker).call(fine) == "fine"  # the lease was given back


def test_the_lease_is_given_back_whatever_happens_to_the_probe(broker, opened):
    fail(rested(broker), KeyboardInterrupt)
    assert rested(broker).call(fine) == "fine"


def test_threads_do_not_wait_for_each_other(breaker):
    """Both are inside their calls at the same time, on one breaker object."""
    both = threading.Barrier(2, timeout=5)
    results = []
    threads = [threading.Thread(target=lambda: results.append(breaker.call(both.wait))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, 1]


def test_a_healthy_call_costs_one_question(broker, breaker):
    breaker.call(fine)
    assert broker.keys("calltrack:breaker:*") == []


@pytest.fixture
def nowhere():
    """A client of a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with state.connect(f"redis://127.0.0.1:{taken.getsockname()[1]}/0") as client:
            yield client


def test_without_redis_it_is_closed(nowhere):
    breaker = Breaker(nowhere, ACCOUNT)
    fail(breaker, times=6)
    assert breaker.call(fine) == "fine"


def test_an_error_without_redis_is_the_providers_alone(nowhere):
    with pytest.raises(ProviderFailed) as caught:
        Breaker(nowhere, ACCOUNT).call(raising(ProviderFailed))
    assert caught.value.__context__ is None


def test_redis_that_goes_away_during_a_call_does_not_hide_the_result(valkey, broker, monkeypatch):
    with state.connect(valkey.url) as client:  # one of its own: the others' must not be taken for away
        breaker = Breaker(client, ACCOUNT)
        fail(breaker)

        def lose_redis_and_succeed():
            monkeypatch.setattr(client, "execute_command", no_answer)
            return "fine"

        assert breaker.call(lose_redis_and_succeed) == "fine"


def no_answer(*command, **options):
    raise redis.ConnectionError


def test_one_opened_by_a_clock_that_was_ahead_rests_no_longer_than_others(broker):
    breaker = Breaker(broker, ACCOUNT, rest=0.01)
    fail(breaker, times=5)
    broker.set(KEY + "opened_at", int(time.time()) + 86_400)
    assert breaker.sight().wait <= 0.01
    with suppress(BreakerOpen):
        breaker.call(fine)
    assert [breaker.call(fine) for _ in range(3)] == ["fine"] * 3
    assert breaker.sight().closed
