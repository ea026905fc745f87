"""How much of a provider's limit many processes use together, and how often the provider has to refuse them.

    python -m bench.budget [--limit 100/second] [--processes 8] [--seconds 60]

The provider counts exactly: a request that would be one too many in the second before it gets a 429, with
`Retry-After: 1`. All processes but one backfill as fast as they are let; one asks now and then in the incremental lane.
In the second part the provider lets through less than it says for a while, and tells nobody. Last come how long an
incremental request waits for its turn beside a backfill and without one, and what taking costs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from calltrack.client import state
from calltrack.client.auth import QueryKeys
from calltrack.client.breaker import Breaker
from calltrack.client.budget import Budget, Lane, Limit
from calltrack.client.session import Client
from calltrack.config import resolve
from calltrack.embedded.servers import Servers
from calltrack.errors import TryLater


class Provider(ThreadingHTTPServer):
    """Keeps a limit to the letter."""

    daemon_threads = True

    def __init__(self, limit: Limit, shares: Sequence[float], seconds: float) -> None:
        """`shares` of the limit are let through, each for so many seconds from the first request on."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.limit, self.shares, self.seconds, self.lock = limit, shares, seconds, threading.Lock()
        self.recent: deque[float] = deque()
        self.accepted: list[float] = []
        self.refused = 0

    def accepts(self) -> bool:
        with self.lock:
            now = time.monotonic()
            while self.recent and self.recent[0] <= now - self.limit.period:
                self.recent.popleft()
            fits = len(self.recent) < self.limit.count * self.share(now)
            if fits:
                self.recent.append(now)
                self.accepted.append(now)
            self.refused += not fits
            return fits

    def share(self, now: float) -> float:
        """What is let through at this moment, of the limit."""
        began = self.accepted[0] if self.accepted else now
        return self.shares[min(int((now - began) / self.seconds), len(self.shares) - 1)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def do_GET(self) -> None:
        head = "200 OK" if self.server.accepts() else "429 Too Many Requests\r\nRetry-After: 1"
        self.wfile.write(f"HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\n[]".encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(limit: Limit, shares: Sequence[float], seconds: float) -> Iterator[Provider]:
    with Provider(limit, shares, seconds) as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        yield provider
        provider.shutdown()


class Watched(Client):
    """Remembers how long each request waited for its turn."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.waited: list[float] = []

    def _wait_for_turn(self, lane: Lane) -> None:
        began = time.monotonic()
        super()._wait_for_turn(lane)
        self.waited.append(time.monotonic() - began)


def client_of(redis_url: str, api_url: str, limit: Limit, processes: int) -> Watched:
    redis = state.connect(redis_url)
    return Watched(
        "bench", api_url, QueryKeys({}), {}, Budget(redis, "bench", [limit], processes), Breaker(redis, "bench")
    )


def work(parts: tuple[Any, ...], lane: Lane, seconds: float, start: Any, results: Any) -> None:
    """One process that asks until the time is over."""
    client = client_of(*parts)
    start.wait()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(TryLater):
            client.get("/calls.json", {}, lane)
        if lane is Lane.INCREMENTAL:
            time.sleep(0.2)
    results.put((lane, client.waited))


def hammer(
    redis_url: str, limit: Limit, processes: int, seconds: float, shares: Sequence[float]
) -> tuple[Provider, list[float]]:
    """Let so many processes ask for `seconds` with each share of the limit.

    Returns the provider, with its books, and how long each incremental request waited for its turn.
    """
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(processes + 1), context.SimpleQueue()
    with serving(limit, shares, seconds) as provider, state.connect(redis_url) as redis:
        redis.flushall()
        lanes = [Lane.INCREMENTAL, *[Lane.BACKFILL] * (processes - 1)]
        parts = (redis_url, f"http://127.0.0.1:{provider.server_port}", limit, processes)
        for lane in lanes:
            asked = (parts, lane, seconds * len(shares), start, results)
            context.Process(target=work, args=asked, daemon=True).start()
        start.wait()
        told = [results.get() for _ in lanes]
        waited = [wait for lane, waits in told if lane is Lane.INCREMENTAL for wait in waits]
    return provider, waited


def told(provider: Provider, processes: int) -> None:
    """Print what the provider let through, of what it would have let through, and what it refused."""
    limit, accepted, refused = provider.limit, len(provider.accepted), provider.refused
    could = sum(provider.shares) * provider.seconds * limit.count / limit.period
    shares = ", ".join(f"{share:.0%}" for share in provider.shares)
    print(f"{processes} processes, {limit}, let through {shares} for {provider.seconds:g} s each:")
    print(
        f"    {accepted / could:.1%} of what was let through is used, {refused / (accepted + refused):.2%} are refused"
    )


def waits(redis_url: str, limit: Limit, processes: int, seconds: float) -> None:
    """Print how long incremental requests wait, beside a backfill and without one."""
    for number in (processes, 1):
        _, waited = hammer(redis_url, limit, number, seconds, [1.0])
        beside = f"beside {number - 1} processes that backfill" if number > 1 else "alone"
        print(
            f"an incremental request waits for its turn, {beside}: {statistics.median(waited) * 1000:.0f} ms, "
            f"95 of 100 within {statistics.quantiles(waited, n=20)[18] * 1000:.0f} ms"
        )
    print(f"(at the even pace requests come every {limit.interval * 1000:.0f} ms)")


def cost(redis_url: str, rounds: int = 5000) -> None:
    """What taking a token costs, beside the shortest question to the same server."""
    limits = [Limit.parse(text) for text in ("1000000/second", "1000000/hour", "1000000/day")]
    with state.connect(redis_url) as client:
        budget, took, pings = Budget(client, "cost", limits), [], []
        for _ in range(rounds):
            took.append(timed(lambda: budget.take(Lane.LIVE)))
            pings.append(timed(client.ping))
    told = ", ".join(f"{name} {_percentiles(spans)}" for name, spans in (("take of 3 limits", took), ("PING", pings)))
    print(f"{told} (median, 99 of 100)")


def timed(function: Any) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _percentiles(spans: list[float]) -> str:
    return f"{statistics.median(spans) * 1e6:.0f} µs, {statistics.quantiles(spans, n=100)[98] * 1e6:.0f} µs"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.budget", description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=Limit.parse, default=Limit.parse("100/second"))
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calltrack-bench-") as home:
        Path(home).chmod(0o711)
        found = resolve({"CALLTRACK_HOME": f"{home}/home", "DATABASE_URL": "postgresql://none"})
        with Servers(found) as servers:
            assert servers.settings.redis_url is not None
            for shares in ([1.0], [1.0, 0.4, 1.0]):
                provider, _ = hammer(servers.settings.redis_url, args.limit, args.processes, args.seconds, shares)
                told(provider, args.processes)
            waits(servers.settings.redis_url, args.limit, args.processes, args.seconds / 3)
            cost(servers.settings.redis_url)


if __name__ == "__main__":
    main()
