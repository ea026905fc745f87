"""A RabbitMQ of its own, from Debian's `rabbitmq-server`, in a folder that goes away with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

from kombu import Connection
from kombu.exceptions import OperationalError

from calltrack.embedded.ports import free_port
from calltrack.embedded.process import end, spawn

PROGRAM = "rabbitmq-server"
#: Debian's wrapper changes to the user rabbitmq, whose folder is elsewhere: this is what it starts
SCRIPTS = Path("/usr/lib/rabbitmq/bin")
#: seconds until it answers
PATIENCE = 90.0
#: of this machine alone: no plugins, and names that need no DNS
CONFIGURATION = """
listeners.tcp.local = 127.0.0.1:{port}
loopback_users = none
log.console = false
"""


def installed() -> bool:
    return (SCRIPTS / PROGRAM).exists() or shutil.which(PROGRAM) is not None


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """The running server's URL and process id. Its Erlang daemon listens on a free port too, and ends with it."""
    with tempfile.TemporaryDirectory(prefix="calltrack-rabbit-") as name:
        folder, port, daemon_port = Path(name), free_port(), free_port()
        (folder / "rabbitmq.conf").write_text(CONFIGURATION.format(port=port))
        (folder / "enabled_plugins").write_text("[].\n")
        environ = _environ(folder, port, daemon_port)
        script = SCRIPTS / PROGRAM
        program = str(script) if script.exists() else str(shutil.which(PROGRAM))
        with (folder / "log").open("wb") as log:
            daemon = spawn(["/usr/bin/epmd", "-port", str(daemon_port)], environ=environ, output=log)
            process = spawn([program], environ=environ, output=log, directory=folder)
            url = f"amqp://guest:guest@127.0.0.1:{port}//"
            try:
                _await(url, process, folder / "log")
                yield url, process.pid
            finally:
                end(process, SIGTERM, 20.0)
                end(daemon, SIGTERM, 5.0)


def _environ(folder: Path, port: int, daemon_port: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "RABBITMQ_NODENAME": f"calltrack{port}@localhost",
        "RABBITMQ_BASE": str(folder),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "ERL_EPMD_PORT": str(daemon_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with Connection(url, connect_timeout=2) as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
                return
        except (OSError, OperationalError):
            time.sleep(0.2)
    sys.exit(f"RabbitMQ did not start:\n{log.read_text(errors='replace')[-2000:]}")
