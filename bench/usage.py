"""What processes take: CPU seconds and resident memory, sampled while something runs."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import psutil

#: seconds between two samples, of which each takes some milliseconds of CPU from those who are watched
STEP = 0.5
#: how often a family is looked at again whose members come and go meanwhile
LOOKS = 10
MEGABYTE = 2**20


@dataclass(frozen=True)
class Usage:
    """What the processes of one kind took, together with their children."""

    #: CPU seconds of all of them
    cpu: float
    #: MB, of the largest one of them: at its highest, and by how much the last quarter of the time outdoes the first
    peak: float
    growth: float


class Watch:
    """Watches processes by kind, until the end of the block."""

    def __init__(self, roots: Mapping[str, int], step: float = STEP) -> None:
        """`roots`: kind → process id. What such a process started belongs to it. `step`: seconds between samples."""
        self._step = step
        self._roots = {kind: psutil.Process(pid) for kind, pid in roots.items()}
        #: MB of the largest process of each kind, sample by sample
        self.curves: dict[str, list[float]] = {kind: [] for kind in roots}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="watch", daemon=True)
        self.usage: dict[str, Usage] = {}
        #: the part of the machine's CPU time that went to others
        self.others = 0.0

    def __enter__(self) -> Self:
        self._machine, self._own, self._before = _machine(), time.process_time(), self._cpu()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        (busy, idle), own, after = _machine(), time.process_time(), self._cpu()
        self._done.set()
        self._thread.join()
        taken = {kind: after[kind] - self._before[kind] for kind in self._roots}
        self.usage = {kind: Usage(taken[kind], *_shape(self.curves[kind])) for kind in self._roots}
        busy, idle = busy - self._machine[0], idle - self._machine[1]
        others = busy - sum(taken.values()) - (own - self._own)
        self.others = max(0.0, others) / max(busy + idle, 0.01)

    def _sample(self) -> None:
        while True:
            for kind, root in self._roots.items():
                if sizes := [_resident(process) for process in _family(root)]:
                    self.curves[kind].append(max(sizes))
            if self._done.wait(self._step):
                return

    def _cpu(self) -> dict[str, float]:
        return {kind: taken(root) for kind, root in self._roots.items()}


def taken(root: psutil.Process) -> float:
    """CPU seconds of a process and all that it started.

    One that ends while they are looked at is missed with its parent, and then by itself: so all are looked at again.
    """
    for _ in range(LOOKS):
        family = _family(root)
        seconds = sum(map(_seconds, family))
        if set(_family(root)) == set(family):
            break
    return seconds


def child(name: str) -> int:
    """The process id of the child of ours that runs this program."""
    return next(child.pid for child in psutil.Process().children() if child.name() == name)


def _family(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _seconds(process: psutil.Process) -> float:
    """Of the process itself, and of its children that have ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _resident(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / MEGABYTE
    except psutil.NoSuchProcess:
        return 0.0


def _shape(curve: list[float]) -> tuple[float, float]:
    if not curve:
        return 0.0, 0.0
    quarter = max(1, len(curve) // 4)
    return max(curve), statistics.median(curve[-quarter:]) - statistics.median(curve[:quarter])


def _machine() -> tuple[float, float]:
    """CPU seconds that this machine has been at work, and idle."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    return sum(times) - idle - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0), idle


def cores() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
