from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calltrack.mapping import money, whole

#: with digits of other scripts, blanks of all kinds, NUL and what lies beyond 16 bits. Not all of Unicode: making
#: up its tables takes longer than all other tests
TEXT = st.text("aZ09 .,:+-[]'\"\t\n\x00é٣\u00a0\u2028\u200b\u0663½²中😀", max_size=9)

ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.lists(st.integers()) | st.decimals()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (95, 95),
        ("95", 95),
        (" 95 ", 95),
        (95.9, 95),
        ("95.9", 95),
        ("9.5e1", 95),
        (0, 0),
        ("0", 0),
        (2**31 - 1, 2**31 - 1),
    ],
)
def test_seconds(value, expected):
    assert whole(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "null",
        "soon",
        "00:01:35",
        -1,
        "-1",
        -0.5e9,
        2**31,
        "inf",
        float("nan"),
        float("inf"),
        True,
        [],
        {},
        "9" * 5000,
    ],
)
def test_what_is_no_number_of_seconds_is_none(value):
    assert whole(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5.1, "5.1"), ("0.08", "0.08"), (25, "25"), ("-0.08", "-0.08"), (0, "0"), ("1e3", "1000"), (0.1 + 0.2, "0.3"),
        ("0.0000005", "0"), ("0.0000015", "0.000002"), ("999999999999.999999", "999999999999.999999"),
    ],
)  # fmt: skip
def test_money_is_exact_to_six_decimals(value, expected):
    assert money(value) == Decimal(expected)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "null",
        "[revenue]",
        "$25",
        "1,000.00",
        "NaN",
        "inf",
        float("nan"),
        True,
        [],
        {},
        10**12,
        "999999999999.9999999",
        "1e99999",
    ],
)
def test_what_is_no_amount_is_none(value):
    assert money(value) is None


@settings(deadline=None)
@given(ANYTHING)
def test_numbers_fit_their_columns(value):
    seconds, amount = whole(value), money(value)
    assert seconds is None or 0 <= seconds < 2**31
    assert amount is None or (abs(amount) < 10**12 and amount == round(amount, 6))


@settings(deadline=None)
@given(st.decimals(min_value=-(10**11), max_value=10**11, places=6))
def test_every_amount_comes_back_from_its_text(amount):
    assert money(str(amount)) == amount
