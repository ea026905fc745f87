"""The bad habits of real providers, as switches with a dial."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any


def habit(usual: float, about: str, always: float = 0.0, providers: str = "") -> Any:
    """A row of the table: off unless switched on; `usual` is how strong when no strength is named.

    `providers` that have it, by name with blanks between them; none: all have it.
    """
    return field(default=always, metadata={"usual": usual, "about": about, "providers": tuple(providers.split())})


@dataclass(frozen=True, kw_only=True)
class Habits:
    """Which bad habits a stand-in has, and how strong. 0 is off; a share is out of 1.

    The ones about the world are settled when the simulator is made, those about records when they are first read; the
    others may be changed at any time.
    """

    # ── when calls happen: the world ──
    plateau: float = habit(50, "calls in a row that share one time of creation and one of change")
    dst: float = habit(
        0.5, "share of calls that crowd around the hour that came twice when the zone's clocks last went back"
    )
    clock_skew: float = habit(120, "seconds that the provider's clock is ahead (-120: behind): its Date, all it tells")

    # ── what records look like ──
    numbers_as_strings: float = habit(
        0.2, "share of records whose numbers come as strings (Convoso, all strings anyway: as numbers)"
    )
    mixed_money: float = habit(
        0.2,
        'share of records whose money is now a float, now a whole number, now "12.50", now ""',
        providers="retreaver trackdrive ringba",
    )
    blank_ids: float = habit(
        0.002, 'further records, as a share, whose id is null, "", "null", an unexpanded [token], or not there'
    )
    odd_records: float = habit(0.002, "further records, as a share, that are null, a text or an empty object")
    schema_drift: float = habit(
        0.2, "share of calls whose records have new fields, an object where text was and an unheard-of status"
    )
    live_calls: float = habit(
        0.3, "share of recent calls that are told as still going on when first listed", providers="ringba"
    )

    # ── what changes while you read ──
    late_changes: float = habit(
        0.05, "share of calls that change (conversion, revenue, disposition) after they were first listed"
    )
    late_calls: float = habit(0.02, "share of calls that the list shows too late, at their place in the past")
    late_after: float = habit(20.0, "seconds until such a late thing happens", always=20.0)
    page_shift: float = habit(1.0, "new calls per list request, which push everything down while you read")
    subscription_lost: float = habit(
        1.0,
        "share of registered subscriptions that are silently disabled, or gone, `late_after` later",
        providers="trackdrive ringba",
    )

    # ── paging ──
    duplicates_across_pages: float = habit(1.0, "records at the end of a page that come again at the start of the next")
    endless_next: float = habit(1.0, "there is always a next page: the last one, again")
    repeated_cursor: float = habit(
        1.0, "from page 2 on the next link or cursor names the page just read", providers="retreaver trackdrive"
    )
    other_host_link: float = habit(
        1.0, "the next link leads to another host, where visits are counted", providers="retreaver"
    )
    expiring_cursor: float = habit(
        30.0, "seconds after which a cursor is refused with 410: begin anew", providers="trackdrive"
    )
    capped_offset: float = habit(
        1000, "the greatest offset, beyond which there is an error; Convoso's own is 40000", providers="convoso ringba"
    )
    partial_result: float = habit(
        24.0, "hours; of a longer window a third is missing, and `partialResult` says so", providers="ringba"
    )

    # ── limits and faults ──
    rate_limit: float = habit(
        1.0,
        "429 beyond the usual limit: Retreaver 100/minute, Convoso 10/second, TrackDrive 60/minute, Ringba 5/second "
        "and 80/minute",
    )
    silent_429: float = habit(0.5, "share of the 429 answers that carry no Retry-After")
    retry_after_date: float = habit(1.0, "share of the Retry-After headers that are a date instead of seconds")
    limit_in_body: float = habit(
        1.0, "beyond the limit it is status 200 with `isRateLimited` in the body", providers="ringba"
    )
    errors_as_200: float = habit(1.0, "errors come as status 200 with the fault in the body")
    server_errors: float = habit(0.05, "share of requests answered with 500, 502 or 503")
    html_answers: float = habit(0.05, "share of requests answered with an HTML page and status 200 or 502")
    cut_json: float = habit(0.05, "share of answers that are cut off, yet of the length they promise")
    cut_connections: float = habit(0.05, "share of answers during which the connection breaks")
    hangs: float = habit(0.02, "share of requests that get no answer at all")
    hang_seconds: float = habit(60.0, "seconds until a hanging connection closes", always=60.0)

    def of(self, provider: str) -> Habits:
        """Those that this provider has; the others are off."""
        others = {name: DEFAULTS[name] for name, names in PROVIDERS_OF.items() if names and provider not in names}
        return replace(self, **others)

    @classmethod
    def parse(cls, text: str) -> Habits:
        """`"late_changes, blank_ids=0.1, faults"`: names from the table, with a strength or as usual."""
        habits = cls()
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, _, strength = part.partition("=")
            habits = replace(habits, **_switched_on(name.strip(), strength.strip()))
        return habits


USUAL: dict[str, float] = {row.name: row.metadata["usual"] for row in fields(Habits)}
DEFAULTS: dict[str, float] = {row.name: float(str(row.default)) for row in fields(Habits)}
#: habit → the providers that have it; none: all
PROVIDERS_OF: dict[str, tuple[str, ...]] = {row.name: row.metadata["providers"] for row in fields(Habits)}
ABOUT: dict[str, str] = {
    name: row.metadata["about"] + (f" ({', '.join(PROVIDERS_OF[name])})" if PROVIDERS_OF[name] else "")
    for row in fields(Habits)
    for name in (row.name,)
}

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
