"""The operations of one account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import TypeVar

from calltrack import log, registry
from calltrack.accounts.check import check
from calltrack.accounts.manage import context
from calltrack.client.ask import Ask
from calltrack.client.budget import Lane
from calltrack.client.windows import Window
from calltrack.db import accounts
from calltrack.db.accounts import Account
from calltrack.db.session import engine
from calltrack.errors import (
    FixConfiguration,
    NotOffered,
    NotThere,
    OutcomeUnknown,
    PartlyDone,
    RejectRecord,
    SliceTooLarge,
    TryLater,
)
from calltrack.interface import kept, written
from calltrack.interface.asking import Asking, Thing, no_answer, paged
from calltrack.interface.changes import Change, in_order
from calltrack.interface.door import door
from calltrack.interface.things import campaign_of, number_of, only, subscription_of
from calltrack.mapping import Context, Raw
from calltrack.model import CallRecord
from calltrack.operations import UPDATES, Campaign, Figures, Report, Resource, Subscription, TrackingNumber
from calltrack.provider import Provider
from calltrack.sync import wanted
from calltrack.sync.connections import vault
from calltrack.sync.hints import Hint
from calltrack.sync.plan import cut, halves

T = TypeVar("T")
logger = log.get(__name__)


def of(provider: str, account: str | None = None, number: str | None = None) -> Interface:
    """The account of this provider and name; without a name its only one, else `default`. Raises `UnknownDoor`.

    `number` is for those who may come twice with the same wish: what it changes is changed once (`AlreadyAsked`).
    """
    registry.get(provider)
    with engine().connect() as connection:
        return Interface(accounts.find(connection, vault(), provider, account), number)


class Interface:
    """What can be asked of an account's provider, and done there."""

    def __init__(self, account: Account, number: str | None = None) -> None:
        self.account = account
        self.provider: Provider = registry.get(account.provider)
        self._context: Context = context(account)
        self._calls = self.provider.calls(account.settings)
        self._operations = self.provider.operations
        self._asking = Asking(account, number)

    # ── calls ──

    def check(self) -> str | None:
        """None where the account works; else what is wrong, and what to do about it."""
        return check(self.account, self._asking.client)

    def call(self, external_id: str) -> CallRecord:
        """One call as the provider has it now. Raises `NotThere`."""
        ask = self._offered(self._calls.one, "give one call")
        records = self._calls.read_one(self._asking.send(ask, {"id": external_id}))
        if not records:
            raise NotThere(f"{self.provider.title} has no call {external_id}.")
        return self.provider.map_call(records[0], self._context)

    def calls(self, since: datetime, until: datetime | None = None) -> Iterator[CallRecord]:
        """The calls of a range as the provider lists them now, each once, in no order. Nothing is stored."""
        seen: set[str] = set()
        window, longest = _range(since, until), self._calls.longest
        for record in chain.from_iterable(map(self._records, cut(window, longest) if longest else [window])):
            try:
                call = self.provider.map_call(record, self._context)
            except RejectRecord as error:
                logger.warning("left out", account=self.account.label, reason=error.reason)
                continue
            if call.external_id not in seen:
                seen.add(call.external_id)
                yield call

    def update(self, external_id: str, *, tags: Mapping[str, str] | None = None, **fields: object) -> list[Hint]:
        """Change a call at the provider: `tags`, `converted`, `revenue`, `payout`, `add_revenue`, `add_payout`.

        `add_…` adds to what is there. Amounts are texts or `Decimal`, as "12.50". The call is then to be fetched anew:
        the hints say so, and who does not send them leaves that to the sweeper. Raises `OutcomeUnknown` where nobody
        knows whether it was done, and `PartlyDone` where only a part was, and must not be asked for again.
        """
        changes = self._changes(external_id, tags or {}, fields)
        try:
            in_order(changes, self._change)
        except (OutcomeUnknown, PartlyDone, TryLater):
            self._fetch_anew(external_id)  # it may have been done all the same
            raise
        return self._fetch_anew(external_id)

    # ── numbers ──

    def numbers(self) -> list[TrackingNumber]:
        """The account's numbers; `provider_tracking_numbers` holds just these afterwards."""
        asked_at = kept.now()
        found = [self._number(thing) for thing in self._listed(self._operations.numbers, "list numbers")]
        kept.replace(self.account, found, asked_at)
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
        """Buy a number. It is asked for once: after `OutcomeUnknown` look into the list before you ask again."""
        ask = self._offered(self._operations.provision, "provision numbers")
        choice = {"area_code": area_code, "campaign": campaign, "publisher": publisher}
        written.takes(ask, choice, self.provider.title)
        asked = {"country": country, "toll_free": toll_free, **choice}
        values = {**asked, "kind": "Toll-free" if toll_free else "Local"}
        read = partial(only, self._operations.numbers, ask)
        number = self._number(self._asking.change("number.provision", ask, values, read, **asked))
        kept.add(self.account, number)
        return number

    def release(self, number: str | TrackingNumber) -> TrackingNumber:
        """Give a number back, by its id or by the number itself. Raises `FixConfiguration` where there is none."""
        ask = self._offered(self._operations.release, "release numbers")
        found = self.number(number) if isinstance(number, str) else number
        self._asking.change("number.release", ask, {"id": found.id}, no_answer, number=found.number)
        kept.remove(self.account, found.id)
        return found

    def number(self, number: str) -> TrackingNumber:
        """One of the account's numbers, by its id or by the number itself. Raises `FixConfiguration`."""
        meant = {number, self._number({"id": "", "number": number, "raw": {}}).number} - {""}
        found = next((one for one in self.numbers() if {one.id, one.number} & meant), None)
        if found is None:
            label = self.account.label
            raise FixConfiguration(f"{label} has no number {number}: see `calltrack numbers list {label}`.")
        return found

    # ── campaigns, webhooks, reports ──

    def campaigns(self) -> list[Campaign]:
        """The account's campaigns."""
        return [campaign_of(thing) for thing in self._listed(self._operations.campaigns, "list campaigns")]

    def campaign(self, campaign_id: str) -> Campaign:
        """One campaign. Raises `NotThere`."""
        ask = self._offered(self._operations.campaign, "give one campaign")
        return campaign_of(only(self._operations.campaigns, ask, self._asking.send(ask, {"id": campaign_id})))

    def webhooks(self) -> list[Subscription]:
        """The webhooks that are registered at the provider, without the secrets in their URLs."""
        things = self._listed(self._operations.webhooks, "list webhooks")
        return [subscription_of(thing, self.account) for thing in things]

    def register(self, base: str, event: str) -> Subscription:
        """Have deliveries of an event sent to the receiver at `base`, as https://calls.example.com.

        What is registered already, and delivers, is not registered again.
        """
        ask = self._offered(self._operations.register, "register webhooks")
        url = door(self.account, self.provider, base, event)
        for thing in self._listed(self._operations.webhooks, "list webhooks"):
            if (thing.get("url"), thing.get("event")) == (url, event) and thing.get("active") is not False:
                return subscription_of(thing, self.account)
        read = partial(only, self._operations.webhooks, ask)
        thing = self._asking.change("webhook.register", ask, {"url": url, "event": event}, read, event=event, base=base)
        return subscription_of({"url": url, "event": event, **thing}, self.account)

    def unregister(self, subscription_id: str) -> None:
        """Have no more deliveries of this subscription. Raises `NotThere`."""
        ask = self._offered(self._operations.unregister, "remove webhooks")
        values = {"id": subscription_id}
        self._asking.change("webhook.remove", ask, values, no_answer, subscription=subscription_id)

    def report(self, since: datetime, until: datetime | None = None) -> list[Figures]:
        """The provider's own figures for a range, day by day or campaign by campaign."""
        report: Report | None = self._operations.report
        if report is None:
            raise self._lacks("report on calls")
        window = _range(since, until)
        values = {"since": report.when(window.since), "until": report.when(window.until)}
        return list(report.figures({name: self._asking.send(ask, values) for name, ask in report.asks().items()}))

    # ── parts of it ──

    def _offered(self, operation: T | None, does: str) -> T:
        if operation is None:
            raise self._lacks(does)
        return operation

    def _lacks(self, does: str) -> NotOffered:
        return NotOffered(f"{self.provider.title} does not {does}: see `calltrack providers`.")

    def _listed(self, resource: Resource | None, does: str) -> Iterator[Thing]:
        return self._asking.list(self._offered(resource, does))

    def _records(self, window: Window) -> Iterator[Raw]:
        """The records of a window; what is too large to be paged through is cut in two."""
        client, zone = self._asking.client, self._context.zone
        try:
            yield from paged(
                self._calls.pages,
                lambda cursor: client.send(self._calls.page(cursor, window, zone), Lane.LIVE),
                self._calls.read,
            )
        except SliceTooLarge:
            parts = halves(window)
            if parts is None:
                raise
            for part in parts:
                yield from self._records(part)

    def _changes(self, external_id: str, tags: Mapping[str, str], fields: Mapping[str, object]) -> list[Change]:
        """What is to be asked for, all of it looked at before the first goes out."""
        unknown = sorted(fields.keys() - (set(UPDATES) - {"tags"}))
        if unknown or not (tags or fields):
            raise FixConfiguration(f"A call has {', '.join(UPDATES)} to change, not {', '.join(unknown) or 'nothing'}.")
        changes = [
            Change(name, self._updating(name), {"id": external_id, "value": written.value(name, given)})
            for name, given in fields.items()
        ]
        for name, text in tags.items():
            ask = self._updating("tags")
            written.tag(ask, name)
            changes.append(Change(f"tag {name}", ask, {"id": external_id, "name": name, "value": text}))
        return changes

    def _updating(self, field: str) -> Ask:
        return self._offered(self._operations.update.get(field), f"change {field} of a call")

    def _change(self, change: Change) -> None:
        value = change.values["value"]
        told = {"call": change.values["id"], "change": change.what, "to": None if "name" in change.values else value}
        self._asking.change("call.update", change.ask, change.values, no_answer, **told)

    def _fetch_anew(self, external_id: str) -> list[Hint]:
        """Open a page for this call, which takes the usual way from there."""
        if self._calls.one is None or not self.account.is_active:
            return []
        with engine().begin() as connection:
            return wanted.ask(connection, self.account.id, self.account.provider, [external_id])

    def _number(self, thing: Thing) -> TrackingNumber:
        return number_of(thing, self._context.region)


def _range(since: datetime, until: datetime | None) -> Window:
    window = Window(since, until or datetime.now(UTC))
    if window.since >= window.until:
        raise FixConfiguration("The range is empty: --since must lie before --until.")
    return window
