"""The form that a provider fills in.

A provider is declared, not programmed: one folder under `calltrack/providers/` holds a `PROVIDER = Provider(...)`, a
`mapping.py` with `map_call` and `map_delivery`, and fixtures. The folder's name is the provider's name, the URL
segment, the value in the database, the queue prefix and the metric label; it is stored, so it never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from calltrack.client.answer import Answer, dig
from calltrack.client.ask import Ask, Request, fill_path
from calltrack.client.auth import Auth
from calltrack.client.pages import Cursor, Pages
from calltrack.client.windows import NewestChangeFirst, TimeFilter, Window
from calltrack.errors import UnreadableAnswer
from calltrack.mapping import Context, Raw, unwrap
from calltrack.model import CallRecord
from calltrack.operations import Operations
from calltrack.signatures import Signature


@dataclass(frozen=True)
class Setting:
    """One thing an account of this provider can, or must, have set (`calltrack accounts add … --set name=value`)."""

    name: str
    about: str
    required: bool = False
    secret: bool = False
    default: str | None = None
    #: raises `ValueError` with a sentence that says what to write instead
    check: Callable[[str], object] | None = None


@dataclass(frozen=True)
class Calls:
    """How the provider lists calls."""

    #: `{name}` stands for a setting of the account
    path: str
    #: dotted path to the list of records in the body; "" where the body is the list
    records: str
    pages: Pages
    filter: TimeFilter
    #: set where the provider can list by time of change
    changes: NewestChangeFirst | None = None
    #: set where the provider gives one call by its `{id}`
    one: Ask | None = None
    #: "POST": what selects calls and pages goes into a JSON body
    method: str = "GET"
    #: what goes along with every such request
    fixed: Mapping[str, Any] = field(default_factory=dict)
    #: the longest range that may be asked for at once; None: any
    longest: timedelta | None = None
    #: the key around each record (`{"call": {…}}` → "call"); "" where a record stands bare
    wrapper: str = ""

    def page(self, cursor: Cursor, window: Window, zone: ZoneInfo, *, changed: bool = False) -> Request:
        """The request for a page of the calls in a window: those created in it, or those that changed, newest first."""
        which = self.changes.extra if changed and self.changes else self.filter.params(window, zone)
        asked = {**self.fixed, **which, **self.pages.params(cursor)}
        if self.method == "GET":
            return Request(path=self.path, params=asked)
        return Request(method=self.method, path=self.path, json=asked)

    def read(self, answer: Answer) -> list[Raw]:
        """The bare records of a page, as they came. Raises `UnreadableAnswer` where the list is not there."""
        records = dig(answer.json, self.records)
        if not isinstance(records, list):
            if not records and self.pages.total(answer) == 0:
                return []
            raise UnreadableAnswer("The provider's answer holds no list of calls.")
        return [unwrap(record, self.wrapper) for record in records]

    def read_one(self, answer: Answer) -> list[Raw]:
        """The bare record that was asked for by its id; none where the provider has no such call (an empty body)."""
        if not answer.body:
            return []
        assert self.one is not None
        found = dig(answer.json, self.one.found)
        records = found if isinstance(found, list) else [found] if found else []
        return [unwrap(record, self.wrapper) for record in records[:1]]

    def adjusted(self, settings: Mapping[str, str]) -> Calls:
        """These calls as this account's settings want them (`page_size`, `offset_cap`, `longest_range`, paths)."""
        one = self.one and replace(self.one, path=fill_path(self.one.path, settings))
        days = settings.get("longest_range")
        longest = timedelta(days=int(days)) if days else self.longest
        path, pages = fill_path(self.path, settings), self.pages.adjusted(settings)
        return replace(self, path=path, one=one, pages=pages, longest=longest)


@dataclass(frozen=True)
class Webhook:
    """How the provider's deliveries are verified and read."""

    signature: Signature
    #: (payload, event type, context) → the call. Raises `RejectRecord` or `NotACall`.
    map_delivery: Callable[[Raw, str, Context], CallRecord]
    #: where the event type may stand in the payload, first hit wins
    event_fields: tuple[str, ...] = ("event", "event_type")
    #: further doors besides /webhooks/<provider>: URL path → event type
    paths: Mapping[str, str] = field(default_factory=dict)
    #: deliveries tell little, so that the API is asked for the call; an account's setting `ask` may say otherwise
    asks: bool = False


@dataclass(frozen=True)
class Mapper:
    """A way to read what a provider sends."""

    #: greater than that of the mapper it came after
    version: int
    #: (bare record, context) → the call. Raises `RejectRecord`.
    map_call: Callable[[Raw, Context], CallRecord]
    #: (payload, event type, context) → the call. Raises `RejectRecord` or `NotACall`.
    map_delivery: Callable[[Raw, str, Context], CallRecord]


@dataclass(frozen=True)
class Provider:
    """Everything calltrack knows of a provider."""

    name: str
    title: str
    #: the base as the provider's docs give it, without a trailing slash
    api_url: str
    #: what an account of it has set, besides what follows from this declaration and what every account can have
    settings: tuple[Setting, ...]
    auth: Auth
    #: budgets, all kept at once: "100/minute", "10/second", "5000/day"
    rate_limits: tuple[str, ...]
    #: how calls are listed, by dialect; an account's setting `dialect` chooses, the first is the default
    dialects: Mapping[str, Calls]
    webhook: Webhook
    #: (bare record, context) → the call. Raises `RejectRecord`.
    map_call: Callable[[Raw, Context], CallRecord]
    #: raised by one whenever the mapping reads differently: stored records are then worth mapping again
    mapper_version: int = 1
    #: what the API offers besides calls
    operations: Operations = field(default_factory=Operations)
    #: raises the matching error where the body of an answer says "failed" although the status says 200
    check: Callable[[Answer], None] | None = None
    #: whether the API's records say when they last changed. What comes without that is then only hearsay.
    versioned: bool = False
    #: a mapper that is tried out beside that one, on shadow calls; its version is greater
    candidate: Mapper | None = None
    #: no call of this provider is older: where a full sync begins
    history: datetime = datetime(2008, 1, 1, tzinfo=UTC)
    #: how far an incremental sync reaches back behind the last one, because calls are published and changed late
    overlap: timedelta = timedelta(hours=24)

    def calls(self, settings: Mapping[str, str]) -> Calls:
        """The dialect of the list call that this account speaks, with the account's own limits."""
        return self.dialects[settings.get("dialect") or next(iter(self.dialects))].adjusted(settings)

    def begins(self, settings: Mapping[str, str]) -> datetime:
        """No call of this account is older: where a full sync begins."""
        day = settings.get("history")
        return max(self.history, datetime.fromisoformat(day).replace(tzinfo=UTC)) if day else self.history

    @property
    def mapper(self) -> Mapper:
        """How calls are read."""
        return Mapper(self.mapper_version, self.map_call, self.webhook.map_delivery)
