"""Several changes of one call, each a request of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from calltrack.client.ask import Ask
from calltrack.errors import CalltrackError, PartlyDone


@dataclass(frozen=True)
class Change:
    """One field that is to be changed."""

    #: as people know it: "revenue", "tag quality"
    what: str
    ask: Ask
    values: dict[str, Any]


def in_order(changes: Sequence[Change], do: Callable[[Change], None]) -> None:
    """Do them, first those that may be done twice: as long as only these are done, all may be asked for again.

    Raises `PartlyDone` with what was done and what was not, where that is not so.
    """
    done: list[Change] = []
    for change in sorted(changes, key=lambda each: not each.ask.repeatable):
        try:
            do(change)
        except CalltrackError as error:
            if all(each.ask.repeatable for each in done):
                raise
            raise _partly(changes, done, change, error) from None
        done.append(change)


def _partly(changes: Sequence[Change], done: Sequence[Change], failed: Change, error: CalltrackError) -> PartlyDone:
    left = [each.what for each in changes if each not in done and each is not failed]
    rest = f" Not asked for: {', '.join(left)}." if left else ""
    return PartlyDone(f"Done: {', '.join(each.what for each in done)}. Then {failed.what}: {error.message}{rest}")
