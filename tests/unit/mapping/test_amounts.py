from __future__ import annotations

from decimal import Decimal

import pytest

from calltrack.mapping import emptied
from calltrack.model import CallRecord

AMOUNTS = {"revenue": ("revenue",), "cost": ("total", "part")}


def record(revenue=None, cost=None, **raw):
    return CallRecord(external_id="1", revenue=revenue, cost=cost, raw=raw)


@pytest.mark.parametrize("blank", [None, ""])
def test_null_and_blank_take_back(blank):
    assert emptied(CallRecord(external_id="1", raw={"revenue": blank}), AMOUNTS) == {"revenue"}
    assert emptied(record(part=blank), AMOUNTS) == {"cost"}


def test_what_is_missing_takes_back_only_where_that_says_so():
    assert emptied(record(), AMOUNTS) == frozenset()
    assert emptied(record(), AMOUNTS, left_out=True) == {"revenue", "cost"}
    assert emptied(record(revenue=Decimal(1), total="x", part="y"), AMOUNTS, left_out=True) == frozenset()


def test_one_of_several_is_enough_to_have_it():
    assert emptied(record(cost=Decimal(1), total=None, part=1), AMOUNTS) == frozenset()
    assert emptied(record(cost=Decimal(1), part=1), AMOUNTS, left_out=True) == {"revenue"}


@pytest.mark.parametrize("junk", ["n/a", "[revenue]", "null", [], {}])
def test_what_cannot_be_read_takes_nothing_back(junk):
    assert emptied(CallRecord(external_id="1", raw={"revenue": junk}), AMOUNTS) == frozenset()
