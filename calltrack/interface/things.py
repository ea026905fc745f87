"""What providers list, as calltrack knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calltrack import mapping as read
from calltrack.client.answer import Answer
from calltrack.client.ask import Ask
from calltrack.db.accounts import Account
from calltrack.errors import UnreadableAnswer
from calltrack.interface.plain import masked
from calltrack.operations import Campaign, Resource, Subscription, TrackingNumber

Thing = Mapping[str, Any]


def only(resource: Resource | None, ask: Ask, answer: Answer) -> dict[str, Any]:
    """The one thing in an answer. Raises `UnreadableAnswer`."""
    assert resource is not None, "who gives or makes one thing also lists them"
    things = resource.read(answer, ask.found)
    if not things or not things[0]["id"]:
        raise UnreadableAnswer("The provider's answer does not hold what was asked for.")
    return things[0]


def number_of(thing: Thing, region: str) -> TrackingNumber:
    """A number, read as in this region where it says nothing else."""
    return TrackingNumber(
        id=thing["id"],
        number=read.phone(thing["number"], region) or "",
        name=thing.get("name"),
        campaign_id=thing.get("campaign_id"),
        raw=thing["raw"],
    )


def campaign_of(thing: Thing) -> Campaign:
    return Campaign(id=thing["id"], name=thing.get("name"), raw=thing["raw"])


def subscription_of(thing: Thing, account: Account) -> Subscription:
    """A webhook, without the secrets in its URL."""
    url, active = thing.get("url"), read.flag(thing.get("active"))
    return Subscription(id=thing["id"], url=url and masked(url, account), event=thing.get("event"), active=active)
