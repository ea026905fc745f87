"""Styles of paging. Each can stop: by its own sign, and by the ledger, which refuses a cursor that was read before.

A cursor is a small JSON object, kept in `sync_pages`: it never holds a URL, a host or a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, urlsplit

import requests

from calltrack.client.answer import Answer, dig
from calltrack.errors import EndlessPages, SliceTooLarge, UnreadableAnswer

Cursor = dict[str, Any]


class Pages(Protocol):
    """How to ask for the first page, for a page, and how to know the next one."""

    def first(self) -> Cursor:
        """The cursor of the first page of a slice."""
        ...

    def params(self, cursor: Cursor) -> dict[str, Any]:
        """What asks for this page, in the query or in the body."""
        ...

    def next(self, cursor: Cursor, answer: Answer, count: int) -> Cursor | None:
        """The cursor after this page of `count` records; None: that was the last. `SliceTooLarge`: cut the slice."""
        ...

    def total(self, answer: Answer) -> int | None:
        """How many records the slice has, where the provider says so (in whole pages, where it only says that)."""
        ...

    def adjusted(self, settings: Mapping[str, str]) -> Self:
        """The same style, with the account's own limits."""
        ...


@dataclass(frozen=True)
class LinkPages:
    """Numbered pages, chained by a `Link` header.

        Link: <https://api.example.com/calls.json?page=9>; rel="last", <https://…/calls.json?page=2>; rel="next"

        LinkPages(size=100)

    Only the page number is read out of the link: the request is built on the account's own base, so a link to
    another host, or with somebody's key in it, leads nowhere.
    """

    size: int
    param: str = "page"
    size_param: str = "per_page"
    #: the largest page that the API gives
    most: int = 1000

    def first(self) -> Cursor:
        return {"page": 1}

    def params(self, cursor: Cursor) -> dict[str, Any]:
        return {self.param: cursor["page"], self.size_param: self.size}

    def next(self, cursor: Cursor, answer: Answer, count: int) -> Cursor | None:
        """The page that the link named "next" asks for: none is the end, however full this page was."""
        page = self._page_of(answer.headers, "next")
        if page is None:
            return None
        if page <= cursor["page"]:
            raise EndlessPages
        if count == 0:
            raise UnreadableAnswer("The provider sent an empty page, and says that more follow.")
        return {"page": page}

    def total(self, answer: Answer) -> int | None:
        last = self._page_of(answer.headers, "last")
        return None if last is None else last * self.size

    def adjusted(self, settings: Mapping[str, str]) -> Self:
        return replace(self, size=int(settings.get("page_size") or self.size))

    def _page_of(self, headers: Mapping[str, str], rel: str) -> int | None:
        for link in requests.utils.parse_header_links(headers.get("Link", "")):
            if link.get("rel") == rel:
                number = parse_qs(urlsplit(link["url"]).query).get(self.param, [""])[0]
                if not number.isdecimal():
                    raise UnreadableAnswer(f"The provider's {rel!r} link has no page number.")
                return int(number)
        return None


@dataclass(frozen=True)
class NumberedPages:
    """Numbered pages, with how many there are in the body.

    {"offers": […], "metadata": {"total_pages": 3}}

    NumberedPages(size=100, last_path="metadata.total_pages")
    """

    size: int
    last_path: str
    param: str = "page"
    size_param: str = "per_page"
    #: the largest page that the API gives
    most: int = 1000

    def first(self) -> Cursor:
        return {"page": 1}

    def params(self, cursor: Cursor) -> dict[str, Any]:
        return {self.param: cursor["page"], self.size_param: self.size}

    def next(self, cursor: Cursor, answer: Answer, count: int) -> Cursor | None:
        """The next page. Without a number of the last one, a page shorter than asked for is it."""
        last = str(dig(answer.json, self.last_path))
        more = int(cursor["page"]) < int(last) if last.isdecimal() else count >= self.size
        return {"page": cursor["page"] + 1} if more and count else None

    def total(self, answer: Answer) -> int | None:
        last = str(dig(answer.json, self.last_path))
        return int(last) * self.size if last.isdecimal() else None

    def adjusted(self, settings: Mapping[str, str]) -> Self:
        return replace(self, size=int(settings.get("page_size") or self.size))


@dataclass(frozen=True)
class OffsetPages:
    """An offset and a limit, with the total in the body.

        {"data": {"offset": 0, "limit": 500, "total_found": "1234", "results": […]}}

        OffsetPages(size=500, total_path="data.total_found", cap=40_000)

    Beyond `cap` the provider pages no further: a slice with more records must be cut.
    """

    size: int
    total_path: str
    cap: int | None = None
    param: str = "offset"
    size_param: str = "limit"
    #: the largest page that the API gives
    most: int = 1000

    def first(self) -> Cursor:
        return {"offset": 0}

    def params(self, cursor: Cursor) -> dict[str, Any]:
        return {self.param: cursor["offset"], self.size_param: self.size}

    def next(self, cursor: Cursor, answer: Answer, count: int) -> Cursor | None:
        """The next offset. Without a total, a page shorter than asked for is the last."""
        total = self.total(answer)
        if self.cap is not None and total is not None and total > self.cap:
            raise SliceTooLarge
        reached = int(cursor["offset"]) + count
        if reached >= total if total is not None else count < self.size:
            return None
        if count == 0:
            raise UnreadableAnswer("The provider sent an empty page, and says that more follow.")
        if self.cap is not None and reached > self.cap:
            raise SliceTooLarge
        return {"offset": reached}

    def total(self, answer: Answer) -> int | None:
        total = dig(answer.json, self.total_path)
        return int(total) if str(total).isdecimal() else None

    def adjusted(self, settings: Mapping[str, str]) -> Self:
        size = int(settings.get("page_size") or self.size)
        cap = self.cap and int(settings.get("offset_cap") or self.cap)
        return replace(self, size=size, cap=cap)


@dataclass(frozen=True)
class CursorPages:
    """An opaque cursor: what the provider names as the next one is sent back, digit by digit.

        {"calls": […], "metadata": {"total_count": 240, "next_cursor": 1.70000000000000123E+17}}

        CursorPages(size=100, next_path="metadata.next_cursor", total_path="metadata.total_count")

    It is read out of the answer as text: a number that was made into a float, and back, may be another one.
    """

    size: int
    next_path: str
    total_path: str = ""
    param: str = "cursor"
    size_param: str = "per_page"
    begin: str = "-1"
    #: what stands for the next cursor on the last page
    end: str = "0"
    #: the largest page that the API gives
    most: int = 1000

    def first(self) -> Cursor:
        return {"cursor": self.begin}

    def params(self, cursor: Cursor) -> dict[str, Any]:
        return {self.param: cursor["cursor"], self.size_param: self.size}

    def next(self, cursor: Cursor, answer: Answer, count: int) -> Cursor | None:
        """The next cursor, as the answer has it."""
        following = dig(answer.exact, self.next_path)
        if not isinstance(following, str) or not following:
            raise UnreadableAnswer("The provider does not say whether there is a next page.")
        if following == self.end:
            return None
        if following == cursor["cursor"]:
            raise EndlessPages
        if count == 0:
            raise UnreadableAnswer("The provider sent an empty page, and says that more follow.")
        return {"cursor": following}

    def total(self, answer: Answer) -> int | None:
        total = str(dig(answer.json, self.total_path)) if self.total_path else ""
        return int(total) if total.isdecimal() else None

    def adjusted(self, settings: Mapping[str, str]) -> Self:
        return replace(self, size=int(settings.get("page_size") or self.size))
