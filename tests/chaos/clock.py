"""The wall clock of the system's processes, which can jump. It needs a C compiler: without one it does not."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """Shifts what `time.time()` and `datetime.now()` say in processes that run with `environ`."""

    def __init__(self, folder: Path) -> None:
        self._shift = folder / "clock"
        self._library = folder / "clock.so"
        self.moves = self._build()
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """So far ahead of the true time, from now on; 0: not any more."""
        with self._shift.open("r+b" if self._shift.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))

    @property
    def environ(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._shift)} if self.moves else {}

    def _build(self) -> bool:
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            return False
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SOURCE)]
        return subprocess.run(command, check=False).returncode == 0
