"""A provider's mappings: recorded calls become what a person has read, and nothing that comes breaks them."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calltrack.errors import NotACall, RejectRecord
from calltrack.mapping import Context
from calltrack.model import CallRecord, Direction, Status
from calltrack.testing.recorded import File, Golden, Recorded, outcome

#: with digits of other scripts, blanks of all kinds, NUL and what lies beyond 16 bits. Not all of Unicode: making
#: up its tables takes longer than all other tests
TEXT = st.text("aZ09 .,:+-[]'\"\t\n\x00é٣\u00a0\u2028\u200b\u0663½²中😀", max_size=9)

#: what stands in a field when the vendor has a bad day
JUNK: tuple[Any, ...] = (
    None,
    "",
    " ",
    "null",
    "[call_uuid]",
    "\x00",
    "x" * 5000,
    "-1",
    -1,
    True,
    1e300,
    10**18,
    "NaN",
    [],
    {},
    [[]],
)
#: what nobody has published
NEWS = {"a_new_field": {"deep": [1, "two", None]}, "another one": "x"}


def test_a_call_maps(recorded: Recorded, call_file: File, golden: Golden) -> None:
    golden(call_file.expected, outcome(recorded.provider.map_call, call_file.payload, recorded.context))


def test_a_delivery_maps(recorded: Recorded, delivery: File, golden: Golden) -> None:
    read = recorded.provider.webhook.map_delivery
    golden(delivery.expected, outcome(read, delivery.payload, delivery.event, recorded.context))


def test_mapping_is_repeatable_and_leaves_the_record_alone(recorded: Recorded) -> None:
    for raw in recorded.records():
        before, once = copy.deepcopy(raw), outcome(recorded.provider.map_call, raw, recorded.context)
        assert outcome(recorded.provider.map_call, raw, recorded.context) == once
        assert raw == before


def test_an_api_record_is_complete_and_kept_whole(recorded: Recorded) -> None:
    kept = [_mapped(recorded.provider.map_call, raw, recorded.context) for raw in recorded.records()]
    assert any(kept), "none of the recorded calls maps"
    assert all(record is None or record.complete for record in kept)
    assert all(record is None or record.raw == raw for record, raw in zip(kept, recorded.records(), strict=True))


def test_a_notice_says_nothing_besides(recorded: Recorded) -> None:
    """What a delivery leaves out stays as it is known: it is neither emptied, nor overwritten by "unknown"."""
    read, context = recorded.provider.webhook.map_delivery, recorded.context
    for delivery in recorded.deliveries():
        whole = _mapped(read, delivery.payload, delivery.event, context)
        if whole is not None and not whole.complete:
            record = _mapped(read, _only(whole.external_id, delivery.payload), delivery.event, context)
            assert record is not None, "a notice that has the call's id names a call"
            assert not record.emptied
            assert record.status is not Status.UNKNOWN, "a status that is not said is None"
            assert record.direction is not Direction.UNKNOWN, "a direction that is not said is None"


def _only(external_id: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with nothing in it but the call's id."""
    inner = {name: _only(external_id, value) for name, value in payload.items() if isinstance(value, dict)}
    return inner | {name: value for name, value in payload.items() if str(value) == external_id}


def test_unknown_fields_change_nothing(recorded: Recorded) -> None:
    for raw in recorded.records():
        read, context = recorded.provider.map_call, recorded.context
        assert outcome(read, raw | NEWS, context) == outcome(read, raw, context)


def test_an_unknown_status_survives(recorded: Recorded) -> None:
    """Whatever field says how the call went: a word nobody has heard of makes no exception, and no reject."""
    for raw in _sound(recorded):
        for name, value in raw.items():
            if isinstance(value, str) and name not in _ids(recorded, raw):
                record = _mapped(recorded.provider.map_call, raw | {name: "pending_review_v2"}, recorded.context)
                assert record is not None, f"an unheard-of word in {name!r} loses the call"
                assert isinstance(record.status, Status), name


def test_blanks_are_no_values(recorded: Recorded) -> None:
    for raw in _sound(recorded):
        for name in raw.keys() - _ids(recorded, raw):
            for blank in ("", " ", "null", "[token]"):
                record = _mapped(recorded.provider.map_call, raw | {name: blank}, recorded.context)
                assert record is None or blank not in _texts(record), f"{name}: {blank!r} is taken for a value"


def test_the_key_is_always_the_same(recorded: Recorded) -> None:
    """Two records with one id are one call, whatever else they say; without one there is no call."""
    for raw in _sound(recorded):
        names = _ids(recorded, raw)
        record = _mapped(recorded.provider.map_call, {name: raw[name] for name in names}, recorded.context)
        whole = _mapped(recorded.provider.map_call, raw, recorded.context)
        assert record is not None
        assert whole is not None
        assert record.external_id == whole.external_id


def test_junk_in_a_field_never_breaks_the_mapping(recorded: Recorded) -> None:
    for raw in _sound(recorded):
        for name in raw:
            for junk in JUNK:
                _check(_mapped(recorded.provider.map_call, raw | {name: junk}, recorded.context))


def test_junk_in_a_delivery_never_breaks_the_mapping(recorded: Recorded) -> None:
    for delivery in recorded.deliveries():
        payload, event = delivery.payload, delivery.event
        for name in payload:
            for junk in JUNK:
                _check(_mapped(recorded.provider.webhook.map_delivery, payload | {name: junk}, event, recorded.context))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None, database=None)
@given(
    raw=st.dictionaries(TEXT, st.none() | st.integers() | TEXT, max_size=3),
    event=TEXT,
)
def test_a_stranger_is_rejected_with_a_reason(recorded: Recorded, raw: dict[str, Any], event: str) -> None:
    with pytest.raises(RejectRecord):
        recorded.provider.map_call({f"other {name}": value for name, value in raw.items()}, Context())
    with pytest.raises((RejectRecord, NotACall)):
        recorded.provider.webhook.map_delivery(
            {f"other {name}": value for name, value in raw.items()}, event, Context()
        )


def _sound(recorded: Recorded) -> list[dict[str, Any]]:
    """The first and the last record that become calls."""
    sound = [raw for raw in recorded.records() if _mapped(recorded.provider.map_call, raw, recorded.context)]
    assert sound, "none of the recorded calls maps"
    return [sound[0], sound[-1]]


def _ids(recorded: Recorded, raw: dict[str, Any]) -> set[str]:
    """The fields that the call's id may be read from: those that hold it."""
    record = _mapped(recorded.provider.map_call, raw, recorded.context)
    return {name for name, value in raw.items() if record and str(value) == record.external_id}


def _mapped(read: Callable[..., CallRecord], *arguments: Any) -> CallRecord | None:
    try:
        return read(*arguments)
    except (RejectRecord, NotACall):
        return None


def _fields(record: CallRecord) -> dict[str, Any]:
    apart = {"raw", "metadata", "emptied"}
    return {each.name: getattr(record, each.name) for each in dataclasses.fields(record) if each.name not in apart}


def _texts(record: CallRecord) -> set[str]:
    values = [part for value in _fields(record).values() for part in (value if isinstance(value, list) else [value])]
    return {value for value in values if type(value) is str}


def _check(record: CallRecord | None) -> None:
    """Fail where the database could not hold it."""
    for name, value in _fields(record).items() if record else ():
        for part in value if isinstance(value, list) else [value]:
            if type(part) is str:
                assert re.fullmatch(r"\S|\S[^\0]{,3998}\S", part), name
        if isinstance(value, datetime):
            assert value.tzinfo is UTC, name
        if isinstance(value, Decimal):
            assert value == round(value, 6), name
            assert abs(value) < 10**12, name
        if type(value) is int:
            assert 0 <= value < 2**31, name
        assert name != "external_id" or len(value) <= 255
