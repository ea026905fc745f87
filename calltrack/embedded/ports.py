"""Ports of this machine."""

from __future__ import annotations

import random
import socket

#: below those that systems lend to outgoing connections: one of these stays free while nobody listens on it
RANGE = range(20_000, 30_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on it now, on every address."""
    with socket.socket() as probe:
        # As servers do: connections that ended a moment ago are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether somebody listens on it."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port(wanted: int = 0) -> int:
    """`wanted`, if it is free; otherwise one that is."""
    if wanted and is_free(wanted):
        return wanted
    return next(port for port in random.sample(RANGE, len(RANGE)) if is_free(port))
