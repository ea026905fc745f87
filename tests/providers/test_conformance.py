"""What every provider must do, by existing: its folder is found, its fixtures are read, nothing is written for it."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calltrack.client.answer import Answer
from calltrack.client.windows import Window
from calltrack.errors import BadSignature, NotACall, RejectRecord, UnreadableAnswer
from calltrack.model import CallRecord
from calltrack.provider import Context
from calltrack.signatures import Message

#: with digits of other scripts, blanks of all kinds, NUL and what lies beyond 16 bits. Not all of Unicode: making
#: up its tables takes longer than all other tests
TEXT = st.text("aZ09 .,:+-[]'\"\t\n\x00é٣\u00a0\u2028\u200b\u0663½²中😀", max_size=9)

DOCS = Path(__file__).parents[2] / "docs" / "providers"
#: what stands in a field when the vendor has a bad day
JUNK = (None, "", " ", "null", "[call_uuid]", "\x00", "x" * 5000, "-1", -1, True, 1e300, 10**18, "NaN", [], {}, [[]])


# ── the declaration ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_form_is_filled_in(recorded):
    provider = recorded.provider
    assert re.fullmatch(r"[a-z][a-z0-9]*", provider.name)
    assert re.fullmatch(r"https://.*[^/]", provider.api_url)
    assert all(re.fullmatch(r"\d+/(second|minute|hour|day)", limit) for limit in provider.rate_limits)
    assert provider.rate_limits
    assert all(re.fullmatch(r"/.*[^/]", calls.path) for calls in provider.dialects.values())
    assert all(re.fullmatch(r"/.*[^/]", path) for path in provider.webhook.paths)


def test_the_default_dialect_is_recorded(recorded):
    assert next(iter(recorded.provider.dialects)) in map(str, recorded.dialects())


def test_settings_pass_their_own_checks(recorded):
    declared = recorded.provider.settings
    values = {setting.name: setting.default for setting in declared if setting.default} | recorded.settings
    assert {setting.name for setting in declared if setting.required} <= values.keys()
    assert values.keys() <= {setting.name for setting in declared}
    for setting in declared:
        if setting.check is not None and setting.name in values:
            setting.check(values[setting.name])


def test_a_check_says_what_to_write(recorded):
    for setting in recorded.provider.settings:
        if setting.check is not None:
            with pytest.raises(ValueError, match="write"):
                setting.check("neither this = nor that")


def test_environment_variables_set_something_known(recorded):
    provider = recorded.provider
    names = {setting.name for setting in provider.settings}
    common = {"api_url", "webhook_secret", "enabled", "max_retries", "retry_delay"}
    assert set(provider.environment.values()) <= names | common
    assert {setting.name for setting in provider.settings if setting.required} <= set(provider.environment.values())
    assert all(variable.startswith(f"{provider.name.upper()}_") for variable in provider.environment)


def test_credentials_reach_the_request(recorded):
    params, headers = {}, {}
    recorded.provider.auth.apply(recorded.settings, params, headers)
    sent = " ".join([*params.values(), *headers.values()])
    assert all(recorded.settings[setting.name] in sent for setting in recorded.provider.settings if setting.secret)


def test_docs_name_every_setting_and_variable(recorded):
    page = (DOCS / f"{recorded}.md").read_text()
    assert all(f"`{setting.name}`" in page for setting in recorded.provider.settings)
    assert all(f"`{variable}`" in page for variable in recorded.provider.environment)


# ── paging ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_are_all_read_and_end(recorded, pages, golden, outcome):
    calls = recorded.provider.calls({"dialect": str(pages)})
    cursor, asked, records = calls.pages.first(), [], []
    for answer in pages.answers():
        assert cursor is not None, f"page {len(asked) + 1} is never asked for"
        asked.append(json.dumps([cursor, calls.pages.params(cursor)]))
        found = calls.read(answer)
        records += found
        cursor = calls.pages.next(cursor, answer, len(found))
    assert cursor is None, "the last page does not end the slice"
    assert len(set(asked)) == len(asked), "a page is asked for twice"
    assert not any("://" in text or "somebodys-key" in text for text in asked)
    golden(pages.expected, [outcome(recorded.provider.map_call, record, recorded.context) for record in records])


def test_an_account_can_ask_for_smaller_pages(recorded):
    for dialect in recorded.provider.dialects:
        pages = recorded.provider.calls({"dialect": dialect, "page_size": "7"}).pages
        assert 7 in pages.params(pages.first()).values()


def test_requests_name_the_range(recorded):
    window = Window(datetime(2026, 3, 1, 14, tzinfo=UTC), datetime(2026, 3, 2, 14, tzinfo=UTC))
    for calls in recorded.provider.dialects.values():
        page = calls.page(calls.pages.first(), window, recorded.context.zone)
        params = page.params or page.json
        assert params[calls.filter.since].startswith("2026-03-01")
        assert params[calls.filter.until].startswith("2026-03-02")


@pytest.mark.parametrize("body", [b"{}", b"null", b'"hello"', b'{"error": "no"}', b"<html>", b"", b"[{"])
def test_what_is_no_page_is_never_an_empty_one(recorded, body):
    for calls in recorded.provider.dialects.values():
        with pytest.raises(UnreadableAnswer):
            calls.read(Answer(200, {}, body))


# ── mapping ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_maps(recorded, call_file, golden, outcome):
    golden(call_file.expected, outcome(recorded.provider.map_call, call_file.payload, recorded.context))


def test_a_delivery_maps(recorded, delivery, golden, outcome):
    read = recorded.provider.webhook.map_delivery
    golden(delivery.expected, outcome(read, delivery.payload, delivery.event, recorded.context))


def test_mapping_is_repeatable_and_leaves_the_record_alone(recorded, outcome):
    for raw in recorded.records():
        before, once = copy.deepcopy(raw), outcome(recorded.provider.map_call, raw, recorded.context)
        assert outcome(recorded.provider.map_call, raw, recorded.context) == once
        assert raw == before


def test_an_api_record_is_complete_and_kept_whole(recorded):
    kept = [_mapped(recorded.provider.map_call, raw, recorded.context) for raw in recorded.records()]
    assert any(kept)
    assert all(record is None or record.complete for record in kept)
    assert all(record is None or record.raw == raw for record, raw in zip(kept, recorded.records(), strict=True))


def test_junk_in_a_field_never_breaks_the_mapping(recorded):
    sound = [raw for raw in recorded.records() if _mapped(recorded.provider.map_call, raw, recorded.context)]
    for raw in (sound[0], sound[-1]):
        for name in raw:
            for junk in JUNK:
                _check(_mapped(recorded.provider.map_call, raw | {name: junk}, recorded.context))


def test_junk_in_a_delivery_never_breaks_the_mapping(recorded):
    for delivery in recorded.deliveries():
        payload, event = delivery.payload, delivery.event
        for name in payload:
            for junk in JUNK:
                _check(_mapped(recorded.provider.webhook.map_delivery, payload | {name: junk}, event, recorded.context))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    raw=st.dictionaries(TEXT, st.none() | st.integers() | TEXT, max_size=3),
    event=TEXT,
)
def test_a_stranger_is_rejected_with_a_reason(recorded, raw, event):
    with pytest.raises(RejectRecord):
        recorded.provider.map_call({f"other {name}": value for name, value in raw.items()}, Context())
    with pytest.raises((RejectRecord, NotACall)):
        recorded.provider.webhook.map_delivery(
            {f"other {name}": value for name, value in raw.items()}, event, Context()
        )


def _mapped(read, *arguments) -> CallRecord | None:
    try:
        return read(*arguments)
    except (RejectRecord, NotACall):
        return None


def _check(record: CallRecord | None) -> None:
    """Fail where the database could not hold it."""
    for name in CallRecord.__dataclass_fields__.keys() - {"raw", "metadata", "emptied"} if record else ():
        value = getattr(record, name)
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


def test_a_signature_made_elsewhere_holds(recorded):
    known = recorded.json("signature.json")
    signature = recorded.provider.webhook.signature
    signature.verify(Message(known["body"].encode(), known["headers"]), ["another", known["secret"]])


@pytest.mark.parametrize("wrong", ["body", "no header", "empty header", "cut header", "secret", "no secret"])
def test_a_wrong_delivery_is_refused(recorded, wrong):
    known = recorded.json("signature.json")
    body, ((header, proof),), secrets = known["body"].encode(), known["headers"].items(), [known["secret"]]
    body = body + b" " if wrong == "body" else body
    headers = {"no header": {}, "empty header": {header: ""}, "cut header": {header: proof[:-1]}}
    secrets = {"secret": ["another"], "no secret": []}.get(wrong, secrets)
    with pytest.raises(BadSignature):
        recorded.provider.webhook.signature.verify(Message(body, headers.get(wrong, {header: proof})), secrets)
