"""The stand-ins behind an HTTP server on loopback: `with Simulator(world) as sim: sim.url("retreaver")`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

import orjson

from simulator.control import Control
from simulator.convoso import Convoso
from simulator.habits import Habits
from simulator.messages import Reply, Request, as_json
from simulator.retreaver import Retreaver
from simulator.ringba import Ringba
from simulator.standin import StandIn
from simulator.trackdrive import TrackDrive
from simulator.traffic import Limit, Traffic
from simulator.world import World

STAND_INS: dict[str, type[StandIn]] = {stand_in.name: stand_in for stand_in in (Retreaver, Convoso, TrackDrive, Ringba)}

MOST_BODY = 1_000_000


class Simulator:
    """All stand-ins on one port of 127.0.0.1, in threads of this process.

    `habits` are for all providers, or one set per provider. `limits` replace what the habit `rate_limit` would set.
    One world serves one simulator at a time, for its calls change while they are read.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        habits: Habits | Mapping[str, Habits] | None = None,
        limits: Mapping[str, Sequence[Limit]] | None = None,
        port: int = 0,
    ) -> None:
        self.world = world or World()
        each = habits if isinstance(habits, Mapping) else dict.fromkeys(STAND_INS, habits or Habits())
        self.stand_ins = {
            name: stand_in(self.world, each.get(name, Habits()), (limits or {}).get(name, ()))
            for name, stand_in in STAND_INS.items()
        }
        self._control = Control(self.world, self.stand_ins)
        self._server = Server(("127.0.0.1", port), self.reply)
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="simulator", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join()

    @property
    def address(self) -> str:
        """As in `http://127.0.0.1:8900`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def url(self, provider: str) -> str:
        """The base URL to give to an account."""
        return self.address + self.stand_ins[provider].base

    def credentials(self, provider: str) -> Mapping[str, str]:
        """The settings to give to an account."""
        return self.stand_ins[provider].credentials

    def provider(self, name: str) -> StandIn:
        """The stand-in: `.ids()`, `.rejected()`, `.find(id)`, `.traffic`, `.habits`."""
        return self.stand_ins[name]

    def warm(self) -> None:
        """Make and render all records now, so that the first reading costs no more than the second."""
        for stand_in in self.stand_ins.values():
            stand_in.warm()

    @property
    def stats(self) -> dict[str, Traffic]:
        """Counts of requests, by provider."""
        return {name: stand_in.traffic for name, stand_in in self.stand_ins.items()}

    @property
    def strayed(self) -> int:
        """How many requests followed a link to another host."""
        return self._control.strayed

    def reply(self, path: str, request: Request) -> Reply:
        """Answer what came in on this whole path."""
        for stand_in in self.stand_ins.values():
            if path.startswith(stand_in.base + "/"):
                return stand_in.reply(replace(request, path=path.removeprefix(stand_in.base)))
        if path.startswith("/_simulator/"):
            return self._control.reply(replace(request, path=path.removeprefix("/_simulator")))
        return as_json(
            {"error": f"The base URLs here are {', '.join(each.base for each in self.stand_ins.values())}."}, 404
        )


class Server(ThreadingHTTPServer):
    """Keeps connections open between requests, one thread for each, and can let go of all of them at once."""

    daemon_threads = False  # joined at the end, so that no socket outlives the server
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], answer: Any) -> None:
        self.answer = answer
        self.stopping = Event()
        self._open: set[socket.socket] = set()
        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no fault of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        for connection in tuple(self._open):
            _hang_up(connection)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)


class Handler(BaseHTTPRequestHandler):
    """Reads a request, writes the reply in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server
    #: standard library's names for a status
    reasons: ClassVar[Mapping[int, tuple[str, str]]] = BaseHTTPRequestHandler.responses

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body()
        is_json = "json" in headers.get("content-type", "")
        fields = [] if is_json else parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        request = Request(
            url.path,
            dict(parse_qsl(url.query, keep_blank_values=True) + fields),
            self.server.server_port,
            self.command,
            headers,
            _json(body) if is_json else None,
        )
        self._write(self.server.answer(url.path, request))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names are the standard library's

    def log_message(self, *_: Any) -> None:
        """Say nothing: paths carry keys."""

    def _body(self) -> bytes:
        length = min(int(self.headers.get("Content-Length") or 0), MOST_BODY)
        return self.rfile.read(length) if length else b""

    def _write(self, reply: Reply) -> None:
        if reply.silence:
            self.server.stopping.wait(reply.silence)
            self.close_connection = True
            return
        head = [
            f"HTTP/1.1 {reply.status} {self.reasons.get(reply.status, ('Unknown',))[0]}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
            *(f"{name}: {value}" for name, value in reply.headers),
            "\r\n",
        ]
        if reply.breaks:
            self.close_connection = True
        body = reply.body[: len(reply.body) // 2] if reply.breaks else reply.body
        self.wfile.write("\r\n".join(head).encode("latin-1") + body)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was quicker
