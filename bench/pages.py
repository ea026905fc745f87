"""A provider that is never the limit: Retreaver's list call over rendered records, in a process of its own.

    python -m bench.pages --records 100000 --days 90 --until 2026-11-01T00:00:00+00:00

It understands what calltrack asks for: a time range, a page's number and its size. Pages follow each other by a `Link`
header, which names the last one too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from signal import SIGTERM
from urllib.parse import parse_qsl, urlencode

import orjson
import requests

from bench.records import Made, make
from calltrack.embedded.process import end, spawn
from calltrack.embedded.procfile import ROOT

LIST = "/api/v2/calls.json"
IDS = "/ids"
HEAD_END = b"\r\n\r\n"


class Listing:
    """All records, one after the other as they stand in a page: a page is one cut out of that."""

    def __init__(self, made: Sequence[Made]) -> None:
        self.ids = orjson.dumps([one.id for one in made])
        self._created = [one.created_at for one in made]
        self._all = memoryview(b",".join(one.json for one in made))
        self._starts = [0, *accumulate(len(one.json) + 1 for one in made)]

    def between(self, since: str | None, until: str | None) -> tuple[int, int]:
        """The first record of a range of time, bounds included, and the one after its last."""
        first = bisect_left(self._created, datetime.fromisoformat(since)) if since else 0
        after = bisect_right(self._created, datetime.fromisoformat(until)) if until else len(self._created)
        return first, max(first, after)

    def cut(self, first: int, after: int) -> memoryview:
        return self._all[self._starts[first] : max(self._starts[first], self._starts[after] - 1)]


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
            head, *body = self._answer(request.decode())
            length = sum(map(len, body))
            self._transport.writelines([f"{head}Content-Length: {length}\r\n\r\n".encode(), *body])

    def _answer(self, request: str) -> tuple[str | bytes | memoryview, ...]:
        first, *headers = request.split("\r\n")
        path, _, query = first.split(" ")[1].partition("?")
        if path == IDS:
            return "HTTP/1.1 200 OK\r\n", self._listing.ids
        if path != LIST:
            return "HTTP/1.1 404 Not Found\r\n", b""
        host = next(line[6:] for line in headers if line.lower().startswith("host: "))
        return self._page(host, dict(parse_qsl(query)))

    def _page(self, host: str, params: dict[str, str]) -> tuple[str | bytes | memoryview, ...]:
        number, size = int(params.get("page", 1)), int(params.get("per_page", 25))
        first, after = self._listing.between(params.get("created_at_start"), params.get("created_at_end"))
        last = max(1, -(-(after - first) // size))
        start = min(after, first + (number - 1) * size)
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
        if number < last:
            head += f"Link: {_link(host, params, last, 'last')}, {_link(host, params, number + 1, 'next')}\r\n"
        return head, b"[", self._listing.cut(start, min(after, start + size)), b"]"


def _link(host: str, params: dict[str, str], number: int, rel: str) -> str:
    return f'<http://{host}{LIST}?{urlencode({**params, "page": number})}>; rel="{rel}"'


@dataclass(frozen=True)
class Provider:
    """The running stand-in."""

    url: str
    pid: int
    #: of all calls that it has
    ids: frozenset[str]


@contextmanager
def serving(records: int, days: float, until: datetime) -> Iterator[Provider]:
    """The stand-in with so many calls, until the end of the block."""
    command = [sys.executable, "-m", "bench.pages", f"--records={records}", f"--days={days}", f"--until={until}"]
    process = spawn(command, environ=os.environ, output=subprocess.PIPE, directory=ROOT)
    assert process.stdout is not None
    with process.stdout as output:
        try:
            url = output.readline().decode().strip()
            if not url.startswith("http://"):
                sys.exit(f"The provider did not start: {url} {output.read().decode()}")
            yield Provider(url, process.pid, frozenset(requests.get(url + IDS, timeout=60).json()))
        finally:
            end(process, SIGTERM, 5.0)


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
