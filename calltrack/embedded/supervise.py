"""Runs the processes of a Procfile side by side, and starts again what dies."""

from __future__ import annotations

import selectors
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Self, TextIO

from honcho import colour
from honcho.printer import Message, Printer

from calltrack.embedded.child import Child, State

#: seconds: to end in good order, and between looks whether they live
GRACE = 10.0
LOOK = 0.1
#: what the supervisor itself has to say stands under this name
OWN_NAME = "calltrack"


class Supervisor:
    """Runs commands by name, in a thread of its own: children end with the thread that started them (`launch.py`).

    As a context manager it stops them all at the end. `output` gets their lines, each with its process's name.
    """

    def __init__(
        self,
        commands: Mapping[str, str],
        environ: Mapping[str, str],
        directory: Path,
        *,
        output: TextIO | None = None,
        grace: float = GRACE,
        hurry: threading.Event | None = None,
    ) -> None:
        """`hurry`: set by somebody who will not wait for the grace to pass."""
        self._children = [Child(name, command) for name, command in commands.items()]
        self._environ = MappingProxyType(dict(environ))
        self._directory = directory
        self._grace = grace
        names = [OWN_NAME, *commands]
        stream = output or sys.stdout
        self._encoding = stream.encoding or "utf-8"
        self._printer = Printer(stream, width=max(map(len, names)))
        self._colours = dict(zip(names, colour.get_colours(), strict=False))
        self._printing = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._hurry = hurry or threading.Event()
        # Not `Thread.join`: interrupted by a signal, it takes the thread for ended (CPython 3.11).
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the processes stop, or for `timeout` seconds. Whether they stopped."""
        return self._ended.wait(timeout)

    def stop(self) -> None:
        """Ask all processes to end, and kill those that do not within the grace."""
        self._stopping.set()
        self._ended.wait()

    @property
    def states(self) -> dict[str, State]:
        """How each process does, by name."""
        return {child.name: child.state for child in self._children}

    def say(self, line: str) -> None:
        """A line of our own, between those of the processes."""
        self._print(OWN_NAME, [line.encode()])

    def _live(self) -> None:
        try:
            self._run()
        finally:
            self._ended.set()

    def _run(self) -> None:
        with self._selector:
            try:
                for child in self._children:
                    self._start(child)
                while not self._stopping.is_set():
                    self._listen()
                    for child in self._children:
                        self._tend(child)
            finally:
                self._end_all()

    def _start(self, child: Child) -> None:
        try:
            child.start(self._environ, self._directory)
        except OSError as error:
            self.say(f"{child.name} cannot be started ({error}): trying again in {child.backoff.died():.1f} s")
        else:
            self._selector.register(child.output, selectors.EVENT_READ, child)

    def _listen(self) -> None:
        for key, _ in self._selector.select(LOOK):
            lines = key.data.read()
            if lines is None:
                self._selector.unregister(key.fileobj)
            else:
                self._print(key.data.name, lines)

    def _tend(self, child: Child) -> None:
        if child.has_ended:
            self._bury(child)
            self.say(f"{child.name} ended ({_how(child.state)}): starting it again in {child.backoff.died():.1f} s")
        elif child.backoff.is_due:
            self._start(child)

    def _end_all(self) -> None:
        running = [child for child in self._children if child.is_running]
        for child in running:
            child.ask_to_end()
        deadline = time.monotonic() + self._grace
        while not all(child.has_ended for child in running):
            if self._hurry.is_set() or time.monotonic() > deadline:
                break
            self._listen()
        for child in running:
            self._bury(child)

    def _bury(self, child: Child) -> None:
        if child.output in self._selector.get_map():
            self._selector.unregister(child.output)
        self._print(child.name, child.bury())

    def _print(self, name: str, lines: Iterable[bytes]) -> None:
        now = datetime.now().astimezone()
        try:
            with self._printing:
                for line in lines:
                    text = line.decode(errors="replace").encode(self._encoding, "replace").decode(self._encoding)
                    self._printer.write(Message("line", text, now, name, self._colours[name]))
        except OSError:  # nobody reads any more
            self._stopping.set()


def _how(state: State) -> str:
    code = state.exit_code or 0
    return f"signal {-code}" if code < 0 else f"exit code {code}"
