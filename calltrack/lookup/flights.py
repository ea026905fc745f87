"""Readers of one thing at one moment, within a process, go together: one of them asks, all take the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

#: seconds that somebody waits for the answer to another's question before they ask it themselves
PATIENCE = 1.0


class Flight(Generic[T]):
    """One asking, and what came of it."""

    def __init__(self, before: Flight[T] | None) -> None:
        self.before = before
        self.landed = threading.Event()
        #: in here, once it has landed well
        self.brought: list[T] = []


class Flights(Generic[K, T]):
    """Of each thing one flight is in the air, and one is boarding.

    Who comes while one is in the air takes the next one: the one in the air may have read what is older than what the
    one who comes has seen already.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._boarding: dict[K, Flight[T]] = {}
        self._flying: dict[K, Flight[T]] = {}

    def share(self, key: K, ask: Callable[[], T]) -> T:
        """The answer to `ask`, which began after this was called: our own one or that of somebody else."""
        with self._lock:
            flight = self._boarding.get(key)
            if pilot := flight is None:
                flight = self._boarding[key] = Flight(self._flying.get(key))
        if pilot:
            return self._fly(key, flight, ask)
        flight.landed.wait(PATIENCE)
        return flight.brought[0] if flight.brought else ask()

    def _fly(self, key: K, flight: Flight[T], ask: Callable[[], T]) -> T:
        if flight.before:
            flight.before.landed.wait(PATIENCE)
            flight.before = None
        with self._lock:
            del self._boarding[key]
            self._flying[key] = flight
        try:
            answer = ask()
            flight.brought.append(answer)
            return answer
        finally:
            with self._lock:
                if self._flying.get(key) is flight:
                    del self._flying[key]
            flight.landed.set()
