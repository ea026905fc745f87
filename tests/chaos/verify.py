"""What must hold once the system is at rest: every id, not counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

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
        AND fetched <> inserted + updated + unchanged + duplicates + rejected + excluded""",
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
COLUMNS = """
    SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'calls'"""


@dataclass
class Post:
    """The letters of a round, forged ones included, and those that were answered with 2xx."""

    sent: list[Letter] = field(default_factory=list)
    accepted: list[Letter] = field(default_factory=list)


class Findings:
    """What does not add up, and how much was looked at."""

    def __init__(self) -> None:
        self.unexplained: list[str] = []
        self.ids = 0

    def note(self, what: str, which: Any) -> None:
        some = list(which)
        if some:
            self.unexplained.append(f"{len(some)} {what}, such as {some[:3]}")


def verify(stage: Stage, post: Mapping[str, Post]) -> Findings:
    """Hold the database against the providers' truth, and against every delivery that was answered with 2xx."""
    found = Findings()
    for what, query in NEVER.items():
        found.note(what, [row[0] for row in stage.rows(query)])
    for provider in PROVIDERS:
        _calls(stage, provider, post[provider], found)
        _deliveries(stage, provider, post[provider], found)
        _rejects(stage, provider, found)
    return found


def _calls(stage: Stage, provider: str, post: Post, found: Findings) -> None:
    assert stage.sim
    truths = {str(truth["external_id"]): truth for truth in stage.sim.provider(provider).truths()}
    names = [row[0] for row in stage.rows(COLUMNS)]
    rows = stage.rows(f"SELECT external_id, {', '.join(names)} FROM calls WHERE provider = %s", provider)
    stored = {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}
    told = {letter.call_id for letter in post.accepted}
    possible = {letter.call_id for letter in post.sent if letter.kind not in FORGERIES}
    forged = {letter.call_id for letter in post.sent if letter.kind in FORGERIES}
    found.ids += len(truths | stored.keys() | told | forged)
    found.note(f"{provider} calls missing", truths.keys() - stored.keys())
    found.note(f"{provider} calls that webhooks told of missing", told - stored.keys())
    found.note(f"{provider} calls from nowhere", stored.keys() - truths.keys() - possible)
    twice = [key for key, number in Counter(row[0] for row in rows).items() if number > 1]
    found.note(f"{provider} calls doubled", twice)
    both = sorted(truths.keys() & stored.keys())
    differences = [(key, *_differences(truths[key], stored[key])) for key in both]
    found.note(f"{provider} calls with other content", [one for one in differences if len(one) > 1])


def _differences(truth: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    for name in truth.keys() & row.keys():
        if _plain(truth[name], row[name]) != row[name]:
            yield f"{name}: {row[name]!r} and not {truth[name]!r}"


def _plain(wanted: Any, stored: Any) -> Any:
    """What is wanted, in the type of what is stored."""
    if wanted is not None and isinstance(stored, Decimal):
        return Decimal(str(wanted))
    if wanted is not None and isinstance(stored, datetime):
        return datetime.fromisoformat(str(wanted))
    return wanted


def _deliveries(stage: Stage, provider: str, post: Post, found: Findings) -> None:
    rows = stage.rows("SELECT body, query FROM webhook_logs WHERE provider = %s", provider)
    landed = Counter((bytes(body), query) for body, query in rows)
    wanted = {(letter.body, letter.query) for letter in post.accepted}
    possible = {(letter.body, letter.query) for letter in post.sent if letter.kind not in FORGERIES}
    found.ids += len(wanted)
    found.note(f"{provider} accepted deliveries lost", [one[0][:80] for one in wanted if landed[one] == 0])
    found.note(f"{provider} accepted deliveries doubled", [one[0][:80] for one in wanted if landed[one] > 1])
    found.note(f"{provider} deliveries that nobody sent, or forged", [one[0][:80] for one in landed.keys() - possible])


def _rejects(stage: Stage, provider: str, found: Findings) -> None:
    """Each record of the list that is no call must be kept as it came, and nothing else with it."""
    assert stage.sim
    unusable = {_canonical(raw) for raw in stage.sim.provider(provider).unusable()}
    kept = {
        _canonical(bytes(row[0]))
        for row in stage.rows("SELECT raw FROM rejected_records WHERE provider = %s", provider)
    }
    found.ids += len(unusable)
    found.note(f"{provider} unusable records that were not kept", unusable - kept)
    found.note(f"{provider} records rejected without need", [one for one in kept - unusable if _has_id(one)])


def _canonical(raw: bytes) -> bytes:
    record = orjson.loads(raw)
    inner = record.get("call") if isinstance(record, dict) else None
    bare = inner if isinstance(inner, dict) else record
    return orjson.dumps(bare if isinstance(bare, dict) else {"unreadable": bare}, option=orjson.OPT_SORT_KEYS)


def _has_id(raw: bytes) -> bool:
    """A record without an id that changed since is told in another form now."""
    record = orjson.loads(raw)
    keys = ("uuid", "id", "call_id", "inboundCallId")
    return str(next((record[key] for key in keys if record.get(key)), "null"))[0] not in "n["


def is_accepted(answer: str) -> bool:
    """Whether the receiver says that it has the delivery."""
    return answer.startswith("2")
