from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from asking import NOW
from receiving import SECRET, Receiver

from simulator import PROVIDERS, World, ringba_letters, trackdrive_records
from simulator.letter import FORM, JSON
from simulator.letters import EVENTS, FORGERIES, SHAPES, USUAL_SHAPES, Letter, Mix, forgeries, write
from simulator.senders import NO_ANSWER, post, send
from simulator.signing import PLACES, signature

HEADERS = {"retreaver": "X-Signature", "convoso": "x-convoso-signature"}

#: events in the words of those that have their own
WORDS = {"trackdrive": trackdrive_records.EVENTS, "ringba": ringba_letters.EVENTS}

each_provider = pytest.mark.parametrize("provider", PROVIDERS)


@pytest.fixture
def world() -> World:
    return World(1, 150, now=NOW)


def content(letter: Letter) -> dict[str, Any]:
    """What a receiver reads."""
    if not letter.body:
        return dict(parse_qsl(letter.query))
    return dict(parse_qsl(letter.body.decode())) if "form" in letter.content_type else orjson.loads(letter.body)


def proven_by(letter: Letter, provider: str, secret: str) -> bool:
    """Whether the letter shows that its sender knows the secret."""
    if provider not in HEADERS:
        return letter.headers.get("X-Calltrack-Secret") == secret
    given = letter.headers.get(HEADERS[provider], "").removeprefix("sha256=")
    return given == signature(letter.body or letter.query.encode(), secret)


# ── letters ──


def test_a_known_signature() -> None:
    body, key = b"what do ya want for nothing?", "Jefe"  # RFC 4231, test case 2
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert signature(body, key) == expected
    assert signature(body, key, prefixed=True) == f"sha256={expected}"


@each_provider
def test_the_same_seed_writes_the_same_letters(world: World, provider: str) -> None:
    mix = Mix(duplicates=0.1, forged=0.1, out_of_order=True, unlisted=0.2)
    once = write(world, provider, 100, SECRET, mix, seed=3)
    assert once == write(world, provider, 100, SECRET, mix, seed=3)
    others = write(world, provider, 100, SECRET, mix, seed=4)
    assert {(letter.body, letter.query) for letter in once if letter.kind == "true"}.isdisjoint(
        (letter.body, letter.query) for letter in others
    )


@each_provider
def test_the_mix_is_what_was_ordered(world: World, provider: str) -> None:
    letters = write(world, provider, 200, SECRET, Mix(duplicates=0.1, forged=0.06))
    kinds = Counter(letter.kind for letter in letters)
    ways = forgeries(provider)
    assert kinds == {"true": 168, "duplicate": 20, **dict.fromkeys(ways, 12 // len(ways))}


@each_provider
def test_true_letters_are_proven_and_differ_duplicates_do_not_forged_ones_are_not(world: World, provider: str) -> None:
    letters = write(world, provider, 200, SECRET, Mix(duplicates=0.1, forged=0.1))
    true = [letter for letter in letters if letter.kind == "true"]
    said = {(letter.body, letter.query) for letter in true}
    assert len(said) == len(true)
    assert all(proven_by(letter, provider, SECRET) for letter in true)
    if provider in HEADERS:
        assert {letter.headers[HEADERS[provider]].startswith("sha256=") for letter in true} == {True, False}
    assert all((letter.body, letter.query) in said for letter in letters if letter.kind == "duplicate")
    forged = [letter for letter in letters if letter.kind in FORGERIES]
    assert forged
    assert not any(proven_by(letter, provider, SECRET) for letter in forged)
    assert {letter.call_id for letter in forged}.isdisjoint(letter.call_id for letter in true)


def test_a_changed_body_carries_the_signature_of_the_honest_one(world: World) -> None:
    letters = write(world, "convoso", 60, SECRET, Mix(forged=0.2))
    changed = [letter for letter in letters if letter.kind == "changed_body"]
    assert changed
    assert all(letter.headers["x-convoso-signature"] == signature(letter.body[:-1], SECRET) for letter in changed)


@each_provider
def test_the_events_of_a_call_come_in_order_or_not(world: World, provider: str) -> None:
    def in_order(letters: list[Letter]) -> bool:
        steps: dict[str, list[int]] = {}
        for letter in letters:
            steps.setdefault(letter.call_id, []).append(EVENTS.index(letter.event))
        return all(step == sorted(step) for step in steps.values())

    assert in_order(write(world, provider, 150, SECRET))
    assert not in_order(write(world, provider, 150, SECRET, Mix(out_of_order=True)))


@each_provider
def test_events_happen_only_where_they_can(world: World, provider: str) -> None:
    for letter in write(world, provider, 150, SECRET):
        call = world.call(provider, letter.call_id)
        assert call
        assert letter.event != "answered" or call.answered_at
        assert letter.event != "converted" or call.converted


@each_provider
def test_unknown_events_can_be_sent(world: World, provider: str) -> None:
    (letter,) = write(world, provider, 1, SECRET, Mix(events=("pixel_fired",)))
    assert content(letter)["event"] == "pixel_fired"


@each_provider
def test_letters_say_nothing_that_contradicts_the_list(world: World, provider: str) -> None:
    """What a delivery says of a call that is over must be so in the end, for some state no version."""
    over = Mix(events=("converted",))
    for letter in write(world, provider, 15, SECRET, over):
        call = world.call(provider, letter.call_id)
        assert call
        said = content(letter)
        fields = said.get("call", said)
        assert isinstance(fields, dict)
        if provider == "convoso":
            assert (fields["status"], fields["length_in_sec"]) == (call.outcome, str(call.seconds))
        else:
            told = fields["revenue"] if provider != "ringba" else fields["conversionAmount"]
            assert float(str(told)) == float(call.revenue or 0)


@each_provider
def test_unlisted_calls_are_in_the_share_ordered(world: World, provider: str) -> None:
    letters = write(world, provider, 100, SECRET, Mix(unlisted=0.25, events=("completed",)))
    assert sum(world.call(provider, letter.call_id) is None for letter in letters) == 25


@pytest.mark.parametrize(("provider", "shape"), [(name, shape) for name in PROVIDERS for shape in SHAPES[name]])
def test_every_shape_names_its_call_and_event(world: World, provider: str, shape: str) -> None:
    (letter,) = write(world, provider, 1, SECRET, Mix(shapes=(shape,), events=("completed",)))
    said = content(letter)
    assert said["event"] == WORDS.get(provider, {}).get("completed", "completed")
    fields = said.get("call", said)
    assert isinstance(fields, dict)
    ids = {fields.get(name) for name in ("uuid", "call_uuid", "call_log_id", "inboundCallId")}
    assert (letter.call_id in ids) == ("unexpanded" not in shape)


def test_the_usual_shapes_exist() -> None:
    assert all(set(USUAL_SHAPES[provider]) <= set(SHAPES[provider]) for provider in PROVIDERS)


@pytest.mark.parametrize("wrong", [{"duplicates": 0.6, "forged": 0.6}, {"events": ()}])
def test_a_mix_that_cannot_be_made(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="mix"):
        Mix(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("provider", sorted({*PROVIDERS} - {*HEADERS}))
def test_the_secret_is_shown_where_it_was_ordered_and_nowhere_else(world: World, provider: str) -> None:
    for place in PLACES:
        for letter in write(world, provider, 20, SECRET, Mix(secret_in=place)):
            assert (letter.headers.get("X-Calltrack-Secret") == SECRET) == (place == "header")
            assert (dict(parse_qsl(letter.query)).get("secret") == SECRET) == (place == "query")
            assert letter.path == ("/a%20secret" if place == "path" else "")
    with pytest.raises(ValueError, match="path"):
        Mix(secret_in="body")


@pytest.mark.parametrize("provider", sorted(HEADERS))
def test_who_signs_shows_no_secret(world: World, provider: str) -> None:
    for letter in write(world, provider, 20, SECRET, Mix(secret_in="query")):
        assert SECRET not in (*letter.headers.values(), *dict(parse_qsl(letter.query)).values())


def trackdrive(world: World, shape: str, event: str) -> tuple[Letter, dict[str, Any]]:
    """A letter about a call that was answered and converted."""
    call = next(call for call in world.calls("trackdrive") if call.converted)
    (letter,) = write(world, "trackdrive", 1, SECRET, Mix(shapes=(shape,), events=(event,), calls=[call]))
    return letter, content(letter)


def test_a_pixel_is_a_get_without_a_body(world: World) -> None:
    letter, said = trackdrive(world, "template_query", "completed")
    assert (letter.method, letter.body) == ("GET", b"")
    assert said["uuid"] == letter.call_id
    assert {
        write(world, "trackdrive", 1, SECRET, Mix(shapes=(shape,)))[0].method
        for shape in ("subscription", "template_form")
    } == {"POST"}


def test_a_hint_is_half_a_record(world: World) -> None:
    letter, said = trackdrive(world, "call_ended_hint", "completed")
    assert (said["event"], said["uuid"]) == ("call_ended", letter.call_id)
    blank = ("total_duration", "answered_duration", "recording_url", "revenue", "payout", "buyer_converted")
    assert {said[name] for name in blank} == {""}
    assert not said.keys() & {"ended_at", "updated_at", "status"}


def test_a_template_that_was_not_filled_in_names_no_call(world: World) -> None:
    letter, said = trackdrive(world, "unexpanded", "completed")
    assert (said["uuid"], said["id"]) == ("[call_uuid]", "[call_id]")
    call = world.call("trackdrive", letter.call_id)
    assert call
    assert not {letter.call_id, str(call.number)} & {str(value) for value in said.values()}


def test_what_is_not_over_is_blank_and_grows(world: World) -> None:
    steps = [trackdrive(world, "subscription", event)[1] for event in EVENTS]
    assert [step["event"] for step in steps] == ["new_call", "call_forwarded", "call_ended", "call_changed"]
    assert [step["total_duration"] == "" for step in steps] == [True, True, False, False]
    assert [step["revenue"] == "" for step in steps] == [True, True, True, False]
    versions = [step["updated_at"] for step in steps]
    assert versions == sorted(set(versions))


# ── senders ──


@pytest.mark.parametrize("place", PLACES)
def test_sending_by_all_doors(world: World, receiver: Receiver, place: str) -> None:
    mix = Mix(duplicates=0.1, forged=0.1, secret_in=place)
    sent = send(world, "trackdrive", receiver.url, 100, SECRET, mix=mix)
    assert sent.by_answer == {"202 accepted": 80, "202 duplicate": 10, "401": 10}
    assert sent.as_it_should_be
    assert {*receiver.ways} == {("GET", None), ("POST", JSON), ("POST", FORM)}


def test_sending_counts_every_answer(world: World, receiver: Receiver) -> None:
    mix = Mix(duplicates=0.1, forged=0.1, out_of_order=True)
    sent = send(world, "convoso", receiver.url, 100, SECRET, mix=mix)
    assert sent.total == 100
    assert sent.by_answer == {"202 accepted": 80, "202 duplicate": 10, "401": 10}
    assert sent.as_it_should_be
    assert (len(receiver.got), len(set(receiver.got))) == (90, 80)
    assert set(sent.ids) == {
        dict(parse_qsl(body.decode())).get("call_log_id") or orjson.loads(body)["call_log_id"]
        for _, body in receiver.got
    }
    assert len(sent.forged_ids) == 10
    report = sent.report()
    assert (report["sent"], report["calls"], len(report["ids"])) == (100, len(sent.ids), len(sent.ids))


def test_a_receiver_that_believes_forgeries_is_found_out(world: World, receiver: Receiver) -> None:
    letters = write(world, "convoso", 20, SECRET, Mix(forged=0.2))
    signed = [
        Letter(**{**vars(letter), "headers": {"x-convoso-signature": signature(letter.body, SECRET)}})
        for letter in letters
    ]
    assert not post(signed, receiver.url).as_it_should_be


def test_no_answer_is_an_answer_too(world: World, receiver: Receiver) -> None:
    receiver_url = receiver.url.replace(str(receiver.server_port), "1")
    sent = send(world, "retreaver", receiver_url, 5, SECRET)
    assert sent.by_answer == {NO_ANSWER: 5}
    assert not sent.as_it_should_be


def test_a_rate_is_kept(world: World, receiver: Receiver) -> None:
    sent = send(world, "convoso", receiver.url, 21, SECRET, rate=100)
    assert sent.seconds >= 0.2
