"""Listens to the broker and keeps every message, so that messages can come twice, or much later."""

from __future__ import annotations

import ast
import re
import threading
from types import TracebackType
from typing import NamedTuple, Self

import redis

#: one argument of a command as MONITOR shows it
ARGUMENT = re.compile(r'"(?:[^"\\]|\\.)*"')
QUEUE = re.compile(rb"control|\w+\.(fetch|store|webhooks)")
#: seconds until it looks again for a broker that is away
PAUSE = 0.1


class Message(NamedTuple):
    """A message, byte for byte, and the queue it was sent to."""

    queue: bytes
    body: bytes


class Eavesdropper:
    """As a context manager it listens, in a thread of its own, also to brokers that come and go."""

    def __init__(self, url: str) -> None:
        self.heard: list[Message] = []
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, name="eavesdropper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def say_again(self, messages: list[Message]) -> None:
        """Send these messages just as they were sent before."""
        with redis.Redis.from_url(self._url) as broker:
            for message in messages:
                broker.lpush(message.queue, message.body)

    def _live(self) -> None:
        while not self._over.is_set():
            try:
                self._listen()
            except (redis.ConnectionError, redis.TimeoutError):
                self._over.wait(PAUSE)

    def _listen(self) -> None:
        with redis.Redis.from_url(self._url, socket_timeout=1) as broker:
            connection = broker.connection_pool.get_connection()
            try:
                connection.send_command("MONITOR")
                connection.read_response()
                while not self._over.is_set():
                    if connection.can_read(timeout=0.2):
                        self._note(connection.read_response())
            finally:
                connection.disconnect()

    def _note(self, line: bytes) -> None:
        if b'"LPUSH"' not in line:
            return
        _, queue, *bodies = (ast.literal_eval("b" + one) for one in ARGUMENT.findall(line.decode()))
        if QUEUE.fullmatch(queue):
            self.heard += [Message(queue, body) for body in bodies]
