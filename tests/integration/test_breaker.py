"""The breaker against a real Valkey; every `Breaker` object stands for another process.

Run as a script it is one of the real processes of the last tests: see `answer_orders`.
"""

import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress

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
    while breaker.sight().wait > 0:  # it rests from the beginning of a second, which may be this very moment
        pass
    with suppress(BreakerOpen):
        breaker.call(fine)
    assert [breaker.call(fine) for _ in range(3)] == ["fine"] * 3
    assert breaker.sight().closed


# ── real processes ───────────────────────────────────────────────────────────────────────────────────────────────

ENDINGS = {"failed": ProviderFailed, "refused": TooManyRequests}


def answer_orders(url):
    """A process that makes a call at each line, and ends it as the next line says: "failed", "refused" or "fine".

    It says "inside" once the breaker let it through, and how the call ended.
    """

    def function():
        say("inside")
        ending = sys.stdin.readline().strip()
        if ending in ENDINGS:
            raise ENDINGS[ending]
        return ending

    with redis.Redis.from_url(url) as client:
        breaker = Breaker(client, ACCOUNT)
        while sys.stdin.readline():
            try:
                say(breaker.call(function))
            except BreakerOpen:
                say("open")
            except tuple(ENDINGS.values()) as error:
                say(next(name for name, kind in ENDINGS.items() if type(error) is kind))


def say(word):
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


class Process:
    """One that answers orders."""

    def __init__(self, popen):
        self._popen = popen

    def tell(self, order):
        self._popen.stdin.write(order + "\n")
        self._popen.stdin.flush()

    def hear(self):
        assert select.select([self._popen.stdout], [], [], 20)[0], "a process says nothing"
        return self._popen.stdout.readline().strip()


def ask(processes, order="call"):
    """Tell all of them before any is heard: they work at the same time."""
    for process in processes:
        process.tell(order)
    return [process.hear() for process in processes]


@pytest.fixture(scope="module")
def processes(valkey):
    with ExitStack() as stack:
        command = [sys.executable, __file__, valkey.url]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        yield [Process(stack.enter_context(subprocess.Popen(command, **pipes))) for _ in range(4)]


def let_pass(broker, seconds):
    """As if it had opened so much earlier."""
    broker.set(KEY + "opened_at", int(broker.get(KEY + "opened_at")) - seconds)


def fail_five_times(processes):
    assert ask(processes) == ["inside"] * 4
    assert ask(processes, "failed") == ["failed"] * 4
    assert ask(processes[:1]) == ["inside"]
    assert ask(processes[:1], "failed") == ["failed"]


def test_five_failures_of_several_processes_open_it_and_refusals_count_for_nothing(processes, breaker):
    assert ask(processes) == ["inside"] * 4
    assert ask(processes, "failed") == ["failed"] * 4  # at the same time
    assert ask(processes) == ["inside"] * 4
    assert ask(processes, "refused") == ["refused"] * 4
    assert breaker.sight().failures == 4
    assert ask(processes[2:3]) == ["inside"]
    assert ask(processes[2:3], "failed") == ["failed"]
    assert ask(processes) == ["open"] * 4


def test_a_success_of_one_process_ends_the_row_of_all(processes, breaker):
    assert ask(processes) == ["inside"] * 4
    assert ask(processes, "failed") == ["failed"] * 4
    assert ask(processes[:1]) == ["inside"]
    assert ask(processes[:1], "fine") == ["fine"]
    fail_five_times(processes)
    assert ask(processes) == ["open"] * 4


def test_of_all_processes_exactly_one_probes_and_three_successes_close_it(processes, broker, breaker):
    fail_five_times(processes)
    let_pass(broker, 50)
    assert ask(processes) == ["open"] * 4
    let_pass(broker, 10)
    for _ in range(3):
        assert not breaker.sight().closed
        assert probe(processes, "fine") == "fine"
    assert ask(processes) == ["inside"] * 4
    assert ask(processes, "fine") == ["fine"] * 4


def test_a_refused_probe_of_one_process_counts_neither_way_and_a_failed_one_opens_it_for_all(processes, broker):
    fail_five_times(processes)
    let_pass(broker, 60)
    assert probe(processes, "fine") == "fine"
    assert probe(processes, "refused") == "refused"
    assert probe(processes, "fine") == "fine"
    assert probe(processes, "failed") == "failed"
    assert ask(processes) == ["open"] * 4


def probe(processes, ending):
    """All ask at once, and one is let through, who ends its call only when all the others were sent away."""
    heard = ask(processes)
    assert sorted(heard) == ["inside", "open", "open", "open"]
    return ask([processes[heard.index("inside")]], ending)[0]


if __name__ == "__main__":
    answer_orders(*sys.argv[1:])
