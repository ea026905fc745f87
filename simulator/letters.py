"""The deliveries of a provider's webhooks, made up before any is sent: true ones, doubled ones and forged ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from random import Random
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import orjson

from simulator import convoso_records, retreaver_records, ringba_letters, trackdrive_letters
from simulator.calls import Call
from simulator.habits import Habits
from simulator.letter import FORM, Letter, Shape
from simulator.signing import HEADERS, PLACES, SECRET_HEADER, signature
from simulator.world import World

__all__ = ["EVENTS", "FORGERIES", "SHAPES", "USUAL_SHAPES", "Letter", "Mix", "Shape", "forgeries", "write"]

EVENTS = ("initiated", "answered", "completed", "converted")

#: calls at least this restless do not change late: a delivery that states no version would race the change
SETTLED = 0.25


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What a batch of deliveries is made of. Shares are out of 1, of all deliveries; the rest is true."""

    duplicates: float = 0.0
    forged: float = 0.0
    #: send the events of a call in any order
    out_of_order: bool = False
    #: share of the calls that the provider's API does not show
    unlisted: float = 0.0
    events: Sequence[str] = EVENTS
    #: names out of `SHAPES`, taken in turns; none: those of `USUAL_SHAPES`
    shapes: Sequence[str] = ()
    #: calls to tell of first, before those of the world
    calls: Sequence[Call] = ()
    #: out of `PLACES`: where those that do not sign show the secret
    secret_in: str = "header"  # noqa: S105 - a place, not a secret

    def __post_init__(self) -> None:
        if self.secret_in not in PLACES:
            raise ValueError(f"A mix shows its secret in one of {', '.join(PLACES)}.")
        if not self.events or self.duplicates + self.forged > 1.0:
            raise ValueError("A mix needs at least one event, and shares that add up to no more than 100 %.")


def _bare(call: Call, event: str, _: ZoneInfo) -> Letter:
    """The call object as the API gives it, with the event beside its fields."""
    return _json(call, event, {"event": event, **retreaver_records.unfinished(call, event, Habits())})


def _wrapped(call: Call, event: str, _: ZoneInfo) -> Letter:
    return _json(call, event, {"event": event, "call": retreaver_records.unfinished(call, event, Habits())})


def _tokens_json(call: Call, event: str, _: ZoneInfo) -> Letter:
    return _json(call, event, retreaver_records.tokens(call, event))


def _tokens_form(call: Call, event: str, _: ZoneInfo) -> Letter:
    return Letter(call.id, event, urlencode(retreaver_records.tokens(call, event)).encode(), FORM)


def _tokens_query(call: Call, event: str, _: ZoneInfo) -> Letter:
    """All in the URL, and no body. The signature is over the query."""
    query = urlencode(retreaver_records.tokens(call, event))
    return Letter(call.id, event, b"", FORM, query=query, signed=query.encode())


def _tokens_query_unsigned(call: Call, event: str, zone: ZoneInfo) -> Letter:
    """The same, signed as a body is: over no byte at all. It shows a secret known, and proves no word of it."""
    return replace(_tokens_query(call, event, zone), signed=None)


def _connect_form(call: Call, event: str, zone: ZoneInfo) -> Letter:
    return Letter(call.id, event, urlencode(convoso_records.connect_fields(call, zone, event)).encode(), FORM)


def _connect_json(call: Call, event: str, zone: ZoneInfo) -> Letter:
    return _json(call, event, convoso_records.connect_fields(call, zone, event))


def _json(call: Call, event: str, value: Any) -> Letter:
    return Letter(call.id, event, orjson.dumps(value))


SHAPES: dict[str, dict[str, Shape]] = {
    "retreaver": {
        "wrapped": _wrapped,
        "tokens_form": _tokens_form,
        "bare": _bare,
        "tokens_json": _tokens_json,
        "tokens_query": _tokens_query,
        "tokens_query_unsigned": _tokens_query_unsigned,
    },
    "convoso": {"form": _connect_form, "json": _connect_json},
    "trackdrive": trackdrive_letters.SHAPES,
    "ringba": ringba_letters.SHAPES,
}

#: all that a receiver can take at their word
USUAL_SHAPES = {
    "retreaver": ("wrapped", "tokens_form", "bare", "tokens_json", "tokens_query"),
    "convoso": ("form", "json"),
    "trackdrive": trackdrive_letters.USUAL_SHAPES,
    "ringba": ringba_letters.USUAL_SHAPES,
}

# Numbers of unlisted calls: each seed has a batch of its own, and forged letters have theirs apart.
BATCH = 10_000
FORGED = 4_000_000

FORGERIES = ("wrong_secret", "changed_body", "no_signature", "no_secret")


def write(world: World, provider: str, number: int, secret: str, mix: Mix | None = None, seed: int = 0) -> list[Letter]:
    """So many letters about calls of the world, in the order in which they should go out. Each seed tells of others."""
    mix = mix or Mix()
    rng = Random(f"{world.seed}/letters/{provider}/{seed}")
    forged, doubled = round(number * mix.forged), round(number * mix.duplicates)
    true = _true(world, provider, number - forged - doubled, secret, mix, rng, seed)
    originals = rng.choices(true, k=doubled) if true else []
    doubles = [(place + rng.uniform(0, 40), replace(letter, kind="duplicate")) for place, letter in originals]
    forgeries = [(rng.uniform(0, number), letter) for letter in _forged(world, provider, forged, secret, mix, seed)]
    return [letter for _, letter in sorted([*true, *doubles, *forgeries], key=lambda placed: placed[0])]


def _true(
    world: World, provider: str, number: int, secret: str, mix: Mix, rng: Random, seed: int
) -> list[tuple[float, Letter]]:
    """Letters with their places: those of different calls mixed, those of one call in order if that is wanted."""
    written: list[tuple[float, Letter]] = []
    shapes = cycle(_shapes(provider, mix))
    for nth, call in enumerate(_calls(world, provider, mix, seed)):
        shape = next(shapes)
        for step, event in enumerate(_events(call, mix.events)):
            if len(written) >= number:
                return written
            letter = shape(call, event, ZoneInfo(world.zone))
            place = nth * 3 + (rng.uniform(0, 60) if mix.out_of_order else step * 15)
            written.append((place, _proven(letter, provider, secret, mix, prefixed=nth % 3 == 0)))
    return written


def _shapes(provider: str, mix: Mix) -> list[Shape]:
    return [SHAPES[provider][name] for name in mix.shapes or USUAL_SHAPES[provider]]


def _calls(world: World, provider: str, mix: Mix, seed: int) -> Iterator[Call]:
    """Settled calls, newest first, with unlisted ones between them; unlisted ones only when the others are used up."""
    yield from mix.calls
    settled = [call for call in reversed(world.calls(provider)) if call.restless >= SETTLED]
    skipped = 37 * seed % max(1, len(settled))
    listed = iter(settled[skipped:] + settled[:skipped])
    owed = 0.0
    for number in count(BATCH * seed % FORGED):
        owed += mix.unlisted
        call = next(listed, None) if owed < 1.0 else None
        owed -= 0.0 if call else 1.0
        yield call or world.unlisted(provider, number)


def _events(call: Call, events: Sequence[str]) -> list[str]:
    """What happened on this call, of what was asked for. Nobody answers a missed call, and few calls convert."""
    reached = call.answered_at is not None
    happened = {"answered": reached, "Recording": reached, "converted": call.converted, "Payout": call.converted}
    return [event for event in events if happened.get(event, True)]


def forgeries(provider: str) -> tuple[str, ...]:
    """How a letter in this provider's name can be forged. Without a signature a changed body cannot be told."""
    return ("wrong_secret", "changed_body", "no_signature") if provider in HEADERS else ("wrong_secret", "no_secret")


def _forged(world: World, provider: str, number: int, secret: str, mix: Mix, seed: int) -> Iterator[Letter]:
    """Letters about calls that there are not, none of which may be believed."""
    shapes = cycle(_shapes(provider, mix))
    for nth, forgery in zip(range(number), cycle(forgeries(provider)), strict=False):
        call = world.unlisted(provider, FORGED + BATCH * seed % FORGED + nth)
        letter = next(shapes)(call, "completed", ZoneInfo(world.zone))
        if forgery == "wrong_secret":
            letter = _proven(letter, provider, f"not {secret}", mix)
        elif forgery == "changed_body":
            honest = _proven(letter, provider, secret, mix)
            letter = replace(honest, body=honest.body + b" ")
        yield replace(letter, kind=forgery)


def _proven(letter: Letter, provider: str, secret: str, mix: Mix, *, prefixed: bool = False) -> Letter:
    """Signed, or with the secret shown."""
    if provider not in HEADERS:
        return _showing(letter, secret, mix.secret_in)
    signed = letter.body if letter.signed is None else letter.signed
    return replace(letter, headers={HEADERS[provider]: signature(signed, secret, prefixed=prefixed)})


def _showing(letter: Letter, secret: str, place: str) -> Letter:
    if place == "path":
        return replace(letter, path=f"/{quote(secret, safe='')}")
    if place == "query":
        return replace(letter, query="&".join(filter(None, (letter.query, urlencode({"secret": secret})))))
    return replace(letter, headers={SECRET_HEADER: secret})
