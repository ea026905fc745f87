"""Chance without luck: the same question always gets the same answer, in whatever order threads ask."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

T = TypeVar("T")


def fraction(*question: object) -> float:
    """A number in [0, 1) that depends on nothing but the question."""
    digest = blake2b(repr(question).encode(), digest_size=8).digest()
    # 53 bits: with more, the greatest values would round up to 1.0
    return (int.from_bytes(digest) >> 11) / 2**53


def pick(options: Sequence[T], *question: object) -> T:
    """One of the options."""
    return options[int(fraction(*question) * len(options))]


class Dice:
    """A row of throws that depends on nothing but its name: for making up a whole call at once."""

    def __init__(self, name: str) -> None:
        self._rng = Random(name)
        self._next = self._rng.random

    def share(self) -> float:
        """In [0, 1)."""
        return self._next()

    def between(self, least: int, most: int) -> int:
        """A whole number, both ends included."""  # `randrange` takes five times as long
        return least + int(self._next() * (most - least + 1))

    def one_of(self, options: Sequence[T]) -> T:
        return options[int(self._next() * len(options))]

    def exponential(self, mean: float) -> float:
        return self._rng.expovariate(1 / mean)

    def bits(self, count: int) -> int:
        return self._rng.getrandbits(count)
