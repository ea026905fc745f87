"""How gunicorn runs the receiver: `gunicorn --config python:webhooks.gunicorn_conf`.

Workers and threads were chosen by measuring (`bench/receiver.py`, `docs/webhooks.md`). What stands on gunicorn's
command line wins over this.
"""

from __future__ import annotations

import logging
import socket
import struct
import sys
from typing import Any

from calltrack import log
from calltrack.config import Settings, settings
from calltrack.errors import CalltrackError

#: seconds that a sender may be silent in the middle of a request. gunicorn has no such limit for threads, and a few
#: connections that died half-way would hold all of them.
SILENCE = 15.0


def _settings() -> Settings:
    """The settings, complete: a worker that cannot start would be started again for ever."""
    try:
        found = settings()
        found.needs("database_url", "broker_url", "secret_keys")
    except CalltrackError as error:
        sys.exit(f"calltrack: {error.message}")
    return found


wsgi_app = "webhooks.wsgi:app"
bind = f"0.0.0.0:{_settings().port}"
worker_class = "gthread"
workers = 2
threads = 8
#: seconds; longer than load balancers keep theirs (60 is usual), or they would send into a connection that is closing
keepalive = 75
#: bytes, the most there is: some senders put a whole call into the query string
limit_request_line = 8190
#: no proxy's headers count here; whose word we take on where a request came from is CALLTRACK_TRUSTED_PROXIES
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
#: a socket in the user's home directory, for a tool that nobody here uses
control_socket_disable = True


def on_starting(server: Any) -> None:  # noqa: ARG001
    log.setup(settings().log_format)
    logging.getLogger("gunicorn.error").addFilter(worth_a_line)


def when_ready(server: Any) -> None:
    for listener in server.LISTENERS:  # what is accepted inherits it
        limit_silence(listener.sock, SILENCE)


def limit_silence(sock: socket.socket, seconds: float) -> None:
    timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)


def worth_a_line(record: logging.LogRecord) -> bool:
    """Not a sender that fell silent: gunicorn writes a whole traceback about each."""
    return not (record.exc_info and record.exc_info[0] is BlockingIOError)
