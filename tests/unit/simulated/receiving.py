"""A receiver of webhooks, as small as can be."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

from simulator.signing import signature

SECRET = "a secret"


class Receiver(ThreadingHTTPServer):
    """Answers as calltrack would, and remembers; hangs up after every third delivery of a connection."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.got: list[tuple[str, bytes]] = []
        self.ways: list[tuple[str, str | None]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/door?key=1"


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Receiver
    served = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        query = self.path.partition("key=1")[2].removeprefix("&")
        right = self._proven(body, query)
        with self.server.lock:
            fresh = (query, body) not in self.server.got
            if right:
                self.server.got.append((query, body))
                self.server.ways.append((self.command, self.headers["Content-Type"]))
        word = b'{"status": "accepted"}' if fresh else b'{"status": "duplicate"}'
        answer = word if right else b"no"
        self.served += 1
        self.close_connection = self.served % 3 == 0  # without saying so: the sender finds out by itself
        head = f"HTTP/1.1 {202 if right else 401} x\r\nContent-Length: {len(answer)}\r\n\r\n"
        self.wfile.write(head.encode() + answer)

    do_GET = do_POST

    def _proven(self, body: bytes, query: str) -> bool:
        """By a signature, or by the secret: in a header, in the query or at the end of the path."""
        signed = self.headers.get("x-convoso-signature", "").removeprefix("sha256=")
        if signed:
            return signed == signature(body or query.encode(), SECRET)
        end_of_path = unquote(self.path.partition("?")[0].rpartition("/")[2])
        shown = (self.headers.get("X-Calltrack-Secret"), *parse_qs(query).get("secret", ()), end_of_path)
        return SECRET in shown

    def log_message(self, *_: object) -> None:
        pass
