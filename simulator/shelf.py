"""Numbered things that a provider keeps beside the calls: phone numbers, subscriptions, campaigns."""

from __future__ import annotations

from collections import Counter
from typing import Any

Json = dict[str, Any]


class Shelf:
    """Things of one kind, in the order in which they came.

    `writes` counts what was done to it, as `"number.added"` and `"number.removed"`: share the stand-in's own, and a
    thing that was bought twice is seen there.
    """

    def __init__(self, kind: str, writes: Counter[str], first: int = 1, id_key: str = "id") -> None:
        self.kind = kind
        self._writes = writes
        self._next = first
        self._id_key = id_key
        self._things: dict[str, Json] = {}

    def put(self, thing: Json) -> Json:
        """Lay it there as if it had always been: no write. Without an id it gets the next number."""
        thing = {self._id_key: self._number(), **thing}
        self._things[str(thing[self._id_key])] = thing
        return thing

    def add(self, thing: Json) -> Json:
        """The same, counted."""
        self._writes[f"{self.kind}.added"] += 1
        return self.put(thing)

    def list(self) -> list[Json]:
        return [*self._things.values()]

    def get(self, thing_id: object) -> Json | None:
        """By its id as text or number; None: there is none."""
        return self._things.get(str(thing_id))

    def change(self, thing_id: object, **fields: Any) -> Json | None:
        """Set some of its fields, counted; None: there is none."""
        thing = self.get(thing_id)
        if thing is not None:
            thing.update(fields)
            self._writes[f"{self.kind}.changed"] += 1
        return thing

    def remove(self, thing_id: object) -> Json | None:
        """Take it away, counted; None: there was none."""
        thing = self._things.pop(str(thing_id), None)
        if thing is not None:
            self._writes[f"{self.kind}.removed"] += 1
        return thing

    def lose(self, thing_id: object) -> None:
        """Take it away without anybody having asked for it: no write."""
        self._things.pop(str(thing_id), None)

    def __len__(self) -> int:
        return len(self._things)

    def _number(self) -> int:
        self._next += 1
        return self._next - 1
