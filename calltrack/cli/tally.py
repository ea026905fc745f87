"""What a simulated provider has, against what is in Postgres: every id, not counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rich.table import Table
from sqlalchemy import text

from calltrack.db.session import engine
from simulator import Simulator
from simulator.senders import Sent

_CALLS = text("SELECT external_id FROM calls WHERE provider = :provider")
_REJECTS = text("SELECT reason, count(*) FROM rejected_records WHERE provider = :provider GROUP BY reason")
_WAITING = text("SELECT count(*) FROM webhook_logs WHERE state = 'received'")
_LANDED = text("SELECT count(*), coalesce(sum(repeats), 0) FROM webhook_logs WHERE provider = :provider")


@dataclass(frozen=True)
class Tally:
    """The books of one provider."""

    provider: str
    at_provider: int
    in_postgres: int
    missing: frozenset[str]
    #: in Postgres, but neither listed by the provider nor told of by a true webhook
    unexplained: frozenset[str]
    doubled: int
    rejected: Counter[str]
    #: records at the provider that nobody can use
    unusable: int
    accepted: int
    repeated: int
    refused: int
    #: deliveries that were answered otherwise than they should have been
    astray: bool
    #: accepted deliveries that are not in the inbox
    lost: int

    def faults(self) -> list[str]:
        """What does not add up, a sentence each."""
        found = {
            f"{len(self.missing)} calls are missing, such as {', '.join(sorted(self.missing)[:3])}.": self.missing,
            f"{len(self.unexplained)} calls came from nowhere.": self.unexplained,
            f"{self.doubled} calls are there more than once.": self.doubled,
            f"{self.unusable} records are unusable, but {self.rejected.total()} were rejected.": (
                self.unusable != self.rejected.total()
            ),
            f"{self.lost} accepted deliveries are not in the inbox.": self.lost,
            "Some deliveries were answered otherwise than they should have been.": self.astray,
        }
        return [f"{self.provider}: {sentence}" for sentence, wrong in found.items() if wrong]


def count(sim: Simulator, provider: str, sent: Sent) -> Tally:
    """Compare a provider's calls, and the calls that true webhooks told of, with the database."""
    with engine().connect() as connection:
        stored = Counter(connection.execute(_CALLS, {"provider": provider}).scalars())
        rejects: Counter[str] = Counter(dict(connection.execute(_REJECTS, {"provider": provider}).tuples().all()))
        landed, repeats = connection.execute(_LANDED, {"provider": provider}).one()
    listed = set(sim.provider(provider).ids())
    known = listed | set(sent.ids)
    answers = sent.by_answer
    accepted, repeated = answers["202 accepted"], answers["202 duplicate"]
    return Tally(
        provider=provider,
        at_provider=len(known),
        in_postgres=len(stored),
        missing=frozenset(known - stored.keys()),
        unexplained=frozenset(stored.keys() - known),
        doubled=stored.total() - len(stored),
        rejected=rejects,
        unusable=len(sim.provider(provider).rejected()),
        accepted=accepted,
        repeated=repeated,
        refused=answers["401"] + sum(number for answer, number in answers.items() if answer.startswith("401 ")),
        astray=not sent.as_it_should_be,
        lost=abs(landed - accepted) + abs(repeats - repeated),
    )


def waiting() -> int:
    """Deliveries that are landed and not processed."""
    with engine().connect() as connection:
        return int(connection.execute(_WAITING).scalar_one())


def table(tallies: list[Tally]) -> Table:
    """For a person: a column per provider."""
    made = Table("", *(one.provider for one in tallies))
    rows = {
        "calls at the provider": [f"{one.at_provider:,}" for one in tallies],
        "calls in Postgres": [f"{one.in_postgres:,}" for one in tallies],
        "missing": [str(len(one.missing)) for one in tallies],
        "doubled": [str(one.doubled) for one in tallies],
        "rejected": [_reasons(one.rejected) for one in tallies],
        "deliveries accepted": [f"{one.accepted} (and {one.repeated} repeated)" for one in tallies],
        "deliveries refused": [str(one.refused) for one in tallies],
    }
    for name, values in rows.items():
        made.add_row(name, *values)
    return made


def _reasons(rejected: Counter[str]) -> str:
    reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(rejected.items()))
    return f"{rejected.total()} ({reasons})" if reasons else "0"
