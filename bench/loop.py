"""The peer: the loop that one writes by hand in an afternoon. One process, one page after the other.

    python -m bench.loop DATABASE_URL PROVIDER_URL ACCOUNT_ID PAGE_SIZE

requests → orjson → a row and a digest → COPY into a temporary table → INSERT … ON CONFLICT: a commit per page, into the
`calls` that calltrack fills, with all its indexes. A row whose digest is the same is left alone. There is nothing else:
no ledger, no budget, no retries, no rejects, no merge with webhooks, no change log.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid5

import orjson
import psycopg
import requests
from psycopg.types.json import Jsonb

from bench import turn
from bench.pages import LIST

COLUMNS = {
    "id": "uuid",
    "account_id": "uuid",
    "provider": "text",
    "external_id": "text",
    "status": "text",
    "direction": "text",
    "tracking_number": "text",
    "caller_number": "text",
    "destination_number": "text",
    "primary_phone": "text",
    "campaign_id": "text",
    "campaign_name": "text",
    "publisher_id": "text",
    "publisher": "text",
    "buyer_id": "text",
    "buyer": "text",
    "started_at": "timestamptz",
    "answered_at": "timestamptz",
    "ended_at": "timestamptz",
    "duration_seconds": "int4",
    "talk_seconds": "int4",
    "hold_seconds": "int4",
    "revenue": "numeric",
    "payout": "numeric",
    "cost": "numeric",
    "converted": "bool",
    "duplicate": "bool",
    "recording_url": "text",
    "provider_data": "jsonb",
    "provider_updated_at": "timestamptz",
    "content_digest": "bytea",
}
STATUSES = {"finished": "completed"}
NAMES = ", ".join(COLUMNS)
STAGING = f"CREATE TEMPORARY TABLE page ({', '.join(map(' '.join, COLUMNS.items()))}) ON COMMIT DELETE ROWS"
COPY = f"COPY page ({NAMES}) FROM STDIN (FORMAT BINARY)"
UPSERT = f"""
INSERT INTO calls ({NAMES}) SELECT {NAMES} FROM page
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS)}, updated_at = now()
WHERE calls.content_digest IS DISTINCT FROM excluded.content_digest
"""


def pages(url: str, size: int) -> Iterable[list[dict[str, Any]]]:
    session, following = requests.Session(), f"{url}{LIST}?per_page={size}"
    while following:
        response = session.get(following, timeout=30)
        response.raise_for_status()
        yield orjson.loads(response.content)
        following = response.links.get("next", {}).get("url", "")


def row(account: UUID, call: dict[str, Any]) -> tuple[Any, ...]:
    body = orjson.dumps(call)
    return (
        uuid5(account, call["uuid"]),
        account,
        "retreaver",
        call["uuid"],
        STATUSES.get(call["status"], call["status"]),
        "inbound",
        call["number"],
        call["caller"],
        call["dialed_number"],
        call["caller"],
        str(call["campaign_id"]),
        call["campaign_name"],
        call["afid"],
        call["affiliate_name"],
        str(call["target_id"]),
        call["target_name"],
        moment(call["start_time"]),
        moment(call["forwarded_time"]),
        moment(call["end_time"]),
        call["total_duration"],
        call["dialed_call_duration"],
        call["hold_duration"],
        money(call["revenue"]),
        money(call["payout"]),
        money(call["total_cost"]),
        call["converted"],
        call["duplicate"],
        call["recording_url"],
        Jsonb(body, dumps=bytes),
        moment(call["updated_at"]),
        blake2b(body, digest_size=16).digest(),
    )


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def money(value: float | str | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def store(connection: psycopg.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            copy.set_types(list(COLUMNS.values()))
            for one in rows:
                copy.write_row(one)
        cursor.execute(UPSERT)
    connection.commit()


def load(database: str, url: str, account: UUID, size: int) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(STAGING)
        for page in pages(url, size):
            store(connection, [row(account, wrapped["call"]) for wrapped in page])


def main() -> None:
    database, url, account, size = sys.argv[1:]
    turn.take(lambda: load(database, url, UUID(account), int(size)))


if __name__ == "__main__":
    main()
