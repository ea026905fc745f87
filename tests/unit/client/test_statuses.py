import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from calltrack.client import statuses
from calltrack.client.answer import Answer
from calltrack.errors import (
    CredentialsRefused,
    FixConfiguration,
    NotThere,
    ProviderFailed,
    ProviderUnreachable,
    RequestRefused,
    TooManyRequests,
    UnreadableAnswer,
)


def answer(status, **headers):
    return Answer(status, CaseInsensitiveDict({k.replace("_", "-"): v for k, v in headers.items()}), b"")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206])
def test_2xx_is_fine(status):
    assert statuses.error_of(answer(status)) is None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, FixConfiguration),
        (302, ProviderFailed),
        (304, RequestRefused),
        (308, FixConfiguration),
        (400, RequestRefused),
        (401, CredentialsRefused),
        (402, FixConfiguration),
        (403, CredentialsRefused),
        (404, NotThere),
        (408, ProviderFailed),
        (409, RequestRefused),
        (418, RequestRefused),
        (422, RequestRefused),
        (425, ProviderFailed),
        (429, TooManyRequests),
        (451, RequestRefused),
        (500, ProviderFailed),
        (503, ProviderFailed),
        (507, ProviderFailed),
        (529, ProviderFailed),
        (999, ProviderFailed),
    ],
)
def test_each_status_has_one_meaning(status, error):
    found = statuses.error_of(answer(status))
    assert type(found) is error
    assert f"HTTP {status}" in found.message
    assert pickle.loads(pickle.dumps(found)).message == found.message


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (" 30 ", 30.0),
        ("-4", 0.0),
        ("9" * 400, None),
        ("99999999", 86_400.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Thu, 20 Nov 2026 10:00:30 GMT", 30.0),
        ("Thu, 20 Nov 2026 10:00:30 -0000", 30.0),
        ("Thu, 20 Nov 2026 09:00:00 GMT", 0.0),
        ("Thu, 20 Nov 2030 10:00:30 GMT", 86_400.0),
        ("Thu, 99 Nov 2026 10:00:30 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_all_its_forms(status, header, wait):
    found = statuses.error_of(answer(status, Retry_After=header, Date="Thu, 20 Nov 2026 10:00:00 GMT"))
    assert found.wait == wait


def test_retry_after_by_our_clock_where_the_provider_tells_no_time():
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert statuses.retry_after(answer(429, Retry_After=in_a_minute)) == pytest.approx(60, abs=5)


PATH = "/calls.json?api_key=hunter2"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (requests.ConnectTimeout(PATH), ProviderUnreachable),
        (requests.ReadTimeout(PATH), ProviderUnreachable),
        (requests.ConnectionError(PATH), ProviderUnreachable),
        (requests.exceptions.ProxyError(PATH), ProviderUnreachable),
        (requests.exceptions.SSLError(PATH), ProviderUnreachable),
        (requests.exceptions.ChunkedEncodingError(PATH), UnreadableAnswer),
        (requests.exceptions.ContentDecodingError(PATH), UnreadableAnswer),
        (requests.exceptions.InvalidURL(PATH), FixConfiguration),
        (requests.exceptions.InvalidHeader(PATH), FixConfiguration),
        (requests.RequestException(PATH), ProviderUnreachable),
        (urllib3.exceptions.ReadTimeoutError(None, PATH, PATH), ProviderUnreachable),
        (urllib3.exceptions.IncompleteRead(3, 4), UnreadableAnswer),
        (urllib3.exceptions.DecodeError(PATH), UnreadableAnswer),
        (urllib3.exceptions.SSLError(PATH), ProviderUnreachable),
        (urllib3.exceptions.HTTPError(PATH), ProviderUnreachable),
        ("hunter2\u2603".encode, FixConfiguration),
    ],
)
def test_each_fault_of_the_http_library_has_one_meaning_and_leaves_its_text_behind(fault, error):
    if callable(fault):
        with pytest.raises(UnicodeError) as caught:
            fault("latin-1")
        fault = caught.value
    assert isinstance(fault, statuses.RAISED)
    found = statuses.error_from(fault)
    assert type(found) is error
    assert "hunter2" not in str(found)
