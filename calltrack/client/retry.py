"""Whether to try again, and when: exponential backoff with full jitter."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from calltrack.errors import CalltrackError, TryLater

Chance = Callable[[], float]


@dataclass(frozen=True)
class Decision:
    """What to do after an error."""

    kind: Literal["retry", "fail"]
    #: seconds until the next try; 0 where there is none
    wait: float
    #: the error's machine word
    reason: str
    #: whether this try used up one of the attempts
    counts: bool


def backoff(attempt: int, base: float = 1.0, cap: float = 300.0, chance: Chance = random.random) -> float:
    """Seconds to wait after the attempt-th failure (from 1): anything from 0 to base · 2^(attempt - 1), at most `cap`.

    The whole range is used ("full jitter"), so that many that failed together do not come back together.
    """
    doublings = min(max(attempt, 1) - 1, 64)
    return chance() * min(cap, base * 2.0**doublings)


def decide(
    error: CalltrackError,
    attempt: int,
    max_attempts: int,
    *,
    base: float = 1.0,
    cap: float = 300.0,
    chance: Chance = random.random,
) -> Decision:
    """What to do after the attempt-th try (from 1) ended with this error.

    Only `TryLater` is tried again. Where it counts, at most `max_attempts` times; a spent budget, a 429 or an open
    breaker say nothing against the work itself and never use up an attempt.
    """
    if not isinstance(error, TryLater):
        return Decision("fail", 0.0, error.reason, counts=True)
    if error.counts and attempt >= max_attempts:
        return Decision("fail", 0.0, error.reason, counts=True)
    return Decision("retry", _wait(error, backoff(attempt, base, cap, chance), chance), error.reason, error.counts)


def _wait(error: TryLater, otherwise: float, chance: Chance) -> float:
    """Never earlier than we were told, and a little spread."""
    if error.wait is None:
        return otherwise
    return error.wait + chance() * min(max(error.wait * 0.1, 0.1), 5.0)
