"""What must hold once the system is at rest: every id, not counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from simulator.letters import FORGERIES, Letter
from tests.chaos.stage import PROVIDERS, Stage

#: rows that nobody owns any more, or that wait for something that will not come
NEVER = {
    "pages that are not stored, of a completed run": """
        SELECT page.id FROM sync_pages page JOIN sync_runs run ON run.id = page.run_id
        WHERE run.state = 'completed' AND page.state <> 'stored'""",
    "runs that stopped without a reason": "SELECT id FROM sync_runs WHERE state = 'failed' AND reason IS NULL",
    "runs that were not ended": "SELECT id FROM sync_runs WHERE state IN ('queued', 'running')",
    "runs whose books do not add up": """
        SELECT id FROM sync_runs WHERE state = 'completed'
        AND fetched <> inserted + updated + unchanged + duplicates + rejected""",
    "deliveries that wait, or that we failed at": "SELECT id FROM webhook_logs WHERE state IN ('received', 'failed')",
    "deliveries dropped without a reason": """
        SELECT id FROM webhook_logs WHERE state IN ('rejected', 'ignored') AND reason IS NULL""",
    "calls that the change log did not see come": """
        SELECT id FROM calls WHERE (SELECT count(*) FROM call_events
            WHERE call_id = calls.id AND event = 'inserted') <> 1""",
    "changes of calls that are not there": """
        SELECT DISTINCT call_id FROM call_events WHERE call_id NOT IN (SELECT id FROM calls)""",
    "pages without a slice": "SELECT id FROM sync_pages WHERE slice_id NOT IN (SELECT id FROM sync_slices)",
}
COLUMNS = (
    *("status", "disposition", "revenue", "payout", "cost", "converted", "duration_seconds"),
    *("caller_number", "primary_phone", "started_at", "provider_updated_at"),
)


class Findings:
    """What does not add up, and how much was looked at."""

    def __init__(self) -> None:
        self.unexplained: list[str] = []
        self.ids = 0

    def note(self, what: str, which: Any) -> None:
        some = list(which)
        if some:
            self.unexplained.append(f"{len(some)} {what}, such as {some[:3]}")


def verify(stage: Stage, accepted: dict[str, list[Letter]]) -> Findings:
    """Hold the database against the providers' truth, and against every delivery that was answered with 2xx."""
    found = Findings()
    for what, query in NEVER.items():
        found.note(what, [row[0] for row in stage.rows(query)])
    for provider in PROVIDERS:
        _calls(stage, provider, accepted.get(provider, []), found)
        _deliveries(stage, provider, accepted.get(provider, []), found)
        _rejects(stage, provider, found)
    return found


def _calls(stage: Stage, provider: str, letters: list[Letter], found: Findings) -> None:
    assert stage.sim
    truths = {str(truth["external_id"]): truth for truth in stage.sim.provider(provider).truths()}
    names = ", ".join(COLUMNS)
    rows = stage.rows(f"SELECT external_id, {names} FROM calls WHERE provider = %s", provider)
    stored = {row[0]: dict(zip(COLUMNS, row[1:], strict=True)) for row in rows}
    told = {letter.call_id for letter in letters}
    found.ids += len(truths | stored)
    found.note(f"{provider} calls missing", truths.keys() - stored.keys())
    found.note(f"{provider} calls that webhooks told of missing", told - stored.keys())
    found.note(f"{provider} calls from nowhere", stored.keys() - truths.keys() - told)
    found.note(
        f"{provider} calls doubled", [key for key, number in Counter(row[0] for row in rows).items() if number > 1]
    )
    found.note(
        f"{provider} calls with old content",
        [
            (key, *_differ(truths[key], stored[key]))
            for key in truths.keys() & stored.keys()
            if _is_old(truths[key], stored[key])
        ],
    )


def _is_old(truth: dict[str, Any], row: dict[str, Any]) -> bool:
    return any(True for _ in _differ(truth, row))


def _differ(truth: dict[str, Any], row: dict[str, Any]) -> Iterator[str]:
    for name in COLUMNS:
        wanted = truth.get(name)
        if wanted is not None and _plain(wanted, row[name]) != row[name]:
            yield f"{name}: {row[name]!r} and not {wanted!r}"


def _plain(wanted: Any, stored: Any) -> Any:
    if name_is_money(stored):
        return Decimal(str(wanted))
    if isinstance(stored, datetime):
        return datetime.fromisoformat(str(wanted))
    return wanted


def name_is_money(stored: Any) -> bool:
    return isinstance(stored, Decimal)


def _deliveries(stage: Stage, provider: str, letters: list[Letter], found: Findings) -> None:
    rows = stage.rows("SELECT event_type, body, query FROM webhook_logs WHERE provider = %s", provider)
    landed = Counter((bytes(body), "" if body else query) for _, body, query in rows)
    wanted = {(letter.body, "" if letter.body else letter.query) for letter in letters}
    found.ids += len(wanted)
    found.note(f"{provider} accepted deliveries lost", [one[0][:80] for one in wanted if landed[one] == 0])
    found.note(f"{provider} accepted deliveries doubled", [one[0][:80] for one in wanted if landed[one] > 1])


def _rejects(stage: Stage, provider: str, found: Findings) -> None:
    assert stage.sim
    unusable = stage.sim.provider(provider).rejected()
    kept = stage.rows("SELECT count(*) FROM rejected_records WHERE provider = %s", provider)[0][0]
    found.ids += len(unusable)
    if kept != len(unusable):
        found.note(f"{provider} unusable records, but {kept} rejected", [len(unusable)])


def is_accepted(letter: Letter, answer: str) -> bool:
    """Whether the receiver took the letter in. A forged one must never be."""
    taken = answer.startswith("2")
    assert not (taken and letter.kind in FORGERIES), "a forged delivery was accepted"
    return taken
