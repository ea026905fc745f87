"""Provider × habit: what was survived, as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SURVIVED = "survived"
FAILED = "**failed**"
NOT_TRIED = "not tried"
NONE = "—"

HEAD = """\
# Bad habits that are survived

Written by `make conformance`. For each cell a stand-in of the provider, a real HTTP server, has that one habit. An
account is synced whole and then incrementally, into a real Postgres; in the end every call of the provider must be
there once, as it is there now, and nothing else. A habit that makes reading endless may stop the run, with a reason,
and the next run finds all. "—": the provider does not have the habit.

Besides, every provider passes the suite of `calltrack/testing/suite/`: recorded pages are all read and end; records
and deliveries map to golden files, always to the same key; blanks, junk, unknown fields and words lose no call; a good
delivery passes, and one with a wrong body, proof or secret is refused; templates of requests name only what there is.
"""


def page(
    outcomes: Mapping[tuple[str, str], bool],
    habits: Sequence[str],
    providers: Mapping[str, Sequence[str]],
    about: Mapping[str, str],
) -> str:
    """The page. `outcomes` of (provider, habit); `providers` with the habits that they can have."""
    rows = [["habit", *providers], ["---"] * (1 + len(providers))]
    rows += [[f"`{habit}`", *(_mark(outcomes, name, habit, providers[name]) for name in providers)] for habit in habits]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    terms = "\n".join(f"- `{habit}`: {about[habit]}" for habit in habits if habit in about)
    failed = sum(not survived for survived in outcomes.values())
    counts = f"{sum(outcomes.values())} survived, {failed} not."
    return f"{HEAD}\n{counts}\n\n{table}\n\n{terms}\n"


def _mark(outcomes: Mapping[tuple[str, str], bool], provider: str, habit: str, has: Sequence[str]) -> str:
    if habit not in has:
        return NONE
    survived = outcomes.get((provider, habit))
    return NOT_TRIED if survived is None else SURVIVED if survived else FAILED
