"""Rows converge: whatever the order, the number and the door of a call's observations, its row is the same."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from calltrack.model import CallRecord, Observation, Source, Status
from calltrack.sync.ingest import _Call, _seen_once, _staged_new
from calltrack.sync.merge import Row, Stamp, changed, confirm, dump_stamps, load_stamps, merged, stamp_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = UUID(int=1)
STATUSES = st.sampled_from([None, Status.INITIATED, Status.IN_PROGRESS, Status.COMPLETED, Status.UNKNOWN])


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def seen(source=Source.API_RECORD, landed=0, mapper_version=1, **values):
    record = CallRecord(external_id="c1", **values)
    digest = blake2b(repr((values, source, landed)).encode(), digest_size=16).digest()
    return Observation(ACCOUNT, "acme", record, source, at(landed), digest, mapper_version)


@st.composite
def observations(draw):
    moments = st.integers(0, 3)
    values = {
        "status": draw(STATUSES),
        "disposition": draw(st.sampled_from([None, "sale", "no sale"])),
        "revenue": draw(st.sampled_from([None, Decimal(5), Decimal(7)])),
        "converted": draw(st.sampled_from([None, True, False])),
        "metadata": draw(st.sampled_from([None, {"a": 1}, {"a": 2, "b": 3}])),
        "provider_updated_at": draw(st.none() | st.builds(at, moments)),
        "complete": draw(st.booleans()),
        "emptied": draw(st.sampled_from([frozenset(), frozenset({"revenue"})])),
    }
    if values["revenue"] is not None:
        values["emptied"] = frozenset()
    return seen(draw(st.sampled_from(Source)), draw(moments), **values)


@st.composite
def retellings(draw):
    """The same observations told twice: once in order, once shuffled, doubled, and in batches."""
    told = draw(st.lists(observations(), min_size=1, max_size=6))
    again = draw(st.permutations(told + draw(st.lists(st.sampled_from(told), max_size=4))))
    cuts = draw(st.lists(st.integers(0, len(again)), max_size=3))
    edges = [0, *sorted(cuts), len(again)]
    return told, [again[a:b] for a, b in pairwise(edges)]


def stored(row):
    """The row as it comes back from the database."""
    return Row(dict(row.values), load_stamps(dump_stamps(row), row.values))


@given(retellings())
def test_rows_converge_through_storage(telling):
    told, batches = telling
    row = Row({}, {})
    for batch in batches:
        row = stored(merged(batch, row))
    assert row == merged(told)


@given(st.lists(observations(), min_size=1, max_size=6))
def test_every_field_comes_from_the_greatest_observation_that_has_it(told):
    row = merged(told)
    verified = [one for one in told if one.source > Source.UNVERIFIED_WEBHOOK]
    for name, among in (("disposition", told), ("revenue", verified), ("converted", verified)):
        having = [one for one in among if getattr(one.record, name) is not None or name in one.record.emptied]
        expected = getattr(max(having, key=stamp_of).record, name) if having else None
        assert row.values.get(name) == expected


def test_order_does_not_decide_between_three_versions():
    b, c, d = (
        seen(provider_updated_at=at(20)),
        seen(provider_updated_at=at(15), disposition="five"),
        seen(provider_updated_at=at(17), disposition="six"),
    )
    assert merged([b, c, d]) == merged([b, d, c])
    assert merged([b, c, d]).values["disposition"] == "six"


def test_a_finished_call_is_not_reopened_by_a_newer_notice_of_its_start():
    ended = seen(status=Status.COMPLETED, landed=1)
    late = seen(Source.VERIFIED_WEBHOOK, landed=9, status=Status.INITIATED)
    assert merged([ended, late]).values["status"] == Status.COMPLETED


def test_unverified_money_is_not_heard():
    assert "revenue" not in merged([seen(Source.UNVERIFIED_WEBHOOK, revenue=Decimal(99), converted=True)]).values


def test_a_revenue_that_the_provider_withdraws_is_withdrawn():
    paid = seen(revenue=Decimal(25), provider_updated_at=at(1))
    withdrawn = seen(emptied=frozenset({"revenue"}), provider_updated_at=at(2))
    row = merged([paid, withdrawn])
    assert row.values["revenue"] is None
    assert changed(merged([paid]), row) == ["provider_updated_at", "revenue"]
    assert stored(row) == row


def test_metadata_merges_key_by_key():
    full = seen(metadata={"geo": "us", "tags": {"x": "1"}}, landed=1)
    notice = seen(Source.VERIFIED_WEBHOOK, landed=2, metadata={"hung_up_by": "caller"})
    row = merged([full, notice])
    assert row.values["metadata.geo"] == "us"
    assert row.values["metadata.hung_up_by"] == "caller"


def test_only_a_complete_record_is_kept_as_provider_data():
    full = seen(raw={"all": 1}, landed=1)
    notice = seen(Source.VERIFIED_WEBHOOK, landed=2, raw={"some": 1}, complete=False)
    assert merged([full, notice]).values["provider_data"] == {"all": 1}


def test_a_newer_mapper_reads_the_same_record_anew():
    old = seen(disposition="wrong", mapper_version=1)
    new = seen(disposition="right", mapper_version=2)
    assert merged([new, old]).values["disposition"] == "right"


def test_seeing_a_call_unchanged_outweighs_what_was_landed_before():
    first = seen(disposition="sale", landed=1)
    row = merged([first])
    confirm(row, first.digest, at(3))
    assert merged([seen(disposition="no sale", landed=2)], row).values["disposition"] == "sale"
    assert merged([seen(disposition="no sale", landed=4)], row).values["disposition"] == "no sale"


@given(observations())
def test_the_short_way_for_calls_seen_once_gives_the_same_row(one):
    call = _Call(UUID(int=5), [one])
    assert _seen_once(call) in (None, _staged_new(call))


def test_a_single_record_behind_a_row_needs_no_field_names():
    one = seen(disposition="sale", revenue=Decimal(5))
    assert dump_stamps(merged([one])) == [list(Stamp(*stamp_of(one)))]
