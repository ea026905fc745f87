"""How much of a provider's limit many processes use together, and how often the provider has to refuse them.

    python -m bench.budget [--limit 50/second] [--processes 8] [--seconds 10]

The provider counts exactly: a request that would be one too many in the time before it gets a 429. All processes but
one backfill as fast as they are let; one asks now and then in the live lane. A last line tells what taking costs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
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

    def __init__(self, limit: Limit) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.limit, self.lock = limit, threading.Lock()
        self.recent: deque[float] = deque()
        self.accepted: list[float] = []
        self.refused = 0

    def accepts(self) -> bool:
        with self.lock:
            now = time.monotonic()
            while self.recent and self.recent[0] <= now - self.limit.period:
                self.recent.popleft()
            fits = len(self.recent) < self.limit.count
            if fits:
                self.recent.append(now)
                self.accepted.append(now)
            self.refused += not fits
            return fits


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def do_GET(self) -> None:
        head = "200 OK" if self.server.accepts() else "429 Too Many Requests"
        self.wfile.write(f"HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\n[]".encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(limit: Limit) -> Iterator[Provider]:
    with Provider(limit) as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        yield provider
        provider.shutdown()


def client_of(redis_url: str, api_url: str, limit: Limit, processes: int) -> Client:
    redis = state.connect(redis_url)
    return Client(
        "bench", api_url, QueryKeys({}), {}, Budget(redis, "bench", [limit], processes), Breaker(redis, "bench")
    )


def work(parts: tuple[Any, ...], lane: Lane, seconds: float, start: Any, results: Any) -> None:
    """One process: its answers, and how long each took."""
    client, took = client_of(*parts), []
    start.wait()
    until = time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        with suppress(TryLater):
            client.get("/calls.json", {}, lane)
            took.append(time.monotonic() - began)
        if lane is Lane.LIVE:
            time.sleep(0.2)
    results.put((lane, took))


def hammer(redis_url: str, limit: Limit, processes: int, seconds: float) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(processes + 1), context.SimpleQueue()
    with serving(limit) as provider:
        lanes = [Lane.LIVE, *[Lane.BACKFILL] * (processes - 1)]
        parts = (redis_url, f"http://127.0.0.1:{provider.server_port}", limit, processes)
        for lane in lanes:
            context.Process(target=work, args=(parts, lane, seconds, start, results), daemon=True).start()
        start.wait()
        live = [took for lane, spans in (results.get() for _ in lanes) if lane is Lane.LIVE for took in spans]
    accepted, span = len(provider.accepted), provider.accepted[-1] - provider.accepted[0]
    print(f"{processes} processes, {limit}, {span:.1f} s: accepted {accepted}, refused {provider.refused}")
    print(f"use of the limit: {accepted / (limit.count * span / limit.period):.0%}")
    print(
        f"a live request took {statistics.median(live) * 1000:.0f} ms (median), {max(live) * 1000:.0f} ms (longest); "
        f"the pace is one per {limit.interval * 1000:.0f} ms"
    )


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
    parser.add_argument("--limit", type=Limit.parse, default=Limit.parse("50/second"))
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calltrack-bench-") as home:
        Path(home).chmod(0o711)
        found = resolve({"CALLTRACK_HOME": f"{home}/home", "DATABASE_URL": "postgresql://none"})
        with Servers(found) as servers:
            assert servers.settings.redis_url is not None
            hammer(servers.settings.redis_url, args.limit, args.processes, args.seconds)
            cost(servers.settings.redis_url)


if __name__ == "__main__":
    main()
