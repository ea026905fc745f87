"""How many deliveries a second the receiver accepts, beside a bare one that only verifies and inserts.

    python bench/receiver.py [--seconds 5] [--rounds 3] [--connections 16] [--server "-k gthread -w 2 --threads 8"]

Both run under the same gunicorn against the same embedded Postgres (its defaults: an answer waits for a commit that is
on disk), in turn. Senders, receiver and Postgres share the machine. Compare the ratio, not the absolute figures.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from sqlalchemy import Engine

from calltrack.config import resolve
from calltrack.db import accounts, migrate, session
from calltrack.db.credentials import Vault
from calltrack.embedded.ports import free_port
from calltrack.embedded.servers import Servers

SECRET = "bench-webhook-secret"
KEYS = {"bench": "a-key-for-the-benchmark-only-0123456789"}
PATH = "/webhooks/retreaver"
APPS = {"bare": "bare_receiver:app", "calltrack": "webhooks.wsgi:app"}
#: seconds of sending before it counts
WARM_UP = 1.0
#: requests made beforehand, so that making them does not count; more are made as they are sent
PREPARED = 20_000


# ── senders ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Tally:
    """What the senders saw."""

    until: float
    accepted: int = 0
    others: int = 0
    seconds: list[float] = field(default_factory=list)


class Sender(asyncio.Protocol):
    """Keeps one connection busy: the next delivery is sent when the last one is answered."""

    def __init__(self, requests: Iterator[bytes], tally: Tally) -> None:
        self._requests = requests
        self._tally = tally
        self._received = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.rstrip().endswith(b"}"):  # all answers are one JSON object
            self._answered(self._received.startswith(b"HTTP/1.1 202") and b'"accepted"' in self._received)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the receiver hung up"))

    def _answered(self, accepted: bool) -> None:
        now = time.perf_counter()
        self._tally.seconds.append(now - self._sent_at)
        self._tally.accepted += accepted
        self._tally.others += not accepted
        self._received = b""
        if now < self._tally.until:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._transport.write(next(self._requests))
        self._sent_at = time.perf_counter()


def requests(numbers: Iterator[int]) -> Iterator[bytes]:
    """Signed requests like no others, most of them made already."""
    return chain([request(next(numbers)) for _ in range(PREPARED)], map(request, numbers))


def request(number: int) -> bytes:
    """A delivery of 1.2 KB."""
    body = b'{"event":"completed","call":{"uuid":"%012d","cid":"+15550100001","notes":"%s"}}' % (number, b"n" * 1120)
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    head = f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-Signature: {signature}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def send(port: int, connections: int, seconds: float, prepared: Iterator[bytes]) -> Tally:
    loop = asyncio.get_running_loop()
    tally = Tally(until=time.perf_counter() + seconds)
    senders = [
        (await loop.create_connection(lambda: Sender(prepared, tally), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(sender.done for sender in senders))
    return tally


# ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Result:
    """One run of one receiver: accepted a second, and milliseconds to the answer."""

    rate: float
    p50: float
    p99: float

    @classmethod
    def of(cls, tally: Tally, seconds: float) -> Result:
        cuts = statistics.quantiles(tally.seconds, n=100)
        return cls(tally.accepted / seconds, cuts[49] * 1000, cuts[98] * 1000)

    def __str__(self) -> str:
        return f"{self.rate:7,.0f}/s   p50 {self.p50:6.1f} ms   p99 {self.p99:6.1f} ms"


@contextmanager
def gunicorn(app: str, options: str, environ: dict[str, str], port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "gunicorn", "--config", "python:webhooks.gunicorn_conf", *shlex.split(options)]
    command += ["--chdir", str(Path(__file__).parent), "--log-level", "warning", "--bind", f"127.0.0.1:{port}", app]
    with subprocess.Popen(command, env=environ) as process:
        try:
            await_server(port, process)
            yield
        finally:
            process.terminate()


def await_server(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody answers: 404 will do."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                probe.sendall(b"GET /none HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                if probe.recv(16):
                    return
        except OSError:
            time.sleep(0.1)
    sys.exit("the receiver did not start")


def measure(
    app: str, args: argparse.Namespace, environ: dict[str, str], engine: Engine, numbers: Iterator[int]
) -> Result:
    port = free_port()
    prepared = requests(numbers)
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE webhook_logs")
    with gunicorn(app, args.server, environ, port):
        warm = asyncio.run(send(port, args.connections, WARM_UP, prepared))
        tally = asyncio.run(send(port, args.connections, args.seconds, prepared))
    check(app, tally.accepted + warm.accepted, tally.others + warm.others, engine)
    return Result.of(tally, args.seconds)


def check(app: str, accepted: int, others: int, engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM webhook_logs").scalar_one()
    if others or rows != accepted:
        sys.exit(f"{app}: {accepted} accepted, {others} answered otherwise, but {rows} rows")


# ── all of it ────────────────────────────────────────────────────────────────────────────────────────────────────


def compare(args: argparse.Namespace, environ: dict[str, str], engine: Engine) -> None:
    numbers = count()
    results: dict[str, list[Result]] = {name: [] for name in APPS}
    for turn in range(args.rounds):
        for name, app in APPS.items():
            result = measure(app, args, environ, engine, numbers)
            results[name].append(result)
            print(f"round {turn + 1}  {name:10}{result}", flush=True)
    medians = {name: sorted(found, key=lambda result: result.rate)[len(found) // 2] for name, found in results.items()}
    for name, result in medians.items():
        print(f"median   {name:10}{result}   {result.rate / medians['bare'].rate:.2f} of the bare one")


def add_account(engine: Engine) -> str:
    with engine.begin() as connection:
        made = accounts.insert(
            connection,
            Vault(KEYS),
            provider="retreaver",
            api_url="http://127.0.0.1:1",
            secrets={"api_key": "none"},
            webhook_secrets=[SECRET],
            settings={},
        )
    return str(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--server", default="", help="gunicorn options instead of those in webhooks/gunicorn_conf.py")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calltrack-bench-") as folder:
        Path(folder).chmod(0o711)  # started by root, Postgres runs as somebody else
        keys = ",".join(f"{name}:{key}" for name, key in KEYS.items())
        base = {"CALLTRACK_HOME": f"{folder}/home", "CALLTRACK_SECRET_KEYS": keys, "PATH": os.environ["PATH"]}
        with Servers(resolve(base)) as servers:
            found = servers.settings
            engine = session.connect(str(found.database_url))
            migrate.upgrade(engine)
            urls = {"DATABASE_URL": str(found.database_url), "REDIS_URL": str(found.redis_url)}
            compare(args, {**base, **urls, "BENCH_SECRET": SECRET, "BENCH_ACCOUNT": add_account(engine)}, engine)
            engine.dispose()


if __name__ == "__main__":
    main()
