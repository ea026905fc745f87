"""A receiver of webhooks, as small as can be."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from simulator.signing import signature

SECRET = "a secret"


class Receiver(ThreadingHTTPServer):
    """Answers as calltrack would, and remembers; hangs up after every third delivery of a connection."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.got: list[tuple[str, bytes]] = []
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
        body = self.rfile.read(int(self.headers["Content-Length"]))
        query = self.path.partition("key=1")[2].removeprefix("&")
        given = self.headers.get("x-convoso-signature", "").removeprefix("sha256=")
        right = given == signature(body or query.encode(), SECRET)
        with self.server.lock:
            fresh = (query, body) not in self.server.got
            if right:
                self.server.got.append((query, body))
        word = b'{"status": "accepted"}' if fresh else b'{"status": "duplicate"}'
        answer = word if right else b"no"
        self.served += 1
        self.close_connection = self.served % 3 == 0  # without saying so: the sender finds out by itself
        head = f"HTTP/1.1 {202 if right else 401} x\r\nContent-Length: {len(answer)}\r\n\r\n"
        self.wfile.write(head.encode() + answer)

    def log_message(self, *_: object) -> None:
        pass
