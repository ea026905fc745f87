"""How many deliveries a second the receiver accepts, beside a bare one and beside the usual design.

    python -m bench.receiver [--seconds 5] [--rounds 3] [--connections 16] [--servers gunicorn,granian]

- bare: verifies, and inserts one row (`bench/bare_receiver.py`): the limit;
- usual: verifies, and sends a Celery message with the whole body (`bench/usual_receiver.py`). Nothing is on disk then.

All run under the same server (gunicorn as `webhooks/gunicorn_conf.py` has it, or granian, if installed) against
the same embedded Postgres and Valkey (their defaults: an answer waits for a commit that is on disk), in turn, without
workers. Senders, receiver and servers share the machine. Every accepted delivery is looked for afterwards, by its id.
Compare the ratios, not the absolute figures.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from uuid import UUID

import orjson
import redis
from sqlalchemy import text

from bench import full_sync, stack, usage
from bench.sending import SECRET, Tally, flood
from bench.usage import Watch
from calltrack import config
from calltrack.db.session import engine
from calltrack.embedded.ports import free_port
from calltrack.embedded.procfile import ROOT, environ

APPS = {"bare": "bench.bare_receiver:app", "usual": "bench.usual_receiver:app", "calltrack": "webhooks.wsgi:app"}
#: where the usual design's messages wait
QUEUE = "usual"
#: seconds of sending before it counts
WARM_UP = 1.0

_LANDED = text("SELECT convert_from(body, 'UTF8')::jsonb #>> '{call,uuid}' FROM webhook_logs")


# ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Result:
    """One run of one receiver: accepted a second, and milliseconds to the answer."""

    rate: float
    p50: float
    p99: float
    #: CPU milliseconds of a delivery: of the receiver, and of Postgres
    web: float
    postgres: float
    #: the part of the machine's CPU time that went to others
    others: float

    @classmethod
    def of(cls, tally: Tally, seconds: float, watch: Watch) -> Result:
        number = len(tally.accepted)
        cpu = [1000 * watch.usage[kind].cpu / number for kind in ("web", "Postgres")]
        return cls(number / seconds, *tally.milliseconds(50, 99), *cpu, watch.others)

    def __str__(self) -> str:
        times = f"{self.rate:7,.0f}/s   p50 {self.p50:6.1f} ms   p99 {self.p99:6.1f} ms"
        cpu = f"CPU: receiver {self.web:.2f} ms, Postgres {self.postgres:.2f} ms"
        return f"{times}   {cpu}   others took {self.others:.0%}"


def command(server: str, app: str, port: int) -> list[str]:
    """Two processes of eight threads each."""
    module = [sys.executable, "-m", server]
    if server == "gunicorn":
        return [*module, "--config", "python:webhooks.gunicorn_conf", "--bind", f"127.0.0.1:{port}", app]
    threads = ["--interface", "wsgi", "--workers", "2", "--blocking-threads", "8", "--no-ws"]
    return [*module, *threads, "--host", "127.0.0.1", "--port", str(port), app]


@contextmanager
def receiver(app: str, variables: Mapping[str, str], port: int, server: str = "gunicorn") -> Iterator[int]:
    """The application under this server, in the environment of the Procfile. Gives its process id."""
    env = {**environ(config.settings()), **variables}
    with (
        stack.log_file().open("a") as log,
        subprocess.Popen(command(server, app, port), env=env, cwd=ROOT, stdout=log, stderr=log) as process,
    ):
        try:
            await_server(port, process)
            yield process.pid
        finally:
            process.terminate()


def await_server(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until somebody answers: 404 will do."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                probe.sendall(b"GET /none HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                if probe.recv(16):
                    return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"The receiver did not start. Last words:\n{stack.last_words()}")


def measure(name: str, server: str, args: argparse.Namespace, variables: Mapping[str, str]) -> Result:
    port = free_port()
    stack.forget()
    with receiver(APPS[name], variables, port, server) as pid:
        warm = asyncio.run(flood(port, args.connections, WARM_UP))
        with Watch({"web": pid, "Postgres": usage.child("postgres")}, args.seconds) as watch:
            tally = asyncio.run(flood(port, args.connections, args.seconds))
    check(name, {**warm.accepted, **tally.accepted}.keys(), [warm, tally])
    return Result.of(tally, args.seconds, watch)


def check(name: str, accepted: Any, tallies: list[Tally]) -> None:
    """Every delivery that was accepted is kept, once, and none else."""
    kept = queued() if name == "usual" else landed()
    others = sum((tally.others for tally in tallies), start=type(tallies[0].others)())
    if others or len(kept) != len(accepted) or set(kept) != accepted:
        missing = len(accepted - set(kept))
        sys.exit(f"{name}: {len(accepted)} accepted, {dict(others)} besides, {len(kept)} kept, {missing} missing")


def landed() -> list[str]:
    with engine().connect() as connection:
        return list(connection.execute(_LANDED).scalars())


def queued() -> list[str]:
    """The calls' ids in the messages that wait."""
    with redis.Redis.from_url(config.settings().broker_url or "") as broker:
        messages = broker.lrange(QUEUE, 0, -1)
        broker.delete(QUEUE)
    bodies = [orjson.loads(base64.b64decode(orjson.loads(message)["body"])) for message in messages]
    return [body[0][0]["call"]["uuid"] for body in bodies]


# ── all of it ────────────────────────────────────────────────────────────────────────────────────────────────────


def compare(args: argparse.Namespace, variables: Mapping[str, str]) -> None:
    servers = [server for server in args.servers.split(",") if installed(server)]
    results: dict[tuple[str, str], list[Result]] = {(server, name): [] for server in servers for name in APPS}
    for turn in range(args.rounds):
        for (server, name), found in results.items():
            found.append(measure(name, server, args, variables))
            print(f"round {turn + 1}  {server:9} {name:10}{found[-1]}", flush=True)
    medians = {key: sorted(found, key=lambda result: result.rate)[len(found) // 2] for key, found in results.items()}
    for (server, name), result in medians.items():
        share = result.rate / medians[server, "bare"].rate
        print(f"median   {server:9} {name:10}{result}   {share:.2f} of the bare one")


def installed(server: str) -> bool:
    """Whether it can be measured; says so where it cannot."""
    if find_spec(server) is not None:
        return True
    print(f"{server} is left out: it is not installed (pip install {server}).")
    return False


def add_account() -> UUID:
    """An account that takes deliveries, and asks for nothing."""
    return full_sync.account(webhook_secrets=[SECRET])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--servers", default="gunicorn,granian", help="in turn")
    args = parser.parse_args()
    with stack.home():
        variables = {"BENCH_SECRET": SECRET, "BENCH_ACCOUNT": str(add_account()), "PATH": os.environ["PATH"]}
        compare(args, variables)


if __name__ == "__main__":
    main()
