"""Mapping anew what was landed, after a mapper was mended: no request is made for it.

A remap is an operation in phases. It reads every page and delivery of an account that was landed into the account's
shadow, compares that with the calls there are, and, where that is wanted, applies the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, RowMapping, TextClause, text

from calltrack import registry
from calltrack.db import accounts, audit, upsert
from calltrack.db.session import driver
from calltrack.errors import CalltrackError, FixConfiguration, NotACall
from calltrack.mapping.times import moment
from calltrack.provider import Mapper
from calltrack.sync import operations, retention, shadow
from calltrack.sync.ingest import ingest
from calltrack.sync.observe import Sight
from calltrack.sync.operations import Advance, Operation
from calltrack.sync.reading import CANDIDATE, LIVE, mapper, read_delivery, read_page
from calltrack.sync.shadow import Compared, Difference, Reach

KIND = "remap"
#: read in one step
MOST = {"pages": 5, "deliveries": 500}

#: by how much a provider's clock may be ahead of ours: older versions may have been landed before the remap begins
SKEW = timedelta(days=1)

Read = Callable[[RowMapping, Mapper], Sight]

_ACCOUNT = text("""
SELECT id, provider_type AS provider, name, mode, shadow_mapper, settings FROM provider_configs
WHERE id = :id FOR UPDATE
""")
_UNDER_WAY = text("""
SELECT id FROM operations WHERE kind = 'remap' AND account_id = :id AND state = 'running' LIMIT 1
""")
_OWNER = text("""
SELECT max(operation.id) FROM operations operation JOIN provider_configs account ON account.id = operation.account_id
WHERE operation.kind = 'remap' AND operation.account_id = :account_id
  AND account.mode = 'live' AND account.shadow_mapper IS NULL
""")
#: what was stored or processed since: a moment at or after that of landing
_SIZE = text("""
SELECT (SELECT max(id) FROM sync_pages) AS page, (SELECT max(id) FROM webhook_logs) AS delivery,
    (SELECT coalesce(sum(fetched), 0) FROM sync_pages WHERE account_id = :id AND state = 'stored'
        AND (CAST(:since AS timestamptz) IS NULL OR stored_at >= :since))
    + (SELECT count(*) FROM webhook_logs WHERE account_id = :id
        AND (CAST(:since AS timestamptz) IS NULL OR received_at >= :since))
    + (SELECT count(*) FROM calls WHERE account_id = :id) AS total
""")
_PAGES = text("""
SELECT page.*, account.settings FROM sync_pages page JOIN provider_configs account ON account.id = page.account_id
WHERE page.account_id = :account_id AND page.id > :after AND page.id <= :newest
  AND page.state = 'stored' AND page.body IS NOT NULL
  AND (CAST(:since AS timestamptz) IS NULL OR page.stored_at >= :since)
ORDER BY page.id LIMIT :most
""")
_DELIVERIES = text("""
SELECT delivery.*, account.settings
FROM webhook_logs delivery JOIN provider_configs account ON account.id = delivery.account_id
WHERE delivery.account_id = :account_id AND delivery.id > :after AND delivery.id <= :newest
  AND delivery.state IN ('processed', 'rejected', 'ignored')
  AND (CAST(:since AS timestamptz) IS NULL OR delivery.processed_at >= :since)
ORDER BY delivery.id LIMIT :most
""")


def begin(
    connection: Connection,
    account_id: UUID,
    *,
    since: datetime | None = None,
    candidate: bool = False,
    apply: bool = False,
) -> int:
    """A remap of what was landed up to now, from `since` on. Returns the operation.

    `candidate`: as the candidate mapper reads it, to be compared only. `apply`: not only compare. Raises
    `FixConfiguration` where the account's shadow is in use.
    """
    account = connection.execute(_ACCOUNT, {"id": account_id}).mappings().one()
    _need_free_shadow(connection, account)
    name = CANDIDATE if candidate else None
    version = mapper(registry.get(account["provider"]), name).version
    shadow.clear(driver(connection).cursor(), account_id)
    size = connection.execute(_SIZE, {"id": account_id, "since": since}).mappings().one()
    kept = retention.landed_since(connection)
    asked = {
        "since": since.isoformat() if since else None,
        "kept_since": kept.isoformat() if kept else None,
        "mapper": name,
        "mapper_version": version,
        "apply": apply and not candidate,
        "newest": {"pages": size["page"] or 0, "deliveries": size["delivery"] or 0},
    }
    operation = operations.begin(connection, KIND, account_id, asked, int(size["total"]))
    told = {"operation": operation, "since": since, "mapper": name or "current", "apply": asked["apply"]}
    audit.record(connection, "calls.remapped", f"{account['provider']}/{account['name']}", **told)
    return operation


def begin_apply(connection: Connection, compared: Operation) -> int:
    """The operation that applies what another one has compared."""
    assert compared.account_id is not None
    connection.execute(_ACCOUNT, {"id": compared.account_id})
    _need_own_shadow(connection, compared)
    total = compared.counts.get("missing", 0) + compared.counts.get("different", 0) + compared.counts.get("same", 0)
    asked = {**compared.arguments, "apply": True, "phase": "apply"}
    operation = operations.begin(connection, KIND, compared.account_id, asked, total)
    label = accounts.label(connection, compared.account_id)
    audit.record(connection, "calls.remap_applied", label, operation=operation, compared=compared.id)
    return operation


def under_way(connection: Connection, account_id: UUID) -> int | None:
    """The remap of this account that is not done yet."""
    return connection.execute(_UNDER_WAY, {"id": account_id}).scalar()


def difference(operation: Operation) -> Difference:
    """What a remap has found so far."""
    found = Difference(examples={name: list(ids) for name, ids in operation.position.get("examples", {}).items()})
    found.counts.update(operation.counts)
    return found


def step(connection: Connection, operation: Operation) -> Advance:
    """Do the next chunk of the phase that the remap is in."""
    _need_own_shadow(connection, operation)
    phase = operation.position.get("phase") or operation.arguments.get("phase") or "pages"
    if phase in MOST:
        _need_all_kept(connection, operation)
    advance = STEPS[phase](connection, operation)
    if advance.position is not None:
        return advance
    following = _following(phase, apply=operation.arguments["apply"])
    if following is None:
        return Advance(None, advance.done, advance.counts)
    position = {**operation.position, "phase": following, "after": None}
    return Advance(position, advance.done, advance.counts)


def _following(phase: str, *, apply: bool) -> str | None:
    phases = list(STEPS) if apply else list(STEPS)[:-1]
    place = phases.index(phase) + 1
    return phases[place] if place < len(phases) else None


def _read_pages(connection: Connection, operation: Operation) -> Advance:
    return _read(connection, operation, "pages", _PAGES, read_page)


def _read_deliveries(connection: Connection, operation: Operation) -> Advance:
    return _read(connection, operation, "deliveries", _DELIVERIES, read_delivery)


def _read(connection: Connection, operation: Operation, phase: str, query: TextClause, read: Read) -> Advance:
    """Let the next pages, or deliveries, flow into the shadow."""
    rows, mapper = _landed(connection, operation, phase, query), _mapper(connection, operation)
    sight = Sight()
    for row in rows:
        with suppress(NotACall, CalltrackError):  # that was noted when it was landed
            seen = read(row, mapper)
            sight.observations += seen.observations
            sight.rejects += seen.rejects
    with driver(connection).cursor() as cursor:
        outcome = ingest(cursor, sight.observations, target=upsert.SHADOW)
    done = sum(row["fetched"] if phase == "pages" else 1 for row in rows)
    counts = {"read": done, "rejected": len(sight.rejects) + len(outcome.refused)}
    more = len(rows) == MOST[phase]
    return Advance({**operation.position, "phase": phase, "after": rows[-1]["id"]} if more else None, done, counts)


def _landed(connection: Connection, operation: Operation, phase: str, query: TextClause) -> Sequence[RowMapping]:
    wanted = {
        "account_id": operation.account_id,
        "after": operation.position.get("after") or 0,
        "newest": operation.arguments["newest"][phase],
        "since": operation.arguments["since"],
        "most": MOST[phase],
    }
    return connection.execute(query, wanted).mappings().all()


def _compare(connection: Connection, operation: Operation) -> Advance:
    reach, after = _reach(operation), operation.position.get("after") or ""
    with driver(connection).cursor() as cursor:
        calls = shadow.compare(cursor, reach, after)
        untouched = 0 if calls else shadow.untouched(cursor, reach.account_id)
    return _told(operation, calls, {"untouched": untouched})


def _apply(connection: Connection, operation: Operation) -> Advance:
    reach = _reach(operation)
    with driver(connection).cursor() as cursor:
        calls = shadow.apply(cursor, reach, "")
    inserted = sum(call.differs is None for call in calls)
    updated = sum(bool(call.differs) for call in calls)
    counts = {"calls_inserted": inserted, "calls_updated": updated}
    return Advance({**operation.position, "phase": "apply"} if calls else None, len(calls), counts)


STEPS = {"pages": _read_pages, "deliveries": _read_deliveries, "compare": _compare, "apply": _apply}


def _told(operation: Operation, calls: list[Compared], more: Mapping[str, int]) -> Advance:
    found = Difference(examples=difference(operation).examples)
    for call in calls:
        found.add(call)
    counts = {**found.counts, **more}
    position = {**operation.position, "phase": "compare", "examples": found.examples}
    if calls:
        return Advance({**position, "after": calls[-1].external_id}, len(calls), counts)
    return Advance(None, 0, counts)


def _reach(operation: Operation) -> Reach:
    assert operation.account_id is not None
    edges = moment(operation.arguments["since"]), moment(operation.arguments.get("kept_since"))
    since = max(filter(None, edges), default=None)  # what was removed since, only the rows remember
    return Reach(operation.account_id, operation.arguments["mapper_version"], since + SKEW if since else None)


def _mapper(connection: Connection, operation: Operation) -> Mapper:
    assert operation.account_id is not None
    provider = accounts.label(connection, operation.account_id).partition("/")[0]
    found = mapper(registry.get(provider), operation.arguments["mapper"])
    if found.version != operation.arguments["mapper_version"]:
        raise FixConfiguration("The mapper has changed since the remap began: begin it anew.")
    return found


def _need_free_shadow(connection: Connection, account: RowMapping) -> None:
    label = f"{account['provider']}/{account['name']}"
    if account["mode"] != LIVE or account["shadow_mapper"]:
        raise FixConfiguration(
            f"The shadow of {label} is in use: see `calltrack shadow report {label}`, and end it with "
            f"`calltrack accounts set {label} --mode live --mapper current`."
        )
    running = under_way(connection, account["id"])
    if running is not None:
        raise FixConfiguration(f"Operation {running} is a remap of {label}: let it end, or cancel it, first.")


def _need_all_kept(connection: Connection, remap: Operation) -> None:
    """What was removed meanwhile would look as if nobody had ever said it."""
    retention.share(connection)
    kept, known = retention.landed_since(connection), moment(remap.arguments.get("kept_since"))
    if kept is not None and (known is None or kept > known):
        raise FixConfiguration("Old pages or deliveries were removed since the remap began: begin it anew.")


def _need_own_shadow(connection: Connection, remap: Operation) -> None:
    if connection.execute(_OWNER, {"account_id": remap.account_id}).scalar() != remap.id:
        raise FixConfiguration("The account's shadow is used by something else since: begin the remap anew.")
