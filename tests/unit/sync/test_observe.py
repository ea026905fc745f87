from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import orjson
import pytest

from calltrack.errors import NotACall, RejectRecord
from calltrack.model import CallRecord, Source
from calltrack.sync.observe import Door, observe

DOOR = Door(UUID(int=1), "acme", 1, Source.API_RECORD, datetime(2026, 3, 1, tzinfo=UTC), page_id=7)


def by_id(raw, **values):
    return CallRecord(external_id=raw["id"], raw=raw, **values)


def test_a_fault_in_the_mapping_rejects_one_record_and_names_no_value():
    sight = observe([{"id": "a"}, {"secret": "value"}, {"id": "b"}], by_id, DOOR)
    assert [one.record.external_id for one in sight.observations] == ["a", "b"]
    (reject,) = sight.rejects
    assert (reject.reason, reject.detail) == ("mapper_failed", "KeyError")
    assert reject.raw == b'{"secret":"value"}'


def test_a_mapping_says_why_it_rejects():
    def refuse(raw):
        raise RejectRecord("It has no id.", "no_id")

    (reject,) = observe([{}], refuse, DOOR).rejects
    assert (reject.reason, reject.detail) == ("no_id", "It has no id.")


def test_what_is_no_call_is_for_the_caller_to_say():
    def refuse(raw):
        raise NotACall

    with pytest.raises(NotACall):
        observe([{}], refuse, DOOR)


@pytest.mark.parametrize(
    "values",
    [{"duration_seconds": -1}, {"talk_seconds": 2**31}, {"revenue": Decimal(10) ** 12}, {"cost": Decimal("NaN")}],
)
def test_what_the_database_would_change_or_refuse_is_rejected(values):
    (reject,) = observe([{"id": "a"}], lambda raw: by_id(raw, **values), DOOR).rejects
    assert reject.reason == "out_of_range"


@pytest.mark.parametrize("external_id", ["", "  ", "x" * 256])
def test_an_id_must_be_one(external_id):
    assert observe([{"id": external_id}], by_id, DOOR).rejects[0].reason == "no_id"


def test_nul_characters_do_not_reach_postgres():
    (one,) = observe([{"id": "a", "no\0te": ["x\0y", {"z": "\0"}]}], by_id, DOOR).observations
    assert one.record.raw == {"id": "a", "note": ["xy", {"z": ""}]}


def test_equal_records_have_equal_digests_and_a_new_mapper_new_ones():
    (one,) = observe([{"id": "a"}], by_id, DOOR).observations
    (same,) = observe([{"id": "a"}], by_id, DOOR).observations
    (other,) = observe([{"id": "a", "x": 1}], by_id, DOOR).observations
    door = Door(DOOR.account_id, "acme", 2, Source.API_RECORD, DOOR.landed_at, page_id=7)
    (newer,) = observe([{"id": "a"}], by_id, door).observations
    assert one.digest == same.digest
    assert len({one.digest, other.digest, newer.digest}) == 3


def test_a_record_that_is_nested_too_deep_is_kept_as_far_as_it_can_be():
    deep = orjson.loads(b'{"a":' * 300 + b"1" + b"}" * 300)
    seen = observe([{"id": "c1", "odd": deep}], lambda raw: CallRecord(external_id=raw["id"], raw=raw), DOOR)
    (one,) = seen.observations
    assert b"\xe2\x80\xa6" in orjson.dumps(one.record.raw)
