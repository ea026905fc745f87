"""How TrackDrive's answers look: envelopes, refusals, and lists that come in pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha1
from typing import NamedTuple

import orjson

from simulator import cursors
from simulator.habits import Habits
from simulator.messages import Reply, as_json

PER_PAGE = 25
MOST_PER_PAGE = 100
#: the last page that can be asked for by its number
GREATEST_PAGE = 10


def enveloped(root: str, content: bytes, status: int = 200) -> Reply:
    """One thing, as JSON, with what every answer about one thing says besides."""
    checksum = sha1(content).hexdigest()  # noqa: S324 - theirs, and no secret
    rest = orjson.dumps({"status": status, "errors": [], "checksum": checksum, "metadata": {"root": root}})
    return Reply(status, b'{"%s":%s,%s' % (root.encode(), content, rest[1:]))


def refused(status: int, text: str) -> Reply:
    return as_json({"status": status, "errors": {"base": [text]}}, status)


class Page(NamedTuple):
    """What part of a list is asked for."""

    offset: int
    size: int
    #: the cursor that asked for it; blank: none, or the first
    cursor: str = ""

    @classmethod
    def asked(cls, params: Mapping[str, str], now: datetime, habits: Habits) -> Page:
        """By cursor, or by number as far as that goes. Raises `ValueError`."""
        size = min(MOST_PER_PAGE, max(1, whole(params, "per_page", PER_PAGE)))
        cursor = params.get("cursor", cursors.FIRST)
        if cursor != cursors.FIRST:
            return cls(cursors.read(cursor, now, habits.expiring_cursor), size, cursor)
        number = 1 if "cursor" in params else max(1, whole(params, "page", 1))
        if number > GREATEST_PAGE:
            raise ValueError(f"page > {GREATEST_PAGE} is not allowed. Use cursor instead.")
        return cls((number - 1) * size, size)

    def start(self, total: int, habits: Habits) -> int:
        """The offset to show: with an endless list that of the last page, again and again."""
        last = max(0, (total - 1) // self.size * self.size)
        return min(self.offset, last) if habits.endless_next else self.offset

    def metadata(self, total: int, now: datetime, habits: Habits) -> orjson.Fragment:
        """The counts and the next cursor, a number written as it is."""
        if self.offset + self.size >= total and not habits.endless_next:
            following = cursors.LAST
        elif self.cursor and habits.repeated_cursor:
            following = self.cursor
        else:
            following = cursors.write(self.offset + self.size, now)
        counts = {"total_count": total, "total_pages": -(-total // self.size)}
        return orjson.Fragment(orjson.dumps({**counts, "next_cursor": orjson.Fragment(following)}))


def whole(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name, str(default))
    if not text.isdecimal():
        raise ValueError(f"{name} must be a number.")
    return int(text)
