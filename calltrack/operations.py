"""What a provider's API can do besides giving calls: changing one, numbers, campaigns, webhooks, a report.

A provider declares what it has. What it has not stays `None`: the support matrix shows "—" there, and asking for it
raises `NotOffered`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from calltrack import mapping as read
from calltrack.client.answer import Answer, dig
from calltrack.client.ask import Ask
from calltrack.client.pages import Pages
from calltrack.errors import SliceTooLarge, UnreadableAnswer


@dataclass(frozen=True, kw_only=True)
class TrackingNumber:
    """A phone number that the account holds."""

    #: the provider's id of it: opaque
    id: str
    #: E.164 where it can be read so
    number: str
    name: str | None = None
    campaign_id: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What calls are bought or sold under: a campaign, or an offer."""

    id: str
    name: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A webhook as the provider has it registered."""

    id: str
    #: where deliveries go, without the secrets in it
    url: str | None = None
    event: str | None = None
    #: False: it is there, but delivers nothing. None: the provider does not say.
    active: bool | None = None


class Figures(NamedTuple):
    """One line of a report. What the provider does not tell is None."""

    #: what the line is about: a day, a campaign
    name: str
    calls: int | None = None
    converted: int | None = None
    revenue: Decimal | None = None
    payout: Decimal | None = None
    cost: Decimal | None = None


@dataclass(frozen=True)
class Resource:
    """Things that a provider lists, and how they are read.

    Resource(Ask("GET", "/phone_numbers", found="phone_numbers"), {"number": "number", "name": "title"})
    """

    ask: Ask
    #: our name → dotted path in the record; "id" is "id", if nothing else is said
    fields: Mapping[str, str]
    #: the key around each record, where there is one
    wrapper: str = ""
    #: None: all of them come at once
    pages: Pages | None = None

    def read(self, answer: Answer, found: str | None = None) -> list[dict[str, Any]]:
        """The things in an answer, by our names, each with its record as "raw". `found`: where, if not as listed."""
        there = dig(answer.json, self.ask.found if found is None else found)
        records = there if isinstance(there, list) else [there]
        if not all(isinstance(record, dict) for record in records):
            raise UnreadableAnswer("The provider's answer does not hold what was asked for.")
        return [self._thing(record) for record in records]

    def _thing(self, record: Mapping[str, Any]) -> dict[str, Any]:
        raw = read.unwrap(record, self.wrapper)
        found = {name: _told(dig(raw, path)) for name, path in {"id": "id", **self.fields}.items()}
        return {**found, "id": found["id"] or "", "raw": raw}


def _told(value: Any) -> str | bool | None:
    return value if isinstance(value, bool) else read.text(value)


def rfc3339(moment: datetime) -> str:
    """`2026-03-01T14:00:00Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def spaced(moment: datetime) -> str:
    """`2026-03-01 14:00:00 +0000`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S %z}"


@dataclass(frozen=True)
class Rows:
    """A report that comes as rows, one per day or campaign."""

    ask: Ask
    #: dotted paths in a row, in the order of `Figures`; "" for what the provider does not tell
    fields: tuple[str, ...]
    #: dotted path to how many rows there are, where the provider says so: it may have sent only the first of them
    total: str = ""
    #: how `{since}` and `{until}` are written
    when: Callable[[datetime], str] = rfc3339

    def asks(self) -> Mapping[str, Ask]:
        """What to ask for, by what it is about."""
        return {"": self.ask}

    def figures(self, answers: Mapping[str, Answer]) -> Iterator[Figures]:
        """The lines of the report."""
        rows = dig(answers[""].json, self.ask.found)
        if not isinstance(rows, list):
            raise UnreadableAnswer("The provider's answer holds no report.")
        if self.total and (read.whole(dig(answers[""].json, self.total)) or 0) > len(rows):
            raise SliceTooLarge("The report has more lines than the provider gives at once: ask for a shorter range.")
        for row in rows:
            yield _figures(
                {name: dig(row, path) for name, path in zip(Figures._fields, self.fields, strict=False) if path}
            )


@dataclass(frozen=True)
class Columns:
    """A report that must be asked for figure by figure, each as `{"2026-03-01": 12}` or `[["2026-03-01", 12]]`."""

    columns: Mapping[str, Ask]
    #: how `{since}` and `{until}` are written
    when: Callable[[datetime], str] = rfc3339

    def asks(self) -> Mapping[str, Ask]:
        """What to ask for, by what it is about."""
        return self.columns

    def figures(self, answers: Mapping[str, Answer]) -> Iterator[Figures]:
        """The lines of the report."""
        lines: dict[str, dict[str, Any]] = {}
        for column, answer in answers.items():
            for name, value in _pairs(dig(answer.json, self.columns[column].found)):
                lines.setdefault(name, {"name": name})[column] = value
        return (_figures(lines[name]) for name in sorted(lines))


Report = Rows | Columns


def _pairs(found: Any) -> list[tuple[str, Any]]:
    pairs = list(found.items()) if isinstance(found, dict) else found
    if not isinstance(pairs, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):  # noqa: PLR2004
        raise UnreadableAnswer("The provider's answer holds no report.")
    return [(str(name), value) for name, value in pairs]


def _figures(row: Mapping[str, Any]) -> Figures:
    return Figures(
        name=read.text(row.get("name")) or "",
        calls=read.whole(row.get("calls")),
        converted=read.whole(row.get("converted")),
        revenue=read.money(row.get("revenue")),
        payout=read.money(row.get("payout")),
        cost=read.money(row.get("cost")),
    )


@dataclass(frozen=True, kw_only=True)
class Operations:
    """What the provider's API offers besides calls. None: it has no such thing.

    The places in the templates: `{id}` a call, number, campaign or subscription; `{value}` what a field becomes;
    `{name}` a tag's name; `{url}`, `{event}` of a webhook; `{country}`, `{toll_free}`, `{kind}` ("Toll-free" or
    "Local"), `{area_code}`, `{campaign}`, `{publisher}` of a number; `{since}`, `{until}` of a report; any setting.
    """

    #: what can be changed in a call: "tags" (one by one), "converted", "revenue", "payout", and the two that add to
    #: what is there, "add_revenue" and "add_payout"
    update: Mapping[str, Ask] = field(default_factory=dict)

    webhooks: Resource | None = None
    register: Ask | None = None
    unregister: Ask | None = None
    #: what a registered URL carries in its query for the provider to fill in: parameter → token, or `{event}`
    tokens: Mapping[str, str] = field(default_factory=dict)

    numbers: Resource | None = None
    provision: Ask | None = None
    release: Ask | None = None

    campaigns: Resource | None = None
    campaign: Ask | None = None

    report: Report | None = None


#: fields that can be changed in a call, and what they are written as
MONEY = ("revenue", "payout", "add_revenue", "add_payout")
UPDATES = ("tags", "converted", *MONEY)
