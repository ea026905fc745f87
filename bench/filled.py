"""A table of calls as it stands after years: five accounts, of which one has half, times, callers, outcomes, tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from psycopg import Cursor
from sqlalchemy import text

from bench import stack
from calltrack.db.session import driver, engine

PROVIDER = "acme"
#: account → how many of 20 calls it has, summed up
ACCOUNTS = {"default": 10, "east": 15, "west": 18, "north": 19, "south": 20}
YEARS = 3
#: Postgres' settings: a table that is emptied and filled in one transaction need not be written twice
QUICK = {"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "8GB"}

_ACCOUNT = text("""
INSERT INTO provider_configs (provider_type, name, api_url, credentials)
VALUES (:provider, :name, 'http://127.0.0.1', '') RETURNING id
""")
#: of the columns of `numbered`: n from 0, the newest last, and the id and account of that call
COLUMNS = """id, account_id, provider, external_id, status, direction, tracking_number, caller_number, primary_phone,
    campaign_id, campaign_name, publisher, buyer, agent_name, lead_id, disposition, started_at, answered_at, ended_at,
    duration_seconds, talk_seconds, revenue, payout, cost, converted, recording_url, tags, metadata, provider_data,
    provider_updated_at, observations, content_digest, created_at, updated_at, last_synced_at"""
VALUES = """
SELECT id, account_id, 'acme', 'E' || n,
    (ARRAY['completed', 'completed', 'completed', 'completed', 'no_answer', 'busy', 'voicemail', 'failed'])[1 + a % 8],
    'inbound', '+1720555' || lpad((b % 400)::text, 4, '0'), caller, caller,
    'c' || a % 17, 'Campaign ' || a % 17, 'pub-' || b % 41, 'buyer ' || b % 23,
    CASE WHEN a % 4 = 0 THEN 'Agent ' || b % 50 END, CASE WHEN a % 4 = 0 THEN 'lead-' || n END,
    CASE WHEN a % 3 = 0 THEN 'sale' END, at, at + interval '12 s', at + interval '200 s', 0, 188,
    CASE WHEN a % 3 = 0 THEN 25 + b % 40 END, CASE WHEN a % 3 = 0 THEN 17.5 END, 0.1, a % 3 = 0,
    'https://recordings.example.com/' || md5(n::text),
    CASE WHEN a % 1000 = 0 THEN ARRAY['refund'] WHEN a % 10 = 0 THEN ARRAY['vip']
        WHEN a % 10 = 1 THEN ARRAY['new', 'web'] END,
    '{"caller_zip": "28379", "caller_state": "NC", "caller_city": "Rockingham", "hung_up_by": "caller"}',
    jsonb_build_object('uuid', n, 'rest', repeat(md5(n::text), 30)), at + interval '210 s',
    jsonb_build_array(jsonb_build_array(3, 1795220189288543, 3, 1, md5(n::text))), decode(md5(n::text), 'hex'),
    at + interval '300 s', at + interval '300 s', at + interval '300 s'
FROM (
    SELECT *, '+1212' || lpad((b % greatest(rows / 4, 1))::text, 7, '0') AS caller,
        now() - interval '3 years' + interval '3 years' * (n::float8 / rows) AS at
    FROM (SELECT *, hashint8extended(n, 1) & 2147483647 AS a, hashint8extended(n, 2) & 2147483647 AS b FROM numbered)
) dated
"""
_NUMBERED = """
SELECT n, {rows}::bigint AS rows, md5(n::text)::uuid AS id, CASE {whose} END AS account_id
FROM (SELECT *, hashint8extended(n, 3) & 2147483647 AS c FROM generate_series({first}::bigint, {last}::bigint) n)
"""
_EVENTS = """
INSERT INTO call_events (call_id, account_id, event, created_at)
SELECT id, account_id, 'inserted', created_at FROM calls ORDER BY created_at
"""
#: all indexes of `calls`, how each is dropped and made again, and its bytes; constraints first
_INDEXES = """
SELECT indexrelid::regclass::text, pg_relation_size(indexrelid),
    coalesce('ALTER TABLE calls DROP CONSTRAINT ' || conname, 'DROP INDEX ' || indexrelid::regclass),
    coalesce(
        'ALTER TABLE calls ADD CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(con.oid),
        pg_get_indexdef(indexrelid))
FROM pg_index LEFT JOIN pg_constraint con ON conindid = indexrelid AND contype IN ('p', 'u')
WHERE indrelid = 'calls'::regclass ORDER BY indisprimary DESC, conname, 1
"""


class Index(NamedTuple):
    """An index of `calls`."""

    name: str
    bytes: int
    #: statements
    drop: str
    make: str


def indexes(cursor: Cursor) -> list[Index]:
    """All of them, as they are."""
    return [Index(*row) for row in cursor.execute(_INDEXES).fetchall()]


def accounts() -> list[UUID]:
    """The accounts, made."""
    with engine().begin() as connection:
        return [connection.execute(_ACCOUNT, {"provider": PROVIDER, "name": name}).scalar_one() for name in ACCOUNTS]


def numbered(ids: Sequence[UUID], first: int, last: int, rows: int) -> str:
    """SQL for the calls from `first` to `last` of a table of so many rows. Their ids are random ones."""
    whose = " ".join(
        f"WHEN c % 20 < {share} THEN '{key}'::uuid" for key, share in zip(ids, ACCOUNTS.values(), strict=True)
    )
    return _NUMBERED.format(rows=rows, whose=whose, first=first, last=last)


def insert(source: str, target: str = "calls") -> str:
    """SQL that inserts what `numbered` gives."""
    return f"WITH numbered AS ({source}) INSERT INTO {target} ({COLUMNS}) {VALUES}"


def fill(ids: Sequence[UUID], rows: int) -> None:
    """So many calls, and that each was inserted."""
    with engine().begin() as connection, driver(connection).cursor() as cursor:
        cursor.execute("TRUNCATE calls, call_events; SET LOCAL maintenance_work_mem = '1GB'")
        with indexes_last(cursor):
            cursor.execute(insert(numbered(ids, 0, rows - 1, rows)).encode())
        cursor.execute(_EVENTS)
    stack.maintain("VACUUM ANALYZE calls, call_events", "CHECKPOINT")


@contextmanager
def indexes_last(cursor: Cursor) -> Iterator[None]:
    """Drop all indexes of `calls`, and make them at the end of the block: quicker than keeping them."""
    found = indexes(cursor)
    for index in found:
        cursor.execute(index.drop.encode())
    yield
    for index in found:
        cursor.execute(index.make.encode())
