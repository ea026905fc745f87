"""What Postgres and Valkey have in common: start, wait until it answers, stop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from calltrack.embedded.home import log_path, open_log
from calltrack.embedded.place import Place
from calltrack.embedded.process import command_line, end, spawn
from calltrack.errors import FixConfiguration

#: seconds: to be ready (a crashed server may have much to replay first), and to stop
PATIENCE = 60.0
GRACE = 15.0
#: servers get nothing of our environment: it may hold settings of theirs (PGDATA), and secrets of ours
ENVIRON = {"PATH": os.defpath, "LC_ALL": "C"}
#: how Postgres' programs mark what ended them
REASON = re.compile(r"(?:FATAL|PANIC|error):\s+(.*)")


class PortTaken(FixConfiguration):
    """The port was free a moment ago, and is not any more."""


class Server(ABC):
    """One server of a home. It listens on 127.0.0.1 only, and asks for a password."""

    name: ClassVar[str]
    #: the setting that names a server of one's own instead
    variable: ClassVar[str]
    #: asks it to stop in good order
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, home: Path, place: Place, port: int, password: str, options: Mapping[str, str]) -> None:
        """`port`: 0 for not known yet. `options`: settings in the server's own words, beside or instead of ours."""
        self.home = home
        self.place = place
        self.port = port
        self.password = password
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str: ...

    @property
    def folder(self) -> Path:
        """Its files."""
        return self.place.data / self.name.lower()

    @abstractmethod
    def prepare(self) -> None:
        """Make its files, where they are missing."""

    @abstractmethod
    def command(self) -> list[str]: ...

    def configuration(self) -> str:
        """What it reads from its standard input."""
        return ""

    @abstractmethod
    def leftover(self) -> int | None:
        """The process id that it left in a file of its own; that process may have ended long ago."""

    @abstractmethod
    def is_ours(self, command_line: str) -> bool:
        """Whether this is the command line of this server, and not of one that has its process id now."""

    def disown(self) -> None:  # noqa: B027 - for most there is nothing to do
        """The process id that it left belongs to a stranger: see that this is no hindrance."""

    @abstractmethod
    def is_ready(self) -> bool: ...

    def start(self) -> None:
        """Start it and wait until it answers. Raises `FixConfiguration`, and `PortTaken`."""
        log_size = self.launch()
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            if not self.is_alive:
                raise self.fault(log_size)
            if time.monotonic() > deadline:
                raise FixConfiguration(f"{self.name} did not start in {PATIENCE:.0f} seconds: see {self.log}.")
            time.sleep(0.01)

    def launch(self) -> int:
        """Start it, and do not wait. Returns how long its log was before."""
        self.end_leftover()
        self.prepare()
        with open_log(self.log) as log:
            self._process = spawn(
                self.command(),
                environ=ENVIRON,
                output=log,
                death_signal=self.stop_signal,
                account=self.place.account,
                text=self.configuration(),
                umask=0o077,
            )
            return log.tell()

    def stop(self) -> None:
        if self._process is not None:
            end(self._process, self.stop_signal, GRACE)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        return log_path(self.home, self.name.lower())

    def fault(self, log_size: int) -> FixConfiguration:
        """What its log says since it was `log_size` long."""
        logged = self.log.read_bytes()[log_size:].decode(errors="replace").strip()
        if "Address already in use" in logged:
            return PortTaken(f"Port {self.port} is taken: {self.name} cannot listen on it.")
        if "No space left on device" in logged:
            return FixConfiguration(f"The disk is full: {self.name} needs room in {self.place.data}.")
        reasons = REASON.findall(logged) or logged.splitlines() or ["it does not say why"]
        return FixConfiguration(f"{self.name} did not start ({reasons[-1].strip()}): see {self.log}.")

    def end_leftover(self) -> None:
        """Where the kernel does not end children with their parent, one may live on, and hold port and files."""
        pid = self.leftover()
        found = command_line(pid) if pid else ""
        if not pid or not found:
            return
        if not self.is_ours(found):
            self.disown()
            return
        os.kill(pid, self.stop_signal)
        deadline = time.monotonic() + GRACE
        while self.is_ours(command_line(pid)):
            if time.monotonic() > deadline:
                raise FixConfiguration(f"{self.name} still runs from before, as process {pid}: stop it first.")
            time.sleep(0.02)
