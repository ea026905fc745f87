"""The operations of one account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from calltrack import mapping as read
from calltrack import registry
from calltrack.accounts.check import check
from calltrack.accounts.manage import context
from calltrack.client.answer import Answer
from calltrack.client.ask import Ask, Request
from calltrack.client.budget import Lane
from calltrack.client.session import Client
from calltrack.client.windows import Window
from calltrack.db import accounts, audit
from calltrack.db.accounts import Account
from calltrack.db.session import engine
from calltrack.errors import CalltrackError, FixConfiguration, NotOffered, NotThere, UnreadableAnswer
from calltrack.interface import kept
from calltrack.interface.written import amount, flag
from calltrack.model import CallRecord
from calltrack.operations import (
    MONEY,
    UPDATES,
    Campaign,
    Figures,
    Operations,
    Report,
    Resource,
    Subscription,
    TrackingNumber,
)
from calltrack.provider import Provider
from calltrack.signatures import url_of
from calltrack.sync.connections import client_for, vault

T = TypeVar("T")

#: pages of a list that are read at most: beyond that it does not end
MOST_PAGES = 1000


def of(provider: str, account: str | None = None) -> Interface:
    """The account of this provider and name; without a name its only one, else `default`. Raises `UnknownDoor`."""
    registry.get(provider)
    with engine().connect() as connection:
        return Interface(accounts.find(connection, vault(), provider, account))


class Interface:
    """What can be asked of an account's provider, and done there."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.provider: Provider = registry.get(account.provider)

    # ── calls ──

    def check(self) -> str | None:
        """None where the account works; else what is wrong, and what to do about it."""
        return check(self.account, self._client)

    def call(self, external_id: str) -> CallRecord:
        """One call as the provider has it now. Raises `NotThere`."""
        calls = self.provider.calls(self.account.settings)
        records = calls.read_one(self._send(self._offered(calls.one, "give one call"), {"id": external_id}))
        if not records:
            raise NotThere
        return self.provider.map_call(records[0], context(self.account))

    def calls(self, since: datetime, until: datetime | None = None) -> Iterator[CallRecord]:
        """The calls of a range as the provider lists them now, page by page: nothing is stored."""
        calls, zone = self.provider.calls(self.account.settings), context(self.account).zone
        window, cursor = Window(since, until or datetime.now(UTC)), calls.pages.first()
        for _ in range(MOST_PAGES):
            answer = self._client.send(calls.page(cursor, window, zone), Lane.LIVE)
            records = calls.read(answer)
            yield from (self.provider.map_call(record, context(self.account)) for record in records)
            following = calls.pages.next(cursor, answer, len(records)) if records else None
            if following is None:
                return
            cursor = following

    def update(self, external_id: str, *, tags: Mapping[str, str] | None = None, **fields: str) -> None:
        """Change a call at the provider: `tags`, `converted`, `revenue`, `payout`, `add_revenue`, `add_payout`.

        `add_…` adds to what is there. Raises `OutcomeUnknown` where nobody knows whether it did.
        """
        for ask, values in self._changes(external_id, tags or {}, fields):
            self._write("call.updated", ask, values, call=external_id, fields=sorted(values.keys() - {"id"}))

    # ── numbers ──

    def numbers(self) -> list[TrackingNumber]:
        """The account's numbers; `provider_tracking_numbers` holds just these afterwards."""
        found = [_number(thing) for thing in self._list(self._operations.numbers, "list numbers")]
        kept.replace(self.account, found)
        return found

    def provision(
        self,
        *,
        country: str = "US",
        toll_free: bool = True,
        area_code: str | None = None,
        campaign: str | None = None,
        publisher: str | None = None,
    ) -> TrackingNumber:
        """Buy a number. Never asked for twice: `OutcomeUnknown` says that the list must be looked at first."""
        ask, numbers = self._offered(self._operations.provision, "provision numbers"), self._operations.numbers
        wanted = {"country": country, "toll_free": toll_free, "area_code": area_code}
        kind = "Toll-free" if toll_free else "Local"
        values = {**wanted, "kind": kind, "campaign": campaign, "publisher": publisher}
        answer = self._write("number.provisioned", ask, values, **wanted)
        assert numbers is not None
        number = _number(_only(numbers, answer, ask))
        kept.add(self.account, number)
        return number

    def release(self, number: str) -> TrackingNumber:
        """Give a number back, by its id or by the number itself."""
        ask = self._offered(self._operations.release, "release numbers")
        found = next((one for one in self.numbers() if number in (one.id, one.number)), None)
        if found is None:
            raise FixConfiguration(f"{self.account.label} has no number {number}: see `calltrack numbers list`.")
        self._write("number.released", ask, {"id": found.id}, number=found.number)
        kept.remove(self.account, found.id)
        return found

    # ── campaigns, webhooks, reports ──

    def campaigns(self) -> list[Campaign]:
        """The account's campaigns."""
        return [_campaign(thing) for thing in self._list(self._operations.campaigns, "list campaigns")]

    def campaign(self, campaign_id: str) -> Campaign:
        """One campaign. Raises `NotThere`."""
        ask, listed = self._offered(self._operations.campaign, "give one campaign"), self._operations.campaigns
        assert listed is not None
        return _campaign(_only(listed, self._send(ask, {"id": campaign_id}), ask))

    def webhooks(self) -> list[Subscription]:
        """The webhooks that are registered at the provider."""
        return [_subscription(thing) for thing in self._list(self._operations.webhooks, "list webhooks")]

    def register(self, base: str, event: str) -> Subscription:
        """Have deliveries of an event sent to the receiver at `base`, as https://calls.example.com."""
        ask, listed = self._offered(self._operations.register, "register webhooks"), self._operations.webhooks
        assert listed is not None
        answer = self._write("webhook.registered", ask, {"url": self.door(base), "event": event}, event=event)
        return _subscription(_only(listed, answer, ask))

    def unregister(self, subscription_id: str) -> None:
        """Have no more deliveries of this subscription."""
        ask = self._offered(self._operations.unregister, "remove webhooks")
        self._write("webhook.removed", ask, {"id": subscription_id}, subscription=subscription_id)

    def door(self, base: str) -> str:
        """The URL of the account's door; where the account says so, its newest secret is a part of it."""
        account, signature = self.account, self.provider.webhook.signature
        url = f"{base.rstrip('/')}/webhooks/{account.provider}/{account.name}"
        place = account.settings.get("secret_in") or "header"
        return url_of(url, signature, place, account.webhook_secrets[0] if account.webhook_secrets else "")

    def report(self, since: datetime, until: datetime) -> list[Figures]:
        """The provider's own figures for a range, day by day or campaign by campaign."""
        report: Report = self._offered(self._operations.report, "report on calls")
        calls, zone = self.provider.calls(self.account.settings), context(self.account).zone
        start, end = calls.filter.bounds(Window(since, until), zone)
        values = {"since": start, "until": end}
        return list(report.figures({name: self._send(ask, values) for name, ask in report.asks().items()}))

    # ── asking ──

    @property
    def _operations(self) -> Operations:
        return self.provider.operations

    @property
    def _client(self) -> Client:
        return client_for(self.account)

    def _offered(self, operation: T | None, does: str) -> T:
        if operation is None:
            raise NotOffered(f"{self.provider.title} does not {does}: see `calltrack providers`.")
        return operation

    def _request(self, ask: Ask, values: Mapping[str, Any]) -> Request:
        defaults = {setting.name: setting.default for setting in self.provider.settings if setting.default}
        return ask.request({**defaults, **self.account.settings, **values})

    def _send(self, ask: Ask, values: Mapping[str, Any]) -> Answer:
        return self._client.send(self._request(ask, values), Lane.LIVE)

    def _write(self, action: str, ask: Ask, values: Mapping[str, Any], **details: object) -> Answer:
        """Change something at the provider, and note in the audit log that it was asked for, and what came of it."""
        outcome = "done"
        try:
            return self._send(ask, values)
        except CalltrackError as error:
            outcome = error.reason
            raise
        finally:
            with engine().begin() as connection:
                audit.record(connection, action, self.account.label, **details, outcome=outcome)

    def _list(self, resource: Resource | None, does: str) -> Iterator[dict[str, Any]]:
        listed = self._offered(resource, does)
        if listed.pages is None:
            yield from listed.read(self._send(listed.ask, {}))
            return
        cursor = listed.pages.first()
        for _ in range(MOST_PAGES):
            request = self._request(listed.ask, {})
            paged = replace(request, params={**request.params, **listed.pages.params(cursor)})
            answer = self._client.send(paged, Lane.LIVE)
            things = listed.read(answer)
            yield from things
            following = listed.pages.next(cursor, answer, len(things)) if things else None
            if following is None:
                return
            cursor = following

    def _changes(
        self, external_id: str, tags: Mapping[str, str], fields: Mapping[str, str]
    ) -> list[tuple[Ask, dict[str, Any]]]:
        """What is to be asked for, all of it looked at before the first goes out."""
        unknown = sorted(fields.keys() - set(UPDATES))
        if unknown or not (tags or fields):
            raise FixConfiguration(f"A call has {', '.join(UPDATES)} to change, not {', '.join(unknown) or 'nothing'}.")
        changes = []
        for name, text in fields.items():
            value = amount(name, text) if name in MONEY else flag(name, text)
            changes.append((self._updates(name), {"id": external_id, "value": value}))
        for name, text in tags.items():
            changes.append((self._updates("tags"), {"id": external_id, "name": name, "value": text}))
        return changes

    def _updates(self, field: str) -> Ask:
        return self._offered(self._operations.update.get(field), f"change {field} of a call")


def _only(resource: Resource, answer: Answer, ask: Ask) -> dict[str, Any]:
    things = resource.read(answer, ask.found)
    if not things or not things[0]["id"]:
        raise UnreadableAnswer("The provider's answer does not hold what was asked for.")
    return things[0]


def _number(thing: Mapping[str, Any]) -> TrackingNumber:
    number = read.phone(thing["number"], "US") or ""
    return TrackingNumber(
        id=thing["id"], number=number, name=thing.get("name"), campaign_id=thing.get("campaign_id"), raw=thing["raw"]
    )


def _campaign(thing: Mapping[str, Any]) -> Campaign:
    return Campaign(id=thing["id"], name=thing.get("name"), raw=thing["raw"])


def _subscription(thing: Mapping[str, Any]) -> Subscription:
    return Subscription(id=thing["id"], url=thing.get("url"), event=thing.get("event"))
