"""What a delivery says: reading it, its event type, and what makes two of them the same."""

from dataclasses import replace
from uuid import UUID

import pytest

from calltrack.errors import UnsupportedBody, UnusableBody
from calltrack.provider import Webhook
from calltrack.signatures import HmacSha256
from calltrack.sync.inbox import Delivery, event_type, read

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "query", "body", "says"),
    [
        (JSON, "", b'{"a": 1}', {"a": 1}),
        ("Application/JSON; charset=utf-8", "", b'{"a": 1}', {"a": 1}),
        ("application/vnd.acme.v2+json", "", b'{"a": 1}', {"a": 1}),
        (JSON, "", b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (JSON, "", '{"a": "é"}'.encode(), {"a": "é"}),
        (JSON, "b=2", b'{"a": 1}', {"a": 1}),
        (JSON, "", b'{"a": [' + b"[]," * 200 + b'"[[[{{{"]}', {"a": [[]] * 200 + ["[[[{{{"]}),
        (FORM, "", b"a=1&b=x+y%26z&empty=", {"a": "1", "b": "x y&z", "empty": ""}),
        (FORM, "", b"a=1&a=2", {"a": "2"}),
        (FORM, "", b"a=%C3%A9", {"a": "é"}),
        (FORM, "", "a=é".encode(), {"a": "é"}),
        ("", "call_uuid=u1&caller=%2B15550100001", b"", {"call_uuid": "u1", "caller": "+15550100001"}),
        (JSON, "a=1", b"", {"a": "1"}),
        ("", "a=é".encode().decode("latin-1"), b"", {"a": "é"}),
    ],
)
def test_reads(content_type, query, body, says):
    assert read(content_type, query, body) == says


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/xml", "multipart/form-data; boundary=x", "json"]
)
def test_other_kinds_of_body_are_not_taken(content_type):
    with pytest.raises(UnsupportedBody):
        read(content_type, "a=1", b'{"a": 1}')


@pytest.mark.parametrize(
    ("content_type", "query", "body"),
    [
        (JSON, "", b'{"a": 1'),
        (JSON, "", b'{"a": "\xff"}'),
        (JSON, "", b'{"a": NaN}'),
        (JSON, "", b"[{}]"),
        (JSON, "", b'"text"'),
        (JSON, "", b"null"),
        (JSON, "", b'{"a":' * 100_000),
        (JSON, "", b"[" * 100_000),
        (JSON, "", b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
        (JSON, "", b'{"many": [' + b"[]," * 200 + b"0]," + b'"a":' + b'{"b":' * 250 + b"1" + b"}" * 251),
        (FORM, "", b"a=%FF"),
        (FORM, "", b"a=\xff"),
        (FORM, "", b"no fields"),
        (FORM, "", b'{"a": 1}'),
        (FORM, "", b"a=&b="),
        (JSON, "", b""),
        ("", "", b""),
        ("", "a=%FF", b""),
    ],
)
def test_unusable(content_type, query, body):
    with pytest.raises(UnusableBody) as caught:
        read(content_type, query, body)
    assert caught.value.__cause__ is None, "the cause quotes the body"


def webhook(*fields):
    return Webhook(HmacSha256(), map_delivery=lambda *_: None, event_fields=fields)


@pytest.mark.parametrize(
    ("payload", "path_event", "event"),
    [
        ({"event": "completed"}, "", "completed"),
        ({"event": "completed"}, "lead", "lead"),
        ({"event": "", "type": "answered"}, "", "answered"),
        ({"event": "[event]", "type": "answered"}, "", "answered"),
        ({"event": None, "type": {"name": "x"}}, "", ""),
        ({"event": 7}, "", "7"),
        ({"call": {"event": "converted"}}, "", "converted"),
        ({"call": "event"}, "", ""),
        ({"event": "a\0b"}, "", "ab"),
        ({"event": "x" * 5000}, "", "x" * 100),
        ({}, "", ""),
    ],
)
def test_event_type(payload, path_event, event):
    assert event_type(payload, webhook("event", "type", "call.event"), path_event) == event


DELIVERY = Delivery(
    account_id=UUID(int=1), provider="acme", event_type="completed", content_type=JSON, query="", body=b'{"a": 1}'
)


@pytest.mark.parametrize(
    "other",
    [
        replace(DELIVERY, account_id=UUID(int=2)),
        replace(DELIVERY, event_type="answered"),
        replace(DELIVERY, body=b'{"a": 2}'),
        replace(DELIVERY, body=b"", query="a=1"),
        # Where one part ends and the next begins must not be open to shifting.
        replace(DELIVERY, event_type="completed\0body\0{", body=b'"a": 1}'),
    ],
)
def test_different_deliveries(other):
    assert other.dedup_key != DELIVERY.dedup_key


def test_a_query_beside_a_body_makes_no_new_delivery():
    """The signature does not cover it: whoever saw one delivery could send it again and again as a new one."""
    assert replace(DELIVERY, query="again=1").dedup_key == DELIVERY.dedup_key


def test_a_delivery_is_told_by_its_query_where_it_has_no_body():
    bare = replace(DELIVERY, body=b"", query="a=1")
    assert replace(bare, query="a=2").dedup_key != bare.dedup_key
    assert replace(bare, body=b"a=1", query="").dedup_key != bare.dedup_key
