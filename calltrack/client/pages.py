"""Styles of paging. Each can stop: by its own sign, and by the ledger, which refuses a cursor that was read before.

A cursor is a small JSON object, kept in `sync_pages`: it never holds a URL, a host or a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import requests

from calltrack.client.answer import Answer, dig
from calltrack.errors import SliceTooLarge, UnreadableAnswer

Cursor = dict[str, Any]


class Pages(Protocol):
    """How to ask for the first page, for a page, and how to know the next one."""

    def first(self) -> Cursor:
        """The cursor of the first page of a slice."""
        ...

    def params(self, cursor: Cursor) -> dict[str, str]:
        """The query parameters that ask for this page."""
        ...

    def next(self, cursor: Cursor, answer: Answer, count: int) -> Cursor | None:
        """The cursor after this page of `count` records; None: that was the last. `SliceTooLarge`: cut the slice."""
        ...

    def total(self, answer: Answer) -> int | None:
        """How many records the slice has, where the provider says so."""
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

    def first(self) -> Cursor:
        return {"page": 1}

    def params(self, cursor: Cursor) -> dict[str, str]:
        return {self.param: str(cursor["page"]), self.size_param: str(self.size)}

    def next(self, cursor: Cursor, answer: Answer, count: int) -> Cursor | None:
        page = self._page_of(answer.headers, "next")
        return None if page is None else {"page": page}

    def total(self, answer: Answer) -> int | None:
        last = self._page_of(answer.headers, "last")
        return None if last is None else last * self.size

    def _page_of(self, headers: Mapping[str, str], rel: str) -> int | None:
        for link in requests.utils.parse_header_links(headers.get("Link", "")):
            if link.get("rel") == rel:
                number = parse_qs(urlsplit(link["url"]).query).get(self.param, [""])[0]
                if not number.isdecimal():
                    raise UnreadableAnswer(f"The provider's {rel!r} link has no page number.")
                return int(number)
        return None


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

    def first(self) -> Cursor:
        return {"offset": 0}

    def params(self, cursor: Cursor) -> dict[str, str]:
        return {self.param: str(cursor["offset"]), self.size_param: str(self.size)}

    def next(self, cursor: Cursor, answer: Answer, count: int) -> Cursor | None:
        """The next offset. A page shorter than asked for is the last, unless the total says that there is more."""
        total = self.total(answer)
        reached = int(cursor["offset"]) + count
        if self.cap is not None and total is not None and total > self.cap:
            raise SliceTooLarge
        if count == 0 or (reached >= total if total is not None else count < self.size):
            return None
        return {"offset": reached}

    def total(self, answer: Answer) -> int | None:
        total = dig(answer.json, self.total_path)
        return int(total) if str(total).isdecimal() else None
