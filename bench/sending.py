"""Deliveries, and who sends them: as fast as they are answered, or each at its moment, however long answers take."""

from __future__ import annotations

import asyncio
import hmac
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from bench.records import make

SECRET = "bench-webhook-secret"
PATH = "/webhooks/retreaver"
#: calls like no others of which all deliveries are made, each with an id of its own
PATTERNS = make(500, 1.0, datetime.now(UTC))
#: connections that may be open at once: a pace that needs more of them falls behind, which is counted as waiting
CONNECTIONS = 200
#: deliveries that are due at the same moment are sent at once
TICK = 0.001
#: seconds for the last answers
PATIENCE = 60.0

#: of all deliveries of this process
numbers = count()


def external_id(number: int) -> str:
    """The id of the call of which a delivery tells."""
    return f"{number:012x}-4a11-bench"


def content(number: int) -> bytes:
    """Of a delivery, 1.2 KB: a call that has ended, with all its fields."""
    made = PATTERNS[number % len(PATTERNS)]
    return b'{"event":"completed",' + made.json[1:].replace(made.id.encode(), external_id(number).encode())


def request(number: int) -> bytes:
    """A signed delivery."""
    body = content(number)
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    head = f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-Signature: {signature}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Tally:
    """What the senders saw."""

    #: the call's id of each delivery that was accepted → when it was to be sent, in seconds since 1970
    accepted: dict[str, float] = field(default_factory=dict)
    #: seconds from then to the answer
    waits: list[float] = field(default_factory=list)
    #: other answers, by their first line
    others: Counter[bytes] = field(default_factory=Counter)

    def milliseconds(self, *hundredths: int) -> list[float]:
        """So many of a hundred answers came within so many milliseconds."""
        cuts = statistics.quantiles(self.waits, n=100)
        return [cuts[number - 1] * 1000 for number in hundredths]


class Sender(asyncio.Protocol):
    """One connection, with one delivery on its way at a time."""

    def __init__(self, tally: Tally, free: Callable[[Sender], None]) -> None:
        """`free` is told when this one may send again."""
        self._tally = tally
        self._free = free
        self._received = b""
        self._pending: tuple[int, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, number: int, due: float) -> None:
        """Send this delivery, which was to be sent at `due` (seconds since 1970)."""
        self._pending = number, due
        self._transport.write(request(number))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.rstrip().endswith(b"}"):  # all answers are one JSON object
            answer, self._received = self._received, b""
            self._answered(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio hands it in
        if self._pending is not None:
            self._pending = None
            self._tally.others[b"hung up"] += 1
            self._free(self)

    def close(self) -> None:
        self._transport.close()

    def _answered(self, answer: bytes) -> None:
        assert self._pending is not None
        (number, due), self._pending = self._pending, None
        self._tally.waits.append(time.time() - due)
        if answer.startswith(b"HTTP/1.1 202") and b'"accepted"' in answer:
            self._tally.accepted[external_id(number)] = due
        else:
            self._tally.others[answer.partition(b"\r\n")[0]] += 1
        self._free(self)


async def flood(port: int, connections: int, seconds: float) -> Tally:
    """Keep so many connections busy: the next delivery is sent when the last one is answered."""
    loop, tally, until = asyncio.get_running_loop(), Tally(), time.time() + seconds
    done, busy = loop.create_future(), connections

    def on(sender: Sender) -> None:
        nonlocal busy
        now = time.time()
        if now < until:
            sender.send(next(numbers), now)
            return
        busy -= 1
        if not busy:
            done.set_result(None)

    senders = [await _connect(port, tally, on) for _ in range(connections)]
    for sender in senders:
        on(sender)
    await asyncio.wait_for(done, seconds + PATIENCE)
    for sender in senders:
        sender.close()
    return tally


async def pace(port: int, stages: Sequence[tuple[float, float]]) -> Tally:
    """Send so many deliveries a second for so many seconds, one stage after the other.

    Each goes out at its moment, over a connection that is free, or over a new one: a slow answer holds up nobody.
    """
    tally, idle, opened = Tally(), asyncio.LifoQueue[Sender](), list[Sender]()
    for due in _moments(time.time(), stages):
        wait = due - time.time()
        await asyncio.sleep(wait if wait > TICK else 0.0)
        if idle.empty() and len(opened) < CONNECTIONS:
            opened.append(await _connect(port, tally, idle.put_nowait))
            idle.put_nowait(opened[-1])
        (await idle.get()).send(next(numbers), due)
    async with asyncio.timeout(PATIENCE):
        for _ in opened:
            (await idle.get()).close()
    return tally


def _moments(begin: float, stages: Sequence[tuple[float, float]]) -> Iterator[float]:
    for rate, seconds in stages:
        yield from (begin + number / rate for number in range(int(rate * seconds)))
        begin += seconds


async def _connect(port: int, tally: Tally, free: Callable[[Sender], None]) -> Sender:
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(lambda: Sender(tally, free), "127.0.0.1", port))[1]
