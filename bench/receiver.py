"""How many deliveries a second the receiver accepts, beside a bare one that only verifies and inserts.

    python bench/receiver.py [--seconds 5] [--rounds 3] [--connections 16] [--server "-k gthread -w 2 --threads 8"]

Both run under the same gunicorn against the same embedded Postgres (its defaults: every answer waits for a commit that is
on disk), in turn. Senders, receiver and Postgres share the machine. Compare the ratio, not the absolute figures.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import Engine

from calltrack.config import resolve
from calltrack.db import accounts, migrate, session
from calltrack.db.credentials import Vault
from calltrack.embedded.ports import free_port
from calltrack.embedded.servers import Servers

SECRET = "bench-webhook-secret"  # noqa: S105
KEYS = {"bench": "a-key-for-the-benchmark-only-0123456789"}
PATH = "/webhooks/retreaver"
INSERT = """
INSERT INTO webhook_logs (account_id, provider, body, verified, dedup_key) VALUES (%s, 'retreaver', %b, true, %b)
ON CONFLICT (dedup_key) DO UPDATE SET repeats = webhook_logs.repeats + 1 RETURNING id, xmax = 0
"""


# ── the bare receiver: the limit that Flask, the server and Postgres set ─────────────────────────────────────────


def bare():
    """Flask, HMAC, `json.loads` and one INSERT, on one connection per thread."""
    from flask import Flask, request

    app, kept = Flask("bare"), threading.local()
    url, account = os.environ["DATABASE_URL"], os.environ["BENCH_ACCOUNT"]

    @app.post(PATH)
    def receive():
        body = request.get_data()
        signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
        if not hmac.compare_digest(signature.encode(), request.headers.get("X-Signature", "").encode()):
            return {"error": "bad_signature"}, 401
        json.loads(body)
        if not hasattr(kept, "connection"):
            kept.connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        key = hashlib.blake2b(body, digest_size=16).digest()
        landed, fresh = kept.connection.execute(INSERT, (account, body, key)).fetchone()
        return {"id": landed, "status": "accepted" if fresh else "duplicate"}, 202

    return app


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

    def __init__(self, numbers: Iterator[int], tally: Tally) -> None:
        self._numbers = numbers
        self._tally = tally
        self._received = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length):
            self._answered(head.startswith(b"HTTP/1.1 202") and b'"accepted"' in body)

    def connection_lost(self, exc) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the receiver hung up"))

    def _answered(self, accepted: bool) -> None:
        self._tally.seconds.append(time.perf_counter() - self._sent_at)
        self._tally.accepted += accepted
        self._tally.others += not accepted
        self._received = b""
        if time.perf_counter() < self._tally.until:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(delivery(next(self._numbers)))


def delivery(number: int) -> bytes:
    """A signed request with a body of 1.2 KB, like no other."""
    body = b'{"event":"completed","call":{"uuid":"%012d","cid":"+15550100001","notes":"%s"}}' % (number, b"n" * 1120)
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    head = f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-Signature: {signature}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def send(port: int, connections: int, seconds: float, numbers: Iterator[int]) -> Tally:
    loop = asyncio.get_running_loop()
    tally = Tally(until=time.perf_counter() + seconds)
    senders = [
        (await loop.create_connection(lambda: Sender(numbers, tally), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    await asyncio.gather(*(sender.done for sender in senders))
    return tally


# ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Result:
    """One run of one receiver."""

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
def gunicorn(app: str, options: str, environ: dict[str, str], port: int):
    command = [sys.executable, "-m", "gunicorn", "--config", "python:webhooks.gunicorn_conf", *shlex.split(options)]
    command += ["--chdir", str(Path(__file__).parent), "--log-level", "warning", "--bind", f"127.0.0.1:{port}", app]
    with subprocess.Popen(command, env=environ) as process:
        try:
            await_port(port, process)
            yield
        finally:
            process.terminate()


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
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
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE webhook_logs")
    with gunicorn(app, args.server, environ, port):
        asyncio.run(send(port, args.connections, 1.0, numbers))
        rows_before = rows(engine)
        tally = asyncio.run(send(port, args.connections, args.seconds, numbers))
    landed = rows(engine) - rows_before
    if tally.others or landed != tally.accepted:
        sys.exit(f"{app}: {tally.accepted} accepted, {tally.others} answered otherwise, but {landed} rows")
    return Result.of(tally, args.seconds)


def rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM webhook_logs").scalar_one()


def account(engine: Engine) -> str:
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


def compare(args: argparse.Namespace, environ: dict[str, str], engine: Engine) -> None:
    apps, numbers = {"bare": "receiver:bare()", "calltrack": "webhooks.wsgi:app"}, count()
    results: dict[str, list[Result]] = {name: [] for name in apps}
    for turn in range(args.rounds):
        for name, app in apps.items():
            result = measure(app, args, environ, engine, numbers)
            results[name].append(result)
            print(f"round {turn + 1}  {name:10}{result}", flush=True)
    best = {name: sorted(found, key=lambda result: result.rate)[len(found) // 2] for name, found in results.items()}
    for name, result in best.items():
        print(f"median   {name:10}{result}   {result.rate / best['bare'].rate:.2f} of the bare one")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--server", default="", help="gunicorn options instead of those in webhooks/gunicorn_conf.py")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calltrack-bench-") as home:
        Path(home).chmod(0o711)
        keys = ",".join(f"{name}:{key}" for name, key in KEYS.items())
        base = {"CALLTRACK_HOME": f"{home}/home", "CALLTRACK_SECRET_KEYS": keys, "PATH": os.environ["PATH"]}
        with Servers(resolve(base)) as servers:
            found = servers.settings
            engine = session.connect(str(found.database_url))
            migrate.upgrade(engine)
            environ = {**base, "DATABASE_URL": str(found.database_url), "REDIS_URL": str(found.redis_url)}
            compare(args, {**environ, "BENCH_ACCOUNT": account(engine)}, engine)
            engine.dispose()


if __name__ == "__main__":
    main()
