"""How a process that is measured and the one that measures it agree: ready, go, so many seconds, the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import orjson


def take(work: Callable[[], object]) -> None:
    """Say that we are ready, wait for our turn, do the work, tell how long it took, and wait to be let go."""
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    work()
    print(orjson.dumps({"seconds": time.perf_counter() - began}).decode(), flush=True)
    sys.stdin.readline()
