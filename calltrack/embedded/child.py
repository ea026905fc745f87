"""One process of the Procfile, started any number of times."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from calltrack.embedded.backoff import Backoff
from calltrack.embedded.process import kill_group, spawn

CHUNK = 65536


@dataclass(frozen=True)
class State:
    """How a process does."""

    name: str
    #: None: it does not run now
    pid: int | None
    #: how often it was started
    starts: int
    #: of its last life, as `subprocess` says it (-9: killed); None: it had none that ended
    exit_code: int | None


def for_shell(command: str) -> str:
    """One plain command takes the shell's place, so that signals reach the command itself."""
    try:
        words = list(shlex.shlex(command, posix=True, punctuation_chars=True))
    except ValueError:  # the shell will say what is wrong with it
        return command
    several = any(set(word) <= set("();|&") for word in words)
    return command if several or "=" in words[0] else f"exec {command}"


class Child:
    def __init__(self, name: str, command: str) -> None:
        self.name = name
        self.backoff = Backoff()
        self.state = State(name, None, 0, None)
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._line = b""

    def start(self, environ: Mapping[str, str], directory: Path) -> None:
        shell = ["/bin/sh", "-c", for_shell(self._command)]
        self._process = spawn(shell, environ=environ, output=subprocess.PIPE, directory=directory)
        os.set_blocking(self.output.fileno(), False)
        self.backoff.born()
        self.state = State(self.name, self._process.pid, self.state.starts + 1, self.state.exit_code)

    @property
    def output(self) -> IO[bytes]:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    def read(self) -> list[bytes] | None:
        """The lines that are there now; None: there will be none any more."""
        try:
            chunk = os.read(self.output.fileno(), CHUNK)
        except BlockingIOError:
            return []
        if not chunk:
            return None
        *lines, self._line = (self._line + chunk).split(b"\n")
        return lines

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, or nobody has taken note of it with `bury`."""
        return self._process is not None

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def bury(self) -> list[bytes]:
        """End what is left of it. Returns the lines that it left behind."""
        assert self._process is not None
        kill_group(self._process)
        exit_code = self._process.wait()
        lines = self._rest().split(b"\n")
        self.output.close()
        self._process = None
        self.state = State(self.name, None, self.state.starts, exit_code)
        return lines

    def _rest(self) -> bytes:
        rest, self._line = self._line, b""
        # Whoever left the group may still hold the other end: then there is no end to wait for.
        with suppress(BlockingIOError):
            while chunk := os.read(self.output.fileno(), CHUNK):
                rest += chunk
        return rest
