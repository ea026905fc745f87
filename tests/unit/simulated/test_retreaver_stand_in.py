from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from asking import Start, get, id_of, records

from simulator import Simulator

LIST = "/api/v2/calls.json"


def walk(sim: Simulator, **params: object) -> list[str]:
    """The ids, page by page, as the Link header leads."""
    ids, page = [], "1"
    while page:
        answer = get(sim, "retreaver", LIST, per_page=100, page=page, **params)
        ids += [id_of(record) for record in records("retreaver", answer)]
        following = answer.links.get("next")
        page = parse_qs(urlsplit(following["url"]).query)["page"][0] if following else ""
    return ids


def test_the_pages_hold_every_call_once_newest_first(start: Start) -> None:
    sim = start(records=250)
    assert walk(sim) == sim.provider("retreaver").ids()[::-1]


def test_ascending_on_request(start: Start) -> None:
    sim = start(records=120)
    assert walk(sim, order="asc") == sim.provider("retreaver").ids()


def test_the_link_header_is_the_official_one(start: Start) -> None:
    sim = start(records=250)
    link = get(sim, "retreaver", LIST, per_page=100).headers["Link"]
    last, following = link.split(", ")
    assert last.endswith('rel="last"')
    assert following.endswith('rel="next"')
    for part, page in ((last, "3"), (following, "2")):
        url = urlsplit(part[1 : part.index(">")])
        assert (url.scheme, url.netloc, url.path) == ("https", "api.retreaver.com", LIST)
        query = parse_qs(url.query)
        assert query["page"] == [page]
        assert query["api_key"] == [sim.credentials("retreaver")["api_key"]]
        assert query["per_page"] == ["100"]


def test_the_last_page_links_nowhere(start: Start) -> None:
    sim = start(records=100)
    assert "Link" in get(sim, "retreaver", LIST, per_page=50, page=1).headers
    assert "Link" not in get(sim, "retreaver", LIST, per_page=50, page=2).headers


@pytest.mark.parametrize(("asked", "given"), [(None, 25), ("10", 10), ("100", 100), ("1000", 100)])
def test_page_sizes(start: Start, asked: str | None, given: int) -> None:
    answer = get(start(records=150), "retreaver", LIST, **({"per_page": asked} if asked else {}))
    assert len(answer.json()) == given


def test_created_at_filters_both_ends_included(start: Start) -> None:
    sim = start(records=60)
    all_calls = records("retreaver", get(sim, "retreaver", LIST, per_page=100, order="asc"))
    first, last = all_calls[10], all_calls[20]
    found = get(
        sim, "retreaver", LIST, created_at_start=first["created_at"], created_at_end=last["created_at"], order="asc"
    )
    assert records("retreaver", found) == all_calls[10:21]


@pytest.mark.parametrize("moment", ["yesterday", "2026-03-01T00:00:00", "2026-03-01T00:00:00 00:00"])
def test_a_time_that_says_too_little_is_refused(start: Start, moment: str) -> None:
    assert get(start(records=5), "retreaver", LIST, created_at_start=moment).status_code == 400


def test_sorted_by_change_it_is_always_newest_first(start: Start) -> None:
    sim = start(records=100)
    answer = get(sim, "retreaver", LIST, per_page=100, sort_by="updated_at", order="asc")
    changes = [record["updated_at"] for record in records("retreaver", answer)]
    assert changes == sorted(changes, reverse=True)


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"api_key": "wrong"}, 401),
        ({"api_key": ""}, 401),
        ({"api_key": "sim-retreaver-agency-key"}, 403),
        ({"api_key": "sim-retreaver-agency-key", "company_id": "2"}, 200),
        ({"api_key": "sim-retreaver-key"}, 200),
        ({"api_key": "sim-retreaver-key", "company_id": "3"}, 403),
    ],
)
def test_who_may_ask(start: Start, params: dict[str, str], status: int) -> None:
    sim = start(records=5)
    assert requests.get(sim.url("retreaver") + LIST, params=params, timeout=10).status_code == status


def test_one_call(start: Start) -> None:
    sim = start(records=5)
    call_id = sim.provider("retreaver").ids()[3]
    assert get(sim, "retreaver", f"/api/v2/calls/{call_id}.json").json()["call"]["uuid"] == call_id
    assert get(sim, "retreaver", "/api/v2/calls/nobody.json").status_code == 404
    assert sim.stats["retreaver"].paths == {"/api/v2/calls/{uuid}.json": 2}


def test_the_shapes_of_the_versions(start: Start) -> None:
    sim = start(records=1)
    v1, v2, v3, v4 = (get(sim, "retreaver", f"/api/v{n}/calls.json").json()[0]["call"] for n in (1, 2, 3, 4))
    assert v1["start_time"] == f"{v2['start_time'][:19]}Z"
    assert "number" not in v1
    assert v3["number"] == {"number": v2["number"], "name": v3["number"]["name"]}
    assert v4["campaign"] == {"id": str(v2["campaign_id"]), "name": v2["campaign_name"]}
    assert "campaign_id" not in v4


def test_types_are_as_published(start: Start) -> None:
    calls = records("retreaver", get(start(records=100), "retreaver", LIST, per_page=100))
    assert {type(call["revenue"]) for call in calls} == {float, type(None)}
    assert {type(call[key]) for call in calls for key in ("charge_total", "total_cost", "profit_gross")} == {str}
    assert {type(call["total_duration"]) for call in calls} == {int}
    missed = [call for call in calls if call["forwarded_time"] is None]
    assert missed
    assert not any("recording_url" in call for call in missed)
    assert {"caller_zip" in call for call in calls} == {True, False}
