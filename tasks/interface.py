"""What providers offer besides their lists of calls, as tasks. What they give is plain JSON: `.delay(…).get()`.

>>> from tasks import get_call
>>> get_call.delay("acme", "A1B2…").get(timeout=30)

Operators read of a task which account and which thing it is about, never what is written there, nor what came of it:
that may be personal.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from calltrack import interface
from calltrack.errors import CalltrackError, FixConfiguration, TryLater
from calltrack.interface.plain import plain
from calltrack.mapping.times import moment
from tasks.app import Work, app
from tasks.hints import send

Json = dict[str, Any]

#: arguments that operators read
SHOWN = ("provider", "account", "external_id", "number", "campaign_id", "subscription_id", "event", "since", "until")


class Operation(Work):
    """A task with a result. Its arguments go by name, because a route reads the provider's, and are not shown."""

    ignore_result = False
    #: what may be expected is told in one line, without a traceback
    throws = (*Work.throws, CalltrackError)
    #: of a result nothing is written to the log, nor shown in Flower
    resultrepr_maxsize = 0

    def apply_async(self, args: Any = None, kwargs: Any = None, *others: Any, **options: Any) -> Any:
        given = inspect.signature(self.run).bind(*(args or ()), **(kwargs or {})).arguments
        label = ", ".join(str(given[name]) for name in SHOWN if given.get(name) is not None)
        return super().apply_async((), given, *others, **{**options, "argsrepr": label, "kwargsrepr": "{}"})


class Question(Operation):
    """It changes nothing at the provider, so what may work later is tried again by itself, three times."""

    autoretry_for = (TryLater,)
    max_retries = 3
    retry_backoff = 2
    retry_backoff_max = 30


class Change(Operation):
    """It changes something at the provider, and is never run twice by Celery.

    Buying a number twice costs twice, and what is added is added again. So its message is acknowledged before it runs,
    it is not tried again whatever happens, and all that is asked of the provider is asked under the message's number:
    should the broker deliver a message a second time, the audit log has that number, and `AlreadyAsked` is raised. A
    worker that is killed in the middle leaves in that log that it was asked for; whether it was done, the provider
    knows.
    """

    acks_late = False
    max_retries = 0


@app.task(name="calltrack.check_credentials", base=Question)
def check_credentials(provider: str, account: str | None = None) -> str | None:
    """None where the account works; else what is wrong, and what to do about it."""
    return interface.of(provider, account).check()


@app.task(name="calltrack.get_call", base=Question)
def get_call(provider: str, external_id: str, account: str | None = None) -> Json:
    """A call as the provider has it now. Nothing is stored."""
    return found(interface.of(provider, account).call(external_id))


@app.task(name="calltrack.update_call", base=Change, bind=True)
def update_call(
    self: Any,
    provider: str,
    external_id: str,
    account: str | None = None,
    tags: Mapping[str, str] | None = None,
    converted: bool | None = None,
    revenue: str | None = None,
    payout: str | None = None,
    add_revenue: str | None = None,
    add_payout: str | None = None,
) -> None:
    """Change a call at its provider, and have it fetched anew. Amounts are texts: "12.50"."""
    fields = {
        "converted": converted,
        "revenue": revenue,
        "payout": payout,
        "add_revenue": add_revenue,
        "add_payout": add_payout,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    send(interface.of(provider, account, self.request.id).update(external_id, tags=tags, **given))


@app.task(name="calltrack.list_numbers", base=Question)
def list_numbers(provider: str, account: str | None = None) -> list[Json]:
    """The account's numbers; `provider_tracking_numbers` is brought in step."""
    return [found(number) for number in interface.of(provider, account).numbers()]


@app.task(name="calltrack.provision_number", base=Change, bind=True)
def provision_number(
    self: Any,
    provider: str,
    account: str | None = None,
    country: str = "US",
    toll_free: bool = True,
    area_code: str | None = None,
    campaign: str | None = None,
    publisher: str | None = None,
) -> Json:
    """Buy a number."""
    return found(
        interface.of(provider, account, self.request.id).provision(
            country=country, toll_free=toll_free, area_code=area_code, campaign=campaign, publisher=publisher
        )
    )


@app.task(name="calltrack.release_number", base=Change, bind=True)
def release_number(self: Any, provider: str, number: str, account: str | None = None) -> Json:
    """Give a number back, by its id or by the number itself."""
    return found(interface.of(provider, account, self.request.id).release(number))


@app.task(name="calltrack.list_campaigns", base=Question)
def list_campaigns(provider: str, account: str | None = None) -> list[Json]:
    """The account's campaigns."""
    return [found(campaign) for campaign in interface.of(provider, account).campaigns()]


@app.task(name="calltrack.get_campaign", base=Question)
def get_campaign(provider: str, campaign_id: str, account: str | None = None) -> Json:
    """One campaign."""
    return found(interface.of(provider, account).campaign(campaign_id))


@app.task(name="calltrack.register_webhook", base=Change, bind=True)
def register_webhook(self: Any, provider: str, url: str, event: str, account: str | None = None) -> Json:
    """Have deliveries of an event sent to the receiver at `url`, as https://calls.example.com."""
    return found(interface.of(provider, account, self.request.id).register(url, event))


@app.task(name="calltrack.list_webhooks", base=Question)
def list_webhooks(provider: str, account: str | None = None) -> list[Json]:
    """The webhooks that are registered at the provider; secrets in their URLs are masked."""
    return [found(subscription) for subscription in interface.of(provider, account).webhooks()]


@app.task(name="calltrack.remove_webhook", base=Change, bind=True)
def remove_webhook(self: Any, provider: str, subscription_id: str, account: str | None = None) -> None:
    """Have no more deliveries of this subscription."""
    interface.of(provider, account, self.request.id).unregister(subscription_id)


@app.task(name="calltrack.call_report", base=Question)
def call_report(provider: str, since: str, until: str | None = None, account: str | None = None) -> list[Json]:
    """The provider's own figures for a range. Times are ISO 8601."""
    begin, end = time(since), time(until) if until else None
    return [found(line) for line in interface.of(provider, account).report(begin, end)]


def time(text: str) -> datetime:
    """A time in ISO 8601. Raises `FixConfiguration`."""
    at = moment(text)
    if at is None:
        raise FixConfiguration(f"{text!r} is no time: write it as 2026-03-01 or 2026-03-01T14:00:00Z.")
    return at


def found(thing: object) -> Json:
    """A result: plain JSON, amounts as exact text."""
    told: Json = plain(thing)
    return told
