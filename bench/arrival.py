"""How long it takes from a delivery's receipt to its queryable row, at a steady pace.

    python -m bench.arrival [--rates 50,200,500] [--seconds 15]

The receiver, workers and beat of the Procfile run; they, the senders and Postgres share the machine. The time is that
from the row in `webhook_logs` to the end of its processing, both as Postgres' clock has them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator
from itertools import count

from sqlalchemy import text

from bench import stack
from bench.receiver import SECRET, Sender, Tally, requests
from calltrack import accounts, config
from calltrack.db.session import engine
from calltrack.embedded.ports import answers, free_port
from calltrack.sync.connections import vault

CONNECTIONS = 16
#: seconds that everything may take to be processed afterwards
PATIENCE = 60.0

_WAITING = text("SELECT count(*) FROM webhook_logs WHERE state = 'received'")
_TIMES = text("""
SELECT count(*) AS rows, count(*) FILTER (WHERE state = 'processed') AS processed,
    (SELECT count(*) FROM calls) AS calls,
    percentile_cont(ARRAY[0.5, 0.99, 1.0])
        WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at)) AS cuts
FROM webhook_logs
""")


class Paced(Sender):
    """Sends its next delivery when its moment has come, or at once where it is late."""

    interval: float

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._next = time.perf_counter()
        super().connection_made(transport)

    def _send(self) -> None:
        self._next += self.interval
        asyncio.get_running_loop().call_later(max(0.0, self._next - time.perf_counter()), self._send_now)

    def _send_now(self) -> None:
        super()._send()


async def send(port: int, rate: int, seconds: float, prepared: Iterator[bytes]) -> Tally:
    loop = asyncio.get_running_loop()
    tally = Tally(until=time.perf_counter() + seconds)
    kind = type("PacedAt", (Paced,), {"interval": CONNECTIONS / rate})
    senders = [
        (await loop.create_connection(lambda: kind(prepared, tally), "127.0.0.1", port))[1] for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(sender.done for sender in senders))
    return tally


def measure(port: int, rate: int, seconds: float, prepared: Iterator[bytes]) -> str:
    with engine().begin() as connection:
        connection.execute(text("TRUNCATE webhook_logs, calls, call_events"))
    stack.settle()
    tally = asyncio.run(send(port, rate, seconds, prepared))
    deadline = time.monotonic() + PATIENCE
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while connection.execute(_WAITING).scalar_one() and time.monotonic() < deadline:
            time.sleep(0.1)
        found = connection.execute(_TIMES).one()
    if tally.others or not found.rows == found.processed == found.calls == tally.accepted:
        sys.exit(f"{tally.accepted} accepted, {tally.others} answered otherwise, but {found}\n{stack.last_words()}")
    p50, p99, most = (1000 * cut for cut in found.cuts)
    done = f"{tally.accepted / seconds:5,.0f}/s accepted"
    return f"{rate:5}/s sent   {done}   to the row: p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   most {most:6.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rates", default="50,200,500", help="deliveries a second")
    parser.add_argument("--seconds", type=float, default=15.0)
    args = parser.parse_args()
    os.environ["PORT"] = str(free_port())
    with stack.home():
        with engine().begin() as connection:
            values = {"api_key": "none"}
            accounts.add(
                connection, vault(), "retreaver", api_url="http://127.0.0.1:1", values=values, webhook_secrets=[SECRET]
            )
            connection.execute(text("UPDATE provider_configs SET next_full_at = NULL, next_incremental_at = NULL"))
        port, numbers = config.settings().port, count()
        with stack.workers(("web", "store", "control", "beat")):
            while not answers(port):
                time.sleep(0.1)
            for rate in map(int, args.rates.split(",")):
                print(measure(port, rate, args.seconds, requests(numbers)), flush=True)


if __name__ == "__main__":
    main()
