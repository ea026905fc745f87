"""Who runs what in a home: locks that end with the process that holds them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calltrack.embedded.home import make_home, usable
from calltrack.errors import FixConfiguration

SYSTEM_LOCK = "up.lock"
#: whoever only looks whether a lock is held (`config.is_locked`) holds it for a moment
TRIES = 5
PAUSE = 0.02


class Lock:
    """A file that one living process holds; its process id stands in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Hold it, if nobody else does."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        for _ in range(TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(PAUSE)
            else:
                os.truncate(file, 0)
                os.write(file, f"{os.getpid()}\n".encode())
                self._file = file
                return True
        os.close(file)
        return False

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def holder(self) -> str:
        """The process id of whoever holds it, or held it last."""
        return self._path.read_text().strip()


@contextmanager
def alone_in(home: Path) -> Iterator[None]:
    """Within the block this is the only whole system (`up`, `demo`) of this home. Raises `FixConfiguration`."""
    lock = Lock(home / SYSTEM_LOCK)
    with usable(home):
        make_home(home)
        taken = lock.take()
    if not taken:
        raise FixConfiguration(
            f"calltrack already runs in {home} (process {lock.holder}): "
            "stop it first, or set CALLTRACK_HOME to another folder."
        )
    try:
        yield
    finally:
        lock.release()
