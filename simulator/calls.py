"""What truly happened on a call. Each stand-in tells it in its provider's words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from simulator.chance import Dice


class Party(NamedTuple):
    """Somebody or something with a name: a campaign, a publisher, a buyer, an agent, a queue."""

    #: the provider's own number
    number: int
    #: the id that the customer gave
    code: str
    name: str


@dataclass(slots=True)
class Call:
    """One call. All moments are aware UTC, all phone numbers E.164, all durations whole seconds."""

    provider: str
    id: str
    #: the moment under which the provider lists it
    created_at: datetime
    started_at: datetime
    #: None: nobody was reached
    answered_at: datetime | None
    ended_at: datetime
    updated_at: datetime
    outbound: bool
    customer: str
    #: the company's own number: the one that was dialled, or the one that was displayed
    line: str
    destination: str
    campaign: Party
    publisher: Party | None
    buyer: Party | None
    agent: Party
    queue: Party | None
    lead: int
    seconds: int
    talk_seconds: int
    ivr_seconds: int
    hold_seconds: int
    wrap_seconds: int
    outcome: str
    converted: bool
    revenue: Decimal | None
    payout: Decimal | None
    cost: Decimal
    repeated: bool
    #: in [0, 1): the calls with the smallest values are those that change late
    restless: float
    #: what clients wrote on it: tags, annotations, extra fields
    tags: dict[str, str] | None = None
    #: another id, out of a row of numbers, where the provider has two
    number: int = 0

    def whim(self, which: int) -> float:
        """A number in [0, 1) that differs from call to call, and from one `which` (a prime number) to the next."""
        return self.restless * which % 1.0


CAMPAIGNS = tuple(
    Party(9000 + n, f"c{n:02}", name)
    for n, name in enumerate(
        ["Home Solar – West", "Debt Relief", "Medicare 65+", "Auto Glass", "Roofing & Gutters", "Legal Intake (ES)"]
    )
)
PUBLISHERS = tuple(
    Party(500 + n, f"p{n:02}", name)
    for n, name in enumerate(["Bluebird Media", "Cedar Clicks", "Ōkami Ads", "North Star Leads"])
)
BUYERS = tuple(
    Party(27000 + n, f"t{n:02}", name)
    for n, name in enumerate(["Acme Sales Desk", "Best Quote Ltd", "Crown Call Center", "Delta Intake"])
)
AGENTS = tuple(
    Party(40 + n, f"agent-{40 + n}", name)
    for n, name in enumerate(
        ["Ana Lopez", "Bo Chen", "Chidi Okafor", "Dana O’Neil", "Élise Martin", "Femi Ade", "Grace Kim", "Hal Jones"]
    )
)
QUEUES = (Party(71, "sales_queue", "Sales"), Party(72, "support_queue", "Support"))

AREAS = (201, 303, 415, 512, 617, 704, 801, 916)

#: outcomes after talking to somebody, and where nobody was reached
SPOKEN = ("SALE", "NI", "CALLBK", "DNC")
UNREACHED = ("NA", "A", "B")
OUTCOMES = {
    "SALE": "Sale",
    "NI": "Not Interested",
    "CALLBK": "Call Back",
    "DNC": "Do Not Call",
    "NA": "No Answer",
    "A": "Answering Machine",
    "B": "Busy",
}


def inbound(seed: int, index: int, start: datetime, provider: str = "retreaver") -> Call:
    """A call to a tracking number, forwarded to a buyer: Retreaver, and whoever is like it."""
    dice = Dice(f"{seed}/{provider}/{index}")
    call_id = UUID(int=dice.bits(128), version=4)
    start = _whole_milliseconds(start)
    ivr, hold, reached = dice.between(3, 19), dice.between(2, 29), dice.share() < 0.8
    talk = _talk(dice) if reached else 0
    answered = start + timedelta(seconds=ivr + hold, milliseconds=dice.between(0, 399)) if reached else None
    seconds = ivr + hold + talk
    ended = start + timedelta(seconds=seconds, milliseconds=500 + dice.between(0, 399))
    converted = reached and talk > 60 and dice.share() < 0.7
    revenue = Decimal(25 * dice.between(40, 599)) / 100 if converted else None
    return Call(
        provider=provider,
        id=str(call_id),
        created_at=start + timedelta(milliseconds=dice.between(50, 299)),
        started_at=start,
        answered_at=answered,
        ended_at=ended,
        # Conversions are decided about 20 s after hang-up; the record is touched once more after that.
        updated_at=ended + timedelta(seconds=dice.between(21, 39), milliseconds=dice.between(0, 999)),
        outbound=False,
        customer=_phone(dice),
        line=f"+1800555{dice.between(100, 139):04}",
        destination=_phone(dice),
        campaign=dice.one_of(CAMPAIGNS),
        publisher=dice.one_of((None, *PUBLISHERS)),
        buyer=dice.one_of(BUYERS) if reached else None,
        agent=dice.one_of(AGENTS),
        queue=None,
        lead=dice.between(10**6, 10**7 - 1),
        seconds=seconds,
        talk_seconds=talk,
        ivr_seconds=ivr,
        hold_seconds=hold,
        wrap_seconds=0,
        outcome="SALE" if converted else "NI",
        converted=converted,
        revenue=revenue,
        payout=(revenue * Decimal("0.6")).quantize(Decimal("0.01")) if revenue is not None else None,
        cost=Decimal(dice.between(4, 89)) / 100,
        repeated=dice.share() < 0.1,
        restless=dice.share(),
    )


def outbound(seed: int, index: int, start: datetime) -> Call:
    """A call of a dialler's agent to a lead, now and then the other way round: Convoso."""
    dice = Dice(f"{seed}/convoso/{index}")
    start = start.replace(microsecond=0)
    is_outbound, reached = dice.share() < 0.8, dice.share() < 0.6
    hold, wrap, talk = dice.between(2, 19), dice.between(5, 39), _talk(dice)
    seconds = hold + talk + wrap if reached else 0
    outcome = dice.one_of(SPOKEN if reached else UNREACHED)
    ended = start + timedelta(seconds=seconds)
    return Call(
        provider="convoso",
        # Numbers in a row, as from a database's sequence; another seed gives another range.
        id=str(1_000_000_000 * (1 + seed % 9) + index),
        created_at=start,
        started_at=start,
        answered_at=start + timedelta(seconds=hold) if reached else None,
        ended_at=ended,
        updated_at=ended,
        outbound=is_outbound,
        customer=_phone(dice),
        line=_phone(dice),
        destination=_phone(dice),
        campaign=dice.one_of(CAMPAIGNS),
        publisher=None,
        buyer=None,
        agent=dice.one_of(AGENTS),
        queue=None if is_outbound else dice.one_of(QUEUES),
        lead=dice.between(10**6, 10**7 - 1),
        seconds=seconds,
        talk_seconds=talk if reached else 0,
        ivr_seconds=0,
        hold_seconds=hold if reached else 0,
        wrap_seconds=wrap if reached else 0,
        outcome=outcome,
        converted=outcome == "SALE",
        revenue=None,
        payout=None,
        cost=Decimal(0),
        repeated=dice.share() < 0.1,
        restless=dice.share(),
    )


def routed(seed: int, index: int, start: datetime) -> Call:
    """A call to a tracking number, routed to a target: Ringba, which lists it under the moment it began."""
    call = inbound(seed, index, start, "ringba")
    call.id = f"v2{blake2b(call.id.encode(), digest_size=20).hexdigest()}"
    call.created_at = call.started_at
    return call


def tracked(seed: int, index: int, start: datetime) -> Call:
    """A call to a number of an offer: TrackDrive, which counts its calls, and knows one moment for their beginning."""
    call = inbound(seed, index, start, "trackdrive")
    call.number = 100_000_000 * (1 + seed % 9) + index
    call.created_at = call.started_at
    return call


#: provider → how a call comes about there
DRAW = {"retreaver": inbound, "convoso": outbound, "trackdrive": tracked, "ringba": routed}


def change(call: Call, at: datetime) -> None:
    """What happens to a call afterwards: a sale is taken back, or turns out to be one after all.

    Where a dialer reached nobody there is nothing to sell: it was an answering machine after all, or was none.
    """
    if call.provider == "convoso" and call.answered_at is None:
        call.outcome = "NA" if call.outcome == "A" else "A"
    else:
        call.converted = not call.converted
        call.outcome = "SALE" if call.converted else "NI"
    if call.provider != "convoso":
        call.revenue = Decimal(1000 + call.lead % 9000) / 100 if call.converted else None
        call.payout = (call.revenue / 2).quantize(Decimal("0.01")) if call.revenue is not None else None
    call.updated_at = _whole_milliseconds(at)


def rewrite(call: Call, at: datetime, **fields: Any) -> None:
    """A client changes some of the call's fields; its tags come on top of those that it has."""
    fields["tags"] = {**(call.tags or {}), **fields.pop("tags", {})} or None
    for name, value in fields.items():
        setattr(call, name, value)
    call.updated_at = _whole_milliseconds(at)


def shorten(call: Call) -> None:
    """Make it a call that was over, and settled, within 30 seconds: what is new may not end in the future."""
    call.ivr_seconds, call.hold_seconds, call.wrap_seconds = 1, 1, 0
    call.talk_seconds = 5 if call.answered_at else 0
    call.seconds = (
        call.ivr_seconds + call.hold_seconds + call.talk_seconds if call.answered_at or not call.outbound else 0
    )
    call.answered_at = call.answered_at and call.started_at + timedelta(seconds=2)
    call.ended_at = call.started_at + timedelta(seconds=call.seconds)
    call.updated_at = max(call.created_at, call.ended_at) + timedelta(seconds=20)


def _talk(dice: Dice) -> int:
    """Most calls are short, some last a quarter of an hour."""
    return 1 + min(int(dice.exponential(180)), 900)


def _phone(dice: Dice) -> str:
    """A valid North American number, made up."""
    return f"+1{dice.one_of(AREAS)}{dice.between(2_220_000, 8_999_999)}"


def _whole_milliseconds(moment: datetime) -> datetime:
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
