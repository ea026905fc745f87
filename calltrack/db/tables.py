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
    #: "live", or "shadow": landed and mapped, but written to `shadow_calls`
    Column("mode", Text, nullable=False, server_default=text("'live'")),
    #: null, or the mapper ("candidate") whose reading is written to `shadow_calls` beside the live one
    Column("shadow_mapper", Text),
    #: since when either of the two is set
    moment("shadow_since"),
    #: networks that deliveries may come from, "203.0.113.0/24"; empty: any
    Column("allowed_ips", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    #: how often the newest bucket of the completeness ledger is checked, and when next; null: not checked
    Column("reconcile_every", Interval, nullable=False, server_default=text("'5 minutes'")),
    moment("next_reconcile_at"),
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
    Index(
        "ix_calls_caller_number_started",
        "caller_number",
        text("started_at DESC"),
        postgresql_where=text("caller_number IS NOT NULL"),
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
    #: how often it was replayed, and by which operation last
    count("replays"),
    Column("operation_id", BigInteger),
    moment("received_at", now=True),
    moment("processed_at"),
    Index("ix_webhook_logs_waiting", "provider", "next_attempt_at", postgresql_where=text("state = 'received'")),
    Index("ix_webhook_logs_account_received", "account_id", "received_at"),
    Index("ix_webhook_logs_call_id", "call_id", postgresql_where=text("call_id IS NOT NULL")),
    Index("ix_webhook_logs_dead", "account_id", "id", postgresql_where=text("state IN ('failed', 'rejected')")),
)

#: Deliveries that were refused at the door, counted by the hour: a flood fills a counter, not a table.
webhook_refusals = Table(
    "webhook_refusals",
    metadata,
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("door", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    count("refusals"),
    #: the first few of the hour: {"at", "source", "detail"}
    Column("samples", JSONB, nullable=False, server_default=text("'[]'")),
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
    count("excluded"),
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
    #: since when the provider has been failing at it
    moment("failing_since"),
    Column("reason", Text),
    Column("error", Text),
    #: the body, byte for byte, as zlib compresses it (isal does so in a quarter of the time)
    Column("body", LargeBinary),
    #: of the records in it
    Column("body_digest", LargeBinary),
    moment("fetched_at"),
    moment("stored_at"),
    count("fetched"),
    count("inserted"),
    count("updated"),
    count("unchanged"),
    count("rejected"),
    count("duplicates"),
    count("excluded"),
    #: calls that this page showed to be as they were: later than what their rows remember (`calltrack.sync.merge`)
    Column("confirmed", ARRAY(Uuid)),
    Column("confirmed_as", ARRAY(LargeBinary)),
    #: the calls that it holds, and as which records, where that tells all of it: 32 bytes each (`calltrack.sync.again`)
    Column("held", LargeBinary),
    Column("mapper_version", Integer),
    #: no index over partitions can be unique in these: pages of a slice are opened one after the other
    Index("ix_sync_pages_slice_number", "slice_id", "number"),
    Index("ix_sync_pages_slice_cursor", "slice_id", "cursor"),
    Index("ix_sync_pages_run_unstored", "run_id", "fetched_at", postgresql_where=text("state <> 'stored'")),
    Index("ix_sync_pages_waiting", "next_attempt_at", postgresql_where=text("state IN ('pending', 'fetched')")),
    Index("ix_sync_pages_account_fetched", "account_id", "fetched_at"),
    Index("ix_sync_pages_account_body", "account_id", "body_digest", postgresql_where=text("held IS NOT NULL")),
    postgresql_partition_by="RANGE (id)",  # see `calltrack.db.partitions`
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
    Index("ix_rejected_records_open", "provider", "mapper_version", postgresql_where=text("resolved_at IS NULL")),
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
    postgresql_partition_by="RANGE (id)",  # see `calltrack.db.partitions`
)

#: What was removed because it was old (`calltrack.sync.retention`).
retention = Table(
    "retention",
    metadata,
    #: "pages", "deliveries" or "events"
    Column("kind", Text, primary_key=True),
    #: everything landed, or written, from then on is kept; what is older may be gone
    Column("kept_since", DateTime(timezone=True), nullable=False),
    count("removed"),
    moment("removed_at"),
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

#: What was asked to be done to data, bit by bit: a replay, a remap. state: running → completed | failed | cancelled
operations = Table(
    "operations",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("account_id", Uuid, ForeignKey("provider_configs.id", ondelete="CASCADE")),
    #: what was asked for: never a secret
    Column("arguments", JSONB, nullable=False, server_default=text("'{}'")),
    Column("state", Text, nullable=False, server_default=text("'running'")),
    #: how far it is, in a form that only the kind understands: written in the transaction that did the work
    Column("position", JSONB, nullable=False, server_default=text("'{}'")),
    count("total"),
    count("done"),
    #: what became of what was done, by name
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("reason", Text),
    Column("error", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    moment("next_attempt_at", now=True),
    moment("created_at", now=True),
    moment("progressed_at", now=True),
    moment("finished_at"),
    Index("ix_operations_running", "id", postgresql_where=text("state = 'running'")),
)

#: The completeness ledger: an account's calls of one stretch of time, at the provider and here, side by side.
ledger_buckets = Table(
    "ledger_buckets",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    account_column(),
    Column("provider", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    #: how often it was checked, when last, and when next; null: no more by itself
    count("checks"),
    moment("checked_at"),
    moment("next_check_at"),
    #: the run that reads the provider's list for a check that is under way
    Column("run_id", BigInteger),
    Column("repair", Boolean, nullable=False, server_default=text("true")),
    Column("reason", Text),
    #: ids at the provider, and each of them in one of the states, as of the last check
    count("reported"),
    count("stored"),
    count("rejected"),
    count("excluded"),
    count("pending"),
    count("gone"),
    count("mismatched"),
    count("unexplained"),
    #: ids that a check found missing or different, and repaired, ever
    count("repaired"),
    #: of the sorted ids that the provider reported
    Column("ids_digest", LargeBinary),
    moment("created_at", now=True),
    UniqueConstraint("account_id", "since", "until"),
    Index("ix_ledger_buckets_due", "next_check_at", postgresql_where=text("next_check_at IS NOT NULL")),
    Index("ix_ledger_buckets_run_id", "run_id", postgresql_where=text("run_id IS NOT NULL")),
)

#: The ids of a bucket that are not simply stored, as of its last check.
ledger_ids = Table(
    "ledger_ids",
    metadata,
    Column("bucket_id", BigInteger, ForeignKey("ledger_buckets.id", ondelete="CASCADE"), primary_key=True),
    Column("external_id", Text, primary_key=True),
    #: rejected | excluded | pending | gone | mismatched | unexplained
    Column("state", Text, nullable=False),
    #: why, or which fields differ
    Column("reason", Text),
    Column("fields", ARRAY(Text)),
    Column("repaired", Boolean, nullable=False, server_default=text("false")),
    moment("seen_at", now=True),
)

#: What the pages of a check that is under way showed. Emptied when the check is settled.
ledger_sightings = Table(
    "ledger_sightings",
    metadata,
    Column("bucket_id", BigInteger, ForeignKey("ledger_buckets.id", ondelete="CASCADE"), primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("fields", ARRAY(Text)),
    Column("repaired", Boolean, nullable=False, server_default=text("false")),
    moment("started_at"),
)

#: How late calls become visible, and change, at an account: a histogram of seconds in powers of two.
call_lateness = Table(
    "call_lateness",
    metadata,
    Column("account_id", Uuid, ForeignKey("provider_configs.id", ondelete="CASCADE"), primary_key=True),
    #: "visible" or "changed"
    Column("kind", Text, primary_key=True),
    #: calls that were up to this many seconds late, and more than half as many
    Column("seconds", BigInteger, primary_key=True),
    count("calls"),
)

#: How many deliveries came, and how many calls polling found first, hour by hour.
arrivals = Table(
    "arrivals",
    metadata,
    Column("account_id", Uuid, ForeignKey("provider_configs.id", ondelete="CASCADE"), primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    count("deliveries"),
    count("polled"),
)

#: What somebody should look at. Open while closed_at is null.
alerts = Table(
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("account_id", Uuid, ForeignKey("provider_configs.id", ondelete="CASCADE")),
    Column("kind", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    moment("opened_at", now=True),
    moment("last_seen_at", now=True),
    moment("closed_at"),
    Index("uq_alerts_open", "account_id", "kind", unique=True, postgresql_where=text("closed_at IS NULL")),
)

#: What `calls` would be: by an account in shadow mode, by a candidate mapper, by a remap. Columns as in `calls`.
shadow_calls = Table(
    "shadow_calls",
    metadata,
    *(
        Column(
            column.name,
            column.type,
            *(ForeignKey(key.target_fullname, ondelete=key.ondelete) for key in column.foreign_keys),
            primary_key=column.primary_key,
            nullable=column.nullable,
            server_default=column.server_default.arg if column.server_default is not None else None,  # type: ignore[attr-defined]
        )
        for column in calls.columns
    ),
    UniqueConstraint("account_id", "external_id"),
)

#: Every change of configuration and every operation on data: append-only, each row sealed with the one before.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    #: who: "cli root@host", "task calltrack.tick", …
    Column("actor", Text, nullable=False),
    #: what: "account.added", "webhooks.replayed", …
    Column("action", Text, nullable=False),
    #: what it was done to: "acme/default", …
    Column("subject", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    #: SHA-256 over the row and the previous row's hash
    Column("hash", LargeBinary, nullable=False),
)

#: The newest row of `audit_log`, noted in a second place, so that its loss shows. One row.
audit_head = Table(
    "audit_head",
    metadata,
    Column("one", Boolean, primary_key=True),
    Column("id", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
