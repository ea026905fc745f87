"""What every provider must do, by existing: its declaration is found, its fixtures are read, nothing is written for it.

# tests/test_conformance.py, where pytest runs with `-p calltrack.testing`
from calltrack.testing.suite import *
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calltrack import registry
from calltrack.accounts.forms import settings_of
from calltrack.client.answer import Answer
from calltrack.client.ask import Ask
from calltrack.client.auth import Auth
from calltrack.client.budget import Limit
from calltrack.client.session import PATH
from calltrack.client.windows import Window
from calltrack.errors import BadSignature, NotACall, RejectRecord, UnreadableAnswer
from calltrack.model import CallRecord, Direction, Status
from calltrack.operations import UPDATES, Columns, Operations
from calltrack.provider import Calls, Context, Provider
from calltrack.signatures import PLACES, Message, SharedSecret
from calltrack.testing.habits import test_a_bad_habit_is_survived  # noqa: F401 - a part of the suite
from calltrack.testing.recorded import File, Recorded, outcome

Golden = Callable[[Path, Any], None]

#: with digits of other scripts, blanks of all kinds, NUL and what lies beyond 16 bits. Not all of Unicode: making
#: up its tables takes longer than all other tests
TEXT = st.text("aZ09 .,:+-[]'\"\t\n\x00é٣\u00a0\u2028\u200b\u0663½²中😀", max_size=9)

#: what stands in a field when the vendor has a bad day
JUNK: tuple[Any, ...] = (
    None,
    "",
    " ",
    "null",
    "[call_uuid]",
    "\x00",
    "x" * 5000,
    "-1",
    -1,
    True,
    1e300,
    10**18,
    "NaN",
    [],
    {},
    [[]],
)
#: what nobody has published
NEWS = {"a_new_field": {"deep": [1, "two", None]}, "another one": "x"}
WINDOW = Window(datetime(2026, 3, 1, 14, tzinfo=UTC), datetime(2026, 3, 2, 14, tzinfo=UTC))
SECRET = "a made-up secret"
COMMON = {"api_url", "webhook_secret", "enabled", "max_retries", "retry_delay"}
PLACE = re.compile(r"\{(\w+)\}")


# ── the declaration ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_form_is_filled_in(recorded: Recorded) -> None:
    provider = recorded.provider
    assert registry.NAME.fullmatch(provider.name)
    assert provider.title.strip()
    assert re.fullmatch(r"https://.*[^/]", provider.api_url)
    assert provider.rate_limits
    assert all(Limit.parse(limit) for limit in provider.rate_limits)
    assert all(PATH.fullmatch(PLACE.sub("x", calls.path)) for calls in provider.dialects.values())
    assert all(re.fullmatch(r"/.*[^/]", path) for path in provider.webhook.paths)
    assert provider.candidate is None or provider.candidate.version > provider.mapper_version


def test_there_are_fixtures(recorded: Recorded) -> None:
    assert recorded.folder.is_dir(), f"{recorded.folder} is missing: is it in the package's data?"
    assert next(iter(recorded.provider.dialects)) in map(str, recorded.dialects()), "record the default dialect's pages"
    assert recorded.deliveries(), "record a delivery"


def test_settings_pass_their_own_checks(recorded: Recorded) -> None:
    declared = recorded.provider.settings
    values = {setting.name: setting.default for setting in declared if setting.default} | recorded.settings
    assert {setting.name for setting in declared if setting.required} <= values.keys()
    assert values.keys() <= {setting.name for setting in declared}
    for setting in declared:
        if setting.check is not None and setting.name in values:
            setting.check(values[setting.name])


def test_a_check_says_what_to_write(recorded: Recorded) -> None:
    for setting in recorded.provider.settings:
        if setting.check is not None:
            with pytest.raises(ValueError, match="write"):
                setting.check("neither this = nor that")


def test_environment_variables_set_something_known(recorded: Recorded) -> None:
    provider = recorded.provider
    names = {setting.name for setting in provider.settings}
    assert set(provider.environment.values()) <= names | COMMON
    if provider.environment:
        assert {setting.name for setting in provider.settings if setting.required} <= set(provider.environment.values())
    assert all(variable.startswith(f"{provider.name.upper()}_") for variable in provider.environment)


def test_credentials_reach_the_request(recorded: Recorded) -> None:
    provider, credentials = recorded.provider, _Noting(recorded.settings)
    sent = _shown(provider.auth, credentials)
    secret = {setting.name for setting in provider.settings if setting.secret}
    assert credentials.asked & secret, "no credential is sent"
    assert all(recorded.settings[name] in sent for name in credentials.asked & secret & recorded.settings.keys())
    others = {name for auth in _other_auths(provider) for name in _asked(auth)}
    assert secret <= credentials.asked | others, "a secret setting is never shown to the provider"
    assert credentials.asked | others <= {setting.name for setting in provider.settings}, "an unknown credential"


class _Noting(dict[str, str]):
    """Credentials that remember which of them were looked at; one that is not there is made up."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().get(name, f"made-up-{name}") or ""

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def _shown(auth: Auth, credentials: Mapping[str, str]) -> str:
    """All that goes out: query, headers, and what a Basic login holds."""
    params: dict[str, str] = {}
    headers: dict[str, str] = {}
    auth.apply(credentials, params, headers)
    basic = [header.removeprefix("Basic ") for header in headers.values() if header.startswith("Basic ")]
    return " ".join([*params.values(), *headers.values(), *(b64decode(text).decode() for text in basic)])


def _asked(auth: Auth) -> set[str]:
    credentials = _Noting({})
    _shown(auth, credentials)
    return credentials.asked


def _other_auths(provider: Provider) -> Iterator[Auth]:
    asks = [ask for _, ask, _ in _operations(provider.operations)]
    asks += [calls.one for calls in provider.dialects.values() if calls.one is not None]
    return (ask.auth for ask in asks if ask.auth is not None)


# ── templates of requests ────────────────────────────────────────────────────────────────────────────────────────

NUMBER = {"country", "toll_free", "kind", "area_code", "campaign", "publisher"}
#: operation → the places that its template may have besides settings; those with a ! it must have
PLACES_OF = {
    "tags": {"!id", "name", "!value"},
    "update": {"!id", "!value"},
    "register": {"!url", "event"},
    "provision": NUMBER,
    "report": {"!since", "!until"},
    **{kind: {"!id"} for kind in ("one", "unregister", "release", "campaign")},
    **{kind: set() for kind in ("webhooks", "numbers", "campaigns")},
}


def test_templates_name_only_what_is_given(recorded: Recorded) -> None:
    provider = recorded.provider
    known = {setting.name for setting in settings_of(provider)}
    for calls in provider.dialects.values():
        assert _places(calls.path) <= known
        if calls.one is not None:
            _check_places("one", calls.one, known)
    assert _places(provider.api_url) <= {setting.name for setting in provider.settings if setting.required}
    for kind, ask, _ in _operations(provider.operations):
        _check_places(kind, ask, known)


def test_templates_become_requests(recorded: Recorded) -> None:
    provider = recorded.provider
    defaults = {setting.name: setting.default for setting in provider.settings if setting.default}
    made_up = {name.strip("!"): "1" for places in PLACES_OF.values() for name in places}
    for _, ask, name in _operations(provider.operations):
        request = ask.request({**made_up, **defaults, **recorded.settings})
        assert PATH.fullmatch(request.path), name
        assert not _places([request.path, request.params, request.json, request.form, request.base]), name


def test_what_must_not_be_done_twice_is_not_repeated(recorded: Recorded) -> None:
    operations = recorded.provider.operations
    once = [operations.provision, *(operations.update.get(name) for name in ("add_revenue", "add_payout"))]
    assert not any(ask.repeatable for ask in once if ask is not None)
    assert operations.update.keys() <= set(UPDATES)


def _operations(operations: Operations) -> Iterator[tuple[str, Ask, str]]:
    """Every template, with the kind of its operation and a name."""
    for field, ask in operations.update.items():
        yield ("tags" if field == "tags" else "update"), ask, f"update {field}"
    for kind in ("webhooks", "numbers", "campaigns"):
        if (resource := getattr(operations, kind)) is not None:
            yield kind, resource.ask, kind
    for kind in ("register", "unregister", "provision", "release", "campaign"):
        if (ask := getattr(operations, kind)) is not None:
            yield kind, ask, kind
    for column, ask in operations.report.asks().items() if operations.report else ():
        yield "report", ask, f"report {column}".strip()


def _check_places(kind: str, ask: Ask, known: set[str]) -> None:
    allowed = {name.strip("!") for name in PLACES_OF[kind]}
    needed = {name[1:] for name in PLACES_OF[kind] if name.startswith("!")}
    found = _places([ask.path, ask.params, ask.json, ask.form, ask.base])
    assert found <= allowed | known, f"{kind}: nothing fills {sorted(found - allowed - known)}"
    assert needed <= found, f"{kind}: {sorted(needed - found)} is not asked for"


def _places(template: Any) -> set[str]:
    if isinstance(template, str):
        return set(PLACE.findall(template))
    parts = [*template.keys(), *template.values()] if isinstance(template, Mapping) else template
    return set().union(*map(_places, parts)) if isinstance(parts, list | tuple) else set()


def test_lists_can_be_read(recorded: Recorded) -> None:
    """What operations list has an id, and reports have lines."""
    operations = recorded.provider.operations
    for resource in (operations.webhooks, operations.numbers, operations.campaigns):
        assert resource is None or "id" in resource.fields
    if isinstance(operations.report, Columns):
        assert operations.report.columns.keys() <= {"calls", "converted", "revenue", "payout", "cost"}
    elif operations.report is not None:
        assert "name" in operations.report.fields


# ── paging ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_are_all_read_and_end(recorded: Recorded, pages: File, golden: Golden) -> None:
    calls = recorded.provider.calls({**recorded.settings, "dialect": str(pages)})
    cursor, asked, records = calls.pages.first(), list[str](), list[Any]()
    answers = pages.answers()
    for number, answer in enumerate(answers, 1):
        assert cursor is not None, f"page {number} is never asked for"
        asked.append(json.dumps([cursor, calls.pages.params(cursor)]))
        found = calls.read(answer)
        records += found
        following = calls.pages.next(cursor, answer, len(found))
        assert following is not None or number == len(answers), f"page {number + 1} is never asked for"
        cursor = following or cursor
    assert answers, "record at least one page"
    assert following is None, "the last page does not end the slice"
    assert len(set(asked)) == len(asked), "a page is asked for twice"
    assert not any("://" in text or "somebodys-key" in text for text in asked), "a cursor holds a URL, or a key"
    golden(pages.expected, [outcome(recorded.provider.map_call, record, recorded.context) for record in records])


def test_an_account_can_ask_for_smaller_pages(recorded: Recorded) -> None:
    for calls in _dialects(recorded, page_size="7"):
        assert 7 in calls.pages.params(calls.pages.first()).values()


def test_requests_name_the_range_and_the_page(recorded: Recorded) -> None:
    for calls in _dialects(recorded):
        zone = recorded.context.zone
        request = calls.page(calls.pages.first(), WINDOW, zone)
        asked = request.params if calls.method == "GET" else request.json
        since, until = calls.filter.bounds(WINDOW, zone)
        assert (asked[calls.filter.since], asked[calls.filter.until]) == (since, until)
        assert since < until
        assert calls.filter.bounds(_later(WINDOW), zone) != (since, until)
        assert calls.pages.params(calls.pages.first()).items() <= asked.items()
        assert (request.method == "GET") == (request.json is None)
        assert PATH.fullmatch(request.path), "a place in the path was not filled in"


def _later(window: Window) -> Window:
    return Window(window.since + timedelta(days=1), window.until + timedelta(days=1))


def _dialects(recorded: Recorded, **values: str) -> list[Calls]:
    each = recorded.provider.dialects
    return [recorded.provider.calls({**recorded.settings, **values, "dialect": dialect}) for dialect in each]


@pytest.mark.parametrize("body", [b"{}", b"null", b'"hello"', b'{"error": "no"}', b"<html>", b"", b"[{"])
def test_what_is_no_page_is_never_an_empty_one(recorded: Recorded, body: bytes) -> None:
    for calls in _dialects(recorded):
        with pytest.raises(UnreadableAnswer):
            calls.read(Answer(200, {}, body))


# ── mapping ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_maps(recorded: Recorded, call_file: File, golden: Golden) -> None:
    golden(call_file.expected, outcome(recorded.provider.map_call, call_file.payload, recorded.context))


def test_a_delivery_maps(recorded: Recorded, delivery: File, golden: Golden) -> None:
    read = recorded.provider.webhook.map_delivery
    golden(delivery.expected, outcome(read, delivery.payload, delivery.event, recorded.context))


def test_mapping_is_repeatable_and_leaves_the_record_alone(recorded: Recorded) -> None:
    for raw in recorded.records():
        before, once = copy.deepcopy(raw), outcome(recorded.provider.map_call, raw, recorded.context)
        assert outcome(recorded.provider.map_call, raw, recorded.context) == once
        assert raw == before


def test_an_api_record_is_complete_and_kept_whole(recorded: Recorded) -> None:
    kept = [_mapped(recorded.provider.map_call, raw, recorded.context) for raw in recorded.records()]
    assert any(kept), "none of the recorded calls maps"
    assert all(record is None or record.complete for record in kept)
    assert all(record is None or record.raw == raw for record, raw in zip(kept, recorded.records(), strict=True))


def test_a_notice_says_nothing_besides(recorded: Recorded) -> None:
    """What a delivery leaves out stays as it is known: it is neither emptied, nor overwritten by "unknown"."""
    read, context = recorded.provider.webhook.map_delivery, recorded.context
    for delivery in recorded.deliveries():
        whole = _mapped(read, delivery.payload, delivery.event, context)
        if whole is not None and not whole.complete:
            record = _mapped(read, _only(whole.external_id, delivery.payload), delivery.event, context)
            assert record is not None, "a notice that has the call's id names a call"
            assert not record.emptied
            assert record.status is not Status.UNKNOWN, "a status that is not said is None"
            assert record.direction is not Direction.UNKNOWN, "a direction that is not said is None"


def _only(external_id: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with nothing in it but the call's id."""
    inner = {name: _only(external_id, value) for name, value in payload.items() if isinstance(value, dict)}
    return inner | {name: value for name, value in payload.items() if str(value) == external_id}


def test_unknown_fields_change_nothing(recorded: Recorded) -> None:
    for raw in recorded.records():
        read, context = recorded.provider.map_call, recorded.context
        assert outcome(read, raw | NEWS, context) == outcome(read, raw, context)


def test_an_unknown_status_survives(recorded: Recorded) -> None:
    """Whatever field says how the call went: a word nobody has heard of makes no exception, and no reject."""
    for raw in _sound(recorded):
        for name, value in raw.items():
            if isinstance(value, str) and name not in _ids(recorded, raw):
                record = _mapped(recorded.provider.map_call, raw | {name: "pending_review_v2"}, recorded.context)
                assert record is not None, f"an unheard-of word in {name!r} loses the call"
                assert isinstance(record.status, Status), name


def test_blanks_are_no_values(recorded: Recorded) -> None:
    for raw in _sound(recorded):
        for name in raw.keys() - _ids(recorded, raw):
            for blank in ("", " ", "null", "[token]"):
                record = _mapped(recorded.provider.map_call, raw | {name: blank}, recorded.context)
                assert record is None or blank not in _texts(record), f"{name}: {blank!r} is taken for a value"


def test_the_key_is_always_the_same(recorded: Recorded) -> None:
    """Two records with one id are one call, whatever else they say; without one there is no call."""
    for raw in _sound(recorded):
        names = _ids(recorded, raw)
        record = _mapped(recorded.provider.map_call, {name: raw[name] for name in names}, recorded.context)
        whole = _mapped(recorded.provider.map_call, raw, recorded.context)
        assert record is not None
        assert whole is not None
        assert record.external_id == whole.external_id


def test_junk_in_a_field_never_breaks_the_mapping(recorded: Recorded) -> None:
    for raw in _sound(recorded):
        for name in raw:
            for junk in JUNK:
                _check(_mapped(recorded.provider.map_call, raw | {name: junk}, recorded.context))


def test_junk_in_a_delivery_never_breaks_the_mapping(recorded: Recorded) -> None:
    for delivery in recorded.deliveries():
        payload, event = delivery.payload, delivery.event
        for name in payload:
            for junk in JUNK:
                _check(_mapped(recorded.provider.webhook.map_delivery, payload | {name: junk}, event, recorded.context))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None, database=None)
@given(
    raw=st.dictionaries(TEXT, st.none() | st.integers() | TEXT, max_size=3),
    event=TEXT,
)
def test_a_stranger_is_rejected_with_a_reason(recorded: Recorded, raw: dict[str, Any], event: str) -> None:
    with pytest.raises(RejectRecord):
        recorded.provider.map_call({f"other {name}": value for name, value in raw.items()}, Context())
    with pytest.raises((RejectRecord, NotACall)):
        recorded.provider.webhook.map_delivery(
            {f"other {name}": value for name, value in raw.items()}, event, Context()
        )


def _sound(recorded: Recorded) -> list[dict[str, Any]]:
    """The first and the last record that become calls."""
    sound = [raw for raw in recorded.records() if _mapped(recorded.provider.map_call, raw, recorded.context)]
    assert sound, "none of the recorded calls maps"
    return [sound[0], sound[-1]]


def _ids(recorded: Recorded, raw: dict[str, Any]) -> set[str]:
    """The fields that the call's id may be read from: those that hold it."""
    record = _mapped(recorded.provider.map_call, raw, recorded.context)
    return {name for name, value in raw.items() if record and str(value) == record.external_id}


def _mapped(read: Callable[..., CallRecord], *arguments: Any) -> CallRecord | None:
    try:
        return read(*arguments)
    except (RejectRecord, NotACall):
        return None


def _fields(record: CallRecord) -> dict[str, Any]:
    apart = {"raw", "metadata", "emptied"}
    return {each.name: getattr(record, each.name) for each in dataclasses.fields(record) if each.name not in apart}


def _texts(record: CallRecord) -> set[str]:
    values = [part for value in _fields(record).values() for part in (value if isinstance(value, list) else [value])]
    return {value for value in values if type(value) is str}


def _check(record: CallRecord | None) -> None:
    """Fail where the database could not hold it."""
    for name, value in _fields(record).items() if record else ():
        for part in value if isinstance(value, list) else [value]:
            if type(part) is str:
                assert re.fullmatch(r"\S|\S[^\0]{,3998}\S", part), name
        if isinstance(value, datetime):
            assert value.tzinfo is UTC, name
        if isinstance(value, Decimal):
            assert value == round(value, 6), name
            assert abs(value) < 10**12, name
        if type(value) is int:
            assert 0 <= value < 2**31, name
        assert name != "external_id" or len(value) <= 255


# ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_signature_made_elsewhere_holds(recorded: Recorded) -> None:
    """Made with openssl, say: that we can read what we have written ourselves proves little."""
    known = _known(recorded)
    if known is None:
        pytest.skip("the provider signs nothing: a secret shows who says it")
    signature = recorded.provider.webhook.signature
    assert signature.verify(Message(known["body"].encode(), known["headers"]), ["another", known["secret"]]) is True


def test_a_good_delivery_passes(recorded: Recorded) -> None:
    signature = recorded.provider.webhook.signature
    for message in _good(recorded):
        proved = signature.verify(message, ["another", SECRET])
        assert proved is signature.verify(message, [SECRET, "another"])
        assert proved is (not isinstance(signature, SharedSecret)), "a secret alone proves nothing that is said"


WRONG = ("body", "no proof", "empty proof", "cut proof", "secret", "no secret", "empty secret")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_delivery_is_refused(recorded: Recorded, wrong: str) -> None:
    signature = recorded.provider.webhook.signature
    secrets = {"secret": ["another"], "no secret": [], "empty secret": [""]}.get(wrong, [SECRET])
    for message in _good(recorded):
        signs_bodies = signature.verify(message, [SECRET])
        if wrong == "body" and not signs_bodies:
            assert signature.verify(_spoilt(message, wrong), secrets) is False
            continue
        with pytest.raises(BadSignature):
            signature.verify(_spoilt(message, wrong), secrets)


def test_a_secret_counts_only_where_the_account_expects_it(recorded: Recorded) -> None:
    for message in _good(recorded):
        for place in PLACES:
            if isinstance(recorded.provider.webhook.signature, SharedSecret) and place != message.place:
                with pytest.raises(BadSignature):
                    recorded.provider.webhook.signature.verify(dataclasses.replace(message, place=place), [SECRET])


def _known(recorded: Recorded) -> dict[str, Any] | None:
    """The delivery that was signed elsewhere; None where the provider signs nothing."""
    if isinstance(recorded.provider.webhook.signature, SharedSecret):
        return None
    assert (recorded.folder / "signature.json").exists(), "signature.json is missing: sign a body with openssl, say"
    return dict(recorded.json("signature.json"))


def _good(recorded: Recorded) -> list[Message]:
    """A delivery by every way in which this provider can show the secret."""
    signature, body = recorded.provider.webhook.signature, b'{"made": "up"}'
    messages = [Message(body, signature.sign(body, SECRET))]
    if isinstance(signature, SharedSecret) and any(one.name == "secret_in" for one in recorded.provider.settings):
        messages.append(Message(body, {}, step=SECRET, place="path"))
        messages.append(Message(body, {}, query=urlencode({signature.param: SECRET}).encode(), place="query"))
    return messages


def _spoilt(message: Message, wrong: str) -> Message:
    if wrong == "body":
        return dataclasses.replace(message, body=message.body + b" ")
    spoil: dict[str, Callable[[str], str]] = {"empty proof": lambda _: "", "cut proof": lambda proof: proof[:-1]}
    if wrong == "no proof":
        return dataclasses.replace(message, headers={}, step="", query=b"")
    if wrong not in spoil:
        return message
    headers = {name: spoil[wrong](proof) for name, proof in dict(message.headers).items()}  # type: ignore[call-overload]
    query = urlencode({name: spoil[wrong](SECRET) for name in _names(message.query)}).encode()
    return dataclasses.replace(message, headers=headers, step=spoil[wrong](message.step), query=query)


def _names(query: bytes) -> list[str]:
    return [pair.partition("=")[0] for pair in query.decode().split("&") if pair]
