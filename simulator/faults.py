"""Answers that go wrong, by chance but repeatably: the n-th try of a request always fares the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from simulator.chance import fraction, pick
from simulator.habits import FAULTS, Habits
from simulator.messages import Reply, Request

#: after so many faults in a row the same request gets its answer: whoever tries four times gets through
MOST_IN_A_ROW = 3

HTML = b"<!DOCTYPE html>\n<html><head><title>We'll be right back</title></head><body>Maintenance</body></html>\n"

#: the stand-in's own way to say that something failed
Refuse = Callable[[int, str], Reply]


class Faults:
    """Decides which requests fail, and how."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tries: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()

    def draw(self, request: Request, habits: Habits) -> str | None:
        """The fault that this try of the request meets: a name out of `FAULTS`, or none."""
        question = f"{request.path}?{sorted(request.params.items())}"
        if request.json is not None:
            question += str(request.json)
        self._tries[question] += 1
        kind = self._kind(fraction(self._seed, question, self._tries[question]), habits)
        if kind is None or self._in_a_row[question] >= MOST_IN_A_ROW:
            self._in_a_row.pop(question, None)
            return None
        self._in_a_row[question] += 1
        return kind

    def _kind(self, drawn: float, habits: Habits) -> str | None:
        for kind in FAULTS:
            share: float = getattr(habits, kind)
            if drawn < share:
                return kind
            drawn -= share
        return None


def spoil(kind: str, request: Request, reply: Reply, refuse: Refuse, habits: Habits) -> Reply:
    """What becomes of a good reply."""
    question = (request.path, sorted(request.params.items()))
    if kind == "server_errors":
        return refuse(
            pick((500, 502, 503), "status", *question), "Something went wrong on our side. Please try again later."
        )
    if kind == "html_answers":
        return Reply(pick((200, 502), "html", *question), HTML, content_type="text/html; charset=utf-8")
    if kind == "cut_json":
        return replace(reply, body=reply.body[: len(reply.body) * 2 // 3])
    if kind == "cut_connections":
        return replace(reply, breaks=True)
    return replace(reply, silence=habits.hang_seconds)
