"""The list that a provider's API shows: in order, found by time, rendered once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from simulator import calls
from simulator.calls import Call


class Absent(Enum):
    """Stands for a key that is not there at all, unlike one that is null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Flaw:
    """What makes a row of the list unusable."""

    reason: str
    #: what stands in place of the id, or of the whole record
    value: Any


@dataclass(slots=True, eq=False)
class Row:
    """A line of the list: a call, or something that only looks like one."""

    call: Call
    #: what the list is sorted and filtered by: comparable with the bounds of a request
    created: Any
    flaw: Flaw | None = None
    seen: bool = False
    #: dialect → the record as JSON bytes
    rendered: dict[str, bytes] = field(default_factory=dict)


def _created(row: Row) -> Any:
    return row.created


def _updated(row: Row) -> datetime:
    return row.call.updated_at


class Rows:
    """All visible rows, kept in two orders: by creation and by change."""

    def __init__(self) -> None:
        self.by_created: list[Row] = []
        self.by_updated: list[Row] = []
        self._by_id: dict[str, Row] = {}

    def fill(self, rows: Sequence[Row]) -> None:
        """Take over many rows at once."""
        self.by_created = sorted([*self.by_created, *rows], key=_created)
        self.by_updated = sorted([*self.by_updated, *rows], key=_updated)
        self._by_id.update({row.call.id: row for row in rows if row.flaw is None})

    def add(self, row: Row) -> None:
        insort(self.by_created, row, key=_created)
        insort(self.by_updated, row, key=_updated)
        if row.flaw is None:
            self._by_id[row.call.id] = row

    def change(self, row: Row, at: datetime, alter: Callable[[Call, datetime], None] = calls.change) -> None:
        """Let the call change; its row moves to where its new time of change belongs, and is rendered anew."""
        del self.by_updated[self._place(row)]
        alter(row.call, at)
        insort(self.by_updated, row, key=_updated)
        row.rendered.clear()

    def find(self, call_id: str) -> Row | None:
        return self._by_id.get(call_id)

    def between(self, since: Any, until: Any) -> list[Row]:
        """Rows with since ≤ created ≤ until, oldest first; None is no bound."""
        first = 0 if since is None else bisect_left(self.by_created, since, key=_created)
        last = len(self.by_created) if until is None else bisect_right(self.by_created, until, key=_created)
        return self.by_created[first:last]

    def _place(self, row: Row) -> int:
        place = bisect_left(self.by_updated, row.call.updated_at, key=_updated)
        while self.by_updated[place] is not row:
            place += 1
        return place


class Listing:
    """Rows in the order asked for, page by page. The last `again` rows of a page come again on the next one."""

    def __init__(self, rows: Sequence[Row], size: int, *, newest_first: bool, again: int = 0) -> None:
        self._rows = _overlapping(rows[::-1] if newest_first else rows, size, again) if again else rows
        self._backwards = newest_first and not again
        self._size = size

    def __len__(self) -> int:
        return len(self._rows)

    def page(self, offset: int) -> Sequence[Row]:
        """The page that begins at this offset."""
        if not self._backwards:
            return self._rows[offset : offset + self._size]
        end = max(0, len(self._rows) - offset)
        return self._rows[max(0, end - self._size) : end][::-1]


def _overlapping(rows: Sequence[Row], size: int, again: int) -> list[Row]:
    step = max(1, size - again)
    return [row for start in range(0, max(1, len(rows) - again), step) for row in rows[start : start + size]]
