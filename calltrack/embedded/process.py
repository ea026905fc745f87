"""Child processes that end when this one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from calltrack.embedded import launch
from calltrack.embedded.account import Account


def spawn(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    output: IO[bytes] | int,
    death_signal: signal.Signals = signal.SIGKILL,
    account: Account | None = None,
    directory: Path = Path("/"),
    text: str = "",
    umask: int = -1,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own. It reads `text`, and gets `death_signal` if this thread ends before it.

    `account`: whom it runs as (root only); None: whoever we are. `umask`: for the files it makes; -1: as ours.
    """
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    launcher = [sys.executable, "-I", "-S", launch.__file__]
    process = subprocess.Popen(  # noqa: S603 - programs of ours
        [*launcher, str(os.getpid()), str(int(death_signal)), str(uid), str(gid), *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(environ),
        cwd=directory,
        start_new_session=True,
        umask=umask,
    )
    _feed(process, text)
    return process


def _feed(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdin is not None
    # It may have ended already: whoever waits for it finds out why.
    with suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(text.encode())


def end(process: subprocess.Popen[bytes], how: signal.Signals, grace: float) -> int:
    """Ask the process to end; after `grace` seconds kill it. Its exit code."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
    kill_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever the process started and left."""
    # Nobody left; macOS says "permission" where only zombies are.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def command_line(pid: int) -> str:
    """How this process was started; empty where there is none."""
    if not Path("/proc/self").exists():
        asked = ["/bin/ps", "-o", "args=", "-p", str(pid)]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603 - as above
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
