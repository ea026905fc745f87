"""A provider that is never the limit: Retreaver's list call over rendered records, in a process of its own.

    python -m bench.pages --records 100000 --days 90 --until 2026-11-01T00:00:00+00:00

It understands what calltrack asks for: a time range, a page's number and its size. Pages follow each other by a `Link`
header, which names the last one too. It knows its calls in two states: as they are first, and with one in a hundred
changed since (`STATES`); which of them it gives is up to whoever asks (`Provider.show`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from signal import SIGTERM
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

import orjson
import requests

from bench.records import Made, make
from calltrack.embedded.process import end, spawn
from calltrack.embedded.procfile import ROOT

LIST = "/api/v2/calls.json"
IDS = "/ids"
CHANGES = "/changes"
SHOW = "/show"
HEAD_END = b"\r\n\r\n"
#: the calls as they are at first, and with one in `EVERY` changed
STATES = FIRST, CHANGED = range(2)
#: those that change lie evenly among all: hardly a page of 100 stays as it was
EVERY = 100
#: they lie evenly in so many days before now: a full sync reads them in a few slices, some much longer than others
DAYS = 90.0


class Values(NamedTuple):
    """What changes in a call, as the API says it."""

    status: str
    revenue: float | None
    updated_at: str


def values(made: Made) -> Values:
    call = orjson.loads(made.json)["call"]
    return Values(*(call[name] for name in Values._fields))


def change(made: Made) -> Made:
    """The call as it is later: it turned out to be a voicemail, sold for more."""
    call = orjson.loads(made.json)["call"]
    later = datetime.fromisoformat(call["updated_at"]) + timedelta(minutes=1)
    new = Values("voicemail", 99.5, later.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    return replace(made, json=orjson.dumps({"call": {**call, **new._asdict()}}))


class Listing:
    """All records, in both states."""

    def __init__(self, made: Sequence[Made]) -> None:
        changed = {at: change(made[at]) for at in range(0, len(made), EVERY)}
        self.ids = orjson.dumps([one.id for one in made])
        self.changes = orjson.dumps(
            {one.id: [list(values(made[at])), list(values(one))] for at, one in changed.items()}
        )
        self.state = FIRST
        self._created = [one.created_at for one in made]
        self._records = [[one.json for one in made], [changed.get(at, one).json for at, one in enumerate(made)]]

    def between(self, since: str | None, until: str | None) -> tuple[int, int]:
        """The first record of a range of time, bounds included, and the one after its last."""
        first = bisect_left(self._created, datetime.fromisoformat(since)) if since else 0
        after = bisect_right(self._created, datetime.fromisoformat(until)) if until else len(self._created)
        return first, max(first, after)

    def page(self, first: int, after: int) -> bytes:
        return b"[" + b",".join(self._records[self.state][first:after]) + b"]"


class Connection(asyncio.Protocol):
    """Answers one request after the other, and keeps the connection."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(HEAD_END)
        for request in requests:
            head, body = self._answer(request.decode())
            self._transport.writelines([f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body])

    def _answer(self, request: str) -> tuple[str, bytes]:
        first, *headers = request.split("\r\n")
        path, _, query = first.split(" ")[1].partition("?")
        params = dict(parse_qsl(query))
        if path == LIST:
            return self._page(next(line[6:] for line in headers if line.lower().startswith("host: ")), params)
        if path == SHOW:
            self._listing.state = int(params["state"])
        known = {IDS: self._listing.ids, CHANGES: self._listing.changes, SHOW: b""}
        return f"HTTP/1.1 {'200 OK' if path in known else '404 Not Found'}\r\n", known.get(path, b"")

    def _page(self, host: str, params: dict[str, str]) -> tuple[str, bytes]:
        number, size = int(params.get("page", 1)), int(params.get("per_page", 25))
        first, after = self._listing.between(params.get("created_at_start"), params.get("created_at_end"))
        last = max(1, -(-(after - first) // size))
        start = min(after, first + (number - 1) * size)
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
        if number < last:
            head += f"Link: {_link(host, params, last, 'last')}, {_link(host, params, number + 1, 'next')}\r\n"
        return head, self._listing.page(start, min(after, start + size))


def _link(host: str, params: dict[str, str], number: int, rel: str) -> str:
    return f'<http://{host}{LIST}?{urlencode({**params, "page": number})}>; rel="{rel}"'


@dataclass(frozen=True)
class Provider:
    """The running stand-in."""

    url: str
    pid: int
    #: of all calls that it has
    ids: frozenset[str]
    #: id → what its call says in each state, for those that change
    changes: Mapping[str, Sequence[Values]]

    def show(self, state: int) -> None:
        """From now on, give the calls in this state."""
        requests.get(self.url + SHOW, {"state": state}, timeout=60).raise_for_status()


@contextmanager
def serving(records: int) -> Iterator[Provider]:
    """The stand-in with so many calls, the last one just now, until the end of the block."""
    until = datetime.now(UTC)
    command = [sys.executable, "-m", "bench.pages", f"--records={records}", f"--days={DAYS}", f"--until={until}"]
    process = spawn(command, environ=os.environ, output=subprocess.PIPE, directory=ROOT)
    assert process.stdout is not None
    with process.stdout as output:
        try:
            url = output.readline().decode().strip()
            if not url.startswith("http://"):
                sys.exit(f"The provider did not start: {url} {output.read().decode()}")
            yield _provider(url, process.pid)
        finally:
            end(process, SIGTERM, 5.0)


def _provider(url: str, pid: int) -> Provider:
    ids, changes = (requests.get(url + path, timeout=60).json() for path in (IDS, CHANGES))
    return Provider(
        url, pid, frozenset(ids), {one: [Values(*state) for state in states] for one, states in changes.items()}
    )


async def _serve(listing: Listing) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(listing), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--days", type=float, required=True)
    parser.add_argument("--until", type=datetime.fromisoformat, required=True)
    args = parser.parse_args()
    asyncio.run(_serve(Listing(make(args.records, args.days, args.until))))


if __name__ == "__main__":
    main()
