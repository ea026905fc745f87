"""The tables. Times are `timestamptz` UTC, money is `numeric`, durations are integer seconds.

`migrations/` makes them; `alembic check` in the tests holds the two together.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def moment(name: str, *, now: bool = False) -> Column[object]:
    """A `timestamptz` column; `now`: never null, by default the transaction's time."""
    if now:
        return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())
    return Column(name, DateTime(timezone=True))


def count(name: str) -> Column[int]:
    """A counter that starts at 0."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def account_column() -> Column[object]:
    return Column("account_id", Uuid, ForeignKey("provider_configs.id", ondelete="CASCADE"), nullable=False)


#: An account: one set of credentials at one provider.
provider_configs = Table(
    "provider_configs",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("provider_type", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=text("'default'")),
    Column("api_url", Text, nullable=False),
    #: `calltrack.db.credentials`: ciphertext of a JSON object: the secret settings and `webhook_secret`
    Column("credentials", Text, nullable=False),
    #: the settings that are no secret
    Column("settings", JSONB, nullable=False, server_default=text("'{}'")),
    Column("features", JSONB, nullable=False, server_default=text("'{}'")),
    #: ["100/minute", …]; empty: the provider's own
    Column("rate_limits", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    #: scheduled syncs: the daily full one at this time of day (UTC), the incremental one this often
    Column("full_sync_at", Time, nullable=False, server_default=text("'02:00'")),
    Column("incremental_every", Interval, nullable=False, server_default=text("'15 minutes'")),
    #: null: not scheduled
    moment("next_full_at"),
    moment("next_incremental_at"),
    #: the provider told us to wait until then
    moment("blocked_until"),
    #: the last fault that needs a person: null while all is well
    Column("health", Text),
    moment("created_at", now=True),
    moment("updated_at", now=True),
    UniqueConstraint("provider_type", "name"),
)

calls = Table(
    "calls",
    metadata,
    Column("id", Uuid, primary_key=True),
    account_column(),
    Column("provider", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("status", Text),
    Column("direction", Text),
    Column("tracking_number", Text),
    Column("caller_number", Text),
    Column("destination_number", Text),
    Column("primary_phone", Text),
    Column("campaign_id", Text),
    Column("campaign_name", Text),
    Column("publisher_id", Text),
    Column("publisher", Text),
    Column("buyer_id", Text),
    Column("buyer", Text),
    Column("agent_id", Text),
    Column("agent_name", Text),
    Column("agent_email", Text),
    Column("lead_id", Text),
    Column("disposition", Text),
    moment("started_at"),
    moment("answered_at"),
    moment("ended_at"),
    Column("duration_seconds", Integer),
    Column("talk_seconds", Integer),
    Column("wrap_seconds", Integer),
    Column("ring_seconds", Integer),
    Column("hold_seconds", Integer),
    Column("revenue", Numeric(18, 6)),
    Column("payout", Numeric(18, 6)),
    Column("cost", Numeric(18, 6)),
    Column("converted", Boolean),
    Column("duplicate", Boolean),
    Column("recording_url", Text),
    Column("queue", Text),
    Column("language", Text),
    Column("tags", ARRAY(Text)),
    Column("metadata", JSONB),
    #: the last complete record, as the provider gave it
    Column("provider_data", JSONB),
    moment("provider_updated_at"),
    #: which observation each field came from (`calltrack.sync.merge`)
    Column("observations", JSONB, nullable=False, server_default=text("'[]'")),
    #: digest of the last complete API record merged: seen again, there is nothing to do
    Column("content_digest", LargeBinary),
    #: when an observation last changed the row
    moment("last_synced_at", now=True),
    moment("created_at", now=True),
    moment("updated_at", now=True),
    UniqueConstraint("account_id", "external_id"),
    Index("ix_calls_account_started", "account_id", text("started_at DESC")),
    Index(
        "ix_calls_agent_name_started",
        "agent_name",
        text("started_at DESC"),
        postgresql_where=text("agent_name IS NOT NULL"),
    ),
    Index("ix_calls_lead_id", "lead_id", postgresql_where=text("lead_id IS NOT NULL")),
    Index("ix_calls_tags", "tags", postgresql_using="gin", postgresql_where=text("tags IS NOT NULL")),
)

#: Every delivery that was let in, byte for byte. state: received → processed | rejected | ignored | failed
webhook_logs = Table(
    "webhook_logs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    account_column(),
    Column("provider", Text, nullable=False),
    Column("event_type", Text),
    Column("headers", JSONB, nullable=False, server_default=text("'{}'")),
    Column("content_type", Text, nullable=False, server_default=text("''")),
    Column("query", Text, nullable=False, server_default=text("''")),
    Column("body", LargeBinary, nullable=False),
    Column("signature", Text),
    Column("verified", Boolean, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'received'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    moment("next_attempt_at", now=True),
    Column("reason", Text),
    Column("error", Text),
    #: digest of account, event type, query and body: the same delivery twice is landed once
    Column("dedup_key", LargeBinary, nullable=False, unique=True),
    count("repeats"),
    Column("call_id", Uuid),
    moment("received_at", now=True),
    moment("processed_at"),
    Index("ix_webhook_logs_waiting", "provider", "next_attempt_at", postgresql_where=text("state = 'received'")),
    Index("ix_webhook_logs_account_received", "account_id", "received_at"),
)

#: Deliveries that were refused at the door, counted by the hour: a flood fills a counter, not a table.
webhook_refusals = Table(
    "webhook_refusals",
    metadata,
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("door", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    count("refusals"),
)

#: One sync of one account over one range. state: queued → running → completed | failed | cancelled
sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    account_column(),
    Column("provider", Text, nullable=False),
    Column("mode", Text, nullable=False),
    #: which time the range is about: "created" or "changed"
    Column("axis", Text, nullable=False),
    moment("since"),
    moment("until"),
    Column("state", Text, nullable=False, server_default=text("'queued'")),
    Column("reason", Text),
    Column("error", Text),
    #: how many records the provider says there are, as far as it says so
    Column("expected", BigInteger),
    count("pages"),
    count("fetched"),
    count("inserted"),
    count("updated"),
    count("unchanged"),
    count("rejected"),
    count("duplicates"),
    moment("created_at", now=True),
    moment("started_at"),
    moment("progressed_at"),
    moment("finished_at"),
    Index("ix_sync_runs_open", "account_id", postgresql_where=text("state IN ('queued', 'running')")),
    Index("ix_sync_runs_account_created", "account_id", text("created_at DESC")),
)

#: A part of a run's range that is read page after page. state: open → exhausted | split
sync_slices = Table(
    "sync_slices",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("run_id", BigInteger, ForeignKey("sync_runs.id", ondelete="CASCADE"), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("expected", BigInteger),
    Index("ix_sync_slices_open", "run_id", postgresql_where=text("state = 'open'")),
    Index("ix_sync_slices_run_id", "run_id"),
)

#: The ledger. state: pending → fetched → stored, or failed
sync_pages = Table(
    "sync_pages",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("run_id", BigInteger, ForeignKey("sync_runs.id", ondelete="CASCADE"), nullable=False),
    Column("slice_id", BigInteger, ForeignKey("sync_slices.id", ondelete="CASCADE"), nullable=False),
    account_column(),
    Column("provider", Text, nullable=False),
    #: the page's place in its slice, from 1
    Column("number", Integer, nullable=False),
    #: what asks for this page: never a URL, never a secret
    Column("cursor", JSONB, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    #: not before then: a backoff, a spent budget, a blocked account
    moment("next_attempt_at", now=True),
    #: a worker is fetching it until then at the latest
    moment("leased_until"),
    #: when a message about it was last sent
    moment("hinted_at", now=True),
    Column("reason", Text),
    Column("error", Text),
    #: zlib-compressed body, byte for byte
    Column("body", LargeBinary),
    Column("body_digest", LargeBinary),
    moment("fetched_at"),
    moment("stored_at"),
    count("fetched"),
    count("inserted"),
    count("updated"),
    count("unchanged"),
    count("rejected"),
    count("duplicates"),
    #: calls that this page showed to be as they were: later than what their rows remember (`calltrack.sync.merge`)
    Column("confirmed", ARRAY(Uuid)),
    UniqueConstraint("slice_id", "number"),
    #: a cursor that comes again would read for ever
    UniqueConstraint("slice_id", "cursor"),
    Index("ix_sync_pages_run_unstored", "run_id", postgresql_where=text("state <> 'stored'")),
    Index("ix_sync_pages_waiting", "next_attempt_at", postgresql_where=text("state IN ('pending', 'fetched')")),
    Index("ix_sync_pages_account_fetched", "account_id", "fetched_at"),
)

#: What the spec calls the sync status: one row per account.
sync_status = Table(
    "sync_status",
    metadata,
    Column("account_id", Uuid, ForeignKey("provider_configs.id", ondelete="CASCADE"), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("error", Text),
    count("records_synced"),
    moment("last_sync_at"),
    moment("last_successful_sync_at"),
    moment("last_full_sync_at"),
    #: every call created, or changed, before then has been seen by a completed run
    moment("synced_until"),
    moment("created_at", now=True),
    moment("updated_at", now=True),
)

#: What the provider sent and nobody can use, as it came.
rejected_records = Table(
    "rejected_records",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    account_column(),
    Column("provider", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    #: the same record rejected again is counted, not stored again
    Column("digest", LargeBinary, nullable=False),
    Column("mapper_version", Integer, nullable=False),
    Column("page_id", BigInteger),
    Column("delivery_id", BigInteger),
    count("repeats"),
    moment("created_at", now=True),
    moment("last_seen_at", now=True),
    moment("resolved_at"),
    UniqueConstraint("account_id", "digest"),
)

#: The change log, written in the transaction that makes the change.
call_events = Table(
    "call_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("call_id", Uuid, nullable=False),
    Column("account_id", Uuid, nullable=False),
    #: "inserted" or "updated"
    Column("event", Text, nullable=False),
    #: which columns changed; null for an insert
    Column("changed", ARRAY(Text)),
    Column("page_id", BigInteger),
    Column("delivery_id", BigInteger),
    moment("created_at", now=True),
    Index("ix_call_events_call_id", "call_id"),
)

#: Phone numbers that a provider tracks calls by.
provider_tracking_numbers = Table(
    "provider_tracking_numbers",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    account_column(),
    Column("provider", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("campaign_id", Text),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("provider_data", JSONB),
    moment("created_at", now=True),
    moment("updated_at", now=True),
    UniqueConstraint("account_id", "external_id"),
)
