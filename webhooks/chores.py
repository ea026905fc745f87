"""The thread of a process that does what no sender should wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from calltrack import log
from calltrack.seldom import Seldom

logger = log.get(__name__)


class Chores:
    """Does what was added soon after `wake`, and now and then without it; never twice within `interval` seconds."""

    def __init__(self, interval: float = 0.1, idle: float = 10.0) -> None:
        self._interval = interval
        self._idle = idle
        self._chores: tuple[Callable[[], None], ...] = ()
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._seldom = Seldom()

    def add(self, *chores: Callable[[], None]) -> None:
        self._chores += chores

    def start(self) -> None:
        """Have a thread. Not made with the application, because a server may fork after that."""
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="chores", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Have the chores done soon."""
        self.start()
        self._woken.set()

    def stop(self, patience: float = 1.0) -> None:
        """Do the chores a last time. A thread that hangs (a broker that never answers) is left behind."""
        self._stopped.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(patience)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.wait(self._idle)
            self._woken.clear()
            for chore in self._chores:
                self._do(chore)
            self._stopped.wait(self._interval)

    def _do(self, chore: Callable[[], None]) -> None:
        try:
            chore()
        except Exception as error:
            if self._seldom.due(type(error).__name__):
                logger.exception("a background chore failed")
