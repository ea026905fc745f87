"""The funnel in which both flows end: observations → one row per call.

    observe (map, check, digest) → dedup → leave alone what was said before → insert new calls, merge known ones

Counting, rejecting and idempotency live here, once. Nothing here commits: the caller's transaction holds the calls, the
rejects, the change log and the state of the page or delivery together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple, Self
from uuid import UUID

from orjson import Fragment
from psycopg import Cursor, DataError
from psycopg.errors import UniqueViolation

from calltrack.db import upsert
from calltrack.lookup import forget
from calltrack.model import FIELDS, Observation, Source, call_id
from calltrack.sync import confirmations
from calltrack.sync.merge import Row, changed, confirm, disown, merged, said, stamp_of
from calltrack.sync.rows import SIZE, columns_of, digest_of, row_of


class News(NamedTuple):
    """A call that was new, or had changed, or stood on a list of the provider for the first time."""

    id: UUID
    observation: Observation
    #: it had no row before
    new: bool
    #: a list shows it, and none had done so before
    first: bool


@dataclass
class Outcome:
    """What became of a batch: `fetched = inserted + updated + unchanged + duplicates + rejected`, always."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    #: observations of a call beyond the first one in the batch
    duplicates: int = 0
    #: calls that a page showed to be as they were, where the provider has no versions, and as which record: its digest
    confirmed: list[tuple[UUID, bytes]] = field(default_factory=list)
    #: what Postgres would not take, with its reason; everything else went through
    refused: list[tuple[Observation, str]] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    #: every call of the batch, and as which record it was told last: its digest
    records: list[tuple[UUID, bytes]] = field(default_factory=list)

    def __iadd__(self, other: Self) -> Self:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self


class _Into(NamedTuple):
    """Where a batch goes, and how: see `ingest`."""

    target: upsert.Table
    thorough: bool
    new: bool = False


@dataclass(slots=True)
class _Call:
    """All observations of one call in a batch, and its row as far as it is known."""

    id: UUID
    observations: list[Observation]


def ingest(
    cursor: Cursor[Any],
    batch: Sequence[Observation],
    *,
    thorough: bool = False,
    new: bool = False,
    target: upsert.Table = upsert.CALLS,
) -> Outcome:
    """Let a batch of observations flow into `calls`. What Postgres refuses is isolated; the rest goes through.

    `thorough`: compare each one with its row, also where the row took it in before: this mends damaged rows.
    `new`: none of the calls will have a row, so that is not asked first. Where it is wrong it only costs time,
    and a line in Postgres' log.
    """
    into = _Into(target, thorough=thorough)
    cursor.execute("SAVEPOINT batch")
    outcome = (_tried(cursor, batch, into._replace(new=True)) if new else None) or _tried(cursor, batch, into)
    if outcome is not None:
        return outcome
    refused = _refused(cursor, batch, into)
    bad = {id(observation) for observation, _ in refused}
    outcome = _ingest(cursor, [one for one in batch if id(one) not in bad], into)
    outcome.refused = refused
    return outcome


def _tried(cursor: Cursor[Any], batch: Sequence[Observation], into: _Into) -> Outcome | None:
    """What became of the batch. None, and nothing is done, where Postgres does not take it so."""
    try:
        return _ingest(cursor, batch, into)
    except (DataError, UniqueViolation):
        cursor.execute("ROLLBACK TO SAVEPOINT batch")
        return None


def _refused(cursor: Cursor[Any], batch: Sequence[Observation], into: _Into) -> list[tuple[Observation, str]]:
    """Which of these Postgres does not take, and why: by halves.

    Each try is rolled back, with its locks: the others are then to go in together, in the order of their ids. Kept
    halves would hold rows that come before the next half's, and two such batches would wait for each other in a circle.
    """
    try:
        _ingest(cursor, batch, into)
    except DataError as error:
        reason = type(error).__name__
    else:
        return []
    finally:
        cursor.execute("ROLLBACK TO SAVEPOINT batch")
    if len(batch) == 1:
        return [(batch[0], reason)]
    half = len(batch) // 2
    halves = batch[:half], batch[half:]
    return [found for part in halves for found in _refused(cursor, part, into)]


def _ingest(cursor: Cursor[Any], batch: Sequence[Observation], into: _Into) -> Outcome:
    target, calls = into.target, _by_call(batch)
    outcome = Outcome(duplicates=len(batch) - len(calls))
    outcome.records = [(call.id, call.observations[-1].digest) for call in calls]
    if not calls:
        return outcome
    confirmations.guard(cursor, batch)
    known = {} if into.new else target.digests(cursor, [call.id for call in calls])
    new = [call for call in calls if call.id not in known]
    old = [call for call in calls if call.id in known]
    if not into.thorough:
        old = [call for call in old if not _said_before(call, known[call.id], outcome, target)]
    inserted = _insert(cursor, new, into)
    outcome.inserted = len(inserted)
    outcome.news.extend(
        News(call.id, call.observations[-1], True, _listed(call)) for call in new if call.id in inserted
    )
    late = [call for call in new if call.id not in inserted]
    _merge(cursor, sorted([*old, *late], key=attrgetter("id.int")), outcome, target, thorough=into.thorough)
    return outcome


def differences(cursor: Cursor[Any], batch: Sequence[Observation]) -> dict[UUID, list[str] | None]:
    """What merging each call's observations would change in its row; None: it has none. The rows stay locked."""
    calls = _by_call(batch)
    locked = upsert.CALLS.lock(cursor, [call.id for call in calls])
    return {call.id: _difference(call, row_of(locked[call.id])) if call.id in locked else None for call in calls}


def _difference(call: _Call, before: Row) -> list[str]:
    return changed(before, merged(call.observations, _mended(before, call)))


def _by_call(batch: Iterable[Observation]) -> list[_Call]:
    """The observations, grouped by call, in the order of the calls' ids."""
    grouped: dict[UUID, list[Observation]] = {}
    for one in batch:
        grouped.setdefault(call_id(one.account_id, one.record.external_id), []).append(one)
    return [_Call(key, grouped[key]) for key in sorted(grouped, key=_number)]


#: as Postgres sorts ids, and much quicker than comparing them
_number = attrgetter("int")


def _said_before(call: _Call, digest: bytes | None, outcome: Outcome, target: upsert.Table) -> bool:
    """Whether the row took in exactly this already.

    A page without versions then still confirms the row as it is; a shadow row it does not, and is merged. So is a
    webhook with the same content as a page: its event tells more than that.
    """
    if digest is None or any(one.digest != digest or one.source is not Source.API_RECORD for one in call.observations):
        return False
    if not (target.logged or all(one.versioned for one in call.observations)):
        return False
    outcome.unchanged += 1
    if not call.observations[0].versioned:
        outcome.confirmed.append((call.id, digest))
    return True


def _insert(cursor: Cursor[Any], calls: Sequence[_Call], into: _Into) -> set[UUID]:
    rows = [_seen_once(call) or _staged_new(call) for call in calls]
    if into.new:
        into.target.insert_new(cursor, rows)
        return {row.id for row in rows}
    return into.target.insert(cursor, rows) if rows else set()


def _staged_new(call: _Call) -> upsert.Staged:
    row = merged(call.observations)
    return _staged(call, row, [], _digest(call, row, row, None))


def _seen_once(call: _Call) -> upsert.Staged | None:
    """What `_staged_new` gives for a call with one whole, proved record behind it, in a third of the time.

    Most calls are so.
    """
    (one, *more) = call.observations
    record = one.record
    if more or one.source is Source.UNVERIFIED_WEBHOOK or not record.complete:
        return None
    stamp = [*stamp_of(one), sorted(record.emptied)] if record.emptied else [*stamp_of(one)]
    digest = one.digest if one.source is Source.API_RECORD else None
    raw = record.raw if one.body is None else Fragment(one.body)
    rest = (record.metadata or None, raw, [stamp], digest)
    identity = (call.id, one.account_id, one.provider, record.external_id)
    return upsert.Staged(*identity, (*_FIELDS(record), *rest), one.page_id, one.delivery_id, None)


_FIELDS = attrgetter(*FIELDS)


def _merge(
    cursor: Cursor[Any], calls: Sequence[_Call], outcome: Outcome, target: upsert.Table, *, thorough: bool
) -> None:
    """Merge these calls, which have rows, into them."""
    if not calls:
        return
    locked = target.lock(cursor, [call.id for call in calls])
    told = [one for call in calls for one in call.observations]
    seen = confirmations.later(cursor, told, list(locked)) if target.logged else {}
    writes = []
    for call in calls:
        columns = locked[call.id]
        before = row_of(columns)
        for record, seen_at in seen.get(call.id, ()):
            confirm(before, record, seen_at)
        after = merged(call.observations, _mended(before, call) if thorough else before)
        names = changed(before, after)
        outcome.updated += bool(names)
        outcome.unchanged += not names
        first = _listed(call) and not any(stamp.source == Source.API_RECORD for stamp in before.stamps.values())
        if names or first:
            outcome.news.append(News(call.id, call.observations[-1], False, first))
        digest = _digest(call, before, after, columns["content_digest"])
        if names or after.stamps != before.stamps or digest != columns["content_digest"]:
            writes.append(_staged(call, after, names, digest))
    if writes:
        target.update(cursor, writes)
        if target.logged:
            forget.after_commit(cursor, [row.id for row in writes])


def _listed(call: _Call) -> bool:
    return any(one.source is Source.API_RECORD for one in call.observations)


def _mended(row: Row, call: _Call) -> Row:
    """The row without what it ascribes to these observations and they do not say."""
    mended = Row(dict(row.values), dict(row.stamps))
    for observation in call.observations:
        disown(mended, observation)
    return mended


def _digest(call: _Call, before: Row, after: Row, known: bytes | None) -> bytes | None:
    """The digest of the newest complete API record that the row took in: of this batch, or the one `known` before."""
    records = [one for one in call.observations if one.source is Source.API_RECORD and one.record.complete]
    if records:
        newest = max(records, key=stamp_of) if len(records) > 1 else records[0]
        if any(stamp.digest == newest.digest.hex() for stamp in after.stamps.values()):
            return digest_of(after, newest.digest, said(newest))
    if known is None or len(known) > SIZE:
        return known
    given = [name for name, stamp in before.stamps.items() if stamp.digest == known.hex()]
    return digest_of(after, known, given)


def _staged(call: _Call, row: Row, names: list[str], digest: bytes | None) -> upsert.Staged:
    """The row to write for a call: its values as columns."""
    last = call.observations[-1]
    identity = (call.id, last.account_id, last.provider, last.record.external_id)
    return upsert.Staged(*identity, columns_of(row, digest), last.page_id, last.delivery_id, names or None)
