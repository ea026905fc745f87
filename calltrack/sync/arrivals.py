"""How many deliveries an account usually gets, hour by hour of the week; and noticing when they stop.

Silence alone is no fault: nobody calls at night. It is one when far more deliveries than none were to be expected
since the last one, and polling found calls meanwhile that no delivery told of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Cursor
from sqlalchemy import Connection, RowMapping, text

from calltrack.db.session import engine
from calltrack.seldom import Seldom
from calltrack.sync import alerts
from calltrack.sync.ingest import News

HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
#: how far back is looked for what is usual
LEARNED = 4 * WEEK
#: deliveries that were to be expected since the last one: with 10, silence comes by chance once in 22,000 times
EXPECTED = 10.0
#: calls that polling must have found meanwhile
POLLED = 3
#: a call that polling finds, and that began longer ago, says nothing about webhooks
RECENT = timedelta(hours=2)

_NOTE = """
INSERT INTO arrivals AS known (account_id, hour, deliveries, polled) VALUES (%s, %s, %s, %s)
ON CONFLICT (account_id, hour) DO UPDATE SET
    deliveries = known.deliveries + excluded.deliveries, polled = known.polled + excluded.polled
"""
_ACCOUNTS = text("""
SELECT account.id, account.provider_type || '/' || account.name AS label, now() AS now,
    (SELECT max(received_at) FROM webhook_logs WHERE account_id = account.id) AS last
FROM provider_configs account WHERE account.is_active
""")
_HOURS = text("SELECT hour, deliveries, polled FROM arrivals WHERE account_id = :id AND hour >= :since ORDER BY hour")


def note_deliveries(cursor: Cursor[Any], deliveries: Iterable[Mapping[Any, Any]]) -> None:
    """Count deliveries (rows of `webhook_logs`) in the hours in which they came."""
    came = Counter((one["account_id"], _hour(one["received_at"])) for one in deliveries)
    for (account, hour), number in sorted(came.items()):  # one or two of them: a pipeline for them costs more
        cursor.execute(_NOTE, (account, hour, number, 0))


def note_polled(cursor: Cursor[Any], account_id: UUID, news: Iterable[News], landed_at: datetime) -> None:
    """Count the calls that a page of the list told us of, before any delivery did."""
    found = sum(one.new and _recent(one, landed_at) for one in news)
    if found:
        cursor.execute(_NOTE, (account_id, _hour(landed_at), 0, found))


def _recent(one: News, landed_at: datetime) -> bool:
    began = one.observation.record.started_at
    return began is not None and began > landed_at - RECENT


@dataclass(frozen=True)
class Silence:
    """How long an account got no delivery."""

    since: datetime
    #: deliveries that were to be expected meanwhile
    expected: float
    #: calls that polling found meanwhile
    polled: int

    @property
    def is_a_fault(self) -> bool:
        return self.expected >= EXPECTED and self.polled >= POLLED


def watch() -> None:
    """Look, once a minute at most, whether webhooks come."""
    if _SELDOM.due("silence"):
        look()


def look() -> None:
    """Open an alert for every account whose webhooks have stopped, and close it where they came back."""
    with engine().begin() as connection:
        for account in connection.execute(_ACCOUNTS).mappings().all():
            silence = _silence(connection, account)
            if silence is not None and silence.is_a_fault:
                alerts.open(connection, account["id"], alerts.SILENCE, _message(account["label"], silence))
            else:
                alerts.close(connection, account["id"], alerts.SILENCE)


_SELDOM = Seldom(60.0)


def _message(label: str, silence: Silence) -> str:
    return (
        f"{label} has sent no webhook since {silence.since:%Y-%m-%d %H:%M} UTC: about {silence.expected:.0f} were "
        f"to be expected, and polling found {silence.polled} new calls meanwhile: check its webhook at the provider."
    )


def _silence(connection: Connection, account: RowMapping) -> Silence | None:
    """None: the account never sent a webhook."""
    last, now = account["last"], account["now"]
    if last is None:
        return None
    hours = connection.execute(_HOURS, {"id": account["id"], "since": now - LEARNED}).mappings().all()
    usual = Usual.learned([row for row in hours if row["hour"] < _hour(last)])
    polled = sum(row["polled"] for row in hours if row["hour"] > last)
    return Silence(last, usual.expected(last, now), polled)


@dataclass(frozen=True)
class Usual:
    """Deliveries per hour."""

    #: 0 (Monday, 00:00 UTC) to 167 → deliveries in that hour; hours never seen are not there
    by_hour: Mapping[int, float]
    #: on average over all hours
    average: float

    @classmethod
    def learned(cls, hours: Iterable[Mapping[Any, Any]]) -> Usual:
        """From rows of `arrivals`, oldest first. An hour without a row, after the first one, had none."""
        rows = list(hours)
        if not rows:
            return cls({}, 0.0)
        first, last = rows[0]["hour"], rows[-1]["hour"]
        seen = Counter(_place(first + HOUR * number) for number in range(int((last - first) / HOUR) + 1))
        came: Counter[int] = Counter()
        for row in rows:
            came[_place(row["hour"])] += row["deliveries"]
        return cls({place: came[place] / times for place, times in seen.items()}, came.total() / seen.total())

    def expected(self, since: datetime, until: datetime) -> float:
        """Deliveries that are usual in this stretch of time."""
        total, at = 0.0, since
        while at < until:
            end = min(_hour(at) + HOUR, until)
            total += self.by_hour.get(_place(at), self.average) * ((end - at) / HOUR)
            at = end
        return total


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _place(moment: datetime) -> int:
    """The hour of the week."""
    at = moment.astimezone(UTC)
    return at.weekday() * 24 + at.hour
