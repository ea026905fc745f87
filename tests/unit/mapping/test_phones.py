from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calltrack.mapping import phone


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("+13035550001", "+13035550001"),
        ("3035550001", "+13035550001"),
        ("13035550001", "+13035550001"),
        ("(303) 555-0001", "+13035550001"),
        ("+1 303 555 0001", "+13035550001"),
        (3035550001, "+13035550001"),
        ("+44 20 7946 0018", "+442079460018"),
        ("011442079460018", "+442079460018"),
    ],
)
def test_numbers_of_an_american_account(value, expected):
    assert phone(value, "US") == expected


@pytest.mark.parametrize(
    "value", ["anonymous", "Restricted", "101", "sip:jo@example.com", "1-800-FLOWERS", "+", "0", "++1303"]
)
def test_what_is_no_number_stays_text(value):
    assert phone(value, "US") == value


def test_a_region_is_never_guessed():
    assert phone("3035550001") == "3035550001"
    assert phone("3035550001", "none") == "3035550001"
    assert phone("020 7946 0018", "GB") == "+442079460018"


@pytest.mark.parametrize("value", [None, "", "null", "[caller_number]", [], {}, True])
def test_blanks_are_none(value):
    assert phone(value, "US") is None


@settings(deadline=None)
@given(st.integers(10**6, 10**15 - 1).map(lambda number: f"+{number}"))
def test_a_number_in_e164_stays_as_it_is(value):
    assert phone(value, "US") == value


@settings(deadline=None)
@given(st.integers(0, 10**10 - 1).map(lambda number: f"{number:010}"))
def test_the_short_cut_gives_what_the_library_gives(value):
    number = phonenumbers.parse(value, "US")
    known = phonenumbers.is_possible_number(number)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert phone(value, "US") == (e164 if known else value)
