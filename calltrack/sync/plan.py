"""Which range a run covers, and how it is cut into slices that can be fetched side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from calltrack.client.windows import Window
from calltrack.provider import Provider

_INSTANT = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: the newest slice is this long, or up to twice as long; the one behind it is no longer than this
NEWEST = timedelta(days=1)


class Mode(StrEnum):
    """What a run was asked to cover."""

    FULL = "full"
    INCREMENTAL = "incremental"
    RANGE = "range"
    #: a range, to find what webhooks missed
    RECOVER = "recover"
    #: a bucket of the completeness ledger, to be compared
    CHECK = "check"
    #: single calls that deliveries told of
    LIVE = "live"


class Axis(StrEnum):
    """Which time of a call a range is about."""

    CREATED = "created"
    CHANGED = "changed"


@dataclass(frozen=True)
class Plan:
    """What a run reads: a range on an axis, in slices, newest first."""

    axis: Axis
    window: Window
    slices: tuple[Window, ...]


def plan(
    mode: Mode,
    provider: Provider,
    settings: Mapping[str, str],
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    synced_until: datetime | None = None,
    overlap: timedelta | None = None,
) -> Plan:
    """The plan of a run that begins now.

    A full run reads all that there is. An incremental one reaches back behind the last completed run by `overlap` (by
    default the provider's), by time of change where the provider can list so; while there was no such run, everything
    is new.
    """
    calls, history = provider.calls(settings), provider.begins(settings)
    if mode is Mode.INCREMENTAL and synced_until is not None:
        window = Window(max(history, synced_until - (overlap or provider.overlap)), now)
        if calls.changes is not None:
            return Plan(Axis.CHANGED, window, (window,))
        return Plan(Axis.CREATED, window, cut(window, calls.longest))
    window = Window(since or history, min(until or now, now))
    return Plan(Axis.CREATED, window, (window,) if mode is Mode.CHECK else cut(window, calls.longest))


def cut(window: Window, longest: timedelta | None = None) -> tuple[Window, ...]:
    """The range in slices, newest first, up to what the provider lets us ask for at once.

    Older ones are longer: most calls are recent, and the recent ones are wanted first. None but the newest is longer
    than what lies behind it, so that years are read side by side. They are cut where the last run cut them, most of
    the time: an older slice then has the same pages again, and those that hold nothing new need not be read
    (`calltrack.sync.again`).
    """
    edges = [window.until, *_edges(window), window.since]
    slices = [Window(older, newer) for newer, older in pairwise(edges)]
    return tuple(slices if longest is None else [part for one in slices for part in _steps(one, longest)])


def _edges(window: Window) -> Iterator[datetime]:
    """Where the range is cut, newest first: between whole spans since 1970, of 1, 2, 4, 8, … days."""
    begins, ends, length = window.since - _EPOCH, window.until - _EPOCH, NEWEST
    edge = (ends // length - 1) * length
    while edge > begins:
        yield _EPOCH + edge
        if ends - edge >= 2 * length and not edge % (2 * length):
            length *= 2
        edge -= length


def _even(moment: datetime, length: timedelta) -> datetime:
    """The last moment before, or at, this one that divides time since 1970 into spans of this length."""
    return moment - (moment - _EPOCH) % length


def _steps(window: Window, longest: timedelta) -> Iterator[Window]:
    """The range in steps of this length, newest first."""
    until = window.until
    while until > window.since:
        since = max(window.since, _even(until - _INSTANT, longest))
        yield Window(since, until)
        until = since


def halves(window: Window) -> tuple[Window, Window] | None:
    """The slice in two, newer half first; None where it cannot be cut any more."""
    middle = (window.since + (window.until - window.since) / 2).replace(microsecond=0)
    if not window.since < middle < window.until:
        return None
    return Window(middle, window.until), Window(window.since, middle)
