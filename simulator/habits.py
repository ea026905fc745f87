"""The bad habits of real providers, as switches with a dial."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any


def habit(usual: float, about: str, always: float = 0.0) -> Any:
    """A row of the table: off unless switched on; `usual` is how strong when no strength is named."""
    return field(default=always, metadata={"usual": usual, "about": about})


@dataclass(frozen=True, kw_only=True)
class Habits:
    """Which bad habits a stand-in has, and how strong. 0 is off; a share is out of 1.

    The ones about records are settled when they are first read; the others may be changed at any time.
    """

    # ── what records look like ──
    numbers_as_strings: float = habit(
        0.2, "share of records whose numbers come as strings (Convoso, all strings anyway: as numbers)"
    )
    mixed_money: float = habit(
        0.2, 'share of records whose money is now a float, now a whole number, now "12.50", now ""'
    )
    blank_ids: float = habit(
        0.002, 'further records, as a share, whose id is null, "", "null", an unexpanded [token], or not there'
    )
    odd_records: float = habit(0.002, "further records, as a share, that are null, a text or an empty object")

    # ── what changes while you read ──
    late_changes: float = habit(
        0.05, "share of calls that change (conversion, revenue, disposition) after they were first listed"
    )
    late_calls: float = habit(0.02, "share of calls that the list shows too late, at their place in the past")
    late_after: float = habit(20.0, "seconds until such a late thing happens", always=20.0)
    page_shift: float = habit(1.0, "new calls per list request, which push everything down while you read")

    # ── paging ──
    duplicates_across_pages: float = habit(1.0, "records at the end of a page that come again at the start of the next")
    endless_next: float = habit(1.0, "there is always a next page: the last one, again")
    repeated_cursor: float = habit(1.0, "from page 2 on the next link names the page just read (Retreaver)")
    other_host_link: float = habit(1.0, "the next link leads to another host, where visits are counted (Retreaver)")

    # ── limits and faults ──
    rate_limit: float = habit(1.0, "429 beyond the usual limit: Retreaver 100/minute, Convoso 10/second")
    silent_429: float = habit(0.5, "share of the 429 answers that carry no Retry-After")
    errors_as_200: float = habit(1.0, "errors come as status 200 with the fault in the body")
    server_errors: float = habit(0.05, "share of requests answered with 500, 502 or 503")
    html_answers: float = habit(0.05, "share of requests answered with an HTML page and status 200 or 502")
    cut_json: float = habit(0.05, "share of answers that are cut off, yet of the length they promise")
    cut_connections: float = habit(0.05, "share of answers during which the connection breaks")
    hangs: float = habit(0.02, "share of requests that get no answer at all")
    hang_seconds: float = habit(60.0, "seconds until a hanging connection closes", always=60.0)

    @classmethod
    def parse(cls, text: str) -> Habits:
        """`"late_changes, blank_ids=0.1, faults"`: names from the table, with a strength or as usual."""
        habits = cls()
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, _, strength = part.partition("=")
            habits = replace(habits, **_switched_on(name.strip(), strength.strip()))
        return habits


USUAL: dict[str, float] = {row.name: row.metadata["usual"] for row in fields(Habits)}
ABOUT: dict[str, str] = {row.name: row.metadata["about"] for row in fields(Habits)}

FAULTS = ("server_errors", "html_answers", "cut_json", "cut_connections", "hangs")

#: what a newcomer should see at work: all of it is survived by a correct sync
DEMO = Habits(late_changes=0.05, numbers_as_strings=0.2, mixed_money=0.2, blank_ids=0.002)

GROUPS: dict[str, dict[str, float]] = {
    "none": {},
    "demo": {name: getattr(DEMO, name) for name in ("late_changes", "numbers_as_strings", "mixed_money", "blank_ids")},
    "faults": {name: USUAL[name] for name in FAULTS},
}


def _switched_on(name: str, strength: str) -> dict[str, float]:
    if name in GROUPS and not strength:
        return GROUPS[name]
    names = FAULTS if name == "faults" else (name,)
    if not set(names) <= set(USUAL):
        raise ValueError(f"There is no habit {name!r}: `calltrack simulate --habits list` shows them all.")
    return {each: _strength(name, strength) / len(names) if strength else USUAL[each] for each in names}


def _strength(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"The strength of a habit is a number, as in {name}=0.1, not {text!r}.") from None
