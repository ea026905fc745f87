"""Hints: what the library asks to be looked at next. They say "look at row 42" and carry no state of their own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """What to do with the row."""

    #: fetch the page, then store it
    FETCH = "fetch"
    #: store the page, which is fetched
    STORE = "store"
    #: process waiting deliveries of the provider
    DELIVERIES = "deliveries"
    #: go on with the operation
    OPERATION = "operation"


@dataclass(frozen=True)
class Hint:
    """Look at this row. Losing a hint delays the work until the sweeper finds the row; a doubled one does nothing."""

    step: Step
    provider: str
    #: the page, or the operation; 0 for deliveries
    id: int = 0
    #: what an operator reads: "page 12 of run 7"
    label: str = ""
    #: seconds until the row is due
    delay: float = 0.0
