"""An account's shadow: its calls as they would be, in `shadow_calls`, held against its calls as they are.

Three fill it: an account in shadow mode, a candidate mapper beside the live one, and a remap. All three are compared by
one rule, `rebuilt`, and what a remap compares is what it then applies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Cursor

from calltrack.db import upsert
from calltrack.lookup import forget
from calltrack.model import Source
from calltrack.sync.merge import Row, Stamp, changed, microseconds
from calltrack.sync.rows import SIZE, columns_of, digest_of, row_of

#: shadow calls that are compared, or applied, in one go
CHUNK = 1000
#: ids kept as examples of each difference
EXAMPLES = 5

_CHUNK = """
SELECT id, provider, external_id FROM shadow_calls WHERE account_id = %s AND external_id > %s
ORDER BY external_id LIMIT %s
"""
_FORGET = "DELETE FROM shadow_calls WHERE id = ANY(%s)"
_CLEAR = "DELETE FROM shadow_calls WHERE account_id = %s"
_UNTOUCHED = """
SELECT count(*) FROM calls WHERE account_id = %s
  AND NOT EXISTS (SELECT FROM shadow_calls shadow WHERE shadow.id = calls.id)
"""


@dataclass(frozen=True)
class Reach:
    """What a shadow knows of."""

    account_id: UUID
    #: of the mapper that read it
    mapper_version: int
    #: it knows all versions of a call from then on; None: all there are
    since: datetime | None = None

    def covers(self, stamp: Stamp) -> bool:
        """Whether the shadow's mapper has read this observation too, and is the newer one."""
        known = self.since is None or stamp.version >= microseconds(self.since)
        return known and stamp.mapper_version < self.mapper_version


class Compared(NamedTuple):
    """A call, and what its row would be."""

    id: UUID
    provider: str
    external_id: str
    row: Row
    #: of the newest complete record in it
    digest: bytes | None
    #: the columns that differ from the row as it is; None: it has no row
    differs: list[str] | None
    #: whether the row as it is remembers the same
    settled: bool = False


@dataclass
class Difference:
    """What a shadow would change, counted, with a few examples of each."""

    counts: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def add(self, call: Compared) -> None:
        """Take in one more call."""
        if call.differs is None:
            self._note("missing", call.external_id)
        elif not call.differs:
            self.counts["same"] += 1
        else:
            self.counts["different"] += 1
            for name in call.differs:
                self._note(f"field {name}", call.external_id)

    def _note(self, name: str, external_id: str) -> None:
        self.counts[name] += 1
        known = self.examples.setdefault(name, [])
        if len(known) < EXAMPLES:
            known.append(external_id)


def rebuilt(live: Row, shadow: Row, reach: Reach) -> Row:
    """The row after the shadow's reading took the place of the earlier reading of the same observations.

    Of the live row stays what the shadow cannot know: what is older than its reach, and what its mapper, or a newer
    one, read meanwhile. Of both the greater observation wins, as ever.
    """
    told = set(shadow.stamps.values())
    result = Row(dict(shadow.values), dict(shadow.stamps))
    for name, stamp in live.stamps.items():
        if stamp in told or reach.covers(stamp):
            continue
        if name not in shadow.stamps or stamp > shadow.stamps[name]:
            result.values[name], result.stamps[name] = live.values[name], stamp
    return result


def compare(cursor: Cursor[Any], reach: Reach, after: str) -> list[Compared]:
    """The next calls of the shadow, by external id, as they would be, held against those there are."""
    chunk = cursor.execute(_CHUNK, [reach.account_id, after, CHUNK]).fetchall()
    return list(_compared(cursor, reach, chunk, upsert.CALLS.read))


def apply(cursor: Cursor[Any], reach: Reach, after: str) -> list[Compared]:
    """Write the next calls of the shadow to `calls`, with their entries in the change log, and forget them here."""
    chunk = cursor.execute(_CHUNK, [reach.account_id, after, CHUNK]).fetchall()
    new = [call for call in _compared(cursor, reach, chunk, upsert.CALLS.read) if call.differs is None]
    # In the order of the funnel: what is new first, then what is locked, so that nobody waits in a circle.
    inserted = upsert.CALLS.insert(cursor, [_staged(reach, call) for call in _by_id(new)]) if new else set()
    rest = [known for known in chunk if known[0] not in inserted]
    merged = list(_compared(cursor, reach, rest, upsert.CALLS.lock))
    writes = [_staged(reach, call) for call in _by_id(merged) if not call.settled]
    if writes:
        upsert.CALLS.update(cursor, writes)
        forget.after_commit(cursor, [row.id for row in writes])
    cursor.execute(_FORGET, [[known[0] for known in chunk]])
    return [*(call for call in new if call.id in inserted), *merged]


def difference(cursor: Cursor[Any], reach: Reach) -> Difference:
    """The whole shadow, held against the calls there are."""
    found, after = Difference(), ""
    while calls := compare(cursor, reach, after):
        for call in calls:
            found.add(call)
        after = calls[-1].external_id
    found.counts["untouched"] = untouched(cursor, reach.account_id)
    return found


def untouched(cursor: Cursor[Any], account_id: UUID) -> int:
    """How many calls of the account the shadow says nothing about."""
    row = cursor.execute(_UNTOUCHED, [account_id]).fetchone()
    return int(row[0]) if row else 0


def clear(cursor: Cursor[Any], account_id: UUID) -> None:
    """Forget the account's shadow."""
    cursor.execute(_CLEAR, [account_id])


Look = Callable[[Cursor[Any], Sequence[UUID]], Mapping[UUID, dict[str, Any]]]


def _compared(cursor: Cursor[Any], reach: Reach, chunk: Sequence[tuple[Any, ...]], look: Look) -> Iterator[Compared]:
    ids = [known[0] for known in chunk]
    live, shadow = look(cursor, ids), upsert.SHADOW.read(cursor, ids)
    for key, provider, external_id in chunk:
        yield _one((key, provider, external_id), live.get(key), shadow[key], reach)


def _one(call: tuple[UUID, str, str], live: dict[str, Any] | None, shadow: dict[str, Any], reach: Reach) -> Compared:
    if live is None:
        return Compared(*call, row=row_of(shadow), digest=shadow["content_digest"], differs=None)
    before = row_of(live)
    beside = row_of(shadow)
    after = rebuilt(before, beside, reach)
    digest = _digest(after, ((before, live["content_digest"]), (beside, shadow["content_digest"])))
    differs = changed(before, after)
    settled = not differs and after.stamps == before.stamps and digest == live["content_digest"]
    return Compared(*call, row=after, digest=digest, differs=differs, settled=settled)


def _digest(row: Row, sides: Sequence[tuple[Row, bytes | None]]) -> bytes | None:
    """Which of the complete records that either side took in last is the newest one in the row."""
    known = {digest[:SIZE].hex(): (side, digest) for side, digest in sides if digest}
    stamps = [stamp for stamp in row.stamps.values() if stamp.source == Source.API_RECORD and stamp.digest in known]
    if not stamps:
        return None
    held = max(stamps).digest
    side, digest = known[held]
    given = [name for name, stamp in side.stamps.items() if stamp.digest == held]
    return digest if len(digest) > SIZE else digest_of(row, digest, given)


def _by_id(calls: Sequence[Compared]) -> list[Compared]:
    return sorted(calls, key=lambda call: call.id)


def _staged(reach: Reach, call: Compared) -> upsert.Staged:
    identity = (call.id, reach.account_id, call.provider, call.external_id)
    return upsert.Staged(*identity, columns_of(call.row, call.digest), None, None, call.differs or None)
