from __future__ import annotations

import json
import pickle

import pytest

from calltrack.client.answer import Answer
from calltrack.client.verdict import BodyVerdict
from calltrack.errors import CredentialsRefused, ProviderFailed, RequestRefused, SliceTooLarge, TooManyRequests

VERDICT = BodyVerdict(codes={"7231": SliceTooLarge, "6004": RequestRefused})


def says(**body: object) -> Answer:
    return Answer(200, {}, json.dumps(body).encode())


@pytest.mark.parametrize(
    "body", [b'{"success": true}', b'{"success": "true", "code": 7231}', b"{}", b"[]", b'{"success": null}']
)
def test_what_does_not_say_failed_passes(body):
    VERDICT(Answer(200, {}, body))


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (7231, "Offset is too large", SliceTooLarge),
        ("7231", "", SliceTooLarge),
        (6004, "No such campaign, try again", RequestRefused),
        (401, "", CredentialsRefused),
        (1001, "Invalid auth_token", CredentialsRefused),
        (None, "You have no PERMISSION", CredentialsRefused),
        (None, "Too many requests", TooManyRequests),
        (500, "", ProviderFailed),
        (None, "Internal Server Error", ProviderFailed),
        (9, "Bad date", RequestRefused),
        (None, None, RequestRefused),
    ],
)
def test_codes_win_over_words(code, text, expected):
    with pytest.raises(expected):
        VERDICT(says(success=False, code=code, text=text))


@pytest.mark.parametrize("success", [False, "false", 0, "0"])
def test_ways_to_say_no(success):
    with pytest.raises(RequestRefused):
        VERDICT(says(success=success))


def test_nothing_of_the_text_is_passed_on():
    with pytest.raises(CredentialsRefused) as refused:
        VERDICT(says(success=False, code="s3cret", text="auth_token s3cret is unknown"))
    assert "s3cret" not in f"{refused.value} {refused.value.message} {refused.value!r}"
    assert pickle.loads(pickle.dumps(refused.value)).message == refused.value.message


def test_the_code_is_passed_on_so_that_it_can_be_looked_up():
    with pytest.raises(RequestRefused, match="6030"):
        VERDICT(says(success=False, code=6030, text="queue"))


# ── flags ──

FLAGGED = BodyVerdict(
    success="isSuccessful",
    code="messageCode",
    text="message",
    flags={"isRateLimited": TooManyRequests, "report.partialResult": SliceTooLarge},
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"isRateLimited": True}, TooManyRequests),
        ({"isSuccessful": True, "isRateLimited": True}, TooManyRequests),
        ({"isSuccessful": False, "isRateLimited": True, "message": "Bad token"}, TooManyRequests),
        ({"isSuccessful": True, "report": {"partialResult": True, "records": [1]}}, SliceTooLarge),
        ({"isSuccessful": False, "messageCode": 0, "message": "No such column"}, RequestRefused),
        ({"isSuccessful": False, "messageCode": 429}, TooManyRequests),
    ],
)
def test_flags_win_over_everything_else(body, expected):
    with pytest.raises(expected) as raised:
        FLAGGED(says(**body))
    assert type(raised.value) is expected


@pytest.mark.parametrize(
    "body",
    [
        {"isRateLimited": False, "report": {"partialResult": False}},
        {"isRateLimited": None, "report": {"partialResult": "true"}},
        {"isRateLimited": 1, "report": None},
        {"report": [{"partialResult": True}]},
        {"success": False},
    ],
)
def test_only_true_is_true(body):
    FLAGGED(says(**body))


@pytest.mark.parametrize("body", [b"[]", b"null", b'"isRateLimited"', b"<html>", b""])
def test_what_has_no_flags_passes(body):
    FLAGGED(Answer(200, {}, body))
