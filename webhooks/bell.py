"""The bell: tells the workers that deliveries wait. Never on the way of a request."""

from __future__ import annotations

import threading
from collections.abc import Callable

from calltrack import log
from calltrack.seldom import Seldom

logger = log.get(__name__)


class Bell:
    """One message per provider for all deliveries since the last one: a message costs as much as a durable insert.

    A ring that fails is forgotten: the rows are committed, and the sweeper sends what nobody heard of.
    """

    def __init__(self, publish: Callable[[str], None], wake: Callable[[], None]) -> None:
        """`publish` sends the message; `wake` makes the background thread call `strike` soon."""
        self._publish = publish
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._seldom = Seldom()
        #: how the last message fared: "ok", "failing", or "unknown" before there was one
        self.state = "unknown"

    def ring(self, provider: str) -> None:
        """Note that a delivery of this provider has been committed."""
        with self._lock:
            if provider in self._waiting:
                return
            self._waiting.add(provider)
        self._wake()

    def strike(self) -> None:
        """Send the messages that are due. What is rung meanwhile waits for the next strike."""
        with self._lock:
            waiting, self._waiting = self._waiting, set()
        for provider in sorted(waiting):
            self._tell(provider)

    def _tell(self, provider: str) -> None:
        try:
            self._publish(provider)
        except Exception as error:  # noqa: BLE001 - kombu, redis and sockets each have their own; none of them matters here
            self.state = "failing"
            if self._seldom.due("failing"):
                logger.warning("the broker is away: deliveries are left to the sweeper", error=type(error).__name__)
        else:
            self.state = "ok"
