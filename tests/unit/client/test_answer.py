import traceback

import pytest

from calltrack.client.answer import Answer, dig
from calltrack.client.auth import QueryKeys
from calltrack.errors import UnreadableAnswer


def test_json_is_read():
    assert Answer(200, {}, b'{"data": [1, null]}').json == {"data": [1, None]}


@pytest.mark.parametrize("body", [b"", b'{"data": [', b"<html>hunter2</html>", b"\xff\xfe"])
def test_no_json_is_unreadable_and_its_text_stays_inside(body):
    with pytest.raises(UnreadableAnswer) as caught:
        Answer(200, {}, body).json  # noqa: B018
    assert caught.value.__context__ is None
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("path", "found"),
    [("", {"a": {"b": 1}, "c": []}), ("a.b", 1), ("a.x", None), ("a.b.c", None), ("c.0", None), ("x.y", None)],
)
def test_dig_follows_a_path_as_far_as_there_is_one(path, found):
    assert dig({"a": {"b": 1}, "c": []}, path) == found


def test_query_keys_leave_out_what_the_account_does_not_have():
    params, headers = {"page": "1"}, {}
    QueryKeys({"api_key": "api_key", "company_id": "company"}).apply({"api_key": "k", "company": ""}, params, headers)
    assert (params, headers) == ({"page": "1", "api_key": "k"}, {})
