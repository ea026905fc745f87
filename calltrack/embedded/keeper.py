"""Runs servers: starts them, starts again what dies, and stops them."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

from calltrack.config import SERVERS_FILE
from calltrack.embedded.backoff import Backoff
from calltrack.embedded.home import Memory, recall, remember, write_private
from calltrack.embedded.place import Place, find_place
from calltrack.embedded.ports import free_port
from calltrack.embedded.server import PortTaken, Server
from calltrack.errors import CalltrackError

#: how often a port is looked for, when somebody takes the last one found before the server does
PORT_TRIES = 3
#: seconds between looks whether they live
LOOK = 0.1


class Keeper:
    """The servers of a home, in a thread of their own: they end with the thread that started them (see `launch.py`)."""

    def __init__(
        self, home: Path, kinds: Mapping[type[Server], Mapping[str, str]], report: Callable[[str], None]
    ) -> None:
        """`kinds`: the servers to run, each with settings in its own words."""
        self._home = home
        self._kinds = kinds
        self._report = report
        self._servers: list[Server] = []
        self._started: Future[None] = Future()
        self._stopping = threading.Event()
        # Not `Thread.join`: interrupted by a signal, it takes the thread for ended (CPython 3.11).
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="embedded servers", daemon=True)

    def start(self) -> None:
        """Return when all of them answer. Raises `FixConfiguration`, and `OSError` about files in the home."""
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Return when all of them ended."""
        self._stopping.set()
        self._ended.wait()

    def _live(self) -> None:
        try:
            self._run()
        finally:
            self._ended.set()

    def _run(self) -> None:
        try:
            self._open()
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for it
            self._started.set_exception(error)
        else:
            self._started.set_result(None)
            self._look_after()
        finally:
            self._close()

    def _open(self) -> None:
        (self._home / SERVERS_FILE).unlink(missing_ok=True)
        memory = recall(self._home)
        place = find_place(self._home, memory["id"])
        if place.account and place.data.parent != self._home:
            self._report(f"{place.account.name} cannot enter {self._home}: the servers' files are in {place.data}.")
        for kind in self._kinds:
            self._open_one(kind, place, memory)
        addresses = {server.variable: server.url for server in self._servers}
        write_private(self._home / SERVERS_FILE, json.dumps({**addresses, "pid": os.getpid()}) + "\n")

    def _open_one(self, kind: type[Server], place: Place, memory: Memory) -> None:
        """On the port of last time, unless somebody has it now."""
        known = memory.setdefault(kind.name, {"port": 0, "password": secrets.token_urlsafe(24)})
        server = kind(self._home, place, known["port"], known["password"], self._kinds[kind])
        server.end_leftover()
        self._servers.append(server)
        for tries_left in reversed(range(PORT_TRIES)):
            server.port = known["port"] = free_port(server.port)
            remember(self._home, memory)
            try:
                return server.start()
            except PortTaken:
                if not tries_left:
                    raise
        return None

    def _look_after(self) -> None:
        watched = [(server, Backoff()) for server in self._servers]
        while not self._stopping.wait(LOOK):
            for server, backoff in watched:
                self._tend(server, backoff)

    def _tend(self, server: Server, backoff: Backoff) -> None:
        if server.is_alive:
            return
        if not backoff.is_waiting:
            self._report(f"{server.name} ended: starting it again in {backoff.died():.1f} s (see {server.log})")
        elif backoff.is_due:
            try:
                server.launch()
                backoff.born()
            except (CalltrackError, OSError) as error:
                self._report(f"{error} Trying again in {backoff.died():.1f} s.")

    def _close(self) -> None:
        """Nobody shall find them any more before they go."""
        (self._home / SERVERS_FILE).unlink(missing_ok=True)
        for server in reversed(self._servers):
            server.stop()
