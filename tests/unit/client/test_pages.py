from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from calltrack.client.answer import Answer
from calltrack.client.pages import CursorPages, LinkPages, NumberedPages, OffsetPages
from calltrack.errors import EndlessPages, SliceTooLarge, UnreadableAnswer

LINKS = LinkPages(size=100)
OFFSETS = OffsetPages(size=500, total_path="data.total_found", cap=40_000)
NUMBERED = NumberedPages(size=100, last_path="metadata.total_pages")
CURSORS = CursorPages(size=100, next_path="metadata.next_cursor", total_path="metadata.total_count")


def linked(*links: str) -> Answer:
    return Answer(200, CaseInsensitiveDict({"link": ", ".join(links)}), b"[]")


def link(page: object, rel: str, host: str = "api.example.com") -> str:
    return f'<https://{host}/calls.json?api_key=k&per_page=100&page={page}>; rel="{rel}"'


def found(total: object) -> Answer:
    return Answer(200, {}, json.dumps({"data": {"total_found": total}}).encode())


def test_link_pages_go_by_the_name_of_the_link_not_by_its_place():
    answer = linked(link(9, "last"), link(3, "next"), link(1, "prev"))
    assert LINKS.first() == {"page": 1}
    assert LINKS.next({"page": 2}, answer, 100) == {"page": 3}
    assert LINKS.params({"page": 3}) == {"page": 3, "per_page": 100}
    assert LINKS.total(answer) == 900


@pytest.mark.parametrize("answer", [linked(link(9, "last"), link(1, "prev")), Answer(200, {}, b"[]")])
def test_without_a_next_link_the_slice_ends_however_full_the_page(answer):
    assert LINKS.next({"page": 9}, answer, 100) is None


def test_a_link_to_another_host_leads_to_a_page_number_only():
    cursor = LINKS.next({"page": 1}, linked(link(2, "next", host="evil.example.org")), 100)
    assert cursor == {"page": 2}


@pytest.mark.parametrize("page", ["", "two", "-1", "²", "1.5"])
def test_a_link_without_a_page_number_is_unreadable(page):
    with pytest.raises(UnreadableAnswer):
        LINKS.next({"page": 1}, linked(link(page, "next")), 100)


@pytest.mark.parametrize("page", [1, 5])
def test_a_link_that_does_not_lead_on_is_endless(page):
    with pytest.raises(EndlessPages):
        LINKS.next({"page": 5}, linked(link(page, "next")), 100)


def test_an_empty_page_before_the_end_is_no_end():
    with pytest.raises(UnreadableAnswer):
        LINKS.next({"page": 5}, linked(link(6, "next")), 0)
    with pytest.raises(UnreadableAnswer):
        OFFSETS.next({"offset": 500}, found("1000"), 0)


@pytest.mark.parametrize(
    ("offset", "count", "total", "expected"),
    [
        (0, 500, "1234", {"offset": 500}),
        (500, 500, 1234, {"offset": 1000}),
        (1000, 234, "1234", None),
        (0, 500, "500", None),
        (0, 0, "0", None),
        (0, 200, "500", {"offset": 200}),  # the provider gives smaller pages than were asked for
        (0, 500, None, {"offset": 500}),
        (500, 499, None, None),
        (500, 0, "unknown", None),
    ],
)
def test_offset_pages(offset, count, total, expected):
    assert OFFSETS.next({"offset": offset}, found(total), count) == expected


def test_offset_pages_ask_for_the_size_they_count_with():
    assert OFFSETS.params(OFFSETS.first()) == {"offset": 0, "limit": 500}


@pytest.mark.parametrize(("offset", "count", "total"), [(0, 500, "40001"), (40_000, 500, None)])
def test_a_slice_beyond_the_cap_is_too_large(offset, count, total):
    with pytest.raises(SliceTooLarge):
        OFFSETS.next({"offset": offset}, found(total), count)


@pytest.mark.parametrize(
    ("offset", "count", "total"), [(39_500, 500, "40000"), (39_500, 400, None), (40_000, 400, None)]
)
def test_a_slice_up_to_the_cap_is_read_to_its_end(offset, count, total):
    assert OFFSETS.next({"offset": offset}, found(total), count) is None


@pytest.mark.parametrize(
    ("total", "expected"), [("1234", 1234), (7, 7), (None, None), ("many", None), (-1, None), ([], None)]
)
def test_totals(total, expected):
    assert OFFSETS.total(found(total)) == expected


def test_an_account_may_have_its_own_limits():
    smaller = OFFSETS.adjusted({"page_size": "50", "offset_cap": "100"})
    assert smaller == OffsetPages(size=50, total_path="data.total_found", cap=100)
    assert OffsetPages(size=1, total_path="total").adjusted({"offset_cap": "100"}).cap is None
    assert LINKS.adjusted({"page_size": "25"}) == LinkPages(size=25)
    assert OFFSETS.adjusted({}) == OFFSETS


# ── numbered pages ──


def pages_in(total: object) -> Answer:
    return Answer(200, {}, json.dumps({"metadata": {"total_pages": total}}).encode())


@pytest.mark.parametrize(
    ("page", "count", "last", "expected"),
    [
        (1, 100, 3, {"page": 2}),
        (2, 100, "3", {"page": 3}),
        (3, 100, 3, None),
        (3, 7, 3, None),
        (1, 25, 3, {"page": 2}),  # the provider gives smaller pages than were asked for
        (1, 0, 0, None),
        (2, 0, 3, None),  # an empty page: things were removed meanwhile
        (1, 100, None, {"page": 2}),
        (2, 99, None, None),
        (2, 100, "many", {"page": 3}),
        (9, 100, 3, None),
    ],
)
def test_numbered_pages(page, count, last, expected):
    assert NUMBERED.next({"page": page}, pages_in(last), count) == expected


def test_numbered_pages_begin_with_1_and_ask_for_a_size():
    assert NUMBERED.params(NUMBERED.first()) == {"page": 1, "per_page": 100}
    assert NUMBERED.adjusted({"page_size": "25"}).params({"page": 4}) == {"page": 4, "per_page": 25}
    assert (NUMBERED.total(pages_in(3)), NUMBERED.total(pages_in(None))) == (300, None)


# ── cursors ──


def cursor_page(written: str) -> Answer:
    return Answer(200, {}, b'{"metadata": {"total_count": 240, "next_cursor": %s}}' % written.encode())


NUMBERS = st.one_of(
    st.integers(1, 10**60).map(str),
    st.from_regex(r"-?[1-9]\.[0-9]{1,30}[eE][+-]?[1-9][0-9]{0,3}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{0,30}\.[0-9]{1,30}", fullmatch=True),
)


@given(written=NUMBERS)
def test_a_cursor_goes_back_as_it_was_written(written):
    cursor = CURSORS.next(CURSORS.first(), cursor_page(written), 100)
    assert cursor == {"cursor": written}
    assert CURSORS.params(json.loads(json.dumps(cursor)))["cursor"] == written


@given(text=st.text("aZ09-_+/=. é", min_size=1).filter(lambda text: text not in ("0", "-1")))
def test_a_cursor_may_be_any_text(text):
    assert CURSORS.next(CURSORS.first(), cursor_page(json.dumps(text)), 1) == {"cursor": text}


@pytest.mark.parametrize("count", [0, 7, 100])
@pytest.mark.parametrize("end", ["0", '"0"'])
def test_the_end_is_said_and_not_guessed_from_the_size(end, count):
    assert CURSORS.next({"cursor": "17"}, cursor_page(end), count) is None
    assert CURSORS.next({"cursor": "17"}, cursor_page("18"), 7) == {"cursor": "18"}


def test_a_cursor_that_does_not_lead_on_is_endless():
    with pytest.raises(EndlessPages):
        CURSORS.next({"cursor": "17"}, cursor_page("17"), 100)
    with pytest.raises(EndlessPages):
        CURSORS.next(CURSORS.first(), cursor_page("-1"), 100)


def test_an_empty_page_with_a_cursor_is_no_end():
    with pytest.raises(UnreadableAnswer):
        CURSORS.next({"cursor": "17"}, cursor_page("18"), 0)


@pytest.mark.parametrize("written", ["null", "true", "[]", "{}", '""'])
def test_no_cursor_is_no_end(written):
    with pytest.raises(UnreadableAnswer):
        CURSORS.next({"cursor": "17"}, cursor_page(written), 100)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"metadata": ['])
def test_what_is_no_page_names_no_cursor(body):
    with pytest.raises(UnreadableAnswer):
        CURSORS.next({"cursor": "17"}, Answer(200, {}, body), 100)


def test_cursors_have_totals_and_sizes():
    assert CURSORS.total(cursor_page("0")) == 240
    assert CursorPages(size=1, next_path="next").total(cursor_page("0")) is None
    assert CURSORS.adjusted({"page_size": "50"}).params({"cursor": "17"}) == {"cursor": "17", "per_page": 50}
    own = CursorPages(size=9, next_path="next", param="after", size_param="limit", begin="start", end="end")
    assert own.params(own.first()) == {"after": "start", "limit": 9}
    assert own.next({"cursor": "x"}, Answer(200, {}, b'{"next": "end"}'), 9) is None
