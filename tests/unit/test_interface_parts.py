"""What the interface makes of what people write, and of what providers tell, without asking anybody."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from calltrack import registry
from calltrack.client.answer import Answer
from calltrack.client.ask import Ask
from calltrack.errors import FixConfiguration, SliceTooLarge
from calltrack.interface import matrix, written
from calltrack.interface.door import door
from calltrack.interface.plain import masked, plain
from calltrack.model import CallRecord, Status
from calltrack.operations import Columns, Figures, Operations, Rows, TrackingNumber, rfc3339, spaced

ROOT = Path(__file__).parents[2]
BUILT_IN = ("convoso", "retreaver", "ringba", "trackdrive")


# ── amounts and flags ──


@pytest.mark.parametrize("text", ["12.10", "100", "0", "0.000001", "-7.50", "123456789012.123456", "+1"])
def test_an_amount_keeps_its_digits(text):
    assert str(written.amount("revenue", text)) == text.lstrip("+")
    assert written.amount("revenue", Decimal(text)) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["", "much", "1e3", "1,50", ".5", "0.0000001", "1234567890123", "NaN", True, None, "١"]
)
def test_what_is_no_amount(text):
    with pytest.raises(FixConfiguration, match=r"write a number with at most 6 decimals, as 12\.50"):
        written.amount("revenue", text)


def test_a_flag_is_a_word():
    assert [written.flag("converted", word) for word in ("yes", "no", True, "false")] == [True, False, True, False]
    with pytest.raises(FixConfiguration, match="yes or no"):
        written.flag("converted", "perhaps")


def test_a_request_takes_what_it_has_a_place_for():
    ask = Ask("POST", "/{account}/numbers", json={"number": [{"area": "{area_code}"}]}, form={"x": "{campaign}"})
    written.takes(ask, {"area_code": "1", "campaign": "2", "publisher": None}, "Acme")
    with pytest.raises(FixConfiguration, match="Acme takes no publisher here"):
        written.takes(ask, {"area_code": "1", "publisher": "2"}, "Acme")


# ── results ──


def test_results_are_plain_json():
    call = CallRecord(
        external_id="c1",
        status=Status.COMPLETED,
        started_at=datetime(2026, 3, 1, 14, tzinfo=UTC),
        revenue=Decimal("12.100000"),
        metadata={"cost": Decimal("0.0315"), "tags": ["a"]},
        raw={"secret": "x"},
    )
    told = orjson.loads(orjson.dumps(plain(call)))
    assert {name: value for name, value in told.items() if value is not None} == {
        "external_id": "c1",
        "status": "completed",
        "started_at": "2026-03-01T14:00:00+00:00",
        "revenue": "12.10",
        "metadata": {"cost": "0.0315", "tags": ["a"]},
    }
    assert plain([Figures("x", 1, revenue=Decimal(100))])[0]["revenue"] == "100.00"
    assert "raw" not in plain(TrackingNumber(id="1", number="+1", raw={"a": 1}))


@dataclass
class Somebody:
    """An account, as far as its door goes."""

    provider: str = "ringba"
    name: str = "east"
    webhook_secrets: tuple[str, ...] = ("hush hush", "older")
    settings: dict[str, str] | None = None
    label: str = "ringba/east"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.com/webhooks/ringba/east/hush%20hush", "https://h.com/webhooks/ringba/east/…"),
        ("https://h.com/webhooks/ringba/east/a-secret-of-yesterday?x=1", "https://h.com/webhooks/ringba/east/…?…"),
        ("https://h.com/webhooks/ringba/east?secret=hush+hush", "https://h.com/webhooks/ringba/east?…"),
        ("https://other.com/hook/older/x?-key=1", "https://other.com/hook/…/x?…"),
        ("https://me:pw@other.com/hook", "https://me:…@other.com/hook"),
        ("https://other.com/hook", "https://other.com/hook"),
    ],
)
def test_urls_are_shown_without_secrets(url, shown):
    assert masked(url, Somebody()) == shown


# ── doors ──


def test_a_registered_url_has_the_secret_and_the_tokens_that_the_door_wants():
    provider = registry.get("ringba")
    tokens = "inboundCallId=[Call:InboundCallId]&event=Completed"
    query = Somebody(settings={"secret_in": "query"})
    path = Somebody(settings={"secret_in": "path"}, webhook_secrets=("s1", "s2"))
    home = "https://h.com/base/webhooks/ringba/east"
    assert door(query, provider, "https://h.com/base/", "Completed") == f"{home}?secret=hush+hush&{tokens}"
    assert door(path, provider, "https://h.com/base", "Completed") == f"{home}/s1?{tokens}"
    with pytest.raises(FixConfiguration, match="calltrack accounts update ringba/east --set secret_in=path"):
        door(Somebody(settings={}), provider, "https://h.com", "Completed")


def test_where_the_provider_signs_the_url_has_no_secret():
    account = Somebody(provider="convoso", settings={})
    assert door(account, registry.get("convoso"), "https://h.com", "x") == "https://h.com/webhooks/convoso/east"


@pytest.mark.parametrize(
    "base", ["h.com", "ftp://h.com", "https://me:pw@h.com", "https://h.com/?a=b", "https://h.com#x"]
)
def test_a_base_is_a_place_and_nothing_else(base):
    with pytest.raises(FixConfiguration, match="is no place of a receiver"):
        door(Somebody(settings={}), registry.get("convoso"), base, "x")


# ── reports ──


def test_a_report_is_asked_for_in_the_provider_s_way_to_write_times():
    moment = datetime.fromisoformat("2026-03-01T09:00:00.5-05:00")
    assert (rfc3339(moment), spaced(moment)) == ("2026-03-01T14:00:00Z", "2026-03-01 14:00:00 +0000")
    assert registry.get("trackdrive").operations.report.when is spaced


def test_a_report_that_was_cut_off_is_no_report():
    rows = Rows(Ask("GET", "/", found="data"), ("day", "n"), total="total")
    answer = Answer(200, {}, b'{"total": 2, "data": [{"day": "2026-03-01", "n": 7}]}')
    with pytest.raises(SliceTooLarge, match="ask for a shorter range"):
        list(rows.figures({"": answer}))
    assert [line.calls for line in replace(rows, total="").figures({"": answer})] == [7]


def test_a_report_by_columns_is_one():
    columns = Columns({"calls": Ask("GET", "/", found="stats"), "revenue": Ask("GET", "/", found="stats")})
    calls, revenue = Answer(200, {}, b'{"stats": {"b": 2, "a": 1}}'), Answer(200, {}, b'{"stats": [["b", 12.10]]}')
    lines = list(columns.figures({"calls": calls, "revenue": revenue}))
    assert lines == [Figures("a", 1), Figures("b", 2, revenue=Decimal("12.1"))]


# ── the matrix ──


def test_the_matrix_is_read_off_the_declarations():
    bare = SimpleNamespace(title="Bare", dialects=registry.get("convoso").dialects, operations=Operations())
    head, *rows = matrix.rows([registry.get("trackdrive"), bare])
    assert head == ["Operation", "TrackDrive", "Bare"]
    offered = {row[0]: row[1:] for row in rows}
    assert offered["Provision numbers"] == offered["Change a call: add to its payout"] == ["yes", "—"]
    assert offered["Get one call"] == ["yes", "yes"]


@pytest.mark.parametrize("page", ["README.md", "docs/interface.md"])
def test_pages_have_the_matrix_as_it_is(page):
    """`calltrack providers --markdown` prints what belongs there."""
    _, _, rest = (ROOT / page).read_text().partition("<!-- support matrix -->")
    told, _, _ = rest.partition("<!-- /support matrix -->")
    assert told.strip() == matrix.markdown([registry.get(name) for name in BUILT_IN])


def test_every_operation_of_the_interface_is_in_the_matrix():
    """A field of `Operations` that no row reads would be offered and not told."""
    dialects, nothing = registry.get("convoso").dialects, Operations()
    bare = SimpleNamespace(title="x", dialects=dialects, operations=nothing)
    for name in {field.name for field in fields(Operations)} - {"update", "tokens"}:
        able = SimpleNamespace(title="y", dialects=dialects, operations=replace(nothing, **{name: object()}))
        assert sum(row[1] != row[2] for row in matrix.rows([bare, able])[1:]) == 1, name
