from __future__ import annotations

import pytest

from calltrack.mapping import EVENTS, STATUSES, Event, event_of, own_statuses, word
from calltrack.model import Finality, Status


@pytest.mark.parametrize("value", ["call.completed", "Call-Completed", " completed ", "COMPLETED", "call_completed"])
def test_a_word_has_one_spelling(value):
    assert word(value) == "completed"
    assert event_of(value) == Event(Status.COMPLETED, Finality.ENDED)


@pytest.mark.parametrize("value", [None, "", "null", "[event]", 7, []])
def test_no_word(value):
    assert word(value) == ""
    assert event_of(value) == Event()


def test_words_are_written_as_they_are_looked_up():
    assert all(word(known) == known for known in [*STATUSES, *EVENTS])


def test_an_unknown_event_tells_nothing():
    assert event_of("price_agreed") == Event(None, None, None)


def test_a_conversion_is_decided_after_the_call_and_is_no_status():
    assert event_of("converted") == Event(None, Finality.ENDED, converted=True)


def test_the_codes_of_an_account():
    assert own_statuses(" VM=voicemail, NOANS = no_answer,") == {"vm": Status.VOICEMAIL, "noans": Status.NO_ANSWER}
    assert own_statuses("") == {}


@pytest.mark.parametrize("value", ["VM", "VM=", "=busy", "VM=left a message"])
def test_codes_without_a_status_are_refused(value):
    with pytest.raises(ValueError, match="write CODE=status"):
        own_statuses(value)
