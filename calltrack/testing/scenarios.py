"""How each bad habit of the simulator is brought out within seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: as much as anybody could ask for
PLENTY = "10000/second"


@dataclass(frozen=True)
class Scenario:
    """A small world in which the habit shows. By default all calls began within the hour, on a dozen pages."""

    #: with strengths, as `Habits.parse` reads it; "": the habit as it usually is
    habits: str = ""
    records: int = 90
    days: float = 0.025
    page_size: int = 10
    #: further settings of the account
    settings: Mapping[str, str] = field(default_factory=dict)
    #: what the stand-in lets through, "": everything
    limit: str = ""
    #: what the account takes for its limit
    budget: str = PLENTY
    #: no request may go beyond the limit
    kept: bool = False
    #: seconds that the world's clock, which stands still, is behind ours at first
    behind: float = 600.0


def _limited(habits: str) -> Scenario:
    """Many requests at a provider that allows few, by an account that does not know it."""
    return Scenario(habits, limit="5/second")


SCENARIOS: Mapping[str, Scenario] = {
    # Where offsets are capped, slices are cut in the middle of the crowd.
    "plateau": Scenario("plateau=25, capped_offset=40"),
    "dst": Scenario("dst=0.9, capped_offset=60"),
    "late_changes": Scenario("late_changes=0.3"),
    "late_calls": Scenario("late_calls=0.2"),
    "blank_ids": Scenario("blank_ids=0.05"),
    "odd_records": Scenario("odd_records=0.05"),
    # Nobody can make a provider show a header with a secret.
    "subscription_lost": Scenario(settings={"secret_in": "path"}),
    "duplicates_across_pages": Scenario("duplicates_across_pages=3"),
    "capped_offset": Scenario("capped_offset=30"),
    # As long ago, ranges are cut into longer ones than that.
    "partial_result": Scenario("partial_result=4380", days=1200.0),
    # The calls that come while time passes there have begun in a few seconds from now.
    "clock_skew": Scenario("clock_skew=33", behind=87.0),
    # the limit is known and kept, and found out where it is not
    "rate_limit": Scenario("rate_limit", limit="20/second", budget="20/second", kept=True),
    "silent_429": _limited("rate_limit, silent_429=1"),
    "retry_after_date": _limited("rate_limit, retry_after_date=1"),
    "limit_in_body": _limited("rate_limit, limit_in_body"),
    "errors_as_200": Scenario("errors_as_200, server_errors=0.3"),
    "server_errors": Scenario("server_errors=0.3"),
    "html_answers": Scenario("html_answers=0.3"),
    "cut_json": Scenario("cut_json=0.3"),
    "cut_connections": Scenario("cut_connections=0.3"),
    "hangs": Scenario("hangs=0.1, hang_seconds=2"),
}

#: habits that no reading gets past: it must stop with this reason, and goes on once they are gone
STOPS: Mapping[str, str] = {"endless_next": "endless_pages", "repeated_cursor": "endless_pages"}
