"""A provider's pages: all are asked for, once, and they end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calltrack.client.answer import Answer
from calltrack.client.session import PATH
from calltrack.client.windows import Window
from calltrack.errors import UnreadableAnswer
from calltrack.provider import Calls
from calltrack.testing.recorded import File, Golden, Recorded, outcome

WINDOW = Window(datetime(2026, 3, 1, 14, tzinfo=UTC), datetime(2026, 3, 2, 14, tzinfo=UTC))


def test_pages_are_all_read_and_end(recorded: Recorded, pages: File, golden: Golden) -> None:
    calls = recorded.provider.calls({**recorded.settings, "dialect": str(pages)})
    cursor, asked, records = calls.pages.first(), list[str](), list[Any]()
    answers = pages.answers()
    for number, answer in enumerate(answers, 1):
        assert cursor is not None, f"page {number} is never asked for"
        asked.append(json.dumps([cursor, calls.pages.params(cursor)]))
        found = calls.read(answer)
        records += found
        following = calls.pages.next(cursor, answer, len(found))
        assert following is not None or number == len(answers), f"page {number + 1} is never asked for"
        cursor = following or cursor
    assert answers, "record at least one page"
    assert following is None, "the last page does not end the slice"
    assert len(set(asked)) == len(asked), "a page is asked for twice"
    assert not any("://" in text or "somebodys-key" in text for text in asked), "a cursor holds a URL, or a key"
    golden(pages.expected, [outcome(recorded.provider.map_call, record, recorded.context) for record in records])


def test_an_account_can_ask_for_smaller_pages(recorded: Recorded) -> None:
    size = 7
    for calls in _dialects(recorded, page_size=str(size)):
        assert size in calls.pages.params(calls.pages.first()).values()


def test_requests_name_the_range_and_the_page(recorded: Recorded) -> None:
    for calls in _dialects(recorded):
        zone = recorded.context.zone
        request = calls.page(calls.pages.first(), WINDOW, zone)
        asked = request.params if calls.method == "GET" else request.json
        since, until = calls.filter.bounds(WINDOW, zone)
        assert (asked[calls.filter.since], asked[calls.filter.until]) == (since, until)
        assert since < until
        assert calls.filter.bounds(_later(WINDOW), zone) != (since, until)
        assert calls.pages.params(calls.pages.first()).items() <= asked.items()
        assert (request.method == "GET") == (request.json is None)
        assert PATH.fullmatch(request.path), "a place in the path was not filled in"


def _later(window: Window) -> Window:
    return Window(window.since + timedelta(days=1), window.until + timedelta(days=1))


def _dialects(recorded: Recorded, **values: str) -> list[Calls]:
    each = recorded.provider.dialects
    return [recorded.provider.calls({**recorded.settings, **values, "dialect": dialect}) for dialect in each]


@pytest.mark.parametrize("body", [b"{}", b"null", b'"hello"', b'{"error": "no"}', b"<html>", b"", b"[{"])
def test_what_is_no_page_is_never_an_empty_one(recorded: Recorded, body: bytes) -> None:
    for calls in _dialects(recorded):
        with pytest.raises(UnreadableAnswer):
            calls.read(Answer(200, {}, body))
