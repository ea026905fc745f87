"""Sends webhooks as a provider would: a few connections kept open, each telling its calls' events in order."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import orjson

from simulator.letters import FORGERIES, Letter, Mix, write
from simulator.world import World

TIMEOUT = 10.0

NO_ANSWER = "no answer"


@dataclass
class Sent:
    """What was sent, and what was answered."""

    #: kind of letter → answer → count. The answer is the HTTP status, with the word of the body: "202 accepted".
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    #: ids of the calls that true letters told of, in the order of their first letter
    ids: list[str] = field(default_factory=list)
    #: ids that only forged letters named: they must not turn up anywhere
    forged_ids: list[str] = field(default_factory=list)
    seconds: float = 0.0
    #: seconds from sending a letter to its answer
    waits: list[float] = field(default_factory=list, repr=False)

    @property
    def total(self) -> int:
        return sum(counter.total() for counter in self.answers.values())

    @property
    def by_answer(self) -> Counter[str]:
        """Answer → count, over all kinds of letters."""
        return sum(self.answers.values(), Counter())

    @property
    def as_it_should_be(self) -> bool:
        """Whether all true letters were taken in, and all forged ones refused."""
        return all(
            answer.startswith("401") if kind in FORGERIES else answer.startswith("2")
            for kind, counter in self.answers.items()
            for answer in counter
        )

    def report(self) -> dict[str, Any]:
        """As JSON values."""
        waits = sorted(self.waits) or [0.0]
        return {
            "sent": self.total,
            "kinds": {kind: dict(counter) for kind, counter in self.answers.items()},
            "answers": dict(self.by_answer),
            "calls": len(self.ids),
            "seconds": round(self.seconds, 3),
            "per_second": round(self.total / self.seconds, 1) if self.seconds else 0.0,
            "wait_ms": {"median": _ms(waits, 0.5), "p99": _ms(waits, 0.99), "most": _ms(waits, 1.0)},
            "ids": self.ids,
            "forged_ids": self.forged_ids,
        }


def send(
    world: World,
    provider: str,
    url: str,
    number: int,
    secret: str,
    *,
    mix: Mix | None = None,
    rate: float | None = None,
    threads: int = 4,
    seed: int = 0,
) -> Sent:
    """Write letters about calls of the world and send them to this URL, `rate` per second or as fast as it goes."""
    return post(write(world, provider, number, secret, mix, seed), url, rate=rate, threads=threads)


def post(letters: Sequence[Letter], url: str, *, rate: float | None = None, threads: int = 4) -> Sent:
    """Send letters, all those of a call over the same connection."""
    sent, lock = _addressed(letters), Lock()
    connections = [Connection(url) for _ in range(threads)]
    start = time.monotonic()

    def note(letter: Letter, answer: str, wait: float) -> None:
        with lock:
            sent.answers.setdefault(letter.kind, Counter())[answer] += 1
            sent.waits.append(wait)

    def run(share: int) -> None:
        for place, letter in enumerate(letters):
            if crc32(letter.call_id.encode()) % threads == share:
                _wait_until(start + place / rate if rate else start)
                begin = time.monotonic()
                note(letter, connections[share].post(letter), time.monotonic() - begin)
        connections[share].close()

    _in_threads(run, threads)
    sent.seconds = time.monotonic() - start
    return sent


class Connection:
    """An HTTP connection that stays open between letters, and is opened anew when the other side closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.netloc, timeout=TIMEOUT)
        self._path, self._query = parts.path or "/", parts.query

    def post(self, letter: Letter) -> str:
        """Send a letter; the answer as `Sent.answers` counts it. One lost on an idle connection goes out once more."""
        for _ in range(2):
            try:
                return self._post(letter)
            except (http.client.RemoteDisconnected, ConnectionError):
                self.close()
            except (OSError, http.client.HTTPException):
                self.close()
                break
        return NO_ANSWER

    def close(self) -> None:
        self._connection.close()

    def _post(self, letter: Letter) -> str:
        query = "&".join(filter(None, (self._query, letter.query)))
        path = f"{self._path.rstrip('/')}{letter.path}" if letter.path else self._path
        url = f"{path}?{query}" if query else path
        if letter.method == "GET":
            self._connection.request("GET", url, headers=dict(letter.headers))
        else:
            headers = {"Content-Type": letter.content_type, **letter.headers}
            self._connection.request(letter.method, url, letter.body, headers)
        response = self._connection.getresponse()
        return f"{response.status} {_status_word(response.read())}".strip()


def _status_word(body: bytes) -> str:
    """The `status` in an answer's body, where it has one."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return str(answer.get("status", "")) if isinstance(answer, dict) else ""


def _addressed(letters: Sequence[Letter]) -> Sent:
    ids = {letter.kind in FORGERIES: dict[str, None]() for letter in letters}
    for letter in letters:
        ids[letter.kind in FORGERIES][letter.call_id] = None
    return Sent(ids=list(ids.get(False, ())), forged_ids=list(ids.get(True, ())))


def _in_threads(run: Callable[[int], None], threads: int) -> None:
    workers = [Thread(target=run, args=(share,), name=f"sender-{share}", daemon=True) for share in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _wait_until(moment: float) -> None:
    wait = moment - time.monotonic()
    if wait > 0:
        time.sleep(wait)


def _ms(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)
